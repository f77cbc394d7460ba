"""The web client from the person's own machine: the same build, with the way to every relay behind it.

The page comes from here and not from a relay, so a relay that serves altered scripts reaches nobody who uses this. It
passes on what the page says to relays, and nothing else: only from this page, only to relays, only what the protocol
has. Everything a relay may not read is encrypted before it comes here.

Source: docs/reference/web.md.
"""

import asyncio
import io
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import Final

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler

from halonyx.core.errors import Malformed
from halonyx.core.origin import check_origin
from halonyx.web.build import INDEX, SECURITY_HEADERS, Build, File, policy, takes_gzip, with_sockets

HOST: Final = "127.0.0.1"
HOST_6: Final = "::1"
CONNECT_SECONDS: Final = 5
CALL_SECONDS: Final = 15
HEARTBEAT_SECONDS: Final = 25
CLOSE_SECONDS: Final = 2
MAX_PART: Final = 4 * 1024 * 1024  # of an encrypted file, as a relay's drop takes and gives it
PART_SECONDS: Final = 120  # for a part of an encrypted file
MAX_BODY: Final = MAX_PART + 1  # what a relay takes at most; the library refuses a body of its limit
MAX_ANSWER: Final = 256 * 1024  # what a client takes at most, but for parts of encrypted files
MAX_FRAME: Final = 128 * 1024
UNSENDABLE: Final = frozenset({1005, 1006, 1015})  # RFC 6455 section 7.4.1: said of a connection, never sent on it
RELAYS: Final = "/relay/"
ANSWER_POLICY: Final = "default-src 'none'; sandbox; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_METHODS: Final = frozenset({"GET", "POST", "PUT"})
_FORWARDED: Final = ("Content-Type", "Content-Digest", "Signature-Input", "Signature", "Range", "Halonyx-Upload")
_RETURNED: Final = ("Retry-After", "Content-Range")
_TRACKER: Final = "/v1/tracker"
_PART: Final = re.compile(r"/v1/drop/[0-9a-f]{32}")
_QUERY: Final = re.compile(r"token=[0-9a-f]{32}")
_PART_QUERY: Final = re.compile(r"offset=[0-9]{1,16}")
_SESSION: Final = web.AppKey("session", aiohttp.ClientSession)


class Loopback:
    """One server of one build.

    Args:
        build: What it serves.
        port: It answers to `localhost` and `127.0.0.1` with this port, and to no other name.
        relay: Origin that a new identity is offered.
    """

    def __init__(self, build: Build, port: int, relay: str) -> None:
        self._build = build
        self._own = (f"http://localhost:{port}", f"http://{HOST}:{port}")
        self._headers = SECURITY_HEADERS | {"content-security-policy": policy(with_sockets(self._own))}
        self._told = {"build": build.hash, "reach": "loopback", "relays": [], "relay": relay}

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application(client_max_size=MAX_BODY, middlewares=[self._guard])
        app.cleanup_ctx.append(_session)
        for file in self._build.files.values():
            app.router.add_get(f"/{file.path}", _sender(file))
        app.router.add_get("/", _sender(self._build.files[INDEX]))
        app.router.add_get("/site.json", self._site)
        app.router.add_route("*", "/relay/{origin}/v1/{rest:[a-z0-9/-]+}", _pass_on)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse other names, which lead here by a lying DNS, and other pages, which would call relays through us."""
        try:
            if f"http://{request.headers.getone('Host', '')}" not in self._own:
                raise web.HTTPMisdirectedRequest
            if request.path.startswith(RELAYS) and not self._is_call_of_the_page(request):
                raise web.HTTPForbidden
            response = await handler(request)
        except web.HTTPException as refused:
            response = _refusal(HTTPStatus(refused.status), "this server is for its own page only")
        if not response.prepared:
            response.headers.update(self._headers)
            if request.path.startswith(RELAYS):
                # A relay chose these bytes. Nothing may make a page or a script of this origin of them.
                response.headers.update({"Content-Type": "application/json", "Content-Security-Policy": ANSWER_POLICY})
        return response

    def _is_call_of_the_page(self, request: web.Request) -> bool:
        """Tell whether the page's own script calls; a browser says so, and an address that was opened is no call."""
        headers = request.headers
        return (
            headers.getone("Origin", self._own[0]) in self._own
            and headers.getone("Sec-Fetch-Site", "same-origin") == "same-origin"
            and headers.getone("Sec-Fetch-Dest", "empty") in {"empty", "websocket"}
            and headers.getone("Sec-Fetch-Mode", "cors") != "navigate"
        )

    async def _site(self, request: web.Request) -> web.Response:  # noqa: ARG002 (the library's shape)
        return web.json_response(self._told, headers={"Cache-Control": "no-store"})


async def serve(build: Build, port: int, relay: str, ready: Callable[[], None]) -> None:
    """Serve on loopback until cancelled.

    Args:
        build: What to serve.
        port: 1 to 65535.
        relay: Origin that a new identity is offered.
        ready: Called once the port answers.

    Raises:
        OSError: The port is taken or may not be used.
    """
    runner = web.AppRunner(Loopback(build, port, relay).app(), access_log=None, shutdown_timeout=CLOSE_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port).start()
        # A browser may try ::1 first for localhost: another program there would get the origin that holds the store.
        if _has_ipv6():
            await web.TCPSite(runner, HOST_6, port).start()
        ready()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind((HOST_6, 0))
    except OSError:
        return False
    return True


