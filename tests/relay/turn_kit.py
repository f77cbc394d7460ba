"""A TURN server from the sample configuration, and the few bytes of STUN that ask it for an allocation."""

import asyncio
import contextlib
import hashlib
import hmac
import os
import re
import socket
import struct
import time
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from relay_process import free_port

SAMPLE = Path(__file__).parents[2] / "deploy" / "turnserver.conf"
WAIT_S = 10
ALLOCATE, CREATE_PERMISSION = 0x003, 0x008
USERNAME, INTEGRITY, ERROR, PEER, REALM, NONCE, FAMILY, TRANSPORT = 0x06, 0x08, 0x09, 0x12, 0x14, 0x15, 0x17, 0x19
FINGERPRINT = 0x8028
FAMILIES = {4: 1, 6: 2}  # as STUN numbers them
COOKIE = 0x2112A442


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack(">HH", kind, len(value)) + value + bytes(-len(value) % 4)


def attributes(message: bytes) -> dict[int, bytes]:
    found, at = {}, 20
    while at < len(message):
        kind, size = struct.unpack_from(">HH", message, at)
        found[kind] = message[at + 4 : at + 4 + size]
        at += 4 + size + -size % 4
    return found


@dataclass(slots=True)
class Turn:
    """A client of a TURN server with long-term credentials (RFC 8489 section 9.2, RFC 8656)."""

    port: int
    username: str
    credential: str
    socket: socket.socket

    def ask(self, method: int, body: Callable[[bytes], bytes]) -> int:
        """Ask with credentials, as the server's challenge says; return 0, or the error code.

        Args:
            body: Attributes, from the transaction's id.
        """
        bare = self._exchange(method, body)
        challenge = attributes(bare)
        if NONCE not in challenge:
            return self._code(bare)
        named = attribute(USERNAME, self.username.encode())
        named += attribute(REALM, challenge[REALM]) + attribute(NONCE, challenge[NONCE])
        secret = f"{self.username}:{challenge[REALM].decode()}:{self.credential}".encode()
        key = hashlib.md5(secret).digest()  # noqa: S324 (RFC 8489)
        return self._code(self._exchange(method, lambda transaction: body(transaction) + named, key))

    def allocate(self, family: int) -> int:
        wanted = attribute(TRANSPORT, bytes([17, 0, 0, 0])) + attribute(FAMILY, bytes([family, 0, 0, 0]))
        return self.ask(ALLOCATE, lambda _: wanted)

    def permit(self, address: IPv4Address | IPv6Address) -> int:
        """Ask to relay to an address."""

        def peer(transaction: bytes) -> bytes:
            mask = COOKIE.to_bytes(4, "big") + transaction
            hidden = bytes(byte ^ other for byte, other in zip(address.packed, mask, strict=False))
            return attribute(PEER, struct.pack(">BBH", 0, FAMILIES[address.version], 9 ^ 0x2112) + hidden)

        return self.ask(CREATE_PERMISSION, peer)

    def _exchange(self, method: int, attributes_of: Callable[[bytes], bytes], key: bytes | None = None) -> bytes:
        transaction = os.urandom(12)
        body = attributes_of(transaction)
        if key is not None:
            head = struct.pack(">HHI", method, len(body) + 24, COOKIE) + transaction
            body += attribute(INTEGRITY, hmac.digest(key, head + body, "sha1"))
        head = struct.pack(">HHI", method, len(body) + 8, COOKIE) + transaction
        message = head + body + attribute(FINGERPRINT, struct.pack(">I", zlib.crc32(head + body) ^ 0x5354554E))
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:  # the server may not listen yet
            self.socket.sendto(message, ("127.0.0.1", self.port))
            with contextlib.suppress(TimeoutError, ConnectionRefusedError):
                while True:  # what was asked twice may be answered twice, the second time late
                    answer = self.socket.recv(2048)
                    if answer[8:20] == transaction:
                        return answer
        raise AssertionError("the TURN server does not answer")

    @staticmethod
    def _code(message: bytes) -> int:
        error = attributes(message).get(ERROR)
        return 0 if error is None else error[2] % 8 * 100 + error[3]


async def asked(port: int, username: str, credential: str, *, peer: str | None = None) -> tuple[int, int | None]:
    """Return the answer to an allocation, and to relaying to a peer over it if one is named."""

    def ask() -> tuple[int, int | None]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.settimeout(0.5)
            own.bind(("127.0.0.1", 0))
            client = Turn(port, username, credential, own)
            address = ip_address(peer or "203.0.113.9")
            allocated = client.allocate(FAMILIES[address.version])
            return allocated, None if peer is None else client.permit(address)

    return await asyncio.to_thread(ask)


@contextlib.asynccontextmanager
async def turn_server(
    folder: Path, secret: str, *, has_local_peers: bool = False, port: int | None = None
) -> AsyncIterator[int]:
    """Run coturn as the sample says, with a secret and a port of its own on loopback.

    Args:
        has_local_peers: Relay to peers on loopback too, which the sample refuses.
        port: Where it was before; a free one by default.
    """
    port = port or free_port()
    sample = SAMPLE.read_text()
    placeholder = "static-auth-secret=change-this-secret"
    assert placeholder in sample
    own = "\nlistening-ip=127.0.0.1\nrelay-ip=127.0.0.1\nrelay-ip=::1\n"
    own += f"pidfile={folder}/turn.pid\nuserdb={folder}/turn.db\n"
    config = sample.replace(placeholder, f"static-auth-secret={secret}").replace(
        "listening-port=3478", f"listening-port={port}"
    )
    if has_local_peers:
        own += "allow-loopback-peers\n"
        config = re.sub("^denied-peer-ip=127.*$", "", config, flags=re.MULTILINE)
    (folder / "turnserver.conf").write_text(config + own)
    with (folder / "turn.log").open("wb") as log:
        command = ("turnserver", "-c", str(folder / "turnserver.conf"))
        server = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=log, stderr=log)
    try:
        yield port
    finally:
        server.terminate()
        await server.wait()
