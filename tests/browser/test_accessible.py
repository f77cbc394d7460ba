"""Every screen, in both themes, narrow and wide: for people who read, hear, press keys, or want nothing to move."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, expect

from browser.people import HANGING_MS, Person
from browser.screens import LOOKS
from browser.tours import TOURS
from relay_process import RelayProcess

AXE: Final = (Path(__file__).parents[2] / "web/node_modules/axe-core/axe.min.js").read_text()
RUN_AXE: Final = """async () => {
  const { violations } = await axe.run(document, { resultTypes: ["violations"] })
  return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html.slice(0, 160)}`))
}"""
TOO_WIDE: Final = """() => {
  const root = document.documentElement
  const found = root.scrollWidth > root.clientWidth ? [`the page: ${root.scrollWidth} > ${root.clientWidth}`] : []
  for (const element of document.querySelectorAll("body *")) {
    const scrolls = ["auto", "scroll"].includes(getComputedStyle(element).overflowX)
    const isField = element.matches("input, textarea")
    if (scrolls && !isField && element.scrollWidth > element.clientWidth) found.push(`${element.className}`)
  }
  return found
}"""
INTERACTIVE: Final = frozenset(
    {"button", "link", "textbox", "searchbox", "checkbox", "switch", "radio", "dialog", "group", "combobox"}
)

Tour = Callable[[Browser, RelayProcess], Iterator[tuple[str, Page]]]


@pytest.fixture
def pair(old_friends: tuple[Person, Person]) -> tuple[Person, Person]:
    """The two, looking at their conversation on pages that have said nothing yet."""
    for someone, name in zip(old_friends, ("Bob", "Alice"), strict=True):
        someone.page.reload()
        someone.open(name)
    return old_friends


def axe(page: Page) -> list[str]:
    """Return what axe finds on the page as it is."""
    if not page.evaluate("'axe' in window"):  # half a megabyte: to send it takes longer than to run it
        page.evaluate(f"() => {{ {AXE} }}")
    found: list[str] = page.evaluate(RUN_AXE)
    return found


def unnamed(page: Page) -> list[str]:
    """Return what can be focused or is a dialog, and what a screen reader has no name for."""
    session = page.context.new_cdp_session(page)
    nodes: list[dict[str, Any]] = session.send("Accessibility.getFullAXTree")["nodes"]
    session.detach()
    found = []
    for node in nodes:
        role = node.get("role", {}).get("value")
        is_focusable = any(one["name"] == "focusable" for one in node.get("properties", []))
        if node["ignored"] or role not in INTERACTIVE or not (is_focusable or role == "dialog"):
            continue
        if not node.get("name", {}).get("value", "").strip():
            found.append(f"{role} without a name")
    return found


@pytest.mark.timeout(400)
@pytest.mark.parametrize("tour", TOURS, ids=[tour.__name__ for tour in TOURS])
def test_every_screen_is_accessible_and_fits(browser: Browser, relay: RelayProcess, tour: Tour) -> None:
    findings: dict[str, list[str]] = {}
    for name, page in tour(browser, relay):
        for look in sorted(LOOKS, key=lambda look: -look.width):  # to resize a window takes longest
            look.apply(page)
            found = [*axe(page), *page.evaluate(TOO_WIDE), *unnamed(page)]
            if found:
                findings[f"{name} {look}"] = found
        LOOKS[0].apply(page)

    assert findings == {}


def test_a_new_message_is_spoken_once(pair: tuple[Person, Person]) -> None:
    alice, bob = pair
    spoken = alice.page.locator("[aria-live=polite]")
    expect(spoken).to_have_text("")
    bob.write("Alice", "Do you hear me")
    expect(spoken).to_have_text("Bob: Do you hear me", timeout=HANGING_MS)

    alice.write("Bob", "Yes")
    alice.sees("Yes", "delivered")
    expect(spoken).to_have_text("Bob: Do you hear me")  # what we wrote ourselves is not


def test_a_message_can_be_written_and_found_by_keys_alone(pair: tuple[Person, Person]) -> None:
    alice, bob = pair
    keyboard = alice.page.keyboard
    alice.composer("Bob").focus()
    keyboard.type("by keys")
    keyboard.press("Shift+Enter")
    keyboard.type("in two lines")
    keyboard.press("Enter")
    expect(bob.page.locator("li.message .words").last).to_have_text("by keys\nin two lines", timeout=HANGING_MS)

    keyboard.press("Control+k")
    keyboard.type("two lines")
    found = alice.page.get_by_role("dialog").get_by_role("button", name="two lines")
    expect(found).to_be_visible()
    keyboard.press("ArrowDown")
    expect(found).to_be_focused()
    keyboard.press("Enter")
    expect(alice.page.get_by_role("dialog")).to_have_count(0)
    expect(alice.page.locator("li.message.marked")).to_have_count(1)


def test_the_palette_takes_letters_at_once_and_escape_closes_it_at_once(pair: tuple[Person, Person]) -> None:
    """The first letter comes before anything could be drawn: what is put off until then must not lose it."""
    alice, _ = pair
    alice.page.evaluate("""async () => {
      dispatchEvent(new KeyboardEvent("keydown", { key: "k", ctrlKey: true }))
      for (let left = 20; left > 0; left--) await null
      document.activeElement.value = "s"
      document.activeElement.dispatchEvent(new Event("input", { bubbles: true }))
      await new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)))
    }""")
    field = alice.page.get_by_role("searchbox", name="Find a person or a message")
    expect(field).to_be_focused()
    alice.page.keyboard.type("omebody")
    expect(field).to_have_value("somebody")
    alice.page.keyboard.press("Escape")
    expect(alice.page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.parametrize("wish", ["no-preference", "reduce"])
def test_nothing_moves_for_those_who_want_that(pair: tuple[Person, Person], wish: str) -> None:
    alice, bob = pair
    alice.page.emulate_media(reduced_motion="reduce" if wish == "reduce" else "no-preference")
    alice.page.evaluate("""() => {
      window.moved = []
      addEventListener("animationstart", ({ target }) => {
        for (const animation of target.getAnimations()) moved.push(animation.effect.getComputedTiming().duration)
      }, true)
    }""")
    bob.write("Alice", f"Look ({wish})")
    alice.sees(f"Look ({wish})")
    alice.page.get_by_role("button", name="Settings").click()
    expect(alice.page.get_by_role("dialog")).to_be_visible()
    alice.page.keyboard.press("Escape")
    expect(alice.page.get_by_role("dialog")).to_have_count(0)

    moved: list[float] = alice.page.evaluate("moved")
    assert all(duration <= 1 for duration in moved) if wish == "reduce" else any(moved)
