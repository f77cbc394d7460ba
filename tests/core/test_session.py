import os
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.people import NOW, Person, key_pair, make_pair, make_person, seed
from core.strict import bit_flips, raises_only_our_errors, refuses_truncations_and_trailing_bytes
from halonyx.core import handshake as handshakes
from halonyx.core.errors import (
    AuthenticationFailed,
    BadKey,
    Duplicate,
    HalonyxError,
    Malformed,
    Misuse,
    Replay,
    TooFarAhead,
    UnknownSession,
    UnsupportedVersion,
)
from halonyx.core.handshake import Handshake, accept, encapsulate, initiate
from halonyx.core.kdf import MessageKey
from halonyx.core.primitives import KeyPair, PublicKey
from halonyx.core.ratchet import MAX_SKIPPED, Chain, Message, Ratchet, SkippedKey
from halonyx.core.session import (
    ARCHIVED_LIFETIME,
    MAX_ARCHIVED,
    Archived,
    Established,
    Initiated,
    Session,
    SessionMessage,
    Sessions,
    adopt,
    begin,
    encode_sessions,
    find,
    parse_sessions,
    receive,
    replace_sending,
    seal,
)
from halonyx.core.types import HOUR, Fingerprint, Millis, PrekeyId, SessionId

SMALL, LARGE = Fingerprint(bytes(32)), Fingerprint(b"\xff" * 32)


def salt() -> bytes:
    return os.urandom(16)


@dataclass
class Side:
    """One device with its sessions with the other, as a client holds them."""

    person: Person
    sessions: Sessions = field(default_factory=Sessions)
    received: list[bytes] = field(default_factory=list)

    def begin(self, other: "Side", now: Millis = NOW) -> SessionId:
        bundle = other.person.prekeys.bundle()
        fresh = (KeyPair.generate(), KeyPair.generate())
        handshake, ratchet = initiate(self.person.device, other.person.peer, bundle, fresh, encapsulate(bundle))
        self.sessions = begin(self.sessions, Initiated(ratchet, handshake), now)
        return ratchet.session_id

    def send(self, text: bytes) -> bytes:
        assert self.sessions.sending is not None
        session, encoded = seal(self.sessions.sending, text, salt())
        self.sessions = replace_sending(self.sessions, session)
        return encoded

    def take(self, other: "Side", encoded: bytes, resets: SessionId | None = None, now: Millis = NOW) -> bytes:
        message = SessionMessage.parse(encoded)
        if find(self.sessions, message.message.session_id, now) is not None:
            self.sessions, text = receive(self.sessions, message.message, KeyPair.generate(), now)
        else:
            assert message.handshake is not None
            privates = self.person.prekeys.privates(message.handshake)
            accepted = accept(self.person.device, other.person.peer, message.handshake, privates)
            fresh = Sessions(sending=Established(accepted))
            after, text = receive(fresh, message.message, KeyPair.generate(), now)
            assert after.sending is not None
            fingerprints = (self.person.device.fingerprint, other.person.device.fingerprint)
            self.sessions = adopt(self.sessions, after.sending.ratchet, fingerprints, resets, now)
        self.received.append(text)
        return text

    @property
    def sending_id(self) -> SessionId:
        assert self.sessions.sending is not None
        return self.sessions.sending.ratchet.session_id


@pytest.fixture
def alice() -> Side:
    return Side(make_person("alice"))


@pytest.fixture
def bob() -> Side:
    return Side(make_person("bob"))


def make_ratchet(name: str) -> Ratchet:
    """Return a ratchet with nothing behind it, for tests of what surrounds it."""
    alice, bob = make_person("alice"), make_person("bob")
    _, ours, _ = make_pair(alice, bob, name)
    return replace(ours, session_id=SessionId(seed(f"id {name}", 8)))


def make_handshake() -> Handshake:
    return Handshake(
        ephemeral=key_pair("ephemeral").public,
        signed=PrekeyId(1),
        one_time=None,
        kem=PrekeyId(2),
        uses_last_resort=False,
        ciphertext=bytes(1568),
    )


# --- one session


