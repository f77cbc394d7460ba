"""uvicorn's HTTP protocol with the bounds it lacks: time and size of a request's head, time of its body, one Host.

Measured without it: a half request that stays silent is still open after 12 s.
Source: spec/delivery.md, "Opening a connection".
"""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD: Final = 16 * 1024


class Crowd:
    """Sockets that have not shown a whole request yet, all clients together.

    Args:
        capacity: How many there may be; one more is dropped before anything is allocated for it.
        head_s: Seconds to send request line and headers.
        body_s: Seconds to send the body after that.
    """

    def __init__(self, capacity: int, head_s: float, body_s: float) -> None:
        self.capacity = capacity
        self.head_s = head_s
        self.body_s = body_s
        self.waiting = 0


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

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock of the first request."""
        super().connection_made(transport)
        if self._crowd.waiting >= self._crowd.capacity:
            transport.abort()
            return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop()
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
        self._timer = self.loop.call_later(self._crowd.body_s, self.transport.abort)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Stop the clock."""
        self._stop()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Stop the clock: the socket leaves this protocol."""
        self._stop()
        super().handle_websocket_upgrade()

    def _await_head(self) -> None:
        self._is_waiting = True
        self._head_bytes = 0
        self._crowd.waiting += 1
        self._timer = self.loop.call_later(self._crowd.head_s, self._refuse)

    def _refuse(self) -> None:
        if not self.transport.is_closing():
            self.send_400_response("The request did not arrive in time or is too large.")

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._is_waiting:
            self._is_waiting = False
            self._crowd.waiting -= 1
