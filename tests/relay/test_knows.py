"""What a relay says it knows is what its files hold: every column of them, and nothing that is not there."""

import json
from pathlib import Path

import apsw
import pytest

from halonyx.cli.main import run
from halonyx.core.errors import StoreError
from halonyx.relay import knows
from halonyx.relay.knows import OF_ACCOUNT, of_account, of_anybody
from halonyx.relay.knows_words import BESIDE, COLUMNS, DETAILS
from halonyx.relay.secrets import DATABASES
from halonyx.wire.rest_relay import RelayKnows
from relay.rest_kit import Person, prekeys, running_relay

Captured = pytest.CaptureFixture[str]


def live(data: Path, file: str) -> set[str]:
    """Every column of a file, read without the code under test."""
    connection = apsw.Connection(str(data / file), flags=apsw.SQLITE_OPEN_READONLY)
    tables = [str(name) for (name,) in connection.execute("select name from sqlite_schema where type = 'table'")]
    found = {f"{table}.{row[1]}" for table in tables for row in connection.execute(f"pragma table_xinfo({table})")}
    connection.close()
    return found


@pytest.mark.parametrize("asks", [False, True])
async def test_every_column_of_the_live_schema_has_a_sentence(asks: bool, tmp_path: Path) -> None:  # noqa: FBT001
    async with running_relay(tmp_path, contact_required=asks) as relay:
        answer = await relay.call("GET", "/v1/relay/knows")
        data = relay.settings.data
        schema = {file: live(data, file) for file in DATABASES}

    page = RelayKnows.model_validate_json(answer.body)
    told = {file: {held.name for held in page.held if held.file == file} for file in DATABASES}
    assert told == schema
    assert {held.file for held in page.held} == {*DATABASES, *BESIDE}
    if asks:
        assert {file: set(words) for file, words in COLUMNS.items()} == schema, "a sentence about nothing"
    assert any(held.name.startswith(DETAILS) for held in page.held) is asks
    assert any("there is no place for one" in sentence for sentence in page.cannot_tell) is not asks
    assert of_anybody(data) == page
    assert {file: set(tables) for file, tables in OF_ACCOUNT.items()} == {
        file: {name.partition(".")[0] for name in words} for file, words in COLUMNS.items()
    }


async def test_a_column_without_a_word_is_an_error(tmp_path: Path, capsys: Captured) -> None:
    async with running_relay(tmp_path, log_level="error") as relay:
        data = relay.settings.data
        database = relay.here.mailboxes.database
        await database.write(
            lambda connection: connection.execute("alter table envelope add column sender blob").fetchall()
        )
        answer = await relay.call("GET", "/v1/relay/knows")

    assert answer.code == "busy"
    with pytest.raises(StoreError, match=r"app\.db has a column that nobody has described: envelope\.sender"):
        of_anybody(data)
    assert run(["relay", "knows", "--data", str(data)]) == 2
    assert "envelope.sender" in capsys.readouterr().err


async def test_an_account_is_told_from_others(tmp_path: Path) -> None:
    alice, bob, nobody = Person(prekeys=prekeys(5)), Person(prekeys=prekeys(7)), Person()
    async with running_relay(tmp_path) as relay:
        for person in (alice, bob):
            await person.sign_up(relay)
        await bob.bundle(relay)
        found = {
            person.address: {
                f"{one.held.file} {one.held.name}": (one.rows, one.value)
                for one in of_account(relay.settings, relay.here.secrets, person.address)
            }
            for person in (alice, bob, nobody)
        }
    alices, bobs = found[alice.address], found[bob.address]

    key = alice.management.public.raw
    assert alices["identity.db account.management_key"] == (1, f"{key[:8].hex()}… (32 bytes)")
    assert (alices["keys.db prekey.id"], bobs["keys.db prekey.id"]) == ((13, "1 to 5"), (15, "1 to 7"))
    assert (alices["keys.db fetch.device"], bobs["keys.db fetch.device"]) == ((0, ""), (1, "1"))
    assert alices["app.db mailbox.next_seq"] == (1, "1")
    assert alices["identity.db call.name"] == (None, "")
    assert {rows for rows, _ in found[nobody.address].values()} == {0, None}


async def test_a_file_that_is_damaged_or_locked_is_refused_in_words(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(knows, "BUSY_TIMEOUT_MS", 1)
    async with running_relay(tmp_path) as relay:
        data = relay.settings.data
    option = ["--data", str(data)]
    locked = apsw.Connection(str(data / "app.db"))
    locked.execute("pragma journal_mode = delete; begin exclusive").fetchall()
    capsys.readouterr()
    for command in (["knows"], ["knows", Person().address.hex()]):
        assert run(["relay", *command, *option]) == 2
        assert "app.db can't be opened: BusyError" in capsys.readouterr().err
    locked.close()
    (data / "app.db").write_bytes(b"nonsense " * 1000)

    assert run(["relay", "knows", *option]) == 2
    assert "app.db is damaged" in capsys.readouterr().err


async def test_the_command_says_it_in_words_and_in_json(tmp_path: Path, capsys: Captured) -> None:
    alice = Person()
    async with running_relay(tmp_path) as relay:
        await alice.sign_up(relay)
    option = ["--data", str(tmp_path / "data")]
    capsys.readouterr()

    assert run(["relay", "knows", *option]) == 0
    words = capsys.readouterr().out
    assert "  envelope.time: When it came in" in words
    assert "It could not tell:" in words
    assert run(["relay", "knows", alice.address.hex(), *option]) == 0
    assert f"    Here: {alice.login.public.raw[:8].hex()}… (32 bytes)" in capsys.readouterr().out
    assert run(["relay", "knows", alice.address.hex(), "--json", *option]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (devices,) = [line for line in lines if line.get("name") == "device.device"]
    assert (devices["rows"], devices["value"]) == (1, "1")
    for wrong in ("12", "zz" * 32, "halonyx:AQ"):
        assert run(["relay", "knows", wrong, *option]) == 2
    assert run(["relay", "knows", "--data", str(tmp_path / "none")]) == 2


def test_sentences_are_sentences() -> None:
    sentences = [words for file in COLUMNS.values() for words in file.values()]

    assert all(sentence.endswith(".") and 10 < len(sentence) <= 200 for sentence in sentences)
