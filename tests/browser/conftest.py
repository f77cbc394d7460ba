"""One Chromium and one relay for all; each person has a profile of their own."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Playwright, expect, sync_playwright

from browser.browsers import LOOPBACK, launch
from browser.people import HANGING_MS, Person, introduce, person
from browser.transfers import Sharer, sharer
from halonyx.web.build import load
from relay_process import RelayProcess, running_relay


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    expect.set_options(timeout=HANGING_MS)
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    started = launch(playwright, LOOPBACK)
    yield started
    started.close()


@pytest.fixture(scope="session")
def common_relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    assert load() is not None, "the browser client is not built: make web"
    with running_relay(tmp_path_factory.mktemp("relay")) as process:
        yield process


@pytest.fixture(scope="module")
def relay(common_relay: RelayProcess) -> RelayProcess:
    """It runs when a module begins, whatever the tests before did to it."""
    if not common_relay.is_ready():
        if common_relay.is_running:
            common_relay.kill()
        common_relay.start()
    return common_relay


@pytest.fixture
def alice(browser: Browser, relay: RelayProcess) -> Iterator[Person]:
    with person(browser, relay.origin) as newcomer:
        newcomer.create()
        yield newcomer


@pytest.fixture
def bob(browser: Browser, relay: RelayProcess) -> Iterator[Person]:
    with person(browser, relay.origin) as newcomer:
        newcomer.create()
        yield newcomer


@pytest.fixture(scope="module")
def old_friends(browser: Browser, relay: RelayProcess) -> Iterator[tuple[Person, Person]]:
    """Two people for every test of a module that does not mind what they wrote before."""
    with person(browser, relay.origin) as alice, person(browser, relay.origin) as bob:
        alice.create()
        bob.create()
        introduce(alice, bob)
        yield alice, bob


@pytest.fixture
def friends(old_friends: tuple[Person, Person]) -> tuple[Person, Person]:
    """The two, looking at their conversation."""
    alice, bob = old_friends
    alice.open("Bob")
    bob.open("Alice")
    return old_friends


@pytest.fixture(scope="module")
def old_sharers(browser: Browser, relay: RelayProcess) -> Iterator[tuple[Sharer, Sharer]]:
    """Two people for the tests of a module that send files."""
    with sharer(browser, relay.origin) as alice, sharer(browser, relay.origin) as bob:
        introduce(alice.person, bob.person)
        yield alice, bob


@pytest.fixture
def sharers(old_sharers: tuple[Sharer, Sharer], relay: RelayProcess) -> Iterator[tuple[Sharer, Sharer]]:
    """The two, between whom there is nothing but their past."""
    alice, bob = old_sharers
    with alice.anew(relay.origin, "Bob"), bob.anew(relay.origin, "Alice"):
        yield old_sharers


@pytest.fixture
def pair(alice: Person, bob: Person) -> tuple[Person, Person]:
    """Two people who have each other's card; both look at the conversation."""
    introduce(alice, bob)
    return alice, bob
