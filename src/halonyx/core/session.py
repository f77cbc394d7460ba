"""Sessions with one device: the one we send on, and archived ones that may still receive.

Source: spec/ratchet.md, "Sessions"; Signal, Sesame r2, section 3.
"""

from dataclasses import dataclass, replace
from typing import Final, assert_never

from halonyx.core import handshake as handshakes
from halonyx.core import ratchet as ratchets
from halonyx.core.encoding import Reader, Writer
from halonyx.core.errors import Malformed, Replay, UnknownSession
from halonyx.core.handshake import Handshake
from halonyx.core.kdf import ChainKey, MessageKey, RootKey
from halonyx.core.primitives import KeyPair, PublicKey
from halonyx.core.ratchet import MAX_SKIPPED, Chain, Message, Ratchet, SkippedKey
from halonyx.core.types import HOUR, SESSION_ID_SIZE, Fingerprint, Millis, SessionId

VERSION: Final = 1
TYPE: Final = 0x12
MAX_ARCHIVED: Final = 5
ARCHIVED_LIFETIME: Final = 72 * HOUR
_INITIATED: Final = 1
_ESTABLISHED: Final = 2


@dataclass(frozen=True, slots=True)
class Initiated:
    """We wrote first; the handshake is repeated until they answer."""

    ratchet: Ratchet
    handshake: Handshake


@dataclass(frozen=True, slots=True)
class Established:
    """Both sides have the session."""

    ratchet: Ratchet


Session = Initiated | Established


@dataclass(frozen=True, slots=True)
class Archived:
    """A session that only receives, until it is 72 hours old."""

    session: Session
    since: Millis


