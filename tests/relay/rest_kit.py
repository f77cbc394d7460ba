"""A relay on a free loopback port with real files, and people who make calls to it."""

import asyncio
import io
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from multidict import CIMultiDictProxy

from halonyx.core.primitives import SigningKey, sha256
from halonyx.core.types import Address, Millis
from halonyx.relay.context import RelayContext, wall_clock
from halonyx.relay.limits import Limiter
from halonyx.relay.server import Relay as ServedRelay
from halonyx.relay.settings import RelaySettings, load_settings
from halonyx.wire.http_signature import MANAGEMENT, KeyId, Signer, Target, sign
from halonyx.wire.rest import Body
from halonyx.wire.rest_account import (
    AccessKeyRequest,
    AccountRequest,
    NewDevice,
    ReplaceAccountRequest,
    SignUpRequest,
    Work,
)
from halonyx.wire.rest_directory import (
    USE_ONE_TIME,
    USE_ONE_TIME_KEM,
    BundleRequest,
    LookupRequest,
    Prekey,
    PublishRequest,
)
from relay_process import free_port

# Tests sign up many accounts from one address; the limits have tests of their own.
RATES = (
    "rate_sign_up",
    "rate_sign_up_total",
    "rate_challenge",
    "rate_signed",
    "rate_lookup",
    "rate_bundle",
    "rate_bundle_device",
    "rate_bundle_requests",
    "rate_bundle_client",
    "rate_public",
    "rate_sockets",
    "rate_tracker_sockets",
    "rate_tracker",
    "rate_drop",
)
GENEROUS: dict[str, object] = {**dict.fromkeys(RATES, "100000/minute"), "http_connections_per_client": 1000}


class Clock:
    """The time of day, which a test may put forward."""

    def __init__(self) -> None:
        self.ahead = 0

    def __call__(self) -> Millis:
        return Millis(wall_clock() + self.ahead)


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: CIMultiDictProxy[str]
    json: Any

    @property
    def code(self) -> str:
        return str(self.json["error"]["code"])


