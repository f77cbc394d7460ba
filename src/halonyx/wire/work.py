"""Proof of work at sign-up: a nonce such that SHA-256(seed ‖ address ‖ nonce u64) begins with zero bits.

Checking costs the relay one hash; twenty bits cost a client about a million.
Source: spec/delivery.md, "Sign-up".
"""

import hashlib
from typing import Final

from halonyx.core.errors import Misuse
from halonyx.core.types import Address

MAX_NONCE: Final = 2**64 - 1
MAX_BITS: Final = 64


def check(seed: bytes, address: Address, bits: int, nonce: int) -> bool:
    """Tell whether `nonce` solves the challenge.

    Args:
        seed: 32 bytes from the relay.
        address: 32 bytes the seed was made for.
        bits: Leading zero bits, 0 to 64.
        nonce: 0 to 2^64-1; anything else solves nothing.

    Raises:
        Misuse: `bits` is out of range.
    """
    _check_bits(bits)
    if not 0 <= nonce <= MAX_NONCE:
        return False
    digest = hashlib.sha256(seed + address + nonce.to_bytes(8, "big")).digest()
    return _leading_bits_are_zero(digest, bits)


def solve(seed: bytes, address: Address, bits: int, start: int = 0, attempts: int = MAX_NONCE) -> int | None:
    """Search for a nonce from `start` on.

    Args:
        seed: 32 bytes from the relay.
        address: 32 bytes the seed was made for.
        bits: Leading zero bits, 0 to 64.
        start: First nonce tried.
        attempts: How many are tried, so that a caller can search in slices and stop between them.

    Returns:
        The nonce, or None when `attempts` did not find one.

    Raises:
        Misuse: `bits` is out of range.
    """
    _check_bits(bits)
    prefix = hashlib.sha256(seed + address)
    for nonce in range(start, min(start + attempts, MAX_NONCE + 1)):
        attempt = prefix.copy()
        attempt.update(nonce.to_bytes(8, "big"))
        if _leading_bits_are_zero(attempt.digest(), bits):
            return nonce
    return None


def _check_bits(bits: int) -> None:
    if not 0 <= bits <= MAX_BITS:
        raise Misuse(f"{bits} bits of work, expected 0 to {MAX_BITS}")


def _leading_bits_are_zero(digest: bytes, bits: int) -> bool:
    return int.from_bytes(digest[:8], "big") >> (MAX_BITS - bits) == 0
