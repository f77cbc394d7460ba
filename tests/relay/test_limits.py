"""Rate limits: per client, per device and overall; in memory, bounded, and without exemption."""

import os
from pathlib import Path

import pytest

from halonyx.relay.guard import client_host
from halonyx.relay.limits import Limiter
from halonyx.wire.rest import AccountRequest, LookupRequest, WorkRequest
from relay.rest_kit import Person, running_relay


class Hand:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def test_a_window_moves() -> None:
    clock = Hand()
    limiter = Limiter(100, clock)

    first = [limiter.hit("3/minute", "route", "a") for _ in range(4)]
    clock.now += 59
    almost = limiter.hit("3/minute", "route", "a")
    clock.now += 1
    again = [limiter.hit("3/minute", "route", "a") for _ in range(4)]

    assert first == [0, 0, 0, 60]
    assert almost == 1
    assert again == [0, 0, 0, 60]


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


async def test_bundles_are_limited_per_device_for_all_clients_together(tmp_path: Path) -> None:
    origins = ["http://127.0.0.1:3998"]
    async with running_relay(tmp_path, rate_bundle_device="6/hour", behind_proxy=True, signup="open", port=3998,
                             origins=origins) as relay:  # fmt: skip
        alice, bob = Person(), Person()
        await alice.sign_up(relay)
        await bob.sign_up(relay)
        fetch = os.urandom(16)
        first = await alice.bundle(relay, fetch)
        answers = [await alice.bundle(relay) for _ in range(20)]
        repeated = await alice.bundle(relay, fetch)

        assert [answer.status for answer in answers] == [200] * 5 + [429] * 15
        assert int(answers[-1].headers["Retry-After"]) >= 1
        assert repeated.body == first.body
        assert (await bob.bundle(relay)).status == 200


async def test_a_stranger_can_not_use_up_a_devices_bundles(tmp_path: Path) -> None:
    async with running_relay(tmp_path, rate_bundle_device="3/hour") as relay:
        alice = Person()
        await alice.sign_up(relay)

        for _ in range(10):
            assert (await alice.bundle(relay, key=os.urandom(16))).status == 403

        assert (await alice.bundle(relay)).status == 200
