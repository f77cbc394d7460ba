"""Records and prekeys of contacts: fetched anonymously, verified, and compared with what they name themselves.

Source: spec/identity.md, "Checking a record"; spec/handshake.md, "Prekeys".
"""

from typing import Final, TypeVar

from halonyx.client import order
from halonyx.client.events import add_notice
from halonyx.client.people import ContactRow, contact_by_id, device_row
from halonyx.client.store import Store
from halonyx.client.transport import Refused, Relay
from halonyx.core.content import RecordName
from halonyx.core.directory import Slot, open_object, record_slot
from halonyx.core.errors import BadSignature, RemoteError, StaleDirectory
from halonyx.core.handshake import Peer
from halonyx.core.identity import AccountRecord, check_record
from halonyx.core.prekeys import RENEWED_AFTER, EnvelopePrekey, Prekey, PrekeyBundle, PrekeyUse
from halonyx.core.types import DAY, SECOND, DeviceId, Millis, PrekeyId
from halonyx.wire import rest_directory
from halonyx.wire.rest import Body
from halonyx.wire.rest_directory import BundleRequest, LookupRequest, LookupResponse

CHECK_AGAIN: Final = DAY
NAMED_TRIES: Final = 3
NAMED_PAUSE: Final = 20 * SECOND  # three tries within a minute

Answer = TypeVar("Answer", bound=Body)


def needs_refresh(store: Store, contact: ContactRow, now: Millis) -> bool:
    """Tell whether their record or an envelope prekey must be fetched before writing to them."""
    # A time after now: the clock was put back since.
    if contact.record is None or not contact.record_checked <= now < contact.record_checked + CHECK_AGAIN:
        return True
    if contact.record.version < contact.named_version:
        return contact.named_since + contact.named_tries * NAMED_PAUSE <= now
    if contact.record_checked + NAMED_PAUSE <= now and any(_strays(store, contact.id, contact.record)):
        return True
    return any(not has_fresh_envelope_prekey(store, contact, device.id, now) for device in contact.record.devices)


def has_fresh_envelope_prekey(store: Store, contact: ContactRow, device: DeviceId, now: Millis) -> bool:
    """Tell whether an envelope to this device can be sealed without asking the relay."""
    row = device_row(store, contact.id, device)
    is_fresh = row.envelope_fetched <= now < row.envelope_fetched + RENEWED_AFTER
    return row.envelope_prekey is not None and is_fresh and row.envelope_prekey.expiry > now


async def refresh(store: Store, relay: Relay, contact: ContactRow, now: Millis) -> None:
    """Fetch a contact's record and envelope prekeys, and store what verifies.

    A record that does not verify or goes back freezes the contact; nothing of it is used.

    Raises:
        Refused: The relay gives nothing out for the key we have.
        TransportError: The relay can't be reached.
    """

    async def fetch(key: bytes) -> LookupResponse:
        return await relay.call("POST", "/v1/lookup", LookupRequest(address=contact.address, key=key), LookupResponse)

    try:
        answer = await fetch(contact.access)
    except Refused as error:
        contact = forget_profile_key(store, contact, error)
        answer = await fetch(contact.access)
    with store.transaction():
        contact = contact_by_id(store, contact.id)
        try:
            record = AccountRecord.parse(open_object(contact.usid, record_slot(contact.address), answer.record))
            accept_record(store, contact, record, now)
        except StaleDirectory as error:
            _note_stale(store, contact, error, answer.record, now)
            return
        except RemoteError as error:
            freeze(store, contact, error.code, answer.record, now)
            return
        contact = contact_by_id(store, contact.id)
        for entry in answer.devices:
            peer = contact.peer(DeviceId(entry.device))
            if peer is not None:
                _store_envelope_prekey(store, contact, peer, entry.envelope_prekey, now)


