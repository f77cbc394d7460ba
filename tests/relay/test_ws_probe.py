"""Hostile frames and handshakes by hand-made bytes; also the contract test of the pinned WebSocket library.

The library by itself accepts reserved bits, stray continuations, interleaved fragments, bad UTF-8, version 8 and two
Host headers, and echoes no close frame.
"""

import asyncio
import base64
import contextlib
import os
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from halonyx.core.types import EnvelopeId
from halonyx.relay.http_guard import GuardedHttp
from halonyx.wire.frames import RECEIVE_PATH, SEND_PATH, Status, Submit, accepted_frame
from relay.sockets_support import FAST, Device, Served, envelope, served, until

WAIT_S = 10
OPCODE_CLOSE, OPCODE_BINARY, OPCODE_PING, OPCODE_PONG = 8, 2, 9, 10


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relay(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """One relay for all probes: none of them may hurt it."""
    async with served(tmp_path_factory.mktemp("probe")) as made:
        yield made


class Wire:
    """A bare TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def read(self, size: int) -> bytes:
        return await asyncio.wait_for(self.reader.readexactly(size), WAIT_S)

    async def head(self) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), WAIT_S)

    async def frame(self) -> tuple[int, bytes]:
        """Return opcode and payload of the next frame; all of the relay's are whole and unmasked."""
        first, size = await self.read(2)
        assert first & 0xF0 == 0x80
        if size == 126:
            (size,) = struct.unpack(">H", await self.read(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", await self.read(8))
        return first & 15, await self.read(size)

    async def close_code(self) -> int:
        """Return the code of the relay's close frame, and see that the connection ends behind it."""
        opcode, payload = await self.frame()
        while opcode != OPCODE_CLOSE:
            opcode, payload = await self.frame()
        (code,) = struct.unpack(">H", payload[:2])
        with contextlib.suppress(ConnectionError):
            self.writer.write(frame(OPCODE_CLOSE, payload[:2]))
            assert await self.ended() == b""
        return int(code)

    async def ended(self) -> bytes:
        """Return what is left until the connection ends, however it ends."""
        try:
            return await asyncio.wait_for(self.reader.read(), WAIT_S)
        except ConnectionError:
            return b""


@contextlib.asynccontextmanager
async def wire(relay: Served, source: str = "127.0.0.1") -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port, local_addr=(source, 0))
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def upgraded(relay: Served, path: str = SEND_PATH) -> AsyncIterator[Wire]:
    async with wire(relay) as made:
        made.writer.write(request(relay, path))
        assert (await made.head()).startswith(b"HTTP/1.1 101 ")
        yield made


def request(
    relay: Served, path: str = SEND_PATH, changes: Mapping[str, str | None] | None = None, *, method: str = "GET"
) -> bytes:
    """Make an upgrade request; `changes` replace headers (underscores for dashes) or, with None, leave them out."""
    headers: dict[str, str | None] = {
        "Host": f"127.0.0.1:{relay.port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": "halonyx.1",
    }
    headers |= {name.replace("_", "-"): value for name, value in (changes or {}).items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value is not None)
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")


def frame(
    opcode: int, body: bytes = b"", *, fin: bool = True, mask: bool = True, rsv: int = 0, length: int | None = None
) -> bytes:
    size = len(body) if length is None else length
    head = bytes([fin << 7 | rsv << 4 | opcode])
    bit = 0x80 if mask else 0
    if size < 126:
        head += bytes([bit | size])
    elif size < 65536:
        head += bytes([bit | 126]) + struct.pack(">H", size)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", size)
    if not mask:
        return head + body
    key = os.urandom(4)
    return head + key + bytes(byte ^ key[at % 4] for at, byte in enumerate(body))


def submit(device: Device, body: bytes | None = None) -> bytes:
    key = device.access_key
    return Submit(EnvelopeId(bytes(16)), device.address, device.device, key, body or envelope()).encode()


# Frames


async def test_a_plain_binary_frame_is_answered(relay: Served) -> None:
    alice = await relay.enrol()
    async with upgraded(relay) as made:
        made.writer.write(frame(OPCODE_BINARY, submit(alice)))
        assert await made.frame() == (OPCODE_BINARY, accepted_frame(bytes(16), Status.ACCEPTED, 0))


async def test_a_frame_may_arrive_byte_by_byte(relay: Served) -> None:
    alice = await relay.enrol()
    async with upgraded(relay) as made:
        for byte in frame(OPCODE_BINARY, submit(alice)):
            made.writer.write(bytes([byte]))
            await made.writer.drain()
        assert (await made.frame())[0] == OPCODE_BINARY


async def test_a_ping_is_answered(relay: Served) -> None:
    async with upgraded(relay) as made:
        made.writer.write(frame(OPCODE_PING, b"x"))
        assert await made.frame() == (OPCODE_PONG, b"x")


@pytest.mark.parametrize("path", [SEND_PATH, RECEIVE_PATH])
@pytest.mark.parametrize(
    ("frames", "code"),
    [
        pytest.param([frame(2, b"hello", mask=False)], 1002, id="unmasked frame"),
        pytest.param([frame(2, b"hello", rsv=4)], 1002, id="reserved bit 1"),
        pytest.param([frame(2, b"hello", rsv=2)], 1002, id="reserved bit 2"),
        pytest.param([frame(2, b"hello", rsv=1)], 1002, id="reserved bit 3"),
        pytest.param([frame(9, b"", rsv=1)], 1002, id="reserved bit on a ping"),
        pytest.param([frame(3, b"hello")], 1002, id="reserved opcode 3"),
        pytest.param([frame(11)], 1002, id="reserved opcode 11"),
        pytest.param([frame(9, b"x" * 126)], 1002, id="control frame of 126 bytes"),
        pytest.param([frame(9, b"x", fin=False)], 1002, id="fragmented ping"),
        pytest.param([frame(0, b"x")], 1002, id="continuation without start"),
        pytest.param([frame(2, b"a", fin=False), frame(0, b"b")], 1002, id="fragmented binary"),
        pytest.param([frame(2, b"a", fin=False), frame(2, b"b")], 1002, id="message inside a fragmented one"),
        pytest.param([frame(1, b"hello")], 1003, id="text"),
        pytest.param([frame(1, b"\xff\xfe")], 1003, id="text that is not UTF-8"),
        pytest.param([frame(8, struct.pack(">H", 1005))], 1002, id="close code 1005"),
        pytest.param([frame(8, b"x")], 1002, id="close of one byte"),
        pytest.param([frame(8, struct.pack(">H", 1000))], 1000, id="close 1000"),
        pytest.param([frame(8)], 1000, id="close without a code"),
        pytest.param([frame(2, length=2**62)], 1009, id="header says 2**62 bytes"),
        pytest.param([frame(2, length=2**63)], 1002, id="header says 2**63 bytes"),
        pytest.param([frame(2, length=64 << 20)], 1009, id="header says 64 MiB"),
        pytest.param([frame(2, length=66 * 1024 + 1)], 1009, id="one byte over 66 KiB"),
        pytest.param([frame(9, b"x") * 10_000], 1008, id="10,000 pings unread"),
    ],
)
async def test_a_hostile_frame_closes(relay: Served, path: str, frames: list[bytes], code: int) -> None:
    async with upgraded(relay, path) as made:
        for data in frames:
            made.writer.write(data)
        assert await made.close_code() == code


async def test_a_length_not_in_its_shortest_form_closes(relay: Served) -> None:
    for head in (b"\x82\xfe\x00\x05", b"\x82\xff" + bytes(7) + b"\x05"):
        async with upgraded(relay) as made:
            made.writer.write(head + bytes(4) + b"hello")
            assert await made.close_code() == 1002


async def test_what_follows_a_bad_frame_is_not_taken(relay: Served) -> None:
    alice = await relay.enrol()
    good = frame(OPCODE_BINARY, submit(alice))
    before = relay.rows(), relay.relay.hub.counts.submitted
    for bad in (
        frame(1, b"text"),
        frame(OPCODE_BINARY, submit(alice), rsv=4),
        frame(OPCODE_BINARY, submit(alice), fin=False),
        frame(8),
        frame(2, b"\x01\xff"),
    ):
        async with upgraded(relay) as made:
            made.writer.write(bad + good)
            await made.close_code()
    assert (relay.rows(), relay.relay.hub.counts.submitted) == before


async def test_ten_pings_a_second_are_fine(relay: Served) -> None:
    alice = await relay.enrol()
    async with upgraded(relay) as made:
        made.writer.write(frame(OPCODE_PING, b"x") * 10)
        for _ in range(10):
            assert await made.frame() == (OPCODE_PONG, b"x")
        made.writer.write(frame(OPCODE_BINARY, submit(alice)))
        assert (await made.frame())[0] == OPCODE_BINARY


# Handshakes


async def status(relay: Served, data: bytes) -> int:
    async with wire(relay) as made:
        made.writer.write(data)
        return int((await made.head()).split(b" ")[1])


@pytest.mark.parametrize("path", [SEND_PATH, RECEIVE_PATH])
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, 101, id="as it should be"),
        pytest.param({"Connection": "keep-alive, Upgrade"}, 101, id="connection as Firefox sends it"),
        pytest.param({"Sec_WebSocket_Protocol": "chat, halonyx.1"}, 101, id="one of several subprotocols"),
        pytest.param({"Sec_WebSocket_Extensions": "permessage-deflate"}, 101, id="compression is not taken up"),
        pytest.param({"Sec_WebSocket_Version": "8"}, 426, id="version 8"),
        pytest.param({"Sec_WebSocket_Version": "13, 8"}, 426, id="two versions"),
        pytest.param({"Sec_WebSocket_Version": None}, 426, id="no version"),
        pytest.param({"Sec_WebSocket_Key": "AAAA"}, 400, id="short key"),
        pytest.param({"Sec_WebSocket_Key": "\xff" * 24}, 400, id="key of other characters"),
        pytest.param({"Sec_WebSocket_Key": None}, 400, id="no key"),
        pytest.param({"Sec_WebSocket_Protocol": None}, 400, id="no subprotocol"),
        pytest.param({"Sec_WebSocket_Protocol": "halonyx.2"}, 400, id="another subprotocol"),
        pytest.param({"Host": None}, 400, id="no Host header"),
        pytest.param({"Host": "evil.example"}, 421, id="another host"),
        pytest.param({"Host": "127.0.0.1"}, 421, id="host without the port"),
        pytest.param({"Content_Length": "5"}, 400, id="a body"),
        pytest.param({"Content_Length": "5", "Transfer_Encoding": "chunked"}, 400, id="two lengths"),
        pytest.param({"X_A": "a" * 65_536}, 400, id="64 KiB header"),
    ],
)
async def test_a_handshake_is_taken_or_refused(
    relay: Served, path: str, changes: dict[str, str | None], expected: int
) -> None:
    assert await status(relay, request(relay, path, changes)) == expected


