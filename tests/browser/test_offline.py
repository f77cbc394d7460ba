"""Without a connection: what was written waits and goes out, what there is can be read, and the page says so."""

from collections.abc import Iterator
from typing import Final

import pytest
from playwright.sync_api import Browser, expect

from browser.people import Person, person
from relay_process import RelayProcess

OFFLINE: Final = "You are offline. Write on; it goes out later."


@pytest.fixture(autouse=True)
def running(relay: RelayProcess) -> Iterator[None]:
    """Leave the relay running, whatever happened."""
    yield
    if not relay.is_running:
        relay.start()


@pytest.fixture(scope="module")
def pair(old_friends: tuple[Person, Person]) -> tuple[Person, Person]:
    return old_friends


def lose_relay(relay: RelayProcess, *people: Person) -> None:
    relay.kill()
    for each in people:
        each.is_told(OFFLINE)


def find_relay(relay: RelayProcess, *people: Person) -> None:
    """Start it again; who does not want to wait for the next try presses the button."""
    relay.start()
    for each in people:
        each.try_now()
        expect(each.page.get_by_text(OFFLINE)).to_have_count(0)


def test_both_write_first_without_a_relay(pair: tuple[Person, Person], relay: RelayProcess) -> None:
    """They have each other's card and nothing else; both begin a session when the relay is back."""
    alice, bob = pair
    lose_relay(relay, alice, bob)
    for number in range(2):
        alice.write("Bob", f"alice {number}")
        bob.write("Alice", f"bob {number}")
    alice.sees("alice 1", "waiting")
    bob.sees("bob 1", "waiting")
    expect(alice.page.locator(".waiting-reason")).to_contain_text("It goes out when")
    find_relay(relay, alice, bob)
    for number in range(2):
        alice.sees(f"bob {number}")
        bob.sees(f"alice {number}")
        alice.sees(f"alice {number}", "delivered")
        bob.sees(f"bob {number}", "delivered")
    alice.write("Bob", "now we talk")
    bob.sees("now we talk")
    bob.write("Alice", "so we do")
    alice.sees("so we do")
    assert [text for text in bob.texts() if text.startswith("alice")] == ["alice 0", "alice 1"]


def test_waiting_then_sent_then_delivered(pair: tuple[Person, Person], relay: RelayProcess) -> None:
    alice, bob = pair
    bob.page.goto("about:blank")
    lose_relay(relay, alice)
    alice.write("Bob", "one step after the other")
    alice.sees("one step after the other", "waiting")
    find_relay(relay, alice)
    alice.sees("one step after the other", "accepted")
    bob.page.goto(relay.origin)
    expect(bob.people.get_by_role("button", name="Alice")).to_contain_text("1 unread message")
    alice.sees("one step after the other", "delivered")
    bob.open("Alice")
    bob.sees("one step after the other")
    expect(bob.people).not_to_contain_text("unread")


def test_the_page_opens_without_a_relay(pair: tuple[Person, Person], relay: RelayProcess) -> None:
    """History is there, and what is written goes out later; also if the page was closed meanwhile."""
    alice, bob = pair
    alice.write("Bob", "before the relay went")
    alice.sees("before the relay went", "delivered")
    alice.page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    lose_relay(relay, alice)
    alice.page.reload()
    alice.sees("before the relay went", "delivered")
    alice.is_told(OFFLINE)
    alice.write("Bob", "written without a relay")
    alice.sees("written without a relay", "waiting")
    alice.press("Settings", alice.people)
    expect(alice.dialog("Settings")).to_contain_text("Offline")
    expect(alice.dialog("Settings")).to_contain_text("1 message waits")
    alice.page.keyboard.press("Escape")
    alice.page.reload()
    alice.sees("written without a relay", "waiting")
    find_relay(relay, alice, bob)
    bob.sees("written without a relay")
    alice.sees("written without a relay", "delivered")


def test_without_a_network(pair: tuple[Person, Person]) -> None:
    alice, bob = pair
    alice.context.set_offline(True)
    alice.page.reload()
    alice.is_told(OFFLINE)
    alice.write("Bob", "from the tunnel")
    alice.sees("from the tunnel", "waiting")
    alice.context.set_offline(False)
    bob.sees("from the tunnel")
    alice.sees("from the tunnel", "delivered")
    expect(alice.page.get_by_text(OFFLINE)).to_have_count(0)


def test_signing_up_without_a_relay_says_so_and_can_be_tried_again(browser: Browser, relay: RelayProcess) -> None:
    with person(browser, relay.origin) as newcomer:
        newcomer.page.get_by_role("button", name="Create my identity").wait_for()
        relay.kill()
        newcomer.press("Create my identity")
        newcomer.is_told("The relay can't be reached.")
        relay.start()
        newcomer.create()


ONLY_EVENTS: Final = """() => {
  const later = globalThis.setTimeout
  globalThis.setTimeout = (work, millis, ...rest) => (millis < 100 ? later(work, millis, ...rest) : 0)
}"""
"""In a Worker: nothing is tried again because time has passed."""


@pytest.mark.parametrize("event", ["online", "visibilitychange"])
def test_a_network_that_came_back_is_used_at_once(pair: tuple[Person, Person], relay: RelayProcess, event: str) -> None:
    alice, bob = pair
    alice.page.reload()
    alice.open("Bob")
    (worker,) = alice.page.workers
    worker.evaluate(ONLY_EVENTS)
    bob.page.goto("about:blank")
    lose_relay(relay, alice)
    alice.write("Bob", f"until {event}")
    relay.start()
    alice.page.evaluate(f"(document.dispatchEvent(new Event('{event}')), dispatchEvent(new Event('{event}')), null)")
    alice.sees(f"until {event}", "accepted")
    expect(alice.page.get_by_text(OFFLINE)).to_have_count(0)
    bob.page.goto(relay.origin)
    bob.open("Alice")
    bob.sees(f"until {event}")
