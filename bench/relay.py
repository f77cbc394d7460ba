"""The relay against a Node relay that stores nothing, and against the goals of the design.

Run: `python bench/relay.py`. The server has one core and the load the other; contestants take turns in every round, and
a ratio is the median of the rounds' ratios. Only loopback is used. Published in docs/benchmarks.md.
"""

import asyncio
import contextlib
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import aiohttp
import psutil
import uvloop
from relay_clients import (
    Mailbox,
    NodeClient,
    Sender,
    connect_node,
    connect_receiver,
    connect_sender,
    sign_up,
)

ROUNDS: Final = 5
PAIRS: Final = 100
WINDOW: Final = 4
OFFLINE_WINDOW: Final = 16
SECONDS: Final = 3.0
BACKLOG: Final = 1000
IDLE: Final = 1000
STARTS: Final = 5
NODE: Final = Path(__file__).parent / "node"
RAISED: Final = {
    "HALONYX_CONNECTIONS_PER_CLIENT": "10000",
    "HALONYX_UNAUTHENTICATED_CONNECTIONS": "10000",
    "HALONYX_HTTP_CONNECTIONS_PER_CLIENT": "10000",
    "HALONYX_SENDING_CONNECTIONS": "10000",
    "HALONYX_RATE_SOCKETS": "1000000/minute",
    "HALONYX_RATE_SIGN_UP": "1000000/hour",
    "HALONYX_RATE_SIGN_UP_TOTAL": "1000000/hour",
    "HALONYX_RATE_SIGNED": "1000000/minute",
    "HALONYX_LOG_LEVEL": "error",
}


@dataclass(frozen=True, slots=True)
class Server:
    """A running contestant."""

    origin: str
    process: psutil.Process
    started_s: float


def free_port() -> int:
    """Return a loopback port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def served(command: Callable[[int, Path], list[str]], path: str) -> Iterator[Server]:
    """Start a server on the first core and wait until `path` answers."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        began = time.perf_counter()
        process = subprocess.Popen(
            command(port, Path(folder)),
            env=os.environ | RAISED,
            preexec_fn=lambda: os.sched_setaffinity(0, {0}),  # noqa: PLW1509 (no threads yet)
            stdout=subprocess.DEVNULL,
        )
        try:
            _wait_for(port, path)
            yield Server(f"http://localhost:{port}", psutil.Process(process.pid), time.perf_counter() - began)
        finally:
            process.terminate()
            process.wait(20)


def halonyx(port: int, folder: Path) -> list[str]:
    """Return the command of our relay."""
    return [sys.executable, "-m", "halonyx.relay", "--port", str(port), "--data", str(folder / "data")]


def node(port: int, _: Path) -> list[str]:
    """Return the command of the Node relay."""
    return ["node", str(NODE / "relay.js"), str(port)]