async def test_the_answer_names_the_subprotocol_and_no_extension(relay: Served) -> None:
    async with wire(relay) as made:
        made.writer.write(request(relay, changes={"Sec_WebSocket_Extensions": "permessage-deflate"}))
        head = (await made.head()).lower()
    assert b"sec-websocket-protocol: halonyx.1\r\n" in head
    assert b"sec-websocket-extensions" not in head


@pytest.mark.parametrize(
    ("path", "origin", "expected"),
    [
        (RECEIVE_PATH, "https://evil.example", 403),
        (RECEIVE_PATH, "null", 403),
        (SEND_PATH, "https://evil.example", 101),
        (SEND_PATH, "null", 101),
    ],
)
async def test_a_foreign_page_may_send_but_not_receive(relay: Served, path: str, origin: str, expected: int) -> None:
    assert await status(relay, request(relay, path, {"Origin": origin})) == expected


async def test_our_own_pages_may_do_both(relay: Served) -> None:
    for path in (RECEIVE_PATH, SEND_PATH):
        assert await status(relay, request(relay, path, {"Origin": f"http://localhost:{relay.port}"})) == 101


@pytest.mark.parametrize("extra", ["Host: evil.example\r\n", "Origin: null\r\nOrigin: null\r\n"])
async def test_a_header_may_not_come_twice(relay: Served, extra: str) -> None:
    doubled = request(relay).removesuffix(b"\r\n") + extra.encode() + b"\r\n"
    assert await status(relay, doubled) in {400, 403}


