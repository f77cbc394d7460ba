"""The rules of delivery as functions of values; the sockets and the store carry out what is decided here.

Source: spec/delivery.md, "Rules" and "Bounds".
"""

import hmac
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from halonyx.core.primitives import sha256
from halonyx.core.types import HASH_SIZE
from halonyx.relay.settings import KIB, MIB, RelaySettings
from halonyx.wire.frames import CloseCode, Status

NO_HASH: Final = bytes(HASH_SIZE)
"""Stands for a hash that was never set: no input is known whose SHA-256 is zero."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Every bound of delivery; times in seconds.

    Each is a setting of the same meaning but these constants: `writer_patience_s`, `head_s`, `pings_per_second`,
    `linger_s`, `tick_s`, `retry_after_s`.
    """

    mailbox_messages: int = 10_000
    mailbox_bytes: int = 64 * MIB
    request_inbox: int = 20
    retention_ms: int = 30 * 86_400_000
    sweep_s: float = 3600
    writer_queue_messages: int = 4096
    writer_queue_bytes: int = 64 * MIB
    writer_patience_s: float = 2
    unacked_messages: int = 64
    unacked_bytes: int = MIB
    unaccepted_submits: int = 64
    send_buffer_bytes: int = 256 * KIB
    progress_s: float = 60
    idle_send_s: float = 60
    head_s: float = 5
    body_s: float = 20
    drop_body_s: float = 120
    auth_s: float = 5
    session_s: float = 86_400
    ping_s: float = 25
    pong_s: float = 20
    pings_per_second: int = 10
    linger_s: float = 2
    tick_s: float = 1
    connections_per_client: int = 20
    http_connections_per_client: int = 50
    unauthenticated_connections: int = 500
    sending_connections: int = 2000
    retry_after_s: int = 5

    @classmethod
    def of(cls, settings: RelaySettings) -> "Limits":
        """Take the bounds from the operator's settings."""
        return cls(
            mailbox_messages=settings.mailbox_messages,
            mailbox_bytes=settings.mailbox_bytes,
            request_inbox=settings.request_inbox,
            retention_ms=settings.retention,
            sweep_s=settings.sweep_seconds,
            writer_queue_messages=settings.writer_queue_messages,
            writer_queue_bytes=settings.writer_queue_bytes,
            unacked_messages=settings.unacked_messages,
            unacked_bytes=settings.unacked_bytes,
            unaccepted_submits=settings.unaccepted_submits,
            send_buffer_bytes=settings.send_buffer_bytes,
            progress_s=settings.progress_seconds,
            idle_send_s=settings.idle_send_seconds,
            body_s=settings.body_seconds,
            drop_body_s=settings.drop_body_seconds,
            auth_s=settings.auth_seconds,
            session_s=settings.session_seconds,
            ping_s=settings.ping_seconds,
            pong_s=settings.pong_seconds,
            connections_per_client=settings.connections_per_client,
            http_connections_per_client=settings.http_connections_per_client,
            unauthenticated_connections=settings.unauthenticated_connections,
            sending_connections=settings.sending_connections,
        )


class KeyKind(Enum):
    """Which of the two keys of an account was shown."""

    ACCESS = "access"
    REQUEST = "request"


def key_kind(access_hash: bytes | None, request_hash: bytes | None, key: bytes) -> KeyKind | None:
    """Tell which key this is, with the same work whether the account is known or not.

    Args:
        access_hash: SHA-256 of the access key; None if there is no such account.
        request_hash: SHA-256 of the request key; None if there is none.
        key: 16 bytes, as shown.
    """
    digest = sha256(key)
    is_access = hmac.compare_digest(access_hash or NO_HASH, digest)
    is_request = hmac.compare_digest(request_hash or NO_HASH, digest)
    if is_access:
        return KeyKind.ACCESS
    return KeyKind.REQUEST if is_request else None


class Filling(Protocol):
    """How full a mailbox is."""

    @property
    def messages(self) -> int:
        """Envelopes in it."""

    @property
    def size_bytes(self) -> int:
        """Bytes in it."""

    @property
    def requests(self) -> int:
        """Envelopes that came by request key."""


