"""A history: seeded faults while people write to each other, then healing, then the count.

Checked at the end, from the files alone: what one person's store holds as written to another is exactly what the
other's history holds of them, in that order, once each; whatever a process was told is in its store; the relay's
mailboxes and everybody's outboxes are empty; and nobody ever saw a hole in the counters.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import permutations
from typing import Final

from halonyx.client.store import Store
from journeys.world import NAMES, Person, World, pair, text_command

KILLS: Final = 16  # a history
LONGEST_LIFE: Final = 0.25
AIMED: Final = 0.6  # of the other faults, at the moment in which an envelope is taken in
TAKING_IN: Final = 0.006
RESTORES_ONE_IN: Final = 4
COPY_AFTER: Final = 3  # kills
RESTORE_AFTER: Final = 9
QUIET_SECONDS: Final = 120  # only a test that fails takes as long
QUIET_AFTER_RESTORE_SECONDS: Final = 180  # a gap is asked for after ten, by every pair in its turn
LOOK_SECONDS: Final = 0.2
SEALED: Final = "SELECT sent_counter FROM devices JOIN contacts ON contacts.id = contact WHERE name = ?"
WAITING: Final = ("outbox", "receipts_due", "held", "gaps", "events")


@dataclass(slots=True)
class Outcome:
    """What became of a history.

    Attributes:
        faults: How many of each kind.
        wrong: What should not be; empty is good.
        log: What was done, with seconds since the start.
    """

    seed: int
    faults: Counter[str] = field(default_factory=Counter)
    messages: int = 0
    is_restored: bool = False
    seconds: float = 0
    wrong: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    @property
    def kills(self) -> int:
        """SIGKILLs, of whatever."""
        return sum(count for name, count in self.faults.items() if name.startswith("kill "))


class History:
    """One seeded run.

    Args:
        world: Fresh.
        seed: Decides who writes, what breaks and when; the machine's own timing decides the rest.
    """

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._dice = random.Random(seed)  # noqa: S311 (to be repeated, not to be secret)
        self._began = time.monotonic()
        self._has_copy = False
        self._sealed: dict[tuple[str, str], int] = {}
        self._restores = seed % RESTORES_ONE_IN == 0
        self.outcome = Outcome(seed)

    async def run(self) -> Outcome:
        """Play it through."""
        outcome = self.outcome
        await self._world.relay_answers()
        while outcome.kills < KILLS or (self._restores and not outcome.is_restored):
            await self._step()
        await self._come_back()
        await self._heal()
        await self._wait_until_quiet()
        self._check()
        outcome.seconds = time.monotonic() - self._began
        return outcome

    # Faults

    async def _step(self) -> None:
        """Let somebody write, and something break while they do."""
        dice = self._dice
        self._revive(0.4 if self._restores else 0.7)
        for _ in range(dice.randint(0, 3)):
            self._write(*pair(dice), dice.randint(1, 3))
        weights = self._weights()
        fault = dice.choices(list(weights), weights=list(weights.values()))[0]
        if fault == "kill sender":
            await self._kill_sender()
            return
        if dice.random() < AIMED:
            await self._world.proxy.envelopes_pass(dice.randint(1, 4), 2 * LONGEST_LIFE)
            await asyncio.sleep(dice.uniform(0, TAKING_IN))
        else:
            await asyncio.sleep(dice.uniform(0, LONGEST_LIFE))
        self._note(fault, happened=await self._break(fault))

    async def _kill_sender(self) -> None:
        """Kill somebody who has much to seal and to send."""
        name, to = pair(self._dice)
        self._write(name, to, self._dice.randint(1, 5))
        await asyncio.sleep(self._dice.uniform(0, LONGEST_LIFE))
        self._note("kill sender", happened=self._world.people[name].kill_sender())

    def _weights(self) -> dict[str, int]:
        weights = {"kill sender": 6, "kill receiver": 6, "kill relay": 4, "cut": 2, "half-open": 3, "thaw": 2}
        if self._restores and not self._has_copy and self.outcome.kills >= COPY_AFTER:
            weights["copy"] = 6
        if self._has_copy and not self.outcome.is_restored and self.outcome.kills >= RESTORE_AFTER:
            weights["restore"] = 6
        return weights

    async def _break(self, fault: str) -> bool:
        """Carry out a fault; False if there was nothing to break."""
        dice, proxy = self._dice, self._world.proxy
        somebody = self._world.people[dice.choice(NAMES)]
        if fault == "restore":
            return await self._restore()
        faults: dict[str, Callable[[], bool]] = {
            "kill receiver": somebody.kill_receiver,
            "kill relay": self._kill_relay,
            "cut": lambda: proxy.cut_one(dice),
            "half-open": lambda: proxy.freeze_one(dice),
            "thaw": lambda: proxy.thaw_one(dice),
            "copy": self._copy,
        }
        return faults[fault]()

    def _kill_relay(self) -> bool:
        was_alive = self._world.kill_relay()
        repeated = self._world.repeated()
        if repeated:
            self.outcome.wrong.append(f"relay: {repeated} envelopes stored twice")
        return was_alive

    def _copy(self) -> bool:
        self._world.copy_relay()
        self._has_copy = True
        return True

    async def _restore(self) -> bool:
        """Put the copy back: mail that it does not hold was accepted before, more is accepted before anybody asks."""
        await self._write_to_absent()
        self._note("kill relay", happened=self._kill_relay())
        with self._world.stores() as stores:
            for name, to in permutations(NAMES, 2):
                self._sealed[name, to] = stores[name].value(SEALED, to) or 0
        self._world.restore_relay()
        self.outcome.is_restored = True
        await self._write_to_absent()
        return True

    async def _write_to_absent(self) -> None:
        for person in self._world.people.values():
            self._note("kill receiver", happened=person.kill_receiver())
        await self._world.relay_answers()
        for name, to in permutations(NAMES, 2):
            self._write(name, to, self._dice.randint(0, 2))
        await asyncio.sleep(self._dice.uniform(LONGEST_LIFE, 3 * LONGEST_LIFE))

    def _revive(self, chance: float) -> None:
        world, dice = self._world, self._dice
        if dice.random() < chance:
            world.start_relay()
        for person in world.people.values():
            if dice.random() < chance:
                person.start_receiver()
            if dice.random() < chance:
                person.start_sender()

    def _write(self, name: str, to: str, count: int) -> None:
        life = self._world.people[name].start_sender()
        for _ in range(count):
            self.outcome.messages += 1
            life.tell(text_command(to, self.outcome.messages, self._dice))

    def _note(self, what: str, *, happened: bool) -> None:
        if happened:
            self.outcome.faults[what] += 1
            self.outcome.log.append(f"{time.monotonic() - self._began:7.3f} {what}")

    async def _come_back(self) -> None:
        """Let some come back over a new connection while the relay still believes in the old one."""
        world, dice = self._world, self._dice
        await world.relay_answers()
        self._revive(1)
        await asyncio.sleep(dice.uniform(LONGEST_LIFE, 2 * LONGEST_LIFE))
        world.proxy.freeze_all()
        self._note("all half-open", happened=True)
        for name in dice.sample(NAMES, dice.randint(1, len(NAMES))):
            self._note("kill receiver", happened=world.people[name].kill_receiver())
        self._revive(1)
        await asyncio.sleep(dice.uniform(LONGEST_LIFE, 4 * LONGEST_LIFE))
        for name, to in permutations(NAMES, 2):
            self._write(name, to, 1)

    # Healing

    async def _heal(self) -> None:
        """End the faults: everything runs, nothing is half-open. What lives and is connected stays so."""
        self._world.proxy.heal()
        self._revive(1)
        self._note("heal", happened=True)

    async def _wait_until_quiet(self) -> None:
        limit = QUIET_AFTER_RESTORE_SECONDS if self.outcome.is_restored else QUIET_SECONDS
        deadline = time.monotonic() + limit
        with self._world.stores() as stores:
            while time.monotonic() < deadline:
                busy = list(self._busy(stores))
                if not busy:
                    return
                await asyncio.sleep(LOOK_SECONDS)
        self.outcome.wrong += [f"after {limit} s without faults: {what}" for what in busy]

    def _busy(self, stores: dict[str, Store]) -> Iterator[str]:
        """Say what is still on its way."""
        for life in self._world.lives():
            life.listen()
            if life.has_ended:
                yield f"{life.name}: ended by itself"
            if not life.is_idle:
                yield f"{life.name}: has not finished"
        for name, store in stores.items():
            for table in WAITING:
                count = store.value(f"SELECT count(*) FROM {table}")  # noqa: S608 (constants)
                if count:
                    yield f"{name}: {count} in {table}"
        if self._world.retained():
            yield f"relay: {self._world.retained()} envelopes"

    # The count

    def _check(self) -> None:
        wrong = self.outcome.wrong
        wrong += [f"relay: {failure}" for failure in self._world.failures()]
        with self._world.stores() as stores:
            for name, to in permutations(NAMES, 2):
                wrong += [f"{name} to {to}: {what}" for what in self._compare(stores[name], stores[to], (name, to))]
            for name, store in stores.items():
                wrong += [f"{name}: {what}" for what in self._holes(store, name)]
            for name, person in self._world.people.items():
                wrong += [f"{name}: {what}" for what in self._compare_told(stores[name], person)]

    def _compare(self, ours: Store, theirs: Store, names: tuple[str, str]) -> Iterator[str]:
        """Compare what was written with what arrived."""
        name, to = names
        query = (
            "SELECT hex(message_id) AS id, text, counter, messages.state AS state FROM messages"
            " JOIN contacts ON contacts.id = contact WHERE name = ? AND is_outgoing = ? ORDER BY position"
        )
        written, arrived = ours.all(query, to, 1), theirs.all(query, name, 0)
        wanted, found = [row["id"] for row in written], [row["id"] for row in arrived]
        numbers = [row["text"].split()[0] for row in arrived]
        after = self._sealed.get(names, 0)  # what was sealed before the relay was restored may come late
        ordered = [row["counter"] for row in arrived if row["counter"] > after]
        for state in ("waiting", "accepted", "delivered"):
            lost = [row["text"].split()[0] for row in written if row["state"] == state and row["id"] not in found]
            if lost:
                yield f"{state} but lost: {lost}"
        if len(set(numbers)) != len(numbers):
            yield f"shown twice: {[number for number, count in Counter(numbers).items() if count > 1]}"
        if set(found) - set(wanted):
            yield f"never written: {len(set(found) - set(wanted))}"
        if ordered != sorted(ordered) or (not after and wanted != found and sorted(wanted) == sorted(found)):
            yield f"out of order: {numbers}"

    def _holes(self, store: Store, to: str) -> Iterator[str]:
        """Find what was missed for a moment, but for what an older copy of the relay did not hold."""
        for name, counter in store.all("SELECT name, counter FROM holes JOIN contacts ON contacts.id = contact"):
            if counter > self._sealed.get((name, to), 0):
                yield f"number {counter} of {name} was missed for a moment"

    def _compare_told(self, store: Store, person: Person) -> Iterator[str]:
        """Compare what the processes said with what the store holds."""
        written = {row[0] for row in store.all("SELECT lower(hex(message_id)) FROM messages WHERE is_outgoing = 1")}
        arrived = {row[0] for row in store.all("SELECT lower(hex(message_id)) FROM messages WHERE is_outgoing = 0")}
        shown = set()
        for said in person.said():
            if said.kind == "sent" and said.values[0] not in written:
                yield f"told that a message was {said.values[1]}, and it is gone"
            elif said.kind == "shown":
                shown.add(said.values[0])
            elif said.kind == "failed":
                yield f"a process failed: {said.values}"
        if shown != arrived:
            yield f"{len(arrived - shown)} messages in the history were never shown, {len(shown - arrived)} only shown"
