"""The relay of each test: a process of `demo/lying_relay` that tells the lie the test is marked with."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import keyring
import pytest

from client.homes import MemoryKeyring, Pair, two_people
from hostile.liars import Expected, Liar, expected
from relay_process import RelayProcess, free_port


@pytest.fixture(scope="session", autouse=True)
def memory_keyring() -> Iterator[None]:
    former = keyring.get_keyring()
    keyring.set_keyring(MemoryKeyring())
    yield
    keyring.set_keyring(former)


@pytest.fixture
def liar(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Liar]:
    """A relay that is honest until `begin`."""
    lie = request.node.get_closest_marker("lie").args[0]
    switch, cards = tmp_path / "lying", tmp_path / "cards"
    program = ("lying_relay", lie, "--cards", str(cards), "--while", str(switch))
    relay = RelayProcess(free_port(), tmp_path / "relay", {}, program)
    relay.start()
    row = expected()[lie]["python"]
    yield Liar(relay, switch, cards, Expected(row["state"], row["notices"]))
    relay.kill()


@pytest.fixture
async def pair(liar: Liar, tmp_path: Path) -> AsyncIterator[Pair]:
    """Alice and Bob, who added each other's card and have not written yet."""
    async with two_people(tmp_path, (liar.origin, liar.origin)) as made:
        yield made
