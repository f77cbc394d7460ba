"""One relay and one pair of acquainted people for the whole suite; whoever needs more makes their own."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from command_line import Person, introduce, sign_up
from relay_process import RelayProcess, running_relay


@dataclass(frozen=True, slots=True)
class Pair:
    """Two people who added each other."""

    alice: Person
    bob: Person


@pytest.fixture(scope="session")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    with running_relay(tmp_path_factory.mktemp("relay")) as started:
        yield started


@pytest.fixture(scope="session")
def pair(relay: RelayProcess, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("people")
    made = Pair(sign_up(folder / "alice", relay.origin), sign_up(folder / "bob", relay.origin))
    introduce(made.alice, "alice", made.bob, "bob")
    return made


@pytest.fixture
def newcomer(relay: RelayProcess, tmp_path: Path) -> Person:
    """Someone without an account yet."""
    return Person(tmp_path / "newcomer", relay.origin)
