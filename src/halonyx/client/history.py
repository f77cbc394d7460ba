"""Reading what was said: a conversation page by page, and any substring of everything.

Source: spec/conventions.md, "At rest".
"""

from collections.abc import Sequence
from typing import Final, cast

from halonyx.client.account import now_ms
from halonyx.client.model import HistoryEntry, MessageState
from halonyx.client.people import contact_by_name
from halonyx.client.store import Row, Store
from halonyx.core.errors import Misuse
from halonyx.core.types import DAY, MessageId, Millis

TRIGRAM: Final = 3
MAX_LIMIT: Final = 10_000
RECEIPT_AFTER: Final = DAY  # who is online confirms at once
_COLUMNS: Final = (
    "SELECT position, message_id, name, is_outgoing, messages.text, sent, messages.state AS state,"
    " EXISTS (SELECT 1 FROM transfers WHERE transfers.contact = messages.contact"
    "  AND transfers.is_outgoing = messages.is_outgoing AND transfers.message_id = messages.message_id) AS is_file"
    " FROM messages JOIN contacts ON contacts.id = contact"
)


def history(store: Store, name: str, limit: int, before: int | MessageId | None) -> list[HistoryEntry]:
    """Return the newest messages of a conversation, oldest first.

    Args:
        limit: 1 to 10,000.
        before: Only messages before this position, or before the message with this id.

    Raises:
        Misuse: No contact of this name, no message with this id, or a limit out of range.
    """
    contact = contact_by_name(store, name)
    if isinstance(before, bytes):
        before = _position(store, contact.id, before)
    rows = store.all(
        f"{_COLUMNS} WHERE contact = ? AND position < ? ORDER BY position DESC LIMIT ?",
        contact.id,
        2**63 - 1 if before is None else before,
        _checked(limit),
    )
    return _entries(rows)


def search(store: Store, text: str, limit: int) -> list[HistoryEntry]:
    """Return the newest messages that contain `text`, oldest first, whatever the case of ASCII letters.

    Three characters and more are found through the index, fewer by reading everything.

    Raises:
        Misuse: An empty text, or a limit out of range.
    """
    if not text:
        raise Misuse("type what to search for")
    if len(text) >= TRIGRAM and "\x00" not in text:  # a query of the index ends at a zero
        where = "position IN (SELECT rowid FROM messages_text WHERE messages_text MATCH ?)"
        value = '"' + text.replace('"', '""') + '"'
    else:
        where, value = "instr(lower(messages.text), lower(?))", text
    rows = store.all(
        f"{_COLUMNS} WHERE contacts.state IN ('accepted', 'blocked') AND {where} ORDER BY position DESC LIMIT ?",
        value,
        _checked(limit),
    )
    return _entries(rows)


def _position(store: Store, contact: int, message_id: bytes) -> int:
    position = store.value(
        "SELECT max(position) FROM messages WHERE contact = ? AND message_id = ?", contact, message_id
    )
    if position is None:
        raise Misuse("this conversation has no message with that id")
    return int(position)


def _checked(limit: int) -> int:
    if not 1 <= limit <= MAX_LIMIT:
        raise Misuse(f"a limit is 1 to {MAX_LIMIT}")
    return limit


def _entries(rows: Sequence[Row]) -> list[HistoryEntry]:
    now = now_ms()
    return [_entry(row, now) for row in reversed(rows)]


def _entry(row: Row, now: Millis) -> HistoryEntry:
    return HistoryEntry(
        position=row["position"],
        id=MessageId(row["message_id"]),
        contact=row["name"],
        outgoing=bool(row["is_outgoing"]),
        text=row["text"],
        time=Millis(row["sent"]),
        state=cast("MessageState", row["state"]),
        transfer=MessageId(row["message_id"]) if row["is_file"] else None,
        no_receipt=row["state"] == "accepted" and row["sent"] + RECEIPT_AFTER <= now,
    )
