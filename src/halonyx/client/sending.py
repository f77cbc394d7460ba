"""Carrying the outbox to the relays: prekeys and sessions where they are missing, then envelope after envelope.

Source: spec/delivery.md, "Outbox"; spec/ratchet.md, "Repair".
"""

import asyncio
import math
import secrets
import time
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from halonyx.client import directory, outbox, prekeys, repair
from halonyx.client.account import Account, load_account, now_ms
from halonyx.client.locks import OUTBOX_LOCK, try_lock
from halonyx.client.people import ContactRow, contact_by_id, device_row, save_sessions
from halonyx.client.store import Store
from halonyx.client.transport import Refused, Relay, Socket, submit
from halonyx.core import handshake, session
from halonyx.core.errors import HalonyxError, RemoteError, TransportError
from halonyx.core.handshake import Peer
from halonyx.core.origin import reaches_this_machine
from halonyx.core.prekeys import Prekey, PrekeyBundle
from halonyx.core.primitives import KeyPair
from halonyx.core.types import DeviceId
from halonyx.wire.frames import SEND_PATH, Accepted, Status, Submit
from halonyx.wire.rest import FETCH_ID_SIZE, MAX_PREKEYS_IN_CALL, AccessKeyRequest, Done, PrekeyCounts, PublishRequest

BATCH: Final = 32
IDLE_SECONDS: Final = 45  # the relay closes a sending connection after 60
OWN_RELAY: Final = 0  # key of `_retries` that is no contact
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 30.0
MAINTAIN_SECONDS: Final = 3600.0
MAX_ROUNDS: Final = 3
CONTACTS_AT_ONCE: Final = 8

_REASONS: Final = {
    Status.MAILBOX_FULL: "mailbox-full",
    Status.BUSY: "busy",
    Status.REQUESTS_FULL: "requests-full",
    Status.MALFORMED: "malformed",
    Status.BAD_ACCESS_KEY: "bad-access-key",
}


@dataclass(slots=True)
class _Line:
    """Our anonymous connection to one contact's relay; changes as the network does."""

    relay: Relay
    socket: Socket | None
    used: float


@dataclass(frozen=True, slots=True)
class _Retry:
    at: float
    pause: float


