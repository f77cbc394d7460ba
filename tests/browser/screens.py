"""The way to the screens of the client, for tests that look at all of them.

Each function brings real people at a real relay from screen to screen and yields the name of the one that is shown.
"""

# ruff: noqa: RUF001 (the page writes real apostrophes)

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from playwright.sync_api import Browser, Page, Route, expect

from browser import filling
from browser.people import HANGING_MS, NARROW, WIDE, Person, introduce, person, somebody
from browser.settings_screens import knows, leaving
from relay_process import RelayProcess

HOUR: Final = 3_600_000
MINUTE: Final = 60_000
MISSPELT: Final = "0123 4567 89AB CDEF GHJK MNPQ RSTV WXYZ 0123"
PEOPLE: Final = ("Clara Winter", "Dad", "Élodie", "Farid Rahmani", "Book club, Anneliese Obermeier-Schattenfroh")
PLANS: Final = (
    (50, "received", "Are you in town on Saturday?"),
    (50, "received", "The choir sings at the old tram depot, seven o’clock. Free entry, bring a cushion."),
    (50, "delivered", "Yes! Count me in."),
    (49.9, "delivered", "Shall I bring Jonas? He has never heard them."),
    (26, "received", "Please do."),
    (26, "received", "Doors are at half past six. If it rains we go through the yard, the front gate floods."),
    (25.95, "received", "https://depot.example/choir"),
    (25, "delivered", "We will be there at 18:15 then, with two cushions and a thermos of something warm."),
    (2, "received", "Small change: it starts at 19:30."),
    (1.98, "received", "And the yard it is ☔"),
    (1.5, "delivered", "Fine by us. Jonas asks whether he can sing along."),
    (0.6, "received", "Only in the last song. He knows the one."),
    (0.1, "accepted", "He does, and he has begun already."),
    (0.05, "waiting", "Help."),
)


@dataclass(frozen=True)
class Look:
    """One way to see a screen."""

    theme: str
    width: int

    def __str__(self) -> str:
        return f"{self.theme}-{self.width}"

    def apply(self, page: Page) -> None:
        """Show the page like this, and wait until it is drawn."""
        page.set_viewport_size(NARROW if self.width == NARROW["width"] else WIDE)
        page.emulate_media(color_scheme="dark" if self.theme == "dark" else "light", reduced_motion="reduce")
        page.evaluate(DRAWN)


DRAWN: Final = """async () => {
  await document.fonts.ready
  for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame)
}"""
LOOKS: Final = tuple(Look(theme, size["width"]) for theme in ("light", "dark") for size in (WIDE, NARROW))


def first_run(browser: Browser, relay: RelayProcess) -> Iterator[tuple[str, Page]]:
    """From the first visit to an empty list."""
    with person(browser, relay.origin) as newcomer:
        page = newcomer.page
        expect(page.get_by_role("button", name="Create my identity")).to_be_enabled()
        yield "welcome", page
        page.get_by_role("button", name="Use another relay").click()
        page.get_by_label("Relay", exact=True).fill("relay.example/path")
        yield "welcome-relay", page
        page.get_by_role("button", name="Use this page’s relay").click()

        page.get_by_role("button", name="I have a recovery code").click()
        yield "recover", page
        page.get_by_label("Recovery code").fill(MISSPELT)
        page.get_by_role("button", name="Recover", exact=True).click()
        expect(page.get_by_text("That is not a recovery code")).to_be_visible()
        yield "recover-error", page
        page.get_by_role("button", name="I don’t have one").click()

        yield from _creating(page)
        kept = page.get_by_role("button", name="I have kept it")
        kept.wait_for()
        groups = page.get_by_role("list", name="Recovery code").get_by_role("listitem").all_inner_texts()
        yield "first-run-code", page
        kept.click()
        yield "first-run-asked", page
        fields = page.get_by_label(re.compile(r"^Group \d$"))
        for field in fields.all():
            field.fill("ZZZZ")
        page.get_by_role("button", name="Check", exact=True).click()
        yield "first-run-wrong", page
        for field in fields.all():
            number = re.search(r"\d", field.evaluate("input => input.labels[0].innerText"))
            assert number is not None
            field.fill(groups[int(number[0]) - 1])
        page.get_by_role("button", name="Check", exact=True).click()
        page.get_by_label("Your link").wait_for()
        yield "first-run-invite", page
        page.get_by_role("button", name="Go to my messages").click()
        page.get_by_role("button", name="Settings").wait_for()
        yield "empty-list", page


