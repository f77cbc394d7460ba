"""Two people write to each other in two browsers."""

import re
from datetime import UTC, datetime, timedelta

from playwright.sync_api import Browser, expect

from browser.people import Person, person, somebody
from relay_process import RelayProcess


def test_messages_arrive_both_ways_and_are_confirmed(pair: tuple[Person, Person]) -> None:
    alice, bob = pair
    for number in range(3):
        alice.write("Bob", f"hello {number}")
    for number in range(3):
        bob.sees(f"hello {number}")
    bob.write("Alice", "Hello Alice")
    alice.sees("Hello Alice")

    for number in range(3):
        alice.sees(f"hello {number}", "delivered")
    bob.sees("Hello Alice", "delivered")
    assert alice.texts() == bob.texts() == ["hello 0", "hello 1", "hello 2", "Hello Alice"]


def test_a_reload_keeps_everything(friends: tuple[Person, Person]) -> None:
    alice, bob = friends
    alice.write("Bob", "before")
    bob.sees("before")
    bob.page.reload()
    bob.sees("before")  # the conversation that was open is open again
    bob.write("Alice", "after")
    alice.sees("after")
    alice.page.reload()
    alice.write("Bob", "and again")
    bob.sees("and again")
    alice.sees("and again", "delivered")
    assert alice.texts() == bob.texts()
    assert bob.texts()[-3:] == ["before", "after", "and again"]


def test_both_write_first_at_the_same_time(pair: tuple[Person, Person]) -> None:
    alice, bob = pair
    alice.composer("Bob").fill("from Alice")
    bob.composer("Alice").fill("from Bob")
    alice.composer("Bob").press("Enter")
    bob.composer("Alice").press("Enter")
    alice.sees("from Bob")
    bob.sees("from Alice")
    alice.sees("from Alice", "delivered")
    bob.sees("from Bob", "delivered")

    for number in range(3):  # on whichever session they have agreed upon
        alice.write("Bob", f"alice {number}")
        bob.write("Alice", f"bob {number}")
    for number in range(3):
        alice.sees(f"bob {number}")
        bob.sees(f"alice {number}")
        alice.sees(f"alice {number}", "delivered")
        bob.sees(f"bob {number}", "delivered")


def test_the_field_to_write_in(friends: tuple[Person, Person], relay: RelayProcess) -> None:
    """Enter sends, Shift+Enter breaks the line, each conversation keeps its draft, nothing empty goes out."""
    alice, bob = friends
    box = alice.composer("Bob")
    box.fill(" ")
    box.press("Enter")
    expect(alice.page.get_by_role("button", name="Send", exact=True)).to_be_disabled()
    box.fill("")
    box.press_sequentially("first line")
    box.press("Shift+Enter")
    box.press_sequentially("second line")
    box.press("Enter")
    expect(box).to_have_value("")
    expect(bob.page.locator(".words").last).to_have_text("first line\nsecond line", use_inner_text=True)

    box.fill("not finished")
    alice.add(somebody(relay.origin), "Carol")
    expect(alice.composer("Carol")).to_have_value("")
    alice.composer("Carol").fill("for Carol")
    alice.open("Bob")
    expect(alice.composer("Bob")).to_have_value("not finished")
    expect(alice.composer("Bob")).to_be_focused()
    alice.open("Carol")
    expect(alice.composer("Carol")).to_have_value("for Carol")


def test_search_finds_people_and_any_part_of_a_message(friends: tuple[Person, Person]) -> None:
    alice, bob = friends
    for text in ("The ferry leaves at seven", "Bring the blue TENT", "and a map"):
        alice.write("Bob", text)
        bob.sees(text)
    field = bob.page.get_by_label("Search people and messages")
    field.fill("blue ten")
    found = bob.people.get_by_role("region", name="Messages").get_by_role("button")
    expect(found).to_have_count(1)
    expect(found.locator("mark")).to_have_text("blue TEN")
    found.click()
    expect(field).to_have_value("")
    expect(bob.page.locator("li.message.marked")).to_contain_text("Bring the blue TENT")

    field.fill("ALI")
    expect(bob.people.get_by_role("region", name="People").get_by_role("button")).to_have_count(1)
    field.fill("nowhere to be found")
    bob.is_told("Nothing contains that.")
    field.press("Escape")
    expect(field).to_have_value("")
    expect(bob.people.get_by_role("button", name=re.compile("Alice"))).to_be_visible()