def accept_record(store: Store, contact: ContactRow, record: AccountRecord, now: Millis) -> None:
    """Store a record that may be newer, inside the caller's transaction; announce devices that came or went.

    Raises:
        UntrustedIdentity, StaleDirectory: As `check_record`.
    """
    named = contact.named_version if contact.record is None else 0
    check_record(record, contact.usid, contact.record, named)
    is_new = contact.record is None or record.version > contact.record.version
    tries = 0 if record.version >= contact.named_version else contact.named_tries + 1
    store.execute(
        "UPDATE contacts SET record = ?, record_version = ?, record_checked = ?, named_tries = ? WHERE id = ?",
        record.encoded,
        record.version,
        now,
        tries,
        contact.id,
    )
    if is_new:
        _compare_devices(store, contact, record, now)
    for device in _strays(store, contact.id, record):
        _forget_device(store, contact.id, device, now)
    if tries >= NAMED_TRIES:
        freeze(store, contact, StaleDirectory.code, record.encoded, now)


def note_named(store: Store, contact: ContactRow, named: RecordName, now: Millis) -> None:
    """Take in which record of their own a contact names in a message, inside the caller's transaction."""
    if contact.record is not None and named.version == contact.record.version and named.hash != contact.record.hash:
        freeze(store, contact, StaleDirectory.code, contact.record.encoded, now)
    if named.version > max(contact.named_version, contact.record.version if contact.record else 0):
        store.execute(
            "UPDATE contacts SET named_version = ?, named_tries = 0, named_since = ? WHERE id = ?",
            named.version,
            now,
            contact.id,
        )


def freeze(store: Store, contact: ContactRow, code: str, evidence: bytes, now: Millis) -> None:
    """Stop sending to a contact until the person decides, and keep what did not fit."""
    if contact.frozen is None:
        store.execute("UPDATE contacts SET frozen = ?, evidence = ? WHERE id = ?", code, evidence, contact.id)
        add_notice(store, "stale", contact.id, now, code=code)


async def fetch_bundle(relay: Relay, contact: ContactRow, peer: Peer, fetch_id: bytes, now: Millis) -> PrekeyBundle:
    """Fetch one of each prekey of a device and verify all of them.

    Args:
        fetch_id: 16 random bytes; the same in a repetition, so that a lost answer costs no second prekey.

    Raises:
        BadSignature: One of them does not verify, has expired, or stands in the wrong place.
        AuthenticationFailed, Malformed, UnsupportedVersion: What the relay served is not theirs.
        Refused: The relay gives nothing out for the key we have.
        TransportError: The relay can't be reached.
    """
    request = BundleRequest(
        address=contact.address,
        key=contact.access,
        device=peer.device.id,
        fetch_id=fetch_id,
    )
    answer = await relay.call("POST", "/v1/bundle", request, rest_directory.Bundle)

    def opened(use: PrekeyUse, stored: rest_directory.StoredPrekey) -> Prekey:
        slot = Slot(contact.address, use, peer.device.id, PrekeyId(stored.id))
        prekey = Prekey.parse(open_object(contact.usid, slot, stored.blob))
        if prekey.use is not use or prekey.id != stored.id:
            raise BadSignature("the relay served a prekey under another name")
        return prekey

    def unexpired(use: PrekeyUse, stored: rest_directory.StoredPrekey | None) -> Prekey | None:
        """An owner who was away for long could not renew one-time prekeys: that is as if there were none."""
        prekey = opened(use, stored) if stored else None
        return prekey if prekey is not None and prekey.expiry > now else None

    bundle = PrekeyBundle(
        signed=opened(PrekeyUse.SIGNED, answer.signed_prekey),
        envelope=opened(PrekeyUse.ENVELOPE, answer.envelope_prekey),
        kem=unexpired(PrekeyUse.ONE_TIME_KEM, answer.one_time_kem_prekey)
        or opened(PrekeyUse.LAST_RESORT, answer.last_resort_prekey),
        one_time=unexpired(PrekeyUse.ONE_TIME, answer.one_time_prekey),
    )
    bundle.verify(peer.device.signing_key, peer.fingerprint, now)
    return bundle


