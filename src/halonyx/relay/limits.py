"""Rate limits, in memory only: moving windows per client, per device and overall.

A client is its IPv4 address or IPv6 /64, hashed under a key that is renewed daily and never stored. The library's own
memory store keeps every key it ever saw and starts a thread for each hit, so its windows are kept here, bounded.

Source: docs/reference/relay.md, "Rates"; https://limits.readthedocs.io, "Moving window".
"""

import functools
import ipaddress
import math
import secrets as random
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

import limits
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from halonyx.core.primitives import hmac_sha256
from halonyx.core.types import KEY_SIZE

DAY_SECONDS: Final = 86_400
IPV6_PREFIX: Final = 64
_ALL_CLIENTS: Final = "all"

_parse = functools.lru_cache(maxsize=64)(limits.parse)


class BoundedWindows(MemoryStorage):
    """Moving windows of the most recently seen keys; the least recently seen one goes when there are too many.

    Args:
        capacity: Keys that are kept.
        clock: Seconds.
    """

    STORAGE_SCHEME: Final = ["bounded"]  # type: ignore[misc]  # the base leaves it open

    def __init__(self, capacity: int, clock: Callable[[], float]) -> None:
        super().__init__()
        self._capacity = capacity
        self._clock = clock
        self._windows: OrderedDict[str, deque[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._windows)

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count `amount` if that stays within `limit` in the last `expiry` seconds."""
        window = self._window(key, expiry)
        if len(window) + amount > limit:
            return False
        window.extend([self._clock()] * amount)
        self._windows[key] = window
        self._windows.move_to_end(key)
        if len(self._windows) > self._capacity:
            self._windows.popitem(last=False)
        return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:  # noqa: ARG002
        """Return when the window began and how many it counts."""
        window = self._window(key, expiry)
        return (window[0] if window else self._clock()), len(window)

    def _window(self, key: str, expiry: int) -> deque[float]:
        window = self._windows.get(key, deque())
        oldest = self._clock() - expiry
        while window and window[0] <= oldest:
            window.popleft()
        return window


class Limiter:
    """Counts calls against the rates of the settings.

    Args:
        capacity: Clients whose rates are counted apart.
        clock: Unix seconds.
    """

    def __init__(self, capacity: int, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._windows = BoundedWindows(capacity, clock)
        self._strategy = MovingWindowRateLimiter(self._windows)
        self._day = -1
        self._key = b""

    def hit(self, rate: str, route: str, who: str = _ALL_CLIENTS) -> int:
        """Count one call.

        Args:
            rate: For example `5/hour`.
            route: What is counted; rates of different routes are apart.
            who: A pseudonym from `client`, or another short text; by default everybody together.

        Returns:
            0 if the call may go on, else the seconds after which it may be tried again, at least 1.
        """
        item = _parse(rate)
        if self._strategy.hit(item, route, who):
            return 0
        reset = self._strategy.get_window_stats(item, route, who).reset_time
        return max(1, math.ceil(reset - self._clock()))

    def __len__(self) -> int:
        return len(self._windows)

    def client(self, host: str) -> str:
        """Return today's pseudonym of a client's IPv4 address or IPv6 /64."""
        today = int(self._clock() // DAY_SECONDS)
        if today != self._day:
            self._day, self._key = today, random.token_bytes(KEY_SIZE)
        return hmac_sha256(self._key, _network(host).encode("utf-8"))[:16].hex()


def _network(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        if mapped is not None:
            return str(mapped)
        return str(ipaddress.ip_network((int(address), IPV6_PREFIX), strict=False))
    return str(address)
