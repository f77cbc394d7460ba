"""What the relay does again and again: one failure is logged, and the work goes on.

Source: docs/reference/relay.md, "Log".
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Never

from halonyx.relay.events import Event, log


async def every(seconds: float, work: Callable[[], Awaitable[None]], *, first: float = 0.0) -> Never:
    """Do `work`, wait, and so on until cancelled.

    Args:
        seconds: Between the end of one and the start of the next.
        work: Whatever it raises is logged by its class alone.
        first: Seconds before the first.
    """
    await asyncio.sleep(first)
    while True:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 (the outermost loop: without it one failure ends the work for good)
            log(Event.UPKEEP_FAILED, error=type(error).__name__)
        await asyncio.sleep(seconds)
