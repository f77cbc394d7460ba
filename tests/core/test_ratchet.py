import os
import struct
import sys
from collections.abc import Callable
from dataclasses import replace
from types import FrameType

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from core.people import NOW, key_pair, seed
from halonyx.core import labels, primitives
from halonyx.core.errors import (
    AuthenticationFailed,
    BadKey,
    Duplicate,
    HalonyxError,
    Malformed,
    Misuse,
    TooFarAhead,
    UnsupportedVersion,
)
from halonyx.core.kdf import HandshakeSecrets, RootKey, kdf_chain, kdf_message
from halonyx.core.primitives import KeyPair, PublicKey
from halonyx.core.ratchet import (
    HEADER_SIZE,
    MAX_INDEX,
    MAX_JUMP,
    MAX_SKIPPED,
    SALT_SIZE,
    SKIPPED_LIFETIME,
    Chain,
    Message,
    Ratchet,
    decrypt,
    encrypt,
    initiator,
    responder,
    starts_receiving_chain,
)
from halonyx.core.session import Established, Sessions, encode_sessions
from halonyx.core.types import Millis, SessionId

SESSION = SessionId(seed("session", 8))
SECRETS = HandshakeSecrets(RootKey(seed("root")), SESSION)
TO_BOB, TO_ALICE = seed("ad to bob"), seed("ad to alice")
SIGNED_PREKEY = key_pair("bob signed")
LATER = Millis(NOW + 1)


def make_pair() -> tuple[Ratchet, Ratchet]:
    alice = initiator(SECRETS, TO_BOB, TO_ALICE, SIGNED_PREKEY.public, key_pair("alice first"))
    return alice, responder(SECRETS, TO_ALICE, TO_BOB, SIGNED_PREKEY)


def make_started_pair() -> tuple[Ratchet, Ratchet]:
    """Both sides have both chains: one message each way."""
    alice, bob = make_pair()
    alice, first = send(alice, b"first")
    bob, _ = receive(bob, first)
    bob, reply = send(bob, b"reply")
    alice, _ = receive(alice, reply)
    return alice, bob


def send(state: Ratchet, plaintext: bytes) -> tuple[Ratchet, Message]:
    state, encoded = encrypt(state, plaintext, os.urandom(SALT_SIZE))
    return state, Message.parse(encoded)


def send_many(state: Ratchet, count: int) -> tuple[Ratchet, list[Message]]:
    messages = []
    for number in range(count):
        state, message = send(state, str(number).encode())
        messages.append(message)
    return state, messages


def receive(state: Ratchet, message: Message, now: Millis = NOW) -> tuple[Ratchet, bytes]:
    return decrypt(state, message, KeyPair.generate(), now)


def frozen(state: Ratchet) -> bytes:
    """Return every secret of the state, so that a change made in place shows."""
    return encode_sessions(Sessions(Established(state)))


def refused(error: type[HalonyxError], state: Ratchet, message: Message, now: Millis = NOW) -> None:
    """Check that a message is refused with this very error and changes nothing."""
    before = frozen(state)
    with pytest.raises(HalonyxError) as caught:
        receive(state, message, now)
    assert type(caught.value) is error
    assert frozen(state) == before


def calls_during(functions: list[Callable[..., object]], step: Callable[[], object]) -> int:
    """Count the calls of `functions` while `step` runs, whether or not it raises."""
    codes = {function.__code__ for function in functions}
    count = 0

    def profile(frame: FrameType, event: str, _: object) -> None:
        nonlocal count
        count += event == "call" and frame.f_code in codes

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        step()
    except HalonyxError:
        pass
    finally:
        sys.setprofile(before)
    return count


def with_header(message: Message, **fields: object) -> Message:
    """Re-encode a message with other header fields, as someone without the keys can."""
    changed = replace(message, **fields)  # type: ignore[arg-type]
    header = struct.pack(
        ">BBB8s32sII16s",
        1,
        0x10,
        0,
        changed.session_id,
        changed.ratchet_key,
        changed.previous_length,
        changed.index,
        changed.salt,
    )
    return Message.parse(header + changed.ciphertext)


