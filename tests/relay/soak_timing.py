"""Whether answers take longer for accounts that exist; statistics, so in `make soak` alone.

That the same work is done is tested by counting it (test_same_work.py). Here the clock is asked: 2,000 pairs for each
call, known and unknown in turn. A series counts against the relay if a rank test tells the two apart (p at most 0.01)
or the medians differ by 5 %. Of equal answers one series in a hundred does so too, so only three in a row fail.
"""

import contextlib
import http.client
import math
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from halonyx.core.primitives import SigningKey
from halonyx.core.types import Address
from halonyx.relay.settings import load_settings
from halonyx.wire.http_signature import KeyId, Signer, Target, sign
from halonyx.wire.rest import Body
from halonyx.wire.rest_account import AccountRequest
from halonyx.wire.rest_directory import BundleRequest, LookupRequest
from halonyx.wire.rest_files import TurnRequest
from relay.rest_kit import Person, Relay
from relay_process import RelayProcess, running_relay

PAIRS = 2000
SERIES = 3
LEAST_P = 0.01
MOST_APART = 0.05


def p_value(first: list[int], second: list[int]) -> float:
    """Return the two-sided p of the Mann-Whitney test, by its normal approximation with ties."""
    ranked = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    ranks, ties, at = 0.0, 0.0, 0
    for _, group in groupby(ranked, key=lambda pair: pair[0]):
        members = list(group)
        ranks += sum(side == 0 for _, side in members) * (at + (len(members) + 1) / 2)
        ties += len(members) ** 3 - len(members)
        at += len(members)
    mine, theirs, total = len(first), len(second), len(ranked)
    spread = math.sqrt(mine * theirs / 12 * (total + 1 - ties / (total * (total - 1))))
    return math.erfc(abs(ranks - mine * (mine + 1) / 2 - mine * theirs / 2) / spread / math.sqrt(2))


def test_the_rank_test_tells_what_differs() -> None:
    chance = random.Random(1)  # noqa: S311
    same = [[round(chance.gauss(1000, 100)) for _ in range(PAIRS)] for _ in range(2)]

    assert p_value(same[0], same[1]) > LEAST_P
    assert p_value(same[0], [value + 15 for value in same[1]]) < LEAST_P


@pytest_asyncio.fixture(name="known")
async def known_person(process: RelayProcess) -> Person:
    person = Person()
    async with aiohttp.ClientSession() as session:
        settings = load_settings(port=process.port, data=process.data)
        assert (await person.sign_up(Relay(settings, session))).status == 201
    return person


@pytest.fixture(name="process")
def relay_process(tmp_path: Path) -> Iterator[RelayProcess]:
    many: dict[str, Any] = {"HALONYX_RATE_" + name: "1000000/minute" for name in ("LOOKUP", "BUNDLE", "SIGNED")}
    with running_relay(tmp_path, **many) as process:
        yield process


Call = Callable[[Address], tuple[str, Body, Signer | None]]
STRANGER = SigningKey.generate()
CALLS: dict[str, Call] = {
    "lookup": lambda address: ("/v1/lookup", LookupRequest(address=address, key=os.urandom(16)), None),
    "bundle": lambda address: (
        "/v1/bundle",
        BundleRequest(address=address, key=os.urandom(16), device=1, fetch_id=os.urandom(16)),
        None,
    ),
    "status": lambda address: (
        "/v1/account/status",
        AccountRequest(address=address),
        Signer(KeyId(address, 0), STRANGER),
    ),
    "turn": lambda address: ("/v1/turn", TurnRequest(address=address, device=1), Signer(KeyId(address, 1), STRANGER)),
}


class Client:
    """One kept connection."""

    def __init__(self, process: RelayProcess) -> None:
        self.authority = f"localhost:{process.port}"
        self.connection = http.client.HTTPConnection(self.authority)

    def call(self, path: str, body: Body, signer: Signer | None) -> tuple[int, int]:
        """Call; return nanoseconds and the length of the answer."""
        data, headers = body.to_json(), {"Content-Type": "application/json"}
        if signer is not None:
            target = Target("POST", self.authority, path)
            headers |= sign(signer, target, data, created=int(time.time()), nonce=os.urandom(16))
        began = time.perf_counter_ns()
        self.connection.request("POST", path, data, headers)
        response = self.connection.getresponse()
        length = len(response.read())
        return time.perf_counter_ns() - began, length


def series(client: Client, known: Person, call: Call) -> tuple[float, float]:
    """Measure pairs; return p, and how far apart the medians are."""
    times: tuple[list[int], list[int]] = ([], [])
    lengths = set()
    for number in range(2 * PAIRS):
        side = (number + number // 2) % 2  # known, unknown, unknown, known: neither always goes first
        address = known.address if side == 0 else Address(os.urandom(32))
        taken, length = client.call(*call(address))
        times[side].append(taken)
        lengths.add(length)
    assert len(lengths) == 1
    medians = [statistics.median(one) for one in times]
    return p_value(*times), abs(medians[0] - medians[1]) / max(medians)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", CALLS)
async def test_time_does_not_tell_whether_an_account_exists(name: str, process: RelayProcess, known: Person) -> None:
    client, found = Client(process), list[tuple[float, float]]()
    with contextlib.closing(client.connection):
        while not (found and found[-1][0] > LEAST_P and found[-1][1] < MOST_APART):
            assert len(found) < SERIES, found  # p, and how far apart the medians are
            found.append(series(client, known, CALLS[name]))
