"""Taking in one envelope: one transaction from the seal to the history, and only then an acknowledgement.

What can't be read changes nothing but the cursor, so that it can't block the queue; what it means is noted.

Source: spec/delivery.md, "Inbox"; spec/ratchet.md, "Sessions".
"""

from dataclasses import dataclass
from typing import Final

from halonyx.client import outbox, prekeys, repair, transfer_talk
from halonyx.client.account import Account, now_ms
from halonyx.client.directory import accept_record, note_named
from halonyx.client.events import add_notice
from halonyx.client.failures import Failed, TooManyStrangers, note_failure, note_too_many_strangers
from halonyx.client.order import Text, is_from_before, is_known, pass_over, place
from halonyx.client.people import (
    ContactRow,
    DeviceRow,
    contact_by_address,
    contact_by_id,
    device_row,
    save_sessions,
)
from halonyx.client.store import Store
from halonyx.core import handshake, ratchet, session
from halonyx.core.content import Content, Extension, Kind, Resend, counter_of, is_counted, parse_ids, parse_text
from halonyx.core.envelope import Envelope, Payload, open_envelope
from halonyx.core.errors import (
    Malformed,
    RemoteError,
    Replay,
    StaleDirectory,
    UnknownSession,
    UnsupportedVersion,
    UntrustedIdentity,
)
from halonyx.core.file_names import safe_name
from halonyx.core.file_offer import FileOffer, FileState
from halonyx.core.handshake import Peer
from halonyx.core.identity import AccountRecord, check_record
from halonyx.core.prekeys import PrekeyUse
from halonyx.core.primitives import KeyPair, sha256
from halonyx.core.session import SessionMessage, Sessions
from halonyx.core.types import DAY, DeviceId, Millis
from halonyx.wire.frames import Deliver

SEEN_KEPT: Final = 76 * DAY  # by then the private envelope key that could open it is deleted
REPLAYS_KEPT: Final = 75 * DAY  # as long as a last-resort key can be in use
GAPS_KEPT: Final = 14 * DAY  # as long as the sender keeps what to send again
MAX_COUNTER: Final = 2**52  # every program and store holds it exactly, and counting on from it
LATEST: Final = 253_402_300_799_999  # the end of the year 9999: RFC 3339 has four digits for it
DRAIN_SUSPECTED: Final = 20
MAX_STRANGERS: Final = 100


@dataclass(frozen=True, slots=True)
class _Incoming:
    contact: ContactRow
    peer: Peer
    row: DeviceRow
    message: SessionMessage


def take_in(store: Store, account: Account, deliver: Deliver) -> str | None:
    """Store what an envelope holds, or refuse it; either way it may be acknowledged when this returns.

    Returns:
        None, or the code it was refused with.

    Raises:
        StoreError: Nothing was stored: it must not be acknowledged.
    """
    now = now_ms()
    try:
        with store.transaction():
            if _is_new(store, deliver, now):
                _take(store, account, deliver.envelope, now)
    except Failed as failed:
        with store.transaction():
            _is_new(store, deliver, now)
            note_failure(store, failed, now)
        return failed.error.code
    except RemoteError as error:
        # What nobody is known to have sent leaves no mark: anyone can send any amount of it.
        with store.transaction():
            _move_cursor(store, deliver)
            if isinstance(error, TooManyStrangers):
                note_too_many_strangers(store, now)
        return error.code
    return None


def forget_old(store: Store, now: Millis) -> None:
    """Delete marks that no envelope can need any more, and private keys long expired."""
    with store.transaction():
        store.execute("DELETE FROM seen WHERE time <= ?", now - SEEN_KEPT)
        store.execute("DELETE FROM replays WHERE seen <= ?", now - REPLAYS_KEPT)
        store.execute("DELETE FROM gaps WHERE is_shown = 1 AND noticed <= ?", now - GAPS_KEPT)
        store.execute("DELETE FROM resets WHERE time <= ?", now - DAY)
        prekeys.delete_expired(store, now)


