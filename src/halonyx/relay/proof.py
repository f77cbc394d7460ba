"""Sign-up work without state: the seed says until when it holds and carries a tag only this relay can make.

Seed: expires u64 ms ‖ bits u8 ‖ random 7 ‖ tag 16, where tag = HMAC-SHA-256(work key, label ‖ 0x00 ‖ first 16 bytes ‖
address) cut to 16. Source: spec/delivery.md, "Sign-up".
"""

import secrets as random
from typing import Final

from halonyx.core.encoding import Reader, Writer
from halonyx.core.labels import SIGNUP_WORK
from halonyx.core.primitives import equal, hmac_sha256
from halonyx.core.types import MINUTE, Address, Millis
from halonyx.wire import work
from halonyx.wire.rest_account import Work

LIFETIME: Final = 10 * MINUTE
TAG_SIZE: Final = 16
SALT_SIZE: Final = 7


def issue(work_key: bytes, address: Address, bits: int, now: Millis) -> tuple[bytes, Millis]:
    """Return a seed of 32 bytes for `address`, and when it expires."""
    expires = Millis(now + LIFETIME)
    head = Writer().u64(expires).u8(bits).raw(random.token_bytes(SALT_SIZE)).done()
    return head + _tag(work_key, head, address), expires


def is_solved(work_key: bytes, address: Address, bits: int, solution: Work, now: Millis) -> bool:
    """Tell whether the seed is ours, for this address, not expired, of at least `bits`, and solved.

    Costs two hashes whatever the input.
    """
    head, tag = solution.seed[:-TAG_SIZE], solution.seed[-TAG_SIZE:]
    reader = Reader(head)
    expires, asked = reader.u64(), reader.u8()
    is_ours = equal(tag, _tag(work_key, head, address))
    is_done = work.check(solution.seed, address, min(asked, work.MAX_BITS), solution.nonce)
    return is_ours and is_done and now <= expires and asked >= bits


def _tag(work_key: bytes, head: bytes, address: Address) -> bytes:
    return hmac_sha256(work_key, SIGNUP_WORK + b"\x00" + head + address)[:TAG_SIZE]
