"""One-time prekeys are handed out once: under concurrency, repeated calls, replays and kill -9."""

import asyncio
import os
from pathlib import Path

import aiohttp

from halonyx.core.encoding import encode_base64url
from halonyx.core.types import DeviceId
from halonyx.relay.settings import load_settings
from halonyx.wire.rest_directory import USE_ENVELOPE, USE_ONE_TIME, USE_ONE_TIME_KEM, USE_SIGNED
from relay.rest_kit import Answer, Person, Relay, prekey, prekeys, running_relay
from relay_process import running_relay as relay_process


def one_time_ids(answers: list[Answer]) -> list[int]:
    return [answer.json["one_time_prekey"]["id"] for answer in answers if answer.json["one_time_prekey"]]


async def test_a_bundle_holds_one_of_each(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        await alice.sign_up(relay)

        got = (await alice.bundle(relay)).json

        assert {name: entry["id"] for name, entry in got.items()} == {
            "signed_prekey": 1,
            "envelope_prekey": 1,
            "last_resort_prekey": 1,
            "one_time_prekey": 1,
            "one_time_kem_prekey": 1,
        }
        by_use = {(prekey.use, prekey.id): encode_base64url(prekey.blob) for prekey in alice.prekeys}
        assert got["one_time_prekey"]["blob"] == by_use[USE_ONE_TIME, 1]
        assert got["one_time_kem_prekey"]["blob"] == by_use[USE_ONE_TIME_KEM, 1]
        assert relay.here.keys.counts(alice.address, DeviceId(1)) == (2, 2)


async def test_two_hundred_fetches_at_once_never_get_the_same_prekey(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person(prekeys=prekeys(150))
        await alice.sign_up(relay)

        answers = await asyncio.gather(*(alice.bundle(relay) for _ in range(200)))

        assert {answer.status for answer in answers} == {200}
        assert sorted(one_time_ids(answers)) == list(range(1, 151))
        kem = [answer.json["one_time_kem_prekey"] for answer in answers]
        assert sorted(entry["id"] for entry in kem if entry) == list(range(1, 151))
        assert all(answer.json["last_resort_prekey"]["id"] == 1 for answer in answers)


async def test_the_same_fetch_gets_the_same_bundle_for_ten_to_twenty_minutes(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        await alice.sign_up(relay)
        fetch = os.urandom(16)

        first = await alice.bundle(relay, fetch)
        at_once = await asyncio.gather(*(alice.bundle(relay, fetch) for _ in range(10)))
        other = await alice.bundle(relay)
        relay.clock.ahead = 599_000
        late = await alice.bundle(relay, fetch)
        relay.clock.ahead = 1_201_000
        too_late = await alice.bundle(relay, fetch)

        assert {answer.body for answer in at_once} == {first.body}
        assert other.json["one_time_prekey"]["id"] == 2
        assert late.body == first.body
        assert too_late.json["one_time_prekey"]["id"] == 3


async def test_concurrent_first_fetches_with_one_id_take_one_prekey(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        await alice.sign_up(relay)
        fetch = os.urandom(16)

        pops = [relay.here.keys.pop_bundle(alice.address, DeviceId(1), fetch, relay.clock()) for _ in range(20)]
        bundles = await asyncio.gather(*pops)

        assert bundles == [bundles[0]] * 20
        assert relay.here.keys.counts(alice.address, DeviceId(1)) == (2, 2)


async def test_cached_bundles_are_forgotten(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        await alice.sign_up(relay)
        await alice.bundle(relay)
        relay.clock.ahead = 1_201_000

        await relay.here.keys.forget_fetches(relay.clock())

        assert (
            relay.here.keys.database.read(lambda connection: connection.execute("select count(*) from fetch").get) == 0
        )


async def test_used_ids_never_come_back(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        await alice.sign_up(relay)
        await alice.bundle(relay)
        await alice.bundle(relay)

        counts = await alice.publish(relay, alice.prekeys)
        again = await alice.publish(relay, alice.prekeys)
        taken = [await alice.bundle(relay) for _ in range(2)]

        assert counts.json == again.json == {"one_time": 1, "one_time_kem": 1}
        assert one_time_ids(taken) == [3]


async def test_renewed_one_time_prekeys_are_gone_and_stay_gone(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        await alice.sign_up(relay)
        older = [prekey(use, 4) for use in (USE_ONE_TIME, USE_ONE_TIME_KEM)]
        renewed = [prekey(use, number) for use in (USE_ONE_TIME, USE_ONE_TIME_KEM) for number in (6, 7)]
        await alice.publish(relay, older)

        counts = await alice.publish(relay, renewed, one_time_from=6)
        recorded = await alice.publish(relay, alice.prekeys + older)
        taken = [await alice.bundle(relay) for _ in range(3)]

        assert counts.json == recorded.json == {"one_time": 2, "one_time_kem": 2}
        assert one_time_ids(taken) == [6, 7]
        assert [answer.json["signed_prekey"]["id"] for answer in taken] == [1, 1, 1]


async def test_publishing_again_keeps_the_first_blob(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        await alice.sign_up(relay)

        await alice.publish(relay, [prekey(USE_ONE_TIME, 1)])

        blob = next(prekey.blob for prekey in alice.prekeys if prekey.use == USE_ONE_TIME)
        assert (await alice.bundle(relay)).json["one_time_prekey"]["blob"] == encode_base64url(blob)


async def test_replaced_prekeys_go_forward_only(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        await alice.sign_up(relay)
        old = [prekey for prekey in alice.prekeys if prekey.use in {USE_SIGNED, USE_ENVELOPE}]
        new = [prekey(USE_SIGNED, 7), prekey(USE_ENVELOPE, 8)]

        await alice.publish(relay, new)
        await alice.publish(relay, old)
        bundle = (await alice.bundle(relay)).json
        entry = (await alice.lookup(relay)).json["devices"][0]["envelope_prekey"]

        assert (bundle["signed_prekey"]["id"], bundle["envelope_prekey"]["id"]) == (7, 8)
        assert bundle["last_resort_prekey"]["id"] == 1
        assert entry == bundle["envelope_prekey"]
        stored = relay.here.keys.database.read(
            lambda connection: connection.execute("select count(*) from prekey where use in (1, 2, 3)").get
        )
        assert stored == 3


async def test_a_device_stores_at_most_two_hundred_of_a_use(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person(prekeys=prekeys(200))
        await alice.sign_up(relay)

        refused = await alice.publish(relay, [prekey(USE_ONE_TIME, 201), prekey(USE_SIGNED, 2)])
        repeated = await alice.publish(relay, alice.prekeys)
        await alice.bundle(relay)
        fits = await alice.publish(relay, [prekey(USE_ONE_TIME, 201)])

        assert (refused.status, refused.code) == (409, "prekeys-full")
        assert repeated.json == {"one_time": 200, "one_time_kem": 200}
        assert fits.json == {"one_time": 200, "one_time_kem": 199}
        assert (await alice.bundle(relay)).json["signed_prekey"]["id"] == 1


async def test_without_one_time_prekeys_the_last_resort_is_left(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person(prekeys=prekeys(0))
        await alice.sign_up(relay)

        got = (await alice.bundle(relay)).json

        assert got["one_time_prekey"] is None
        assert got["one_time_kem_prekey"] is None
        assert got["last_resort_prekey"]["id"] == 1


async def test_a_prekey_handed_out_before_kill_9_is_never_handed_out_again(tmp_path: Path) -> None:
    alice = Person(prekeys=prekeys(60))
    seen: list[int] = []
    with relay_process(tmp_path) as process:
        settings = load_settings(port=process.port, data=process.data)
        for round_number in range(3):
            async with aiohttp.ClientSession() as session:
                relay = Relay(settings, session)
                if round_number == 0:
                    assert (await alice.sign_up(relay)).status == 201
                seen += one_time_ids([await alice.bundle(relay) for _ in range(3)])
                waiting = [asyncio.ensure_future(alice.bundle(relay)) for _ in range(8)]
                finished, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                process.kill()
                cut = await asyncio.gather(*waiting, return_exceptions=True)
                seen += one_time_ids([answer for answer in cut if isinstance(answer, Answer)])
                assert finished
            process.start()
        async with aiohttp.ClientSession() as session:
            relay = Relay(settings, session)
            left = [await alice.bundle(relay) for _ in range(60)]
            seen += one_time_ids(left)

    assert len(seen) == len(set(seen))
    assert len(seen) >= 12
    assert left[-1].json["one_time_prekey"] is None
