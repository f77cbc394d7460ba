"""HTTP and WebSockets to one relay: time limits, one kind of error for "not now", another for "no".

Source: spec/delivery.md, "REST" and "Frames".
"""

import asyncio
import secrets
import time
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self, TypeVar

import aiohttp
from pydantic import ValidationError

from halonyx.core.errors import BadSignature, HalonyxError, RemoteError, TransportError
from halonyx.core.labels import DEVICE_LOGIN, RELAY_CHALLENGE
from halonyx.core.primitives import SigningKey, VerifyKey
from halonyx.core.types import Address, DeviceId
from halonyx.wire import frames
from halonyx.wire.frames import Accepted, Auth, Challenge, CloseCode, Hello, ReceiveReply, Submit, Welcome
from halonyx.wire.http_signature import NONCE_SIZE, Signer, Target, sign
from halonyx.wire.login import challenge_body, login_body
from halonyx.wire.rest import ERRORS, Body, ErrorBody
from halonyx.wire.rest_relay import RelayInfo

CONNECT_SECONDS: Final = 5
CALL_SECONDS: Final = 10
ANSWER_SECONDS: Final = 10
SUBMIT_SECONDS: Final = 20  # all of a batch, which may be a megabyte
CLOSE_SECONDS: Final = 2
MAX_ANSWER_SIZE: Final = 256 * 1024  # eight devices' prekeys and a record take 35 KiB
HEARTBEAT_SECONDS: Final = 25
NOT_AUTHENTICATED: Final = "not-authenticated"
_NOT_NOW: Final = frozenset({"busy", "too-many-requests", "internal"})

Answer = TypeVar("Answer", bound=Body)


