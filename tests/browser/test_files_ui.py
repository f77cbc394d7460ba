"""Files as people see them: chosen, dragged or pasted, accepted, followed, saved; everything by what is on the page."""

import base64
import re
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Locator, Page, ViewportSize, expect

from browser import filling
from browser.file_screens import DRAWN, offered
from browser.people import HANGING_MS, WIDE, Person, typeset
from browser.screens import LOOKS
from browser.transfers import MEBIBYTE, Sharer
from relay_process import RelayProcess

LOW: Final[ViewportSize] = {"width": 1440, "height": 400}
TURNED: Final = "holiday\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe"
TAKE: Final = """([element, kind, files]) => {
  const data = new DataTransfer()
  for (const [name, type, content] of files) {
    data.items.add(new File([Uint8Array.from(atob(content), (sign) => sign.charCodeAt(0))], name, {
      type, lastModified: 1,
    }))
  }
  const shared = { bubbles: true, cancelable: true }
  if (kind === "paste") element.dispatchEvent(new ClipboardEvent("paste", { ...shared, clipboardData: data }))
  else for (const step of kind === "drag" ? ["dragenter", "dragover"] : ["drop"])
    element.dispatchEvent(new DragEvent(step, { ...shared, dataTransfer: data }))
}"""
PICTURE: Final = """async () => {
  const canvas = new OffscreenCanvas(900, 600)
  const context = canvas.getContext("2d")
  for (let x = 0; x < 900; x += 4) { context.fillStyle = `hsl(${x} 60% 50%)`; context.fillRect(x, x % 600, 90, 90) }
  const bytes = new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer())
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))
}"""
HEARD: Final = """() => {
  globalThis.heard = []
  const region = document.querySelector("[aria-live=polite]")
  new MutationObserver(() => heard.push(region.textContent)).observe(region, {
    subtree: true, childList: true, characterData: true,
  })
}"""


@pytest.fixture
def friends(sharers: tuple[Sharer, Sharer]) -> tuple[Person, Person]:
    """The two, whose relay has no TURN and no drop, on pages as they come."""
    for sharer in sharers:
        sharer.page.set_viewport_size(WIDE)
        sharer.page.emulate_media(color_scheme="null", reduced_motion="null")
    alice, bob = sharers
    return alice.person, bob.person


def sheet(who: Person, name: str) -> Locator:
    return who.dialog(f"Send files to {name}")


def card(who: Person, file: str) -> Locator:
    """Return what the conversation shows of an offer."""
    return who.page.get_by_role("group", name=re.compile(f"^File {re.escape(file)}, "))


def choose(who: Person, name: str, *paths: Path, button: str = "Choose files") -> Locator:
    """Open the sheet and choose; return it."""
    who.press("Send files")
    with who.page.expect_file_chooser() as chooser:
        who.press(button, sheet(who, name))
    chooser.value.set_files(list(paths) if button == "Choose files" else paths[0])
    return sheet(who, name)


def send(who: Person, name: str, *paths: Path) -> None:
    """Offer files, by a direct connection."""
    opened = choose(who, name, *paths)
    agree(opened)
    opened.get_by_role("button", name=re.compile("^Send")).click()
    expect(opened).to_have_count(0)


def agree(where: Locator) -> None:
    switch = where.get_by_role("switch", name="Connect directly")
    if not switch.is_checked():
        switch.click()
    expect(switch).to_be_checked()


def receive(who: Person, file: str) -> None:
    """Accept, agree to a direct connection where that is asked, and wait for all of it."""
    who.press("Accept", card(who, file))
    agree_on = card(who, file).get_by_role("button", name="Connect directly")
    done = card(who, file).get_by_text("Received and checked")
    expect(agree_on.or_(done)).to_be_visible()
    if agree_on.is_visible():
        agree_on.click()
    expect(done).to_be_visible(timeout=2 * HANGING_MS)


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def save(page: Page, button: Locator) -> tuple[str, bytes]:
    """Press it; return the name and the content of what is downloaded."""
    with page.expect_download() as told:
        button.click()
    return told.value.suggested_filename, told.value.path().read_bytes()


