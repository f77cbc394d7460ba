"""The SDK: one account on this machine, to write, to receive and to look things up.

Source: spec/delivery.md, "Client".
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from halonyx.client import backup, history, inbox, order, outbox, unlock
from halonyx.client.account import load_account, now_ms
from halonyx.client.contacts import Contacts, our_card
from halonyx.client.events import mark_shown, next_event
from halonyx.client.locks import OUTBOX_LOCK, RECEIVER_LOCK, ReceiverBusy, holder, try_lock
from halonyx.client.model import AccountInfo, Contact, Event, HistoryEntry, Message, Sent
from halonyx.client.people import ContactRow, contact_by_name
from halonyx.client.receiving import Receiver
from halonyx.client.sending import Sender
from halonyx.client.store import STORE_FILE, Store
from halonyx.core.card import Card
from halonyx.core.errors import HalonyxError, Misuse, StaleDirectory, TransportError
from halonyx.core.safety_number import Party, encode_qr, matches_qr, safety_number

LOCK_POLL_SECONDS: Final = 0.05
TICK_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 0.5
BURST_SECONDS: Final = 0.01  # receipts of one burst go out together
LONGEST_PAUSE_SECONDS: Final = 30.0


class Client:
    """An open account. Made by `Client.open`; any number of processes may have one home open.

    Attributes:
        contacts: Its people.
    """

    def __init__(self, home: Path, store: Store) -> None:
        self._home = home
        self._store = store
        self._sender = Sender(store)
        self.contacts = Contacts(store, self._flush_soon)
        load_account(store)
        inbox.forget_old(store, now_ms())

    @classmethod
    @asynccontextmanager
    async def open(cls, home: Path, passphrase: str | None = None) -> AsyncIterator["Client"]:
        """Open the account of a home folder.

        Args:
            passphrase: None takes the key from the OS keyring.

        Raises:
            StoreError: No account there, a wrong or missing passphrase, or a damaged store.
        """
        store = Store(home / STORE_FILE, unlock.load_key(home, passphrase))
        try:
            client = cls(home, store)
            try:
                yield client
            finally:
                await client._sender.close()
        finally:
            store.close()

    @property
    def account(self) -> AccountInfo:
        """Who this is."""
        return load_account(self._store).info()

    def card(self) -> Card:
        """Return our contact card."""
        return our_card(load_account(self._store))

    async def send(self, name: str, text: str, wait_seconds: float = 10) -> Sent:
        """Write to a contact. It is durable when this returns, and goes out now or later by itself.

        Args:
            text: 1 to 16,384 bytes of UTF-8.
            wait_seconds: How long to wait for the relay to accept it.

        Returns:
            Its id, and `accepted`, or `waiting` with the reason.

        Raises:
            Misuse: No contact of this name, a blocked one, or a text of another size.
            StaleDirectory: Sending to this contact is stopped until the person decides.
        """
        contact = contact_by_name(self._store, name)
        if contact.frozen is not None:
            raise StaleDirectory(
                f"a relay served a record of {name} that does not fit ({contact.frozen}): nothing is sent."
                f" Compare safety numbers another way, then 'halonyx contact trust {name}'"
            )
        message_id = outbox.add_text(self._store, contact, text)
        deadline = time.monotonic() + wait_seconds
        while (sent := outbox.state_of(self._store, message_id)).state == "waiting":
            problems = await self._try_flush(deadline)
            left = deadline - time.monotonic()
            if left <= 0 or (problems and not any(_is_busy(problem) for problem in problems)):
                break
            if outbox.state_of(self._store, message_id).state == "waiting":
                await asyncio.sleep(min(left, LOCK_POLL_SECONDS if problems is None else RETRY_SECONDS))
        return outbox.state_of(self._store, sent.id)

    async def flush(self, wait_seconds: float = 10) -> None:
        """Send what waits.

        Raises:
            TransportError: Something waits and its relay can't be reached.
        """
        deadline = time.monotonic() + wait_seconds
        while time.monotonic() < deadline:
            problems = await self._try_flush(deadline)
            if problems is not None:
                if problems and isinstance(problems[0], TransportError):
                    raise problems[0]
                return
            await asyncio.sleep(LOCK_POLL_SECONDS)

    async def events(self, *, follow: bool = False, timeout: float | None = None) -> AsyncIterator[Event]:  # noqa: ASYNC109 (ends the iteration, raises nothing)
        """Receive, and yield what is to be shown: once each, also across restarts.

        An event counts as shown when the next one is asked for. Receipts go out, gaps are asked for and sessions
        repaired while this runs.

        Args:
            follow: Go on until cancelled.
            timeout: End this many seconds after the last event; None ends when the mailbox is drained.

        Raises:
            ReceiverBusy: Another process receives for this home.
            TransportError: The relay can't be reached, unless following.
            Refused: The relay no longer accepts this device.
        """
        with try_lock(self._home / RECEIVER_LOCK) as held:
            if not held:
                pid = holder(self._home / RECEIVER_LOCK)
                raise ReceiverBusy(f"process {pid} receives for {self._home}: end it first, or wait for it")
            changed, wanted = asyncio.Event(), asyncio.Event()

            def poke() -> None:
                changed.set()
                wanted.set()

            receiver = Receiver(self._store, poke)
            sending = self._send_along(receiver, changed, wanted)
            tasks = [asyncio.create_task(receiver.run()), asyncio.create_task(sending)]
            try:
                async for event in self._shown(receiver, changed, tasks, None if follow else timeout, follow=follow):
                    yield event
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def messages(self) -> AsyncIterator[Message]:
        """Receive until cancelled, yielding messages only (raises as `events`)."""
        async for event in self.events(follow=True):
            if isinstance(event, Message):
                yield event

    async def safety_number(self, name: str) -> str:
        """Return twelve groups of five digits to compare with a contact.

        Raises:
            Misuse: No contact of this name.
            TransportError, Refused, StaleDirectory: Their record is not known yet and can't be had.
        """
        return safety_number(*await self._parties(name))

    async def safety_qr(self, name: str) -> bytes:
        """Return the 130 bytes of the QR code to show to a contact (raises as `safety_number`)."""
        return encode_qr(*await self._parties(name))

    async def verify(self, name: str, number: str | None = None, scanned: bytes | None = None) -> Contact:
        """Mark a contact verified if what they showed is right.

        Args:
            number: Sixty digits, with any spaces.
            scanned: The 130 bytes of their QR code.

        Raises:
            Misuse: It is not right, or neither was given.
            Malformed, UnsupportedVersion: A QR code of something else.
            TransportError, Refused, StaleDirectory: As `safety_number`.
        """
        ours, theirs = await self._parties(name)
        if scanned is not None:
            is_right = matches_qr(scanned, ours, theirs)
        else:
            is_right = "".join((number or "").split()) == safety_number(ours, theirs).replace(" ", "")
        if not is_right:
            raise Misuse(
                f"this is not the safety number of you and {name}: you may be talking to someone else."
                " Compare again, face to face or by phone"
            )
        with self._store.transaction():
            self._store.execute("UPDATE contacts SET is_verified = 1 WHERE name = ?", name)
        return self.contacts.get(name)

    def history(self, name: str, limit: int = 50, before: int | None = None) -> list[HistoryEntry]:
        """Return the newest messages with a contact, oldest first (raises Misuse)."""
        return history.history(self._store, name, limit, before)

    def search(self, text: str, limit: int = 50) -> list[HistoryEntry]:
        """Return the newest messages that contain `text`, oldest first (raises Misuse)."""
        return history.search(self._store, text, limit)

    def backup(self, path: Path, passphrase: str) -> None:
        """Write contacts, verifications and history to an encrypted file (raises Misuse, StoreError)."""
        backup.write_backup(self._store, path, passphrase)

    def restore(self, path: Path, passphrase: str) -> tuple[int, int]:
        """Add a backup's contacts and messages; return how many of each (raises StoreError)."""
        return backup.read_backup(self._store, path, passphrase)

    async def _shown(
        self,
        receiver: Receiver,
        changed: asyncio.Event,
        tasks: list[asyncio.Task[None]],
        timeout: float | None,  # noqa: ASYNC109
        *,
        follow: bool,
    ) -> AsyncIterator[Event]:
        last = time.monotonic()
        while True:
            order.show_overdue(self._store, now_ms())
            found = next_event(self._store)
            if found is not None:
                event_id, event = found
                yield event
                with self._store.transaction():
                    mark_shown(self._store, event_id)
                last = time.monotonic()
                continue
            for task in tasks:
                if task.done():
                    await task  # raises what ended it
            if not follow and self._is_over(receiver, timeout, last):
                if receiver.problem is not None and not receiver.is_caught_up:
                    raise receiver.problem
                return
            changed.clear()
            if next_event(self._store) is None:
                await _wait(changed, TICK_SECONDS if timeout is None else min(TICK_SECONDS, max(timeout, 0.01)))

    def _is_over(self, receiver: Receiver, timeout: float | None, last: float) -> bool:
        if timeout is not None:
            return time.monotonic() - last >= timeout
        if receiver.problem is not None:
            return True
        is_idle = not order.holds_anything(self._store) and not outbox.contacts_with_work(self._store, now_ms())
        return receiver.is_caught_up and is_idle

    async def _send_along(self, receiver: Receiver, changed: asyncio.Event, wanted: asyncio.Event) -> None:
        """Send receipts, repairs and whatever waits while we receive; after a failure, less and less often."""
        pause = 0.0
        while True:
            left, receiver.left = receiver.left, None
            if left is not None or outbox.contacts_with_work(self._store, now_ms()):
                problems = await self._try_flush(time.monotonic() + LONGEST_PAUSE_SECONDS, left)
                pause = min(max(2 * pause, RETRY_SECONDS), LONGEST_PAUSE_SECONDS) if problems else 0.0
                changed.set()
            # Whatever another process queued is seen at the next tick.
            await _wait(wanted, TICK_SECONDS)
            wanted.clear()
            await asyncio.sleep(max(pause, BURST_SECONDS))

    async def _try_flush(self, deadline: float, left: tuple[int, int] | None = None) -> list[HalonyxError] | None:
        """Flush if no other process does; None if one does."""
        with try_lock(self._home / OUTBOX_LOCK) as held:
            if not held:
                return None
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    return await self._sender.flush(left)
            except TimeoutError:
                await self._sender.close()  # an answer may still be on its way on those connections
                return [TransportError("the relay does not answer")]

    async def _flush_soon(self) -> None:
        """Send what a change queued, if that is possible now."""
        await self._try_flush(time.monotonic() + 10)

    async def _parties(self, name: str) -> tuple[Party, Party]:
        account = load_account(self._store)
        contact = contact_by_name(self._store, name)
        if contact.record is None:
            contact = await self._fetched(contact)
        if contact.record is None:
            raise StaleDirectory(f"the relay served a record of {name} that does not fit ({contact.frozen})")
        return (
            Party(account.record.fingerprint, account.address),
            Party(contact.record.fingerprint, contact.address),
        )

    async def _fetched(self, contact: ContactRow) -> ContactRow:
        with try_lock(self._home / OUTBOX_LOCK):
            await self._sender.refresh(contact)
        return contact_by_name(self._store, contact.name)


def _is_busy(problem: HalonyxError) -> bool:
    return problem.code == "busy"


async def _wait(changed: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await changed.wait()
    except TimeoutError:
        return
