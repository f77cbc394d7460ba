"""People at the SDK: a home folder and a real store each, and the relay's own files to look into."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError

from halonyx.client import Client, Event, Message, Notice, create_account, order, recover_account
from halonyx.client.people import ContactRow, DeviceRow, contact_by_name, device_row
from halonyx.client.store import Row
from halonyx.core.types import Address, DeviceId
from halonyx.relay.secrets import Secrets
from halonyx.relay.store.mailbox import Names
from relay_process import RelayProcess

HANGING_SECONDS: Final = 60  # a bound against hanging, not a measurement
POLL_SECONDS: Final = 0.01
FIRST: Final = DeviceId(1)


class MemoryKeyring(KeyringBackend):
    """A system keyring that lasts as long as the process."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.passwords: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.passwords.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.passwords[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.passwords.pop((service, username), None) is None:
            raise PasswordDeleteError


@dataclass(frozen=True, slots=True)
class Home:
    """One account of one person; its key lies in the keyring."""

    path: Path
    origin: str
    code: str = field(repr=False)

    def open(self) -> AbstractAsyncContextManager[Client]:
        return Client.open(self.path)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two people with open clients."""

    alice: Client
    bob: Client
    homes: tuple[Home, Home]


async def sign_up(path: Path, origin: str) -> Home:
    made = await create_account(path, origin)
    return Home(path, origin, made.recovery_code)


@asynccontextmanager
async def recovered(home: Home, path: Path) -> AsyncIterator[Client]:
    """Recover an account on an empty folder and open it."""
    await recover_account(path, home.origin, home.code)
    async with Client.open(path) as client:
        yield client


async def introduce(alice: Client, bob: Client) -> None:
    """Let each add the other's card."""
    await alice.contacts.add(bob.card().uri(), "bob")
    await bob.contacts.add(alice.card().uri(), "alice")


@asynccontextmanager
async def two_people(folder: Path, origins: tuple[str, str], *, introduced: bool = True) -> AsyncIterator[Pair]:
    """Make and open two accounts; Alice receives at the first relay."""
    homes = await sign_up(folder / "alice", origins[0]), await sign_up(folder / "bob", origins[1])
    async with homes[0].open() as alice, homes[1].open() as bob:
        if introduced:
            await introduce(alice, bob)
        yield Pair(alice, bob, homes)


async def drain(client: Client) -> list[Event]:
    """Receive until the mailbox is empty and what it called for was sent."""
    async with asyncio.timeout(HANGING_SECONDS):
        return [event async for event in client.events()]


async def settle(*clients: Client) -> list[list[Event]]:
    """Let everyone receive in turn until nobody has anything new; return each one's events."""
    found: list[list[Event]] = [[] for _ in clients]
    is_quiet = False
    while not is_quiet:
        is_quiet = True
        for events, client in zip(found, clients, strict=True):
            new = await drain(client)
            is_quiet = is_quiet and not new
            events.extend(new)
    return found


async def receive_until(client: Client, is_done: Callable[[list[Event]], bool]) -> list[Event]:
    """Follow the mailbox until `is_done` says of the events so far, or of a store, that it has happened."""
    found: list[Event] = []

    async def follow() -> None:
        async for event in client.events(follow=True):
            found.append(event)  # noqa: PERF401 (seen while it grows)

    task = asyncio.create_task(follow())
    try:
        async with asyncio.timeout(HANGING_SECONDS):
            while not is_done(found):
                assert not task.done(), task.exception()
                await asyncio.sleep(POLL_SECONDS)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    return found


async def end_hold(client: Client) -> list[Event]:
    """Receive until something is held behind a gap, and make its ten seconds be over; return the events until then."""
    found = await receive_until(client, lambda _: order.holds_anything(client._store))
    change(client, "UPDATE gaps SET noticed = noticed - ?", order.HOLD)
    return found


def texts(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Message)]


def kinds(events: list[Event]) -> list[str]:
    """Return the kinds of the notices."""
    return [event.kind for event in events if isinstance(event, Notice)]


def notices(events: list[Event], kind: str) -> list[Notice]:
    return [event for event in events if isinstance(event, Notice) and event.kind == kind]


def row_of(client: Client, name: str) -> ContactRow:
    return contact_by_name(client._store, name)


def device_of(client: Client, name: str, device: DeviceId = FIRST) -> DeviceRow:
    return device_row(client._store, row_of(client, name).id, device)


def stored(client: Client, sql: str, *values: object) -> list[Row]:
    return client._store.all(sql, *values)


def change(client: Client, sql: str, *values: object) -> None:
    """Change a client's store behind its back, as a fault or the passing of time would."""
    with client._store.transaction():
        client._store.execute(sql, *values)


@dataclass(frozen=True, slots=True)
class Mailboxes:
    """The relay's file of envelopes, read and damaged from outside."""

    relay: RelayProcess

    def count(self, address: Address, device: DeviceId = FIRST) -> int:
        """Return how many envelopes wait for a device."""
        query = "select count(*) from envelope join mailbox on mailbox.id = mailbox where name = ?"
        with contextlib.closing(self._open()) as database:
            count: int = database.execute(query, (self._name(address, device),)).fetchone()[0]
            return count

    async def empty(self, address: Address, device: DeviceId = FIRST) -> None:
        """Wait until nothing waits for a device: the relay deletes soon after an acknowledgement, not with it."""
        async with asyncio.timeout(HANGING_SECONDS):
            while self.count(address, device):  # noqa: ASYNC110 (another process deletes)
                await asyncio.sleep(POLL_SECONDS)

    def lose(self, address: Address, index: int, device: DeviceId = FIRST) -> None:
        """Delete one waiting envelope, counted from the oldest."""
        query = (
            "delete from envelope where row = (select row from envelope join mailbox on mailbox.id = mailbox"
            " where name = ? order by seq limit 1 offset ?)"
        )
        with contextlib.closing(self._open()) as database, database:
            assert database.execute(query, (self._name(address, device), index)).rowcount == 1

    def put_back(self, address: Address, device: DeviceId = FIRST) -> None:
        """Lose all that waits for a device, and name a new epoch, as a relay does whose files were restored."""
        mailbox = "(select id from mailbox where name = ?)"
        with contextlib.closing(self._open()) as database, database:
            name = self._name(address, device)
            database.execute(f"delete from envelope where mailbox = {mailbox}", (name,))  # noqa: S608
            database.execute("update mailbox set epoch = randomblob(8) where name = ?", (name,))

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self.relay.data / "app.db", timeout=10)

    def _name(self, address: Address, device: DeviceId) -> bytes:
        secrets = Secrets.from_json(self.relay.data.with_name(self.relay.data.name + ".secrets").read_bytes())
        return Names(secrets.app_pepper).mailbox(address, device)
