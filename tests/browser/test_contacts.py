"""Adding people by link, text, camera and picture; naming, blocking and removing them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Playwright, Route, expect

from browser import camera
from browser.browsers import launch
from browser.people import Person, introduce, person, somebody
from relay_process import RelayProcess

READER: Final = "**/assets/qr_worker-*.js"
NOT_LOADED: Final = "The part that reads codes could not be loaded."
FORGET_READER: Final = """async () => {
  const name = (await caches.keys()).find((name) => name.startsWith("halonyx-"))
  const cache = await caches.open(name)
  const reader = (await cache.keys()).find(({ url }) => url.includes("/assets/qr_worker-"))
  return cache.delete(reader)
}"""


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
def bob(browser: Browser, relay: RelayProcess) -> Iterator[Person]:
    """He shows his card to every test; only those of `friends` write to him by name."""
    with person(browser, relay.origin) as newcomer:
        newcomer.create()
        yield newcomer


@pytest.fixture(scope="module")
def member(browser: Browser, relay: RelayProcess) -> Iterator[Person]:
    """Someone for every test that does not mind whom they have added before."""
    with person(browser, relay.origin) as newcomer:
        newcomer.create()
        yield newcomer


@pytest.fixture(scope="module")
def old_friends(browser: Browser, relay: RelayProcess, bob: Person) -> Iterator[tuple[Person, Person]]:
    """Two who have each other's card; tests leave them friends by these names."""
    with person(browser, relay.origin) as alice:
        alice.create()
        introduce(alice, bob)
        yield alice, bob


def test_by_link_and_by_text(member: Person, bob: Person, relay: RelayProcess) -> None:
    alice, link = member, bob.card()
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


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("hello", "That is no contact card."),
        ("halonyx:AAAA", "Copy it whole, or ask for a new link."),
        ("https://relay.example/#add=", "Copy it whole, or ask for a new link."),
    ],
)
def test_what_is_no_card_is_said_at_once(member: Person, typed: str, words: str) -> None:
    member.press("Add someone", member.head)
    dialog = member.dialog("Add someone")
    field = dialog.get_by_label("Their link or card")
    field.fill(typed)
    expect(dialog).to_contain_text(words)
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(dialog.get_by_role("button", name="Add", exact=True)).to_have_count(0)
    field.fill("")
    expect(dialog).not_to_contain_text(words)
    member.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def test_a_card_with_a_typing_error_adds_nobody(member: Person, relay: RelayProcess) -> None:
    card = somebody(relay.origin)
    typed = card[:20] + ("A" if card[20] != "A" else "B") + card[21:]
    test_what_is_no_card_is_said_at_once(member, typed, "This card has a typing error or a part is missing.")


def test_our_own_card_and_one_we_have(member: Person, relay: RelayProcess) -> None:
    alice, own, known = member, member.card(), somebody(relay.origin)
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
    bob.accept("Alice with a camera")
    bob.sees("I saw your code")
    bob.write("Alice with a camera", "well read")
    alice.sees("well read")


@pytest.mark.parametrize("failures", [1, 2])
def test_a_reader_that_did_not_load_is_loaded_again(
    browser: Browser, relay: RelayProcess, bob: Person, film: Path, failures: int
) -> None:
    """Once by itself, then when the person says so."""
    asked: list[str] = []

    def fail_first(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) <= failures:
            route.abort()
        else:
            route.continue_()

    camera.hold(film, bob.share())
    bob.page.keyboard.press("Escape")
    with person(browser, relay.origin, service_workers="block") as alice:
        alice.create()
        alice.context.route(READER, fail_first)
        scans_after_trouble(alice, is_told=failures > 1)
        alice.wrong.remove("warning: Service Worker registration blocked by Playwright")
    assert len(asked) == failures + 1