def _wait_for(port: int, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n".encode()
    for _ in range(3000):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as probe:
            probe.sendall(request)
            if probe.recv(12):
                return
        time.sleep(0.005)
    raise RuntimeError("the server did not start")


async def mailboxes(server: Server, count: int) -> list[Mailbox]:
    """Register accounts."""
    async with aiohttp.ClientSession() as session:
        return [await sign_up(session, server.origin) for _ in range(count)]


class Count:
    """Counts messages in a window of time."""

    def __init__(self) -> None:
        self.number = 0

    def one(self) -> None:
        """Count one."""
        self.number += 1

    async def rate(self, seconds: float) -> float:
        """Return messages a second from now on, after half a second of warming up."""
        await asyncio.sleep(0.5)
        before, began = self.number, time.perf_counter()
        await asyncio.sleep(seconds)
        return (self.number - before) / (time.perf_counter() - began)


async def pairs_through_halonyx(server: Server) -> float:
    """Submit, store, deliver, acknowledge, delete: messages a second over 100 pairs."""
    count = Count()
    senders: list[Sender] = []
    for mailbox in await mailboxes(server, PAIRS):
        sender = await connect_sender(server.origin, mailbox, lambda _: None)

        def delivered(sender: Sender = sender) -> None:
            count.one()
            sender.fire()

        await connect_receiver(server.origin, mailbox, delivered)
        senders.append(sender)
    await asyncio.sleep(0.5)
    for sender in senders:
        for _ in range(WINDOW):
            sender.fire()
    return await count.rate(SECONDS)


async def pairs_through_node(server: Server) -> float:
    """Pass on and answer: messages a second over 100 pairs."""
    count = Count()
    senders: list[tuple[NodeClient, int]] = []
    for number in range(PAIRS):
        sender = await connect_node(server.origin, 2 * number, None)

        def delivered(sender: NodeClient = sender, recipient: int = 2 * number + 1) -> None:
            count.one()
            sender.fire(recipient)

        await connect_node(server.origin, 2 * number + 1, delivered)
        senders.append((sender, 2 * number + 1))
    for sender, recipient in senders:
        for _ in range(WINDOW):
            sender.fire(recipient)
    return await count.rate(SECONDS)


async def store_for_offline(server: Server) -> float:
    """Store for devices that are offline: accepted messages a second from 100 senders."""
    count = Count()

    def accepted(sender: Sender) -> None:
        count.one()
        sender.fire()

    senders = [await connect_sender(server.origin, mailbox, accepted) for mailbox in await mailboxes(server, PAIRS)]
    for sender in senders:
        for _ in range(OFFLINE_WINDOW):
            sender.fire()
    return await count.rate(SECONDS)


async def flush_backlog(server: Server) -> float:
    """Deliver 1,000 waiting messages in order, acknowledged: milliseconds from login to the last."""
    (mailbox,) = await mailboxes(server, 1)
    stored, delivered = Count(), Count()

    def accepted(sender: Sender) -> None:
        stored.one()
        if stored.number + OFFLINE_WINDOW <= BACKLOG:
            sender.fire()

    sender = await connect_sender(server.origin, mailbox, accepted)
    for _ in range(OFFLINE_WINDOW):
        sender.fire()
    while stored.number < BACKLOG:
        await asyncio.sleep(0.01)
    began = time.perf_counter()
    receiver = await connect_receiver(server.origin, mailbox, delivered.one)
    while not (receiver.is_caught_up and delivered.number == BACKLOG):
        await asyncio.sleep(0.0005)
    return 1000 * (time.perf_counter() - began)


async def idle_halonyx(server: Server) -> float:
    """KiB of resident memory for each idle logged-in connection."""
    accounts = await mailboxes(server, IDLE)
    before = server.process.memory_info().rss
    receivers = [await connect_receiver(server.origin, account, lambda: None) for account in accounts]
    while not all(receiver.is_welcome for receiver in receivers):
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    return (server.process.memory_info().rss - before) / IDLE / 1024


async def idle_node(server: Server) -> float:
    """KiB of resident memory for each idle connection."""
    before = server.process.memory_info().rss
    clients = [await connect_node(server.origin, number, None) for number in range(IDLE)]
    await asyncio.sleep(0.5)
    return (server.process.memory_info().rss - before) / len(clients) / 1024


def run(command: Callable[[int, Path], list[str]], load: Callable[[Server], Awaitable[float]]) -> float:
    """Run one load against a fresh server."""

    async def measured(server: Server) -> float:
        return await load(server)

    with served(command, "/healthz" if command is halonyx else "/") as server:
        return uvloop.run(measured(server))


def spread(values: list[float], unit: str) -> str:
    """Word a median with its lowest and highest; a ratio with two places, because its goal may be near."""
    places = 2 if unit == "x node" else 1
    shown = (statistics.median(values), min(values), max(values))
    median, lowest, highest = (f"{value:,.{places}f}" for value in shown)
    return f"{median} {unit} ({lowest} to {highest})"


def line(what: str, figures: str, goal: str, *, is_met: bool) -> None:
    """Print one row."""
    print(f"{what:44} {figures:58} goal {goal:22} {'met' if is_met else 'MISSED'}", flush=True)


def against_node() -> None:
    """Measure the two rows that compare with Node, in turns."""
    if shutil.which("npm") is None:
        print("Node.js is not installed (package nodejs, npm): the two rows against it are left out.")
        return
    subprocess.run(["npm", "ci", "--ignore-scripts", "--silent"], cwd=NODE, check=True)
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(run(halonyx, pairs_through_halonyx))
        theirs.append(run(node, pairs_through_node))
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    print(f"100 pairs, halonyx {spread(ours, '/s')}; node {spread(theirs, '/s')}")
    ratio = statistics.median(ratios)
    line("durable submit to delete, 100 pairs", f"{spread(ratios, 'x node')}", ">= 0.4 x node", is_met=ratio >= 0.4)
    memory = [(run(halonyx, idle_halonyx), run(node, idle_node)) for _ in range(3)]
    ratios = [a / b for a, b in memory]
    kib = [spread([pair[side] for pair in memory], "KiB") for side in (0, 1)]
    print(f"idle connection, halonyx {kib[0]}; node {kib[1]}")
    ratio = statistics.median(ratios)
    line("memory of an idle connection", spread(ratios, "x node"), "<= 2 x node", is_met=ratio <= 2)


def main() -> None:
    """Print every row."""
    cores = os.sched_getaffinity(0)
    print(
        f"{platform.machine()}, {len(cores)} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    )
    print(", ".join(f"{name} {version(name)}" for name in ("halonyx", "picows", "apsw", "uvicorn", "uvloop")))
    if len(cores) > 1:
        os.sched_setaffinity(0, {max(cores)})
    against_node()
    stored = [run(halonyx, store_for_offline) for _ in range(ROUNDS)]
    rate = statistics.median(stored)
    line("store for offline devices, 100 senders", spread(stored, "/s"), ">= 10,000 /s", is_met=rate >= 10_000)
    flushed = [run(halonyx, flush_backlog) for _ in range(ROUNDS)]
    took = statistics.median(flushed)
    line("deliver 1,000 waiting messages", spread(flushed, "ms"), "<= 50 ms", is_met=took <= 50)
    starts = []
    for _ in range(STARTS):
        with served(halonyx, "/healthz") as server:
            starts.append(server.started_s * 1000)
    line("start to first answer", spread(starts, "ms"), "<= 1,000 ms", is_met=statistics.median(starts) <= 1000)


if __name__ == "__main__":
    main()
