"""Relays that lie, as processes, and what is expected of each lie: one file for all tests and for the table."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from halonyx.client import Client, Event, Notice
from relay_process import RelayProcess

ROOT: Final = Path(__file__).parents[2]
DEMO: Final = ROOT / "demo"
EXPECTED: Final = Path(__file__).parent / "lies.json"


@dataclass(frozen=True, slots=True)
class Expected:
    """What a lie comes to.

    Attributes:
        state: How far the message got that it was about, and the code of what it waits for.
        notices: Kind and code of what people are told, in the order of their names.
    """

    state: str
    notices: list[str]


def expected() -> dict[str, dict[str, Any]]:
    """Return what stands in the file, by lie."""
    rows: dict[str, dict[str, Any]] = json.loads(EXPECTED.read_text(encoding="utf-8"))["lies"]
    return rows


@dataclass(frozen=True, slots=True)
class Liar:
    """A relay that lies from `begin` to `end`."""

    relay: RelayProcess
    switch: Path
    cards: Path
    expected: Expected

    @property
    def origin(self) -> str:
        return self.relay.origin

    def begin(self, *cards: Client) -> None:
        """Lie from now on, with the cards of these people."""
        self.cards.write_text("\n".join(client.card().uri() for client in cards))
        self.switch.touch()

    def end(self) -> None:
        self.switch.unlink()

    def comes_to(self, state: str, *told: Sequence[Event]) -> None:
        """Check what became of the message, and everything that anybody was told; that it was delivered is no news."""
        notices = {said(event) for events in told for event in events if isinstance(event, Notice)} - {"delivered"}
        found = Expected(state, sorted(notices))
        assert found == self.expected, f"{found}, and not {self.expected}"


def said(notice: Notice) -> str:
    return f"{notice.kind} {notice.data['code']}" if "code" in notice.data else notice.kind