def test_ctrl_k_leads_anywhere_and_esc_leads_back(friends: tuple[Person, Person]) -> None:
    alice, bob = friends
    alice.write("Bob", "needle in the haystack")
    bob.sees("needle in the haystack")
    bob.page.goto(bob.page.url)
    bob.composer("Alice").fill("half a")
    bob.page.keyboard.press("Control+k")
    palette = bob.dialog("Find a person or a message")
    field = palette.get_by_label("Find a person or a message")
    expect(field).to_be_focused()
    bob.page.keyboard.press("Escape")
    expect(palette).to_have_count(0)
    expect(bob.composer("Alice")).to_be_focused()

    bob.page.keyboard.press("Control+k")
    bob.page.keyboard.type("needle")
    expect(palette.get_by_role("region", name="Messages").get_by_role("button")).to_have_count(1)
    bob.page.keyboard.press("Enter")
    expect(palette).to_have_count(0)
    expect(bob.page.locator("li.message.marked")).to_contain_text("needle in the haystack")


def test_dialogs_keep_the_focus_and_give_it_back(friends: tuple[Person, Person]) -> None:
    alice, _ = friends
    for opener, title in (
        (alice.people.get_by_role("button", name="Add someone"), "Add someone"),
        (alice.people.get_by_role("button", name="Share your card").last, "Share your card"),
        (alice.people.get_by_role("button", name="Settings"), "Settings"),
        (alice.page.get_by_role("button", name="Compare numbers", exact=True), "Compare numbers"),
        (alice.page.get_by_role("button", name="Remove contact"), "Remove Bob?"),
    ):
        opener.focus()
        alice.page.keyboard.press("Enter")
        dialog = alice.dialog(title)
        expect(dialog).to_be_visible()
        for key in ("Tab",) * 12 + ("Shift+Tab",) * 14:
            alice.page.keyboard.press(key)
            # Past its last element the focus may leave for the browser itself, and never for the page behind it.
            assert alice.page.evaluate("!document.activeElement.closest('.shell > :not(dialog)')"), (title, key)
        alice.page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        expect(opener).to_be_focused()


def test_without_a_camera_there_is_a_way_out(friends: tuple[Person, Person]) -> None:
    alice, _ = friends
    alice.press("Add someone", alice.head)
    dialog = alice.dialog("Add someone")
    alice.press("Scan with camera", dialog)
    expect(dialog.get_by_role("alert")).to_have_text(re.compile("No camera was found|The camera is not allowed"))
    alice.press("Try again", dialog)
    expect(dialog.get_by_role("alert")).to_be_visible()
    alice.press("Stop camera", dialog)
    expect(dialog.get_by_label("Their link or card")).to_be_focused()
    alice.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def test_a_message_that_nobody_confirms_for_a_day_says_so(browser: Browser, alice: Person) -> None:
    """Whoever is away confirms nothing, nor does anyone whose relay keeps the message back."""
    with person(browser, alice.page.url) as bob:
        bob.create()
        card = bob.card()
    alice.add(card, "Bob")
    alice.write("Bob", "are you there?")
    alice.sees("are you there?", "accepted")
    expect(alice.row("are you there?")).not_to_contain_text("No receipt yet")

    alice.page.clock.set_fixed_time(datetime.now(UTC) + timedelta(hours=25))
    alice.page.reload()
    alice.open("Bob")

    expect(alice.row("are you there?")).to_contain_text("No receipt yet")
