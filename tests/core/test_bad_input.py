"""Every row of the specification's table of bad input, at the core: the error it names, and nothing changed.

What the client makes of each (a notice, an acknowledgement, a dropped copy) is tested with the client. Where the
deciding state is the client's (which prekeys are left, which handshakes were seen, who is blocked), the core's part is
tested here: the value that it decides by.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import pytest

from core.people import NOW, ORIGIN, key_pair, make_content, make_pair, make_person, seed
from halonyx.core import handshake as handshakes
from halonyx.core import kdf
from halonyx.core import ratchet as ratchets
from halonyx.core.card import Card
from halonyx.core.content import CRITICAL, Content, Kind
from halonyx.core.encoding import Reader
from halonyx.core.envelope import Envelope, Payload, open_envelope, seal_envelope
from halonyx.core.errors import (
    AuthenticationFailed,
    BadKey,
    BadSignature,
    Duplicate,
    HalonyxError,
    Malformed,
    StaleDirectory,
    TooFarAhead,
    UnknownSession,
    UnsupportedVersion,
    UntrustedIdentity,
)
from halonyx.core.field import FIELD_PRIME
from halonyx.core.handshake import Handshake
from halonyx.core.identity import AccountRecord, check_record, make_record
from halonyx.core.kdf import ChainKey, MessageKey, RootKey
from halonyx.core.prekeys import Prekey, PrekeyUse, sign_prekey
from halonyx.core.primitives import PublicKey, VerifyKey
from halonyx.core.ratchet import Message, Ratchet
from halonyx.core.session import (
    Established,
    Initiated,
    SessionMessage,
    Sessions,
    adopt,
    encode_sessions,
    receive,
    seal,
)
from halonyx.core.types import SessionId

ALICE, BOB, MALLORY = make_person("alice"), make_person("bob"), make_person("mallory")
FINGERPRINTS = (BOB.device.fingerprint, ALICE.device.fingerprint)
SALT: Final = bytes(16)


@dataclass
class Conversation:
    """Both sides after Alice's first message and Bob's reply."""

    alice: Sessions
    bob: Sessions


def send(sessions: Sessions, text: str, number: int = 0) -> tuple[Sessions, bytes]:
    assert sessions.sending is not None
    after, data = seal(sessions.sending, text.encode(), seed(f"salt {number} {text}", 16))
    return replace(sessions, sending=after), data


def deliver(sessions: Sessions, data: bytes, name: str = "fresh") -> tuple[Sessions, bytes]:
    return receive(sessions, SessionMessage.parse(data).message, key_pair(name), NOW)


def converse() -> Conversation:
    handshake, ours, theirs = make_pair(ALICE, BOB)
    alice, first = send(Sessions(Initiated(ours, handshake)), "hello")
    accepted, _ = ratchets.decrypt(theirs, SessionMessage.parse(first).message, key_pair("bob fresh"), NOW)
    bob = adopt(Sessions(), accepted, FINGERPRINTS, None, NOW)
    bob, reply = send(bob, "hello yourself")
    alice, _ = deliver(alice, reply, "alice fresh")
    return Conversation(alice, bob)


def refused(sessions: Sessions, data: bytes, error: type[HalonyxError]) -> None:
    """Check that `data` is refused with this error and leaves every session as it was, byte for byte."""
    before = encode_sessions(sessions)
    with pytest.raises(error):
        deliver(sessions, data)
    assert encode_sessions(sessions) == before


def header(data: bytes, **fields: bytes) -> bytes:
    """Replace fields of a ratchet message's header by name."""
    places = {"version": 0, "type": 1, "flags": 2, "session": 3, "key": 11, "previous": 43, "index": 47, "salt": 51}
    for name, value in fields.items():
        at = places[name]
        data = data[:at] + value + data[at + len(value) :]
    return data


@dataclass
class Hashing:
    """Counts the key-derivation steps that the ratchet takes."""

    steps: int = 0


@pytest.fixture
def hashing(monkeypatch: pytest.MonkeyPatch) -> Hashing:
    counted = Hashing()

    def watch(name: str, step: Callable[..., object]) -> None:
        def watched(*arguments: object) -> object:
            counted.steps += 1
            return step(*arguments)

        monkeypatch.setattr(ratchets, name, watched)

    watch("kdf_chain", kdf.kdf_chain)
    watch("kdf_root", kdf.kdf_root)
    watch("kdf_message", kdf.kdf_message)
    return counted


