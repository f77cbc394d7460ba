"""WebSockets on the relay's one port: uvicorn speaks HTTP, picows takes over after the upgrade.

`WSProtocol` is not documented as public: picows is pinned, and tests/relay/test_ws_probe.py is the contract. Measured:
2.6 times cheaper than the best ASGI WebSocket, 12 KiB an idle connection.

Source: spec/delivery.md, "Opening a connection" and "Frames".
"""

import asyncio
import socket
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, Protocol, TypeVar, cast

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, WSUpgradeResponse
from picows import WSUpgradeResponseWithListener as Answer
from picows.picows import WSAutoPingStrategy, WSProtocol  # type: ignore[attr-defined]  # missing in its stubs

from halonyx.core.errors import Malformed, UnsupportedVersion
from halonyx.relay.clients import network_of
from halonyx.relay.decide import Action, Close, Limits, Nothing
from halonyx.relay.events import Event, log
from halonyx.relay.handshake import Refusal, Upgrade, judge
from halonyx.wire.frames import MAX_FRAME, CloseCode, Error, ErrorCode

Frame = TypeVar("Frame")
READ_BUFFER: Final = 4096  # doubles by itself whenever a read fills it, without end, and never shrinks
READ_AT_ONCE: Final = 16_384  # so the buffer stays below 128 KiB: the longest frame and one read fill no more of it
UNSENT: Final = 131_072  # bytes the kernel holds for a peer that reads too little; by itself it would take 4 MiB
SHORT: Final = 126
MEDIUM: Final = 65_536
BINARY_FRAME: Final = b"\x82"


