"""X3DH inside PQXDH: how two devices that never met agree on a root key.

Source: spec/handshake.md; Signal, X3DH r1 and PQXDH r3.
"""

from dataclasses import dataclass, field
from typing import Final

from halonyx.core import labels, ratchet
from halonyx.core.encoding import Reader, Writer
from halonyx.core.errors import Malformed, Misuse, UnsupportedVersion
from halonyx.core.identity import Device, OwnDevice, device_fingerprint
from halonyx.core.kdf import ZERO_SALT, expand, kdf_pqxdh
from halonyx.core.labels import hash_of
from halonyx.core.prekeys import PrekeyBundle, PrekeyUse
from halonyx.core.primitives import MLKEM1024_CIPHERTEXT_SIZE, KemKeyPair, KemPublicKey, KeyPair, PublicKey
from halonyx.core.ratchet import Ratchet
from halonyx.core.types import Address, Fingerprint, PrekeyId

VERSION: Final = 1
TYPE: Final = 0x11
SUITE_X3DH: Final = 1
SUITE_PQXDH: Final = 2
# 32 bytes of 0xFF keep the key input apart from any XEdDSA encoding (X3DH r1, section 2.2).
F: Final = b"\xff" * 32
HEADER_SIZE: Final = 4 + 32 + 12 + MLKEM1024_CIPHERTEXT_SIZE
_HAS_ONE_TIME: Final = 0x01
_LAST_RESORT: Final = 0x02

_Identity = tuple[bytes, bytes, bytes]
"""Address, device id and device fingerprint: hashed once, named in the transcript and both associated data."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A device of the other side, as its account's verified record names it."""

    address: Address
    device: Device

    @property
    def fingerprint(self) -> Fingerprint:
        """Hash over the device's keys, 32 bytes."""
        return device_fingerprint(self.address, self.device)


@dataclass(frozen=True, slots=True)
class Handshake:
    """The public half of an initiator's handshake; layout: spec/handshake.md, table 3.

    Attributes:
        one_time: Id of the one-time prekey, None when the bundle had none.
        uses_last_resort: The KEM prekey was the last-resort one.
        ciphertext: ML-KEM-1024 ciphertext, 1,568 bytes.
    """

    ephemeral: PublicKey
    signed: PrekeyId
    one_time: PrekeyId | None
    kem: PrekeyId
    uses_last_resort: bool
    ciphertext: bytes

    def encode(self) -> bytes:
        """Return the 1,616 bytes that stand before the ratchet message."""
        flags = (_HAS_ONE_TIME if self.one_time else 0) | (_LAST_RESORT if self.uses_last_resort else 0)
        writer = Writer().u8(VERSION).u8(TYPE).u8(SUITE_PQXDH).u8(flags).raw(self.ephemeral.raw)
        writer.u32(self.signed).u32(self.one_time or 0).u32(self.kem)
        return writer.fixed(self.ciphertext, MLKEM1024_CIPHERTEXT_SIZE).done()

    @classmethod
    def parse(cls, data: bytes) -> "Handshake":
        """Read exactly HEADER_SIZE bytes.

        Raises:
            Malformed: Another size or type, an unknown flag, a zero id, or a one-time id that its flag denies.
            UnsupportedVersion: Another version, or any suite but PQXDH: plain X3DH is for teaching only.
            BadKey: The ephemeral key is not canonical.
        """
        reader = Reader(data)
        reader.header(VERSION, TYPE)
        suite = reader.u8()
        if suite != SUITE_PQXDH:
            raise UnsupportedVersion(f"handshake suite {suite}")
        flags = reader.flags(_HAS_ONE_TIME | _LAST_RESORT)
        ephemeral = PublicKey(reader.take(32))
        signed, one_time, kem = reader.u32(), reader.u32(), reader.u32()
        ciphertext = reader.take(MLKEM1024_CIPHERTEXT_SIZE)
        reader.finish()
        if signed == 0 or kem == 0 or bool(one_time) != bool(flags & _HAS_ONE_TIME):
            raise Malformed("a prekey id is zero or contradicts its flag")
        return cls(
            ephemeral=ephemeral,
            signed=PrekeyId(signed),
            one_time=PrekeyId(one_time) if one_time else None,
            kem=PrekeyId(kem),
            uses_last_resort=bool(flags & _LAST_RESORT),
            ciphertext=ciphertext,
        )

    @property
    def is_one_time(self) -> bool:
        """Whether a one-time key was used, whose deletion makes a second use impossible."""
        return self.one_time is not None or not self.uses_last_resort

    def replay_key(self) -> bytes:
        """Return 32 bytes to remember when no one-time key was used; seen again means replay."""
        ids = self.signed.to_bytes(4, "big") + self.kem.to_bytes(4, "big")
        return hash_of(labels.HANDSHAKE_REPLAY, ids, self.ephemeral.raw, self.ciphertext)


