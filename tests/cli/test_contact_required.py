"""Signing up from the command line where the operator asks for a name and an e-mail address."""

import secrets
from pathlib import Path

from command_line import Person
from halonyx.core.recovery import ENTROPY_SIZE, encode_recovery_code
from relay_process import RelayProcess, running_relay

DETAILS = ("--my-name", "Ann Example", "--my-email", "ann@mail.example")


def test_the_operator_learns_it_and_nobody_else(tmp_path: Path) -> None:
    with running_relay(tmp_path, HALONYX_CONTACT_REQUIRED="true", HALONYX_SIGNUP="token") as relay:
        operator, alice, bob = (Person(tmp_path / name, relay.origin) for name in ("operator", "alice", "bob"))
        refused = alice.run("account", "create", "--json", status=1)
        assert refused.error["code"] == "contact-required", "known before anything else is asked"
        assert "--my-name and --my-email" in refused.error["message"]
        assert not list(alice.home.glob("*.db"))
        half = alice.run("account", "create", "--my-name", "Ann", "--json", status=1)
        assert half.error["code"] == "malformed"

        data = ("--data", str(relay.data))
        listed = ("relay", "contacts", *data)
        invite = operator.one("relay", "invite", *data)["invite"]
        code = alice.one("account", "create", *DETAILS, "--invite", invite)["recovery_code"]
        assert operator.many(*listed) == [{"name": "Ann Example", "email": "ann@mail.example"}]
        assert operator.run(*listed).out == "Ann Example <ann@mail.example>\n"
        assert b"Ann Example" not in alice.card().encode() + relay.log().encode()

        bob.settings["HALONYX_RECOVERY_CODE"] = code
        bob.run("account", "recover", "--json")
        assert len(operator.many(*listed)) == 1, "who has an account is not asked again"

        lost = Person(tmp_path / "lost", relay.origin)
        lost.settings["HALONYX_RECOVERY_CODE"] = encode_recovery_code(secrets.token_bytes(ENTROPY_SIZE))
        recover = ("account", "recover", "--json")
        assert lost.run(*recover, status=1).error["code"] == "contact-required", "this relay doesn't have it"
        refused = lost.run(*recover, *DETAILS, status=1)
        assert refused.error["code"] == "bad-invite"
        assert "--invite INVITE" in refused.error["message"]
        lost.run(*recover, *DETAILS, "--invite", operator.one("relay", "invite", *data)["invite"])
        assert lost.one("account", "show")["relay"] == relay.origin


def test_other_relays_are_not_told(relay: RelayProcess, newcomer: Person) -> None:
    newcomer.run("account", "create", *DETAILS, "--json")
    assert newcomer.many("relay", "contacts", "--data", str(relay.data)) == []