def test_a_file_is_chosen_offered_accepted_and_saved(friends: tuple[Person, Person], tmp_path: Path) -> None:
    alice, bob = friends
    opened = choose(alice, "Bob", written(tmp_path, "note.txt", b"between us"))
    expect(opened).to_contain_text("note.txt")
    expect(opened.locator("input[type=file]").first).to_have_value("")  # or the same file could not be chosen again
    expect(opened).to_contain_text("10 byte")
    expect(opened).to_contain_text("You have not compared numbers with Bob yet.")
    expect(opened).to_contain_text("once you allow a direct connection to Bob")
    expect(opened).to_contain_text("Your IP address will be visible to Bob.")
    agree(opened)
    expect(opened).to_contain_text(typeset("Directly from your browser to Bob's."))
    alice.press("Send", opened)
    expect(opened).to_have_count(0)
    expect(card(alice, "note.txt")).to_contain_text("Waits for Bob to accept")

    bob.page.evaluate(HEARD)
    expect(card(bob, "note.txt")).to_contain_text("Alice wants to send you this")
    bob.press("Accept", card(bob, "note.txt"))
    expect(card(bob, "note.txt")).to_contain_text("your IP address will be visible to Alice")
    bob.press("Connect directly", card(bob, "note.txt"))
    expect(card(bob, "note.txt")).to_contain_text("Received and checked")
    expect(card(alice, "note.txt")).to_contain_text("Bob has it")
    assert "note.txt from Alice has arrived." in bob.page.evaluate("heard")

    saving = card(bob, "note.txt").get_by_role("button", name="Save")
    assert save(bob.page, saving) == ("note.txt", b"between us")
    expect(bob.page.get_by_role("dialog")).to_have_count(0)
    assert save(bob.page, saving) == ("note.txt", b"between us")  # and again

    bob.press("Delete here", card(bob, "note.txt"))
    bob.press("Delete here", bob.dialog("Delete note.txt from this browser?"))
    expect(card(bob, "note.txt")).to_contain_text("Nothing of it is kept.")
    expect(card(alice, "note.txt")).to_contain_text("Bob has it")


def test_what_is_dragged_onto_the_conversation_is_offered(friends: tuple[Person, Person]) -> None:
    alice, bob = friends
    thread = alice.page.get_by_role("region", name="Conversation with Bob").element_handle()
    files = [[f"{number}.txt", "text/plain", base64.b64encode(b"drop").decode()] for number in (1, 2)]
    alice.page.evaluate(TAKE, [thread, "drag", files])
    alice.is_told("Drop to send to Bob")
    alice.page.evaluate(TAKE, [thread, "drop", files])
    expect(alice.page.get_by_text("Drop to send to Bob")).to_have_count(0)
    alice.press("Remove 2.txt", sheet(alice, "Bob"))
    expect(sheet(alice, "Bob").get_by_role("listitem")).to_have_count(1)
    alice.page.evaluate(TAKE, [sheet(alice, "Bob").locator(".drop-zone").element_handle(), "drop", files])
    expect(sheet(alice, "Bob").get_by_role("listitem")).to_have_count(2)  # 1.txt is there once
    alice.press("Send 2 offers", sheet(alice, "Bob"))
    for number in (1, 2):
        expect(card(bob, f"{number}.txt")).to_be_visible()
        bob.press("Refuse", card(bob, f"{number}.txt"))
        expect(card(bob, f"{number}.txt")).to_contain_text("You refused it")
        expect(card(alice, f"{number}.txt")).to_contain_text("Bob refused it")
        expect(card(alice, f"{number}.txt").get_by_role("button")).to_have_count(0)


def test_a_pasted_picture_is_shown_small_then_whole(friends: tuple[Person, Person]) -> None:
    alice, bob = friends
    picture = alice.page.evaluate(PICTURE)
    composer = alice.composer("Bob").element_handle()
    alice.page.evaluate(TAKE, [composer, "paste", [["image.png", "image/png", picture]]])
    expect(sheet(alice, "Bob").locator("img.file-icon")).to_have_count(1)
    agree(sheet(alice, "Bob"))
    bob.page.set_viewport_size(LOW)
    alice.press("Send", sheet(alice, "Bob"))

    offered = bob.page.get_by_role("group", name=re.compile(r"^File image-\d{8}-\d{6}\.png, "))
    small = offered.get_by_role("img", name=re.compile("^Small picture"))
    expect(small).to_be_visible()
    assert small.evaluate("image => image.decode().then(() => image.naturalWidth)") <= 480
    expect(offered.get_by_role("button", name="Accept")).to_be_in_viewport()  # the end stayed the end
    bob.press("Accept", offered)
    bob.press("Connect directly", offered)
    whole = offered.get_by_role("img", name=re.compile("^Picture"))
    expect(whole).to_be_visible(timeout=2 * HANGING_MS)
    expect(small).to_have_count(0)
    assert whole.evaluate("image => image.decode().then(() => [image.naturalWidth, image.naturalHeight])") == [900, 600]
    expect(offered.get_by_role("button", name="Save")).to_be_in_viewport()
    bob.page.reload()
    expect(whole).to_be_visible()
    expect(offered.get_by_role("button", name="Save")).to_be_in_viewport()
    expect(bob.page.get_by_role("button", name="Jump to newest")).to_have_count(0)
    name, content = save(bob.page, offered.get_by_role("button", name="Save"))
    assert (name.endswith(".png"), content) == (True, base64.b64decode(picture))


