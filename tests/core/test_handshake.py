import hashlib
import os
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from core.people import NOW, PREKEY_IDS, Person, key_pair, make_device, make_pair, make_person, seed
from halonyx.core import labels
from halonyx.core.errors import AuthenticationFailed, BadKey, HalonyxError, Malformed, Misuse, UnsupportedVersion
from halonyx.core.handshake import (
    HEADER_SIZE,
    Handshake,
    Peer,
    PrekeyPrivates,
    accept,
    associated_data,
    encapsulate,
    initiate,
    x3dh_accept,
    x3dh_initiate,
)
from halonyx.core.identity import OwnDevice
from halonyx.core.prekeys import Prekey, PrekeyBundle, PrekeyUse
from halonyx.core.primitives import KemKeyPair, KeyPair, PublicKey
from halonyx.core.ratchet import Message, Ratchet, decrypt, encrypt
from halonyx.core.types import Address, DeviceId, Millis, PrekeyId

LOW_ORDER = PublicKey(bytes(32))
KINDS = [(True, PrekeyUse.ONE_TIME_KEM), (True, PrekeyUse.LAST_RESORT), (False, PrekeyUse.ONE_TIME_KEM)]
KINDS.append((False, PrekeyUse.LAST_RESORT))


@pytest.fixture(scope="module")
def alice() -> Person:
    return make_person("alice")


@pytest.fixture(scope="module")
def bob() -> Person:
    return make_person("bob")


def bundle_of(person: Person, kind: tuple[bool, PrekeyUse]) -> PrekeyBundle:
    has_one_time, kem = kind
    one_time = person.prekeys.published[PrekeyUse.ONE_TIME] if has_one_time else None
    return replace(person.prekeys.bundle(), kem=person.prekeys.published[kem], one_time=one_time)


def run(alice: Person, bob: Person, kind: tuple[bool, PrekeyUse]) -> tuple[Handshake, Ratchet, Ratchet]:
    bundle = bundle_of(bob, kind)
    bundle.verify(bob.device.device.signing_key, bob.device.fingerprint, NOW)
    fresh = (key_pair("ephemeral"), key_pair("first ratchet"))
    handshake, ours = initiate(alice.device, bob.peer, bundle, fresh, encapsulate(bundle))
    return handshake, ours, accept(bob.device, alice.peer, handshake, bob.prekeys.privates(handshake))


def exchange(sender: Ratchet, recipient: Ratchet, text: bytes) -> tuple[Ratchet, Ratchet]:
    sender, encoded = encrypt(sender, text, os.urandom(16))
    recipient, plaintext = decrypt(recipient, Message.parse(encoded), KeyPair.generate(), NOW)
    assert plaintext == text
    return sender, recipient


def sample(**fields: object) -> Handshake:
    base = Handshake(key_pair("ephemeral").public, PrekeyId(1), PrekeyId(2), PrekeyId(3), False, bytes(1568))
    return replace(base, **fields)  # type: ignore[arg-type]


# --- the header


def test_a_header_has_the_layout_of_table_3() -> None:
    handshake = sample(uses_last_resort=True, ciphertext=seed("ct", 1568))

    encoded = handshake.encode()

    assert len(encoded) == HEADER_SIZE == 1616
    assert encoded[:4] == b"\x01\x11\x02\x03"
    assert encoded[4:36] == handshake.ephemeral.raw
    assert encoded[36:48] == bytes([0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3])
    assert encoded[48:] == seed("ct", 1568)


@given(
    one_time=st.none() | st.integers(1, 2**32 - 1),
    ids=st.tuples(st.integers(1, 2**32 - 1), st.integers(1, 2**32 - 1)),
    is_last=st.booleans(),
)
def test_a_header_reads_back_as_written(one_time: int | None, ids: tuple[int, int], *, is_last: bool) -> None:
    handshake = sample(one_time=one_time, signed=ids[0], kem=ids[1], uses_last_resort=is_last)

    assert Handshake.parse(handshake.encode()) == handshake


