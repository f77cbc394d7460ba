"""The browser client in Chromium against the goals of the design.

Run: `PYTHONPATH=tests python bench/web.py` after `make web`. Real pages, a real relay, loopback only. Times are marks
that the pages set themselves; both tabs belong to one browser, so they have one clock. Published in docs/benchmarks.md.
"""

import contextlib
import gzip
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, CDPSession, Page, expect, sync_playwright

from browser import filling
from browser.browsers import launch
from browser.people import HANGING_MS, Person, introduce, person
from halonyx.core.card import Card
from halonyx.core.types import Usid
from halonyx.web.build import load
from relay_process import RelayProcess, running_relay

SENT: Final = 200
WARMING: Final = 20
LONG: Final = 10_000
MIDDLE: Final = 1_000
MORE: Final = 50
OPENINGS: Final = 15
STARTS: Final = 10
BURST: Final = 100
MINUTE: Final = 60_000
LONG_TASK: Final = 50  # ms: what browsers call a long task
VISIBLE: Final = ("--disable-backgrounding-occluded-windows", "--disable-renderer-backgrounding")
"""Two windows side by side, as two people have them on two machines."""

NOW: Final = "performance.timeOrigin + performance.now()"
WATCH: Final = f"""() => {{
  window.shown = {{}}
  window.painted = {{}}
  new MutationObserver((records) => {{
    const now = {NOW}
    for (const {{ addedNodes }} of records) for (const node of addedNodes) {{
      const words = node.nodeType === 1 ? node.querySelector(".words")?.textContent : undefined
      if (words === undefined || words in shown) continue
      shown[words] = now
      requestAnimationFrame(() => {{ painted[words] = {NOW} }})
    }}
  }}).observe(document.querySelector(".messages ol"), {{ childList: true, subtree: true }})
}}"""
SEND: Final = f"""async (words) => {{
  const field = document.querySelector("textarea.composer-field")
  field.value = words
  field.dispatchEvent(new Event("input", {{ bubbles: true }}))
  await new Promise((drawn) => setTimeout(drawn))
  const now = {NOW}
  field.dispatchEvent(new KeyboardEvent("keydown", {{ key: "Enter", bubbles: true, cancelable: true }}))
  return now
}}"""
SHOWN: Final = """async (words) => {
  while (!(words in painted)) await new Promise((again) => setTimeout(again, 5))
  return [shown[words], painted[words]]
}"""
DELIVERED: Final = """async (words) => {
  const isDelivered = (row) =>
    row.querySelector(".words").textContent === words && row.querySelector(".state.delivered") !== null
  while (![...document.querySelectorAll("li.message")].some(isDelivered)) {
    await new Promise((again) => setTimeout(again, 5))
  }
}"""
USABLE: Final = """async () => {
  while (window.usable === undefined) await new Promise((again) => setTimeout(again, 5))
  return usable
}"""
OPEN: Final = """(name) => new Promise((resolve) => {
  const row = [...document.querySelectorAll("nav .row")].find((one) => one.innerText.startsWith(name))
  const head = () => document.querySelector(".thread-head h1")?.innerText === name
  const observer = new MutationObserver(() => {
    if (!head() || document.querySelector("li.message") === null) return
    observer.disconnect()
    requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - began)))
  })
  observer.observe(document.querySelector("main"), { childList: true, subtree: true })
  const began = performance.now()
  row.click()
})"""
STARTED: Final = """(() => {
  const selector = "textarea.composer-field"
  const observer = new MutationObserver(() => {
    if (document.querySelector(selector) === null || document.querySelector("li.message") === null) return
    observer.disconnect()
    requestAnimationFrame(() => setTimeout(() => { window.usable = performance.now() }))
  })
  observer.observe(document, { childList: true, subtree: true })
})()"""
LATE: Final = ("qr_worker", "webtorrent")
"""Scripts that are loaded when they are needed."""
TRACED: Final = ["disabled-by-default-devtools.timeline", "toplevel"]


def line(what: str, figures: str, goal: str, *, is_met: bool | None) -> None:
    """Print one row."""
    verdict = "" if is_met is None else f"goal {goal:14} {'met' if is_met else 'MISSED'}"
    print(f"{what:50} {figures:58} {verdict}", flush=True)


def spread(values: list[float], unit: str = "ms") -> str:
    """Word a median with its lowest and highest."""
    return f"{statistics.median(values):.1f} {unit} ({min(values):.1f} to {max(values):.1f}), n {len(values)}"


