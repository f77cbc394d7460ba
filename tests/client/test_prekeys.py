"""Our own prekeys: refilled, renewed, spent once, deleted late; and what tells that they were drained."""

import asyncio
import time
from dataclasses import replace
from typing import Final

import pytest
from aiohttp import web

from client.forging import Forger
from client.front import Answer, Front
from client.homes import (
    HANGING_SECONDS,
    POLL_SECONDS,
    Pair,
    change,
    device_of,
    drain,
    kinds,
    receive_until,
    settle,
    stored,
    texts,
)
from halonyx.client import Client, inbox, upkeep
from halonyx.client.account import now_ms
from halonyx.client.prekeys import IDS_A_WEEK
from halonyx.client.transport import Relay
from halonyx.core import kdf
from halonyx.core.encoding import encode_base64url
from halonyx.core.errors import TransportError
from halonyx.core.prekeys import PRIVATE_KEPT_AFTER_EXPIRY, RENEWED_AFTER, PrekeyUse
from halonyx.core.session import Sessions, encode_sessions
from halonyx.core.types import DAY, SECOND, Millis
from halonyx.wire.rest_directory import Bundle, BundleRequest

EMPTY: Final = encode_sessions(Sessions())


async def take(client: Client, count: int) -> None:
    """Use up one-time prekeys at the relay, as strangers would."""
    account = client.account
    async with Relay(account.origin) as relay:
        for number in range(count):
            request = BundleRequest(
                address=account.address,
                key=kdf.request_key(account.usid),
                device=account.device,
                fetch_id=number.to_bytes(16, "big"),
            )
            await relay.call("POST", "/v1/bundle", request, Bundle)


def held(client: Client, use: PrekeyUse) -> list[int]:
    """Return the ids of the private keys of one use."""
    return [row["id"] for row in stored(client, "SELECT id FROM prekeys WHERE use = ? ORDER BY id", use)]


async def test_a_new_account_publishes_a_full_set(pair: Pair) -> None:
    counts = {use: len(held(pair.bob, use)) for use in PrekeyUse}

    assert counts == {
        PrekeyUse.SIGNED: 1,
        PrekeyUse.ENVELOPE: 1,
        PrekeyUse.LAST_RESORT: 1,
        PrekeyUse.ONE_TIME: 100,
        PrekeyUse.ONE_TIME_KEM: 100,
    }
    assert stored(pair.bob, "SELECT 1 FROM prekeys WHERE state = 0") == []


async def test_they_are_refilled_below_twenty_without_anyone_asking(pair: Pair) -> None:
    await take(pair.bob, 80)
    await drain(pair.bob)
    assert len(held(pair.bob, PrekeyUse.ONE_TIME)) == 100  # twenty are left: enough

    await take(pair.bob, 81)  # the first eighty fetches are repetitions
    await drain(pair.bob)

    assert len(held(pair.bob, PrekeyUse.ONE_TIME)) == 100 + 81  # the private halves of those handed out stay
    assert len(held(pair.bob, PrekeyUse.ONE_TIME_KEM)) == 100 + 81
    assert stored(pair.bob, "SELECT 1 FROM prekeys WHERE state = 0") == []
    ids = held(pair.bob, PrekeyUse.ONE_TIME) + held(pair.bob, PrekeyUse.ONE_TIME_KEM)
    assert len(set(ids)) == len(ids)


async def test_rotating_ones_are_renewed_after_a_week_and_old_privates_stay(pair: Pair) -> None:
    """A message sealed to last week's keys is still read."""
    await pair.alice.send("bob", "sealed to the old keys")
    rotating = (PrekeyUse.SIGNED, PrekeyUse.ENVELOPE, PrekeyUse.LAST_RESORT)
    before = {use: held(pair.bob, use) for use in rotating}
    change(pair.bob, "UPDATE prekeys SET made = made - ?", RENEWED_AFTER)

    assert texts(await drain(pair.bob)) == ["sealed to the old keys"]

    for use in rotating:
        assert len(held(pair.bob, use)) == 2
        assert held(pair.bob, use)[0] == before[use][0]
    # The same for all who renew in this week: an envelope names one, and whose it is must not show by it.
    assert [held(pair.bob, use)[1] % IDS_A_WEEK for use in rotating] == [1, 2, 3]
    await drain(pair.bob)
    assert all(len(held(pair.bob, use)) == 2 for use in rotating)  # once
    await settle(pair.alice, pair.bob)
    change(pair.alice, "UPDATE devices SET envelope_fetched = 0")
    await pair.alice.send("bob", "sealed to the new key")
    known = device_of(pair.alice, "bob").envelope_prekey
    assert known is not None
    assert known.id == held(pair.bob, PrekeyUse.ENVELOPE)[1]
    assert texts(await drain(pair.bob)) == ["sealed to the new key"]


