"""Files from browser to browser against the same bytes over a bare data channel, direct and through a TURN server.

Run: `PYTHONPATH=tests python -P bench/files_web.py` after `make web`. Two Chromium processes, a real relay and coturn
by the sample configuration, loopback only. Every contestant takes a turn in every round; a ratio is the median of the
rounds' ratios. Ours counts from accepting until the file is whole and verified; encrypting, which comes before, is told
apart.

`--memory 1000` measures, instead, the memory of a file of so many MB from a browser, with its profile on disk, to a
terminal: the most RssAnon of any of Chromium's renderer processes and of the terminal's, from choosing the file until
it is saved. It needs four times the size on the disk, and some minutes.
"""

import argparse
import asyncio
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import psutil
from playwright.sync_api import sync_playwright

from browser.browsers import LOOPBACK, launch
from browser.people import introduce
from browser.test_files_ui import agree, choose
from browser.transfers import MEBIBYTE, Sent, Sharer, sharer, sharer_on_disk, turn, turn_settings
from halonyx.client import Client, create_account
from relay_process import running_relay

MB: Final = 1_000_000
ROUNDS: Final = 3
GOAL: Final = 0.55
MEMORY_GOAL_MB: Final = 300
LOOK_SECONDS: Final = 0.1
HANGING_SECONDS: Final = 3600
PASSPHRASE: Final = "bench"  # noqa: S105 (bench/files.py opens the terminal's account with it)
TERMINAL: Final = Path(__file__).with_name("files.py")  # which is a terminal that accepts, as `--role take`

OPEN: Final = """async ([caller, ice, policy]) => {
  const connection = new RTCPeerConnection({ iceServers: ice, iceTransportPolicy: policy })
  globalThis.bench = { connection, got: 0 }
  const wire = (channel) => {
    channel.binaryType = "arraybuffer"
    bench.channel = channel
    channel.onmessage = ({ data }) => {
      if (typeof data === "string") channel.send("all")
      else bench.got += data.byteLength
    }
  }
  if (caller) wire(connection.createDataChannel("bench"))
  else connection.ondatachannel = ({ channel }) => wire(channel)
}"""
GATHERED: Final = """
  const gathered = () => new Promise((resolve) => {
    const look = () => bench.connection.iceGatheringState === "complete" && resolve()
    bench.connection.addEventListener("icegatheringstatechange", look)
    look()
  })
"""
CALL: Final = f"""async () => {{
  {GATHERED}
  await bench.connection.setLocalDescription()
  await gathered()
  return bench.connection.localDescription.sdp
}}"""
ANSWER: Final = f"""async (sdp) => {{
  {GATHERED}
  await bench.connection.setRemoteDescription({{ type: "offer", sdp }})
  await bench.connection.setLocalDescription()
  await gathered()
  return bench.connection.localDescription.sdp
}}"""
SEND: Final = """async ([sdp, size]) => {
  await bench.connection.setRemoteDescription({ type: "answer", sdp })
  const { channel } = bench
  if (channel.readyState !== "open") await new Promise((resolve) => { channel.onopen = resolve })
  const message = crypto.getRandomValues(new Uint8Array(65536))
  channel.bufferedAmountLowThreshold = 1 << 20
  const began = performance.now()
  for (let sent = 0; sent < size; sent += message.length) {
    if (channel.bufferedAmount > 4 << 20) await new Promise((resolve) => { channel.onbufferedamountlow = resolve })
    channel.send(message)
  }
  const all = new Promise((resolve) => { channel.onmessage = resolve })
  channel.send("end")
  await all
  bench.connection.close()
  return performance.now() - began
}"""
TAKE: Final = """async (offer) => {
  const began = performance.now()
  await call("acceptFile", offer)
  while (shown.get(offer)?.state !== "done") {
    if (shown.get(offer)?.state === "failed") throw new Error(shown.get(offer).reason)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  return performance.now() - began
}"""
UNTIL_OFFERED: Final = """async (offer) => {
  const began = performance.now()
  while (shown.get(offer)?.state !== "offered") await new Promise((resolve) => setTimeout(resolve, 5))
  return performance.now() - began
}"""
ICE: Final = """async () => {
  const read = () => globalThis.configurations.map((one) => JSON.parse(one).iceServers)
  return read().find((servers) => servers.length > 0) ?? []
}"""


def bare(alice: Sharer, bob: Sharer, size: int, ice: object, policy: str) -> float:
    """Send bytes over a data channel; return the seconds."""
    alice.page.evaluate(OPEN, [True, ice, policy])
    bob.page.evaluate(OPEN, [False, ice, policy])
    answer = bob.page.evaluate(ANSWER, alice.page.evaluate(CALL))
    return float(alice.page.evaluate(SEND, [answer, size])) / 1000


def ours(alice: Sharer, bob: Sharer, size: int) -> tuple[float, float]:
    """Offer and take a file; return the seconds of encrypting it and of all the rest."""
    offer = alice.offer("Bob", Sent("bench", size))
    encrypting = float(alice.page.evaluate(UNTIL_OFFERED, offer)) / 1000
    bob.until_state("Alice", offer, "offered")
    seconds = float(bob.page.evaluate(TAKE, offer)) / 1000
    bob.call("cancelFile", offer)
    return encrypting, seconds


