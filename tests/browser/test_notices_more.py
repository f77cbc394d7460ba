"""What the browser client tells besides messages: quiet lines, sounds, notifications; and of a stranger nothing."""

import contextlib
import json
import secrets
import sqlite3
from collections.abc import Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, expect

from browser import filling
from browser.peer import Peer, acquaint, peer
from browser.people import Person, person
from browser.test_injection import STRINGS, WATCH, Watch
from client.forging import Forger
from client.homes import Mailboxes
from halonyx.client.events import MAX_A_DAY
from halonyx.client.inbox import MAX_STRANGERS
from halonyx.client.outbox import MAX_REQUESTS
from halonyx.core.card import Card
from halonyx.core.content import CRITICAL, Kind, RecordName
from halonyx.core.identity import address_of
from halonyx.core.prekeys import PrekeyUse
from halonyx.core.types import Address
from relay_process import RelayProcess

KEYS: Final = "keys.db"
ONE_TIME: Final = (PrekeyUse.ONE_TIME, PrekeyUse.ONE_TIME_KEM)
RECEIVED: Final = [587.33, 880]
SENT: Final = [440]

TONES: Final = """
  globalThis.tones = []
  globalThis.OscillatorNode = class extends OscillatorNode {
    start(when) {
      globalThis.tones.push(Math.round(this.frequency.value * 100) / 100)
      super.start(when)
    }
  }
"""
HIDE: Final = """
  Object.defineProperty(document, "visibilityState", { get: () => globalThis.isAway ? "hidden" : "visible" })
"""
AWAY: Final = """(isAway) => {
  globalThis.isAway = isAway
  document.dispatchEvent(new Event("visibilitychange"))
}"""
SHOWN: Final = """async () => {
  const registration = await navigator.serviceWorker.ready
  const shown = await registration.getNotifications()
  return shown.map(({ title, body, tag, data }) => ({ title, body, tag, data }))
}"""
WORDS: Final = "rows => rows.map(row => row.textContent)"
CLOSE: Final = """async () => {
  const registration = await navigator.serviceWorker.ready
  for (const shown of await registration.getNotifications()) shown.close()
}"""


