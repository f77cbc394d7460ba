"""The protocol core against vodozemac, the PyPI package DoubleRatchet and the primitives alone.

Run: `python bench/core.py`. Every contestant takes a turn in every round, so that a slow second meets all of them; a
ratio is the median of the rounds' ratios. CPU time, so that other programs' turns do not count.
"""

import os
import platform
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from core_others import (
    alternate_package,
    alternate_vodozemac,
    decrypt_package,
    decrypt_vodozemac,
    encrypt_package,
    encrypt_vodozemac,
    handshake_vodozemac,
)
from core_ours import (
    alternate_floor,
    alternate_ours,
    decrypt_floor,
    decrypt_ours,
    encrypt_floor,
    encrypt_ours,
    exchange_floor,
    handshake_floor,
    handshake_ours,
    verify_bundle,
)
from cryptography.hazmat.backends.openssl import backend

ROUNDS: Final = 21

Contestant = Callable[[int], float]
"""Takes how many operations to do; returns seconds for each, set-up left out."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A ratio we ask for: at least so many times the speed of another, or at most so many times its time."""

    ours: str
    other: str
    bound: float
    is_floor: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison: operations a round, who takes part, and what is asked for."""

    title: str
    count: int
    contestants: Mapping[str, Contestant]
    goals: tuple[Goal, ...]


ROWS: Final = (
    Row(
        "encrypt, 1 KiB, one chain",
        1000,
        {
            "halonyx": encrypt_ours,
            "vodozemac": encrypt_vodozemac,
            "DoubleRatchet": encrypt_package,
            "floor": encrypt_floor,
        },
        (
            Goal("halonyx", "vodozemac", 1),
            Goal("halonyx", "DoubleRatchet", 4),
            Goal("halonyx", "floor", 2, is_floor=True),
        ),
    ),
    Row(
        "decrypt, 1 KiB, one chain",
        1000,
        {
            "halonyx": decrypt_ours,
            "vodozemac": decrypt_vodozemac,
            "DoubleRatchet": decrypt_package,
            "floor": decrypt_floor,
        },
        (Goal("halonyx", "DoubleRatchet", 4), Goal("halonyx", "floor", 2, is_floor=True)),
    ),
    Row(
        "encrypt and decrypt, 1 KiB, strictly alternating",
        300,
        {
            "halonyx": alternate_ours,
            "vodozemac": alternate_vodozemac,
            "DoubleRatchet": alternate_package,
            "floor": alternate_floor,
            "X25519 alone": exchange_floor,
        },
        (
            Goal("halonyx", "vodozemac", 0.9),
            Goal("halonyx", "DoubleRatchet", 2.5),
            Goal("halonyx", "floor", 1.25, is_floor=True),
            Goal("halonyx", "X25519 alone", 1.25, is_floor=True),
        ),
    ),
    Row(
        "handshake, both sides, with its first message of 1 KiB",
        50,
        {
            "halonyx": handshake_ours,
            "vodozemac": handshake_vodozemac,
            "floor": handshake_floor,
            "checking a bundle's signatures": verify_bundle,
        },
        (Goal("halonyx", "vodozemac", 0.4),),
    ),
)


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())


def verdict(goal: Goal, times: Mapping[str, list[float]]) -> str:
    """Return one line: the median of the rounds' ratios, and whether it is what the goal asks."""
    rounds = zip(times[goal.ours], times[goal.other], strict=True)
    if goal.is_floor:
        ratio = statistics.median(ours / floor for ours, floor in rounds)
        is_met, asked = ratio <= goal.bound, f"the time of {goal.other} (at most {goal.bound})"
    else:
        ratio = statistics.median(theirs / ours for ours, theirs in rounds)
        is_met, asked = ratio >= goal.bound, f"the speed of {goal.other} (at least {goal.bound})"
    return f"{ratio:.2f} x {asked}: {'met' if is_met else 'MISSED'}"


def main() -> None:
    print(f"{processor()}, {os.cpu_count()} cores, {platform.platform()}")
    names = ("cryptography", "vodozemac", "doubleratchet")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    print(f"Python {platform.python_version()}, {versions}, {backend.openssl_version_text()}")
    times: dict[str, dict[str, list[float]]] = {row.title: {name: [] for name in row.contestants} for row in ROWS}
    for _ in range(ROUNDS):
        for row in ROWS:
            for name, contestant in row.contestants.items():
                times[row.title][name].append(contestant(row.count))
    for row in ROWS:
        print(f"\n{row.title} (n = {ROUNDS} rounds x {row.count})")
        for name, values in times[row.title].items():
            low, median, high = (1e6 * value for value in statistics.quantiles(values, n=4))
            print(f"  {name:32} {median:8.1f} us   (quartiles {low:.1f} to {high:.1f})")
        for goal in row.goals:
            print(f"  {verdict(goal, times[row.title])}")


if __name__ == "__main__":
    main()
