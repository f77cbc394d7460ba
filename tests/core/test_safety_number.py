"""The safety number: the same on both sides, dependent on all four inputs, known answer by other code."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.people import make_person, seed
from core.strict import bit_flips, raises_only_our_errors, refuses_truncations_and_trailing_bytes
from halonyx.core.errors import Malformed, Misuse, UnsupportedVersion
from halonyx.core.safety_number import Party, encode_qr, matches_qr, safety_number
from halonyx.core.types import Address, Fingerprint

ALICE, BOB = make_person("alice").party, make_person("bob").party
hashes = st.binary(min_size=32, max_size=32)
parties = st.builds(lambda fingerprint, address: Party(Fingerprint(fingerprint), Address(address)), hashes, hashes)


def by_the_book(fingerprint: bytes, address: bytes) -> str:
    digest = hashlib.sha512(b"halonyx/1 safety number\x00\x01" + fingerprint + address).digest()
    done = 1
    while done < 5200:
        digest = hashlib.sha512(digest + fingerprint).digest()
        done += 1
    return "".join(str(int(digest[5 * group : 5 * group + 5].hex(), 16) % 10**5).zfill(5) for group in range(6))


def test_known_answer() -> None:
    ours = Party(Fingerprint(bytes(range(32))), Address(bytes(range(32, 64))))
    theirs = Party(Fingerprint(bytes(range(64, 96))), Address(bytes(range(96, 128))))
    halves = sorted([by_the_book(ours.fingerprint, ours.address), by_the_book(theirs.fingerprint, theirs.address)])
    assert safety_number(ours, theirs).replace(" ", "") == "".join(halves)
    assert safety_number(ours, theirs) == "39215 49325 52506 16792 72407 46914 87927 28650 01430 58366 59557 95915"


@settings(max_examples=15)
@given(parties, parties)
def test_both_sides_see_the_same_sixty_digits(ours: Party, theirs: Party) -> None:
    number = safety_number(ours, theirs)
    groups = number.split(" ")
    assert number == safety_number(theirs, ours)
    assert [len(group) for group in groups] == [5] * 12
    assert number.replace(" ", "").isdecimal()
    assert groups[:6] <= groups[6:]


@settings(max_examples=10)
@given(st.sampled_from(["our fingerprint", "our address", "their fingerprint", "their address"]), st.integers(0, 255))
def test_every_bit_of_each_of_the_four_inputs_counts(which: str, bit: int) -> None:
    changed = bytearray(seed(which))
    changed[bit // 8] ^= 1 << bit % 8
    inputs = {name: seed(name) for name in ("our fingerprint", "our address", "their fingerprint", "their address")}

    def number(values: dict[str, bytes]) -> str:
        ours = Party(Fingerprint(values["our fingerprint"]), Address(values["our address"]))
        return safety_number(ours, Party(Fingerprint(values["their fingerprint"]), Address(values["their address"])))

    assert number(inputs) != number({**inputs, which: bytes(changed)})


def test_the_qr_code_shows_us_then_them() -> None:
    shown = encode_qr(ALICE, BOB)
    assert shown == b"\x01\x30" + ALICE.fingerprint + ALICE.address + BOB.fingerprint + BOB.address


def test_a_scan_matches_what_the_other_side_shows_and_not_our_own_code() -> None:
    assert matches_qr(encode_qr(BOB, ALICE), ours=ALICE, theirs=BOB)
    assert not matches_qr(encode_qr(ALICE, BOB), ours=ALICE, theirs=BOB)
    assert not matches_qr(encode_qr(make_person("mallory").party, ALICE), ours=ALICE, theirs=BOB)
    assert not matches_qr(encode_qr(BOB, make_person("mallory").party), ours=ALICE, theirs=BOB)


def test_no_scan_with_a_bit_flipped_matches() -> None:
    for flipped in bit_flips(encode_qr(BOB, ALICE)):
        assert raises_only_our_errors(lambda data: matches_qr(data, ALICE, BOB), flipped) is not True


def test_the_qr_parser_is_strict() -> None:
    refuses_truncations_and_trailing_bytes(lambda data: matches_qr(data, ALICE, BOB), encode_qr(BOB, ALICE))


def test_another_version_or_type_is_told_apart() -> None:
    shown = encode_qr(BOB, ALICE)
    with pytest.raises(UnsupportedVersion):
        matches_qr(b"\x02" + shown[1:], ALICE, BOB)
    with pytest.raises(Malformed):
        matches_qr(shown[:1] + b"\x31" + shown[2:], ALICE, BOB)


@given(st.binary(max_size=140))
def test_random_scans_never_match_or_crash(data: bytes) -> None:
    assert not raises_only_our_errors(lambda scanned: matches_qr(scanned, ALICE, BOB), data)


def test_a_party_of_another_size_is_misuse() -> None:
    with pytest.raises(Misuse):
        encode_qr(Party(Fingerprint(b"short"), ALICE.address), BOB)
