"""Files from terminal to terminal against libtorrent alone on plain content, the share of encryption, and memory.

Run: `PYTHONPATH=tests python bench/files.py`, with `--memory 5000` for the memory of a transfer of so many MB. Sender
and recipient are processes of their own in both contests, the tracker is a real relay's, and content goes over WebRTC.
Every contestant takes a turn in every round, so that a slow second meets all of them; a ratio is the median of the
rounds' ratios.

Both count from the moment the recipient asks until the file is whole and, in ours, verified, decrypted, synced and
under its name. What the sender does before that, hashing there and encrypting here, is told apart.
"""

import argparse
import asyncio
import hashlib
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import psutil

from halonyx.client import Client, create_account, torrent
from halonyx.client.preparing import INFO, Watch, prepare, scan
from halonyx.client.saving import decrypt, verify
from halonyx.client.torrent import NAME, PIECE_SIZE, info_of
from relay_process import running_relay

MB: Final = 1_000_000
ROUNDS: Final = 5
GOAL: Final = 0.8
MEMORY_GOAL_MB: Final = 300
PASSPHRASE: Final = "bench"  # noqa: S105 (of accounts that last a minute)
LOOK_SECONDS: Final = 0.02
QUIET: Final = Watch(lambda: False, lambda _: None)


@dataclass(frozen=True, slots=True)
class Turn:
    """One contestant's turn.

    Attributes:
        before: Seconds of what the sender did first.
        seconds: From asking to having.
        peaks: Most RssAnon of sender and recipient, in MB; empty if not looked for.
    """

    before: float
    seconds: float
    peaks: tuple[float, ...] = ()


# --- the processes of both contests; this file is run again with a role


def seed(folder: Path, url: str) -> None:
    """Give out a plain file, hashed here."""
    began = time.perf_counter()
    path, hashes = folder / NAME, b""
    with path.open("rb") as file:
        while block := file.read(PIECE_SIZE):
            hashes += hashlib.sha1(block, usedforsecurity=False).digest()
    info = info_of(path.stat().st_size, hashes)
    (folder / INFO).write_bytes(info)
    shared = torrent.Torrent(folder, path.stat().st_size, url)
    shared.seed(info)
    say(f"{time.perf_counter() - began}")
    while True:
        time.sleep(1)


def leech(folder: Path, url: str, size: int, info_hash: str) -> None:
    """Fetch a plain file."""
    began = time.perf_counter()
    shared = torrent.Torrent(folder, size, url)
    shared.fetch(bytes.fromhex(info_hash), None)
    while not shared.progress().is_complete:
        shared.take_info()
        time.sleep(LOOK_SECONDS)
    say(f"{time.perf_counter() - began}")
    shared.close()


async def offer(home: Path, path: Path) -> None:
    """Offer a file, then carry it."""
    async with Client.open(home, PASSPHRASE) as me:
        began = time.perf_counter()
        await me.files.offer("other", [path])
        say(f"{time.perf_counter() - began}")
        async with me.online(), me.files.run():
            await asyncio.sleep(24 * 3600)


async def take(home: Path, folder: Path) -> None:
    """Accept the newest offer and end when it is saved."""
    async with Client.open(home, PASSPHRASE) as me, me.online(), me.files.run():
        while not [found for found in me.files.list() if found.state == "offered"]:
            await asyncio.sleep(LOOK_SECONDS)
        began = time.perf_counter()
        transfer = await me.files.accept(me.files.list()[-1].id, folder)
        while transfer.state not in ("done", "failed"):
            await asyncio.sleep(LOOK_SECONDS)
            transfer = me.files.get(transfer.id)
        say(f"{time.perf_counter() - began}" if transfer.state == "done" else f"failed: {transfer.reason}")
        await asyncio.sleep(LOOK_SECONDS)


def say(line: str) -> None:
    print(line, flush=True)


# --- the rounds


@contextmanager
def role(*arguments: object) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, __file__, "--role", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def told(process: "subprocess.Popen[str]") -> float:
    assert process.stdout is not None  # noqa: S101 (a pipe was asked for)
    return float(process.stdout.readline())


def bare(origin: str, content: Path, folder: Path) -> Turn:
    """Let libtorrent alone carry a plain file."""
    ours, theirs = folder / "ours", folder / "theirs"
    for made in (ours, theirs):
        made.mkdir()
    os.link(content, ours / NAME)
    url = torrent.tracker_url(origin, os.urandom(16))
    with role("seed", ours, url) as seeding:
        before = told(seeding)
        info_hash = hashlib.sha1((ours / INFO).read_bytes(), usedforsecurity=False).hexdigest()
        with role("leech", theirs, url, content.stat().st_size, info_hash) as leeching:
            return Turn(before, told(leeching))


def halonyx(origin: str, content: Path, folder: Path, *, is_watched: bool = False) -> Turn:
    """Let two people send a file."""
    homes, saved = (folder / "alice", folder / "bob"), folder / "saved"
    saved.mkdir()
    asyncio.run(meet(origin, homes))
    with role("offer", homes[0], content) as offering, ExitStack() as stack:
        peaks = [Peak(offering.pid)]
        before = wait_watching(offering, peaks, is_watched=is_watched)
        taking = stack.enter_context(role("take", homes[1], saved))
        peaks.append(Peak(taking.pid))
        seconds = wait_watching(taking, peaks, is_watched=is_watched)
    return Turn(before, seconds, tuple(peak.most / MB for peak in peaks))


