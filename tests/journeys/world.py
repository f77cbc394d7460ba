"""Three people, their relay and the network between them, all of it real and all of it mortal."""

import asyncio
import contextlib
import random
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path
from typing import Any, Final

import aiohttp
import apsw

from command_line import HALONYX
from halonyx.client import Client, create_account
from halonyx.client.store import STORE_FILE, Store
from halonyx.client.unlock import load_key
from journeys import driver
from journeys.driver import Command, Life, Said
from journeys.proxy import Proxy
from relay_process import free_port

NAMES: Final = ("alice", "bob", "carol")
STARTING_SECONDS: Final = 30
POLL_SECONDS: Final = 0.02
BUSY_MS: Final = 5_000
NO_LIMIT: Final = "1000000/minute"
SETTINGS: Final = {
    "log_level": "warning",
    "reserve_bytes": 0,  # every history has a data folder of its own
    "connections_per_client": 1000,
    "http_connections_per_client": 1000,
    "unacked_messages": 4,  # so that acknowledgements arrive while more waits to be delivered
    "ping_seconds": 2,
    "pong_seconds": 2,
    "rate_sign_up": NO_LIMIT,
    "rate_sign_up_total": NO_LIMIT,
    "rate_challenge": NO_LIMIT,
    "rate_signed": NO_LIMIT,
    "rate_lookup": NO_LIMIT,
    "rate_bundle": NO_LIMIT,
    "rate_bundle_device": NO_LIMIT,
    "rate_bundle_requests": NO_LIMIT,
    "rate_bundle_client": NO_LIMIT,
    "rate_public": NO_LIMIT,
    "rate_sockets": NO_LIMIT,
}
# A hole in the counters is a message that was lost or overtaken, even if it is mended later: nobody may see one.
WITNESS: Final = (
    "CREATE TABLE holes (contact INTEGER NOT NULL, counter INTEGER NOT NULL)",
    "CREATE TRIGGER hole AFTER INSERT ON gaps BEGIN INSERT INTO holes VALUES (new.contact, new.counter); END",
)


@dataclass(slots=True)
class Person:
    """Somebody with a home folder, a process that sends and a process that receives.

    Attributes:
        ended: Lives that were killed, with what they said.
    """

    name: str
    home: Path
    key: bytes = field(repr=False)
    sender: Life | None = None
    receiver: Life | None = None
    ended: list[Life] = field(default_factory=list)

    def start_sender(self) -> Life:
        """Start the process that sends, unless it lives."""
        if self.sender is None:
            self.sender = Life.begin(f"{self.name} sends", driver.send, self.home, self.key)
        return self.sender

    def start_receiver(self) -> Life:
        """Start the process that receives, unless it lives."""
        if self.receiver is None:
            self.receiver = Life.begin(f"{self.name} receives", driver.receive, self.home, self.key)
        return self.receiver

    def kill_sender(self) -> bool:
        """Kill it; False when it is dead already."""
        life, self.sender = self.sender, None
        return self._kill(life)

    def kill_receiver(self) -> bool:
        """Kill it; False when it is dead already."""
        life, self.receiver = self.receiver, None
        return self._kill(life)

    def said(self) -> Iterator[Said]:
        """Everything its processes reported."""
        for life in [*self.ended, self.sender, self.receiver]:
            if life is not None:
                if life not in self.ended:
                    life.listen()
                yield from life.said

    def _kill(self, life: Life | None) -> bool:
        if life is not None:
            life.kill()
            self.ended.append(life)
        return life is not None


