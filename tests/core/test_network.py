"""Two to four devices on a network that drops, repeats, reorders and forges; some lose time, some their last steps.

Each machine takes 5,000 steps, so that the two together take 10,000.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core.people import NOW, Person, key_pair, make_person, seed
from halonyx.core.errors import RemoteError, Replay, UnknownPrekey, UnknownSession
from halonyx.core.handshake import Handshake, PrekeyPrivates, accept, encapsulate, initiate
from halonyx.core.kdf import kdf_chain, kdf_message
from halonyx.core.prekeys import ONE_TIME_LIFETIME, Prekey, PrekeyUse, sign_prekey
from halonyx.core.primitives import KemKeyPair, KeyPair
from halonyx.core.ratchet import MAX_SKIPPED, SALT_SIZE, Ratchet, decrypt
from halonyx.core.session import (
    MAX_ARCHIVED,
    Initiated,
    SessionMessage,
    Sessions,
    adopt,
    begin,
    encode_sessions,
    find,
    parse_sessions,
    receive,
    replace_sending,
    seal,
)
from halonyx.core.types import DAY, HOUR, MINUTE, Millis, PrekeyId, SessionId

NAMES: Final = ("alice", "bob", "carol", "dave")
ONE_TIME_IDS: Final = tuple(PrekeyId(number) for number in range(101, 105))
KEM_IDS: Final = tuple(PrekeyId(number) for number in range(201, 203))  # fewer: all four kinds of handshake occur
NO_RESET: Final = SessionId(bytes(8))
# One sends, five are archived: the next handshake may evict a session that messages are still under way for.
SESSIONS_KEPT: Final = 1 + MAX_ARCHIVED


@dataclass(frozen=True)
class Stock:
    """A device's one-time prekeys, published and private."""

    published: dict[PrekeyId, Prekey]
    one_time: dict[PrekeyId, KeyPair]
    kem: dict[PrekeyId, KemKeyPair]


@cache
def stock_of(name: str) -> Stock:
    person = make_person(name)
    one_time = {number: key_pair(f"{name} {number}") for number in ONE_TIME_IDS}
    kem = {number: KemKeyPair.from_seed_1024(seed(f"{name} {number}", 64)) for number in KEM_IDS}
    publics = [(PrekeyUse.ONE_TIME, number, pair.public.raw) for number, pair in one_time.items()]
    publics += [(PrekeyUse.ONE_TIME_KEM, number, pair.public.raw) for number, pair in kem.items()]
    expiry = Millis(NOW + ONE_TIME_LIFETIME)
    published = {number: sign_prekey(person.device, use, number, expiry, key) for use, number, key in publics}
    return Stock(published, one_time, kem)


@dataclass
class State:
    """What a device keeps: everything that one transaction changes together."""

    sessions: dict[str, Sessions] = field(default_factory=dict)
    one_time: dict[PrekeyId, KeyPair] = field(default_factory=dict)
    kem: dict[PrekeyId, KemKeyPair] = field(default_factory=dict)
    replays: frozenset[bytes] = frozenset()
    used: frozenset[PrekeyId] = frozenset()
    received: frozenset[bytes] = frozenset()

    def copy(self) -> "State":
        """Copy through the stored form, as a restart does."""
        sessions = {name: parse_sessions(encode_sessions(held)) for name, held in self.sessions.items()}
        return replace(self, sessions=sessions, one_time=dict(self.one_time), kem=dict(self.kem))

    def frozen(self) -> tuple[object, ...]:
        """Return everything as values, so that any change shows."""
        sessions = [(name, encode_sessions(held)) for name, held in self.sessions.items()]
        return sessions, set(self.one_time), set(self.kem), self.replays, self.used, self.received


