"""Whoever carries off all databases, their write-ahead logs and the debug log can't tell who writes to whom, or what.

Forty people talk through a real relay; then each writes to four whose devices are off, in random order, and is written
to by four, so that nobody stands out by how much he gets. The relay is killed and its files are taken, all but the
secrets. Chance is computed in `thief.is_better_than_chance`.
"""

import asyncio
import base64
import contextlib
import itertools
import json
import os
import random
import shutil
import sqlite3
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import aiohttp
import keyring
import pytest

from client.homes import Home, MemoryKeyring, settle, sign_up, stored
from halonyx.client import Client
from halonyx.client.account import load_account
from halonyx.client.transport import Relay
from halonyx.core.errors import HalonyxError
from halonyx.core.kdf import access_key, request_key
from halonyx.core.recovery import parse_recovery_code
from halonyx.core.types import Usid
from halonyx.relay.secrets import Secrets, pseudonym
from halonyx.wire.rest_files import UPLOAD_HEADER, DropOpened, DropRequest
from relay.thief import (
    ATTACKS,
    DATABASES,
    DROP_ATTACKS,
    Guess,
    Loot,
    found,
    is_better_than_chance,
    joined,
    nearest_mailbox,
    orders,
)
from relay_process import RelayProcess, running_relay

PEOPLE = 40
ROUNDS = 4  # of everybody writing to somebody; the last is to people who never heard of them
TALKS = 1  # rounds in which they are there, and it is delivered
PASSPHRASE = "the lock of every store"
WAIT_S = 30
ALIKE = 0.75  # correlation of two orders of 40 people: by chance that happens about once in 10^8 times


@dataclass(frozen=True)
class Seeded:
    """A relay's files, and what only its people know.

    Attributes:
        folder: The files, as they were when the relay was killed.
        secrets: By what they are, in every person's version.
        senders: Row of each envelope that waits, to the sender's account in app.db.
        mailboxes: Account of app.db by the name of the account in keys.db.
        names: What the accounts are called in each file, in one order.
        recipients: Name of each file in the drop, to the account in app.db of the one it is for.
    """

    folder: Path
    secrets: dict[str, list[bytes]]
    senders: dict[int, int]
    mailboxes: dict[bytes, int]
    names: dict[str, list[bytes]]
    recipients: dict[bytes, int]


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seeded]:
    former = keyring.get_keyring()
    keyring.set_keyring(MemoryKeyring())
    try:
        yield asyncio.run(seed(tmp_path_factory.mktemp("thief")))
    finally:
        keyring.set_keyring(former)


@pytest.fixture
def copy(seeded: Seeded, tmp_path: Path) -> Path:
    return Path(shutil.copytree(seeded.folder, tmp_path / "copy"))


async def seed(folder: Path) -> Seeded:
    with running_relay(
        folder / "server",
        HALONYX_LOG_LEVEL="debug",
        HALONYX_CHECKPOINT_SECONDS="1",
        HALONYX_RESERVE_BYTES="0",
        HALONYX_DROP_QUOTA="1000000",
    ) as relay:
        homes = [await sign_up(folder / str(number), relay.origin) for number in range(PEOPLE)]
        async with opened(homes) as people:
            chance = random.Random(7)  # noqa: S311 (repeatable)
            rounds = [derangement(chance) for _ in range(ROUNDS)]
            await talk(people, rounds)
            await folded(relay)
            numbers, names = account_numbers(relay, people)
            sent, dropped = await write_to_the_absent(relay, people, rounds, chance)
            relay.kill()
            taken = folder / "taken"
            taken.mkdir()
            for path in relay.data.iterdir():
                if path.is_file() and path.name not in {"lock", "reserve"}:
                    shutil.copy(path, taken)
            shutil.copytree(relay.data / "drop", taken / "drop")
            shutil.copy(relay.log_path, taken / "log")
            senders = {row: numbers[sender] for row, sender in sent.items()}
            mailboxes = dict(zip(names["keys.db"], numbers, strict=True))
            recipients = {name: numbers[recipient] for name, recipient in dropped.items()}
            return Seeded(taken, secrets_of(people, homes), senders, mailboxes, names, recipients)


