"""A relay that is away, killed or another one."""

from pathlib import Path

from command_line import introduce, sign_up, texts
from relay_process import running_relay


def test_what_is_written_offline_goes_out_with_the_next_command(tmp_path: Path) -> None:
    with running_relay(tmp_path) as relay:
        alice, bob = sign_up(tmp_path / "alice", relay.origin), sign_up(tmp_path / "bob", relay.origin)
        introduce(alice, "alice", bob, "bob")
        alice.run("send", "bob", "before")
        relay.kill()

        assert alice.one("send", "bob", "during")["state"] == "waiting"
        words = alice.run("send", "bob", "still during")
        assert words.out.startswith("Kept for bob")
        assert alice.card().startswith("halonyx:")
        assert alice.run("receive", "--json", status=3).error["code"] == "transport-error"
        assert [entry["state"] for entry in alice.many("history", "bob")] == ["accepted", "waiting", "waiting"]

        relay.start()
        alice.run("contact", "list")
        assert texts(bob.many("receive")) == ["before", "during", "still during"]
        assert texts(bob.many("receive")) == []


def test_a_card_can_be_added_offline(tmp_path: Path) -> None:
    with running_relay(tmp_path) as relay:
        alice, bob = sign_up(tmp_path / "alice", relay.origin), sign_up(tmp_path / "bob", relay.origin)
        card = bob.card()
        relay.stop()
        assert alice.one("contact", "add", card, "--name", "bob")["name"] == "bob"
        assert alice.one("send", "bob", "see you")["state"] == "waiting"
        alice.run("verify", "bob", status=3)


def test_people_on_two_relays_talk(tmp_path: Path) -> None:
    with running_relay(tmp_path / "one") as first, running_relay(tmp_path / "two") as second:
        alice, bob = sign_up(tmp_path / "alice", first.origin), sign_up(tmp_path / "bob", second.origin)
        introduce(alice, "alice", bob, "bob")
        assert alice.one("send", "bob", "from the first")["state"] == "accepted"
        assert texts(bob.many("receive")) == ["from the first"]
        assert bob.one("send", "alice", "from the second")["state"] == "accepted"
        assert texts(alice.many("receive")) == ["from the second"]
        assert alice.one("verify", "bob")["safety_number"] == bob.one("verify", "alice")["safety_number"]