def test_a_file_that_is_dropped_beside_the_conversation_is_not_opened(friends: tuple[Person, Person]) -> None:
    alice, _ = friends
    assert alice.page.evaluate("""() => ["dragover", "drop"].map((kind) => {
      const dataTransfer = new DataTransfer()
      dataTransfer.items.add(new File(["x"], "x.html", { type: "text/html" }))
      const event = new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer })
      document.querySelector("nav").dispatchEvent(event)
      return event.defaultPrevented
    })""") == [True, True]
    expect(alice.page.get_by_role("dialog")).to_have_count(0)


def test_the_end_stays_in_view_when_the_window_changes(friends: tuple[Person, Person]) -> None:
    alice, _ = friends
    small = alice.page.evaluate(DRAWN)
    for number in range(4):
        picture = offered(f"{number}.webp", "refused", thumbnail=small)
        filling.offer(alice.page, "Bob", [picture, offered("score.pdf", "paused", done=1_000_000), picture])
        alice.page.reload()
        alice.open("Bob")
        for look in (*LOOKS, LOOKS[0]):
            look.apply(alice.page)
            expect(alice.page.get_by_role("button", name="Jump to newest")).to_have_count(0)
            expect(card(alice, f"{number}.webp").last.get_by_text("You refused it")).to_be_in_viewport()


def test_text_that_is_pasted_stays_text(friends: tuple[Person, Person]) -> None:
    alice, _ = friends
    alice.composer("Bob").evaluate("""field => {
      const data = new DataTransfer()
      data.setData("text/plain", "a table")
      data.items.add(new File(["x"], "image.png", { type: "image/png" }))
      field.dispatchEvent(new ClipboardEvent("paste", { bubbles: true, cancelable: true, clipboardData: data }))
    }""")
    expect(alice.page.get_by_role("dialog")).to_have_count(0)


def test_a_folder_is_one_offer_and_saved_file_by_file(friends: tuple[Person, Person], tmp_path: Path) -> None:
    alice, bob = friends
    written(tmp_path, "album/one.txt", b"1")
    written(tmp_path, "album/deep/two.txt", b"22")
    opened = choose(alice, "Bob", tmp_path / "album", button="Choose a folder")
    expect(opened.get_by_role("listitem")).to_have_count(1)
    expect(opened).to_contain_text("2 files")
    agree(opened)
    alice.press("Send", opened)
    expect(card(bob, "album")).to_contain_text("Folder with 2 files")
    receive(bob, "album")

    bob.press("Save", card(bob, "album"))
    listed = bob.dialog("Save album")
    expect(listed).to_contain_text("deep")
    assert save(bob.page, listed.get_by_role("button", name="Save deep/two.txt")) == ("two.txt", b"22")
    with (
        bob.page.expect_download(lambda one: one.suggested_filename == "one.txt") as first,
        bob.page.expect_download(lambda one: one.suggested_filename == "two.txt") as second,
    ):
        bob.press("Save all", listed)
    assert (first.value.path().read_bytes(), second.value.path().read_bytes()) == (b"1", b"22")


def test_progress_pause_and_cancel(friends: tuple[Person, Person], tmp_path: Path) -> None:
    alice, bob = friends
    send(alice, "Bob", written(tmp_path, "film.bin", bytes(60 * MEBIBYTE)))
    bob.page.evaluate(HEARD)
    bob.press("Accept", card(bob, "film.bin"))
    bob.press("Connect directly", card(bob, "film.bin"))
    numbers = card(bob, "film.bin").locator(".file-numbers")
    expect(numbers).to_contain_text("1 peer")
    expect(numbers).to_contain_text("direct")
    expect(numbers).to_contain_text(re.compile(r"\d (kB|MB|byte)/s down"))
    bar = card(bob, "film.bin").get_by_role("progressbar", name="Progress of film.bin")
    expect(bar).to_be_visible()
    bob.press("Pause", card(bob, "film.bin"))
    expect(card(bob, "film.bin")).to_contain_text("Paused")
    expect(numbers).to_have_count(0)
    bob.press("Resume", card(bob, "film.bin"))
    expect(numbers).to_contain_text("1 peer")

    bob.press("Cancel", card(bob, "film.bin"))
    bob.press("Keep it", bob.dialog("Cancel film.bin?"))
    bob.press("Cancel", card(bob, "film.bin"))
    bob.press("Cancel", bob.dialog("Cancel film.bin?"))
    expect(card(bob, "film.bin")).to_contain_text("Cancelled.")
    expect(card(alice, "film.bin")).to_contain_text("Bob refused it")
    heard = [words for words in bob.page.evaluate("heard") if words]
    assert heard == ["Alice offers film.bin", "film.bin: Cancelled. Nothing of it is kept."]  # and no numbers