def test_short_long_trailing_unknown_flag_or_length_over_its_cap() -> None:
    """Row: malformed; unchanged."""
    conversation = converse()
    _, data = send(conversation.alice, "next")
    for wrong in (b"", data[:82], header(data, flags=b"\x01"), header(data, flags=b"\x80"), header(data, type=b"\x13")):
        refused(conversation.bob, wrong, Malformed)
    # A ratchet message ends where its ciphertext ends: a byte more or less is a ciphertext that does not verify.
    refused(conversation.bob, data + b"\x00", AuthenticationFailed)
    refused(conversation.bob, data[:-1], AuthenticationFailed)
    record, prekey = ALICE.record.encoded, ALICE.prekeys.published[PrekeyUse.SIGNED].encode()
    content = make_content(ALICE, BOB).encode()
    parsers: list[tuple[Callable[[bytes], object], bytes]] = [
        (AccountRecord.parse, record),
        (Prekey.parse, prekey),
        (Content.parse, content),
    ]
    for parse, encoded in parsers:
        for wrong in (encoded[:-1], encoded + b"\x00"):
            with pytest.raises(Malformed):
                parse(wrong)
    with pytest.raises(Malformed):
        Reader(b"\xff\xff\xff\xff" + bytes(100)).sized(4, 100)


def test_unknown_version_or_suite() -> None:
    """Row: unsupported-version; unchanged."""
    conversation = converse()
    _, data = send(conversation.alice, "next")
    refused(conversation.bob, header(data, version=b"\x02"), UnsupportedVersion)
    handshake = make_pair(ALICE, BOB)[0].encode()
    for suite in (0, handshakes.SUITE_X3DH, 3, 255):
        with pytest.raises(UnsupportedVersion):
            SessionMessage.parse(handshake[:2] + bytes([suite]) + handshake[3:] + data)
    with pytest.raises(UnsupportedVersion):
        Envelope.parse(b"\x02" + bytes(1023))
    content = replace(make_content(ALICE, BOB), extensions={}).encode()
    with pytest.raises(UnsupportedVersion):
        Content.parse(content[:1] + bytes([Kind.CALL]) + content[2:])
    with pytest.raises(UnsupportedVersion):
        Content.parse(content[:-1] + b"\x01" + CRITICAL.to_bytes(2, "big") + bytes(2))


@pytest.mark.parametrize("raw", [bytes(32), b"\x01" + bytes(31), (FIELD_PRIME - 1).to_bytes(32, "little")])
def test_all_zero_dh_or_low_order(raw: bytes) -> None:
    """Row: bad-key; unchanged."""
    conversation = converse()
    _, data = send(conversation.alice, "next")
    refused(conversation.bob, header(data, key=raw), BadKey)
    handshake = replace(make_pair(ALICE, BOB)[0], ephemeral=PublicKey(raw))
    with pytest.raises(BadKey):
        handshakes.accept(BOB.device, ALICE.peer, handshake, BOB.prekeys.privates(handshake))
    with pytest.raises(BadKey):
        VerifyKey(b"\x01" + bytes(31))


@pytest.mark.parametrize("u", [FIELD_PRIME, FIELD_PRIME + 9, 2**255 + 9, 2**256 - 1])
def test_non_canonical(u: int) -> None:
    """Row: bad-key; unchanged."""
    raw = u.to_bytes(32, "little")
    conversation = converse()
    _, data = send(conversation.alice, "next")
    refused(conversation.bob, header(data, key=raw), BadKey)
    handshake = make_pair(ALICE, BOB)[0].encode()
    with pytest.raises(BadKey):
        Handshake.parse(handshake[:4] + raw + handshake[36:])


def test_ml_kem_ciphertext_altered() -> None:
    """Row: authentication-failed, because ML-KEM rejects implicitly; unchanged."""
    handshake, ours, _ = make_pair(ALICE, BOB)
    _, data = ratchets.encrypt(ours, b"hello", SALT)
    altered = replace(handshake, ciphertext=bytes([handshake.ciphertext[0] ^ 1]) + handshake.ciphertext[1:])
    theirs = handshakes.accept(BOB.device, ALICE.peer, altered, BOB.prekeys.privates(altered))
    with pytest.raises(AuthenticationFailed):
        ratchets.decrypt(theirs, Message.parse(data), key_pair("fresh"), NOW)