class _Quiet:
    """What the WebSocket library logs would name clients; only failures of our own code are kept."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: ARG002, N802 (the library's name)
        return False

    def log(self, *_: object, **__: object) -> None:
        pass

    debug = info = warning = error = log

    def exception(self, *_: object, **__: object) -> None:
        log(Event.SOCKET_FAILED, error=getattr(sys.exc_info()[0], "__name__", "unknown"))


_QUIET: Final = _Quiet()
_TOO_MANY: Final = HTTPStatus.TOO_MANY_REQUESTS


class Gate(Protocol):
    """Who may come in; the delivery hub."""

    limits: Limits
    origins: tuple[str, ...]
    paths: frozenset[str]
    behind_proxy: bool
    now: float

    def admit(self, upgrade: Upgrade, network: str) -> "Connection | None":
        """Return a connection for this upgrade, or None when there are too many."""

    def gone(self, connection: "Connection") -> None:
        """Drop a connection whose socket is closed."""


def framed(payload: bytes, first_byte: bytes = BINARY_FRAME) -> bytes:
    """Return a payload as one unmasked WebSocket frame (RFC 6455 section 5.2)."""
    size = len(payload)
    if size < SHORT:
        return first_byte + size.to_bytes(1, "big") + payload
    if size < MEDIUM:
        return first_byte + b"\x7e" + size.to_bytes(2, "big") + payload
    return first_byte + b"\x7f" + size.to_bytes(8, "big") + payload


class Connection(WSListener, ABC):
    """What all paths have in common: frame rules, closing, pings, time.

    Args:
        gate: The hub.
        network: Whose count this connection is in.

    Attributes:
        kind: Which messages this path takes.
        first_byte: What the frames it sends begin with.
    """

    kind: WSMsgType = WSMsgType.BINARY
    first_byte = BINARY_FRAME

    def __init__(self, gate: Gate, network: str) -> None:
        self.gate = gate
        self.network = network
        self.transport: WSTransport
        self.socket: asyncio.Transport
        self.heard_at = gate.now
        self.pinged_at: float | None = None
        self.closed_at: float | None = None
        self.is_paused = False
        self._pings = 0
        self._pings_since = gate.now

    # What a path decides

    def on_open(self) -> None:
        """Start: the handshake is done."""

    @abstractmethod
    def on_frame(self, data: bytes) -> None:
        """Handle one complete message of at most 66 KiB."""

    @abstractmethod
    def on_gone(self) -> None:
        """Forget this connection: it will neither send nor hear anything again."""

    @abstractmethod
    def due(self) -> Action:
        """Decide what time asks of this connection."""

    def drain(self) -> None:
        """Close as soon as what was begun is done: the relay stops."""
        self.close(CloseCode.SHUTTING_DOWN)

    # Sending and closing

    def send(self, frame: bytes) -> None:
        """Send one frame. The event loop joins what is sent in one turn into one system call."""
        if self.closed_at is None and not self.transport.is_close_frame_sent:
            self.socket.write(framed(frame, self.first_byte))

    def close(self, code: CloseCode) -> None:
        """Send a close frame and wait a little for the peer's; a plain close could destroy what is under way."""
        if self.closed_at is not None:
            return
        self.closed_at = self.gate.now
        self.on_gone()
        self.transport.send_close(cast(WSCloseCode, code))  # an integer to the library
        self.resume_reading()

    def fail(self, error: ErrorCode) -> None:
        """Tell the peer what was wrong with its frame, then close."""
        self.send(Error(error).encode())
        self.close(CloseCode.PROTOCOL_ERROR)

    def parsed(self, parse: Callable[[bytes], Frame], data: bytes) -> Frame | None:
        """Read a frame; None if it is none, and the peer was told."""
        try:
            return parse(data)
        except Malformed:
            self.fail(ErrorCode.MALFORMED)
        except UnsupportedVersion:
            self.fail(ErrorCode.UNSUPPORTED_VERSION)
        return None

    def abort(self) -> None:
        """End the connection without a word."""
        self.transport.disconnect(graceful=False)

    def pause_reading(self) -> None:
        """Stop reading: the peer's own send buffer fills up and it has to wait."""
        if not self.is_paused and not self.socket.is_closing():
            self.is_paused = True
            self.socket.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        if self.is_paused:
            self.is_paused = False
            if not self.socket.is_closing():
                self.socket.resume_reading()

    def tick(self) -> None:
        """Carry out what time asks."""
        if self.is_paused:
            self.heard_at, self.pinged_at = self.gate.now, None  # we don't listen, so silence means nothing
        match self.due():
            case Close(code):
                self.close(code)
            case Nothing.PING:
                self.pinged_at = self.gate.now
                self.transport.send_ping()
            case Nothing.ABORT:
                self.abort()
            case Nothing.WAIT:
                pass

    # Called by the WebSocket library

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Keep the transport."""
        self.transport = transport
        self.socket = transport.underlying_transport
        self.socket.set_write_buffer_limits(high=self.gate.limits.send_buffer_bytes)
        self.socket.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
        self.on_open()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:  # noqa: ARG002 (the library's signature)
        """Let through complete messages of this path's kind; everything else is answered here."""
        self.heard_at = self.gate.now
        self.pinged_at = None
        kind = frame.msg_type
        if kind == self.kind and frame.fin and not (frame.rsv1 or frame.rsv2 or frame.rsv3):
            if self.closed_at is None:
                self.on_frame(frame.get_payload_as_bytes())
            return
        self._other_frame(kind, frame)

    def _other_frame(self, kind: WSMsgType, frame: WSFrame) -> None:
        if kind == WSMsgType.CLOSE:
            self.close(CloseCode.NORMAL)  # the echo
            self.transport.disconnect()
        elif frame.rsv1 or frame.rsv2 or frame.rsv3:
            self.close(CloseCode.PROTOCOL_ERROR)
        elif kind == WSMsgType.PING:
            self._pinged(frame.get_payload_as_bytes())
        elif kind == WSMsgType.TEXT:
            self.close(CloseCode.UNSUPPORTED_DATA)
        elif kind != WSMsgType.PONG:
            self.close(CloseCode.PROTOCOL_ERROR)  # a fragment

    def _pinged(self, payload: bytes) -> None:
        if self.gate.now - self._pings_since >= 1:
            self._pings, self._pings_since = 0, self.gate.now
        self._pings += 1
        if self._pings > self.gate.limits.pings_per_second:
            self.close(CloseCode.POLICY_VIOLATION)
        elif self.closed_at is None:
            self.transport.send_pong(payload)

    def lost(self) -> None:
        """Forget the connection: its socket is gone."""
        if self.closed_at is None:
            self.closed_at = self.gate.now
            self.on_gone()
        self.gate.gone(self)

    def pause_writing(self) -> None:
        """The peer reads more slowly than we send; paths that push stop."""

    def resume_writing(self) -> None:
        """The peer has read."""