def test_the_handshake_is_repeated_until_a_reply_was_decrypted(alice: Side, bob: Side) -> None:
    alice.begin(bob)
    first, second = alice.send(b"first"), alice.send(b"second")
    parsed = [SessionMessage.parse(encoded) for encoded in (first, second)]
    assert parsed[0].handshake == parsed[1].handshake is not None
    assert isinstance(alice.sessions.sending, Initiated)

    bob.take(alice, first)
    assert isinstance(bob.sessions.sending, Established)
    alice.take(bob, bob.send(b"reply"))

    assert isinstance(alice.sessions.sending, Established)
    third = alice.send(b"third")
    assert SessionMessage.parse(third).handshake is None
    assert bob.take(alice, third) == b"third"
    assert bob.take(alice, second) == b"second"


def test_a_failed_reply_leaves_the_handshake_repeated(alice: Side, bob: Side) -> None:
    alice.begin(bob)
    bob.take(alice, alice.send(b"first"))
    reply = bob.send(b"reply")
    before = encode_sessions(alice.sessions)

    with pytest.raises(AuthenticationFailed):
        alice.take(bob, reply[:-1] + bytes([reply[-1] ^ 1]))

    assert encode_sessions(alice.sessions) == before
    assert isinstance(alice.sessions.sending, Initiated)
    assert alice.take(bob, reply) == b"reply"


def test_a_repeated_handshake_is_a_message_of_the_session_it_made(alice: Side, bob: Side) -> None:
    alice.begin(bob)
    first, second = alice.send(b"first"), alice.send(b"second")
    bob.take(alice, first)
    before = bob.sessions

    bob.take(alice, second)
    with pytest.raises(Duplicate):
        bob.take(alice, first)

    assert bob.sessions.archived == before.archived == ()
    assert bob.received == [b"first", b"second"]


def test_a_repeated_handshake_never_becomes_a_new_session(alice: Side, bob: Side) -> None:
    alice.begin(bob)
    first = alice.send(b"first")
    bob.take(alice, first)
    held = bob.sessions.sending
    assert held is not None
    before = encode_sessions(bob.sessions)

    with pytest.raises(Replay):
        adopt(bob.sessions, held.ratchet, (LARGE, SMALL), held.ratchet.session_id, NOW)
    bob.begin(alice)
    with pytest.raises(Replay):
        adopt(bob.sessions, held.ratchet, (LARGE, SMALL), None, NOW)

    assert before != encode_sessions(bob.sessions)
    assert find(bob.sessions, held.ratchet.session_id, NOW) is held


def test_sealing_as_a_responder_before_anything_arrived_is_misuse(alice: Side, bob: Side) -> None:
    _, _, ratchet = make_pair(alice.person, bob.person)

    with pytest.raises(Misuse):
        seal(Established(ratchet), b"text", salt())


def test_a_message_is_parsed_with_and_without_its_handshake(alice: Side, bob: Side) -> None:
    alice.begin(bob)
    encoded = alice.send(b"text")

    parsed = SessionMessage.parse(encoded)

    assert parsed.handshake is not None
    assert parsed.handshake.encode() == encoded[: handshakes.HEADER_SIZE]
    assert parsed.message == Message.parse(encoded[handshakes.HEADER_SIZE :])
    assert SessionMessage.parse(encoded[handshakes.HEADER_SIZE :]) == SessionMessage(None, parsed.message)


@pytest.mark.parametrize("size", [0, 1, 2, 82, 83, handshakes.HEADER_SIZE, handshakes.HEADER_SIZE + 82])
def test_a_cut_message_is_malformed(alice: Side, bob: Side, size: int) -> None:
    alice.begin(bob)

    with pytest.raises(Malformed):
        SessionMessage.parse(alice.send(b"")[:size])


@given(st.binary(max_size=100), st.booleans())
def test_random_bytes_are_parsed_or_refused(data: bytes, has_handshake: bool) -> None:  # noqa: FBT001
    raises_only_our_errors(SessionMessage.parse, b"\x01\x11\x02" + data if has_handshake else data)


# --- which session


def test_a_message_of_an_unknown_session_is_refused(alice: Side, bob: Side) -> None:
    alice.begin(bob)
    bob.take(alice, alice.send(b"first"))
    message = SessionMessage.parse(alice.send(b"second")).message
    stranger = replace(message, session_id=SessionId(bytes(8)))

    for sessions in (Sessions(), bob.sessions):
        with pytest.raises(UnknownSession):
            receive(sessions, stranger, key_pair("fresh"), NOW)
    with pytest.raises(UnknownSession):
        receive(Sessions(), message, key_pair("fresh"), NOW)


