"""Contacts: names, cards, safety numbers, blocking and what it does to the access key."""

from pathlib import Path

import pytest

from client.homes import (
    Mailboxes,
    Pair,
    device_of,
    drain,
    row_of,
    settle,
    sign_up,
    stored,
    texts,
)
from halonyx.client import Client
from halonyx.client.account import load_account
from halonyx.client.transport import Refused, Relay, submit
from halonyx.core import kdf
from halonyx.core.card import Card
from halonyx.core.errors import Malformed, Misuse, TransportError
from halonyx.core.types import EnvelopeId
from halonyx.wire.frames import SEND_PATH, Status, Submit
from halonyx.wire.rest_directory import LookupRequest, LookupResponse
from relay_process import RelayProcess

BLANK = b"\x01\x20" + bytes(1022)  # an envelope as far as a relay can tell


async def knock(client: Client, key: bytes) -> Status:
    """Return what the relay says to an envelope for a client under some key."""
    account = client.account
    async with Relay(account.origin) as relay:
        socket = await relay.socket(SEND_PATH)
        frame = Submit(EnvelopeId(bytes(16)), account.address, load_account(client._store).own.device.id, key, BLANK)
        (answer,) = await submit(socket, [frame])
        await socket.close()
        return answer.status


async def test_a_contact_is_what_the_card_says(pair: Pair) -> None:
    bob = pair.alice.contacts.get("bob")

    assert (bob.usid, bob.origin, bob.state) == (pair.bob.account.usid, pair.bob.account.origin, "accepted")
    assert (bob.verified, bob.frozen, bob.devices) == (False, None, 0)  # nothing was fetched yet
    assert pair.alice.contacts.list() == [bob]


async def test_cards_that_are_none_are_refused(pair: Pair) -> None:
    for text in ("", "hello", "halonyx:AAAA", pair.bob.card().uri()[:-1], "https://evil.example/#add=AAAA"):
        with pytest.raises(Malformed):
            await pair.alice.contacts.add(text, "mallory")
    with pytest.raises(Misuse, match="your own card"):
        await pair.alice.contacts.add(pair.alice.card().link(), "me")
    assert [contact.name for contact in pair.alice.contacts.list()] == ["bob"]


async def test_adding_a_card_twice_changes_nothing(pair: Pair) -> None:
    assert await pair.alice.contacts.add(pair.bob.card().link()) == pair.alice.contacts.get("bob")
    with pytest.raises(Misuse, match="rename"):
        await pair.alice.contacts.add(pair.bob.card().link(), "robert")


async def test_names_are_short_printable_and_unique(pair: Pair, relay: RelayProcess, tmp_path: Path) -> None:
    carol = await sign_up(tmp_path / "carol", relay.origin)
    async with carol.open() as client:
        card = client.card().uri()
    with pytest.raises(Misuse, match="taken") as taken:
        await pair.alice.contacts.add(card, "bob")
    assert taken.value.code == "name-taken"
    for name in ("x" * 65, "new\nline", "\u202eevil", " space", "space ", "\x1b[31m"):
        with pytest.raises(Misuse):
            await pair.alice.contacts.add(card, name)
        with pytest.raises(Misuse):
            pair.alice.contacts.rename("bob", name)

    assert (await pair.alice.contacts.add(card, "\U0001f9d1" * 64)).name == "\U0001f9d1" * 64
    with pytest.raises(Misuse, match="taken") as taken:
        pair.alice.contacts.rename("bob", "\U0001f9d1" * 64)
    assert taken.value.code == "name-taken"
    assert pair.alice.contacts.rename("bob", "bob").name == "bob"


async def test_a_renamed_contact_keeps_its_history(pair: Pair) -> None:
    await pair.bob.send("alice", "hello")
    await settle(pair.alice, pair.bob)
    pair.alice.contacts.rename("bob", "Robert")
    await pair.bob.send("alice", "again")

    assert [event.sender for event in await drain(pair.alice) if hasattr(event, "sender")] == ["Robert"]
    assert [entry.text for entry in pair.alice.history("Robert")] == ["hello", "again"]
    with pytest.raises(Misuse, match="no contact"):
        pair.alice.history("bob")


async def test_the_safety_number_is_the_same_on_both_sides_and_verifies(pair: Pair) -> None:
    number = await pair.alice.safety_number("bob")
    groups = number.split(" ")
    assert [len(group) for group in groups] == [5] * 12
    assert number == await pair.bob.safety_number("alice")

    with pytest.raises(Misuse, match="safety number"):
        await pair.alice.verify("bob", number[:-1] + str((int(number[-1]) + 1) % 10))
    with pytest.raises(Misuse):
        await pair.alice.verify("bob")
    assert not pair.alice.contacts.get("bob").verified

    assert (await pair.alice.verify("bob", number.replace(" ", "  "))).verified
    assert (await pair.bob.verify("alice", scanned=await pair.alice.safety_qr("bob"))).verified
    with pytest.raises(Misuse):
        await pair.bob.verify("alice", scanned=await pair.bob.safety_qr("alice"))  # our own code, not theirs
    with pytest.raises(Malformed):
        await pair.bob.verify("alice", scanned=b"\x01not a code")


