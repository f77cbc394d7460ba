"""Someone new writes: nothing of it is seen before it is accepted, and they learn nothing before that."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from browser.people import Person, person
from relay_process import RelayProcess


@pytest.fixture(scope="module")
def alice(browser: Browser, relay: RelayProcess) -> Iterator[Person]:
    """She gives her card to everybody; each test has a stranger of its own."""
    with person(browser, relay.origin) as newcomer:
        newcomer.create()
        yield newcomer


@pytest.fixture
def stranger(alice: Person, bob: Person) -> Person:
    """Bob, who has Alice's card, and whom she has never heard of."""
    bob.add(alice.card(), "Alice")
    return bob


def look_at_request(alice: Person, text: str) -> None:
    """Open the one request, and check that its text is nowhere on the page."""
    alice.people.get_by_text("1 request", exact=True).click()
    alice.is_told("Did you expect them?")
    request = alice.page.locator("li.request")
    expect(request).to_have_count(1)
    expect(request.locator(".short-id")).to_have_text(re.compile(r"^[0-9a-f]{4}( [0-9a-f]{4}){3}$"))
    assert text not in alice.page.content() + alice.page.title()


def test_accepted_with_a_name(alice: Person, stranger: Person) -> None:
    stranger.write("Alice", "the secret of my life")
    stranger.sees("the secret of my life", "accepted")
    look_at_request(alice, "the secret of my life")
    stranger.write("Alice", "and another secret")
    stranger.sees("and another secret", "accepted")
    expect(alice.page.get_by_role("button", name="Accept", exact=True)).to_be_disabled()
    alice.page.get_by_label("Search people and messages").fill("secret")
    alice.is_told("Nothing contains that.")
    alice.page.get_by_label("Search people and messages").fill("")
    alice.page.reload()
    alice.page.get_by_label("Your name for them").fill("Bob")
    stranger.sees("the secret of my life", "accepted")  # they have learned nothing yet

    alice.press("Accept")
    alice.is_told("Bob is now your contact.")
    alice.sees("the secret of my life")
    alice.sees("and another secret")
    stranger.sees("the secret of my life", "delivered")
    stranger.sees("and another secret", "delivered")
    alice.write("Bob", "hello Bob")
    stranger.sees("hello Bob")


def test_refused(alice: Person, stranger: Person) -> None:
    stranger.write("Alice", "a secret nobody wants")
    stranger.sees("a secret nobody wants", "accepted")
    look_at_request(alice, "a secret nobody wants")
    alice.press("Refuse")
    alice.is_told("Refused. Their messages are gone, and what else they send is dropped.")
    alice.is_told("Nobody is waiting")

    stranger.write("Alice", "please, my secret")
    stranger.sees("please, my secret", "accepted")
    alice.page.reload()
    alice.is_told("Nobody is waiting")
    expect(alice.people).not_to_contain_text("request")
    stranger.sees("a secret nobody wants", "accepted")

    # It can be thought better of.
    alice.press("Settings", alice.people)
    settings = alice.dialog("Settings")
    alice.press("Unblock", settings)
    expect(settings).to_contain_text("Nobody is blocked.")
    alice.page.keyboard.press("Escape")


def test_adding_their_card_accepts_them(alice: Person, stranger: Person) -> None:
    """Two who add each other need no request, whoever writes first."""
    stranger.write("Alice", "no secret any more")
    expect(alice.people).to_contain_text("1 request")
    alice.add(stranger.card(), "Bob the second")
    alice.sees("no secret any more")
    stranger.sees("no secret any more", "delivered")
    expect(alice.people).not_to_contain_text("request")
