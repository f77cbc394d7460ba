"""What is to be shown, in order, once; kept until it was shown.

Source: spec/delivery.md, "What a person sees".
"""

import json
from collections.abc import Mapping
from typing import Final, cast

from halonyx.client.model import (
    Event,
    FileOffered,
    Message,
    Notice,
    NoticeKind,
    TransferChanged,
    TransferState,
)
from halonyx.client.people import REQUEST_ID_LENGTH
from halonyx.client.store import Store
from halonyx.client.transfer_rows import transfer_by_id
from halonyx.core.types import DAY, MessageId, Millis

MESSAGE = "message"
TRANSFER = "transfer"
MAX_A_DAY: Final = 10  # notices of one kind and contact; what comes more often is counted in the newest
MAX_MISSING: Final = 2**52  # every program and store holds it exactly
# What a contact, or our relay, can cause as often as it likes.
_COUNTED: Final[frozenset[NoticeKind]] = frozenset(
    {"device", "drained", "gap", "own-record", "refreshed", "restored", "unsupported"}
)

_Data = Mapping[str, str | int | bool]


def add_notice(store: Store, kind: NoticeKind, contact: int | None, now: Millis, **data: str | int | bool) -> None:
    """Remember a notice, inside the caller's transaction.

    When MAX_A_DAY of this kind and contact wait to be shown, it takes the place of the newest and tells both: of gaps
    the sum of what is missing, of anything else how many times.
    """
    told = _merged(store, kind, contact, now, data) if kind in _COUNTED else data
    store.execute(
        "INSERT INTO events (kind, contact, time, data) VALUES (?, ?, ?, ?)", kind, contact, now, json.dumps(told)
    )


def _merged(store: Store, kind: NoticeKind, contact: int | None, now: Millis, data: _Data) -> _Data:
    lately = store.all(
        "SELECT id, data FROM events WHERE kind = ? AND contact IS ? AND time > ? ORDER BY id DESC LIMIT ?",
        kind,
        contact,
        now - DAY,
        MAX_A_DAY,
    )
    if len(lately) < MAX_A_DAY:
        return data
    newest, former = lately[0]["id"], json.loads(lately[0]["data"])
    store.execute("DELETE FROM events WHERE id = ?", newest)
    if kind == "gap":
        return {"missing": min(former["missing"] + data["missing"], MAX_MISSING)}
    return {**data, "times": former.get("times", 1) + 1}


def add_message_event(store: Store, contact: int, position: int, now: Millis) -> None:
    """Remember that a message of theirs is to be shown, inside the caller's transaction."""
    store.execute(
        "INSERT INTO events (kind, contact, message, time, data) VALUES (?, ?, ?, ?, '{}')",
        MESSAGE,
        contact,
        position,
        now,
    )


def add_transfer_event(store: Store, transfer: int, state: TransferState, reason: str | None, now: Millis) -> None:
    """Remember that something became of a transfer, inside the caller's transaction."""
    store.execute("DELETE FROM events WHERE kind = ? AND transfer = ?", TRANSFER, transfer)  # the newest tells enough
    store.execute(
        "INSERT INTO events (kind, contact, transfer, time, data) SELECT ?, contact, id, ?, ? FROM transfers"
        " WHERE id = ?",
        TRANSFER,
        now,
        json.dumps({"state": state, "reason": reason}),
        transfer,
    )


def show_request(store: Store, contact: int, now: Millis) -> None:
    """Show what a stranger wrote who is none any more, inside the caller's transaction."""
    store.execute("DELETE FROM events WHERE contact = ? AND kind = 'request'", contact)
    for row in store.all(
        "SELECT position FROM messages WHERE contact = ? AND is_outgoing = 0 ORDER BY position", contact
    ):
        add_message_event(store, contact, row["position"], now)


def next_event(store: Store) -> tuple[int, Event] | None:
    """Return the oldest event that was not shown, with its id."""
    row = store.one(
        "SELECT events.id, kind, events.time, data, contacts.name AS name, contacts.state AS state,"
        " contacts.address AS address, messages.message_id AS message_id, text, messages.sent AS sent, received,"
        " coalesce(events.transfer, offered.id) AS transfer FROM events"
        " LEFT JOIN contacts ON contacts.id = events.contact LEFT JOIN messages ON messages.position = events.message"
        " LEFT JOIN transfers AS offered ON offered.contact = messages.contact AND offered.is_outgoing = 0"
        " AND offered.message_id = messages.message_id ORDER BY events.id LIMIT 1"
    )
    if row is None:
        return None
    if row["transfer"] is not None:
        transfer = transfer_by_id(store, row["transfer"]).public()
        if row["kind"] == MESSAGE:
            return row["id"], FileOffered(transfer, Millis(row["sent"]), Millis(row["received"]))
        return row["id"], TransferChanged(transfer=transfer, time=Millis(row["time"]), **json.loads(row["data"]))
    if row["kind"] == MESSAGE:
        message = Message(
            id=MessageId(row["message_id"]),
            sender=row["name"],
            text=row["text"],
            time=Millis(row["sent"]),
            received=Millis(row["received"]),
        )
        return row["id"], message
    name = row["address"].hex()[:REQUEST_ID_LENGTH] if row["state"] == "request" else row["name"]
    notice = Notice(cast("NoticeKind", row["kind"]), name, Millis(row["time"]), json.loads(row["data"]))
    return row["id"], notice


def mark_shown(store: Store, event_id: int) -> None:
    """Note that an event was shown; its message stays in the history."""
    store.execute("DELETE FROM events WHERE id = ?", event_id)
