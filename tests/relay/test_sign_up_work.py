"""Sign-up by proof of work: stateless seeds, bound to address and time."""

import os
from pathlib import Path

import pytest

from halonyx.core.types import Address, Millis
from halonyx.relay import proof
from halonyx.wire.rest_account import Work, WorkChallenge, WorkRequest
from halonyx.wire.work import solve
from relay.rest_kit import Person, Relay, running_relay

KEY = bytes(32)
NOW = Millis(1_800_000_000_000)
BITS = 8


async def challenge(relay: Relay, address: Address) -> WorkChallenge:
    answer = await relay.call("POST", "/v1/signup/challenge", WorkRequest(address=address))
    return WorkChallenge.model_validate_json(answer.body)


async def test_a_solved_challenge_opens_sign_up(tmp_path: Path) -> None:
    async with running_relay(tmp_path, signup="pow", pow_bits=10) as relay:
        alice = Person()
        asked = await challenge(relay, alice.address)
        assert asked.seed is not None
        nonce = solve(asked.seed, alice.address, asked.bits)
        assert nonce is not None

        without = await alice.sign_up(relay)
        made = await alice.sign_up(relay, Work(seed=asked.seed, nonce=nonce))
        repeated = await alice.sign_up(relay)

        assert (asked.mode, asked.bits) == ("pow", 10)
        assert (without.status, without.code) == (403, "bad-work")
        assert (made.status, repeated.status) == (201, 200)


async def test_work_for_another_address_is_refused(tmp_path: Path) -> None:
    async with running_relay(tmp_path, signup="pow", pow_bits=4) as relay:
        alice, mallory = Person(), Person()
        asked = await challenge(relay, alice.address)
        assert asked.seed is not None
        nonce = solve(asked.seed, mallory.address, asked.bits)
        assert nonce is not None

        assert (await mallory.sign_up(relay, Work(seed=asked.seed, nonce=nonce))).code == "bad-work"


async def test_an_open_relay_asks_for_nothing(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        assert await challenge(relay, Address(bytes(32))) == WorkChallenge(mode="open", seed=None, bits=0, expires=0)


def solved(address: Address, bits: int = BITS) -> Work:
    seed, _ = proof.issue(KEY, address, bits, NOW)
    nonce = solve(seed, address, bits)
    assert nonce is not None
    return Work(seed=seed, nonce=nonce)


def test_a_seed_holds_ten_minutes() -> None:
    address = Address(os.urandom(32))
    work = solved(address)

    assert proof.is_solved(KEY, address, BITS, work, Millis(NOW + 600_000))
    assert not proof.is_solved(KEY, address, BITS, work, Millis(NOW + 600_001))


@pytest.mark.parametrize("at", range(32))
def test_no_byte_of_a_seed_can_be_changed(at: int) -> None:
    address = Address(os.urandom(32))
    work = solved(address)
    seed = bytearray(work.seed)
    seed[at] ^= 0x80
    nonce = solve(bytes(seed), address, BITS)
    assert nonce is not None

    assert not proof.is_solved(KEY, address, BITS, Work(seed=bytes(seed), nonce=nonce), NOW)


def test_less_work_than_asked_now_is_refused() -> None:
    address = Address(os.urandom(32))
    work = solved(address, 4)

    assert proof.is_solved(KEY, address, 4, work, NOW)
    assert not proof.is_solved(KEY, address, 5, work, NOW)


def test_an_unsolved_seed_is_refused() -> None:
    address = Address(os.urandom(32))
    seed, expires = proof.issue(KEY, address, 40, NOW)

    assert expires == NOW + 600_000
    assert not proof.is_solved(KEY, address, 40, Work(seed=seed, nonce=0), NOW)


async def test_work_comes_before_rates_and_before_any_word_about_the_address(tmp_path: Path) -> None:
    async with running_relay(tmp_path, signup="pow", pow_bits=4, rate_sign_up_total="2/hour") as relay:
        alice, thief = Person(), Person()
        thief.address = alice.address
        junk = [await Person().sign_up(relay) for _ in range(5)]
        asked = await challenge(relay, alice.address)
        assert asked.seed is not None
        nonce = solve(asked.seed, alice.address, asked.bits)
        assert nonce is not None
        work = Work(seed=asked.seed, nonce=nonce)

        made = await alice.sign_up(relay, work)
        probe = await thief.sign_up(relay)
        told = await thief.sign_up(relay, work)
        too_often = await thief.sign_up(relay, work)

        assert {answer.code for answer in junk} == {"bad-work"}
        assert made.status == 201
        assert (probe.code, told.code, too_often.code) == ("bad-work", "address-taken", "too-many-requests")
        assert (await alice.sign_up(relay)).status == 200
