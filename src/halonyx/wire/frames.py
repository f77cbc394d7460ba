"""Frames of the two WebSocket paths: fixed binary, one value, one encoding.

`/v1/receive` is identified: CHALLENGE, AUTH, HELLO, WELCOME, DELIVER, ACK, CAUGHT_UP, ANNOUNCE. `/v1/send` is
anonymous: SUBMIT, ACCEPTED. ERROR ends either. A frame is version u8 ‖ type u8 ‖ body, in one binary message.

Source: spec/delivery.md, "Frames".
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from struct import Struct
from typing import ClassVar, Final, TypeVar

from halonyx.core.encoding import Reader, Writer
from halonyx.core.errors import Malformed, Misuse, UnsupportedVersion
from halonyx.core.types import (
    ACCESS_KEY_SIZE,
    HASH_SIZE,
    MAX_DEVICE_ID,
    SIGNATURE_SIZE,
    Address,
    DeviceId,
    EnvelopeId,
    Millis,
)
from halonyx.wire.announcement import Announce

VERSION: Final = 1
SUBPROTOCOL: Final = "halonyx.1"
RECEIVE_PATH: Final = "/v1/receive"
SEND_PATH: Final = "/v1/send"
MAX_FRAME: Final = 66 * 1024

ENVELOPE_VERSION: Final = 1
ENVELOPE_SIZES: Final = frozenset(kibibytes * 1024 for kibibytes in (1, 2, 4, 8, 16, 32, 64))
MAX_ENVELOPE: Final = 64 * 1024
EPOCH_SIZE: Final = 8
NONCE_SIZE: Final = 32
ENVELOPE_ID_SIZE: Final = 16
NO_EPOCH: Final = bytes(EPOCH_SIZE)

# The frames of the hot path are packed and unpacked in one call.
_EPOCH_AND_SEQ: Final = Struct(">8sQ")
_SUBMIT_HEAD: Final = Struct(">16s32sB16s")
_DELIVER_BODY: Final = Struct(">Q16sQ")
_DELIVER_HEAD: Final = Struct(">BBQ16sQ")
_ACCEPTED: Final = Struct(">BB16sBH")


class FrameType(IntEnum):
    """Second byte of a frame."""

    CHALLENGE = 1
    AUTH = 2
    HELLO = 3
    WELCOME = 4
    DELIVER = 5
    ACK = 6
    CAUGHT_UP = 7
    SUBMIT = 8
    ACCEPTED = 9
    ANNOUNCE = 10
    ERROR = 11


class Status(IntEnum):
    """What ACCEPTED says about one SUBMIT."""

    ACCEPTED = 0
    MAILBOX_FULL = 1
    GONE = 2
    BAD_ACCESS_KEY = 3
    BUSY = 4
    REQUESTS_FULL = 5
    MALFORMED = 6


class ErrorCode(IntEnum):
    """Why the relay closes; a person debugging a client reads it, a program needs the close code only."""

    MALFORMED = 1
    UNSUPPORTED_VERSION = 2
    UNEXPECTED = 3
    OTHER_RECIPIENT = 4


class CloseCode(IntEnum):
    """WebSocket close codes in use (RFC 6455 section 7.4; 4000 and up are ours)."""

    NORMAL = 1000
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    NOT_AUTHENTICATED = 4401
    NO_PROGRESS = 4408
    REPLACED = 4409
    SHUTTING_DOWN = 4503


def _device(reader: Reader) -> DeviceId:
    device = reader.u8()
    if device == 0:
        raise Malformed("device 0 does not exist")
    return DeviceId(device)


def _write_device(writer: Writer, device: DeviceId) -> Writer:
    if not 1 <= device <= MAX_DEVICE_ID:
        raise Misuse("device must be 1 to 255")
    return writer.u8(device)


def _writer(kind: FrameType) -> Writer:
    return Writer().u8(VERSION).u8(kind)


@dataclass(frozen=True, slots=True)
class Challenge:
    """First frame on /v1/receive: 106 bytes; signed by the relay key, RELAY_CHALLENGE, `challenge_body`."""

    TYPE: ClassVar[FrameType] = FrameType.CHALLENGE
    nonce: bytes
    time: Millis
    signature: bytes

    def encode(self) -> bytes:
        """Encode."""
        return _writer(self.TYPE).fixed(self.nonce, 32).u64(self.time).fixed(self.signature, 64).done()

    @classmethod
    def read(cls, reader: Reader) -> "Challenge":
        """Take the body off `reader`."""
        return cls(reader.take(NONCE_SIZE), Millis(reader.u64()), reader.take(SIGNATURE_SIZE))


@dataclass(frozen=True, slots=True)
class Auth:
    """The device's answer to the challenge: 99 bytes; signed by its login key, DEVICE_LOGIN, `login_body`."""

    TYPE: ClassVar[FrameType] = FrameType.AUTH
    address: Address
    device: DeviceId
    signature: bytes

    def encode(self) -> bytes:
        """Encode."""
        writer = _write_device(_writer(self.TYPE).fixed(self.address, HASH_SIZE), self.device)
        return writer.fixed(self.signature, SIGNATURE_SIZE).done()

    @classmethod
    def read(cls, reader: Reader) -> "Auth":
        """Take the body off `reader`."""
        return cls(Address(reader.take(HASH_SIZE)), _device(reader), reader.take(SIGNATURE_SIZE))


