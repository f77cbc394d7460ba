"""Rows are written anew in the order of their keys, whole or not at all."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from halonyx.relay.store.file import Schema, migrate, open_file, truncate_log
from halonyx.relay.store.shuffling import Shuffling

TABLES = """
    create table person(key blob not null primary key) strict, without rowid;
    create table letter(id integer primary key, person blob not null references person(key) on delete cascade) strict;
"""
SCHEMA = Schema(0x54455354, (TABLES,))
KEYS = [bytes([number]) * 32 for number in (7, 3, 9, 1, 5)]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[apsw.Connection]:
    path = tmp_path / "test.db"
    path.touch()
    with closing(open_file(path)) as made:
        migrate(made, SCHEMA)
        for number, key in enumerate(KEYS):
            made.execute("insert into person values (?)", (key,))
            made.execute("insert into letter values (?, ?)", (number, key))
        yield made


def places(connection: apsw.Connection) -> list[bytes]:
    """Return the keys in the order in which a page was filled, which is from its end."""
    assert truncate_log(connection)
    raw = Path(connection.filename).read_bytes()
    page = raw[: raw.index(KEYS[0]) // 4096 * 4096 + 4096]
    return sorted(KEYS, key=page.rindex, reverse=True)


def letters(connection: apsw.Connection) -> Sequence[object]:
    return connection.execute("select person from letter order by id").fetchall()


def test_rows_lie_in_the_order_of_their_keys_and_what_refers_to_them_stays(connection: apsw.Connection) -> None:
    assert places(connection) == KEYS

    Shuffling(("person", "not there")).carry_out(connection)

    assert places(connection) == sorted(KEYS)
    assert letters(connection) == [(key,) for key in KEYS]
    connection.execute("delete from person where key = ?", (KEYS[0],))
    assert letters(connection) == [(key,) for key in KEYS[1:]]  # references are looked at again


def test_without_room_it_is_left_for_another_time(connection: apsw.Connection) -> None:
    shuffling = Shuffling(("person",))
    connection.execute("pragma temp.max_page_count = 1")

    shuffling.carry_out(connection)

    assert places(connection) == KEYS  # and the log could be folded
    assert connection.pragma("foreign_keys")
    connection.execute("pragma temp.max_page_count = 1000000")
    shuffling.carry_out(connection)
    assert places(connection) == sorted(KEYS)


def test_it_is_done_once_for_what_came(connection: apsw.Connection) -> None:
    shuffling = Shuffling(("person",))
    shuffling.carry_out(connection)
    before = connection.total_changes()

    shuffling.carry_out(connection)

    assert connection.total_changes() == before
    shuffling.note()
    shuffling.carry_out(connection)
    assert connection.total_changes() > before