@contextlib.asynccontextmanager
async def opened(homes: list[Home]) -> AsyncIterator[list[Client]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(home.open()) for home in homes]


def derangement(chance: random.Random) -> list[int]:
    """Whom everybody writes to: all once, nobody himself."""
    while True:
        whom = chance.sample(range(PEOPLE), PEOPLE)
        if all(number != other for number, other in enumerate(whom)):
            return whom


def name_of(number: int) -> str:
    return f"Wilhelmine-{number:02}"


def words_of(sender: int, recipient: int, turn: int) -> str:
    return f"Geheimnis {sender}-{recipient}-{turn} " + "ach " * ((sender * 7 + recipient * 3 + turn) % 60)


async def talk(people: list[Client], rounds: list[list[int]]) -> None:
    """Let all but the last round get to know each other and talk, until everything is delivered."""
    cards = [client.card().uri() for client in people]
    for turn, whom in enumerate(rounds):
        for sender, recipient in enumerate(whom):
            with contextlib.suppress(HalonyxError):  # known from an earlier round
                await people[sender].contacts.add(cards[recipient], name_of(recipient))
            if turn < ROUNDS - 1:
                with contextlib.suppress(HalonyxError):
                    await people[recipient].contacts.add(cards[sender], name_of(sender))
    for turn, whom in enumerate(rounds[:TALKS]):
        await asyncio.gather(
            *(people[one].send(name_of(other), words_of(one, other, turn)) for one, other in enumerate(whom))
        )
    await settle(*people)


async def folded(relay: RelayProcess) -> None:
    """Wait until what was deleted has left the write-ahead logs, as it has half a minute after it was delivered."""

    def is_busy(database: sqlite3.Connection) -> bool:
        (waiting,) = database.execute("select count(*) from envelope").fetchone()
        return waiting > 0 or any((relay.data / f"{name}-wal").stat().st_size for name in DATABASES)

    with contextlib.closing(sqlite3.connect(relay.data / "app.db")) as database:
        async with asyncio.timeout(WAIT_S):
            while is_busy(database):  # noqa: ASYNC110 (another process folds)
                await asyncio.sleep(0.05)


async def write_to_the_absent(
    relay: RelayProcess, people: list[Client], rounds: list[list[int]], chance: random.Random
) -> tuple[dict[int, int], dict[bytes, int]]:
    """Let everybody write once a round, in random order; the one of the first round offers a file in the drop.

    Returns:
        Who sent the envelope of each row, and for whom each file is.
    """
    pairs = [(turn, one, other) for turn, whom in enumerate(rounds) for one, other in enumerate(whom)]
    chance.shuffle(pairs)
    senders: dict[int, int] = {}
    recipients: dict[bytes, int] = {}
    with contextlib.closing(sqlite3.connect(relay.data / "app.db")) as database:
        for turn, sender, recipient in pairs:
            sent = await people[sender].send(name_of(recipient), words_of(sender, recipient, 9))
            assert sent.state == "accepted"
            for (row,) in database.execute("select row from envelope").fetchall():
                senders.setdefault(row, sender)
            if turn == 0:
                await leave_a_file(people[sender])
                for (name,) in database.execute("select name from drop_file").fetchall():
                    recipients.setdefault(name, recipient)
    assert (len(senders), len(recipients)) == (PEOPLE * ROUNDS, PEOPLE)
    return senders, recipients


async def leave_a_file(sender: Client) -> None:
    """Put a file into the drop, as follows upon the message that offers it."""
    account, drop = load_account(sender._store), os.urandom(16)
    call = DropRequest(
        address=account.address, device=account.own.device.id, drop=drop, size=1024, delete_hash=bytes(32)
    )
    async with Relay(account.origin) as relay:
        opened = await relay.call("POST", "/v1/drop", call, DropOpened, account.signer)
    async with aiohttp.ClientSession() as session:
        headers = {UPLOAD_HEADER: opened.upload, "Content-Type": "application/octet-stream"}
        url = f"{account.origin}/v1/drop/{drop.hex()}?offset=0"
        async with session.put(url, data=os.urandom(1024), headers=headers) as answer:
            assert answer.status == HTTPStatus.OK