@dataclass
class Relay:
    """A running relay and a client session to it."""

    settings: RelaySettings
    session: aiohttp.ClientSession
    context: RelayContext | None = None
    clock: Clock = field(default_factory=Clock)

    @property
    def here(self) -> RelayContext:
        assert self.context is not None
        return self.context

    @property
    def authority(self) -> str:
        return f"127.0.0.1:{self.settings.port}"

    async def call(
        self,
        method: str,
        path: str,
        body: Body | bytes | None = None,
        signer: Signer | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        data = body.to_json() if isinstance(body, Body) else body
        sent = {} if data is None else {"Content-Type": "application/json"}
        if signer is not None:
            target = Target(method, self.authority, path)
            now = self.clock() // 1000
            sent |= sign(signer, target, data or b"", created=now, nonce=os.urandom(16))
        sent |= dict(headers or {})
        url = f"http://{self.authority}{path}"
        large = io.BytesIO(data) if data is not None and len(data) > 1024 * 1024 else data  # as the library wants it
        async with self.session.request(method, url, data=large, headers=sent) as response:
            content = await response.read()
            is_json = response.content_type == "application/json" and content
            return Answer(response.status, content, response.headers, await response.json() if is_json else None)


def prekey(use: int, number: int) -> Prekey:
    return Prekey(use=use, id=number, blob=b"blob" + bytes([use]) + number.to_bytes(4, "big") + os.urandom(40))


def prekeys(one_time: int = 3, first: int = 1) -> list[Prekey]:
    """One of each replaced use and some one-time ones."""
    singles = [prekey(use, first) for use in (1, 2, 3)]
    numbers = range(first, first + one_time)
    return singles + [prekey(use, number) for use in (USE_ONE_TIME, USE_ONE_TIME_KEM) for number in numbers]


@dataclass
class Person:
    """One account as its owner holds it."""

    address: Address = field(default_factory=lambda: Address(os.urandom(32)))
    management: SigningKey = field(default_factory=SigningKey.generate)
    login: SigningKey = field(default_factory=SigningKey.generate)
    access_key: bytes = field(default_factory=lambda: os.urandom(16))
    request_key: bytes = field(default_factory=lambda: os.urandom(16))
    record: bytes = field(default_factory=lambda: os.urandom(400))
    prekeys: list[Prekey] = field(default_factory=prekeys)

    @property
    def manager(self) -> Signer:
        return Signer(KeyId(self.address, MANAGEMENT), self.management)

    def device(self, number: int = 1) -> Signer:
        return Signer(KeyId(self.address, number), self.login)

    def new_device(self, number: int = 1) -> NewDevice:
        return NewDevice(id=number, login_key=self.login.public.raw, prekeys=self.prekeys)

    def sign_up_request(self, work: Work | None = None, device: int = 1) -> SignUpRequest:
        return SignUpRequest(
            address=self.address,
            management_key=self.management.public.raw,
            access_hash=sha256(self.access_key),
            request_hash=sha256(self.request_key),
            record=self.record,
            device=self.new_device(device),
            work=work,
        )

    def replacement(self, record: bytes, devices: list[NewDevice], access_key: bytes) -> ReplaceAccountRequest:
        return ReplaceAccountRequest(
            address=self.address,
            replaces=sha256(self.record).hex(),
            record=record,
            devices=devices,
            access_hash=sha256(access_key),
            request_hash=sha256(self.request_key),
        )

    async def sign_up(self, relay: Relay, work: Work | None = None, device: int = 1) -> Answer:
        return await relay.call("POST", "/v1/accounts", self.sign_up_request(work, device), self.manager)

    async def replace(self, relay: Relay, call: ReplaceAccountRequest) -> Answer:
        return await relay.call("PUT", "/v1/account", call, self.manager)

    async def status(self, relay: Relay) -> Answer:
        return await relay.call("POST", "/v1/account/status", AccountRequest(address=self.address), self.manager)

    async def delete(self, relay: Relay) -> Answer:
        return await relay.call("POST", "/v1/account/delete", AccountRequest(address=self.address), self.manager)

    async def publish(self, relay: Relay, new: list[Prekey], device: int = 1, one_time_from: int = 1) -> Answer:
        call = PublishRequest(address=self.address, device=device, prekeys=new, one_time_from=one_time_from)
        return await relay.call("PUT", "/v1/prekeys", call, self.device(device))

    async def set_access_key(self, relay: Relay, key: bytes) -> Answer:
        call = AccessKeyRequest(address=self.address, access_hash=sha256(key))
        return await relay.call("PUT", "/v1/access-key", call, self.device())

    async def lookup(self, relay: Relay, key: bytes | None = None) -> Answer:
        call = LookupRequest(address=self.address, key=key or self.access_key)
        return await relay.call("POST", "/v1/lookup", call)

    async def bundle(
        self, relay: Relay, fetch_id: bytes | None = None, key: bytes | None = None, device: int = 1
    ) -> Answer:
        fetch = fetch_id or os.urandom(16)
        call = BundleRequest(address=self.address, key=key or self.access_key, device=device, fetch_id=fetch)
        return await relay.call("POST", "/v1/bundle", call)


@asynccontextmanager
async def running_relay(folder: Path, **flags: object) -> AsyncIterator[Relay]:
    """Run a relay in this process, over a real port and real files, with a clock the test holds."""
    settings = load_settings(**{"data": folder / "data", "port": free_port(), **GENEROUS, **flags})
    server = ServedRelay(settings)
    task = asyncio.create_task(server.serve())
    started = asyncio.create_task(server.is_serving.wait())
    await asyncio.wait({task, started}, return_when=asyncio.FIRST_COMPLETED)
    try:
        if not task.done():
            clock = server.context.clock = Clock()
            server.context.limiter = Limiter(settings.tracked_clients, lambda: clock() / 1000)
            async with aiohttp.ClientSession() as session:
                yield Relay(settings, session, server.context, clock)
    finally:
        started.cancel()
        server.stop()
        await task
