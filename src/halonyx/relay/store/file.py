"""One SQLite file: what it must hold, how it is opened, migrated and folded.

Source: https://sqlite.org/wal.html, https://sqlite.org/pragma.html.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw

from halonyx.core.errors import StoreError

AUTOCHECKPOINT_PAGES: Final = 4000
PAGE_BYTES: Final = 4096
BUSY_TIMEOUT_MS: Final = 5000
FOLDING_MS: Final = 100
DAMAGED: Final = "is damaged: put a backup back with 'halonyx relay restore FILE --replace'"


@dataclass(frozen=True, slots=True)
class Schema:
    """What a file must hold.

    Attributes:
        application_id: 32-bit number that tells our files apart from others and from each other.
        migrations: Scripts; a file at user_version n has seen the first n. Never changed once released.
        shuffled: Tables of which nothing may tell in which order their rows came (shuffling.py).
    """

    application_id: int
    migrations: tuple[str, ...]
    shuffled: tuple[str, ...] = ()


def open_file(path: Path, autocheckpoint_pages: int = AUTOCHECKPOINT_PAGES) -> apsw.Connection:
    """Connect to a file that exists.

    Args:
        path: The file.
        autocheckpoint_pages: Size of the write-ahead log at which it is folded.

    Raises:
        apsw.Error: It is no database, or the disk fails.
    """
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    for pragma in (
        "auto_vacuum=incremental",  # counts while the file is empty: what is deleted can be given back to the disk
        "journal_mode=wal",
        "synchronous=full",
        "secure_delete=on",
        "foreign_keys=on",
        "mmap_size=0",
        "temp_store=memory",  # a temporary file would hold bytes outside secure_delete
        f"wal_autocheckpoint={autocheckpoint_pages}",
    ):
        connection.execute(f"pragma {pragma}")
    return connection


def migrate(connection: apsw.Connection, schema: Schema) -> None:
    """Bring a file to the schema.

    Raises:
        StoreError: The file is damaged, foreign or newer than this program.
        apsw.Error: The disk fails.
    """
    _check(connection)
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


def check(path: Path) -> None:
    """Read through a file that nobody writes.

    Raises:
        StoreError: It is damaged, or can't be opened.
    """
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            connection.set_busy_timeout(BUSY_TIMEOUT_MS)
            _check(connection)
        finally:
            connection.close()
    except apsw.Error as error:
        raise refusal(path, error) from None


def refusal(path: Path, error: Exception) -> StoreError:
    """Return what to raise for a file that can't be opened."""
    is_damaged = isinstance(error, (apsw.NotADBError, apsw.CorruptError))
    return StoreError(f"{path.name} {DAMAGED}" if is_damaged else f"{path} can't be opened: {type(error).__name__}")


def _check(connection: apsw.Connection) -> None:
    if connection.execute("pragma quick_check(1)").get != "ok":
        raise StoreError(f"{Path(connection.filename).name} {DAMAGED}")


def truncate_log(connection: apsw.Connection) -> bool:
    """Fold the log into the file and cut it to nothing; False if a reader or the disk was in the way."""
    connection.set_busy_timeout(FOLDING_MS)  # a backup reads for long, and everybody would wait with the writer
    try:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except (apsw.BusyError, apsw.LockedError, apsw.FullError, apsw.IOError):
        return False
    finally:
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    return True


def give_back(connection: apsw.Connection, pages: int) -> bool:
    """Cut at most `pages` unused pages off the end of a file; False if there was none.

    Raises:
        apsw.Error: There is no room even for the move.
    """
    before = connection.pragma("freelist_count")
    if before:
        connection.execute(f"pragma incremental_vacuum({pages})").fetchall()
    return bool(connection.pragma("freelist_count") < before)


def is_lack_of_room(error: Exception) -> bool:
    """Tell whether the disk is full or failing, for which the same is done."""
    return isinstance(error, (apsw.FullError, apsw.IOError))
