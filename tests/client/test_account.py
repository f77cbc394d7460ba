"""Signing up: what is made, what a failure leaves, and a sign-up that was cut off."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from client.front import Front, running_front
from client.homes import Home, drain, sign_up, texts
from halonyx.client import Client, create_account
from halonyx.client.transport import Refused
from halonyx.core.errors import Malformed, Misuse, StoreError, TransportError
from halonyx.core.identity import usid_of
from halonyx.core.recovery import account_keys, parse_recovery_code
from relay_process import RelayProcess, clean_environment, running_relay

PASSPHRASE: Final = "swordfish"
CUT_OFF: Final = """
import asyncio, os, pathlib, sys
from halonyx.client import account, create_account
account._registered = lambda *_: os._exit(7)  # killed when the relay has answered
asyncio.run(create_account(pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
"""


async def test_an_account_is_what_its_recovery_code_gives(relay: RelayProcess, tmp_path: Path) -> None:
    made = await create_account(tmp_path / "home", relay.origin)

    assert made.account.usid == usid_of(account_keys(parse_recovery_code(made.recovery_code)))
    assert (made.account.origin, made.account.device) == (relay.origin, 1)
    async with Client.open(tmp_path / "home") as client:
        assert client.account == made.account
        assert client.card().usid == made.account.usid


async def test_a_home_holds_one_account(relay: RelayProcess, tmp_path: Path) -> None:
    home = await sign_up(tmp_path / "home", relay.origin)
    before = (home.path / "unlock.json").read_bytes()

    with pytest.raises(StoreError, match="has an account already"):
        await create_account(home.path, relay.origin)
    with pytest.raises(StoreError, match="has an account already"):
        await create_account(home.path, relay.origin, PASSPHRASE)

    assert (home.path / "unlock.json").read_bytes() == before
    async with home.open():
        pass


@pytest.mark.parametrize(
    "origin", ["", "localhost:3000", "http://relay.example", "https://relay.example/", "https://relay.example:443"]
)
async def test_an_origin_that_is_none_makes_nothing(tmp_path: Path, origin: str) -> None:
    with pytest.raises(Malformed):
        await create_account(tmp_path / "home", origin)

    assert not (tmp_path / "home").exists()


async def test_a_relay_that_cannot_be_reached_leaves_nothing_in_the_way(front: Front, tmp_path: Path) -> None:
    await front.stop()
    with pytest.raises(TransportError):
        await create_account(tmp_path / "home", front.origin, PASSPHRASE)
    assert {path.name for path in (tmp_path / "home").iterdir()} <= {"account.lock"}

    await front.start()
    await create_account(tmp_path / "home", front.origin, PASSPHRASE)


async def test_a_server_that_is_no_relay_is_said_to_be_none(front: Front, tmp_path: Path) -> None:
    front.alter["/v1/relay"] = lambda _, __: {"hello": "world"}

    with pytest.raises(TransportError, match="does not answer like a Halonyx relay"):
        await create_account(tmp_path / "home", front.origin, PASSPHRASE)


async def test_sign_up_by_proof_of_work_and_a_refusal_that_leaves_nothing_in_the_way(
    front_port: int, tmp_path: Path
) -> None:
    settings = {"SIGNUP": "pow", "POW_BITS": "8", "ORIGINS": json.dumps([f"http://localhost:{front_port}"])}
    with running_relay(tmp_path / "relay", **{f"HALONYX_{name}": value for name, value in settings.items()}) as relay:
        async with running_front(relay, front_port) as front:
            front.alter["/v1/signup/challenge"] = lambda _, answer: answer | {"bits": 0}
            with pytest.raises(Refused) as refused:
                await create_account(tmp_path / "home", front.origin)
            assert refused.value.code == "bad-work"

            front.alter.clear()
            home = await sign_up(tmp_path / "home", front.origin)
            async with home.open() as client:
                assert await drain(client) == []


async def test_a_sign_up_that_was_cut_off_can_be_begun_again(relay: RelayProcess, tmp_path: Path) -> None:
    """Its recovery code was never shown, so nobody can have used that identity."""
    home = tmp_path / "home"
    cut = [sys.executable, "-c", CUT_OFF, str(home), relay.origin, PASSPHRASE]
    done = await asyncio.to_thread(subprocess.run, cut, env=clean_environment(), timeout=60, check=False)
    assert done.returncode == 7
    with pytest.raises(StoreError, match="account create"):
        async with Client.open(home, PASSPHRASE):
            pass
    with pytest.raises(StoreError, match="wrong passphrase"):
        await create_account(home, relay.origin, "another")

    made = await create_account(home, relay.origin, PASSPHRASE)

    async with Client.open(home, PASSPHRASE) as client:
        assert client.account == made.account
        assert await drain(client) == []


async def test_two_accounts_in_two_homes_know_nothing_of_each_other(relay: RelayProcess, tmp_path: Path) -> None:
    first, second = await sign_up(tmp_path / "1", relay.origin), await sign_up(tmp_path / "2", relay.origin)
    async with first.open() as one, second.open() as two:
        assert one.account.usid != two.account.usid
        assert one.contacts.list() == two.contacts.list() == []
        with pytest.raises(Misuse):
            one.history("two")


async def test_a_relay_set_up_anew_under_the_same_name_is_not_trusted(tmp_path: Path) -> None:
    with running_relay(tmp_path / "relay") as relay:
        home = await sign_up(tmp_path / "home", relay.origin)
        relay.stop()
        secrets_file = relay.data.with_name(relay.data.name + ".secrets")
        held = json.loads(secrets_file.read_text())
        held["relay_key"] = held["operator_key"]
        secrets_file.write_text(json.dumps(held))
        relay.start()

        async with Home(home.path, home.origin, home.code).open() as client:
            with pytest.raises(Exception, match="does not hold the key") as refused:
                texts(await drain(client))
            assert getattr(refused.value, "code", "") == "bad-signature"