def _creating(page: Page) -> Iterator[tuple[str, Page]]:
    """Hold the relay's answers back while the puzzle is on the screen."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/v1/**", hold)
    page.get_by_role("button", name="Create my identity").click()
    page.locator(".working.shown").wait_for()
    yield "creating", page
    page.unroute("**/v1/**", hold)  # lets go of what was held


def conversation(browser: Browser, relay: RelayProcess) -> Iterator[tuple[str, Page]]:
    """What a conversation can look like, and the list beside it."""
    with person(browser, relay.origin) as alice:
        page = alice.page
        _acquainted(alice, relay)
        alice.open("Clara Winter")
        yield "conversation-empty", page

        _given_past(alice)
        alice.open("Bob")
        expect(page.get_by_text("New messages")).to_be_visible()
        yield "conversation", page
        alice.composer("Bob").fill("One line\n" * 9)
        yield "composer-grown", page
        alice.composer("Bob").fill("ä" * 8193)
        yield "composer-too-long", page
        alice.composer("Bob").fill("")
        page.get_by_role("group", name="Messages").evaluate("element => { element.scrollTop = 0 }")
        page.get_by_role("button", name="Jump to newest").wait_for()
        yield "conversation-older", page

        filling.change(page, "Dad", isVerified=True)
        filling.change(page, "Bob", frozen="untrusted-identity")
        filling.write(page, "Farid Rahmani", [{"time": 1000 * time.time(), "state": "waiting", "text": "Which exit?"}])
        filling.change(page, "Farid Rahmani", waitsFor="bad-access-key")
        page.reload()
        alice.open("Dad")
        yield "conversation-verified", page
        alice.open("Farid Rahmani")
        yield "conversation-waits", page
        page.get_by_role("navigation", name="Conversations").get_by_text("Bob", exact=True).click()
        page.get_by_role("button", name="Don’t send").wait_for()
        yield "frozen", page
        page.get_by_role("button", name="Don’t send").click()
        yield "frozen-quiet", page


def people(browser: Browser, relay: RelayProcess) -> Iterator[tuple[str, Page]]:
    """Sharing, adding, strangers, comparing numbers, changing and removing a contact."""
    with person(browser, relay.origin) as alice, person(browser, relay.origin) as bob:
        page = alice.page
        bob.create()
        _acquainted(alice, relay, bob)
        card = alice.card()
        page.get_by_role("button", name=re.compile("^Share")).first.click()
        page.get_by_label("Your link").wait_for()
        yield "share", page
        page.keyboard.press("Escape")

        page.get_by_role("button", name="Add someone").first.click()
        theirs = page.get_by_label("Their link or card")
        yield "add", page
        theirs.fill("halonyx:AQ")
        page.get_by_text("This card has a typing error").wait_for()
        yield "add-error", page
        theirs.fill(somebody(relay.origin))
        page.get_by_label("Your name for them").wait_for()
        yield "add-preview", page
        theirs.fill(card)
        page.get_by_text("This is your own card").wait_for()
        yield "add-own", page
        page.get_by_role("button", name="Scan with camera").click()
        page.get_by_text("No camera was found").wait_for()
        yield "camera-none", page
        page.keyboard.press("Escape")

        yield from _requests(browser, relay, alice, card)
        yield from _numbers(alice)
        yield from _details(alice)


def _requests(browser: Browser, relay: RelayProcess, alice: Person, card: str) -> Iterator[tuple[str, Page]]:
    page = alice.page
    with person(browser, relay.origin) as stranger:
        stranger.create()
        stranger.add(card, "Alice")
        stranger.write("Alice", "Hello, we met at the choir")
        page.get_by_role("button", name="1 request").click()
    page.get_by_role("button", name="Accept").wait_for()
    yield "requests", page
    page.get_by_role("button", name="Refuse").click()
    page.get_by_text("Nobody is waiting").wait_for()
    yield "requests-empty", page


def _numbers(alice: Person) -> Iterator[tuple[str, Page]]:
    page = alice.page
    expect(page.locator(".toast")).to_have_count(0)
    alice.open("Bob")
    page.get_by_role("button", name=re.compile("compare numbers", re.IGNORECASE)).first.click()
    page.get_by_role("list", name="Safety number").wait_for()
    yield "compare-numbers", page
    page.get_by_role("button", name="They don’t match").click()
    yield "numbers-differ", page
    page.get_by_role("button", name="Compare again").click()
    page.get_by_role("button", name="They match").click()
    expect(page.get_by_text("Bob is verified.")).to_be_visible()
    yield "verified", page
    page.get_by_role("button", name=re.compile("compare numbers|^Verified", re.IGNORECASE)).first.click()
    page.get_by_role("list", name="Safety number").wait_for()
    yield "compare-again", page
    page.keyboard.press("Escape")


def _details(alice: Person) -> Iterator[tuple[str, Page]]:
    page = alice.page
    page.set_viewport_size(NARROW)
    page.get_by_role("button", name="Details").click()
    page.get_by_role("dialog").wait_for()
    yield "details", page
    page.get_by_role("button", name="Rename").last.click()
    yield "details-rename", page
    page.get_by_role("button", name="Cancel").last.click()
    page.get_by_role("button", name="Block").last.click()
    yield "block", page
    page.get_by_role("button", name="Cancel").last.click()
    page.set_viewport_size(WIDE)
    page.get_by_role("button", name="Remove contact").click()
    yield "remove", page
    page.get_by_role("button", name="Cancel").last.click()


def everything_else(browser: Browser, relay: RelayProcess) -> Iterator[tuple[str, Page]]:
    """Finding, settings, and what goes wrong."""
    with person(browser, relay.origin) as alice:
        page = alice.page
        code = _acquainted(alice, relay)
        _given_past(alice)
        page.evaluate("history.replaceState(null, '')")  # nothing is open
        page.reload()
        page.get_by_text("Pick a conversation").wait_for()
        yield "list", page
        find = page.get_by_role("searchbox", name="Search people and messages")
        find.fill("the yard")
        page.get_by_role("button", name=re.compile("front gate")).wait_for()
        yield "search", page
        find.fill("submarine")
        page.get_by_text("Nothing contains that.").wait_for()
        yield "search-nothing", page
        find.fill("")
        page.keyboard.press("Control+k")
        yield "palette", page
        page.get_by_role("searchbox", name="Find a person or a message").fill("a")
        page.get_by_role("dialog").get_by_role("heading", name="Messages").wait_for()
        yield "palette-results", page
        page.keyboard.press("Escape")

        page.get_by_role("button", name="Settings").click()
        page.get_by_role("dialog").get_by_text("Connected").wait_for()
        yield "settings", page
        yield from knows(page)
        page.get_by_role("button", name="Settings").click()
        page.get_by_role("button", name="Erase this device").click()
        page.get_by_label("Type “erase” to confirm").fill("erase")
        page.get_by_role("button", name="Erase everything").scroll_into_view_if_needed()
        yield "settings-erase", page
        yield from leaving(page)
        yield from _trouble(browser, relay, alice, code)


def _trouble(browser: Browser, relay: RelayProcess, alice: Person, code: str) -> Iterator[tuple[str, Page]]:
    page = alice.page
    alice.open("Bob")
    relay.stop()
    page.get_by_text("You are offline").first.wait_for()
    yield "offline", page
    relay.start()
    alice.try_now()
    expect(page.get_by_text("You are offline")).to_have_count(0, timeout=HANGING_MS)

    with person(browser, relay.origin) as elsewhere:
        elsewhere.recover(code)
        page.get_by_text("Your identity was recovered on another device").first.wait_for()
    yield "moved", page

    page.evaluate(LOST_KEY)
    page.reload()
    page.get_by_role("heading", name="What was kept here can’t be opened").wait_for()
    yield "lost", page
    page.get_by_role("button", name="Erase and start again").click()
    page.get_by_label("Type “erase” to confirm").fill("erase")
    yield "lost-erase", page
    second = alice.context.new_page()
    second.add_init_script(BROKEN_WORKER)
    second.goto(page.url)
    second.get_by_role("heading", name="Halonyx can’t open here").wait_for()
    yield "broken", second
    second.close()
    page.evaluate(NEWER_STORE)
    page.get_by_role("heading", name="This page is out of date").wait_for()
    yield "outdated", page
    with person(browser, relay.origin) as leaver:
        leaver.create()
        leaver.page.get_by_role("button", name="Settings").click()
        leaver.page.get_by_role("button", name="Erase this device").click()
        leaver.page.get_by_label("Type “erase” to confirm").fill("erase")
        leaver.page.get_by_role("button", name="Erase everything").click()
        leaver.page.get_by_text("This device is erased").wait_for()
        yield "erased", leaver.page
    alice.wrong.clear()  # of the lost key, which the console tells, too


LOST_KEY: Final = """() => new Promise((resolve, reject) => {
  const request = indexedDB.open("halonyx")
  request.onsuccess = () => {
    const clearing = request.result.transaction("device", "readwrite")
    clearing.objectStore("device").clear()
    clearing.oncomplete = () => { request.result.close(); resolve() }
  }
  request.onerror = () => reject(request.error)
})"""
BROKEN_WORKER: Final = """window.Worker = class extends EventTarget {
  postMessage() { setTimeout(() => this.dispatchEvent(new Event("error"))) }
}"""
NEWER_STORE: Final = """() => new Promise((resolve, reject) => {
  const request = indexedDB.open("halonyx", 99)
  request.onsuccess = () => { request.result.close(); resolve() }
  request.onerror = () => reject(request.error)
})"""


def _acquainted(alice: Person, relay: RelayProcess, bob: Person | None = None) -> str:
    """Let Alice know Bob, made up unless he is given, and some more people; return her recovery code."""
    code = alice.create()
    if bob is None:
        alice.add(somebody(relay.origin), "Bob")
    else:
        introduce(alice, bob)
    for name in PEOPLE:
        alice.add(somebody(relay.origin), name)
    return code


def _given_past(alice: Person) -> None:
    """Give Alice days of messages, some unread, with a few quiet lines."""
    page, now = alice.page, int(1000 * time.time())

    def ago(hours: float) -> int:
        return now - int(hours * HOUR)

    lasts = (
        "The recipe is in the blue folder.",
        "Call me when you land",
        "Merci !",
        "See you there",
        "Chapter 9, then.",
    )
    for at, (name, text) in reversed(list(enumerate(zip(PEOPLE, lasts, strict=True)))):
        state = "received" if at % 2 else "delivered"
        filling.write(page, name, [{"time": ago(5 + 29 * at), "state": state, "text": text}])
        filling.change(page, name, unread=3 * (at == 1))
    filling.write(page, "Bob", [{"time": ago(hours), "state": state, "text": text} for hours, state, text in PLANS])
    notices: list[tuple[str, float, dict[str, int]]] = [
        ("device", 30, {}),
        ("gap", 25.5, {"missing": 2}),
        ("refreshed", 24.9, {}),
    ]
    filling.note(page, "Bob", [{"kind": kind, "time": ago(hours), "data": data} for kind, hours, data in notices])
    filling.change(page, "Bob", unread=2)
    page.reload()
    page.get_by_role("navigation", name="Conversations").get_by_text("Clara Winter").wait_for()