# --- the message format


def test_a_message_has_the_layout_of_table_1() -> None:
    alice, _ = make_pair()
    salt = seed("salt", 16)

    alice = replace(alice, previous_length=0x01020304)
    _, encoded = encrypt(alice, b"text", salt)

    assert encoded[:3] == b"\x01\x10\x00"
    assert encoded[3:11] == SESSION
    assert encoded[11:43] == alice.ours.public.raw
    assert encoded[43:47] == b"\x01\x02\x03\x04"
    assert encoded[47:51] == bytes(4)
    assert encoded[51:67] == salt
    assert len(encoded) == HEADER_SIZE + len(b"text") + 16


def test_parsing_gives_back_what_was_encoded() -> None:
    alice, _ = make_pair()
    _, encoded = encrypt(alice, b"text", seed("salt", 16))

    message = Message.parse(encoded)

    assert message.header + message.ciphertext == encoded
    assert with_header(message).header == message.header


@pytest.mark.parametrize("size", [0, 1, HEADER_SIZE, HEADER_SIZE + 15])
def test_a_message_shorter_than_header_and_tag_is_malformed(size: int) -> None:
    with pytest.raises(Malformed):
        Message.parse(bytes(size))


@pytest.mark.parametrize(
    ("at", "value", "error"),
    [
        (0, 0, UnsupportedVersion),
        (0, 2, UnsupportedVersion),
        (1, 0x11, Malformed),
        (2, 1, Malformed),
        (2, 0x80, Malformed),
    ],
)
def test_another_version_type_or_flag_is_refused(at: int, value: int, error: type[HalonyxError]) -> None:
    _, encoded = encrypt(make_pair()[0], b"text", bytes(16))

    with pytest.raises(error):
        Message.parse(encoded[:at] + bytes([value]) + encoded[at + 1 :])


@given(st.binary(max_size=200))
def test_random_bytes_are_parsed_or_refused(data: bytes) -> None:
    try:
        message = Message.parse(data)
    except (Malformed, UnsupportedVersion):
        return
    assert message.header + message.ciphertext == data


# --- encrypting


def test_a_message_is_the_formula_of_the_specification() -> None:
    alice, _ = make_pair()
    salt = seed("salt", 16)

    after, encoded = encrypt(alice, b"text", salt)

    secret = alice.ours.exchange(SIGNED_PREKEY.public)
    okm = HKDF(hashes.SHA256(), 64, SECRETS.root_key, labels.ROOT_KEY + b"\x00").derive(secret)
    message_key = primitives.hmac_sha256(okm[32:], b"\x01")
    split = HKDF(hashes.SHA256(), 44, None, labels.MESSAGE_KEY + b"\x00" + salt).derive(message_key)
    header = encoded[:HEADER_SIZE]
    assert alice.root_key == okm[:32]
    assert AESGCM(split[:32]).encrypt(split[32:], b"text", TO_BOB + header) == encoded[HEADER_SIZE:]
    assert after.sending is not None
    assert after.sending.key == primitives.hmac_sha256(okm[32:], b"\x02")


def test_a_responder_cannot_send_before_it_has_received() -> None:
    with pytest.raises(Misuse):
        encrypt(make_pair()[1], b"text", bytes(16))


@pytest.mark.parametrize("size", [0, 15, 17])
def test_a_salt_of_another_size_is_misuse(size: int) -> None:
    with pytest.raises(Misuse):
        encrypt(make_pair()[0], b"text", bytes(size))


def test_a_chain_ends_before_its_index_overflows() -> None:
    alice, _ = make_pair()
    assert alice.sending is not None

    last, encoded = encrypt(replace(alice, sending=Chain(alice.sending.key, MAX_INDEX - 1)), b"last", bytes(16))

    assert Message.parse(encoded).index == MAX_INDEX - 1
    with pytest.raises(Misuse):
        encrypt(last, b"one too many", bytes(16))