@dataclass(frozen=True, slots=True)
class Hello:
    """What the device has stored so far: 18 bytes; sent right after AUTH.

    Attributes:
        epoch: The mailbox epoch the cursor belongs to; NO_EPOCH when nothing is known.
        cursor: Highest sequence number the device has committed; within the epoch it counts as an ACK.
    """

    TYPE: ClassVar[FrameType] = FrameType.HELLO
    epoch: bytes
    cursor: int

    def encode(self) -> bytes:
        """Encode."""
        return _writer(self.TYPE).fixed(self.epoch, EPOCH_SIZE).u64(self.cursor).done()

    @classmethod
    def read(cls, reader: Reader) -> "Hello":
        """Take the body off `reader`."""
        return cls(reader.take(EPOCH_SIZE), reader.u64())


@dataclass(frozen=True, slots=True)
class Welcome:
    """The mailbox: 22 bytes. `head` is the highest sequence number given out; then what prekeys are left."""

    TYPE: ClassVar[FrameType] = FrameType.WELCOME
    epoch: bytes
    head: int
    one_time_left: int
    one_time_kem_left: int

    def encode(self) -> bytes:
        """Encode."""
        writer = _writer(self.TYPE).fixed(self.epoch, EPOCH_SIZE).u64(self.head)
        return writer.u16(self.one_time_left).u16(self.one_time_kem_left).done()

    @classmethod
    def read(cls, reader: Reader) -> "Welcome":
        """Take the body off `reader`."""
        return cls(reader.take(EPOCH_SIZE), reader.u64(), reader.u16(), reader.u16())


@dataclass(frozen=True, slots=True)
class Deliver:
    """One envelope: 34 bytes and 1, 2, 4, 8, 16, 32 or 64 KiB."""

    TYPE: ClassVar[FrameType] = FrameType.DELIVER
    seq: int
    envelope_id: EnvelopeId
    time: Millis
    envelope: bytes = field(repr=False)

    def encode(self) -> bytes:
        """Encode."""
        if len(self.envelope) not in ENVELOPE_SIZES:
            raise Misuse(f"envelope of {len(self.envelope)} bytes is no bucket")
        return deliver_head(self.seq, self.envelope_id, self.time) + self.envelope

    @classmethod
    def read(cls, reader: Reader) -> "Deliver":
        """Take the body off `reader`."""
        seq, envelope_id, time = _DELIVER_BODY.unpack(reader.take(_DELIVER_BODY.size))
        envelope = reader.rest()
        if len(envelope) not in ENVELOPE_SIZES:
            raise Malformed(f"envelope of {len(envelope)} bytes is no bucket")
        return cls(seq, envelope_id, time, envelope)


@dataclass(frozen=True, slots=True)
class Ack:
    """The device has committed everything up to and including `upto`: 18 bytes."""

    TYPE: ClassVar[FrameType] = FrameType.ACK
    epoch: bytes
    upto: int

    def encode(self) -> bytes:
        """Encode."""
        return _writer(self.TYPE).fixed(self.epoch, EPOCH_SIZE).u64(self.upto).done()

    @classmethod
    def read(cls, reader: Reader) -> "Ack":
        """Take the body off `reader`."""
        return cls(*_EPOCH_AND_SEQ.unpack(reader.take(_EPOCH_AND_SEQ.size)))


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """The backlog found at HELLO has been delivered: 10 bytes; `seq` is the head at that moment."""

    TYPE: ClassVar[FrameType] = FrameType.CAUGHT_UP
    seq: int

    def encode(self) -> bytes:
        """Encode."""
        return _writer(self.TYPE).u64(self.seq).done()

    @classmethod
    def read(cls, reader: Reader) -> "CaughtUp":
        """Take the body off `reader`."""
        return cls(reader.u64())


