"""Strangers: a request, nothing shown and nothing sent before the person decides, and what follows from deciding."""

from contextlib import AbstractContextManager

import pytest

from client.forging import Forger
from client.homes import Mailboxes, Pair, change, drain, kinds, notices, row_of, settle, stored, texts
from halonyx.client import Client, Contact, Notice, inbox
from halonyx.client.account import load_account, now_ms
from halonyx.core.errors import Misuse
from halonyx.core.types import DAY, EnvelopeId
from halonyx.wire.frames import Deliver


def only_request(client: Client) -> Contact:
    (request,) = client.contacts.requests()
    return request


async def test_a_strangers_first_message_is_a_request_and_nothing_of_it_is_shown(
    strangers: Pair, mailboxes: Mailboxes
) -> None:
    await strangers.alice.send("bob", "psst, do you know me?")
    await strangers.alice.send("bob", "hello?")

    (request,) = await drain(strangers.bob)

    assert isinstance(request, Notice)
    assert request.kind == "request"
    assert request.contact == only_request(strangers.bob).name == strangers.alice.account.address.hex()[:16]
    assert "know me" not in repr(request)
    assert strangers.bob.search("hello") == []
    assert strangers.bob.contacts.list() == []
    with pytest.raises(Misuse):
        strangers.bob.history(request.contact)
    # No receipt and no fetch tells her that anyone has read it.
    await mailboxes.empty(strangers.bob.account.address)
    assert mailboxes.count(strangers.alice.account.address) == 0
    assert await drain(strangers.alice) == []
    assert {entry.state for entry in strangers.alice.history("bob")} == {"accepted"}


async def test_acceptance_shows_the_messages_in_order_and_sends_the_receipts(strangers: Pair) -> None:
    for number in range(3):
        await strangers.alice.send("bob", f"number {number}")
    await drain(strangers.bob)

    contact = await strangers.bob.contacts.accept(only_request(strangers.bob).name, "alice")

    assert (contact.name, contact.state, contact.verified) == ("alice", "accepted", False)
    assert texts(await drain(strangers.bob)) == ["number 0", "number 1", "number 2"]
    assert kinds(await drain(strangers.alice)) == ["delivered"] * 3
    assert {entry.state for entry in strangers.alice.history("bob")} == {"delivered"}
    assert strangers.bob.contacts.requests() == []


async def test_a_request_can_be_answered(strangers: Pair) -> None:
    await strangers.alice.send("bob", "hello")
    await drain(strangers.bob)
    await strangers.bob.contacts.accept(only_request(strangers.bob).name, "alice")
    await strangers.bob.send("alice", "hello yourself")

    assert texts(await drain(strangers.alice)) == ["hello yourself"]
    assert row_of(strangers.alice, "bob").profile_key is not None


async def test_the_sixth_message_waits_and_goes_out_by_itself_after_the_answer(
    strangers: Pair, mailboxes: Mailboxes
) -> None:
    states = [(await strangers.alice.send("bob", f"number {number}")).state for number in range(8)]
    assert states == ["accepted"] * 5 + ["waiting"] * 3
    assert mailboxes.count(strangers.bob.account.address) == 5
    await drain(strangers.alice)  # ends although something waits

    await drain(strangers.bob)
    await strangers.bob.contacts.accept(only_request(strangers.bob).name, "alice")
    await drain(strangers.alice)

    assert texts(await drain(strangers.bob)) == [f"number {number}" for number in range(8)]
    await drain(strangers.alice)
    assert {entry.state for entry in strangers.alice.history("bob")} == {"delivered"}


async def test_what_waits_says_what_it_waits_for(strangers: Pair) -> None:
    for number in range(5):
        await strangers.alice.send("bob", str(number))

    sent = await strangers.alice.send("bob", "one too many")

    assert (sent.state, sent.reason) == ("waiting", "unanswered")


async def test_twenty_requests_fill_a_mailbox_for_strangers(strangers: Pair, mailboxes: Mailboxes) -> None:
    """The relay's own bound, met by someone who does not keep to five."""
    for number in range(20):
        await strangers.alice.send("bob", str(number))
        with strangers.alice._store.transaction():  # as if it had never been sent
            strangers.alice._store.execute("DELETE FROM outbox WHERE EXISTS (SELECT 1 FROM deliveries)")

    sent = await strangers.alice.send("bob", "the twenty-first")

    assert (sent.state, sent.reason) == ("waiting", "requests-full")
    assert mailboxes.count(strangers.bob.account.address) == 20
    await drain(strangers.bob)
    await strangers.alice.flush()
    assert strangers.alice.history("bob")[-1].state == "accepted"  # reading them made room


async def test_a_refused_stranger_hears_nothing_and_is_not_heard(strangers: Pair, mailboxes: Mailboxes) -> None:
    await strangers.alice.send("bob", "buy my watches")
    await drain(strangers.bob)

    strangers.bob.contacts.refuse(only_request(strangers.bob).name)
    await strangers.alice.send("bob", "they are cheap")

    assert await drain(strangers.bob) == []
    await mailboxes.empty(strangers.bob.account.address)  # dropped and acknowledged
    assert strangers.bob.contacts.requests() == []
    assert stored(strangers.bob, "SELECT 1 FROM messages") == []
    assert await drain(strangers.alice) == []
    assert mailboxes.count(strangers.alice.account.address) == 0


