"""A web server in front of the real relay: it can be absent, and it can answer other than the relay did.

It stands for a relay that lies, and for a network that fails. The relay counts its origin among its own.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import aiohttp
from aiohttp import web

from halonyx.wire import frames
from relay_process import RelayProcess

Answer = dict[str, Any]
Alter = Callable[[Answer, Answer], Answer]
"""From what was asked and what the relay answered to what is answered."""

MAX_BODY: Final = 4 * 1024 * 1024


@dataclass(slots=True)
class Front:
    """The server of one test.

    Attributes:
        alter: By path, what to make of the relay's answer to a REST call.
        asked: Bodies of REST calls by path, in order.
        sent: All that clients sent: paths, headers, bodies, frames.
        on_frame: What to make of a frame from the relay; None cuts the connection instead.
        on_sending: What to do with a sending connection instead of passing it on.
    """

    relay: RelayProcess
    port: int
    alter: dict[str, Alter] = field(default_factory=dict)
    asked: dict[str, list[Answer]] = field(default_factory=dict)
    sent: bytearray = field(default_factory=bytearray)
    on_frame: Callable[[bytes], bytes | None] = bytes
    on_sending: Callable[[web.WebSocketResponse], Awaitable[None]] | None = None
    _runner: web.AppRunner | None = None

    @property
    def origin(self) -> str:
        return f"http://localhost:{self.port}"

    async def start(self) -> None:
        application = web.Application(client_max_size=MAX_BODY)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "localhost", self.port, reuse_address=True).start()

    async def stop(self) -> None:
        """Refuse connections and cut those that are open."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.sent += f"{request.path_qs}\n{dict(request.headers)}\n".encode()
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await self._forward_socket(request, session)
            return await self._forward_call(request, session)

    async def _forward_call(self, request: web.Request, session: aiohttp.ClientSession) -> web.Response:
        body, path = await request.read(), request.path
        headers = {name: value for name, value in request.headers.items() if name != "Content-Length"}
        async with session.request(
            request.method, self.relay.origin + path, data=body or None, headers=headers
        ) as answer:
            text, status = await answer.read(), answer.status
        self.sent += body
        asked = json.loads(body or b"{}")
        self.asked.setdefault(path, []).append(asked)
        if status == HTTPStatus.OK and path in self.alter:
            text = json.dumps(self.alter[path](asked, json.loads(text))).encode()
        return web.Response(body=text, status=status, content_type="application/json")

    async def _forward_socket(self, request: web.Request, session: aiohttp.ClientSession) -> web.StreamResponse:
        theirs = web.WebSocketResponse(protocols=(frames.SUBPROTOCOL,), max_msg_size=frames.MAX_FRAME)
        await theirs.prepare(request)
        if self.on_sending is not None and request.path == frames.SEND_PATH:
            await self.on_sending(theirs)
            return theirs
        async with session.ws_connect(
            self.relay.origin + request.path,
            protocols=(frames.SUBPROTOCOL,),
            headers={"Host": request.host},
            max_msg_size=frames.MAX_FRAME,
        ) as ours:

            async def upwards() -> None:
                async for message in theirs:
                    self.sent += message.data
                    await ours.send_bytes(message.data)
                await ours.close()

            up = asyncio.create_task(upwards())
            try:
                async for message in ours:
                    frame = self.on_frame(message.data)
                    if frame is None:
                        break
                    await theirs.send_bytes(frame)
                await theirs.close(code=ours.close_code or aiohttp.WSCloseCode.OK)
            finally:
                up.cancel()
                with contextlib.suppress(asyncio.CancelledError, aiohttp.ClientError, ConnectionError):
                    await up
        return theirs


@asynccontextmanager
async def running_front(relay: RelayProcess, port: int) -> AsyncIterator[Front]:
    front = Front(relay, port)
    await front.start()
    try:
        yield front
    finally:
        await front.stop()


def cut_at(frame_type: int, *, times: int = 1) -> Callable[[bytes], bytes | None]:
    """Cut the connection instead of passing on the first frames of one type."""
    left = [times]

    def on_frame(frame: bytes) -> bytes | None:
        if frame[1] == frame_type and left[0] > 0:
            left[0] -= 1
            return None
        return frame

    return on_frame
