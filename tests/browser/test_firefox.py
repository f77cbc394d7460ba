"""Between Firefox and Chromium: the main flow, and files both ways; and every known answer inside Firefox."""

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser

from browser.people import GROUPS, STATES
from browser.test_vectors import RUN, page_address
from browser.transfers import MEBIBYTE, Sent, Sharer, sharer
from relay_process import RelayProcess

__all__ = ["page_address"]
DRIVER: Final = Path(__file__).with_name("firefox.mjs")
DROP: Final = """(() => {
  const dataTransfer = new DataTransfer()
  dataTransfer.items.add(new File([new Uint8Array(100_000).fill(7)], "back.bin"))
  const target = document.querySelector('[aria-label="Conversation with Alice"]')
  target.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer }))
})()"""
TEXTS: Final = "[...document.querySelectorAll('li.message .words')].map((words) => words.innerText)"


class Firefox:
    """A Firefox with a profile of its own; each command waits until it could be done."""

    def __init__(self) -> None:
        executable = shutil.which("firefox-esr") or shutil.which("firefox")
        assert executable is not None, "Firefox is missing: apt-get install firefox-esr"
        command = ["node", str(DRIVER), executable]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.version = self._answer()

    def __call__(self, command: str, *given: object) -> Any:  # noqa: ANN401 (whatever the page says)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([command, *given]) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:  # noqa: ANN401
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "Firefox or its driver ended"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["value"]

    def end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def create(self) -> None:
        """Make an identity as a newcomer does."""
        self("press", "Create my identity")
        self("until", "document.querySelectorAll('ol.code li').length > 0")
        groups = self("evaluate", "[...document.querySelectorAll('ol.code li')].map((group) => group.innerText)")
        assert len(groups) == GROUPS
        self("press", "I have kept it")
        self("until", "document.querySelector('label.group') !== null")
        for label in self("evaluate", "[...document.querySelectorAll('label.group')].map((label) => label.innerText)"):
            number = re.search(r"\d", label)
            assert number is not None
            self("fill", label.strip(), groups[int(number[0]) - 1])
        self("press", "Check")
        self("press", "Go to my messages")

    def card(self) -> str:
        """Return our card's link, from the dialog that shares it."""
        self("press", "Share your card")
        link = (
            "[...document.querySelectorAll('input')].find((field) => field.labels[0]?.innerText === 'Your link')?.value"
        )
        card = str(self("until", link))
        self("press", "Close")
        return card

    def add(self, card: str, name: str) -> None:
        self("press", "Add someone")
        self("fill", "Their link or card", card)
        self("fill", "Your name for them", name)
        self("press", "Add")
        self("until", f"document.querySelector('[aria-label=\"Conversation with {name}\"]')?.checkVisibility()")

    def write(self, name: str, text: str) -> None:
        self("fill", f"Message to {name}", text)
        self("key", "Enter")

    def sees(self, text: str, state: str | None = None) -> None:
        """Wait until a message is shown once, and has come as far as `state`."""
        rows = "[...document.querySelectorAll('li.message')]"
        mine = f"{rows}.filter((row) => row.querySelector('.words').innerText === {json.dumps(text)})"
        self("until", f"{mine}.length === 1")
        if state is not None:
            self("until", f"{mine}[0]?.querySelector('.state')?.textContent === {json.dumps(STATES[state])}")

    def is_told(self, words: str) -> None:
        """Wait until the page says this somewhere."""
        self("until", f"document.body.innerText.includes({json.dumps(words)})")


@pytest.fixture(scope="module")
def firefox() -> Iterator[Firefox]:
    started = Firefox()
    yield started
    started.end()


@pytest.fixture(scope="module")
def friend(firefox: Firefox, browser: Browser, relay: RelayProcess) -> Iterator[Sharer]:
    """Alice, whom Fiona at Firefox knows, and who knows Fiona."""
    firefox("goto", relay.origin)
    firefox.create()
    card = firefox.card()
    with sharer(browser, relay.origin) as alice:
        firefox.add(alice.person.card(), "Alice")
        alice.person.add(card, "Fiona")
        yield alice


@pytest.fixture
def pair(friend: Sharer, firefox: Firefox, relay: RelayProcess) -> tuple[Sharer, Firefox]:
    """The two, looking at their conversation."""
    friend.person.open("Fiona")
    firefox("goto", relay.origin)
    firefox("click", "nav .row-name")
    return friend, firefox


@pytest.mark.timeout(240)
def test_firefox_and_chromium_write_to_each_other(pair: tuple[Sharer, Firefox]) -> None:
    alice, firefox = pair[0].person, pair[1]
    firefox.write("Alice", "from Firefox")
    alice.sees("from Firefox")
    firefox.sees("from Firefox", "delivered")
    alice.write("Fiona", "from Chromium")
    firefox.sees("from Chromium")
    alice.sees("from Chromium", "delivered")

    firefox("reload")
    firefox.sees("from Chromium")
    for number in range(3):
        firefox.write("Alice", f"after a reload {number}")
        alice.write("Fiona", f"and back {number}")
        alice.sees(f"after a reload {number}")
        firefox.sees(f"and back {number}", None)
        firefox.sees(f"after a reload {number}", "delivered")
        alice.sees(f"and back {number}", "delivered")
    assert sorted(firefox("evaluate", TEXTS)) == sorted(alice.texts())
    assert firefox("wrong") == []


@pytest.mark.timeout(240)
def test_files_go_both_ways(pair: tuple[Sharer, Firefox]) -> None:
    alice, firefox = pair
    alice.allow_direct("Fiona")
    file = Sent("film.bin", 3 * MEBIBYTE)
    offer = alice.offer("Fiona", file)
    firefox("press", "Accept")
    firefox("press", "Connect directly")
    firefox.is_told("Received and checked")
    alice.until_state("Fiona", offer, "done")
    firefox("press", "Save")
    saved = Path(firefox("downloaded", "film.bin"))
    assert hashlib.sha256(saved.read_bytes()).hexdigest() == file.digest

    firefox("evaluate", DROP)
    firefox("press", "Send")
    back = alice.until_offered("Fiona", "back.bin")
    alice.accept("Fiona", back)
    alice.until_state("Fiona", back, "done")
    assert alice.saved(back) == {"back.bin": hashlib.sha256(bytes([7]) * 100_000).hexdigest()}
    firefox.is_told("Alice has it")
    assert firefox("wrong") == []


@pytest.mark.timeout(300)
def test_every_vector_in_firefox(firefox: Firefox, page_address: str) -> None:
    firefox("goto", page_address)
    failures, uses_own = firefox("evaluate", RUN)

    assert failures == []
    assert not uses_own, "this Firefox has ML-KEM of its own: test noble's, too"
