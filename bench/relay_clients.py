"""Load for `bench/relay.py`: devices of a Halonyx relay, and the clients of the Node relay it is measured against."""

import os
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, cast

import aiohttp
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from halonyx.core.labels import DEVICE_LOGIN
from halonyx.core.primitives import SigningKey, sha256
from halonyx.core.types import Address, DeviceId, EnvelopeId
from halonyx.wire.frames import NO_EPOCH, RECEIVE_PATH, SEND_PATH, SUBPROTOCOL, Ack, Auth, FrameType, Hello, Submit
from halonyx.wire.http_signature import MANAGEMENT, KeyId, Signer, Target, sign
from halonyx.wire.login import login_body
from halonyx.wire.rest_account import NewDevice, SignUpRequest
from halonyx.wire.rest_directory import REPLACED_USES, Prekey

DEVICE: Final = DeviceId(1)
ENVELOPE: Final = b"\x01" + os.urandom(1023)
HEADERS: Final = {"Sec-WebSocket-Protocol": SUBPROTOCOL}


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An account with one device; its record and prekeys are noise, as every record is to the relay."""

    address: Address
    access_key: bytes = field(repr=False)
    login: SigningKey = field(repr=False)


async def sign_up(session: aiohttp.ClientSession, origin: str) -> Mailbox:
    """Register one account."""
    mailbox = Mailbox(Address(os.urandom(32)), os.urandom(16), SigningKey.generate())
    management = SigningKey.generate()
    prekeys = [Prekey(use=use, id=use, blob=os.urandom(200)) for use in REPLACED_USES]
    request = SignUpRequest(
        address=mailbox.address,
        management_key=management.public.raw,
        access_hash=sha256(mailbox.access_key),
        request_hash=os.urandom(32),
        record=os.urandom(64),
        device=NewDevice(id=DEVICE, login_key=mailbox.login.public.raw, prekeys=prekeys),
        work=None,
    ).to_json()
    target = Target("POST", origin.removeprefix("http://"), "/v1/accounts")
    signer = Signer(KeyId(mailbox.address, MANAGEMENT), management)
    headers = sign(signer, target, request, created=int(time.time()), nonce=os.urandom(16))
    headers["Content-Type"] = "application/json"
    async with session.post(origin + target.path, data=request, headers=headers) as response:
        if not response.ok:
            raise RuntimeError(await response.text())
    return mailbox


class Sender(WSListener):
    """Anonymous connection that keeps `window` envelopes unanswered or undelivered."""

    def __init__(self, mailbox: Mailbox, on_accepted: Callable[["Sender"], None]) -> None:
        super().__init__()
        self._mailbox = mailbox
        self._on_accepted = on_accepted
        self.transport: Any = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Keep the transport."""
        self.transport = transport

    def fire(self) -> None:
        """Send one envelope of 1 KiB."""
        envelope_id = EnvelopeId(os.urandom(16))
        frame = Submit(envelope_id, self._mailbox.address, DEVICE, self._mailbox.access_key, ENVELOPE)
        self.transport.send(WSMsgType.BINARY, frame.encode())

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:  # noqa: ARG002 (picows's signature)
        """Answer one frame."""
        data = frame.get_payload_as_bytes()
        if data[1] != FrameType.ACCEPTED or data[18] != 0:
            raise RuntimeError(f"the relay refused an envelope: {data[:21].hex()}")
        self._on_accepted(self)


class Receiver(WSListener):
    """Logged-in connection that acknowledges every envelope at once."""

    def __init__(self, origin: str, mailbox: Mailbox, on_delivered: Callable[[], None]) -> None:
        super().__init__()
        self._origin, self._mailbox, self._on_delivered = origin, mailbox, on_delivered
        self._epoch = NO_EPOCH
        self.is_welcome = self.is_caught_up = False
        self.transport: Any = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Keep the transport."""
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Answer one frame."""
        data = frame.get_payload_as_bytes()
        match data[1]:
            case FrameType.DELIVER:
                (seq,) = struct.unpack(">Q", data[2:10])
                transport.send(WSMsgType.BINARY, Ack(self._epoch, seq).encode())
                self._on_delivered()
            case FrameType.CHALLENGE:
                body = login_body(data[2:34], self._origin, self._mailbox.address, DEVICE)
                proof = self._mailbox.login.sign(DEVICE_LOGIN, body)
                transport.send(WSMsgType.BINARY, Auth(self._mailbox.address, DEVICE, proof).encode())
                transport.send(WSMsgType.BINARY, Hello(NO_EPOCH, 0).encode())
            case FrameType.WELCOME:
                self._epoch, self.is_welcome = data[2:10], True
            case FrameType.CAUGHT_UP:
                self.is_caught_up = True


class NodeClient(WSListener):
    """Either end of a pair on the Node relay."""

    def __init__(self, on_delivered: Callable[[], None] | None) -> None:
        super().__init__()
        self._on_delivered = on_delivered
        self.transport: Any = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Keep the transport."""
        self.transport = transport

    def fire(self, recipient: int) -> None:
        """Send one message of the same size as a SUBMIT."""
        body = struct.pack(">I", recipient) + os.urandom(16) + ENVELOPE + bytes(47)
        self.transport.send(WSMsgType.BINARY, body)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Answer one frame."""
        data = frame.get_payload_as_bytes()
        if len(data) > 20 and self._on_delivered is not None:
            transport.send(WSMsgType.BINARY, data[4:20])
            self._on_delivered()


async def connect_sender(origin: str, mailbox: Mailbox, on_accepted: Callable[[Sender], None]) -> Sender:
    """Open /v1/send for one mailbox."""
    url = origin.replace("http", "ws") + SEND_PATH
    _, sender = await ws_connect(lambda: Sender(mailbox, on_accepted), url, extra_headers=HEADERS)
    return cast("Sender", sender)


async def connect_receiver(origin: str, mailbox: Mailbox, on_delivered: Callable[[], None]) -> Receiver:
    """Open /v1/receive and log in."""
    url = origin.replace("http", "ws") + RECEIVE_PATH
    _, receiver = await ws_connect(lambda: Receiver(origin, mailbox, on_delivered), url, extra_headers=HEADERS)
    return cast("Receiver", receiver)


async def connect_node(origin: str, number: int, on_delivered: Callable[[], None] | None) -> NodeClient:
    """Open one connection to the Node relay."""
    _, client = await ws_connect(lambda: NodeClient(on_delivered), f"{origin.replace('http', 'ws')}/{number}")
    return cast("NodeClient", client)
