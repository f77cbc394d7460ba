"""`account` and `card` against a real relay."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from cli.conftest import Pair
from command_line import PASSPHRASE, Person, introduce, sign_up, texts
from relay_process import RelayProcess, free_port
from terminal import Terminal

CODE = re.compile(r"([0-9A-HJKMNP-TV-Z]{4}-){8}[0-9A-HJKMNP-TV-Z]{4}")
HEX_64 = re.compile(r"[0-9a-f]{64}")


def test_create_prints_exactly_the_promised_object(newcomer: Person) -> None:
    created = newcomer.one("account", "create")

    assert list(created) == ["usid", "address", "recovery_code"]
    assert HEX_64.fullmatch(created["usid"])
    assert created["address"] == hashlib.sha256(bytes.fromhex(created["usid"])).hexdigest()
    assert CODE.fullmatch(created["recovery_code"])
    assert newcomer.home.stat().st_mode & 0o077 == 0

    again = newcomer.run("account", "create", "--json", status=2)
    assert again.out == ""
    assert again.error["code"] == "store-error"

    shown = newcomer.one("account", "show")
    assert shown == {
        "usid": created["usid"],
        "address": created["address"],
        "relay": newcomer.origin,
        "device": 1,
    }
    assert not [file for file in newcomer.home.iterdir() if created["recovery_code"].encode() in file.read_bytes()]


def test_create_in_words_shows_the_code_and_what_to_do(newcomer: Person) -> None:
    answer = newcomer.run("account", "create")
    assert CODE.fullmatch("-".join(re.findall(r"^ +(\S+)$", answer.out, re.MULTILINE)))
    assert "Write it down" in answer.out
    assert "halonyx card" in answer.out

    card = newcomer.run("card", "--qr")
    uri, _, picture = card.out.partition("\n")
    assert re.fullmatch(r"halonyx:[A-Za-z0-9_-]+", uri)
    assert "█" in picture or "▀" in picture
    assert "halonyx contact add" in card.err
    assert newcomer.one("card") == {"card": uri}


@pytest.mark.parametrize("backend", ["fail", "null"])
def test_no_passphrase_no_terminal_no_keyring(backend: str, relay: RelayProcess, tmp_path: Path) -> None:
    settings = {"HALONYX_PASSPHRASE": "", "PYTHON_KEYRING_BACKEND": f"keyring.backends.{backend}.Keyring"}
    person = Person(tmp_path / "home", relay.origin, settings)
    answer = person.run("account", "create", status=2)
    assert "HALONYX_PASSPHRASE" in answer.err
    assert not (person.home / "store.db").exists()
    assert not (person.home / "unlock.json").exists()


def test_the_keyring_keeps_the_key(relay: RelayProcess, tmp_path: Path) -> None:
    keyring = tmp_path / "keyring.json"
    settings = {
        "HALONYX_PASSPHRASE": "",
        "PYTHON_KEYRING_BACKEND": "keyring_in_file.Keyring",
        "TEST_KEYRING": str(keyring),
    }
    person = Person(tmp_path / "home", relay.origin, settings)
    assert "system's keyring" in person.run("account", "create").out
    assert person.card().startswith("halonyx:")

    refused = person.run("backup", str(tmp_path / "file"), status=2).err  # nobody to ask, and no variable
    assert "HALONYX_BACKUP_PASSPHRASE" in refused
    assert "HALONYX_PASSPHRASE" in refused

    (key,) = json.loads(keyring.read_text()).values()
    assert not [file for file in person.home.iterdir() if bytes.fromhex(key) in file.read_bytes()]
    keyring.unlink()
    assert "no longer has the key" in person.run("card", status=2).err


def test_a_wrong_passphrase_opens_nothing(pair: Pair) -> None:
    thief = Person(pair.alice.home, pair.alice.origin, {"HALONYX_PASSPHRASE": "guess"})
    answer = thief.run("contact", "list", "--json", status=2)
    assert answer.out == ""
    assert answer.error["code"] == "store-error"


def test_no_relay_there(tmp_path: Path) -> None:
    person = Person(tmp_path / "home", f"http://localhost:{free_port()}")
    answer = person.run("account", "create", status=3)
    assert "Check that the relay runs" in answer.err


def test_at_a_terminal_the_passphrase_is_typed_twice_and_the_code_asked_back(
    relay: RelayProcess, tmp_path: Path
) -> None:
    person = Person(tmp_path / "home", relay.origin)
    with Terminal(person, "account", "create") as terminal:
        terminal.answer("Choose a passphrase", "open sesame")
        terminal.answer("The same again", "open sesami")
        terminal.answer("Choose a passphrase", "open sesame")
        terminal.answer("The same again", "open sesame")
        terminal.wait_for("type group")
        code = "".join(re.findall(r"^ +(\S{4}-\S{4}-\S{4})\s*$", terminal.seen, re.MULTILINE))
        groups = re.findall(r"\w{4}", code.replace("-", ""))
        assert len(groups) == 9
        first = int(re.findall(r"type group (\d)", terminal.seen)[-1])
        terminal.type("0000")
        terminal.answer("That is not group", groups[first - 1].lower())
        terminal.wait_for("type group", times=3)
        second = int(re.findall(r"type group (\d)", terminal.seen)[-1])
        assert second > first
        terminal.type(groups[second - 1])
        terminal.wait_for("you have it")
        assert terminal.end() == 0
        assert "open sesame" not in terminal.seen
    with Terminal(person, "card", "--json") as terminal:
        terminal.answer("Passphrase", "open sesame")
        terminal.wait_for('{"card": "halonyx:')
        assert terminal.end() == 0


def test_recovered_on_an_empty_folder_contacts_can_write_again(relay: RelayProcess, tmp_path: Path) -> None:
    alice = Person(tmp_path / "alice", relay.origin)
    created = alice.one("account", "create")
    bob = sign_up(tmp_path / "bob", relay.origin)
    introduce(alice, "alice", bob, "bob")
    bob.run("send", "alice", "to the first machine")
    assert texts(alice.many("receive")) == ["to the first machine"]
    assert [found["kind"] for found in bob.many("receive")] == ["delivered"]

    new = Person(tmp_path / "new", relay.origin)
    typed = created["recovery_code"].lower().replace("-", " ").encode() + b"\n"
    recovered = new.one("account", "recover", "--relay", relay.origin, stdin=typed)
    assert recovered == {"usid": created["usid"], "address": created["address"]}
    assert new.one("account", "show")["device"] == 2

    assert bob.one("send", "alice", "to the second machine")["state"] in {"accepted", "waiting"}
    assert bob.many("receive") is not None
    assert [found["kind"] for found in new.many("receive")] == ["request"]
    new.run("contact", "add", bob.card(), "--name", "bob")
    assert texts(new.many("receive")) == ["to the second machine"]
    assert new.one("send", "bob", "back again")["state"] == "accepted"
    assert "back again" in texts(bob.many("receive"))

    alice.run("receive", "--json", status=1)


def test_the_folder_that_was_left_sends_nothing_any_more(relay: RelayProcess, tmp_path: Path) -> None:
    alice = Person(tmp_path / "alice", relay.origin)
    code = alice.one("account", "create")["recovery_code"]
    bob = sign_up(tmp_path / "bob", relay.origin)
    introduce(alice, "alice", bob, "bob")
    Person(tmp_path / "new", relay.origin, {"HALONYX_RECOVERY_CODE": code}).run("account", "recover")

    refused = alice.run("send", "bob", "lost?", "--json", status=1)

    assert refused.out == ""
    assert refused.error["code"] == "not-authenticated"
    assert "halonyx account recover" in alice.run("send", "bob", "lost?", status=1).err
    assert alice.many("history", "bob") == []
    assert bob.many("receive") == []


def test_recover_by_variable_and_only_into_an_empty_folder(relay: RelayProcess, tmp_path: Path) -> None:
    first = Person(tmp_path / "first", relay.origin)
    code = first.one("account", "create")["recovery_code"]
    again = Person(tmp_path / "again", relay.origin, {"HALONYX_RECOVERY_CODE": code})
    answer = again.run("account", "recover")
    assert "halonyx restore" in answer.out
    assert code not in answer.out + answer.err
    assert again.run("account", "recover", "--json", status=2).error["code"] == "store-error"


@pytest.mark.parametrize("arguments", [("card",), ("--json", "card"), ("card", "--json")])
def test_json_stands_before_or_behind_the_command(pair: Pair, arguments: tuple[str, ...]) -> None:
    out = pair.alice.run(*arguments).out
    assert out.startswith('{"card": "halonyx:') == ("--json" in arguments)


def test_delete_asks_first_and_leaves_nothing(relay: RelayProcess, tmp_path: Path) -> None:
    alice = Person(tmp_path / "alice", relay.origin)
    created = alice.one("account", "create")
    code = created["recovery_code"].encode()
    bob = sign_up(tmp_path / "bob", relay.origin)
    introduce(alice, "alice", bob, "bob")
    assert "--yes" in alice.run("account", "delete", stdin=code, status=2).err
    with Terminal(alice, "account", "delete") as terminal:
        terminal.answer("Passphrase", PASSPHRASE)
        terminal.wait_for(created["address"])
        terminal.answer("Type 'delete'", "no")
        terminal.wait_for("Nothing was deleted.")
        assert terminal.end() == 2

    deleted = alice.one("account", "delete", "--yes", stdin=code)

    assert deleted == {"address": created["address"], "relay": relay.origin, "deleted": True}
    assert not alice.home.exists()
    assert "may have deleted their account" in bob.run("send", "alice", "are you there?").err
    assert "halonyx account create" in alice.run("account", "delete", status=2).err