class World:
    """One relay behind a proxy, and its people.

    Args:
        folder: Everything's files.
        ports: Of the relay, and of the proxy by which everybody knows it.
        people: By name.
    """

    def __init__(self, folder: Path, ports: tuple[int, int], people: dict[str, Person]) -> None:
        self.folder = folder
        self.people = people
        self._relay_port, self._proxy_port = ports
        self.proxy = Proxy(self._relay_port)
        self._relay: Life | None = None

    @property
    def data(self) -> Path:
        """The relay's data folder."""
        return self.folder / "relay"

    async def open(self) -> None:
        """Open the network."""
        await self.proxy.open(self._proxy_port)

    async def close(self) -> None:
        """Kill whatever lives."""
        for person in self.people.values():
            person.kill_sender()
            person.kill_receiver()
        self.kill_relay()
        await self.proxy.close()

    def start_relay(self) -> None:
        """Start the relay, unless it lives."""
        if self._relay is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            settings: dict[str, Any] = {
                **SETTINGS,
                "port": self._relay_port,
                "data": self.data,
                "origins": [f"http://localhost:{self._proxy_port}"],
            }
            self._relay = Life.begin("relay", driver.relay, self.folder / "relay.log", settings)

    def kill_relay(self) -> bool:
        """Kill it; False when it is dead already."""
        life, self._relay = self._relay, None
        if life is not None:
            life.kill()
        return life is not None

    def lives(self) -> list[Life]:
        """Return everything that should be running."""
        lives = [self._relay]
        for person in self.people.values():
            lives += [person.sender, person.receiver]
        return [life for life in lives if life is not None]

    async def relay_answers(self) -> None:
        """Wait for the relay's port."""
        self.start_relay()
        deadline = time.monotonic() + STARTING_SECONDS
        async with aiohttp.ClientSession() as http:
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.get(f"http://127.0.0.1:{self._relay_port}/healthz"):
                        return
                assert time.monotonic() < deadline, "the relay does not start"
                await asyncio.sleep(POLL_SECONDS)

    def copy_relay(self) -> None:
        """Copy the relay as its operator does, while it runs or not."""
        copy = self.folder / "copy"
        for file in (copy, copy.with_name("copy.secrets")):
            file.unlink(missing_ok=True)
        self._operate("backup", str(copy))

    def restore_relay(self) -> None:
        """Kill the relay and put the copy back as its operator does."""
        self.kill_relay()
        self._operate("restore", str(self.folder / "copy"), "--replace")

    def _operate(self, *command: str) -> None:
        done = subprocess.run(
            [*HALONYX, "relay", *command, "--data", str(self.data)], check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    def failures(self) -> list[str]:
        """Return what the relay logged as failures of its own."""
        log = (self.folder / "relay.log").read_text()
        return [line for line in log.splitlines() if "unexpected" in line or "Error" in line]

    def retained(self) -> int:
        """Return how many envelopes the relay holds."""
        return self._count("select count(*) from envelope")

    def repeated(self) -> int:
        """Return how many envelopes the relay holds more than once."""
        return self._count("select count(*) - count(distinct mailbox || hex(envelope_id)) from envelope")

    def _count(self, query: str) -> int:
        # Not read-only: after a kill the log has to be taken in first.
        connection = apsw.Connection(str(self.data / "app.db"), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.set_busy_timeout(BUSY_MS)
            found: int = connection.execute(query).get
            return found
        finally:
            connection.close()

    @contextlib.contextmanager
    def stores(self) -> Iterator[dict[str, Store]]:
        """Open everybody's store to look into it."""
        with contextlib.ExitStack() as opened:
            stores = {}
            for name, person in self.people.items():
                stores[name] = Store(person.home / STORE_FILE, person.key)
                opened.callback(stores[name].close)
            yield stores


@dataclass(slots=True)
class Template:
    """A world in which everybody has signed up and has everybody's card, to begin histories from.

    Attributes:
        ports: Fixed, because the origin is part of people's records: one history at a time.
    """

    folder: Path
    ports: tuple[int, int]
    keys: dict[str, bytes] = field(repr=False)

    @classmethod
    async def make(cls, folder: Path) -> "Template":
        """Sign everybody up."""
        template = cls(folder, (free_port(), free_port()), {})
        origin = f"http://localhost:{template.ports[1]}"
        world = World(folder, template.ports, {})
        await world.open()
        try:
            await world.relay_answers()
            for name in NAMES:
                await create_account(folder / name, origin, "a passphrase")
                template.keys[name] = load_key(folder / name, "a passphrase")
            await template._introduce()
        finally:
            await world.close()
        return template

    async def _introduce(self) -> None:
        stores = {name: Store(self.folder / name / STORE_FILE, key) for name, key in self.keys.items()}
        people = {name: Client(self.folder / name, store) for name, store in stores.items()}
        for (_, me), (name, other) in permutations(people.items(), 2):
            await me.contacts.add(other.card().uri(), name)
        for store in stores.values():
            for statement in WITNESS:
                store.execute(statement)
            store.close()

    @contextlib.asynccontextmanager
    async def world(self, folder: Path) -> AsyncIterator[World]:
        """Begin a history in `folder`; its files go with it."""
        shutil.copytree(self.folder, folder)
        people = {name: Person(name, folder / name, key) for name, key in self.keys.items()}
        world = World(folder, self.ports, people)
        await world.open()
        try:
            yield world
        finally:
            await world.close()
            shutil.rmtree(folder)


def pair(dice: random.Random) -> tuple[str, str]:
    """Draw who writes to whom."""
    first, second = dice.sample(NAMES, 2)
    return first, second


def text_command(to: str, number: int, dice: random.Random) -> Command:
    """Draw a message: mostly short, some over several envelope sizes."""
    size = dice.choice((0, 0, 0, 3_000, 12_000))
    return Command(to, f"{number} " + "x" * dice.randint(0, size), dice.choice((0.0, 0.1, 0.5)))
