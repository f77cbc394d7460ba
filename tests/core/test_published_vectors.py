"""RFC, FIPS, NIST and C2SP vectors through our wrappers, from the package `cryptography_vectors`."""

import base64
import json
import zlib
from collections.abc import Iterator

import cryptography_vectors
import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from halonyx.core.chunked import HEADER_SIZE, SALT_SIZE, Decryptor, Encryptor
from halonyx.core.errors import AuthenticationFailed, BadKey, Malformed, Misuse
from halonyx.core.kdf import kdf_chunked
from halonyx.core.primitives import (
    KemKeyPair,
    KeyPair,
    PostQuantumSigningKey,
    PublicKey,
    SigningKey,
    aead_open,
    aead_seal,
    hkdf,
    hmac_sha256,
    sha256,
)

Fields = dict[str, str]


def records(path: str, last: str) -> Iterator[Fields]:
    """Yield the blocks of a NIST response file as `name = value`, each ending with the field named `last`.

    Lines in brackets are section values; they go into every block that follows.
    """
    fields: Fields = {}
    with cryptography_vectors.open_vector_file(path, "r") as file:
        for line in file:
            name, equals, value = line.strip().strip("[]").partition("=")
            if line.strip() == "FAIL":
                yield {**fields, last: "FAIL"}
            elif equals and not line.startswith("#"):
                fields[name.strip()] = value.strip()
                if name.strip() == last:
                    yield dict(fields)


def unhex(fields: Fields, *names: str) -> list[bytes]:
    return [bytes.fromhex(fields[name]) for name in names]


@pytest.mark.parametrize("path", ["rfc-5869-HKDF-SHA256.txt", "hkdf-generated.txt"])
def test_hkdf_rfc_5869(path: str) -> None:
    count = 0
    for fields in records(f"KDF/{path}", "OKM"):
        if fields["Hash"] in ("SHA-256", "SHA256"):
            ikm, salt, info, expected = unhex(fields, "IKM", "salt", "info", "OKM")
            assert hkdf(ikm, info, int(fields["L"]), salt) == expected
            count += 1
    assert count > 0


def test_hmac_rfc_4231() -> None:
    blocks = list(records("HMAC/rfc-4231-sha256.txt", "MD"))
    for fields in blocks:
        key, message, expected = unhex(fields, "Key", "Msg", "MD")
        assert hmac_sha256(key, message)[: len(expected)] == expected
    assert len(blocks) >= 6


def test_aes_gcm_nist_encrypt() -> None:
    count = 0
    for fields in records("ciphers/AES/GCM/gcmEncryptExtIV256.rsp", "Tag"):
        if (fields["IVlen"], fields["Taglen"]) == ("96", "128"):
            key, nonce, data, plaintext, ciphertext, tag = unhex(fields, "Key", "IV", "AAD", "PT", "CT", "Tag")
            assert aead_seal(key, nonce, plaintext, data) == ciphertext + tag
            count += 1
    assert count == 375


def test_aes_gcm_nist_decrypt() -> None:
    opened = refused = 0
    for fields in records("ciphers/AES/GCM/gcmDecrypt256.rsp", "PT"):
        if (fields["IVlen"], fields["Taglen"]) != ("96", "128"):
            continue
        key, nonce, data, ciphertext, tag = unhex(fields, "Key", "IV", "AAD", "CT", "Tag")
        if fields["PT"] == "FAIL":
            refused += 1
            with pytest.raises(AuthenticationFailed):
                aead_open(key, nonce, ciphertext + tag, data)
        else:
            opened += 1
            assert aead_open(key, nonce, ciphertext + tag, data) == bytes.fromhex(fields["PT"])
    assert opened + refused == 375
    assert refused > 0


def test_x25519_rfc_7748() -> None:
    blocks = list(records("asymmetric/X25519/rfc7748.txt", "OUTPUT_U"))
    non_canonical = 0
    for fields in blocks:
        scalar, u, expected = unhex(fields, "INPUT_SCALAR", "INPUT_U", "OUTPUT_U")
        if u[31] & 0x80:
            # The RFC masks the top bit; we have one encoding for a key.
            non_canonical += 1
            with pytest.raises(BadKey):
                PublicKey(u)
            u = u[:31] + bytes([u[31] & 0x7F])
        assert KeyPair.from_private(scalar).exchange(PublicKey(u)) == expected
    assert len(blocks) >= 3
    assert non_canonical == 1


