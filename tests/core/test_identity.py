"""Account records: one encoding, two signatures, a USID that the keys give, a version that never goes back."""

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.people import NOW, ORIGIN, key_pair, make_device, make_person, seed, signing_key
from core.strict import bit_flips, raises_only_our_errors, refuses_truncations_and_trailing_bytes
from halonyx.core import labels
from halonyx.core.encoding import Writer
from halonyx.core.errors import (
    BadKey,
    BadSignature,
    Malformed,
    Misuse,
    StaleDirectory,
    UnsupportedVersion,
    UntrustedIdentity,
)
from halonyx.core.field import FIELD_PRIME
from halonyx.core.identity import (
    MAX_RECORD_SIZE,
    AccountRecord,
    Device,
    account_fingerprint,
    address_of,
    check_record,
    device_fingerprint,
    make_record,
    next_version,
    usid_of,
)
from halonyx.core.recovery import AccountKeys
from halonyx.core.types import DeviceId, Millis, Usid

ALICE = make_person("alice", version=1_780_000_000, devices=2)
KEYS = ALICE.keys
DEVICES = tuple(device.device for device in ALICE.devices)
LONGEST_ORIGIN = "https://" + "a" * 240 + ".b:8443"

# Where each field of a record lies, as spec/identity.md tabulates it.
VERSION_AT, CREATED_AT, SALT_AT, ED25519_AT, MLDSA65_AT, ORIGINS_AT = 2, 6, 14, 46, 78, 2030
DEVICES_AT = ORIGINS_AT + 1 + 1 + len(ORIGIN)
DEVICE_SIZE = 1 + 1 + 8 + 32 + 32
SIGNATURES_SIZE = 64 + 3309


def resign(body: bytes, keys: AccountKeys = KEYS) -> bytes:
    """Sign any bytes as a record, so that a test meets the check it means and not a signature."""
    classical = keys.ed25519.sign(labels.ACCOUNT_RECORD, body)
    return body + classical + keys.mldsa65.sign(labels.ACCOUNT_RECORD, body)


def altered(at: int, field: bytes, record: AccountRecord = ALICE.record) -> bytes:
    """Return a record with a field replaced and both signatures made anew."""
    body = record.encoded[:-SIGNATURES_SIZE]
    return resign(body[:at] + field + body[at + len(field) :])


def make_body(origins: tuple[bytes, ...], devices: tuple[bytes, ...]) -> bytes:
    writer = Writer().raw(ALICE.record.encoded[:ORIGINS_AT]).u8(len(origins))
    for origin in origins:
        writer.sized(origin, 1, 255)
    return writer.u8(len(devices)).raw(b"".join(devices)).done()


def device_bytes(number: int, flags: int = 0) -> bytes:
    device = DEVICES[0]
    keys = device.identity_key.raw + device.signing_key.raw
    return Writer().u8(number).u8(flags).u64(device.created).raw(keys).done()


def test_a_record_reads_back_as_it_was_made() -> None:
    record = AccountRecord.parse(ALICE.record.encoded)
    assert record == ALICE.record
    assert record.version == 1_780_000_000
    assert (record.created, record.origins, record.devices) == (NOW, (ORIGIN,), DEVICES)
    assert (record.ed25519, record.mldsa65, record.salt) == (KEYS.ed25519.public, KEYS.mldsa65.public, KEYS.salt)


def test_the_layout_is_the_specified_one() -> None:
    encoded = ALICE.record.encoded
    assert encoded[:2] == b"\x01\x01"
    assert encoded[VERSION_AT:CREATED_AT] == (1_780_000_000).to_bytes(4, "big")
    assert encoded[CREATED_AT:SALT_AT] == NOW.to_bytes(8, "big")
    assert encoded[SALT_AT:ED25519_AT] == KEYS.salt
    assert encoded[ED25519_AT:MLDSA65_AT] == KEYS.ed25519.public.raw
    assert encoded[MLDSA65_AT:ORIGINS_AT] == KEYS.mldsa65.public.raw
    assert encoded[ORIGINS_AT:DEVICES_AT] == bytes([1, len(ORIGIN)]) + ORIGIN.encode()
    assert encoded[DEVICES_AT : DEVICES_AT + 1 + DEVICE_SIZE] == b"\x02" + device_bytes(1)
    assert len(encoded) == DEVICES_AT + 1 + 2 * DEVICE_SIZE + SIGNATURES_SIZE