@given(st.binary(max_size=60), st.integers(0, HEADER_SIZE - 1))
def test_a_cut_extended_or_random_header_is_refused(data: bytes, size: int) -> None:
    encoded = sample().encode()
    for wrong in (encoded[:size], encoded + b"\x00", data):
        with pytest.raises((Malformed, UnsupportedVersion)):
            Handshake.parse(wrong)


@pytest.mark.parametrize(
    ("at", "value", "error"),
    [
        pytest.param(0, b"\x00", UnsupportedVersion, id="version 0"),
        pytest.param(0, b"\x02", UnsupportedVersion, id="version 2"),
        pytest.param(1, b"\x10", Malformed, id="another type"),
        pytest.param(2, b"\x00", UnsupportedVersion, id="suite 0"),
        pytest.param(2, b"\x01", UnsupportedVersion, id="suite 1 is for teaching only"),
        pytest.param(2, b"\x03", UnsupportedVersion, id="suite 3"),
        pytest.param(2, b"\xff", UnsupportedVersion, id="suite 255"),
        pytest.param(3, b"\x05", Malformed, id="unknown flag 4"),
        pytest.param(3, b"\x81", Malformed, id="unknown flag 128"),
        pytest.param(3, b"\x00", Malformed, id="a one-time id its flag denies"),
        pytest.param(35, b"\xff", BadKey, id="ephemeral key with the top bit"),
        pytest.param(36, bytes(4), Malformed, id="signed prekey 0"),
        pytest.param(40, bytes(4), Malformed, id="one-time prekey 0 with its flag"),
        pytest.param(44, bytes(4), Malformed, id="kem prekey 0"),
    ],
)
def test_a_header_that_breaks_a_rule_is_refused(at: int, value: bytes, error: type[HalonyxError]) -> None:
    encoded = sample().encode()

    with pytest.raises(HalonyxError) as caught:
        Handshake.parse(encoded[:at] + value + encoded[at + len(value) :])
    assert type(caught.value) is error


def test_a_ciphertext_of_another_size_cannot_be_written() -> None:
    with pytest.raises(Misuse):
        sample(ciphertext=bytes(1567)).encode()


@pytest.mark.parametrize(
    ("one_time", "is_last", "is_one_time"),
    [(None, True, False), (None, False, True), (PrekeyId(1), True, True), (PrekeyId(1), False, True)],
)
def test_one_one_time_key_of_either_kind_is_enough(
    one_time: PrekeyId | None,
    is_last: bool,  # noqa: FBT001  # a table's column
    is_one_time: bool,  # noqa: FBT001
) -> None:
    assert sample(one_time=one_time, uses_last_resort=is_last).is_one_time is is_one_time


def test_the_replay_key_covers_what_makes_a_handshake_new() -> None:
    handshake = sample(one_time=None, uses_last_resort=True)
    others = [
        replace(handshake, signed=PrekeyId(9)),
        replace(handshake, kem=PrekeyId(9)),
        replace(handshake, ephemeral=key_pair("another").public),
        replace(handshake, ciphertext=seed("ct", 1568)),
    ]

    assert Handshake.parse(handshake.encode()).replay_key() == handshake.replay_key()
    assert len({handshake.replay_key(), *(other.replay_key() for other in others)}) == 5
    ids = bytes([0, 0, 0, 1, 0, 0, 0, 3])
    parts = (ids, handshake.ephemeral.raw, handshake.ciphertext)
    assert handshake.replay_key() == hash_by_hand(labels.HANDSHAKE_REPLAY, *parts)


# --- agreement


def hash_by_hand(label: bytes, *parts: bytes) -> bytes:
    framed = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hashlib.sha256(bytes([len(label)]) + label + framed).digest()


@pytest.mark.parametrize("kind", KINDS)
def test_both_sides_agree_and_talk(alice: Person, bob: Person, kind: tuple[bool, PrekeyUse]) -> None:
    handshake, ours, theirs = run(alice, bob, kind)

    assert handshake.one_time == (PREKEY_IDS[PrekeyUse.ONE_TIME] if kind[0] else None)
    assert handshake.uses_last_resort is (kind[1] is PrekeyUse.LAST_RESORT)
    assert ours.session_id == theirs.session_id
    assert (ours.sending_ad, ours.receiving_ad) == (theirs.receiving_ad, theirs.sending_ad)
    assert ours.sending_ad != ours.receiving_ad
    ours, theirs = exchange(ours, theirs, b"hello")
    theirs, ours = exchange(theirs, ours, b"hello back")
    exchange(ours, theirs, b"and again")


