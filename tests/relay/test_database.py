"""One writer, group commit: what was answered is on disk, whatever happens to the process."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from halonyx.core.errors import Misuse, StoreError
from halonyx.relay.events import configure
from halonyx.relay.store import database
from halonyx.relay.store.database import Busy, Database, Schema
from halonyx.relay.store.reserve import Reserve
from relay.sockets_support import until

TABLE = "create table item(id integer not null primary key, body blob not null) strict;"
SCHEMA = Schema(0x54455354, (TABLE,))
FULL_BYTES = 400_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "test.db"


@pytest.fixture
def opened(path: Path) -> Iterator[Database]:
    with closing(Database(path, SCHEMA)) as made:
        yield made


def insert(number: int, body: bytes = b"") -> database.Job[int]:
    def job(connection: apsw.Connection) -> int:
        connection.execute("insert into item values(?, ?)", (number, body))
        return number

    return job


def count(made: Database) -> int:
    return int(str(made.read(lambda connection: connection.execute("select count(*) from item").get)))


def pragma(made: Database, name: str) -> object:
    return made.read(lambda connection: connection.execute(f"pragma {name}").get)


async def test_a_write_is_readable_when_it_is_answered(opened: Database) -> None:
    assert await opened.write(insert(1)) == 1
    assert count(opened) == 1


async def test_a_group_shares_one_commit(opened: Database) -> None:
    commits = []

    def on_commit() -> bool:
        commits.append(1)
        return False

    opened._connection.set_commit_hook(on_commit)
    gate = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(connection: apsw.Connection) -> None:  # the rest piles up behind it
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()
        connection.execute("insert into item values(0, x'')")

    first = asyncio.create_task(opened.write(slow))
    others = [asyncio.create_task(opened.write(insert(number))) for number in range(1, 101)]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(first, *others)
    assert count(opened) == 101
    assert len(commits) <= 3


async def test_a_job_that_fails_undoes_itself_alone(opened: Database) -> None:
    def failing(connection: apsw.Connection) -> None:
        connection.execute("insert into item values(7, x'')")
        raise Misuse("no")

    results = await asyncio.gather(
        opened.write(insert(1)),
        opened.write(failing),
        opened.write(insert(1)),
        opened.write(insert(2)),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [int, Misuse, apsw.ConstraintError, int]
    assert count(opened) == 2


async def test_a_cancelled_caller_does_not_disturb_the_group(opened: Database) -> None:
    task = asyncio.create_task(opened.write(insert(1)))
    await asyncio.sleep(0)
    task.cancel()
    await opened.write(insert(2))
    assert count(opened) == 2


async def test_a_full_disk_is_busy_and_deletions_still_run(path: Path) -> None:
    reserve = Reserve(path.with_name("reserve"), 1 << 20)
    assert reserve.restore()
    with closing(Database(path, SCHEMA, reserve=reserve)) as opened:
        await asyncio.gather(*(opened.write(insert(number, os.urandom(4096))) for number in range(50)))
        opened._connection.execute(f"pragma max_page_count={pragma(opened, 'page_count')}")

        def delete(connection: apsw.Connection) -> int:
            connection.execute("delete from item where id < 10")
            return connection.changes()

        results = await asyncio.gather(
            opened.write(insert(100, os.urandom(FULL_BYTES))),
            opened.write(delete, may_grow=False),
            return_exceptions=True,
        )
        assert isinstance(results[0], Busy)
        assert results[1] == 10
        assert count(opened) == 40
        await until(lambda: not opened.is_short)
        assert await opened.write(insert(101, b"fits now")) == 101

        reserve.size_bytes = 1 << 62  # more than any disk has free
        reserve.run_short()
        with pytest.raises(Busy):
            await opened.write(insert(102, b"would fit"))
        assert await opened.write(delete, may_grow=False) == 0


class Recorder:
    """A lane that stores what it gets and refuses when told."""

    def __init__(self) -> None:
        self.heard: list[object] = []
        self.forgotten = 0
        self.is_broken = False
        self.settled = asyncio.Event()

    def apply(self, connection: apsw.Connection, items: list[object], *, may_grow: bool) -> object:
        if self.is_broken:
            raise RuntimeError("a bug")
        for item in items:
            connection.execute("insert into item values(?, x'')", (int(str(item)),))
        return ("stored", may_grow, items)

    def forget(self) -> None:
        self.forgotten += 1

    def refused(self, items: list[object]) -> object:
        return ("refused", items)

    def committed(self, outcome: object) -> None:
        self.heard.append(outcome)
        self.settled.set()


async def test_a_lane_hears_of_its_items_after_the_commit(opened: Database) -> None:
    lane = Recorder()
    opened.attach(lane)
    opened.post([1, 2])
    await lane.settled.wait()
    assert lane.heard == [("stored", True, [1, 2])]
    assert count(opened) == 2


async def test_a_lane_forgets_when_the_transaction_is_undone(opened: Database) -> None:
    lane = Recorder()
    opened.attach(lane)
    opened.post([1, 1])
    await lane.settled.wait()
    assert lane.heard == [("refused", [1, 1])]
    assert lane.forgotten == 2  # the group, then the items alone
    with pytest.raises(apsw.ConstraintError):
        await asyncio.gather(opened.write(insert(5)), opened.write(insert(5)))
    assert lane.forgotten == 3


async def test_a_bug_in_a_lane_does_not_end_the_writer(opened: Database, capsys: pytest.CaptureFixture[str]) -> None:
    configure("info")
    lane = Recorder()
    opened.attach(lane)
    lane.is_broken = True
    opened.post([1])
    await lane.settled.wait()
    assert lane.heard == [("refused", [1])]
    assert "write-failed" in "".join(capsys.readouterr())
    assert await opened.write(insert(3)) == 3


def test_items_need_a_lane(opened: Database) -> None:
    with pytest.raises(Misuse):
        opened.post([1])


async def test_nothing_is_taken_after_close(path: Path) -> None:
    made = Database(path, SCHEMA)
    waiting = [asyncio.create_task(made.write(insert(number))) for number in range(20)]
    await asyncio.sleep(0)
    made.close()
    made.close()
    assert await asyncio.gather(*waiting) == list(range(20))
    with pytest.raises(StoreError):
        await made.write(insert(99))
    assert [entry.name for entry in path.parent.iterdir()] == ["test.db"]


def test_the_file_is_set_up_as_decided(opened: Database, path: Path) -> None:
    writer = opened._connection
    assert writer.pragma("journal_mode") == "wal"
    assert writer.pragma("synchronous") == 2
    assert writer.pragma("secure_delete") == 1
    assert writer.pragma("foreign_keys") == 1
    assert writer.pragma("trusted_schema") == 0
    assert writer.pragma("mmap_size") == 0
    assert writer.pragma("application_id") == SCHEMA.application_id
    assert {entry.stat().st_mode & 0o777 for entry in path.parent.iterdir()} == {0o600}
    with pytest.raises(apsw.ReadOnlyError):
        opened.read(lambda connection: connection.execute("delete from item"))


def test_an_older_file_is_migrated_once(path: Path) -> None:
    Database(path, SCHEMA).close()
    newer = Schema(SCHEMA.application_id, (TABLE, "alter table item add column extra integer;"))
    for _ in range(2):
        with closing(Database(path, newer)) as made:
            assert pragma(made, "user_version") == 2


def test_a_failed_migration_leaves_the_file_as_it_was(path: Path) -> None:
    Database(path, SCHEMA).close()
    with pytest.raises(StoreError):
        Database(path, Schema(SCHEMA.application_id, (TABLE, "create table more(a) strict; broken")))
    with closing(Database(path, SCHEMA)) as made:
        assert pragma(made, "user_version") == 1


def test_newer_foreign_and_damaged_files_are_refused(path: Path, tmp_path: Path) -> None:
    Database(path, Schema(SCHEMA.application_id, (TABLE, "create table more(a integer) strict;"))).close()
    with pytest.raises(StoreError, match="update"):
        Database(path, SCHEMA)
    with pytest.raises(StoreError, match="another program"):
        Database(path, Schema(1, (TABLE,)))
    (tmp_path / "noise.db").write_bytes(os.urandom(8192))
    with pytest.raises(StoreError):
        Database(tmp_path / "noise.db", SCHEMA)
    with pytest.raises(StoreError):
        Database(tmp_path / "no" / "folder.db", SCHEMA)


async def test_a_page_that_was_changed_is_noticed_at_start(path: Path) -> None:
    made = Database(path, SCHEMA)
    await asyncio.gather(*(made.write(insert(number, bytes(900))) for number in range(200)))
    made.close()
    _damage(path)
    with pytest.raises(StoreError):
        Database(path, SCHEMA)


async def test_deleted_bytes_leave_the_files_with_the_checkpoint(path: Path) -> None:
    body = b"find me " + os.urandom(500)
    with closing(Database(path, SCHEMA, checkpoint_interval_s=0.05)) as made:
        await made.write(insert(1, body))
        assert _holds(path, body)
        await made.write(lambda connection: connection.execute("delete from item").fetchall())
        await until(lambda: not _holds(path, body))


def _damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 3 + 64] = os.urandom(64)
    path.write_bytes(content)


def _holds(path: Path, body: bytes) -> bool:
    return any(body in entry.read_bytes() for entry in path.parent.iterdir())


WRITER = """
import asyncio, sys
from pathlib import Path
from halonyx.relay.store.database import Database, Schema

async def main():
    made = Database(Path(sys.argv[1]), Schema(int(sys.argv[2]), (sys.argv[3],)))
    async def one(number):
        await made.write(lambda connection: connection.execute(
            "insert into item values(?, randomblob(1000))", (number,)).fetchall())
        print(number, flush=True)
    number = made.read(lambda connection: connection.execute("select coalesce(max(id), 0) from item").get)
    while True:
        await asyncio.gather(*(one(number + offset) for offset in range(1, 21)))
        number += 20

asyncio.run(main())
"""


@pytest.mark.parametrize("answers", [1, 57, 300])
def test_a_killed_writer_has_lost_nothing_it_answered(path: Path, answers: int) -> None:
    answered: set[int] = set()
    for _ in range(2):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(SCHEMA.application_id), TABLE], stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            for _, line in zip(range(answers), child.stdout, strict=False):
                answered.add(json.loads(line))
            child.send_signal(signal.SIGKILL)
            answered.update(int(line) for line in child.stdout.read().split())
    with closing(Database(path, SCHEMA)) as made:
        rows = made.read(lambda connection: connection.execute("select id from item").fetchall())
    assert answered <= {number for (number,) in rows}
    assert len(answered) >= 2 * answers
