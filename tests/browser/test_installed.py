"""The installed page: offline from its own cache, and from one build to the next without ever mixing them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from browser.builds import (
    PACKAGE,
    adjust_service_worker,
    alter,
    built,
    copied_package,
    copied_sources,
    hash_of_site,
    site_of,
)
from browser.people import HANGING_MS, Person, introduce, person
from relay_process import RelayProcess, running_relay

OLD: Final = "Search people and messages"
NEW: Final = "Find people and messages"
READY: Final = "A new version is ready."
TAKEN: Final = "Another tab updated Halonyx. Reload this one too."
ANOTHER_BUILD: Final = "The server now has another build."
UPDATE: Final = "navigator.serviceWorker.getRegistration().then((found) => found.update()).then(() => null, () => null)"
CACHED: Final = """async () => {
  const found = {}
  for (const name of await caches.keys()) {
    const cache = await caches.open(name)
    found[name] = (await cache.keys()).map(({ url }) => new URL(url).pathname.slice(1)).sort()
  }
  return found
}"""
LOADED: Final = """() => performance.getEntriesByType("resource")
  .map(({ name }) => new URL(name)).filter(({ origin }) => origin === location.origin)
  .map(({ pathname }) => pathname.slice(1)).filter((path) => path.startsWith("assets/"))"""


@dataclass(frozen=True)
class Upgrade:
    """A relay whose build can be changed while it is down.

    Attributes:
        old: The build of today; `new` is one that differs in a sentence.
        package: What the relay runs from.
    """

    relay: RelayProcess
    package: Path
    old: Path
    new: Path

    def serve(self, site: Path) -> None:
        """Start again with another build."""
        self.relay.stop()
        for path in sorted(site_of(self.package).rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        for path in site.rglob("*"):
            if path.is_file():
                target = site_of(self.package) / path.relative_to(site)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
        self.relay.start()


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Ours, and one that differs in a sentence and in the reader of QR codes."""
    folder = tmp_path_factory.mktemp("builds")
    sources = copied_sources(folder / "sources")
    words = sources / "src" / "app" / "text" / "en.ts"
    text = words.read_text()
    assert OLD in text
    words.write_text(text.replace(OLD, NEW))
    reader = sources / "src" / "app" / "qr_worker.ts"
    reader.write_text(reader.read_text().replace("LONGEST = 1000", "LONGEST = 900"))
    built(sources, folder / "new")
    return site_of(PACKAGE.parent), folder / "new"


@pytest.fixture
def upgrade(builds: tuple[Path, Path], tmp_path: Path) -> Iterator[Upgrade]:
    package = copied_package(tmp_path / "package")
    with running_relay(tmp_path / "relay", PYTHONPATH=str(package)) as relay:
        yield Upgrade(relay, package, *builds)


def installed(page: Page) -> None:
    """Wait until the service worker has everything, and let it serve the page."""
    page.evaluate("navigator.serviceWorker.ready.then(() => null)")
    expect(page.locator("aside.update")).to_have_count(0)  # the first build is no new one
    page.reload()
    expect(page.get_by_role("button", name="Settings")).to_be_visible()
    assert page.evaluate("navigator.serviceWorker.controller.scriptURL").endswith("/service_worker.js")


def field(page: Page, words: str) -> Locator:
    """Return what the two builds call differently."""
    return page.get_by_role("searchbox", name=words, exact=True)


def files_of(site: Path) -> list[str]:
    paths = (path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file())
    return sorted(path for path in paths if path != "service_worker.js")


def is_wholly(page: Page, site: Path, words: str) -> None:
    """Check that the page, its scripts and its cache are of one build."""
    expect(field(page, words)).to_be_visible()
    loaded = page.evaluate(LOADED)
    assert loaded != []
    assert set(loaded) <= set(files_of(site))
    (kept,) = page.evaluate(CACHED).values()
    assert kept == files_of(site)


def about(page: Page, *, is_served: bool) -> str:
    """Return the hash that the page shows of itself, and check what it says of the server."""
    page.get_by_role("button", name="Settings").click()
    shown = page.locator(".build")
    expect(shown).to_be_visible()
    expect(page.get_by_text(ANOTHER_BUILD)).to_have_count(0 if is_served else 1)
    text = shown.inner_text()
    page.keyboard.press("Escape")
    return text


def test_the_manifest_and_its_icons_make_it_installable(browser: Browser, relay: RelayProcess) -> None:
    with person(browser, relay.origin) as alice:
        session = alice.context.new_cdp_session(alice.page)
        alice.page.evaluate("navigator.serviceWorker.ready.then(() => null)")
        told = session.send("Page.getAppManifest")
        assert told["errors"] == []
        errors = session.send("Page.getInstallabilityErrors")["installabilityErrors"]
        assert [error["errorId"] for error in errors] == ["in-incognito"]  # as every context of a test is
        manifest = json.loads(told["data"])

        assert (manifest["name"], manifest["display"]) == ("Halonyx", "standalone")
        purposes = {icon.get("purpose", "any") for icon in manifest["icons"]}
        assert {"any", "maskable"} <= purposes
        for icon in manifest["icons"]:
            answer = alice.context.request.get(f"{relay.origin}/{icon['src'].removeprefix('./').removeprefix('/')}")
            assert (answer.status, answer.headers["content-type"]) == (200, icon["type"])
            if icon["sizes"] != "any":
                width = int.from_bytes(answer.body()[16:20], "big")  # PNG, IHDR
                assert f"{width}x{width}" == icon["sizes"]


