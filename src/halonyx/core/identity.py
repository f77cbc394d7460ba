"""USID, address, devices and the account record that names them.

Source: spec/identity.md.
"""

from dataclasses import dataclass, field
from typing import Final

from halonyx.core import labels
from halonyx.core.encoding import Reader, Writer
from halonyx.core.errors import Malformed, Misuse, StaleDirectory, UntrustedIdentity
from halonyx.core.labels import hash_of
from halonyx.core.origin import MAX_ORIGIN_SIZE, check_origin
from halonyx.core.primitives import (
    MLDSA65_PUBLIC_SIZE,
    MLDSA65_SIGNATURE_SIZE,
    KeyPair,
    PostQuantumVerifyKey,
    PublicKey,
    SigningKey,
    VerifyKey,
    sha256,
)
from halonyx.core.recovery import AccountKeys
from halonyx.core.types import SIGNATURE_SIZE, Address, DeviceId, Fingerprint, Millis, Usid

VERSION: Final = 1
TYPE: Final = 0x01
MAX_ORIGINS: Final = 3
MAX_DEVICES: Final = 8
SALT_SIZE: Final = 32
MAX_RECORD_SIZE: Final = 6765  # three longest origins, eight devices


@dataclass(frozen=True, slots=True)
class Device:
    """One device of an account, as its record names it."""

    id: DeviceId
    created: Millis
    identity_key: PublicKey
    signing_key: VerifyKey


@dataclass(frozen=True, slots=True)
class OwnDevice:
    """This device: its entry in the record and the private keys behind it."""

    address: Address
    device: Device
    identity: KeyPair
    signing: SigningKey

    @property
    def fingerprint(self) -> Fingerprint:
        """Hash over the device's keys, 32 bytes."""
        return device_fingerprint(self.address, self.device)


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """The account's public keys, where it receives, and its devices; signed by both account keys.

    Attributes:
        version: 1 to 2^32-1; max(previous + 1, Unix seconds).
        origins: 1 to 3 relay origins, each at most 255 ASCII bytes.
        devices: 1 to 8, ids ascending.
        encoded: The exact bytes that were signed and signatures.

    `repr` shows neither salt nor encoding: with the keys they give the USID, which the relay must not learn from a log.
    """

    version: int
    created: Millis
    salt: bytes = field(repr=False)
    ed25519: VerifyKey
    mldsa65: PostQuantumVerifyKey
    origins: tuple[str, ...]
    devices: tuple[Device, ...]
    encoded: bytes = field(repr=False)

    @property
    def fingerprint(self) -> Fingerprint:
        """The account's fingerprint: what the safety number shows."""
        return account_fingerprint(self.ed25519, self.mldsa65)

    @property
    def usid(self) -> Usid:
        """The USID that these keys and this salt give."""
        return Usid(hash_of(labels.USID, self.fingerprint, self.salt))

    @property
    def address(self) -> Address:
        """What the relay knows the account by."""
        return address_of(self.usid)

    @property
    def hash(self) -> bytes:
        """32 bytes over the whole encoding; named in every message."""
        return hash_of(labels.RECORD_HASH, self.encoded)

    def device(self, device_id: DeviceId) -> Device | None:
        """Return the device of this id, or None."""
        return next((device for device in self.devices if device.id == device_id), None)

    @classmethod
    def parse(cls, data: bytes) -> "AccountRecord":
        """Read a record and check both signatures over it. Who it belongs to is `usid`.

        Args:
            data: At most MAX_RECORD_SIZE bytes.

        Raises:
            Malformed: Not the one encoding of a record.
            UnsupportedVersion: Another format version.
            BadKey: A key in it is non-canonical or of low order.
            BadSignature: One of the two signatures does not verify.

        Source: spec/identity.md, "Account record".
        """
        if len(data) > MAX_RECORD_SIZE:
            raise Malformed(f"record of {len(data)} bytes, at most {MAX_RECORD_SIZE}")
        reader = Reader(data)
        reader.header(VERSION, TYPE)
        version = reader.u32()
        if version == 0:
            raise Malformed("record version 0")
        record = cls(
            version=version,
            created=Millis(reader.u64()),
            salt=reader.take(SALT_SIZE),
            ed25519=VerifyKey(reader.take(32)),
            mldsa65=PostQuantumVerifyKey(reader.take(MLDSA65_PUBLIC_SIZE)),
            origins=tuple(_read_origin(reader) for _ in range(reader.count(1, MAX_ORIGINS, 1))),
            devices=_ascending(tuple(_read_device(reader) for _ in range(reader.count(1, MAX_DEVICES, 1)))),
            encoded=data,
        )
        body = data[: reader.position()]
        classical, post_quantum = reader.take(SIGNATURE_SIZE), reader.take(MLDSA65_SIGNATURE_SIZE)
        reader.finish()
        record.ed25519.verify(labels.ACCOUNT_RECORD, body, classical)
        record.mldsa65.verify(labels.ACCOUNT_RECORD, body, post_quantum)
        return record


