"""Sealing outbox rows for the devices of a contact: session, counter and envelope in one transaction.

Source: spec/delivery.md, "Outbox"; spec/envelope.md, "Content".
"""

import secrets

from halonyx.client.account import Account, load_account, now_ms
from halonyx.client.outbox import finish
from halonyx.client.people import ContactRow, DeviceRow, contact_by_id, device_row, save_sessions
from halonyx.client.store import Row, Store
from halonyx.core.content import Content, Extension, Kind, RecordName, is_counted
from halonyx.core.envelope import Payload, seal_envelope
from halonyx.core.handshake import Peer
from halonyx.core.prekeys import EnvelopePrekey
from halonyx.core.primitives import KeyPair
from halonyx.core.ratchet import SALT_SIZE
from halonyx.core.session import Initiated, Session, replace_sending, seal
from halonyx.core.types import MESSAGE_ID_SIZE, MessageId, Millis


def expand(store: Store, contact_id: int) -> bool:
    """Seal every row that is not sealed yet, in order, for each device of the record; a transaction each.

    Returns:
        False if a device has no session or no valid envelope prekey, so that rows are left.
    """
    while True:
        with store.transaction():
            # Looked for anew each time: another process may meanwhile have queued again what comes before.
            position = store.value(
                "SELECT outbox.position FROM outbox LEFT JOIN deliveries USING (position)"
                " WHERE contact = ? AND (is_expanded = 0 OR deliveries.state = 'resend') ORDER BY position LIMIT 1",
                contact_id,
            )
            if position is None:
                return True
            if not _expand_row(store, contact_by_id(store, contact_id), position):
                return False  # the next ones must not overtake it


def seal_for(store: Store, contact: ContactRow, peer: Peer, position: int) -> bool:
    """Seal one row for one device, inside the caller's transaction; False without a session or prekey for it."""
    device = device_row(store, contact.id, peer.device.id)
    session, prekey = device.sessions.sending, device.envelope_prekey
    if session is None or prekey is None or prekey.expiry <= now_ms():
        return False
    row = store.one("SELECT * FROM outbox WHERE position = ?", position)
    former = store.one("SELECT * FROM deliveries WHERE position = ? AND device = ?", position, peer.device.id)
    if row is None:
        return True
    counter = former["counter"] if former else _next_counter(store, device, Kind(row["kind"]))
    account = load_account(store)  # not before: a block in another process may have changed the profile key
    content = _content(account, contact, row, counter)
    after, message = seal(session, content.encode(), secrets.token_bytes(SALT_SIZE))
    save_sessions(store, device, replace_sending(device.sessions, after))
    envelope = _envelope(account, session, EnvelopePrekey.of(prekey), peer, message)
    store.execute("DELETE FROM deliveries WHERE position = ? AND device = ?", position, peer.device.id)
    store.execute(
        "INSERT INTO deliveries (position, device, counter, envelope_id, envelope, state, resends, has_profile_key)"
        " VALUES (?, ?, ?, ?, ?, 'sealed', ?, ?)",
        position,
        peer.device.id,
        counter,
        secrets.token_bytes(MESSAGE_ID_SIZE),
        envelope,
        former["resends"] if former else 0,
        int(Extension.PROFILE_KEY in content.extensions),
    )
    return True


def _expand_row(store: Store, contact: ContactRow, position: int) -> bool:
    row = store.one("SELECT * FROM outbox WHERE position = ?", position)
    if row is None or contact.record is None:
        return row is None
    for device in contact.record.devices:
        if row["device"] not in (None, device.id):
            continue
        state = store.value("SELECT state FROM deliveries WHERE position = ? AND device = ?", position, device.id)
        if state not in (None, "resend"):
            continue
        if not seal_for(store, contact, Peer(contact.address, device), position):
            return False
    store.execute("UPDATE outbox SET is_expanded = 1 WHERE position = ?", position)
    finish(store, position)
    return True


def _content(account: Account, contact: ContactRow, row: Row, counter: int) -> Content:
    extensions = {} if contact.has_our_profile_key else {Extension.PROFILE_KEY: account.profile_key}
    return Content(
        kind=Kind(row["kind"]),
        message_id=MessageId(row["message_id"]),
        counter=counter,
        sent=Millis(row["sent"]),
        conversation=contact.conversation_with(account.address),
        sender_record=RecordName(account.record.version, account.record.hash),
        recipient_record=contact.record_name,
        body=row["body"],
        extensions=extensions,
    )


def _envelope(account: Account, session: Session, prekey: EnvelopePrekey, peer: Peer, message: bytes) -> bytes:
    """Seal for the relay; until they answered, with our record inside and ML-KEM around it."""
    is_first = isinstance(session, Initiated)
    record = account.record.encoded if is_first else None
    payload = Payload(account.address, account.own.device.id, record, message)
    kem = prekey.mlkem768.encapsulate() if is_first else None
    return seal_envelope(prekey, (peer.address, peer.fingerprint), payload, KeyPair.generate(), kem)


def _next_counter(store: Store, device: DeviceRow, kind: Kind) -> int:
    """Count what must not go missing unseen; receipts and requests repeat by themselves."""
    if not is_counted(kind):
        return 0
    counter = device.sent_counter + 1
    store.execute(
        "UPDATE devices SET sent_counter = ? WHERE contact = ? AND device = ?", counter, device.contact, device.device
    )
    return counter
