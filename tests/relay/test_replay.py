"""A signed call that somebody recorded changes nothing when it is sent again, even to a relay that was restarted."""

import os
from pathlib import Path

import pytest

from halonyx.core.primitives import SigningKey, sha256
from halonyx.core.types import Address
from halonyx.wire.http_signature import Signer, Target, sign
from halonyx.wire.rest import Body
from halonyx.wire.rest_account import AccessKeyRequest, AccountRequest, NewDevice
from halonyx.wire.rest_directory import PublishRequest
from relay.rest_kit import Answer, Person, Relay, prekeys, running_relay
from relay_process import free_port

Call = tuple[str, str, bytes, dict[str, str]]


def recorded(relay: Relay, call: tuple[str, str, Body, Signer], ahead: int) -> Call:
    method, path, body, signer = call
    data, now = body.to_json(), relay.clock() // 1000 + ahead
    target = Target(method, relay.authority, path)
    return method, path, data, sign(signer, target, data, created=now, nonce=os.urandom(16))


def state(relay: Relay) -> list[object]:
    """Every row of every table but the noted calls and the epochs."""
    tables = {
        relay.here.identity.database: ("account", "device", "intent"),
        relay.here.mailboxes.database: ("account", "mailbox"),
        relay.here.keys.database: ("record", "prekey", "high_water", "fetch"),
    }
    return [
        database.read(lambda connection, name=name: connection.execute(f"select * from {name}").fetchall())  # type: ignore[misc]  # noqa: S608
        for database, names in tables.items()
        for name in names
    ]


def calls(relay: Relay, alice: Person, ahead: int) -> dict[str, Call]:
    """Make one of each signed call; each is good at this moment."""
    kept = NewDevice(id=1, login_key=alice.login.public.raw, prekeys=[])
    mine = AccountRequest(address=alice.address)
    access = AccessKeyRequest(address=alice.address, access_hash=sha256(os.urandom(16)))
    published = PublishRequest(address=alice.address, device=1, prekeys=prekeys(2, 50), one_time_from=1)
    replaced = alice.replacement(os.urandom(500), [kept], os.urandom(16))
    made: list[tuple[str, str, Body, Signer]] = [
        ("PUT", "/v1/access-key", access, alice.device()),
        ("PUT", "/v1/prekeys", published, alice.device()),
        ("PUT", "/v1/account", replaced, alice.manager),
        ("POST", "/v1/account/status", mine, alice.manager),
        ("POST", "/v1/account/delete", mine, alice.manager),
    ]
    made.append(("POST", "/v1/accounts", alice.sign_up_request(), alice.manager))
    return {call[1]: recorded(relay, call, ahead) for call in made}


@pytest.mark.parametrize("ahead", [0, 40])
@pytest.mark.parametrize(
    "path",
    ["/v1/access-key", "/v1/prekeys", "/v1/account", "/v1/account/status", "/v1/account/delete", "/v1/accounts"],
)
async def test_a_recorded_call_changes_nothing_after_a_restart(tmp_path: Path, path: str, ahead: int) -> None:
    alice, port = Person(), free_port()
    async with running_relay(tmp_path, port=port) as relay:
        call = calls(relay, alice, ahead)[path]
        if path != "/v1/accounts":
            await alice.sign_up(relay)
        assert (await send(relay, call)).status < 300
        if path == "/v1/account/delete":
            assert (await alice.sign_up(relay, device=2)).status == 201
            alice.login = SigningKey.generate()
        else:
            assert (await alice.set_access_key(relay, alice.access_key)).status == 200  # a contact is blocked
        before = state(relay)
        assert (await send(relay, call)).status in {200, 401}
        assert state(relay) == before
    async with running_relay(tmp_path, port=port) as relay:
        again = await send(relay, call)
        assert again.status == (200 if path == "/v1/accounts" else 401)
        assert state(relay) == before
        assert (await alice.lookup(relay)).status == 200


async def send(relay: Relay, call: Call) -> Answer:
    method, path, data, headers = call
    return await relay.call(method, path, data, headers=headers)


async def test_a_repeated_replacement_leaves_a_newer_access_key_alone(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice, newer = Person(), os.urandom(16)
        await alice.sign_up(relay)
        kept = NewDevice(id=1, login_key=alice.login.public.raw, prekeys=[])
        call = alice.replacement(os.urandom(500), [kept], os.urandom(16))
        await alice.replace(relay, call)
        await alice.set_access_key(relay, newer)

        repeated = await alice.replace(relay, call)

        assert repeated.status == 200
        assert (await alice.lookup(relay, newer)).status == 200


async def test_a_stranger_can_not_use_up_the_calls_of_an_owner(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        await alice.sign_up(relay)
        thief = Person(Address(alice.address))
        for _ in range(300):  # signed well, by a key of his own, under her name
            answer = await thief.sign_up(relay)

        assert answer.code == "too-many-requests"
        assert (await alice.status(relay)).status == 200


async def test_noted_calls_are_dropped(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        await alice.sign_up(relay)
        for _ in range(3):
            await alice.status(relay)
        relay.clock.ahead = 200_000
        await alice.status(relay)

        noted = relay.here.identity.database.read(
            lambda connection: connection.execute("select name from call").fetchall()
        )
        assert len(noted) == 1
