"""`halonyx send-file` and `halonyx files …`."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from halonyx.cli import text_files as text
from halonyx.cli.bars import Bar
from halonyx.cli.command import FLUSH_SECONDS, Run, command
from halonyx.cli.contacts import Name
from halonyx.cli.escape import escape_name
from halonyx.cli.file_words import ended_words, percent, reason_words, size_words, transfer_values, words_of
from halonyx.cli.output import Plain, fill
from halonyx.cli.pictures import table
from halonyx.core.errors import Misuse, RemoteError, TransportError

if TYPE_CHECKING:
    from halonyx.client import Client, Transfer

LOOK_SECONDS: Final = 0.25
ID_SHOWN: Final = 8
OVER: Final = ("done", "refused", "cancelled", "failed")

Id = Annotated[str, typer.Argument(metavar="ID", help=text.ID_ARGUMENT, show_default=False)]
DirectOption = Annotated[bool, typer.Option("--direct", help=text.DIRECT)]
NoWaitOption = Annotated[bool, typer.Option("--no-wait", help=text.NO_WAIT)]
DropOption = Annotated[bool, typer.Option("--drop", help=text.DROP)]


class TransferEnded(RemoteError):
    """It did not come to a good end."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class TransferHalted(Misuse):
    """It can't go on until the person does something."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def register(app: typer.Typer) -> None:
    """Add the command and the group to the program."""
    command(app, "send-file")(send_file)
    app.add_typer(group)


group = typer.Typer(name="files", help=text.GROUP["files"], no_args_is_help=True, rich_markup_mode=None)


async def send_file(  # noqa: PLR0913 (one argument an option)
    run: Run,
    name: Name,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help=text.PATHS, show_default=False)],
    *,
    drop: DropOption = False,
    direct: DirectOption = False,
    no_wait: NoWaitOption = False,
) -> None:
    """Encrypt, offer, and stay until the other side has it."""
    async with run.client(flush=False) as me:
        me.contacts.get(name)  # before anything is asked
        _agree(run, me, name, is_given=direct, is_needed=not drop)
        async with _going(run, me, is_waiting=not no_wait):
            offering = asyncio.create_task(me.files.offer(name, paths, drop=drop))
            offered = await _offered(run, me, offering)
            run.output.answer(transfer_values(offered), text.OFFERED, **words_of(offered))
            if not no_wait:
                await _watch(run, me, offered)


@command(group, "files list")
async def list_files(run: Run) -> None:
    """List transfers, one a line, oldest first."""
    async with run.client() as me:
        found = me.files.list()
    if run.output.as_json:
        for transfer in found:
            run.output.answer(transfer_values(transfer), "")
        return
    if not found:
        run.output.say(text.NO_FILES)
        return
    run.output.say("{rows}", rows=Plain(table(text.COLUMNS, [_line(transfer) for transfer in found])))
    for transfer in found:
        if transfer.reason is not None and transfer.state not in OVER:
            run.output.say("{id}  {words}", id=transfer.id.hex()[:ID_SHOWN], words=Plain(reason_words(transfer)))


@command(group, "files accept")
async def accept(
    run: Run,
    transfer: Id,
    *,
    to: Annotated[Path | None, typer.Option("--to", metavar="DIR", help=text.SAVE_TO, show_default=False)] = None,
    direct: DirectOption = False,
    no_wait: NoWaitOption = False,
) -> None:
    """Accept, and stay until it is saved."""
    async with run.client() as me:
        found = me.files.get(transfer)
        if found.state == "offered" and not found.outgoing:
            _agree(run, me, found.contact, is_given=direct, is_needed=not found.in_drop)
        async with _going(run, me, is_waiting=not no_wait):
            accepted = await me.files.accept(found.id, to)
            values = transfer_values(accepted)
            run.output.answer(values, text.ACCEPTED, folder=accepted.folder, **words_of(accepted))
            if not no_wait:
                await _watch(run, me, accepted)


@command(group, "files refuse")
async def refuse(run: Run, transfer: Id) -> None:
    """Decline an offer."""
    async with run.client() as me:
        refused = await me.files.refuse(transfer)
    run.output.answer(transfer_values(refused), text.REFUSED, **words_of(refused))


@command(group, "files pause")
async def pause(run: Run, transfer: Id) -> None:
    """Stop for now."""
    async with run.client() as me:
        paused = await me.files.pause(transfer)
    run.output.answer(transfer_values(paused), text.PAUSED, **words_of(paused))


@command(group, "files resume")
async def resume(
    run: Run,
    transfer: Id,
    *,
    drop: DropOption = False,
    direct: DirectOption = False,
    no_wait: NoWaitOption = False,
) -> None:
    """Go on, and stay until it is done."""
    async with run.client() as me:
        found = me.files.get(transfer)
        if direct:
            _agree(run, me, found.contact, is_given=True, is_needed=True)
        async with _going(run, me, is_waiting=not no_wait):
            resumed = await me.files.resume(found.id, drop=drop)
            run.output.answer(transfer_values(resumed), text.RESUMED, **words_of(resumed))
            if not no_wait and resumed.state != "offered":
                await _watch(run, me, resumed)


@command(group, "files retry")
async def retry(run: Run, transfer: Id, *, direct: DirectOption = False, no_wait: NoWaitOption = False) -> None:
    """Begin again what failed, and stay until it is done."""
    async with run.client() as me:
        found = me.files.get(transfer)
        if direct:
            _agree(run, me, found.contact, is_given=True, is_needed=True)
        async with _going(run, me, is_waiting=not no_wait):
            again = await me.files.retry(found.id)
            run.output.answer(transfer_values(again), text.RETRIED, **words_of(again))
            if not no_wait and again.state != "offered":
                await _watch(run, me, again)


@command(group, "files cancel")
async def cancel(run: Run, transfer: Id) -> None:
    """End a transfer."""
    async with run.client() as me:
        cancelled = await me.files.cancel(transfer)
    run.output.answer(transfer_values(cancelled), text.CANCELLED, **words_of(cancelled))


@asynccontextmanager
async def _going(run: Run, me: "Client", *, is_waiting: bool) -> AsyncIterator[None]:
    """Be online and let transfers move, for a command that stays."""
    if not is_waiting:
        yield
        return
    try:
        async with me.online(), me.files.run():
            yield
            with suppress(TransportError, RemoteError):
                await me.flush(FLUSH_SECONDS)  # the last word: without it the other side would wait
    except asyncio.CancelledError:  # by the person: what else ends it has an error of its own
        if any(transfer.state not in OVER for transfer in me.files.list()):
            run.output.remark(text.GOES_ON)
        raise


def _agree(run: Run, me: "Client", name: str, *, is_given: bool, is_needed: bool) -> None:
    """Note that the person lets a contact see their IP address; ask on a terminal if nothing goes without it."""
    if me.contacts.get(name).direct_allowed:
        return
    if not is_given and is_needed and not run.output.as_json and sys.stdin.isatty() and sys.stdout.isatty():
        is_given = input(fill(text.ASK_DIRECT, name=escape_name(name))).strip().lower() in text.YES
    if is_given:
        me.contacts.allow_direct(name)


async def _offered(run: Run, me: "Client", offering: "asyncio.Task[Transfer]") -> "Transfer":
    """Wait until an offer is made, showing how far the encryption is."""
    known = {transfer.id for transfer in me.files.list()}
    try:
        with Bar(run.output) as bar:
            while not offering.done():
                await asyncio.wait([offering], timeout=LOOK_SECONDS)
                for transfer in me.files.list():
                    if transfer.id not in known and transfer.state == "preparing":
                        bar.show(transfer)
        return offering.result()
    finally:
        offering.cancel()


async def _watch(run: Run, me: "Client", transfer: "Transfer") -> None:
    """Show a transfer until it is over, or until nothing but a decision of the person moves it."""
    told = (transfer.state, transfer.reason)
    with Bar(run.output) as bar:
        while transfer.state not in OVER:
            if transfer.state == "paused":
                raise TransferHalted(transfer.reason or "paused", _halted(transfer))
            if transfer.reason in ("needs-direct", "both-need-direct") and not transfer.direct_allowed:
                raise TransferHalted("needs-direct", _halted(transfer))
            await asyncio.sleep(LOOK_SECONDS)
            transfer = me.files.get(transfer.id)
            bar.show(transfer)
            if (transfer.state, transfer.reason) != told:
                told = (transfer.state, transfer.reason)
                if run.output.as_json:
                    run.output.answer(transfer_values(transfer), "")
                elif not bar.is_drawn and transfer.reason:
                    run.output.remark("{words}", words=Plain(reason_words(transfer)))
    me.files.mark_seen(transfer.id)
    if transfer.state != "done":
        raise TransferEnded(transfer.reason or transfer.state, ended_words(transfer))
    run.output.say(text.DELIVERED if transfer.outgoing else text.SAVED, saved=transfer.saved, **words_of(transfer))


def _halted(transfer: "Transfer") -> str:
    if transfer.reason is None:
        return fill(text.PAUSED, **words_of(transfer))
    return reason_words(transfer)


def _line(transfer: "Transfer") -> tuple[str, ...]:
    speed = size_words(transfer.up if transfer.outgoing else transfer.down)
    parts = words_of(transfer)
    state = fill(text.STATE[transfer.state], percent=percent(transfer), speed=speed)
    way = text.TO if transfer.outgoing else text.FROM
    return transfer.id.hex()[:ID_SHOWN], way, parts["name"], parts["file"], parts["size"], state
