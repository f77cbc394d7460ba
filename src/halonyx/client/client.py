"""The SDK: one account on this machine, to write, to receive and to look things up.

Source: spec/delivery.md, "Client".
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from halonyx.client import backup, history, order, outbox, unlock
from halonyx.client.account import load_account, make_invite, now_ms
from halonyx.client.beside import beside
from halonyx.client.contacts import Contacts, our_card
from halonyx.client.events import mark_shown, next_event
from halonyx.client.locks import RECEIVER_LOCK, receiver_lock, try_lock
from halonyx.client.model import AccountInfo, Contact, Event, HistoryEntry, Invite, Message, Sent
from halonyx.client.people import ContactRow, contact_by_name
from halonyx.client.receiving import Receiver
from halonyx.client.sending import Sender
from halonyx.client.store import STORE_FILE, Store
from halonyx.client.transfers import Files
from halonyx.client.transport import DeviceReplaced
from halonyx.core.card import Card
from halonyx.core.errors import Misuse, StaleDirectory, TransportError
from halonyx.core.safety_number import Party, encode_qr, matches_qr, safety_number
from halonyx.core.types import MessageId

LOCK_POLL_SECONDS: Final = 0.05
TICK_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 0.5
BURST_SECONDS: Final = 0.01  # receipts of one burst go out together
FLUSH_SECONDS: Final = 30.0
FLUSH_SOON_SECONDS: Final = 10.0


class Client:
    """An open account. Made by `Client.open`; any number of processes may have one home open.

    Attributes:
        contacts: Its people.
        files: What they offer each other.
    """

    def __init__(self, home: Path, store: Store) -> None:
        self._home = home
        self._store = store
        self._sender = Sender(store, home)
        self.contacts = Contacts(store, self._flush_soon)
        self.files = Files(store, home, self._flush_soon)
        load_account(store)

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

    async def invite(self) -> Invite:
        """Make an invite with which somebody may sign up at our relay.

        Raises:
            Refused: no-invites where its members make none, invites-used if we have made ours of this week.
            TransportError: It can't be reached.
        """
        return await make_invite(load_account(self._store))

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
            Refused: Our relay no longer knows this device; nothing was kept or sent.
        """
        contact = contact_by_name(self._store, name)
        if contact.frozen is not None:
            raise StaleDirectory(
                f"a relay served a record of {name} that does not fit ({contact.frozen}): nothing is sent."
                f" Compare safety numbers another way, then 'halonyx contact trust {name}'"
            )
        deadline = time.monotonic() + wait_seconds
        await self._sender.confirm(wait_seconds)
        message_id = outbox.add_text(self._store, contact, text)
        self._sender.hurry(contact.id)
        while outbox.state_of(self._store, message_id).state == "waiting":
            problems = await self._sender.flush(max(0.0, deadline - time.monotonic()), only=contact.id)
            left = deadline - time.monotonic()
            # Waiting helps while another process sends, or the relay is busy; else the reason stays.
            if left <= 0 or not (problems is None or any(problem.code == "busy" for problem in problems)):
                break
            await asyncio.sleep(min(left, LOCK_POLL_SECONDS if problems is None else RETRY_SECONDS))
        return outbox.state_of(self._store, message_id)

    async def flush(self, wait_seconds: float = 10) -> None:
        """Send what waits.

        Raises:
            TransportError: Something waits and its relay can't be reached.
            Refused: Our relay no longer knows this device; what waits is kept.
        """
        self._sender.hurry()
        problems = await self._sender.flush(wait_seconds)
        if problems and isinstance(problems[0], TransportError | DeviceReplaced):
            raise problems[0]

    async def events(self, *, follow: bool = False, timeout: float | None = None) -> AsyncGenerator[Event, None]:  # noqa: ASYNC109 (ends the iteration, raises nothing)
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
        with receiver_lock(self._home):
            # Whoever waits for the end wants what was received confirmed; others want no contact to wait for another.
            async with self._connected(TICK_SECONDS if follow else FLUSH_SECONDS) as (run, tasks):
                async for event in self._shown(run, tasks, None if follow else timeout, follow=follow):
                    yield event

    @asynccontextmanager
    async def online(self) -> AsyncIterator[None]:
        """Receive and send until the end of the context, and show nothing: events wait for `events`.

        While another process receives for this home, that one does it. What ends receiving for good ends the body of
        the context.

        Raises:
            Refused: The relay no longer accepts this device.
            StoreError: Nothing can be stored.
        """
        async with beside(self._stay_online()):
            yield

    async def _stay_online(self) -> None:
        while True:
            with try_lock(self._home / RECEIVER_LOCK) as held:
                if held:
                    run = self._new_run()
                    async with beside(run.receiver.run()):
                        await self._send_along(run, TICK_SECONDS)
            await asyncio.sleep(LOCK_POLL_SECONDS)

    def _new_run(self) -> "_Run":
        self._sender.hurry()
        return _Run(self._store)

    @asynccontextmanager
    async def _connected(self, patience: float) -> AsyncIterator[tuple["_Run", list[asyncio.Task[None]]]]:
        run = self._new_run()
        tasks = [asyncio.create_task(run.receiver.run()), asyncio.create_task(self._send_along(run, patience))]
        try:
            yield run, tasks
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

    def history(self, name: str, limit: int = 50, before: int | MessageId | None = None) -> list[HistoryEntry]:
        """Return the newest messages with a contact, oldest first (raises Misuse).

        Args:
            before: A position or a message's id; only what came before it.
        """
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
        run: "_Run",
        tasks: list[asyncio.Task[None]],
        timeout: float | None,  # noqa: ASYNC109 (ends the iteration, raises nothing)
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
            is_late = timeout is not None and time.monotonic() - last >= timeout
            if not follow and (is_late if timeout is not None else self._is_drained(run)):
                if run.receiver.problem is not None and not run.receiver.is_caught_up:
                    raise run.receiver.problem
                return
            await _wait(run.to_show, TICK_SECONDS if timeout is None else min(TICK_SECONDS, max(timeout, 0.01)))
            run.to_show.clear()

    def _is_drained(self, run: "_Run") -> bool:
        """Tell whether all that the mailbox held is shown, and what it called for was sent or tried."""
        if run.receiver.problem is not None:
            return True
        is_sent = run.sent_for == run.receiver.news
        return run.receiver.is_caught_up and is_sent and not order.holds_anything(self._store)

    async def _send_along(self, run: "_Run", patience: float) -> None:
        """Send receipts, repairs and whatever waits while we receive."""
        while True:
            news, left = run.receiver.news, run.receiver.left
            run.receiver.left = None
            is_due = left is not None or self._sender.is_maintenance_due
            if is_due or outbox.contacts_with_work(self._store, now_ms()):
                await self._sender.flush(patience, left)
            run.sent_for = news
            run.to_show.set()
            # What another process queued is seen at the next tick.
            await _wait(run.to_send, TICK_SECONDS)
            run.to_send.clear()
            await asyncio.sleep(BURST_SECONDS)

    async def _flush_soon(self) -> None:
        """Send what a change queued, if that is possible now."""
        await self._sender.flush(FLUSH_SOON_SECONDS)

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
        await self._sender.refresh(contact)
        return contact_by_name(self._store, contact.name)


class _Run:
    """One run of `Client.events`: what the receiver tells the two loops beside it.

    Attributes:
        sent_for: The receiver's count of news when sending last began.
    """

    def __init__(self, store: Store) -> None:
        self.to_show, self.to_send = asyncio.Event(), asyncio.Event()
        self.receiver = Receiver(store, self._wake)
        self.sent_for = -1

    def _wake(self) -> None:
        self.to_show.set()
        self.to_send.set()


async def _wait(changed: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await changed.wait()
    except TimeoutError:
        return