def test_a_session_is_found_by_its_name_only(alice: Side, bob: Side) -> None:
    alice.begin(bob)
    bob.take(alice, alice.send(b"first"))
    old = alice.sending_id
    alice.begin(bob)
    bob.take(alice, alice.send(b"second"))

    assert bob.sending_id == alice.sending_id != old
    assert [kept.session.ratchet.session_id for kept in bob.sessions.archived] == [old]
    assert find(bob.sessions, old, NOW) is bob.sessions.archived[0].session
    assert find(bob.sessions, SessionId(bytes(8)), NOW) is None


def test_the_refusals_of_the_ratchet_pass_through_and_change_nothing(alice: Side, bob: Side) -> None:
    alice.begin(bob)
    first, second = alice.send(b"first"), alice.send(b"second")
    bob.take(alice, first)
    message = SessionMessage.parse(second).message
    before = encode_sessions(bob.sessions)

    cases: list[tuple[Message, type[HalonyxError]]] = [
        (replace(message, index=0), Duplicate),
        (replace(message, index=2**32 - 1), TooFarAhead),
        (replace(message, salt=bytes(16)), AuthenticationFailed),
    ]
    for wrong, error in cases:
        with pytest.raises(error):
            receive(bob.sessions, wrong, key_pair("fresh"), NOW)
        assert encode_sessions(bob.sessions) == before


# --- archived sessions


def test_late_messages_of_an_archived_session_are_read_and_it_stays_archived(alice: Side, bob: Side) -> None:
    alice.begin(bob)
    bob.take(alice, alice.send(b"first"))
    alice.take(bob, bob.send(b"reply"))
    late = [bob.send(b"late 0"), bob.send(b"late 1")]
    bob.begin(alice)
    old = alice.sending_id
    alice.take(bob, bob.send(b"new session"))

    for encoded in reversed(late):
        alice.take(bob, encoded)

    assert alice.sending_id == bob.sending_id != old
    assert [kept.session.ratchet.session_id for kept in alice.sessions.archived] == [old]
    assert alice.received == [b"reply", b"new session", b"late 1", b"late 0"]
    with pytest.raises(Duplicate):
        alice.take(bob, late[0])


def test_a_reply_on_an_archived_handshake_establishes_it_where_it_is(alice: Side, bob: Side) -> None:
    alice.begin(bob)
    bob.take(alice, alice.send(b"first"))
    reply = bob.send(b"reply on the first")
    alice.begin(bob)
    assert isinstance(alice.sessions.archived[0].session, Initiated)

    alice.take(bob, reply)

    assert isinstance(alice.sessions.archived[0].session, Established)
    assert isinstance(alice.sessions.sending, Initiated)


def test_archived_sessions_are_five_and_newest_first() -> None:
    sessions = Sessions()
    ratchets = [make_ratchet(str(number)) for number in range(MAX_ARCHIVED + 3)]
    for number, ratchet in enumerate(ratchets):
        now = Millis(NOW + number)
        if number % 2:
            sessions = adopt(sessions, ratchet, (LARGE, SMALL), None, now)
        else:
            sessions = begin(sessions, Initiated(ratchet, make_handshake()), now)
        assert len(sessions.archived) == min(number, MAX_ARCHIVED)

    assert sessions.sending is not None
    assert sessions.sending.ratchet == ratchets[-1]
    assert [kept.session.ratchet for kept in sessions.archived] == ratchets[-2 : -2 - MAX_ARCHIVED : -1]
    assert [kept.since for kept in sessions.archived] == [NOW + 7, NOW + 6, NOW + 5, NOW + 4, NOW + 3]
    assert find(sessions, ratchets[1].session_id, Millis(NOW + 8)) is None


def test_an_archived_session_lives_seventy_two_hours(alice: Side, bob: Side) -> None:
    alice.begin(bob)
    bob.take(alice, alice.send(b"first"))
    late = alice.send(b"late")
    old = bob.sending_id
    bob.begin(alice, NOW)
    message = SessionMessage.parse(late).message
    last = Millis(NOW + ARCHIVED_LIFETIME - 1)

    assert ARCHIVED_LIFETIME == 72 * HOUR
    assert find(bob.sessions, old, last) is not None
    assert receive(bob.sessions, message, key_pair("fresh"), last)[1] == b"late"
    assert find(bob.sessions, old, Millis(last + 1)) is None
    with pytest.raises(UnknownSession):
        receive(bob.sessions, message, key_pair("fresh"), Millis(last + 1))


