"""The way to the relay as people go it: name, TLS, proxy, headers, WebSockets."""

import re
import socket
import ssl
from collections.abc import Iterator
from typing import Final

from halonyx.core.encoding import encode_base64url
from halonyx.relay.doctor_findings import Finding
from halonyx.relay.doctor_web import Answer, Unreachable, Where, ask, days_left, listener, public, upgrade
from halonyx.relay.secrets import Secrets
from halonyx.relay.settings import RelaySettings
from halonyx.wire.frames import RECEIVE_PATH, SEND_PATH

WRONG_HOST: Final = 421
OPENED: Final = 101
FORBIDDEN: Final = 403
FEW_DAYS: Final = 14
TRIES: Final = 3
FOREIGN: Final = "https://foreign.invalid"
ELSEWHERE: Final = "203.0.113.9"  # RFC 5737: nobody's
_UNFORWARDED: Final = re.compile(rb"^halonyx_unforwarded_total ([0-9.e+]+)$", re.MULTILINE)


def key_text(kept: Secrets) -> str:
    """Return a relay's public key as GET /v1/relay writes it."""
    return encode_base64url(kept.relay_key.public.raw)


def examine(settings: RelaySettings, origin: str, key: str | None) -> Iterator[Finding]:
    """Look at one public origin.

    Args:
        settings: The relay's, which runs.
        origin: One of its public ones.
        key: The relay's public key, if its secrets could be read.

    Returns:
        What is wrong.
    """
    where = public(origin)
    try:
        about = ask(where, "/v1/relay")
    except Unreachable as error:
        yield _unreachable(origin, error.cause)
        return
    finding = _whose(settings, origin, about, key)
    if finding is not None:
        yield finding
        return
    left = days_left(where)
    if left < FEW_DAYS:
        change = "Renew it, and see why that did not happen by itself."
        yield Finding("tls-expiry", f"The certificate of {origin} ends in {int(left)} days.", change)
    if settings.behind_proxy:
        yield from _forwarding(settings, where, origin)
    yield from _sockets(where, origin)


def _unreachable(origin: str, cause: Exception) -> Finding:
    match cause:
        case ssl.SSLCertVerificationError():
            text = f"The certificate of {origin} is not accepted: {cause.verify_message}."
            change = (
                "Get a certificate for this name from a known authority, and serve the whole chain (fullchain.pem)."
            )
            return Finding("tls-certificate", text, change)
        case ssl.SSLError():
            text = f"{origin} does not speak TLS as it should: {cause.reason}."
            change = "Let the proxy speak TLS 1.2 or 1.3 on this port, or give the relay tls_cert and tls_key."
            return Finding("tls", text, change)
        case socket.gaierror():
            text = f"The name of {origin} is not known."
            return Finding("dns", text, "Add a DNS record of type A or AAAA for it that leads to this machine.")
        case _:
            text = f"{origin} can't be reached from here: {cause or type(cause).__name__}."
            change = "Start the proxy, open the port in the firewall, and see where the name leads."
            return Finding("public-url", text, change)


def _whose(settings: RelaySettings, origin: str, about: Answer, key: str | None) -> Finding | None:
    if about.status == WRONG_HOST:
        text = f"The proxy at {origin} does not pass on the Host header."
        return Finding("proxy-host", text, "nginx: proxy_set_header Host $http_host; Caddy does it by itself.")
    if "relay_key" not in about.json:
        text = f"What answers at {origin} is no relay (status {about.status})."
        return Finding(
            "public-url", text, f"Let the proxy pass everything to {settings.host}:{settings.port}, without a path."
        )
    if key is not None and about.json["relay_key"] != key:
        text = f"Another relay answers at {origin}."
        return Finding("public-other-relay", text, f"Let the proxy pass everything to {settings.host}:{settings.port}.")
    return None


def _forwarding(settings: RelaySettings, where: Where, origin: str) -> Iterator[Finding]:
    """See whether the proxy names clients itself: we claim two other addresses, and it must believe neither."""
    change = "nginx: proxy_set_header X-Forwarded-For $remote_addr; Caddy does it by itself."
    before = _unforwarded(settings)
    claimed = ["127.0.0.1", ELSEWHERE, ELSEWHERE]
    statuses = [ask(where, "/metrics", {"X-Forwarded-For": address}).status for address in claimed]
    if statuses[0] != statuses[1]:
        text = f"The proxy at {origin} lets clients write X-Forwarded-For: each may claim any address."
        yield Finding("proxy-forwarded-for", text, change)
        return
    for _ in range(TRIES):
        ask(where, "/healthz")
    if _unforwarded(settings) >= before + TRIES:
        text = f"The proxy at {origin} does not set X-Forwarded-For: everybody counts as one client, on this machine."
        yield Finding("proxy-forwarded-for", text, change)


def _unforwarded(settings: RelaySettings) -> float:
    found = _UNFORWARDED.search(ask(listener(settings), "/metrics").body)
    return float(found[1]) if found else 0.0


def _sockets(where: Where, origin: str) -> Iterator[Finding]:
    status = upgrade(where, SEND_PATH, origin)
    if status != OPENED:
        text = f"{origin} opens no WebSocket (status {status})."
        change = (
            "nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; and Connection, as in "
            "deploy/nginx.conf. Caddy does it by itself."
        )
        yield Finding("websocket", text, change)
        return
    own = upgrade(where, RECEIVE_PATH, origin)
    if own != OPENED:
        text = f"A page of {origin} can't receive (status {own}): the relay does not see that it is its own."
        yield Finding("proxy-origin", text, "Let the proxy pass on the Origin header as it is.")
    elif upgrade(where, RECEIVE_PATH, FOREIGN) != FORBIDDEN:
        text = (
            f"Pages of other origins may log in at {origin}: the proxy takes the Origin header away or writes its own."
        )
        yield Finding("proxy-origin", text, "Let the proxy pass on the Origin header as it is.")