def test_prekey_signed_by_another_device_or_under_another_label() -> None:
    """Row: bad-signature; the whole bundle is discarded, without one-time or classical fallback."""
    bundle, device = BOB.prekeys.bundle(), BOB.device
    by_another = sign_prekey(
        MALLORY.device, PrekeyUse.SIGNED, bundle.signed.id, bundle.signed.expiry, bundle.signed.key
    )
    as_another = replace(BOB.prekeys.published[PrekeyUse.ONE_TIME], use=PrekeyUse.SIGNED)
    for wrong in (
        replace(bundle, signed=by_another),
        replace(bundle, signed=as_another),
        replace(bundle, one_time=replace(as_another, use=PrekeyUse.ONE_TIME, expiry=NOW)),
        replace(bundle, one_time=MALLORY.prekeys.published[PrekeyUse.ONE_TIME]),
        replace(bundle, kem=MALLORY.prekeys.published[PrekeyUse.LAST_RESORT]),
    ):
        with pytest.raises(BadSignature):
            wrong.verify(device.device.signing_key, device.fingerprint, NOW)
    bundle.verify(device.device.signing_key, device.fingerprint, NOW)


def test_last_resort_handshake_seen_before() -> None:
    """Row: replay. The table of seen handshakes is the client's; its key is the same for every copy of one."""
    handshake = make_pair(ALICE, BOB, "first", one_time=False)[0]
    copy = Handshake.parse(handshake.encode())
    assert not handshake.is_one_time
    assert copy.replay_key() == handshake.replay_key()
    others = [
        make_pair(ALICE, BOB, "second", one_time=False)[0],
        replace(handshake, ciphertext=bytes(len(handshake.ciphertext))),
        replace(handshake, ephemeral=key_pair("other").public),
    ]
    assert len({handshake.replay_key(), *(other.replay_key() for other in others)}) == 4


def test_one_time_prekey_gone_session_id_known() -> None:
    """Row: the session handles it: the repeated handshake is not accepted again, its message opens."""
    handshake, ours, theirs = make_pair(ALICE, BOB)
    alice = Sessions(Initiated(ours, handshake))
    alice, first = send(alice, "one")
    alice, second = send(alice, "two")
    accepted, _ = ratchets.decrypt(theirs, SessionMessage.parse(first).message, key_pair("fresh"), NOW)
    bob = adopt(Sessions(), accepted, FINGERPRINTS, None, NOW)
    repeated = SessionMessage.parse(second)
    assert repeated.handshake == handshake
    after, plaintext = receive(bob, repeated.message, key_pair("unused"), NOW)
    assert plaintext == b"two"
    assert after.archived == ()


def test_one_time_prekey_gone_session_unknown() -> None:
    """Row: unknown-prekey, said by whoever holds the prekeys; the core says that no session has this id."""
    handshake, ours, _ = make_pair(ALICE, BOB, "another")
    _, data = send(Sessions(Initiated(ours, handshake)), "hello")
    refused(converse().bob, data, UnknownSession)
    assert SessionMessage.parse(data).handshake == handshake  # names the prekey that is gone


@pytest.mark.parametrize("index", [1001 + 1, 2**31, 2**32 - 1])
def test_index_2_to_the_32_minus_1_with_a_known_session_id(index: int, hashing: Hashing) -> None:
    """Row: too-far-ahead before any hashing; unchanged."""
    conversation = converse()
    alice, data = send(conversation.alice, "starts a chain")
    bob, _ = deliver(conversation.bob, data)
    _, data = send(alice, "next")
    before = hashing.steps
    for ratchet_key in (data[11:43], key_pair("forged").public.raw):
        forged = header(data, index=index.to_bytes(4, "big"), key=ratchet_key)
        refused(bob, forged, TooFarAhead)
    assert hashing.steps == before
    assert deliver(bob, data)[1] == b"next"


def test_a_forged_previous_chain_length_is_refused_before_any_hashing(hashing: Hashing) -> None:
    """Row: too-far-ahead, for the other number in a header that makes the receiver hash."""
    conversation = converse()
    _, data = send(conversation.alice, "next")
    before = hashing.steps
    forged = header(data, previous=b"\xff\xff\xff\xff", key=key_pair("forged").public.raw)
    refused(conversation.bob, forged, TooFarAhead)
    assert hashing.steps == before


