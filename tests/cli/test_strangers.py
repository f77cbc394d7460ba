"""First contact: what a stranger gets, and what the person decides."""

from pathlib import Path

from command_line import Person, sign_up, texts
from relay_process import RelayProcess


def test_a_request_waits_for_a_decision_and_shows_nothing(relay: RelayProcess, tmp_path: Path) -> None:
    bob = sign_up(tmp_path / "bob", relay.origin)
    carol, dave = sign_up(tmp_path / "carol", relay.origin), sign_up(tmp_path / "dave", relay.origin)
    for stranger, words in ((carol, "hi, Carol here"), (dave, "buy now")):
        stranger.run("contact", "add", bob.card(), "--name", "bob")
        assert stranger.one("send", "bob", words)["state"] == "accepted"

    answer = bob.run("receive", "--json")
    assert [found["kind"] for found in answer.objects] == ["request", "request"]
    assert all(list(found) == ["kind", "request", "time"] for found in answer.objects)
    assert "Carol" not in answer.out
    assert bob.run("receive").out == ""

    requests = {found["usid"]: found["request"] for found in bob.many("contact", "requests")}
    assert sorted(requests.values()) == sorted(found["request"] for found in answer.objects)
    carols, daves = (requests[person.one("account", "show")["usid"]] for person in (carol, dave))
    words = bob.run("contact", "requests").out
    assert carols in words
    assert "halonyx contact accept" in words
    assert "Carol" not in words
    assert texts(carol.many("receive")) == []

    accepted = bob.one("contact", "accept", carols, "--name", "carol")
    assert list(accepted) == ["name", "usid", "verified"]
    assert accepted["name"] == "carol"
    assert bob.one("contact", "refuse", daves) == {"request": daves, "refused": True}
    assert bob.many("contact", "requests") == []
    assert texts(bob.many("receive")) == ["hi, Carol here"]
    assert bob.one("send", "carol", "welcome")["state"] == "accepted"
    assert texts(carol.many("receive")) == ["welcome"]
    assert bob.run("contact", "accept", daves, "--json", status=2).error["code"] == "misuse"


def test_beyond_the_request_cap_messages_wait_and_go_out_in_order(relay: RelayProcess, tmp_path: Path) -> None:
    bob, eve = sign_up(tmp_path / "bob", relay.origin), sign_up(tmp_path / "eve", relay.origin)
    eve.run("contact", "add", bob.card(), "--name", "bob")
    states = [eve.one("send", "bob", f"part {number}")["state"] for number in range(7)]
    assert states == ["accepted"] * 5 + ["waiting"] * 2
    assert "have not answered" in eve.run("send", "bob", "part 7").err

    bob.run("receive")
    bob.run("contact", "add", eve.card(), "--name", "eve")
    assert texts(bob.many("receive")) == [f"part {number}" for number in range(5)]
    bob.run("send", "eve", "go on")
    assert texts(eve.many("receive")) == ["go on"]
    eve.run("card")  # any command sends what waits
    assert texts(bob.many("receive")) == ["part 5", "part 6", "part 7"]


def test_a_blocked_contact_is_not_heard(relay: RelayProcess, tmp_path: Path) -> None:
    bob, mallory = sign_up(tmp_path / "bob", relay.origin), sign_up(tmp_path / "mallory", relay.origin)
    bob.run("contact", "add", mallory.card(), "--name", "mallory")
    mallory.run("contact", "add", bob.card(), "--name", "bob")
    bob.run("contact", "block", "mallory")
    mallory.run("send", "bob", "listen to me")
    assert bob.many("receive") == []
    assert [found["state"] for found in bob.many("contact", "list")] == ["blocked"]
    bob.run("contact", "unblock", "mallory")
    assert bob.one("contact", "show", "mallory")["state"] == "accepted"


def test_own_card_and_unknown_request(relay: RelayProcess, newcomer: Person) -> None:
    newcomer.run("account", "create")
    assert newcomer.run("contact", "add", newcomer.card(), "--json", status=2).error["code"] == "misuse"
    assert newcomer.run("contact", "accept", "1f3a90c2", "--json", status=2).error["code"] == "misuse"
    assert newcomer.run("contact", "requests").out == "Nobody is waiting for your decision.\n"
    assert "halonyx contact add" in newcomer.run("contact", "list").out
    assert relay.origin == newcomer.origin
