"""The durable outbox: what was written is here until their device confirms it, or for fourteen days.

A row is sealed for each device of the record in one transaction with the session that sealed it (sealing.py), and only
then sent; the same bytes are sent again until the relay has them on disk.

Source: spec/delivery.md, "Outbox".
"""

import json
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, cast

from halonyx.client.account import now_ms
from halonyx.client.directory import NAMED_PAUSE
from halonyx.client.events import add_notice
from halonyx.client.model import MessageState, Sent
from halonyx.client.order import TO_ASK, counters_to_ask
from halonyx.client.people import ContactRow, check_accepted, contact_by_id
from halonyx.client.store import Store
from halonyx.client.transfer_rows import give_up
from halonyx.core.content import (
    MAX_IDS,
    MAX_TEXT_SIZE,
    Kind,
    Resend,
    encode_ids,
    is_counted,
)
from halonyx.core.errors import Misuse
from halonyx.core.types import DAY, MESSAGE_ID_SIZE, DeviceId, EnvelopeId, MessageId, Millis

KEPT: Final = 14 * DAY
MAX_RESENDS: Final = 5  # one message, one device: a peer must not make us repeat it for ever
MAX_REQUESTS: Final = 5  # unanswered messages to someone who has not answered yet


@dataclass(frozen=True, slots=True)
class Sealed:
    """An envelope that waits for the relay."""

    id: int
    device: DeviceId
    envelope_id: EnvelopeId
    envelope: bytes = field(repr=False)


def add_text(store: Store, contact: ContactRow, text: str) -> MessageId:
    """Put a text into history and outbox, in one transaction.

    Raises:
        Misuse: Empty, more than 16,384 bytes of UTF-8, or the contact may not be written to.
    """
    try:
        body = text.encode("utf-8")
    except UnicodeEncodeError:
        raise Misuse("the text has half a character in it (a lone surrogate)") from None
    if not 1 <= len(body) <= MAX_TEXT_SIZE:
        raise Misuse(f"a message has 1 to {MAX_TEXT_SIZE} bytes, this one {len(body)}: send a longer one in parts")
    message_id, now = MessageId(secrets.token_bytes(MESSAGE_ID_SIZE)), now_ms()
    with store.transaction():
        check_accepted(store, contact, "write")
        store.execute(
            "INSERT INTO messages (contact, is_outgoing, message_id, text, sent, received, state)"
            " VALUES (?, 1, ?, ?, ?, ?, 'waiting')",
            contact.id,
            message_id,
            text,
            now,
            now,
        )
        add(store, (contact.id, None), Kind.TEXT, body, message_id)
    return message_id


def add(
    store: Store, to: tuple[int, DeviceId | None], kind: Kind, body: bytes, message_id: MessageId | None = None
) -> int:
    """Append a row, inside the caller's transaction; return its position.

    Args:
        to: Contact, and the device or None for every device of their record.
    """
    return store.insert(
        "INSERT INTO outbox (contact, device, kind, message_id, body, sent) VALUES (?, ?, ?, ?, ?, ?)",
        *to,
        kind,
        message_id or secrets.token_bytes(MESSAGE_ID_SIZE),
        body,
        now_ms(),
    )


def state_of(store: Store, message_id: MessageId) -> Sent:
    """Return how far a message of ours has come (Misuse if it is none)."""
    row = store.one(
        "SELECT messages.state AS state, frozen, waits_for, profile_key FROM messages"
        " JOIN contacts ON contacts.id = contact WHERE is_outgoing = 1 AND message_id = ?",
        message_id,
    )
    if row is None:
        raise Misuse("no such message of ours")
    state = cast("MessageState", row["state"])
    if state != "waiting":
        return Sent(message_id, state)
    # Before their first answer brought a profile key, only MAX_REQUESTS messages go out.
    unanswered = "unanswered" if row["profile_key"] is None else None
    return Sent(message_id, state, row["frozen"] or row["waits_for"] or unanswered)


