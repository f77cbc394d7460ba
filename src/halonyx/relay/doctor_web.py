"""HTTP and WebSocket requests of the doctor: plain, one at a time, with every header as it is given."""

import http.client
import json
import os
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from halonyx.core.errors import HalonyxError
from halonyx.relay.settings import RelaySettings
from halonyx.wire.frames import SUBPROTOCOL

PATIENCE_S: Final = 10
DAY_S: Final = 86_400
MOST_BYTES: Final = 1024 * 1024
NOWHERE: Final = frozenset({"0.0.0.0", "::", "[::]"})  # noqa: S104 (compared with, not listened on)


class Unreachable(HalonyxError):
    """No answer; `cause` is what happened.

    Args:
        cause: As the system said it.
    """

    code = "unreachable"

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Where:
    """Where to connect, and as whom.

    Attributes:
        authority: Host header.
        context: For TLS; None without.
        headers: Sent with everything.
    """

    host: str
    port: int
    authority: str
    context: ssl.SSLContext | None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body; `json` is empty if it is no JSON object."""

    status: int
    body: bytes
    json: dict[str, Any]


def listener(settings: RelaySettings) -> Where:
    """Return how the relay is reached past any proxy, as one that passes on a request of this machine would."""
    context = None
    if settings.has_tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = (
            False,
            ssl.CERT_NONE,
        )  # our own port: names are looked at elsewhere
    host = "localhost" if settings.host in NOWHERE else settings.host.strip("[]")
    authority = settings.public_origins[0].partition("://")[2]
    forwarded = {"X-Forwarded-For": "127.0.0.1"} if settings.behind_proxy else {}
    return Where(host, settings.port, authority, context, forwarded)


def public(origin: str) -> Where:
    """Return how people reach an origin, with the certificates that this system trusts."""
    parts = urlsplit(origin)
    is_secure = parts.scheme == "https"
    port = parts.port or (443 if is_secure else 80)
    return Where(parts.hostname or "", port, parts.netloc, ssl.create_default_context() if is_secure else None)


def ask(where: Where, path: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Make one GET request.

    Raises:
        Unreachable: No connection, no trust, or no HTTP.
    """
    connection = (
        http.client.HTTPConnection(where.host, where.port, timeout=PATIENCE_S)
        if where.context is None
        else http.client.HTTPSConnection(where.host, where.port, timeout=PATIENCE_S, context=where.context)
    )
    try:
        connection.request("GET", path, headers={"Host": where.authority, **where.headers, **(headers or {})})
        answer = connection.getresponse()
        body = answer.read(MOST_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(error) from None
    finally:
        connection.close()
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    return Answer(answer.status, body, found if isinstance(found, dict) else {})


def upgrade(where: Where, path: str, origin: str) -> int:
    """Ask for a WebSocket and return the status: 101 if it was opened.

    Raises:
        Unreachable: No connection, no trust, or no HTTP.
    """
    headers = {
        "Origin": origin,
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": b64encode(os.urandom(16)).decode("ascii"),
        "Sec-WebSocket-Protocol": SUBPROTOCOL,
    }
    return ask(where, path, headers).status


def days_left(where: Where) -> float:
    """Return for how long the certificate is still good, in days.

    Raises:
        Unreachable: No connection or no trust.
    """
    if where.context is None:
        return float("inf")
    try:
        with (
            socket.create_connection((where.host, where.port), PATIENCE_S) as raw,
            where.context.wrap_socket(raw, server_hostname=where.host) as secured,
        ):
            found = secured.getpeercert() or {}
    except OSError as error:
        raise Unreachable(error) from None
    until = found.get("notAfter")
    return float("inf") if not isinstance(until, str) else (ssl.cert_time_to_seconds(until) - time.time()) / DAY_S
