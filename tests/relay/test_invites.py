"""Sign-up by invite, and not at all: one person an invite, and no trace of who invited whom."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import apsw
import pytest

from halonyx.core.errors import Misuse, StoreError
from halonyx.core.types import DAY, Millis
from halonyx.relay.backup import back_up, restore
from halonyx.relay.context import wall_clock
from halonyx.relay.settings import load_settings
from halonyx.relay.store import identity
from halonyx.relay.store.database import Database
from halonyx.relay.store.file import Schema
from halonyx.relay.store.invites import WEEK, Invite, expiry, make_invites
from halonyx.wire.rest_account import InviteRequest, WorkChallenge, WorkRequest
from relay.rest_kit import Answer, Person, Relay, running_relay


@asynccontextmanager
async def inviting_relay(folder: Path, mode: str = "token", **flags: object) -> AsyncIterator[Relay]:
    async with running_relay(folder, signup=mode, reserve_bytes=0, **flags) as relay:
        yield relay


async def made(relay: Relay, count: int = 1, days: int = 1) -> list[Invite]:
    """Make invites as the operator does: beside the running relay."""
    file = relay.settings.data / "identity.db"
    return await asyncio.to_thread(make_invites, file, identity.SCHEMA, count, expiry(wall_clock(), days))


async def sign_up(relay: Relay, person: Person, invite: str | None) -> Answer:
    call = person.sign_up_request().model_copy(update={"invite": invite})
    return await relay.call("POST", "/v1/accounts", call, person.manager)


async def ask(relay: Relay, person: Person) -> Answer:
    call = InviteRequest(address=person.address, device=1)
    return await relay.call("POST", "/v1/invite", call, person.device())


async def test_an_invite_lets_one_person_in(tmp_path: Path) -> None:
    async with inviting_relay(tmp_path) as relay:
        alice, bob = Person(), Person()
        (invite,) = await made(relay)
        assert (await sign_up(relay, alice, invite)).status == 201
        used = await sign_up(relay, bob, invite)
        never = await sign_up(relay, bob, os.urandom(16).hex())
        none = await sign_up(relay, bob, None)
        assert (used.status, used.code) == (403, "bad-invite")
        assert used.body == never.body == none.body
        assert (await sign_up(relay, alice, invite)).status == 200, "the call that made the account may be repeated"
        assert (await sign_up(relay, alice, None)).status == 200


async def test_two_calls_at_once_do_not_share_one(tmp_path: Path) -> None:
    async with inviting_relay(tmp_path) as relay:
        (invite,) = await made(relay)
        people = [Person() for _ in range(8)]
        answers = await asyncio.gather(*(sign_up(relay, person, invite) for person in people))
        assert sorted(answer.status for answer in answers) == [201] + [403] * 7
        refused = [person for person, answer in zip(people, answers, strict=True) if answer.status == 403]
        for person in refused:
            assert relay.here.identity.management_key(person.address) is None
        assert relay.here.identity.announced() == []


async def test_an_invite_expires_with_its_day(tmp_path: Path) -> None:
    async with inviting_relay(tmp_path) as relay:
        invites = await made(relay, count=2, days=3)
        expires = expiry(wall_clock(), 3)
        assert expires % DAY == 0
        relay.clock.ahead = expires - wall_clock() - 60_000
        assert (await sign_up(relay, Person(), invites[0])).status == 201
        relay.clock.ahead += 61_000
        assert (await sign_up(relay, Person(), invites[1])).code == "bad-invite"
        await relay.here.invites.forget_expired(relay.clock())
        assert relay.here.identity.database.read(lambda c: c.execute("select count(*) from invite").get) == 0


async def test_a_clock_that_is_wrong_at_the_start_costs_no_invite(tmp_path: Path) -> None:
    async with inviting_relay(tmp_path) as relay:
        await made(relay, days=-9)  # to a clock that is ten days ahead, one made now is no other
    async with inviting_relay(tmp_path) as relay:
        await relay.here.invites.forget_expired(Millis(0))  # after whatever a start does: there is one writer
        assert relay.here.identity.database.read(lambda c: c.execute("select count(*) from invite").get) == 1


async def test_a_refused_sign_up_leaves_the_invite(tmp_path: Path) -> None:
    async with inviting_relay(tmp_path) as relay:
        alice, mallory = Person(), Person()
        invites = await made(relay, 2)
        await sign_up(relay, alice, invites[0])
        mallory.address = alice.address
        assert (await sign_up(relay, mallory, invites[1])).code == "address-taken"
        assert (await sign_up(relay, Person(), invites[1])).status == 201


async def test_an_invite_is_nothing_where_none_is_asked_for(tmp_path: Path) -> None:
    async with inviting_relay(tmp_path, "open") as relay:
        (invite,) = await made(relay)
        assert (await sign_up(relay, Person(), invite)).status == 201
        assert relay.here.invites.holds(invite, relay.clock())


async def test_a_closed_relay_takes_nobody_and_keeps_its_people(tmp_path: Path) -> None:
    alice = Person()
    async with inviting_relay(tmp_path, "open") as relay:
        await sign_up(relay, alice, None)
    async with inviting_relay(tmp_path, "closed", port=relay.settings.port) as relay:
        (invite,) = await made(relay)
        refused = await sign_up(relay, Person(), invite)
        assert (refused.status, refused.code) == (403, "sign-up-closed")
        assert (await sign_up(relay, alice, None)).status == 200
        assert (await alice.status(relay)).json["exists"]


@pytest.mark.parametrize("mode", ["token", "closed"])
async def test_the_mode_is_told(tmp_path: Path, mode: str) -> None:
    async with inviting_relay(tmp_path, mode) as relay:
        assert (await relay.call("GET", "/v1/relay")).json["signup"] == mode
        asked = await relay.call("POST", "/v1/signup/challenge", WorkRequest(address=bytes(32)))
        challenge = WorkChallenge.model_validate_json(asked.body)
        assert (challenge.mode, challenge.seed, challenge.bits) == (mode, None, 0)


@pytest.mark.parametrize("invite", ["", "0" * 31, "0" * 33, "A" * 32, "g" * 32])
async def test_what_is_no_invite_is_malformed(tmp_path: Path, invite: str) -> None:
    async with inviting_relay(tmp_path) as relay:
        assert (await sign_up(relay, Person(), invite)).code == "malformed"


async def test_a_member_makes_a_few_a_week(tmp_path: Path) -> None:
    async with inviting_relay(tmp_path, member_invites=2, invite_days=5) as relay:
        alice = Person()
        await sign_up(relay, alice, (await made(relay))[0])
        relay.clock.ahead = WEEK - wall_clock() % WEEK  # a week begins
        answers = [await ask(relay, alice) for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 409]
        assert answers[2].code == "invites-used"
        assert answers[0].json["expires"] == expiry(relay.clock(), 5)
        for answer in answers[:2]:
            assert (await sign_up(relay, Person(), answer.json["invite"])).status == 201
        assert (await ask(relay, alice)).code == "invites-used", "used ones count too"
        relay.clock.ahead += WEEK
        assert (await ask(relay, alice)).status == 200


@pytest.mark.parametrize(("mode", "number"), [("token", 0), ("open", 3), ("closed", 3)])
async def test_where_members_make_none(tmp_path: Path, mode: str, number: int) -> None:
    async with inviting_relay(tmp_path, "open") as relay:
        alice = Person()
        await sign_up(relay, alice, None)
    async with inviting_relay(tmp_path, mode, port=relay.settings.port, member_invites=number) as relay:
        refused = await ask(relay, alice)
        assert (refused.status, refused.code) == (404, "no-invites")


async def test_only_a_member_makes_one(tmp_path: Path) -> None:
    async with inviting_relay(tmp_path, member_invites=1) as relay:
        stranger = await ask(relay, Person())
        assert (stranger.status, stranger.code) == (401, "not-authenticated")


async def test_the_file_holds_neither_the_invite_nor_who_made_it(tmp_path: Path) -> None:
    async with inviting_relay(tmp_path, member_invites=1) as relay:
        alice = Person()
        (invite,) = await made(relay)
        await sign_up(relay, alice, invite)
        given = (await ask(relay, alice)).json["invite"]
        rows = relay.here.identity.database.read(lambda c: [*c.execute("select * from invite")])
        assert len(rows) == 1, "a used one is gone"
        assert len(rows[0]) == 2
    content = b"".join(path.read_bytes() for path in (tmp_path / "data").glob("identity.db*"))
    for secret in (invite, given):
        assert secret.encode() not in content
        assert bytes.fromhex(secret) not in content


async def test_a_restored_relay_forgets_them(tmp_path: Path) -> None:
    async with inviting_relay(tmp_path) as relay:
        (invite,) = await made(relay)
        await asyncio.to_thread(back_up, relay.settings, tmp_path / "copy")
    settings = load_settings(data=tmp_path / "new" / "data")
    await asyncio.to_thread(restore, settings, tmp_path / "copy")
    async with inviting_relay(tmp_path / "new") as relay:
        assert (await sign_up(relay, Person(), invite)).code == "bad-invite"


async def test_a_file_of_the_first_version_is_migrated_with_its_accounts(tmp_path: Path) -> None:
    alice = Person()
    first = Schema(identity.SCHEMA.application_id, identity.SCHEMA.migrations[:1])
    async with inviting_relay(tmp_path, "open") as relay:
        await sign_up(relay, alice, None)
    path = tmp_path / "data" / "identity.db"
    connection = apsw.Connection(str(path))
    connection.execute("drop table invite; drop table minted")
    connection.pragma("user_version", 1)
    connection.close()
    await asyncio.to_thread(lambda: Database(path, first).close())
    with pytest.raises(Misuse, match="start this version's relay once"):
        make_invites(path, identity.SCHEMA, 1, Millis(0))
    async with inviting_relay(tmp_path, port=relay.settings.port) as relay:
        assert (await alice.status(relay)).json["exists"]
        assert (await sign_up(relay, Person(), (await made(relay))[0])).status == 201


def test_making_them_needs_a_relay(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="--data"):
        make_invites(tmp_path / "identity.db", identity.SCHEMA, 1, Millis(0))
    (tmp_path / "identity.db").write_bytes(os.urandom(8192))
    with pytest.raises(StoreError, match="damaged"):
        make_invites(tmp_path / "identity.db", identity.SCHEMA, 1, Millis(0))
