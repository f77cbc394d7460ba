"""Builders that the core's tests share: people with records, devices and prekeys, all from fixed seeds.

Everything is deterministic except ML-DSA signatures and ML-KEM ciphertexts, whose randomness the library draws.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from halonyx.core import handshake as handshakes
from halonyx.core.content import Content, Extension, Kind, RecordName
from halonyx.core.envelope import EnvelopeKeys
from halonyx.core.handshake import Handshake, Peer, PrekeyPrivates
from halonyx.core.identity import AccountRecord, Device, OwnDevice, address_of, make_record, usid_of
from halonyx.core.prekeys import EnvelopePrekey, Prekey, PrekeyBundle, PrekeyUse, lifetime, sign_prekey
from halonyx.core.primitives import KemKeyPair, KeyPair, SigningKey
from halonyx.core.ratchet import Ratchet
from halonyx.core.recovery import ENTROPY_SIZE, AccountKeys, account_keys
from halonyx.core.safety_number import Party
from halonyx.core.types import Address, ConversationId, DeviceId, Fingerprint, MessageId, Millis, PrekeyId, Usid

NOW: Final = Millis(1_780_000_000_000)
ORIGIN: Final = "https://relay.example"
PREKEY_IDS: Final = {use: PrekeyId(10 * use) for use in PrekeyUse}


def seed(name: str, size_bytes: int = 32) -> bytes:
    """Return bytes that only depend on `name`."""
    return hashlib.shake_256(name.encode()).digest(size_bytes)


def key_pair(name: str) -> KeyPair:
    return KeyPair.from_private(seed(f"x25519 {name}"))


def signing_key(name: str) -> SigningKey:
    return SigningKey.from_seed(seed(f"ed25519 {name}"))


def message_id(name: str) -> MessageId:
    return MessageId(seed(f"message {name}", 16))


@dataclass(frozen=True, slots=True)
class Prekeys:
    """One device's prekeys: one of each use, both halves."""

    signed: KeyPair
    envelope: EnvelopeKeys
    last_resort: KemKeyPair
    one_time: KeyPair
    one_time_kem: KemKeyPair
    published: Mapping[PrekeyUse, Prekey]

    def bundle(self, *, one_time: bool = True) -> PrekeyBundle:
        """Return what the relay hands out, with or without one-time keys."""
        return PrekeyBundle(
            signed=self.published[PrekeyUse.SIGNED],
            envelope=self.published[PrekeyUse.ENVELOPE],
            kem=self.published[PrekeyUse.ONE_TIME_KEM if one_time else PrekeyUse.LAST_RESORT],
            one_time=self.published[PrekeyUse.ONE_TIME] if one_time else None,
        )

    def privates(self, handshake: Handshake) -> PrekeyPrivates:
        """Return the private halves that a handshake names."""
        return PrekeyPrivates(
            signed=self.signed,
            one_time=self.one_time if handshake.one_time else None,
            kem=self.last_resort if handshake.uses_last_resort else self.one_time_kem,
        )


@dataclass(frozen=True, slots=True)
class Person:
    """An account, its first device and that device's prekeys.

    Attributes:
        devices: Every device of the record; `device` is the first.
    """

    name: str
    keys: AccountKeys = field(repr=False)
    record: AccountRecord = field(repr=False)
    devices: tuple[OwnDevice, ...]
    prekeys: Prekeys = field(repr=False)

    @property
    def usid(self) -> Usid:
        return self.record.usid

    @property
    def address(self) -> Address:
        return self.record.address

    @property
    def device(self) -> OwnDevice:
        return self.devices[0]

    @property
    def peer(self) -> Peer:
        return Peer(self.address, self.device.device)

    @property
    def party(self) -> Party:
        return Party(self.record.fingerprint, self.address)

    @property
    def recipient(self) -> tuple[Address, Fingerprint]:
        """Return what an envelope is bound to."""
        return self.address, self.device.fingerprint

    @property
    def record_name(self) -> RecordName:
        return RecordName(self.record.version, self.record.hash)

    @property
    def envelope_prekey(self) -> EnvelopePrekey:
        return EnvelopePrekey.of(self.prekeys.published[PrekeyUse.ENVELOPE])


def make_device(address: Address, name: str, number: int = 1, created: Millis = NOW) -> OwnDevice:
    identity, signing = key_pair(f"{name} device {number}"), signing_key(f"{name} device {number}")
    return OwnDevice(address, Device(DeviceId(number), created, identity.public, signing.public), identity, signing)


def make_prekeys(device: OwnDevice, name: str, now: Millis = NOW) -> Prekeys:
    signed, one_time = key_pair(f"{name} signed"), key_pair(f"{name} one-time")
    last_resort = KemKeyPair.from_seed_1024(seed(f"{name} last-resort", 64))
    one_time_kem = KemKeyPair.from_seed_1024(seed(f"{name} one-time kem", 64))
    envelope = EnvelopeKeys(
        PREKEY_IDS[PrekeyUse.ENVELOPE],
        key_pair(f"{name} envelope"),
        KemKeyPair.from_seed_768(seed(f"{name} envelope", 64)),
    )
    publics = {
        PrekeyUse.SIGNED: signed.public.raw,
        PrekeyUse.ENVELOPE: envelope.x25519.public.raw + envelope.mlkem768.public.raw,
        PrekeyUse.LAST_RESORT: last_resort.public.raw,
        PrekeyUse.ONE_TIME: one_time.public.raw,
        PrekeyUse.ONE_TIME_KEM: one_time_kem.public.raw,
    }
    published = {
        use: sign_prekey(device, use, PREKEY_IDS[use], Millis(now + lifetime(use)), key) for use, key in publics.items()
    }
    return Prekeys(signed, envelope, last_resort, one_time, one_time_kem, published)


@cache
def make_person(name: str, version: int = 1, devices: int = 1) -> Person:
    """Make an account of that name with devices 1 to `devices`; the same arguments give the same object."""
    keys = account_keys(seed(f"recovery {name}", ENTROPY_SIZE))
    address = address_of(usid_of(keys))
    own = tuple(make_device(address, name, number) for number in range(1, devices + 1))
    record = make_record(keys, version, NOW, (ORIGIN,), tuple(device.device for device in own))
    return Person(name, keys, record, own, make_prekeys(own[0], name))


def make_pair(
    initiator: Person, responder: Person, name: str = "first", *, one_time: bool = True
) -> tuple[Handshake, Ratchet, Ratchet]:
    """Run a handshake: the header, the initiator's ratchet, the responder's ratchet before the first message."""
    bundle = responder.prekeys.bundle(one_time=one_time)
    fresh = (key_pair(f"{name} ephemeral"), key_pair(f"{name} ratchet"))
    handshake, ours = handshakes.initiate(
        initiator.device, responder.peer, bundle, fresh, handshakes.encapsulate(bundle)
    )
    theirs = handshakes.accept(responder.device, initiator.peer, handshake, responder.prekeys.privates(handshake))
    return handshake, ours, theirs


def make_content(sender: Person, recipient: Person, text: str = "hello", counter: int = 1) -> Content:
    """Return a text message with every optional field."""
    return Content(
        kind=Kind.TEXT,
        message_id=message_id(f"{sender.name} {counter}"),
        counter=counter,
        sent=NOW,
        conversation=ConversationId(seed("conversation", 16)),
        sender_record=sender.record_name,
        recipient_record=recipient.record_name,
        body=text.encode(),
        reply_to=message_id("earlier"),
        expires_after=3600,
        extensions={Extension.PROFILE_KEY: seed(f"profile {sender.name}")},
    )