@pytest.mark.parametrize("kind", KINDS)
def test_the_secrets_are_the_formula_of_the_specification(
    alice: Person, bob: Person, kind: tuple[bool, PrekeyUse]
) -> None:
    handshake, _, theirs = run(alice, bob, kind)
    privates, ephemeral = bob.prekeys.privates(handshake), key_pair("ephemeral")
    one_time = ephemeral.exchange(privates.one_time.public) if privates.one_time else b""
    ikm = (
        b"\xff" * 32
        + alice.device.identity.exchange(privates.signed.public)
        + ephemeral.exchange(bob.device.identity.public)
        + ephemeral.exchange(privates.signed.public)
        + one_time
        + privates.kem.decapsulate(handshake.ciphertext)
    )
    transcript = hash_by_hand(
        labels.HANDSHAKE_TRANSCRIPT,
        b"\x02",
        alice.address,
        b"\x01",
        alice.device.fingerprint,
        bob.address,
        b"\x01",
        bob.device.fingerprint,
        ephemeral.public.raw,
        bytes([0, 0, 0, 10]) + privates.signed.public.raw,
        bytes([1, 0, 0, 0, 40]) + privates.one_time.public.raw if privates.one_time else b"",
        bytes([kind[1], 0, 0, 0, 10 * kind[1]]) + privates.kem.public.raw,
        handshake.ciphertext,
    )
    okm = HKDF(hashes.SHA256(), 96, bytes(32), labels.PQXDH_SECRET + b"\x00" + transcript).derive(ikm)

    assert theirs.root_key == okm[:32]
    assert theirs.session_id == HKDF(hashes.SHA256(), 8, None, labels.SESSION_ID + b"\x00").derive(okm[64:])
    ad = (b"\x02", alice.address, b"\x01", alice.device.fingerprint, bob.address, b"\x01", bob.device.fingerprint)
    assert theirs.receiving_ad == hash_by_hand(labels.ASSOCIATED_DATA, *ad)
    assert theirs.sending_ad == hash_by_hand(labels.ASSOCIATED_DATA, b"\x02", *ad[4:], *ad[1:4])


def test_two_handshakes_from_the_same_keys_differ(alice: Person, bob: Person) -> None:
    first, second = (run(alice, bob, KINDS[0]) for _ in range(2))

    assert first[0].ciphertext != second[0].ciphertext
    assert first[1].session_id != second[1].session_id


def other_device(device: OwnDevice, **fields: object) -> OwnDevice:
    return replace(device, device=replace(device.device, **fields))  # type: ignore[arg-type]


