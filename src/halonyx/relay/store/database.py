"""One SQLite file with one writer thread: group commit, and nothing is answered before the disk has it.

WAL with synchronous=FULL lost nothing in 150 simulated power cuts, NORMAL lost rows in 91; secure_delete=on with a
truncating checkpoint leaves no deleted byte in the files. Everything that waits goes into one transaction, so one
fdatasync serves up to GROUP_CAP jobs.

Source: docs/decisions, "Relay store"; https://sqlite.org/wal.html, https://sqlite.org/pragma.html.
"""

import asyncio
import os
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

import apsw

from halonyx.core.errors import Misuse, StoreError
from halonyx.relay.events import Event, log

GROUP_CAP: Final = 512  # 200 to 512 rows a transaction cost the same per row; more only adds latency
CHECKPOINT_INTERVAL_S: Final = 30.0
AUTOCHECKPOINT_PAGES: Final = 4000
BUSY_TIMEOUT_MS: Final = 5000

T = TypeVar("T")
Job = Callable[[apsw.Connection], T]


class Busy(StoreError):
    """The disk took nothing: full or failing. Nothing of the job has happened; it may be repeated later."""

    code = "busy"


@dataclass(frozen=True, slots=True)
class Schema:
    """What a file must hold.

    Attributes:
        application_id: 32-bit number that tells our files apart from others and from each other.
        migrations: Scripts; a file at user_version n has seen the first n. Never changed once released.
    """

    application_id: int
    migrations: tuple[str, ...]


class Lane(Protocol):
    """Small work in great number: one call a group, no future for each item.

    `apply` and `forget` run on the writer thread, `committed` on the event loop.
    """

    def apply(self, connection: apsw.Connection, items: list[object], *, may_grow: bool) -> object:
        """Carry out `items` in order within the open transaction and return what `committed` needs.

        Args:
            connection: The writer's connection.
            items: What was posted.
            may_grow: False in the second attempt, after the disk refused the first: only deletions then.
        """

    def forget(self) -> None:
        """Drop what was remembered about the file: the transaction has been rolled back."""

    def refused(self, items: list[object]) -> object:
        """Return what `committed` needs when the disk took nothing at all."""

    def committed(self, outcome: object) -> None:
        """Tell everybody: the group is on disk (or refused)."""


@dataclass(slots=True)
class _Waiting(Generic[T]):
    job: Job[T]
    future: asyncio.Future[T]
    result: T | None = None
    error: Exception | None = field(default=None)


_Entry = _Waiting[object] | list[object]