@dataclass(frozen=True, slots=True)
class Submit:
    """One envelope for one device: 67 bytes and at most 64 KiB; one that is no bucket is answered by a status."""

    TYPE: ClassVar[FrameType] = FrameType.SUBMIT
    envelope_id: EnvelopeId
    address: Address
    device: DeviceId
    key: bytes = field(repr=False)
    envelope: bytes = field(repr=False)

    def encode(self) -> bytes:
        """Encode."""
        if len(self.envelope) > MAX_ENVELOPE:
            raise Misuse(f"envelope of {len(self.envelope)} bytes")
        writer = _writer(self.TYPE).fixed(self.envelope_id, ENVELOPE_ID_SIZE).fixed(self.address, HASH_SIZE)
        return _write_device(writer, self.device).fixed(self.key, ACCESS_KEY_SIZE).raw(self.envelope).done()

    @classmethod
    def read(cls, reader: Reader) -> "Submit":
        """Take the body off `reader`."""
        envelope_id, address, device, key = _SUBMIT_HEAD.unpack(reader.take(_SUBMIT_HEAD.size))
        envelope = reader.rest()
        if device == 0:
            raise Malformed("device 0 does not exist")
        if len(envelope) > MAX_ENVELOPE:
            raise Malformed(f"envelope of {len(envelope)} bytes, at most {MAX_ENVELOPE}")
        return cls(envelope_id, address, device, key, envelope)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The answer to one SUBMIT, after the commit: 21 bytes.

    No sequence number: it would tell every sender how much mail the mailbox gets. `retry_after_s` 0: unknown.
    """

    TYPE: ClassVar[FrameType] = FrameType.ACCEPTED
    envelope_id: EnvelopeId
    status: Status
    retry_after_s: int = 0

    def encode(self) -> bytes:
        """Encode."""
        writer = _writer(self.TYPE).fixed(self.envelope_id, ENVELOPE_ID_SIZE)
        return writer.u8(self.status).u16(self.retry_after_s).done()

    @classmethod
    def read(cls, reader: Reader) -> "Accepted":
        """Take the body off `reader`."""
        envelope_id, status = EnvelopeId(reader.take(ENVELOPE_ID_SIZE)), reader.u8()
        if status not in _STATUSES:
            raise Malformed(f"unknown status {status}")
        return cls(envelope_id, Status(status), reader.u16())


@dataclass(frozen=True, slots=True)
class Error:
    """The relay closes after this frame: 3 bytes. Codes unknown to the reader stay numbers."""

    TYPE: ClassVar[FrameType] = FrameType.ERROR
    code: int

    def encode(self) -> bytes:
        """Encode."""
        return _writer(self.TYPE).u8(self.code).done()

    @classmethod
    def read(cls, reader: Reader) -> "Error":
        """Take the body off `reader`."""
        return cls(reader.u8())


ReceiveRequest = Auth | Hello | Ack
ReceiveReply = Challenge | Welcome | Deliver | CaughtUp | Announce | Error
SendReply = Accepted | Error

T = TypeVar("T")
_STATUSES: Final = frozenset(Status)
_RECEIVE_REQUESTS: Final[dict[int, Callable[[Reader], ReceiveRequest]]] = {
    kind.TYPE: kind.read for kind in (Auth, Hello, Ack)
}
_RECEIVE_REPLIES: Final[dict[int, Callable[[Reader], ReceiveReply]]] = {
    kind.TYPE: kind.read for kind in (Challenge, Welcome, Deliver, CaughtUp, Announce, Error)
}
_SEND_REQUESTS: Final[dict[int, Callable[[Reader], Submit]]] = {Submit.TYPE: Submit.read}
_SEND_REPLIES: Final[dict[int, Callable[[Reader], SendReply]]] = {kind.TYPE: kind.read for kind in (Accepted, Error)}


def _parse(data: bytes, kinds: dict[int, Callable[[Reader], T]]) -> T:
    if not 2 <= len(data) <= MAX_FRAME:
        raise Malformed(f"frame of {len(data)} bytes, at most {MAX_FRAME}")
    if data[0] != VERSION:
        raise UnsupportedVersion(f"version {data[0]}, expected {VERSION}")
    read = kinds.get(data[1])
    if read is None:
        raise Malformed(f"type {data[1]} is not allowed here")
    reader = Reader(data)
    reader.take(2)
    frame = read(reader)
    reader.finish()
    return frame


def parse_receive_request(data: bytes) -> ReceiveRequest:
    """Parse what a client sends on /v1/receive (Malformed or UnsupportedVersion otherwise)."""
    return _parse(data, _RECEIVE_REQUESTS)


def parse_receive_reply(data: bytes) -> ReceiveReply:
    """Parse what the relay sends on /v1/receive (Malformed or UnsupportedVersion otherwise)."""
    return _parse(data, _RECEIVE_REPLIES)


def parse_send_request(data: bytes) -> Submit:
    """Parse what a client sends on /v1/send (Malformed or UnsupportedVersion otherwise)."""
    return _parse(data, _SEND_REQUESTS)


def parse_send_reply(data: bytes) -> SendReply:
    """Parse what the relay sends on /v1/send (Malformed or UnsupportedVersion otherwise)."""
    return _parse(data, _SEND_REPLIES)


def is_envelope(envelope: bytes) -> bool:
    """Whether the relay may store these bytes: bucket size and first byte; it looks at nothing else."""
    return len(envelope) in ENVELOPE_SIZES and envelope[0] == ENVELOPE_VERSION


def deliver_head(seq: int, envelope_id: bytes, time: int) -> bytes:
    """Return the 34 bytes before the envelope of a DELIVER frame (the relay's hot path)."""
    return _DELIVER_HEAD.pack(VERSION, FrameType.DELIVER, seq, envelope_id, time)


def accepted_frame(envelope_id: bytes, status: int, retry_after_s: int) -> bytes:
    """Return a whole ACCEPTED frame (the relay's hot path)."""
    return _ACCEPTED.pack(VERSION, FrameType.ACCEPTED, envelope_id, status, retry_after_s)