Swap = Callable[[OwnDevice, Peer, Handshake, PrekeyPrivates], tuple[OwnDevice, Peer, Handshake, PrekeyPrivates]]
# What the responder takes part in, with one thing swapped on the way. Where the X25519 inputs stay the same, only the
# transcript notices.
SWAPS: dict[str, Swap] = {
    "initiator's address": lambda us, them, h, p: (us, replace(them, address=Address(seed("mallory"))), h, p),
    "initiator's device id": lambda us, them, h, p: (us, peer_with(them, id=DeviceId(2)), h, p),
    "initiator's fingerprint": lambda us, them, h, p: (us, peer_with(them, created=Millis(NOW + 1)), h, p),
    "initiator's identity key": lambda us, them, h, p: (
        us,
        peer_with(them, identity_key=key_pair("mallory").public),
        h,
        p,
    ),
    "our address": lambda us, them, h, p: (replace(us, address=Address(seed("mallory"))), them, h, p),
    "our device id": lambda us, them, h, p: (other_device(us, id=DeviceId(2)), them, h, p),
    "our fingerprint": lambda us, them, h, p: (other_device(us, created=Millis(NOW + 1)), them, h, p),
    "our identity key": lambda us, them, h, p: (replace(us, identity=key_pair("mallory")), them, h, p),
    "both sides": lambda us, them, h, p: (
        replace(us, address=them.address, device=them.device),
        Peer(us.address, us.device),
        h,
        p,
    ),
    "ephemeral key": lambda us, them, h, p: (us, them, replace(h, ephemeral=key_pair("mallory").public), p),
    "signed prekey id": lambda us, them, h, p: (us, them, replace(h, signed=PrekeyId(11)), p),
    "signed prekey": lambda us, them, h, p: (us, them, h, replace(p, signed=key_pair("mallory"))),
    "one-time prekey id": lambda us, them, h, p: (us, them, replace(h, one_time=PrekeyId(41)), p),
    "one-time prekey": lambda us, them, h, p: (us, them, h, replace(p, one_time=key_pair("mallory"))),
    "one-time prekey left out": lambda us, them, h, p: (us, them, replace(h, one_time=None), replace(p, one_time=None)),
    "one-time and signed prekey": lambda us, them, h, p: (
        us,
        them,
        h,
        PrekeyPrivates(p.one_time or p.signed, p.signed, p.kem),
    ),
    "kem prekey id": lambda us, them, h, p: (us, them, replace(h, kem=PrekeyId(51)), p),
    "kem prekey": lambda us, them, h, p: (
        us,
        them,
        h,
        replace(p, kem=KemKeyPair.from_seed_1024(seed("mallory", 64))),
    ),
    "kem kind": lambda us, them, h, p: (us, them, replace(h, uses_last_resort=not h.uses_last_resort), p),
    "ciphertext": lambda us, them, h, p: (
        us,
        them,
        replace(h, ciphertext=bytes([h.ciphertext[0] ^ 1]) + h.ciphertext[1:]),
        p,
    ),
}


def peer_with(peer: Peer, **fields: object) -> Peer:
    return replace(peer, device=replace(peer.device, **fields))  # type: ignore[arg-type]


@pytest.mark.parametrize("swapped", SWAPS)
def test_whatever_is_swapped_on_the_way_ends_the_agreement(alice: Person, bob: Person, swapped: str) -> None:
    handshake, ours, theirs = run(alice, bob, KINDS[0])
    _, encoded = encrypt(ours, b"hello", bytes(16))
    message = Message.parse(encoded)

    wrong = accept(*SWAPS[swapped](bob.device, alice.peer, handshake, bob.prekeys.privates(handshake)))

    assert wrong.session_id != theirs.session_id
    assert wrong.root_key != theirs.root_key
    with pytest.raises(AuthenticationFailed):
        decrypt(wrong, message, key_pair("fresh"), NOW)
    assert decrypt(theirs, message, key_pair("fresh"), NOW)[1] == b"hello"


@pytest.mark.parametrize("swapped", ["initiator's address", "our address", "initiator's device id", "our device id"])
def test_each_direction_is_bound_to_both_names(alice: Person, bob: Person, swapped: str) -> None:
    """Even with the right keys, a message under other names does not open: the associated data differs."""
    handshake, ours, theirs = run(alice, bob, KINDS[0])
    wrong = accept(*SWAPS[swapped](bob.device, alice.peer, handshake, bob.prekeys.privates(handshake)))

    assert len({theirs.sending_ad, theirs.receiving_ad, wrong.sending_ad, wrong.receiving_ad}) == 4
    _, encoded = encrypt(ours, b"hello", bytes(16))
    with pytest.raises(AuthenticationFailed):
        decrypt(replace(theirs, receiving_ad=wrong.receiving_ad), Message.parse(encoded), key_pair("fresh"), NOW)


def test_the_associated_data_names_sender_and_recipient_in_this_order() -> None:
    address = Address(seed("address"))
    peers = [
        Peer(address, make_device(address, "alice").device),
        Peer(address, make_device(address, "alice", 2).device),
        Peer(Address(seed("another")), make_device(address, "alice").device),
        Peer(address, make_device(address, "alice", created=Millis(NOW + 1)).device),
    ]

    values = [associated_data(sender, recipient) for sender in peers for recipient in peers]

    assert len(set(values)) == len(values)


# --- refusals


