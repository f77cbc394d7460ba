"""One SQLite file with one writer thread: group commit, and nothing is answered before the disk has it.

WAL with synchronous=FULL lost nothing in 150 simulated power cuts, NORMAL lost rows in 91; secure_delete=on with a
truncating checkpoint leaves no deleted byte in the files. Everything that waits goes into one transaction, so one
fdatasync serves up to GROUP_CAP jobs.

Source: docs/decisions/0001-sqlite-full.md; https://sqlite.org/wal.html, https://sqlite.org/pragma.html.
"""

import asyncio
import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Generic, NoReturn, Protocol, TypeVar

import apsw

from halonyx.core.errors import Misuse, StoreError
from halonyx.relay.events import Event, log
from halonyx.relay.store.file import (
    AUTOCHECKPOINT_PAGES,
    PAGE_BYTES,
    Schema,
    give_back,
    is_lack_of_room,
    migrate,
    open_file,
    refusal,
    truncate_log,
)
from halonyx.relay.store.reserve import Reserve
from halonyx.relay.store.shuffling import Shuffling

__all__ = ["Busy", "Database", "Job", "Lane", "Schema"]

GROUP_CAP: Final = 512  # 200 to 512 rows a transaction cost the same per row; more only adds latency
CHECKPOINT_INTERVAL_S: Final = 30.0
SHORT_REVIEW_S: Final = 1.0
VACUUM_STEPS: Final = 16
VACUUM_PAGES: Final = 256
GRACE_S: Final = 1.0

T = TypeVar("T")
Job = Callable[[apsw.Connection], T]


class Busy(StoreError):
    """The disk took nothing: full or failing. Nothing of the job has happened; it may be repeated later."""

    code = "busy"


class Lane(Protocol):
    """Small work in great number: one call a group, no future for each item.

    `apply` and `forget` run on the writer thread, `committed` on the event loop.
    """

    def apply(self, connection: apsw.Connection, items: list[object], *, may_grow: bool) -> object:
        """Carry out `items` in order within the open transaction and return what `committed` needs.

        Args:
            connection: The writer's connection.
            items: What was posted.
            may_grow: False while the disk is short of room: only deletions then.
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
    may_grow: bool
    result: T | None = None
    error: Exception | None = field(default=None)


_Entry = _Waiting[object] | list[object]


class _StuckError(BaseException):
    """A transaction can't be ended, so nothing can be written any more."""


def end_process() -> NoReturn:
    """End the process at once, so that a supervisor starts it again: what was answered is on disk."""
    os._exit(os.EX_SOFTWARE)


