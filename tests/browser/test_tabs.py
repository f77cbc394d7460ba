"""Several tabs of one profile: they write at once, die in the middle, and take over from each other."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Error, Page, ViewportSize, expect

from browser.peer import Peer, acquaint, peer
from browser.people import HANGING_MS, Person, person
from relay_process import RelayProcess

TABS: Final = 3
EACH: Final = 100
ROUNDS: Final = 6
A_ROUND: Final = 20
TALL: Final[ViewportSize] = {"width": 900, "height": 16_000}  # shows every message of a test at once

WRITE_ALL: Final = """texts => {
  const field = document.querySelector("textarea.composer-field")
  const { set } = Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value")
  const drawn = () => new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel()  // a hidden tab's timers are slow
    port1.onmessage = () => { port1.close(); resolve() }
    port2.postMessage(null)
  })
  const write = async () => {
    for (const text of texts) {
      set.call(field, text)
      field.dispatchEvent(new Event("input", { bubbles: true }))
      await drawn()
      field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true }))
      await drawn()
    }
  }
  void write()
}"""
"""Types and sends each text as fast as the page takes it, without waiting for the others."""

LEFT: Final = """async () => {
  const settled = (request) => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
  const database = await settled(indexedDB.open("halonyx"))
  const count = async (name) => settled(database.transaction(name).objectStore(name).count())
  const found = { outbox: await count("outbox"), deliveries: await count("deliveries") }
  database.close()
  return found
}"""


@pytest.fixture
def bob(relay: RelayProcess, tmp_path: Path) -> Iterator[Peer]:
    with peer(tmp_path / "bob", relay.origin) as opened:
        yield opened


@pytest.fixture
def alice(browser: Browser, relay: RelayProcess, bob: Peer) -> Iterator[Person]:
    """Alice in her first tab, with Bob's conversation open."""
    with person(browser, relay.origin) as newcomer:
        newcomer.create()
        acquaint(newcomer, "Alice", bob, "Bob")
        newcomer.write("Bob", "hello")
        newcomer.sees("hello", "delivered")
        yield newcomer


def another_tab(first: Person) -> Person:
    """Open one more tab at the same conversation."""
    tab = Person(first.context, first.context.new_page(), first.wrong)
    tab.page.goto(first.page.url)
    tab.open("Bob")
    return tab


def shown(tab: Person, count: int) -> list[str]:
    """Return every message of the open conversation once there are `count`, from top to bottom."""
    tab.page.bring_to_front()  # a page in the background is not drawn
    tab.page.set_viewport_size(TALL)
    expect(tab.page.locator("li.message")).to_have_count(count, timeout=HANGING_MS)
    return tab.texts()


def nothing_is_left(page: Page) -> None:
    """Wait until everything was confirmed and nothing waits to be sent."""
    delivered = page.locator("li.message .state").filter(has_text="Delivered")
    expect(delivered).to_have_count(page.locator("li.message.ours").count(), timeout=HANGING_MS)
    assert page.evaluate(LEFT) == {"outbox": 0, "deliveries": 0}


def crash(page: Page) -> None:
    """Kill the page's process where it stands."""
    with pytest.raises(Error, match="crash"):
        page.goto("chrome://crash")


ENDS: Final = pytest.mark.parametrize("kill", [Page.close, crash], ids=["closed", "crashed"])


def test_three_tabs_writing_at_once_lose_and_repeat_nothing(alice: Person, bob: Peer) -> None:
    """Across tabs the order is that of storing; within a tab it is that of writing. All tabs and Bob see the same."""
    tabs = [alice, *(another_tab(alice) for _ in range(TABS - 1))]
    written = [[f"tab {tab} line {line}" for line in range(EACH)] for tab in range(TABS)]
    for tab, texts in zip(tabs, written, strict=True):
        tab.page.evaluate(WRITE_ALL, texts)

    received = bob.until(1 + TABS * EACH)[1:]
    assert len(received) == len(set(received)) == TABS * EACH
    for number, texts in enumerate(written):
        assert [text for text in received if text.startswith(f"tab {number} ")] == texts
    for tab in tabs:
        assert shown(tab, 1 + TABS * EACH)[1:] == received
        nothing_is_left(tab.page)


@ENDS
def test_a_tab_that_dies_while_it_sends_loses_and_repeats_nothing(
    alice: Person, bob: Peer, kill: Callable[[Page], None]
) -> None:
    """What a tab had shown was stored, and so it arrives, once, by whichever tab is left."""
    texts = ["hello"]
    for number in range(ROUNDS):
        tab = another_tab(alice)
        tab.page.evaluate(WRITE_ALL, [f"round {number} line {line}" for line in range(A_ROUND)])
        tab.row(f"round {number} line {number}").wait_for()
        seen = tab.texts()
        kill(tab.page)
        alice.write("Bob", f"end of round {number}")
        received = bob.until(len(texts) + 1)
        while received[-1] != f"end of round {number}":
            received = bob.until(len(received) + 1)
        texts = received
        assert set(seen) <= set(received)

    assert len(texts) == len(set(texts))
    for number in range(ROUNDS):
        mine = [text for text in texts if text.startswith(f"round {number} ")]
        assert mine == [f"round {number} line {line}" for line in range(len(mine))]
    assert shown(alice, len(texts)) == texts
    nothing_is_left(alice.page)


@ENDS
def test_another_tab_receives_when_the_one_that_did_is_gone(
    alice: Person, bob: Peer, kill: Callable[[Page], None]
) -> None:
    left = another_tab(alice)
    bob.write("Alice", ["for both"])
    alice.sees("for both")
    left.sees("for both")

    kill(alice.page)
    bob.write("Alice", ["for the other"])
    left.sees("for the other")
    left.write("Bob", "still here")
    left.sees("still here", "delivered")


def test_a_conversation_opened_while_messages_come_shows_them_all(alice: Person, bob: Peer) -> None:
    """Loading what is stored takes a moment, and what comes in this moment belongs to it."""
    for number in range(4):
        alice.page.reload()
        coming = bob.begin_to_write("Alice", [f"burst {number} line {line}" for line in range(25)])
        alice.open("Bob")
        coming.result()
        texts = [f"burst {earlier} line {line}" for earlier in range(number + 1) for line in range(25)]
        assert shown(alice, 1 + len(texts))[1:] == texts
