"""`halonyx relay announce`, and what people are shown of it."""

import time
from pathlib import Path

from command_line import Person, introduce, sign_up
from halonyx.relay.announcing import LOOK_SECONDS
from relay_process import RelayProcess, running_relay


def test_the_operator_says_something_and_nobody_takes_it_for_a_message(tmp_path: Path) -> None:
    with running_relay(tmp_path) as relay:
        operator = Person(tmp_path / "operator", relay.origin)
        alice, bob = sign_up(tmp_path / "alice", relay.origin), sign_up(tmp_path / "bob", relay.origin)
        introduce(alice, "alice", bob, "bob")
        data = ("--data", str(relay.data))
        said = operator.one("relay", "announce", *data, stdin="Sunday \u202e 8 o'clock.\r\n".encode())
        assert said["announcement"] == "Sunday \u202e 8 o'clock."
        bob.run("send", "alice", "hello")
        time.sleep(2 * LOOK_SECONDS)  # the relay looks for announcements that often

        shown = alice.run("receive")
        first, second, *rest = shown.out.splitlines()
        assert f"Announcement by the operator of {relay.origin}, who is none of your contacts:" in first
        assert second == r"    Sunday \u{202e} 8 o'clock."
        assert [line.endswith("bob: hello") for line in rest] == [True]

        found = bob.many("receive")
        (heard,) = [event for event in found if event["kind"] == "announcement"]
        assert heard == {
            "kind": "announcement",
            "time": said["time"],
            "relay": relay.origin,
            "announcement": "Sunday \u202e 8 o'clock.",
        }
        again = operator.run("relay", "announce", "again", *data, "--json", status=2)
        assert again.error["code"] == "too-soon"


def test_what_can_not_be_announced(relay: RelayProcess, newcomer: Person, tmp_path: Path) -> None:
    for text, told in (
        (b"x" * 2001, "this one has 2001"),
        (b"", "this one has 0"),
        (b"\xff", "UTF-8"),
        (b"a\nb", "one line"),
    ):
        refused = newcomer.run("relay", "announce", "-", "--data", str(relay.data), status=2, stdin=text)
        assert told in refused.err
    assert "--data" in newcomer.run("relay", "announce", "hello", "--data", str(tmp_path / "none"), status=2).err