@dataclass
class Node:
    """One device."""

    person: Person
    state: State
    saved: State
    failed: dict[str, SessionId] = field(default_factory=dict)

    def held(self, name: str) -> Sessions:
        return self.state.sessions.get(name, Sessions())

    def session_ids(self, name: str) -> list[SessionId]:
        held = self.held(name)
        sessions = [held.sending] if held.sending else []
        return [session.ratchet.session_id for session in (*sessions, *(old.session for old in held.archived))]

    def seal(self, name: str, plaintext: bytes) -> tuple[bytes, tuple[bytes, bytes]]:
        """Encrypt; return the bytes, and the AES key and nonce that were used."""
        session = self.held(name).sending
        assert session is not None
        assert session.ratchet.sending is not None
        salt = os.urandom(SALT_SIZE)
        used = kdf_message(kdf_chain(session.ratchet.sending.key)[1], salt)
        session, encoded = seal(session, plaintext, salt)
        self.state.sessions[name] = replace_sending(self.held(name), session)
        return encoded, used

    def open(self, sender: Person, data: bytes, now: Millis) -> bytes:
        """Receive as a client does: compute everything, then store it at once."""
        parsed = SessionMessage.parse(data)
        held = self.held(sender.name)
        if find(held, parsed.message.session_id, now) is not None:
            after, plaintext = receive(held, parsed.message, KeyPair.generate(), now)
            self._store(sender.name, after, plaintext)
            return plaintext
        if parsed.handshake is None:
            raise UnknownSession("neither a session nor a handshake")
        privates = self._privates(parsed.handshake)
        ratchet = accept(self.person.device, sender.peer, parsed.handshake, privates)
        ratchet, plaintext = decrypt(ratchet, parsed.message, KeyPair.generate(), now)
        fingerprints = (self.person.device.fingerprint, sender.device.fingerprint)
        resets = SessionId(plaintext[:8])
        self._store(sender.name, adopt(held, ratchet, fingerprints, resets, now), plaintext)
        self._delete(parsed.handshake)
        return plaintext

    def _store(self, name: str, sessions: Sessions, plaintext: bytes) -> None:
        self.state.sessions[name] = sessions
        assert plaintext not in self.state.received, "opened twice"
        self.state.received |= {plaintext}

    def _privates(self, handshake: Handshake) -> PrekeyPrivates:
        own = self.person.prekeys
        if not handshake.is_one_time and handshake.replay_key() in self.state.replays:
            raise Replay("seen before")
        one_time = self.state.one_time.get(handshake.one_time) if handshake.one_time else None
        kem = own.last_resort if handshake.uses_last_resort else self.state.kem.get(handshake.kem)
        if kem is None or (one_time is None) != (handshake.one_time is None):
            raise UnknownPrekey("not, or no longer, ours")
        return PrekeyPrivates(own.signed, one_time, kem)

    def _delete(self, handshake: Handshake) -> None:
        if handshake.one_time is not None:
            del self.state.one_time[handshake.one_time]
            self.state.used |= {handshake.one_time}
        if not handshake.uses_last_resort:
            del self.state.kem[handshake.kem]
            self.state.used |= {handshake.kem}
        if not handshake.is_one_time:
            self.state.replays |= {handshake.replay_key()}


@dataclass(frozen=True)
class Packet:
    """Something under way."""

    sender: str
    recipient: str
    data: bytes
    plaintext: bytes


