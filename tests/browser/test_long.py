"""A conversation of 10,000 messages costs what one screen of it costs."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect

from browser import filling
from browser.people import HANGING_MS, NARROW, WIDE, Person, introduce, person
from relay_process import RelayProcess

MANY: Final = 10_000
ROWS: Final = 150
NODES: Final = 3000
MINUTE: Final = 60_000
WORDS: Final = ("river", "Ärger", "stone", "harbour", "lantern", "süß", "window", "orchard", "Zürich", "snow")


def text(number: int) -> str:
    """Return the message of this number; no two are alike, some are long."""
    words = " ".join(WORDS[(number * step) % len(WORDS)] for step in range(1, 2 + number % 23))
    return f"{words} no{number:05}z"


@dataclass
class Long:
    """Alice with a long conversation, and Bob who can go on with it."""

    alice: Person
    bob: Person

    @property
    def page(self) -> Page:
        return self.alice.page

    def rows(self) -> int:
        return self.page.locator("ol > li").count()

    def nodes(self) -> int:
        return int(self.page.evaluate("document.querySelectorAll('*').length"))

    def scroll_to(self, where: str) -> None:
        self.page.get_by_role("group", name="Messages").evaluate(f"element => {{ element.scrollTop = {where} }}")


@pytest.fixture(scope="module")
def long(browser: Browser, relay: RelayProcess) -> Iterator[Long]:
    with person(browser, relay.origin) as alice, person(browser, relay.origin) as bob:
        alice.create()
        bob.create()
        introduce(alice, bob)
        alice.write("Bob", "the very first")
        alice.sees("the very first", "delivered")
        now = int(1000 * time.time())
        past = [
            {"text": text(number), "time": now - (MANY - number) * 7 * MINUTE, "state": state}
            for number in range(MANY)
            for state in (("delivered", "received")[number % 3 % 2],)
        ]
        filling.write(alice.page, "Bob", past)
        filling.change(alice.page, "Bob", unread=0)
        yield Long(alice, bob)


@pytest.fixture
def opened(long: Long) -> Long:
    """Open the conversation anew, at its end."""
    long.page.reload()
    long.alice.open("Bob")
    expect(long.page.locator("li.message").last).to_be_in_viewport()
    return long


@pytest.mark.timeout(300)
def test_opening_draws_one_screen(opened: Long) -> None:
    assert opened.rows() < ROWS
    assert opened.nodes() < NODES


@pytest.mark.timeout(300)
def test_scrolling_through_everything_keeps_the_page_small(opened: Long) -> None:
    most_rows = most_nodes = 0
    start = opened.page.get_by_text("the very first", exact=True)
    while start.count() == 0:
        first = opened.page.locator("li.message").first.inner_text()
        opened.scroll_to("0")
        expect(opened.page.locator("li.message").first).not_to_have_text(first, use_inner_text=True)
        most_rows, most_nodes = max(most_rows, opened.rows()), max(most_nodes, opened.nodes())
    assert most_rows < ROWS
    assert most_nodes < NODES

    opened.page.get_by_role("button", name="Jump to newest").click()
    expect(opened.alice.row(text(MANY - 1))).to_be_in_viewport(timeout=HANGING_MS)
    expect(opened.page.get_by_role("button", name="Jump to newest")).to_have_count(0)
    assert opened.rows() < ROWS
    assert opened.nodes() < NODES


@pytest.mark.timeout(300)
def test_one_more_message_draws_one_row(opened: Long) -> None:
    opened.page.evaluate("""() => {
      window.drawn = { added: [], changed: new Set() }
      const list = document.querySelector("li.message").parentElement
      new MutationObserver((records) => {
        for (const { target, addedNodes, type } of records) {
          for (const node of addedNodes) if (node.parentElement === list) drawn.added.push(node.innerText)
          const row = (target.nodeType === 1 ? target : target.parentElement).closest("li.message")
          if (row !== null) drawn.changed.add(row.innerText)
        }
      }).observe(list, { childList: true, subtree: true, characterData: true })
    }""")
    opened.bob.write("Alice", "one more")
    opened.alice.sees("one more")

    drawn = opened.page.evaluate("({ added: drawn.added, changed: [...drawn.changed] })")
    messages = [row for row in drawn["added"] if "no" in row or "one more" in row]
    assert len(messages) == 1
    assert drawn["changed"] == []


@pytest.mark.timeout(300)
def test_the_newest_message_stays_in_view_while_the_page_changes_its_size(opened: Long) -> None:
    newest = opened.page.locator("li.message").last
    composer = opened.alice.composer("Bob")
    for _ in range(3):
        composer.fill("ä" * 8193)
        opened.page.set_viewport_size(NARROW)
        expect(newest).to_be_in_viewport()
        opened.page.set_viewport_size(WIDE)
        expect(newest).to_be_in_viewport()
        composer.fill("")
    expect(newest).to_be_in_viewport()
    expect(opened.page.get_by_role("button", name="Jump to newest")).to_have_count(0)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [0, 4_321, MANY - 1])
def test_any_part_of_any_message_is_found_and_shown(opened: Long, number: int) -> None:
    wanted = f"o{number:05}Z"  # from the middle of a word, in another case
    opened.page.get_by_role("searchbox", name="Search people and messages").fill(wanted)
    found = opened.page.get_by_role("navigation").get_by_role("button", name=f"no{number:05}z")
    expect(found).to_have_count(1, timeout=HANGING_MS)
    found.click()
    expect(opened.alice.row(text(number))).to_be_in_viewport(timeout=HANGING_MS)
    expect(opened.alice.row(text(number))).to_contain_class("marked")
    assert opened.rows() < ROWS
    assert opened.nodes() < NODES


@pytest.mark.timeout(300)
def test_letters_with_marks_are_found_in_any_case(opened: Long) -> None:
    opened.page.get_by_role("searchbox", name="Search people and messages").fill("ZÜRICH")
    results = opened.page.get_by_role("navigation").get_by_role("region", name="Messages")
    expect(results.get_by_role("button").first).to_contain_text("Zürich", timeout=HANGING_MS)
