"""A bare TCP connection to a relay, and hand-made requests and frames for it."""

import asyncio
import base64
import contextlib
import os
import struct
from collections.abc import AsyncIterator, Mapping

from halonyx.wire.frames import SEND_PATH
from relay.sockets_support import Served

WAIT_S = 10
OPCODE_CLOSE, OPCODE_BINARY, OPCODE_PING, OPCODE_PONG = 8, 2, 9, 10


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


async def status(relay: Served, data: bytes) -> int:
    async with wire(relay) as made:
        made.writer.write(data)
        return int((await made.head()).split(b" ")[1])
