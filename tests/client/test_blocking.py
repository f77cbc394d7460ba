"""What a blocked contact wrote is dropped for good: not shown later, not asked for, not told of as missing."""

import asyncio
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from client.files_kit import some_file
from client.forging import Forger
from client.front import Answer, Front
from client.homes import (
    Mailboxes,
    Pair,
    change,
    device_of,
    drain,
    end_hold,
    kinds,
    recovered,
    row_of,
    settle,
    stored,
    texts,
)
from halonyx.client import Client, outbox, repair, sealing
from halonyx.client.account import now_ms
from halonyx.core.content import Kind, Resend
from halonyx.core.errors import Misuse
from halonyx.core.session import Sessions, encode_sessions
from halonyx.core.types import HOUR


@pytest.fixture
async def blocked(pair: Pair) -> Pair:
    """Bob and Alice, who have talked; Bob blocked her, and dropped what she wrote since."""
    await pair.alice.send("bob", "before")
    await pair.bob.send("alice", "hello")
    await settle(pair.bob, pair.alice)
    await pair.bob.contacts.block("alice")
    for number in range(3):
        await pair.alice.send("bob", f"while blocked {number}")
    assert await drain(pair.bob) == []
    return pair


def states(client: Client, name: str) -> dict[str, str]:
    return {entry.text: entry.state for entry in client.history(name) if entry.outgoing}


async def test_an_unblocked_contact_is_heard_again_and_what_was_dropped_is_not_missed(blocked: Pair) -> None:
    await blocked.bob.contacts.unblock("alice")
    for text in ("after", "and on"):
        await blocked.alice.send("bob", text)
    bobs, alices = await settle(blocked.bob, blocked.alice)

    assert (texts(bobs), kinds(bobs)) == (["after", "and on"], [])
    assert kinds(alices) == ["delivered", "delivered"]
    assert states(blocked.alice, "bob") == {
        "before": "delivered",
        **{f"while blocked {number}": "accepted" for number in range(3)},
        "after": "delivered",
        "and on": "delivered",
    }
    assert stored(blocked.bob, "SELECT 1 FROM gaps") == []


async def test_more_than_strangers_may_write_is_no_obstacle_after_unblocking(blocked: Pair) -> None:
    """Blocking changed the key, and by request key only five go out unanswered: unblocking brings the new one."""
    for number in range(4):
        await blocked.alice.send("bob", f"more {number}")
    assert states(blocked.alice, "bob")["more 3"] == "waiting"
    await blocked.bob.contacts.unblock("alice")
    await drain(blocked.alice)

    assert (await blocked.alice.send("bob", "after")).state == "accepted"

    assert texts(await drain(blocked.bob)) == ["after"]


async def test_what_lay_in_the_mailbox_at_unblocking_is_dropped(blocked: Pair) -> None:
    await blocked.alice.send("bob", "not fetched yet")
    await blocked.bob.contacts.unblock("alice")
    await blocked.alice.send("bob", "after")

    assert texts(await drain(blocked.bob)) == ["after"]
    assert await settle(blocked.alice, blocked.bob) != [[], []]
    assert states(blocked.alice, "bob")["not fetched yet"] == "accepted"


@pytest.mark.parametrize("is_begun", [True, False])
async def test_what_is_repeated_after_unblocking_stays_dropped(blocked: Pair, *, is_begun: bool) -> None:
    """He asks for everything that he has not confirmed, and she repeats it by herself."""
    await blocked.bob.contacts.unblock("alice")
    if is_begun:
        await blocked.alice.send("bob", "after")
        assert texts(await drain(blocked.bob)) == ["after"]
    asking = Forger(blocked.bob, "alice")
    await asking.send(asking.content(Resend(None, ()).encode(), kind=Kind.RESEND, counter=0))
    await drain(blocked.alice)
    with blocked.alice._store.transaction():
        repair.make_up(blocked.alice._store, now_ms())
    await blocked.alice.flush()

    bobs, _ = await settle(blocked.bob, blocked.alice)

    assert texts(bobs) == []
    await blocked.alice.send("bob", "last")
    bobs, _ = await settle(blocked.bob, blocked.alice)
    assert (texts(bobs), kinds(bobs)) == (["last"], [])


async def test_a_session_lost_while_blocked_is_repaired_without_what_was_dropped(blocked: Pair) -> None:
    change(blocked.bob, "UPDATE devices SET sessions = ?", encode_sessions(Sessions()))
    await blocked.bob.contacts.unblock("alice")
    await blocked.alice.send("bob", "after")

    bobs, _ = await settle(blocked.bob, blocked.alice)

    assert texts(bobs) == ["after"]
    assert "gap" not in kinds(bobs)


