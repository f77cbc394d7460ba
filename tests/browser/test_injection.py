"""What people write is text, whatever it looks like: in messages of either side, in names, in the search field."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Dialog, Page, Request

from browser.peer import Peer, acquaint, peer
from browser.people import Person, person
from halonyx.client.people import check_name
from halonyx.core.errors import Misuse
from relay_process import RelayProcess

pytestmark = pytest.mark.timeout(300)  # 228 texts both ways, and each as a name

ESCAPE: Final = re.compile(r"\\(?:u([0-9A-F]{4})|U([0-9A-F]{8})|x([0-9A-F]{2})|([nt]))")
INTERVAL: Final = "await new Promise((resolve) => setTimeout(resolve, 5))"

WATCH: Final = """() => {
  globalThis.refused = []
  document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => {
    globalThis.refused.push(`${violatedDirective} ${blockedURI}`)
  })
  globalThis.type = (field, text) => {
    const { set } = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(field), "value")
    set.call(field, text)
    field.dispatchEvent(new Event("input", { bubbles: true }))
  }
}"""
WRITE: Final = f"""async (texts) => {{
  const field = document.querySelector("textarea.composer-field")
  for (const text of texts) {{
    globalThis.type(field, text)
    {INTERVAL}
    field.dispatchEvent(new KeyboardEvent("keydown", {{ key: "Enter", bubbles: true, cancelable: true }}))
    while (field.value !== "") {INTERVAL}
  }}
}}"""
RENAME: Final = f"""async (names) => {{
  const pane = document.querySelector("aside.details")
  const found = []
  for (const name of names) {{
    pane.querySelector(".details-name button").click()
    while (pane.querySelector("form.rename input") === null) {INTERVAL}
    globalThis.type(pane.querySelector("form.rename input"), name)
    {INTERVAL}
    pane.querySelector("form.rename").requestSubmit()
    while (pane.querySelector("form.rename") !== null) {INTERVAL}
    const places = ["aside.details h2", "nav .row-name bdi", ".thread-title bdi"]
    const shown = () => places.map((place) => document.querySelector(place)?.textContent)
    while (shown().some((text) => text !== name)) {INTERVAL}
    found.push(...shown())
  }}
  return found
}}"""
SEARCH: Final = f"""async (queries) => {{
  const field = document.querySelector("nav input[type=search]")
  const counts = []
  for (const query of queries) {{
    globalThis.type(field, "")
    while (document.querySelector("nav .results") !== null) {INTERVAL}
    globalThis.type(field, query)
    while (!/result/.test(document.querySelector("nav .results [role=status]")?.textContent ?? "")) {INTERVAL}
    counts.push(document.querySelectorAll("nav .results li").length)
  }}
  globalThis.type(field, "")
  return counts
}}"""
SHOWN: Final = "rows => rows.map(row => row.textContent)"


def load() -> list[str]:
    """Read the strings, one a line; \\uXXXX, \\UXXXXXXXX, \\xXX (capital digits), \\n and \\t stand for characters."""

    def character(escape: re.Match[str]) -> str:
        digits = escape[1] or escape[2] or escape[3]
        return chr(int(digits, 16)) if digits else {"n": "\n", "t": "\t"}[escape[4]]

    lines = (Path(__file__).parent / "injections.txt").read_text().splitlines()
    return [ESCAPE.sub(character, line) for line in lines]


STRINGS: Final = load()


def is_name(text: str) -> bool:
    try:
        check_name(text)
    except Misuse:
        return False
    return True


@pytest.fixture(scope="module")
def bob(relay: RelayProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    with peer(tmp_path_factory.mktemp("bob") / "home", relay.origin) as opened:
        yield opened


@pytest.fixture(scope="module")
def alice(browser: Browser, relay: RelayProcess, bob: Peer) -> Iterator[Person]:
    """Alice, who has got every string from Bob and has sent him every one."""
    with person(browser, relay.origin) as newcomer:
        newcomer.create()
        acquaint(newcomer, "Alice", bob, "Bob")
        newcomer.write("Bob", "hello")
        newcomer.sees("hello", "delivered")
        newcomer.page.evaluate(WATCH)
        watched = Watch(newcomer.page, relay.origin)
        bob.write("Alice", STRINGS)
        bob.write("Alice", ["the last of Bob's"])
        newcomer.sees("the last of Bob's")
        newcomer.page.evaluate(WRITE, STRINGS)
        newcomer.write("Bob", "the last of Alice's")
        bob.until(len(STRINGS) + 2)
        newcomer.sees("the last of Alice's", "delivered")
        watched.nothing_ran()
        yield newcomer
        watched.nothing_ran()


class Watch:
    """Everything that would show that a text was taken for a program or an address."""

    def __init__(self, page: Page, origin: str) -> None:
        self._page = page
        self._origin = origin
        self.happened: list[str] = []
        heard: dict[Any, Callable[[Any], None]] = {
            "dialog": self._on_dialog,
            "popup": lambda popup: self.happened.append(f"popup {popup.url}"),
            "download": lambda download: self.happened.append(f"download {download.url}"),
            "framenavigated": lambda frame: self.happened.append(f"navigation {frame.url}"),
            "request": self._on_request,
            "websocket": lambda socket: self._on_address(socket.url),
        }
        for event, listener in heard.items():
            page.on(event, listener)

    def nothing_ran(self) -> None:
        assert self.happened == []
        assert self._page.evaluate("[globalThis.ran ?? null, Object.prototype.ran ?? null]") == [None, None]
        assert self._page.evaluate("globalThis.refused") == []
        assert self._page.locator("iframe, object, embed, base, form[action], [onerror], [onload]").count() == 0
        assert self._page.url == f"{self._origin}/"

    def _on_dialog(self, dialog: Dialog) -> None:
        self.happened.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def _on_request(self, request: Request) -> None:
        self._on_address(request.url)

    def _on_address(self, address: str) -> None:
        if not address.replace("ws", "http", 1).startswith(self._origin) and not address.startswith(self._origin):
            self.happened.append(f"request {address}")


def test_there_are_enough_of_many_kinds() -> None:
    assert len(STRINGS) == len(set(STRINGS)) >= 200
    assert sum(map(is_name, STRINGS)) >= 150


def test_messages_are_shown_as_they_were_written(alice: Person, bob: Peer) -> None:
    page = alice.page
    page.bring_to_front()
    ours, theirs = (page.locator(f"li.message.{side} .words") for side in ("ours", "theirs"))
    seen: dict[str, set[str]] = {"ours": set(), "theirs": set()}
    while "hello" not in seen["ours"]:
        seen["ours"].update(ours.evaluate_all(SHOWN))
        seen["theirs"].update(theirs.evaluate_all(SHOWN))
        assert page.locator("li.message .words *").count() == 0
        page.evaluate("document.querySelector('.messages').scrollBy(0, -400)")

    assert seen["ours"] == {"hello", *STRINGS, "the last of Alice's"}
    assert seen["theirs"] == {*STRINGS, "the last of Bob's"}
    assert bob.texts() == ["hello", *STRINGS, "the last of Alice's"]


def test_names_are_shown_as_they_were_given(alice: Person) -> None:
    names = [text for text in STRINGS if is_name(text)]
    shown = alice.page.evaluate(RENAME, names)
    assert shown == [name for name in names for _ in range(3)]
    assert alice.page.locator("bdi *").count() == 0


def test_what_is_searched_is_found_as_text(alice: Person) -> None:
    """Every string was sent both ways, so each finds itself twice or more; a search waits for typing to pause."""
    queries = [text for text in STRINGS[::4] if "\n" not in text]  # the field has one line
    counts = alice.page.evaluate(SEARCH, queries)
    unfound = [text for text, count in zip(queries, counts, strict=True) if count < 2]
    assert unfound == []
