"""What a thief of all three files can put together from values that stand in more than one of them."""

import sqlite3
from pathlib import Path

from halonyx.core.primitives import sha256
from relay.rest_kit import Person, running_relay

PEOPLE = 12
DATABASES = ("identity.db", "app.db", "keys.db")


def values(path: Path) -> set[bytes]:
    """Every value of sixteen bytes and more in a file, and the SHA-256 of each."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    found: set[bytes] = set()
    try:
        for (table,) in connection.execute("select name from sqlite_master where type = 'table'").fetchall():
            for row in connection.execute(f"select * from {table}"):  # noqa: S608 (names from the schema)
                found |= {bytes(value) for value in row if isinstance(value, bytes) and len(value) >= 16}
    finally:
        connection.close()
    return found | {sha256(value) for value in found}


async def test_no_value_and_no_hash_of_one_stands_in_two_files(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        for _ in range(PEOPLE):
            assert (await Person().sign_up(relay)).status == 201

        found = {name: values(path) for name in DATABASES for path in tmp_path.rglob(name)}  # noqa: ASYNC240 (a test)

    assert all(len(here) >= PEOPLE for here in found.values())
    for at, first in enumerate(DATABASES):
        for second in DATABASES[at + 1 :]:
            assert not found[first] & found[second], f"{first} and {second} can be joined"
