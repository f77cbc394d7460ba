"""Chunked encryption: constant memory, whole chunks or nothing, and no other order, end or key than the sender's."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.people import seed
from halonyx.core import labels
from halonyx.core.chunked import (
    CHUNK_SIZE,
    HEADER_SIZE,
    MAX_CHUNKS,
    MAX_PLAINTEXT_SIZE,
    SALT_SIZE,
    SEALED_CHUNK_SIZE,
    Decryptor,
    Encryptor,
    ciphertext_size,
    plaintext_size,
)
from halonyx.core.errors import AuthenticationFailed, Malformed, Misuse
from halonyx.core.kdf import kdf_chunked
from halonyx.core.primitives import TAG_SIZE, aead_seal

KEY, SALT = seed("file key"), seed("file salt", SALT_SIZE)
LENGTHS = (0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 2 * CHUNK_SIZE, 3 * CHUNK_SIZE + 5)
BORDERS = (0, 1, TAG_SIZE - 1, TAG_SIZE, TAG_SIZE + 1)


def content(size: int) -> bytes:
    return (bytes(range(256)) * (size // 256 + 1))[:size]


def sealed(plaintext: bytes, key: bytes = KEY, salt: bytes = SALT, context: bytes = labels.FILE_CONTENT) -> bytes:
    encryptor = Encryptor(key, salt, context)
    return encryptor.header + encryptor.update(plaintext) + encryptor.finish()


def opened(ciphertext: bytes, key: bytes = KEY, context: bytes = labels.FILE_CONTENT) -> bytes:
    decryptor = Decryptor(key, ciphertext[:HEADER_SIZE], context)
    return decryptor.update(ciphertext[HEADER_SIZE:]) + decryptor.finish()


def chunks_of(ciphertext: bytes) -> list[bytes]:
    return [ciphertext[at : at + SEALED_CHUNK_SIZE] for at in range(HEADER_SIZE, len(ciphertext), SEALED_CHUNK_SIZE)]


def refused(ciphertext: bytes, *kinds: type[Exception]) -> None:
    with pytest.raises(kinds):
        opened(ciphertext)


@pytest.mark.parametrize("size", LENGTHS)
def test_what_was_encrypted_opens_and_has_the_size_computed(size: int) -> None:
    ciphertext = sealed(content(size))
    assert opened(ciphertext) == content(size)
    assert len(ciphertext) == ciphertext_size(size)
    assert plaintext_size(len(ciphertext)) == size


@pytest.mark.parametrize("size", LENGTHS)
def test_chunks_are_what_the_specification_writes(size: int) -> None:
    key, base_nonce, commitment = kdf_chunked(KEY, SALT, labels.FILE_CONTENT)
    parts = [content(size)[at : at + CHUNK_SIZE] for at in range(0, size + 1, CHUNK_SIZE)]
    nonces = [bytes(11 * [0]) + bytes([at]) for at in range(len(parts))]
    by_the_book = [
        aead_seal(key, bytes(a ^ b for a, b in zip(base_nonce, nonce, strict=True)), part, b"")
        for nonce, part in zip(nonces, parts, strict=True)
    ]
    assert sealed(content(size)) == SALT + commitment + b"".join(by_the_book)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 3 * CHUNK_SIZE), st.lists(st.integers(0, 3 * CHUNK_SIZE), max_size=6))
def test_parts_of_any_size_give_the_same_stream(size: int, cuts: list[int]) -> None:
    def parts(data: bytes) -> Iterator[bytes]:
        borders = sorted({0, *(min(cut, len(data)) for cut in cuts), len(data)})
        yield from (data[start:end] for start, end in pairwise(borders))

    encryptor, whole = Encryptor(KEY, SALT), sealed(content(size))
    assert encryptor.header + b"".join(map(encryptor.update, parts(content(size)))) + encryptor.finish() == whole
    decryptor = Decryptor(KEY, whole[:HEADER_SIZE])
    given_out = b"".join(map(decryptor.update, parts(whole[HEADER_SIZE:])))
    assert given_out == content(size)[: size - size % CHUNK_SIZE]
    assert given_out + decryptor.finish() == content(size)


@pytest.mark.parametrize("size", LENGTHS)
def test_no_border_is_an_end(size: int) -> None:
    ciphertext = sealed(content(size))
    for at in range(HEADER_SIZE, len(ciphertext) + 1, SEALED_CHUNK_SIZE):
        refused(ciphertext[:at], Malformed)
        for border in BORDERS:
            if border and at + border < len(ciphertext):
                refused(ciphertext[: at + border], Malformed if border < TAG_SIZE else AuthenticationFailed)
            if border and at - border > HEADER_SIZE:
                refused(ciphertext[: at - border], AuthenticationFailed, Malformed)
    refused(ciphertext[:-1], AuthenticationFailed, Malformed)
    for at in (0, 1, SALT_SIZE, HEADER_SIZE - 1):
        refused(ciphertext[:at], Malformed)


@pytest.mark.parametrize("size", LENGTHS)
@pytest.mark.parametrize("trailing", [1, TAG_SIZE, TAG_SIZE + 1, SEALED_CHUNK_SIZE])
def test_nothing_may_follow_the_last_chunk(size: int, trailing: int) -> None:
    refused(sealed(content(size)) + bytes(trailing), AuthenticationFailed)


def test_a_full_chunk_is_never_the_last() -> None:
    key, base_nonce, commitment = kdf_chunked(KEY, SALT, labels.FILE_CONTENT)
    full = aead_seal(key, base_nonce, content(CHUNK_SIZE), b"")
    refused(SALT + commitment + full, Malformed)
    refused(SALT + commitment + aead_seal(key, base_nonce, content(CHUNK_SIZE + 1), b""), AuthenticationFailed)


def test_chunks_keep_their_places() -> None:
    ciphertext = sealed(content(3 * CHUNK_SIZE + 5))
    header, chunks = ciphertext[:HEADER_SIZE], chunks_of(ciphertext)
    places = range(len(chunks))
    for first in places:
        refused(header + b"".join(chunks[:first] + chunks[first + 1 :]), AuthenticationFailed, Malformed)
        for second in places:
            moved = chunks.copy()
            moved.insert(second, chunks[first])  # a chunk twice
            refused(header + b"".join(moved), AuthenticationFailed)
            swapped = chunks.copy()
            swapped[first], swapped[second] = swapped[second], swapped[first]
            if first != second:
                refused(header + b"".join(swapped), AuthenticationFailed)


def test_chunks_of_another_file_are_refused_at_every_place() -> None:
    chunks = chunks_of(sealed(content(3 * CHUNK_SIZE + 5)))
    other = chunks_of(sealed(content(3 * CHUNK_SIZE + 5), salt=seed("other salt", SALT_SIZE)))
    for at in range(len(chunks)):
        mixed = [*chunks[:at], other[at], *chunks[at + 1 :]]
        refused(sealed(b"")[:HEADER_SIZE] + b"".join(mixed), AuthenticationFailed)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, ciphertext_size(CHUNK_SIZE + 5) * 8 - 1))
def test_no_bit_can_change(bit: int) -> None:
    ciphertext = bytearray(sealed(content(CHUNK_SIZE + 5)))
    ciphertext[bit // 8] ^= 1 << bit % 8
    refused(bytes(ciphertext), AuthenticationFailed)


def test_key_salt_context_and_commitment_belong_together() -> None:
    ciphertext = sealed(b"hello")
    for key, data, context in (
        (seed("another key"), ciphertext, labels.FILE_CONTENT),
        (KEY, ciphertext, b""),
        (KEY, sealed(b"", salt=seed("other salt", SALT_SIZE))[:HEADER_SIZE] + ciphertext[HEADER_SIZE:], None),
        (KEY, ciphertext[:SALT_SIZE] + bytes(32) + ciphertext[HEADER_SIZE:], None),
    ):
        with pytest.raises(AuthenticationFailed):
            opened(data, key, labels.FILE_CONTENT if context is None else context)


def test_the_commitment_is_checked_before_anything_is_decrypted() -> None:
    header = sealed(b"")[:HEADER_SIZE]
    for at in range(SALT_SIZE, HEADER_SIZE):
        with pytest.raises(AuthenticationFailed, match="commit"):
            Decryptor(KEY, header[:at] + bytes([header[at] ^ 1]) + header[at + 1 :])


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_keys_salts_and_headers_of_another_size_are_refused(size: int) -> None:
    with pytest.raises(Misuse):
        Encryptor(bytes(size), SALT)
    with pytest.raises(Misuse):
        Encryptor(KEY, bytes(size))
    with pytest.raises(Misuse):
        Decryptor(bytes(size), sealed(b"")[:HEADER_SIZE])
    with pytest.raises(Malformed):
        Decryptor(KEY, bytes(size))
    with pytest.raises(Malformed):
        Decryptor(KEY, sealed(b"")[: HEADER_SIZE + 1])


def test_a_stream_that_is_over_takes_nothing_more() -> None:
    encryptor = Encryptor(KEY, SALT)
    ciphertext = encryptor.header + encryptor.finish()
    decryptor = Decryptor(KEY, ciphertext[:HEADER_SIZE])
    decryptor.update(ciphertext[HEADER_SIZE:])
    decryptor.finish()
    for stream in (encryptor, decryptor):
        with pytest.raises(Misuse):
            stream.update(b"x")
        with pytest.raises(Misuse):
            stream.finish()


def test_after_a_refusal_nothing_comes_out() -> None:
    ciphertext = sealed(content(2 * CHUNK_SIZE))
    decryptor = Decryptor(KEY, ciphertext[:HEADER_SIZE])
    with pytest.raises(AuthenticationFailed):
        decryptor.update(bytes(SEALED_CHUNK_SIZE))
    with pytest.raises(Misuse):
        decryptor.update(ciphertext[HEADER_SIZE:])
    with pytest.raises(Misuse):
        decryptor.finish()


def test_the_chunk_counter_ends() -> None:
    encryptor, decryptor = Encryptor(KEY, SALT), Decryptor(KEY, sealed(b"")[:HEADER_SIZE])
    encryptor._index = decryptor._index = MAX_CHUNKS - 1
    decryptor.update(encryptor.update(content(CHUNK_SIZE)))
    with pytest.raises(Malformed, match="chunks"):
        encryptor.finish()
    with pytest.raises(Malformed, match="chunks"):
        decryptor.update(bytes(SEALED_CHUNK_SIZE))


def test_sizes_that_nothing_encrypts_to() -> None:
    assert plaintext_size(ciphertext_size(MAX_PLAINTEXT_SIZE)) == MAX_PLAINTEXT_SIZE
    for size in (-1, MAX_PLAINTEXT_SIZE + 1):
        with pytest.raises(Misuse):
            ciphertext_size(size)
    full = HEADER_SIZE + SEALED_CHUNK_SIZE
    beyond = ciphertext_size(MAX_PLAINTEXT_SIZE) + 1
    for size in (-1, 0, HEADER_SIZE, HEADER_SIZE + TAG_SIZE - 1, full, full + TAG_SIZE - 1, beyond, beyond + TAG_SIZE):
        with pytest.raises(Malformed):
            plaintext_size(size)


@given(st.integers(0, MAX_PLAINTEXT_SIZE))
def test_sizes_are_each_other_s_inverse(size: int) -> None:
    assert plaintext_size(ciphertext_size(size)) == size