def account_numbers(relay: RelayProcess, people: list[Client]) -> tuple[list[int], dict[str, list[bytes]]]:
    """Return everybody's number in app.db and name in each file, with the secrets that the thief has not."""
    secrets = Secrets.from_json(relay.data.with_name(relay.data.name + ".secrets").read_bytes())
    peppers = dict(zip(DATABASES, (secrets.identity_pepper, secrets.app_pepper, secrets.keys_pepper), strict=True))
    addresses = [client.account.address for client in people]
    names = {file: [pseudonym(pepper, address) for address in addresses] for file, pepper in peppers.items()}
    with contextlib.closing(sqlite3.connect(relay.data / "app.db")) as database:
        numbers = dict(database.execute("select name, id from account").fetchall())
    return [numbers[name] for name in names["app.db"]], names


def secrets_of(people: list[Client], homes: list[Home]) -> dict[str, list[bytes]]:
    secrets: dict[str, list[bytes]] = {
        "name": [name_of(number).encode() for number in range(PEOPLE)],
        "plaintext": [f"Geheimnis {number}-".encode() for number in range(PEOPLE)],
        "password": [PASSPHRASE.encode()],
    }
    for client, home in zip(people, homes, strict=True):
        (row,) = stored(client, "SELECT * FROM account")
        account = client.account
        values: dict[str, list[bytes]] = {
            "address": [account.address],
            "USID": [account.usid],
            "recovery code": [home.code.encode(), home.code.replace("-", "").encode(), parse_recovery_code(home.code)],
            "profile key": [row["profile_key"]],
            "access key": [access_key(row["profile_key"]), request_key(Usid(account.usid))],
            "identity key": [row["identity_private"], row["signing_seed"], row["login_seed"]],
            "record": [row["record"][14:46], row["record"][46:78], row["record"][78:118]],
            "prekey": [each["private"] for each in stored(client, "SELECT private FROM prekeys LIMIT 100")],
        }
        for name, these in values.items():
            secrets.setdefault(name, []).extend(bytes(value) for value in these)
    return secrets


def test_nothing_of_anybody_is_found(seeded: Seeded, copy: Path) -> None:
    loot = Loot(copy)

    assert {*(f"{name}-wal" for name in DATABASES), "log", *DATABASES} <= set(loot.raw)
    assert loot.raw["app.db-wal"]
    assert b'"route": "/v1/accounts"' in loot.raw["log"]
    assert all(len(values) >= PEOPLE for name, values in seeded.secrets.items() if name != "password")
    assert found(loot.everything, seeded.secrets) == set()
    assert not [network for network in (b"127.0.0.1", b"localhost") if network in loot.everything]


def test_no_two_files_join(seeded: Seeded, copy: Path) -> None:
    loot = Loot(copy)
    assert joined(loot) == set()

    # By the time: somebody's keys were asked for, and next to that a stranger's message came for somebody.
    moments = dict(zip(loot.tables["keys.db"]["fetch.row"], loot.tables["keys.db"]["fetch.expires"], strict=True))
    assert len(moments) >= PEOPLE / 2
    cached = 600_000
    guesses: Guess = {
        at: nearest_mailbox(loot, moment - cached)
        for at, moment in enumerate(moments.values())
        if isinstance(moment, int)
    }
    truth = {at: seeded.mailboxes[bytes(row)] for at, row in enumerate(moments) if isinstance(row, bytes)}
    assert not is_better_than_chance(guesses, truth, [account.number for account in loot.accounts])


def test_no_two_files_have_their_rows_in_one_order(seeded: Seeded, copy: Path) -> None:
    loot = Loot(copy)
    found = {file: list(orders(loot, file, names)) for file, names in seeded.names.items()}

    for one, two in itertools.combinations(DATABASES, 2):
        alike = max(abs(statistics.correlation(*pair)) for pair in itertools.product(found[one], found[two]))
        assert alike < ALIKE, f"{one}, {two}"


@pytest.mark.parametrize("attack", ATTACKS)
def test_senders_are_not_guessed_better_than_by_chance(attack: str, seeded: Seeded, copy: Path) -> None:
    loot = Loot(copy)

    assert set(seeded.senders) == {envelope.row for envelope in loot.envelopes}
    assert not is_better_than_chance(
        ATTACKS[attack](loot), seeded.senders, [account.number for account in loot.accounts]
    )


