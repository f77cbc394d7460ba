"""A thief of the relay's disk: three databases, their write-ahead logs and the log at its most talkative.

He has everything but the secrets file, which is kept apart. What he guesses is compared with the truth by whoever
seeded the relay; nothing of the truth is known here.
"""

import base64
import json
import random
import sqlite3
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

DATABASES: Final = ("identity.db", "app.db", "keys.db")
WINDOW: Final = 8  # bytes that agree by chance once in 2^64
SURE: Final = 32  # the same of what has two hexadecimal digits, or one letter, in four bytes
RELABELLINGS: Final = 1000
DEVIATIONS: Final = 6

Guess = Mapping[Any, int]
"""Row of an envelope, or name of a file in the drop, to the number of an account."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A row of app.db; `account` is the number of the account whose mailbox it lies in."""

    row: int
    account: int
    seq: int
    name: bytes
    time: int
    size: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Account:
    """A row of app.db and its mailbox."""

    number: int
    name: bytes
    mailbox_name: bytes
    next_seq: int


class Loot:
    """Copies of the files.

    Args:
        folder: Holds them, opened as they were found: the logs are folded in by the library, the raw bytes are kept.
    """

    def __init__(self, folder: Path) -> None:
        self.raw = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
        self.drops = _rows(folder / "app.db", "select id, name, created from drop_file order by id")
        self.dates = {path.name: path.stat().st_mtime_ns // 1_000_000 for path in (folder / "drop").iterdir()}
        self.tables = {name: _tables(folder / name) for name in DATABASES}
        self.accounts = [Account(*row) for row in _rows(folder / "app.db", ACCOUNTS)]
        self.envelopes = [Envelope(*row) for row in _rows(folder / "app.db", ENVELOPES)]

    @property
    def everything(self) -> bytes:
        """All bytes, one file after the other."""
        return b"".join(self.raw.values())


ACCOUNTS: Final = (
    "select a.id, a.name, m.name, m.next_seq from account a join mailbox m on m.account = a.id order by a.id"
)
ENVELOPES: Final = (
    "select e.row, m.account, e.seq, e.envelope_id, e.time, e.size, e.body from envelope e"
    " join mailbox m on m.id = e.mailbox order by e.row"
)


# Finding


def forms(secret: bytes) -> Iterable[bytes]:
    """Yield how a value may stand in a file: raw, hex, base64 at each of its three alignments, and as UTF-16."""
    texts = [secret.hex().encode(), secret.hex().upper().encode()]
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + secret)
        whole = encoded[-(-shift * 4 // 3) : len(encoded.rstrip(b"=")) - 1]  # without what depends on neighbours
        texts += [whole, whole.replace(b"+", b"-").replace(b"/", b"_")]
    yield secret
    yield from texts
    for text in [secret, *texts]:
        yield text.decode("latin-1").encode("utf-16-le")


def found(everything: bytes, secrets: Mapping[str, Iterable[bytes]]) -> set[str]:
    """Return the names of those secrets whose beginning, in any form, stands anywhere."""
    named: dict[int, list[tuple[str, bytes]]] = {}
    for name, values in secrets.items():
        for form in (form for value in values for form in forms(value)):
            assert len(form) >= WINDOW, "too short to be told from chance"
            named.setdefault(int.from_bytes(form[:WINDOW], "little"), []).append((name, form[:SURE]))
    hits: set[int] = set()
    for offset in range(WINDOW):  # every byte of it is the beginning of a window once
        end = offset + (len(everything) - offset) // WINDOW * WINDOW
        windows = memoryview(everything)[offset:end].cast("Q")
        hits |= {number for number in windows if number in named}
    return {name for hit in hits for name, beginning in named[hit] if beginning in everything}


# Joining


def joined(loot: Loot) -> set[tuple[str, str]]:
    """Return the pairs of columns of two files that hold a value, or the beginning of one, in common."""
    seen: dict[bytes, set[str]] = {}
    for file, tables in loot.tables.items():
        for column, values in tables.items():
            for value in values:
                if (window := _window(value)) is not None:
                    seen.setdefault(window, set()).add(f"{file} {column}")
    pairs = {(one, two) for columns in seen.values() for one in columns for two in columns if one < two}
    return {(one, two) for one, two in pairs if one.split()[0] != two.split()[0]}


def _window(value: object) -> bytes | None:
    match value:
        case bytes() if len(value) >= WINDOW:
            return value[:WINDOW]
        case int() if value > 1 << 40:  # a time in milliseconds; small numbers agree everywhere
            return value.to_bytes(WINDOW, "big", signed=True)
        case _:
            return None


def nearest_mailbox(loot: Loot, moment: int) -> int:
    """Guess whose mailbox belongs to something that happened at a moment: the one that got an envelope next to it."""
    return min(loot.envelopes, key=lambda envelope: abs(envelope.time - moment)).account


PAGE: Final = 4096


def orders(loot: Loot, file: str, names: Sequence[bytes]) -> Iterable[list[int]]:
    """Yield ranks of accounts by where their rows lie in a file, and by their numbers.

    SQLite fills a page from its end, and takes new pages at the end of the file.

    Args:
        file: One of DATABASES.
        names: What the accounts are called there.
    """
    mailboxes = {account.name: account for account in loot.accounts}
    groups = [names]
    if file == "app.db":
        groups.append([mailboxes[name].mailbox_name for name in names])
        yield _ranks([mailboxes[name].number for name in names])
    for group in groups:
        spots = [_spots(loot.raw[file], name) for name in group]
        for end in (0, -1):
            yield _ranks([spot[end] for spot in spots])
            yield _ranks([(spot[end] // PAGE, -spot[end]) for spot in spots])


def _spots(raw: bytes, name: bytes) -> list[int]:
    spots = [raw.find(name)]
    while (spot := raw.find(name, spots[-1] + 1)) >= 0:
        spots.append(spot)
    return spots


def _ranks(keys: Sequence[Any]) -> list[int]:
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return sorted(range(len(keys)), key=order.__getitem__)


# Linking files in the drop: by name, whose mailbox got the envelope that says so


def _next_to(loot: Loot, moments: Mapping[bytes, int]) -> dict[bytes, int]:
    return {name: nearest_mailbox(loot, moment) for name, moment in moments.items()}


def _by_row(loot: Loot) -> dict[bytes, int]:
    return _next_to(loot, {name: created for _, name, created in loot.drops})


def _by_date(loot: Loot) -> dict[bytes, int]:
    return _next_to(loot, {bytes.fromhex(name): moment for name, moment in loot.dates.items()})


def _by_order(loot: Loot) -> dict[bytes, int]:
    """Guess that rows were made in the order in which the log names the calls that make them."""
    lines = [json.loads(line) for line in loot.raw["log"].splitlines()]
    calls = [line["timestamp"] for line in lines if line.get("route") == "/v1/drop"]
    moments = [int(datetime.fromisoformat(call).timestamp() * 1000) for call in sorted(calls)]
    return _next_to(loot, {name: moment for (_, name, _), moment in zip(loot.drops, moments, strict=True)})


DROP_ATTACKS: Final[dict[str, Callable[[Loot], dict[bytes, int]]]] = {
    "the time in the row": _by_row,
    "the date of the file": _by_date,
    "the order of rows": _by_order,
}


# Linking


def _neighbour(step: int) -> Callable[[Loot], Guess]:
    def guess(loot: Loot) -> Guess:
        guesses = {}
        for at, envelope in enumerate(loot.envelopes):
            others = loot.envelopes[at + 1 :] if step > 0 else loot.envelopes[at - 1 :: -1] if at else []
            other = next((one for one in others if one.account != envelope.account), None)
            if other is not None:
                guesses[envelope.row] = other.account
        return guesses

    return guess


def _alike(value: Callable[[Envelope], float]) -> Callable[[Loot], Guess]:
    """Guess whoever has the envelope that is most alike."""

    def guess(loot: Loot) -> Guess:
        guesses = {}
        for envelope in loot.envelopes:
            others = (one for one in loot.envelopes if one.account != envelope.account)
            nearest = min(others, key=lambda one: (abs(value(one) - value(envelope)), abs(one.row - envelope.row)))
            guesses[envelope.row] = nearest.account
        return guesses

    return guess


def _partner(loot: Loot) -> Guess:
    """Guess that two mailboxes that fill together belong to people who talk: the smallest sum of distances in time."""
    times = {
        account.number: [e.time for e in loot.envelopes if e.account == account.number] for account in loot.accounts
    }

    def distance(one: int, two: int) -> float:
        return sum(min((abs(time - other) for other in times[two]), default=1e12) for time in times[one])

    partner = {one: min((two for two in times if two != one), key=lambda two: distance(one, two)) for one in times}
    return {envelope.row: partner[envelope.account] for envelope in loot.envelopes}


def _counters(loot: Loot) -> Guess:
    """Guess whoever has had as many envelopes: a conversation fills both mailboxes alike."""
    by_number = {account.number: account for account in loot.accounts}

    def nearest(envelope: Envelope) -> int:
        own = by_number[envelope.account]
        others = [account for account in loot.accounts if account is not own]
        return min(others, key=lambda one: (abs(one.next_seq - own.next_seq), abs(one.number - own.number))).number

    return {envelope.row: nearest(envelope) for envelope in loot.envelopes}


def _signed_up_together(loot: Loot) -> Guess:
    """Guess whoever signed up next."""
    numbers = [account.number for account in loot.accounts]
    following = dict(zip(numbers, [*numbers[1:], numbers[0]], strict=True))
    return {envelope.row: following[envelope.account] for envelope in loot.envelopes}


def _by_values(loot: Loot) -> Guess:
    """Guess whoever's names stand in the envelope's row, or begin like something in it."""
    names: dict[bytes, int] = {}
    for account in loot.accounts:
        names |= {account.name[:WINDOW]: account.number, account.mailbox_name[:WINDOW]: account.number}
    guesses = {}
    for envelope in loot.envelopes:
        content = envelope.name + envelope.body
        hits = (names.get(content[at : at + WINDOW]) for at in range(len(content)))
        number = next((hit for hit in hits if hit is not None), None)
        if number is not None:
            guesses[envelope.row] = number
    return guesses


ATTACKS: Final[dict[str, Callable[[Loot], Guess]]] = {
    "whoever gets the next envelope": _neighbour(1),
    "whoever got the one before": _neighbour(-1),
    "the nearest in time": _alike(lambda envelope: envelope.time),
    "the same size": _alike(lambda envelope: envelope.size),
    "the same place in the mailbox": _alike(lambda envelope: envelope.seq),
    "mailboxes that fill together": _partner,
    "as many envelopes": _counters,
    "signed up together": _signed_up_together,
    "values in the row": _by_values,
}


def is_better_than_chance(guesses: Guess, senders: Guess, accounts: Sequence[int]) -> bool:
    """Tell whether guesses hit more senders than they would if the accounts had been dealt to people at random.

    Chance is what the same guesses hit under RELABELLINGS random one-to-one exchanges of all accounts, always the same
    ones: its mean and standard deviation. Better is more than DEVIATIONS of them above the mean, which of 200 envelopes
    and 40 people takes about 18 hits where 5 are expected; by chance that happens about once in 200,000 times.
    """
    pairs = Counter((senders[row], guess) for row, guess in guesses.items())
    hits = sum(count for (sender, guess), count in pairs.items() if sender == guess)
    dealer, chance = random.Random(1), []  # noqa: S311 (repeatable)
    for _ in range(RELABELLINGS):
        dealt = dict(zip(accounts, dealer.sample(accounts, len(accounts)), strict=True))
        chance.append(sum(count for (sender, guess), count in pairs.items() if dealt[sender] == guess))
    return hits > statistics.mean(chance) + DEVIATIONS * max(statistics.pstdev(chance), 0.5)


def _tables(path: Path) -> dict[str, list[object]]:
    found: dict[str, list[object]] = {}
    connection = sqlite3.connect(path)
    try:
        for (table,) in connection.execute("select name from sqlite_master where type = 'table'").fetchall():
            cursor = connection.execute(f'select * from "{table}"')  # noqa: S608 (names of the schema)
            names = [f"{table}.{column[0]}" for column in cursor.description]
            for row in cursor:
                for name, value in zip(names, row, strict=True):
                    found.setdefault(name, []).append(value)
    finally:
        connection.close()
    return found


def _rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()
