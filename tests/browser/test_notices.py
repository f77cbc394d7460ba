"""A relay that serves keys that do not fit, or loses mail: the person is told, and what they can do about it."""

import json
import secrets
from collections.abc import Iterator
from typing import Final

import pytest
from playwright.sync_api import Browser, expect

from browser.people import Person, introduce, person
from browser.servers import lying, own_page
from browser.test_files_ui import TAKE
from client.front import Alter, Answer, Front
from client.homes import Mailboxes
from halonyx.core.card import Card
from halonyx.core.directory import open_object, record_slot, seal_object
from halonyx.core.encoding import decode_base64url, encode_base64url
from halonyx.core.identity import address_of
from relay_process import RelayProcess, free_port, running_relay

LOOKUP: Final = "/v1/lookup"


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """A relay, and the liar before it, which answers in its name."""
    port = free_port()
    origins = json.dumps([f"http://localhost:{port}"])
    with running_relay(tmp_path_factory.mktemp("relay"), HALONYX_ORIGINS=origins) as relay, lying(relay, port) as liar:
        yield liar


@pytest.fixture(scope="module")
def page(front: Front) -> Iterator[str]:
    """Address of the client, from the person's own machine: the relay serves none of its scripts."""
    with own_page(front.origin) as address:
        yield address


@pytest.fixture
def relay(front: Front) -> RelayProcess:
    front.alter.clear()
    return front.relay


@pytest.fixture
def alice(browser: Browser, relay: RelayProcess, page: str) -> Iterator[Person]:
    with person(browser, page) as newcomer:
        newcomer.create()
        yield newcomer


@pytest.fixture(scope="module")
def bob(browser: Browser, front: Front, page: str) -> Iterator[Person]:
    with person(browser, page) as newcomer:
        newcomer.create()
        yield newcomer


def lies_about(card: str, instead: Card | None) -> Alter:
    """Serve somebody else's keys for the owner of a card, or noise."""
    usid = Card.parse(card).usid
    address = encode_base64url(address_of(usid))
    genuine: dict[str, str] = {}

    def alter(asked: Answer, answer: Answer) -> Answer:
        genuine[asked["address"]] = answer["record"]
        if asked["address"] != address:
            return answer
        if instead is None:
            return answer | {"record": encode_base64url(secrets.token_bytes(5000))}
        theirs = address_of(instead.usid)
        record = open_object(instead.usid, record_slot(theirs), decode_base64url(genuine[encode_base64url(theirs)]))
        blob = seal_object(usid, record_slot(address_of(usid)), record, bytes(12))
        return answer | {"record": encode_base64url(blob)}

    return alter


def test_keys_that_are_not_theirs_stop_sending_until_the_numbers_were_compared(
    front: Front, alice: Person, bob: Person, browser: Browser, page: str
) -> None:
    card = bob.card()
    with person(browser, page) as mallory:
        mallory.create()
        front.alter[LOOKUP] = lies_about(card, Card.parse(mallory.card()))
        alice.add(mallory.card(), "Mallory")
        alice.press("Compare numbers")  # has the relay look Mallory up, so that the liar has the record
        expect(alice.dialog("Compare numbers").get_by_role("listitem")).to_have_count(12)
        alice.page.keyboard.press("Escape")
    alice.add(card, "Bob")
    alice.write("Bob", "for Bob only")
    alarm = alice.page.get_by_role("alert")
    expect(alarm).to_contain_text("Sending to Bob is stopped")
    expect(alarm).to_contain_text("Somebody may be trying to read along.")
    expect(alice.composer("Bob")).to_have_count(0)
    expect(alice.people.get_by_role("button", name="Bob")).to_contain_text("Sending stopped")
    alice.sees("for Bob only", "waiting")
    alice.press("Don't send")
    expect(alarm).to_have_count(0)
    alice.press("Review")
    alice.page.reload()
    expect(alarm).to_contain_text("Sending to Bob is stopped")

    # As long as the relay lies there is nothing to compare.
    alice.press("Compare numbers", alarm)
    dialog = alice.dialog("Compare numbers")
    expect(dialog.get_by_role("alert")).to_be_visible()
    expect(dialog.get_by_role("button", name="They match")).to_have_count(0)
    front.alter.clear()
    alice.press("Try again", dialog)
    expect(dialog.get_by_role("listitem")).to_have_count(12)
    expect(bob.people).not_to_contain_text("request")  # nothing has gone out
    alice.press("They match", dialog)
    alice.is_told("Bob is verified. You can write again.")
    alice.sees("for Bob only", "accepted")
    bob.accept("Alice")
    bob.sees("for Bob only")
    alice.sees("for Bob only", "delivered")
    expect(alice.composer("Bob")).to_be_visible()


def test_noise_instead_of_keys_stops_sending(front: Front, alice: Person, bob: Person) -> None:
    card = bob.card()
    front.alter[LOOKUP] = lies_about(card, None)
    alice.add(card, "Bob")
    alice.write("Bob", "not out")
    expect(alice.page.get_by_role("alert")).to_contain_text("The keys the relay serves for Bob don")
    alice.sees("not out", "waiting")
    thread = alice.page.get_by_role("region", name="Conversation with Bob").element_handle()
    alice.page.evaluate(TAKE, [thread, "drag", [["x.txt", "text/plain", ""]]])
    expect(alice.page.get_by_text("Drop to send to Bob")).to_have_count(0)


def test_keys_older_than_the_card_stop_sending(alice: Person, bob: Person) -> None:
    card = Card.parse(bob.card())
    alice.add(Card(card.origin, card.usid, card.record_version + 1).link(), "Bob")
    alice.write("Bob", "not out")
    expect(alice.page.get_by_role("alert")).to_contain_text("It may hide a device that Bob removed.")
    alice.is_told("The relay served old or different keys for Bob.")
    alice.sees("not out", "waiting")


def test_a_message_that_the_relay_lost_is_missed_and_sent_again(
    relay: RelayProcess, alice: Person, browser: Browser, page: str
) -> None:
    with person(browser, page) as carol:
        carol.create()
        introduce(alice, carol)
        alice.write("Bob", "zero")
        carol.sees("zero")
        alice.sees("zero", "delivered")
        card = Card.parse(carol.card())
        carol.page.goto("about:blank")
        for text in ("one", "lost", "three"):
            alice.write("Bob", text)
            alice.sees(text, "accepted")
        Mailboxes(relay).lose(address_of(card.usid), 1)
        carol.page.goto(page)
        carol.open("Alice")
        carol.sees("one")
        carol.is_told("A message from Alice is missing. It was asked for again.")
        carol.sees("three")
        carol.sees("lost")
        for text in ("one", "lost", "three"):
            alice.sees(text, "delivered")
