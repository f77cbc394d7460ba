"""One failure of our own stays one: the work that is done again and again goes on, and so do all other connections."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from halonyx.relay.events import configure
from halonyx.relay.sending import Sending
from halonyx.relay.upkeep import every
from halonyx.wire.frames import SEND_PATH, Accepted, Status
from relay.sockets_support import FAST, Served, envelope, served, until

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _logged() -> None:
    configure("info")


class Fault(Exception):
    """Something nobody thought of."""


def fail(*_: object) -> None:
    raise Fault


def events(captured: Captured) -> list[tuple[str, str]]:
    lines = [json.loads(line) for line in captured.readouterr().err.splitlines()]
    return [(line["event"], line["error"]) for line in lines if "error" in line]


async def test_work_goes_on_after_a_failure(capsys: Captured) -> None:
    done = asyncio.Event()
    tries = 0

    async def work() -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise Fault
        done.set()

    task = asyncio.create_task(every(0, work))
    async with asyncio.timeout(10):
        await done.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert task.cancelled()
    assert events(capsys) == [("upkeep-failed", "Fault")] * 2


async def test_one_senders_failure_is_not_the_groups(tmp_path: Path, capsys: Captured) -> None:
    async with served(tmp_path) as relay:
        alice, hub, gate = await relay.enrol(), relay.relay.hub, asyncio.Event()
        loop = asyncio.get_running_loop()
        async with relay.receiver(alice) as receiver, relay.sender() as broken:
            await receiver.caught_up()
            (connection,) = senders(relay)
            connection.settled = fail  # type: ignore[assignment,method-assign]  # the fault
            async with relay.sender() as other:
                blocked = asyncio.create_task(
                    hub.mailboxes.database.write(lambda _: asyncio.run_coroutine_threadsafe(gate.wait(), loop).result())
                )
                await broken.post(alice, envelope())
                await until(lambda: hub.counts.submitted == 1)
                posted = await other.post(alice, envelope())
                await until(lambda: hub.counts.submitted == 2)
                gate.set()
                await blocked
                assert await other.next() == Accepted(posted, Status.ACCEPTED)
                assert [(await receiver.deliver()).seq for _ in range(2)] == [1, 2]
                await until(lambda: connection not in hub._connections)
    assert events(capsys) == [("socket-failed", "Fault")]


async def test_one_connections_failure_does_not_stop_the_clock(tmp_path: Path, capsys: Captured) -> None:
    async with served(tmp_path, replace(FAST, idle_send_s=0.2)) as relay:
        await relay.socket(SEND_PATH)
        (connection,) = senders(relay)
        connection.due = fail  # type: ignore[assignment]  # the fault
        async with relay.sender() as other:
            assert await other.next() == 1000
        await until(lambda: not relay.relay.hub._connections)
    assert events(capsys) == [("socket-failed", "Fault")]


async def test_a_task_that_fails_says_so(tmp_path: Path, capsys: Captured) -> None:
    async def work() -> None:
        raise Fault

    async with served(tmp_path) as relay:
        kept = len(relay.relay.hub._tasks)
        relay.relay.hub.keep(asyncio.create_task(work()))
        await until(lambda: len(relay.relay.hub._tasks) == kept)
    assert events(capsys) == [("upkeep-failed", "Fault")]


def senders(relay: Served) -> list[Sending]:
    return [connection for connection in relay.relay.hub._connections if isinstance(connection, Sending)]
