"""Files between Firefox and Chromium, both ways, from browser to browser."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Playwright

from browser.browsers import launch
from browser.test_firefox import Firefox
from browser.transfers import LOOPBACK, MEBIBYTE, Sent, sharer
from relay_process import RelayProcess

DROP: Final = """(() => {
  const dataTransfer = new DataTransfer()
  dataTransfer.items.add(new File([new Uint8Array(100_000).fill(7)], "back.bin"))
  const target = document.querySelector('[aria-label="Conversation with Alice"]')
  target.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer }))
})()"""


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    started = launch(playwright, LOOPBACK)
    yield started
    started.close()


@pytest.fixture
def firefox() -> Iterator[Firefox]:
    started = Firefox()
    yield started
    started.end()


def until_shown(firefox: Firefox, words: str) -> None:
    firefox("until", f"document.body.innerText.includes({json.dumps(words)})")


@pytest.mark.timeout(240)
def test_files_go_both_ways(firefox: Firefox, browser: Browser, relay: RelayProcess) -> None:
    firefox("goto", relay.origin)
    firefox.create()
    card = firefox.card()
    with sharer(browser, relay.origin) as alice:
        firefox.add(alice.person.card(), "Alice")
        alice.person.add(card, "Fiona")
        alice.allow_direct("Fiona")

        file = Sent("film.bin", 3 * MEBIBYTE)
        offer = alice.offer("Fiona", file)
        firefox("press", "Accept")
        firefox("press", "Connect directly")
        until_shown(firefox, "Received and checked")
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
        until_shown(firefox, "Alice has it")
    assert firefox("wrong") == []
