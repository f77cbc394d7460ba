"""Hostile frames and handshakes by hand-made bytes; also the contract test of the pinned WebSocket library.

The library by itself accepts reserved bits, stray continuations, interleaved fragments, bad UTF-8, version 8 and two
Host headers, and echoes no close frame.
"""

import os
import struct
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from halonyx.core.types import EnvelopeId
from halonyx.wire.frames import RECEIVE_PATH, SEND_PATH, Status, Submit, accepted_frame
from relay.sockets_support import Device, Served, envelope, served
from relay.wire_support import OPCODE_BINARY, OPCODE_PING, OPCODE_PONG, frame, request, status, upgraded, wire

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relay(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """One relay for all probes: none of them may hurt it."""
    async with served(tmp_path_factory.mktemp("probe")) as made:
        yield made


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