def _move_cursor(store: Store, deliver: Deliver) -> None:
    store.execute("UPDATE mailbox SET cursor = max(cursor, ?)", deliver.seq)


def _is_new(store: Store, deliver: Deliver, now: Millis) -> bool:
    """Move the cursor, and tell whether this envelope was not taken in before.

    By its bytes, not by the relay's id: a relay that repeats old envelopes under new ids must not make sessions look
    broken.
    """
    _move_cursor(store, deliver)
    return store.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", sha256(deliver.envelope), now) == 1


def _take(store: Store, account: Account, envelope: bytes, now: Millis) -> None:
    payload = _open(store, account, envelope)
    incoming = _identify(store, payload, now)
    if incoming is None:
        return
    try:
        sessions, plaintext, accepted = _decrypt(store, account, incoming, now)
        content = _read(plaintext)
        if accepted is not None:
            sessions = _adopt(store, account, incoming, (accepted, content), now)
            repair.ask_on_new_session(store, incoming.row, now)
        save_sessions(store, incoming.row, sessions)
        if isinstance(content, Content):
            _apply(store, account, incoming, content, now)
        else:
            _pass_over(store, incoming, content, now)
    except RemoteError as error:
        sender, named = (incoming.row.contact, incoming.row.device), incoming.message.message.session_id
        is_known = session.find(incoming.row.sessions, named, now) is not None
        raise Failed(error, sender, named, is_session_known=is_known) from None


def _read(plaintext: bytes) -> Content | int:
    """Parse a content; of one whose kind or extension is of a newer program, only its counter."""
    try:
        return Content.parse(plaintext)
    except UnsupportedVersion:
        return counter_of(plaintext)


def _pass_over(store: Store, incoming: _Incoming, counter: int, now: Millis) -> None:
    """Say that a message can't be shown; it is authentic, so its session and its counter go on."""
    if incoming.contact.state != "accepted":
        raise UnsupportedVersion("a stranger's program is newer: nothing of it is kept")
    if counter > MAX_COUNTER:
        raise Malformed("a counter out of range")
    add_notice(store, "unsupported", incoming.contact.id, now)
    if counter:
        pass_over(store, incoming.contact.id, incoming.peer.device.id, counter, now)


def _open(store: Store, account: Account, data: bytes) -> Payload:
    envelope = Envelope.parse(data)
    keys = prekeys.envelope_keys(store, envelope.prekey)
    return open_envelope(envelope, keys, (account.address, account.own.fingerprint))


def _identify(store: Store, payload: Payload, now: Millis) -> _Incoming | None:
    """Find who it says it is from; None for someone blocked. Nothing is proven yet.

    A stranger's row is made here and vanishes with the transaction if the message does not decrypt.
    """
    contact = contact_by_address(store, payload.sender)
    if contact is not None and contact.state == "blocked":
        return None
    message = _parse(payload, contact)
    record = AccountRecord.parse(payload.record) if payload.record else None
    if record is not None and record.address != payload.sender:
        raise UntrustedIdentity("the record in the envelope is another account's")
    if contact is None:
        if record is None or message.handshake is None:
            raise UnknownSession("a message from someone we do not know, without a record and a handshake")
        contact = _add_stranger(store, record, now)
    elif record is not None and (contact.record is None or record.version > contact.record.version):
        accept_record(store, contact, record, now)
        contact = contact_by_id(store, contact.id)
    elif record is not None and contact.record is not None and record.version == contact.record.version:
        _check_same(contact, record, payload)
    peer = contact.peer(payload.device)
    if peer is None:
        raise UntrustedIdentity("the sending device is not in the newest record")
    return _Incoming(contact, peer, device_row(store, contact.id, payload.device), message)


def _check_same(contact: ContactRow, record: AccountRecord, payload: Payload) -> None:
    """Refuse a second record of one version: only the account's keys can sign it, so its owner is not to be trusted."""
    try:
        check_record(record, contact.usid, contact.record)
    except StaleDirectory as error:
        raise Failed(error, (contact.id, payload.device), evidence=record.encoded) from None


