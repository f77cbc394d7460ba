"""Two people compare their safety number: by sixty digits, and each before the other's camera."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Playwright, expect

from browser import camera
from browser.browsers import launch
from browser.people import Person, somebody
from relay_process import RelayProcess

TITLE: Final = "Compare numbers"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("camera") / "film.y4m"


@pytest.fixture(scope="module")
def browser(playwright: Playwright, film: Path) -> Iterator[Browser]:
    """A Chromium with a camera."""
    started = launch(playwright, *camera.flags(film))
    yield started
    started.close()


def digits(who: Person) -> list[str]:
    """Open the dialog and read the number aloud."""
    who.press(TITLE)
    groups = who.dialog(TITLE).get_by_role("list", name="Safety number").get_by_role("listitem")
    expect(groups).to_have_count(12)
    return groups.all_inner_texts()


def close(who: Person) -> None:
    who.page.keyboard.press("Escape")
    expect(who.dialog(TITLE)).to_have_count(0)


def scan(who: Person) -> None:
    who.press(TITLE)
    who.press("Compare by camera")


def test_by_sixty_digits(pair: tuple[Person, Person]) -> None:
    alice, bob = pair
    seen = digits(alice)
    assert all(re.fullmatch(r"\d{5}", group) for group in seen)
    assert digits(bob) == seen

    alice.press("They don't match")
    alice.is_told("These keys are not the same")
    alice.press("Compare again")
    expect(alice.dialog(TITLE).get_by_role("listitem")).to_have_text(seen)
    close(alice)
    expect(alice.page.get_by_role("button", name="Not verified")).to_be_visible()

    bob.press("They match")
    bob.is_told("Alice is verified.")
    expect(bob.page.get_by_role("button", name="Verified", exact=True)).to_be_visible()
    expect(bob.people.get_by_label("Verified")).to_be_visible()
    bob.page.reload()
    expect(bob.page.get_by_role("button", name="Verified", exact=True)).to_be_visible()
    expect(alice.page.get_by_role("button", name="Not verified")).to_be_visible()  # each for themselves


def test_by_each_others_camera_and_only_by_that(
    old_friends: tuple[Person, Person], film: Path, relay: RelayProcess
) -> None:
    alice, bob = old_friends
    # Alice's own code, instead of the one on Bob's screen.
    alice.press(TITLE)
    camera.hold(film, alice.page.locator(".qr-card"))
    alice.press("Compare by camera")
    alice.is_told("These keys are not the same")
    close(alice)
    expect(alice.page.get_by_role("button", name="Not verified")).to_be_visible()

    # Bob's card, which is a code of another kind.
    camera.hold(film, bob.share())
    bob.page.keyboard.press("Escape")
    scan(alice)
    alice.is_told("This is a code of something else.")
    close(alice)

    # Nobody's screen: the camera goes on until it is stopped.
    camera.hold(film, bob.page.get_by_role("heading", name="Alice", level=1))
    scan(alice)
    alice.is_told("Hold the code on their screen in the frame.")
    alice.press("Stop camera")
    expect(alice.dialog(TITLE).get_by_role("listitem")).to_have_count(12)
    close(alice)
    expect(alice.page.get_by_role("button", name="Not verified")).to_be_visible()

    # Each other's screen at last.
    for reader, shower, name in ((alice, bob, "Bob"), (bob, alice, "Alice")):
        shower.press(TITLE)
        camera.hold(film, shower.page.locator(".qr-card"))
        close(shower)
        scan(reader)
        reader.is_told(f"{name} is verified.")
        expect(reader.dialog(TITLE)).to_have_count(0)
        expect(reader.page.get_by_role("button", name="Verified", exact=True)).to_be_visible()
        expect(reader.page.locator("video")).to_have_count(0)


def test_someone_without_a_record_has_no_number_yet(old_friends: tuple[Person, Person], relay: RelayProcess) -> None:
    alice, _ = old_friends
    alice.add(somebody(relay.origin), "Nobody")
    alice.press(TITLE)
    alice.is_told("The relay doesn't know this identity.")
    expect(alice.page.get_by_role("button", name="They match")).to_have_count(0)
    close(alice)
