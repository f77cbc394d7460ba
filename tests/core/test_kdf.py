"""Every key split, compared with RFC 5869 and RFC 2104 written out from the standard library."""

import hmac
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.people import seed
from halonyx.core import kdf
from halonyx.core.kdf import (
    ChainKey,
    MessageKey,
    RootKey,
    access_key,
    directory_key,
    drop_deletion_key,
    drop_id,
    expand,
    kdf_chain,
    kdf_chunked,
    kdf_envelope,
    kdf_message,
    kdf_pqxdh,
    kdf_root,
    request_key,
    tracker_token,
)
from halonyx.core.types import FileKey, Usid

SECRET = seed("secret")
keys = st.binary(min_size=32, max_size=32)


def rfc_5869(ikm: bytes, info: bytes, size_bytes: int, salt: bytes = bytes(32)) -> bytes:
    pseudorandom_key = hmac.digest(salt, ikm, "sha256")
    block, output = b"", b""
    for number in range(1, 5):
        block = hmac.digest(pseudorandom_key, block + info + bytes([number]), "sha256")
        output += block
    return output[:size_bytes]


@given(keys, keys)
def test_root_chain(root_key: bytes, shared_secret: bytes) -> None:
    expected = rfc_5869(shared_secret, b"halonyx/1 root key\x00", 64, root_key)
    assert kdf_root(RootKey(root_key), shared_secret) == (expected[:32], expected[32:])


@given(keys)
def test_chain_gives_the_next_key_under_2_and_the_message_key_under_1(chain_key: bytes) -> None:
    following, message_key = kdf_chain(ChainKey(chain_key))
    assert following == hmac.digest(chain_key, b"\x02", "sha256")
    assert message_key == hmac.digest(chain_key, b"\x01", "sha256")


@given(keys, st.binary(min_size=16, max_size=16))
def test_message_key_and_salt_give_aes_key_and_nonce(message_key: bytes, salt: bytes) -> None:
    expected = rfc_5869(message_key, b"halonyx/1 message key\x00" + salt, 44)
    assert kdf_message(MessageKey(message_key), salt) == (expected[:32], expected[32:])


def test_another_salt_gives_another_key_and_nonce() -> None:
    first = kdf_message(MessageKey(SECRET), bytes(16))
    second = kdf_message(MessageKey(SECRET), bytes(15) + b"\x01")
    assert first[0] != second[0]
    assert first[1] != second[1]


@given(st.binary(min_size=64, max_size=192), keys)
def test_pqxdh_drops_the_reserved_third(ikm: bytes, transcript: bytes) -> None:
    okm = rfc_5869(ikm, b"halonyx/1 handshake secret\x00" + transcript, 96)
    secrets = kdf_pqxdh(ikm, transcript)
    assert secrets.root_key == okm[:32]
    assert secrets.session_id == rfc_5869(okm[64:], b"halonyx/1 session id\x00", 8)


@given(keys, st.binary(max_size=80))
def test_envelope_key(ikm: bytes, context: bytes) -> None:
    expected = rfc_5869(ikm, b"halonyx/1 envelope key\x00" + context, 44)
    assert kdf_envelope(ikm, context) == (expected[:32], expected[32:])


@pytest.mark.parametrize(
    ("derive", "label", "size_bytes"),
    [
        (directory_key, b"halonyx/1 directory key\x00", 32),
        (request_key, b"halonyx/1 request key\x00", 16),
        (access_key, b"halonyx/1 access key\x00", 16),
    ],
)
def test_keys_for_the_relay(derive: Callable[[Usid], bytes], label: bytes, size_bytes: int) -> None:
    assert derive(Usid(SECRET)) == rfc_5869(SECRET, label, size_bytes)


def test_one_secret_gives_unrelated_keys_under_each_label() -> None:
    outputs = [directory_key(Usid(SECRET))[:16], request_key(Usid(SECRET)), access_key(SECRET)]
    assert len(set(outputs)) == 3


def test_expand_joins_label_and_context_by_a_zero_byte_and_takes_a_salt() -> None:
    assert expand(SECRET, b"label", 40, b"context", b"salt") == rfc_5869(SECRET, b"label\x00context", 40, b"salt")
    assert expand(SECRET, b"label", 40) == rfc_5869(SECRET, b"label\x00", 40)
    assert expand(SECRET, b"label", 40, b"x") != expand(SECRET, b"labelx", 40)
    assert bytes(32) == kdf.ZERO_SALT


@pytest.mark.parametrize(
    ("derive", "label"),
    [
        (tracker_token, b"halonyx/1 tracker token\x00"),
        (drop_id, b"halonyx/1 drop id\x00"),
        (drop_deletion_key, b"halonyx/1 drop deletion key\x00"),
    ],
)
def test_what_a_file_key_gives(derive: Callable[[FileKey], bytes], label: bytes) -> None:
    assert derive(FileKey(SECRET)) == rfc_5869(SECRET, label, 16)


@given(keys, st.binary(min_size=24, max_size=24), st.binary(max_size=30))
def test_a_file_key_is_expanded_without_an_extraction(key: bytes, salt: bytes, context: bytes) -> None:
    info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\x00" + salt + context
    block = okm = b""
    for number in (1, 2, 3):
        block = hmac.digest(key, block + info + bytes([number]), "sha256")
        okm += block
    assert kdf_chunked(key, salt, context) == (okm[:32], okm[32:44], okm[44:76])
