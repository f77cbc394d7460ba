"""Backups: what is in them, what is not, and what restoring adds."""

import json
import stat
import zlib
from pathlib import Path
from typing import Any

import pytest

from client.homes import Pair, change, drain, kinds, settle, sign_up, stored, texts
from halonyx.client import backup
from halonyx.client.backup import MAGIC, SALT_SIZE, _key
from halonyx.core.errors import Misuse, StoreError
from halonyx.core.primitives import NONCE_SIZE, aead_open, aead_seal
from relay_process import RelayProcess

PASSPHRASE = "a passphrase for the file"


def opened(path: Path) -> dict[str, Any]:
    """Decrypt a backup as the specification says."""
    data = path.read_bytes()
    salt, nonce = data[len(MAGIC) :][:SALT_SIZE], data[len(MAGIC) + SALT_SIZE :][:NONCE_SIZE]
    sealed = data[len(MAGIC) + SALT_SIZE + NONCE_SIZE :]
    content: dict[str, Any] = json.loads(
        zlib.decompress(aead_open(_key(PASSPHRASE, salt), nonce, sealed, MAGIC + salt))
    )
    return content


def sealed(content: object) -> bytes:
    salt, nonce = bytes(SALT_SIZE), bytes(NONCE_SIZE)
    plaintext = zlib.compress(json.dumps(content).encode())
    return MAGIC + salt + nonce + aead_seal(_key(PASSPHRASE, salt), nonce, plaintext, MAGIC + salt)


@pytest.fixture
async def talked(pair: Pair) -> Pair:
    """Two messages each way, and Alice has verified Bob."""
    for number in range(2):
        await pair.alice.send("bob", f"to bob {number}")
        await pair.bob.send("alice", f"to alice {number}")
        await settle(pair.alice, pair.bob)
    await pair.alice.verify("bob", await pair.alice.safety_number("bob"))
    return pair


async def test_a_backup_holds_people_and_words_and_no_secret(talked: Pair, tmp_path: Path) -> None:
    path = tmp_path / "backup"
    talked.alice.backup(path, PASSPHRASE)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"to bob" not in path.read_bytes()
    content = opened(path)
    assert set(content) == {"contacts", "messages"}
    (contact,) = content["contacts"]
    assert (contact["name"], contact["is_verified"]) == ("bob", 1)
    assert [message["text"] for message in content["messages"]] == ["to bob 0", "to alice 0", "to bob 1", "to alice 1"]
    inside = json.dumps(content).lower()
    secrets = [
        *stored(talked.alice, "SELECT identity_private, signing_seed, login_seed, profile_key FROM account"),
        *stored(talked.alice, "SELECT private FROM prekeys"),
        *stored(talked.alice, "SELECT profile_key FROM contacts"),
        *stored(talked.alice, "SELECT sessions FROM devices"),
    ]
    for secret in (value for row in secrets for value in row):
        assert secret.hex() not in inside
    assert talked.alice.account.usid.hex() not in inside  # our own is in the recovery code


async def test_a_backup_restored_after_recovery_brings_everyone_back(
    talked: Pair, relay: RelayProcess, tmp_path: Path
) -> None:
    talked.alice.backup(tmp_path / "backup", PASSPHRASE)
    carol = await sign_up(tmp_path / "carol", relay.origin)
    async with carol.open() as client:
        assert client.restore(tmp_path / "backup", PASSPHRASE) == (1, 4)

        assert client.contacts.get("bob").verified
        assert [(entry.text, entry.outgoing) for entry in client.history("bob")] == [
            ("to bob 0", True),
            ("to alice 0", False),
            ("to bob 1", True),
            ("to alice 1", False),
        ]
        assert client.search("to alice 1")
        assert await drain(client) == []  # nothing of it is news
        await client.send("bob", "from another account of mine")
        assert "request" in kinds(await drain(talked.bob))


