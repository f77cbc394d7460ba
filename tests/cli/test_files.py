"""Files from the command line: offered, accepted, refused, paused; what is printed, and how it ends."""

import asyncio
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Pair
from command_line import PASSPHRASE, Person, introduce, sign_up
from halonyx.client import Client, transfer_states
from halonyx.client.transfer_rows import all_transfers
from halonyx.core.card import Card
from halonyx.core.types import Usid
from relay_process import RelayProcess, running_relay
from terminal import Terminal

SIZE = 2_000_000
ENDING_SECONDS = 60
KEYS = [
    "id",
    "contact",
    "direction",
    "name",
    "type",
    "is_folder",
    "count",
    "size",
    "state",
    "reason",
    "done",
    "total",
    "down",
    "up",
    "peers",
    "ratio",
]
KEYS += ["seconds_left", "path", "in_drop", "direct_allowed", "saved"]


@pytest.fixture
def people(relay: RelayProcess, tmp_path: Path) -> Pair:
    """Two people of this test alone: what they agree to stays theirs."""
    made = Pair(sign_up(tmp_path / "alice", relay.origin), sign_up(tmp_path / "bob", relay.origin))
    introduce(made.alice, "alice", made.bob, "bob")
    return made


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "report.pdf"
    path.write_bytes(os.urandom(SIZE))
    return path


