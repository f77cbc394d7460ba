"""Proof of work: what solves, what does not, and searching in slices."""

import hashlib

import pytest

from halonyx.core.errors import Misuse
from halonyx.core.types import Address
from halonyx.wire.work import check, solve

SEED = bytes(range(32))
ADDRESS = Address(bytes(range(32, 64)))


def test_a_solution_is_what_the_specification_says() -> None:
    nonce = solve(SEED, ADDRESS, 12)
    assert nonce is not None

    digest = hashlib.sha256(SEED + ADDRESS + nonce.to_bytes(8, "big")).digest()
    assert digest[0] == 0
    assert digest[1] < 16
    assert check(SEED, ADDRESS, 12, nonce)


def test_the_solution_is_the_first_one() -> None:
    nonce = solve(SEED, ADDRESS, 10)
    assert nonce is not None

    assert not any(check(SEED, ADDRESS, 10, smaller) for smaller in range(nonce))


def test_another_seed_or_address_needs_other_work() -> None:
    nonce = solve(SEED, ADDRESS, 16)
    assert nonce is not None

    assert not check(bytes(32), ADDRESS, 16, nonce)
    assert not check(SEED, Address(bytes(32)), 16, nonce)
    assert not check(SEED, ADDRESS, 64, nonce)


def test_no_bits_cost_nothing() -> None:
    assert solve(SEED, ADDRESS, 0) == 0
    assert check(SEED, ADDRESS, 0, 2**64 - 1)


@pytest.mark.parametrize("nonce", [-1, 2**64])
def test_a_nonce_is_a_u64(nonce: int) -> None:
    assert not check(SEED, ADDRESS, 0, nonce)


def test_a_search_goes_on_where_it_stopped() -> None:
    whole = solve(SEED, ADDRESS, 10)
    assert whole is not None

    assert solve(SEED, ADDRESS, 10, attempts=whole) is None
    assert solve(SEED, ADDRESS, 10, start=whole, attempts=1) == whole


def test_the_search_ends_with_the_numbers() -> None:
    assert solve(SEED, ADDRESS, 64, start=2**64 - 3) is None


@pytest.mark.parametrize("bits", [-1, 65])
def test_impossible_work_is_misuse(bits: int) -> None:
    with pytest.raises(Misuse):
        solve(SEED, ADDRESS, bits)


@pytest.mark.parametrize("bits", [-1, 65])
def test_bits_out_of_range_are_our_own_mistake(bits: int) -> None:
    with pytest.raises(Misuse):
        check(SEED, ADDRESS, bits, 0)
    with pytest.raises(Misuse):
        solve(SEED, ADDRESS, bits)
