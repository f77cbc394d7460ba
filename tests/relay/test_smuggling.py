"""No request hides in another: what follows one whose end is in doubt is never carried out.

The hidden request signs an account up, so that it leaves a trace if it is. Every case goes to the relay itself and
through nginx with the sample configuration, whose log tells what it took for requests.
"""

import asyncio
import contextlib
import json
import os
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

from halonyx.wire.http_signature import Target, sign
from relay.rest_kit import Person, Relay, running_relay
from relay.smuggling_kit import CASES
from relay.tls_kit import certificate, nginx
from relay_process import free_port

SILENCE_S = 2.0  # of a server that waits for more of a request
LOG = "    access_log off;"


@dataclass(frozen=True)
class Front:
    """Who is spoken to.

    Attributes:
        seen: What nginx took for a request; None without it.
    """

    port: int
    authority: str
    tls: ssl.SSLContext | None = None
    seen: Path | None = None


@dataclass(frozen=True)
class Attempt:
    """What became of one case."""

    name: str
    person: Person
    answers: int


def hidden(front: Front, person: Person, agent: str) -> bytes:
    """Return a signed sign-up, whole and right."""
    body = person.sign_up_request().to_json()
    target = Target("POST", front.authority, "/v1/accounts")
    headers = sign(person.manager, target, body, created=int(time.time()), nonce=os.urandom(16))
    given = {"Host": front.authority, "User-Agent": agent, "Content-Type": "application/json", **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"POST /v1/accounts HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def connection(front: Front) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    name = None if front.tls is None else "localhost"
    return await asyncio.open_connection("127.0.0.1", front.port, ssl=front.tls, server_hostname=name)


async def answers(front: Front, data: bytes) -> int:
    """Send bytes as they are; return how many requests were answered, however the connection ends."""
    reader, writer = await connection(front)
    received = b""
    try:
        writer.write(data)
        with contextlib.suppress(ConnectionError, TimeoutError, ssl.SSLError):
            while piece := await asyncio.wait_for(reader.read(65536), SILENCE_S):
                received += piece
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError, TimeoutError, ssl.SSLError):
            await writer.wait_closed()
    return received.count(b"HTTP/1.1 ") - received.count(b"HTTP/1.1 100 ")


async def attempted(front: Front) -> list[Attempt]:
    async def attempt(name: str) -> Attempt:
        person = Person()
        lines = f"Host: {front.authority}\r\nUser-Agent: {name}\r\n".encode()
        data = CASES[name](lines, hidden(front, person, f"{name} hidden"))
        return Attempt(name, person, await answers(front, data))

    return await asyncio.gather(*(attempt(name) for name in CASES))


def was_carried_out(relay: Relay, person: Person) -> bool:
    return relay.here.identity.account(person.address) is not None


async def test_the_relay_takes_nothing_hidden(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        front = Front(relay.settings.port, relay.authority)

        for attempt in await attempted(front):
            assert (attempt.name, attempt.answers <= 1) == (attempt.name, True)
            assert (attempt.name, was_carried_out(relay, attempt.person)) == (attempt.name, False)


async def test_the_hidden_request_would_be_carried_out(tmp_path: Path) -> None:
    """Behind a request that ends where everybody sees it: what the other tests look for can be seen."""
    async with running_relay(tmp_path) as relay:
        front, person = Front(relay.settings.port, relay.authority), Person()
        first = f"GET /v1/relay HTTP/1.1\r\nHost: {front.authority}\r\n\r\n".encode()

        assert await answers(front, first + hidden(front, person, "second")) == 2
        assert was_carried_out(relay, person)


async def test_nothing_hidden_passes_nginx(tmp_path: Path) -> None:
    pair, port = certificate(tmp_path), free_port()
    origin, seen = f"https://localhost:{port}", tmp_path / "seen.log"
    # nginx stands between all its clients and the relay's connections, which it uses again.
    async with running_relay(tmp_path, behind_proxy=True, origins=[origin], pow_bits=1, signup="open") as relay:
        with nginx(tmp_path / "nginx", pair, port, relay.settings.port, (LOG, f"    access_log {seen};")):
            trusting = ssl.create_default_context(cafile=str(pair.chain))
            front = Front(port, f"localhost:{port}", trusting, seen)
            attempts = await attempted(front)
            await in_step(front)

        taken = [line.split('"') for line in seen.read_text().splitlines()]
        agents = [parts[5] for parts in taken]
        for attempt in attempts:
            requests = agents.count(attempt.name) + agents.count(f"{attempt.name} hidden")
            assert (attempt.name, attempt.answers <= max(1, requests)) == (attempt.name, True)
            if f"{attempt.name} hidden" not in agents:  # else it was a request of its own, for nginx too
                assert (attempt.name, was_carried_out(relay, attempt.person)) == (attempt.name, False)
        assert sum(f"{name} hidden" in agents for name in CASES) < len(CASES) // 4
        assert agents.count("in step") == 40


async def in_step(front: Front) -> None:
    """See that everybody gets the answer to their own request, on whatever connections the attempts left behind."""

    async def ask(path: str, field: str) -> None:
        reader, writer = await connection(front)
        head = f"GET {path} HTTP/1.1\r\nHost: {front.authority}\r\nUser-Agent: in step\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        async with asyncio.timeout(20):
            answer = await reader.read()
        writer.close()
        assert field in json.loads(answer.partition(b"\r\n\r\n")[2])

    for _ in range(2):
        await asyncio.gather(*(ask(*pair) for pair in [("/v1/relay", "relay_key"), ("/healthz", "status")] * 10))
