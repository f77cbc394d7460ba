"""Whoever comes and goes, in whatever order: swarms stay within bounds, and nobody is met who was not there."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from halonyx.relay.swarms import CALLING_SECONDS, Bounds, Refusal, Swarms, TrackerError, swarm_of
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
        self.called: dict[tuple[bytes, bytes, str], float] = {}
        self.now = 0.0

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
        entered = announce(name, of, left=left)
        names = self._tried(lambda: self.swarms.enter(person, swarm, entered, self.now))
        if isinstance(names, TrackerError):
            assert names in REASONS
            return
        if self.there.get((swarm, name)) is not person:  # nobody has called this one yet
            self.called = {call: at for call, at in self.called.items() if (call[0], call[2]) != (swarm, name)}
        self.there[swarm, name] = person
        others = [self.swarms.call(swarm, entered, other, self.now) for other in names]
        assert others == [self.there[swarm, other.decode()[0]] for other in names], "nobody who is not there"
        assert all(other.token == person.token for other in others), "whoever is met has the token"
        for other in names:
            assert self.called.get((swarm, other, name), -CALLING_SECONDS) + CALLING_SECONDS <= self.now
            self.called[swarm, (name * 20).encode(), other.decode()[0]] = self.now

    @rule(seconds=st.sampled_from([0.5, CALLING_SECONDS]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

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


def test_of_two_who_call_each_other_at_once_one_does() -> None:
    """Else each would close the connection that the other keeps."""
    swarms: Swarms[Somebody] = Swarms(BOUNDS)
    alice, bob = Somebody("a", TOKENS[0]), Somebody("b", TOKENS[0])
    swarm = swarm_of("x" * 20, TOKENS[0])
    of_alice, of_bob = announce("p", "x", left=0), announce("q", "x")
    assert swarms.enter(alice, swarm, of_alice, 0) == []

    (called,) = swarms.enter(bob, swarm, of_bob, 0)
    assert swarms.call(swarm, of_bob, called, 0) is alice
    assert swarms.enter(alice, swarm, of_alice, CALLING_SECONDS - 0.1) == []
    assert swarms.enter(bob, swarm, of_bob, CALLING_SECONDS - 0.1) == [b"p" * 20]  # the one who called may try again

    assert swarms.enter(alice, swarm, of_alice, CALLING_SECONDS) == [b"q" * 20]