class Refused(RemoteError):
    """The relay said no.

    Attributes:
        code: As in spec/delivery.md, "REST errors".
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class DeviceReplaced(Refused):
    """Our relay does not know this device any more."""

    def __init__(self) -> None:
        super().__init__(
            NOT_AUTHENTICATED,
            "the relay no longer accepts this device: the account was recovered elsewhere, or deleted. Nothing is sent"
            " or received here, and what waits is kept. Use the other device, or recover the account in a new folder:"
            " 'halonyx account recover --home FOLDER'",
        )


class Relay:
    """Connections to one relay, used for one purpose: our own account, or one recipient.

    Two recipients never share one: the relay would see that one sender writes to both.

    Args:
        origin: `https://relay.example` or `http://localhost:3000`.
    """

    def __init__(self, origin: str) -> None:
        self.origin = origin
        # Not parsed: an origin that no host can have is a relay that can't be reached, and no fault of ours.
        self._authority = origin.partition("://")[2]
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=CALL_SECONDS, connect=CONNECT_SECONDS)
        self._session = aiohttp.ClientSession(
            timeout=timeout,
            cookie_jar=aiohttp.DummyCookieJar(),  # nothing may tie one call to another
            auto_decompress=False,  # a small answer must not become a large one
            middlewares=(refuse_redirects,),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def info(self) -> RelayInfo:
        """Ask what this relay is.

        Raises:
            TransportError: It can't be reached, or is no Halonyx relay.
        """
        return await self._request("GET", "/v1/relay", b"", {}, RelayInfo)

    async def call(
        self, method: str, path: str, body: Body, answer: type[Answer], signer: Signer | None = None
    ) -> Answer:
        """Make one call.

        Args:
            signer: Management or login key; None calls anonymously.

        Raises:
            Refused: The relay said no.
            TransportError: It can't be reached, or is busy.
        """
        encoded = body.to_json()
        headers = {"Content-Type": "application/json"}
        if signer is not None:
            target = Target(method, self._authority, path)
            nonce = secrets.token_bytes(NONCE_SIZE)
            headers |= sign(signer, target, encoded, created=int(time.time()), nonce=nonce)
        return await self._request(method, path, encoded, headers, answer)

    async def _request(
        self, method: str, path: str, body: bytes, headers: dict[str, str], answer: type[Answer]
    ) -> Answer:
        try:
            async with self._open().request(method, self.origin + path, data=body or None, headers=headers) as response:
                text = await _bounded(response)
                if response.ok:
                    return answer.model_validate_json(text)
                raise refusal(text, response.status)
        except (aiohttp.ClientError, TimeoutError, OSError, UnicodeError):  # the last: a label of more than 63
            raise TransportError(f"can't reach the relay {self.origin}") from None
        except ValidationError:
            raise TransportError(f"{self.origin} does not answer like a Halonyx relay") from None

    async def socket(self, path: str) -> "Socket":
        """Open a WebSocket.

        Raises:
            TransportError: It can't be reached.
        """
        try:
            raw = await self._open().ws_connect(
                self.origin.replace("http", "ws", 1) + path,
                protocols=(frames.SUBPROTOCOL,),
                max_msg_size=frames.MAX_FRAME,
                heartbeat=HEARTBEAT_SECONDS,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_SECONDS),
                compress=0,
            )
        except (aiohttp.ClientError, TimeoutError, OSError, UnicodeError):  # the last: a label of more than 63
            raise TransportError(f"can't reach the relay {self.origin}") from None
        return Socket(raw, self.origin)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise TransportError("the connection is closed")
        return self._session


class Socket:
    """One WebSocket of binary frames."""

    def __init__(self, raw: aiohttp.ClientWebSocketResponse, origin: str) -> None:
        self._raw = raw
        self.origin = origin

    async def send(self, frame: bytes) -> None:
        """Send one frame.

        Raises:
            TransportError: The connection is gone.
        """
        try:
            await self._raw.send_bytes(frame)
        except (aiohttp.ClientError, OSError):
            raise TransportError(f"the connection to {self.origin} was lost") from None

    async def receive(self, seconds: float | None) -> bytes:
        """Wait for one frame.

        Args:
            seconds: None waits as long as the connection lives.

        Raises:
            TransportError: The connection is gone, or nothing came in time.
            Refused: The relay closed it for a reason that trying again does not mend.
        """
        try:
            message = await self._raw.receive(seconds)
        except (TimeoutError, aiohttp.ClientError, OSError):
            raise TransportError(f"the relay {self.origin} does not answer") from None
        if message.type is aiohttp.WSMsgType.BINARY:
            return bytes(message.data)
        match self._raw.close_code:
            case CloseCode.NOT_AUTHENTICATED:
                raise DeviceReplaced
            case CloseCode.REPLACED:
                raise Refused("replaced", "another program receives as this device")
        raise TransportError(f"the connection to {self.origin} was closed")

    async def close(self) -> None:
        """Close it; errors no longer matter."""
        try:
            await self._raw.close()
        except (aiohttp.ClientError, OSError):
            return


async def log_in(
    socket: Socket, relay_key: VerifyKey, login: SigningKey, who: tuple[Address, DeviceId], hello: Hello
) -> Welcome:
    """Prove who we are on /v1/receive and say what we have.

    Args:
        socket: Fresh.
        relay_key: Pinned at sign-up.
        login: The device's login key.
        who: Our address and device.
        hello: Epoch and cursor.

    Raises:
        BadSignature: The relay does not hold the pinned key.
        Refused: It does not know this device.
        TransportError: The connection is gone.
        Malformed, UnsupportedVersion: A frame the specification forbids.
    """
    address, device = who
    challenge = frames.parse_receive_reply(await socket.receive(ANSWER_SECONDS))
    if not isinstance(challenge, Challenge):
        raise BadSignature("the relay did not begin with a challenge")
    signed = challenge_body(challenge.nonce, challenge.time, socket.origin)
    try:
        relay_key.verify(RELAY_CHALLENGE, signed, challenge.signature)
    except BadSignature:
        text = f"{socket.origin} does not hold the key it had at sign-up: it is another relay, or was set up anew"
        raise BadSignature(text) from None
    proof = login.sign(DEVICE_LOGIN, login_body(challenge.nonce, socket.origin, address, device))
    await socket.send(Auth(address, device, proof).encode())
    await socket.send(hello.encode())
    welcome = await receive_reply(socket, ANSWER_SECONDS)
    if not isinstance(welcome, Welcome):
        raise TransportError("the relay did not welcome this device")
    return welcome


async def receive_reply(socket: Socket, seconds: float | None) -> ReceiveReply:
    """Wait for one frame of /v1/receive (raises as `Socket.receive`, and RemoteError for a bad frame)."""
    return frames.parse_receive_reply(await socket.receive(seconds))


async def submit(socket: Socket, batch: list[Submit]) -> list[Accepted]:
    """Send envelopes and wait for the relay's answer to each.

    Raises:
        TransportError: The connection was lost, or it took too long; none of the answers is known.
    """
    answers: dict[bytes, Accepted] = {}
    unanswered = {envelope.envelope_id for envelope in batch}
    try:
        async with asyncio.timeout(SUBMIT_SECONDS):
            for envelope in batch:
                await socket.send(envelope.encode())
            while unanswered:
                reply = frames.parse_send_reply(await socket.receive(None))
                if not isinstance(reply, Accepted):
                    raise TransportError("the relay closed the sending connection")
                if reply.envelope_id not in unanswered:
                    raise TransportError("the relay answered for an envelope that waits for no answer")
                unanswered.remove(reply.envelope_id)
                answers[reply.envelope_id] = reply
    except TimeoutError:
        raise TransportError(f"the relay {socket.origin} does not answer") from None
    except RemoteError as error:
        raise TransportError(f"the relay's answer is not understood: {error.code}") from None
    return [answers[envelope.envelope_id] for envelope in batch]


async def refuse_redirects(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Take no answer that sends us elsewhere: a relay is its origin, and keys go there and nowhere else."""
    response = await handler(request)
    if HTTPStatus.MULTIPLE_CHOICES <= response.status < HTTPStatus.BAD_REQUEST:
        response.close()
        raise aiohttp.ClientError("a redirect")
    return response


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    text = b""
    async for part in response.content.iter_any():
        text += part
        if len(text) > MAX_ANSWER_SIZE:
            raise aiohttp.ClientError("an answer without end")
    return text


def refusal(text: bytes, status: int) -> HalonyxError:
    """Return what an answer other than 2xx means."""
    try:
        error = ErrorBody.model_validate_json(text).error
    except ValidationError:
        return TransportError(f"the relay answered with status {status} and no reason")
    if error.code in _NOT_NOW:
        return TransportError(f"the relay says: {ERRORS[error.code][1]}")
    # Our own words for the code: the relay's would be printed on a terminal.
    return Refused(error.code, ERRORS[error.code][1])
