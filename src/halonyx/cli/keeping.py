"""`halonyx backup` and `halonyx restore`."""

from pathlib import Path
from typing import Annotated

import typer

from halonyx.cli import text
from halonyx.cli.command import Run, command
from halonyx.cli.output import fill
from halonyx.cli.passphrase import passphrase_for_file
from halonyx.core.errors import Misuse


def register(app: typer.Typer) -> None:
    """Add both commands to the program."""
    command(app, "backup")(backup)
    command(app, "restore")(restore)


async def backup(
    run: Run,
    file: Annotated[Path, typer.Argument(metavar="FILE", help=text.BACKUP_FILE, show_default=False)],
) -> None:
    """Write an encrypted copy of contacts, verifications and history."""
    if file.exists():
        raise Misuse(fill(text.FILE_EXISTS, file=file))
    async with run.client() as me:
        me.backup(file, passphrase_for_file(is_new=True))
    run.output.answer({"file": str(file)}, text.BACKUP_WRITTEN, file=file)


async def restore(
    run: Run,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help=text.RESTORE_FILE, exists=True, dir_okay=False, show_default=False)
    ],
) -> None:
    """Add what a backup holds."""
    async with run.client() as me:
        contacts, messages = me.restore(file, passphrase_for_file(is_new=False))
    run.output.answer({"contacts": contacts, "messages": messages}, text.RESTORED, contacts=contacts, messages=messages)
