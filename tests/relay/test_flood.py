"""A sender that writes for ever and reads nothing, from outside the relay's process."""

import asyncio
import base64
import os
import socket
import threading
from pathlib import Path
from typing import Final

import aiohttp
import psutil

from halonyx.core.types import DeviceId, EnvelopeId
from halonyx.relay.settings import load_settings
from halonyx.wire.frames import SEND_PATH, SUBPROTOCOL, Submit, parse_send_reply
from relay.rest_kit import Person, Relay
from relay.sockets_support import envelope
from relay_process import RelayProcess, running_relay

ENOUGH: Final = 128 * 1024 * 1024  # bytes; if the kernel may, it holds the unread answers to 150 MiB of them
SMALL_BUFFER: Final = 4096
STUCK_SECONDS: Final = 3.0


def frame_of(submit: Submit) -> bytes:
    """Return a SUBMIT as a masked WebSocket frame; a mask of zeros changes nothing (RFC 6455 section 5.3)."""
    body = submit.encode()
    return b"\x82\xfe" + len(body).to_bytes(2, "big") + bytes(4) + body


def flood(relay: RelayProcess, frame: bytes) -> int:
    """Send frames without reading until the relay takes no more; return the bytes it took."""
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        raw.connect(("127.0.0.1", relay.port))
        key = base64.b64encode(os.urandom(16)).decode()
        lines = (
            f"GET {SEND_PATH} HTTP/1.1",
            f"Host: localhost:{relay.port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Protocol: {SUBPROTOCOL}",
        )
        raw.sendall("\r\n".join((*lines, "", "")).encode("ascii"))
        assert raw.recv(12) == b"HTTP/1.1 101"
        raw.settimeout(STUCK_SECONDS)
        burst, taken = frame * 64, 0
        try:
            while taken < ENOUGH:
                taken += raw.send(burst)
        except TimeoutError:
            return taken
    return taken


async def test_a_sender_that_never_reads_is_held_and_costs_nobody_anything(tmp_path: Path) -> None:
    alice = Person()
    with running_relay(tmp_path / "relay") as process:
        async with aiohttp.ClientSession() as session:
            await alice.sign_up(Relay(load_settings(port=process.port, data=process.data), session))
            submit = Submit(EnvelopeId(os.urandom(16)), alice.address, DeviceId(1), alice.access_key, envelope())
            memory = psutil.Process(process.pid).memory_info
            before, took = memory().rss, []
            flooding = threading.Thread(target=lambda: took.append(flood(process, frame_of(submit))))
            flooding.start()
            async with session.ws_connect(f"{process.origin}{SEND_PATH}", protocols=(SUBPROTOCOL,)) as other:
                for _ in range(20):
                    await other.send_bytes(submit.encode())
                    parse_send_reply((await other.receive(10)).data)
            await asyncio.to_thread(flooding.join)

            assert took[0] < ENOUGH
            assert memory().rss - before < 16 * 1024 * 1024
