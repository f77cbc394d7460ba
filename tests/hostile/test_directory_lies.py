"""A relay that lies about keys, and the Python client."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from client.homes import Pair, change, drain, notices, row_of, settle, sign_up, stored, texts
from client.owner import Owner
from halonyx.client import Client, Event, Sent
from halonyx.client.directory import NAMED_PAUSE, NAMED_TRIES
from hostile.liars import Liar, said


@pytest.fixture
async def carol(liar: Liar, tmp_path: Path) -> AsyncIterator[Client]:
    home = await sign_up(tmp_path / "carol", liar.origin)
    async with home.open() as client:
        yield client


def came_to(sent: Sent) -> str:
    return f"{sent.state} {sent.reason}" if sent.reason else sent.state


async def check_nothing_is_sent(liar: Liar, pair: Pair) -> None:
    """Check that Alice is warned at once, and that not even something encrypted has left her machine."""
    sent = await pair.alice.send("bob", "secret")

    liar.comes_to(came_to(sent), await drain(pair.alice), await drain(pair.bob))
    assert stored(pair.alice, "SELECT 1 FROM deliveries") == []
    assert stored(pair.alice, "SELECT evidence FROM contacts")[0]["evidence"]


@pytest.mark.lie("swap-device-key")
async def test_swap_device_key(liar: Liar, pair: Pair) -> None:
    liar.begin()
    blind = await pair.bob.send("alice", "secret")
    assert came_to(blind) == "waiting authentication-failed"  # without a card it can only damage
    assert [said(found) for found in notices(await drain(pair.bob), "stale")] == ["stale authentication-failed"]

    liar.begin(pair.bob)

    await check_nothing_is_sent(liar, pair)


@pytest.mark.lie("swap-record")
async def test_swap_record(liar: Liar, pair: Pair) -> None:
    liar.begin(pair.bob)

    await check_nothing_is_sent(liar, pair)


@pytest.mark.lie("add-device")
async def test_add_device(liar: Liar, pair: Pair) -> None:
    liar.begin(pair.bob)

    await check_nothing_is_sent(liar, pair)


@pytest.mark.lie("record-of-another")
async def test_record_of_another(liar: Liar, pair: Pair, carol: Client) -> None:
    liar.begin(pair.bob, carol)

    await check_nothing_is_sent(liar, pair)


@pytest.mark.lie("old-record")
async def test_old_record(liar: Liar, pair: Pair) -> None:
    """It is told at the next look, which comes once a day, or before if anything is the matter."""
    owner = Owner(pair.homes[1], pair.bob)
    await owner.publish(owner.next_record())
    await pair.alice.send("bob", "with the new record")
    await settle(pair.bob, pair.alice)
    liar.begin()
    change(pair.alice, "UPDATE contacts SET record_checked = 0")

    await check_nothing_is_sent(liar, pair)


@pytest.mark.lie("two-views")
async def test_two_views(liar: Liar, pair: Pair, carol: Client) -> None:
    """Bob's next message names the record that Alice should be served; three tries within a minute tell."""
    await pair.alice.send("bob", "hello")
    await settle(pair.bob, pair.alice)
    owner = Owner(pair.homes[1], pair.bob)
    await owner.publish(owner.next_record())
    liar.begin()
    await carol.contacts.add(pair.bob.card().uri(), "bob")
    assert (await carol.send("bob", "hello")).state == "accepted"
    assert row_of(carol, "bob").record_name.version == row_of(pair.alice, "bob").record_name.version + 1

    await pair.alice.send("bob", "before anything tells")
    await drain(pair.bob)
    await pair.bob.send("alice", "news")
    events = await drain(pair.alice)
    for _ in range(NAMED_TRIES - 1):
        change(pair.alice, "UPDATE contacts SET named_since = named_since - ?", NAMED_PAUSE)
        await pair.alice.flush()
    events += await drain(pair.alice)

    assert texts(events) == ["news"]
    liar.comes_to(pair.alice.history("bob")[-2].state, events)


@pytest.mark.lie("prekey-twice")
async def test_prekey_twice(liar: Liar, pair: Pair, carol: Client) -> None:
    """The second session can't begin: Bob begins one himself, and what was written is sent again."""
    await pair.bob.contacts.add(carol.card().uri(), "carol")
    await carol.contacts.add(pair.bob.card().uri(), "bob")
    liar.begin()
    await pair.alice.send("bob", "from alice")
    await drain(pair.bob)
    await carol.send("bob", "from carol")

    bobs, _ = await settle(pair.bob, carol)

    assert texts(bobs) == ["from carol"]
    liar.comes_to(carol.history("bob")[0].state, bobs)


@pytest.mark.lie("prekeys-of-another")
async def test_prekeys_of_another(liar: Liar, pair: Pair, carol: Client) -> None:
    liar.begin(pair.bob, carol)

    sent = await pair.alice.send("bob", "secret")

    liar.comes_to(came_to(sent), await drain(pair.alice), await drain(pair.bob))
    assert stored(pair.alice, "SELECT 1 FROM deliveries") == []
    liar.end()
    await pair.alice.flush()
    assert texts(await drain(pair.bob)) == ["secret"]


@pytest.mark.lie("withhold-prekeys")
async def test_withhold_prekeys(liar: Liar, pair: Pair) -> None:
    liar.begin()
    await pair.alice.send("bob", "hello")

    told: list[list[Event]] = await settle(pair.bob, pair.alice)

    assert texts(told[0]) == ["hello"]
    liar.comes_to(pair.alice.history("bob")[0].state, *told)
