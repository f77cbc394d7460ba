"""What every HTTP request passes before and after the application: host, origin, rates, sizes, headers.

Everything that can be refused without reading the body is refused without reading it. Source: spec/delivery.md,
"REST"; W3C Fetch, "CORS protocol".
"""

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from halonyx.relay.clients import last_hop
from halonyx.relay.context import RelayContext
from halonyx.relay.events import Event, log
from halonyx.relay.refusals import Refused, answer
from halonyx.relay.settings import origin_for_host
from halonyx.wire.rest_files import MAX_DROP_PART, UPLOAD_HEADER


class Takes(Enum):
    """What a route takes as its body."""

    SMALL = auto()  # JSON
    KEYS = auto()  # JSON with prekeys
    BLOB = auto()  # bytes; the route itself reads them, once it knows whose they are


class Access(Enum):
    """Who may call a route from a page."""

    PUBLIC = auto()  # pages and health; no CORS
    ANONYMOUS = auto()  # any origin: there is no ambient authority to steal
    SIGNED = auto()  # the relay's own origins


@dataclass(frozen=True, slots=True)
class Rule:
    """How a route is guarded.

    Attributes:
        access: Who may call it from a page.
        rate: Name of the setting with its rate per client.
        takes: Its body.
    """

    access: Access
    rate: str
    takes: Takes = Takes.SMALL


DROP_PART: Final = "/v1/drop/{drop}"
RULES: Final = {
    "/v1/relay": Rule(Access.ANONYMOUS, "rate_public"),
    "/v1/relay/knows": Rule(Access.ANONYMOUS, "rate_public"),
    "/v1/signup/challenge": Rule(Access.ANONYMOUS, "rate_challenge"),
    "/v1/lookup": Rule(Access.ANONYMOUS, "rate_lookup"),
    "/v1/bundle": Rule(Access.ANONYMOUS, "rate_bundle"),
    "/v1/accounts": Rule(Access.SIGNED, "rate_signed", Takes.KEYS),
    "/v1/account": Rule(Access.SIGNED, "rate_signed", Takes.KEYS),
    "/v1/account/status": Rule(Access.SIGNED, "rate_signed"),
    "/v1/account/delete": Rule(Access.SIGNED, "rate_signed"),
    "/v1/prekeys": Rule(Access.SIGNED, "rate_signed", Takes.KEYS),
    "/v1/access-key": Rule(Access.SIGNED, "rate_signed"),
    "/v1/invite": Rule(Access.SIGNED, "rate_signed"),
    "/v1/turn": Rule(Access.SIGNED, "rate_signed"),
    "/v1/drop": Rule(Access.SIGNED, "rate_signed"),
    "/v1/drop/delete": Rule(Access.ANONYMOUS, "rate_drop"),
    DROP_PART: Rule(Access.ANONYMOUS, "rate_drop", Takes.BLOB),
}
PUBLIC_PATHS: Final = frozenset({"/", "/docs", "/openapi.json", "/healthz", "/readyz", "/metrics"})
ANY_HOST: Final = frozenset({"/healthz", "/readyz", "/metrics"})  # asked by address by proxies and collectors
OTHER: Final = Rule(Access.PUBLIC, "rate_public")
SIGNATURE_HEADERS: Final = "content-type, content-digest, signature-input, signature"
BLOB_HEADERS: Final = f"content-type, range, {UPLOAD_HEADER.lower()}"
_DROP_PATH: Final = re.compile(r"/v1/drop/[0-9a-f]{32}")
_OFFSET: Final = re.compile(rb"offset=(0|[1-9][0-9]{0,15})")

_JSON: Final = (["application/json"], ["application/json;charset=utf-8"])
_TYPES: Final = {Takes.SMALL: _JSON, Takes.KEYS: _JSON, Takes.BLOB: (["application/octet-stream"],)}

API_POLICY: Final = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "require-trusted-types-for 'script'; trusted-types 'none'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
SECURITY_HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "x-frame-options": "DENY",
}
CLIENT: Final = "halonyx.client"
HSTS: Final = "max-age=31536000"

Headers = list[tuple[bytes, bytes]]