class Database:
    """One file, one writer thread, one reader connection. Used from one event loop.

    Args:
        path: The file; made with mode 0600 if it does not exist.
        schema: What it must hold; older files are migrated, newer or foreign ones refused.
        checkpoint_interval_s: How long deleted bytes may stay in the write-ahead log.
        on_full: Called on the writer thread when the disk refuses, before the second attempt: frees the reserve.

    Raises:
        StoreError: The file is damaged, foreign or newer than this program.
    """

    def __init__(
        self,
        path: Path,
        schema: Schema,
        *,
        checkpoint_interval_s: float = CHECKPOINT_INTERVAL_S,
        on_full: Callable[[], None] = lambda: None,
    ) -> None:
        self.path = path
        self._on_full = on_full
        self._interval_s = checkpoint_interval_s
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            path.chmod(0o600)
            self._connection = _open(path)
            _migrate(self._connection, schema)
            _truncate_log(self._connection)
            self._reader = _open(path)
            self._reader.execute("pragma query_only=on")
        except (OSError, apsw.Error) as error:
            raise StoreError(f"{path} can't be opened: {type(error).__name__}") from None
        self._queue: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._lane: Lane | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._dirty = False
        self._next_checkpoint = 0.0
        self._thread = threading.Thread(target=self._run, name=f"writer {path.name}", daemon=True)
        self._thread.start()

    def attach(self, lane: Lane) -> None:
        """Set who carries out what `post` brings. Call it once, on the event loop."""
        self._lane = lane
        self._loop = asyncio.get_running_loop()

    def post(self, items: list[object]) -> None:
        """Hand items to the lane; `Lane.committed` hears of them once the group is on disk.

        Raises:
            Misuse: No lane is attached.
        """
        self._attached()
        self._queue.put(items)

    async def write(self, job: Job[T]) -> T:
        """Run `job` on the writer thread and return its result once the commit has returned from disk.

        The job runs in a savepoint of the group's transaction: if it raises, its own changes are undone and the
        exception is raised here; its neighbours are not affected. It may be run twice (the second time after the disk
        refused the first group), so it must do nothing but read and write through its connection.

        Raises:
            Busy: The disk is full or failing; nothing has happened.
            StoreError: The database is closed.
        """
        if self._closed:
            raise StoreError(f"{self.path.name} is closed")
        loop = asyncio.get_running_loop()
        self._loop = loop
        future: asyncio.Future[T] = loop.create_future()
        self._queue.put(_Waiting(job, future))  # type: ignore[arg-type]  # results are object to the thread
        return await future

    def read(self, job: Job[T]) -> T:
        """Run a short read at once on the reader connection: it sees every commit so far.

        Call it on the event loop's thread only, and only for reads that take well under a millisecond.
        """
        return job(self._reader)

    def close(self) -> None:
        """Finish what waits, fold the log into the file, stop the thread. Blocks; call it once the sockets are gone."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        self._thread.join()
        self._reader.close()
        self._connection.close()

    def _run(self) -> None:
        self._next_checkpoint = time.monotonic() + self._interval_s
        open_for_work = True
        while open_for_work:
            group, open_for_work = self._take()
            if group:
                self._commit(group)
            if not open_for_work or time.monotonic() >= self._next_checkpoint:
                self._checkpoint()

    def _take(self) -> tuple[list[_Entry], bool]:
        """Return what waits, at most about GROUP_CAP items, and whether there may be more later."""
        group: list[_Entry] = []
        size = 0
        try:
            entry = self._queue.get(timeout=max(0.0, self._next_checkpoint - time.monotonic()))
            while entry is not None:
                group.append(entry)
                size += len(entry) if isinstance(entry, list) else 1
                if size >= GROUP_CAP:
                    return group, True
                entry = self._queue.get_nowait()
        except queue.Empty:
            return group, True
        return group, False

    def _commit(self, group: list[_Entry]) -> None:
        outcomes = self._attempt(group, may_grow=True)
        if outcomes is None:
            # One by one: on a full disk SQLite undoes the whole transaction, and what only deletes gets through.
            self._on_full()
            outcomes = [
                outcome
                for entry in group
                for outcome in self._attempt([entry], may_grow=False) or [self._refuse(entry)]
            ]
        self._dirty = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._finish, outcomes)

    def _attempt(self, group: list[_Entry], *, may_grow: bool) -> list[object] | None:
        connection = self._connection
        try:
            connection.execute("begin immediate")
            outcomes = [self._apply(entry, may_grow=may_grow) for entry in group]
            connection.execute("commit")
        except Exception as error:  # noqa: BLE001 (outermost loop of the thread: one bad item must not end it)
            if not isinstance(error, apsw.Error):
                log(Event.WRITE_FAILED, database=self.path.name, error=type(error).__name__)
            if connection.in_transaction:
                connection.execute("rollback")
            if self._lane is not None:
                self._lane.forget()
            return None
        return outcomes

    def _apply(self, entry: _Entry, *, may_grow: bool) -> object:
        if isinstance(entry, list):
            return self._attached().apply(self._connection, entry, may_grow=may_grow)
        entry.result, entry.error = None, None
        self._connection.execute("savepoint job")
        try:
            entry.result = entry.job(self._connection)
        except (apsw.FullError, apsw.IOError):
            raise
        except Exception as error:  # noqa: BLE001 (raised again where the job was asked for)
            self._undo(entry, error)
        else:
            self._connection.execute("release job")
        return entry

    def _attached(self) -> Lane:
        if self._lane is None:
            raise Misuse(f"{self.path.name} has no lane")
        return self._lane

    def _undo(self, entry: _Waiting[object], error: Exception) -> None:
        self._connection.execute("rollback to job")
        self._connection.execute("release job")
        if self._lane is not None:
            self._lane.forget()
        entry.error = error

    def _refuse(self, entry: _Entry) -> object:
        if isinstance(entry, list):
            return self._attached().refused(entry)
        entry.error = Busy("the disk is full or failing")
        return entry

    def _finish(self, outcomes: list[object]) -> None:
        for outcome in outcomes:
            if not isinstance(outcome, _Waiting):
                self._attached().committed(outcome)
            elif outcome.future.done():  # the caller was cancelled; the commit stands
                continue
            elif outcome.error is not None:
                outcome.future.set_exception(outcome.error)
            else:
                outcome.future.set_result(outcome.result)

    def _checkpoint(self) -> None:
        self._next_checkpoint = time.monotonic() + self._interval_s
        if self._dirty:
            self._dirty = not _truncate_log(self._connection)


def _open(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    for pragma in (
        "journal_mode=wal",
        "synchronous=full",
        "secure_delete=on",
        "foreign_keys=on",
        "mmap_size=0",
        "temp_store=memory",  # a temporary file would hold bytes outside secure_delete
        f"wal_autocheckpoint={AUTOCHECKPOINT_PAGES}",
    ):
        connection.execute(f"pragma {pragma}")
    return connection


def _migrate(connection: apsw.Connection, schema: Schema) -> None:
    if connection.execute("pragma quick_check(1)").get != "ok":
        raise StoreError("the file is damaged: restore a backup")
    version = connection.pragma("user_version")
    if version == 0 and connection.execute("select count(*) from sqlite_schema").get == 0:
        connection.pragma("application_id", schema.application_id)
    if connection.pragma("application_id") != schema.application_id:
        raise StoreError("the file belongs to another program")
    if version > len(schema.migrations):
        raise StoreError(f"the file is at version {version}, this program knows {len(schema.migrations)}: update it")
    for number in range(version, len(schema.migrations)):
        with connection:
            connection.execute(schema.migrations[number])
            connection.pragma("user_version", number + 1)


def _truncate_log(connection: apsw.Connection) -> bool:
    """Fold the log into the file and cut it to nothing; False if a reader or the disk was in the way."""
    try:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except (apsw.BusyError, apsw.LockedError, apsw.FullError, apsw.IOError):
        return False
    return True