async def test_what_was_shown_before_is_confirmed_again(pair: Pair) -> None:
    """Its receipt was not sent any more when he blocked her."""
    await pair.alice.send("bob", "hello")
    await pair.bob.send("alice", "hello")
    await settle(pair.bob, pair.alice)
    await pair.alice.send("bob", "read")
    change(pair.bob, "UPDATE contacts SET frozen = 'stale-directory'")  # nothing goes out now
    assert texts(await drain(pair.bob)) == ["read"]
    change(pair.bob, "UPDATE contacts SET frozen = NULL")
    await pair.bob.contacts.block("alice")
    await pair.alice.send("bob", "while blocked")
    await drain(pair.bob)
    await pair.bob.contacts.unblock("alice")

    with pair.alice._store.transaction():
        repair.make_up(pair.alice._store, now_ms())
    _, bobs = await settle(pair.alice, pair.bob)

    assert texts(bobs) == []
    assert states(pair.alice, "bob") == {"hello": "delivered", "read": "delivered", "while blocked": "accepted"}


async def test_a_clock_that_is_put_back_after_the_first_new_text_loses_nothing(blocked: Pair) -> None:
    await blocked.bob.contacts.unblock("alice")
    await blocked.alice.send("bob", "after")
    await drain(blocked.bob)
    forger = Forger(blocked.alice, "bob")

    await forger.send(forger.content(b"an hour ago, she thinks", sent=now_ms() - HOUR))

    assert texts(await drain(blocked.bob)) == ["an hour ago, she thinks"]


async def test_a_gap_after_unblocking_is_noticed(blocked: Pair, mailboxes: Mailboxes) -> None:
    await blocked.bob.contacts.unblock("alice")
    await settle(blocked.bob, blocked.alice)
    for text in ("one", "lost", "three"):
        await blocked.alice.send("bob", text)
    mailboxes.lose(blocked.bob.account.address, 1)

    await end_hold(blocked.bob)
    bobs, _ = await settle(blocked.bob, blocked.alice)

    assert kinds(bobs) == ["gap"]
    assert [entry.text for entry in blocked.bob.history("alice")][-3:] == ["one", "three", "lost"]


async def test_a_message_of_a_newer_program_begins_nothing(blocked: Pair) -> None:
    """It may be from before: what follows it may be, too."""
    await blocked.bob.contacts.unblock("alice")
    forger = Forger(blocked.alice, "bob")
    content = forger.content(counter=2).encode()
    await forger.send(content[:1] + bytes([99]) + content[2:])
    await forger.send(forger.content(b"while blocked", counter=3, sent=now_ms() - HOUR))
    await forger.send(forger.content(b"after", counter=4))

    assert texts(await drain(blocked.bob)) == ["after"]


async def test_a_device_first_seen_after_unblocking_has_no_gap(blocked: Pair, tmp_path: Path) -> None:
    async with recovered(blocked.homes[0], tmp_path / "new") as alice:
        await alice.contacts.add(blocked.bob.card().uri(), "bob")
        await alice.send("bob", "new machine, still blocked")
        await drain(blocked.bob)
        await blocked.bob.contacts.unblock("alice")
        await drain(alice)
        await alice.send("bob", "new machine")

        bobs, _ = await settle(blocked.bob, alice)

        assert texts(bobs) == ["new machine"]
        assert "gap" not in kinds(bobs)


async def test_someone_blocked_and_removed_asks_with_new_texts_only(blocked: Pair) -> None:
    await blocked.bob.contacts.remove("alice")
    with blocked.alice._store.transaction():
        outbox.repeat(
            blocked.alice._store,
            (row_of(blocked.alice, "bob").id, device_of(blocked.alice, "bob").device),
            ("accepted",),
        )
    await blocked.alice.flush()
    assert await drain(blocked.bob) == []

    await blocked.alice.send("bob", "may I?")
    assert kinds(await drain(blocked.bob)) == ["request"]
    await blocked.bob.contacts.accept(blocked.bob.contacts.requests()[0].name, "alice")
    bobs, _ = await settle(blocked.bob, blocked.alice)

    assert (texts(bobs), kinds(bobs)) == (["may I?"], [])


