"""`halonyx send|receive|history|search`."""

import math
import shlex
import sys
from collections.abc import Sequence
from contextlib import aclosing, nullcontext
from typing import TYPE_CHECKING, Annotated, Final, assert_never

import typer

from halonyx.cli import text, text_files
from halonyx.cli.command import Run, command
from halonyx.cli.contacts import Name
from halonyx.cli.escape import escape_name
from halonyx.cli.file_words import show_change, show_offer
from halonyx.cli.output import JsonValue, Lines, Output, fill, local, utc
from halonyx.core.errors import Misuse
from halonyx.core.types import MessageId

if TYPE_CHECKING:
    from halonyx.client import Event, HistoryEntry, Message, Notice, Sent

MAX_TEXT: Final = 16_384  # bytes of UTF-8; spec/delivery.md, "Bounds"
STDIN: Final = "-"
CLOCK_TOLERANCE: Final = 5 * 60 * 1000  # ms a sender's clock may be ahead before it is marked
DEFAULT_LIMIT: Final = 50
MAX_TIMEOUT: Final = 24 * 60 * 60  # s; who wants to wait longer wants --follow
ID_SIZE: Final = 16

LimitOption = Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help=text.LIMIT)]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    command(app, "send")(send)
    command(app, "receive")(receive)
    command(app, "history")(history)
    command(app, "search")(search)


async def send(
    run: Run,
    name: Name,
    message: Annotated[str | None, typer.Argument(metavar="[TEXT|-]", help=text.SEND_TEXT, show_default=False)] = None,
) -> None:
    """Send one message; the state says how far it came."""
    words = _checked(_read_message(run.output) if message in (None, STDIN) else message)
    async with run.client(flush=False) as me:
        sent = await me.send(name, words)
    run.output.answer({"id": sent.id.hex(), "state": sent.state}, text.SENT[sent.state], name=escape_name(name))
    if sent.reason is not None:
        run.output.remark(_reason(sent), reason=sent.reason)


async def receive(
    run: Run,
    *,
    follow: Annotated[bool, typer.Option("--follow", help=text.FOLLOW)] = False,
    quiet_seconds: Annotated[
        float | None,
        typer.Option("--timeout", metavar="SECONDS", min=0, max=MAX_TIMEOUT, help=text.TIMEOUT, show_default=False),
    ] = None,
) -> None:
    """Print each event as it comes; it was stored before, so an interrupted command loses nothing."""
    if quiet_seconds is not None and math.isnan(quiet_seconds):  # it is neither below nor above any bound
        raise typer.BadParameter(text.TIMEOUT_NO_NUMBER, param_hint="'--timeout'")
    if follow and quiet_seconds is not None:
        raise typer.BadParameter(text.FOLLOW_OR_TIMEOUT, param_hint="'--follow' and '--timeout'")
    is_quiet = True
    async with (
        run.client() as me,
        me.files.run() if follow else nullcontext(),
        # Closed at once when nobody reads any more: what comes later is for the next reader.
        aclosing(me.events(follow=follow, timeout=quiet_seconds)) as events,
    ):
        async for event in events:
            is_quiet = False
            show_event(run.output, event)
    if is_quiet:
        run.output.remark(text.NOTHING_NEW)


async def history(
    run: Run,
    name: Name,
    *,
    limit: LimitOption = DEFAULT_LIMIT,
    before: Annotated[str | None, typer.Option("--before", metavar="ID", help=text.BEFORE, show_default=False)] = None,
) -> None:
    """Print a page of a conversation."""
    first = None if before is None else _message_id(before)
    async with run.client() as me:
        entries = me.history(name, limit, first)
    show_entries(run.output, entries)
    if not entries:
        run.output.remark(text.NO_HISTORY, name=escape_name(name))
    elif len(entries) == limit:
        run.output.remark(text.OLDER, argument=shlex.quote(name), id=entries[0].id.hex())