@contextmanager
def started(person: Person, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a command that stays; it is interrupted at the end, if it has not ended before."""
    with person.start(*arguments) as process:
        try:
            yield process
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            process.wait(ENDING_SECONDS)
        finally:
            process.kill()


def objects(process: "subprocess.Popen[str]") -> list[dict[str, Any]]:
    """Read what a command with --json prints to its end."""
    assert process.stdout is not None
    return [json.loads(line) for line in process.stdout]


def test_a_file_goes_from_terminal_to_terminal(people: Pair, source: Path, tmp_path: Path) -> None:
    target = tmp_path / "saved"
    target.mkdir()
    with started(people.alice, "send-file", "bob", str(source), "--direct", "--json") as sending:
        assert sending.stdout is not None
        offered = json.loads(sending.stdout.readline())
        assert list(offered) == KEYS
        assert (offered["state"], offered["size"], offered["direction"]) == ("offered", SIZE, "out")
        events = people.bob.many("receive")
        assert [event["kind"] for event in events] == ["file"]
        assert list(events[0]) == ["kind", "from", "time", *KEYS]
        accepted = people.bob.run("files", "accept", offered["id"][:6], "--to", str(target), "--direct")
        assert f"Saved: {target / 'report.pdf'}" in accepted.out
        states = [line["state"] for line in objects(sending)]
        assert states[-1] == "done"
        assert sending.wait(ENDING_SECONDS) == 0
    assert (target / "report.pdf").read_bytes() == source.read_bytes()
    assert people.bob.many("receive") == []  # what the command said is not said again
    listed = people.bob.one("files", "list")
    assert (listed["state"], listed["saved"]) == ("done", str(target / "report.pdf"))
    assert re.search(r"from +alice +report\.pdf +2\.0 MB +done", people.bob.run("files", "list").out)
    entry = people.bob.one("history", "alice")
    assert (entry["text"], entry["is_file"], entry["id"]) == ("report.pdf", True, offered["id"])
    assert "[file] report.pdf" in people.bob.run("history", "alice").out


def test_follow_carries_transfers_and_says_what_became_of_them(people: Pair, source: Path, tmp_path: Path) -> None:
    people.alice.run("contact", "direct", "bob")
    people.bob.run("contact", "direct", "alice")
    offer = people.alice.one("send-file", "bob", str(source), "--no-wait")["id"]
    words = people.bob.run("receive").out
    assert f"alice offers report.pdf (2.0 MB, application/pdf). To take it: halonyx files accept {offer[:8]}" in words
    taken = people.bob.one("files", "accept", offer, "--to", str(tmp_path / "bob"), "--no-wait")
    assert taken["state"] == "waiting"
    with started(people.alice, "receive", "--follow") as ours, started(people.bob, "receive", "--follow") as theirs:
        assert theirs.stdout is not None
        assert ours.stdout is not None
        assert "report.pdf from alice is saved: " in theirs.stdout.readline()
        while "bob has report.pdf" not in (line := ours.stdout.readline()):
            assert line
    assert (tmp_path / "bob" / "report.pdf").read_bytes() == source.read_bytes()


def test_refused_cancelled_and_paused_are_said_and_end_the_command(people: Pair, source: Path) -> None:
    with started(people.alice, "send-file", "bob", str(source), "--direct", "--json") as sending:
        assert sending.stdout is not None
        assert sending.stderr is not None
        offer = json.loads(sending.stdout.readline())["id"]
        people.bob.many("receive")
        assert people.bob.run("files", "refuse", offer).out == "Refused report.pdf from alice.\n"
        assert sending.wait(ENDING_SECONDS) == 1
        assert json.loads(sending.stderr.read())["error"]["code"] == "refused"
    again = people.bob.run("files", "accept", offer, status=2)
    assert "decided before" in again.err

    offer = people.alice.one("send-file", "bob", str(source), "--no-wait")["id"]
    assert "To go on: halonyx files resume" in people.alice.run("files", "pause", offer).out
    assert "paused at 0%" in people.alice.run("files", "list").out
    assert people.alice.one("files", "resume", offer, "--no-wait")["state"] == "offered"
    assert people.alice.one("files", "cancel", offer)["state"] == "cancelled"
    assert people.alice.run("files", "cancel", offer, "--json", status=2).error["code"] == "misuse"
    assert "cancelled" in people.alice.run("files", "list").out


def fail(person: Person, reason: str) -> None:
    """Let the one transfer of someone fail, and the other side hear of it."""

    async def end() -> None:
        async with Client.open(person.home, PASSPHRASE) as me:
            transfer_states.fail(me._store, all_transfers(me._store)[0].id, reason)
            await me.flush()

    asyncio.run(end())


def test_what_failed_is_tried_again(people: Pair, source: Path, tmp_path: Path) -> None:
    target = tmp_path / "saved"
    target.mkdir()
    offer = people.alice.one("send-file", "bob", str(source), "--direct", "--no-wait")["id"]
    people.bob.many("receive")
    people.bob.run("files", "accept", offer, "--to", str(target), "--direct", "--no-wait")
    people.alice.many("receive")
    fail(people.bob, "wrong-hash")
    words = people.alice.run("receive").out
    assert "report.pdf failed. What bob got is not what you offered. It goes on when they try again." in words
    assert f"halonyx files cancel {offer[:8]}" in words
    assert people.bob.run("files", "accept", offer, status=2).err
    with started(people.alice, "receive", "--follow"):
        again = people.bob.run("files", "retry", offer[:6]).out
    assert again == f"Trying report.pdf again.\nSaved: {target / 'report.pdf'}\n"
    assert (target / "report.pdf").read_bytes() == source.read_bytes()
    refused = people.bob.run("files", "retry", offer, "--json", status=2).error
    assert (refused["code"], refused["message"]) == ("misuse", "this has not failed: it is done.")


def test_a_drop_that_the_relay_does_not_have_is_refused_by_name(people: Pair, source: Path) -> None:
    refused = people.alice.run("send-file", "bob", str(source), "--drop", "--no-wait", "--json", status=1).error
    assert refused["code"] == "no-drop"
    assert people.alice.many("files", "list") == []


def test_without_agreement_it_is_said_who_has_to_do_what(people: Pair, source: Path, tmp_path: Path) -> None:
    offer = people.alice.one("send-file", "bob", str(source), "--no-wait")["id"]
    people.bob.many("receive")
    halted = people.bob.run("files", "accept", offer, "--to", str(tmp_path), "--json", status=2)
    assert halted.error["code"] == "needs-direct"
    message = halted.error["message"]
    assert "your IP address will be visible to alice" in " ".join(message.split())
    assert f"halonyx files resume {offer[:8]} --direct" in message
    assert "alice can do that with --drop" in message
    assert "It waits for you" in people.bob.run("files", "list").out
    assert any(event.get("reason") == "they-need-direct" for event in people.alice.many("receive"))
    assert "bob has to agree" in people.alice.run("files", "list").out


def test_agreement_is_asked_for_once_with_the_name_in_it(people: Pair, source: Path) -> None:
    question = "your IP address will be visible to bob. Agree, for all files with bob? [y/N]"
    for answer, agreed in (("n", False), ("y", True)):
        with Terminal(people.alice, "send-file", "bob", str(source), "--no-wait") as terminal:
            terminal.answer("Passphrase: ", "correct horse")
            terminal.answer(question, answer)
            assert terminal.end() == 0
        assert people.alice.one("contact", "show", "bob")["direct_allowed"] is agreed
    with Terminal(people.alice, "send-file", "bob", str(source), "--no-wait") as terminal:
        terminal.answer("Passphrase: ", "correct horse")
        assert terminal.end() == 0
        assert question not in terminal.seen
    assert "no more" not in people.alice.run("contact", "direct", "bob").out
    assert people.alice.one("contact", "direct", "bob", "--off")["direct_allowed"] is False


def test_a_terminal_shows_a_bar_while_it_waits(people: Pair, source: Path) -> None:
    with Terminal(people.alice, "send-file", "bob", str(source), "--direct") as terminal:
        terminal.answer("Passphrase: ", "correct horse")
        terminal.wait_for("Offered report.pdf (2.0 MB) to bob")
        terminal.wait_for("0%  offered")
        people.alice.run("files", "cancel", people.alice.one("files", "list")["id"])
        assert terminal.end() == 1
    assert "report.pdf was cancelled." in terminal.seen


def test_the_drop_needs_neither_agreement_nor_the_other_side(source: Path, tmp_path: Path) -> None:
    with running_relay(tmp_path / "keeper", HALONYX_DROP_QUOTA="50000000") as keeper:
        alice, bob = sign_up(tmp_path / "a", keeper.origin), sign_up(tmp_path / "b", keeper.origin)
        introduce(alice, "alice", bob, "bob")
        offer = alice.one("send-file", "bob", str(source), "--drop", "--no-wait")["id"]
        with started(alice, "receive", "--follow"):
            while not alice.one("files", "list")["in_drop"]:
                pass
        bob.many("receive")
        assert bob.run("files", "accept", offer, "--to", str(tmp_path)).out.endswith(
            f"Saved: {tmp_path / 'report (2).pdf'}\n"
        )
    assert (tmp_path / "report (2).pdf").read_bytes() == source.read_bytes()


def test_what_is_not_there_is_said(people: Pair, tmp_path: Path) -> None:
    missing = people.alice.run("send-file", "bob", str(tmp_path / "missing"), status=2)
    assert "no file or folder" in missing.err
    assert "halonyx contact list" in people.alice.run("send-file", "carol", str(tmp_path), status=2).err
    assert "halonyx files list" in people.alice.run("files", "accept", "1f3a", status=2).err
    assert people.alice.run("files", "list").out == "No files. Send one: halonyx send-file NAME PATH\n"
    assert people.alice.many("files", "list") == []


def test_a_command_that_waits_says_why_it_ends(newcomer: Person, source: Path, tmp_path: Path) -> None:
    """It is interrupted, and what was sent goes on; or the account is recovered elsewhere, and nothing does."""
    code = newcomer.one("account", "create")["recovery_code"]
    newcomer.run("contact", "add", Card(newcomer.origin, Usid(os.urandom(32)), 1).uri(), "--name", "bob")
    goes_on = "It goes on with 'halonyx receive --follow'"
    for is_interrupted in (True, False):
        with started(newcomer, "send-file", "bob", str(source), "--direct") as sending:
            assert sending.stdout is not None
            assert sending.stderr is not None
            assert "Offered report.pdf" in sending.stdout.readline()
            if is_interrupted:
                sending.send_signal(signal.SIGINT)
            else:
                Person(tmp_path / "again", newcomer.origin).run("account", "recover", stdin=code.encode())
            assert sending.wait(ENDING_SECONDS) == (130 if is_interrupted else 1)
            words = sending.stderr.read()
            assert (goes_on in words, "recovered elsewhere" in words) == (is_interrupted, not is_interrupted)
