"""Alice and Bob, whose keys stand in every file: derived by the formulas of spec/identity.md."""

from dataclasses import dataclass

from vectors.making.book import Fields
from vectors.making.reference import (
    DAY,
    NOW,
    Drawn,
    be,
    bytes_for,
    ed25519_public,
    ed25519_sign,
    expand,
    hs,
    mldsa65_public,
    mlkem_public,
    sha256,
    x25519_public,
)

ORIGIN = "https://relay.example"


@dataclass(frozen=True, slots=True)
class Device:
    """A device with its private keys."""

    id: int
    created: int
    identity_private: bytes
    signing_seed: bytes

    @property
    def identity_key(self) -> bytes:
        """X25519 public key."""
        return x25519_public(self.identity_private)

    @property
    def signing_key(self) -> bytes:
        """Ed25519 public key."""
        return ed25519_public(self.signing_seed)

    def entry(self) -> bytes:
        """Return the 74 bytes in the record."""
        return be(self.id, 1) + b"\x00" + be(self.created, 8) + self.identity_key + self.signing_key

    def public(self) -> Fields:
        """Return what a record says of the device."""
        return {
            "id": self.id,
            "created": self.created,
            "identity_key": self.identity_key,
            "signing_key": self.signing_key,
        }


@dataclass(frozen=True, slots=True)
class Account:
    """Everything the recovery code gives, and one device."""

    entropy: bytes
    device: Device

    def derive(self, role: str) -> bytes:
        """Return one of the keys below the account seed."""
        return expand(expand(self.entropy, "account seed", 32), role, 32)

    @property
    def ed25519_seed(self) -> bytes:
        """Seed of the account's Ed25519 key."""
        return self.derive("account ed25519")

    @property
    def mldsa65_seed(self) -> bytes:
        """Seed of the account's ML-DSA-65 key."""
        return self.derive("account mldsa65")

    @property
    def salt(self) -> bytes:
        """The salt in the record."""
        return self.derive("account salt")

    @property
    def ed25519(self) -> bytes:
        """Ed25519 public key."""
        return ed25519_public(self.ed25519_seed)

    @property
    def mldsa65(self) -> bytes:
        """ML-DSA-65 public key."""
        return mldsa65_public(self.mldsa65_seed)

    @property
    def fingerprint(self) -> bytes:
        """account_fingerprint."""
        return hs("account fingerprint", self.ed25519, self.mldsa65)

    @property
    def usid(self) -> bytes:
        """USID."""
        return hs("usid", self.fingerprint, self.salt)

    @property
    def address(self) -> bytes:
        """Address."""
        return sha256(self.usid)

    @property
    def device_fingerprint(self) -> bytes:
        """device_fingerprint of the one device."""
        return fingerprint_of(self.address, self.device)

    def body(self, version: int, devices: tuple[Device, ...], origins: tuple[bytes, ...] = (b"",)) -> bytes:
        """Return the signed part of a record."""
        names = tuple(origin or ORIGIN.encode("ascii") for origin in origins)
        return (
            b"\x01\x01"
            + be(version, 4)
            + be(NOW, 8)
            + self.salt
            + self.ed25519
            + self.mldsa65
            + be(len(names), 1)
            + b"".join(be(len(name), 1) + name for name in names)
            + be(len(devices), 1)
            + b"".join(device.entry() for device in devices)
        )

    def signed(self, drawn: Drawn, body: bytes) -> bytes:
        """Return a body with both signatures."""
        classical = ed25519_sign(self.ed25519_seed, "account record", body)
        return body + classical + drawn.mldsa65_sign(self.mldsa65_seed, "account record", body)

    def record(self, drawn: Drawn, version: int = 1_760_000_000) -> bytes:
        """Return the record with the one device."""
        return self.signed(drawn, self.body(version, (self.device,)))

    def prekey_private(self, use: int) -> bytes:
        """Return the private half of this account's prekey of a use: 32 or 64 bytes (envelope: the X25519 half)."""
        return bytes_for(f"prekey {use} of {self.entropy.hex()}", 64 if use in (3, 5) else 32)

    @property
    def envelope_seed(self) -> bytes:
        """The ML-KEM-768 seed of the envelope prekey."""
        return bytes_for(f"envelope seed of {self.entropy.hex()}", 64)

    def prekey_public(self, use: int) -> bytes:
        """Return the public key of this account's prekey of a use."""
        private = self.prekey_private(use)
        if use == ENVELOPE:
            return x25519_public(private) + mlkem_public(self.envelope_seed, 768)
        return mlkem_public(private, 1024) if use in (LAST_RESORT, ONE_TIME_KEM) else x25519_public(private)


SIGNED, ENVELOPE, LAST_RESORT, ONE_TIME, ONE_TIME_KEM = 1, 2, 3, 4, 5
PREKEY_ROLES = {
    SIGNED: "signed prekey",
    ENVELOPE: "envelope prekey",
    LAST_RESORT: "last-resort prekey",
    ONE_TIME: "one-time prekey",
    ONE_TIME_KEM: "one-time kem prekey",
}
EXPIRY = NOW + 30 * DAY


def fingerprint_of(address: bytes, device: Device) -> bytes:
    """Return device_fingerprint."""
    parts = (be(device.id, 1), be(device.created, 8), device.identity_key, device.signing_key)
    return hs("device", address, *parts)


def device_of(name: str, device_id: int = 1) -> Device:
    """Return a device with fixed keys."""
    keys = bytes_for(f"device {device_id} of {name}", 64)
    return Device(device_id, NOW - DAY, keys[:32], keys[32:])


def account_of(name: str) -> Account:
    """Return an account with fixed keys."""
    return Account(bytes_for(f"account of {name}", 20), device_of(name))


ALICE = account_of("alice")
BOB = account_of("bob")
MALLORY = account_of("mallory")


def prekey(owner: Account, use: int, prekey_id: int, expiry: int = EXPIRY, key: bytes | None = None) -> bytes:
    """Return one signed prekey, encoded."""
    key = owner.prekey_public(use) if key is None else key
    tail = be(use, 1) + be(prekey_id, 4) + be(expiry, 8) + key
    signature = ed25519_sign(owner.device.signing_seed, PREKEY_ROLES[use], owner.device_fingerprint + tail)
    return b"\x01\x02" + tail + signature
