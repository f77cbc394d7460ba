"""The sealed envelope: exact sizes, nothing of the sender outside, every bit bound."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.people import key_pair, make_person, seed
from core.strict import bit_flips, raises_only_our_errors
from halonyx.core import envelope as envelopes
from halonyx.core.envelope import CLASSICAL, HYBRID, Envelope, Payload, open_envelope, seal_envelope
from halonyx.core.errors import AuthenticationFailed, BadKey, Malformed, Misuse, UnsupportedVersion
from halonyx.core.field import FIELD_PRIME
from halonyx.core.identity import MAX_RECORD_SIZE
from halonyx.core.padding import BUCKETS
from halonyx.core.prekeys import EnvelopePrekey
from halonyx.core.primitives import PublicKey, aead_open, aead_seal
from halonyx.core.types import DeviceId, PrekeyId

ALICE, BOB = make_person("alice"), make_person("bob", devices=2)
KEYS = BOB.prekeys.envelope
EPHEMERAL = key_pair("ephemeral")
KEM = BOB.envelope_prekey.mlkem768.encapsulate()
ORDINARY = Payload(ALICE.address, ALICE.device.device.id, None, b"message" * 20)
FIRST = replace(ORDINARY, record=ALICE.record.encoded)
HYBRID_HEADER = 38 + 1088


def sealed(payload: Payload = ORDINARY, kem: tuple[bytes, bytes] | None = None) -> bytes:
    return seal_envelope(BOB.envelope_prekey, BOB.recipient, payload, EPHEMERAL, kem)


def opened(data: bytes) -> Payload:
    return open_envelope(Envelope.parse(data), KEYS, BOB.recipient)


def key_by_the_book(data: bytes) -> tuple[bytes, bytes]:
    """Derive an envelope's key and nonce from spec/envelope.md with hmac alone."""
    is_hybrid = data[1] == HYBRID
    own = BOB.envelope_prekey
    kem_part = own.mlkem768.raw + data[38:HYBRID_HEADER] if is_hybrid else b""
    context = data[1:2] + data[2:6] + data[6:38] + own.x25519.raw + kem_part + BOB.address + BOB.device.fingerprint
    secret = KEYS.x25519.exchange(PublicKey(data[6:38]))
    if is_hybrid:
        secret += KEYS.mlkem768.decapsulate(data[38:HYBRID_HEADER])
    pseudorandom_key = hmac.digest(bytes(32), secret, "sha256")
    info = b"halonyx/1 envelope key\x00" + context
    first = hmac.digest(pseudorandom_key, info + b"\x01", "sha256")
    return first, hmac.digest(pseudorandom_key, first + info + b"\x02", "sha256")[:12]


