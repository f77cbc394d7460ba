"""The local store: versions, keys, damage, file modes, and transactions between processes."""

import json
import stat
from pathlib import Path
from typing import Final

import keyring
import keyring.errors
import pytest
from keyring.backend import KeyringBackend
from sqlcipher3 import dbapi2 as sqlcipher

from client.homes import MemoryKeyring, Pair, sign_up, stored
from halonyx.client import Client, create_account, store, unlock
from halonyx.client.schema import MIGRATIONS
from halonyx.client.store import STORE_FILE, Store
from halonyx.core.errors import StoreError
from relay_process import RelayProcess

KEY: Final = bytes(range(32))


def schema_of(opened: Store) -> list[str]:
    return [row["sql"] for row in opened.all("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")]


def make_version(path: Path, version: int) -> None:
    """Make a store as the program of that version left it."""
    database = sqlcipher.connect(str(path), isolation_level=None)
    database.execute(f"PRAGMA key = \"x'{KEY.hex()}'\"")
    for script in MIGRATIONS[:version]:
        database.executescript(script)
    if version:
        database.execute(f"PRAGMA user_version = {version}")
        database.execute(f"PRAGMA application_id = {store.APPLICATION_ID}")
    database.close()


@pytest.mark.parametrize("version", range(len(MIGRATIONS) + 1))
def test_a_store_of_every_earlier_version_becomes_one_of_now(tmp_path: Path, version: int) -> None:
    make_version(tmp_path / "old", version)
    old, new = Store(tmp_path / "old", KEY), Store(tmp_path / "new", KEY)
    try:
        assert schema_of(old) == schema_of(new)
        assert old.value("PRAGMA user_version") == len(MIGRATIONS)
        assert old.value("PRAGMA application_id") == new.value("PRAGMA application_id")
        assert [row[0] for row in old.all("PRAGMA integrity_check")] == ["ok"]
    finally:
        old.close()
        new.close()


def test_an_earlier_store_goes_on_where_its_mailbox_was_read_to(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    make_version(path, 5)
    database = sqlcipher.connect(str(path), isolation_level=None)
    database.execute(f"PRAGMA key = \"x'{KEY.hex()}'\"")
    asked = [row[1:3] for row in database.execute("PRAGMA table_info(account)") if row[3]]
    values = {name: {"BLOB": b"", "TEXT": "", "INTEGER": 1}[kind] for name, kind in asked} | {"cursor": 7}
    marks = ",".join("?" * len(values))
    database.execute(f"INSERT INTO account ({','.join(values)}) VALUES ({marks})", [*values.values()])  # noqa: S608
    database.close()

    opened = Store(path, KEY)
    assert opened.value("SELECT cursor FROM mailbox") == 7
    opened.close()


def test_a_store_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    make_version(path, len(MIGRATIONS))
    database = sqlcipher.connect(str(path))
    database.execute(f"PRAGMA key = \"x'{KEY.hex()}'\"")
    database.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    database.close()

    with pytest.raises(StoreError, match="newer program"):
        Store(path, KEY)
    with pytest.raises(StoreError, match="newer program"):
        Store(path, KEY)


def test_another_key_opens_nothing(tmp_path: Path) -> None:
    Store(tmp_path / "store.db", KEY).close()

    with pytest.raises(StoreError, match="wrong passphrase"):
        Store(tmp_path / "store.db", bytes(32))


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"a letter to a friend" * 1000)

    with pytest.raises(StoreError):
        Store(path, KEY)


def test_a_damaged_page_is_an_error_of_the_store(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    opened = Store(path, KEY)
    with opened.transaction():
        for number in range(200):
            opened.execute("INSERT INTO replays VALUES (?, 0)", number.to_bytes(2, "big") + bytes(1000))
    opened.close()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)

    damaged = Store(path, KEY)
    try:
        with pytest.raises(StoreError):
            damaged.all("SELECT * FROM replays")
    finally:
        damaged.close()


def fail_within(opened: Store) -> None:
    with opened.transaction():
        opened.execute("INSERT INTO resets VALUES (1, 'epoch')")
        opened.execute("INSERT INTO resets VALUES (?, 'epoch')", 1 // 0)


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    opened = Store(tmp_path / "store.db", KEY)
    try:
        with pytest.raises(ZeroDivisionError):
            fail_within(opened)
        assert opened.all("SELECT * FROM resets") == []
        with pytest.raises(StoreError):
            opened.execute("INSERT INTO nowhere VALUES (1)")
    finally:
        opened.close()


def test_a_writer_waits_for_another_and_then_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "BUSY_TIMEOUT_MS", 50)
    first, second = Store(tmp_path / "store.db", KEY), Store(tmp_path / "store.db", KEY)
    try:
        with first.transaction():
            assert second.value("SELECT count(*) FROM resets") == 0  # readers don't wait
            with pytest.raises(StoreError, match="locked"), second.transaction():
                pass
        with second.transaction():
            second.execute("INSERT INTO resets VALUES (1, 'epoch')")
        assert first.value("SELECT count(*) FROM resets") == 1
    finally:
        first.close()
        second.close()