@pytest.mark.parametrize("attack", DROP_ATTACKS)
def test_a_file_in_the_drop_does_not_name_its_recipient(attack: str, seeded: Seeded, copy: Path) -> None:
    loot = Loot(copy)
    guesses = DROP_ATTACKS[attack](loot)

    assert set(guesses) == set(seeded.recipients)
    assert not is_better_than_chance(guesses, seeded.recipients, [account.number for account in loot.accounts])


# The thief is worth something: each of these he would find.


def test_one_address_is_found_in_any_form(seeded: Seeded, copy: Path) -> None:
    address = seeded.secrets["address"][11]
    stands = [
        address,
        address.hex().encode(),
        address.hex().upper().encode(),
        base64.b64encode(b"12" + address),
        base64.urlsafe_b64encode(b"1" + address),
        address.hex().encode("utf-16-le"),
    ]
    for form in stands:
        with contextlib.closing(sqlite3.connect(copy / "app.db")) as database, database:
            database.execute("update envelope set body = ? where row = (select max(row) from envelope)", (form,))
        assert found(Loot(copy).raw["app.db"], {"address": [address]}) == {"address"}


@pytest.mark.parametrize("kind", ["name", "plaintext", "USID", "recovery code", "profile key", "prekey", "record"])
def test_one_line_of_the_log_is_found(kind: str, seeded: Seeded) -> None:
    value = seeded.secrets[kind][-1]
    line = json.dumps({"event": "request", "who": value.decode() if value.isascii() else value.hex()})

    assert found((seeded.folder / "log").read_bytes() + line.encode(), seeded.secrets) == {kind}


def test_a_value_in_two_files_joins_them(copy: Path) -> None:
    with contextlib.closing(sqlite3.connect(copy / "keys.db")) as database:
        row = database.execute("select max(row) from high_water").fetchone()[0]
    with contextlib.closing(sqlite3.connect(copy / "app.db")) as database, database:
        database.execute(
            "update account set access_hash = ? where id = (select min(id) from account)", (row[:20] + bytes(12),)
        )

    pairs = joined(Loot(copy))
    assert ("app.db account.access_hash", "keys.db high_water.row") in pairs


def test_a_sender_in_the_row_is_guessed(seeded: Seeded, copy: Path) -> None:
    with contextlib.closing(sqlite3.connect(copy / "app.db")) as database, database:
        for row, sender in list(seeded.senders.items())[::4]:  # a quarter is enough
            query = (
                "update envelope set body = (select cast(name || body as blob) from account where id = ?) where row = ?"
            )
            database.execute(query, (sender, row))
    loot = Loot(copy)

    assert is_better_than_chance(
        ATTACKS["values in the row"](loot), seeded.senders, [account.number for account in loot.accounts]
    )


@pytest.mark.parametrize(
    "attack", ["whoever got the one before", "the nearest in time", "mailboxes that fill together"]
)
def test_answers_that_follow_at_once_are_guessed(attack: str, seeded: Seeded, copy: Path) -> None:
    """Row order and times as a relay that kept what it delivered would have them: a message, and at once its answer."""
    with contextlib.closing(sqlite3.connect(copy / "app.db")) as database, database:
        boxes = dict(database.execute("select account, id from mailbox").fetchall())
        database.execute("delete from envelope")
        senders, row, moment = {}, 0, time.time_ns() // 1_000_000
        numbers = sorted(boxes)
        for one, other in zip(numbers[::2], numbers[1::2], strict=True):
            for recipient, sender in ((one, other), (other, one)) * 3:
                row, moment = row + 1, moment + 5
                senders[row] = sender
                values = (row, boxes[recipient], row, row.to_bytes(16, "big"), moment, 0, 1024, b"")
                database.execute("insert into envelope values (?, ?, ?, ?, ?, ?, ?, ?)", values)
            moment += 60_000
    loot = Loot(copy)

    assert is_better_than_chance(ATTACKS[attack](loot), senders, [account.number for account in loot.accounts])