@dataclass(frozen=True, slots=True)
class PrekeyPrivates:
    """The responder's private halves of the prekeys that a handshake names."""

    signed: KeyPair = field(repr=False)
    one_time: KeyPair | None = field(repr=False)
    kem: KemKeyPair = field(repr=False)


def initiate(
    ours: OwnDevice,
    theirs: Peer,
    bundle: PrekeyBundle,
    fresh: tuple[KeyPair, KeyPair],
    kem: tuple[bytes, bytes],
) -> tuple[Handshake, Ratchet]:
    """Agree on a session with a device from its prekey bundle.

    Args:
        ours: This device.
        theirs: The device the bundle was fetched for.
        bundle: Verified with `PrekeyBundle.verify`.
        fresh: The ephemeral pair and our first ratchet pair.
        kem: ML-KEM-1024 ciphertext and secret, encapsulated to `bundle.kem`.

    Raises:
        BadKey: A key of the bundle is non-canonical or of low order.

    Source: spec/handshake.md, "Initiating"; PQXDH r3, section 3.3.
    """
    ephemeral, ratchet_pair = fresh
    ciphertext, secret = kem
    handshake = Handshake(
        ephemeral=ephemeral.public,
        signed=bundle.signed.id,
        one_time=bundle.one_time.id if bundle.one_time else None,
        kem=bundle.kem.id,
        uses_last_resort=bundle.kem.use is PrekeyUse.LAST_RESORT,
        ciphertext=ciphertext,
    )
    signed = PublicKey(bundle.signed.key)
    one_time = PublicKey(bundle.one_time.key) if bundle.one_time else None
    ikm = [
        F,
        ours.identity.exchange(signed),
        ephemeral.exchange(theirs.device.identity_key),
        ephemeral.exchange(signed),
        ephemeral.exchange(one_time) if one_time else b"",
        secret,
    ]
    us, them = _identity(Peer(ours.address, ours.device)), _identity(theirs)
    secrets = kdf_pqxdh(b"".join(ikm), _transcript(us, them, handshake, (signed, one_time, bundle.kem.key)))
    sending, receiving = _associated_data(us, them), _associated_data(them, us)
    return handshake, ratchet.initiator(secrets, sending, receiving, signed, ratchet_pair)


def accept(ours: OwnDevice, theirs: Peer, handshake: Handshake, privates: PrekeyPrivates) -> Ratchet:
    """Agree on the session that a device began with us. Nothing is proven before its first message decrypts.

    Args:
        ours: This device.
        theirs: The device whose verified record the handshake came under.
        handshake: As parsed.
        privates: The private halves of the prekeys it names.

    Raises:
        BadKey: A key of theirs is of low order.
        Misuse: `privates` has a one-time key and the handshake names none, or the other way round.

    Source: spec/handshake.md, "Accepting"; PQXDH r3, section 3.4.
    """
    if (privates.one_time is None) != (handshake.one_time is None):
        raise Misuse("one-time private key and handshake do not belong together")
    ikm = [
        F,
        privates.signed.exchange(theirs.device.identity_key),
        ours.identity.exchange(handshake.ephemeral),
        privates.signed.exchange(handshake.ephemeral),
        privates.one_time.exchange(handshake.ephemeral) if privates.one_time else b"",
        privates.kem.decapsulate(handshake.ciphertext),
    ]
    us, them = _identity(Peer(ours.address, ours.device)), _identity(theirs)
    one_time = privates.one_time.public if privates.one_time else None
    keys = (privates.signed.public, one_time, privates.kem.public.raw)
    secrets = kdf_pqxdh(b"".join(ikm), _transcript(them, us, handshake, keys))
    sending, receiving = _associated_data(us, them), _associated_data(them, us)
    return ratchet.responder(secrets, sending, receiving, privates.signed)


