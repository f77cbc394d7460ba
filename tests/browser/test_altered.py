"""A relay that serves altered scripts: its own page is lost, and whoever uses `halonyx web` is not."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, expect

from browser.builds import alter, copied_package, hash_of_site, running_web, site_of
from browser.people import Person, introduce, person
from halonyx.web.build import load
from hostile.liars import DEMO
from lying_relay.insider import Cards
from lying_relay.page import THIEF, AlteredJavaScript
from relay_process import RelayProcess, free_port, running_relay

STOLEN: Final = "globalThis.stolen ?? null"


@dataclass(frozen=True)
class Hostile:
    """A relay with an altered build.

    Attributes:
        altered: Hash of what it serves.
        clean: Package with the build it altered.
        honest: Hash of that build.
    """

    relay: RelayProcess
    altered: str
    clean: Path
    honest: str


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    """A relay with a script that reads along, and with all of its hashes made to fit."""
    folder = tmp_path_factory.mktemp("hostile")
    clean = copied_package(folder / "clean")
    altered = AlteredJavaScript(Cards(None), None).page(load())
    assert altered is not None
    program = ("lying_relay", "altered-javascript")
    relay = RelayProcess(free_port(), folder / "relay", {"PYTHONPATH": f"{clean}:{DEMO}"}, program)
    relay.start()
    yield Hostile(relay, altered.hash, clean, hash_of_site(site_of(clean)))
    relay.stop()


def about(someone: Person) -> str:
    """Return the hash that the page shows."""
    someone.page.get_by_role("button", name="Settings").click()
    shown = someone.page.locator(".build")
    expect(shown).to_be_visible()
    text = shown.inner_text()
    someone.page.keyboard.press("Escape")
    return text


def test_the_page_of_an_altered_relay_is_lost(browser: Browser, hostile: Hostile) -> None:
    """The relay reads what is written before it is encrypted; only comparing hashes with somebody else's shows it."""
    with person(browser, hostile.relay.origin) as alice, person(browser, hostile.relay.origin) as bob:
        alice.create()
        bob.create()
        introduce(alice, bob)
        alice.write("Bob", "between you and me")
        bob.sees("between you and me")

        assert alice.page.evaluate(STOLEN) == ["between you and me"]
        assert about(alice) == hostile.altered != hostile.honest


def test_halonyx_web_runs_its_own_build_against_the_same_relay(browser: Browser, hostile: Hostile) -> None:
    with (
        running_web(hostile.relay.origin, hostile.clean) as (address, printed),
        person(browser, address) as alice,
        person(browser, hostile.relay.origin) as bob,
    ):
        assert printed == hostile.honest
        alice.create()
        bob.create()
        introduce(alice, bob)
        alice.write("Bob", "between you and me")
        bob.sees("between you and me")
        bob.write("Alice", "and the walls")
        alice.sees("and the walls")
        alice.sees("between you and me", "delivered")

        assert alice.page.evaluate(STOLEN) is None
        assert bob.page.evaluate(STOLEN) == ["and the walls"]
        assert about(alice) == printed
        scripts = alice.page.evaluate("performance.getEntriesByType('resource').map(({ name }) => name)")
        assert all(name.startswith(address) for name in scripts)


def test_a_script_that_does_not_fit_its_hash_is_never_kept(browser: Browser, tmp_path: Path) -> None:
    """Half an alteration: the list of hashes is the old one, so the service worker refuses the whole build."""
    package = copied_package(tmp_path / "package")
    alter(site_of(package), "assets/qr_worker-*.js", lambda script: script + THIEF)
    with running_relay(tmp_path / "relay", PYTHONPATH=str(package)) as relay, person(browser, relay.origin) as alice:
        alice.create()
        state = alice.page.evaluate("""async () => {
          const registration = await navigator.serviceWorker.getRegistration()
          const worker = registration?.installing
          if (!worker) return registration ? "other" : "gone"
          await new Promise((resolve) => worker.addEventListener("statechange", resolve, { once: true }))
          return worker.state
        }""")

        assert state in {"gone", "redundant"}
        assert alice.page.evaluate("navigator.serviceWorker.controller") is None
