"""Our wrappers: what the library accepts and the specification forbids is refused, and nothing else is."""

import hashlib
import hmac
from collections.abc import Callable
from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from core.people import key_pair, seed, signing_key
from core.strict import bit_flips
from halonyx.core import primitives
from halonyx.core.errors import AuthenticationFailed, BadKey, BadSignature, Malformed, Misuse
from halonyx.core.field import FIELD_PRIME
from halonyx.core.primitives import (
    KemKeyPair,
    KemPublicKey,
    KeyPair,
    PostQuantumSigningKey,
    PostQuantumVerifyKey,
    PublicKey,
    SigningKey,
    VerifyKey,
    aead_key,
    aead_open,
    aead_seal,
    argon2id,
    equal,
    hkdf,
    hkdf_expand,
    hmac_sha256,
    hmac_sha256_pair,
    sha256,
    sha512,
)

KEY = seed("aes key")
NONCE = seed("nonce", 12)
LABEL = b"halonyx/1 test"
# RFC 7748 curve25519 points of small order, canonical spellings (u-coordinates of order 1, 2, 4 and 8).
LOW_ORDER_U = [
    bytes(32),
    (1).to_bytes(32, "little"),
    (FIELD_PRIME - 1).to_bytes(32, "little"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
]
# The eight points of small order on edwards25519 and the spellings that reduce to them.
SMALL_ORDER_ED = [
    y.to_bytes(32, "little")[:31] + bytes([y.to_bytes(32, "little")[31] | sign])
    for y in (
        0,
        1,
        FIELD_PRIME - 1,
        FIELD_PRIME,
        FIELD_PRIME + 1,
        int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"),
        int.from_bytes(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little"),
    )
    for sign in (0x00, 0x80)
]


@given(st.binary(max_size=200), st.binary(max_size=80))
def test_hashes_are_the_standard_librarys(data: bytes, key: bytes) -> None:
    assert sha256(data) == hashlib.sha256(data).digest()
    assert sha512(data) == hashlib.sha512(data).digest()
    expected = hmac.new(key, data, hashlib.sha256).digest()
    assert hmac_sha256(key, data) == expected
    assert hmac_sha256_pair(key, data, b"") == (expected, hmac.new(key, b"", hashlib.sha256).digest())


def test_equal_compares_all() -> None:
    assert equal(b"same", b"same")
    assert not equal(b"same", b"sane")
    assert not equal(b"same", b"same ")


@given(st.binary(max_size=60), st.binary(max_size=40), st.binary(max_size=40), st.integers(1, 200))
def test_hkdf_is_rfc_5869_written_out(ikm: bytes, info: bytes, salt: bytes, size_bytes: int) -> None:
    pseudorandom_key = hmac.digest(salt or bytes(32), ikm, "sha256")
    block, output = b"", b""
    for number in range(1, 8):
        block = hmac.digest(pseudorandom_key, block + info + bytes([number]), "sha256")
        output += block
    assert hkdf(ikm, info, size_bytes, salt) == output[:size_bytes]


@pytest.mark.parametrize("size_bytes", [-1, 0, 8161])
def test_hkdf_of_an_impossible_size_is_misuse(size_bytes: int) -> None:
    assert len(hkdf(KEY, b"", 8160)) == 8160
    with pytest.raises(Misuse):
        hkdf(KEY, b"", size_bytes)


@given(st.binary(max_size=64), st.binary(max_size=40), st.integers(1, 200))
def test_hkdf_expand_is_the_second_half_of_hkdf(ikm: bytes, info: bytes, size_bytes: int) -> None:
    assert hkdf_expand(hmac_sha256(bytes(32), ikm), info, size_bytes) == hkdf(ikm, info, size_bytes)


@pytest.mark.parametrize(("key_bytes", "size_bytes"), [(0, 32), (31, 32), (32, 0), (32, -1), (32, 8161)])
def test_hkdf_expand_of_impossible_sizes_is_misuse(key_bytes: int, size_bytes: int) -> None:
    assert len(hkdf_expand(bytes(32), b"", 8160)) == 8160
    with pytest.raises(Misuse):
        hkdf_expand(bytes(key_bytes), b"", size_bytes)


def test_argon2id_gives_what_the_reference_implementation_gives() -> None:
    # From argon2-cffi 25.1, the reference C code, with t=3, m=65536, p=4: no published vector has these parameters.
    expected = "853b272a44db1421c02962669a55eb0994f3cab385ed1c4c79253eee19bab49e"
    assert argon2id(b"correct horse battery staple", bytes(range(16))).hex() == expected


@pytest.mark.parametrize("size_bytes", [0, 8, 15, 17])
def test_argon2id_takes_a_salt_of_16_bytes(size_bytes: int) -> None:
    with pytest.raises(Misuse):
        argon2id(b"passphrase", bytes(size_bytes))


@given(st.binary(max_size=100), st.binary(max_size=30))
def test_aead_round_trips_and_adds_a_tag(plaintext: bytes, associated_data: bytes) -> None:
    sealed = aead_seal(KEY, NONCE, plaintext, associated_data)
    assert len(sealed) == len(plaintext) + 16
    assert aead_open(KEY, NONCE, sealed, associated_data) == plaintext


def test_a_prepared_key_is_the_same_key() -> None:
    sealed = aead_seal(aead_key(KEY), NONCE, b"plaintext", b"data")
    assert sealed == aead_seal(KEY, NONCE, b"plaintext", b"data")
    assert aead_open(aead_key(KEY), NONCE, sealed, b"data") == b"plaintext"
    for size_bytes in (0, 16, 31, 33):
        with pytest.raises(Misuse):
            aead_key(bytes(size_bytes))
    with pytest.raises(Misuse):
        aead_seal(aead_key(KEY), NONCE[1:], b"", b"")
    with pytest.raises(Misuse):
        aead_open(aead_key(KEY), NONCE[1:], bytes(16), b"")


def test_aead_refuses_every_flipped_bit_of_every_input() -> None:
    sealed = aead_seal(KEY, NONCE, b"plaintext", b"data")
    inputs = [KEY, NONCE, sealed, b"data"]
    for at, value in enumerate(inputs):
        for flipped in bit_flips(value):
            changed = inputs.copy()
            changed[at] = flipped
            with pytest.raises(AuthenticationFailed):
                aead_open(*changed)


@pytest.mark.parametrize("size_bytes", range(16))
def test_aead_refuses_what_is_shorter_than_a_tag(size_bytes: int) -> None:
    with pytest.raises(AuthenticationFailed):
        aead_open(KEY, NONCE, bytes(size_bytes), b"")


@pytest.mark.parametrize("size_bytes", [0, 8, 11, 13, 16])
def test_a_nonce_that_is_not_12_bytes_is_misuse(size_bytes: int) -> None:
    with pytest.raises(Misuse):
        aead_seal(KEY, bytes(size_bytes), b"", b"")
    with pytest.raises(Misuse):
        aead_open(KEY, bytes(size_bytes), bytes(16), b"")


@pytest.mark.parametrize("size_bytes", [0, 16, 24, 31, 33])
def test_a_key_that_is_not_32_bytes_is_misuse(size_bytes: int) -> None:
    with pytest.raises(Misuse):
        aead_seal(bytes(size_bytes), NONCE, b"", b"")
    with pytest.raises(Misuse):
        aead_open(bytes(size_bytes), NONCE, bytes(16), b"")


@pytest.mark.parametrize("size_bytes", [0, 31, 33])
def test_keys_of_another_size_are_malformed(size_bytes: int) -> None:
    decoders = (PublicKey, KeyPair.from_private, VerifyKey, SigningKey.from_seed, PostQuantumSigningKey.from_seed)
    for decode in decoders:
        with pytest.raises(Malformed):
            decode(bytes(size_bytes))


@pytest.mark.parametrize("u", [FIELD_PRIME, FIELD_PRIME + 1, FIELD_PRIME + 18, 2**255, 2**255 + 9, 2**256 - 1])
def test_a_non_canonical_x25519_key_is_bad(u: int) -> None:
    raw = u.to_bytes(32, "little")
    X25519PublicKey.from_public_bytes(raw)  # the library does not mind
    with pytest.raises(BadKey):
        PublicKey(raw)


@pytest.mark.parametrize("u", [9, FIELD_PRIME - 2, FIELD_PRIME - 1, 2**255 - 20 - 2**200])
def test_the_largest_canonical_x25519_keys_are_taken(u: int) -> None:
    assert PublicKey(u.to_bytes(32, "little")).raw == u.to_bytes(32, "little")


@given(st.binary(min_size=32, max_size=32))
def test_an_x25519_key_is_taken_exactly_when_canonical(raw: bytes) -> None:
    if int.from_bytes(raw, "little") < FIELD_PRIME:
        PublicKey(raw)
    else:
        with pytest.raises(BadKey):
            PublicKey(raw)


@pytest.mark.parametrize("raw", LOW_ORDER_U, ids=lambda raw: raw[:4].hex())
def test_an_all_zero_shared_secret_is_a_bad_key(raw: bytes) -> None:
    with pytest.raises(BadKey):
        key_pair("ours").exchange(PublicKey(raw))


def test_both_sides_of_an_exchange_agree() -> None:
    ours, theirs = key_pair("ours"), key_pair("theirs")
    assert ours.exchange(theirs.public) == theirs.exchange(ours.public)
    assert ours.exchange(theirs.public) != ours.exchange(ours.public)


def test_key_pairs_store_and_load() -> None:
    ours = KeyPair.generate()
    assert KeyPair.from_private(ours.private_raw()) == ours
    assert KeyPair.generate() != ours


@pytest.mark.parametrize("raw", SMALL_ORDER_ED, ids=lambda raw: raw[:2].hex() + raw[31:].hex())
def test_a_small_order_ed25519_key_is_bad(raw: bytes) -> None:
    with pytest.raises(BadKey):
        VerifyKey(raw)


def test_without_our_check_one_signature_would_fit_every_message() -> None:
    identity_point = b"\x01" + bytes(31)
    forged = identity_point + bytes(32)
    Ed25519PublicKey.from_public_bytes(identity_point).verify(forged, b"any message at all")
    with pytest.raises(BadKey):
        VerifyKey(identity_point)


@pytest.mark.parametrize("y", [FIELD_PRIME + 2, FIELD_PRIME + 18])
def test_a_non_canonical_ed25519_key_is_bad(y: int) -> None:
    for raw in (y.to_bytes(32, "little"), (y | 1 << 255).to_bytes(32, "little")):
        with pytest.raises(BadKey):
            VerifyKey(raw)


def test_a_signature_covers_label_and_body() -> None:
    key = signing_key("ours")
    signature = key.sign(LABEL, b"body")
    key.public.verify(LABEL, b"body", signature)
    assert len(signature) == 64
    for label, body in ((LABEL, b"bodY"), (LABEL + b"s", b"body"), (LABEL, b""), (LABEL[:-1], b"t\x00body")):
        with pytest.raises(BadSignature):
            key.public.verify(label, body, signature)
    with pytest.raises(BadSignature):
        signing_key("theirs").public.verify(LABEL, b"body", signature)


def test_label_and_body_are_joined_by_a_zero_byte() -> None:
    key = signing_key("ours")
    assert key.sign(LABEL, b"body") == key.private.sign(LABEL + b"\x00body")


def test_an_ed25519_signature_is_refused_with_any_bit_flipped() -> None:
    key = signing_key("ours")
    for flipped in bit_flips(key.sign(LABEL, b"body")):
        with pytest.raises(BadSignature):
            key.public.verify(LABEL, b"body", flipped)


@pytest.mark.parametrize("size_bytes", [0, 63, 65])
def test_an_ed25519_signature_of_another_size_is_bad(size_bytes: int) -> None:
    with pytest.raises(BadSignature):
        signing_key("ours").public.verify(LABEL, b"body", bytes(size_bytes))


def test_a_key_that_is_no_point_verifies_nothing() -> None:
    no_point = VerifyKey(b"\x02" + bytes(31))  # y = 2 is on no point of the curve
    with pytest.raises(BadSignature):
        no_point.verify(LABEL, b"body", bytes(64))


def test_signing_keys_store_and_load() -> None:
    ours = SigningKey.generate()
    assert SigningKey.from_seed(ours.seed()) == ours
    assert SigningKey.generate() != ours


def test_ml_dsa_signs_the_body_with_the_label_as_context() -> None:
    key = PostQuantumSigningKey.from_seed(seed("mldsa"))
    signature = key.sign(LABEL, b"body")
    key.public.verify(LABEL, b"body", signature)
    assert len(signature) == 3309
    key.private.public_key().verify(signature, b"body", LABEL)
    for label, body in ((LABEL, b"bodY"), (LABEL + b"s", b"body"), (b"", b"body"), (b"", LABEL + b"\x00body")):
        with pytest.raises(BadSignature):
            key.public.verify(label, body, signature)


@pytest.mark.parametrize("at", [0, 31, 32, 1600, 3247, 3308])
def test_an_ml_dsa_signature_is_refused_with_a_bit_flipped(at: int) -> None:
    key = PostQuantumSigningKey.from_seed(seed("mldsa"))
    signature = bytearray(key.sign(LABEL, b"body"))
    signature[at] ^= 1
    with pytest.raises(BadSignature):
        key.public.verify(LABEL, b"body", bytes(signature))


@pytest.mark.parametrize("size_bytes", [0, 3308, 3310])
def test_an_ml_dsa_signature_of_another_size_is_bad(size_bytes: int) -> None:
    with pytest.raises(BadSignature):
        PostQuantumSigningKey.from_seed(seed("mldsa")).public.verify(LABEL, b"body", bytes(size_bytes))


@pytest.mark.parametrize("size_bytes", [0, 1312, 1951, 1953])
def test_an_ml_dsa_key_of_another_size_is_malformed(size_bytes: int) -> None:
    with pytest.raises(Malformed):
        PostQuantumVerifyKey(bytes(size_bytes))


@pytest.mark.parametrize("make", [KemKeyPair.generate_768, KemKeyPair.generate_1024])
def test_ml_kem_encapsulates_freshly_and_decapsulates(make: Callable[[], KemKeyPair]) -> None:
    pair = make()
    (first, secret), (second, other) = pair.public.encapsulate(), pair.public.encapsulate()
    assert pair.decapsulate(first) == secret
    assert pair.decapsulate(second) == other
    assert first != second
    assert len(secret) == 32
    assert len(first) == (1088 if len(pair.public.raw) == 1184 else 1568)


def test_ml_kem_pairs_store_and_load() -> None:
    small, large = KemKeyPair.generate_768(), KemKeyPair.generate_1024()
    assert KemKeyPair.from_seed_768(small.seed()) == small
    assert KemKeyPair.from_seed_1024(large.seed()) == large
    assert len(small.seed()) == len(large.seed()) == 64


@pytest.mark.parametrize("size_bytes", [0, 32, 63, 65])
def test_an_ml_kem_seed_of_another_size_is_malformed(size_bytes: int) -> None:
    for load in (KemKeyPair.from_seed_768, KemKeyPair.from_seed_1024):
        with pytest.raises(Malformed):
            load(bytes(size_bytes))


@pytest.mark.parametrize("size_bytes", [0, 800, 1183, 1185, 1567, 1569])
def test_an_ml_kem_key_of_another_size_is_malformed(size_bytes: int) -> None:
    with pytest.raises(Malformed):
        KemPublicKey(bytes(size_bytes))


@pytest.mark.parametrize("size_bytes", [1184, 1568])
def test_an_ml_kem_key_with_a_coefficient_over_the_modulus_is_bad(size_bytes: int) -> None:
    KemPublicKey(bytes(size_bytes))
    with pytest.raises(BadKey):
        KemPublicKey(b"\xff\xff\xff" + bytes(size_bytes - 3))
    with pytest.raises(BadKey):
        KemPublicKey(b"\x01\x0d\x00" + bytes(size_bytes - 3))  # 0xd01 = 3,329 = q


@pytest.mark.parametrize("size_bytes", [0, 1087, 1089, 1568])
def test_an_ml_kem_ciphertext_of_another_size_is_malformed(size_bytes: int) -> None:
    with pytest.raises(Malformed):
        KemKeyPair.from_seed_768(seed("kem", 64)).decapsulate(bytes(size_bytes))


@pytest.mark.parametrize("at", [0, 500, 1087])
def test_an_altered_ml_kem_ciphertext_gives_another_secret_and_no_error(at: int) -> None:
    pair = KemKeyPair.from_seed_768(seed("kem", 64))
    ciphertext, secret = pair.public.encapsulate()
    altered = bytearray(ciphertext)
    altered[at] ^= 1
    assert pair.decapsulate(bytes(altered)) != secret
    assert pair.decapsulate(bytes(altered)) == pair.decapsulate(bytes(altered))


@given(st.binary(min_size=32, max_size=32))
def test_random_keys_raise_only_our_errors(raw: bytes) -> None:
    try:
        VerifyKey(raw).verify(LABEL, b"body", bytes(64))
    except (BadKey, BadSignature):
        pass
    else:
        pytest.fail("a random key accepted an empty signature")
    with suppress(BadKey):
        KeyPair.from_private(raw).exchange(PublicKey(raw))


def test_sizes_are_the_standards() -> None:
    assert (primitives.NONCE_SIZE, primitives.TAG_SIZE) == (12, 16)
    assert FIELD_PRIME == 2**255 - 19