@dataclass(slots=True)
class Peak:
    """The most anonymous memory of a process that was seen."""

    pid: int
    most: int = 0

    def look(self) -> None:
        """Look once."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = next((line for line in status.splitlines() if line.startswith("RssAnon:")), "RssAnon: 0 kB")
        self.most = max(self.most, int(found.split()[1]) * 1024)


def wait_watching(process: "subprocess.Popen[str]", peaks: list[Peak], *, is_watched: bool) -> float:
    """Wait for a line, looking at memory meanwhile if that is what is measured."""
    if not is_watched:
        return told(process)
    assert process.stdout is not None  # noqa: S101 (a pipe was asked for)
    os.set_blocking(process.stdout.fileno(), False)
    while not (line := process.stdout.readline()):
        for peak in peaks:
            peak.look()
        time.sleep(0.1)
    return float(line)


async def meet(origin: str, homes: tuple[Path, Path]) -> None:
    for home in homes:
        await create_account(home, origin, PASSPHRASE)
    async with Client.open(homes[0], PASSPHRASE) as alice, Client.open(homes[1], PASSPHRASE) as bob:
        for me, other in ((alice, bob), (bob, alice)):
            await me.contacts.add(other.card().uri(), "other")
            me.contacts.allow_direct("other")


def cryptography(content: Path, folder: Path) -> tuple[float, float]:
    """Return the seconds of encrypting with all hashes, and of verifying and decrypting, without a network."""
    began = time.perf_counter()
    made = prepare(scan([content]), folder, "http://localhost:3000", b"", QUIET)
    middle = time.perf_counter()
    verify(folder / NAME, made, QUIET)
    decrypt(folder / NAME, made, folder / ".part", QUIET)
    return middle - began, time.perf_counter() - middle


def some_content(folder: Path, size_mb: int) -> Path:
    path, block = folder / "content.bin", os.urandom(MB)
    with path.open("wb") as file:
        for number in range(size_mb):
            file.write(number.to_bytes(8, "big") + block[8:])
    return path


def compare(origin: str, size_mb: int, rounds: int) -> None:
    times: dict[str, list[Turn]] = {"libtorrent alone": [], "halonyx": []}
    encryption: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as base:
        content = some_content(Path(base), size_mb)
        for number in range(rounds):
            for name, contest in (("libtorrent alone", bare), ("halonyx", halonyx)):
                with tempfile.TemporaryDirectory(dir=base) as folder:
                    times[name].append(contest(origin, content, Path(folder)))
            with tempfile.TemporaryDirectory(dir=base) as folder:
                encryption.append(cryptography(content, Path(folder)))
            print(f"  round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    size = size_mb * MB
    print(f"\n{size_mb} MB from terminal to terminal over WebRTC (n = {rounds} rounds)")
    for name, turns in times.items():
        low, median, high = statistics.quantiles((size / MB / turn.seconds for turn in turns), n=4)
        before = statistics.median(turn.before for turn in turns)
        print(f"  {name:32} {median:8.1f} MB/s (quartiles {low:.1f} to {high:.1f}), {before:.2f} s before it starts")
    pairs = zip(times["halonyx"], times["libtorrent alone"], strict=True)
    ratio = statistics.median(theirs.seconds / ours.seconds for ours, theirs in pairs)
    is_met = "met" if ratio >= GOAL else "MISSED"
    print(f"  {ratio:.2f} x the speed of libtorrent alone (at least {GOAL}): {is_met}")
    encrypting, decrypting = (statistics.median(values) for values in zip(*encryption, strict=True))
    whole = statistics.median(turn.seconds for turn in times["halonyx"])
    print(f"  encrypting and hashing {size_mb / encrypting:8.0f} MB/s, before it starts")
    print(f"  checking and decrypting {size_mb / decrypting:7.0f} MB/s, {decrypting / whole:.0%} of the time")


def memory(origin: str, size_mb: int) -> None:
    with tempfile.TemporaryDirectory() as base:
        content = some_content(Path(base), size_mb)
        with tempfile.TemporaryDirectory(dir=base) as folder:
            turn = halonyx(origin, content, Path(folder), is_watched=True)
    print(f"\nmemory of {size_mb} MB from terminal to terminal (most RssAnon, looked at ten times a second)")
    for name, most in zip(("sender", "recipient"), turn.peaks, strict=True):
        is_met = "met" if most < MEMORY_GOAL_MB else "MISSED"
        print(f"  {name:32} {most:8.0f} MB (under {MEMORY_GOAL_MB}): {is_met}")
    speed = size_mb / turn.seconds
    print(f"  {'halonyx':32} {speed:8.1f} MB/s, prepared in {turn.before:.0f} s")


def play(words: list[str]) -> None:
    """Be one process of a contest."""
    match words:
        case ["seed", folder, url]:
            seed(Path(folder), url)
        case ["leech", folder, url, size, info_hash]:
            leech(Path(folder), url, int(size), info_hash)
        case ["offer", home, path]:
            asyncio.run(offer(Path(home), Path(path)))
        case ["take", home, folder]:
            asyncio.run(take(Path(home), Path(folder)))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, default=300, metavar="MB", help="of the file that both carry (300)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"turns of each ({ROUNDS}); below two: none")
    parser.add_argument("--memory", type=int, default=500, metavar="MB", help="of the file for memory (500); 0: none")
    parser.add_argument("--role", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.role:
        play(arguments.role)
        return
    names = ("libtorrent", "cryptography")
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())
    print(f"{model}, {os.cpu_count()} cores, {platform.platform()}, load {psutil.getloadavg()[0]:.1f}")
    print(f"Python {platform.python_version()}, {', '.join(f'{name} {version(name)}' for name in names)}")
    with tempfile.TemporaryDirectory() as folder, running_relay(Path(folder)) as relay:
        if arguments.rounds > 1:
            compare(relay.origin, arguments.size, arguments.rounds)
        if arguments.memory:
            memory(relay.origin, arguments.memory)


if __name__ == "__main__":
    main()