def test_an_expired_session_is_gone_after_the_next_step(alice: Side, bob: Side) -> None:
    alice.begin(bob)
    bob.take(alice, alice.send(b"first"))
    alice.begin(bob)
    bob.take(alice, alice.send(b"second"))
    late = Millis(NOW + ARCHIVED_LIFETIME)
    assert len(bob.sessions.archived) == 1

    after, _ = receive(bob.sessions, SessionMessage.parse(alice.send(b"third")).message, key_pair("fresh"), late)
    assert after.archived == ()
    begun = begin(bob.sessions, Initiated(make_ratchet("new"), make_handshake()), late)
    assert [kept.since for kept in begun.archived] == [late]
    adopted = adopt(bob.sessions, make_ratchet("new"), (LARGE, SMALL), None, late)
    assert [kept.since for kept in adopted.archived] == [late]


# --- both start at once


RESETS = [(), ("ours",), ("theirs",), ("ours", "theirs")]


@pytest.mark.parametrize("is_swapped", [False, True])
@pytest.mark.parametrize("resetting", RESETS)
@pytest.mark.parametrize("first", [0, 1])
def test_a_simultaneous_start_converges(
    alice: Side,
    bob: Side,
    resetting: tuple[str, ...],
    first: int,
    is_swapped: bool,  # noqa: FBT001  # a table's column
) -> None:
    """Whoever is smaller, whichever handshake asks to drop an older session, whichever arrives first."""
    ours, theirs = (bob, alice) if is_swapped else (alice, bob)
    old = SessionId(b"before  ")
    ours.begin(theirs)
    theirs.begin(ours)
    to_theirs, to_ours = ours.send(b"from us"), theirs.send(b"from them")

    deliveries = [
        lambda: theirs.take(ours, to_theirs, old if "ours" in resetting else None),
        lambda: ours.take(theirs, to_ours, old if "theirs" in resetting else None),
    ]
    deliveries[first]()
    deliveries[1 - first]()

    assert ours.sending_id == theirs.sending_id
    smaller = min(ours, theirs, key=lambda side: side.person.device.fingerprint)
    assert isinstance(smaller.sessions.sending, Initiated)
    for sender, recipient in ((ours, theirs), (theirs, ours), (ours, theirs)):
        assert recipient.take(sender, sender.send(b"on")) == b"on"
    assert isinstance(ours.sessions.sending, Established)
    assert isinstance(theirs.sessions.sending, Established)


@pytest.mark.parametrize("first", [0, 1])
def test_messages_of_the_losing_session_still_arrive(alice: Side, bob: Side, first: int) -> None:
    alice.begin(bob)
    bob.begin(alice)
    to_bob, to_alice = [alice.send(b"a0"), alice.send(b"a1")], [bob.send(b"b0"), bob.send(b"b1")]
    for number in (first, 1 - first):
        bob.take(alice, to_bob[number])
        alice.take(bob, to_alice[number])

    assert sorted(alice.received) == [b"b0", b"b1"]
    assert sorted(bob.received) == [b"a0", b"a1"]
    assert alice.sending_id == bob.sending_id


@pytest.mark.parametrize("is_smaller", [True, False])
def test_a_reset_that_names_the_unanswered_handshake_always_archives_it(
    is_smaller: bool,  # noqa: FBT001  # a table's column
) -> None:
    ours = Initiated(make_ratchet("ours"), make_handshake())
    theirs = make_ratchet("theirs")
    fingerprints = (SMALL, LARGE) if is_smaller else (LARGE, SMALL)

    sessions = adopt(begin(Sessions(), ours, NOW), theirs, fingerprints, ours.ratchet.session_id, NOW)

    assert sessions == Sessions(Established(theirs), (Archived(ours, NOW),))


