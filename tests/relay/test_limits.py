"""Rate limits: per client, per device and overall; in memory, bounded, and without exemption."""

import os
import time
from pathlib import Path

import pytest

from halonyx.core.types import DeviceId
from halonyx.relay.guard import RULES, client_host
from halonyx.relay.limits import Limiter, Scope
from halonyx.wire.rest_account import AccountRequest, WorkRequest
from halonyx.wire.rest_directory import BundleRequest, LookupRequest
from relay.rest_kit import Answer, Person, Relay, prekeys, running_relay


class Hand:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def test_a_rate_lets_its_number_through_at_once_and_then_fills_up_evenly() -> None:
    clock = Hand()
    limiter = Limiter(100, clock)

    first = [limiter.hit("3/minute", "route", "a") for _ in range(4)]
    clock.now += 19
    almost = limiter.hit("3/minute", "route", "a")
    clock.now += 1
    one = [limiter.hit("3/minute", "route", "a") for _ in range(2)]
    clock.now += 600
    again = [limiter.hit("3/minute", "route", "a") for _ in range(4)]

    assert first == [0, 0, 0, 20]
    assert almost == 1
    assert one == [0, 20]
    assert again == [0, 0, 0, 20]


@pytest.mark.parametrize("rate", ["7/hour", "10/hour", "60/hour", "300/minute", "6/10 minute"])
def test_every_rate_lets_through_exactly_its_number(rate: str) -> None:
    limiter, number = Limiter(100, Hand()), int(rate.split("/", maxsplit=1)[0])

    assert [limiter.hit(rate, "route", "a") for _ in range(number)] == [0] * number
    assert limiter.hit(rate, "route", "a") >= 1


def test_many_clients_do_not_make_the_limiter_forget_devices_and_everybody() -> None:
    limiter = Limiter(50, Hand())
    limiter.hit("1/hour", "route", "device", Scope.DEVICE)
    limiter.hit("1/hour", "route")

    for number in range(200):
        limiter.hit("1/hour", "route", str(number))
        limiter.hit("1/hour", "route", str(number), Scope.CLIENT_AND_DEVICE)

    assert limiter.hit("1/hour", "route", "device", Scope.DEVICE) > 0
    assert limiter.hit("1/hour", "route") > 0


def test_a_key_is_remembered_as_one_number() -> None:
    limiter = Limiter(50, Hand())
    for _ in range(300):
        limiter.hit("300/minute", "route", "a")

    assert [type(kept) for kept in limiter._empty_at[Scope.CLIENT].values()] == [float]


def test_setting_the_clock_of_the_machine_changes_nothing() -> None:
    assert Limiter(1)._clock is time.monotonic


def test_refused_calls_do_not_count() -> None:
    clock = Hand()
    limiter = Limiter(100, clock)
    limiter.hit("1/minute", "route", "a")
    for _ in range(100):
        clock.now += 0.5
        limiter.hit("1/minute", "route", "a")
    clock.now += 10

    assert limiter.hit("1/minute", "route", "a") == 0


def test_routes_and_clients_are_counted_apart() -> None:
    limiter = Limiter(100, Hand())

    assert [limiter.hit("1/hour", route, who) for route in ("x", "y") for who in ("a", "b")] == [0, 0, 0, 0]
    assert limiter.hit("1/hour", "x", "a") == 3600
    assert limiter.hit("1/hour", "x") == 0


def test_memory_is_bounded() -> None:
    limiter = Limiter(50, Hand())

    for number in range(10_000):
        limiter.hit("1/hour", "route", str(number))

    assert len(limiter) == 50
    assert limiter.hit("1/hour", "route", "9999") > 0


def test_clients_are_pseudonyms_of_a_day() -> None:
    clock = Hand()
    limiter = Limiter(100, clock)
    today = limiter.client("192.0.2.1")

    assert limiter.client("192.0.2.1") == today
    assert limiter.client("192.0.2.2") != today
    assert Limiter(100, clock).client("192.0.2.1") != today
    clock.now += 86_400
    assert limiter.client("192.0.2.1") != today


@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("no address", "other", False),
    ],
)
def test_a_client_is_an_ipv4_address_or_a_slash_64(first: str, second: str, is_same: bool) -> None:  # noqa: FBT001
    limiter = Limiter(100)

    assert (limiter.client(first) == limiter.client(second)) is is_same


@pytest.mark.parametrize(
    ("forwarded", "behind_proxy", "host"),
    [
        ([], True, "10.0.0.1"),
        (["192.0.2.7"], False, "10.0.0.1"),
        (["192.0.2.7"], True, "192.0.2.7"),
        (["203.0.113.1, 192.0.2.7"], True, "192.0.2.7"),
        (["203.0.113.1", "192.0.2.7"], True, "192.0.2.7"),
        (["192.0.2.7, "], True, "10.0.0.1"),
    ],
)
def test_only_the_last_hop_of_a_proxy_is_believed(forwarded: list[str], behind_proxy: bool, host: str) -> None:  # noqa: FBT001
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    scope = {"client": ("10.0.0.1", 1), "headers": headers}

    assert client_host(scope, behind_proxy=behind_proxy) == host


async def test_sign_ups_are_limited_per_client_even_on_loopback(tmp_path: Path) -> None:
    async with running_relay(tmp_path, rate_sign_up="5/hour") as relay:
        answers = [await Person().sign_up(relay) for _ in range(7)]
        relay.clock.ahead = 3_601_000
        later = await Person().sign_up(relay)

        assert [answer.status for answer in answers] == [201] * 5 + [429] * 2
        assert answers[5].code == "too-many-requests"
        assert 1 <= int(answers[5].headers["Retry-After"]) <= 3600
        assert later.status == 201


