"""One relay for the whole suite, a keyring in memory, and a fresh pair of people for each test that asks for one."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import keyring
import pytest

from client.front import Front, running_front
from client.homes import Mailboxes, MemoryKeyring, Pair, two_people
from relay_process import RelayProcess, free_port


@pytest.fixture(scope="session", autouse=True)
def memory_keyring() -> Iterator[MemoryKeyring]:
    former = keyring.get_keyring()
    mine = MemoryKeyring()
    keyring.set_keyring(mine)
    yield mine
    keyring.set_keyring(former)


@pytest.fixture(scope="session")
def front_port() -> int:
    return free_port()


@pytest.fixture(scope="session")
def relay(tmp_path_factory: pytest.TempPathFactory, front_port: int) -> Iterator[RelayProcess]:
    """A relay that also answers to the origin of the server that tests put in front of it."""
    relay = RelayProcess(free_port(), tmp_path_factory.mktemp("relay") / "relay")
    origins = [relay.origin, f"http://localhost:{front_port}"]
    relay.settings = {"HALONYX_ORIGINS": json.dumps(origins)}
    relay.start()
    yield relay
    if relay.is_running:
        relay.stop()


@pytest.fixture(scope="session")
def mailboxes(relay: RelayProcess) -> Mailboxes:
    return Mailboxes(relay)


@pytest.fixture
async def front(relay: RelayProcess, front_port: int) -> AsyncIterator[Front]:
    async with running_front(relay, front_port) as started:
        yield started


@pytest.fixture
async def pair(relay: RelayProcess, tmp_path: Path) -> AsyncIterator[Pair]:
    """Alice and Bob, who added each other's card and have not written yet."""
    async with two_people(tmp_path, (relay.origin, relay.origin)) as made:
        yield made


@pytest.fixture
async def fronted(front: Front, tmp_path: Path) -> AsyncIterator[Pair]:
    """The same, both at the origin of the server in front of the relay."""
    async with two_people(tmp_path, (front.origin, front.origin)) as made:
        yield made


@pytest.fixture
async def strangers(relay: RelayProcess, tmp_path: Path) -> AsyncIterator[Pair]:
    """Alice, who added Bob's card, and Bob, who has never heard of her."""
    async with two_people(tmp_path, (relay.origin, relay.origin), introduced=False) as made:
        await made.alice.contacts.add(made.bob.card().uri(), "bob")
        yield made