def test_names_are_hashes_of_the_keys() -> None:
    record = ALICE.record
    keys = (record.ed25519.raw, record.mldsa65.raw)
    assert record.fingerprint == labels.hash_of(b"halonyx/1 account fingerprint", *keys)
    assert record.fingerprint == account_fingerprint(record.ed25519, record.mldsa65)
    assert record.usid == usid_of(KEYS) == labels.hash_of(b"halonyx/1 usid", record.fingerprint, record.salt)
    assert record.address == address_of(record.usid) == hashlib.sha256(record.usid).digest()
    assert record.hash == labels.hash_of(b"halonyx/1 record hash", record.encoded)


def test_a_device_fingerprint_depends_on_each_of_its_parts() -> None:
    device = DEVICES[0]
    others = [
        device_fingerprint(make_person("bob").address, device),
        device_fingerprint(ALICE.address, replace(device, id=DeviceId(2))),
        device_fingerprint(ALICE.address, replace(device, created=Millis(NOW + 1))),
        device_fingerprint(ALICE.address, replace(device, identity_key=key_pair("x").public)),
        device_fingerprint(ALICE.address, replace(device, signing_key=signing_key("x").public)),
    ]
    assert len({ALICE.device.fingerprint, *others}) == 6
    body = (ALICE.address, b"\x01", NOW.to_bytes(8, "big"), device.identity_key.raw, device.signing_key.raw)
    assert ALICE.device.fingerprint == labels.hash_of(b"halonyx/1 device", *body)


def test_devices_are_found_by_id() -> None:
    assert ALICE.record.device(DeviceId(2)) == DEVICES[1]
    assert ALICE.record.device(DeviceId(3)) is None


def test_the_parser_is_strict() -> None:
    refuses_truncations_and_trailing_bytes(AccountRecord.parse, ALICE.record.encoded)


def test_both_signatures_are_checked() -> None:
    body, signatures = ALICE.record.encoded[:-SIGNATURES_SIZE], ALICE.record.encoded[-SIGNATURES_SIZE:]
    stranger = resign(body, make_person("mallory").keys)[-SIGNATURES_SIZE:]
    with pytest.raises(BadSignature, match="Ed25519"):
        AccountRecord.parse(body + stranger[:64] + signatures[64:])
    with pytest.raises(BadSignature, match="ML-DSA"):
        AccountRecord.parse(body + signatures[:64] + stranger[64:])


def test_a_signature_under_another_label_is_refused() -> None:
    body = ALICE.record.encoded[:-SIGNATURES_SIZE]
    classical = KEYS.ed25519.sign(labels.ACCOUNT_RECORD, body)
    with pytest.raises(BadSignature):
        AccountRecord.parse(body + KEYS.ed25519.sign(labels.DEVICE_LOGIN, body) + ALICE.record.encoded[-3309:])
    with pytest.raises(BadSignature):
        AccountRecord.parse(body + classical + KEYS.mldsa65.sign(labels.DEVICE_LOGIN, body))


def test_every_byte_is_signed() -> None:
    encoded = ALICE.record.encoded
    for at in range(len(encoded)):
        flipped = encoded[:at] + bytes([encoded[at] ^ 1]) + encoded[at + 1 :]
        with pytest.raises((BadSignature, BadKey, Malformed, UnsupportedVersion)):
            AccountRecord.parse(flipped)


def test_every_bit_around_the_keys_is_signed() -> None:
    encoded = ALICE.record.encoded
    for flipped in bit_flips(encoded[:MLDSA65_AT]):
        assert raises_only_our_errors(AccountRecord.parse, flipped + encoded[MLDSA65_AT:]) is None