async def test_only_the_owner_may_read_a_home(pair: Pair) -> None:
    await pair.alice.send("bob", "hello")
    async for _ in pair.alice.events():
        pass
    home = pair.homes[0].path

    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    modes = {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in home.iterdir()}
    assert set(modes) >= {"store.db", "unlock.json", "outbox.lock", "receiver.lock"}
    assert set(modes.values()) == {"0o600"}, modes


async def test_a_home_that_others_could_read_is_closed(relay: RelayProcess, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)

    await sign_up(home, relay.origin)

    assert stat.S_IMODE(home.stat().st_mode) == 0o700


async def test_a_passphrase_locks_the_store(relay: RelayProcess, tmp_path: Path) -> None:
    home = tmp_path / "home"
    passphrase = "correct horse \udce9 🐎"  # one byte of it is no UTF-8, as a terminal may send
    made = await create_account(home, relay.origin, passphrase)

    async with Client.open(home, passphrase) as client:
        assert client.account == made.account
    with pytest.raises(StoreError, match="wrong passphrase"):
        await open_once(home, "correct donkey")
    with pytest.raises(StoreError, match="locked with a passphrase"):
        await open_once(home, None)
    unlocking = json.loads((home / "unlock.json").read_text())
    assert set(unlocking) == {"version", "method", "salt"}


async def test_without_a_passphrase_the_key_lies_in_the_keyring(
    relay: RelayProcess, tmp_path: Path, memory_keyring: MemoryKeyring
) -> None:
    home = await sign_up(tmp_path / "home", relay.origin)
    unlocking = json.loads((home.path / "unlock.json").read_text())
    entry = (unlock.KEYRING_SERVICE, unlocking["salt"])
    key = memory_keyring.passwords[entry]

    assert unlocking["method"] == "keyring"
    assert key not in (home.path / "unlock.json").read_text()
    async with home.open():
        pass
    try:
        del memory_keyring.passwords[entry]
        with pytest.raises(StoreError, match="no longer has the key"):
            await open_once(home.path, None)
        memory_keyring.passwords[entry] = bytes(32).hex()
        with pytest.raises(StoreError, match="wrong passphrase"):
            await open_once(home.path, None)
    finally:
        memory_keyring.passwords[entry] = key


class LockedKeyring(KeyringBackend):
    """A system keyring that nobody unlocks."""

    priority = 1

    def get_password(self, *_: str) -> str | None:
        raise keyring.errors.KeyringLocked

    def set_password(self, *_: str) -> None:
        raise keyring.errors.KeyringLocked

    def delete_password(self, *_: str) -> None:
        raise keyring.errors.KeyringLocked


async def test_a_locked_keyring_is_said_to_be_locked(
    relay: RelayProcess, tmp_path: Path, memory_keyring: MemoryKeyring
) -> None:
    home = await sign_up(tmp_path / "home", relay.origin)
    keyring.set_keyring(LockedKeyring())  # type: ignore[no-untyped-call]
    try:
        with pytest.raises(StoreError, match="locked or gone"):
            await open_once(home.path, None)
        with pytest.raises(StoreError, match="no keyring"):
            await create_account(tmp_path / "second", relay.origin)
    finally:
        keyring.set_keyring(memory_keyring)
    assert not (tmp_path / "second" / "store.db").exists()
    assert not (tmp_path / "second" / "unlock.json").exists()
    await sign_up(tmp_path / "second", relay.origin)  # the failure left nothing in the way


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"method": "passphrase", "salt": "zz"}', "\x00", '{"method": 1}'])
async def test_a_damaged_unlock_file_is_said_to_be_damaged(tmp_path: Path, text: str) -> None:
    (tmp_path / "unlock.json").write_text(text)
    (tmp_path / STORE_FILE).touch()

    with pytest.raises(StoreError, match="damaged"):
        await open_once(tmp_path, "passphrase")


async def test_a_folder_without_an_account_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="account create"):
        await open_once(tmp_path / "nowhere", None)


async def test_what_is_at_rest_is_encrypted(pair: Pair) -> None:
    secret = "the password is swordfish"
    await pair.alice.send("bob", secret)
    assert stored(pair.alice, "SELECT text FROM messages")[0]["text"] == secret

    for path in pair.homes[0].path.iterdir():
        assert secret.encode() not in path.read_bytes()
        assert b"SQLite format" not in path.read_bytes()


async def open_once(home: Path, passphrase: str | None) -> None:
    async with Client.open(home, passphrase):
        pass
