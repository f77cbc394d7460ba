"""People at two relays: through `halonyx web` at once, from a relay's own page if its operator allows it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, expect

from browser.peer import peer
from browser.people import Person, introduce, person
from browser.servers import own_page
from relay_process import RelayProcess, running_relay

UNTIL_KEPT: Final = """async relay => {
  const isUnderIt = file => file.headers.get("content-security-policy").includes(relay)
  for (;;) {
    const [name] = await caches.keys()
    const files = await (await caches.open(name)).matchAll()
    if (files.length > 0 && files.every(isUnderIt)) return
    await new Promise(requestAnimationFrame)
  }
}"""
"""Wait until every file that is kept came with a policy that names a relay."""


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    with running_relay(tmp_path_factory.mktemp("second")) as process:
        yield process


def choose(newcomer: Person, relay: str) -> None:
    """Choose another relay than the page offers."""
    newcomer.press("Use another relay")
    field = newcomer.page.get_by_label("Relay")
    for wrong in ("relay.example", "https://relay.example/path", "http://relay.example"):
        field.fill(wrong)
        newcomer.is_told("A relay is written like https://relay.example, with nothing behind it.")
        expect(newcomer.page.get_by_role("button", name="Create my identity")).to_be_disabled()
    field.fill(f"{relay}/")


def test_through_halonyx_web(browser: Browser, relay: RelayProcess, second: RelayProcess) -> None:
    with own_page(relay.origin) as address, person(browser, address) as alice, person(browser, address) as bob:
        asked: list[str] = []
        for context in (alice.context, bob.context):
            context.on("request", lambda request: asked.append(request.url))
        alice.create()
        choose(bob, second.origin)
        bob.create()
        assert alice.card().startswith(relay.origin)
        assert bob.card().startswith(second.origin)
        introduce(alice, bob)
        alice.write("Bob", "across the border")
        bob.sees("across the border")
        bob.write("Alice", "welcome")
        alice.sees("welcome")
        alice.sees("across the border", "delivered")
        bob.sees("welcome", "delivered")

        # One relay that is away holds up nothing but what goes there.
        relay.kill()
        bob.write("Alice", "are you there?")
        bob.sees("are you there?", "waiting")
        bob.is_told("It goes out when their relay can be reached.")
        expect(bob.people.get_by_text("You are offline.")).to_have_count(0)
        alice.write("Bob", "I still reach yours")
        bob.sees("I still reach yours")
        relay.start()
        alice.try_now()
        alice.sees("are you there?")
        bob.sees("are you there?", "delivered")
        alice.sees("I still reach yours", "delivered")
        assert asked
        assert {url for url in asked if not url.startswith((f"{address}/", "blob:"))} == set()


def test_from_a_relays_page(browser: Browser, second: RelayProcess, tmp_path: Path) -> None:
    with (
        running_relay(tmp_path / "first") as first,
        peer(tmp_path / "bob", second.origin) as bob,
        person(browser, first.origin) as alice,
    ):
        alice.create()
        bob.add(alice.card(), "alice")
        alice.add(bob.card, "Bob")
        alice.write("Bob", "can I reach you?")
        alice.sees("can I reach you?", "waiting")
        alice.is_told("It waits because this page may not reach their relay.")
        bob.write("alice", ["I reach you"])
        alice.sees("I reach you")

        first.stop()
        first.settings["HALONYX_PEER_RELAYS"] = json.dumps([second.origin])
        first.start()
        # The page that is kept for offline use asks when it is opened, and is under the new policy the next time.
        alice.page.reload()
        alice.page.evaluate(UNTIL_KEPT, second.origin)
        alice.page.reload()
        alice.open("Bob")
        alice.sees("can I reach you?", "delivered")
        assert bob.until(1) == ["can I reach you?"]
        bob.until_state("alice", "I reach you", "delivered")