async def test_restoring_adds_and_never_replaces(talked: Pair, tmp_path: Path) -> None:
    talked.alice.backup(tmp_path / "backup", PASSPHRASE)
    await talked.bob.send("alice", "after the backup")
    await settle(talked.alice, talked.bob)
    talked.alice.contacts.rename("bob", "Robert")

    assert talked.alice.restore(tmp_path / "backup", PASSPHRASE) == (0, 0)
    assert talked.alice.restore(tmp_path / "backup", PASSPHRASE) == (0, 0)

    assert [entry.text for entry in talked.alice.history("Robert")][-1] == "after the backup"
    assert len(talked.alice.history("Robert")) == 5
    assert [contact.name for contact in talked.alice.contacts.list()] == ["Robert"]
    await talked.bob.send("alice", "still the same session")
    assert texts(await drain(talked.alice)) == ["still the same session"]


async def test_a_name_that_is_taken_here_is_not_taken_away(talked: Pair, relay: RelayProcess, tmp_path: Path) -> None:
    talked.alice.backup(tmp_path / "backup", PASSPHRASE)
    carol, dave = await sign_up(tmp_path / "carol", relay.origin), await sign_up(tmp_path / "dave", relay.origin)
    async with carol.open() as client, dave.open() as other:
        await client.contacts.add(other.card().uri(), "bob")

        assert client.restore(tmp_path / "backup", PASSPHRASE) == (1, 4)

        assert client.contacts.get("bob").usid == other.account.usid
        restored = f"contact-{talked.bob.account.address.hex()[:8]}"
        assert client.contacts.get(restored).usid == talked.bob.account.usid


async def test_someone_in_a_backup_who_wrote_meanwhile_is_no_stranger(
    strangers: Pair, relay: RelayProcess, tmp_path: Path
) -> None:
    """Their request is accepted by the restore: what waited is shown, and confirmed."""
    await strangers.bob.contacts.add(strangers.alice.card().uri(), "alice")
    strangers.bob.backup(tmp_path / "backup", PASSPHRASE)
    await strangers.bob.contacts.remove("alice")
    await strangers.alice.send("bob", "hello again")
    assert kinds(await drain(strangers.bob)) == ["request"]

    assert strangers.bob.restore(tmp_path / "backup", PASSPHRASE) == (1, 0)

    assert strangers.bob.contacts.requests() == []
    assert texts(await drain(strangers.bob)) == ["hello again"]
    assert kinds(await drain(strangers.alice)) == ["delivered"]


async def test_what_waited_when_it_was_written_is_marked_as_given_up(pair: Pair, tmp_path: Path) -> None:
    async with pair.homes[0].open() as alice:
        await alice.contacts.add(pair.bob.card().uri())
        for number in range(6):
            await alice.send("bob", str(number))
        alice.backup(tmp_path / "backup", PASSPHRASE)
        await alice.contacts.remove("bob")
        alice.restore(tmp_path / "backup", PASSPHRASE)

        assert [entry.state for entry in alice.history("bob")] == ["accepted"] * 5 + ["failed"]


async def test_a_wrong_passphrase_or_a_damaged_file_changes_nothing(talked: Pair, tmp_path: Path) -> None:
    path = tmp_path / "backup"
    talked.alice.backup(path, PASSPHRASE)
    data = path.read_bytes()
    before = stored(talked.bob, "SELECT * FROM contacts")
    with pytest.raises(StoreError, match="wrong passphrase"):
        talked.bob.restore(path, "another")
    for damaged in (b"", data[:20], b"x" + data[1:], data[:-1], data[:-1] + bytes([data[-1] ^ 1]), data + b"x"):
        path.write_bytes(damaged)
        with pytest.raises(StoreError):
            talked.bob.restore(path, PASSPHRASE)
    with pytest.raises(StoreError, match="can't read"):
        talked.bob.restore(tmp_path / "nowhere", PASSPHRASE)

    assert stored(talked.bob, "SELECT * FROM contacts") == before


