"""How long work that could not be done waits before it is tried again: each time twice as long."""

from dataclasses import dataclass
from typing import Final

FIRST_SECONDS: Final = 2.0
LONGEST_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Pause:
    """Time before some work begins again; `until` as `time.monotonic` counts."""

    until: float
    seconds: float


def next_pause(former: Pause | None, now: float, longest: float | None = None) -> Pause:
    """Return the pause after work that has ended and is still wanted.

    Args:
        former: The pause before that work. What then went on for more than a minute is no second failure in a row.
        longest: Bound of the pause in seconds; by default LONGEST_SECONDS.
    """
    if former is None or now - former.until > LONGEST_SECONDS:
        return Pause(now + FIRST_SECONDS, FIRST_SECONDS)
    seconds = min(2 * former.seconds, longest or LONGEST_SECONDS)
    return Pause(now + seconds, seconds)
