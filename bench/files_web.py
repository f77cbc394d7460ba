"""Files from browser to browser against the same bytes over a bare data channel, direct and through a TURN server.

Run: `PYTHONPATH=tests python -P bench/files_web.py` after `make web`. Two Chromium processes, a real relay and coturn
by the sample configuration, loopback only. Every contestant takes a turn in every round; a ratio is the median of the
rounds' ratios. Ours counts from accepting until the file is whole and verified; encrypting, which comes before, is told
apart.
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import psutil
from playwright.sync_api import sync_playwright

from browser.browsers import launch
from browser.people import introduce
from browser.transfers import LOOPBACK, MEBIBYTE, Sent, Sharer, sharer, turn, turn_settings
from relay_process import running_relay

ROUNDS: Final = 3
GOAL: Final = 0.55

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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, default=50, metavar="MIB", help="of the file (50)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"turns of each ({ROUNDS})")
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores, {platform.platform()}, load {psutil.getloadavg()[0]:.1f}")
    with two() as (alice, bob):
        print(f"Chromium {alice.person.context.browser.version if alice.person.context.browser else ''}")
        compare(alice, bob, arguments.size * MEBIBYTE, arguments.rounds)


if __name__ == "__main__":
    main()
