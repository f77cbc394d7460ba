"""The formulas of the specification once more, from hashlib, hmac and raw library calls only.

Nothing here comes from src/halonyx: a vector that both agree on was derived twice.
"""

import hashlib
import hmac
import json
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM1024PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

DRAWN = Path(__file__).with_name("drawn.json")
NOW = 1_760_000_000_000
DAY = 86_400_000


def be(value: int, size: int) -> bytes:
    """Return an unsigned big-endian integer."""
    return value.to_bytes(size, "big")


def sha256(data: bytes) -> bytes:
    """Return SHA-256."""
    return hashlib.sha256(data).digest()


def label(role: str) -> bytes:
    """Return the label of a role."""
    return b"halonyx/1 " + role.encode("ascii")


def hs(role: str, *parts: bytes) -> bytes:
    """Return HS(role; parts)."""
    name = label(role)
    return sha256(be(len(name), 1) + name + b"".join(be(len(part), 4) + part for part in parts))


def hkdf(ikm: bytes, info: bytes, size: int, salt: bytes = b"") -> bytes:
    """Return HKDF-SHA-256, written out (RFC 5869 section 2)."""
    prk = hmac.digest(salt or bytes(32), ikm, "sha256")
    okm = block = b""
    while len(okm) < size:
        block = hmac.digest(prk, block + info + be(len(okm) // 32 + 1, 1), "sha256")
        okm += block
    return okm[:size]


def expand(ikm: bytes, role: str, size: int, context: bytes = b"", salt: bytes = b"") -> bytes:
    """Return HKDF with info = label ‖ 0x00 ‖ context."""
    return hkdf(ikm, label(role) + b"\x00" + context, size, salt)


def bytes_for(name: str, size: int = 32) -> bytes:
    """Return this file set's fixed bytes for a name: HKDF blocks counted by the KDF itself."""
    return hkdf(b"halonyx vectors 1", name.encode("ascii"), size)


def x25519_public(private: bytes) -> bytes:
    """Return the public key of 32 private bytes."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def x25519(private: bytes, public: bytes) -> bytes:
    """Return the shared secret."""
    return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))


def ed25519_public(seed: bytes) -> bytes:
    """Return the public key of a seed."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def ed25519_sign(seed: bytes, role: str, body: bytes) -> bytes:
    """Sign label ‖ 0x00 ‖ body."""
    return Ed25519PrivateKey.from_private_bytes(seed).sign(label(role) + b"\x00" + body)


def mldsa65_public(seed: bytes) -> bytes:
    """Return the public key of a seed."""
    return MLDSA65PrivateKey.from_seed_bytes(seed).public_key().public_bytes_raw()


def mlkem(seed: bytes, bits: int) -> MLKEM768PrivateKey | MLKEM1024PrivateKey:
    """Return the private key of a 64-byte seed."""
    return (MLKEM768PrivateKey if bits == 768 else MLKEM1024PrivateKey).from_seed_bytes(seed)


def mlkem_public(seed: bytes, bits: int) -> bytes:
    """Return the public key of a 64-byte seed."""
    return mlkem(seed, bits).public_key().public_bytes_raw()


def seal(key: bytes, nonce: bytes, plaintext: bytes, associated_data: bytes) -> bytes:
    """Encrypt with AES-256-GCM."""
    return AESGCM(key).encrypt(nonce, plaintext, associated_data)


def flip(data: bytes, at: int, mask: int = 0x01) -> bytes:
    """Return the bytes with one bit changed."""
    changed = bytearray(data)
    changed[at] ^= mask
    return bytes(changed)


def put(data: bytes, at: int, value: bytes) -> bytes:
    """Return the bytes with some overwritten."""
    at %= len(data)
    return data[:at] + value + data[at + len(value) :]


@dataclass(slots=True)
class Drawn:
    """What the library draws itself, and gives no control over: remembered, so that every run writes the same files."""

    known: dict[str, str]
    used: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls) -> "Drawn":
        """Read what earlier runs drew."""
        return cls(json.loads(DRAWN.read_text("ascii")) if DRAWN.exists() else {})

    def save(self) -> None:
        """Write what this run used."""
        DRAWN.write_text(json.dumps(self.used, indent=0, sort_keys=True) + "\n", "ascii")

    def mldsa65_sign(self, seed: bytes, role: str, body: bytes) -> bytes:
        """Return an ML-DSA-65 signature over the body with the label as context."""
        name = "mldsa65 " + hs("vectors", seed, label(role), body).hex()
        signature = self._get(name) or MLDSA65PrivateKey.from_seed_bytes(seed).sign(body, label(role)).hex()
        self.used[name] = signature
        return bytes.fromhex(signature)

    def encapsulate(self, seed: bytes, bits: int, purpose: str) -> tuple[bytes, bytes]:
        """Return ciphertext and secret for the public key of a seed; another purpose, another ciphertext."""
        private = mlkem(seed, bits)
        name = f"mlkem{bits} " + hs("vectors", seed, purpose.encode("ascii")).hex()
        ciphertext = self._get(name) or private.public_key().encapsulate()[1].hex()
        self.used[name] = ciphertext
        return bytes.fromhex(ciphertext), private.decapsulate(bytes.fromhex(ciphertext))

    def _get(self, name: str) -> str | None:
        return self.used.get(name) or self.known.get(name)
