"""Peers as browsers and libtorrent are to a tracker: JSON over a WebSocket, binary values as code points."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from relay.sockets_support import WAIT_S, Served

TOKEN = "ab" * 16
HASH = b"h" * 20
Message = Any  # what JSON holds, or a close code
SDP = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\n"


def text(data: bytes) -> str:
    """Return bytes as the protocol spells them."""
    return data.decode("latin-1")


def offers(count: int, sdp: str = SDP) -> list[dict[str, object]]:
    return [{"offer_id": text(os.urandom(20)), "offer": {"type": "offer", "sdp": sdp}} for _ in range(count)]


@dataclass
class Peer:
    """One peer on a socket of its own."""

    socket: aiohttp.ClientWebSocketResponse
    id: bytes = field(default_factory=lambda: os.urandom(20))

    async def send(self, **fields: object) -> None:
        common = {"action": "announce", "info_hash": text(HASH), "peer_id": text(self.id)}
        await self.socket.send_str(json.dumps(common | fields))

    async def announce(self, count: int = 0, left: int | None = None, **fields: object) -> Message:
        """Announce and return what the tracker says to that, passing over what others offer meanwhile."""
        await self.send(**{"offers": offers(count), "left": left, "numwant": count} | fields)
        answer = await self.next()
        while "offer" in answer or "answer" in answer:
            answer = await self.next()
        return answer

    async def answer(self, offer: Message, **fields: object) -> None:
        """Answer an offer."""
        description = {"type": "answer", "sdp": "v=0 answer"}
        to = {"to_peer_id": offer["peer_id"], "offer_id": offer["offer_id"], "answer": description}
        await self.send(**to | fields)

    async def next(self) -> Message:
        """Return the next message, or the close code."""
        message = await asyncio.wait_for(self.socket.receive(), WAIT_S)
        if message.type is aiohttp.WSMsgType.TEXT:
            return json.loads(message.data)
        assert message.type is not aiohttp.WSMsgType.BINARY
        return self.socket.close_code

    async def is_left_alone(self) -> bool:
        """Tell whether nothing waits: what the tracker sends comes in order, so its next answer is the next message."""
        await self.socket.send_str("{}")
        return bool((await self.next()).get("failure reason") == "malformed")


@contextlib.asynccontextmanager
async def peer(relay: Served, token: str | None = TOKEN, query: str | None = None) -> AsyncIterator[Peer]:
    """Open a tracker socket."""
    path = "/v1/tracker" + (f"?token={token}" if query is None else query)
    socket = await relay.session.ws_connect(relay.origin + path, max_msg_size=0)
    try:
        yield Peer(socket)
    finally:
        await socket.close()