def test_another_version_is_unsupported_and_another_type_malformed() -> None:
    with pytest.raises(UnsupportedVersion):
        AccountRecord.parse(altered(0, b"\x02"))
    with pytest.raises(Malformed):
        AccountRecord.parse(altered(1, b"\x02"))


def test_record_version_0_is_malformed() -> None:
    AccountRecord.parse(altered(VERSION_AT, b"\x00\x00\x00\x01"))
    with pytest.raises(Malformed):
        AccountRecord.parse(altered(VERSION_AT, bytes(4)))


@pytest.mark.parametrize("raw", [b"\x01" + bytes(31), FIELD_PRIME.to_bytes(32, "little")])
def test_a_bad_key_is_refused_wherever_it_stands(raw: bytes) -> None:
    with pytest.raises(BadKey):
        AccountRecord.parse(altered(ED25519_AT, raw))
    with pytest.raises(BadKey):
        AccountRecord.parse(altered(DEVICES_AT + 1 + 10 + 32, raw))


def test_a_non_canonical_identity_key_is_refused() -> None:
    with pytest.raises(BadKey):
        AccountRecord.parse(altered(DEVICES_AT + 1 + 10, FIELD_PRIME.to_bytes(32, "little")))


@pytest.mark.parametrize(
    ("origins", "devices"),
    [
        ((), (device_bytes(1),)),
        ((ORIGIN.encode(),) * 4, (device_bytes(1),)),
        ((ORIGIN.encode(),), ()),
        ((ORIGIN.encode(),), tuple(device_bytes(number) for number in range(1, 10))),
        ((b"",), (device_bytes(1),)),
        ((b"https://relay.ex\xc3\xa4mple",), (device_bytes(1),)),
        ((b"http://relay.example",), (device_bytes(1),)),
        ((ORIGIN.encode(),), (device_bytes(0),)),
        ((ORIGIN.encode(),), (device_bytes(1, flags=1),)),
        ((ORIGIN.encode(),), (device_bytes(1, flags=0x80),)),
        ((ORIGIN.encode(),), (device_bytes(2), device_bytes(1))),
        ((ORIGIN.encode(),), (device_bytes(1), device_bytes(1))),
    ],
    ids=[
        "no origin",
        "four origins",
        "no device",
        "nine devices",
        "empty origin",
        "origin not ascii",
        "plain http",
        "device 0",
        "device flag",
        "high device flag",
        "devices descend",
        "device twice",
    ],
)
def test_counts_origins_and_devices_out_of_range_are_malformed(
    origins: tuple[bytes, ...], devices: tuple[bytes, ...]
) -> None:
    with pytest.raises(Malformed):
        AccountRecord.parse(resign(make_body(origins, devices)))


def test_the_largest_record_has_the_largest_size() -> None:
    devices = tuple(make_device(ALICE.address, "many", number).device for number in range(248, 256))
    record = make_record(KEYS, 2**32 - 1, NOW, (LONGEST_ORIGIN,) * 3, devices)
    assert len(LONGEST_ORIGIN) == 255
    assert len(record.encoded) == MAX_RECORD_SIZE
    with pytest.raises(Malformed, match="at most"):
        AccountRecord.parse(bytes(MAX_RECORD_SIZE + 1))


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 2**32 - 1),
    st.integers(0, 2**64 - 1),
    st.lists(st.sampled_from([ORIGIN, "http://localhost:3000", "https://[::1]:8443"]), min_size=1, max_size=3),
    st.sets(st.integers(1, 255), min_size=1, max_size=8),
)
def test_what_is_made_parses_and_encodes_back(version: int, created: int, origins: list[str], ids: set[int]) -> None:
    devices = tuple(make_device(ALICE.address, "property", number).device for number in sorted(ids))
    record = make_record(KEYS, version, Millis(created), tuple(origins), devices)
    parsed = AccountRecord.parse(record.encoded)
    again = make_record(KEYS, parsed.version, parsed.created, parsed.origins, parsed.devices)
    assert again.encoded[:-3309] == record.encoded[:-3309]
    assert (parsed.version, parsed.created, parsed.devices) == (version, created, devices)


