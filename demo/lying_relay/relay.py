"""The real relay, with a lie in three places: what it serves, what it does with envelopes, and its page."""

import asyncio
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Final, cast

import uvloop

from halonyx.core.types import SECOND, Address, DeviceId, Millis
from halonyx.relay.context import RelayContext
from halonyx.relay.decide import KeyKind
from halonyx.relay.delivery import Hub
from halonyx.relay.events import configure
from halonyx.relay.sending import Sending
from halonyx.relay.server import Relay
from halonyx.relay.settings import RelaySettings
from halonyx.relay.store.database import Database, Schema
from halonyx.relay.store.intake import Submission
from halonyx.relay.store.keys import KeyStore
from halonyx.relay.store.mailbox import MailboxStore
from halonyx.web.build import Build
from halonyx.wire.frames import Status
from halonyx.wire.rest_directory import Bundle, Prekey
from lying_relay.lie import Lie

_asked_with: Final[ContextVar[KeyKind | None]] = ContextVar("asked_with", default=None)


class LyingKeys(KeyStore):
    """Hands out what the lie says."""

    lie: Lie

    def record(self, address: Address, record_hash: bytes) -> bytes | None:
        """Return a record, or what is served in its place."""
        sealed = super().record(address, record_hash)
        return self.lie.record(address, sealed, _asked_with.get()) if sealed and self.lie.is_told else sealed

    async def stage(
        self, address: Address, record: bytes, devices: Sequence[tuple[DeviceId, Sequence[Prekey]]]
    ) -> None:
        """Store a record."""
        self.lie.publish(address, record)
        await super().stage(address, record, devices)

    def fetched(self, address: Address, device: DeviceId, fetch_id: bytes, now: Millis) -> Bundle | None:
        """Say that no fetch came before: `pop_bundle` finds out, and what it returns is lied about."""
        return None if self.lie.is_told else super().fetched(address, device, fetch_id, now)

    async def pop_bundle(
        self, address: Address, device: DeviceId, fetch_id: bytes, now: Millis, *, with_one_time: bool = True
    ) -> Bundle | None:
        """Take one of each prekey, and return what is handed out in their place."""
        bundle = await super().pop_bundle(address, device, fetch_id, now, with_one_time=with_one_time)
        return await self.lie.bundle(address, device, bundle) if bundle and self.lie.is_told else bundle


class LyingMailboxes(MailboxStore):
    """Remembers for the rest of a call which key was shown."""

    def check_key(self, address: Address, key: bytes) -> KeyKind | None:
        """Tell which key of the account this is."""
        kind = super().check_key(address, key)
        _asked_with.set(kind)
        return kind


class LyingHub(Hub):
    """Does with envelopes what the lie says."""

    lie: Lie

    def submit(self, submission: Submission) -> None:
        """Take an envelope from a sender."""
        if self.lie.is_told:
            self.lie.submit(self, submission)
        else:
            self.lie.watch(submission)
            self.store(submission)

    def store(self, submission: Submission) -> None:
        """Store an envelope, and answer its sender when it is on disk."""
        super().submit(submission)

    def pretend(self, submission: Submission) -> None:
        """Tell the sender that the envelope is on disk."""
        submission.status = Status.ACCEPTED
        cast(Sending, submission.sender).settled(submission)


class LyingRelay(Relay):
    """A relay with one lie."""

    hub_type = LyingHub

    def __init__(self, settings: RelaySettings, lie: Lie) -> None:
        super().__init__(settings)
        self._lie = lie

    def _make_context(self, database: Callable[[str, Schema], Database]) -> RelayContext:
        context, settings = super()._make_context(database), self.settings
        keys = LyingKeys(
            context.keys.database,
            context.secrets.keys_pepper,
            one_time_cap=settings.one_time_prekeys,
            cache=Millis(settings.bundle_cache_seconds * SECOND),
        )
        keys.lie, context.keys = self._lie, keys
        mailboxes = LyingMailboxes(context.mailboxes.database, context.secrets.app_pepper, self.limits)
        mailboxes.on_files_gone = context.drops.unlink
        context.mailboxes = mailboxes
        self._lie.begin(context)
        return context

    def _make_hub(self, context: RelayContext) -> Hub:
        hub = super()._make_hub(context)
        if isinstance(hub, LyingHub):
            hub.lie = self._lie
        return hub

    def _load_build(self) -> Build | None:
        return self._lie.page(super()._load_build())


def run(settings: RelaySettings, lie: Lie) -> None:
    """Serve until SIGTERM or SIGINT. Blocks.

    Raises:
        Misuse, StoreError: As the real relay.
    """
    configure(settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(LyingRelay(settings, lie).serve())