def test_a_state_restored_from_an_old_copy_never_reuses_key_and_nonce() -> None:
    alice, bob = make_pair()
    assert alice.sending is not None
    _, message_key = kdf_chain(alice.sending.key)

    _, first = send(alice, b"sent before the restore")
    _, second = send(alice, b"sent after the restore, from the same state")

    assert (first.ratchet_key, first.index) == (second.ratchet_key, second.index)
    assert kdf_message(message_key, first.salt) != kdf_message(message_key, second.salt)
    bob, plaintext = receive(bob, second)
    assert plaintext == b"sent after the restore, from the same state"
    refused(Duplicate, bob, first)


# --- decrypting in order, out of order, with loss


def test_both_sides_talk_through_several_dh_steps() -> None:
    ours, theirs = make_pair()
    for round_number in range(10):
        for number in range(3):
            text = f"{round_number}.{number}".encode()
            ours, message = send(ours, text)
            theirs, plaintext = receive(theirs, message)
            assert plaintext == text
        ours, theirs = theirs, ours
    assert ours.skipped == theirs.skipped == {}


def test_an_empty_and_a_large_plaintext_survive() -> None:
    alice, bob = make_pair()
    for plaintext in (b"", bytes(64 * 1024)):
        alice, message = send(alice, plaintext)
        bob, opened = receive(bob, message)
        assert opened == plaintext


def test_messages_in_reverse_order_are_all_opened_and_no_key_is_left() -> None:
    alice, bob = make_pair()
    _, messages = send_many(alice, 20)

    for number, message in reversed(list(enumerate(messages))):
        bob, plaintext = receive(bob, message)
        assert plaintext == str(number).encode()

    assert bob.skipped == {}


def test_a_message_of_the_previous_chain_arrives_after_the_dh_step() -> None:
    alice, bob = make_started_pair()
    alice, (first, *late) = send_many(alice, 4)
    bob, _ = receive(bob, first)
    bob, reply = send(bob, b"turns the chain")
    alice, _ = receive(alice, reply)
    alice, newer = send(alice, b"newer chain")

    bob, _ = receive(bob, newer)
    assert newer.previous_length == 4
    assert list(bob.skipped) == [(first.ratchet_key, index) for index in (1, 2, 3)]
    for message in reversed(late):
        assert not starts_receiving_chain(bob, message)
        bob, _ = receive(bob, message)
    assert bob.skipped == {}


def test_the_first_message_to_arrive_may_be_a_later_one() -> None:
    alice, bob = make_pair()
    _, messages = send_many(alice, 3)

    bob, plaintext = receive(bob, messages[2])

    assert plaintext == b"2"
    assert len(bob.skipped) == 2
    refused(Duplicate, bob, messages[2])


def test_the_fresh_pair_is_used_only_when_a_receiving_chain_starts() -> None:
    alice, bob = make_started_pair()
    fresh = key_pair("fresh")
    alice, messages = send_many(alice, 3)

    assert starts_receiving_chain(bob, messages[1])
    bob, _ = decrypt(bob, messages[1], fresh, NOW)
    assert bob.ours == fresh
    for message in (messages[0], messages[2]):
        assert not starts_receiving_chain(bob, message)
        bob, _ = decrypt(bob, message, key_pair("never used"), NOW)
        assert bob.ours == fresh
    assert starts_receiving_chain(make_pair()[1], messages[0])


# --- duplicates


@pytest.mark.parametrize("order", [[0], [0, 1, 2], [2, 0, 1]])
def test_a_second_delivery_is_a_duplicate(order: list[int]) -> None:
    alice, bob = make_pair()
    _, messages = send_many(alice, 3)
    for number in order:
        bob, _ = receive(bob, messages[number])

    for number in order:
        refused(Duplicate, bob, messages[number])