async def test_post_and_other_paths_are_refused(relay: Served) -> None:
    assert await status(relay, request(relay, changes={"Content_Length": "0"}, method="POST")) in {400, 404, 405}
    assert await status(relay, request(relay, "/v1/other")) == 404
    assert await status(relay, request(relay, SEND_PATH + "?token=1")) == 404
    assert await status(relay, request(relay, "/")) == 404


async def test_bytes_that_are_not_http_are_refused(relay: Served) -> None:
    assert await status(relay, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(64)) == 400


async def test_a_second_host_is_refused_on_plain_http_too(relay: Served) -> None:
    head = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{relay.port}\r\n"
    assert await status(relay, f"{head}\r\n".encode()) == 200
    assert await status(relay, f"{head}Host: evil.example\r\n\r\n".encode()) == 400


@pytest.mark.parametrize("sent", [b"", b"GET /v1/send HTTP/1.1\r\nHost: x\r\n"])
async def test_a_half_request_is_not_waited_for(tmp_path: Path, sent: bytes) -> None:
    async with served(tmp_path, replace(FAST, head_s=0.1)) as relay, wire(relay) as made:
        made.writer.write(sent)
        assert (await made.ended()).startswith(b"HTTP/1.1 400 ")


async def test_a_head_that_never_ends_is_cut_by_its_size(relay: Served) -> None:
    async with wire(relay) as made:
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
    async with served(tmp_path, replace(FAST, unauthenticated_connections=2)) as relay:
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


@pytest.mark.parametrize("ending", ["keep-alive", "close"])
async def test_an_answer_nobody_reads_ends_the_connection(tmp_path: Path, ending: str) -> None:
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
        head = f"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1:{relay.port}\r\nConnection: {ending}\r\n\r\n"
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
