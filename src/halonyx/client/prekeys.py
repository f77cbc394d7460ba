"""Our own prekeys: made, stored, published, renewed, deleted.

Source: spec/handshake.md, "Prekeys".
"""

import secrets
from dataclasses import dataclass, field
from typing import Final

from halonyx.client.store import Store
from halonyx.core.directory import Slot, seal_object
from halonyx.core.envelope import EnvelopeKeys
from halonyx.core.errors import UnknownPrekey
from halonyx.core.handshake import Handshake, PrekeyPrivates
from halonyx.core.identity import OwnDevice
from halonyx.core.prekeys import (
    ONE_TIME_COUNT,
    PRIVATE_KEPT_AFTER_EXPIRY,
    REFILL_BELOW,
    RENEWED_AFTER,
    Prekey,
    PrekeyUse,
    lifetime,
    sign_prekey,
)
from halonyx.core.primitives import NONCE_SIZE, KemKeyPair, KeyPair
from halonyx.core.types import DAY, HOUR, Millis, PrekeyId, Usid
from halonyx.wire import rest_directory

NEW: Final = 0
AT_RELAY: Final = 1
TAKEN_BACK: Final = 2
ONE_TIME_RENEWED_AFTER: Final = 60 * DAY  # the relay would hand out those that expire after 90
REFILL_EVERY: Final = HOUR
IDS_A_WEEK: Final = 2**17  # four times what refills of a whole week use
LAST_WEEK: Final = 2**15 - 1  # in 2598; the ids of a later clock would not fit into 32 bits
_ROTATING: Final = (PrekeyUse.SIGNED, PrekeyUse.ENVELOPE, PrekeyUse.LAST_RESORT)
_ONE_TIME: Final = (PrekeyUse.ONE_TIME, PrekeyUse.ONE_TIME_KEM)
_PRIVATE_X25519: Final = 32


@dataclass(frozen=True, slots=True)
class NewPrekey:
    """A prekey with its private half: 32 bytes, 64, or 96 for an envelope prekey."""

    public: Prekey
    private: bytes = field(repr=False)
    made: Millis


def full_set(own: OwnDevice, last_id: int, now: Millis) -> list[NewPrekey]:
    """Make all that a new device publishes; ids follow `last_id`."""
    uses = [*_ROTATING, *[PrekeyUse.ONE_TIME] * ONE_TIME_COUNT, *[PrekeyUse.ONE_TIME_KEM] * ONE_TIME_COUNT]
    return _make(own, uses, last_id, now)


def due_prekeys(store: Store, own: OwnDevice, left: tuple[int, int] | None, now: Millis) -> None:
    """Make the prekeys that are due: rotating ones after a week, one-time ones below twenty or after sixty days.

    One-time ones once an hour at most: a relay that takes them, or says so, gets no more than that.

    Args:
        left: How many one-time X25519 and KEM prekeys the relay says it has, when it just told.
    """
    with store.transaction():
        take_back_one_time(store, Millis(now - ONE_TIME_RENEWED_AFTER))
        uses = [use for use in _ROTATING if not _is_fresh(store, use, now)]
        is_refilled = "SELECT refilled <= ?1 AND ?1 < refilled + ?2 FROM account"
        for at, use in enumerate(() if store.value(is_refilled, now, REFILL_EVERY) else _ONE_TIME):
            count = _unspent(store, use)
            if left is not None:
                count = min(count, left[at] + _unspent(store, use, NEW))
            if count < REFILL_BELOW:
                uses += [use] * (ONE_TIME_COUNT - count)
        if not uses:
            return
        last_id = _last_id(store.value("SELECT last_prekey FROM account"), now)
        store_prekeys(store, _make(own, uses, last_id, now), state=NEW)
        store.execute("UPDATE account SET last_prekey = ?", last_id + len(uses))
        if any(use in _ONE_TIME for use in uses):
            store.execute("UPDATE account SET refilled = ?", now)


def take_back_one_time(store: Store, made_until: Millis) -> None:
    """Have the relay drop the one-time prekeys made until then, inside the caller's transaction."""
    if store.execute(
        "UPDATE prekeys SET state = ? WHERE use IN (?, ?) AND state = ? AND made <= ?",
        TAKEN_BACK,
        *_ONE_TIME,
        AT_RELAY,
        made_until,
    ):
        store.execute("UPDATE account SET is_one_time_renewed = 1")


def publish_again(store: Store, now: Millis) -> None:
    """Tell a relay that was put back to an older copy everything anew, inside the caller's transaction.

    One-time prekeys that it has again may have been used before.
    """
    take_back_one_time(store, now)
    store.execute("UPDATE prekeys SET state = ? WHERE use IN (?, ?, ?) AND state = ?", NEW, *_ROTATING, AT_RELAY)
    store.execute("UPDATE account SET is_access_published = 0")


def first_one_time(store: Store) -> PrekeyId:
    """Return the smallest id of a one-time prekey that the relay should have; it drops those below."""
    first = store.value("SELECT min(id) FROM prekeys WHERE use IN (?, ?) AND state != ?", *_ONE_TIME, TAKEN_BACK)
    return PrekeyId(first or store.value("SELECT last_prekey + 1 FROM account"))


def store_prekeys(store: Store, prekeys: list[NewPrekey], *, state: int) -> None:
    """Insert prekeys, inside the caller's transaction."""
    for new in prekeys:
        public = new.public
        store.execute(
            "INSERT INTO prekeys VALUES (?, ?, ?, ?, ?, ?, ?)",
            public.id,
            public.use,
            new.private,
            public.encode(),
            new.made,
            public.expiry,
            state,
        )


