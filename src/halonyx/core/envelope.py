"""The sealed envelope: what the relay sees, with nothing of the sender in it.

Source: spec/envelope.md.
"""

from dataclasses import dataclass, field
from typing import Final

from halonyx.core.encoding import Reader, Writer
from halonyx.core.errors import Malformed, UnsupportedVersion
from halonyx.core.identity import MAX_RECORD_SIZE
from halonyx.core.kdf import kdf_envelope
from halonyx.core.padding import BUCKETS, bucket_for, check_padding
from halonyx.core.prekeys import EnvelopePrekey
from halonyx.core.primitives import (
    MLKEM768_CIPHERTEXT_SIZE,
    TAG_SIZE,
    KemKeyPair,
    KeyPair,
    PublicKey,
    aead_open,
    aead_seal,
)
from halonyx.core.types import Address, DeviceId, Fingerprint, PrekeyId

VERSION: Final = 1
CLASSICAL: Final = 0x20
HYBRID: Final = 0x21
PAYLOAD_TYPE: Final = 0x22
_HAS_RECORD: Final = 0x01
_CLASSICAL_HEADER: Final = 2 + 4 + 32
MAX_MESSAGE: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Payload:
    """What an envelope holds. The sender is a hint until the ratchet or handshake tag verifies.

    Attributes:
        record: The sender's whole account record, only on first contact.
        message: A SessionMessage, encoded.
    """

    sender: Address
    device: DeviceId
    record: bytes | None = field(repr=False)
    message: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class EnvelopeKeys:
    """The private halves of one envelope prekey."""

    id: PrekeyId
    x25519: KeyPair = field(repr=False)
    mlkem768: KemKeyPair = field(repr=False)

    @property
    def public(self) -> EnvelopePrekey:
        """The two public keys."""
        return EnvelopePrekey(self.id, self.x25519.public, self.mlkem768.public)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A parsed but still sealed envelope; layout: spec/envelope.md, table 1.

    Attributes:
        prekey: Id of the envelope prekey it is sealed to.
        kem_ciphertext: 1,088 bytes if hybrid, else None.
    """

    prekey: PrekeyId
    ephemeral: PublicKey
    kem_ciphertext: bytes | None
    header: bytes
    ciphertext: bytes

    @classmethod
    def parse(cls, data: bytes) -> "Envelope":
        """Read an envelope of exactly one bucket size.

        Raises:
            Malformed: Another size or an unknown form.
            UnsupportedVersion: Another version.
            BadKey: The ephemeral key is not canonical.
        """
        if len(data) not in BUCKETS:
            raise Malformed(f"envelope of {len(data)} bytes is no bucket")
        if data[0] != VERSION:
            raise UnsupportedVersion(f"envelope version {data[0]}")
        form = data[1]
        if form not in (CLASSICAL, HYBRID):
            raise Malformed(f"envelope form {form}")
        header_size = _CLASSICAL_HEADER + (MLKEM768_CIPHERTEXT_SIZE if form == HYBRID else 0)
        if len(data) < header_size + TAG_SIZE:
            raise Malformed("a hybrid envelope does not fit the smallest bucket")
        header = data[:header_size]
        return cls(
            prekey=PrekeyId(int.from_bytes(header[2:6], "big")),
            ephemeral=PublicKey(header[6:38]),
            kem_ciphertext=header[38:] if form == HYBRID else None,
            header=header,
            ciphertext=data[header_size:],
        )


def seal_envelope(
    prekey: EnvelopePrekey,
    recipient: tuple[Address, Fingerprint],
    payload: Payload,
    ephemeral: KeyPair,
    kem: tuple[bytes, bytes] | None,
) -> bytes:
    """Seal a payload to a device.

    Args:
        prekey: Verified and unexpired.
        recipient: Address and device fingerprint.
        payload: With a record only if `kem` is given.
        ephemeral: Fresh; used once.
        kem: ML-KEM-768 ciphertext and secret for a hybrid envelope, None for a classical one.

    Returns:
        1, 2, 4, 8, 16, 32 or 64 KiB.

    Raises:
        Misuse: The payload does not fit 64 KiB.
        BadKey: The prekey is of low order.

    Source: spec/envelope.md, "Sealing".
    """
    ciphertext, secret = kem or (b"", b"")
    form = HYBRID if kem else CLASSICAL
    header = Writer().u8(VERSION).u8(form).u32(prekey.id).raw(ephemeral.public.raw).raw(ciphertext).done()
    inside = _encode_payload(payload)
    size = bucket_for(len(header) + len(inside) + TAG_SIZE)
    padded = inside.ljust(size - len(header) - TAG_SIZE, b"\x00")
    ikm = ephemeral.exchange(prekey.x25519) + secret
    key, nonce = kdf_envelope(ikm, _context(header, prekey, recipient))
    return header + aead_seal(key, nonce, padded, header)


def open_envelope(envelope: Envelope, keys: EnvelopeKeys, recipient: tuple[Address, Fingerprint]) -> Payload:
    """Open an envelope that names one of our envelope prekeys.

    Args:
        envelope: As parsed.
        keys: The private halves of `envelope.prekey`.
        recipient: Our address and device fingerprint.

    Raises:
        AuthenticationFailed: Altered, or sealed to another device or key.
        Malformed: The payload is no valid encoding, or a first contact came without ML-KEM.
        UnsupportedVersion: A payload of another version.
        BadKey: The ephemeral key is of low order.

    Source: spec/envelope.md, "Opening".
    """
    ikm = keys.x25519.exchange(envelope.ephemeral)
    if envelope.kem_ciphertext is not None:
        ikm += keys.mlkem768.decapsulate(envelope.kem_ciphertext)
    key, nonce = kdf_envelope(ikm, _context(envelope.header, keys.public, recipient))
    payload = _parse_payload(aead_open(key, nonce, envelope.ciphertext, envelope.header))
    if payload.record is not None and envelope.kem_ciphertext is None:
        raise Malformed("a first contact must come in a hybrid envelope")
    return payload


def _context(header: bytes, prekey: EnvelopePrekey, recipient: tuple[Address, Fingerprint]) -> bytes:
    """Return form ‖ kid ‖ e ‖ our keys and their ciphertext ‖ address ‖ device fingerprint."""
    address, fingerprint = recipient
    form, kid_and_ephemeral, ciphertext = header[1:2], header[2:38], header[38:]
    kem = prekey.mlkem768.raw + ciphertext if form[0] == HYBRID else b""
    return form + kid_and_ephemeral + prekey.x25519.raw + kem + address + fingerprint


def _encode_payload(payload: Payload) -> bytes:
    writer = Writer().u8(VERSION).u8(PAYLOAD_TYPE).u8(_HAS_RECORD if payload.record else 0)
    writer.fixed(payload.sender, 32).u8(payload.device)
    if payload.record:
        writer.sized(payload.record, 2, MAX_RECORD_SIZE, 1)
    return writer.sized(payload.message, 4, MAX_MESSAGE, 1).done()


def _parse_payload(data: bytes) -> Payload:
    reader = Reader(data)
    reader.header(VERSION, PAYLOAD_TYPE)
    flags = reader.flags(_HAS_RECORD)
    sender, device = Address(reader.take(32)), DeviceId(reader.u8())
    if device == 0:
        raise Malformed("device id 0")
    record = reader.sized(2, MAX_RECORD_SIZE, 1) if flags else None
    payload = Payload(sender, device, record, reader.sized(4, MAX_MESSAGE, 1))
    check_padding(reader.rest())
    return payload
