"""uvicorn's HTTP protocol with the bounds it lacks: time and size of a request's head, time of its body, one Host.

Measured without it: a half request that stays silent is still open after 12 s.
Source: spec/delivery.md, "Opening a connection".
"""

import asyncio
from collections import Counter
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from halonyx.relay.clients import network_of
from halonyx.relay.decide import Limits

MAX_HEAD: Final = 16 * 1024
DROP_PREFIX: Final = b"/v1/drop/"


class Crowd:
    """Sockets that speak HTTP: those that have not shown a whole request yet, and how many each client has.

    One client's silent sockets must not shut everybody out. Behind a proxy all come from one address, and the proxy
    has to tell clients apart.

    Args:
        limits: Bounds and times. One socket too many is dropped before anything is allocated for it.
        behind_proxy: Whether the peer is a proxy.
    """

    def __init__(self, limits: Limits, *, behind_proxy: bool) -> None:
        self.limits = limits
        self.waiting = 0
        self._behind_proxy = behind_proxy
        self._networks: Counter[str] = Counter()

    def enter(self, host: str) -> str | None:
        """Count a socket of this host and return the network to `leave`; None when there are too many."""
        if self.waiting >= self.limits.unauthenticated_connections:
            return None
        network = "" if self._behind_proxy else network_of(host)
        if not self._behind_proxy and self._networks[network] >= self.limits.http_connections_per_client:
            return None
        self._networks[network] += 1
        return network

    def leave(self, network: str) -> None:
        """Count a socket no more."""
        self._networks[network] -= 1
        if not self._networks[network]:
            del self._networks[network]


class GuardedHttp(HttpToolsProtocol):
    """One HTTP connection.

    Args:
        crowd: Shared by all connections of the relay; the rest is uvicorn's.
    """

    def __init__(self, crowd: Crowd, **uvicorn: Any) -> None:  # noqa: ANN401 (uvicorn's arguments)
        super().__init__(**uvicorn)
        self._crowd = crowd
        self._is_waiting = False
        self._head_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._unread_timer: asyncio.TimerHandle | None = None
        self._network: str | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock of the first request."""
        super().connection_made(transport)
        self._network = self._crowd.enter((transport.get_extra_info("peername") or ("",))[0])
        if self._network is None:
            transport.abort()
            return
        # So that `pause_writing` tells of every byte that is not taken. TLS pauses from there on, plain sockets beyond.
        transport.set_write_buffer_limits(high=0 if transport.get_extra_info("ssl_object") is None else 1)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, unless the head of the request is too long to be one."""
        was_waiting = self._is_waiting
        super().data_received(data)
        if was_waiting and self._is_waiting:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD:
                self._refuse()

    def on_message_begin(self) -> None:
        """Start the clock of a request on a connection that is kept alive."""
        super().on_message_begin()
        if not self._is_waiting:
            self._stop()
            self._await_head()

    def on_headers_complete(self) -> None:
        """Check what uvicorn does not, then give the body its time."""
        self._stop()
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        hosts = sum(name == b"host" for name, _ in self.headers)
        # A chunked body ends in trailers, which the parser adds to the headers without a bound: 2.2 GB were taken.
        is_chunked = any(name == b"transfer-encoding" for name, _ in self.headers)
        if size > MAX_HEAD or hosts != 1 or is_chunked:
            raise ValueError("head is too large, has no single Host or no length")  # the parser makes a 400 of it
        # The guard answers at `body_s`; this ends what no answer ends.
        limits = self._crowd.limits
        patience = limits.linger_s + (limits.drop_body_s if self.url.startswith(DROP_PREFIX) else limits.body_s)
        self._timer = self.loop.call_later(patience, self.transport.abort)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Stop the clock."""
        self._stop()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Stop the clock: the socket leaves this protocol."""
        self._leave()
        super().handle_websocket_upgrade()

    def pause_writing(self) -> None:
        """Start the clock of an answer that is not read; closing alone would wait for its reader for ever."""
        super().pause_writing()
        self._unread_timer = self.loop.call_later(self._crowd.limits.progress_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop the clock."""
        super().resume_writing()
        self._stop_unread()

    def _leave(self) -> None:
        self._stop()
        self._stop_unread()
        if self._network is not None:
            self._crowd.leave(self._network)
            self._network = None

    def _stop_unread(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def _await_head(self) -> None:
        self._is_waiting = True
        self._head_bytes = 0
        self._crowd.waiting += 1
        self._timer = self.loop.call_later(self._crowd.limits.head_s, self._refuse)

    def _refuse(self) -> None:
        if self.transport.is_closing():
            return
        if self._head_bytes:
            self.send_400_response("The request did not arrive in time or is too large.")
        else:  # browsers open sockets ahead: an answer would be taken for that of the request which is just on its way
            self.transport.close()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._is_waiting:
            self._is_waiting = False
            self._crowd.waiting -= 1
