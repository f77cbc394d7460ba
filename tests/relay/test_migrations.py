"""Files of every earlier schema become today's, with what is in them."""

from contextlib import closing
from pathlib import Path

import apsw
import pytest

from halonyx.core.primitives import sha256
from halonyx.relay.backup import SCHEMAS
from halonyx.relay.store.database import Database
from halonyx.relay.store.file import Schema, migrate, open_file

RELEASED = {
    "identity.db": ("d02c1114", "1adaa2d1"),
    "app.db": ("8285aa75", "5b964d0e"),
    "keys.db": ("8c059b68",),
}
"""Beginnings of the SHA-256 of each script: one that is out is never changed, only followed by another."""
VERSIONS = [(name, version) for name, schema in SCHEMAS.items() for version in range(1, len(schema.migrations) + 1)]
VALUES = {"INTEGER": 1, "BLOB": bytes(range(32)), "TEXT": "one"}

Rows = dict[str, list[tuple[object, ...]]]


def tables(connection: apsw.Connection) -> list[str]:
    query = "select name from sqlite_schema where type = 'table' and name not like 'sqlite_%' order by rowid"
    return [str(name) for (name,) in connection.execute(query)]


def columns(connection: apsw.Connection, table: str) -> dict[str, object]:
    """Return the columns of a table, each with a value that fits."""
    return {str(row[1]): VALUES[str(row[2]).upper()] for row in connection.execute(f"pragma table_info({table})")}


def filled(path: Path, schema: Schema) -> Rows:
    """Make a file of this schema with a row in every table, and return the rows."""
    path.touch()
    with closing(open_file(path)) as connection:
        migrate(connection, schema)
        for table in tables(connection):
            values = columns(connection, table)
            places = ", ".join("?" * len(values))
            connection.execute(f"insert into {table} values ({places})", tuple(values.values()))  # noqa: S608
        return contents(connection)


def contents(connection: apsw.Connection) -> Rows:
    return {table: connection.execute(f"select * from {table}").fetchall() for table in tables(connection)}  # noqa: S608


def shape(path: Path) -> list[tuple[object, ...]]:
    with closing(open_file(path)) as connection:
        return connection.execute("select type, name, sql from sqlite_schema order by 1, 2").fetchall()


@pytest.mark.parametrize(("name", "version"), VERSIONS)
def test_a_file_of_every_earlier_schema_becomes_todays(name: str, version: int, tmp_path: Path) -> None:
    schema = SCHEMAS[name]
    path, fresh = tmp_path / name, tmp_path / "fresh.db"
    before = filled(path, Schema(schema.application_id, schema.migrations[:version]))

    for _ in range(2):
        Database(path, schema).close()
    Database(fresh, schema).close()
    with closing(open_file(path)) as connection:
        after = contents(connection)
        assert connection.pragma("user_version") == len(schema.migrations)
        assert connection.execute("pragma quick_check").get == "ok"
        assert connection.execute("pragma foreign_key_check").fetchall() == []

    assert {table: after[table] for table in before} == before
    assert shape(path) == shape(fresh)


@pytest.mark.parametrize("name", SCHEMAS)
def test_no_script_is_changed_once_it_is_out(name: str) -> None:
    digests = tuple(sha256(script.encode()).hex()[:8] for script in SCHEMAS[name].migrations)

    assert digests == RELEASED[name], "add a script instead; a new one is added here, too"
