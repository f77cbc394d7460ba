"""Whether an HTTP upgrade becomes one of our WebSocket paths.

The WebSocket library accepts version 8, two Host headers and any Origin, and refuses the `Connection: keep-alive,
Upgrade` that Firefox sends, so the request is judged here and handed on in one canonical form.

Source: spec/delivery.md, "Opening a connection"; RFC 6455 section 4.2.
"""

import base64
import binascii
from collections import defaultdict
from dataclasses import dataclass
from http import HTTPStatus

from halonyx.relay.clients import last_hop
from halonyx.relay.settings import origin_for_host
from halonyx.wire.frames import RECEIVE_PATH, SEND_PATH, SUBPROTOCOL
from halonyx.wire.tracker import TRACKER_PATH

WEBSOCKET_VERSION = "13"
KEY_SIZE = 16
MAIL_PATHS = frozenset({RECEIVE_PATH, SEND_PATH})


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A request that may go on.

    Attributes:
        path: RECEIVE_PATH, SEND_PATH or TRACKER_PATH.
        query: What follows the path; empty but for the tracker.
        origin: The relay's own origin by which the client reached it.
        key: The client's Sec-WebSocket-Key.
        forwarded: Last address in X-Forwarded-For, believed only behind a proxy; None if there is none.
    """

    path: str
    query: str
    origin: str
    key: str
    forwarded: str | None

    @property
    def subprotocol(self) -> str | None:
        """Which subprotocol is agreed on: a tracker has none."""
        return None if self.path == TRACKER_PATH else SUBPROTOCOL

    def canonical(self) -> bytes:
        """Return the request as the WebSocket library wants it."""
        return (
            f"GET {self.path} HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: {WEBSOCKET_VERSION}\r\nSec-WebSocket-Key: {self.key}\r\n\r\n"
        ).encode("ascii")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that may not, and what it is told."""

    status: HTTPStatus

    def response(self) -> bytes:
        """Return the HTTP response; the connection closes after it."""
        code = self.status.phrase.lower().replace(" ", "-")
        body = f'{{"error":{{"code":"{code}","message":"this is no WebSocket request for this relay"}}}}'
        version = (
            f"sec-websocket-version: {WEBSOCKET_VERSION}\r\n" if self.status == HTTPStatus.UPGRADE_REQUIRED else ""
        )
        return (
            f"HTTP/1.1 {self.status.value} {self.status.phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n{version}connection: close\r\n\r\n{body}"
        ).encode("ascii")


def judge(request: bytes, origins: tuple[str, ...], paths: frozenset[str] = MAIL_PATHS) -> Upgrade | Refusal:
    """Decide about an upgrade request.

    Args:
        request: Request line and headers, parsed and written again by the HTTP server.
        origins: The relay's own origins.
        paths: What this relay has.
    """
    request_line, *lines = request.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, target, *_ = request_line.split(" ")
    path, mark, query = target.partition("?")
    headers: defaultdict[str, list[str]] = defaultdict(list)
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()].append(value.strip())
    if method != "GET":
        return Refusal(HTTPStatus.METHOD_NOT_ALLOWED)
    if path not in paths or (mark and path != TRACKER_PATH):
        return Refusal(HTTPStatus.NOT_FOUND)
    return _judge_headers(path, query, headers, origins)


def _judge_headers(path: str, query: str, headers: dict[str, list[str]], origins: tuple[str, ...]) -> Upgrade | Refusal:
    hosts, keys = headers["host"], headers["sec-websocket-key"]
    own = origin_for_host(origins, hosts[0]) if len(hosts) == 1 else None
    offered = [token.strip() for value in headers["sec-websocket-protocol"] for token in value.split(",")]
    # Sending and the tracker are anonymous: there is no login that a foreign page could borrow, and people of another
    # relay come with the page of theirs. Receiving is for our own pages.
    foreign = [] if path != RECEIVE_PATH else [origin for origin in headers["origin"] if origin not in origins]
    refused = (
        (len(hosts) != 1, HTTPStatus.BAD_REQUEST),
        (own is None, HTTPStatus.MISDIRECTED_REQUEST),
        (bool(headers["content-length"] or headers["transfer-encoding"]), HTTPStatus.BAD_REQUEST),
        (headers["sec-websocket-version"] != [WEBSOCKET_VERSION], HTTPStatus.UPGRADE_REQUIRED),
        (len(keys) != 1 or not _is_key(keys[0]), HTTPStatus.BAD_REQUEST),
        (path != TRACKER_PATH and SUBPROTOCOL not in offered, HTTPStatus.BAD_REQUEST),
        (bool(foreign) or len(headers["origin"]) > 1, HTTPStatus.FORBIDDEN),
    )
    for is_refused, status in refused:
        if is_refused:
            return Refusal(status)
    return Upgrade(path, query, str(own), keys[0], last_hop(headers["x-forwarded-for"]))


def _is_key(value: str) -> bool:
    try:
        return len(base64.b64decode(value, validate=True)) == KEY_SIZE
    except (binascii.Error, ValueError):
        return False
