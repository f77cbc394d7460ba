"""Two acquainted people on one relay: contacts, safety numbers, messages, history, search, backup."""

import re
from pathlib import Path

from cli.conftest import Pair
from command_line import Person, sign_up, texts
from relay_process import RelayProcess

ID = re.compile(r"[0-9a-f]{32}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def test_contact_commands(pair: Pair, relay: RelayProcess, tmp_path: Path) -> None:
    carol = sign_up(tmp_path / "carol", relay.origin)
    card = carol.card()
    usid = carol.one("account", "show")["usid"]

    added = pair.alice.one("contact", "add", card, "--name", "carol")
    assert added == {"name": "carol", "usid": usid, "verified": False}
    assert list(added) == ["name", "usid", "verified"]
    assert pair.alice.run("contact", "add", card, "--name", "bob", "--json", status=2).error["code"] == "misuse"

    listed = pair.alice.many("contact", "list")
    assert [found["name"] for found in listed] == ["bob", "carol"]
    words = pair.alice.run("contact", "list").out
    assert re.search(rf"^carol +not verified +{usid}$", words, re.MULTILINE)

    assert pair.alice.one("contact", "rename", "carol", "Carol Ann")["name"] == "Carol Ann"
    assert pair.alice.one("contact", "block", "Carol Ann")["state"] == "blocked"
    assert pair.alice.one("contact", "unblock", "Carol Ann")["state"] == "accepted"
    shown = pair.alice.one("contact", "show", "Carol Ann")
    assert shown["state"] == "accepted"
    assert shown["relay"] == relay.origin
    assert "nothing to decide" in pair.alice.run("contact", "trust", "Carol Ann", status=2).err
    assert "'Carol Ann'" in pair.alice.run("verify", "Carol Ann").out
    pair.alice.run("contact", "remove", "Carol Ann")
    missing = pair.alice.run("contact", "show", "Carol Ann", status=2)
    assert "halonyx contact list" in missing.err


def test_safety_numbers_are_the_same_and_verify_marks(pair: Pair) -> None:
    seen = pair.alice.one("verify", "bob")
    assert list(seen) == ["name", "safety_number", "verified"]
    assert seen["name"] == "bob"
    assert re.fullmatch(r"(\d{5} ){11}\d{5}", seen["safety_number"])
    assert seen["verified"] is False
    assert pair.bob.one("verify", "alice")["safety_number"] == seen["safety_number"]

    words = pair.alice.run("verify", "bob", "--qr").out
    lines = re.findall(r"^ +((?:\d{5} ){3}\d{5})$", words, re.MULTILINE)
    assert " ".join(lines) == seen["safety_number"]
    assert "█" in words or "▀" in words

    last = seen["safety_number"][-1]
    slip = seen["safety_number"][:-1] + ("1" if last == "0" else "0")
    wrong = pair.alice.run("verify", "bob", "--number", slip, "--json", status=2)
    assert wrong.error["code"] == "safety-number-differs"
    assert "bob, who stays unverified" in wrong.error["message"]
    assert pair.alice.one("verify", "bob")["verified"] is False

    spaced = seen["safety_number"].replace(" ", "  \n")
    assert pair.alice.one("verify", "bob", "--number", spaced)["verified"] is True
    assert pair.alice.one("contact", "show", "bob")["verified"] is True

    # Another number for someone verified is an alarm, and says that the mark stays.
    alarm = pair.alice.run("verify", "bob", "--number", slip, "--json", status=2).error
    assert alarm["code"] == "safety-number-differs"
    assert alarm["message"].startswith("Warning:")
    assert "unverified" not in alarm["message"]
    assert "The mark stays" in alarm["message"]
    assert pair.alice.one("contact", "show", "bob")["verified"] is True


def test_a_conversation(pair: Pair) -> None:
    assert pair.alice.many("receive") is not None  # whatever other tests left
    sent = pair.alice.one("send", "bob", "hello bob, this is Alice")
    assert list(sent) == ["id", "state"]
    assert ID.fullmatch(sent["id"])
    assert sent["state"] in {"accepted", "delivered"}

    received = pair.bob.many("receive")
    assert texts(received) == ["hello bob, this is Alice"]
    message = next(found for found in received if "text" in found)
    assert list(message) == ["id", "from", "text", "time"]
    assert (message["id"], message["from"]) == (sent["id"], "alice")
    assert TIME.fullmatch(message["time"])
    assert texts(pair.bob.many("receive")) == []

    assert pair.bob.run("send", "alice", "-", stdin="grüß dich\nzweite Zeile 🙂\n".encode()).out.startswith(
        "Sent to alice"
    )
    events = pair.alice.many("receive", "--timeout", "1")
    assert texts(events) == ["grüß dich\nzweite Zeile 🙂"]
    delivered = next(found for found in events if found.get("kind") == "delivered")
    assert delivered["from"] == "bob"
    assert "text" not in delivered
    assert TIME.fullmatch(delivered["time"])

    told = pair.alice.many("history", "bob")
    assert [(entry["direction"], entry["state"]) for entry in told[-2:]] == [("out", "delivered"), ("in", "received")]
    words = pair.alice.run("history", "bob").out
    assert "bob: grüß dich\n    zweite Zeile 🙂\n" in words
    assert "you to bob (delivered): hello bob, this is Alice\n" in words


def test_history_pages_and_search_finds_any_part(pair: Pair) -> None:
    sent = [pair.bob.one("send", "alice", f"note {number}: xylophone")["id"] for number in range(3)]
    newest = pair.bob.many("history", "alice", "--limit", "2")
    assert [entry["id"] for entry in newest] == sent[1:]
    older = pair.bob.many("history", "alice", "--limit", "1", "--before", newest[0]["id"])
    assert [entry["id"] for entry in older] == sent[:1]
    assert f"--before {sent[1]}" in pair.bob.run("history", "alice", "--limit", "2").err

    assert [entry["id"] for entry in pair.bob.many("search", "lophon")] == sent
    assert {entry["id"] for entry in pair.bob.many("search", "2:")} >= {sent[2]}
    nothing = pair.bob.run("search", "no such text")
    assert (nothing.out, nothing.err) == ("", "No message contains that.\n")


def test_a_backup_restores_into_another_account(pair: Pair, relay: RelayProcess, tmp_path: Path) -> None:
    pair.bob.run("send", "alice", "keep this one")
    file = tmp_path / "bob.backup"
    assert pair.bob.one("backup", str(file)) == {"file": str(file)}
    content = file.read_bytes()
    assert b"keep this one" not in content
    assert file.stat().st_mode & 0o077 == 0
    assert "never written over" in pair.bob.run("backup", str(file), status=2).err

    made = sign_up(tmp_path / "new", relay.origin)
    guess = Person(made.home, made.origin, {"HALONYX_BACKUP_PASSPHRASE": "guess"})
    assert guess.run("restore", str(file), status=2).out == ""
    restored = made.one("restore", str(file))
    assert list(restored) == ["contacts", "messages"]
    assert restored["contacts"] == 1
    assert [entry["text"] for entry in made.many("search", "keep this")] == ["keep this one"]
    file.write_bytes(content[:-1])
    made.run("restore", str(file), status=2)


def test_hostile_text_is_escaped_in_words_and_whole_in_json(pair: Pair) -> None:
    pair.bob.run("receive")
    hostile = "\x1b[2J\x1b]0;owned\x07\u202egnp.exe\u200b\n10:31 mallory: hi"
    for _ in range(2):
        pair.alice.run("send", "bob", hostile)
    first = pair.bob.start("receive", "--follow")
    try:
        assert first.stdout is not None
        words = first.stdout.readline() + first.stdout.readline()
    finally:
        first.terminate()
        first.communicate()
    assert "alice: \\u{1b}[2J\\u{1b}]0;owned\\u{7}\\u{202e}gnp.exe\\u{200b}\n    10:31 mallory: hi\n" in words
    answer = pair.bob.run("history", "alice", "--limit", "1", "--json")
    assert answer.objects[0]["text"] == hostile
    assert not set(answer.out) & set("\x1b\x07\u202e\u200b")


def test_names_are_bounded_and_printable(pair: Pair) -> None:
    for name in ("n" * 65, "b\u202eob", "tab\there", "", " bob"):
        assert pair.alice.run("contact", "rename", "bob", name, "--json", status=2).error["code"] == "misuse"
