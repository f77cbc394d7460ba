"""A transfer in words, and as the values of --json."""

import shlex
from typing import TYPE_CHECKING, Final

from halonyx.cli import text_files as text
from halonyx.cli.escape import escape_name
from halonyx.cli.output import JsonValue, fill, local, utc

if TYPE_CHECKING:
    from halonyx.cli.output import Output
    from halonyx.client import FileOffered, Transfer, TransferChanged

ID_SHOWN: Final = 8
_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB")


def transfer_values(transfer: "Transfer") -> dict[str, JsonValue]:
    """Return a transfer for --json."""
    return {
        "id": transfer.id.hex(),
        "contact": transfer.contact,
        "direction": "out" if transfer.outgoing else "in",
        "name": transfer.name,
        "type": transfer.media_type,
        "is_folder": transfer.is_folder,
        "count": transfer.count,
        "size": transfer.size,
        "state": transfer.state,
        "reason": transfer.reason,
        "done": transfer.done,
        "total": transfer.total,
        "down": transfer.down,
        "up": transfer.up,
        "peers": transfer.peers,
        "ratio": round(transfer.ratio, 3),
        "seconds_left": transfer.seconds_left,
        "path": transfer.path,
        "in_drop": transfer.in_drop,
        "direct_allowed": transfer.direct_allowed,
        "saved": None if transfer.saved is None else str(transfer.saved),
    }


def words_of(transfer: "Transfer") -> dict[str, str]:
    """Return what stands in most sentences about a transfer."""
    size = size_words(transfer.size)
    return {
        "id": transfer.id.hex()[:ID_SHOWN],
        "name": escape_name(transfer.contact),
        "argument": shlex.quote(transfer.contact),
        "file": transfer.name,
        "size": fill(text.IN_FILES, count=transfer.count, size=size) if transfer.is_folder else size,
    }


def size_words(size_bytes: int) -> str:
    """Return a size as people say it: 1,000 bytes are a kB."""
    value, unit = float(size_bytes), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:  # what would be shown as 1000 is one of the next
        value, unit = value / 1000, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if unit == 0 or value >= 99.5 else f"{value:.1f} {_UNITS[unit]}"


def percent(transfer: "Transfer") -> int:
    """Return how much of a transfer is done, rounded down."""
    return 100 * transfer.done // transfer.total if transfer.total else 0


def reason_words(transfer: "Transfer") -> str:
    """Return what a transfer waits for and who has to do what, or nothing; escaped."""
    if transfer.reason is None:
        return ""
    parts = words_of(transfer)
    drop = fill(text.DROP_OURS if transfer.outgoing else text.DROP_THEIRS, **parts)
    agree = "" if transfer.direct_allowed else fill(text.AGREE, **parts)
    forget = fill(text.FORGET, **parts)
    words = text.REASON.get(transfer.reason, text.REASON_OTHER)
    if transfer.outgoing and transfer.state == "failed":
        words = text.REASON_THERE.get(transfer.reason, words)
    return fill(words, reason=transfer.reason, drop=drop, agree=agree, forget=forget, **parts).strip()


def ended_words(transfer: "Transfer") -> str:
    """Return how a transfer ended, and why."""
    ended = fill(text.ENDED[transfer.state], **words_of(transfer))
    return " ".join(part for part in (ended, reason_words(transfer)) if part)


def show_offer(output: "Output", event: "FileOffered") -> None:
    """Print an offer."""
    transfer = event.transfer
    values = {"kind": "file", "from": transfer.contact, "time": utc(event.time), **transfer_values(transfer)}
    kind = fill(text.FILE_TYPE, type=transfer.media_type) if transfer.media_type else ""
    output.answer(values, text.FILE_OFFERED, time=local(event.time), type=kind, **words_of(transfer))


def show_change(output: "Output", event: "TransferChanged") -> None:
    """Print what became of a transfer."""
    transfer = event.transfer
    values = {"kind": "transfer", "from": transfer.contact, "time": utc(event.time), **transfer_values(transfer)}
    values |= {"state": event.state, "reason": event.reason}
    words = text.TRANSFER[event.state]
    if event.state == "done" and not transfer.outgoing:
        words = text.TRANSFER_SAVED
    elif event.state in ("waiting", "offered") and event.reason is not None:
        words = text.TRANSFER_WAITS
    why = reason_words(transfer) if transfer.reason == event.reason else ""
    parts = {**words_of(transfer), "time": local(event.time), "saved": str(transfer.saved)}
    output.answer(values, words + (" {why}" if why else ""), why=why, **parts)
