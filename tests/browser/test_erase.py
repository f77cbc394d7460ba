"""Erasing this device, also with its identity: asked twice, complete, seen in every tab, a fresh start after it."""

from collections.abc import Iterator
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect

from browser.people import Person, person
from relay_process import RelayProcess

LEFT: Final = """async () => ({
  databases: (await indexedDB.databases()).map(({ name }) => name),
  caches: await caches.keys(),
  local: { ...localStorage },
  session: { ...sessionStorage },
  workers: (await navigator.serviceWorker.getRegistrations()).length,
})"""
NOTHING: Final = {"databases": [], "caches": [], "local": {}, "session": {}, "workers": 0}

LOST: Final = "What was kept here can\N{RIGHT SINGLE QUOTATION MARK}t be opened"
HARM: Final = """() => new Promise((resolve, reject) => {
  const request = indexedDB.open("halonyx")
  request.onerror = () => reject(request.error)
  request.onsuccess = () => {
    const work = request.result.transaction("device", "readwrite")
    const device = work.objectStore("device")
    %s
    work.oncomplete = () => { request.result.close(); resolve() }
  }
})"""


@pytest.fixture(scope="module")
def alice(browser: Browser, relay: RelayProcess) -> Iterator[Person]:
    """She begins every test with an identity, and ends it with that or a new one."""
    with person(browser, relay.origin) as newcomer:
        newcomer.create()
        yield newcomer


def ask(page: Page, word: str) -> None:
    """Go to the end of the settings and type the word."""
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("button", name="Erase this device").click()
    page.get_by_label("Type “erase” to confirm").fill(word)


def test_nothing_but_the_word_erases(alice: Person) -> None:
    ask(alice.page, "")
    for word in ("", "eras", "yes", "erase it"):
        alice.page.get_by_label("Type “erase” to confirm").fill(word)
        expect(alice.page.get_by_role("button", name="Erase everything")).to_be_disabled()
        alice.page.keyboard.press("Enter")
    alice.page.keyboard.press("Escape")

    alice.page.reload()
    expect(alice.page.get_by_role("button", name="Settings")).to_be_visible()
    assert alice.page.evaluate(LEFT)["databases"] == ["halonyx"]


def test_erasing_leaves_nothing_in_any_tab_and_allows_a_new_start(pair: tuple[Person, Person]) -> None:
    alice, bob = pair
    alice.write("Bob", "before the end")
    bob.sees("before the end")
    alice.page.evaluate("navigator.serviceWorker.ready.then(() => null)")
    old = alice.card()
    other = Person(alice.context, alice.context.new_page(), alice.wrong)
    other.page.goto(alice.page.url)  # this one is from the service worker's cache
    other.open("Bob")
    other.page.get_by_role("button", name="Settings").click()
    other.page.get_by_text("Dark", exact=True).click()
    other.page.keyboard.press("Escape")
    before = alice.page.evaluate(LEFT)
    assert (before["databases"], before["local"], before["workers"]) == (["halonyx"], {"halonyx.theme": "dark"}, 1)
    assert before["caches"] != []

    alice.page.bring_to_front()  # timers of a tab that nobody sees are slow
    ask(alice.page, "erase")
    alice.page.get_by_role("button", name="Erase everything").click()
    for tab in (alice, other):
        expect(tab.page.get_by_role("heading", name="This device is erased")).to_be_visible()
    assert alice.page.evaluate(LEFT) == NOTHING
    expect(other.page.get_by_text("before the end")).to_have_count(0)

    alice.page.get_by_role("button", name="Start again").click()
    alice.create()
    assert alice.card() != old
    bob.write("Alice", "are you there?")  # to the identity that is gone
    bob.sees("are you there?", "accepted")
    expect(alice.page.get_by_text("No conversations yet")).to_be_visible()
    other.page.reload()
    expect(other.page.get_by_role("button", name="Settings")).to_be_visible()
    assert other.card() == alice.card()
    other.page.close()


def test_deleting_the_identity_takes_it_from_the_relay_and_erases(
    browser: Browser, relay: RelayProcess, alice: Person
) -> None:
    with person(browser, relay.origin) as bob:
        code = bob.create()
        alice.add(bob.card(), "Somebody who leaves")
        bob.page.get_by_role("button", name="Settings").click()
        bob.page.get_by_role("button", name="Delete my identity").focus()
        bob.page.keyboard.press("Enter")
        field = bob.page.get_by_label("Your recovery code")
        expect(field).to_be_focused()
        bob.page.keyboard.type(code[:-1])
        expect(bob.page.get_by_role("button", name="Delete and erase")).to_be_disabled()
        bob.page.keyboard.type(code[-1])
        bob.context.set_offline(True)
        bob.press("Delete and erase")
        bob.is_told("Nothing was deleted.")
        bob.context.set_offline(False)
        bob.press("Delete and erase")
        expect(bob.page.get_by_role("heading", name="This device is erased")).to_be_visible()
        assert bob.page.evaluate(LEFT) == NOTHING
        bob.wrong.clear()  # of the call that failed, which the console tells, too

        alice.write("Somebody who leaves", "too late")
        alice.is_told("they may have deleted their identity")


@pytest.mark.parametrize("harm", ["device.delete('keys')", "device.put({ sealing: 'x', blinding: 'y' }, 'keys')"])
def test_a_lost_key_is_said_and_leads_to_a_new_start(alice: Person, harm: str) -> None:
    page = alice.page
    old = alice.card()
    page.evaluate(HARM % harm)
    page.reload()
    expect(page.get_by_role("heading", name=LOST)).to_be_visible()
    alice.is_told("your recovery code brings back your identity")
    expect(page.get_by_text("rivate window")).to_have_count(0)
    page.get_by_role("button", name="Try again").click()
    page.get_by_role("button", name="Erase and start again").click()
    expect(page.get_by_role("button", name="Erase everything")).to_be_disabled()
    page.get_by_label("Type “erase” to confirm").fill("erase")
    page.get_by_role("button", name="Erase everything").click()
    expect(page.get_by_role("heading", name="This device is erased")).to_be_visible()
    assert page.evaluate(LEFT) == NOTHING

    page.get_by_role("button", name="Start again").click()
    alice.create()
    assert alice.card() != old
    alice.wrong.clear()  # of the damage, which the console may tell, too
