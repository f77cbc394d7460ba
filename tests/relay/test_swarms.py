"""Whoever comes and goes, in whatever order: swarms stay within bounds, and nobody is met who was not there."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from halonyx.relay.swarms import Bounds, Refusal, Swarms, TrackerError, swarm_of
from halonyx.wire.tracker import Announce, Answer

T = TypeVar("T")
BOUNDS = Bounds(peers=6, peers_per_swarm=3, swarms_per_client=4)
NETWORKS, NAMES, HASHES, TOKENS = "ab", "pqrst", "xy", (b"0" * 16, b"1" * 16)
REASONS = {TrackerError.SWARM_FULL, TrackerError.TOO_MANY_SWARMS, TrackerError.BUSY}


@dataclass(eq=False)
class Somebody:
    """A connection of one network, with one token."""

    network: str
    token: bytes
    places: set[tuple[bytes, str]] = field(default_factory=set)


def announce(name: str, of: str, *, left: int = 1, to: str | None = None) -> Announce:
    answer = Answer(type="answer", sdp="") if to else None
    return Announce(
        action="announce",
        info_hash=of * 20,
        peer_id=name * 20,
        left=left,
        answer=answer,
        to_peer_id=to * 20 if to else None,
    )


class Coming(RuleBasedStateMachine):
    """Swarms beside a list of who should be where."""

    def __init__(self) -> None:
        super().__init__()
        self.swarms: Swarms[Somebody] = Swarms(BOUNDS)
        self.people = [Somebody(network, token) for network in NETWORKS for token in TOKENS for _ in range(2)]
        self.there: dict[tuple[bytes, str], Somebody] = {}

    @staticmethod
    def _tried(step: Callable[[], T]) -> T | TrackerError:
        try:
            return step()
        except Refusal as refusal:
            return refusal.reason

    @rule(who=st.integers(0, 7), name=st.sampled_from(NAMES), of=st.sampled_from(HASHES), left=st.integers(0, 1))
    def enter(self, who: int, name: str, of: str, left: int) -> None:
        person = self.people[who]
        swarm = swarm_of(of * 20, person.token)
        others = self._tried(lambda: self.swarms.enter(person, swarm, announce(name, of, left=left)))
        if isinstance(others, TrackerError):
            assert others in REASONS
            return
        self.there[swarm, name] = person
        assert all(other.token == person.token for other in others), "whoever is met has the token"
        assert all((swarm, any_) in self.there for any_ in NAMES if self.there.get((swarm, any_)) in others)

    @rule(who=st.integers(0, 7), name=st.sampled_from(NAMES), of=st.sampled_from(HASHES), to=st.sampled_from(NAMES))
    def answer(self, who: int, name: str, of: str, to: str) -> None:
        person = self.people[who]
        swarm = swarm_of(of * 20, person.token)
        met = self._tried(lambda: self.swarms.answered(person, swarm, announce(name, of, to=to)))
        if self.there.get((swarm, name)) is not person:
            assert met is TrackerError.NOT_ANNOUNCED
        else:
            assert met is self.there.get((swarm, to), TrackerError.UNKNOWN_PEER)

    @rule(who=st.integers(0, 7), name=st.sampled_from(NAMES), of=st.sampled_from(HASHES))
    def leave(self, who: int, name: str, of: str) -> None:
        person = self.people[who]
        swarm = swarm_of(of * 20, person.token)
        self.swarms.leave(person, swarm, name * 20)
        if self.there.get((swarm, name)) is person:
            del self.there[swarm, name]

    @rule(who=st.integers(0, 7))
    def gone(self, who: int) -> None:
        self.swarms.gone(self.people[who])
        self.there = {place: person for place, person in self.there.items() if person is not self.people[who]}

    @invariant()
    def within_bounds(self) -> None:
        assert self.swarms.peers == len(self.there) <= BOUNDS.peers
        assert len(self.swarms) == len({swarm for swarm, _ in self.there})
        for swarm in {swarm for swarm, _ in self.there}:
            assert (
                sum(self.swarms.counts(swarm)) == sum(one == swarm for one, _ in self.there) <= BOUNDS.peers_per_swarm
            )
        for network in NETWORKS:
            assert sum(person.network == network for person in self.there.values()) <= BOUNDS.swarms_per_client


test_swarms = Coming.TestCase