@given(st.binary(max_size=200), st.integers(0, MAX_RECORD_SIZE))
def test_random_bytes_are_refused(data: bytes, keep: int) -> None:
    for tried in (data, ALICE.record.encoded[:keep] + data):
        if tried != ALICE.record.encoded:
            assert raises_only_our_errors(AccountRecord.parse, tried) is None


@pytest.mark.parametrize(
    ("version", "origins", "devices"),
    [
        (0, (ORIGIN,), DEVICES),
        (2**32, (ORIGIN,), DEVICES),
        (-1, (ORIGIN,), DEVICES),
        (1, (), DEVICES),
        (1, (ORIGIN,) * 4, DEVICES),
        (1, (ORIGIN,), ()),
        (1, (ORIGIN,), DEVICES * 5),
    ],
)
def test_a_record_out_of_range_is_misuse(version: int, origins: tuple[str, ...], devices: tuple[Device, ...]) -> None:
    with pytest.raises(Misuse):
        make_record(KEYS, version, NOW, origins, devices)


def test_a_record_is_not_made_with_devices_out_of_order() -> None:
    with pytest.raises(Malformed):
        make_record(KEYS, 1, NOW, (ORIGIN,), DEVICES[::-1])
    with pytest.raises(Malformed):
        make_record(KEYS, 1, NOW, ("ftp://relay.example",), DEVICES)


def test_the_next_version_moves_forward_whatever_was_lost() -> None:
    assert next_version(5, NOW) == NOW // 1000
    assert next_version(NOW // 1000, NOW) == NOW // 1000 + 1
    assert next_version(2**32 - 2, NOW) == 2**32 - 1


def record_of(version: int, origin: str = ORIGIN) -> AccountRecord:
    return make_record(KEYS, version, NOW, (origin,), DEVICES)


def test_a_record_of_another_account_is_untrusted() -> None:
    check_record(ALICE.record, ALICE.usid, None)
    with pytest.raises(UntrustedIdentity):
        check_record(make_person("bob").record, ALICE.usid, None)
    with pytest.raises(UntrustedIdentity):
        check_record(ALICE.record, Usid(seed("another")), None)


def test_keys_with_another_salt_are_another_account() -> None:
    impostor = make_record(replace(KEYS, salt=seed("salt")), 2**32 - 1, NOW, (ORIGIN,), DEVICES)
    with pytest.raises(UntrustedIdentity):
        check_record(impostor, ALICE.usid, None)


def test_a_version_never_goes_back() -> None:
    seen = record_of(7)
    check_record(record_of(8), ALICE.usid, seen)
    check_record(record_of(4_000_000), ALICE.usid, seen)
    with pytest.raises(StaleDirectory, match="older"):
        check_record(record_of(6), ALICE.usid, seen)


def test_a_version_is_not_lower_than_the_card_or_the_contact_named() -> None:
    check_record(record_of(7), ALICE.usid, None, named=7)
    check_record(record_of(8), ALICE.usid, record_of(6), named=7)
    with pytest.raises(StaleDirectory, match="older"):
        check_record(record_of(7), ALICE.usid, None, named=8)
    with pytest.raises(StaleDirectory, match="older"):
        check_record(record_of(7), ALICE.usid, record_of(6), named=8)


def test_one_version_has_one_record() -> None:
    seen = record_of(7)
    check_record(seen, ALICE.usid, seen)
    with pytest.raises(StaleDirectory, match="one version"):
        check_record(record_of(7, "https://elsewhere.example"), ALICE.usid, seen)
    with pytest.raises(StaleDirectory, match="one version"):
        check_record(record_of(7), ALICE.usid, seen)  # the same body, another ML-DSA signature


def test_an_own_device_knows_its_fingerprint() -> None:
    device = make_device(ALICE.address, "alice")
    assert device.fingerprint == device_fingerprint(ALICE.address, device.device)
