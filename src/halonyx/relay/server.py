"""One relay: one process, one port, one data folder.

Source: spec/delivery.md, "Connections"; docs/reference/relay.md.
"""

import asyncio
import contextlib
import errno
import functools
import signal
import socket
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any, Final

import uvicorn
import uvloop
from fastapi import FastAPI

from halonyx.core.errors import Misuse
from halonyx.core.types import SECOND, Millis
from halonyx.relay.admin_start import note_start, note_stop
from halonyx.relay.announcing import Board
from halonyx.relay.app import create_app
from halonyx.relay.context import RelayContext
from halonyx.relay.decide import Limits
from halonyx.relay.delivery import Hub
from halonyx.relay.events import Event, configure, log
from halonyx.relay.folder import check_whole, hold
from halonyx.relay.http_guard import Crowd, GuardedHttp
from halonyx.relay.limits import Limiter
from halonyx.relay.metrics import Metrics
from halonyx.relay.secrets import load_or_create
from halonyx.relay.services import VERSION
from halonyx.relay.settings import RelaySettings
from halonyx.relay.sockets import Bridge
from halonyx.relay.store import identity, keys, mailbox
from halonyx.relay.store.database import Database, Schema
from halonyx.relay.store.drops import Bounds, DropStore
from halonyx.relay.store.identity import IdentityStore
from halonyx.relay.store.invites import InviteStore
from halonyx.relay.store.keys import KeyStore
from halonyx.relay.store.mailbox import MailboxStore
from halonyx.relay.store.reserve import Reserve
from halonyx.relay.tls import REVIEW_SECONDS, Certificate
from halonyx.relay.tracker import Tracker
from halonyx.relay.upkeep import every
from halonyx.web.build import Build
from halonyx.web.build import load as load_build

BACKLOG: Final = 1024
DRAIN_S: Final = 30


class Relay:
    """A relay that can be started and stopped within an event loop.

    Args:
        settings: The operator's.
        limits: Bounds of delivery; by default those of the settings.

    Attributes:
        context: Settings, secrets and stores, once started.
        hub: Connections, once started.
        is_serving: Set once the port answers.
    """

    hub_type: type[Hub] = Hub

    def __init__(self, settings: RelaySettings, limits: Limits | None = None) -> None:
        self.settings = settings
        self.limits = limits or Limits.of(settings)
        self.is_serving = asyncio.Event()
        self.context: RelayContext
        self.hub: Hub
        self._server: _Server | None = None
        self._certificate: Certificate | None = None

    async def serve(self) -> None:
        """Serve until `stop`, SIGTERM or SIGINT; then close connections, finish what waits, fold the logs.

        Raises:
            Misuse: The port is taken or may not be used, another relay has the data folder, or the certificate is none.
            StoreError: A database or the secrets file can't be used.
        """
        self._certificate = _certificate(self.settings)
        with hold(self.settings.data), contextlib.closing(_listen(self.settings)) as listener:
            check_whole(self.settings.data)
            async with self._stores():
                build = self._load_build()
                page = {"build": build.hash} if build else {}
                log(Event.STARTED, port=self.settings.port, version=VERSION, mode=self.settings.signup_mode, **page)
                note_start(self.settings, self.context.secrets)
                app = create_app(self.context, build)
                # Entered here and not by uvicorn, which turns a failed start into a traceback and an exit.
                async with app.router.lifespan_context(app):
                    self._server = _Server(self._config(app), self.is_serving)
                    await self._server.serve(sockets=[listener])
            note_stop(self.settings)
        log(Event.STOPPED)

    def stop(self) -> None:
        """Begin to stop."""
        if self._server is not None:
            self._server.should_exit = True

    @contextlib.asynccontextmanager
    async def _stores(self) -> AsyncIterator[None]:
        """Open the three databases and make the hub; close both whatever happens."""
        settings = self.settings
        with contextlib.ExitStack() as opened:
            reserve = Reserve(settings.data / "reserve", settings.reserve_bytes)

            def database(name: str, schema: Schema) -> Database:
                found = Database(
                    settings.data / name, schema, checkpoint_interval_s=settings.checkpoint_seconds, reserve=reserve
                )
                opened.callback(found.close)
                return found

            self.context = self._make_context(database)
            if settings.contact_required:
                await self.context.identity.ask_for_details()
            self.hub = self._make_hub(self.context)
            for numbers in (self.hub, self.context.drops):
                self.context.metrics.registry.register(numbers)
            self.hub.start()

            async def restore() -> None:
                reserve.restore()

            self.hub.keep(asyncio.create_task(every(settings.checkpoint_seconds, restore)))
            if self._certificate is not None:
                self.hub.keep(asyncio.create_task(every(REVIEW_SECONDS, self._certificate.refresh)))
            try:
                yield
            finally:
                await self.hub.stop()

    def _make_context(self, database: Callable[[str, Schema], Database]) -> RelayContext:
        settings = self.settings
        secrets = load_or_create(settings.secrets_path, settings.data)
        mailboxes = MailboxStore(database("app.db", mailbox.SCHEMA), secrets.app_pepper, self.limits)
        drops = DropStore(mailboxes.database, mailboxes.names, settings.data / "drop", _drop_bounds(settings))
        mailboxes.on_files_gone = drops.unlink
        accounts = database("identity.db", identity.SCHEMA)
        return RelayContext(
            settings=settings,
            secrets=secrets,
            identity=IdentityStore(accounts, secrets.identity_pepper),
            invites=InviteStore(accounts, secrets.identity_pepper),
            keys=KeyStore(
                database("keys.db", keys.SCHEMA),
                secrets.keys_pepper,
                one_time_cap=settings.one_time_prekeys,
                cache=Millis(settings.bundle_cache_seconds * SECOND),
            ),
            mailboxes=mailboxes,
            drops=drops,
            limiter=Limiter(settings.tracked_clients),
            metrics=Metrics(),
        )

    def _make_hub(self, context: RelayContext) -> Hub:
        settings = self.settings
        return self.hub_type(
            context.mailboxes,
            login_key=context.identity.login_key,
            prekeys_left=context.keys.counts,
            relay_key=context.secrets.relay_key,
            origins=settings.public_origins,
            limits=self.limits,
            limiter=context.limiter,
            rate_sockets=settings.rate_sockets,
            behind_proxy=settings.behind_proxy,
            tracker=Tracker(settings, context.limiter) if settings.files else None,
            board=Board(settings.data, context.secrets.operator_key.public),
        )

    def _load_build(self) -> Build | None:
        return load_build()

    def _config(self, app: FastAPI) -> uvicorn.Config:
        crowd = Crowd(self.limits, behind_proxy=self.settings.behind_proxy)
        protocols: dict[str, Any] = {  # uvicorn calls them like classes, which is all it asks of one
            "http": functools.partial(GuardedHttp, crowd),
            "ws": functools.partial(Bridge, self.hub),
        }
        certificate = self._certificate
        return uvicorn.Config(
            app,
            **protocols,
            ssl_context_factory=None if certificate is None else lambda *_: certificate.context,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            backlog=BACKLOG,
            timeout_graceful_shutdown=DRAIN_S,
        )


