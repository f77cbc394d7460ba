"""What files give away: no address before a person agrees, no plaintext at rest, and no server but our own."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser

from browser.people import introduce
from browser.servers import own_page
from browser.transfers import MEBIBYTE, Sent, Sharer, sharer, turn, turn_settings
from relay_process import RelayProcess, running_relay

STORED: Final = """async () => {
  const parts = []
  const list = async (folder) => {
    for await (const [name, entry] of folder.entries()) {
      parts.push(new TextEncoder().encode(name))
      if (entry.kind === "directory") await list(entry)
      else parts.push(new Uint8Array(await (await entry.getFile()).arrayBuffer()))
    }
  }
  await list(await navigator.storage.getDirectory())
  const settled = (request) => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
  const bytesIn = (value) => {
    if (value instanceof Uint8Array) parts.push(value)
    else if (typeof value === "string") parts.push(new TextEncoder().encode(value))
    else if (typeof value === "object" && value !== null) Object.values(value).forEach(bytesIn)
  }
  for (const { name } of await indexedDB.databases()) {
    const database = await settled(indexedDB.open(name))
    for (const table of database.objectStoreNames) {
      bytesIn(await settled(database.transaction(table).objectStore(table).getAll()))
    }
    database.close()
  }
  for (const name of await caches.keys()) {
    const cache = await caches.open(name)
    for (const answer of await cache.matchAll()) parts.push(new Uint8Array(await answer.arrayBuffer()))
  }
  bytesIn({ ...localStorage })
  bytesIn({ ...sessionStorage })
  let text = ""
  for (const part of parts) {
    for (let at = 0; at < part.length; at += 8192) text += String.fromCharCode(...part.subarray(at, at + 8192))
    text += "\\n"
  }
  return text
}"""
"""All that the page has stored anywhere, a character for each byte."""


@pytest.fixture(scope="module")
def relay_with_turn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    folder = tmp_path_factory.mktemp("turn")
    with turn(folder) as port, running_relay(tmp_path_factory.mktemp("relay"), **turn_settings(port)) as process:
        yield process


@contextlib.contextmanager
def two(browser: Browser, address: str) -> Iterator[tuple[Sharer, Sharer]]:
    """Two people who know each other and have agreed to nothing."""
    with sharer(browser, address) as alice, sharer(browser, address) as bob:
        introduce(alice.person, bob.person)
        yield alice, bob


def test_before_a_person_agrees_only_relayed_candidates_are_offered(
    browser: Browser, relay_with_turn: RelayProcess
) -> None:
    with two(browser, relay_with_turn.origin) as (alice, bob):
        file = Sent("film", 2 * MEBIBYTE)
        offer = alice.offer("Bob", file)
        bob.accept("Alice", offer)
        moving = bob.until("Alice", offer, lambda found: found["path"] is not None or found["state"] == "done")
        assert moving["path"] in {"relayed", None}
        assert bob.until_state("Alice", offer, "done")["hasTurn"]
        assert bob.saved(offer) == {"film": file.digest}
        for person in (alice, bob):
            assert person.candidates() == ["relay"]
            configurations = person.page.evaluate("globalThis.configurations.map((one) => JSON.parse(one))")
            assert configurations
            assert {one["iceTransportPolicy"] for one in configurations} == {"relay"}

        # The same readers find the others as soon as both agreed: they do look.
        alice.allow_direct("Bob")
        bob.allow_direct("Alice")
        second = alice.offer("Bob", file)
        bob.accept("Alice", second)
        bob.until_state("Alice", second, "done")
        assert "host" in alice.candidates()
        assert "host" in bob.candidates()


def test_one_who_agreed_does_not_make_the_other_show_an_address(
    browser: Browser, relay_with_turn: RelayProcess
) -> None:
    with two(browser, relay_with_turn.origin) as (alice, bob):
        alice.allow_direct("Bob")
        file = Sent("note", 1000)
        offer = alice.offer("Bob", file)
        bob.accept("Alice", offer)
        bob.until_state("Alice", offer, "done")
        assert bob.candidates() == ["relay"]


def test_without_turn_both_hear_who_has_to_agree(browser: Browser, relay: RelayProcess) -> None:
    with two(browser, relay.origin) as (alice, bob):
        file = Sent("note", 1000)
        offer = alice.offer("Bob", file)
        bob.accept("Alice", offer)
        for person, name in ((alice, "Bob"), (bob, "Alice")):
            shown = person.until(name, offer, lambda found: found["reason"] == "needs-direct")
            assert (shown["state"], shown["hasTurn"]) == ("waiting", False)
        alice.allow_direct("Bob")
        alice.until("Bob", offer, lambda found: found["reason"] == "no-turn")
        assert bob.page.evaluate("globalThis.configurations") == []
        bob.allow_direct("Alice")
        bob.until_state("Alice", offer, "done")
        assert bob.saved(offer) == {"note": file.digest}


def test_no_plaintext_rests_in_the_browser(browser: Browser, relay: RelayProcess) -> None:
    with two(browser, relay.origin) as (alice, bob):
        alice.allow_direct("Bob")
        bob.allow_direct("Alice")
        file = Sent("a-name-of-its-own.bin", MEBIBYTE + 3)
        kept = file.content.decode("latin-1")
        pieces = [kept[at : at + 24] for at in (4, 16_400, 600_000, MEBIBYTE - 30)]
        offer = alice.offer("Bob", file)
        bob.accept("Alice", offer)
        bob.until_state("Alice", offer, "done")
        for person in (alice, bob):
            stored = person.page.evaluate(STORED)
            assert offer in stored  # the dump is no empty one
            assert not any(secret in stored for secret in (*pieces, file.path, "a-name-of-its-own"))
        bob.saved(offer)
        assert pieces[1] in bob.page.evaluate(STORED)  # while it is saved it lies there
        bob.page.reload()
        bob.until_state("Alice", offer, "done")
        bob.until_stored(lambda found: not any("saving" in path for path in found))
        assert pieces[1] not in bob.page.evaluate(STORED)
        bob.call("cancelFile", offer)
        bob.until_stored(lambda found: found == {})


def test_files_go_through_the_page_of_ones_own_machine(browser: Browser, relay: RelayProcess) -> None:
    with own_page(relay.origin) as address, sharer(browser, address) as alice, sharer(browser, relay.origin) as bob:
        introduce(alice.person, bob.person)
        alice.allow_direct("Bob")
        bob.allow_direct("Alice")
        file = Sent("note", 100_000)
        offer = alice.offer("Bob", file)
        bob.accept("Alice", offer)
        bob.until_state("Alice", offer, "done")
        assert bob.saved(offer) == {"note": file.digest}
        back = bob.offer("Alice", file)
        alice.accept("Bob", back)
        alice.until_state("Bob", back, "done")
        assert alice.saved(back) == {"note": file.digest}


def test_the_drop_serves_who_is_never_online_together(browser: Browser, tmp_path: Path) -> None:
    settings = {"HALONYX_DROP_QUOTA": str(64 * MEBIBYTE)}
    with running_relay(tmp_path, **settings) as relay, two(browser, relay.origin) as (alice, bob):
        file = Sent("film", 5 * MEBIBYTE)
        offer = alice.offer("Bob", file, drop=True)
        alice.until("Bob", offer, lambda found: found["inDrop"])
        bob.until("Alice", offer, lambda found: found["inDrop"])
        assert len(held(relay)) == 1
        address = alice.page.url
        alice.page.goto("about:blank")
        bob.accept("Alice", offer)
        done = bob.until_state("Alice", offer, "done")
        assert done["inDrop"]
        assert bob.saved(offer) == {"film": file.digest}
        assert bob.page.evaluate("globalThis.configurations") == []
        assert held(relay) == []  # gone at once
        alice.page.goto(address)
        alice.until_state("Bob", offer, "done")


def held(relay: RelayProcess) -> list[Path]:
    """Return the files in a relay's drop."""
    return [path for path in (relay.data / "drop").rglob("*") if path.is_file()]


def test_erasing_this_device_deletes_files_too(browser: Browser, relay: RelayProcess) -> None:
    with two(browser, relay.origin) as (alice, bob):
        alice.allow_direct("Bob")
        bob.allow_direct("Alice")
        offer = alice.offer("Bob", Sent("film", 20 * MEBIBYTE))
        bob.accept("Alice", offer)
        bob.until_begun("Alice", offer)
        for person in (alice, bob):
            person.call("eraseDevice")
            person.until_stored(lambda found: found == {})