async def test_a_blocked_contact_is_dropped_and_acknowledged(pair: Pair, mailboxes: Mailboxes) -> None:
    await pair.alice.send("bob", "before")
    await settle(pair.bob, pair.alice)
    assert (await pair.bob.contacts.block("alice")).state == "blocked"

    assert (await pair.alice.send("bob", "after")).state == "accepted"  # she is not told
    assert await drain(pair.bob) == []
    await mailboxes.empty(pair.bob.account.address)
    assert await drain(pair.alice) == []
    assert [entry.text for entry in pair.bob.history("alice")] == ["before"]
    with pytest.raises(Misuse, match="blocked"):
        await pair.bob.send("alice", "I should not")


async def test_blocking_changes_the_key_for_the_blocked_one_only(
    pair: Pair, relay: RelayProcess, tmp_path: Path
) -> None:
    carol = await sign_up(tmp_path / "carol", relay.origin)
    async with carol.open() as client:
        await client.contacts.add(pair.bob.card().uri(), "bob")
        await pair.bob.contacts.add(client.card().uri(), "carol")
        await client.send("bob", "carol here")
        await pair.alice.send("bob", "alice here")
        await settle(pair.bob, client, pair.alice)
        former = row_of(client, "bob").access
        assert former == row_of(pair.alice, "bob").access

        await pair.bob.contacts.block("alice")

        assert await knock(pair.bob, former) is Status.BAD_ACCESS_KEY
        with pytest.raises(Refused, match="does not open"):
            await lookup(pair.bob, former)
        # Carol hears of the new key in a message, before she writes again.
        assert await settle(client) == [[]]
        current = row_of(client, "bob").access
        assert current == kdf.access_key(load_account(pair.bob._store).profile_key) != former
        assert await knock(pair.bob, current) is Status.ACCEPTED
        await client.send("bob", "still here")
        assert texts(await drain(pair.bob)) == ["still here"]
        assert await drain(pair.alice) == []
        assert row_of(pair.alice, "bob").access == former  # she learns nothing


async def test_a_contact_who_missed_the_new_key_writes_by_request_key(pair: Pair) -> None:
    """The first answer under the new key brings it."""
    await pair.alice.send("bob", "hello")
    await settle(pair.bob, pair.alice)
    with pair.bob._store.transaction():
        pair.bob.contacts._rotate_profile_key()
        pair.bob._store.execute("DELETE FROM outbox")  # the message that would have told her
    await pair.bob.flush()

    assert (await pair.alice.send("bob", "again")).state == "accepted"
    assert row_of(pair.alice, "bob").profile_key is None
    await settle(pair.bob, pair.alice)

    assert row_of(pair.alice, "bob").access == kdf.access_key(load_account(pair.bob._store).profile_key)
    assert pair.alice.history("bob")[-1].state == "delivered"


async def test_a_removed_contact_is_gone_with_all_that_was_said(pair: Pair) -> None:
    await pair.alice.send("bob", "hello")
    await pair.bob.send("alice", "hello")
    await settle(pair.alice, pair.bob)
    await pair.alice.verify("bob", await pair.alice.safety_number("bob"))
    before = device_of(pair.alice, "bob").next_counter

    await pair.alice.contacts.remove("bob")

    assert pair.alice.contacts.list() == []
    assert stored(pair.alice, "SELECT 1 FROM messages") == []
    assert pair.alice.search("hello") == []
    with pytest.raises(Misuse):
        await pair.alice.send("bob", "hello")
    await pair.alice.contacts.add(pair.bob.card().uri(), "bob")
    assert not pair.alice.contacts.get("bob").verified
    assert pair.alice.history("bob") == []
    # Counters stay: nothing old can come a second time.
    assert device_of(pair.alice, "bob").next_counter == before
    await pair.alice.send("bob", "fresh start")
    assert texts(await drain(pair.bob)) == ["fresh start"]


async def test_what_only_the_network_knows_fails_as_the_network(pair: Pair, relay: RelayProcess) -> None:
    card = pair.bob.card()
    gone = Card("http://localhost:1", card.usid, card.record_version)
    await pair.alice.contacts.remove("bob")
    await pair.alice.contacts.add(gone.uri(), "bob")

    with pytest.raises(TransportError):
        await pair.alice.safety_number("bob")


async def lookup(client: Client, key: bytes) -> LookupResponse:
    account = client.account
    async with Relay(account.origin) as relay:
        request = LookupRequest(address=account.address, key=key)
        return await relay.call("POST", "/v1/lookup", request, LookupResponse)