def test_a_counted_step_is_counted(hashing: Hashing) -> None:
    conversation = converse()
    before = hashing.steps
    _, data = send(conversation.alice, "next")
    assert hashing.steps == before + 2
    deliver(conversation.bob, data)
    assert hashing.steps > before + 2


def test_second_delivery() -> None:
    """Row: duplicate; unchanged."""
    conversation = converse()
    alice, data = send(conversation.alice, "once")
    bob, plaintext = deliver(conversation.bob, data)
    assert plaintext == b"once"
    refused(bob, data, Duplicate)
    _, later = send(alice, "later")
    assert deliver(bob, later)[1] == b"later"


def test_forged_message_with_a_new_ratchet_key() -> None:
    """Row: authentication-failed; the copy is dropped, old keys still work."""
    conversation = converse()
    _, data = send(conversation.alice, "real")
    forged = header(data, key=key_pair("forged").public.raw, index=bytes(4), previous=b"\x00\x00\x00\x05")
    refused(conversation.bob, forged, AuthenticationFailed)
    assert deliver(conversation.bob, data)[1] == b"real"


def test_inner_sender_differs_from_the_sessions() -> None:
    """Row: untrusted-identity. The envelope's sender is only a hint; neither session nor handshake opens under it."""
    handshake, ours, _ = make_pair(ALICE, BOB)
    alice = Sessions(Initiated(ours, handshake))
    _, data = send(alice, "from Alice")
    lie = Payload(MALLORY.address, MALLORY.device.device.id, None, data)
    envelope = seal_envelope(BOB.envelope_prekey, BOB.recipient, lie, key_pair("e"), None)
    payload = open_envelope(Envelope.parse(envelope), BOB.prekeys.envelope, BOB.recipient)
    assert payload.sender == MALLORY.address
    parsed = SessionMessage.parse(payload.message)
    as_mallory = handshakes.accept(BOB.device, MALLORY.peer, handshake, BOB.prekeys.privates(handshake))
    with pytest.raises(AuthenticationFailed):
        ratchets.decrypt(as_mallory, parsed.message, key_pair("fresh"), NOW)
    refused(Sessions(), payload.message, UnknownSession)
    with pytest.raises(UntrustedIdentity):
        check_record(MALLORY.record, ALICE.usid, ALICE.record)


def test_record_version_lower_than_seen_or_named_or_the_same_with_another_hash() -> None:
    """Row: stale-directory."""
    versions = {number: make_record(ALICE.keys, number, NOW, (ORIGIN,), (ALICE.device.device,)) for number in (4, 5)}
    again = make_record(ALICE.keys, 5, NOW, ("https://other.example",), (ALICE.device.device,))
    for served, seen, named in (
        (versions[4], versions[5], 0),
        (versions[4], None, 5),
        (versions[5], versions[5], 6),
        (again, versions[5], 0),
    ):
        with pytest.raises(StaleDirectory):
            check_record(served, ALICE.usid, seen, named)
    check_record(versions[5], ALICE.usid, versions[4], Card(ORIGIN, ALICE.usid, 5).record_version)


def test_a_session_holds_no_key_that_these_tests_forget() -> None:
    """Comparing encodings, as every test here does, notices a change in any part of the state."""
    state = converse().bob
    assert isinstance(state.sending, Established)
    ratchet = state.sending.ratchet
    assert ratchet.sending is not None
    assert ratchet.receiving is not None
    changes: list[Ratchet] = [
        replace(ratchet, session_id=SessionId(bytes(8))),
        replace(ratchet, root_key=RootKey(bytes(32))),
        replace(ratchet, ours=key_pair("x")),
        replace(ratchet, theirs=key_pair("x").public),
        replace(ratchet, sending=replace(ratchet.sending, index=9)),
        replace(ratchet, receiving=replace(ratchet.receiving, key=ChainKey(bytes(32)))),
        replace(ratchet, previous_length=9),
        replace(ratchet, skipped={(bytes(32), 0): ratchets.SkippedKey(MessageKey(bytes(32)), NOW)}),
    ]
    encodings = {encode_sessions(Sessions(Established(changed))) for changed in changes}
    assert len(encodings | {encode_sessions(state)}) == len(changes) + 1
