"""Prekeys: made and signed by a device, fetched by those who write to it.

Source: spec/handshake.md, "Prekeys"; Signal, PQXDH r3, section 3.2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from halonyx.core import labels
from halonyx.core.encoding import Reader, Writer
from halonyx.core.errors import BadSignature, Malformed
from halonyx.core.identity import OwnDevice
from halonyx.core.primitives import (
    MLKEM768_PUBLIC_SIZE,
    MLKEM1024_PUBLIC_SIZE,
    KemPublicKey,
    PublicKey,
    VerifyKey,
)
from halonyx.core.types import DAY, SIGNATURE_SIZE, Fingerprint, Millis, PrekeyId

VERSION: Final = 1
TYPE: Final = 0x02


class PrekeyUse(IntEnum):
    """What a prekey is for; also its number at the relay."""

    SIGNED = 1
    ENVELOPE = 2
    LAST_RESORT = 3
    ONE_TIME = 4
    ONE_TIME_KEM = 5


KEY_SIZES: Final[Mapping[PrekeyUse, int]] = {
    PrekeyUse.SIGNED: 32,
    PrekeyUse.ENVELOPE: 32 + MLKEM768_PUBLIC_SIZE,
    PrekeyUse.LAST_RESORT: MLKEM1024_PUBLIC_SIZE,
    PrekeyUse.ONE_TIME: 32,
    PrekeyUse.ONE_TIME_KEM: MLKEM1024_PUBLIC_SIZE,
}
_LABELS: Final[Mapping[PrekeyUse, bytes]] = {
    PrekeyUse.SIGNED: labels.SIGNED_PREKEY,
    PrekeyUse.ENVELOPE: labels.ENVELOPE_PREKEY,
    PrekeyUse.LAST_RESORT: labels.LAST_RESORT_PREKEY,
    PrekeyUse.ONE_TIME: labels.ONE_TIME_PREKEY,
    PrekeyUse.ONE_TIME_KEM: labels.ONE_TIME_KEM_PREKEY,
}

RENEWED_AFTER: Final = 7 * DAY
ROTATING_LIFETIME: Final = 30 * DAY
ONE_TIME_LIFETIME: Final = 90 * DAY
PRIVATE_KEPT_AFTER_EXPIRY: Final = 45 * DAY  # 14 days in an outbox and 30 in a mailbox
ONE_TIME_COUNT: Final = 100
REFILL_BELOW: Final = 20


def lifetime(use: PrekeyUse) -> int:
    """Return how long a prekey of this use may be used after it was made, in milliseconds."""
    return ONE_TIME_LIFETIME if use in (PrekeyUse.ONE_TIME, PrekeyUse.ONE_TIME_KEM) else ROTATING_LIFETIME


@dataclass(frozen=True, slots=True)
class Prekey:
    """One public prekey with its device's signature.

    Attributes:
        id: 1 to 2^32-1.
        expiry: Senders refuse it from this time on.
        key: 32, 1,216 or 1,568 bytes, by use (KEY_SIZES).
    """

    use: PrekeyUse
    id: PrekeyId
    expiry: Millis
    key: bytes
    signature: bytes

    def encode(self) -> bytes:
        """Return the bytes that are sealed and published."""
        writer = Writer().u8(VERSION).u8(TYPE).u8(self.use).u32(self.id).u64(self.expiry)
        return writer.fixed(self.key, KEY_SIZES[self.use]).fixed(self.signature, SIGNATURE_SIZE).done()

    @classmethod
    def parse(cls, data: bytes) -> "Prekey":
        """Read a prekey; its signature is checked by `verify`.

        Raises:
            Malformed: Not the one encoding of a prekey.
            UnsupportedVersion: Another format version.
        """
        reader = Reader(data)
        reader.header(VERSION, TYPE)
        number = reader.u8()
        if number not in KEY_SIZES:
            raise Malformed(f"prekey use {number}")
        use = PrekeyUse(number)
        prekey_id = PrekeyId(reader.u32())
        if prekey_id == 0:
            raise Malformed("prekey id 0")
        prekey = cls(use, prekey_id, Millis(reader.u64()), reader.take(KEY_SIZES[use]), reader.take(SIGNATURE_SIZE))
        reader.finish()
        return prekey

    def verify(self, signing_key: VerifyKey, fingerprint: Fingerprint) -> None:
        """Check that the device of this fingerprint signed this prekey for this use.

        Raises:
            BadSignature: Another device, use, id, expiry or key was signed.
        """
        body = _signed_body(fingerprint, self.use, self.id, self.expiry, self.key)
        signing_key.verify(_LABELS[self.use], body, self.signature)


def sign_prekey(device: OwnDevice, use: PrekeyUse, prekey_id: PrekeyId, expiry: Millis, key: bytes) -> Prekey:
    """Sign a public key as this device's prekey.

    Args:
        key: For ENVELOPE the X25519 and the ML-KEM-768 key, one after the other.
    """
    body = _signed_body(device.fingerprint, use, prekey_id, expiry, key)
    return Prekey(use, prekey_id, expiry, key, device.signing.sign(_LABELS[use], body))


@dataclass(frozen=True, slots=True)
class EnvelopePrekey:
    """The two public keys an envelope is sealed to."""

    id: PrekeyId
    x25519: PublicKey
    mlkem768: KemPublicKey

    @classmethod
    def of(cls, prekey: Prekey) -> "EnvelopePrekey":
        """Split a verified prekey of use ENVELOPE.

        Raises:
            BadSignature: Another use.
            BadKey: A key that is not canonical.
        """
        if prekey.use is not PrekeyUse.ENVELOPE:
            raise BadSignature("a prekey of another use stands where the envelope prekey belongs")
        return cls(prekey.id, PublicKey(prekey.key[:32]), KemPublicKey(prekey.key[32:]))


@dataclass(frozen=True, slots=True)
class PrekeyBundle:
    """What one handshake uses: verified and unexpired.

    Attributes:
        kem: One-time KEM prekey, or the last-resort prekey when none is left.
        one_time: None when none is left.
    """

    signed: Prekey
    envelope: Prekey
    kem: Prekey
    one_time: Prekey | None

    def verify(self, signing_key: VerifyKey, fingerprint: Fingerprint, now: Millis) -> None:
        """Check every prekey of the bundle; one failure rejects all.

        Raises:
            BadSignature: A signature fails, a use is in the wrong place, or a prekey has expired.
        """
        places: list[tuple[Prekey, tuple[PrekeyUse, ...]]] = [
            (self.signed, (PrekeyUse.SIGNED,)),
            (self.envelope, (PrekeyUse.ENVELOPE,)),
            (self.kem, (PrekeyUse.ONE_TIME_KEM, PrekeyUse.LAST_RESORT)),
        ]
        if self.one_time is not None:
            places.append((self.one_time, (PrekeyUse.ONE_TIME,)))
        for prekey, uses in places:
            if prekey.use not in uses:
                raise BadSignature("a prekey of another use stands in this place of the bundle")
            if prekey.expiry <= now:
                raise BadSignature("a prekey of the bundle has expired")
            prekey.verify(signing_key, fingerprint)


def _signed_body(fingerprint: Fingerprint, use: PrekeyUse, prekey_id: PrekeyId, expiry: Millis, key: bytes) -> bytes:
    writer = Writer().fixed(fingerprint, 32).u8(use).u32(prekey_id).u64(expiry)
    return writer.fixed(key, KEY_SIZES[use]).done()
