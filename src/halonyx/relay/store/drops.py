"""The drop: encrypted files kept for people who are never online together. Rows in app.db, one file each.

The row is the truth: it says how much of a file is on disk, and is changed only after the disk has it. A file without
a row is removed at the next start, a row without its file too. Rows and files are named by a pseudonym of the drop id
under app.db's pepper; the upload token and the deletion key are known by their hashes. Neither says when it
was made, but the day, nor in which order: the envelope that offers the file came within the same second.

Source: spec/file-relay.md, "Drop".
"""

import asyncio
import os
import re
import secrets
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final, cast

import apsw
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from halonyx.core.primitives import equal, sha256
from halonyx.core.types import DAY, Address, DeviceId, Millis
from halonyx.disk import sync_folder
from halonyx.relay.store.database import Busy, Database
from halonyx.relay.store.mailbox import Names
from halonyx.wire.rest_files import DropRequest

LEAST_COUNTED: Final = 256 * 1024  # what the smallest padded file takes; else a quota would allow files without number
TOKEN_SIZE: Final = 16
FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700
SWEEP_BATCH: Final = 1000
_FILE_NAME: Final = re.compile(r"[0-9a-f]{64}")


class Outcome(Enum):
    """Why a call came to nothing."""

    GONE = "gone"  # the mailbox has been removed meanwhile
    UNKNOWN = "unknown"
    CONFLICT = "conflict"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Bounds:
    """The operator's: bytes per mailbox and of all, days a file is kept, room that has to stay free on the disk."""

    quota: int
    total: int
    days: int
    spare: int


@dataclass(frozen=True, slots=True)
class Kept:
    """One row.

    Attributes:
        name: Pseudonym, 32 bytes; in hex it names the file.
        mailbox: Number of the mailbox it counts for.
        received: Bytes on disk.
        created: The beginning of the day (UTC) of its first call, in milliseconds.
    """

    id: int
    name: bytes
    mailbox: int
    size: int
    received: int
    created: int
    delete_hash: bytes
    upload_hash: bytes