def test_who_is_offline_is_named_and_it_starts_when_they_are_back(
    friends: tuple[Person, Person], relay: RelayProcess, tmp_path: Path
) -> None:
    alice, bob = friends
    send(alice, "Bob", written(tmp_path, "later.txt", b"later"))
    expect(card(bob, "later.txt")).to_be_visible()
    alice.page.goto("about:blank")
    bob.press("Accept", card(bob, "later.txt"))
    bob.press("Connect directly", card(bob, "later.txt"))
    expect(card(bob, "later.txt")).to_contain_text("Alice is offline: it will start when both of you are online.")
    alice.page.goto(relay.origin)
    expect(card(bob, "later.txt")).to_contain_text("Received and checked", timeout=2 * HANGING_MS)


def test_a_name_that_misleads_is_shown_and_saved_as_it_is(friends: tuple[Person, Person]) -> None:
    alice, bob = friends
    thread = alice.page.get_by_role("region", name="Conversation with Bob").element_handle()
    alice.page.evaluate(TAKE, [thread, "drop", [[TURNED, "image/jpeg", base64.b64encode(b"MZ").decode()]]])
    agree(sheet(alice, "Bob"))
    alice.press("Send", sheet(alice, "Bob"))
    expect(card(bob, "holidaygpj.exe").locator(".file-name bdi")).to_have_text(["holidaygpj", ".exe"])
    expect(card(bob, "holidaygpj.exe")).to_contain_text("This is a program")
    expect(bob.people.locator(".file-name bdi")).to_have_text(["holidaygpj", ".exe"])
    receive(bob, "holidaygpj.exe")
    saving = card(bob, "holidaygpj.exe").get_by_role("button", name="Save")
    assert save(bob.page, saving) == ("holidaygpj.exe", b"MZ")


def test_details_list_shared_files_and_take_consent_back(pair: tuple[Person, Person], tmp_path: Path) -> None:
    alice, bob = pair
    send(alice, "Bob", written(tmp_path, "first.txt", b"1"))
    expect(card(bob, "first.txt")).to_be_visible()
    details = alice.page.get_by_role("complementary", name="Details")
    expect(details.get_by_role("listitem")).to_have_text([re.compile("first.txt.*from you")])
    switch = details.get_by_role("switch", name="Connect directly")
    expect(switch).to_be_checked()
    switch.click()
    alice.is_told("Files to and from Bob no longer go directly.")
    expect(switch).not_to_be_checked()
    alice.page.reload()
    expect(details.get_by_role("listitem")).to_have_count(1)
    expect(switch).not_to_be_checked()
    bob.press("Settings", bob.people)
    expect(bob.dialog("Settings")).to_contain_text(re.compile(r"\d.* of .*B used in this browser\."))


def test_by_keys_alone(friends: tuple[Person, Person], tmp_path: Path) -> None:
    alice, bob = friends
    alice.composer("Bob").focus()
    alice.page.keyboard.press("Shift+Tab")
    expect(alice.page.get_by_role("button", name="Send files")).to_be_focused()
    alice.page.keyboard.press("Enter")
    expect(sheet(alice, "Bob").get_by_role("button", name="Close")).to_be_focused()
    alice.page.keyboard.press("Tab")  # to comparing numbers
    alice.page.keyboard.press("Tab")
    expect(sheet(alice, "Bob").get_by_role("button", name="Choose files")).to_be_focused()
    with alice.page.expect_file_chooser() as chooser:
        alice.page.keyboard.press("Enter")
    chooser.value.set_files(written(tmp_path, "keys.txt", b"keys"))
    sheet(alice, "Bob").get_by_role("button", name="Send", exact=True).press("Enter")
    expect(sheet(alice, "Bob")).to_have_count(0)

    accept = card(bob, "keys.txt").get_by_role("button", name="Accept")
    expect(accept).to_be_visible()
    bob.composer("Alice").focus()
    bob.page.keyboard.press("Shift+Tab")  # to the button for files
    bob.page.keyboard.press("Shift+Tab")
    expect(card(bob, "keys.txt").get_by_role("button", name="Refuse")).to_be_focused()
    bob.page.keyboard.press("Shift+Tab")
    expect(accept).to_be_focused()
    bob.page.keyboard.press("Enter")
    expect(card(bob, "keys.txt").get_by_role("button", name="Connect directly")).to_be_visible()