def test_a_reader_that_is_gone_from_the_cache_is_loaded_again(alice: Person, bob: Person, film: Path) -> None:
    camera.hold(film, bob.share())
    bob.page.keyboard.press("Escape")
    alice.page.evaluate("navigator.serviceWorker.ready.then(() => null)")
    alice.page.reload()
    expect(alice.head).to_be_visible()
    assert alice.page.evaluate("navigator.serviceWorker.controller !== null && (" + FORGET_READER + ")()")
    alice.context.set_offline(True)
    scans_after_trouble(alice, is_told=True)


def test_by_a_picture_of_the_code(member: Person, bob: Person, tmp_path: Path) -> None:
    alice, picture, nothing = member, tmp_path / "code.png", tmp_path / "nothing.png"
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


def test_rename_and_remove(friends: tuple[Person, Person]) -> None:
    alice, bob = friends
    details = alice.page.get_by_role("complementary", name="Details")
    alice.press("Rename", details)
    details.get_by_label("Name").fill("Robert")
    alice.page.keyboard.press("Enter")
    alice.is_told("Now called Robert.")
    expect(alice.composer("Robert")).to_be_visible()
    alice.write("Robert", "hello Robert")
    bob.sees("hello Robert")
    bob.write("Alice", "hello Alice")
    alice.sees("hello Alice")
    alice.sees("hello Robert", "delivered")

    alice.press("Remove contact", details)
    expect(alice.dialog("Remove Robert?")).to_contain_text("without asking again")
    alice.press("Remove contact", alice.dialog("Remove Robert?"))
    expect(alice.people).not_to_contain_text("Robert")
    alice.page.get_by_label("Search people and messages").fill("hello")
    alice.is_told("Nothing contains that.")  # what they wrote went with them
    alice.page.get_by_label("Search people and messages").fill("")
    bob.write("Alice", "do you know me?")
    expect(alice.people).to_contain_text("1 request")
    expect(alice.page.locator("body")).not_to_contain_text("do you know me?")
    alice.accept("Bob")
    alice.sees("do you know me?")
    bob.sees("do you know me?", "delivered")


def test_block_and_unblock(friends: tuple[Person, Person]) -> None:
    alice, bob = friends
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
    bob.sees("we can talk again")
    bob.write("Alice", "good")
    alice.sees("good")

    conversation = alice.page.evaluate("history.state")
    alice.press("Block", details)
    alice.press("Block", alice.dialog("Block Bob?"))
    alice.is_told("Bob is blocked.")
    bob.write("Alice", "are you there?")
    bob.sees("are you there?", "accepted")
    alice.page.evaluate("state => history.replaceState(state, '')", conversation)
    alice.page.reload()  # as in another tab, the conversation is still open
    alice.is_told("You blocked Bob. What they send is dropped.")
    expect(alice.composer("Bob")).to_have_count(0)
    expect(alice.page.get_by_role("button", name="Settings")).to_be_visible()
    expect(alice.page.locator("body")).not_to_contain_text("are you there?")
    expect(alice.people).not_to_contain_text("request")
    bob.sees("are you there?", "accepted")  # and they are not told

    # What was dropped stays dropped.
    alice.press("Settings", alice.people)
    alice.press("Unblock", alice.dialog("Settings"))
    alice.is_told("Bob may write to you again.")
    alice.page.keyboard.press("Escape")
    alice.open("Bob")
    bob.write("Alice", "good again")
    alice.sees("good again")
    assert "are you there?" not in alice.texts()


def halonyx_uri(link: str) -> str:
    return "halonyx:" + link.partition("#add=")[2]


def scans_after_trouble(who: Person, *, is_told: bool) -> None:
    """Scan what is before the camera with a reader that does not load at first."""
    who.press("Add someone", who.head)
    dialog = who.dialog("Add someone")
    who.press("Scan with camera", dialog)
    if is_told:
        who.is_told(NOT_LOADED)
        expect(who.page.locator("video")).to_have_count(0)
        who.context.set_offline(False)
        who.press("Try again", dialog)
    expect(dialog.get_by_role("region", name="This card belongs to")).to_be_visible()
