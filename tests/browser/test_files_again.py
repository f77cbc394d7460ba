"""Files that go on: after a reload, on another network, when a full disk has room again."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Locator, Playwright, expect

from browser.people import HANGING_MS, introduce
from browser.test_files_ui import card, choose
from browser.transfers import MEBIBYTE, Sent, Sharer, sharer, sharer_on_disk, turn, turn_settings
from relay_process import RelayProcess, running_relay

SIZE: Final = 20 * MEBIBYTE
USED: Final = "navigator.storage.estimate().then(({ usage }) => usage)"
PEER_IDS: Final = """() => new Set(
  globalThis.descriptions.flatMap((text) => text.match(/"peer_id":"[^"]*/g) ?? []),
).size"""
"""How many names this page had for itself at trackers: one for each time that a torrent was begun."""


@contextlib.contextmanager
def two(browser: Browser, address: str, *, is_direct: bool) -> Iterator[tuple[Sharer, Sharer]]:
    """Two people who know each other."""
    with sharer(browser, address) as alice, sharer(browser, address) as bob:
        introduce(alice.person, bob.person)
        if is_direct:
            alice.allow_direct("Bob")
            bob.allow_direct("Alice")
        yield alice, bob


def test_what_came_from_the_drop_is_not_fetched_again_after_a_reload(browser: Browser, tmp_path: Path) -> None:
    settings = {"HALONYX_DROP_QUOTA": str(3 * SIZE)}
    with running_relay(tmp_path, **settings) as relay, two(browser, relay.origin, is_direct=False) as (alice, bob):
        file = Sent("film", 2 * SIZE)
        offer = alice.offer("Bob", file, drop=True)
        bob.until("Alice", offer, lambda found: found["inDrop"])
        bob.accept("Alice", offer)
        bob.until_begun("Alice", offer, 0.25)
        bob.call("pauseFile", offer)
        bob.page.reload()
        ranges: list[str] = []
        bob.page.on("request", lambda request: ranges.append(request.headers.get("range", "")))
        bob.until_state("Alice", offer, "paused")
        bob.call("resumeFile", offer)
        bob.until_state("Alice", offer, "done")
        assert bob.saved(offer) == {"film": file.digest}
        starts = [int(asked.removeprefix("bytes=").partition("-")[0]) for asked in ranges if asked]
        assert min(starts) >= SIZE // 4
        assert max(starts) > min(starts)


def test_another_network_gets_other_connections_and_what_came_is_kept(browser: Browser, relay: RelayProcess) -> None:
    with two(browser, relay.origin, is_direct=True) as (alice, bob):
        file = Sent("film", SIZE)
        offer = alice.offer("Bob", file)
        bob.accept("Alice", offer)
        bob.until_begun("Alice", offer, 0.2)
        assert bob.page.evaluate(PEER_IDS) == 1
        bob.person.context.set_offline(True)
        bob.person.context.set_offline(False)
        bob.until_state("Alice", offer, "done")
        alice.until_state("Bob", offer, "done")
        assert bob.saved(offer) == {"film": file.digest}
        assert bob.page.evaluate(PEER_IDS) > 1
        assert bob.page.evaluate("globalThis.received") < 1.5 * file.size, "it began anew"


def test_a_turn_server_that_fell_in_the_middle_and_came_back(browser: Browser, tmp_path: Path) -> None:
    with contextlib.ExitStack() as detour:
        port = detour.enter_context(turn(tmp_path))
        with (
            running_relay(tmp_path / "relay", **turn_settings(port)) as relay,
            two(browser, relay.origin, is_direct=False) as (alice, bob),
        ):
            file = Sent("film", SIZE // 2)
            offer = alice.offer("Bob", file)
            bob.accept("Alice", offer)
            bob.until_begun("Alice", offer, 0.2)
            detour.close()
            cut = bob.until("Alice", offer, lambda found: found["peers"] == 0)
            assert cut["state"] == "waiting"
            with turn(tmp_path, port):
                bob.until_state("Alice", offer, "done")
                alice.until_state("Bob", offer, "done")
            assert bob.saved(offer) == {"film": file.digest}
            assert bob.candidates() == alice.candidates() == ["relay"]


@contextlib.contextmanager
def room(who: Sharer, size: int) -> Iterator[None]:
    """Leave a browser so much room beside what it uses, as on a disk that is almost full."""
    session = who.person.context.new_cdp_session(who.page)
    place: dict[str, Any] = {"origin": who.page.evaluate("location.origin")}
    session.send("Storage.overrideQuotaForOrigin", place | {"quotaSize": who.page.evaluate(USED) + size})
    yield
    session.send("Storage.overrideQuotaForOrigin", place)
    session.detach()


def shows(where: Locator, words: str) -> None:
    expect(where).to_contain_text(words, timeout=2 * HANGING_MS)


def test_a_full_disk_is_named_and_room_lets_it_go_on(
    playwright: Playwright, browser: Browser, relay: RelayProcess, tmp_path: Path
) -> None:
    with (
        sharer(browser, relay.origin) as alice,
        sharer_on_disk(playwright, tmp_path / "profile", relay.origin) as bob,
    ):
        introduce(alice.person, bob.person)
        alice.allow_direct("Bob")
        bob.allow_direct("Alice")
        (tmp_path / "film").write_bytes(Sent("film", SIZE).content)
        sheet = choose(alice.person, "Bob", tmp_path / "film")
        with room(alice, 4 * MEBIBYTE):
            alice.person.press("Send", sheet)
            full = "This browser has no room for the encrypted copy. Delete something here, then offer it again."
            shows(card(alice.person, "film"), full)
            expect(card(alice.person, "film").get_by_role("button")).to_have_count(0)
        alice.person.press("Send", choose(alice.person, "Bob", tmp_path / "film"))
        shows(card(bob.person, "film"), "Alice wants to send you this")
        address = alice.page.url
        alice.page.goto("about:blank")
        bob.person.press("Accept", card(bob.person, "film"))
        shows(card(bob.person, "film"), "Alice is offline")
        with room(bob, 4 * MEBIBYTE):
            alice.page.goto(address)
            full = "This browser has no room for it. Delete something here, then try again."
            shows(card(bob.person, "film"), full)
        bob.person.press("Try again", card(bob.person, "film"))
        shows(card(bob.person, "film"), "Received and checked")
        (offer,) = [found["id"] for found in bob.call("filesOf", bob.contact("Alice"))]
        assert bob.saved(offer) == {"film": Sent("film", SIZE).digest}