class DropStore:
    """Files and their rows. Used from one event loop; files are read and written on other threads.

    Args:
        database: app.db.
        names: Its pseudonyms.
        folder: Where the files are.
        bounds: The operator's.
    """

    def __init__(self, database: Database, names: Names, folder: Path, bounds: Bounds) -> None:
        self._database = database
        self._names = names
        self._folder = folder
        self._bounds = bounds
        self._changing: Counter[bytes] = Counter()  # files that a thread is at
        self.taken_bytes = 0
        self.given_bytes = 0

    # Uploading

    async def open(self, call: DropRequest, now: Millis) -> tuple[int, str] | Outcome:
        """Make room for a file, or find the one that was begun; return how much is there, and a token for more.

        The room is counted whole, in the transaction that makes the row: two calls can't both get the last of it.

        Raises:
            Busy: The disk is full or failing.
        """
        mailbox = self._names.mailbox(Address(call.address), DeviceId(call.device))
        name, size = self._names.drop(call.drop), call.size
        token = secrets.token_bytes(TOKEN_SIZE)
        free = await asyncio.to_thread(self._free)

        def job(connection: apsw.Connection) -> int | Outcome:
            box = cast("int | None", connection.execute("select id from mailbox where name = ?", (mailbox,)).get)
            if box is None:
                return Outcome.GONE
            known = _find(connection, name)
            if known is None:
                if not self._has_room(connection, box, size, free):
                    return Outcome.FULL
                connection.execute(
                    "insert into drop_file(id, name, mailbox, size, received, created, delete_hash, upload_hash)"
                    " values(?, ?, ?, ?, 0, ?, ?, ?)",
                    (secrets.randbits(62), name, box, size, now // DAY * DAY, call.delete_hash, sha256(token)),
                )
                return 0
            if (known.mailbox, known.size, known.delete_hash) != (box, size, call.delete_hash):
                return Outcome.CONFLICT
            connection.execute("update drop_file set upload_hash = ? where name = ?", (sha256(token), name))
            return known.received

        found = await self._database.write(job)
        return found if isinstance(found, Outcome) else (found, token.hex())

    def _has_room(self, connection: apsw.Connection, box: int, size: int, free: int) -> bool:
        counted = max(size, LEAST_COUNTED)
        used = "select coalesce(sum(max(size, ?)), 0) from drop_file"
        every = _number(connection, used, LEAST_COUNTED)
        own = _number(connection, f"{used} where mailbox = ?", LEAST_COUNTED, box)
        promised = _number(connection, "select coalesce(sum(size - received), 0) from drop_file")
        bounds = self._bounds
        fits_disk = free - promised - size >= bounds.spare
        return own + counted <= bounds.quota and every + counted <= bounds.total and fits_disk

    def may_upload(self, drop: bytes, token: str) -> Kept | None:
        """Return the file a token is for, or None: no such file, or not its latest token."""
        row = self._row(drop)
        shown = sha256(bytes.fromhex(token))
        return row if row is not None and equal(row.upload_hash, shown) else None

    async def append(self, row: Kept, offset: int, part: bytes) -> int | Outcome:
        """Put the next part of a file on disk and return how much is there now.

        Args:
            row: From `may_upload`; what has happened since is found out here.
            offset: Where the part belongs: exactly behind what is there.
            part: Not empty.

        Raises:
            Busy: The disk is full or failing; nothing has changed.
        """
        end = offset + len(part)
        now = self._database.read(lambda connection: _find(connection, row.name))
        if now is None or now.upload_hash != row.upload_hash:
            return Outcome.UNKNOWN
        if self._changing[row.name] or offset != now.received or end > now.size:
            return Outcome.CONFLICT
        with self._change([row.name]):
            await asyncio.to_thread(self._put, now, offset, part)
            if not await self._database.write(lambda connection: _advance(connection, now, end), may_grow=False):
                await self.unlink([row.name])  # deleted while it was written: with its account, say
                return Outcome.UNKNOWN
        self.taken_bytes += len(part)
        return end

    def _put(self, row: Kept, offset: int, part: bytes) -> None:
        """Write to disk and have it there; what a failed write leaves behind is overwritten by the next."""
        try:
            if self._free() < self._bounds.spare + len(part):
                raise Busy("the disk has no room for files")
            self._folder.mkdir(FOLDER_MODE, exist_ok=True)
            path, day = self._path(row.name), row.created * 1_000_000
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
            try:
                written = 0
                while written < len(part):
                    written += os.pwrite(descriptor, memoryview(part)[written:], offset + written)
                os.utime(descriptor, ns=(day, day))
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)
            if offset == 0:
                sync_folder(self._folder)
        except OSError:
            raise Busy("the disk is full or failing") from None

    # Reading and deleting

    def complete(self, drop: bytes, now: Millis) -> tuple[Path, int] | None:
        """Return the file and its size if all of it is there and its time is not over."""
        row = self._row(drop)
        if row is None or row.received != row.size or row.created <= self._horizon(now):
            return None
        return self._path(row.name), row.size

    async def delete(self, drop: bytes, key: bytes) -> bool:
        """Delete a file, for whoever shows the key; False if there is none or the key is another's."""
        row = self._row(drop)
        if row is None or not equal(row.delete_hash, sha256(key)):
            return False
        await self._forget("delete from drop_file where name = ? returning name", (row.name,))
        return True

    async def sweep(self, now: Millis) -> int:
        """Delete what was begun longer ago than files are kept; return how many files that were."""
        query = "delete from drop_file where id in (select id from drop_file where created <= ? limit ?) returning name"
        swept = 0
        while count := await self._forget(query, (self._horizon(now), SWEEP_BATCH)):
            swept += count
        return swept

    async def tidy(self) -> int:
        """Remove files without a row, and rows whose file is not there as they say; return how many."""
        rows = self._database.read(lambda connection: [Kept(*row) for row in connection.execute(_SELECT)])
        sizes = await asyncio.to_thread(self._sizes)
        lost = [row.name for row in rows if row.received > sizes.get(row.name.hex(), 0)]
        for name in lost:
            await self._forget("delete from drop_file where name = ? returning name", (name,))
        strangers = set(sizes) - {row.name.hex() for row in rows}
        await asyncio.to_thread(self._unlink, [self._folder / name for name in strangers])
        return len(lost) + len(strangers)

    async def unlink(self, names: Sequence[bytes]) -> None:
        """Remove the files of rows that are gone; until they are, nothing is written under their names."""
        with self._change(names):
            await asyncio.to_thread(self._unlink, [self._path(name) for name in names])

    @contextmanager
    def _change(self, names: Sequence[bytes]) -> Iterator[None]:
        self._changing.update(names)
        try:
            yield
        finally:
            self._changing -= Counter(names)

    def collect(self) -> Iterator[Metric]:
        """Return what /metrics shows: numbers of everything together."""
        read = self._database.read
        files = read(lambda connection: _number(connection, "select count(*) from drop_file"))
        size = read(lambda connection: _number(connection, "select coalesce(sum(received), 0) from drop_file"))
        yield GaugeMetricFamily("halonyx_drop_files", "Encrypted files kept", files)
        yield GaugeMetricFamily("halonyx_drop_bytes", "Bytes of them on disk", size)
        yield CounterMetricFamily("halonyx_drop_taken_bytes", "Bytes of files taken", self.taken_bytes)
        yield CounterMetricFamily("halonyx_drop_given_bytes", "Bytes of files given out", self.given_bytes)

    async def _forget(self, query: str, values: tuple[bytes] | tuple[int, int]) -> int:
        """Delete rows, then their files: in the other order a crash would leave rows that promise files."""
        names = await self._database.write(
            lambda connection: [cast(bytes, name) for (name,) in connection.execute(query, values)], may_grow=False
        )
        await self.unlink(names)
        return len(names)

    def _row(self, drop: bytes) -> Kept | None:
        name = self._names.drop(drop)
        return self._database.read(lambda connection: _find(connection, name))

    def _horizon(self, now: Millis) -> int:
        return now - (self._bounds.days + 1) * DAY  # to the end of a day: the hour of its first call is not known

    def _path(self, name: bytes) -> Path:
        return self._folder / name.hex()

    def _free(self) -> int:
        return shutil.disk_usage(self._folder.parent).free

    def _sizes(self) -> dict[str, int]:
        if not self._folder.is_dir():
            return {}
        with os.scandir(self._folder) as entries:
            ours = [entry for entry in entries if _FILE_NAME.fullmatch(entry.name)]
            return {entry.name: entry.stat(follow_symlinks=False).st_size for entry in ours}

    @staticmethod
    def _unlink(paths: Iterable[Path]) -> None:
        for path in paths:
            path.unlink(missing_ok=True)


_SELECT: Final = "select id, name, mailbox, size, received, created, delete_hash, upload_hash from drop_file"


def _find(connection: apsw.Connection, name: bytes) -> Kept | None:
    row = connection.execute(f"{_SELECT} where name = ?", (name,)).fetchone()
    return None if row is None else Kept(*row)


def _advance(connection: apsw.Connection, row: Kept, end: int) -> bool:
    # By number, which is never used again: the same file may have been deleted and begun anew under its name.
    connection.execute("update drop_file set received = ? where id = ?", (end, row.id))
    return bool(connection.changes())


def _number(connection: apsw.Connection, query: str, *values: int) -> int:
    return cast(int, connection.execute(query, values).get)
