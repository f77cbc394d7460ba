"""`receive`: one at a time, line by line, and its ends."""

import json
import signal
import subprocess

from cli.conftest import Pair
from command_line import HALONYX, texts


def test_follow_prints_lines_as_they_come_while_other_commands_run(pair: Pair) -> None:
    pair.bob.many("receive")
    follower = pair.bob.start("receive", "--follow", "--json")
    try:
        assert follower.stdout is not None
        pair.alice.run("send", "bob", "first")
        assert json.loads(follower.stdout.readline())["text"] == "first"

        busy = pair.bob.run("receive", "--json", status=2)
        assert busy.out == ""
        assert str(follower.pid) in busy.error["message"]

        assert pair.bob.one("send", "alice", "while following")["state"] == "accepted"
        pair.alice.run("send", "bob", "second")
        while "text" not in (line := json.loads(follower.stdout.readline())):
            assert line["kind"] == "delivered"
        assert line["text"] == "second"
    finally:
        follower.send_signal(signal.SIGINT)
        follower.wait(timeout=30)
        rest, errors = _read_all(follower)
    assert (follower.returncode, errors) == (130, "")
    assert texts([json.loads(line) for line in rest.splitlines()]) == []
    assert texts(pair.bob.many("receive")) == []
    assert "while following" in texts(pair.alice.many("receive"))


def test_timeout_ends_after_the_last_event_and_waits_until_then(pair: Pair) -> None:
    pair.bob.many("receive")
    waiting = pair.bob.start("receive", "--json", "--timeout", "6")
    pair.alice.run("send", "bob", "in time")
    out, err = waiting.communicate(timeout=60)
    assert (waiting.returncode, err) == (0, "")
    assert texts([json.loads(line) for line in out.splitlines()]) == ["in time"]


def test_nothing_new_is_said_apart_from_the_answer(pair: Pair) -> None:
    pair.bob.run("receive")
    answer = pair.bob.run("receive")
    assert (answer.out, answer.err) == ("", "Nothing new.\n")


def test_a_reader_that_goes_away_ends_it_quietly(pair: Pair) -> None:
    pair.alice.run("send", "bob", "to be seen 0")
    reading = pair.bob.start("receive", "--follow")
    assert reading.stdout is not None
    assert "to be seen 0" in reading.stdout.readline()
    reading.stdout.close()
    for text in ("to be seen 1", "and one more"):
        pair.alice.run("send", "bob", text)
    assert reading.stderr is not None
    assert reading.wait(timeout=30) == 141
    assert reading.stderr.read() == ""
    reading.stderr.close()
    told = [entry["text"] for entry in pair.bob.many("history", "alice", "--limit", "3")]
    assert [text for text in told if text != "and one more"][-2:] == ["to be seen 0", "to be seen 1"]
    # What nobody was shown is shown to the next reader.
    assert texts(pair.bob.many("receive")) == ["to be seen 1", "and one more"]


def test_help_into_a_pipe_that_closes_is_quiet(pair: Pair) -> None:
    done = subprocess.run(
        ["sh", "-c", '"$@" | head -c 5', "sh", *HALONYX, "--help"],
        env=pair.bob.environment,
        capture_output=True,
        check=True,
    )
    assert done.stderr == b""


def _read_all(ended: subprocess.Popen[str]) -> tuple[str, str]:
    """Read what a process left; `communicate` would miss what an earlier readline took into its buffer."""
    with ended:
        assert ended.stdout is not None
        assert ended.stderr is not None
        return ended.stdout.read(), ended.stderr.read()