@pytest.fixture(scope="module")
def bob(relay: RelayProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    with peer(tmp_path_factory.mktemp("bob") / "home", relay.origin) as opened:
        yield opened


@pytest.fixture(scope="module")
def alice(browser: Browser, relay: RelayProcess, bob: Peer) -> Iterator[Person]:
    """Alice, who has written with Bob; what she hears is counted, and a test says whether she looks at the page."""
    with person(browser, relay.origin, TONES + HIDE, permissions=["notifications"]) as newcomer:
        newcomer.create()
        acquaint(newcomer, "Alice", bob, "Bob")
        newcomer.write("Bob", "hello")
        newcomer.sees("hello", "delivered")
        bob.write("Alice", ["hello yourself"])
        newcomer.sees("hello yourself")
        yield newcomer


def control(bob: Peer, *, is_newer: bool = False, **changes: Any) -> None:  # noqa: ANN401 (any field of a content)
    """Let Bob's program say something that is no text, and has no place in the count."""
    forger = Forger(bob.client, "Alice")

    async def send() -> None:
        content = forger.content(b"", kind=Kind.CONTROL, counter=0, **changes).encode()
        extension = b"\x01" + (CRITICAL | 9).to_bytes(2, "big") + b"\x00\x00"
        await forger.send(content[:-1] + extension if is_newer else content)

    bob.call(send())


def address_of_card(card: str) -> Address:
    return address_of(Card.parse(card).usid)


def test_a_message_of_a_newer_program_is_named(alice: Person, bob: Peer) -> None:
    control(bob, is_newer=True)

    alice.is_told("A message from Bob needs a newer Halonyx.")


def test_what_comes_all_the_time_is_counted_in_one_line(alice: Person, bob: Peer) -> None:
    line = "A message from Bob needs a newer Halonyx."
    before = alice.page.get_by_text(line).count()
    for _ in range(MAX_A_DAY - before + 3):
        control(bob, is_newer=True)

    alice.is_told("(4 times since the line before)")
    expect(alice.page.get_by_text(line)).to_have_count(MAX_A_DAY)


def test_a_contact_with_other_keys_of_ours_is_named_and_what_to_do(alice: Person, bob: Peer) -> None:
    control(bob, recipient_record=RecordName(2**32 - 1, secrets.token_bytes(32)))

    alice.is_told("Bob was given other keys for you than yours. The relay may be lying: compare numbers.")


def test_a_relay_that_was_put_back_is_named(alice: Person, relay: RelayProcess) -> None:
    Mailboxes(relay).put_back(address_of_card(alice.card()))
    alice.page.reload()

    alice.is_told("Your relay was put back to an older copy. What it may have lost is asked for and sent again.")
    alice.press("Close")
    expect(alice.page.get_by_text("Your relay was put back")).to_have_count(0)


def test_one_time_keys_that_are_withheld_are_missed(
    alice: Person, relay: RelayProcess, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with peer(tmp_path_factory.mktemp("carol") / "home", relay.origin) as carol:
        alice.add(carol.card, "Carol")
        with contextlib.closing(sqlite3.connect(relay.data / KEYS, timeout=10)) as database, database:
            database.execute("delete from prekey where use in (?, ?)", ONE_TIME)
        carol.add(alice.card(), "Alice")
        carol.write("Alice", ["hello Alice"])
        alice.sees("hello Alice")
        alice.is_told("Carol found none of your one-time keys. Messages are encrypted all the same.")


def test_a_stranger_too_many_is_named_without_a_word_of_theirs(
    browser: Browser, relay: RelayProcess, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("stranger") / "home"
    with person(browser, relay.origin) as dora, peer(home, relay.origin) as stranger:
        dora.create()
        filling.strangers(dora.page, MAX_STRANGERS)
        dora.page.reload()
        expect(dora.people).to_contain_text(f"{MAX_STRANGERS} requests")
        stranger.add(dora.card(), "Dora")
        stranger.write("Dora", ["the secret of a stranger"])

        dora.is_told("Someone new wrote to you, and it was dropped: too many requests wait. Decide about those first.")
        expect(dora.people).to_contain_text(f"{MAX_STRANGERS} requests")
        assert "secret of a stranger" not in dora.page.content()


def switch(alice: Person, name: str, *, is_on: bool) -> None:
    """Turn something on or off in the settings."""
    alice.press("Settings", alice.people)
    settings = alice.dialog("Settings")
    button = settings.get_by_role("switch", name=name)
    expect(button).to_be_checked(checked=not is_on)
    button.click()
    expect(button).to_be_checked(checked=is_on)
    alice.page.keyboard.press("Escape")


def tones(page: Page, count: int) -> list[float]:
    """Return what was played since the last call, as soon as it is so much."""
    page.wait_for_function("(count) => globalThis.tones.length >= count", arg=count)
    played: list[float] = page.evaluate("globalThis.tones.splice(0)")
    return played


def test_sounds_are_made_of_nothing_and_can_be_switched(alice: Person, bob: Peer) -> None:
    alice.open("Bob")
    tones(alice.page, 0)
    asked: list[str] = []
    alice.page.on("request", lambda request: asked.append(request.url))
    bob.write("Alice", ["heard"])
    alice.sees("heard")
    assert tones(alice.page, 2) == RECEIVED
    alice.write("Bob", "said")
    assert tones(alice.page, 1) == SENT
    assert [address for address in asked if "/v1/" not in address] == []

    switch(alice, "Sounds", is_on=False)
    bob.write("Alice", ["not heard"])
    alice.sees("not heard")
    alice.write("Bob", "said in silence")
    alice.sees("said in silence", "delivered")
    assert tones(alice.page, 0) == []

    switch(alice, "Sounds", is_on=True)
    asked.clear()  # the settings ask for the build
    bob.write("Alice", ["heard again"])
    alice.sees("heard again")
    assert tones(alice.page, 2) == RECEIVED
    assert [address for address in asked if "/v1/" not in address] == []


def test_a_notification_names_the_person_and_never_the_text(alice: Person, bob: Peer) -> None:
    page = alice.page
    page.evaluate(AWAY, arg=True)
    bob.write("Alice", ["before they were wanted"])
    alice.sees("before they were wanted")
    tones(page, 2)
    assert page.evaluate(SHOWN) == []

    page.evaluate(AWAY, arg=False)
    switch(alice, "Notifications", is_on=True)
    bob.write("Alice", ["while it was looked at"])
    alice.sees("while it was looked at")
    tones(page, 2)
    assert page.evaluate(SHOWN) == []

    page.evaluate(AWAY, arg=True)
    bob.write("Alice", ["the secret that a notification keeps"])
    alice.sees("the secret that a notification keeps")
    while not (found := page.evaluate(SHOWN)):  # the service worker shows it after the page has the message
        page.wait_for_timeout(50)
    (shown,) = found
    assert (shown["title"], shown["body"]) == ("Halonyx", "New message from Bob")
    assert list(shown["data"]) == ["contact"]
    assert "secret" not in json.dumps(shown)
    assert page.title() == "(1) Halonyx"  # what nobody looks at is not read
    page.evaluate(CLOSE)
    page.evaluate(AWAY, arg=False)
    switch(alice, "Notifications", is_on=False)


def test_nothing_of_a_stranger_is_shown_or_run(
    alice: Person, relay: RelayProcess, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Every string in as many texts as a stranger may write; then it is accepted, and they are text."""
    share = -(-len(STRINGS) // MAX_REQUESTS)
    texts = ["\n".join(STRINGS[at : at + share]) for at in range(0, len(STRINGS), share)]
    page = alice.page
    page.evaluate(WATCH)
    watched = Watch(page, relay.origin)

    def nothing_ran() -> None:
        # To go from one view to another is a navigation to the same address.
        watched.happened = [what for what in watched.happened if what != f"navigation {relay.origin}/"]
        watched.nothing_ran()

    with peer(tmp_path_factory.mktemp("mallory") / "home", relay.origin) as mallory:
        mallory.add(alice.card(), "Alice")
        page.evaluate("globalThis.tones.splice(0)")
        page.evaluate(AWAY, arg=True)
        mallory.write("Alice", texts)
        alice.people.get_by_text("1 request", exact=True).click()
        alice.is_told("Did you expect them?")
        request = page.locator("li.request")
        expect(request).to_have_count(1)
        drawn = page.evaluate("document.documentElement.outerHTML + document.title")
        assert [text for text in STRINGS if len(text) > 12 and text in drawn] == []
        assert page.evaluate(SHOWN) == []
        assert page.evaluate("globalThis.tones.splice(0)") == []
        page.evaluate(AWAY, arg=False)
        for query in ("script", "onerror", "javascript"):
            page.get_by_label("Search people and messages").fill(query)
            alice.is_told("Nothing contains that.")
        page.get_by_label("Search people and messages").fill("")
        nothing_ran()

        alice.accept("Mallory")
        expect(page.locator(".messages")).to_be_visible()
        seen = set[str]()
        while len(seen) < len(texts):  # only what fits on the screen is drawn
            seen.update(page.locator("li.message.theirs .words").evaluate_all(WORDS))
            page.evaluate("document.querySelector('.messages').scrollBy(0, -200)")
        assert seen == set(texts)
        assert page.locator("li.message .words *").count() == 0
        nothing_ran()