def test_offline_it_opens_shows_the_history_and_sends_later(browser: Browser, tmp_path: Path) -> None:
    with (
        running_relay(tmp_path / "relay") as relay,
        person(browser, relay.origin) as alice,
        person(browser, relay.origin) as bob,
    ):
        alice.create()
        bob.create()
        introduce(alice, bob)
        alice.write("Bob", "while there was a network")
        bob.sees("while there was a network")
        alice.sees("while there was a network", "delivered")
        installed(alice.page)

        relay.stop()
        alice.context.set_offline(True)
        alice.page.goto(relay.origin)
        alice.open("Bob")
        alice.sees("while there was a network", "delivered")
        alice.write("Bob", "from the tunnel")
        alice.sees("from the tunnel", "waiting")
        alice.page.reload()
        alice.open("Bob")
        alice.sees("from the tunnel", "waiting")

        relay.start()
        alice.context.set_offline(False)
        bob.try_now()
        bob.sees("from the tunnel")
        alice.sees("from the tunnel", "delivered")


def test_a_new_build_waits_for_the_person_and_then_is_all_there_is(browser: Browser, upgrade: Upgrade) -> None:
    with person(browser, upgrade.relay.origin) as alice:
        alice.create()
        installed(alice.page)
        is_wholly(alice.page, upgrade.old, OLD)

        upgrade.serve(upgrade.new)
        alice.page.reload()  # the old one, whole, although the server has another
        expect(alice.page.get_by_text(READY)).to_be_visible()
        expect(field(alice.page, OLD)).to_be_visible()
        assert set(alice.page.evaluate(LOADED)) <= set(files_of(upgrade.old))
        assert about(alice.page, is_served=False) == hash_of_site(upgrade.old)

        with alice.page.expect_navigation():
            alice.page.get_by_role("button", name="Reload").click()
        is_wholly(alice.page, upgrade.new, NEW)
        expect(alice.page.get_by_text(READY)).to_have_count(0)
        assert about(alice.page, is_served=True) == hash_of_site(upgrade.new)


def test_a_tab_that_is_open_hears_of_a_new_build_and_keeps_the_old_until_it_reloads(
    browser: Browser, upgrade: Upgrade
) -> None:
    with person(browser, upgrade.relay.origin) as alice:
        alice.create()
        installed(alice.page)
        other = Person(alice.context, alice.context.new_page(), alice.wrong)
        other.page.goto(upgrade.relay.origin)
        expect(field(other.page, OLD)).to_be_visible()

        upgrade.serve(upgrade.new)
        alice.page.evaluate(UPDATE)
        for tab in (alice, other):
            expect(tab.page.get_by_text(READY)).to_be_visible()
        alice.page.bring_to_front()  # timers of a tab that nobody sees are slow
        with alice.page.expect_navigation():
            alice.page.get_by_role("button", name="Reload").click()
        is_wholly(alice.page, upgrade.new, NEW)

        expect(other.page.get_by_text(READY)).to_have_count(0)
        other.page.bring_to_front()
        expect(other.page.get_by_text(TAKEN)).to_be_visible()
        other.page.get_by_role("button", name="Add someone").first.click()
        with other.page.expect_file_chooser() as chooser:
            other.page.get_by_role("button", name="From a picture").click()
        chooser.value.set_files(site_of(PACKAGE.parent) / "icon-192.png")  # what reads it is loaded only now
        expect(other.page.get_by_text(TAKEN)).to_have_count(2)
        other.page.keyboard.press("Escape")
        assert set(other.page.evaluate(LOADED)) <= set(files_of(upgrade.old))
        with other.page.expect_navigation():
            other.page.get_by_role("button", name="Reload").click()
        is_wholly(other.page, upgrade.new, NEW)


def test_a_build_with_a_file_that_does_not_fit_is_not_installed(
    browser: Browser, upgrade: Upgrade, tmp_path: Path
) -> None:
    """The old one stays, whole, and works; the right one is taken when it comes."""
    broken = tmp_path / "broken"
    for path in upgrade.new.rglob("*"):
        if path.is_file():
            target = broken / path.relative_to(upgrade.new)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    alter(broken, "assets/worker-*.js", lambda script: script + b"\n")
    with person(browser, upgrade.relay.origin) as alice:
        alice.create()
        installed(alice.page)
        upgrade.serve(broken)
        assert (
            alice.page.evaluate("""async () => {
          const registration = await navigator.serviceWorker.getRegistration()
          const gone = new Promise((resolve) => registration.addEventListener("updatefound", () => {
            const worker = registration.installing
            worker.addEventListener("statechange", () => resolve(worker.state), { once: true })
          }))
          await registration.update().catch(() => undefined)
          return gone
        }""")
            == "redundant"
        )
        alice.page.reload()
        is_wholly(alice.page, upgrade.old, OLD)
        expect(alice.page.get_by_text(READY)).to_have_count(0)

        adjust_service_worker(broken)
        assert hash_of_site(broken) != hash_of_site(upgrade.new)
        upgrade.serve(broken)
        alice.page.evaluate(UPDATE)
        expect(alice.page.get_by_text(READY)).to_be_visible(timeout=HANGING_MS)
        with alice.page.expect_navigation():
            alice.page.get_by_role("button", name="Reload").click()
        is_wholly(alice.page, broken, NEW)
