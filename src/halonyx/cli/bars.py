"""One line that shows a transfer as it moves; on a terminal only."""

import sys
from typing import TYPE_CHECKING, Self

from halonyx.cli import text_files as text
from halonyx.cli.escape import escape_name
from halonyx.cli.file_words import percent, reason_words, size_words
from halonyx.cli.output import Output, fill

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from halonyx.client import Transfer


class Bar:
    """Draws on standard error, if that is a terminal and the answer is for people; changes as it is shown.

    Attributes:
        is_drawn: Whether anything is drawn at all.
    """

    def __init__(self, output: Output) -> None:
        self.is_drawn = not output.as_json and sys.stderr.isatty()
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if self.is_drawn:
            # Imported here: loading it takes longer than most commands.
            from rich.console import Console  # noqa: PLC0415
            from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415

            columns = (
                TextColumn("{task.fields[name]}", markup=False),
                BarColumn(bar_width=20),
                TextColumn("{task.fields[numbers]}", markup=False),
            )
            self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def show(self, transfer: "Transfer") -> None:
        """Draw how far it is."""
        if self._progress is None:
            return
        if self._task is None:
            self._task = self._progress.add_task("", total=None, name="", numbers="")
        total = transfer.total or transfer.size or None
        name = escape_name(transfer.name)
        self._progress.update(self._task, total=total, completed=transfer.done, name=name, numbers=numbers(transfer))


def numbers(transfer: "Transfer") -> str:
    """Return what stands behind the bar: percent, speeds, peers, ratio, time left and the way; or why it waits."""
    share = percent(transfer)
    if transfer.state != "transferring":
        return reason_words(transfer) or f"{share}%  {fill(text.STATE[transfer.state], percent=share, speed='')}"
    parts = [
        f"{share}%",
        f"↓ {size_words(transfer.down)}/s ↑ {size_words(transfer.up)}/s",
        fill(text.BAR_PEERS, peers=transfer.peers),
        fill(text.BAR_RATIO, ratio=f"{transfer.ratio:.2f}"),
    ]
    if transfer.seconds_left is not None:
        parts.append(fill(text.BAR_LEFT, time=_clock(transfer.seconds_left)))
    if transfer.path is not None:
        parts.append(text.BAR_DIRECT if transfer.path == "direct" else text.BAR_DROP)
    return "  ".join(parts)


def _clock(seconds: int) -> str:
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