class _Server(uvicorn.Server):
    """uvicorn, with an exit status of 0 after a signal: it would raise the signal again."""

    def __init__(self, config: uvicorn.Config, is_serving: asyncio.Event) -> None:
        super().__init__(config)
        self._is_serving = is_serving

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say when the port answers."""
        await super().startup(sockets)
        self._is_serving.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Say so in the log."""
        log(Event.STOPPING)
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Stop at the first signal; a second SIGINT does not wait for clients."""
        numbers = (signal.SIGTERM, signal.SIGINT)
        former = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)


def _certificate(settings: RelaySettings) -> Certificate | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return Certificate(settings.tls_cert, settings.tls_key)


def _drop_bounds(settings: RelaySettings) -> Bounds:
    # Files never take the room that mail and deletions need.
    spare = settings.min_free_bytes + settings.reserve_bytes
    return Bounds(quota=settings.drop_quota, total=settings.drop_total, days=settings.drop_days, spare=spare)


def _listen(settings: RelaySettings) -> socket.socket:
    listener: socket.socket | None = None
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        if listener is not None:
            listener.close()
        where = f"{settings.host}:{settings.port}"
        if error.errno == errno.EADDRINUSE:
            raise Misuse(f"port {settings.port} is in use: stop what uses it, or choose another with --port") from None
        raise Misuse(f"can't listen on {where}: {error.strerror}") from None
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def run(settings: RelaySettings, on_serving: Callable[[], None] = lambda: None) -> None:
    """Serve until SIGTERM or SIGINT. Blocks.

    Args:
        settings: The operator's.
        on_serving: Called once the port answers.

    Raises:
        Misuse: The port is taken or may not be used, or another relay has the data folder.
        StoreError: A database or the secrets file can't be used.
    """
    configure(settings.log_level)

    async def main() -> None:
        relay = Relay(settings)

        async def announce() -> None:
            await relay.is_serving.wait()
            on_serving()

        announcing = asyncio.create_task(announce())
        try:
            await relay.serve()
        finally:
            announcing.cancel()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