@pytest.mark.parametrize("resets", [None, SessionId(b"another ")])
def test_without_such_a_reset_the_smaller_fingerprint_wins(resets: SessionId | None) -> None:
    ours = Initiated(make_ratchet("ours"), make_handshake())
    theirs = make_ratchet("theirs")
    begun = begin(Sessions(), ours, NOW)

    kept = adopt(begun, theirs, (SMALL, LARGE), resets, NOW)
    lost = adopt(begun, theirs, (LARGE, SMALL), resets, NOW)

    assert kept == Sessions(ours, (Archived(Established(theirs), NOW),))
    assert lost == Sessions(Established(theirs), (Archived(ours, NOW),))


@pytest.mark.parametrize("resets", [None, SessionId(b"another ")])
def test_an_answered_session_always_gives_way_to_a_new_handshake(resets: SessionId | None) -> None:
    ours, theirs = Established(make_ratchet("ours")), make_ratchet("theirs")

    sessions = adopt(Sessions(ours), theirs, (SMALL, LARGE), resets, NOW)

    assert sessions == Sessions(Established(theirs), (Archived(ours, NOW),))


def test_the_first_session_archives_nothing() -> None:
    ratchet = make_ratchet("first")

    assert adopt(Sessions(), ratchet, (SMALL, LARGE), None, NOW) == Sessions(Established(ratchet))
    initiated = Initiated(ratchet, make_handshake())
    assert begin(Sessions(), initiated, NOW) == Sessions(initiated)


# --- the stored form

RAW = st.binary(min_size=32, max_size=32)
PUBLIC = st.integers(2, 2**200).map(lambda number: PublicKey(number.to_bytes(32, "little")))
CHAIN = st.none() | st.builds(Chain, RAW, st.integers(0, 2**32 - 1))
MILLIS = st.integers(0, 2**64 - 1).map(Millis)
RATCHET = st.builds(
    Ratchet,
    session_id=st.binary(min_size=8, max_size=8).map(SessionId),
    sending_ad=RAW,
    receiving_ad=RAW,
    root_key=RAW,
    ours=RAW.map(KeyPair.from_private),
    theirs=st.none() | PUBLIC,
    sending=CHAIN,
    receiving=CHAIN,
    previous_length=st.integers(0, 2**32 - 1),
    skipped=st.dictionaries(st.tuples(RAW, st.integers(0, 2**32 - 1)), st.builds(SkippedKey, RAW, MILLIS), max_size=3),
)
HANDSHAKE = st.builds(
    Handshake,
    ephemeral=PUBLIC,
    signed=st.integers(1, 2**32 - 1),
    one_time=st.none() | st.integers(1, 2**32 - 1),
    kem=st.integers(1, 2**32 - 1),
    uses_last_resort=st.booleans(),
    ciphertext=RAW.map(lambda raw: raw * 49),
)
SESSION: st.SearchStrategy[Session] = st.builds(Initiated, RATCHET, HANDSHAKE) | st.builds(Established, RATCHET)
SESSIONS = st.builds(
    Sessions,
    sending=st.none() | SESSION,
    archived=st.lists(st.builds(Archived, SESSION, MILLIS), max_size=MAX_ARCHIVED).map(tuple),
)


@settings(deadline=None)
@given(SESSIONS)
def test_sessions_read_back_as_written(sessions: Sessions) -> None:
    encoded = encode_sessions(sessions)

    parsed = parse_sessions(encoded)

    assert parsed == sessions
    assert encode_sessions(parsed) == encoded


@settings(max_examples=50, deadline=None)
@given(SESSIONS, st.binary(max_size=300), st.data())
def test_damaged_sessions_are_refused_or_read_exactly(sessions: Sessions, noise: bytes, data: st.DataObject) -> None:
    encoded = encode_sessions(sessions)
    at = data.draw(st.integers(0, len(encoded) - 1))

    with pytest.raises(Malformed):
        parse_sessions(encoded + b"\x00")
    with pytest.raises(Malformed):
        parse_sessions(encoded[:at])
    for damaged in (encoded[:at] + noise + encoded[at:], encoded[:at] + noise + encoded[at + len(noise) :], noise):
        parsed = raises_only_our_errors(parse_sessions, damaged)
        assert not isinstance(parsed, Sessions) or encode_sessions(parsed) == damaged


