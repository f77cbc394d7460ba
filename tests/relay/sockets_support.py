"""A relay within the test's event loop, devices known to it, and clients that speak frames."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import aiohttp

from halonyx.core.labels import DEVICE_LOGIN, RELAY_CHALLENGE
from halonyx.core.primitives import SigningKey, sha256
from halonyx.core.types import Address, DeviceId, EnvelopeId
from halonyx.relay.decide import Limits
from halonyx.relay.server import Relay
from halonyx.relay.settings import load_settings
from halonyx.relay.store.intake import Refusals
from halonyx.wire.frames import (
    NO_EPOCH,
    RECEIVE_PATH,
    SEND_PATH,
    SUBPROTOCOL,
    Accepted,
    Ack,
    Auth,
    CaughtUp,
    Challenge,
    Deliver,
    Hello,
    ReceiveReply,
    SendReply,
    Status,
    Submit,
    Welcome,
    parse_receive_reply,
    parse_send_reply,
)
from halonyx.wire.login import challenge_body, login_body
from relay_process import free_port

WAIT_S = 10
FAST = Limits(
    tick_s=0.02,
    linger_s=0.2,
    connections_per_client=200,
    http_connections_per_client=200,
)


@dataclass(frozen=True, slots=True)
class Device:
    """A device the relay knows, or would know."""

    address: Address
    device: DeviceId
    login: SigningKey = field(repr=False)
    access_key: bytes = field(repr=False)
    request_key: bytes = field(repr=False)

    @classmethod
    def fresh(cls) -> Self:
        """Make one with random values."""
        return cls(Address(os.urandom(32)), DeviceId(1), SigningKey.generate(), os.urandom(16), os.urandom(16))


@dataclass(frozen=True, slots=True)
class Served:
    """A relay that answers."""

    relay: Relay
    port: int
    session: aiohttp.ClientSession
    sockets: list[aiohttp.ClientWebSocketResponse] = field(default_factory=list)

    @property
    def origin(self) -> str:
        """The relay's origin."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def data(self) -> Path:
        """Its data folder."""
        return self.relay.settings.data

    async def enrol(self, device: Device | None = None) -> Device:
        """Make an account with one device in the relay's stores."""
        device = device or Device.fresh()
        context = self.relay.context
        await context.mailboxes.create_mailbox(device.address, device.device)
        await context.mailboxes.set_keys(device.address, sha256(device.access_key), sha256(device.request_key))
        management = SigningKey.generate().public
        await context.identity.register(device.address, management, bytes(32), (device.device, device.login.public))
        return device

    async def socket(self, path: str, **headers: str) -> aiohttp.ClientWebSocketResponse:
        """Open a WebSocket."""
        opened = await self.session.ws_connect(
            self.origin + path, protocols=[SUBPROTOCOL], headers=headers, max_msg_size=0
        )
        self.sockets.append(opened)
        return opened

    @contextlib.asynccontextmanager
    async def receiver(self, device: Device, epoch: bytes = NO_EPOCH, cursor: int = 0) -> AsyncIterator["Receiver"]:
        """Log a device in and say HELLO."""
        receiver = Receiver(await self.socket(RECEIVE_PATH), self)
        try:
            await receiver.login(device)
            await receiver.hello(epoch, cursor)
            yield receiver
        finally:
            await receiver.socket.close()

    @contextlib.asynccontextmanager
    async def sender(self) -> AsyncIterator["Sender"]:
        """Open a sending connection."""
        sender = Sender(await self.socket(SEND_PATH))
        try:
            yield sender
        finally:
            await sender.socket.close()

    def rows(self) -> int:
        """Count the envelopes in app.db."""
        count = self.relay.context.mailboxes.database.read(
            lambda connection: connection.execute("select count(*) from envelope").get
        )
        return int(str(count))


async def next_bytes(websocket: aiohttp.ClientWebSocketResponse) -> bytes | int:
    """Return the next binary message, or the close code."""
    message = await asyncio.wait_for(websocket.receive(), WAIT_S)
    if message.type is aiohttp.WSMsgType.BINARY:
        data: bytes = message.data
        return data
    if message.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING}:
        return websocket.close_code or 0
    raise AssertionError(message.type)


