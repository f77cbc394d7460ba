"""A thousand half handshakes and a hundred who never read: what it costs the others. Times, so in `make soak` alone.

The half handshakes come from another process and from many addresses, or the bound of one client would stop them.
"""

import asyncio
import contextlib
import os
import socket
import statistics
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from halonyx.core.labels import DEVICE_LOGIN
from halonyx.core.types import DeviceId, EnvelopeId
from halonyx.relay.settings import load_settings
from halonyx.wire.frames import (
    NO_EPOCH,
    RECEIVE_PATH,
    SEND_PATH,
    SUBPROTOCOL,
    Accepted,
    Auth,
    Challenge,
    Hello,
    Status,
    Submit,
    parse_receive_reply,
    parse_send_reply,
)
from halonyx.wire.login import login_body
from relay.rest_kit import Person, Relay
from relay.sockets_support import envelope
from relay_process import RelayProcess, running_relay

HALF_HANDSHAKES = 1000
NON_READERS = 100
WAITING = 32  # envelopes of 32 KiB for each who never reads: a window full
MESSAGES = 2000
WORSE = 3.0
MEMORY = 64 * 1024 * 1024
HEAD = b"GET /v1/send HTTP/1.1\r\nHost: local"


def source(number: int) -> str:
    """Return an address of this machine; ten share one."""
    return f"127.0.1.{1 + number // 10}"


async def half_handshakes(port: int) -> None:
    """Begin requests, wait until the relay gives up, and begin again."""

    async def one(number: int) -> None:
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source(number), 0))
                try:
                    writer.write(HEAD)
                    await reader.read()
                finally:
                    writer.close()
            await asyncio.sleep(1)

    await asyncio.gather(*(one(number) for number in range(HALF_HANDSHAKES)))


@contextlib.asynccontextmanager
async def attacked(port: int) -> AsyncIterator[None]:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    attack = await asyncio.create_subprocess_exec(sys.executable, __file__, str(port), env=environment)
    try:
        await asyncio.sleep(8)  # until the first were given up, and came again
        assert attack.returncode is None
        yield
    finally:
        attack.kill()
        await attack.wait()


def deaf(information: Any) -> socket.socket:  # noqa: ANN401 (the library's tuple)
    """Return a socket that takes little."""
    made = socket.socket(*information[:3])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return made


async def non_reader(session: aiohttp.ClientSession, origin: str, person: Person) -> aiohttp.ClientWebSocketResponse:
    """Log in, and read nothing any more."""
    connection = await session.ws_connect(f"{origin}{RECEIVE_PATH}", protocols=(SUBPROTOCOL,))
    challenge = parse_receive_reply((await connection.receive(10)).data)
    assert isinstance(challenge, Challenge)
    body = login_body(challenge.nonce, origin, person.address, DeviceId(1))
    await connection.send_bytes(Auth(person.address, DeviceId(1), person.login.sign(DEVICE_LOGIN, body)).encode())
    await connection.send_bytes(Hello(NO_EPOCH, 0).encode())
    return connection


async def submit(connection: aiohttp.ClientWebSocketResponse, person: Person, size: int) -> float:
    """Send one message; return how long it took to be accepted."""
    frame = Submit(EnvelopeId(os.urandom(16)), person.address, DeviceId(1), person.access_key, envelope(size))
    began = time.perf_counter()
    await connection.send_bytes(frame.encode())
    answer = parse_send_reply((await connection.receive(30)).data)
    taken = time.perf_counter() - began
    assert isinstance(answer, Accepted)
    assert answer.status is Status.ACCEPTED
    return taken


async def p99(connection: aiohttp.ClientWebSocketResponse, person: Person) -> float:
    """Send one message after the other; return the time within which 99 of 100 were accepted."""
    taken = []
    for _ in range(MESSAGES):
        taken.append(await submit(connection, person, 1024))
        await asyncio.sleep(0.002)
    return statistics.quantiles(taken, n=100)[98]


@pytest.mark.timeout(900)
async def test_slow_clients_cost_others_little(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"HALONYX_HTTP_CONNECTIONS_PER_CLIENT": "200", "HALONYX_CONNECTIONS_PER_CLIENT": "200"}
    with running_relay(tmp_path, **settings) as process:
        calm, hurried, grown = await measured(process)
    assert hurried < WORSE * calm, (calm, hurried)
    assert grown < MEMORY, grown


async def measured(process: RelayProcess) -> tuple[float, float, int]:
    """Return the times of somebody who behaves before and during the attack, and by how much the relay grew."""
    connector = aiohttp.TCPConnector(limit=0, socket_factory=deaf)
    async with aiohttp.ClientSession() as session, aiohttp.ClientSession(connector=connector) as deaf_session:
        relay = Relay(load_settings(port=process.port, data=process.data), session)
        honest, *people = [Person() for _ in range(1 + NON_READERS)]
        for person in (honest, *people):
            assert (await person.sign_up(relay)).status == 201
        sending = f"{process.origin}{SEND_PATH}"
        for person in people:
            async with session.ws_connect(sending, protocols=(SUBPROTOCOL,)) as connection:
                for _ in range(WAITING):
                    await submit(connection, person, 32 * 1024)
        # Who is there stays; newcomers would wait with the attackers for a place.
        async with session.ws_connect(sending, protocols=(SUBPROTOCOL,)) as connection:
            calm = await p99(connection, honest)
            before = psutil.Process(process.pid).memory_info().rss
            deaf_ones = [await non_reader(deaf_session, process.origin, person) for person in people]
            async with attacked(process.port):
                hurried = await p99(connection, honest)
                grown = psutil.Process(process.pid).memory_info().rss - before
            for one in deaf_ones:
                await one.close()
    return calm, hurried, grown


if __name__ == "__main__":
    asyncio.run(half_handshakes(int(sys.argv[1])))