@dataclass(frozen=True, slots=True)
class Sessions:
    """All sessions with one device of the other side.

    Attributes:
        sending: None before the first handshake.
        archived: Newest first, at most MAX_ARCHIVED.
    """

    sending: Session | None = None
    archived: tuple[Archived, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionMessage:
    """What lies in an envelope: a ratchet message, behind its handshake until that is answered."""

    handshake: Handshake | None
    message: Message

    @classmethod
    def parse(cls, data: bytes) -> "SessionMessage":
        """Read a message with or without a handshake.

        Raises:
            Malformed: Neither, or one of the two is malformed.
            UnsupportedVersion: A version or suite this program does not know.
            BadKey: The handshake's ephemeral key is not canonical.
        """
        if data[1:2] == bytes([handshakes.TYPE]):
            handshake = Handshake.parse(data[: handshakes.HEADER_SIZE])
            return cls(handshake, Message.parse(data[handshakes.HEADER_SIZE :]))
        return cls(None, Message.parse(data))


def seal(session: Session, plaintext: bytes, salt: bytes) -> tuple[Session, bytes]:
    """Encrypt on the sending session.

    Returns:
        The next session, and the bytes for the envelope.

    Raises:
        Misuse: As `ratchet.encrypt`.
    """
    ratchet, message = ratchets.encrypt(session.ratchet, plaintext, salt)
    match session:
        case Initiated(handshake=handshake):
            return Initiated(ratchet, handshake), handshake.encode() + message
        case Established():
            return Established(ratchet), message
        case _:
            assert_never(session)


def find(sessions: Sessions, session_id: SessionId, now: Millis) -> Session | None:
    """Return the session of this id, if we still have it: by name, never by trial decryption."""
    if sessions.sending is not None and sessions.sending.ratchet.session_id == session_id:
        return sessions.sending
    for archived in _current(sessions.archived, now):
        if archived.session.ratchet.session_id == session_id:
            return archived.session
    return None


def receive(sessions: Sessions, message: Message, fresh: KeyPair, now: Millis) -> tuple[Sessions, bytes]:
    """Open a message on the session it names. A first reply makes an initiated session established.

    Returns:
        All sessions after it, and the plaintext.

    Raises:
        UnknownSession: No session of this id, or archived for more than 72 hours.
        AuthenticationFailed, Duplicate, TooFarAhead, BadKey: As `ratchet.decrypt`.
    """
    session = find(sessions, message.session_id, now)
    if session is None:
        raise UnknownSession("no session of this id")
    ratchet, plaintext = ratchets.decrypt(session.ratchet, message, fresh, now)
    after = Established(ratchet)
    archived = _current(sessions.archived, now)
    if session is sessions.sending:
        return Sessions(after, archived), plaintext
    archived = tuple(replace(old, session=after) if old.session is session else old for old in archived)
    return Sessions(sessions.sending, archived), plaintext


def adopt(
    sessions: Sessions,
    accepted: Ratchet,
    fingerprints: tuple[Fingerprint, Fingerprint],
    resets: SessionId | None,
    now: Millis,
) -> Sessions:
    """Take in a session that they began, after its first message decrypted.

    It becomes the sending session, unless our own handshake is still unanswered, is not the one they reset, and our
    fingerprint is the smaller: then both sides keep ours, and theirs only receives.

    Args:
        sessions: All sessions before it.
        accepted: The new ratchet.
        fingerprints: Ours and theirs.
        resets: The session their first message asks to drop, if any.
        now: When the loser is archived.

    Raises:
        Replay: A session of this id is already there: a repeated handshake never becomes a new session.

    Source: spec/ratchet.md, "Both start at once".
    """
    if find(sessions, accepted.session_id, now) is not None:
        raise Replay("a session of this handshake exists")
    ours, theirs = fingerprints
    sending = sessions.sending
    if sending is None:
        return replace(sessions, sending=Established(accepted))
    is_ours_kept = isinstance(sending, Initiated) and sending.ratchet.session_id != resets and ours < theirs
    kept, archived = (sending, Established(accepted)) if is_ours_kept else (Established(accepted), sending)
    return Sessions(kept, _archive(sessions, archived, now))


def replace_sending(sessions: Sessions, sending: Session) -> Sessions:
    """Return the sessions after `seal` moved the sending one on."""
    return replace(sessions, sending=sending)


def begin(sessions: Sessions, initiated: Initiated, now: Millis) -> Sessions:
    """Send on a handshake of ours from now on, archiving the session before."""
    if sessions.sending is None:
        return replace(sessions, sending=initiated)
    return Sessions(initiated, _archive(sessions, sessions.sending, now))


def encode_sessions(sessions: Sessions) -> bytes:
    """Return the bytes for the client's encrypted store; they hold every secret of the sessions."""
    writer = Writer().u8(VERSION).u8(TYPE).u8(1 if sessions.sending else 0)
    if sessions.sending:
        _write_session(writer, sessions.sending)
    writer.u8(len(sessions.archived))
    for archived in sessions.archived:
        writer.u64(archived.since)
        _write_session(writer, archived.session)
    return writer.done()


def parse_sessions(data: bytes) -> Sessions:
    """Read what `encode_sessions` wrote.

    Raises:
        Malformed, UnsupportedVersion, BadKey: The stored row is damaged or of another version.
    """
    reader = Reader(data)
    reader.header(VERSION, TYPE)
    sending = _read_session(reader) if reader.flags(1) else None
    archived = []
    for _ in range(reader.count(1, MAX_ARCHIVED)):
        since = Millis(reader.u64())
        archived.append(Archived(_read_session(reader), since))
    reader.finish()
    return Sessions(sending, tuple(archived))


def _current(archived: tuple[Archived, ...], now: Millis) -> tuple[Archived, ...]:
    return tuple(old for old in archived if old.since + ARCHIVED_LIFETIME > now)


def _archive(sessions: Sessions, session: Session, now: Millis) -> tuple[Archived, ...]:
    return (Archived(session, now), *_current(sessions.archived, now))[:MAX_ARCHIVED]


def _write_session(writer: Writer, session: Session) -> None:
    match session:
        case Initiated(handshake=handshake):
            writer.u8(_INITIATED).raw(handshake.encode())
        case Established():
            writer.u8(_ESTABLISHED)
        case _:
            assert_never(session)
    _write_ratchet(writer, session.ratchet)


def _read_session(reader: Reader) -> Session:
    match reader.u8():
        case 1:
            handshake = Handshake.parse(reader.take(handshakes.HEADER_SIZE))
            return Initiated(_read_ratchet(reader), handshake)
        case 2:
            return Established(_read_ratchet(reader))
        case kind:
            raise Malformed(f"session kind {kind}")


def _write_ratchet(writer: Writer, state: Ratchet) -> None:
    writer.raw(state.session_id).fixed(state.sending_ad, 32).fixed(state.receiving_ad, 32)
    writer.raw(state.root_key).raw(state.ours.private_raw()).sized(state.theirs.raw if state.theirs else b"", 1, 32)
    for chain in (state.sending, state.receiving):
        writer.u8(1 if chain else 0)
        if chain:
            writer.raw(chain.key).u32(chain.index)
    writer.u32(state.previous_length).u16(len(state.skipped))
    for (ratchet_key, index), skipped in state.skipped.items():
        writer.raw(ratchet_key).u32(index).raw(skipped.message_key).u64(skipped.stored)


def _read_ratchet(reader: Reader) -> Ratchet:
    session_id = SessionId(reader.take(SESSION_ID_SIZE))
    sending_ad, receiving_ad = reader.take(32), reader.take(32)
    root_key, ours = RootKey(reader.take(32)), KeyPair.from_private(reader.take(32))
    theirs = reader.sized(1, 32)
    sending, receiving = _read_chain(reader), _read_chain(reader)
    previous_length = reader.u32()
    skipped = {}
    for _ in range(reader.count(2, MAX_SKIPPED)):
        slot = (reader.take(32), reader.u32())
        if slot in skipped:
            raise Malformed("two skipped keys for one message")
        skipped[slot] = SkippedKey(MessageKey(reader.take(32)), Millis(reader.u64()))
    return Ratchet(
        session_id=session_id,
        sending_ad=sending_ad,
        receiving_ad=receiving_ad,
        root_key=root_key,
        ours=ours,
        theirs=PublicKey(theirs) if theirs else None,
        sending=sending,
        receiving=receiving,
        previous_length=previous_length,
        skipped=skipped,
    )


def _read_chain(reader: Reader) -> Chain | None:
    if not reader.flags(1):
        return None
    return Chain(ChainKey(reader.take(32)), reader.u32())