def contacts_with_work(store: Store, now: Millis) -> list[int]:
    """Return the contacts for whom something waits that could go out now."""
    rows = store.all(
        "SELECT id FROM contacts WHERE state = 'accepted' AND frozen IS NULL AND ("  # noqa: S608
        " EXISTS (SELECT 1 FROM outbox LEFT JOIN deliveries USING (position)"
        "  WHERE outbox.contact = contacts.id AND (is_expanded = 0 OR deliveries.state IN ('sealed', 'resend')))"
        " OR EXISTS (SELECT 1 FROM receipts_due WHERE contact = contacts.id)"
        " OR EXISTS (SELECT 1 FROM devices WHERE contact = contacts.id AND broken_session IS NOT NULL)"
        f" OR EXISTS (SELECT 1 FROM gaps WHERE contact = contacts.id AND {TO_ASK})"
        " OR (named_version > record_version AND record IS NOT NULL AND named_since + named_tries * ?2 <= ?1))"
        " ORDER BY id",
        now,
        NAMED_PAUSE,
    )
    return [row["id"] for row in rows]


def collect(store: Store, contact_id: int, now: Millis) -> None:
    """Make outbox rows of the receipts that are due and the gaps to ask for."""
    with store.transaction():
        # Read under the lock: the message a receipt is for may have brought their record in this very moment.
        contact = contact_by_id(store, contact_id)
        due: dict[DeviceId, list[MessageId]] = {}
        for row in store.all("SELECT device, message_id FROM receipts_due WHERE contact = ? ORDER BY id", contact.id):
            due.setdefault(DeviceId(row["device"]), []).append(MessageId(row["message_id"]))
        for device, ids in due.items():
            if contact.peer(device) is not None:
                for at in range(0, len(ids), MAX_IDS):
                    add(store, (contact.id, device), Kind.RECEIPT, encode_ids(tuple(ids[at : at + MAX_IDS])))
        store.execute("DELETE FROM receipts_due WHERE contact = ?", contact.id)
        for device, counters in counters_to_ask(store, contact.id, now).items():
            if contact.peer(device) is not None:
                add(store, (contact.id, device), Kind.RESEND, Resend(None, counters).encode())


def sealed_rows(store: Store, contact: ContactRow, full: Collection[DeviceId], limit: int) -> list[Sealed]:
    """Return the envelopes to send next, in the order they were sealed.

    Before their first answer brought a profile key, only the first MAX_REQUESTS texts without a receipt.

    Args:
        full: Devices whose mailbox takes nothing now.
    """
    sealed = (
        "SELECT deliveries.id, deliveries.device, envelope_id, envelope FROM deliveries JOIN outbox USING (position)"
        " WHERE contact = ? AND deliveries.state = 'sealed'"
        " AND deliveries.device NOT IN (SELECT value FROM json_each(?))"
    )
    of_contact = (contact.id, json.dumps(list(full)))
    in_order = " ORDER BY deliveries.id LIMIT ?"
    first = (
        " AND (counter = 0 OR position IN (SELECT DISTINCT position FROM deliveries JOIN outbox USING (position)"
        " WHERE contact = ? AND counter > 0 AND deliveries.state IN ('sealed', 'accepted') ORDER BY position LIMIT ?))"
    )
    if contact.profile_key is None:
        rows = store.all(sealed + first + in_order, *of_contact, contact.id, MAX_REQUESTS, limit)
    else:
        rows = store.all(sealed + in_order, *of_contact, limit)
    return [Sealed(row["id"], DeviceId(row["device"]), EnvelopeId(row["envelope_id"]), row["envelope"]) for row in rows]


def mark_accepted(store: Store, delivery: Sealed) -> None:
    """The relay has it on disk. What needs no receipt is done with."""
    with store.transaction():
        row = store.one(
            "SELECT position, kind, message_id, contact FROM deliveries JOIN outbox USING (position)"
            " WHERE deliveries.id = ?",
            delivery.id,
        )
        if row is None:
            return  # the receipt was faster
        if not is_counted(Kind(row["kind"])):
            store.execute("UPDATE deliveries SET state = 'delivered', envelope = NULL WHERE id = ?", delivery.id)
            finish(store, row["position"])
            return
        store.execute(
            "UPDATE deliveries SET state = 'accepted', envelope = NULL WHERE id = ? AND state = 'sealed'", delivery.id
        )
        store.execute(
            "UPDATE messages SET state = 'accepted' WHERE contact = ? AND is_outgoing = 1 AND message_id = ?"
            " AND state = 'waiting'",
            row["contact"],
            row["message_id"],
        )