class Network(RuleBasedStateMachine):
    """Devices that keep their state and their clock: whatever arrives for the first time opens."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes: dict[str, Node] = {}
        self.packets: list[Packet] = []
        self.now = NOW
        self.counter = 0
        self.used_keys: set[tuple[bytes, bytes]] = set()
        self.unpublished: dict[str, list[PrekeyId]] = {}
        self.handshakes: dict[frozenset[str], int] = {}
        self.amnesiac: set[str] = set()

    @initialize(count=st.integers(2, 4))
    def start(self, count: int) -> None:
        for name in NAMES[:count]:
            stock = stock_of(name)
            state = State(one_time=dict(stock.one_time), kem=dict(stock.kem))
            self.nodes[name] = Node(make_person(name), state, state.copy())
            self.unpublished[name] = [*ONE_TIME_IDS, *KEM_IDS]

    # --- what devices do

    @rule(pair=st.integers(0, 11), count=st.integers(1, 3))
    def send(self, pair: int, count: int) -> None:
        sender, recipient = self.pair(pair)
        for _ in range(count):
            self.submit(sender, recipient)

    @rule(pair=st.integers(0, 11), which=st.integers(0, 6))
    def reset(self, pair: int, which: int) -> None:
        """Begin anew, naming one of the sessions or none."""
        sender, recipient = self.pair(pair)
        ids = [NO_RESET, *sender.session_ids(recipient.person.name)]
        self.begin(sender, recipient)
        self.submit(sender, recipient, ids[which % len(ids)])

    # --- what the network does

    @precondition(lambda self: self.packets)
    @rule(at=st.integers(0, 99))
    def deliver(self, at: int) -> None:
        self.arrive(self.packets.pop(at % len(self.packets)))

    @precondition(lambda self: self.packets)
    @rule()
    def deliver_all(self) -> None:
        for packet in self.take_all():
            self.arrive(packet)

    @precondition(lambda self: self.packets)
    @rule(at=st.integers(0, 99))
    def repeat(self, at: int) -> None:
        self.arrive(self.packets[at % len(self.packets)])

    @precondition(lambda self: self.packets)
    @rule(at=st.integers(0, 99))
    def drop(self, at: int) -> None:
        self.packets.pop(at % len(self.packets))

    @precondition(lambda self: self.packets)
    @rule(at=st.integers(0, 99), bit=st.integers(0, 2**16), size=st.sampled_from([120, 2000]))
    def flip_a_bit(self, at: int, bit: int, size: int) -> None:
        """Flip one bit: of the ratchet message, or of anything with the handshake before it."""
        packet = self.packets[at % len(self.packets)]
        place = -1 - bit // 8 % min(size, len(packet.data))
        data = bytearray(packet.data)
        data[place] ^= 1 << bit % 8
        self.arrive(replace(packet, data=bytes(data)), forged=True)

    @precondition(lambda self: self.packets)
    @rule(at=st.integers(0, 99), other=st.integers(0, 99), cut=st.sampled_from([35, 48, 67, 1616, 1683]))
    def splice(self, at: int, other: int, cut: int) -> None:
        """Put the front of one message before the end of another."""
        packet = self.packets[at % len(self.packets)]
        whole = self.packets[other % len(self.packets)].data
        data = whole[:cut] + packet.data[cut:]
        if data != whole:
            self.arrive(replace(packet, data=data), forged=data != packet.data)

    @precondition(lambda self: self.packets)
    @rule(at=st.integers(0, 99), pair=st.integers(0, 11))
    def misdeliver(self, at: int, pair: int) -> None:
        """Deliver under another sender's name, or to another device, or back to its sender."""
        packet = self.packets[at % len(self.packets)]
        sender, recipient = self.pair(pair)
        names = (sender.person.name, recipient.person.name)
        if names != (packet.sender, packet.recipient):
            before = recipient.state.frozen()
            with pytest.raises(RemoteError):
                recipient.open(sender.person, packet.data, self.now)
            assert recipient.state.frozen() == before

    # --- what always holds

    @invariant()
    def what_is_kept_is_bounded(self) -> None:
        for node in self.nodes.values():
            for held in node.state.sessions.values():
                assert len(held.archived) <= MAX_ARCHIVED
                for ratchet in ratchets_of(held):
                    assert len(ratchet.skipped) <= MAX_SKIPPED

    @invariant()
    def used_one_time_prekeys_are_gone(self) -> None:
        for node in self.nodes.values():
            assert node.state.used.isdisjoint(node.state.one_time.keys() | node.state.kem.keys())

    def teardown(self) -> None:
        """The network heals: what is under way arrives, and every two devices can talk."""
        for packet in self.take_all():
            self.arrive(packet)
        for sender, recipient in self.pairs():
            if sender.held(recipient.person.name).sending is not None:
                self.talk(sender, recipient)

    # --- how

    def pairs(self) -> list[tuple[Node, Node]]:
        nodes = list(self.nodes.values())
        return [(sender, recipient) for sender in nodes for recipient in nodes if sender is not recipient]

    def pair(self, number: int) -> tuple[Node, Node]:
        pairs = self.pairs()
        return pairs[number % len(pairs)]

    def begin(self, sender: Node, recipient: Node) -> None:
        """Fetch a bundle, each one-time prekey once, and run our half of the handshake."""
        name = recipient.person.name
        stock, left = stock_of(name), self.unpublished[name]
        one_time = next((number for number in left if number in stock.one_time), None)
        kem = next((number for number in left if number in stock.kem), None)
        self.unpublished[name] = [number for number in left if number not in (one_time, kem)]
        bundle = recipient.person.prekeys.bundle(one_time=False)
        bundle = replace(
            bundle,
            one_time=stock.published[one_time] if one_time else None,
            kem=stock.published[kem] if kem else bundle.kem,
        )
        bundle.verify(recipient.person.device.device.signing_key, recipient.person.device.fingerprint, NOW)
        fresh = (KeyPair.generate(), KeyPair.generate())
        handshake, ratchet = initiate(sender.person.device, recipient.person.peer, bundle, fresh, encapsulate(bundle))
        sender.state.sessions[name] = begin(sender.held(name), Initiated(ratchet, handshake), self.now)
        both = frozenset({sender.person.name, name})
        self.handshakes[both] = self.handshakes.get(both, 0) + 1

    def submit(self, sender: Node, recipient: Node, resets: SessionId = NO_RESET) -> Packet:
        """Encrypt a text of its own and put it on the network."""
        if sender.held(recipient.person.name).sending is None:
            self.begin(sender, recipient)
        self.counter += 1
        plaintext = resets + f"{sender.person.name} to {recipient.person.name}, {self.counter}".encode()
        data, used = sender.seal(recipient.person.name, plaintext)
        assert used not in self.used_keys, "an AES key and nonce used twice"
        self.used_keys.add(used)
        self.packets.append(Packet(sender.person.name, recipient.person.name, data, plaintext))
        return self.packets[-1]

    def take_all(self) -> list[Packet]:
        packets, self.packets = self.packets, []
        return packets

    def arrive(self, packet: Packet, *, forged: bool = False) -> bool:
        """Hand a packet to its recipient; whatever it opens is what was sent, and what it refuses changes nothing."""
        sender, recipient = self.nodes[packet.sender], self.nodes[packet.recipient]
        is_new = packet.plaintext not in recipient.state.received
        before = recipient.state.frozen()
        try:
            plaintext = recipient.open(sender.person, packet.data, self.now)
        except RemoteError:
            assert recipient.state.frozen() == before
            assert forged or not is_new or not self.is_sound(packet), "a message was lost"
            if not forged:
                recipient.failed[packet.sender] = named_session(packet.data)
            return False
        assert plaintext == packet.plaintext
        assert is_new
        return True

    def is_sound(self, packet: Packet) -> bool:
        """Tell whether nothing happened that may cost messages."""
        both = frozenset({packet.sender, packet.recipient})
        return self.now == NOW and not both & self.amnesiac and self.handshakes[both] <= SESSIONS_KEPT

    def talk(self, ours: Node, theirs: Node) -> None:
        """Write back and forth, asking for a new session where one fails; soon every message must arrive."""
        for _ in range(4):
            arrived = [self.arrive(self.final(ours, theirs)), self.arrive(self.final(theirs, ours))]
            for sender, recipient in ((ours, theirs), (theirs, ours)):
                if (failed := sender.failed.pop(recipient.person.name, None)) is not None and not all(arrived):
                    self.begin(sender, recipient)
                    self.arrive(self.final(sender, recipient, failed))
        assert all(arrived)

    def final(self, sender: Node, recipient: Node, resets: SessionId = NO_RESET) -> Packet:
        self.submit(sender, recipient, resets)
        return self.packets.pop()


