"""Prekeys: one encoding, a signature that binds device, use, id, expiry and key; a bundle is all or nothing."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.people import NOW, PREKEY_IDS, Person, make_person, seed
from core.strict import bit_flips, raises_only_our_errors, refuses_truncations_and_trailing_bytes
from halonyx.core import labels
from halonyx.core.errors import BadKey, BadSignature, Malformed, Misuse, UnsupportedVersion
from halonyx.core.field import FIELD_PRIME
from halonyx.core.prekeys import (
    KEY_SIZES,
    ONE_TIME_COUNT,
    ONE_TIME_LIFETIME,
    PRIVATE_KEPT_AFTER_EXPIRY,
    REFILL_BELOW,
    RENEWED_AFTER,
    ROTATING_LIFETIME,
    EnvelopePrekey,
    Prekey,
    PrekeyBundle,
    PrekeyUse,
    lifetime,
    sign_prekey,
)
from halonyx.core.types import DAY, Millis, PrekeyId

BOB = make_person("bob", devices=2)
SIGNING_KEY = BOB.device.device.signing_key
FINGERPRINT = BOB.device.fingerprint
BUNDLE = BOB.prekeys.bundle()
LABELS = {
    PrekeyUse.SIGNED: b"halonyx/1 signed prekey",
    PrekeyUse.ENVELOPE: b"halonyx/1 envelope prekey",
    PrekeyUse.LAST_RESORT: b"halonyx/1 last-resort prekey",
    PrekeyUse.ONE_TIME: b"halonyx/1 one-time prekey",
    PrekeyUse.ONE_TIME_KEM: b"halonyx/1 one-time kem prekey",
}
every_use = pytest.mark.parametrize("use", PrekeyUse, ids=lambda use: use.name)


def published(use: PrekeyUse, person: Person = BOB) -> Prekey:
    return person.prekeys.published[use]


@every_use
def test_a_prekey_reads_back_and_verifies(use: PrekeyUse) -> None:
    prekey = Prekey.parse(published(use).encode())
    assert prekey == published(use)
    assert (prekey.use, prekey.id, len(prekey.key)) == (use, PREKEY_IDS[use], KEY_SIZES[use])
    prekey.verify(SIGNING_KEY, FINGERPRINT)


@every_use
def test_the_layout_and_what_is_signed_are_the_specified_ones(use: PrekeyUse) -> None:
    prekey = published(use)
    numbers = bytes([use]) + prekey.id.to_bytes(4, "big") + prekey.expiry.to_bytes(8, "big")
    assert prekey.encode() == b"\x01\x02" + numbers + prekey.key + prekey.signature
    SIGNING_KEY.verify(LABELS[use], FINGERPRINT + numbers + prekey.key, prekey.signature)


@every_use
def test_the_parser_is_strict(use: PrekeyUse) -> None:
    refuses_truncations_and_trailing_bytes(Prekey.parse, published(use).encode())


@every_use
def test_a_prekey_of_one_use_does_not_verify_as_another(use: PrekeyUse) -> None:
    prekey = published(use)
    for other in PrekeyUse:
        if other is not use and KEY_SIZES[other] == KEY_SIZES[use]:
            with pytest.raises(BadSignature):
                replace(prekey, use=other).verify(SIGNING_KEY, FINGERPRINT)


@every_use
def test_a_signature_under_another_uses_label_is_refused(use: PrekeyUse) -> None:
    prekey = published(use)
    numbers = bytes([use]) + prekey.id.to_bytes(4, "big") + prekey.expiry.to_bytes(8, "big")
    for other in set(LABELS.values()) - {LABELS[use]} | {labels.ACCOUNT_RECORD}:
        signature = BOB.device.signing.sign(other, FINGERPRINT + numbers + prekey.key)
        with pytest.raises(BadSignature):
            replace(prekey, signature=signature).verify(SIGNING_KEY, FINGERPRINT)


@every_use
def test_another_device_cannot_pass_a_prekey_off_as_ours(use: PrekeyUse) -> None:
    prekey, second = published(use), BOB.devices[1]
    with pytest.raises(BadSignature):
        prekey.verify(second.device.signing_key, FINGERPRINT)
    with pytest.raises(BadSignature):
        prekey.verify(SIGNING_KEY, second.fingerprint)
    with pytest.raises(BadSignature):
        sign_prekey(second, use, prekey.id, prekey.expiry, prekey.key).verify(SIGNING_KEY, FINGERPRINT)


def test_every_bit_of_a_prekey_is_signed() -> None:
    def open_prekey(data: bytes) -> Prekey:
        prekey = Prekey.parse(data)
        prekey.verify(SIGNING_KEY, FINGERPRINT)
        return prekey

    for flipped in bit_flips(published(PrekeyUse.ONE_TIME).encode()):
        assert raises_only_our_errors(open_prekey, flipped) is None


def test_another_version_type_use_or_id_0() -> None:
    encoded = published(PrekeyUse.SIGNED).encode()
    with pytest.raises(UnsupportedVersion):
        Prekey.parse(b"\x02" + encoded[1:])
    with pytest.raises(Malformed):
        Prekey.parse(b"\x01\x01" + encoded[2:])
    for use in (0, 6, 255):
        with pytest.raises(Malformed):
            Prekey.parse(encoded[:2] + bytes([use]) + encoded[3:])
    with pytest.raises(Malformed):
        Prekey.parse(encoded[:3] + bytes(4) + encoded[7:])


@given(st.sampled_from(PrekeyUse), st.integers(1, 2**32 - 1), st.integers(0, 2**64 - 1), st.data())
def test_whatever_is_encoded_parses_back(use: PrekeyUse, prekey_id: int, expiry: int, data: st.DataObject) -> None:
    key = seed(data.draw(st.text(max_size=5)), KEY_SIZES[use])
    prekey = Prekey(use, PrekeyId(prekey_id), Millis(expiry), key, data.draw(st.binary(min_size=64, max_size=64)))
    assert Prekey.parse(prekey.encode()) == prekey


@given(st.binary(max_size=150) | st.binary(min_size=108, max_size=108).map(lambda body: b"\x01\x02\x01" + body))
def test_what_parses_encodes_back(data: bytes) -> None:
    parsed = raises_only_our_errors(Prekey.parse, data)
    assert parsed is None or (isinstance(parsed, Prekey) and parsed.encode() == data)


@every_use
def test_a_key_of_another_size_is_misuse(use: PrekeyUse) -> None:
    with pytest.raises(Misuse):
        sign_prekey(BOB.device, use, PrekeyId(1), NOW, bytes(KEY_SIZES[use] + 1))
    with pytest.raises(Misuse):
        replace(published(use), key=bytes(KEY_SIZES[use] - 1)).encode()


def test_an_envelope_prekey_is_two_keys() -> None:
    keys = BOB.prekeys.envelope
    assert EnvelopePrekey.of(published(PrekeyUse.ENVELOPE)) == keys.public


def test_an_envelope_prekey_is_not_made_of_another_use() -> None:
    for use in set(PrekeyUse) - {PrekeyUse.ENVELOPE}:
        with pytest.raises(BadSignature):
            EnvelopePrekey.of(published(use))


def test_an_envelope_prekey_with_a_key_that_is_not_canonical_is_bad() -> None:
    prekey = published(PrekeyUse.ENVELOPE)
    with pytest.raises(BadKey):
        EnvelopePrekey.of(replace(prekey, key=FIELD_PRIME.to_bytes(32, "little") + prekey.key[32:]))
    with pytest.raises(BadKey):
        EnvelopePrekey.of(replace(prekey, key=prekey.key[:32] + b"\xff" * 1184))


@pytest.mark.parametrize("one_time", [True, False])
def test_a_bundle_verifies_with_or_without_one_time_keys(*, one_time: bool) -> None:
    BOB.prekeys.bundle(one_time=one_time).verify(SIGNING_KEY, FINGERPRINT, NOW)


def test_one_failure_rejects_the_whole_bundle() -> None:
    stranger = make_person("mallory")
    for bundle in (
        replace(BUNDLE, signed=published(PrekeyUse.SIGNED, stranger)),
        replace(BUNDLE, envelope=published(PrekeyUse.ENVELOPE, stranger)),
        replace(BUNDLE, kem=published(PrekeyUse.ONE_TIME_KEM, stranger)),
        replace(BUNDLE, kem=published(PrekeyUse.LAST_RESORT, stranger)),
        replace(BUNDLE, one_time=published(PrekeyUse.ONE_TIME, stranger)),
    ):
        with pytest.raises(BadSignature, match="verify"):
            bundle.verify(SIGNING_KEY, FINGERPRINT, NOW)


def test_a_prekey_in_the_wrong_place_rejects_the_bundle() -> None:
    for bundle in (
        replace(BUNDLE, signed=published(PrekeyUse.ONE_TIME)),
        replace(BUNDLE, envelope=published(PrekeyUse.SIGNED)),
        replace(BUNDLE, kem=published(PrekeyUse.ENVELOPE)),
        replace(BUNDLE, one_time=published(PrekeyUse.SIGNED)),
        replace(BUNDLE, one_time=published(PrekeyUse.ONE_TIME_KEM)),
    ):
        with pytest.raises(BadSignature, match="place"):
            bundle.verify(SIGNING_KEY, FINGERPRINT, NOW)


@pytest.mark.parametrize(
    ("one_time", "use"),
    [
        (True, PrekeyUse.SIGNED),
        (True, PrekeyUse.ENVELOPE),
        (False, PrekeyUse.LAST_RESORT),
        (True, PrekeyUse.ONE_TIME),
        (True, PrekeyUse.ONE_TIME_KEM),
    ],
)
def test_an_expired_prekey_rejects_the_bundle(*, one_time: bool, use: PrekeyUse) -> None:
    def expiring(expiry: int) -> PrekeyBundle:
        prekey = sign_prekey(BOB.device, use, PREKEY_IDS[use], Millis(expiry), published(use).key)
        place = {PrekeyUse.SIGNED: "signed", PrekeyUse.ENVELOPE: "envelope", PrekeyUse.ONE_TIME: "one_time"}
        return replace(BOB.prekeys.bundle(one_time=one_time), **{place.get(use, "kem"): prekey})

    expiring(NOW + 1).verify(SIGNING_KEY, FINGERPRINT, NOW)
    for expiry in (NOW, NOW - 1, 0):
        with pytest.raises(BadSignature, match="expired"):
            expiring(expiry).verify(SIGNING_KEY, FINGERPRINT, NOW)


def test_lifetimes_and_counts_are_the_specified_ones() -> None:
    assert [lifetime(use) // DAY for use in PrekeyUse] == [30, 30, 30, 90, 90]
    assert (ROTATING_LIFETIME, ONE_TIME_LIFETIME, RENEWED_AFTER) == (30 * DAY, 90 * DAY, 7 * DAY)
    assert PRIVATE_KEPT_AFTER_EXPIRY == 45 * DAY
    assert (ONE_TIME_COUNT, REFILL_BELOW) == (100, 20)