class Sender:
    """Sends what waits; keeps one connection for each contact written to lately."""

    def __init__(self, store: Store, home: Path) -> None:
        self._store = store
        self._home = home
        self._lines: dict[int, _Line] = {}
        self._retries: dict[int, _Retry] = {}
        self._fetch_ids: dict[tuple[int, DeviceId], bytes] = {}
        self._maintained = -math.inf

    async def close(self) -> None:
        """Close every connection."""
        await self._drop(list(self._lines))

    async def flush(self, left: tuple[int, int] | None = None, only: int | None = None) -> list[HalonyxError] | None:
        """Send everything that can go out now, in order for each contact.

        A lock for each contact keeps other processes from sending to the same one meanwhile, and no slow relay holds
        up what goes to another.

        Args:
            left: One-time prekeys left at our relay, when it just told.
            only: Send to this contact alone.

        Returns:
            What went wrong, one entry a contact at most; None if another process sends to `only` now.
        """
        problems: list[HalonyxError] = []
        outbox.expire(self._store, now_ms())
        limit = asyncio.Semaphore(CONTACTS_AT_ONCE)

        async def one(contact_id: int) -> bool:
            async with limit:
                with try_lock(self._home / f"outbox-{contact_id}.lock") as held:
                    if held:
                        problem = await self._tried(contact_id, self._flush_contact(contact_id))
                        outbox.note_reason(self._store, contact_id, problem.code if problem else None)
                        problems.extend([problem] if problem else [])
                    return held

        waiting = outbox.contacts_with_work(self._store, now_ms())
        chosen = [contact for contact in waiting if only in (None, contact) and self._is_due(contact)]
        done = await asyncio.gather(self._maintained_now(left, problems), *map(one, chosen), return_exceptions=True)
        for outcome in done:
            if isinstance(outcome, BaseException):
                raise outcome
        idle = [contact for contact, line in self._lines.items() if line.used + IDLE_SECONDS < time.monotonic()]
        await self._drop(idle)
        return None if only is not None and chosen and not done[1] else problems

    @property
    def is_maintenance_due(self) -> bool:
        """Whether prekeys have not been looked after for an hour."""
        return self._maintained + MAINTAIN_SECONDS <= time.monotonic()

    async def _maintained_now(self, left: tuple[int, int] | None, problems: list[HalonyxError]) -> None:
        if not self._is_due(OWN_RELAY):
            return
        with try_lock(self._home / OUTBOX_LOCK) as held:
            if held:
                problem = await self._tried(OWN_RELAY, self.maintain(left))
                problems.extend([problem] if problem else [])
                self._maintained = self._maintained if problem else time.monotonic()

    def hurry(self, contact: int | None = None) -> None:
        """Try a contact, or all, at the next flush whatever failed before: a person asked for it."""
        if contact is None:
            self._retries.clear()
        else:
            self._retries.pop(contact, None)

    def _is_due(self, contact: int) -> bool:
        """Tell whether enough time has passed since the last failure; one contact's does not hold up another."""
        retry = self._retries.get(contact)
        return retry is None or retry.at <= time.monotonic()

    async def _tried(self, contact: int, work: Awaitable[None]) -> HalonyxError | None:
        try:
            await work
        except (TransportError, RemoteError) as error:
            former = self._retries.get(contact)
            pause = min(2 * former.pause, LONGEST_PAUSE_SECONDS) if former else FIRST_PAUSE_SECONDS
            self._retries[contact] = _Retry(time.monotonic() + pause, pause)
            await self._drop([contact])
            return error
        except asyncio.CancelledError:
            await self._drop([contact])  # an answer may still be on its way
            raise
        self._retries.pop(contact, None)
        return None

    async def maintain(self, left: tuple[int, int] | None = None) -> None:
        """Renew prekeys that are due, and tell our relay what it has not heard yet.

        Raises:
            TransportError: It can't be reached.
            Refused: It no longer knows this device.
        """
        account = load_account(self._store)
        prekeys.due_prekeys(self._store, account.own, left, now_ms())
        waiting = prekeys.unpublished(self._store)
        is_renewed = self._store.value("SELECT is_one_time_renewed FROM account")
        if account.is_access_published and not waiting and not is_renewed:
            return
        async with Relay(account.origin) as relay:
            if not account.is_access_published:
                request = AccessKeyRequest(address=account.address, access_hash=account.access_hash)
                await relay.call("PUT", "/v1/access-key", request, Done, account.signer)
                with self._store.transaction():
                    self._store.execute(
                        "UPDATE account SET is_access_published = 1 WHERE profile_key = ?", account.profile_key
                    )
            for at in range(0, max(len(waiting), 1), MAX_PREKEYS_IN_CALL):
                await self._publish(relay, account, waiting[at : at + MAX_PREKEYS_IN_CALL])

    async def _publish(self, relay: Relay, account: Account, part: list[Prekey]) -> None:
        first = prekeys.first_one_time(self._store)
        request = PublishRequest(
            address=account.address,
            device=account.own.device.id,
            prekeys=[prekeys.sealed(account.usid, account.own, prekey) for prekey in part],
            one_time_from=first,
        )
        try:
            await relay.call("PUT", "/v1/prekeys", request, PrekeyCounts, account.signer)
        except Refused as error:
            if error.code != "prekeys-full":
                raise
            prekeys.forget_unpublished_one_time(self._store)
            return
        with self._store.transaction():
            prekeys.mark_published(self._store, part)
            self._store.execute("UPDATE account SET is_one_time_renewed = 0")

    async def refresh(self, contact: ContactRow) -> None:
        """Fetch a contact's record now (raises as `directory.refresh`)."""
        line = await self._line(contact)
        await directory.refresh(self._store, line.relay, contact, now_ms())

    async def _flush_contact(self, contact_id: int) -> None:
        outbox.collect(self._store, contact_id, now_ms())
        for _ in range(MAX_ROUNDS):
            contact = self._contact(contact_id)
            if directory.needs_refresh(self._store, contact, now_ms()):
                await self.refresh(contact)
                contact = self._contact(contact_id)
            if contact.frozen is not None or contact.record is None:
                return
            await self._begin_sessions(contact)
            is_complete = outbox.expand(self._store, load_account(self._store), contact_id)
            if not await self._submit(contact_id):
                if not is_complete:
                    raise Refused("no-valid-prekey", "their device has to come online first, to renew its keys")
                return
            # Their record says what took the place of a device that is gone.
            await self.refresh(self._contact(contact_id))
        raise Refused("gone", "their relay no longer has a mailbox for the device that their record names")

    async def _begin_sessions(self, contact: ContactRow) -> None:
        """Start a session with each device that has none, or whose session broke."""
        for device in contact.record.devices if contact.record else ():
            row = device_row(self._store, contact.id, device.id)
            is_broken = row.broken_session is not None and repair.may_reset(self._store, row, now_ms())
            if row.sessions.sending is not None and not is_broken:
                continue
            peer = Peer(contact.address, device)
            bundle = await self._bundle(contact, peer)
            fresh = (KeyPair.generate(), KeyPair.generate())
            account = load_account(self._store)
            begun = handshake.initiate(account.own, peer, bundle, fresh, handshake.encapsulate(bundle))
            now = now_ms()
            with self._store.transaction():
                current = device_row(self._store, contact.id, device.id)
                if current.revision != row.revision or self._contact(contact.id).peer(device.id) != peer:
                    continue  # a message of theirs was faster, and brought a session or a record
                hello, ratchet = begun
                sessions = session.begin(current.sessions, session.Initiated(ratchet, hello), now)
                save_sessions(self._store, current, sessions)
                directory.store_envelope_prekey(self._store, contact, device.id, bundle.envelope, now)
                if is_broken:
                    repair.ask_reset(self._store, account, contact, peer, now)

    async def _bundle(self, contact: ContactRow, peer: Peer) -> PrekeyBundle:
        """Fetch a bundle (raises as `directory.fetch_bundle`); by request key if they changed the access key."""
        slot = (contact.id, peer.device.id)
        fetch_id = self._fetch_ids.setdefault(slot, secrets.token_bytes(FETCH_ID_SIZE))
        line = await self._line(contact)
        try:
            bundle = await directory.fetch_bundle(line.relay, contact, peer, fetch_id, now_ms())
        except Refused as error:
            contact = directory.forget_profile_key(self._store, contact, error)
            bundle = await directory.fetch_bundle(line.relay, contact, peer, fetch_id, now_ms())
        del self._fetch_ids[slot]
        return bundle

    async def _submit(self, contact_id: int) -> bool:
        """Send sealed envelopes in order; True when their record must be fetched again.

        Raises:
            Refused: The relay does not take them now.
            TransportError: It can't be reached.
        """
        full: set[DeviceId] = set()
        while True:
            contact = self._contact(contact_id)
            # One by one by request key: a refusal in the middle would let later ones overtake.
            batch = outbox.sealed_rows(self._store, contact, full, BATCH if contact.profile_key else 1)
            if not batch and full:
                raise self._refused(contact, Status.MAILBOX_FULL)
            if not batch:
                return False
            frames = [
                Submit(sealed.envelope_id, contact.address, sealed.device, contact.access, sealed.envelope)
                for sealed in batch
            ]
            answers = await self._answers(contact, frames)
            # A full mailbox of one of their devices must not hold up the others.
            full.update(
                sealed.device
                for sealed, answer in zip(batch, answers, strict=True)
                if answer.status is Status.MAILBOX_FULL
            )
            if self._note_answers(contact, zip(batch, answers, strict=True)):
                return True

    async def _answers(self, contact: ContactRow, frames: list[Submit]) -> list[Accepted]:
        """Send on the connection that is open; if it died since it was used, once more on a fresh one."""
        line = await self._line(contact)
        if line.socket is not None:
            try:
                answers = await submit(line.socket, frames)
            except TransportError:
                await self._drop([contact.id])
                line = await self._line(contact)
            else:
                line.used = time.monotonic()
                return answers
        line.socket = await line.relay.socket(SEND_PATH)
        answers = await submit(line.socket, frames)
        line.used = time.monotonic()
        return answers

    def _note_answers(self, contact: ContactRow, answered: Iterable[tuple[outbox.Sealed, Accepted]]) -> bool:
        """Store what the relay said; True when a device is gone or the access key was changed, as at recovery.

        Raises:
            Refused: An envelope was not taken, and trying at once would not help.
        """
        is_changed, refused = False, None
        for sealed, answer in answered:
            if answer.status is Status.ACCEPTED:
                outbox.mark_accepted(self._store, sealed)
            elif answer.status is Status.GONE:
                is_changed = True
            elif answer.status is Status.BAD_ACCESS_KEY and contact.profile_key is not None:
                directory.forget_profile_key(self._store, contact, Refused("bad-access-key", ""))
                is_changed = True
            elif answer.status is not Status.MAILBOX_FULL:
                refused = answer.status
        if refused is not None:
            raise self._refused(contact, refused)
        return is_changed

    @staticmethod
    def _refused(contact: ContactRow, status: Status) -> Refused:
        code = _REASONS[status]
        return Refused(code, f"the relay does not take mail for {contact.name} now: {code}")

    def _contact(self, contact_id: int) -> ContactRow:
        return contact_by_id(self._store, contact_id)

    async def _line(self, contact: ContactRow) -> _Line:
        """Return the connection to the first of their relays, made anew when they moved."""
        account = load_account(self._store)
        if reaches_this_machine(contact.origins[0]) and not reaches_this_machine(account.origin):
            raise Refused("loopback-origin", f"{contact.name} receives at a relay on their own machine only")
        line = self._lines.get(contact.id)
        if line is not None and line.relay.origin != contact.origins[0]:
            await self._drop([contact.id])
            line = None
        if line is None:
            relay = await Relay(contact.origins[0]).__aenter__()
            line = self._lines[contact.id] = _Line(relay, None, time.monotonic())
        return line

    async def _drop(self, contacts: list[int]) -> None:
        for contact in contacts:
            line = self._lines.pop(contact, None)
            if line is not None:
                if line.socket is not None:
                    await line.socket.close()
                await line.relay.__aexit__(None, None, None)