async def test_unused_privates_go_forty_five_days_after_expiry(pair: Pair) -> None:
    total = len(stored(pair.bob, "SELECT 1 FROM prekeys"))
    change(pair.bob, "UPDATE prekeys SET expiry = ? WHERE use = 4", now_ms() - PRIVATE_KEPT_AFTER_EXPIRY + DAY)
    await upkeep.ask(pair.bob._store)
    assert len(stored(pair.bob, "SELECT 1 FROM prekeys")) == total

    change(pair.bob, "UPDATE prekeys SET expiry = expiry - ? WHERE use = 4", DAY)
    await upkeep.ask(pair.bob._store)
    assert held(pair.bob, PrekeyUse.ONE_TIME) == []
    assert len(held(pair.bob, PrekeyUse.ONE_TIME_KEM)) == 100


async def test_a_clock_that_jumped_ahead_deletes_nothing(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others still write to the keys that would be long expired."""
    await pair.alice.send("bob", "hello")
    await drain(pair.bob)
    await pair.alice.send("bob", "sealed to a key of today")
    ours = {row["id"] for row in stored(pair.bob, "SELECT id FROM prekeys")}
    late = time.time() + 200 * DAY / SECOND
    with monkeypatch.context() as clock:
        clock.setattr(time, "time", lambda: late)
        clock.setattr(time, "time_ns", lambda: int(late * 1e9))
        async with pair.homes[1].open() as ahead:
            await ahead.flush()

    assert {row["id"] for row in stored(pair.bob, "SELECT id FROM prekeys")} > ours  # it made new ones by its clock
    assert len(stored(pair.bob, "SELECT 1 FROM seen")) == 1
    assert texts(await drain(pair.bob)) == ["sealed to a key of today"]


async def test_what_is_old_goes_when_the_relay_agrees_with_the_clock(pair: Pair) -> None:
    await pair.alice.send("bob", "hello")
    assert texts(await drain(pair.bob)) == ["hello"]
    change(pair.bob, "UPDATE seen SET time = time - ?", inbox.SEEN_KEPT)
    change(pair.bob, "UPDATE prekeys SET made = made - ?", RENEWED_AFTER)

    await drain(pair.bob)

    assert stored(pair.bob, "SELECT 1 FROM seen") == []


async def test_an_access_key_that_could_not_be_told_is_told_soon(front: Front, fronted: Pair) -> None:
    """Until then the one who was blocked can still write."""
    failed: list[Answer] = []

    def fail_once(asked: Answer, answer: Answer) -> Answer:
        if failed:
            return answer
        failed.append(asked)
        raise web.HTTPServiceUnavailable

    def is_told() -> bool:
        return bool(failed and stored(fronted.bob, "SELECT is_access_published FROM account")[0][0])

    front.alter["/v1/access-key"] = fail_once
    following = asyncio.create_task(receive_until(fronted.bob, lambda _: is_told()))
    async with asyncio.timeout(HANGING_SECONDS):
        while fronted.bob._sender.is_maintenance_due:  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(POLL_SECONDS)

    await fronted.bob.contacts.block("alice")

    await following


async def test_a_one_time_private_goes_with_the_first_message(pair: Pair) -> None:
    await pair.alice.send("bob", "hello")
    handshake_ids = {*held(pair.bob, PrekeyUse.ONE_TIME), *held(pair.bob, PrekeyUse.ONE_TIME_KEM)}

    await drain(pair.bob)

    left = {*held(pair.bob, PrekeyUse.ONE_TIME), *held(pair.bob, PrekeyUse.ONE_TIME_KEM)}
    assert len(handshake_ids - left) == 2
    assert len(held(pair.bob, PrekeyUse.ONE_TIME)) == len(held(pair.bob, PrekeyUse.ONE_TIME_KEM)) == 99


@pytest.fixture
async def drained(pair: Pair) -> Pair:
    """Bob's relay has no one-time prekey left, and Bob does not know yet."""
    await take(pair.bob, 100)
    return pair


async def test_without_one_time_keys_the_last_resort_key_serves(drained: Pair) -> None:
    await drained.alice.send("bob", "hello")

    found = await drain(drained.bob)

    assert texts(found) == ["hello"]
    assert "drained" in kinds(found)  # he has a hundred that nobody used: strangers took them, or the relay
    assert len(held(drained.bob, PrekeyUse.LAST_RESORT)) == 1
    assert len(stored(drained.bob, "SELECT 1 FROM replays")) == 1


async def test_no_alarm_when_few_were_left_anyway(drained: Pair) -> None:
    change(drained.bob, "DELETE FROM prekeys WHERE use IN (4, 5) AND id % 10 != 0")
    await drained.alice.send("bob", "hello")

    found = await drain(drained.bob)

    assert texts(found) == ["hello"]
    assert "drained" not in kinds(found)


async def test_a_handshake_without_one_time_keys_is_accepted_once(drained: Pair) -> None:
    await drained.alice.send("bob", "hello")
    forger = Forger(drained.alice, "bob")
    again = forger.message(forger.content(b"the handshake again").encode())
    record = stored(drained.alice, "SELECT record FROM account")[0]["record"]
    await drain(drained.bob)
    change(drained.bob, "UPDATE devices SET sessions = ?, reset_sent = ?", EMPTY, now_ms())

    await forger.submit(forger.envelope(again, record=record))

    assert texts(await drain(drained.bob)) == []
    assert device_of(drained.bob, "alice").sessions == Sessions()
    assert device_of(drained.bob, "alice").broken_session is None  # a replay is no broken session


async def test_a_relay_that_withholds_one_time_keys_is_noticed(front: Front, fronted: Pair) -> None:
    front.alter["/v1/bundle"] = lambda _, answer: answer | {"one_time_prekey": None, "one_time_kem_prekey": None}

    await fronted.alice.send("bob", "hello")

    assert kinds(await drain(fronted.bob)) == ["drained"]


async def test_no_alarm_about_a_kind_of_which_none_is_left(front: Front, fronted: Pair) -> None:
    front.alter["/v1/bundle"] = lambda _, answer: answer | {"one_time_prekey": None}
    change(fronted.bob, "DELETE FROM prekeys WHERE use = 4")

    await fronted.alice.send("bob", "hello")

    found = await drain(fronted.bob)
    assert (texts(found), kinds(found)) == (["hello"], [])


async def test_a_repeated_fetch_costs_no_second_prekey(front: Front, fronted: Pair) -> None:
    """The answer that was lost named a fetch; asking again under its id gets the same bundle."""
    front.alter["/v1/bundle"] = lambda _, answer: answer | {"signed_prekey": answer["envelope_prekey"]}
    for _ in range(3):
        await fronted.alice.send("bob", "hello")
    front.alter.clear()
    await fronted.alice.flush()

    assert len({asked["fetch_id"] for asked in front.asked["/v1/bundle"]}) == 1
    assert texts(await drain(fronted.bob)) == ["hello"] * 3


async def test_without_any_valid_envelope_prekey_the_message_waits_and_says_so(front: Front, fronted: Pair) -> None:
    await fronted.alice.send("bob", "hello")
    await settle(fronted.bob, fronted.alice)
    known = device_of(fronted.alice, "bob").envelope_prekey
    assert known is not None
    expired = replace(known, expiry=Millis(now_ms() - 1))
    change(fronted.alice, "UPDATE devices SET envelope_prekey = ?", expired.encode())
    front.alter["/v1/lookup"] = without_prekeys

    sent = await fronted.alice.send("bob", "waits")

    assert (sent.state, sent.reason) == ("waiting", "no-valid-prekey")
    front.alter.clear()
    await fronted.alice.flush()
    assert texts(await drain(fronted.bob)) == ["waits"]


def without_prekeys(_: Answer, answer: Answer) -> Answer:
    """Answer as a relay does whose devices have not been online for long."""
    noise = encode_base64url(bytes(200))
    return answer | {
        "devices": [
            entry | {"envelope_prekey": entry["envelope_prekey"] | {"blob": noise}} for entry in answer["devices"]
        ]
    }


async def test_keys_that_were_made_offline_are_published_later(front: Front, fronted: Pair) -> None:
    change(fronted.bob, "UPDATE prekeys SET made = made - ?", RENEWED_AFTER)
    await front.stop()
    with pytest.raises(TransportError):
        await fronted.bob.flush()
    waiting = stored(fronted.bob, "SELECT id FROM prekeys WHERE state = 0")
    assert len(waiting) == 3

    await front.start()
    await fronted.bob.flush()

    assert stored(fronted.bob, "SELECT 1 FROM prekeys WHERE state = 0") == []
    await fronted.alice.send("bob", "sealed to it")
    known = device_of(fronted.alice, "bob").envelope_prekey
    assert known is not None
    assert known.id in {row["id"] for row in waiting}
    assert texts(await drain(fronted.bob)) == ["sealed to it"]