class Bridge(WSProtocol):  # type: ignore[misc]  # an extension type without stubs
    """What uvicorn makes of an upgrade: picows on the same socket."""

    def __init__(
        self,
        gate: Gate,
        config: object = None,  # noqa: ARG002 (uvicorn's arguments)
        server_state: Any = None,  # noqa: ANN401
        app_state: object = None,  # noqa: ARG002
    ) -> None:
        super().__init__(
            host_port=None,
            ws_path=None,
            is_client_side=False,
            ws_listener_factory=self._listener,
            logger=_QUIET,
            disconnect_on_exception=True,
            websocket_handshake_timeout=None,
            enable_auto_ping=False,
            auto_ping_idle_timeout=1,
            auto_ping_reply_timeout=1,
            auto_ping_strategy=WSAutoPingStrategy.PING_WHEN_IDLE,
            enable_auto_pong=False,
            max_frame_size=MAX_FRAME,
            extra_headers=None,
            read_buffer_init_size=READ_BUFFER,
        )
        self._gate = gate
        self._connections: set[object] = server_state.connections
        self._connection: Connection | None = None
        self._subprotocol: str | None = None
        self._peer = ""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Take the socket over."""
        super().connection_made(transport)
        self._peer = (transport.get_extra_info("peername") or ("",))[0]
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let uvicorn and the hub know that it is gone."""
        self._connections.discard(self)
        super().connection_lost(exc)
        if self._connection is not None:
            self._connection.lost()

    def data_received(self, data: bytes) -> None:
        """Judge the request that uvicorn has read. Called once: afterwards data comes through `get_buffer`."""
        verdict = judge(data, self._gate.origins, self._gate.paths)
        if isinstance(verdict, Upgrade):
            is_forwarded = self._gate.behind_proxy and verdict.forwarded is not None
            network = network_of(str(verdict.forwarded) if is_forwarded else self._peer)
            self._connection = self._gate.admit(verdict, network)
            if self._connection is not None:
                self._subprotocol = verdict.subprotocol
                self._feed(verdict.canonical())
                return
            verdict = Refusal(_TOO_MANY)
        transport = self.transport.underlying_transport
        transport.write(verdict.response())
        transport.close()

    def get_buffer(self, size_hint: int) -> memoryview:
        """Return room for one read: of more, a pause would come too late, and a flood would double the buffer."""
        room: memoryview = super().get_buffer(size_hint)
        return room[:READ_AT_ONCE]

    def _feed(self, data: bytes) -> None:
        buffer = memoryview(self.get_buffer(len(data)))
        buffer[: len(data)] = data
        self.buffer_updated(len(data))

    def _listener(self, request: WSUpgradeRequest) -> Answer:  # noqa: ARG002 (judged before)
        protocol = {"Sec-WebSocket-Protocol": self._subprotocol} if self._subprotocol else {}
        return Answer(WSUpgradeResponse.create_101_response(protocol), self._connection)

    def shutdown(self) -> None:
        """Called by uvicorn when the relay stops."""
        if self._connection is not None:
            self._connection.drain()
        else:
            self.transport.disconnect()
