"""A relay that lies about envelopes, and the Python client, whom an altered page does not concern."""

from typing import Final

import aiohttp
import pytest

from client.homes import Pair, change, drain, end_hold, kinds, receive_until, settle, texts
from halonyx.client import Client
from halonyx.core.types import DAY
from hostile.liars import Liar
from lying_relay.page import THIEF

SERIES: Final = ["one", "two", "three"]


@pytest.fixture
async def friends(pair: Pair) -> Pair:
    """Alice and Bob after their first messages, each of whose devices has confirmed the other's."""
    await pair.alice.send("bob", "hello")
    await pair.bob.send("alice", "hello")
    await settle(pair.bob, pair.alice)
    return pair


def state_of(client: Client, text: str) -> str:
    """Return how far a message got, a day after it was written."""
    change(client, "UPDATE messages SET sent = sent - ?", DAY)
    (entry,) = [entry for entry in client.history("bob") if entry.text == text]
    return f"{entry.state}, no receipt yet" if entry.no_receipt else entry.state


@pytest.mark.lie("drop")
async def test_drop(liar: Liar, friends: Pair) -> None:
    liar.begin()
    sent = [await friends.alice.send("bob", text) for text in ("lost", "next")]
    assert [one.state for one in sent] == ["accepted", "accepted"]
    events = await end_hold(friends.bob)
    state = state_of(friends.alice, "lost")
    liar.end()

    found, _ = await settle(friends.bob, friends.alice)

    liar.comes_to(state, events, found)
    assert texts(found) == ["next", "lost"]
    assert state_of(friends.alice, "lost") == "delivered"


@pytest.mark.lie("not-stored")
async def test_not_stored(liar: Liar, friends: Pair) -> None:
    liar.begin()
    assert (await friends.alice.send("bob", "lost")).state == "accepted"
    nothing = await settle(friends.bob, friends.alice)
    assert nothing == [[], []]
    state = state_of(friends.alice, "lost")
    liar.end()
    await friends.alice.send("bob", "next")
    events = await end_hold(friends.bob)

    found, _ = await settle(friends.bob, friends.alice)

    liar.comes_to(state, events, found)
    assert texts(found) == ["next", "lost"]


@pytest.mark.lie("delay")
async def test_delay(liar: Liar, friends: Pair) -> None:
    liar.begin()
    assert (await friends.alice.send("bob", "late")).state == "accepted"
    assert await settle(friends.bob, friends.alice) == [[], []]
    state = state_of(friends.alice, "late")
    liar.end()
    await friends.alice.send("bob", "after it")

    told = await settle(friends.bob, friends.alice)

    liar.comes_to(state, *told)
    assert texts(told[0]) == ["late", "after it"]
    assert state_of(friends.alice, "late") == "delivered"


@pytest.mark.lie("repeat")
async def test_repeat(liar: Liar, friends: Pair) -> None:
    liar.begin()
    for text in SERIES:
        await friends.alice.send("bob", text)

    told = await settle(friends.bob, friends.alice)

    assert texts(told[0]) == SERIES
    liar.comes_to(state_of(friends.alice, "three"), *told)


@pytest.mark.lie("reorder")
async def test_reorder(liar: Liar, friends: Pair) -> None:
    liar.begin()
    for text in SERIES:
        await friends.alice.send("bob", text)
    events = await drain(friends.bob)
    told = await receive_until(friends.alice, lambda found: kinds(found).count("delivered") == len(SERIES))

    assert texts(events) == SERIES
    liar.comes_to(state_of(friends.alice, "three"), events, told)


@pytest.mark.lie("forge")
async def test_forge(liar: Liar, friends: Pair) -> None:
    liar.begin(friends.alice, friends.bob)
    await friends.alice.send("bob", "true")

    bobs, alices = await settle(friends.bob, friends.alice)

    assert (texts(bobs), texts(alices)) == (["true"], [])
    liar.comes_to(state_of(friends.alice, "true"), bobs, alices)


@pytest.mark.lie("claim-delivery")
async def test_claim_delivery(liar: Liar, friends: Pair) -> None:
    liar.begin(friends.alice, friends.bob)
    await friends.alice.send("bob", "withheld")

    bobs, alices = await settle(friends.bob, friends.alice)

    assert (texts(bobs), texts(alices)) == ([], [])
    liar.comes_to(state_of(friends.alice, "withheld"), bobs, alices)


@pytest.mark.lie("altered-javascript")
async def test_altered_javascript(liar: Liar, friends: Pair) -> None:
    async with aiohttp.ClientSession(liar.origin) as session:
        page = await (await session.get("/")).text()
        script = page.partition('src="./')[2].partition('"')[0]
        assert THIEF in await (await session.get(f"/{script}")).read()
    await friends.alice.send("bob", "none of its business")

    told = await settle(friends.bob, friends.alice)

    assert texts(told[0]) == ["none of its business"]
    liar.comes_to(state_of(friends.alice, "none of its business"), *told)
