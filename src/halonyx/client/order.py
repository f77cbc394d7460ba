"""Putting one device's messages in the order it sent them, and noticing what is missing.

The relay delivers in order, so a hole in the counters means that it lost or held back a message. Later ones wait ten
seconds, then a gap is shown and the missing ones are asked for.

Source: spec/delivery.md, "Order and gaps".
"""

from dataclasses import dataclass, field
from typing import Final

from halonyx.client import transfer_rows
from halonyx.client.events import add_message_event, add_notice
from halonyx.client.store import Row, Store
from halonyx.core.types import HOUR, SECOND, DeviceId, MessageId, Millis

HOLD: Final = 10 * SECOND
MAX_TRACKED: Final = 128  # a forged counter must not make 2^64 rows
MAX_GAPS: Final = 2 * MAX_TRACKED  # of one device; nor may many of them make any number
ASK_AGAIN: Final = HOUR
NOT_BEGUN: Final = 0  # of a device whose first counter is still to be seen; real ones begin with 1
NEVER: Final = Millis(2**62)
# Noticed longer ago than that, or after now: then the clock was put back since, and what is held would wait for it.
_OVERDUE: Final = "is_shown = 0 AND noticed NOT BETWEEN ?1 - ?2 + 1 AND ?1 + ?2"
TO_ASK: Final = f"is_shown = 1 AND asked != {NEVER} AND asked NOT BETWEEN ?1 - {ASK_AGAIN} + 1 AND ?1"
"""Which gaps are due at ?1: never asked for, an hour ago, or after now."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text message of theirs that was decrypted, or an offer of files.

    Attributes:
        text: Of an offer, its name.
        offer: Body of a FILE message; None of a text.
    """

    contact: int
    device: DeviceId
    counter: int
    message_id: MessageId
    text: str = field(repr=False)
    sent: Millis
    received: Millis
    offer: bytes | None = field(default=None, repr=False)


def place(store: Store, text: Text) -> None:
    """Store a text in its place, or hold it until its place is known; inside the caller's transaction.

    One that is here already, from a backup or an earlier resend, only counts.
    """
    where = (text.contact, text.device)
    if not _expect(store, *where, text.counter, text.received):
        _insert(store, text)
        return
    store.execute(
        "INSERT OR IGNORE INTO held VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        *where,
        text.counter,
        text.message_id,
        text.text,
        text.sent,
        text.received,
        text.offer,
    )
    _release(store, *where)


def begin_anew(store: Store, contact: int, now: Millis) -> None:
    """Begin to listen to someone who was blocked, inside the caller's transaction.

    Nothing that they wrote before is missing: each device's counters begin with its first text written since. What was
    received before the block and waited for an earlier one is shown.
    """
    store.execute("UPDATE contacts SET unblocked = ? WHERE id = ?", now, contact)
    for row in store.all("SELECT * FROM held WHERE contact = ? ORDER BY device, counter", contact):
        _insert(store, _text(row))
    store.execute("DELETE FROM held WHERE contact = ?", contact)
    store.execute("DELETE FROM gaps WHERE contact = ?", contact)
    store.execute("UPDATE devices SET next_counter = ? WHERE contact = ?", NOT_BEGUN, contact)


def is_from_before(store: Store, text: Text) -> bool:
    """Tell whether a text was written before its sender was unblocked.

    Their clock tells until the first text written since; from then on its counter does, too, so that a clock put back
    loses nothing.
    """
    found = store.one(
        "SELECT 1 FROM devices JOIN contacts ON contacts.id = contact WHERE contact = ?1 AND device = ?2"
        " AND ?3 < unblocked AND (next_counter = ?4 OR ?5 < next_counter)",
        text.contact,
        text.device,
        text.sent,
        NOT_BEGUN,
        text.counter,
    )
    return found is not None


def is_known(store: Store, text: Text) -> bool:
    """Tell whether the history has a text, from its first copy or from a backup."""
    known = "SELECT 1 FROM messages WHERE contact = ? AND is_outgoing = 0 AND message_id = ?"
    return store.one(known, text.contact, text.message_id) is not None