def admit(kind: KeyKind | None, filling: Filling | None, size_bytes: int, limits: Limits) -> Status:
    """Decide about one new, well-formed envelope.

    Args:
        kind: The key that was shown; None says wrong key or unknown account, and nothing more is told.
        filling: The mailbox; None if the device is not, or no longer, there.
        size_bytes: Of the envelope.
        limits: The operator's.
    """
    if kind is None:
        return Status.BAD_ACCESS_KEY
    if filling is None:
        return Status.GONE
    if kind is KeyKind.REQUEST and filling.requests >= limits.request_inbox:
        return Status.REQUESTS_FULL
    if filling.messages >= limits.mailbox_messages or filling.size_bytes + size_bytes > limits.mailbox_bytes:
        return Status.MAILBOX_FULL
    return Status.ACCEPTED


def start_after(ours: bytes, theirs: bytes, cursor: int, head: int) -> int:
    """Return the sequence number behind which delivery starts; everything up to it counts as acknowledged.

    Args:
        ours: Epoch of the mailbox.
        theirs: Epoch the device's cursor belongs to; under another one the cursor means nothing.
        cursor: What the device says it has committed.
        head: Highest number given out: a device can't have more.
    """
    return min(cursor, head) if theirs == ours else 0


def acknowledged(ours: bytes, theirs: bytes, upto: int, delivered: int) -> int:
    """Return how far an ACK reaches: never beyond what this connection was sent; 0 under another epoch."""
    return min(upto, delivered) if theirs == ours else 0


def window_is_open(unacked: int, unacked_bytes: int, limits: Limits) -> bool:
    """Whether one more envelope may be sent before the next ACK; a window holds at least one envelope."""
    return unacked < limits.unacked_messages and (unacked == 0 or unacked_bytes < limits.unacked_bytes)


class Pressure(Enum):
    """What the writer's queue lets the sending sockets do."""

    OPEN = "open"
    PAUSED = "paused"
    REFUSING = "refusing"


def pressure(now: Pressure, queued: int, queued_bytes: int, paused_for_s: float, limits: Limits) -> Pressure:
    """Decide about all sending sockets: pause at the cap, answer `busy` after a while, open again at half."""
    is_over = queued >= limits.writer_queue_messages or queued_bytes >= limits.writer_queue_bytes
    is_low = queued * 2 <= limits.writer_queue_messages and queued_bytes * 2 <= limits.writer_queue_bytes
    if now is Pressure.OPEN:
        return Pressure.PAUSED if is_over else Pressure.OPEN
    if is_low:
        return Pressure.OPEN
    return Pressure.REFUSING if paused_for_s >= limits.writer_patience_s else now


class Nothing(Enum):
    """Actions without a parameter."""

    WAIT = "wait"
    PING = "ping"
    ABORT = "abort"


@dataclass(frozen=True, slots=True)
class Close:
    """Close with this code."""

    code: CloseCode


Action = Nothing | Close


@dataclass(frozen=True, slots=True)
class Quiet:
    """How long a connection has been in which state, in seconds; None if it is not in that state.

    Attributes:
        heard: Since the last frame of the peer.
        pinged: Since the ping that is still unanswered.
        closing: Since our close frame.
        unproved: Since the challenge, while there is no valid AUTH.
        session: Since AUTH.
        idle: Since the last SUBMIT was read and answered (sending connections).
        stuck: Since what was sent waits for the peer to read, or deliveries for it to acknowledge.
    """

    heard: float
    pinged: float | None = None
    closing: float | None = None
    unproved: float | None = None
    session: float | None = None
    idle: float | None = None
    stuck: float | None = None


def due(quiet: Quiet, limits: Limits) -> Action:
    """Decide what time asks of a connection, the most urgent first."""
    if quiet.closing is not None:
        return Nothing.ABORT if quiet.closing >= limits.linger_s else Nothing.WAIT
    for lasted, most, code in (
        (quiet.unproved, limits.auth_s, CloseCode.NOT_AUTHENTICATED),
        (quiet.stuck, limits.progress_s, CloseCode.NO_PROGRESS),
        (quiet.idle, limits.idle_send_s, CloseCode.NORMAL),
        (quiet.session, limits.session_s, CloseCode.NORMAL),
    ):
        if lasted is not None and lasted >= most:
            return Close(code)
    if quiet.pinged is not None:
        return Nothing.ABORT if quiet.pinged >= limits.pong_s else Nothing.WAIT
    return Nothing.PING if quiet.heard >= limits.ping_s else Nothing.WAIT
