"""The local store: one SQLCipher file, short transactions, any number of processes.

A transaction takes SQLite's write lock before it reads, so what it decided on is still true when it writes; rows that
were read before (sessions) carry a revision besides.

Source: spec/conventions.md, "At rest".
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import attrgetter, methodcaller
from pathlib import Path
from typing import Any, Final

from sqlcipher3 import dbapi2 as sqlcipher

from halonyx.client.schema import MIGRATIONS
from halonyx.core.errors import StoreError

STORE_FILE: Final = "store.db"
APPLICATION_ID: Final = 0x48_4C_58_31  # "HLX1"
BUSY_TIMEOUT_MS: Final = 10_000

Row = Any
"""A row of the untyped driver; read by column name, and made a typed value at once."""


class Store:
    """One open store.

    Args:
        path: The file; made with mode 0600 when it is not there.
        key: 32 bytes.

    Raises:
        StoreError: Wrong key, damaged, no Halonyx store, or of a newer version.
    """

    def __init__(self, path: Path, key: bytes) -> None:
        path.touch(mode=0o600)
        self._db = sqlcipher.connect(str(path), isolation_level=None)
        self._db.row_factory = sqlcipher.Row
        try:
            # The driver would print a page of its own to standard error for a wrong passphrase.
            self._db.execute("PRAGMA cipher_log_level = NONE")
            self._db.execute(f"PRAGMA key = \"x'{key.hex()}'\"")
            self._db.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")  # an acknowledged message is gone from the relay
            self._db.execute("PRAGMA secure_delete = ON")
            self._db.execute("PRAGMA foreign_keys = ON")
            self._migrate()
        except sqlcipher.OperationalError as error:
            self._db.close()
            raise StoreError(f"the store can't be opened: {error}") from None
        except sqlcipher.DatabaseError:
            self._db.close()
            raise StoreError("wrong passphrase, or the store is damaged") from None

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the write lock; commit at the end, roll back on any exception.

        Raises:
            StoreError: Another process held the lock for ten seconds, or the disk is full.
        """
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # a full disk has ended it already
                self.execute("ROLLBACK")
            raise

    def execute(self, sql: str, *values: object) -> int:
        """Run one statement; return how many rows it changed."""
        return int(self._run(sql, values, attrgetter("rowcount")))

    def insert(self, sql: str, *values: object) -> int:
        """Run one INSERT; return the new row's id."""
        return int(self._run(sql, values, attrgetter("lastrowid")))

    def one(self, sql: str, *values: object) -> Row | None:
        """Return the first row, or None."""
        return self._run(sql, values, methodcaller("fetchone"))

    def all(self, sql: str, *values: object) -> list[Row]:
        """Return every row."""
        return list(self._run(sql, values, methodcaller("fetchall")))

    def value(self, sql: str, *values: object) -> Any:  # noqa: ANN401 (what the column holds)
        """Return the first column of the first row, or None."""
        row = self.one(sql, *values)
        return None if row is None else row[0]

    def _run(self, sql: str, values: tuple[object, ...], read: Callable[[Any], Any]) -> Any:  # noqa: ANN401 (the driver has no types)
        try:
            return read(self._db.execute(sql, values))
        except sqlcipher.IntegrityError:
            raise  # a bug of ours, and not the file's
        except sqlcipher.DatabaseError as error:
            raise StoreError(f"the store did not take it: {error}") from None

    def _migrate(self) -> None:
        found = self.value("PRAGMA user_version")
        if found > len(MIGRATIONS):
            raise StoreError(f"the store is of version {found}, made by a newer program; update this one")
        if found == len(MIGRATIONS):
            return
        with self.transaction():
            # Read again under the lock: another process may just have migrated.
            for version, script in enumerate(MIGRATIONS, start=1):
                if version > self.value("PRAGMA user_version"):
                    for statement in _statements(script):
                        self._db.execute(statement)
                    self._db.execute(f"PRAGMA user_version = {version}")
            self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _statements(script: str) -> Iterator[str]:
    """Split a script: `executescript` would commit the transaction first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlcipher.complete_statement(statement):
            yield statement
            statement = ""
