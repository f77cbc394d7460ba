"""Hundreds of lives: nothing that was accepted is lost, doubled or out of order, whoever is killed and whenever.

Everything is real: the relay with its SQLite files, and for each of three people one process that sends and one that
receives, with their SQLCipher store. They are killed with SIGKILL while they work; a proxy cuts their connections and
makes them half-open; in every fourth history the relay is put back to an older copy of its data folder.

HALONYX_SEED=n repeats one history; HALONYX_SOAK=1 has ten times as many kills.
"""

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from journeys.model import KILLS, History, Outcome
from journeys.world import Template

AT_ONCE: Final = 3  # waiting for time limits costs nothing, so several histories share the processors
HISTORIES: Final = 22
SOAK_HISTORIES: Final = 188
LEAST_KILLS: Final = 300
SOAK_LEAST_KILLS: Final = 3_000


def seeds() -> list[int]:
    """Return the seeds to run."""
    if "HALONYX_SEED" in os.environ:
        return [int(os.environ["HALONYX_SEED"])]
    return list(range(1, 1 + (SOAK_HISTORIES if os.environ.get("HALONYX_SOAK") else HISTORIES)))


def least_kills() -> int:
    """Return how many kills the chosen histories must hold, so that a change can't make them harmless unseen."""
    if "HALONYX_SEED" in os.environ:
        return KILLS
    return SOAK_LEAST_KILLS if os.environ.get("HALONYX_SOAK") else LEAST_KILLS


def told(outcome: Outcome) -> str:
    """Put an outcome into words, with what is needed to repeat it."""
    faults = ", ".join(f"{count} {name}" for name, count in sorted(outcome.faults.items()) if name != "heal")
    line = f"seed {outcome.seed}: {outcome.messages} messages, {faults}; {outcome.seconds:.1f} s"
    if not outcome.wrong:
        return line
    repeat = f"HALONYX_SEED={outcome.seed} make soak"
    return "\n  ".join([line, *outcome.wrong, f"repeat with: {repeat}", "what was done:", *outcome.log])


async def one_after_another(
    template: Template, waiting: Iterator[int], folder: Path, tell: Callable[[str], None]
) -> list[Outcome]:
    """Run histories until no seed is left."""
    outcomes = []
    for seed in waiting:
        async with template.world(folder / f"{seed}") as world:
            outcomes.append(await History(world, seed).run())
        tell(told(outcomes[-1]))
    return outcomes


@pytest.mark.timeout(3600 if os.environ.get("HALONYX_SOAK") else 600)
async def test_accepted_messages_are_shown_once_in_order_and_nothing_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def tell(line: str) -> None:
        with capsys.disabled():
            # Also of good ones, and to where a process of pytest's that shares the work with others may write.
            print(line, file=sys.stderr, flush=True)  # noqa: T201

    began, chosen = time.monotonic(), seeds()
    waiting = iter(chosen)
    templates = [await Template.make(tmp_path / f"template{at}") for at in range(min(AT_ONCE, len(chosen)))]

    tracks = [one_after_another(template, waiting, tmp_path, tell) for template in templates]
    outcomes = [outcome for track in await asyncio.gather(*tracks) for outcome in track]

    faults = sum((outcome.faults for outcome in outcomes), Counter[str]())
    kills = sum(outcome.kills for outcome in outcomes)
    messages = sum(outcome.messages for outcome in outcomes)
    summary = f"{len(outcomes)} histories, {messages} messages, {kills} kills, {time.monotonic() - began:.0f} s"
    tell(f"{summary}: {', '.join(f'{count} {name}' for name, count in sorted(faults.items()))}")
    assert not [told(outcome) for outcome in outcomes if outcome.wrong]
    assert kills >= least_kills()