@dataclass(slots=True)
class Receiver:
    """A device on /v1/receive."""

    socket: aiohttp.ClientWebSocketResponse
    served: Served
    epoch: bytes = NO_EPOCH
    welcome: Welcome | None = None

    async def next(self) -> ReceiveReply | int:
        """Return the next frame, or the close code."""
        data = await next_bytes(self.socket)
        return data if isinstance(data, int) else parse_receive_reply(data)

    async def login(self, device: Device, *, key: SigningKey | None = None) -> None:
        """Answer the challenge."""
        challenge = await self.next()
        assert isinstance(challenge, Challenge)
        origin = self.served.origin
        body = challenge_body(challenge.nonce, challenge.time, origin)
        self.served.relay.context.secrets.relay_key.public.verify(RELAY_CHALLENGE, body, challenge.signature)
        signature = (key or device.login).sign(
            DEVICE_LOGIN, login_body(challenge.nonce, origin, device.address, device.device)
        )
        await self.socket.send_bytes(Auth(device.address, device.device, signature).encode())

    async def hello(self, epoch: bytes = NO_EPOCH, cursor: int = 0) -> None:
        """Say HELLO and take WELCOME."""
        await self.socket.send_bytes(Hello(epoch, cursor).encode())
        welcome = await self.next()
        assert isinstance(welcome, Welcome), welcome
        self.welcome, self.epoch = welcome, welcome.epoch

    async def deliver(self) -> Deliver:
        """Return the next envelope, passing over CAUGHT_UP."""
        frame = await self.next()
        while isinstance(frame, CaughtUp):
            frame = await self.next()
        assert isinstance(frame, Deliver), frame
        return frame

    async def caught_up(self) -> list[Deliver]:
        """Return what comes before CAUGHT_UP, acknowledging each."""
        envelopes = []
        frame = await self.next()
        while isinstance(frame, Deliver):
            envelopes.append(frame)
            await self.ack(frame.seq)
            frame = await self.next()
        assert isinstance(frame, CaughtUp), frame
        return envelopes

    async def ack(self, upto: int, epoch: bytes | None = None) -> None:
        """Acknowledge."""
        await self.socket.send_bytes(Ack(epoch or self.epoch, upto).encode())


@dataclass(slots=True)
class Sender:
    """Somebody on /v1/send."""

    socket: aiohttp.ClientWebSocketResponse

    async def next(self) -> SendReply | int:
        """Return the next frame, or the close code."""
        data = await next_bytes(self.socket)
        return data if isinstance(data, int) else parse_send_reply(data)

    async def post(
        self, device: Device, envelope: bytes, *, key: bytes | None = None, envelope_id: bytes | None = None
    ) -> EnvelopeId:
        """Submit without waiting."""
        chosen = EnvelopeId(envelope_id or os.urandom(16))
        frame = Submit(chosen, device.address, device.device, key or device.access_key, envelope)
        await self.socket.send_bytes(frame.encode())
        return chosen

    async def submit(
        self, device: Device, envelope: bytes, *, key: bytes | None = None, envelope_id: bytes | None = None
    ) -> Status:
        """Submit, and return the status."""
        chosen = await self.post(device, envelope, key=key, envelope_id=envelope_id)
        answer = await self.next()
        assert isinstance(answer, Accepted), answer
        assert answer.envelope_id == chosen
        return answer.status


@dataclass(frozen=True, slots=True)
class Line:
    """A sending connection, as the store sees it."""

    refusals: Refusals = field(default_factory=Refusals)


def envelope(size: int = 1024, mark: bytes = b"") -> bytes:
    """Make an envelope of random bytes that begins with the version and a mark."""
    return (b"\x01" + mark + os.urandom(size))[:size]


def marked(number: int) -> bytes:
    """Make an envelope that `number_of` knows again."""
    return envelope(mark=number.to_bytes(4, "big"))


def number_of(deliver: Deliver) -> int:
    return int.from_bytes(deliver.envelope[1:5], "big")


@contextlib.asynccontextmanager
async def served(folder: Path, limits: Limits = FAST, **settings: object) -> AsyncIterator[Served]:
    """Run a relay in this event loop."""
    port = free_port()
    quiet = {"reserve_bytes": 0, "log_level": "error", "signup": "open", "rate_sockets": "100000/minute"}
    given: dict[str, object] = quiet | settings
    relay = Relay(load_settings(port=port, data=folder / "data", **given), limits)
    task = asyncio.create_task(relay.serve())
    waiting = asyncio.create_task(relay.is_serving.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        waiting.cancel()
        await task
    try:
        async with aiohttp.ClientSession() as session:
            made = Served(relay, port, session)
            yield made
            for opened in made.sockets:
                await opened.close()
    finally:
        relay.stop()
        await task


async def until(condition: Callable[[], object]) -> None:
    """Wait until a function returns something true."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 (what is waited for has no event of its own)
            await asyncio.sleep(0.005)


def folder_bytes(folder: Path) -> bytes:
    """Return the content of every file in a folder, one after the other."""
    return b"".join(entry.read_bytes() for entry in sorted(folder.rglob("*")) if entry.is_file())