def forget_profile_key(store: Store, contact: ContactRow, error: Refused) -> ContactRow:
    """Fall back to the request key when the access key no longer fits: they changed it, or were recovered.

    Raises:
        Refused: `error` itself, if there is nothing to fall back to.
    """
    if error.code != "bad-access-key" or contact.profile_key is None:
        raise error
    with store.transaction():
        # Only the key that was refused: they may have given us the next one meanwhile.
        store.execute(
            "UPDATE contacts SET profile_key = NULL WHERE id = ? AND profile_key = ?", contact.id, contact.profile_key
        )
        return contact_by_id(store, contact.id)


def store_envelope_prekey(store: Store, contact: ContactRow, device: DeviceId, prekey: Prekey, now: Millis) -> None:
    """Keep a verified envelope prekey, inside the caller's transaction."""
    device_row(store, contact.id, device)
    store.execute(
        "UPDATE devices SET envelope_prekey = ?, envelope_fetched = ? WHERE contact = ? AND device = ?",
        prekey.encode(),
        now,
        contact.id,
        device,
    )


def _store_envelope_prekey(
    store: Store, contact: ContactRow, peer: Peer, stored: rest_directory.StoredPrekey, now: Millis
) -> None:
    slot = Slot(contact.address, PrekeyUse.ENVELOPE, peer.device.id, PrekeyId(stored.id))
    try:
        prekey = Prekey.parse(open_object(contact.usid, slot, stored.blob))
        EnvelopePrekey.of(prekey)
        prekey.verify(peer.device.signing_key, peer.fingerprint)
    except RemoteError:
        return  # without a valid one the message waits, and says so
    if prekey.expiry <= now:
        return  # an old one of theirs must not take the place of one that is valid
    store_envelope_prekey(store, contact, peer.device.id, prekey, now)


def _note_stale(store: Store, contact: ContactRow, error: StaleDirectory, evidence: bytes, now: Millis) -> None:
    """Freeze at once for what the relay cannot have served honestly."""
    store.execute("UPDATE contacts SET record_checked = ? WHERE id = ?", now, contact.id)
    freeze(store, contact, error.code, evidence, now)


def _strays(store: Store, contact_id: int, record: AccountRecord) -> list[DeviceId]:
    """Return devices whose first message could not be read and that the record lacks.

    The message brought a newer record, which was undone with it; or somebody made the device up.
    """
    rows = store.all("SELECT device FROM devices WHERE contact = ? AND broken_session IS NOT NULL", contact_id)
    return [device for row in rows if record.device(device := DeviceId(row["device"])) is None]


def _compare_devices(store: Store, contact: ContactRow, record: AccountRecord, now: Millis) -> None:
    """Announce devices that are new and forget those that went. Other keys under an old id are another device."""
    former = contact.record.devices if contact.record else ()
    same = {device.id for device in record.devices if device in former}
    for row in store.all("SELECT device FROM devices WHERE contact = ?", contact.id):
        is_known = contact.record is not None and contact.record.device(DeviceId(row["device"])) is not None
        if is_known and row["device"] not in same:  # what broke with one that comes now is to be repaired
            _forget_device(store, contact.id, DeviceId(row["device"]), now)
    for device in record.devices:
        device_row(store, contact.id, device.id)
        if contact.record is not None and device.id not in same:
            add_notice(store, "device", contact.id, now, device=device.id)
            # A device that is new does not have what the old one was told.
            store.execute("UPDATE contacts SET has_our_profile_key = 0 WHERE id = ?", contact.id)
    store.execute("UPDATE outbox SET is_expanded = 0 WHERE contact = ? AND device IS NULL", contact.id)


def _forget_device(store: Store, contact_id: int, device: DeviceId, now: Millis) -> None:
    """Drop a removed device's sessions; what it had not confirmed goes to the devices that are left."""
    here = "SELECT position FROM outbox WHERE contact = ?"
    store.execute(
        f"DELETE FROM deliveries WHERE device = ? AND state != 'delivered' AND position IN ({here})",  # noqa: S608
        device,
        contact_id,
    )
    order.show_held(store, contact_id, device, now)
    store.execute("DELETE FROM outbox WHERE contact = ? AND device = ?", contact_id, device)
    store.execute("DELETE FROM devices WHERE contact = ? AND device = ?", contact_id, device)