class Guard:
    """ASGI middleware; see the module.

    Args:
        app: The application behind it.
        context: The relay.
        pages: Headers of the web client's files by path, in place of the relay's own.
    """

    def __init__(self, app: ASGIApp, context: RelayContext, pages: Mapping[str, Mapping[str, str]]) -> None:
        self._app = app
        self._pages = pages
        self._context = context
        self._is_https = any(origin.startswith("https:") for origin in context.settings.public_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection's request; WebSockets have their own door and are refused here."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._guard(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _guard(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        scope[CLIENT] = self._client_host(scope)  # before the body: nothing that comes later may name a client
        if self._context.settings.behind_proxy and not _all(scope, b"x-forwarded-for"):
            self._context.metrics.unforwarded.inc()
        rule = RULES.get(route_name(path), OTHER)
        reply = _Reply(self._context, scope, send, self._headers(scope, rule))
        try:
            self._check_head(scope, rule)
            if scope["method"] == "OPTIONS" and rule.access is not Access.PUBLIC:
                await reply.preflight(rule)
                return
            self._check_rate(scope, path, rule)
            cap = self._check_body(scope, rule)
            if rule.takes is Takes.BLOB and cap:
                reply.unread = _Unread(receive, cap)
                await self._app(scope, reply.unread, reply.send)
            else:
                body = await self._read(receive, cap)
                await self._app(scope, _Replay(body, receive), reply.send)
        except Refused as refused:
            await answer(refused)(scope, receive, reply.send_last)
        except Exception as error:  # noqa: BLE001 (the outermost loop: a bug must not become a traceback with contents)
            log(Event.REQUEST_FAILED, route=route_name(path), error=type(error).__name__)
            if not reply.has_begun:
                await answer(Refused("internal"))(scope, receive, reply.send_last)

    def _check_head(self, scope: Scope, rule: Rule) -> None:
        hosts, origins = _all(scope, b"host"), _all(scope, b"origin")
        lengths, encodings = _all(scope, b"content-length"), _all(scope, b"transfer-encoding")
        if len(hosts) != 1 or len(origins) > 1 or len(lengths) > 1 or encodings:  # http_guard.py says why
            raise Refused("malformed")
        own = self._context.settings.public_origins
        if scope["path"] not in ANY_HOST and origin_for_host(own, hosts[0]) is None:
            raise Refused("wrong-host")
        if rule.access is Access.SIGNED and origins and origins[0] not in own:
            raise Refused("wrong-origin")
        takes_offset = (
            rule.takes is Takes.BLOB and scope["method"] == "PUT" and _OFFSET.fullmatch(scope["query_string"])
        )
        if scope["query_string"] and rule.access is not Access.PUBLIC and not takes_offset:
            raise Refused("malformed")

    def _check_rate(self, scope: Scope, path: str, rule: Rule) -> None:
        limiter, settings = self._context.limiter, self._context.settings
        client = limiter.client(self._client_host(scope))
        wait = limiter.hit(getattr(settings, rule.rate), path if path in RULES else rule.rate, client)
        if wait:
            self._context.metrics.limited.labels(route_name(path)).inc()
            raise Refused("too-many-requests", wait)

    def _client_host(self, scope: Scope) -> str:
        return client_host(scope, behind_proxy=self._context.settings.behind_proxy)

    def _check_body(self, scope: Scope, rule: Rule) -> int:
        """Check what the headers say of the body and return how many bytes it may have."""
        if _all(scope, b"content-encoding"):
            raise Refused("unsupported-content")
        if scope["method"] not in {"POST", "PUT", "PATCH", "DELETE"}:
            cap = 0
        else:
            types = [value.lower().replace(" ", "") for value in _all(scope, b"content-type")]
            if types not in _TYPES[rule.takes]:
                raise Refused("unsupported-content")
            settings = self._context.settings
            caps = {
                Takes.SMALL: settings.max_body_bytes,
                Takes.KEYS: settings.max_keys_body_bytes,
                Takes.BLOB: MAX_DROP_PART,
            }
            cap = caps[rule.takes]
        announced = "".join(_all(scope, b"content-length"))
        if announced.isdecimal() and int(announced[:12]) > cap:
            raise Refused("too-large")
        return cap

    async def _read(self, receive: Receive, cap: int) -> bytes:
        try:
            async with asyncio.timeout(self._context.settings.body_seconds):
                return await _read(receive, cap)
        except TimeoutError:
            raise Refused("too-slow") from None

    def _headers(self, scope: Scope, rule: Rule) -> Headers:
        """Return the headers every answer to this request carries."""
        path, headers = scope["path"], dict(SECURITY_HEADERS)
        is_page = path in {"/", "/docs"} or path.startswith("/static/")
        headers["content-security-policy"] = PAGE_POLICY if is_page else API_POLICY
        headers["cache-control"] = "no-cache" if is_page else "no-store"
        headers |= self._pages.get(path, {})
        if self._is_https:
            headers["strict-transport-security"] = HSTS
        if rule.access is Access.ANONYMOUS:
            headers["access-control-allow-origin"] = "*"
            is_blob = rule.takes is Takes.BLOB
            exposed = "retry-after, content-range, accept-ranges" if is_blob else "retry-after"
            headers["access-control-expose-headers"] = exposed
        elif rule.access is Access.SIGNED:
            headers["vary"] = "Origin"
            origins = _all(scope, b"origin")
            if len(origins) == 1 and origins[0] in self._context.settings.public_origins:
                headers["access-control-allow-origin"] = origins[0]
                headers["access-control-expose-headers"] = "retry-after"
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


class _Reply:
    """Sends an answer with the headers every answer carries, and counts it."""

    def __init__(self, context: RelayContext, scope: Scope, send: Send, headers: Headers) -> None:
        self._context = context
        self._route = route_name(scope["path"])
        self._send = send
        self._headers = headers
        self.has_begun = False
        self.unread: _Unread | None = None

    async def send(self, message: Message) -> None:
        """Pass a message of the application on."""
        if message["type"] == "http.response.start":
            self.has_begun = True
            ours = {name for name, _ in self._headers}
            kept = [pair for pair in message.get("headers", []) if pair[0].lower() not in ours]
            ends = [(b"connection", b"close")] if self.unread is not None and not self.unread.is_read else []
            message = {**message, "headers": [*kept, *self._headers, *ends]}
            status = message["status"]
            self._context.metrics.requests.labels(self._route, str(status)).inc()
            log(Event.REQUEST, route=self._route, status=int(status))
        await self._send(message)

    async def send_last(self, message: Message) -> None:
        """Pass on an answer given before the body was read: the connection can't be used again."""
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        await self.send(message)

    async def preflight(self, rule: Rule) -> None:
        """Answer a browser's question before a call from a page."""
        anonymous = BLOB_HEADERS if rule.takes is Takes.BLOB else "content-type"
        allowed = SIGNATURE_HEADERS if rule.access is Access.SIGNED else anonymous
        headers = [
            (b"access-control-allow-methods", b"GET, POST, PUT"),
            (b"access-control-allow-headers", allowed.encode("ascii")),
            (b"access-control-max-age", b"600"),
            (b"content-length", b"0"),
        ]
        await self.send({"type": "http.response.start", "status": 204, "headers": headers})
        await self.send({"type": "http.response.body", "body": b""})


class _Replay:
    """Hands the application a body that was read before; after it, the connection itself."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


class _Unread:
    """Hands the application a body that nobody has read yet, up to its bound."""

    def __init__(self, receive: Receive, cap: int) -> None:
        self._receive = receive
        self._left = cap
        self.is_read = False

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                raise Refused("too-large")
            self.is_read = not message.get("more_body", False)
        return message


def route_name(path: str) -> str:
    """Return the route of a path, or `other`: what a stranger made up stays out of logs and metrics."""
    if _DROP_PATH.fullmatch(path):
        return DROP_PART
    return path if path in RULES or path in PUBLIC_PATHS else "other"


def client_host(scope: Scope, *, behind_proxy: bool) -> str:
    """Return the client's address: the socket's, or the last X-Forwarded-For hop when a proxy is set up.

    Behind the guard it is what the guard found.
    """
    found: str | None = scope.get(CLIENT)
    if found is not None:
        return found
    if behind_proxy:
        hop = last_hop(_all(scope, b"x-forwarded-for"))
        if hop is not None:
            return hop
    client: tuple[str, int] | None = scope.get("client")
    return client[0] if client else ""


async def _read(receive: Receive, cap: int) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Refused("malformed")
        body += message.get("body", b"")
        if len(body) > cap:
            raise Refused("too-large")
        if not message.get("more_body", False):
            return bytes(body)


def _all(scope: Scope, name: bytes) -> list[str]:
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return [value.decode("latin-1") for key, value in headers if key == name]