def account_fingerprint(ed25519: VerifyKey, mldsa65: PostQuantumVerifyKey) -> Fingerprint:
    """Return the 32-byte fingerprint of an account's keys."""
    return Fingerprint(hash_of(labels.ACCOUNT_FINGERPRINT, ed25519.raw, mldsa65.raw))


def usid_of(keys: AccountKeys) -> Usid:
    """Return the USID of an account from its own keys."""
    return Usid(hash_of(labels.USID, account_fingerprint(keys.ed25519.public, keys.mldsa65.public), keys.salt))


def address_of(usid: Usid) -> Address:
    """Return SHA-256 of the USID."""
    return Address(sha256(usid))


def device_fingerprint(address: Address, device: Device) -> Fingerprint:
    """Return the 32-byte fingerprint of a device within its account."""
    return Fingerprint(
        hash_of(
            labels.DEVICE_FINGERPRINT,
            address,
            device.id.to_bytes(1, "big"),
            device.created.to_bytes(8, "big"),
            device.identity_key.raw,
            device.signing_key.raw,
        )
    )


def make_record(
    keys: AccountKeys, version: int, created: Millis, origins: tuple[str, ...], devices: tuple[Device, ...]
) -> AccountRecord:
    """Write and sign a record.

    Args:
        keys: The account's keys, derived for this moment.
        version: 1 to 2^32-1; see `next_version`.
        created: When the record was made.
        origins: 1 to 3 relay origins.
        devices: 1 to 8, ids ascending.

    Raises:
        Misuse: A count or size out of its range.
        Malformed: An origin that is none, or devices out of order.
    """
    if not 1 <= len(origins) <= MAX_ORIGINS or not 1 <= len(devices) <= MAX_DEVICES or version == 0:
        raise Misuse("a record has 1 to 3 origins, 1 to 8 devices and a version above 0")
    writer = Writer().u8(VERSION).u8(TYPE).u32(version).u64(created).fixed(keys.salt, SALT_SIZE)
    writer.raw(keys.ed25519.public.raw).raw(keys.mldsa65.public.raw).u8(len(origins))
    for origin in origins:
        writer.sized(check_origin(origin).encode("ascii"), 1, MAX_ORIGIN_SIZE)
    writer.u8(len(devices))
    for device in _ascending(devices):
        writer.u8(device.id).u8(0).u64(device.created).raw(device.identity_key.raw).raw(device.signing_key.raw)
    body = writer.done()
    classical = keys.ed25519.sign(labels.ACCOUNT_RECORD, body)
    return AccountRecord.parse(body + classical + keys.mldsa65.sign(labels.ACCOUNT_RECORD, body))


def next_version(previous: int, now: Millis) -> int:
    """Return max(previous + 1, Unix seconds): a device that lost its state still moves forward."""
    return max(previous + 1, now // 1000)


def check_record(record: AccountRecord, usid: Usid, seen: AccountRecord | None, named: int = 0) -> None:
    """Check that a signed record belongs to `usid` and does not go back.

    Args:
        record: Parsed, so its signatures verified.
        usid: From the card or from what is already trusted.
        seen: The newest record accepted before, if any.
        named: The highest version the card or the contact has named; 0 if none.

    Raises:
        UntrustedIdentity: The keys and salt do not give this USID.
        StaleDirectory: Older than seen or named, or the same version with other bytes.

    Source: spec/identity.md, "Checking a record".
    """
    if record.usid != usid:
        raise UntrustedIdentity("the record's keys do not give the expected USID")
    if record.version < max(named, seen.version if seen else 0):
        raise StaleDirectory(f"record version {record.version} is older than one seen or named before")
    if seen is not None and record.version == seen.version and record.encoded != seen.encoded:
        raise StaleDirectory("two records of one version")


def _read_origin(reader: Reader) -> str:
    try:
        return check_origin(reader.sized(1, MAX_ORIGIN_SIZE, 1).decode("ascii"))
    except UnicodeDecodeError:
        raise Malformed("origin is not ASCII") from None


def _read_device(reader: Reader) -> Device:
    device_id = DeviceId(reader.u8())
    if device_id == 0:
        raise Malformed("device id 0")
    reader.flags(0)
    created = Millis(reader.u64())
    return Device(device_id, created, PublicKey(reader.take(32)), VerifyKey(reader.take(32)))


def _ascending(devices: tuple[Device, ...]) -> tuple[Device, ...]:
    ids = [device.id for device in devices]
    if ids != sorted(set(ids)):
        raise Malformed("device ids must ascend")
    return devices