def percentile(values: list[float], share: float) -> float:
    """Return the value that `share` of all don't exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


@contextlib.contextmanager
def two_people(browser: Browser, relay: RelayProcess) -> Iterator[tuple[Person, Person]]:
    """Two who look at their conversation, after its first messages."""
    with person(browser, relay.origin) as alice, person(browser, relay.origin) as bob:
        alice.create()
        bob.create()
        introduce(alice, bob)
        alice.write("Bob", "first")
        bob.sees("first")
        bob.write("Alice", "second")
        alice.sees("second")
        alice.sees("first", "delivered")
        yield alice, bob


def given_past(owner: Person, name: str, count: int) -> None:
    """Give a conversation so many messages, and open it."""
    now = int(1000 * time.time())
    past = [
        {
            "text": f"message {number} of a long conversation",
            "time": now - (count - number) * MINUTE,
            "state": "received" if number % 2 else "delivered",
        }
        for number in range(count)
    ]
    filling.write(owner.page, name, past)
    filling.change(owner.page, name, unread=0)
    owner.page.reload()
    owner.open(name)
    expect(owner.page.locator("li.message").last).to_be_in_viewport()


def send_to_shown(alice: Person, bob: Person) -> None:
    """Measure from Enter in one page to the row in the other, one message at a time."""
    bob.page.bring_to_front()  # a page in the background paints nothing
    bob.page.evaluate(WATCH)
    in_page, painted = [], []
    for number in range(WARMING + SENT):
        words = f"timed {number}"
        began = alice.page.evaluate(SEND, words)
        shown = bob.page.evaluate(SHOWN, words)
        alice.page.evaluate(DELIVERED, words)  # the next one is written when this one is done
        if number >= WARMING:
            in_page.append(shown[0] - began)
            painted.append(shown[1] - began)
    line("Enter to row in the other page, p50", spread(in_page), "<= 25 ms", is_met=percentile(in_page, 0.5) <= 25)
    p99 = percentile(in_page, 0.99)
    line("Enter to row in the other page, p99", f"{p99:.1f} ms", "<= 100 ms", is_met=p99 <= 100)
    line("the same, until the frame that paints it", spread(painted), "", is_met=None)


def cost_of_one_more(alice: Person, bob: Person) -> None:
    """Measure processor time of the page's own thread for one more message in a conversation of 1,000."""
    given_past(bob, "Alice", MIDDLE)
    session = bob.page.context.new_cdp_session(bob.page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    bob.page.evaluate(WATCH)
    script, everything = [], []
    for number in range(MORE):
        words = f"one more {number}"
        before = metrics(session)
        alice.page.evaluate(SEND, words)
        bob.page.evaluate(SHOWN, words)
        after = metrics(session)
        script.append(1000 * (after["ScriptDuration"] - before["ScriptDuration"]))
        drawing = sum(after[name] - before[name] for name in ("LayoutDuration", "RecalcStyleDuration"))
        everything.append(script[-1] + 1000 * drawing)
    line(f"one more message in {MIDDLE:,}: script", spread(script), "<= 16 ms", is_met=statistics.median(script) <= 16)
    line(f"one more message in {MIDDLE:,}: script, style, layout", spread(everything), "", is_met=None)


def metrics(session: CDPSession) -> dict[str, float]:
    """Return the page's counters, in seconds of processor time of its main thread."""
    return {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}


def long_conversation(alice: Person, bob: Person) -> None:
    """Open, start and search with 10,000 messages; watch the page for long tasks meanwhile."""
    given_past(alice, "Bob", LONG)
    page = alice.page
    alice.add(Card(page.evaluate("location.origin"), Usid(os.urandom(32)), 1).uri(), "Clara")
    alice.write("Clara", "so that there is another conversation")
    alice.sees("so that there is another conversation")
    opened: list[float] = []
    for _ in range(OPENINGS):
        opened.append(page.evaluate(OPEN, "Bob"))
        page.evaluate(OPEN, "Clara")
    line(f"open a conversation of {LONG:,}", spread(opened), "", is_met=None)
    alice.open("Bob")
    page.context.add_init_script(STARTED)
    started: list[float] = []
    for _ in range(STARTS):
        page.reload()
        started.append(page.evaluate(USABLE))
    line(f"start-up to usable, {LONG:,} messages", spread(started), "", is_met=None)
    searched = [search(page, words) for words in ("age 4321", "age 77", "conversation", "nowhere")]
    print(f"    first search of all, then three more: {', '.join(f'{one:.0f} ms' for one in searched)}")
    blocked(alice, bob)


def search(page: Page, words: str) -> float:
    """Search, and return how long it took from the last letter to results."""
    field = page.get_by_role("searchbox", name="Search people and messages")
    began = page.evaluate("performance.now()")
    field.fill(words)
    results = page.locator("nav .results")
    results.locator(".row, .nothing").first.wait_for(timeout=HANGING_MS)
    took = float(page.evaluate("performance.now()") - began)
    field.fill("")
    results.wait_for(state="detached")
    return took


def blocked(alice: Person, bob: Person) -> None:
    """Look for the longest tasks of the pages while their Workers are busy with a burst, and with a search."""
    browser = alice.page.context.browser
    if browser is None:
        raise RuntimeError("a context without a browser")
    alice.page.reload()  # the Worker forgets what it searched
    alice.open("Bob")
    browser.start_tracing(page=alice.page, categories=TRACED)
    for number in range(BURST):
        bob.page.evaluate(SEND, f"burst {number}")
    alice.sees(f"burst {BURST - 1}")
    bob.sees(f"burst {BURST - 1}", "delivered")
    search(alice.page, "conversation")
    report_tasks(browser.stop_tracing(), f"longest task: a burst of {BURST}, a search")


def report_tasks(trace: bytes, what: str) -> None:
    """Print the longest task of any page: of its own processor time, and by the clock, which others slow down, too."""
    events: list[dict[str, Any]] = json.loads(trace)["traceEvents"]
    mains = {
        (event["pid"], event["tid"])
        for event in events
        if event.get("name") == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    tasks = [event for event in events if event["name"] == "RunTask" and (event["pid"], event["tid"]) in mains]
    own = max(event.get("tdur", 0) for event in tasks) / 1000
    clock = max(event["dur"] for event in tasks) / 1000
    over = sum(event["dur"] > 1000 * LONG_TASK for event in tasks)
    figures = f"{own:.1f} ms of processor; by the clock {clock:.0f} ms, {over} of {len(tasks):,} over {LONG_TASK}"
    line(what, figures, f"<= {LONG_TASK} ms", is_met=own <= LONG_TASK)


def first_visit(browser: Browser, relay: RelayProcess) -> None:
    """Measure from the address to a page that can be used, without anything cached."""
    times = []
    for _ in range(STARTS):
        with person(browser, "about:blank") as newcomer:
            page = newcomer.page
            page.goto(relay.origin)
            expect(page.get_by_role("button", name="Create my identity")).to_be_enabled()
            times.append(float(page.evaluate("performance.now()")))
    line("first visit to usable", spread(times), "", is_met=None)
    with person(browser, relay.origin) as newcomer:
        browser.start_tracing(page=newcomer.page, categories=TRACED)
        newcomer.create()
        report_tasks(browser.stop_tracing(), "longest task: a sign-up")


def size() -> None:
    """Print what a first visit loads."""
    build = load()
    if build is None:
        raise SystemExit("The browser client is not built: make web")
    sizes: dict[str, int] = {}
    for path, file in build.files.items():
        kind = next((late for late in LATE if late in path), path.rpartition(".")[2])
        packed = gzip.compress(file.content, mtime=0) if kind not in {"png", "woff2"} else file.content
        sizes[kind] = sizes.get(kind, 0) + len(packed)
    kib = {kind: f"{count / 1024:.1f} KiB" for kind, count in sizes.items()}
    line("JavaScript, gzip, loaded at the start", kib["js"], "< 150 KiB", is_met=sizes["js"] < 150 * 1024)
    line("when needed: QR codes; torrents", "; ".join(kib[late] for late in LATE), "", is_met=None)
    line("styles; fonts", f"{kib['css']}; {kib['woff2']}", "", is_met=None)


def main() -> None:
    """Print every row."""
    cores = len(os.sched_getaffinity(0))
    size()
    steps: tuple[Callable[[Person, Person], None], ...] = (send_to_shown, cost_of_one_more, long_conversation)
    with tempfile.TemporaryDirectory() as folder, running_relay(Path(folder)) as relay, sync_playwright() as started:
        browser = launch(started, *VISIBLE)
        python, load_now = platform.python_version(), os.getloadavg()[0]
        print(f"{platform.machine()}, {cores} cores, Chromium {browser.version}, Python {python}, load {load_now:.1f}")
        print(f"halonyx {version('halonyx')}, playwright {version('playwright')}")
        first_visit(browser, relay)
        with two_people(browser, relay) as (alice, bob):
            for step in steps:
                step(alice, bob)
        browser.close()


if __name__ == "__main__":
    main()