def test_a_second_delivery_from_a_former_chain_does_not_open_and_changes_nothing() -> None:
    """Former ratchet keys are not remembered, so it is a forgery to the ratchet; the client knows the envelope."""
    alice, bob = make_started_pair()
    alice, former = send(alice, b"former chain")
    bob, _ = receive(bob, former)
    bob, reply = send(bob, b"turns the chain")
    alice, _ = receive(alice, reply)
    alice, newer = send(alice, b"newer chain")
    bob, _ = receive(bob, newer)

    refused(AuthenticationFailed, bob, former)


def test_a_message_under_our_own_signed_prekey_is_refused() -> None:
    alice, bob = make_pair()
    bob, _ = receive(bob, send(alice, b"first")[1])
    _, message = send(bob, b"reply")

    refused(Duplicate, alice, with_header(message, ratchet_key=SIGNED_PREKEY.public.raw))


# --- bounds


@pytest.mark.parametrize(("jump", "is_opened"), [(MAX_JUMP, True), (MAX_JUMP + 1, False)])
def test_a_jump_within_a_chain_is_bounded(jump: int, is_opened: bool) -> None:  # noqa: FBT001  # a table's column
    alice, bob = make_started_pair()
    alice, first = send(alice, b"starts the chain")
    bob, _ = receive(bob, first)
    alice, messages = send_many(alice, jump + 1)

    if is_opened:
        bob, _ = receive(bob, messages[-1])
        assert len(bob.skipped) == jump
    else:
        refused(TooFarAhead, bob, messages[-1])


@pytest.mark.parametrize(("left", "index", "is_opened"), [(600, 400, True), (600, 401, False), (601, 400, False)])
def test_a_jump_over_a_dh_step_counts_both_chains(left: int, index: int, is_opened: bool) -> None:  # noqa: FBT001
    alice, bob = make_started_pair()
    alice, first = send(alice, b"starts the chain")
    bob, _ = receive(bob, first)
    alice, _ = send_many(alice, left)
    bob, reply = send(bob, b"turns the chain")
    alice, _ = receive(alice, reply)
    alice, messages = send_many(alice, index + 1)

    if is_opened:
        bob, _ = receive(bob, messages[-1])
        assert len(bob.skipped) == MAX_JUMP
    else:
        refused(TooFarAhead, bob, messages[-1])


def test_the_first_jump_of_a_responder_is_bounded() -> None:
    alice, bob = make_pair()
    alice, messages = send_many(alice, MAX_JUMP + 2)

    with pytest.raises(TooFarAhead):
        receive(bob, messages[-1])
    bob, _ = receive(bob, messages[-2])
    assert len(bob.skipped) == MAX_JUMP


WORK: list[Callable[..., object]] = [
    primitives.hmac_sha256_pair,
    primitives.hkdf,
    primitives.aead_open,
    primitives.KeyPair.exchange,
]


@pytest.mark.parametrize("index", [MAX_JUMP + 2, 2**31, 2**32 - 1])
@pytest.mark.parametrize("key", ["current", "new"])
def test_a_forged_index_is_refused_before_any_cryptography(index: int, key: str) -> None:
    alice, bob = make_started_pair()
    alice, first = send(alice, b"starts the chain")
    bob, _ = receive(bob, first)
    ratchet_key = first.ratchet_key if key == "current" else key_pair("forged").public.raw
    forged = with_header(first, index=index, ratchet_key=ratchet_key)

    refused(TooFarAhead, bob, forged)
    assert calls_during(WORK, lambda: receive(bob, forged)) == 0


def test_a_forged_previous_length_is_refused_before_any_cryptography() -> None:
    alice, bob = make_started_pair()
    alice, first = send(alice, b"starts the chain")
    bob, _ = receive(bob, first)
    forged = with_header(first, previous_length=2**32 - 1, index=0, ratchet_key=key_pair("forged").public.raw)

    refused(TooFarAhead, bob, forged)
    assert calls_during(WORK, lambda: receive(bob, forged)) == 0