def named_session(data: bytes) -> SessionId:
    return SessionMessage.parse(data).message.session_id


def ratchets_of(held: Sessions) -> Iterator[Ratchet]:
    if held.sending is not None:
        yield held.sending.ratchet
    for old in held.archived:
        yield old.session.ratchet


class HarshNetwork(Network):
    """Clocks jump, and devices are restored from an old copy: messages may be lost, but nothing else breaks."""

    @rule(jump=st.sampled_from([MINUTE, HOUR, 73 * HOUR, 31 * DAY]))
    def wait(self, jump: int) -> None:
        self.now = Millis(self.now + jump)

    @rule(number=st.integers(0, 3))
    def save(self, number: int) -> None:
        node = self.node(number)
        node.saved = node.state.copy()

    @rule(number=st.integers(0, 3))
    def restore(self, number: int) -> None:
        node = self.node(number)
        node.state = node.saved.copy()
        self.amnesiac.add(node.person.name)

    def node(self, number: int) -> Node:
        return list(self.nodes.values())[number % len(self.nodes)]


BUDGET = settings(
    max_examples=100,
    stateful_step_count=50,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)

TestNetwork = Network.TestCase
TestNetwork.settings = BUDGET
TestHarshNetwork = HarshNetwork.TestCase
TestHarshNetwork.settings = BUDGET