def unpublished(store: Store) -> list[Prekey]:
    """Return what the relay was not told of yet."""
    return [Prekey.parse(row["public"]) for row in store.all("SELECT public FROM prekeys WHERE state = ?", NEW)]


def mark_published(store: Store, prekeys: list[Prekey]) -> None:
    """Note that the relay has them, inside the caller's transaction."""
    for prekey in prekeys:
        store.execute("UPDATE prekeys SET state = ? WHERE id = ? AND state = ?", AT_RELAY, prekey.id, NEW)


def forget_unpublished_one_time(store: Store) -> None:
    """Delete one-time prekeys that the relay has no room for; nobody has seen them."""
    with store.transaction():
        store.execute("DELETE FROM prekeys WHERE use IN (?, ?) AND state = ?", *_ONE_TIME, NEW)


def published_forms(usid: Usid, own: OwnDevice, prekeys: list[NewPrekey]) -> list[rest_directory.Prekey]:
    """Seal prekeys as the relay stores them."""
    return [sealed(usid, own, new.public) for new in prekeys]


def sealed(usid: Usid, own: OwnDevice, prekey: Prekey) -> rest_directory.Prekey:
    """Seal one prekey as the relay stores it."""
    slot = Slot(own.address, prekey.use, own.device.id, prekey.id)
    blob = seal_object(usid, slot, prekey.encode(), secrets.token_bytes(NONCE_SIZE))
    return rest_directory.Prekey(use=int(prekey.use), id=prekey.id, blob=blob)


def envelope_keys(store: Store, prekey_id: PrekeyId) -> EnvelopeKeys:
    """Return the private halves of one envelope prekey.

    Raises:
        UnknownPrekey: Not ours, or deleted.
    """
    private = _private(store, PrekeyUse.ENVELOPE, prekey_id)
    x25519 = KeyPair.from_private(private[:_PRIVATE_X25519])
    return EnvelopeKeys(prekey_id, x25519, KemKeyPair.from_seed_768(private[_PRIVATE_X25519:]))


def handshake_privates(store: Store, handshake: Handshake) -> PrekeyPrivates:
    """Return the private halves of the prekeys that a handshake names.

    Raises:
        UnknownPrekey: One of them is not ours, or used and deleted.
    """
    kem_use = PrekeyUse.LAST_RESORT if handshake.uses_last_resort else PrekeyUse.ONE_TIME_KEM
    one_time = handshake.one_time and KeyPair.from_private(_private(store, PrekeyUse.ONE_TIME, handshake.one_time))
    return PrekeyPrivates(
        signed=KeyPair.from_private(_private(store, PrekeyUse.SIGNED, handshake.signed)),
        one_time=one_time or None,
        kem=KemKeyPair.from_seed_1024(_private(store, kem_use, handshake.kem)),
    )


def delete_used(store: Store, handshake: Handshake) -> None:
    """Delete the one-time keys of an accepted handshake, inside the transaction that stores its first message."""
    if handshake.one_time is not None:
        store.execute("DELETE FROM prekeys WHERE id = ?", handshake.one_time)
    if not handshake.uses_last_resort:
        store.execute("DELETE FROM prekeys WHERE id = ?", handshake.kem)


def delete_expired(store: Store, now: Millis) -> None:
    """Delete private keys 45 days after their prekey expired."""
    store.execute("DELETE FROM prekeys WHERE expiry + ? <= ?", PRIVATE_KEPT_AFTER_EXPIRY, now)


def _private(store: Store, use: PrekeyUse, prekey_id: PrekeyId) -> bytes:
    private = store.value("SELECT private FROM prekeys WHERE id = ? AND use = ?", prekey_id, use)
    if private is None:
        raise UnknownPrekey("the prekey is not ours, or was used")
    return bytes(private)


def _unspent(store: Store, use: PrekeyUse, up_to: int = AT_RELAY) -> int:
    """Count prekeys that were not used, and not taken back."""
    return int(store.value("SELECT count(*) FROM prekeys WHERE use = ? AND state <= ?", use, up_to))


def _last_id(used: int, now: Millis) -> int:
    """Return the id after which new ones are counted: above every one used, and from a number of its own each week.

    A store put back to an older copy does not know what it has used since, and the relay passes over every id that it
    knows: nobody could write to us until as many were made again.
    """
    return max(used, min(now // RENEWED_AFTER, LAST_WEEK) * IDS_A_WEEK)


def _is_fresh(store: Store, use: PrekeyUse, now: Millis) -> bool:
    """Tell whether there is one of the last week; not one that a clock which ran ahead has made for later."""
    fresh = "SELECT 1 FROM prekeys WHERE use = ? AND ? < made AND made <= ?"
    return store.one(fresh, use, now - RENEWED_AFTER, now) is not None


def _make(own: OwnDevice, uses: list[PrekeyUse], last_id: int, now: Millis) -> list[NewPrekey]:
    made = []
    for number, use in enumerate(uses, start=last_id + 1):
        public, private = _key(use)
        prekey = sign_prekey(own, use, PrekeyId(number), Millis(now + lifetime(use)), public)
        made.append(NewPrekey(prekey, private, now))
    return made


def _key(use: PrekeyUse) -> tuple[bytes, bytes]:
    if use in (PrekeyUse.SIGNED, PrekeyUse.ONE_TIME):
        pair = KeyPair.generate()
        return pair.public.raw, pair.private_raw()
    if use is PrekeyUse.ENVELOPE:
        pair, kem = KeyPair.generate(), KemKeyPair.generate_768()
        return pair.public.raw + kem.public.raw, pair.private_raw() + kem.seed()
    kem = KemKeyPair.generate_1024()
    return kem.public.raw, kem.seed()