async def test_sign_ups_are_limited_overall(tmp_path: Path) -> None:
    origins = ["https://relay.example", "http://127.0.0.1:3999"]
    async with running_relay(tmp_path, rate_sign_up="5/hour", rate_sign_up_total="8/hour", behind_proxy=True,
                             signup="open", port=3999, origins=origins) as relay:  # fmt: skip
        answers = []
        for number in range(12):
            person = Person()
            hop = {"X-Forwarded-For": f"203.0.113.9, 192.0.2.{number}"}
            answers.append(
                await relay.call("POST", "/v1/accounts", person.sign_up_request(), person.manager, headers=hop)
            )

        assert [answer.status for answer in answers] == [201] * 8 + [429] * 4


async def test_forged_forwarding_headers_do_not_help(tmp_path: Path) -> None:
    async with running_relay(tmp_path, rate_lookup="10/minute") as relay:
        call = LookupRequest(address=os.urandom(32), key=os.urandom(16))
        answers = [
            await relay.call("POST", "/v1/lookup", call, headers={"X-Forwarded-For": f"192.0.2.{number}"})
            for number in range(30)
        ]

        assert [answer.status for answer in answers] == [403] * 10 + [429] * 20


@pytest.mark.parametrize(
    ("rate", "path"),
    [
        ("rate_challenge", "/v1/signup/challenge"),
        ("rate_signed", "/v1/account/status"),
        ("rate_bundle", "/v1/bundle"),
        ("rate_public", "/healthz"),
    ],
)
async def test_each_route_has_its_limit(tmp_path: Path, rate: str, path: str) -> None:
    async with running_relay(tmp_path, **{rate: "2/minute"}) as relay:
        body = WorkRequest(address=bytes(32)) if "challenge" in path else AccountRequest(address=bytes(32))
        method = "GET" if path == "/healthz" else "POST"
        answers = [await relay.call(method, path, None if method == "GET" else body) for _ in range(4)]

        assert all(answer.status != 429 for answer in answers[:2])
        assert [answer.status for answer in answers[2:]] == [429, 429]


async def test_no_route_is_without_a_limit(tmp_path: Path) -> None:
    async with running_relay(tmp_path, **dict.fromkeys({rule.rate for rule in RULES.values()}, "2/minute")) as relay:
        for path in [*RULES, "/", "/metrics", "/nowhere"]:
            answers = [await relay.call("POST", path.replace("{drop}", "0" * 32)) for _ in range(3)]

            assert answers[2].status == 429, path
            assert int(answers[2].headers["Retry-After"]) >= 1


async def test_five_hundred_strangers_take_ten_one_time_prekeys_and_contacts_still_get_theirs(tmp_path: Path) -> None:
    defaults = {"rate_bundle_device": "60/hour", "rate_bundle_requests": "10/hour", "rate_bundle_client": "6/10 minute"}
    origins = ["http://127.0.0.1:3998"]
    async with running_relay(tmp_path, behind_proxy=True, signup="open", port=3998, origins=origins,
                             **defaults) as relay:  # fmt: skip
        alice, fetch = Person(prekeys=prekeys(100)), os.urandom(16)
        await alice.sign_up(relay)
        first = await alice.bundle(relay, fetch, key=alice.request_key)
        strangers = [await fetched_from(relay, alice, number, alice.request_key) for number in range(500)]
        contacts = [await fetched_from(relay, alice, number, alice.access_key) for number in range(70)]

        assert {answer.status for answer in strangers + contacts} == {200}
        assert [answer.json["one_time_prekey"] is not None for answer in strangers] == [True] * 9 + [False] * 491
        assert all(answer.json["last_resort_prekey"] for answer in strangers)
        assert sum(answer.json["one_time_prekey"] is not None for answer in contacts) == 60
        assert relay.here.keys.counts(alice.address, DeviceId(1)) == (30, 30)
        assert (await alice.bundle(relay, fetch, key=alice.request_key)).body == first.body


async def fetched_from(relay: Relay, person: Person, number: int, key: bytes) -> Answer:
    call = BundleRequest(address=person.address, key=key, device=1, fetch_id=os.urandom(16))
    hop = {"X-Forwarded-For": f"198.51.{number // 200}.{number % 200}"}
    return await relay.call("POST", "/v1/bundle", call, headers=hop)


async def test_one_client_fetches_six_bundles_of_a_device_in_ten_minutes(tmp_path: Path) -> None:
    async with running_relay(tmp_path, rate_bundle_client="6/10 minute") as relay:
        alice, bob, fetch = Person(prekeys=prekeys(20)), Person(), os.urandom(16)
        await alice.sign_up(relay)
        await bob.sign_up(relay)
        first = await alice.bundle(relay, fetch)
        answers = [await alice.bundle(relay) for _ in range(8)]

        assert [answer.status for answer in answers] == [200] * 5 + [429] * 3
        assert int(answers[-1].headers["Retry-After"]) >= 1
        assert (await alice.bundle(relay, fetch)).body == first.body
        assert (await bob.bundle(relay)).status == 200


async def test_a_wrong_key_does_not_count(tmp_path: Path) -> None:
    async with running_relay(tmp_path, rate_bundle_device="3/hour", rate_bundle_client="3/hour") as relay:
        alice = Person()
        await alice.sign_up(relay)

        for _ in range(10):
            assert (await alice.bundle(relay, key=os.urandom(16))).status == 403

        assert (await alice.bundle(relay)).json["one_time_prekey"] is not None
