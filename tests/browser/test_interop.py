"""A browser and the Python client write to each other through one relay."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from browser.peer import Peer, acquaint, peer
from browser.people import Person, person
from halonyx.core.session import Sessions, encode_sessions
from relay_process import RelayProcess


@pytest.fixture(scope="module")
def met(
    browser: Browser, relay: RelayProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Person, Peer]]:
    """Alice at the browser and Bob at the Python client, who have each other's card."""
    home = tmp_path_factory.mktemp("bob") / "home"
    with person(browser, relay.origin) as alice, peer(home, relay.origin) as bob:
        alice.create()
        acquaint(alice, "alice", bob, "Bob")
        yield alice, bob


def confirmed(bob: Peer, text: str) -> None:
    """Wait until the Python client knows that the browser has it."""
    bob.until_state("alice", text, "delivered")


def test_both_at_once_and_then_on(met: tuple[Person, Peer]) -> None:
    alice, bob = met
    before = len(bob.texts())
    alice.composer("Bob").fill("from the browser")
    sending = bob.begin_to_write("alice", ["from Python"])
    alice.composer("Bob").press("Enter")
    sending.result()
    alice.sees("from Python")
    assert bob.until(before + 1)[before:] == ["from the browser"]
    alice.sees("from the browser", "delivered")
    confirmed(bob, "from Python")
    for number in range(3):
        alice.write("Bob", f"browser {number}")
        bob.write("alice", [f"python {number}"])
        alice.sees(f"python {number}")
        alice.sees(f"browser {number}", "delivered")
    assert bob.until(before + 4)[before + 1 :] == [f"browser {number}" for number in range(3)]
    confirmed(bob, "python 2")


def test_every_character_is_the_same_on_both_sides(met: tuple[Person, Peer]) -> None:
    alice, bob = met
    text = "línea 1\n\u202eright to left\u202c 👩‍👩‍👧 \u0000 <b>no tag</b> עברית"
    before = len(bob.texts())
    bob.write("alice", [text])
    words = alice.page.locator("li.message.theirs .words").last
    expect(words).to_contain_text("<b>no tag</b>")
    assert words.evaluate("element => element.textContent") == text
    alice.composer("Bob").fill(text.replace("\u0000", ""))
    alice.composer("Bob").press("Enter")
    assert bob.until(before + 1)[-1] == text.replace("\u0000", "")


def test_connections_that_are_lost(met: tuple[Person, Peer], relay: RelayProcess) -> None:
    """The relay is killed, and both write meanwhile."""
    alice, bob = met
    before = len(bob.texts())
    relay.kill()
    alice.write("Bob", "browser in the dark")
    alice.sees("browser in the dark", "waiting")
    assert bob.call(bob.client.send("alice", "python in the dark")).state == "waiting"
    relay.start()
    alice.sees("python in the dark")
    assert bob.until(before + 1)[-1] == "browser in the dark"
    alice.sees("browser in the dark", "delivered")
    confirmed(bob, "python in the dark")


def test_a_reload_in_mid_conversation(met: tuple[Person, Peer]) -> None:
    alice, bob = met
    met_before = len(bob.texts())
    alice.write("Bob", "an answer")  # until then he may write five messages only
    before = len(bob.until(met_before + 1))
    sending = bob.begin_to_write("alice", [f"during {number}" for number in range(10)])
    alice.write("Bob", "just before")
    alice.sees("just before")  # what is shown is stored
    alice.page.reload()
    alice.write("Bob", "just after")
    sending.result()
    for number in range(10):
        alice.sees(f"during {number}")
    assert bob.until(before + 2)[before:] == ["just before", "just after"]
    confirmed(bob, "during 9")


def test_a_session_that_python_lost_is_begun_anew(met: tuple[Person, Peer]) -> None:
    """Nothing is lost, and both are told in one quiet line."""
    alice, bob = met
    before = len(bob.texts())
    bob.change("UPDATE devices SET sessions = ?, revision = revision + 1", encode_sessions(Sessions()))
    alice.write("Bob", "can you read me?")
    assert bob.until(before + 1)[-1] == "can you read me?"
    alice.sees("can you read me?", "delivered")
    expect(alice.page.get_by_text("The session was refreshed.")).to_have_count(1)
    bob.write("alice", ["yes"])
    alice.sees("yes")
    alice.write("Bob", "good")
    assert bob.until(before + 2)[-1] == "good"


def test_the_safety_number_is_the_same(met: tuple[Person, Peer]) -> None:
    alice, bob = met
    alice.press("Compare numbers")
    groups = alice.dialog("Compare numbers").get_by_role("listitem")
    expect(groups).to_have_count(12)
    assert bob.call(bob.client.safety_number("alice")) == " ".join(groups.all_inner_texts())
    alice.page.keyboard.press("Escape")


@pytest.mark.parametrize("is_browser_first", [True, False], ids=["browser first", "Python first"])
def test_a_stranger_of_the_other_kind(
    is_browser_first: bool,  # noqa: FBT001 (a parameter of the test)
    alice: Person,
    relay: RelayProcess,
    tmp_path: Path,
) -> None:
    with peer(tmp_path / "bob", relay.origin) as bob:
        if is_browser_first:
            alice.add(bob.card, "Bob")
            alice.write("Bob", "hello Python")
            alice.sees("hello Python", "accepted")
            bob.accept("alice")
            assert bob.until(1) == ["hello Python"]
            alice.sees("hello Python", "delivered")
        else:
            bob.add(alice.card(), "alice")
            bob.write("alice", ["hello browser"])
            alice.accept("Bob")
            alice.sees("hello browser")
            confirmed(bob, "hello browser")
        alice.write("Bob", "and on")
        alice.sees("and on", "delivered")
        bob.write("alice", ["and back"])
        alice.sees("and back")
        confirmed(bob, "and back")
