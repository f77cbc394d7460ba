"""People at the browser client: what they see and press, by the names a screen reader would read."""

import contextlib
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from playwright.sync_api import Browser, BrowserContext, Locator, Page, ViewportSize, expect
from playwright.sync_api import TimeoutError as TookTooLong

from browser.browsers import watched
from halonyx.core.card import Card
from halonyx.core.types import Usid

WIDE: Final[ViewportSize] = {"width": 1440, "height": 900}
NARROW: Final[ViewportSize] = {"width": 360, "height": 740}
GROUPS: Final = 9
HANGING_MS: Final = 30_000  # a bound against hanging, not a measurement
BUTTON_MS: Final = 2_000

STATES: Final = {"waiting": "Waiting to be sent", "accepted": "Sent", "delivered": "Delivered", "failed": "Not sent"}


@dataclass
class Person:
    """Someone with a browser profile of their own.

    Attributes:
        wrong: What went wrong in any of their pages; tests end with it empty.
    """

    context: BrowserContext
    page: Page
    wrong: list[str] = field(default_factory=list)

    def create(self) -> str:
        """Make an identity as a newcomer does; return the recovery code."""
        self.page.get_by_role("button", name="Create my identity").click()
        kept = self.page.get_by_role("button", name="I have kept it")
        kept.wait_for()
        groups = re.findall(r"^[0-9A-Z]{4}$", self.page.locator("body").inner_text(), re.MULTILINE)
        assert len(groups) == GROUPS
        kept.click()
        for asked in self.page.get_by_label(re.compile(r"^Group \d$")).all():
            number = re.search(r"\d", asked.evaluate("input => input.labels[0].innerText"))
            assert number is not None
            asked.fill(groups[int(number[0]) - 1])
        self.page.get_by_role("button", name="Check", exact=True).click()
        self.page.get_by_role("button", name="Go to my messages").click()
        expect(self.page.locator("nav.list")).to_be_visible()  # a dialog may be open over it
        return "-".join(groups)

    def recover(self, code: str) -> None:
        """Bring an identity back."""
        self.page.get_by_role("button", name="I have a recovery code").click()
        self.page.get_by_label("Recovery code").fill(code)
        self.page.get_by_role("button", name="Recover", exact=True).click()
        expect(self.page.get_by_role("button", name="Settings")).to_be_visible()

    def card(self) -> str:
        """Return our card's link, from the dialog that shares it."""
        self.page.get_by_role("button", name=re.compile("^Share")).first.click()
        link = self.page.get_by_label("Your link")
        link.wait_for()
        shown = str(link.evaluate("element => element.value ?? element.textContent"))
        self.page.keyboard.press("Escape")
        return shown.strip()

    def add(self, card: str, name: str) -> None:
        """Add someone by a pasted card."""
        self.page.get_by_role("button", name=re.compile("^Add someone")).first.click()
        dialog = self.dialog("Add someone")
        dialog.get_by_label("Their link or card").fill(card)
        dialog.get_by_label("Your name for them").fill(name)
        self.press("Add", dialog)
        expect(self.composer(name)).to_be_visible()

    def open(self, name: str) -> None:
        """Open a conversation from the list."""
        self.people.get_by_text(name, exact=True).first.click()
        expect(self.composer(name)).to_be_visible()

    @property
    def people(self) -> Locator:
        """The list of conversations."""
        return self.page.get_by_role("navigation", name="Conversations")

    @property
    def head(self) -> Locator:
        """What stands above the list, with the buttons that are always there."""
        return self.people.locator("header")

    def dialog(self, title: str) -> Locator:
        return self.page.get_by_role("dialog", name=title)

    def press(self, name: str, within: Locator | None = None) -> None:
        """Press the button of exactly this name."""
        (within or self.page).get_by_role("button", name=typeset(name), exact=True).click()

    def try_now(self) -> None:
        """Look for the relay again at once; the button goes away when the page finds it by itself."""
        with contextlib.suppress(TookTooLong):
            self.people.get_by_role("button", name="Try now").click(timeout=BUTTON_MS)

    def share(self) -> Locator:
        """Open the dialog that shows our card; return the code in it."""
        self.head.get_by_role("button", name="Share your card").last.click()
        return self.dialog("Share your card").locator(".qr-card")

    def is_told(self, words: str) -> None:
        """Wait until the page says this somewhere."""
        expect(self.page.get_by_text(typeset(words)).first).to_be_visible()

    def accept(self, name: str) -> None:
        """Accept the one request that waits."""
        self.people.get_by_text("1 request", exact=True).click()
        self.page.get_by_label("Your name for them").fill(name)
        self.press("Accept")
        expect(self.composer(name)).to_be_visible()

    def composer(self, name: str) -> Locator:
        return self.page.get_by_role("textbox", name=f"Message to {name}")

    def write(self, name: str, text: str) -> None:
        """Write in the open conversation."""
        box = self.composer(name)
        box.fill(text)
        box.press("Enter")

    def row(self, text: str) -> Locator:
        """Return the rows of the open conversation with exactly this text."""
        words = self.page.locator(".words").filter(has_text=re.compile(f"^{re.escape(text)}$"))
        return self.page.locator("li.message").filter(has=words)

    def sees(self, text: str, state: str | None = None) -> None:
        """Wait until a message is shown once, and has come as far as `state`."""
        expect(self.row(text)).to_have_count(1, timeout=HANGING_MS)
        if state is not None:
            expect(self.row(text).locator(".state")).to_have_text(STATES[state], timeout=HANGING_MS)

    def texts(self) -> list[str]:
        """Return the messages that are drawn, from top to bottom."""
        return self.page.locator("li.message .words").all_inner_texts()


@contextlib.contextmanager
def person(
    browser: Browser,
    address: str,
    script: str | None = None,
    **options: Any,  # noqa: ANN401 (Playwright's)
) -> Iterator[Person]:
    """Open the client in a fresh profile, each page after `script`; nothing may have gone wrong when it is closed."""
    context = browser.new_context(**({"viewport": WIDE, "locale": "en-GB"} | options))
    context.set_default_timeout(HANGING_MS)
    if script is not None:
        context.add_init_script(script)
    with watched(context) as wrong:
        page = context.new_page()
        page.on("filechooser", lambda _: None)  # caught from here on; asked for with the click, it may be too late
        page.goto(address)
        try:
            yield Person(context, page, wrong)
            assert wrong == [], wrong
        finally:
            context.close()


def typeset(words: str) -> str:
    """Return words with the apostrophe that the page has."""
    return words.replace("'", "\N{RIGHT SINGLE QUOTATION MARK}")


def introduce(alice: Person, bob: Person) -> None:
    """Let both add the other's card."""
    alice_card, bob_card = alice.card(), bob.card()
    alice.add(bob_card, "Bob")
    bob.add(alice_card, "Alice")


def somebody(origin: str) -> str:
    """Return the card of someone whom no relay knows."""
    return Card(origin, Usid(secrets.token_bytes(32)), 1).uri()