def test_a_duplicate_costs_no_cryptography() -> None:
    alice, bob = make_pair()
    alice, first = send(alice, b"first")
    bob, _ = receive(bob, first)

    assert calls_during(WORK, lambda: receive(bob, first)) == 0


def test_the_most_hashing_one_message_can_cause() -> None:
    alice, bob = make_started_pair()
    alice, first = send(alice, b"starts the chain")
    bob, _ = receive(bob, first)
    forged = with_header(first, index=first.index + 1 + MAX_JUMP)

    refused(AuthenticationFailed, bob, forged)
    assert calls_during([primitives.hmac_sha256_pair], lambda: receive(bob, forged)) == MAX_JUMP + 1


def test_skipped_keys_are_bounded_first_in_first_out() -> None:
    alice, bob = make_pair()
    jumps = []
    for _ in range(3):
        alice, messages = send_many(alice, MAX_JUMP + 1)
        bob, _ = receive(bob, messages[-1])
        jumps.append(messages)
        assert len(bob.skipped) <= MAX_SKIPPED

    assert len(bob.skipped) == MAX_SKIPPED
    refused(Duplicate, bob, jumps[0][0])
    refused(Duplicate, bob, jumps[0][-2])
    for message in (jumps[1][0], jumps[2][-2]):
        bob, _ = receive(bob, message)


@pytest.mark.parametrize(("age", "is_opened"), [(SKIPPED_LIFETIME - 1, True), (SKIPPED_LIFETIME, False)])
def test_a_skipped_key_lives_thirty_days(age: int, is_opened: bool) -> None:  # noqa: FBT001
    alice, bob = make_pair()
    _, messages = send_many(alice, 2)
    bob, _ = receive(bob, messages[1])

    if is_opened:
        _, plaintext = receive(bob, messages[0], Millis(NOW + age))
        assert plaintext == b"0"
    else:
        refused(Duplicate, bob, messages[0], Millis(NOW + age))


@pytest.mark.parametrize("skips", [True, False])
def test_an_expired_skipped_key_is_dropped_by_the_next_message(skips: bool) -> None:  # noqa: FBT001
    alice, bob = make_pair()
    _, messages = send_many(alice, 4)
    bob, _ = receive(bob, messages[1])

    bob, _ = receive(bob, messages[3 if skips else 2], Millis(NOW + SKIPPED_LIFETIME))

    assert list(bob.skipped) == ([(messages[2].ratchet_key, 2)] if skips else [])


# --- forgeries


def flips(message: Message) -> list[Message]:
    """Every header field and the ciphertext, each with one bit flipped."""
    return [
        with_header(message, session_id=SessionId(flip(message.session_id))),
        with_header(message, ratchet_key=flip(message.ratchet_key)),
        with_header(message, previous_length=message.previous_length ^ 1),
        with_header(message, index=message.index ^ 1),
        with_header(message, salt=flip(message.salt)),
        with_header(message, ciphertext=flip(message.ciphertext)),
        with_header(message, ciphertext=message.ciphertext[:-1] + flip(message.ciphertext[-1:])),
        with_header(message, ciphertext=message.ciphertext + b"\x00"),
        with_header(message, ciphertext=message.ciphertext[1:]),
    ]


def flip(field: bytes) -> bytes:
    return bytes([field[0] ^ 1]) + field[1:]


@pytest.mark.parametrize("number", range(9))
@pytest.mark.parametrize("stage", ["first", "same chain", "new chain", "skipped"])
def test_a_flipped_field_is_refused_and_the_message_still_opens(number: int, stage: str) -> None:
    alice, bob = make_pair() if stage == "first" else make_started_pair()
    alice, messages = send_many(alice, 3)
    if stage in ("same chain", "skipped"):
        bob, _ = receive(bob, messages[1 if stage == "skipped" else 0])
    message = messages[0 if stage == "skipped" else 2]

    forged = flips(message)[number]
    is_opened_index = stage == "skipped" and forged.index != message.index
    refused(Duplicate if is_opened_index else AuthenticationFailed, bob, forged)

    _, plaintext = receive(bob, message)
    assert plaintext == (b"0" if stage == "skipped" else b"2")


