"""Two acquainted people: messages both ways, their states, what waits, and the limits of a text."""

import asyncio
from pathlib import Path

import pytest

from client.front import Front
from client.homes import (
    Mailboxes,
    Pair,
    change,
    drain,
    introduce,
    kinds,
    notices,
    receive_until,
    settle,
    stored,
    texts,
    two_people,
)
from halonyx.client import Message
from halonyx.core.errors import Misuse, TransportError
from halonyx.core.types import DAY


async def test_messages_arrive_both_ways_in_order(pair: Pair) -> None:
    for number in range(3):
        await pair.alice.send("bob", f"to bob {number}")
        await pair.bob.send("alice", f"to alice {number}")

    alices, bobs = await settle(pair.alice, pair.bob)

    assert texts(bobs) == ["to bob 0", "to bob 1", "to bob 2"]
    assert texts(alices) == ["to alice 0", "to alice 1", "to alice 2"]
    assert {event.sender for event in bobs if isinstance(event, Message)} == {"alice"}


async def test_a_message_is_accepted_then_delivered(pair: Pair, mailboxes: Mailboxes) -> None:
    sent = await pair.alice.send("bob", "hello")
    assert (sent.state, sent.reason) == ("accepted", None)
    assert pair.alice.history("bob")[0].state == "accepted"
    assert stored(pair.alice, "SELECT * FROM outbox")

    _, alices = await settle(pair.bob, pair.alice)

    assert [notice.data for notice in notices(alices, "delivered")] == [{"id": sent.id.hex()}]
    assert pair.alice.history("bob")[0].state == "delivered"
    assert stored(pair.alice, "SELECT * FROM outbox") == []  # plaintext kept for resending goes with the receipt
    await mailboxes.empty(pair.bob.account.address)
    await mailboxes.empty(pair.alice.account.address)


async def test_nothing_is_shown_twice(pair: Pair) -> None:
    await pair.alice.send("bob", "once")

    assert texts(await drain(pair.bob)) == ["once"]
    assert await drain(pair.bob) == []


async def test_an_event_that_was_not_asked_past_is_shown_again(pair: Pair) -> None:
    await pair.alice.send("bob", "first")
    await pair.alice.send("bob", "second")
    events = pair.bob.events()
    shown = await anext(events)
    await events.aclose()

    assert texts([shown]) == ["first"]
    assert texts(await drain(pair.bob)) == ["first", "second"]


async def test_offline_messages_wait_and_go_out_in_order(front: Front, fronted: Pair) -> None:
    await fronted.alice.send("bob", "online")
    await front.stop()
    states = [await fronted.alice.send("bob", f"offline {number}") for number in range(3)]
    assert {(sent.state, sent.reason) for sent in states} == {("waiting", "transport-error")}
    with pytest.raises(TransportError):
        await fronted.alice.flush()
    with pytest.raises(TransportError):
        await drain(fronted.bob)

    await front.start()
    await fronted.alice.flush()

    assert texts(await drain(fronted.bob)) == ["online", "offline 0", "offline 1", "offline 2"]
    assert fronted.alice.history("bob")[-1].state == "accepted"


async def test_what_waits_goes_out_with_the_next_message_before_it(front: Front, fronted: Pair) -> None:
    await front.stop()
    await fronted.alice.send("bob", "first")
    await front.start()

    assert (await fronted.alice.send("bob", "second")).state == "accepted"
    assert texts(await drain(fronted.bob)) == ["first", "second"]


async def test_a_contact_is_added_and_written_to_before_any_relay_is_there(front: Front, tmp_path: Path) -> None:
    async with two_people(tmp_path, (front.origin, front.origin), introduced=False) as pair:
        await front.stop()
        await introduce(pair.alice, pair.bob)
        assert (await pair.alice.send("bob", "early")).state == "waiting"

        await front.start()
        await pair.alice.flush()

        assert texts(await drain(pair.bob)) == ["early"]


async def test_a_lost_connection_costs_nothing(front: Front, fronted: Pair) -> None:
    """The sending connection that is kept open may have died since; the next message must not fail for it."""
    await fronted.alice.send("bob", "before")
    await front.stop()
    await front.start()

    assert (await fronted.alice.send("bob", "after")).state == "accepted"
    assert texts(await drain(fronted.bob)) == ["before", "after"]