def encapsulate(bundle: PrekeyBundle) -> tuple[bytes, bytes]:
    """Return a fresh ML-KEM-1024 ciphertext and secret for `initiate`.

    Raises:
        BadKey: The KEM prekey is not canonical.
    """
    return KemPublicKey(bundle.kem.key).encapsulate()


def associated_data(sender: Peer, recipient: Peer) -> bytes:
    """Return the 32 bytes that every message of one direction is bound to.

    Source: spec/ratchet.md, "Associated data".
    """
    return _associated_data(_identity(sender), _identity(recipient))


def x3dh_initiate(
    ours: KeyPair, ephemeral: KeyPair, theirs: PublicKey, signed: PublicKey, one_time: PublicKey | None
) -> tuple[bytes, bytes]:
    """Suite 1, plain X3DH by the book, for tests and teaching: shared secret and associated data.

    Raises:
        BadKey: A key is of low order.

    Source: spec/handshake.md, "Suite 1"; X3DH r1, section 3.3.
    """
    ikm = [F, ours.exchange(signed), ephemeral.exchange(theirs), ephemeral.exchange(signed)]
    ikm.append(ephemeral.exchange(one_time) if one_time else b"")
    return expand(b"".join(ikm), labels.X3DH_SECRET, 32, b"", ZERO_SALT), ours.public.raw + theirs.raw


def x3dh_accept(
    ours: KeyPair, signed: KeyPair, one_time: KeyPair | None, theirs: PublicKey, ephemeral: PublicKey
) -> tuple[bytes, bytes]:
    """Suite 1 on the responder's side; see `x3dh_initiate`.

    Raises:
        BadKey: A key is of low order.

    Source: spec/handshake.md, "Suite 1"; X3DH r1, section 3.4.
    """
    ikm = [F, signed.exchange(theirs), ours.exchange(ephemeral), signed.exchange(ephemeral)]
    ikm.append(one_time.exchange(ephemeral) if one_time else b"")
    return expand(b"".join(ikm), labels.X3DH_SECRET, 32, b"", ZERO_SALT), theirs.raw + ours.public.raw


def _identity(peer: Peer) -> _Identity:
    return peer.address, bytes([peer.device.id]), peer.fingerprint


def _associated_data(sender: _Identity, recipient: _Identity) -> bytes:
    return hash_of(labels.ASSOCIATED_DATA, bytes([SUITE_PQXDH]), *sender, *recipient)


def _transcript(
    initiator: _Identity,
    responder: _Identity,
    handshake: Handshake,
    keys: tuple[PublicKey, PublicKey | None, bytes],
) -> bytes:
    """Return the hash of all that was agreed on, so that nothing can be swapped or replayed under another name."""
    signed, one_time, kem = keys
    kind = PrekeyUse.LAST_RESORT if handshake.uses_last_resort else PrekeyUse.ONE_TIME_KEM
    return hash_of(
        labels.HANDSHAKE_TRANSCRIPT,
        bytes([SUITE_PQXDH]),
        *initiator,
        *responder,
        handshake.ephemeral.raw,
        handshake.signed.to_bytes(4, "big") + signed.raw,
        b"\x01" + (handshake.one_time or 0).to_bytes(4, "big") + one_time.raw if one_time else b"",
        bytes([kind]) + handshake.kem.to_bytes(4, "big") + kem,
        handshake.ciphertext,
    )
