"""Names and e-mail addresses that people gave the operator, in identity.db: only where the operator asks for them.

The table is made when the setting is first turned on, so that other relays have no place for them. A row goes with its
account. It is sealed under a key from the secrets file: a thief of the data folder learns no name.

Source: spec/delivery.md, "Sign-up".
"""

from pathlib import Path
from typing import Final

import apsw

from halonyx.core.errors import Misuse, StoreError
from halonyx.relay.store.file import BUSY_TIMEOUT_MS, refusal
from halonyx.relay.store.sealing import unseal
from halonyx.wire.rest_account import ContactDetails

NAME: Final = "contact_details"
TABLE: Final = """
    create table if not exists contact_details(
        row blob not null primary key references account(row) on delete cascade,
        sealed blob not null
    ) strict, without rowid;
"""
PLACE: Final = b"contact details "  # with the account's pseudonym: what a row is sealed to
_THERE: Final = "select count(*) from sqlite_schema where type = 'table' and name = ?"


def has_table(connection: apsw.Connection) -> bool:
    """Tell whether this file has a place for them."""
    return bool(connection.execute(_THERE, (NAME,)).get)


def put(connection: apsw.Connection, row: bytes, sealed: bytes) -> None:
    """Write those of an account, inside the transaction that makes it."""
    connection.execute("insert or replace into contact_details values (?, ?)", (row, sealed))


def delete(connection: apsw.Connection, row: bytes) -> None:
    """Delete those of an account, inside the transaction that ends it."""
    if has_table(connection):
        connection.execute("delete from contact_details where row = ?", (row,))


def read_all(path: Path, key: bytes) -> list[ContactDetails]:
    """Return them all, by name, from another process than the relay's, which may run.

    Args:
        path: identity.db.
        key: From `sealing_key`.

    Raises:
        Misuse: There is no such file.
        StoreError: It is damaged, or belongs to other secrets.
    """
    if not path.is_file():
        raise Misuse(f"there is no relay in {path.parent}: name its folder with --data, or start it once")
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            connection.set_busy_timeout(BUSY_TIMEOUT_MS)
            rows = [*connection.execute("select row, sealed from contact_details")] if has_table(connection) else []
        finally:
            connection.close()
    except apsw.Error as error:
        raise refusal(path, error) from None
    try:
        found = [ContactDetails.model_validate_json(unseal(key, sealed, PLACE + row)) for row, sealed in rows]
    except ValueError:
        raise StoreError(f"{path.name} is damaged, or belongs to another secrets file (--secrets)") from None
    return sorted(found, key=lambda one: (one.name, one.email))