CONTACT = {
    "name": "bob",
    "usid": "00" * 32,
    "origin": "https://relay.example",
    "state": "accepted",
    "is_verified": 0,
    "named_version": 1,
    "added": 1,
}


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {"contacts": [{}], "messages": []},
        {"contacts": [{"name": "x"}], "messages": []},
        {"contacts": [], "messages": [{"usid": "zz"}]},
        {"contacts": 1, "messages": 1},
        {"contacts": [CONTACT | {"name": "\x1b[31m"}], "messages": []},
        {"contacts": [CONTACT | {"origin": "http://elsewhere.example"}], "messages": []},
        {"contacts": [CONTACT | {"state": "request"}], "messages": []},
        {"contacts": [CONTACT | {"usid": "00"}], "messages": []},
        {"contacts": [CONTACT], "messages": [], "seed": "00"},
    ],
)
async def test_a_file_of_another_shape_is_refused(pair: Pair, tmp_path: Path, content: object) -> None:
    """Sealed with the right passphrase all the same: by a program that was not ours."""
    (tmp_path / "backup").write_bytes(sealed(content))

    with pytest.raises(StoreError):
        pair.alice.restore(tmp_path / "backup", PASSPHRASE)


async def test_a_backup_needs_a_passphrase_and_a_place(talked: Pair, tmp_path: Path) -> None:
    with pytest.raises(Misuse):
        talked.alice.backup(tmp_path / "backup", "")
    with pytest.raises(StoreError, match="can't write"):
        talked.alice.backup(tmp_path / "nowhere" / "backup", PASSPHRASE)
    talked.alice.backup(tmp_path / "backup", PASSPHRASE)
    talked.alice.backup(tmp_path / "backup", PASSPHRASE)  # replaces the former one

    assert [path.name for path in tmp_path.iterdir() if "backup" in path.name] == ["backup"]  # noqa: ASYNC240


async def test_restored_history_stands_before_what_came_since(talked: Pair, tmp_path: Path) -> None:
    talked.alice.backup(tmp_path / "backup", PASSPHRASE)
    change(talked.alice, "DELETE FROM messages")
    await talked.alice.send("bob", "written since")

    assert talked.alice.restore(tmp_path / "backup", PASSPHRASE) == (0, 4)

    shown = [entry.text for entry in talked.alice.history("bob")]
    assert shown == ["to bob 0", "to alice 0", "to bob 1", "to alice 1", "written since"]
    older = talked.alice.history("bob", limit=2, before=talked.alice.history("bob", limit=2)[0].position)
    assert [entry.text for entry in older] == ["to alice 0", "to bob 1"]
    assert [entry.text for entry in talked.alice.search("bob 1")] == ["to bob 1"]


@pytest.mark.parametrize("order", [("old", "new"), ("new", "old")])
async def test_whatever_is_restored_first_the_history_is_in_order(
    talked: Pair, tmp_path: Path, order: tuple[str, str]
) -> None:
    talked.alice.backup(tmp_path / "old", PASSPHRASE)
    await talked.bob.send("alice", "between")
    await settle(talked.alice, talked.bob)
    talked.alice.backup(tmp_path / "new", PASSPHRASE)
    change(talked.alice, "DELETE FROM messages")
    await talked.alice.send("bob", "written since")

    added = sum(talked.alice.restore(tmp_path / name, PASSPHRASE)[1] for name in order)

    assert added == 5
    shown = [entry.text for entry in talked.alice.history("bob")]
    assert shown == ["to bob 0", "to alice 0", "to bob 1", "to alice 1", "between", "written since"]
    assert [entry.text for entry in talked.alice.search("to alice")] == ["to alice 0", "to alice 1"]


async def test_messages_of_one_millisecond_keep_their_order(talked: Pair, tmp_path: Path) -> None:
    change(talked.alice, "UPDATE messages SET received = 1795435200000")
    talked.alice.backup(tmp_path / "backup", PASSPHRASE)
    change(talked.alice, "DELETE FROM messages")

    assert talked.alice.restore(tmp_path / "backup", PASSPHRASE) == (0, 4)

    assert [entry.text for entry in talked.alice.history("bob")] == ["to bob 0", "to alice 0", "to bob 1", "to alice 1"]


@pytest.mark.parametrize("bound", ["MAX_FILE_SIZE", "MAX_CONTENT_SIZE"])
async def test_a_backup_that_could_not_be_read_is_not_written(
    talked: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    talked.alice.backup(tmp_path / "backup", PASSPHRASE)
    before = (tmp_path / "backup").read_bytes()
    monkeypatch.setattr(backup, bound, 100)

    with pytest.raises(StoreError, match="at most"):
        talked.alice.backup(tmp_path / "backup", PASSPHRASE)

    assert (tmp_path / "backup").read_bytes() == before
