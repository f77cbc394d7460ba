"""Files between a browser and a terminal, both ways, over a real relay."""

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from PIL import Image
from playwright.sync_api import Browser

from browser.peer import HANGING_SECONDS, POLL_SECONDS, Peer, acquaint, peer
from browser.transfers import MEBIBYTE, Sent, Sharer, sharer
from halonyx.client.model import Transfer
from relay_process import RelayProcess

TRIES: Final = 2_000
THUMBNAIL: Final = bytes.fromhex("ffd8 ffc0 000b 08 00c8 012c 01 01 11 00") + b" a picture of 300 by 200"
SIZE: Final = "image => image.decode().then(() => [image.naturalWidth, image.naturalHeight])"


@contextlib.contextmanager
def running(other: Peer) -> Iterator[None]:
    """Let the transfers of a terminal move."""
    done = asyncio.Event()

    async def run() -> None:
        async with other.client.files.run():
            await done.wait()

    task = asyncio.run_coroutine_threadsafe(run(), other.loop)
    try:
        yield
    finally:
        other.loop.call_soon_threadsafe(done.set)
        task.result(HANGING_SECONDS)


@pytest.fixture(scope="module")
def bob(relay: RelayProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    with peer(tmp_path_factory.mktemp("bob") / "home", relay.origin) as opened:
        yield opened


@pytest.fixture(scope="module")
def friend(browser: Browser, relay: RelayProcess, bob: Peer) -> Iterator[Sharer]:
    with sharer(browser, relay.origin) as opened:
        acquaint(opened.person, "Alice", bob, "Bob")
        yield opened


@pytest.fixture
def alice(friend: Sharer, relay: RelayProcess, bob: Peer) -> Iterator[Sharer]:
    """Alice, who has not agreed to anything with Bob, nor he with her."""
    with friend.anew(relay.origin, "Bob"):
        allow(bob, is_allowed=False)
        yield friend


def allow(bob: Peer, *, is_allowed: bool) -> None:
    async def change() -> None:
        bob.client.contacts.allow_direct("Alice", allowed=is_allowed)

    bob.call(change())


def agree(alice: Sharer, bob: Peer) -> None:
    """Let both sides show their addresses."""
    alice.allow_direct("Bob")
    allow(bob, is_allowed=True)


def until(alice: Sharer, bob: Peer, offer: str, is_there: Callable[[Transfer], bool]) -> Transfer:
    """Wait until a transfer of the terminal is as wanted; the page goes on meanwhile."""

    async def found() -> Transfer | None:
        return next((one for one in bob.client.files.list() if one.id.hex() == offer), None)

    for _ in range(TRIES):
        transfer = bob.call(found())
        if transfer is not None and is_there(transfer):
            return transfer
        alice.page.wait_for_timeout(1000 * POLL_SECONDS)
    raise AssertionError(f"it hangs at {transfer}")


def test_from_browser_to_terminal(alice: Sharer, bob: Peer, tmp_path: Path) -> None:
    agree(alice, bob)
    folder = tmp_path / "saved"
    folder.mkdir()
    file = Sent("film.bin", 8 * MEBIBYTE + 1)
    offer = alice.offer("Bob", file)
    with running(bob):
        offered = until(alice, bob, offer, lambda found: found.state == "offered")
        assert (offered.name, offered.size) == ("film.bin", file.size)
        bob.call(bob.client.files.accept(offer, folder))
        until(alice, bob, offer, lambda found: found.state == "done")
        alice.until_state("Bob", offer, "done")
    assert hashlib.sha256((folder / "film.bin").read_bytes()).hexdigest() == file.digest


def test_from_terminal_to_browser(alice: Sharer, bob: Peer, tmp_path: Path) -> None:
    agree(alice, bob)
    files = {"one.txt": b"one", "deep/two.bin": bytes(range(256)) * 20_000}
    for path, content in files.items():
        (tmp_path / "holiday" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "holiday" / path).write_bytes(content)

    with running(bob):
        made = bob.call(bob.client.files.offer("Alice", [tmp_path / "holiday"], thumbnail=THUMBNAIL))
        offer = made.id.hex()
        shown = alice.until_state("Bob", offer, "offered")
        assert (shown["name"], shown["isFolder"], shown["count"]) == ("holiday", True, 2)
        assert bytes(shown["thumbnail"]) == THUMBNAIL
        alice.accept("Bob", offer)
        alice.until_state("Bob", offer, "done")
        until(alice, bob, offer, lambda found: found.state == "done")
    assert alice.saved(offer) == {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}


def test_a_picture_of_a_terminal_that_has_to_agree_is_shown_small_until_then(
    alice: Sharer, bob: Peer, tmp_path: Path
) -> None:
    alice.allow_direct("Bob")
    Image.new("RGB", (900, 600), "red").save(tmp_path / "lake.png")
    with running(bob):
        offer = bob.call(bob.client.files.offer("Alice", [tmp_path / "lake.png"])).id.hex()
        alice.person.open("Bob")
        small = alice.page.get_by_role("img", name="Small picture of lake.png")
        assert small.evaluate(SIZE) == [480, 320]
        alice.accept("Bob", offer)
        until(alice, bob, offer, lambda found: found.reason == "needs-direct")
        alice.until("Bob", offer, lambda found: found["reason"] == "no-turn")
        agree(alice, bob)
        alice.until_state("Bob", offer, "done")
