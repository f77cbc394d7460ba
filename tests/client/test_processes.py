"""Several processes with one home: nothing is lost, repeated or out of order, and locks go with their holder."""

import asyncio
import contextlib
import errno
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Final

import pytest

from client.homes import HANGING_SECONDS, Pair, drain, receive_until, stored, texts, two_people
from halonyx.client import Client, ReceiverBusy, create_account
from halonyx.client.locks import OUTBOX_LOCK, RECEIVER_LOCK, try_lock
from halonyx.client.outbox import add_text
from halonyx.client.people import contact_by_name
from relay_process import RelayProcess, clean_environment

PASSPHRASE: Final = "swordfish"
PROCESSES: Final = 3
MESSAGES: Final = 10
SEND: Final = """
import asyncio, pathlib, sys
from halonyx.client import Client
async def main():
    home, process, count = sys.argv[1:]
    async with Client.open(pathlib.Path(home), "swordfish") as me:
        print("open", flush=True)
        sys.stdin.readline()
        for number in range(int(count)):
            sent = await me.send("bob", f"{process} {number}", wait_seconds=30)
            print(sent.state, flush=True)
asyncio.run(main())
"""
HOLD: Final = """
import asyncio, pathlib, sys
from halonyx.client import Client
from halonyx.client.locks import try_lock
async def main():
    home = pathlib.Path(sys.argv[1])
    async with Client.open(home, "swordfish") as me:
        if sys.argv[2] == "outbox":
            with try_lock(home / "outbox-1.lock") as held:
                print("holds", held, flush=True)
                await asyncio.sleep(600)
        async for event in me.events(follow=True):
            print(type(event).__name__, flush=True)
asyncio.run(main())
"""


