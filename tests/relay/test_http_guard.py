"""What bounds a connection before an upgrade: time and size of head, body and answer, and how many there are."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from halonyx.relay.http_guard import GuardedHttp
from relay.sockets_support import FAST, Served, served, until
from relay.wire_support import request, status, wire


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    ("sent", "answer"),
    [(b"GET /v1/send HTTP/1.1\r\nHost: x\r\n", b"HTTP/1.1 400 Bad Request"), (b"", b"")],
    ids=["half", "nothing"],
)
async def test_a_half_request_is_not_waited_for(tmp_path: Path, sent: bytes, answer: bytes) -> None:
    async with served(tmp_path, replace(FAST, head_s=0.1)) as relay, wire(relay) as made:
        made.writer.write(sent)
        assert (await made.ended()).partition(b"\r\n")[0] == answer


async def test_a_head_that_never_ends_is_cut_by_its_size(tmp_path: Path) -> None:
    async with served(tmp_path, replace(FAST, head_s=600)) as relay, wire(relay) as made:
        made.writer.write(b"GET / HTTP/1.1\r\nX-A: ")
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                made.writer.write(b"a" * 4096)
                await made.writer.drain()
        assert b"200" not in (await made.ended())[:20]


async def test_a_body_that_never_comes_is_not_waited_for(tmp_path: Path) -> None:
    async with served(tmp_path, replace(FAST, body_s=0.1)) as relay, wire(relay) as made:
        head = f"POST /v1/lookup HTTP/1.1\r\nHost: 127.0.0.1:{relay.port}\r\nContent-Type: application/json\r\n"
        made.writer.write(f"{head}Content-Length: 100\r\n\r\n".encode())
        assert await made.ended() == b""


async def test_silent_sockets_are_capped(tmp_path: Path) -> None:
    async with served(tmp_path, replace(FAST, unauthenticated_connections=2, head_s=600)) as relay:
        async with wire(relay) as first, wire(relay) as second:
            first.writer.write(b"GET / HT")
            second.writer.write(b"GET / HT")
            await second.writer.drain()
            await asyncio.sleep(0.1)
            async with wire(relay) as third:
                assert await third.ended() == b""
        await asyncio.sleep(0.1)
        assert await status(relay, f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{relay.port}\r\n\r\n".encode()) == 200


async def test_one_client_has_so_many_sockets_before_an_upgrade(tmp_path: Path) -> None:
    async with served(tmp_path, replace(FAST, http_connections_per_client=2)) as relay:
        async with wire(relay) as first, wire(relay):
            async with wire(relay) as third:
                assert await third.ended() == b""
            async with wire(relay, "127.0.0.2") as other:
                other.writer.write(health(relay))
                assert (await other.head()).startswith(b"HTTP/1.1 200 ")
            first.writer.write(request(relay))
            assert (await first.head()).startswith(b"HTTP/1.1 101 ")
            assert await status(relay, health(relay)) == 200
        await until(lambda: not relay.relay.hub._connections)
        async with wire(relay), wire(relay), wire(relay) as third:
            assert await third.ended() == b""


async def test_behind_a_proxy_sockets_are_the_proxys(tmp_path: Path) -> None:
    limits = replace(FAST, http_connections_per_client=1)
    async with served(tmp_path, limits, behind_proxy=True) as relay, wire(relay):
        assert await status(relay, health(relay)) == 200


@pytest.mark.parametrize("path", ["/openapi.json", "/static/docs.js"])
@pytest.mark.parametrize("ending", ["keep-alive", "close"])
async def test_an_answer_nobody_reads_ends_the_connection(tmp_path: Path, path: str, ending: str) -> None:
    async with served(tmp_path, replace(FAST, progress_s=0.3)) as relay:
        server = relay.relay._server
        assert server is not None
        unread = socket.socket()
        unread.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        unread.setblocking(False)
        await asyncio.get_running_loop().sock_connect(unread, ("127.0.0.1", relay.port))
        await until(lambda: server.server_state.connections)
        (connection,) = server.server_state.connections
        assert isinstance(connection, GuardedHttp)
        connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{relay.port}\r\nConnection: {ending}\r\n\r\n"
        await asyncio.get_running_loop().sock_sendall(unread, head.encode())
        await until(lambda: connection.flow.write_paused)
        await until(lambda: not server.server_state.connections)
        unread.close()


def health(relay: Served) -> bytes:
    return f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{relay.port}\r\nConnection: close\r\n\r\n".encode()


async def test_requests_on_a_kept_connection_are_guarded_each(relay: Served) -> None:
    get = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{relay.port}\r\n\r\n".encode()
    async with wire(relay) as made:
        for _ in range(3):
            made.writer.write(get)
            head = await made.head()
            assert head.startswith(b"HTTP/1.1 200 ")
            size = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
            await made.read(int(size.split(b":")[1]))
        made.writer.write(get.replace(b"\r\n\r\n", b"\r\nHost: again\r\n\r\n"))
        assert (await made.head()).startswith(b"HTTP/1.1 400 ")
