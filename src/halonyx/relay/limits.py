"""Rate limits, in memory only: per client, per device, per client and device, and overall, each in its own store.

A rate of n per period lets n calls through at once, then one every period/n (GCRA: a leaky bucket that is one number a
key). A client is its IPv4 address or IPv6 /64, hashed under a key that is renewed daily and never stored.

Source: docs/reference/relay.md, "Rates"; ITU-T I.371, "Generic Cell Rate Algorithm".
"""

import functools
import math
import secrets as random
import time
from collections import OrderedDict
from collections.abc import Callable
from enum import Enum, auto
from typing import Final

import limits

from halonyx.core.primitives import hmac_sha256
from halonyx.core.types import KEY_SIZE
from halonyx.relay.clients import network_of

DAY_SECONDS: Final = 86_400
_ROUNDING_SECONDS: Final = 0.001

_parse = functools.lru_cache(maxsize=64)(limits.parse)


class Scope(Enum):
    """Whose calls are counted together; one scope can't push another out of memory."""

    ALL = auto()
    CLIENT = auto()
    DEVICE = auto()
    CLIENT_AND_DEVICE = auto()


class Meter:
    """Counts what one connection does against a rate.

    Args:
        rate: For example `120/minute`.
    """

    __slots__ = ("_empty_at", "_period", "_step")

    def __init__(self, rate: str) -> None:
        item = _parse(rate)
        self._period = float(item.get_expiry())
        self._step = self._period / item.amount
        self._empty_at = 0.0

    def hit(self, now: float) -> bool:
        """Count one; False, and not counted, if it is one too many.

        Args:
            now: Seconds that never go back.
        """
        empty_at = max(self._empty_at, now) + self._step
        if empty_at - now - self._period > _ROUNDING_SECONDS:
            return False
        self._empty_at = empty_at
        return True


class Limiter:
    """Counts calls against the rates of the settings.

    Args:
        capacity: Keys that are remembered in each scope; the least recently seen one goes first.
        clock: Seconds that never go back.
    """

    def __init__(self, capacity: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = capacity
        self._clock = clock
        # When each key's bucket will be empty again.
        self._empty_at: dict[Scope, OrderedDict[tuple[str, str], float]] = {scope: OrderedDict() for scope in Scope}
        self._day = -1
        self._key = b""

    def hit(self, rate: str, route: str, who: str = "", scope: Scope | None = None) -> int:
        """Count one call.

        Args:
            rate: For example `5/hour`.
            route: What is counted; rates of different routes are apart.
            who: A pseudonym from `client`; by default everybody together.
            scope: By default CLIENT, or ALL without `who`.

        Returns:
            0 if the call may go on, else the seconds after which it may be tried again, at least 1.
        """
        item, now = _parse(rate), self._clock()
        known = self._empty_at[scope or (Scope.CLIENT if who else Scope.ALL)]
        period, key = item.get_expiry(), (route, who)
        empty_at = max(known.get(key, now), now) + period / item.amount
        # Sums of floats: without the millisecond, the last call of a full bucket is refused now and then.
        wait = empty_at - now - period
        if wait > _ROUNDING_SECONDS:
            return max(1, math.ceil(wait))
        known[key] = empty_at
        known.move_to_end(key)
        if len(known) > self._capacity:
            known.popitem(last=False)
        return 0

    def __len__(self) -> int:
        return sum(map(len, self._empty_at.values()))

    def client(self, host: str) -> str:
        """Return today's pseudonym of a client's IPv4 address or IPv6 /64."""
        today = int(self._clock() // DAY_SECONDS)
        if today != self._day:
            self._day, self._key = today, random.token_bytes(KEY_SIZE)
        return hmac_sha256(self._key, network_of(host).encode("utf-8"))[:16].hex()