async def search(
    run: Run,
    wanted: Annotated[str, typer.Argument(metavar="TEXT", help=text.SEARCH_TEXT, show_default=False)],
    *,
    limit: LimitOption = DEFAULT_LIMIT,
) -> None:
    """Print the messages of all conversations that contain a text."""
    async with run.client() as me:
        entries = me.search(wanted, limit)
    show_entries(run.output, entries)
    if not entries:
        run.output.remark(text.NOTHING_FOUND)


def show_event(output: Output, event: "Event") -> None:
    """Print one event, as a line of JSON or in words."""
    from halonyx.client import FileOffered, Message, Notice, TransferChanged  # noqa: PLC0415 (slow import; not for --help)

    match event:
        case Message():
            _show_message(output, event)
        case Notice():
            _show_notice(output, event)
        case FileOffered():
            show_offer(output, event)
        case TransferChanged():
            show_change(output, event)
        case _:
            assert_never(event)


def show_entries(output: Output, entries: Sequence["HistoryEntry"]) -> None:
    """Print messages of the history, a line each."""
    for entry in entries:
        values = {
            "id": entry.id.hex(),
            "contact": entry.contact,
            "direction": "out" if entry.outgoing else "in",
            "text": entry.text,
            "is_file": entry.transfer is not None,
            "time": utc(entry.time),
            "state": entry.state,
            "no_receipt": entry.no_receipt,
        }
        output.answer(
            values,
            text.OUTGOING if entry.outgoing else text.MESSAGE,
            time=local(entry.time),
            name=escape_name(entry.contact),
            state=text.NO_RECEIPT if entry.no_receipt else text.MESSAGE_STATE[entry.state],
            text=Lines(entry.text if entry.transfer is None else fill(text_files.HISTORY_FILE, file=entry.text)),
        )


def _read_message(output: Output) -> str:
    if sys.stdin.isatty():
        output.remark(text.ASK_MESSAGE)
    # One line end more than the longest message, and one byte to see that it is too long.
    data = sys.stdin.buffer.read(MAX_TEXT + 3)
    try:
        return data.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError:
        raise Misuse(text.TEXT_NOT_UTF8 if len(data) <= MAX_TEXT else _too_long()) from None


def _checked(words: str) -> str:
    try:
        size = len(words.encode("utf-8"))
    except UnicodeEncodeError:  # bytes on the command line that are no UTF-8
        raise Misuse(text.TEXT_NOT_UTF8) from None
    if not size:
        raise Misuse(text.NO_TEXT)
    if size > MAX_TEXT:
        raise Misuse(_too_long())
    return words


def _too_long() -> str:
    return fill(text.TEXT_TOO_LONG, limit=MAX_TEXT)


def _reason(sent: "Sent") -> str:
    return text.SENT_REASON.get(sent.reason or "", text.SENT_REASON_OTHER)


def _message_id(typed: str) -> MessageId:
    try:
        raw = bytes.fromhex(typed)
    except ValueError:
        raw = b""
    if len(raw) != ID_SIZE:
        raise Misuse(text.ID_MALFORMED)
    return MessageId(raw)


def _show_message(output: Output, message: "Message") -> None:
    values: dict[str, JsonValue] = {
        "id": message.id.hex(),
        "from": message.sender,
        "text": message.text,
        "time": utc(message.time),
    }
    when = local(message.time)
    if message.time > message.received + CLOCK_TOLERANCE:
        when = fill(text.CLOCK_AHEAD, time=when)
    output.answer(values, text.MESSAGE, time=when, name=escape_name(message.sender), text=Lines(message.text))


def _show_notice(output: Output, notice: "Notice") -> None:
    name = notice.contact or text.SOMEONE
    # A request's id is no contact's name: it stands under the key that `contact requests` gives it.
    key = "request" if notice.kind == "request" else "from"
    named = {} if notice.contact is None else {key: notice.contact}
    values = {"kind": notice.kind, **named, "time": utc(notice.time), **notice.data}
    parts = {**notice.data, "time": local(notice.time), "name": escape_name(name), "argument": shlex.quote(name)}
    words = text.NOTICE[notice.kind] + (text.SO_MANY_TIMES if "times" in notice.data else "")
    output.answer(values, words, **parts)