def test_every_truncation_and_trailing_byte_is_refused(alice: Side, bob: Side) -> None:
    alice.begin(bob)
    bob.take(alice, alice.send(b"first"))
    bob.take(alice, (alice.send(b"skipped"), alice.send(b"third"))[1])

    refuses_truncations_and_trailing_bytes(parse_sessions, encode_sessions(bob.sessions))
    for damaged in bit_flips(encode_sessions(bob.sessions)):
        parsed = raises_only_our_errors(parse_sessions, damaged)
        assert not isinstance(parsed, Sessions) or encode_sessions(parsed) == damaged


def established(**fields: object) -> bytes:
    """Return one established session, encoded; its fields stand where table 5 of the specification puts them."""
    ratchet = replace(make_ratchet("stored"), **fields)  # type: ignore[arg-type]
    return encode_sessions(Sessions(Established(ratchet)))


def test_the_stored_form_holds_at_most_the_skipped_keys_of_the_ratchet() -> None:
    key = SkippedKey(MessageKey(bytes(32)), NOW)
    most = {(bytes(32), number): key for number in range(MAX_SKIPPED)}
    full, over = established(skipped=most), established(skipped=most | {(bytes(32), MAX_SKIPPED): key})

    assert encode_sessions(parse_sessions(full)) == full
    with pytest.raises(Malformed):
        parse_sessions(over)


def test_two_skipped_keys_for_one_message_are_refused() -> None:
    key = SkippedKey(MessageKey(bytes(32)), NOW)
    encoded = established(skipped={(bytes(32), 1): key, (bytes(32), 2): key})
    entry = bytes(32) + (2).to_bytes(4, "big")
    assert encoded.count(entry) == 1

    with pytest.raises(Malformed):
        parse_sessions(encoded.replace(entry, bytes(32) + (1).to_bytes(4, "big")))


def test_more_archived_sessions_than_five_are_refused() -> None:
    archived = Archived(Established(make_ratchet("stored")), NOW)

    with pytest.raises(Malformed):
        parse_sessions(encode_sessions(Sessions(archived=(archived,) * (MAX_ARCHIVED + 1))))


@pytest.mark.parametrize(
    ("at", "value", "error"),
    [
        pytest.param(0, 2, UnsupportedVersion, id="version"),
        pytest.param(1, 0x11, Malformed, id="type"),
        pytest.param(2, 2, Malformed, id="flag"),
        pytest.param(3, 0, Malformed, id="session kind 0"),
        pytest.param(3, 3, Malformed, id="session kind 3"),
        pytest.param(4 + 8 + 32 * 4, 31, Malformed, id="their ratchet key of 31 bytes"),
        pytest.param(4 + 8 + 32 * 4, 33, Malformed, id="their ratchet key of 33 bytes"),
        pytest.param(4 + 8 + 32 * 5, 0xFF, BadKey, id="their ratchet key with the top bit"),
        pytest.param(4 + 8 + 32 * 5 + 1, 2, Malformed, id="sending chain flag"),
    ],
)
def test_a_stored_row_that_breaks_a_rule_is_refused(at: int, value: int, error: type[HalonyxError]) -> None:
    encoded = established()

    with pytest.raises(HalonyxError) as caught:
        parse_sessions(encoded[:at] + bytes([value]) + encoded[at + 1 :])
    assert type(caught.value) is error


def test_sealing_moves_the_sending_session_on(alice: Side, bob: Side) -> None:
    alice.begin(bob)
    bob.take(alice, alice.send(b"first"))
    bob.begin(alice)
    assert bob.sessions.sending is not None

    session, _ = seal(bob.sessions.sending, b"text", salt())

    assert replace_sending(bob.sessions, session) == Sessions(session, bob.sessions.archived)


def test_no_secret_shows_in_repr(alice: Side, bob: Side) -> None:
    alice.begin(bob)
    bob.take(alice, alice.send(b"first"))
    bob.take(alice, (alice.send(b"skipped"), alice.send(b"third"))[1])
    assert bob.sessions.sending is not None
    ratchet = bob.sessions.sending.ratchet
    assert ratchet.receiving is not None
    secrets = [ratchet.root_key, ratchet.receiving.key, ratchet.ours.private_raw()]
    secrets += [key.message_key for key in ratchet.skipped.values()]

    for secret in secrets:
        assert repr(secret) not in repr(bob.sessions)