def _parse(payload: Payload, contact: ContactRow | None) -> SessionMessage:
    try:
        return SessionMessage.parse(payload.message)
    except UnsupportedVersion as error:
        if contact is None:
            raise  # said of strangers, it would let anyone fill the screen
        raise Failed(error, (contact.id, payload.device)) from None


def _add_stranger(store: Store, record: AccountRecord, now: Millis) -> ContactRow:
    if store.value("SELECT count(*) FROM contacts WHERE state = 'request'") >= MAX_STRANGERS:
        raise TooManyStrangers("too many strangers wait for a decision")
    contact_id = store.insert(
        "INSERT INTO contacts (name, usid, address, origin, state, named_version, added)"
        " VALUES (?, ?, ?, ?, 'request', ?, ?)",
        f"request {record.address.hex()}",  # longer than a person's name may be, so it is always free
        record.usid,
        record.address,
        record.origins[0],
        record.version,
        now,
    )
    contact = contact_by_id(store, contact_id)
    accept_record(store, contact, record, now)
    return contact_by_id(store, contact_id)


def _decrypt(
    store: Store, account: Account, incoming: _Incoming, now: Millis
) -> tuple[Sessions, bytes, ratchet.Ratchet | None]:
    """Open the message on its session, or accept the handshake before it; returns the ratchet that is new."""
    message, sessions = incoming.message.message, incoming.row.sessions
    known = session.find(sessions, message.session_id, now)
    if known is not None:
        # A fresh pair costs as much as all the rest of a message that starts no chain.
        is_start = ratchet.starts_receiving_chain(known.ratchet, message)
        fresh = KeyPair.generate() if is_start else known.ratchet.ours
        after, plaintext = session.receive(sessions, message, fresh, now)
        return after, plaintext, None
    hello = incoming.message.handshake
    if hello is None:
        raise UnknownSession("no session of this id")
    if not hello.is_one_time and store.one("SELECT 1 FROM replays WHERE key = ?", hello.replay_key()) is not None:
        raise Replay("this handshake was accepted before")
    privates = prekeys.handshake_privates(store, hello)
    begun = handshake.accept(account.own, incoming.peer, hello, privates)
    accepted, plaintext = ratchet.decrypt(begun, message, KeyPair.generate(), now)
    return sessions, plaintext, accepted


def _adopt(
    store: Store,
    account: Account,
    incoming: _Incoming,
    new: tuple[ratchet.Ratchet, Content | int],
    now: Millis,
) -> Sessions:
    """Take in the session they began, and spend the prekeys it was begun with."""
    accepted, content = new
    hello = incoming.message.handshake
    if hello is not None:
        prekeys.delete_used(store, hello)
        if not hello.is_one_time:
            store.execute("INSERT INTO replays VALUES (?, ?)", hello.replay_key(), now)
        if incoming.contact.state == "accepted":
            _note_drained(store, incoming.contact.id, hello, now)
    resets = None
    if isinstance(content, Content) and content.kind is Kind.RESEND:
        resets = Resend.parse(content.body).resets
    fingerprints = (account.own.fingerprint, incoming.peer.fingerprint)
    return session.adopt(incoming.row.sessions, accepted, fingerprints, resets, now)


def _note_drained(store: Store, contact: int, hello: handshake.Handshake, now: Millis) -> None:
    """Say so when a handshake came without one-time keys although we left plenty."""
    for use, is_missing in (
        (PrekeyUse.ONE_TIME, hello.one_time is None),
        (PrekeyUse.ONE_TIME_KEM, hello.uses_last_resort),
    ):
        left = store.value("SELECT count(*) FROM prekeys WHERE use = ? AND state = ?", use, prekeys.AT_RELAY)
        if is_missing and left > DRAIN_SUSPECTED:
            add_notice(store, "drained", contact, now)
            return