async def _session(app: web.Application) -> AsyncIterator[None]:
    # A connection of its own for each call: the relay must not see that one person asks about two others.
    connector = aiohttp.TCPConnector(force_close=True)
    timeout = aiohttp.ClientTimeout(total=CALL_SECONDS, connect=CONNECT_SECONDS)
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, cookie_jar=jar, auto_decompress=False, middlewares=(_refuse_redirects,)
    ) as session:
        app[_SESSION] = session
        yield


async def _refuse_redirects(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Take no answer that sends us elsewhere, sockets included: it could name what only this machine reaches."""
    response = await handler(request)
    if HTTPStatus.MULTIPLE_CHOICES <= response.status < HTTPStatus.BAD_REQUEST:
        response.close()
        raise aiohttp.ClientError("a redirect")
    return response


def _sender(file: File) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def send(request: web.Request) -> web.Response:
        headers = {"Content-Type": file.media_type, "Cache-Control": file.cache_control, "Vary": "Accept-Encoding"}
        if file.compressed is not None and takes_gzip(request.headers.get("Accept-Encoding", "")):
            return web.Response(body=file.compressed, headers=headers | {"Content-Encoding": "gzip"})
        return web.Response(body=file.content, headers=headers)

    return send


async def _pass_on(request: web.Request) -> web.StreamResponse:
    try:
        origin = check_origin(request.match_info["origin"])
    except Malformed:
        return _refusal(HTTPStatus.BAD_REQUEST, "this is no relay")
    path = f"/v1/{request.match_info['rest']}"
    try:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await _pass_socket(request, origin.replace("http", "ws", 1), path)
        return await _pass_call(request, origin, path)
    except (aiohttp.ClientError, TimeoutError, OSError):
        return _refusal(HTTPStatus.BAD_GATEWAY, "the relay can't be reached")


async def _pass_call(request: web.Request, origin: str, path: str) -> web.Response:
    is_part = _PART.fullmatch(path) is not None
    query = _asked(request, _PART_QUERY if is_part and request.method == "PUT" else None)
    if request.method not in _METHODS or query is None:
        return _refusal(HTTPStatus.METHOD_NOT_ALLOWED, "no such call")
    sent = {name: request.headers[name] for name in _FORWARDED if name in request.headers}
    read = await request.read()
    body = io.BytesIO(read) if read else None  # of long bytes the library warns
    session = request.app[_SESSION]
    timeout = aiohttp.ClientTimeout(total=PART_SECONDS if is_part else CALL_SECONDS, connect=CONNECT_SECONDS)
    url = origin + path + query
    async with session.request(request.method, url, data=body, headers=sent, timeout=timeout) as answer:
        content = await _bounded(answer, MAX_PART if is_part else MAX_ANSWER)
        if content is None:
            return _refusal(HTTPStatus.BAD_GATEWAY, "the relay does not answer like one")
        returned = {name: answer.headers[name] for name in _RETURNED if name in answer.headers}
        return web.Response(status=answer.status, body=content, headers=returned | {"Cache-Control": "no-store"})


def _asked(request: web.Request, known: re.Pattern[str] | None) -> str | None:
    """Return the query to pass on, with its question mark; None if it is not one that the page's calls have."""
    if known is None:
        return None if request.query_string else ""
    return f"?{request.query_string}" if known.fullmatch(request.query_string) else None


async def _bounded(answer: aiohttp.ClientResponse, limit: int) -> bytes | None:
    content = bytearray()
    async for part in answer.content.iter_any():
        content += part
        if len(content) > limit:
            return None
    return bytes(content)


async def _pass_socket(request: web.Request, origin: str, path: str) -> web.StreamResponse:
    """Open the relay's socket first, so that a relay that can't be reached is a refusal and not a lost connection."""
    query = _asked(request, _QUERY if path == _TRACKER else None)
    if query is None:
        return _refusal(HTTPStatus.NOT_FOUND, "no such socket")
    offered = [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if name.strip()]
    async with request.app[_SESSION].ws_connect(
        origin + path + query,
        protocols=offered,
        max_msg_size=MAX_FRAME,
        heartbeat=HEARTBEAT_SECONDS,
        timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_SECONDS),
        compress=0,
    ) as theirs:
        ours = web.WebSocketResponse(
            protocols=offered,
            max_msg_size=MAX_FRAME,
            heartbeat=HEARTBEAT_SECONDS,
            timeout=CLOSE_SECONDS,
            compress=False,
        )
        await ours.prepare(request)
        kind = aiohttp.WSMsgType.TEXT if path == _TRACKER else aiohttp.WSMsgType.BINARY
        ways = {asyncio.create_task(_copy(kind, ours, theirs)), asyncio.create_task(_copy(kind, theirs, ours))}
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        # The relay's reason counts: it says whether to come back.
        code = theirs.close_code
        await ours.close(code=aiohttp.WSCloseCode.GOING_AWAY if code is None or code in UNSENDABLE else code)
        return ours


async def _copy(
    kind: aiohttp.WSMsgType,
    source: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
    target: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
) -> None:
    """Pass frames of one kind on until one side ends; a slow reader slows its writer down."""
    while True:
        message = await source.receive()
        if message.type is not kind:
            return
        if kind is aiohttp.WSMsgType.TEXT:
            await target.send_str(message.data)
        else:
            await target.send_bytes(message.data)


def _refusal(status: HTTPStatus, message: str) -> web.Response:
    code = status.phrase.lower().replace(" ", "-")
    error = {"error": {"code": code, "message": message}}
    return web.json_response(error, status=status, headers={"Cache-Control": "no-store"})
