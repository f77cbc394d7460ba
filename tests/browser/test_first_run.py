"""From the first page to the first message: with a mouse, by keyboard alone, from a link, and from a recovery code."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from browser.people import Person, introduce, person, somebody
from halonyx.core.card import Card
from relay_process import RelayProcess


@pytest.fixture
def newcomer(browser: Browser, relay: RelayProcess) -> Iterator[Person]:
    with person(browser, relay.origin, permissions=["clipboard-read", "clipboard-write"]) as someone:
        yield someone


def test_the_code_has_to_be_kept_before_anything_else(newcomer: Person, relay: RelayProcess) -> None:
    page = newcomer.page
    expect(page.locator(".relay-choice")).to_contain_text(relay.origin.removeprefix("http://"))
    newcomer.press("Create my identity")
    code = page.get_by_role("list", name="Recovery code")
    expect(code.get_by_role("listitem")).to_have_count(9)
    groups = code.get_by_role("listitem").all_inner_texts()
    newcomer.press("Copy")
    newcomer.is_told("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "-".join(groups)
    page.evaluate("window.print = () => { document.title = 'printed' }")
    newcomer.press("Print")
    expect(page).to_have_title("printed")
    check_printed(page, groups)
    expect(page.get_by_role("button", name="Go to my messages")).to_have_count(0)

    newcomer.press("I have kept it")
    expect(page.locator("body")).not_to_contain_text(re.compile("|".join(groups)))
    asked = page.get_by_label(re.compile(r"^Group \d$"))
    expect(asked).to_have_count(2)
    expect(asked.first).to_be_focused()
    right = [groups[int(label.split()[-1]) - 1] for label in page.locator(".group .small").all_inner_texts()]
    asked.nth(0).fill(right[0].lower())  # small letters are fine
    asked.nth(1).fill("0000" if right[1] != "0000" else "1111")
    newcomer.press("Check")
    newcomer.is_told("That isn't this group.")
    expect(asked.nth(0)).to_have_attribute("aria-invalid", "false")
    expect(asked.nth(1)).to_have_attribute("aria-invalid", "true")
    newcomer.press("Show the code again")
    assert code.get_by_role("listitem").all_inner_texts() == groups
    newcomer.press("I have kept it")
    asked.nth(0).fill(right[0])
    asked.nth(1).fill(right[1])
    newcomer.press("Check")
    newcomer.is_told("Good. The code is kept.")
    expect(page.get_by_label("Your link")).to_have_value(re.compile(re.escape(relay.origin) + "/#add="))
    expect(page.get_by_role("img", name="Your card as a QR code")).to_be_visible()

    newcomer.press("Go to my messages")
    newcomer.is_told("No conversations yet")
    expect(page.locator("body")).not_to_contain_text(re.compile("|".join(groups)))
    page.reload()
    newcomer.is_told("No conversations yet")


def check_printed(page: Page, groups: list[str]) -> None:
    """Look at the sheet: the code, what it is, and nothing to press."""
    page.emulate_media(media="print")
    expect(page.get_by_text("Halonyx recovery code")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text=groups[0]).last).to_be_visible()
    expect(page.get_by_role("button")).to_have_count(0)
    page.emulate_media(media="screen")


def test_everything_up_to_the_first_message_by_keyboard_alone(newcomer: Person, relay: RelayProcess) -> None:
    page = newcomer.page
    newcomer.page.get_by_role("button", name="Create my identity").wait_for()
    go_to(page, "Create my identity")
    page.keyboard.press("Enter")
    page.get_by_role("list", name="Recovery code").wait_for()
    groups = page.get_by_role("list", name="Recovery code").get_by_role("listitem").all_inner_texts()
    go_to(page, "I have kept it")
    page.keyboard.press("Enter")
    for label in page.locator(".group .small").all_inner_texts():
        go_to(page, label)
        page.keyboard.type(groups[int(label.split()[-1]) - 1])
    page.keyboard.press("Enter")
    newcomer.is_told("Good. The code is kept.")
    go_to(page, "Go to my messages")
    page.keyboard.press("Enter")
    newcomer.is_told("No conversations yet")
    go_to(page, "Add someone")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Their link or card")).to_be_focused()
    page.keyboard.insert_text(somebody(relay.origin))
    expect(page.get_by_label("Your name for them")).to_be_visible()
    go_to(page, "Your name for them")
    page.keyboard.type("Bob")
    page.keyboard.press("Enter")
    expect(newcomer.composer("Bob")).to_be_focused()
    page.keyboard.type("Hello Bob")
    page.keyboard.press("Enter")
    newcomer.sees("Hello Bob", "waiting")
    newcomer.is_told("It waits because their relay doesn't know them")


def go_to(page: Page, name: str) -> None:
    """Press Tab until what has this name has the focus; a few dozen stops must do."""
    wanted = page.get_by_role("button", name=name, exact=True).or_(page.get_by_label(name, exact=True))
    for _ in range(40):
        if wanted.evaluate_all("found => found.includes(document.activeElement)"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not lead to {name}")


def test_a_link_leads_to_its_owner(newcomer: Person, alice: Person) -> None:
    """Before there is an identity, and with one; the card does not stay in the address."""
    link = alice.card()
    page = newcomer.page
    page.goto("about:blank")
    page.goto(link)
    newcomer.is_told("Someone invited you.")
    assert "#" not in page.url
    newcomer.create()
    dialog = newcomer.dialog("Add someone")
    expect(dialog.get_by_label("Their link or card")).to_have_value(link)
    dialog.get_by_label("Your name for them").fill("Alice")
    newcomer.press("Add", dialog)
    newcomer.write("Alice", "you invited me")
    alice.accept("Newcomer")
    alice.sees("you invited me")

    page.goto("about:blank")
    page.goto(link)
    expect(dialog).to_contain_text("You have them already, as Alice.")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.evaluate("link => { location.href = link }", link)  # typed into the address of an open page
    expect(dialog).to_contain_text("You have them already, as Alice.")
    assert "#" not in page.url


def test_a_code_brings_the_identity_back(newcomer: Person, bob: Person, browser: Browser, relay: RelayProcess) -> None:
    """In another browser: contacts reach it there, and the old browser says so."""
    code = newcomer.create()
    introduce(newcomer, bob)
    newcomer.write("Bob", "from the old browser")
    bob.sees("from the old browser")
    newcomer.sees("from the old browser", "delivered")
    card = newcomer.card()

    with person(browser, relay.origin) as again:
        page = again.page
        again.press("I have a recovery code")
        field = page.get_by_label("Recovery code")
        wrong = ("0" if code[0] != "0" else "1") + code[1:]
        field.fill(wrong[:-1])
        expect(page.get_by_text("35 of 36 characters")).to_be_visible()
        expect(page.get_by_role("button", name="Recover", exact=True)).to_be_disabled()
        field.fill(wrong)
        again.press("Recover")
        again.is_told("That is not a recovery code, or it has a typing error.")
        field.fill(code.lower().replace("-", " "))
        again.press("Recover")
        again.is_told("No conversations yet")
        assert Card.parse(again.card()).usid == Card.parse(card).usid

        newcomer.is_told("Your identity was recovered on another device")
        newcomer.is_told("Erase it in Settings")
        newcomer.sees("from the old browser")  # what it has stays readable

        bob.write("Alice", "where are you?")
        bob.is_told("Alice added a device.")
        again.accept("Bob")
        again.sees("where are you?")
        bob.sees("where are you?", "delivered")
        again.write("Bob", "here")
        bob.sees("here")
        again.sees("here", "delivered")