async def test_following_survives_a_lost_connection(front: Front, fronted: Pair) -> None:
    receiving = asyncio.create_task(receive_until(fronted.bob, lambda found: len(texts(found)) == 2))
    await fronted.alice.send("bob", "one")
    await front.stop()
    await front.start()
    await fronted.alice.send("bob", "two")

    assert texts(await receiving) == ["one", "two"]


async def test_messages_yields_messages_only(pair: Pair) -> None:
    await pair.bob.send("alice", "knock")
    await settle(pair.alice, pair.bob)
    sent = await pair.bob.send("alice", "who is there")
    await pair.alice.send("bob", "me")

    async for message in pair.bob.messages():
        assert message.text == "me"
        break

    await drain(pair.alice)
    assert "delivered" in kinds(await drain(pair.bob))
    assert pair.bob.history("alice")[-1].text == "me"
    assert sent.state == "accepted"


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "ж" * 8192,
        "\U0001f9d1‍\U0001f680 \U0001f3f3️‍\U0001f308 e\u0301",
        "right \u202e to left, \x1b[31m red, \x07",
        "before\x00behind",
        "line\nline\r\n\tlast",
        "'; DROP TABLE messages; --",
    ],
    ids=["one byte", "16384 bytes", "emoji", "controls", "null", "lines", "sql"],
)
async def test_a_text_arrives_as_it_was_written(pair: Pair, text: str) -> None:
    await pair.alice.send("bob", text)

    assert texts(await drain(pair.bob)) == [text]
    assert pair.bob.history("alice")[0].text == text
    assert pair.alice.history("bob")[0].text == text


@pytest.mark.parametrize("text", ["", "x" * 16_385, "ж" * 8192 + "x", "half \ud83d"])
async def test_a_text_that_does_not_fit_is_refused_and_leaves_nothing(pair: Pair, text: str) -> None:
    with pytest.raises(Misuse):
        await pair.alice.send("bob", text)

    assert pair.alice.history("bob") == []
    assert stored(pair.alice, "SELECT * FROM outbox") == []


async def test_nobody_can_be_written_to_who_is_no_contact(pair: Pair) -> None:
    with pytest.raises(Misuse, match="no contact"):
        await pair.alice.send("carol", "hello")


async def test_a_message_of_fourteen_days_is_given_up_and_stays_in_the_history(front: Front, fronted: Pair) -> None:
    await front.stop()
    old = await fronted.alice.send("bob", "old")
    change(fronted.alice, "UPDATE outbox SET sent = sent - ?", 14 * DAY)
    await fronted.alice.send("bob", "new")
    await front.start()

    alices, bobs = await settle(fronted.alice, fronted.bob)

    assert [notice.data for notice in notices(alices, "failed")] == [{"id": old.id.hex()}]
    assert [entry.state for entry in fronted.alice.history("bob")] == ["failed", "delivered"]
    assert texts(bobs) == ["new"]


async def test_a_message_that_was_accepted_and_never_confirmed_is_given_up_aloud(
    pair: Pair, mailboxes: Mailboxes
) -> None:
    """Their relay swallowed it: after fourteen days nobody can ask for it any more."""
    sent = await pair.alice.send("bob", "swallowed")
    mailboxes.lose(pair.bob.account.address, 0)
    change(pair.alice, "UPDATE outbox SET sent = sent - ?", 14 * DAY)

    alices, bobs = await settle(pair.alice, pair.bob)

    assert [notice.data for notice in notices(alices, "failed")] == [{"id": sent.id.hex()}]
    assert (sent.state, pair.alice.history("bob")[0].state) == ("accepted", "failed")
    assert texts(bobs) == []


async def test_what_a_person_sees_of_a_message_is_what_was_sent(pair: Pair) -> None:
    sent = await pair.alice.send("bob", "hello")
    (shown,) = await drain(pair.bob)

    assert isinstance(shown, Message)
    assert (shown.id, shown.sender, shown.text) == (sent.id, "alice", "hello")
    assert shown.time <= shown.received
    entry = pair.bob.history("alice")[0]
    assert (entry.id, entry.outgoing, entry.state, entry.contact) == (sent.id, False, "received", "alice")
