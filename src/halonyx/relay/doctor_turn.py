"""Does the TURN server answer, and take the credentials that the relay gives out?

Source: RFC 8489 (STUN), sections 5 and 9.2; RFC 8656 (TURN), section 7.
"""

import hashlib
import hmac
import os
import re
import socket
import struct
import time
from collections.abc import Iterator
from typing import Final

from halonyx.core.types import Millis
from halonyx.relay import turn
from halonyx.relay.doctor_findings import Finding
from halonyx.relay.settings import RelaySettings

ALLOCATE: Final = 0x003
REFRESH: Final = 0x004
COOKIE: Final = 0x2112A442
USERNAME: Final = 0x06
INTEGRITY: Final = 0x08
ERROR: Final = 0x09
LIFETIME: Final = 0x0D
REALM: Final = 0x14
NONCE: Final = 0x15
TRANSPORT: Final = 0x19
UDP: Final = bytes([17, 0, 0, 0])
HEAD: Final = 20
PATIENCE_S: Final = 2
TRIES: Final = 3
DEFAULT_PORT: Final = 3478
UNAUTHORIZED: Final = 401
_URL: Final = re.compile(r"turn:(\[[^]]+\]|[^:?]+)(?::([0-9]+))?(?:\?transport=udp)?")


def examine(settings: RelaySettings) -> Iterator[Finding]:
    """Look at each TURN address that is reached by UDP; others are not looked at.

    Returns:
        What is wrong.
    """
    secret = settings.turn_key()
    for url in settings.turn_urls if secret is not None else ():
        match = _URL.fullmatch(url)
        if match is None:
            continue
        try:
            code = _allocate(match[1].strip("[]"), int(match[2] or DEFAULT_PORT), secret or b"")
        except OSError as error:
            text = f"The TURN server {url} does not answer: {error or type(error).__name__}."
            yield Finding("turn-unreachable", text, "Start it, and open its port for UDP.")
            continue
        if code == UNAUTHORIZED:
            text = f"The TURN server {url} refuses the relay's credentials."
            change = "Give both the same secret (turn_secret, static-auth-secret), with use-auth-secret at the server."
            yield Finding("turn-secret", text, change)
        elif code:
            yield Finding("turn", f"The TURN server {url} refuses to relay (error {code}).", "See its log.")


def _allocate(host: str, port: int, secret: bytes) -> int:
    """Ask for an allocation and give it back; return 0 or the error code (OSError: no answer)."""
    credentials = turn.issue(secret, [], Millis(time.time_ns() // 1_000_000), 60)
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as own:
        own.settimeout(PATIENCE_S)
        own.connect(address)
        wanted = _attribute(TRANSPORT, UDP)
        challenge = _attributes(_exchange(own, ALLOCATE, wanted))
        if REALM not in challenge or NONCE not in challenge:
            return _code(challenge)
        realm = challenge[REALM].decode("utf-8", "replace")
        proof = _attribute(USERNAME, credentials.username.encode("ascii"))
        proof += _attribute(REALM, challenge[REALM]) + _attribute(NONCE, challenge[NONCE])
        # MD5 is what the protocol names (RFC 8489 section 9.2.2); the key it makes of a short-lived credential guards
        # nothing else.
        words = f"{credentials.username}:{realm}:{credentials.credential}"
        key = hashlib.md5(words.encode(), usedforsecurity=False).digest()
        code = _code(_attributes(_exchange(own, ALLOCATE, wanted + proof, key)))
        if not code:
            _exchange(own, REFRESH, _attribute(LIFETIME, bytes(4)) + proof, key)
        return code


def _exchange(own: socket.socket, method: int, body: bytes, key: bytes | None = None) -> bytes:
    transaction = os.urandom(12)
    if key is not None:
        head = struct.pack(">HHI", method, len(body) + 24, COOKIE) + transaction
        body += _attribute(INTEGRITY, hmac.digest(key, head + body, "sha1"))
    message = struct.pack(">HHI", method, len(body), COOKIE) + transaction + body
    for _ in range(TRIES):  # UDP: a packet may be lost
        own.send(message)
        try:
            while True:
                answer = own.recv(2048)
                if len(answer) >= HEAD and answer[8:HEAD] == transaction:
                    return answer
        except TimeoutError:
            continue
    raise TimeoutError("no answer")


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack(">HH", kind, len(value)) + value + bytes(-len(value) % 4)


def _attributes(message: bytes) -> dict[int, bytes]:
    found, at = {}, HEAD
    while at + 4 <= len(message):
        kind, size = struct.unpack_from(">HH", message, at)
        found[kind] = message[at + 4 : at + 4 + size]
        at += 4 + size + -size % 4
    return found


def _code(attributes: dict[int, bytes]) -> int:
    error = attributes.get(ERROR, b"")
    return error[2] % 8 * 100 + error[3] if len(error) >= 4 else 0
