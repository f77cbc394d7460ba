"""Rows in the order of their keys, which are random: where they lie on the disk tells no longer when they came.

Without it accounts could be matched from file to file by the order of their sign-up.
"""

import contextlib

import apsw


class Shuffling:
    """The tables of one file that are shuffled. Used from its writer thread.

    Args:
        tables: Their first column is a random key, their rows are small and no more than accounts or devices. Those
            that the file does not have are passed over.
    """

    __slots__ = ("_has_come", "_tables")

    def __init__(self, tables: tuple[str, ...]) -> None:
        self._tables = tables
        self._has_come = True  # perhaps, before a crash

    def note(self) -> None:
        """Note that a row comes; call it in the job that writes it."""
        self._has_come = True

    def carry_out(self, connection: apsw.Connection) -> None:
        """Write the rows anew, if any has come. The write-ahead log has the former order until it is folded.

        Args:
            connection: In no transaction.

        Raises:
            apsw.Error: The file can't be written; nothing has changed.
        """
        if self._has_come:
            with contextlib.suppress(apsw.FullError, apsw.IOError):  # the folding must not wait for room: another time
                _shuffle(connection, self._tables)
                self._has_come = False


def _shuffle(connection: apsw.Connection, tables: tuple[str, ...]) -> None:
    connection.pragma("foreign_keys", value=False)  # rows are gone for a moment, and what refers to them stays
    try:
        connection.execute("begin immediate")
        there = {name for (name,) in connection.execute("select name from sqlite_schema where type = 'table'")}
        for table in there.intersection(tables):
            connection.execute(f"create temp table kept as select * from main.{table}")  # noqa: S608 (of the schema)
            connection.execute(f"delete from main.{table}")  # noqa: S608 (as above)
            connection.execute(f"insert into main.{table} select * from temp.kept order by 1")  # noqa: S608 (as above)
            connection.execute("drop table temp.kept")
        connection.execute("commit")
    finally:
        if connection.in_transaction:
            connection.execute("rollback")
        connection.pragma("foreign_keys", value=True)