def _apply(store: Store, account: Account, incoming: _Incoming, content: Content, now: Millis) -> None:
    contact, device = contact_by_id(store, incoming.contact.id), incoming.peer.device.id
    if content.conversation != contact.conversation_with(account.address):
        raise UnsupportedVersion("a conversation of a kind this program does not know")
    if (content.counter == 0) == is_counted(content.kind):
        raise Malformed("texts and offers have a counter, and nothing else has")
    if content.counter > MAX_COUNTER or content.sent > LATEST:
        raise Malformed("a counter or a time out of range")
    if contact.state == "accepted":  # nothing a stranger says is shown, and nothing is done about it
        note_named(store, contact, content.sender_record, now)
        _check_own_record(store, account, contact, content, now)
    their_key = content.extensions.get(Extension.PROFILE_KEY)
    if their_key is not None:
        store.execute("UPDATE contacts SET profile_key = ? WHERE id = ?", their_key, contact.id)
    store.execute(
        "UPDATE devices SET broken_session = NULL WHERE contact = ? AND device = ? AND broken_session = ?",
        contact.id,
        device,
        incoming.message.message.session_id,
    )
    _apply_kind(store, contact, device, content, now)


def _apply_kind(store: Store, contact: ContactRow, device: DeviceId, content: Content, now: Millis) -> None:
    match content.kind:
        case Kind.TEXT | Kind.FILE:
            _apply_text(store, contact, device, content, now)
        case Kind.RECEIPT:
            outbox.mark_delivered(store, contact.id, device, parse_ids(content.body), now)
        case Kind.RESEND:
            _apply_resend(store, contact, device, Resend.parse(content.body), now)
        case Kind.FILE_STATE if contact.state == "accepted":
            transfer_talk.take_state(store, contact.id, FileState.parse(content.body), now)
        case _:
            pass  # CONTROL: its extension was all


def _apply_text(store: Store, contact: ContactRow, device: DeviceId, content: Content, now: Millis) -> None:
    """Take in a text, or an offer of files, which stands in the history under its name."""
    is_offer = content.kind is Kind.FILE
    text = Text(
        contact=contact.id,
        device=device,
        counter=content.counter,
        message_id=content.message_id,
        text=safe_name(FileOffer.parse(content.body).name) if is_offer else parse_text(content.body),
        sent=content.sent,
        received=now,
        offer=content.body if is_offer else None,
    )
    is_old = is_from_before(store, text)
    if is_old and not is_known(store, text):
        return  # dropped as when they were blocked, however often it comes
    if contact.state != "accepted" and not _take_request(store, contact, now):
        return
    store.execute(
        "INSERT OR IGNORE INTO receipts_due (contact, device, message_id) VALUES (?, ?, ?)",
        contact.id,
        device,
        content.message_id,
    )
    if not is_old:
        place(store, text)


def _take_request(store: Store, contact: ContactRow, now: Millis) -> bool:
    """Tell whether a stranger's text is kept: as many as an honest program sends unanswered.

    What is dropped here has no receipt, so it comes again once they are accepted.
    """
    if contact.state == "removed":
        store.execute("UPDATE contacts SET state = 'request' WHERE id = ?", contact.id)
    waiting = store.value("SELECT count(*) FROM receipts_due WHERE contact = ?", contact.id)
    if not waiting:
        add_notice(store, "request", contact.id, now)
    return bool(waiting < outbox.MAX_REQUESTS)


def _apply_resend(store: Store, contact: ContactRow, device: DeviceId, asked: Resend, now: Millis) -> None:
    if contact.state != "accepted":
        return
    outbox.repeat(store, (contact.id, device), ("sealed", "accepted"), asked.counters)
    if asked.resets is not None:
        add_notice(store, "refreshed", contact.id, now)


def _check_own_record(store: Store, account: Account, contact: ContactRow, content: Content, now: Millis) -> None:
    """Compare what they were served as our record with what we published; older is mail in flight."""
    named, own = content.recipient_record, account.record
    if named.version > own.version or (named.version == own.version and named.hash != own.hash):
        named_before = store.value("SELECT own_version_named FROM contacts WHERE id = ?", contact.id)
        if named.version != named_before:  # once, not with every message
            store.execute("UPDATE contacts SET own_version_named = ? WHERE id = ?", named.version, contact.id)
            add_notice(store, "own-record", contact.id, now, version=named.version)