def test_a_one_time_key_that_is_missing_or_unasked_for_is_misuse(alice: Person, bob: Person) -> None:
    with_one, _, _ = run(alice, bob, KINDS[0])
    without, _, _ = run(alice, bob, KINDS[2])

    with pytest.raises(Misuse):
        accept(bob.device, alice.peer, with_one, replace(bob.prekeys.privates(with_one), one_time=None))
    with pytest.raises(Misuse):
        accept(bob.device, alice.peer, without, replace(bob.prekeys.privates(without), one_time=key_pair("extra")))


def with_key(bundle: PrekeyBundle, place: str, key: bytes) -> PrekeyBundle:
    if place == "signed":
        return replace(bundle, signed=replace(bundle.signed, key=key))
    assert bundle.one_time is not None
    return replace(bundle, one_time=Prekey(PrekeyUse.ONE_TIME, bundle.one_time.id, bundle.one_time.expiry, key, b""))


@pytest.mark.parametrize("key", [LOW_ORDER.raw, b"\xff" * 32], ids=["low order", "not canonical"])
@pytest.mark.parametrize("place", ["signed", "one_time"])
def test_a_bad_key_in_a_bundle_is_refused(alice: Person, bob: Person, place: str, key: bytes) -> None:
    bundle = with_key(bob.prekeys.bundle(), place, key)

    with pytest.raises(BadKey):
        initiate(alice.device, bob.peer, bundle, (key_pair("ephemeral"), key_pair("first")), encapsulate(bundle))


def test_an_identity_key_of_low_order_in_a_record_is_refused(alice: Person, bob: Person) -> None:
    bundle, theirs = bob.prekeys.bundle(), peer_with(bob.peer, identity_key=LOW_ORDER)

    with pytest.raises(BadKey):
        initiate(alice.device, theirs, bundle, (key_pair("ephemeral"), key_pair("first")), encapsulate(bundle))


def test_a_non_canonical_kem_key_is_refused(bob: Person) -> None:
    bundle = bob.prekeys.bundle()

    with pytest.raises(BadKey):
        encapsulate(replace(bundle, kem=replace(bundle.kem, key=b"\xff" * 1568)))


@pytest.mark.parametrize("place", ["identity", "ephemeral"])
def test_a_low_order_key_of_an_initiator_is_refused(alice: Person, bob: Person, place: str) -> None:
    handshake, _, _ = run(alice, bob, KINDS[0])
    theirs = peer_with(alice.peer, identity_key=LOW_ORDER) if place == "identity" else alice.peer
    if place == "ephemeral":
        handshake = replace(handshake, ephemeral=LOW_ORDER)

    with pytest.raises(BadKey):
        accept(bob.device, theirs, handshake, bob.prekeys.privates(handshake))


def test_private_halves_do_not_show_in_repr(alice: Person, bob: Person) -> None:
    handshake, _, _ = make_pair(alice, bob)

    assert repr(bob.prekeys.privates(handshake)) == "PrekeyPrivates()"


# --- suite 1, plain X3DH


@pytest.mark.parametrize("has_one_time", [True, False])
def test_plain_x3dh_agrees(has_one_time: bool) -> None:  # noqa: FBT001
    ours, ephemeral, theirs, signed = (key_pair(name) for name in ("alice", "ephemeral", "bob", "signed"))
    one_time = key_pair("one-time") if has_one_time else None

    initiated = x3dh_initiate(ours, ephemeral, theirs.public, signed.public, one_time.public if one_time else None)

    assert initiated == x3dh_accept(theirs, signed, one_time, ours.public, ephemeral.public)
    secret, ad = initiated
    assert len(secret) == 32
    assert ad == ours.public.raw + theirs.public.raw
    without = x3dh_initiate(ours, ephemeral, theirs.public, signed.public, None)
    assert (without == initiated) is not has_one_time


def test_plain_x3dh_refuses_keys_of_low_order() -> None:
    ours, ephemeral, theirs, signed = (key_pair(name) for name in ("alice", "ephemeral", "bob", "signed"))

    with pytest.raises(BadKey):
        x3dh_initiate(ours, ephemeral, theirs.public, signed.public, LOW_ORDER)
    with pytest.raises(BadKey):
        x3dh_accept(theirs, signed, None, LOW_ORDER, ephemeral.public)
