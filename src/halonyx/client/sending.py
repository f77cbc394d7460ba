"""Carrying the outbox to the relays: prekeys and sessions where they are missing, then envelope after envelope.

Source: spec/delivery.md, "Outbox"; spec/ratchet.md, "Repair".
"""

import asyncio
import math
import secrets
import time
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Final

from halonyx.client import directory, outbox, repair, sealing, upkeep
from halonyx.client.account import load_account, now_ms
from halonyx.client.locks import OUTBOX_LOCK, outbox_lock, try_lock
from halonyx.client.people import ContactRow, contact_by_id, device_row, save_sessions
from halonyx.client.store import Store
from halonyx.client.transport import DeviceReplaced, Refused, Relay, Socket, submit
from halonyx.core import handshake, session
from halonyx.core.errors import HalonyxError, RemoteError, TransportError
from halonyx.core.handshake import Peer
from halonyx.core.origin import reaches_this_machine
from halonyx.core.prekeys import PrekeyBundle
from halonyx.core.primitives import KeyPair
from halonyx.core.types import DeviceId
from halonyx.wire.frames import SEND_PATH, Accepted, Status, Submit
from halonyx.wire.rest_directory import FETCH_ID_SIZE

BATCH: Final = 32
BATCH_BYTES: Final = 256 * 1024  # goes out within SUBMIT_SECONDS at 105 kbit/s; cut off, all of it would go again
IDLE_SECONDS: Final = 45  # the relay closes a sending connection after 60
OWN_RELAY: Final = 0  # stands for our own relay where contacts are counted
QUESTION: Final = -1  # likewise for asking it whether it knows us
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 30.0
MAINTAIN_SECONDS: Final = 3600.0
MAX_ROUNDS: Final = 3
QUESTION_SECONDS: Final = 2.0  # our own relay may be down: what is for other relays goes out all the same
CONTACTS_AT_ONCE: Final = 8
CONTACT_SECONDS: Final = 30.0  # then another one may have its place; what was accepted stays so

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
        self._running: dict[int, asyncio.Task[list[HalonyxError] | None]] = {}
        self._slots = asyncio.Semaphore(CONTACTS_AT_ONCE)
        self._maintained = -math.inf

    async def close(self) -> None:
        """End what is being sent, and close every connection."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._drop(list(self._lines))

    async def flush(
        self, seconds: float, left: tuple[int, int] | None = None, only: int | None = None
    ) -> list[HalonyxError] | None:
        """Send everything that can go out now, in order for each contact.

        A lock for each contact keeps other processes from sending to the same one meanwhile. No slow relay holds up
        what goes to another: what is not done in time goes on, beside whatever is flushed next.

        Args:
            seconds: How long to wait.
            left: One-time prekeys left at our relay, when it just told.
            only: Send to this contact alone.

        Returns:
            What went wrong, one entry a contact at most; None if something else sends to `only` now.
        """
        outbox.expire(self._store, now_ms())
        waiting = outbox.contacts_with_work(self._store, now_ms())
        if waiting:
            try:
                await self.confirm(seconds)
            except Refused as error:
                return [error]
        chosen = [OWN_RELAY, *(contact for contact in waiting if only in (None, contact))]
        is_taken = only in self._running
        started = [self._start(one, left) for one in chosen if one not in self._running and self._is_due(one)]
        if started:
            await asyncio.wait(started, timeout=seconds)
        late = [TransportError("the relay does not answer")]
        found = [task.result() if task.done() else late for task in started]
        now = time.monotonic()
        idle = [one for one, line in self._lines.items() if line.used + IDLE_SECONDS < now and one not in self._running]
        await self._drop(idle)
        if is_taken or (only is not None and None in found):
            return None
        return [problem for problems in found for problem in problems or ()]

    async def confirm(self, seconds: float) -> None:
        """Before anything is sent, make sure that our relay still knows this device; it is asked once an hour.

        Args:
            seconds: How long it may take to answer; without an answer, what it said last counts.

        Raises:
            Refused: It does not: recipients would drop what this device sends.
        """
        if upkeep.must_ask(self._store, now_ms()):
            if QUESTION not in self._running and self._is_due(QUESTION):
                self._start(QUESTION, None)
            if QUESTION in self._running:
                await asyncio.wait([self._running[QUESTION]], timeout=min(seconds, QUESTION_SECONDS))
        if upkeep.is_replaced(self._store):
            raise DeviceReplaced

    @property
    def is_maintenance_due(self) -> bool:
        """Whether prekeys have not been looked after for an hour."""
        return self._maintained + MAINTAIN_SECONDS <= time.monotonic()

    def _start(self, contact: int, left: tuple[int, int] | None) -> asyncio.Task[list[HalonyxError] | None]:
        if contact == QUESTION:
            work = self._ask()
        else:
            work = self._look_after(left) if contact == OWN_RELAY else self._send_to(contact)
        task = self._running[contact] = asyncio.create_task(work)

        def ended(_: object) -> None:
            del self._running[contact]
            if not task.cancelled():
                task.exception()  # of one nobody waits for any more; the next try meets it again

        task.add_done_callback(ended)
        return task

    async def _send_to(self, contact: int) -> list[HalonyxError] | None:
        """Send what waits for one contact; None if another process does."""
        async with self._slots:
            with try_lock(self._home / outbox_lock(contact)) as held:
                if not held:
                    return None
                problem = await self._tried(contact, self._flush_contact(contact))
                outbox.note_reason(self._store, contact, problem.code if problem else None)
                return [problem] if problem else []

    async def _look_after(self, left: tuple[int, int] | None) -> list[HalonyxError]:
        with try_lock(self._home / OUTBOX_LOCK) as held:
            if not held:
                return []
            self._maintained = -math.inf  # what fails is tried again soon, not in an hour
            problem = await self._tried(OWN_RELAY, upkeep.maintain(self._store, left))
            if problem:
                return [problem]
            self._maintained = time.monotonic()
            return []

    async def _ask(self) -> list[HalonyxError] | None:
        problem = await self._tried(QUESTION, upkeep.ask(self._store))
        return [problem] if problem else []

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
        """Work for one contact within a time limit; whatever ends it but success is followed by a pause."""
        problem: HalonyxError | None = TransportError("the relay takes too long")
        try:
            async with asyncio.timeout(CONTACT_SECONDS):
                await work
            problem = None
        except TimeoutError:
            pass
        except (TransportError, RemoteError) as error:
            problem = error
        finally:
            former = self._retries.pop(contact, None)
            if problem:
                pause = min(2 * former.pause, LONGEST_PAUSE_SECONDS) if former else FIRST_PAUSE_SECONDS
                self._retries[contact] = _Retry(time.monotonic() + pause, pause)
                await self._drop([contact])  # an answer may still be on its way
        return problem

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
            is_complete = sealing.expand(self._store, contact_id)
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
            ours = load_account(self._store).own
            begun = handshake.initiate(ours, peer, bundle, fresh, handshake.encapsulate(bundle))
            now = now_ms()
            with self._store.transaction():
                current, known = device_row(self._store, contact.id, device.id), self._contact(contact.id)
                if current.revision != row.revision or known.peer(device.id) != peer:
                    continue  # a message of theirs was faster, and brought a session or a record
                if known.state != "accepted":
                    return  # nothing is asked of whom the person blocked meanwhile
                hello, ratchet = begun
                sessions = session.begin(current.sessions, session.Initiated(ratchet, hello), now)
                save_sessions(self._store, current, sessions)
                directory.store_envelope_prekey(self._store, contact, device.id, bundle.envelope, now)
                if is_broken:
                    repair.ask_reset(self._store, contact, peer, now)

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

        What one of their devices does not take holds up no other.

        Raises:
            Refused: The relay does not take them now.
            TransportError: It can't be reached.
        """
        refused: dict[DeviceId, Status] = {}
        is_probe = outbox.reason(self._store, contact_id) == _REASONS[Status.MAILBOX_FULL]
        while True:
            contact = self._contact(contact_id)
            # One by one by request key: a refusal in the middle would let later ones overtake.
            batch = _portion(outbox.sealed_rows(self._store, contact, refused, BATCH if contact.profile_key else 1))
            if is_probe:  # the first for each device: what was full may still be
                batch = list({sealed.device: sealed for sealed in reversed(batch)}.values())
            if not batch:
                break
            is_probe = False
            frames = [
                Submit(sealed.envelope_id, contact.address, sealed.device, contact.access, sealed.envelope)
                for sealed in batch
            ]
            answers = await self._answers(contact, frames)
            refused |= self._note_answers(zip(batch, answers, strict=True))
            if contact.profile_key is not None and Status.BAD_ACCESS_KEY in refused.values():
                # They changed it, or were recovered: their record tells.
                directory.forget_profile_key(self._store, contact, Refused("bad-access-key", ""))
                return True
        if refused and Status.GONE not in refused.values():
            code = _REASONS[next(iter(refused.values()))]
            raise Refused(code, f"the relay does not take mail for {contact.name} now: {code}")
        return bool(refused)

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

    def _note_answers(self, answered: Iterable[tuple[outbox.Sealed, Accepted]]) -> dict[DeviceId, Status]:
        """Store what the relay accepted; return the devices for which it did not, and why."""
        refused: dict[DeviceId, Status] = {}
        for sealed, answer in answered:
            if answer.status is Status.ACCEPTED:
                outbox.mark_accepted(self._store, sealed)
            else:
                refused[sealed.device] = answer.status
        return refused

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


def _portion(waiting: Sequence[outbox.Sealed]) -> list[outbox.Sealed]:
    """Return the first of what waits, as many as BATCH_BYTES hold."""
    sizes = accumulate(len(sealed.envelope) for sealed in waiting)
    return [sealed for sealed, size in zip(waiting, sizes, strict=True) if size <= BATCH_BYTES]
