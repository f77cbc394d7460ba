"""What this relay holds about an account, made from the schema of its files as they are.

A column that nobody has a sentence for is an error and not left out.

Source: docs/reference/relay.md, "What it knows".
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw

from halonyx.core.errors import Misuse, StoreError
from halonyx.core.types import Address
from halonyx.relay.knows_words import BESIDE, CAN_TELL, CANNOT_TELL, COLUMNS, DETAILS, HAS_DETAILS, NO_DETAILS
from halonyx.relay.secrets import DATABASES, Secrets, pseudonym
from halonyx.relay.settings import RelaySettings
from halonyx.relay.store.file import BUSY_TIMEOUT_MS, refusal
from halonyx.wire.rest_relay import Held, RelayKnows

_MAILBOXES: Final = "(select m.id from mailbox m join account a on a.id = m.account where a.name = ?)"
OF_ACCOUNT: Final[dict[str, dict[str, str | None]]] = {
    "identity.db": {
        "account": "row = ?",
        "device": "row = ?",
        "minted": "row = ?",
        "contact_details": "row = ?",
        "intent": None,
        "call": None,
        "invite": None,
    },
    "app.db": {
        "account": "name = ?",
        "mailbox": "account in (select id from account where name = ?)",
        "envelope": f"mailbox in {_MAILBOXES}",
        "drop_file": f"mailbox in {_MAILBOXES}",
        "sqlite_sequence": None,
    },
    "keys.db": {"record": "row = ?", "prekey": "row = ?", "high_water": "row = ?", "fetch": "row = ?"},
}
"""Which rows of a table are those of an account, by its pseudonym; None where nothing says whose a row is."""

SHOWN_BYTES: Final = 8
Found = TypeVar("Found")
_COLUMNS: Final = (
    "select m.name, p.name from sqlite_schema m join pragma_table_xinfo(m.name) p where m.type = 'table'"
    " order by m.rowid, p.cid"
)


@dataclass(frozen=True, slots=True)
class Holding:
    """What one column holds about one account.

    Attributes:
        held: The column and its sentence.
        rows: How many rows of its table are this account's; None where nothing says whose a row is.
        value: The values in short, empty without rows.
    """

    held: Held
    rows: int | None
    value: str


def columns(file: str, connection: apsw.Connection) -> list[Held]:
    """Return every column of a database with its sentence.

    Raises:
        StoreError: Nobody has a sentence for one.
    """
    words = COLUMNS[file]
    found = [f"{table}.{column}" for table, column in connection.execute(_COLUMNS)]
    unknown = [name for name in found if name not in words]
    if unknown:
        raise StoreError(f"{file} has a column that nobody has described: {unknown[0]}")
    return [Held(file=file, name=name, text=words[name]) for name in found]


def page(held: list[Held]) -> RelayKnows:
    """Return all of it: the columns, what there is beside them, and what follows for a court."""
    beside = [Held(file=file, name="", text=text) for file, text in BESIDE.items()]
    has_details = any(one.name.startswith(DETAILS) for one in held)
    can_tell = [*CAN_TELL, HAS_DETAILS] if has_details else list(CAN_TELL)
    cannot_tell = list(CANNOT_TELL) if has_details else [*CANNOT_TELL, NO_DETAILS]
    return RelayKnows(held=[*held, *beside], can_tell=can_tell, cannot_tell=cannot_tell)


def of_anybody(data: Path) -> RelayKnows:
    """Return what is held about any account of the relay in `data`, which may run.

    Raises:
        Misuse: There is no relay.
        StoreError: A database can't be read, or has a column without a sentence.
    """
    return page(_of_each(data, columns))


def of_account(settings: RelaySettings, secrets: Secrets, address: Address) -> list[Holding]:
    """Return what is held about one account of a relay, which may run.

    Raises:
        Misuse: There is no relay in the data folder.
        StoreError: A database can't be read, or has a column without a sentence.
    """
    peppers = {
        "identity.db": secrets.identity_pepper,
        "app.db": secrets.app_pepper,
        "keys.db": secrets.keys_pepper,
    }
    return _of_each(
        settings.data, lambda file, connection: _holdings(file, connection, pseudonym(peppers[file], address))
    )


def _of_each(data: Path, query: Callable[[str, apsw.Connection], Iterable[Found]]) -> list[Found]:
    """Return what a query finds in each database, whose errors are those of the file."""
    found: list[Found] = []
    for file in DATABASES:
        path = data / file
        if not path.is_file():
            raise Misuse(f"there is no relay in {data}: name its folder with --data, or start it once")
        try:
            connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
            try:
                connection.set_busy_timeout(BUSY_TIMEOUT_MS)
                found.extend(query(file, connection))
            finally:
                connection.close()
        except apsw.Error as error:
            raise refusal(path, error) from None
    return found


def _holdings(file: str, connection: apsw.Connection, name: bytes) -> Iterator[Holding]:
    for held in columns(file, connection):
        table, column = held.name.split(".")
        which = OF_ACCOUNT[file][table]
        if which is None:
            yield Holding(held, None, "")
            continue
        query = f'select "{column}" from "{table}" where {which}'  # noqa: S608 (names of the schema)
        values = [value for (value,) in connection.execute(query, (name,))]
        yield Holding(held, len(values), _in_short(values))


def _in_short(values: list[Any]) -> str:
    """Return one value as it is, several by their bounds: of numbers the least and largest, of bytes the sizes."""
    kept = [value for value in values if value is not None]
    if len(kept) == 1 and isinstance(kept[0], bytes):
        more = "…" if len(kept[0]) > SHOWN_BYTES else ""
        return f"{kept[0][:SHOWN_BYTES].hex()}{more} ({len(kept[0])} bytes)"
    unit = " bytes each" if any(isinstance(value, bytes) for value in kept) else ""
    numbers = [len(value) if isinstance(value, bytes) else value for value in kept]
    if not numbers:
        return ""
    least, largest = min(numbers), max(numbers)
    return (str(least) if least == largest else f"{least} to {largest}") + unit
