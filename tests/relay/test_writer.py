"""The writer thread lives as long as the process: nothing ends it silently, and nobody waits for it in vain."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from halonyx.core.errors import StoreError
from halonyx.relay.events import Event, configure
from halonyx.relay.store import database
from halonyx.relay.store.database import Busy, Database
from halonyx.relay.store.reserve import Reserve
from relay.sockets_support import until
from relay.test_database import SCHEMA, TABLE, Recorder, count, insert


class Relay:
    """One database, and what became of it."""

    def __init__(self, folder: Path, **options: float) -> None:
        self.ended = threading.Event()
        self.reserve = Reserve(folder / "reserve", 1 << 20)
        assert self.reserve.restore()
        self.database = Database(folder / "test.db", SCHEMA, reserve=self.reserve, on_broken=self.ended.set, **options)

    def close(self) -> None:
        self.database.close()


@pytest.fixture(autouse=True)
def _logged() -> None:
    configure("info")


@pytest.fixture
def relay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    monkeypatch.setattr(database, "GRACE_S", 0.0)
    with closing(Relay(tmp_path, checkpoint_interval_s=0.02)) as made:
        yield made


def refusing(error: BaseException) -> Callable[..., object]:
    def call(*_: object, **__: object) -> object:
        raise error

    return call


async def fails_with_full(relay: Relay) -> None:
    def full(connection: apsw.Connection) -> None:
        raise apsw.FullError

    async with asyncio.timeout(10):
        with pytest.raises(Busy):
            await relay.database.write(full)


async def test_a_log_that_can_not_be_written_does_not_end_it(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "log", refusing(OSError(28, "No space left on device")))
    await fails_with_full(relay)
    await until(lambda: not relay.database.is_short)
    assert await relay.database.write(insert(1)) == 1


async def test_a_reserve_that_can_not_be_removed_does_not_end_it(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay.reserve, "release", refusing(PermissionError()))
    with pytest.raises(Busy):
        await relay.database.write(refusing(apsw.FullError()), may_grow=False)
    await until(lambda: not relay.database.is_short)
    assert await relay.database.write(insert(1)) == 1


@pytest.mark.parametrize("error", [apsw.CorruptError(), apsw.ReadOnlyError(), apsw.IOError()])
async def test_a_checkpoint_that_fails_does_not_end_it(
    relay: Relay, error: apsw.Error, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tried = threading.Event()

    def failing(connection: apsw.Connection) -> bool:
        tried.set()
        raise error

    monkeypatch.setattr(database, "truncate_log", failing)
    await relay.database.write(insert(1))
    assert await asyncio.to_thread(tried.wait, 10)
    assert await relay.database.write(insert(2)) == 2
    assert type(error).__name__ in capsys.readouterr().err


async def test_other_errors_are_named_and_are_not_a_full_disk(relay: Relay, capsys: pytest.CaptureFixture[str]) -> None:
    lane = Recorder()
    relay.database.attach(lane)
    relay.database.post([1, 1])
    await lane.settled.wait()
    assert not relay.database.is_short
    assert (relay.reserve._path).exists()
    logged = capsys.readouterr().err
    assert "ConstraintError" in logged
    assert Event.DISK_FULL not in logged


async def test_a_shortage_is_logged_once(relay: Relay, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    relay.reserve.size_bytes = 1 << 60  # never back
    for _ in range(5):
        await fails_with_full(relay)
    assert relay.database.is_short
    assert (tmp_path / "reserve").exists()  # nothing that deletes has needed it
    assert capsys.readouterr().err.count(Event.DISK_FULL) == 1
    with pytest.raises(Busy):
        await relay.database.write(insert(1))
    assert await relay.database.write(insert(2), may_grow=False) == 2


async def test_a_foreign_lock_refuses_the_group_after_one_wait(tmp_path: Path) -> None:
    waits: list[int] = []
    with closing(Relay(tmp_path)) as relay, closing(apsw.Connection(str(tmp_path / "test.db"))) as foreign:
        foreign.execute("begin immediate")

        def on_busy(number: int) -> bool:
            waits.append(number)
            return False

        relay.database._connection.set_busy_handler(on_busy)
        jobs = [asyncio.create_task(relay.database.write(insert(number))) for number in range(20)]
        results = await asyncio.gather(*jobs, return_exceptions=True)
        foreign.execute("rollback")
        assert {type(result) for result in results} == {Busy}
        assert len(waits) <= 3  # one a group, not one a job
        assert not relay.database.is_short
        assert (tmp_path / "reserve").exists()
        assert await relay.database.write(insert(1)) == 1


class Bug(BaseException):
    """Something that no handler of errors expects."""


async def test_when_it_ends_nobody_is_left_waiting(relay: Relay) -> None:
    lane, gate = Recorder(), threading.Event()
    relay.database.attach(lane)

    def last(connection: apsw.Connection) -> int:
        gate.wait()
        raise Bug

    waiting = [asyncio.create_task(relay.database.write(last))]
    waiting += [asyncio.create_task(relay.database.write(insert(number))) for number in range(5)]
    await asyncio.sleep(0)
    relay.database.post([77])
    gate.set()
    results = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 10)
    await lane.settled.wait()

    assert {type(result) for result in results} == {Busy}
    assert lane.heard == [("refused", [77])]
    assert await asyncio.to_thread(relay.ended.wait, 10)
    with pytest.raises(StoreError):
        await relay.database.write(insert(9))
    with pytest.raises(StoreError):  # what /readyz asks
        count(relay.database)
    relay.database.post([78])
    await until(lambda: lane.heard[1:] == [("refused", [78])])


async def test_a_rollback_that_fails_ends_it_in_the_open(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    real = relay.database._connection

    class Stuck:
        in_transaction = True

        def execute(self, statement: str) -> object:
            if statement == "rollback":
                raise apsw.IOError
            return real.execute(statement)

    monkeypatch.setattr(relay.database, "_connection", Stuck())
    with pytest.raises(Busy):
        await relay.database.write(refusing(apsw.FullError()))
    assert await asyncio.to_thread(relay.ended.wait, 10)
    monkeypatch.undo()


BROKEN = """
import asyncio, sys
from pathlib import Path
from halonyx.relay.store.database import Database, Schema

def bug(connection):
    raise BaseException

async def main():
    made = Database(Path(sys.argv[1]), Schema(int(sys.argv[2]), (sys.argv[3],)))
    try:
        await made.write(bug)
    finally:
        print("told", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def test_its_end_is_the_end_of_the_process(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BROKEN, str(tmp_path / "test.db"), str(SCHEMA.application_id), TABLE]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert (ended.returncode, ended.stdout.splitlines()[-1]) == (70, "told")