def reseal(data: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Change what lies inside an envelope and seal it again as its sender could."""
    header_size = HYBRID_HEADER if data[1] == HYBRID else 38
    key, nonce = key_by_the_book(data)
    inside = aead_open(key, nonce, data[header_size:], data[:header_size])
    return data[:header_size] + aead_seal(key, nonce, change(inside), data[:header_size])


@pytest.mark.parametrize("kem", [None, KEM], ids=["classical", "hybrid"])
def test_what_is_sealed_opens(kem: tuple[bytes, bytes] | None) -> None:
    data = sealed(kem=kem)
    envelope = Envelope.parse(data)
    assert opened(data) == ORDINARY
    assert (envelope.prekey, envelope.ephemeral) == (KEYS.id, EPHEMERAL.public)
    assert envelope.kem_ciphertext == (kem[0] if kem else None)
    assert envelope.header + envelope.ciphertext == data


def test_a_first_contact_carries_the_record() -> None:
    data = sealed(FIRST, KEM)
    assert len(data) == 8192
    assert opened(data) == FIRST


@pytest.mark.parametrize("kem", [None, KEM], ids=["classical", "hybrid"])
def test_the_layout_is_the_specified_one(kem: tuple[bytes, bytes] | None) -> None:
    data = sealed(kem=kem)
    key, nonce = key_by_the_book(data)
    size = HYBRID_HEADER if kem else 38
    inside = aead_open(key, nonce, data[size:], data[:size])
    message = ORDINARY.message
    expected = b"\x01\x22\x00" + ALICE.address + b"\x01" + len(message).to_bytes(4, "big") + message
    assert data[:38] == bytes([1, HYBRID if kem else CLASSICAL]) + KEYS.id.to_bytes(4, "big") + EPHEMERAL.public.raw
    assert inside == expected.ljust(len(data) - size - 16, b"\x00")


def test_a_record_lies_between_sender_and_message() -> None:
    data = sealed(FIRST, KEM)
    key, nonce = key_by_the_book(data)
    inside = aead_open(key, nonce, data[HYBRID_HEADER:], data[:HYBRID_HEADER])
    record = ALICE.record.encoded
    assert inside.startswith(b"\x01\x22\x01" + ALICE.address + b"\x01" + len(record).to_bytes(2, "big") + record)


@given(st.integers(1, 64 * 1024 - 38 - 16 - 40))
def test_an_envelope_is_the_smallest_bucket_that_fits(size_bytes: int) -> None:
    data = sealed(replace(ORDINARY, message=b"m" * size_bytes))
    assert len(data) in BUCKETS
    assert len(data) == 1024 or 38 + 40 + size_bytes + 16 > len(data) // 2
    assert len(opened(data).message) == size_bytes


def test_what_does_not_fit_64_kib_is_misuse() -> None:
    largest = 64 * 1024 - 38 - 16 - 40
    assert len(sealed(replace(ORDINARY, message=b"m" * largest))) == 64 * 1024
    with pytest.raises(Misuse):
        sealed(replace(ORDINARY, message=b"m" * (largest + 1)))
    with pytest.raises(Misuse):
        sealed(replace(ORDINARY, message=b"m" * (64 * 1024 + 1)))


def test_a_payload_out_of_range_is_misuse() -> None:
    with pytest.raises(Misuse):
        sealed(replace(ORDINARY, message=b""))
    with pytest.raises(Misuse):
        sealed(replace(ORDINARY, record=bytes(MAX_RECORD_SIZE + 1)), KEM)
    with pytest.raises(Misuse):
        sealed(replace(ORDINARY, device=DeviceId(256)))


def test_the_relay_sees_nothing_of_the_sender() -> None:
    for data in (sealed(), sealed(FIRST, KEM)):
        for known in (ALICE.address, ALICE.device.fingerprint, ALICE.usid, ALICE.device.identity.public.raw):
            assert known[:8] not in data
        assert ORDINARY.message[:8] not in data


def test_two_envelopes_of_one_message_share_only_the_prekey_id() -> None:
    first, second = sealed(), seal_envelope(BOB.envelope_prekey, BOB.recipient, ORDINARY, key_pair("other"), None)
    assert first[:6] == second[:6]
    assert first[6:38] != second[6:38]
    assert first[38:] != second[38:]


def test_every_flipped_bit_of_a_classical_envelope_is_refused() -> None:
    for flipped in bit_flips(sealed()):
        with pytest.raises((AuthenticationFailed, BadKey, Malformed, UnsupportedVersion)):
            opened(flipped)


def test_every_flipped_byte_of_a_hybrid_first_contact_is_refused() -> None:
    data = sealed(FIRST, KEM)
    for at in range(len(data)):
        flipped = data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]
        with pytest.raises((AuthenticationFailed, BadKey, Malformed, UnsupportedVersion)):
            opened(flipped)


def test_an_altered_ml_kem_ciphertext_fails_to_authenticate() -> None:
    data = sealed(FIRST, KEM)
    for at in (38, 600, HYBRID_HEADER - 1):
        with pytest.raises(AuthenticationFailed):
            opened(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


def test_it_opens_for_one_address_device_and_prekey_only() -> None:
    envelope = Envelope.parse(sealed())
    others = [
        (KEYS, (ALICE.address, BOB.device.fingerprint)),
        (KEYS, (BOB.address, BOB.devices[1].fingerprint)),
        (replace(KEYS, x25519=key_pair("other")), BOB.recipient),
        (ALICE.prekeys.envelope, BOB.recipient),
    ]
    for keys, recipient in others:
        with pytest.raises(AuthenticationFailed):
            open_envelope(envelope, keys, recipient)


def test_a_hybrid_envelope_is_bound_to_the_ml_kem_key() -> None:
    envelope = Envelope.parse(sealed(kem=KEM))
    with pytest.raises(AuthenticationFailed):
        open_envelope(envelope, replace(KEYS, mlkem768=ALICE.prekeys.envelope.mlkem768), BOB.recipient)


def test_the_hybrid_secret_counts() -> None:
    ciphertext, _ = KEM
    with pytest.raises(AuthenticationFailed):
        opened(sealed(kem=(ciphertext, bytes(32))))


def test_a_first_contact_in_a_classical_envelope_is_refused() -> None:
    with pytest.raises(Malformed, match="hybrid"):
        opened(sealed(FIRST, None))


@pytest.mark.parametrize("size_bytes", [0, 1, 1023, 1025, 1536, 2047, 128 * 1024])
def test_another_size_is_malformed(size_bytes: int) -> None:
    with pytest.raises(Malformed, match="bucket"):
        Envelope.parse(b"\x01\x20" + bytes(max(size_bytes, 2) - 2) if size_bytes > 1 else bytes(size_bytes))


def test_every_truncation_is_no_bucket() -> None:
    data = sealed()
    for size_bytes in range(len(data)):
        with pytest.raises(Malformed):
            Envelope.parse(data[:size_bytes])
    with pytest.raises(Malformed):
        Envelope.parse(data + b"\x00")


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version_is_unsupported(version: int) -> None:
    with pytest.raises(UnsupportedVersion):
        Envelope.parse(bytes([version]) + sealed()[1:])


@pytest.mark.parametrize("form", [0, 0x1F, 0x22, 0xFF])
def test_an_unknown_form_is_malformed(form: int) -> None:
    with pytest.raises(Malformed, match="form"):
        Envelope.parse(b"\x01" + bytes([form]) + sealed()[2:])


def test_a_hybrid_envelope_does_not_fit_the_smallest_bucket() -> None:
    with pytest.raises(Malformed, match="hybrid"):
        Envelope.parse(b"\x01\x21" + bytes(1022))


def test_bad_ephemeral_keys() -> None:
    data = sealed()
    with pytest.raises(BadKey):
        Envelope.parse(data[:6] + FIELD_PRIME.to_bytes(32, "little") + data[38:])
    with pytest.raises(BadKey):
        opened(data[:6] + bytes(32) + data[38:])


def test_a_prekey_of_low_order_is_not_sealed_to() -> None:
    own = BOB.envelope_prekey
    low = EnvelopePrekey(PrekeyId(1), PublicKey(bytes(32)), own.mlkem768)
    with pytest.raises(BadKey):
        seal_envelope(low, BOB.recipient, ORDINARY, EPHEMERAL, None)


def overwrite(at: int, value: bytes) -> Callable[[bytes], bytes]:
    return lambda inside: inside[:at] + value + inside[at + len(value) :]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (overwrite(0, b"\x02"), UnsupportedVersion),
        (overwrite(1, b"\x23"), Malformed),
        (overwrite(2, b"\x02"), Malformed),
        (overwrite(2, b"\x80"), Malformed),
        (overwrite(35, b"\x00"), Malformed),
        (overwrite(36, bytes(4)), Malformed),
        (overwrite(36, b"\x00\x01\x00\x01"), Malformed),
        (overwrite(36, b"\xff\xff\xff\xff"), Malformed),
        (overwrite(40 + 140, b"\x01"), Malformed),
        (overwrite(1024 - 38 - 16 - 1, b"\x01"), Malformed),
    ],
    ids=[
        "version",
        "type",
        "unknown flag",
        "high flag",
        "device 0",
        "empty message",
        "message over its cap",
        "message length 2^32-1",
        "first padding byte",
        "last padding byte",
    ],
)
def test_a_payload_that_its_sender_made_wrong(change: Callable[[bytes], bytes], error: type[Exception]) -> None:
    data = reseal(sealed(), lambda inside: inside)
    assert opened(data) == ORDINARY
    with pytest.raises(error):
        opened(reseal(data, change))


@pytest.mark.parametrize("flags", [0x02, 0x03, 0x81, 0xFF])
def test_an_unknown_flag_is_refused_even_before_a_whole_record(flags: int) -> None:
    with pytest.raises(Malformed, match="flag"):
        opened(reseal(sealed(FIRST, KEM), overwrite(2, bytes([flags]))))


@pytest.mark.parametrize("length", [b"\x00\x00", (MAX_RECORD_SIZE + 1).to_bytes(2, "big"), b"\xff\xff"])
def test_a_record_out_of_its_bounds_is_malformed(length: bytes) -> None:
    with pytest.raises(Malformed, match="outside"):
        opened(reseal(sealed(FIRST, KEM), overwrite(36, length)))


@pytest.mark.parametrize("payload", [ORDINARY, replace(FIRST, record=seed("record", 300))], ids=["plain", "record"])
def test_the_payload_parser_is_strict(payload: Payload) -> None:
    encoded = envelopes._encode_payload(payload)
    for size_bytes in range(len(encoded)):
        with pytest.raises(Malformed):
            envelopes._parse_payload(encoded[:size_bytes])
    for value in range(1, 256):
        with pytest.raises(Malformed, match="padding"):
            envelopes._parse_payload(encoded + bytes([value]))
    assert envelopes._parse_payload(encoded + bytes(100)) == payload


payloads = st.builds(
    Payload,
    st.binary(min_size=32, max_size=32),
    st.integers(1, 255),
    st.none() | st.binary(min_size=1, max_size=200),
    st.binary(min_size=1, max_size=200),
)


@given(payloads)
def test_any_payload_round_trips(payload: Payload) -> None:
    assert opened(sealed(payload, KEM)) == payload


@given(st.binary(max_size=120) | st.binary(max_size=120).map(lambda body: b"\x01\x22\x00" + body))
def test_a_payload_that_parses_encodes_back(data: bytes) -> None:
    parsed = raises_only_our_errors(envelopes._parse_payload, data)
    if parsed is not None:
        assert isinstance(parsed, Payload)
        assert envelopes._encode_payload(parsed).ljust(len(data), b"\x00") == data


@given(st.sampled_from([CLASSICAL, HYBRID]), st.binary(max_size=64), st.sampled_from(BUCKETS[:3]))
def test_random_envelopes_are_refused(form: int, start: bytes, size_bytes: int) -> None:
    rest = hashlib.shake_256(start).digest(size_bytes)
    assert raises_only_our_errors(opened, (bytes([1, form]) + start + rest)[:size_bytes]) is None


def test_envelope_keys_give_the_public_prekey() -> None:
    assert KEYS.public == BOB.envelope_prekey