def reason(store: Store, contact: int) -> str | None:
    """Return why what is written to a contact did not go out at the last try, or None."""
    return cast("str | None", store.value("SELECT waits_for FROM contacts WHERE id = ?", contact))


def note_reason(store: Store, contact: int, code: str | None) -> None:
    """Note why what is written to a contact still waits; None when it does not."""
    if reason(store, contact) != code:
        with store.transaction():
            store.execute("UPDATE contacts SET waits_for = ? WHERE id = ?", code, contact)


def mark_delivered(store: Store, contact: int, device: DeviceId, ids: tuple[MessageId, ...], now: Millis) -> None:
    """Take in a receipt, inside the caller's transaction: the plaintext kept for resending goes."""
    for message_id in ids:
        row = store.one(
            "SELECT deliveries.id, position, has_profile_key FROM deliveries JOIN outbox USING (position)"
            " WHERE contact = ? AND message_id = ? AND deliveries.device = ?",
            contact,
            message_id,
            device,
        )
        if row is not None:
            store.execute("UPDATE deliveries SET state = 'delivered', envelope = NULL WHERE id = ?", row["id"])
            if row["has_profile_key"]:
                store.execute("UPDATE contacts SET has_our_profile_key = 1 WHERE id = ?", contact)
            finish(store, row["position"])
        changed = store.execute(
            "UPDATE messages SET state = 'delivered' WHERE contact = ? AND is_outgoing = 1 AND message_id = ?"
            " AND state != 'delivered'",
            contact,
            message_id,
        )
        if changed:
            add_notice(store, "delivered", contact, now, id=message_id.hex())


def finish(store: Store, position: int) -> None:
    """Delete a row, inside the caller's transaction, and with it the plaintext, once every device has it."""
    store.execute(
        "DELETE FROM outbox WHERE position = ? AND is_expanded = 1"
        " AND NOT EXISTS (SELECT 1 FROM deliveries WHERE position = outbox.position AND state != 'delivered')",
        position,
    )


def repeat(
    store: Store, to: tuple[int, DeviceId], states: Collection[str], asked: Collection[int] | None = None
) -> None:
    """Queue again messages that a device has not confirmed, inside the caller's transaction.

    Args:
        states: Of the deliveries that are meant: `sealed`, `accepted`.
        asked: Counters that the device asked for, empty for all; this alone counts against MAX_RESENDS. None: all,
            by ourselves.
    """
    rows = store.all(
        "SELECT deliveries.id, counter, resends FROM deliveries JOIN outbox USING (position) WHERE contact = ?"
        " AND deliveries.device = ? AND counter > 0 AND deliveries.state IN (SELECT value FROM json_each(?))",
        *to,
        json.dumps(list(states)),
    )
    for row in rows:
        if asked is None or (row["resends"] < MAX_RESENDS and (not asked or row["counter"] in asked)):
            store.execute(
                "UPDATE deliveries SET state = 'resend', envelope = NULL, resends = resends + ? WHERE id = ?",
                asked is not None,
                row["id"],
            )


def expire(store: Store, now: Millis) -> None:
    """Give up on what nobody confirmed in fourteen days: its text stays in the history, marked.

    Whether a relay accepted it makes no difference to the person: their device may not have it, and a relay can lie.
    """
    old = now - KEPT
    if store.one("SELECT 1 FROM outbox WHERE sent <= ? LIMIT 1", old) is None:
        return
    with store.transaction():
        lost = store.all(
            "SELECT messages.contact, messages.message_id FROM outbox JOIN messages USING (message_id)"
            " WHERE outbox.sent <= ? AND is_outgoing = 1 AND state IN ('waiting', 'accepted')",
            old,
        )
        for row in lost:
            store.execute(
                "UPDATE messages SET state = 'failed' WHERE is_outgoing = 1 AND message_id = ?", row["message_id"]
            )
            add_notice(store, "failed", row["contact"], now, id=bytes(row["message_id"]).hex())
            give_up(store, row["contact"], row["message_id"])
        store.execute("DELETE FROM outbox WHERE sent <= ?", old)
