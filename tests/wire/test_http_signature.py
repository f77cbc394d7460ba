"""Signed calls: one spelling, everything that matters under the signature."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halonyx.core.errors import BadSignature, Malformed, Misuse
from halonyx.core.labels import REST_REQUEST
from halonyx.core.primitives import SigningKey
from halonyx.core.types import Address
from halonyx.wire.http_signature import Claim, KeyId, Signer, Target, content_digest, parse, sign

KEY = SigningKey.from_seed(bytes(range(32)))
SIGNER = Signer(KeyId(Address(bytes.fromhex("ab" * 32)), 7), KEY)
TARGET = Target("PUT", "relay.example:8443", "/v1/prekeys")
BODY = b'{"prekeys":[]}'
CREATED = 1_800_000_000


def headers() -> dict[str, str]:
    signed = sign(SIGNER, TARGET, BODY, created=CREATED, nonce=bytes(range(16)))
    return {name.lower(): value for name, value in signed.items()}


def accept(given_headers: dict[str, str], target: Target = TARGET, body: bytes = BODY) -> Claim:
    claim = parse(given_headers, target, body)
    claim.verify(KEY.public)
    return claim


def test_a_call_is_signed_and_verified() -> None:
    claim = accept(headers())

    assert (claim.key_id, claim.created) == (SIGNER.key_id, CREATED)
    assert claim.nonce == "AAECAwQFBgcICQoLDA0ODw"


def test_the_headers_are_spelled_as_the_specification_says() -> None:
    signed = headers()

    assert signed["content-digest"] == content_digest(BODY)
    assert signed["signature-input"] == (
        'halonyx=("@method" "@authority" "@path" "content-digest");created=1800000000;'
        f'nonce="AAECAwQFBgcICQoLDA0ODw";keyid="{"ab" * 32}.7";alg="ed25519"'
    )
    base = (
        '"@method": PUT\n"@authority": relay.example:8443\n"@path": /v1/prekeys\n'
        f'"content-digest": {signed["content-digest"]}\n'
        f'"@signature-params": {signed["signature-input"].removeprefix("halonyx=")}'
    )
    signature = base64.b64decode(signed["signature"].removeprefix("halonyx=:").removesuffix(":"))
    KEY.public.verify(REST_REQUEST, base.encode(), signature)


def test_the_host_name_has_no_case() -> None:
    accept(headers(), Target("PUT", "Relay.Example:8443", "/v1/prekeys"))


@pytest.mark.parametrize(
    "target",
    [
        Target("POST", "relay.example:8443", "/v1/prekeys"),
        Target("PUT", "relay.example", "/v1/prekeys"),
        Target("PUT", "relay.example:8443", "/v1/account"),
    ],
)
def test_another_target_does_not_verify(target: Target) -> None:
    with pytest.raises(BadSignature):
        accept(headers(), target)


def test_another_body_is_malformed() -> None:
    with pytest.raises(Malformed):
        accept(headers(), body=BODY + b" ")


def test_another_key_does_not_verify() -> None:
    with pytest.raises(BadSignature):
        parse(headers(), TARGET, BODY).verify(SigningKey.generate().public)


@pytest.mark.parametrize("name", ["content-digest", "signature-input", "signature"])
def test_each_header_is_needed(name: str) -> None:
    with pytest.raises(Malformed):
        accept({key: value for key, value in headers().items() if key != name})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("created=1800000000", "created=1800000001"),
        ('nonce="A', 'nonce="B'),
        ('keyid="a', 'keyid="b'),
        (".7", ".8"),
    ],
)
def test_every_parameter_is_signed(old: str, new: str) -> None:
    changed = headers()
    changed["signature-input"] = changed["signature-input"].replace(old, new)

    with pytest.raises(BadSignature):
        accept(changed)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("halonyx=", "other="),
        ("halonyx=", " halonyx="),
        ('"@method" ', ""),
        ('"@method" "@authority"', '"@authority" "@method"'),
        ('"@path"', '"@path";req'),
        (";created", "; created"),
        ("created=1800000000", "created=01800000000"),
        ("created=1800000000", "created=-1"),
        ("created=1800000000", "created=1800000000;expires=1900000000"),
        (";created=1800000000", ""),
        ("abab", "ABAB"),
        (".7", ""),
        (".7", ".07"),
        (".7", ".256"),
        (".7", ".-1"),
        ("ed25519", "rsa-v1_5-sha256"),
        (';alg="ed25519"', ""),
        (';alg="ed25519"', ';alg="ed25519"\n'),
        (';alg="ed25519"', ';alg="ed25519", other=()'),
    ],
)
def test_other_spellings_are_malformed(old: str, new: str) -> None:
    changed = headers()
    assert old in changed["signature-input"]
    changed["signature-input"] = changed["signature-input"].replace(old, new, 1)

    with pytest.raises(Malformed):
        accept(changed)


@pytest.mark.parametrize("change", ["sha-256=", "sha-512=", "SHA-256="])
def test_other_digests_are_malformed(change: str) -> None:
    changed = headers()
    changed["content-digest"] = changed["content-digest"].replace("sha-256=", change) + (
        ", sha-512=:AA==:" if change == "sha-256=" else ""
    )

    with pytest.raises(Malformed):
        accept(changed)


def test_the_signature_has_one_encoding() -> None:
    changed = headers()
    text = changed["signature"]
    at = text.index("==:") - 1
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    changed["signature"] = text[:at] + alphabet[alphabet.index(text[at]) ^ 1] + text[at + 1 :]

    with pytest.raises(Malformed):
        accept(changed)


@pytest.mark.parametrize("now", [CREATED - 60, CREATED, CREATED + 60])
def test_a_minute_either_way_is_fresh(now: int) -> None:
    accept(headers()).check_fresh(now)


@pytest.mark.parametrize("now", [CREATED - 61, CREATED + 61, 0])
def test_more_is_stale(now: int) -> None:
    with pytest.raises(BadSignature):
        accept(headers()).check_fresh(now)


@pytest.mark.parametrize("nonce", [b"", bytes(15), bytes(17)])
def test_a_nonce_is_sixteen_bytes(nonce: bytes) -> None:
    with pytest.raises(Misuse):
        sign(SIGNER, TARGET, BODY, created=CREATED, nonce=nonce)


@pytest.mark.parametrize(("address", "device"), [(bytes(31), 1), (bytes(32), -1), (bytes(32), 256)])
def test_a_key_id_is_checked(address: bytes, device: int) -> None:
    with pytest.raises(Misuse):
        KeyId(Address(address), device)


def test_no_repr_shows_address_or_key() -> None:
    shown = repr(SIGNER) + repr(accept(headers()))

    assert "abab" not in shown
    assert "AAEC" not in shown


@given(st.dictionaries(st.sampled_from(["content-digest", "signature-input", "signature"]), st.text(max_size=300)))
def test_anything_else_is_malformed(noise: dict[str, str]) -> None:
    with pytest.raises(Malformed):
        parse(noise, TARGET, BODY)