def test_ed25519_rfc_8032() -> None:
    count = 0
    with cryptography_vectors.open_vector_file("asymmetric/Ed25519/sign.input", "r") as file:
        for line in file:
            private, public, message, signed = (bytes.fromhex(part) for part in line.strip().split(":")[:4])
            key = SigningKey.from_seed(private[:32])
            assert key.public.raw == public
            # The wrapper's message is label ‖ 0x00 ‖ body, so signing is compared below the label.
            assert key.private.sign(message) == signed[:64]
            key.public._verify(message, signed[:64])
            count += 1
    assert count == 1024


@pytest.mark.parametrize("size", [768, 1024])
def test_ml_kem_fips_203(size: int) -> None:
    load = KemKeyPair.from_seed_768 if size == 768 else KemKeyPair.from_seed_1024
    count = 0
    for fields in records(f"asymmetric/MLKEM/kat_MLKEM_{size}.rsp", "ss"):
        d, z, public, ciphertext, secret = unhex(fields, "d", "z", "pk", "ct", "ss")
        altered, rejected = unhex(fields, "ct_n", "ss_n")
        pair = load(d + z)
        assert pair.public.raw == public
        assert pair.decapsulate(ciphertext) == secret
        assert pair.decapsulate(altered) == rejected
        count += 1
    assert count == 1000


def test_ml_dsa_65_fips_204() -> None:
    count = 0
    for fields in records("asymmetric/MLDSA/kat_MLDSA_65_det_pure.rsp", "ctx"):
        seed, public, message, context, signed = unhex(fields, "xi", "pk", "msg", "ctx", "sm")
        key = PostQuantumSigningKey.from_seed(seed)
        assert key.public.raw == public
        key.public.verify(context, message, signed[:3309])
        count += 1
    assert count == 100


def test_argon2id_rfc_9106() -> None:
    # The wrapper fixes 64 MiB and no secret, which no published vector uses; this shows that the library is right,
    # and test_primitives.py shows that the wrapper asks it for t=3, 64 MiB, p=4.
    fields = next(records("KDF/argon2id.txt", "output"))
    secret, password, salt, data, expected = unhex(fields, "secret", "pass", "salt", "ad", "output")
    kdf = Argon2id(salt=salt, length=32, iterations=3, lanes=4, memory_cost=32, ad=data, secret=secret)
    assert kdf.derive(password) == expected


def test_chunked_encryption_c2sp() -> None:
    with cryptography_vectors.open_vector_file("chunked-encryption/vectors.json", "r") as file:
        vectors = [vector for vector in json.load(file)["vectors"] if vector["aead"] == "AEAD_AES_256_GCM"]
    opened = refused = 0
    for vector in vectors:
        key, context = bytes.fromhex(vector["key"]), vector["context"].encode()
        data = base64.b64decode(vector["ciphertext"] or "")
        data = zlib.decompress(data) if vector.get("compressed") else data
        if vector["expect"] == "failure":
            with pytest.raises((AuthenticationFailed, Malformed, Misuse)):
                decrypt_chunks(key, data, context)
            refused += 1
            continue
        plaintext = decrypt_chunks(key, data, context)
        values = kdf_chunked(key, data[:SALT_SIZE], context)
        assert (sha256(plaintext).hex(), len(plaintext)) == (vector["payload_sha256"], vector["payload_length"])
        assert (values[0].hex(), values[1].hex()) == (vector["aead_key"], vector["base_nonce"])
        encryptor = Encryptor(key, data[:SALT_SIZE], context)
        assert encryptor.header + encryptor.update(plaintext) + encryptor.finish() == data
        opened += 1
    assert (opened, refused) == (9, 25)


def decrypt_chunks(key: bytes, data: bytes, context: bytes) -> bytes:
    decryptor = Decryptor(key, data[:HEADER_SIZE], context)
    return decryptor.update(data[HEADER_SIZE:]) + decryptor.finish()
