"""Files from browser to browser, over a real relay and real WebRTC."""

import re
import struct

import pytest
from playwright.sync_api import expect

from browser.transfers import MEBIBYTE, Sent, Sharer
from relay_process import RelayProcess


@pytest.fixture
def pair(sharers: tuple[Sharer, Sharer]) -> tuple[Sharer, Sharer]:
    """Two people who agreed to direct connections."""
    alice, bob = sharers
    alice.allow_direct("Bob")
    bob.allow_direct("Alice")
    return sharers


def test_a_small_file_arrives(pair: tuple[Sharer, Sharer]) -> None:
    alice, bob = pair
    file = Sent("note.txt", 1000, type="text/plain")
    offer = alice.offer("Bob", file)
    bob.accept("Alice", offer)
    shown = bob.until_state("Alice", offer, "done")
    assert (shown["name"], shown["mediaType"], shown["size"], shown["count"]) == ("note.txt", "text/plain", 1000, 1)
    alice.until_state("Bob", offer, "done")
    assert bob.saved(offer) == {"note.txt": file.digest}


def test_a_folder_arrives_with_its_paths(pair: tuple[Sharer, Sharer]) -> None:
    alice, bob = pair
    files = [Sent("one.txt", 5), Sent("deep/er/two.bin", 70_000, seed=2), Sent("deep/empty", 0), Sent("CON", 1)]
    offer = alice.offer("Bob", *files, folder="holiday")
    bob.accept("Alice", offer)
    shown = bob.until_state("Alice", offer, "done")
    assert (shown["name"], shown["isFolder"], shown["count"]) == ("holiday", True, 4)
    assert bob.saved(offer) == {"_CON" if file.path == "CON" else file.path: file.digest for file in files}


def test_what_was_refused_or_cancelled_leaves_nothing(pair: tuple[Sharer, Sharer]) -> None:
    alice, bob = pair
    refused = alice.offer("Bob", Sent("refused", 1000))
    bob.until_state("Alice", refused, "offered")
    assert list(alice.stored()) == [f"halonyx-transfers/{refused}/ciphertext"]
    bob.call("refuseFile", refused)
    alice.until_state("Bob", refused, "refused")

    taken_back = alice.offer("Bob", Sent("taken back", 1000))
    bob.until_state("Alice", taken_back, "offered")
    alice.call("cancelFile", taken_back)
    bob.until_state("Alice", taken_back, "cancelled")

    cut = alice.offer("Bob", Sent("cut", 20 * MEBIBYTE))
    bob.accept("Alice", cut)
    bob.until_begun("Alice", cut)
    alice.call("cancelFile", cut)
    bob.until_state("Alice", cut, "cancelled")

    dropped = alice.offer("Bob", Sent("dropped", 20 * MEBIBYTE))
    bob.accept("Alice", dropped)
    bob.until_begun("Alice", dropped)
    bob.call("cancelFile", dropped)
    alice.until_state("Bob", dropped, "refused")

    for person in pair:
        person.until_stored(lambda found: found == {})


def test_a_pause_holds_and_what_came_is_kept(pair: tuple[Sharer, Sharer]) -> None:
    alice, bob = pair
    file = Sent("film", 20 * MEBIBYTE)
    offer = alice.offer("Bob", file)
    bob.accept("Alice", offer)
    for person, name in ((bob, "Alice"), (alice, "Bob")):
        bob.until_begun("Alice", offer)
        person.call("pauseFile", offer)
        held = person.until_state(name, offer, "paused")
        bob.page.wait_for_timeout(500)
        assert person.transfer(name, offer) == held
        person.call("resumeFile", offer)
    bob.until_state("Alice", offer, "done")
    assert bob.saved(offer) == {"film": file.digest}


@pytest.mark.parametrize("who", ["sender", "receiver"])
def test_a_reload_in_the_middle_goes_on_where_it_was(pair: tuple[Sharer, Sharer], who: str) -> None:
    alice, bob = pair
    file = Sent("film", 20 * MEBIBYTE)
    offer = alice.offer("Bob", file)
    bob.accept("Alice", offer)
    bob.until_begun("Alice", offer, 0.2)
    (alice if who == "sender" else bob).page.reload()
    bob.until_state("Alice", offer, "done")
    alice.until_state("Bob", offer, "done")
    assert bob.saved(offer) == {"film": file.digest}
    if who == "receiver":  # counted since the reload
        assert bob.page.evaluate("globalThis.received") < 0.95 * file.size, "it began anew"


def test_the_relay_may_restart_in_the_middle(pair: tuple[Sharer, Sharer], relay: RelayProcess) -> None:
    alice, bob = pair
    file = Sent("film", 20 * MEBIBYTE)
    offer = alice.offer("Bob", file)
    bob.accept("Alice", offer)
    bob.until_begun("Alice", offer)
    relay.stop()
    relay.start()
    bob.until_state("Alice", offer, "done")
    alice.until_state("Bob", offer, "done")


def test_several_files_at_once(pair: tuple[Sharer, Sharer]) -> None:
    alice, bob = pair
    files = {alice.offer("Bob", file): file for file in (Sent(f"{seed}", 2 * MEBIBYTE, seed) for seed in (1, 2, 3))}
    for offer in files:
        bob.accept("Alice", offer)
    for offer, file in files.items():
        bob.until_state("Alice", offer, "done")
        assert bob.saved(offer) == {file.path: file.digest}


def test_a_tab_that_was_closed_while_it_encrypted_has_to_be_asked_again(pair: tuple[Sharer, Sharer]) -> None:
    alice, _ = pair
    offer = alice.offer("Bob", Sent("large", 20 * MEBIBYTE))
    alice.page.reload()
    assert alice.until_state("Bob", offer, "failed")["reason"] == "interrupted"
    alice.until_stored(lambda found: found == {})


def test_a_picture_is_shown_and_other_files_are_not(pair: tuple[Sharer, Sharer]) -> None:
    alice, bob = pair
    kinds = (("image/png", png(10, 10)), ("image/png", png(10_000, 10_000)), ("image/svg+xml", b""), ("text/html", b""))
    offers = [alice.offer("Bob", Sent("x", 100, type=kind, head=head)) for kind, head in kinds]
    script = (
        "async (id) => { const file = await globalThis.call('openImage', id); return file && [file.type, file.size] }"
    )
    assert bob.until_state("Alice", offers[0], "offered")["state"] == "offered"
    assert bob.page.evaluate(script, offers[0]) is None  # not before it is verified
    for offer in offers:
        bob.accept("Alice", offer)
        bob.until_state("Alice", offer, "done")
    assert [bob.page.evaluate(script, offer) for offer in offers] == [["image/png", 100], None, None, None]
    bob.person.open("Alice")
    card = bob.page.get_by_role("group", name=re.compile("^File x, "))
    large = card.filter(has_text="Not shown here: it is too large")
    expect(large.get_by_role("button", name="Save")).to_have_count(1)


def png(width: int, height: int) -> bytes:
    """Return the beginning of a PNG that says how large it is."""
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height)