def pass_over(store: Store, contact: int, device: DeviceId, counter: int, now: Millis) -> None:
    """Count a message that this program can't show, so that it is not asked for; in the caller's transaction.

    When it was written is not known: of someone unblocked it may be from before, and then nothing begins with it.
    """
    if _next_counter(store, contact, device) == NOT_BEGUN:
        return
    if _expect(store, contact, device, counter, now):
        store.execute("INSERT INTO gaps VALUES (?, ?, ?, ?, 1, ?)", contact, device, counter, now, NEVER)
        _release(store, contact, device)


def holds_anything(store: Store) -> bool:
    """Tell whether a message waits for an earlier one."""
    return store.one("SELECT 1 FROM held LIMIT 1") is not None


def show_overdue(store: Store, now: Millis) -> None:
    """Show gaps that are ten seconds old, and what waited behind them."""
    if store.one(f"SELECT 1 FROM gaps WHERE {_OVERDUE} LIMIT 1", now, HOLD) is None:  # noqa: S608
        return
    with store.transaction():
        groups = store.all(
            f"SELECT contact, device, count(*) AS missing FROM gaps WHERE {_OVERDUE} GROUP BY contact, device",  # noqa: S608
            now,
            HOLD,
        )
        for group in groups:
            _tell_missing(store, group["contact"], group["missing"], now)
        store.execute(f"UPDATE gaps SET is_shown = 1 WHERE {_OVERDUE}", now, HOLD)  # noqa: S608
        for group in groups:
            _release(store, group["contact"], DeviceId(group["device"]))


def show_held(store: Store, contact: int, device: DeviceId, now: Millis) -> None:
    """Show what a device that is gone had sent behind a gap, and say that the rest is missing; in a transaction."""
    where = "contact = ? AND device = ?"
    missing = store.value(f"SELECT count(*) FROM gaps WHERE {where} AND is_shown = 0", contact, device)  # noqa: S608
    _tell_missing(store, contact, missing, now)
    for row in store.all(f"SELECT * FROM held WHERE {where} ORDER BY counter", contact, device):  # noqa: S608
        _insert(store, _text(row))
    store.execute(f"DELETE FROM held WHERE {where}", contact, device)  # noqa: S608
    store.execute(f"DELETE FROM gaps WHERE {where}", contact, device)  # noqa: S608


def counters_to_ask(store: Store, contact: int, now: Millis) -> dict[DeviceId, tuple[int, ...]]:
    """Return the missing counters that are due to be asked for, by device, and note that they were."""
    asked: dict[DeviceId, tuple[int, ...]] = {}
    due = store.all(
        f"SELECT device, counter FROM gaps WHERE {TO_ASK} AND contact = ?2 ORDER BY device, counter",  # noqa: S608
        now,
        contact,
    )
    for row in due:
        device = DeviceId(row["device"])
        if len(asked.get(device, ())) < MAX_TRACKED:  # the others in the next request
            asked[device] = (*asked.get(device, ()), row["counter"])
            store.execute(
                "UPDATE gaps SET asked = ? WHERE contact = ? AND device = ? AND counter = ?",
                now,
                contact,
                device,
                row["counter"],
            )
    return asked


def _expect(store: Store, contact: int, device: DeviceId, counter: int, now: Millis) -> bool:
    """Note what is missing before a counter; False if its place has been passed already."""
    where = (contact, device)
    expected = _next_counter(store, *where)
    if expected == NOT_BEGUN:
        store.execute("UPDATE devices SET next_counter = ? WHERE contact = ? AND device = ?", counter, *where)
        return True
    store.execute("DELETE FROM gaps WHERE contact = ? AND device = ? AND counter = ?", *where, counter)
    if counter < expected:
        return False
    first = max(expected, counter - MAX_TRACKED)
    if first > expected:
        _jump(store, where, expected, first, now)
    for missing in range(first, counter):
        store.execute(
            "INSERT OR IGNORE INTO gaps (contact, device, counter, noticed) SELECT ?, ?, ?, ?"
            " WHERE NOT EXISTS (SELECT 1 FROM held WHERE contact = ? AND device = ? AND counter = ?)",
            *where,
            missing,
            now,
            *where,
            missing,
        )
    _forget_oldest(store, *where)
    return True


