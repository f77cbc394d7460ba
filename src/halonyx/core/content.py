"""Content: what the ratchet encrypts. Ids, time, record gossip, a body by kind, and extensions.

Source: spec/envelope.md, "Content".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from halonyx.core.encoding import Reader, Writer
from halonyx.core.errors import Malformed, Misuse, UnsupportedVersion
from halonyx.core.file_offer import FileOffer, FileState
from halonyx.core.types import MESSAGE_ID_SIZE, SESSION_ID_SIZE, ConversationId, MessageId, Millis, SessionId

VERSION: Final = 1
MAX_TEXT_SIZE: Final = 16_384
MAX_BODY_SIZE: Final = 49_152
MAX_IDS: Final = 64
MAX_COUNTERS: Final = 128
MAX_EXTENSIONS: Final = 16
MAX_EXTENSION_SIZE: Final = 1024
CRITICAL: Final = 0x8000
_HAS_REPLY_TO: Final = 0x01
_EXPIRES: Final = 0x02


class Kind(IntEnum):
    """What a message is; REACTION to CALL are reserved and refused as unsupported until they are specified."""

    TEXT = 1
    RECEIPT = 2
    CONTROL = 3
    RESEND = 4
    FILE = 5
    REACTION = 6
    EDIT = 7
    DELETE = 8
    GROUP = 9
    CALL = 10
    FILE_STATE = 11


def is_counted(kind: Kind) -> bool:
    """Tell whether messages of this kind have a counter: they come in order, and one that is missing is asked for."""
    return kind in (Kind.TEXT, Kind.FILE)


class Extension(IntEnum):
    """Extension types this program knows; with CRITICAL set, one it does not know refuses the message."""

    PROFILE_KEY = 1


@dataclass(frozen=True, slots=True)
class RecordName:
    """Version and hash of an account record: both sides gossip them, so that a relay cannot serve two people two."""

    version: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Resend:
    """Body of a RESEND message.

    Attributes:
        resets: The session to archive, whose messages could not be read; None when only messages are missing.
        counters: Which messages are missing, ascending; empty means every one without a receipt.
    """

    resets: SessionId | None
    counters: tuple[int, ...]

    def encode(self) -> bytes:
        """Return flag u8 ‖ session id 8 ‖ count u16 ‖ counters u64."""
        writer = Writer().u8(1 if self.resets else 0).fixed(self.resets or bytes(SESSION_ID_SIZE), SESSION_ID_SIZE)
        writer.u16(len(self.counters))
        for counter in self.counters:
            writer.u64(counter)
        return writer.done()

    @classmethod
    def parse(cls, body: bytes) -> "Resend":
        """Read the body.

        Raises:
            Malformed: Not the one encoding of a resend request.
        """
        reader = Reader(body)
        flags, session_id = reader.flags(1), reader.take(SESSION_ID_SIZE)
        if not flags and any(session_id):
            raise Malformed("a session id without its flag")
        counters = tuple(reader.u64() for _ in range(reader.count(2, MAX_COUNTERS)))
        reader.finish()
        if list(counters) != sorted(set(counters)):
            raise Malformed("counters must ascend")
        return cls(SessionId(session_id) if flags else None, counters)


@dataclass(frozen=True, slots=True)
class Content:
    """One message inside the encryption; layout: spec/envelope.md, table 3.

    Attributes:
        counter: Per sender and recipient device, from 1, for what must not go missing unseen; 0 for the rest.
        sent: The sender's clock; shown, never sorted by.
        sender_record: Which record of its own account the sender has published.
        recipient_record: Which record of ours the sender knows.
        expires_after: Seconds, 1 to 2^32-1.
        body: Text in UTF-8, message ids, a Resend, a FileOffer, a FileState, or empty, by kind.
        extensions: By type; unknown ones without CRITICAL are dropped.
    """

    kind: Kind
    message_id: MessageId
    counter: int
    sent: Millis
    conversation: ConversationId
    sender_record: RecordName
    recipient_record: RecordName
    body: bytes = field(repr=False)
    reply_to: MessageId | None = None
    expires_after: int | None = None
    extensions: Mapping[Extension, bytes] = field(default_factory=dict, repr=False)

    def encode(self) -> bytes:
        """Return the plaintext for the ratchet.

        Raises:
            Misuse: A field out of its range.
        """
        flags = (_HAS_REPLY_TO if self.reply_to else 0) | (_EXPIRES if self.expires_after else 0)
        writer = Writer().u8(VERSION).u8(self.kind).u8(flags).fixed(self.message_id, 16).u64(self.counter)
        writer.u64(self.sent).fixed(self.conversation, 16)
        for name in (self.sender_record, self.recipient_record):
            writer.u32(name.version).fixed(name.hash, 32)
        if self.reply_to:
            writer.fixed(self.reply_to, MESSAGE_ID_SIZE)
        if self.expires_after:
            writer.u32(self.expires_after)
        writer.sized(self.body, 4, MAX_BODY_SIZE).u8(len(self.extensions))
        for kind, value in sorted(self.extensions.items()):
            writer.u16(kind).sized(value, 2, MAX_EXTENSION_SIZE)
        return writer.done()

    @classmethod
    def parse(cls, data: bytes) -> "Content":
        """Read what the ratchet decrypted.

        Raises:
            Malformed: Not the one encoding of a content.
            UnsupportedVersion: A version, kind or critical extension this program does not know.
        """
        reader = Reader(data)
        version, number = reader.u8(), reader.u8()
        if version != VERSION:
            raise UnsupportedVersion(f"content version {version}")
        if number not in _BODY_CHECKS:
            raise UnsupportedVersion(f"content kind {number}")
        kind = Kind(number)
        flags = reader.flags(_HAS_REPLY_TO | _EXPIRES)
        message_id, counter, sent = MessageId(reader.take(16)), reader.u64(), Millis(reader.u64())
        conversation = ConversationId(reader.take(16))
        names = [RecordName(reader.u32(), reader.take(32)) for _ in range(2)]
        reply_to = MessageId(reader.take(MESSAGE_ID_SIZE)) if flags & _HAS_REPLY_TO else None
        expires_after = reader.u32() if flags & _EXPIRES else None
        if (reply_to is not None and not any(reply_to)) or expires_after == 0:
            raise Malformed("a flagged field is zero")
        body = reader.sized(4, MAX_BODY_SIZE)
        extensions = _read_extensions(reader)
        reader.finish()
        _BODY_CHECKS[kind](body)
        return cls(
            kind=kind,
            message_id=message_id,
            counter=counter,
            sent=sent,
            conversation=conversation,
            sender_record=names[0],
            recipient_record=names[1],
            body=body,
            reply_to=reply_to,
            expires_after=expires_after,
            extensions=extensions,
        )


def counter_of(data: bytes) -> int:
    """Read the counter of a content whose kind this program does not know; it stands before all that a kind changes.

    Raises:
        Malformed: Too short.
        UnsupportedVersion: Another version of the content itself.
    """
    reader = Reader(data)
    version = reader.u8()
    if version != VERSION:
        raise UnsupportedVersion(f"content version {version}")
    reader.take(2 + MESSAGE_ID_SIZE)
    return reader.u64()


def encode_ids(ids: tuple[MessageId, ...]) -> bytes:
    """Return the body of a RECEIPT: 1 to 64 message ids.

    Raises:
        Misuse: None or too many.
    """
    if not 1 <= len(ids) <= MAX_IDS:
        raise Misuse(f"a receipt names 1 to {MAX_IDS} messages")
    return b"".join(ids)


def parse_ids(body: bytes) -> tuple[MessageId, ...]:
    """Read the body of a RECEIPT.

    Raises:
        Malformed: No multiple of 16 bytes, none, or more than 64.
    """
    count, remainder = divmod(len(body), MESSAGE_ID_SIZE)
    if remainder or not 1 <= count <= MAX_IDS:
        raise Malformed(f"a receipt of {len(body)} bytes")
    return tuple(MessageId(body[at : at + MESSAGE_ID_SIZE]) for at in range(0, len(body), MESSAGE_ID_SIZE))


def parse_text(body: bytes) -> str:
    """Read the body of a TEXT: 1 to 16,384 bytes of UTF-8.

    Raises:
        Malformed: Empty, too long, or not UTF-8.
    """
    if not 1 <= len(body) <= MAX_TEXT_SIZE:
        raise Malformed(f"a text of {len(body)} bytes")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("a text that is not UTF-8") from None


def _check_empty(body: bytes) -> None:
    if body:
        raise Malformed("a control message has no body")


_BODY_CHECKS: Final = {
    Kind.TEXT: parse_text,
    Kind.RECEIPT: parse_ids,
    Kind.CONTROL: _check_empty,
    Kind.RESEND: Resend.parse,
    Kind.FILE: FileOffer.parse,
    Kind.FILE_STATE: FileState.parse,
}


def _read_extensions(reader: Reader) -> Mapping[Extension, bytes]:
    extensions: dict[Extension, bytes] = {}
    previous = -1
    for _ in range(reader.count(1, MAX_EXTENSIONS)):
        number, value = reader.u16(), reader.sized(2, MAX_EXTENSION_SIZE)
        if number <= previous:
            raise Malformed("extension types must ascend")
        previous = number
        if number in Extension.__members__.values():
            extensions[Extension(number)] = _check_extension(Extension(number), value)
        elif number & CRITICAL:
            raise UnsupportedVersion(f"critical extension {number}")
    return extensions


def _check_extension(kind: Extension, value: bytes) -> bytes:
    if kind is Extension.PROFILE_KEY and len(value) != 32:
        raise Malformed("a profile key is 32 bytes")
    return value