@contextmanager
def two() -> Iterator[tuple[Sharer, Sharer]]:
    """Two people, each in a Chromium of their own, at a relay with TURN."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = stack.enter_context(turn(folder))
        relay = stack.enter_context(running_relay(folder / "relay", **turn_settings(port)))
        playwright = stack.enter_context(sync_playwright())
        people = []
        for _ in range(2):
            browser = launch(playwright, LOOPBACK)
            stack.callback(browser.close)
            people.append(stack.enter_context(sharer(browser, relay.origin)))
        alice, bob = people
        introduce(alice.person, bob.person)
        yield alice, bob


def compare(alice: Sharer, bob: Sharer, size: int, rounds: int) -> None:
    """Measure one way after the other, relayed first: nobody has agreed to anything yet."""
    ours(alice, bob, MEBIBYTE)  # the library is loaded, and credentials are asked for
    ice = alice.page.evaluate(ICE)
    contest("relayed", size, rounds, lambda: ours(alice, bob, size), lambda: bare(alice, bob, size, ice, "relay"))
    alice.allow_direct("Bob")
    bob.allow_direct("Alice")
    contest("direct", size, rounds, lambda: ours(alice, bob, size), lambda: bare(alice, bob, size, [], "all"))


def contest(
    name: str, size: int, rounds: int, ours_: Callable[[], tuple[float, float]], bare_: Callable[[], float]
) -> None:
    times = []
    for number in range(rounds):
        times.append((bare_(), *ours_()))
        print(f"  round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    plain, encrypting, seconds = (statistics.median(column) for column in zip(*times, strict=True))
    ratio = statistics.median(one[0] / one[2] for one in times)
    print(f"\n{size // MEBIBYTE} MiB from browser to browser, {name} (n = {rounds} rounds, medians)")
    print(f"  bare data channel {size / 1e6 / plain:8.1f} MB/s")
    print(f"  halonyx           {size / 1e6 / seconds:8.1f} MB/s, after {encrypting:.1f} s of encrypting")
    print(f"  {ratio:.2f} x the bare channel (at least {GOAL}): {'met' if ratio >= GOAL else 'MISSED'}")


def memory(size_mb: int) -> None:
    """Send a file from a browser to a terminal, looking at the memory of both."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        relay = stack.enter_context(running_relay(folder / "relay"))
        playwright = stack.enter_context(sync_playwright())
        alice = stack.enter_context(sharer_on_disk(playwright, folder / "profile", relay.origin)).person
        saved, home, content = folder / "saved", folder / "bob", some_content(folder, size_mb)
        saved.mkdir()
        making = stack.enter_context(ThreadPoolExecutor(1))  # this thread's loop is Playwright's
        alice.add(making.submit(asyncio.run, terminal(home, relay.origin, alice.card())).result(), "Bob")
        began = time.perf_counter()
        sheet = choose(alice, "Bob", content)
        agree(sheet)
        alice.press("Send", sheet)
        peaks = {"browser": 0, "terminal": 0}
        command = [sys.executable, str(TERMINAL), "--role", "take", str(home), str(saved)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as taking:
            stack.callback(taking.kill)
            while taking.poll() is None and time.perf_counter() - began < HANGING_SECONDS:
                peaks["browser"] = max(peaks["browser"], *map(anonymous, renderers()))
                peaks["terminal"] = max(peaks["terminal"], anonymous(taking.pid))
                alice.page.wait_for_timeout(1000 * LOOK_SECONDS)
            seconds = float(taking.communicate()[0])
    print(f"\nmemory of {size_mb} MB from browser to terminal (most RssAnon, looked at ten times a second)")
    for name, most in peaks.items():
        is_met = "met" if most < MEMORY_GOAL_MB * MB else "MISSED"
        print(f"  {name:32} {most / MB:8.0f} MB (under {MEMORY_GOAL_MB}): {is_met}")
    print(f"  {size_mb / seconds:.1f} MB/s, after {time.perf_counter() - began - seconds:.0f} s of encrypting")


async def terminal(home: Path, origin: str, card_: str) -> str:
    """Make an account that knows a contact and may show it its address; return its card."""
    await create_account(home, origin, PASSPHRASE)
    async with Client.open(home, PASSPHRASE) as me:
        await me.contacts.add(card_, "other")
        me.contacts.allow_direct("other")
        return me.card().link()


def renderers() -> Iterator[int]:
    """Yield the renderer processes of the browsers that this process started."""
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has just ended
            if "--type=renderer" in process.cmdline():
                yield process.pid


def anonymous(pid: int) -> int:
    """Return the bytes of a process's RssAnon; 0 if it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = next((line for line in status.splitlines() if line.startswith("RssAnon:")), "RssAnon: 0 kB")
    return int(found.split()[1]) * 1024


def some_content(folder: Path, size_mb: int) -> Path:
    """Write a file that nothing compresses."""
    path, block = folder / "content.bin", os.urandom(MB)
    with path.open("wb") as file:
        for number in range(size_mb):
            file.write(number.to_bytes(8, "big") + block[8:])
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, default=50, metavar="MIB", help="of the file (50)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"turns of each ({ROUNDS})")
    parser.add_argument("--memory", type=int, default=0, metavar="MB", help="measure the memory of such a file instead")
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores, {platform.platform()}, load {psutil.getloadavg()[0]:.1f}")
    if arguments.memory:
        memory(arguments.memory)
        return
    with two() as (alice, bob):
        print(f"Chromium {alice.person.context.browser.version if alice.person.context.browser else ''}")
        compare(alice, bob, arguments.size * MEBIBYTE, arguments.rounds)


if __name__ == "__main__":
    main()
