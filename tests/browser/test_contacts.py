"""Adding people by link, text, camera and picture; naming, blocking and removing them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Playwright, expect

from browser import camera
from browser.browsers import launch
from browser.people import Person, introduce, person, somebody
from relay_process import RelayProcess


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("camera") / "film.y4m"


@pytest.fixture(scope="module")
def browser(playwright: Playwright, film: Path) -> Iterator[Browser]:
    """A Chromium with a camera."""
    started = launch(playwright, *camera.flags(film))
    yield started
    started.close()


@pytest.fixture(scope="module")
def alice(browser: Browser, relay: RelayProcess) -> Iterator[Person]:
    """One person for the whole module; whom she adds has a name of their own in each test."""
    with person(browser, relay.origin) as newcomer:
        newcomer.create()
        yield newcomer


@pytest.fixture(scope="module")
def bob(browser: Browser, relay: RelayProcess) -> Iterator[Person]:
    with person(browser, relay.origin) as newcomer:
        newcomer.create()
        yield newcomer


@pytest.fixture
def carol(browser: Browser, relay: RelayProcess) -> Iterator[Person]:
    """Someone of one test only."""
    with person(browser, relay.origin) as newcomer:
        newcomer.create()
        yield newcomer


def test_by_link_and_by_text(alice: Person, bob: Person, relay: RelayProcess) -> None:
    link = bob.card()
    assert link.startswith(f"{relay.origin}/#add=")
    alice.press("Add someone", alice.head)
    dialog = alice.dialog("Add someone")
    dialog.get_by_label("Their link or card").fill(f"  {link}\n")
    preview = dialog.get_by_role("region", name="This card belongs to")
    expect(preview).to_contain_text(relay.origin.removeprefix("http://"))
    dialog.get_by_label("Your name for them").fill("By link")
    alice.press("Add", dialog)
    alice.is_told("By link is now your contact.")
    expect(alice.composer("By link")).to_be_focused()

    # Without a name it is the start of their address.
    alice.press("Add someone", alice.head)
    dialog.get_by_label("Their link or card").fill(somebody(relay.origin))
    short_id = dialog.locator(".short-id").inner_text().replace(" ", "")
    alice.press("Add", dialog)
    expect(alice.composer(f"contact-{short_id[:8]}")).to_be_visible()

    alice.people.get_by_text("By link", exact=True).click()
    remove(alice, "By link")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("hello", "That is no contact card."),
        ("halonyx:AAAA", "That is no contact card."),
        ("https://relay.example/#add=", "That is no contact card."),
    ],
)
def test_what_is_no_card_is_said_at_once(alice: Person, typed: str, words: str) -> None:
    alice.press("Add someone", alice.head)
    dialog = alice.dialog("Add someone")
    field = dialog.get_by_label("Their link or card")
    field.fill(typed)
    expect(dialog).to_contain_text(words)
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(dialog.get_by_role("button", name="Add", exact=True)).to_have_count(0)
    field.fill("")
    expect(dialog).not_to_contain_text(words)
    alice.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def test_a_card_with_a_typing_error_adds_nobody(alice: Person, relay: RelayProcess) -> None:
    card = somebody(relay.origin)
    typed = card[:20] + ("A" if card[20] != "A" else "B") + card[21:]
    test_what_is_no_card_is_said_at_once(alice, typed, "That is no contact card.")


def test_our_own_card_and_one_we_have(alice: Person, relay: RelayProcess) -> None:
    own, known = alice.card(), somebody(relay.origin)
    alice.add(known, "Known")
    alice.press("Add someone", alice.head)
    dialog = alice.dialog("Add someone")
    field = dialog.get_by_label("Their link or card")
    field.fill(own)
    expect(dialog).to_contain_text("This is your own card.")
    expect(dialog.get_by_role("button", name="Add", exact=True)).to_have_count(0)
    field.fill(known)
    expect(dialog).to_contain_text("You have them already, as Known.")
    alice.press("Open conversation", dialog)
    expect(dialog).to_have_count(0)
    expect(alice.composer("Known")).to_be_visible()

    alice.press("Add someone", alice.head)
    field.fill(somebody(relay.origin))
    dialog.get_by_label("Your name for them").fill("Known")
    alice.press("Add", dialog)
    alice.is_told("You have someone by that name.")
    alice.page.keyboard.press("Escape")


def test_by_camera_from_the_screen_of_the_other(alice: Person, bob: Person, film: Path) -> None:
    camera.hold(film, bob.share())
    bob.page.keyboard.press("Escape")

    alice.press("Add someone", alice.head)
    dialog = alice.dialog("Add someone")
    alice.press("Scan with camera", dialog)
    expect(dialog.get_by_role("region", name="This card belongs to")).to_be_visible()
    expect(dialog.get_by_label("Their link or card")).to_have_value(halonyx_uri(bob.card()))
    expect(alice.page.locator("video")).to_have_count(0)  # the camera is off again
    dialog.get_by_label("Your name for them").fill("By camera")
    alice.press("Add", dialog)
    alice.write("By camera", "I saw your code")
    expect(bob.people).to_contain_text("1 request")
    bob.accept("Alice")
    bob.sees("I saw your code")
    bob.write("Alice", "well read")
    alice.sees("well read")
    remove(alice, "By camera")
    remove(bob, "Alice")


def test_by_a_picture_of_the_code(alice: Person, bob: Person, tmp_path: Path) -> None:
    picture, nothing = tmp_path / "code.png", tmp_path / "nothing.png"
    bob.share().screenshot(path=picture)
    bob.page.locator(".dialog h2").screenshot(path=nothing)
    bob.page.keyboard.press("Escape")

    alice.press("Add someone", alice.head)
    dialog = alice.dialog("Add someone")
    with alice.page.expect_file_chooser() as chooser:
        alice.press("From a picture", dialog)
    chooser.value.set_files(nothing)
    alice.is_told("There is no readable code in this picture.")
    with alice.page.expect_file_chooser() as chooser:
        alice.press("From a picture", dialog)
    chooser.value.set_files(picture)
    expect(dialog.get_by_label("Their link or card")).to_have_value(halonyx_uri(bob.card()))
    alice.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def test_rename_and_remove(alice: Person, carol: Person) -> None:
    introduce(alice, carol)
    details = alice.page.get_by_role("complementary", name="Details")
    alice.press("Rename", details)
    details.get_by_label("Name").fill("Robert")
    alice.page.keyboard.press("Enter")
    alice.is_told("Now called Robert.")
    expect(alice.composer("Robert")).to_be_visible()
    alice.write("Robert", "hello Robert")
    carol.sees("hello Robert")
    carol.write("Alice", "hello Alice")
    alice.sees("hello Alice")
    alice.sees("hello Robert", "delivered")

    alice.press("Remove contact", details)
    expect(alice.dialog("Remove Robert?")).to_contain_text("without asking again")
    alice.press("Remove contact", alice.dialog("Remove Robert?"))
    expect(alice.people).not_to_contain_text("Robert")
    alice.page.get_by_label("Search people and messages").fill("hello")
    alice.is_told("Nothing contains that.")  # what they wrote went with them
    alice.page.get_by_label("Search people and messages").fill("")
    carol.write("Alice", "do you know me?")
    expect(alice.people).to_contain_text("1 request")
    expect(alice.page.locator("body")).not_to_contain_text("do you know me?")
    alice.accept("Robert")
    alice.sees("do you know me?")
    carol.sees("do you know me?", "delivered")


def test_block_and_unblock(alice: Person, carol: Person) -> None:
    introduce(alice, carol)
    details = alice.page.get_by_role("complementary", name="Details")
    for _ in range(2):
        alice.press("Block", details)
        alice.press("Cancel", alice.dialog("Block Bob?"))
        alice.press("Block", details)
        alice.press("Block", alice.dialog("Block Bob?"))
        alice.is_told("Bob is blocked.")
        expect(alice.people).not_to_contain_text("Bob")
        alice.press("Settings", alice.people)
        settings = alice.dialog("Settings")
        expect(settings).to_contain_text("Bob")
        alice.press("Unblock", settings)
        alice.is_told("Bob may write to you again.")
        expect(settings).to_contain_text("Nobody is blocked.")
        alice.page.keyboard.press("Escape")
        alice.open("Bob")

    alice.write("Bob", "we can talk again")
    carol.sees("we can talk again")
    carol.write("Alice", "good")
    alice.sees("good")

    alice.press("Block", details)
    alice.press("Block", alice.dialog("Block Bob?"))
    alice.is_told("Bob is blocked.")
    carol.write("Alice", "are you there?")
    carol.sees("are you there?", "accepted")
    alice.page.reload()
    expect(alice.page.get_by_role("button", name="Settings")).to_be_visible()
    expect(alice.page.locator("body")).not_to_contain_text("are you there?")
    expect(alice.people).not_to_contain_text("request")
    carol.sees("are you there?", "accepted")  # and they are not told

    # What was dropped stays dropped.
    alice.press("Settings", alice.people)
    alice.press("Unblock", alice.dialog("Settings"))
    alice.is_told("Bob may write to you again.")
    alice.page.keyboard.press("Escape")
    alice.open("Bob")
    carol.write("Alice", "good again")
    alice.sees("good again")
    assert "are you there?" not in alice.texts()


def halonyx_uri(link: str) -> str:
    return "halonyx:" + link.partition("#add=")[2]


def remove(who: Person, name: str) -> None:
    who.press("Remove contact", who.page.get_by_role("complementary", name="Details"))
    who.press("Remove contact", who.dialog(f"Remove {name}?"))
    expect(who.people.get_by_text(name, exact=True)).to_have_count(0)