async def test_adding_a_strangers_card_accepts_their_request(strangers: Pair) -> None:
    await strangers.alice.send("bob", "here is my card")
    await drain(strangers.bob)

    contact = await strangers.bob.contacts.add(strangers.alice.card().uri(), "alice")

    assert contact.state == "accepted"
    assert texts(await drain(strangers.bob)) == ["here is my card"]
    assert kinds(await drain(strangers.alice)) == ["delivered"]


async def test_a_request_that_arrives_while_the_card_is_added_is_accepted(
    strangers: Pair, mailboxes: Mailboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process receives it in the very moment."""
    await strangers.alice.send("bob", "never read")
    mailboxes.lose(strangers.bob.account.address, 0)
    forger = Forger(strangers.alice, "bob")
    record = stored(strangers.alice, "SELECT record FROM account")[0]["record"]
    envelope = forger.envelope(forger.message(forger.content(b"just now", counter=1).encode()), record=record)
    async with strangers.homes[1].open() as receiving:
        transaction = strangers.bob._store.transaction

        def late() -> AbstractContextManager[None]:
            monkeypatch.undo()
            deliver = Deliver(1, EnvelopeId(bytes(16)), now_ms(), envelope)
            assert inbox.take_in(receiving._store, load_account(receiving._store), deliver) is None
            return transaction()

        monkeypatch.setattr(strangers.bob._store, "transaction", late)
        await strangers.bob.contacts.add(strangers.alice.card().uri(), "alice")

    assert [contact.name for contact in strangers.bob.contacts.list()] == ["alice"]
    assert texts(await drain(strangers.bob)) == ["just now"]


async def test_adding_the_card_of_someone_refused_accepts_them(strangers: Pair) -> None:
    await strangers.alice.send("bob", "who are you")
    await drain(strangers.bob)
    strangers.bob.contacts.refuse(only_request(strangers.bob).name)

    contact = await strangers.bob.contacts.add(strangers.alice.card().uri(), "alice")
    await strangers.alice.send("bob", "we met today")

    assert (contact.name, contact.state) == ("alice", "accepted")
    assert texts(await drain(strangers.bob)) == ["we met today"]


async def test_a_request_is_announced_once(strangers: Pair) -> None:
    await strangers.alice.send("bob", "one")
    await drain(strangers.bob)
    await strangers.alice.send("bob", "two")

    assert await drain(strangers.bob) == []


async def test_a_name_that_is_taken_or_does_not_fit_accepts_nobody(strangers: Pair) -> None:
    await strangers.alice.send("bob", "hello")
    await drain(strangers.bob)
    request = only_request(strangers.bob).name

    for name in ("x" * 65, "a\nb", " a", "\u202ea"):
        with pytest.raises(Misuse):
            await strangers.bob.contacts.accept(request, name)
    with pytest.raises(Misuse, match="no request"):
        await strangers.bob.contacts.accept("00000000", "alice")
    with pytest.raises(Misuse, match="no request"):
        strangers.bob.contacts.refuse("00000000")

    assert only_request(strangers.bob).name == request


async def test_someone_removed_who_writes_again_is_a_request(pair: Pair) -> None:
    await pair.alice.send("bob", "first")
    await pair.bob.send("alice", "hello")
    await settle(pair.alice, pair.bob)
    await pair.bob.contacts.remove("alice")
    assert pair.bob.contacts.list() == []
    assert pair.bob.search("first") == []
    # The key of contacts is not theirs any more: they may leave as much as any stranger.
    (account,) = stored(pair.bob, "SELECT profile_key FROM account")
    assert account["profile_key"] != row_of(pair.alice, "bob").profile_key

    await pair.alice.send("bob", "still there?")
    found = await drain(pair.bob)

    assert (texts(found), kinds(found)) == ([], ["request"])
    assert await drain(pair.alice) == []
    await pair.bob.contacts.accept(only_request(pair.bob).name, "alice again")
    assert texts(await drain(pair.bob)) == ["still there?"]
    assert notices(await drain(pair.alice), "delivered")
    assert [entry.text for entry in pair.bob.history("alice again")] == ["still there?"]


async def test_a_stranger_who_finds_no_room_is_told_of_once_a_day(
    strangers: Pair, mailboxes: Mailboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "MAX_STRANGERS", 0)
    found = []
    for days in (0, 0, 1):
        change(strangers.bob, "UPDATE account SET requests_full_noted = requests_full_noted - ?", days * DAY)
        await strangers.alice.send("bob", "important")
        found.append(kinds(await drain(strangers.bob)))

    assert found == [["requests-full"], [], ["requests-full"]]
    await mailboxes.empty(strangers.bob.account.address)
    assert strangers.bob.contacts.requests() == []


async def test_what_a_strangers_newer_program_says_leaves_nothing(strangers: Pair, mailboxes: Mailboxes) -> None:
    await strangers.alice.send("bob", "never read")
    mailboxes.lose(strangers.bob.account.address, 0)
    forger = Forger(strangers.alice, "bob")
    record = stored(strangers.alice, "SELECT record FROM account")[0]["record"]
    for number in range(1, 6):
        content = forger.content(counter=number * 129).encode()
        newer = content[:1] + bytes([99]) + content[2:]
        await forger.submit(forger.envelope(forger.message(newer), record=record))

    assert await drain(strangers.bob) == []

    await mailboxes.empty(strangers.bob.account.address)
    for table in ("contacts", "devices", "gaps", "messages"):
        assert stored(strangers.bob, f"SELECT 1 FROM {table}") == []  # noqa: S608
