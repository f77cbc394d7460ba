"""Chunked encryption: a stream of any length in constant memory, each 16 KiB authenticated before it is given out.

Encryptor and Decryptor change as they go, as `hashlib`'s objects do, because a file does not fit into one value.

Source: spec/files.md, "Encryption"; https://c2sp.org/chunked-encryption with AEAD_AES_256_GCM and SHA-256.
"""

from typing import Final

from halonyx.core import labels
from halonyx.core.errors import AuthenticationFailed, HalonyxError, Malformed, Misuse
from halonyx.core.kdf import COMMITMENT_SIZE, kdf_chunked
from halonyx.core.primitives import NONCE_SIZE, TAG_SIZE, aead_key, aead_open, aead_seal, equal

SALT_SIZE: Final = 24
HEADER_SIZE: Final = SALT_SIZE + COMMITMENT_SIZE
CHUNK_SIZE: Final = 16_384
SEALED_CHUNK_SIZE: Final = CHUNK_SIZE + TAG_SIZE
MAX_CHUNKS: Final = 2**38  # the format's own limit
MAX_PLAINTEXT_SIZE: Final = MAX_CHUNKS * CHUNK_SIZE - 1  # the last chunk is never full


def ciphertext_size(plaintext_size: int) -> int:
    """Return how many bytes a plaintext of 0 to 2^52 - 1 bytes becomes (Misuse if more)."""
    if not 0 <= plaintext_size <= MAX_PLAINTEXT_SIZE:
        raise Misuse(f"0 to {MAX_PLAINTEXT_SIZE} bytes can be encrypted")
    return HEADER_SIZE + plaintext_size + (plaintext_size // CHUNK_SIZE + 1) * TAG_SIZE


def plaintext_size(ciphertext_size: int) -> int:
    """Return how many bytes a ciphertext of this size holds.

    Raises:
        Malformed: No plaintext becomes a ciphertext of this size.
    """
    full, last = divmod(ciphertext_size - HEADER_SIZE, SEALED_CHUNK_SIZE)
    if not 0 <= full < MAX_CHUNKS or last < TAG_SIZE:
        raise Malformed(f"nothing encrypts to {ciphertext_size} bytes")
    return full * CHUNK_SIZE + last - TAG_SIZE


class _Chunks:
    """What both directions share: the key, prepared once, nonces in turn, and bytes held until a chunk is full.

    Args:
        key: 32 random bytes.
        salt: 24 bytes.
        context: What the file is for.
        size: Bytes of a full chunk as it comes in.
    """

    __slots__ = ("_base_nonce", "_held", "_index", "_is_over", "_key", "_size", "commitment")

    def __init__(self, key: bytes, salt: bytes, context: bytes, size: int) -> None:
        raw, base_nonce, self.commitment = kdf_chunked(key, salt, context)
        self._key = aead_key(raw)
        self._base_nonce = int.from_bytes(base_nonce, "big")
        self._size = size
        self._index = 0
        self._held = b""
        self._is_over = False

    def _take(self, data: bytes) -> list[memoryview]:
        """Return every chunk that is full now, and hold the rest."""
        if self._is_over:
            raise Misuse("this stream is over")
        whole = memoryview(self._held + data if self._held else data)
        end = len(whole) - len(whole) % self._size
        self._held = bytes(whole[end:])
        return [whole[at : at + self._size] for at in range(0, end, self._size)]

    def _last(self) -> bytes:
        """Return what is held, and end the stream."""
        if self._is_over:
            raise Misuse("this stream is over")
        self._is_over = True
        return self._held

    def _nonce(self) -> bytes:
        """Return the next chunk's nonce: the base nonce XOR the chunk's number."""
        if self._index >= MAX_CHUNKS:
            raise Malformed(f"more than {MAX_CHUNKS} chunks")
        nonce = (self._base_nonce ^ self._index).to_bytes(NONCE_SIZE, "big")
        self._index += 1
        return nonce


class Encryptor(_Chunks):
    """Encrypts one stream.

    Args:
        key: 32 random bytes.
        salt: 24 fresh random bytes. A second Encryptor with the same key and salt, for a file that is read again after
            an interruption and may have changed since, would use keys and nonces twice and give the content away.
        context: What the file is for.

    Raises:
        Misuse: A key or salt of another size.

    Attributes:
        header: The first 56 bytes of the ciphertext: salt and commitment.
    """

    __slots__ = ("header",)

    def __init__(self, key: bytes, salt: bytes, context: bytes = labels.FILE_CONTENT) -> None:
        if len(key) != 32 or len(salt) != SALT_SIZE:
            raise Misuse(f"a file key is 32 bytes and a salt {SALT_SIZE}")
        super().__init__(key, salt, context, CHUNK_SIZE)
        self.header = salt + self.commitment

    def update(self, data: bytes) -> bytes:
        """Return the ciphertext of every chunk that `data` fills; at most 16,383 bytes are held back.

        Raises:
            Misuse: After `finish`.
            Malformed: More than 2^38 chunks.
        """
        return b"".join([aead_seal(self._key, self._nonce(), chunk, b"") for chunk in self._take(data)])

    def finish(self) -> bytes:
        """Return the last chunk, 16 to 16,399 bytes, which by being short says that it is the last."""
        return aead_seal(self._key, self._nonce(), self._last(), b"")


class Decryptor(_Chunks):
    """Decrypts one stream; what it gives out is authentic, and complete once `finish` has returned.

    Args:
        key: 32 bytes.
        header: The first 56 bytes of the ciphertext.
        context: What the file is for.

    Raises:
        Malformed: A header of another size.
        AuthenticationFailed: The header does not commit to this key.
        Misuse: A key of another size.
    """

    __slots__ = ()

    def __init__(self, key: bytes, header: bytes, context: bytes = labels.FILE_CONTENT) -> None:
        if len(key) != 32:
            raise Misuse("a file key is 32 bytes")
        if len(header) != HEADER_SIZE:
            raise Malformed(f"a header of {len(header)} bytes, expected {HEADER_SIZE}")
        super().__init__(key, header[:SALT_SIZE], context, SEALED_CHUNK_SIZE)
        if not equal(self.commitment, header[SALT_SIZE:]):
            raise AuthenticationFailed("the ciphertext does not commit to this key")

    def update(self, ciphertext: bytes) -> bytes:
        """Return the plaintext of every chunk that `ciphertext` fills; at most 16,399 bytes are held back.

        Raises:
            AuthenticationFailed: A chunk altered, swapped, repeated, left out or of another file.
            Malformed: More than 2^38 chunks.
            Misuse: After `finish` or a refusal.
        """
        chunks = self._take(ciphertext)
        try:
            return b"".join([aead_open(self._key, self._nonce(), chunk, b"") for chunk in chunks])
        except HalonyxError:
            self._is_over = True
            raise

    def finish(self) -> bytes:
        """Return the last chunk, 0 to 16,383 bytes.

        Raises:
            Malformed: The ciphertext ends at a chunk's border or within a tag: it was cut off.
            AuthenticationFailed: It was cut off elsewhere, or altered.
            Misuse: After `finish` or a refusal.
        """
        last = self._last()
        if len(last) < TAG_SIZE:
            raise Malformed("the ciphertext is cut off")
        return aead_open(self._key, self._nonce(), last, b"")
