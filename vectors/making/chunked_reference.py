"""Chunked encryption and padding once more, from the formulas; every chunk's ciphertext can be made to be zeros.

A plaintext is chosen as the key stream, so that its ciphertext is zeros and a file of 48 KiB is written in a few words.
"""

import hmac
from dataclasses import dataclass
from typing import TypedDict

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from vectors.making.book import Fields
from vectors.making.reference import be

CHUNK = 16_384
SEALED = CHUNK + 16
HEADER = 56
MAX_SIZE = 2**52 - 1


class Run(TypedDict):
    """Bytes, so many times one after another."""

    bytes: bytes
    times: int


def blank(data: bytes) -> list[Run]:
    """Return data as runs: zeros short, the rest as it is."""
    front, back = len(data) - len(data.lstrip(b"\x00")), len(data.rstrip(b"\x00"))
    if not any(data):
        return [{"bytes": b"\x00", "times": len(data)}] if data else []
    parts: list[Run] = [{"bytes": b"\x00", "times": front}, {"bytes": data[front:back], "times": 1}]
    parts.append({"bytes": b"\x00", "times": len(data) - back})
    return [part for part in parts if part["times"]]


def padded(size: int) -> int:
    """Return the padded size of a container: Padmé, by its definition with logarithms."""
    size = max(size, 256 * 1024)
    exponent = len(bin(size)) - 3
    step = 1 << (exponent - (len(bin(exponent)) - 2))
    return -(-size // step) * step


def sealed_size(size: int) -> int:
    """Return the size of a ciphertext."""
    return HEADER + size + 16 * (size // CHUNK + 1)


@dataclass(frozen=True, slots=True)
class Sealing:
    """What one key, salt and context give."""

    salt: bytes
    aead_key: bytes
    base_nonce: bytes
    commitment: bytes

    @classmethod
    def of(cls, key: bytes, salt: bytes, context: bytes = b"halonyx/1 file content") -> "Sealing":
        """Derive, by HKDF-Expand written out (RFC 5869 section 2.3)."""
        info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\x00" + salt + context
        okm = block = b""
        for number in (1, 2, 3):
            block = hmac.digest(key, block + info + be(number, 1), "sha256")
            okm += block
        return cls(salt, okm[:32], okm[32:44], okm[44:76])

    def values(self) -> Fields:
        """Return the intermediate values."""
        return {"aead_key": self.aead_key, "base_nonce": self.base_nonce, "commitment": self.commitment}

    def seal(self, number: int, plaintext: bytes) -> bytes:
        """Encrypt a chunk."""
        nonce = be(int.from_bytes(self.base_nonce, "big") ^ number, 12)
        return AESGCM(self.aead_key).encrypt(nonce, plaintext, None)

    def encrypt(self, plaintext: bytes) -> bytes:
        """Encrypt a whole message."""
        chunks = [plaintext[at : at + CHUNK] for at in range(0, len(plaintext) + 1, CHUNK)]
        return self.salt + self.commitment + b"".join(self.seal(at, chunk) for at, chunk in enumerate(chunks))

    def blank_plaintext(self, size: int) -> bytes:
        """Return the plaintext whose ciphertext is zeros: the key stream."""
        sizes = [*[CHUNK] * (size // CHUNK), size % CHUNK]
        return b"".join(self.seal(number, bytes(length))[:length] for number, length in enumerate(sizes))

    def blank_chunk(self, number: int, size: int) -> list[Run]:
        """Return a chunk of zeros and its tag."""
        stream = self.seal(number, bytes(size))[:size]
        tag: Run = {"bytes": self.seal(number, stream)[size:], "times": 1}
        return [{"bytes": b"\x00", "times": size}, tag] if size else [tag]

    def blank_runs_by_chunk(self, size: int) -> list[list[Run]]:
        """Return header and chunks of a ciphertext of zeros."""
        header: Run = {"bytes": self.salt + self.commitment, "times": 1}
        sizes = [*[CHUNK] * (size // CHUNK), size % CHUNK]
        return [[header], *(self.blank_chunk(number, length) for number, length in enumerate(sizes))]

    def blank_runs(self, size: int) -> list[Run]:
        """Return a ciphertext of zeros, but for header and tags."""
        return [run for part in self.blank_runs_by_chunk(size) for run in part]