async def test_what_was_held_at_the_block_is_shown_at_the_unblocking(pair: Pair) -> None:
    await pair.alice.send("bob", "first")
    await settle(pair.bob, pair.alice)
    forger = Forger(pair.alice, "bob")
    held = forger.content(b"received before", counter=forger.content().counter + 1)
    row = row_of(pair.bob, "alice").id
    change(
        pair.bob,
        "INSERT INTO held VALUES (?, 1, ?, ?, ?, ?, ?, NULL)",
        row,
        held.counter,
        held.message_id,
        "received before",
        held.sent,
        held.sent,
    )
    change(pair.bob, "INSERT INTO gaps VALUES (?, 1, ?, ?, 0, 0)", row, held.counter - 1, held.sent)
    await pair.bob.contacts.block("alice")
    await pair.bob.contacts.unblock("alice")

    found = await drain(pair.bob)

    assert (texts(found), kinds(found)) == (["received before"], [])


async def test_a_block_in_another_process_leaves_nobody_with_the_former_key(pair: Pair) -> None:
    """It changes the key after this process sealed the first of two texts: the second brings the new one."""
    await pair.alice.send("bob", "hello")
    await pair.bob.send("alice", "hello")
    await settle(pair.alice, pair.bob)
    store, contact = pair.alice._store, row_of(pair.alice, "bob")
    for text in ("first", "second"):
        outbox.add_text(store, contact, text)

    async with pair.homes[0].open() as other:
        transactions = count(1)

        def meanwhile(statement: str) -> None:
            if statement.startswith("BEGIN") and next(transactions) == 2:
                with other._store.transaction():
                    other.contacts._rotate_profile_key()

        store._db.set_trace_callback(meanwhile)
        assert sealing.expand(store, contact.id)
        store._db.set_trace_callback(None)
    await pair.alice.flush()
    bobs, _ = await settle(pair.bob, pair.alice)

    assert texts(bobs) == ["first", "second"]
    (account,) = stored(pair.alice, "SELECT profile_key FROM account")
    assert row_of(pair.bob, "alice").profile_key == account["profile_key"]
    assert row_of(pair.alice, "bob").has_our_profile_key


def meanwhile(front: Front, path: str, happens: Callable[[], object]) -> None:
    """Let something happen here, once, while a call to the relay is on its way."""

    def alter(_: Answer, answer: Answer) -> Answer:
        del front.alter[path]
        happens()
        return answer

    front.alter[path] = alter


@pytest.mark.parametrize("is_removed", [False, True])
async def test_what_is_written_while_the_contact_is_blocked_or_removed_is_not_kept(
    front: Front, fronted: Pair, *, is_removed: bool
) -> None:
    """It would go out when they are unblocked."""
    alice, others = fronted.alice, asyncio.TaskGroup()
    change(alice, "UPDATE account SET known = 0")
    async with others:
        meanwhile(
            front,
            "/v1/prekeys",
            lambda: others.create_task(alice.contacts.remove("bob") if is_removed else alice.contacts.block("bob")),
        )
        with pytest.raises(Misuse, match="bob is no contact" if is_removed else "bob is blocked"):
            await alice.send("bob", "never kept")

    assert stored(alice, "SELECT 1 FROM outbox") == stored(alice, "SELECT 1 FROM messages") == []


async def test_a_contact_blocked_while_a_session_is_begun_is_asked_for_nothing(
    front: Front, fronted: Pair, mailboxes: Mailboxes
) -> None:
    alice = fronted.alice
    await alice.send("bob", "hello")
    await settle(fronted.bob, alice)
    await mailboxes.empty(fronted.bob.account.address)
    change(alice, "UPDATE devices SET broken_session = x'0102030405060708'")
    async with asyncio.TaskGroup() as others:
        meanwhile(front, "/v1/bundle", lambda: others.create_task(alice.contacts.block("bob")))
        await alice.flush()

    assert stored(alice, "SELECT 1 FROM outbox") == []
    assert mailboxes.count(fronted.bob.account.address) == 0


async def test_a_file_for_a_contact_blocked_while_the_relay_is_asked_is_not_prepared(
    front: Front, fronted: Pair, tmp_path: Path
) -> None:
    alice = fronted.alice
    async with asyncio.TaskGroup() as others:

        def keeps_files(_: Answer, answer: Answer) -> Answer:
            others.create_task(alice.contacts.block("bob"))
            return {**answer, "files": {**answer["files"], "drop": True}}

        front.alter["/v1/relay"] = keeps_files
        with pytest.raises(Misuse, match="bob is blocked"):
            await alice.files.offer("bob", [some_file(tmp_path, 1000)], drop=True)

    assert alice.files.list() == []