@settings(max_examples=200)
@given(bit=st.integers(0, (HEADER_SIZE + 20) * 8 - 1))
def test_every_flipped_bit_is_refused(bit: int) -> None:
    alice, bob = make_pair()
    _, encoded = encrypt(alice, b"text", bytes(16))
    number = int.from_bytes(encoded, "big") ^ 1 << bit

    before = frozen(bob)
    with pytest.raises(HalonyxError):
        receive(bob, Message.parse(number.to_bytes(len(encoded), "big")))
    assert frozen(bob) == before


def test_a_forged_ratchet_key_leaves_the_old_keys_working() -> None:
    alice, bob = make_started_pair()
    alice, messages = send_many(alice, 3)
    bob, _ = receive(bob, messages[1])
    forged = with_header(messages[2], ratchet_key=key_pair("forged").public.raw)

    refused(AuthenticationFailed, bob, forged)
    for message in (messages[0], messages[2]):
        bob, _ = receive(bob, message)


@pytest.mark.parametrize(
    "ratchet_key",
    [
        pytest.param(bytes(32), id="low order, zero"),
        pytest.param(b"\x01" + bytes(31), id="low order, one"),
        pytest.param((2**255 - 19).to_bytes(32, "little"), id="not reduced"),
        pytest.param(bytes(31) + b"\x80", id="top bit"),
    ],
)
def test_a_bad_ratchet_key_is_refused(ratchet_key: bytes) -> None:
    alice, bob = make_started_pair()
    _, message = send(alice, b"text")

    refused(BadKey, bob, with_header(message, ratchet_key=ratchet_key))


def test_a_signed_prekey_of_low_order_is_refused() -> None:
    with pytest.raises(BadKey):
        initiator(SECRETS, TO_BOB, TO_ALICE, PublicKey(bytes(32)), key_pair("alice first"))


def test_a_message_that_its_sender_filed_under_another_session_is_refused() -> None:
    alice, bob = make_started_pair()
    _, message = send(replace(alice, session_id=SessionId(bytes(8))), b"text")

    refused(AuthenticationFailed, bob, message)


def test_a_message_reflected_to_its_sender_is_refused() -> None:
    alice, bob = make_started_pair()
    alice, message = send(alice, b"to bob")

    refused(AuthenticationFailed, alice, message)
    # The same keys in both directions: only the associated data tells them apart.
    assert bob.receiving is not None
    mirrored = replace(bob, receiving_ad=bob.sending_ad)
    refused(AuthenticationFailed, mirrored, message)


def test_a_previous_length_that_lies_costs_only_the_liar() -> None:
    alice, bob = make_started_pair()
    alice, (first, second) = send_many(alice, 2)
    bob, _ = receive(bob, first)
    bob, reply = send(bob, b"turns the chain")
    alice, _ = receive(alice, reply)

    for claimed, kept in ((0, 0), (1, 0), (2, 1), (9, 8)):
        _, message = send(replace(alice, previous_length=claimed), b"newer")
        after, plaintext = receive(bob, message)
        assert plaintext == b"newer"
        assert len(after.skipped) == kept
        if kept:
            assert receive(after, second)[1] == b"1"


def test_no_secret_shows_in_repr() -> None:
    alice, bob = make_started_pair()
    alice, messages = send_many(alice, 2)
    bob, _ = receive(bob, messages[1])
    assert bob.sending is not None
    assert bob.receiving is not None
    secrets = [bob.root_key, bob.sending.key, bob.receiving.key, bob.ours.private_raw()]
    secrets += [key.message_key for key in bob.skipped.values()]

    for secret in secrets:
        assert repr(secret) not in repr(bob)
        assert secret.hex() not in repr(bob)
