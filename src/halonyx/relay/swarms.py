"""Who is in which swarm, within bounds: no socket, no clock, no torrent.

A swarm is SHA-256(info-hash ‖ token): whoever lacks the token is in another swarm, alone. Nothing here is ever stored
or logged; a peer is forgotten with its connection.

Source: spec/file-relay.md, "Tracker".
"""

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Generic, Protocol, TypeVar

from halonyx.core.primitives import sha256
from halonyx.wire.tracker import Announce, to_bytes

CALLING_SECONDS: Final = 3.0
_FLAGS: Final = (True, False)


class TrackerError(Enum):
    """Why a message is refused, as the peer is told."""

    MALFORMED = "malformed"
    TOO_MANY_MESSAGES = "too-many-messages"
    TOO_MANY_SWARMS = "too-many-swarms"
    SWARM_FULL = "swarm-full"
    BUSY = "busy"
    NOT_ANNOUNCED = "not-announced"
    UNKNOWN_PEER = "unknown-peer"


class Refusal(Exception):
    """An announce that changes nothing."""

    def __init__(self, reason: TrackerError) -> None:
        super().__init__(reason.value)
        self.reason = reason


class Member(Protocol):
    """A connection, as a swarm sees it."""

    network: str


M = TypeVar("M", bound=Member)


@dataclass(frozen=True, slots=True)
class Bounds:
    """The operator's: peers of all swarms, peers of one, swarms of one client's network."""

    peers: int
    peers_per_swarm: int
    swarms_per_client: int


@dataclass(slots=True)
class _Peer(Generic[M]):
    member: M
    is_complete: bool
    callers: dict[bytes, float] = field(default_factory=dict)
    """Who had an offer for it lately, and when."""


class Swarms(Generic[M]):
    """All swarms.

    Args:
        bounds: Most of everything.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._swarms: dict[bytes, dict[bytes, _Peer[M]]] = {}
        self._places: dict[M, set[tuple[bytes, bytes]]] = {}
        self._networks: Counter[str] = Counter()
        self.peers = 0

    def __len__(self) -> int:
        return len(self._swarms)

    def enter(self, member: M, swarm: bytes, announce: Announce, now: float) -> list[bytes]:
        """Put a peer into its swarm, or note what it has by now; return who is worth an offer, in no order.

        Whoever had an offer for this peer within CALLING_SECONDS gets none back: of two connections between them, each
        would close the one that the other keeps.

        A peer id that is there already belongs to the newest connection: it is the same person after a change of
        network, whose old socket has not been missed yet.

        Raises:
            Refusal: A bound is reached.
        """
        name = to_bytes(announce.peer_id)
        known = self._swarms.get(swarm, {}).get(name)
        if known is None or known.member is not member:
            self._demand_room(member, swarm, is_new=known is None)
            if known is not None:
                self._remove(known.member, swarm, name)
            self._swarms.setdefault(swarm, {})[name] = _Peer(member, announce.is_complete)
            self._places.setdefault(member, set()).add((swarm, name))
            self._networks[member.network] += 1
            self.peers += 1
        else:
            known.is_complete = announce.is_complete
        callers = self._swarms[swarm][name].callers
        return [
            other
            for other, peer in self._swarms[swarm].items()
            if other != name
            and not (announce.is_complete and peer.is_complete)  # two with everything: no use
            and callers.get(other, now - CALLING_SECONDS) + CALLING_SECONDS <= now
        ]

    def call(self, swarm: bytes, announce: Announce, other: bytes, now: float) -> M:
        """Note that a peer has an offer for another one of its swarm, and return that."""
        callee = self._swarms[swarm][other]
        callee.callers = {name: at for name, at in callee.callers.items() if at + CALLING_SECONDS > now}
        callee.callers[to_bytes(announce.peer_id)] = now
        return callee.member

    def _demand_room(self, member: M, swarm: bytes, *, is_new: bool) -> None:
        bounds = self._bounds
        if is_new and len(self._swarms.get(swarm, ())) >= bounds.peers_per_swarm:
            raise Refusal(TrackerError.SWARM_FULL)
        if self._networks[member.network] >= bounds.swarms_per_client:
            raise Refusal(TrackerError.TOO_MANY_SWARMS)
        if is_new and self.peers >= bounds.peers:
            raise Refusal(TrackerError.BUSY)

    def answered(self, member: M, swarm: bytes, announce: Announce) -> M:
        """Return the peer an answer is for.

        Raises:
            Refusal: The one who answers is not in this swarm under this name, or the other one is not.
        """
        if (swarm, to_bytes(announce.peer_id)) not in self._places.get(member, ()):
            raise Refusal(TrackerError.NOT_ANNOUNCED)
        peer = self._swarms[swarm].get(to_bytes(announce.to_peer_id or ""))
        if peer is None:
            raise Refusal(TrackerError.UNKNOWN_PEER)
        return peer.member

    def leave(self, member: M, swarm: bytes, peer_id: str) -> None:
        """Take a peer out of a swarm, if this connection brought it."""
        place = (swarm, to_bytes(peer_id))
        if place in self._places.get(member, ()):
            self._remove(member, *place)

    def gone(self, member: M) -> None:
        """Forget a connection with all its peers."""
        for swarm, name in tuple(self._places.get(member, ())):
            self._remove(member, swarm, name)

    def counts(self, swarm: bytes) -> tuple[int, int]:
        """Return how many peers have everything, and how many don't."""
        flags = Counter(peer.is_complete for peer in self._swarms.get(swarm, {}).values())
        complete, incomplete = (flags[flag] for flag in _FLAGS)
        return complete, incomplete

    def _remove(self, member: M, swarm: bytes, name: bytes) -> None:
        peers, places = self._swarms[swarm], self._places[member]
        del peers[name]
        if not peers:
            del self._swarms[swarm]
        places.discard((swarm, name))
        if not places:
            del self._places[member]
        self._networks[member.network] -= 1
        if not self._networks[member.network]:
            del self._networks[member.network]
        self.peers -= 1


def swarm_of(info_hash: str, token: bytes) -> bytes:
    """Return the name of a swarm, 32 bytes."""
    return sha256(to_bytes(info_hash) + token)