def _forget_oldest(store: Store, contact: int, device: DeviceId) -> None:
    """Stop asking for the oldest of too many; that they are missing was told, as only the newest wait to be."""
    store.execute(
        "DELETE FROM gaps WHERE contact = ?1 AND device = ?2 AND counter <="
        " (SELECT counter FROM gaps WHERE contact = ?1 AND device = ?2 ORDER BY counter DESC LIMIT 1 OFFSET ?3)",
        contact,
        device,
        MAX_GAPS,
    )


def _next_counter(store: Store, contact: int, device: DeviceId) -> int:
    return int(store.value("SELECT next_counter FROM devices WHERE contact = ? AND device = ?", contact, device))


def _tell_missing(store: Store, contact: int, missing: int, now: Millis) -> None:
    """Add a notice, unless it is a stranger's: nothing of theirs is shown."""
    if missing and _is_accepted(store, contact):
        add_notice(store, "gap", contact, now, missing=missing)


def _is_accepted(store: Store, contact: int) -> bool:
    return bool(store.value("SELECT state = 'accepted' FROM contacts WHERE id = ?", contact))


def _jump(store: Store, device: tuple[int, DeviceId], expected: int, first: int, now: Millis) -> None:
    """Give up waiting for what lies further back than is tracked; what was held there is shown."""
    here = "contact = ? AND device = ? AND counter < ?"
    where = (*device, first)
    held = store.all(f"SELECT * FROM held WHERE {here} ORDER BY counter", *where)  # noqa: S608
    passed = store.value(f"SELECT count(*) FROM gaps WHERE {here} AND asked = ?", *where, NEVER)  # noqa: S608
    store.execute(f"UPDATE gaps SET is_shown = 1 WHERE {here}", *where)  # noqa: S608
    store.execute(f"DELETE FROM held WHERE {here}", *where)  # noqa: S608
    store.execute("UPDATE devices SET next_counter = ? WHERE contact = ? AND device = ?", first, *device)
    _tell_missing(store, device[0], first - expected - len(held) - passed, now)
    for row in held:
        _insert(store, _text(row))


def _text(row: Row) -> Text:
    return Text(
        contact=row["contact"],
        device=DeviceId(row["device"]),
        counter=row["counter"],
        message_id=MessageId(row["message_id"]),
        text=row["text"],
        sent=Millis(row["sent"]),
        received=Millis(row["received"]),
        offer=row["offer"],
    )


def _release(store: Store, contact: int, device: DeviceId) -> None:
    """Move held messages into the history as far as nothing unseen lies before them."""
    where = (contact, device)
    counter = _next_counter(store, *where)
    while True:
        row = store.one("SELECT * FROM held WHERE contact = ? AND device = ? AND counter = ?", *where, counter)
        if row is not None:
            store.execute("DELETE FROM held WHERE contact = ? AND device = ? AND counter = ?", *where, counter)
            _insert(store, _text(row))
        elif not store.value(
            "SELECT is_shown FROM gaps WHERE contact = ? AND device = ? AND counter = ?", *where, counter
        ):
            break
        counter += 1
    store.execute("UPDATE devices SET next_counter = ? WHERE contact = ? AND device = ?", counter, *where)
    # What can't be shown was noted only until its place was passed.
    gone = "DELETE FROM gaps WHERE contact = ? AND device = ? AND counter < ? AND asked = ?"
    store.execute(gone, *where, counter, NEVER)


def _insert(store: Store, text: Text) -> None:
    if is_known(store, text) or (text.offer is not None and transfer_rows.is_taken(store, text.message_id)):
        return
    position = store.insert(
        "INSERT INTO messages (contact, is_outgoing, message_id, device, counter, text, sent, received, state)"
        " VALUES (?, 0, ?, ?, ?, ?, ?, ?, 'received')",
        text.contact,
        text.message_id,
        text.device,
        text.counter,
        text.text,
        text.sent,
        text.received,
    )
    if text.offer is not None:
        transfer_rows.add_incoming(store, text.contact, text.message_id, text.offer, text.received)
    if _is_accepted(store, text.contact):
        add_message_event(store, text.contact, position, text.received)
