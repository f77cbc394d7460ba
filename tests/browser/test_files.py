"""Files from browser to browser, over a real relay and real WebRTC."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Playwright

from browser.browsers import launch
from browser.people import introduce
from browser.transfers import LOOPBACK, MEBIBYTE, Sent, Sharer, sharer
from relay_process import RelayProcess


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    started = launch(playwright, LOOPBACK)
    yield started
    started.close()


@pytest.fixture
def alice(browser: Browser, relay: RelayProcess) -> Iterator[Sharer]:
    with sharer(browser, relay.origin) as opened:
        yield opened


@pytest.fixture
def bob(browser: Browser, relay: RelayProcess) -> Iterator[Sharer]:
    with sharer(browser, relay.origin) as opened:
        yield opened


@pytest.fixture
def pair(alice: Sharer, bob: Sharer) -> tuple[Sharer, Sharer]:
    """Two people who agreed to direct connections."""
    introduce(alice.person, bob.person)
    alice.allow_direct("Bob")
    bob.allow_direct("Alice")
    return alice, bob


def test_a_small_file_arrives(pair: tuple[Sharer, Sharer]) -> None:
    alice, bob = pair
    file = Sent("note.txt", 1000, type="text/plain")
    offer = alice.offer("Bob", file)
    bob.accept("Alice", offer)
    shown = bob.until_state("Alice", offer, "done")
    assert (shown["name"], shown["mediaType"], shown["size"], shown["count"]) == ("note.txt", "text/plain", 1000, 1)
    alice.until_state("Bob", offer, "done")
    assert bob.saved(offer) == {"note.txt": file.digest}


def test_several_megabytes_arrive(pair: tuple[Sharer, Sharer]) -> None:
    alice, bob = pair
    file = Sent("film.bin", 8 * MEBIBYTE + 5)
    offer = alice.offer("Bob", file)
    bob.accept("Alice", offer)
    bob.until_state("Alice", offer, "done")
    assert bob.saved(offer) == {"film.bin": file.digest}