class Started:
    """A process of ours with its lines."""

    def __init__(self, script: str, *arguments: object) -> None:
        command = [sys.executable, "-c", script, *map(str, arguments)]
        self.process = subprocess.Popen(
            command, env=clean_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    async def line(self) -> str:
        assert self.process.stdout is not None
        stdout: IO[str] = self.process.stdout
        return (await asyncio.to_thread(stdout.readline)).strip()

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        self.process.wait(30)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


@pytest.fixture
def started() -> Iterator[list[Started]]:
    """Processes of one test, ended with it."""
    processes: list[Started] = []
    yield processes
    for process in processes:
        process.end()


@asynccontextmanager
async def shared_home(relay: RelayProcess, tmp_path: Path) -> AsyncIterator[tuple[Path, Pair]]:
    """Alice's home opens with a passphrase, so that other processes can open it, too."""
    async with two_people(tmp_path, (relay.origin, relay.origin)) as pair:
        home = tmp_path / "shared"
        await create_account(home, relay.origin, PASSPHRASE)
        yield home, pair


async def test_three_processes_send_at_once_and_lose_and_repeat_nothing(
    relay: RelayProcess, tmp_path: Path, started: list[Started]
) -> None:

    async with shared_home(relay, tmp_path) as (home, pair):
        async with Client.open(home, PASSPHRASE) as carol:
            await carol.contacts.add(pair.bob.card().uri(), "bob")
            await pair.bob.contacts.add(carol.card().uri(), "carol")
            await carol.send("bob", "first")
            await drain(pair.bob)
            await drain(carol)
        started += [Started(SEND, home, number, MESSAGES) for number in range(PROCESSES)]
        for process in started:
            assert await process.line() == "open"
        for process in started:
            process.go()
        receiving = asyncio.create_task(
            receive_until(pair.bob, lambda found: len(texts(found)) == PROCESSES * MESSAGES)
        )

        states = [await process.line() for process in started for _ in range(MESSAGES)]

        assert set(states) <= {"accepted", "delivered"}
        shown = texts(await receiving)
        for number in range(PROCESSES):
            own = [text for text in shown if text.startswith(f"{number} ")]
            assert own == [f"{number} {index}" for index in range(MESSAGES)]
        counters = [row["counter"] for row in stored(pair.bob, "SELECT counter FROM messages WHERE is_outgoing = 0")]
        assert counters == list(range(1, PROCESSES * MESSAGES + 2))
        assert stored(pair.bob, "SELECT 1 FROM gaps") == []


async def test_a_second_receiver_names_the_first_and_takes_over_from_it(
    relay: RelayProcess, tmp_path: Path, started: list[Started]
) -> None:

    async with shared_home(relay, tmp_path) as (home, pair), Client.open(home, PASSPHRASE) as carol:
        await carol.contacts.add(pair.bob.card().uri(), "bob")
        await pair.bob.contacts.add(carol.card().uri(), "carol")
        holder = Started(HOLD, home, "receiver")
        started.append(holder)
        await pair.bob.send("carol", "are you there?")
        assert await holder.line() == "Message"

        with pytest.raises(ReceiverBusy, match=f"process {holder.process.pid} receives"):
            await drain(carol)
        assert (await carol.send("bob", "yes, twice")).state in {"accepted", "delivered"}
        assert "yes, twice" in texts(await drain(pair.bob))
        assert await holder.line() == "Notice"  # the other process shows the receipt

        async with carol.online():
            await asyncio.sleep(0)
            holder.end(signal.SIGKILL)
            await pair.bob.send("carol", "and now?")
            async with asyncio.timeout(HANGING_SECONDS):
                while carol.history("bob")[-1].text != "and now?":  # noqa: ASYNC110 (told by no event)
                    await asyncio.sleep(0.05)
        assert texts(await drain(carol)) == ["and now?"]


async def test_a_killed_sender_leaves_the_outbox_free(
    relay: RelayProcess, tmp_path: Path, started: list[Started]
) -> None:

    async with shared_home(relay, tmp_path) as (home, pair), Client.open(home, PASSPHRASE) as carol:
        await carol.contacts.add(pair.bob.card().uri(), "bob")
        await pair.bob.contacts.add(carol.card().uri(), "carol")
        holder = Started(HOLD, home, "outbox")
        started.append(holder)
        assert await holder.line() == "holds True"

        sent = await carol.send("bob", "waits for the other", wait_seconds=0.2)
        assert (sent.state, stored(carol, "SELECT 1 FROM deliveries")) == ("waiting", [])
        sending = asyncio.create_task(carol.send("bob", "in its turn", wait_seconds=30))
        await asyncio.sleep(0)
        holder.end(signal.SIGKILL)

        assert (await sending).state == "accepted"
        assert texts(await drain(pair.bob)) == ["waits for the other", "in its turn"]


async def test_what_another_process_queued_is_sent_by_the_one_that_follows(pair: Pair) -> None:
    async with pair.homes[0].open() as other:
        add_text(other._store, contact_by_name(other._store, "bob"), "queued elsewhere")

    await receive_until(pair.alice, lambda _: pair.alice.history("bob")[0].state == "accepted")

    assert texts(await drain(pair.bob)) == ["queued elsewhere"]


def test_a_lock_is_one_process_long(tmp_path: Path) -> None:
    with try_lock(tmp_path / OUTBOX_LOCK) as first, try_lock(tmp_path / OUTBOX_LOCK) as second:
        assert (first, second) == (True, False)
        assert (tmp_path / OUTBOX_LOCK).read_text() == str(os.getpid())
        with try_lock(tmp_path / RECEIVER_LOCK) as another:
            assert another
    with try_lock(tmp_path / OUTBOX_LOCK) as again:
        assert again


async def test_a_session_that_another_process_moved_is_read_again(pair: Pair) -> None:
    """Two clients of one home send in turn: each sees what the other has done to the ratchet."""
    await pair.alice.send("bob", "one")
    async with pair.homes[0].open() as other:
        await other.send("bob", "two")
        await pair.alice.send("bob", "three")
        await other.send("bob", "four")

    assert texts(await drain(pair.bob)) == ["one", "two", "three", "four"]


async def test_a_full_disk_does_not_keep_anyone_from_sending(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who holds a lock is written down for people; the lock holds without it."""

    def no_room(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(os, "pwrite", no_room)

    assert (await pair.alice.send("bob", "hello")).state == "accepted"