class Database:
    """One file, one writer thread, one reader connection. Used from one event loop.

    Args:
        path: The file; made with mode 0600 if it does not exist.
        schema: What it must hold; older files are migrated, newer or foreign ones refused.
        checkpoint_interval_s: How long deleted bytes may stay in the write-ahead log.
        reserve: Room for deletions on a full disk; databases on one disk share it.
        on_broken: Called on the writer thread when it can't go on, after everybody who waits was told.

    Raises:
        StoreError: The file is damaged, foreign or newer than this program.
    """

    def __init__(
        self,
        path: Path,
        schema: Schema,
        *,
        checkpoint_interval_s: float = CHECKPOINT_INTERVAL_S,
        reserve: Reserve | None = None,
        on_broken: Callable[[], None] = end_process,
    ) -> None:
        self.path = path
        self._reserve = reserve or Reserve(path.with_name("reserve"), 0)
        self._on_broken = on_broken
        self._interval_s = checkpoint_interval_s
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            path.chmod(0o600)
            # Folding the log lets the file grow by as much, and a full disk has no room but the reserve.
            pages = self._reserve.size_bytes // (2 * PAGE_BYTES) or AUTOCHECKPOINT_PAGES
            self._connection = open_file(path, min(pages, AUTOCHECKPOINT_PAGES))
            migrate(self._connection, schema)
            truncate_log(self._connection)
            self._reader = open_file(path)
            self._reader.execute("pragma query_only=on")
        except (OSError, apsw.Error) as error:
            raise refusal(path, error) from None
        self._queue: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._lane: Lane | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = self._is_broken = self._dirty = False
        self._group: list[_Entry] = []
        self._next_checkpoint = time.monotonic() + self._interval_s
        self.shuffling = Shuffling(schema.shuffled)
        self._thread = threading.Thread(target=self._run, name=f"writer {path.name}", daemon=True)
        self._thread.start()

    @property
    def is_short(self) -> bool:
        """Whether the disk has no room: until it has, only jobs that need none are carried out."""
        return self._reserve.is_short

    def attach(self, lane: Lane) -> None:
        """Set who carries out what `post` brings. Call it once, on the event loop."""
        self._lane = lane
        self._loop = asyncio.get_running_loop()

    def post(self, items: list[object]) -> None:
        """Hand items to the lane; `Lane.committed` hears of them once the group is on disk.

        Raises:
            Misuse: No lane is attached.
        """
        lane = self._attached()
        if self._is_broken:
            asyncio.get_running_loop().call_soon(lane.committed, lane.refused(items))
        else:
            self._queue.put(items)

    async def write(self, job: Job[T], *, may_grow: bool = True) -> T:
        """Run `job` on the writer thread and return its result once the commit has returned from disk.

        The job runs in a savepoint of the group's transaction: if it raises, its own changes are undone and the
        exception is raised here; its neighbours are not affected. It may be run several times (again after the disk
        refused its group), so it must do nothing but read and write through its connection.

        Args:
            job: What to do.
            may_grow: False for a job that deletes, or changes in place: it is carried out on a full disk too.

        Raises:
            Busy: The disk is full or failing; nothing has happened.
            StoreError: The database is closed or broken.
        """
        self._loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = self._loop.create_future()
        if not self._closed:
            self._queue.put(_Waiting(job, future, may_grow))  # type: ignore[arg-type]  # results are object to the thread
        if self._closed or self._is_broken:  # looked at after the put: the thread may have emptied the queue before it
            future.cancel()
            raise StoreError(f"{self.path.name} is closed or broken")
        return await future

    def read(self, job: Job[T]) -> T:
        """Run a short read at once on the reader connection: it sees every commit so far.

        Call it on the event loop's thread only, and only for reads that take well under a millisecond.

        Raises:
            StoreError: The database is broken.
        """
        if self._is_broken:
            raise StoreError(f"{self.path.name} is broken")
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
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 (whatever it is: nobody may wait for a thread that is gone)
            self._break(error)

    def _work(self) -> None:
        open_for_work = True
        while open_for_work:
            self._group, open_for_work = self._take()
            if self._group:
                self._commit(self._group)
                self._group = []
            # On a full disk at once: the log of one group of deletions must not be in the way of the next.
            if self.is_short or not open_for_work or time.monotonic() >= self._next_checkpoint:
                self._checkpoint()

    def _break(self, error: BaseException) -> None:
        """Tell everybody who waits that nothing has happened, then end the process."""
        self._is_broken = True
        self._say(Event.WRITE_FAILED, error)
        waiting = [*self._group]
        while not self._queue.empty():
            waiting += filter(None, [self._queue.get()])
        self._tell([self._refuse(entry) for entry in waiting])
        time.sleep(GRACE_S)  # for the answers to leave
        self._on_broken()

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
        try:
            outcomes = self._attempt(group)
        except (apsw.BusyError, apsw.LockedError) as error:  # a foreign program holds the file: it would hold it again
            self._say(Event.WRITE_FAILED, error)
            outcomes = [self._refuse(entry) for entry in group]
        except Exception as error:  # noqa: BLE001 (outermost loop of the thread: one bad item must not end it)
            self._note(error)
            outcomes = [outcome for entry in group for outcome in self._attempt_alone(entry)]
        self._dirty = True
        self._tell(outcomes)

    def _attempt_alone(self, entry: _Entry) -> list[object]:
        """Carry out one entry of a group that failed; on a full disk only deletions, with the reserve if need be."""
        for has_reserve in (True, False):
            try:
                return self._attempt([entry])
            except Exception as error:  # noqa: BLE001 (as in _commit)
                self._note(error)
                if not (has_reserve and is_lack_of_room(error)):
                    break
                self._make_room()
        return [self._refuse(entry)]

    def _attempt(self, group: list[_Entry]) -> list[object]:
        connection, may_grow = self._connection, not self.is_short
        try:
            connection.execute("begin immediate")
            outcomes = [self._apply(entry, may_grow=may_grow) for entry in group]
            connection.execute("commit")
        except BaseException:
            self._roll_back()
            raise
        return outcomes

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            with contextlib.suppress(apsw.Error):
                self._connection.execute("rollback")
        if self._lane is not None:
            self._lane.forget()
        if self._connection.in_transaction:
            raise _StuckError

    def _note(self, error: Exception) -> None:
        """Log a failure; lack of room only when it is news."""
        if is_lack_of_room(error) and self._reserve.run_short():
            self._say(Event.DISK_FULL)
        if not isinstance(error, apsw.FullError):
            self._say(Event.WRITE_FAILED, error)

    def _say(self, event: Event, error: BaseException | None = None) -> None:
        fields = {} if error is None else {"error": type(error).__name__}
        with contextlib.suppress(OSError, ValueError):  # the log may lie on the same full disk, or be closed
            log(event, database=self.path.name, **fields)

    def _make_room(self) -> None:
        with contextlib.suppress(OSError):
            self._reserve.release()
        self._fold()

    def _tell(self, outcomes: list[object]) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, so nobody waits
                self._loop.call_soon_threadsafe(self._finish, outcomes)

    def _apply(self, entry: _Entry, *, may_grow: bool) -> object:
        if isinstance(entry, list):
            return self._attached().apply(self._connection, entry, may_grow=may_grow)
        entry.result, entry.error = None, None
        if entry.may_grow and not may_grow:
            return self._refuse(entry)
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
        if self._dirty:
            self._dirty = not self._fold()
        if self.is_short:
            self._look_for_room()
        interval_s = min(SHORT_REVIEW_S, self._interval_s) if self.is_short else self._interval_s
        self._next_checkpoint = time.monotonic() + interval_s

    def _fold(self) -> bool:
        try:
            if not self.is_short:
                self.shuffling.carry_out(self._connection)
            return truncate_log(self._connection)
        except apsw.Error as error:
            self._say(Event.WRITE_FAILED, error)
            return False

    def _look_for_room(self) -> None:
        """End the shortage if there is room, giving back to the disk what deletions have left unused in the file."""
        with contextlib.suppress(apsw.Error):
            for _ in range(VACUUM_STEPS):
                if self._reserve.restore() or not give_back(self._connection, VACUUM_PAGES):
                    return
                self._fold()
