"""`halonyx relay invite` and what it lets people do."""

from pathlib import Path

import pytest

from command_line import Person
from relay_process import running_relay


def test_from_the_operator_to_a_friend_of_a_friend(tmp_path: Path) -> None:
    with running_relay(tmp_path, HALONYX_SIGNUP="token", HALONYX_MEMBER_INVITES="1") as relay:
        operator, alice, bob = (Person(tmp_path / name, relay.origin) for name in ("operator", "alice", "bob"))
        invites = operator.many("relay", "invite", "--count", "2", "--data", str(relay.data))
        assert len({found["invite"] for found in invites}) == 2

        refused = alice.run("account", "create", "--json", status=1)
        assert refused.error["code"] == "bad-invite"
        assert "--invite" in refused.error["message"]
        assert not alice.home.exists() or not list(alice.home.glob("*.db"))

        typed = f" {invites[0]['invite'].upper()} "
        alice.run("account", "create", "--invite", typed, "--json")
        again = bob.run("account", "create", "--invite", invites[0]["invite"], "--json", status=1)
        assert again.error["code"] == "bad-invite"

        given = alice.one("account", "invite")
        assert given["relay"] == relay.origin
        bob.run("account", "create", "--invite", given["invite"], "--json")
        assert alice.run("account", "invite", "--json", status=1).error["code"] == "invites-used"

        words = operator.run("relay", "invite", "--data", str(relay.data))
        assert len(words.out.strip()) == 32
        assert "--invite INVITE" in words.err


def test_a_relay_that_is_closed_says_so(tmp_path: Path) -> None:
    with running_relay(tmp_path, HALONYX_SIGNUP="closed") as relay:
        alice = Person(tmp_path / "alice", relay.origin)
        refused = alice.run("account", "create", "--json", status=1)
        assert refused.error["code"] == "sign-up-closed"
        assert "another relay" in refused.error["message"]


@pytest.mark.parametrize("invite", ["", "0f", "z" * 32])
def test_what_is_no_invite_is_not_sent(tmp_path: Path, invite: str) -> None:
    nobody = Person(tmp_path / "nobody", "http://localhost:9")
    refused = nobody.run("account", "create", "--invite", invite, "--json", status=1)
    assert refused.error["code"] == "malformed"


def test_invites_need_a_relay(tmp_path: Path) -> None:
    nobody = Person(tmp_path / "nobody", "http://localhost:9")
    assert "--data" in nobody.run("relay", "invite", "--data", str(tmp_path / "none"), status=2).err
