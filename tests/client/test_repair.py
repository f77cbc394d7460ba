"""Gaps and broken sessions over the real relay: noticed, asked for, mended, and never more often than allowed."""

from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Final

import pytest

from client.forging import Forger
from client.front import Front, cut_at
from client.homes import (
    Mailboxes,
    Pair,
    change,
    device_of,
    drain,
    end_hold,
    kinds,
    notices,
    recovered,
    row_of,
    settle,
    sign_up,
    stored,
    texts,
)
from halonyx.client import Client, outbox, repair, sealing
from halonyx.client.account import now_ms
from halonyx.core.content import Kind, Resend
from halonyx.core.session import Sessions, encode_sessions
from halonyx.core.types import HOUR, DeviceId
from relay_process import RelayProcess

EMPTY: Final = encode_sessions(Sessions())


def lose_sessions(client: Client) -> None:
    """Bring a store to where it has no session, as a fault would."""
    change(client, "UPDATE devices SET sessions = ?, revision = revision + 1", EMPTY)


@pytest.fixture
async def talking(pair: Pair) -> Pair:
    """Alice and Bob, whose session is established on both sides."""
    await pair.alice.send("bob", "hello")
    await pair.bob.send("alice", "hello")
    await settle(pair.alice, pair.bob)
    return pair


async def test_a_message_the_relay_lost_is_noticed_asked_for_and_shown(talking: Pair, mailboxes: Mailboxes) -> None:
    for text in ("one", "lost", "three"):
        await talking.alice.send("bob", text)
    mailboxes.lose(talking.bob.account.address, 1)

    held = await end_hold(talking.bob)
    assert [entry.text for entry in talking.bob.history("alice")][-1] == "one"  # three waits for two
    bobs, _ = await settle(talking.bob, talking.alice)

    assert [notice.data for notice in notices(bobs, "gap")] == [{"missing": 1}]
    assert texts(held + bobs) == ["one", "three", "lost"]
    assert {entry.state for entry in talking.alice.history("bob") if entry.outgoing} == {"delivered"}
    assert stored(talking.bob, "SELECT 1 FROM gaps") == []


async def test_a_message_that_is_late_within_the_hold_leaves_no_mark(talking: Pair) -> None:
    """A second envelope of the first connection overtakes: no notice, the right order."""
    forger = Forger(talking.alice, "bob")
    first = forger.content(b"first")
    second = forger.content(b"second", counter=first.counter + 1)
    envelopes = [forger.envelope(forger.message(content.encode())) for content in (first, second)]
    for envelope in reversed(envelopes):
        await forger.submit(envelope)

    found = await drain(talking.bob)

    assert texts(found) == ["first", "second"]
    assert kinds(found) == []


async def test_what_was_confirmed_is_not_sent_again(talking: Pair, mailboxes: Mailboxes) -> None:
    """A contact that asks for everything gets what it has not confirmed, and of that five copies at most."""
    await talking.alice.send("bob", "confirmed")
    await settle(talking.bob, talking.alice)
    await talking.alice.send("bob", "unconfirmed")
    asking = Forger(talking.bob, "alice")

    copies = []
    for _ in range(7):
        await asking.send(asking.content(Resend(None, ()).encode(), kind=Kind.RESEND, counter=0))
        await drain(talking.alice)
        copies.append(mailboxes.count(talking.bob.account.address))

    assert copies == [2, 3, 4, 5, 6, 6, 6]
    assert texts(await drain(talking.bob)) == ["unconfirmed"]


async def test_mail_of_a_relay_put_back_before_anybody_logged_in_goes_again(pair: Pair, mailboxes: Mailboxes) -> None:
    """Sign-up names the epoch; without it nobody would see that both had lost all they may send unanswered."""
    for client, name in ((pair.alice, "bob"), (pair.bob, "alice")):
        for number in range(1, 1 + outbox.MAX_REQUESTS):
            await client.send(name, f"{number}")
    mailboxes.put_back(pair.alice.account.address)
    mailboxes.put_back(pair.bob.account.address)

    alices, bobs = await settle(pair.alice, pair.bob)

    numbers = [f"{number}" for number in range(1, 1 + outbox.MAX_REQUESTS)]
    assert (texts(alices), texts(bobs)) == (numbers, numbers)
    assert "restored" in kinds(alices)


async def test_nothing_overtakes_what_goes_again_for_a_new_epoch(talking: Pair) -> None:
    """Another process of hers learns of the epoch after this one sealed the second of three texts."""
    store, contact = talking.alice._store, row_of(talking.alice, "bob")
    outbox.add_text(store, contact, "first")
    assert sealing.expand(store, contact.id)
    for text in ("second", "third"):
        outbox.add_text(store, contact, text)

    async with talking.homes[0].open() as other:
        transactions = count(1)

        def meanwhile(statement: str) -> None:
            if statement.startswith("BEGIN") and next(transactions) == 2:
                with other._store.transaction():
                    repair.make_up(other._store, now_ms())

        store._db.set_trace_callback(meanwhile)
        assert sealing.expand(store, contact.id)
        store._db.set_trace_callback(None)

    sealed = stored(talking.alice, "SELECT counter FROM deliveries WHERE state = 'sealed' AND counter > 0 ORDER BY id")
    assert [row["counter"] for row in sealed] == [2, 3, 4]
    assert texts((await settle(talking.bob))[0]) == []
    await settle(talking.alice, talking.bob)
    assert [entry.text for entry in talking.bob.history("alice")][-3:] == ["first", "second", "third"]


async def test_the_same_for_a_device_that_recovered_its_account(
    strangers: Pair, mailboxes: Mailboxes, tmp_path: Path
) -> None:
    async with recovered(strangers.homes[1], tmp_path / "new") as bob:
        await bob.contacts.add(strangers.alice.card().uri(), "alice")
        await strangers.alice.send("bob", "to the new device")
        mailboxes.put_back(bob.account.address, DeviceId(bob.account.device))

        bobs, _ = await settle(bob, strangers.alice)

    assert texts(bobs) == ["to the new device"]
    assert "restored" in kinds(bobs)


async def test_what_is_repeated_by_itself_uses_up_nothing_that_can_be_asked_for(
    talking: Pair, mailboxes: Mailboxes
) -> None:
    """A relay that is put back again and again, and loses the same message each time."""
    await talking.alice.send("bob", "lost again and again")
    for _ in range(outbox.MAX_RESENDS):
        with talking.alice._store.transaction():
            repair.make_up(talking.alice._store, now_ms())
        await talking.alice.flush()
        while mailboxes.count(talking.bob.account.address):
            mailboxes.lose(talking.bob.account.address, 0)
    await talking.alice.send("bob", "second")

    await end_hold(talking.bob)
    bobs, alices = await settle(talking.bob, talking.alice)

    assert texts(bobs) == ["second", "lost again and again"]
    assert kinds(alices).count("delivered") == 2


async def test_a_gap_that_nobody_can_fill_is_asked_for_once_an_hour_and_given_up(talking: Pair) -> None:
    forger = Forger(talking.alice, "bob")
    await forger.send(forger.content(b"after nothing", counter=forger.content().counter + 1))
    await end_hold(talking.bob)
    await settle(talking.bob, talking.alice)
    assert stored(talking.bob, "SELECT asked FROM gaps")[0]["asked"] > 0

    asked = [row["asked"] for row in stored(talking.bob, "SELECT asked FROM gaps")]
    await drain(talking.bob)
    assert [row["asked"] for row in stored(talking.bob, "SELECT asked FROM gaps")] == asked
    change(talking.bob, "UPDATE gaps SET asked = asked - ?", HOUR)
    await drain(talking.bob)
    assert [row["asked"] for row in stored(talking.bob, "SELECT asked FROM gaps")] > asked


async def test_a_lost_session_is_repaired_by_the_one_who_could_not_read(talking: Pair) -> None:
    lose_sessions(talking.bob)
    await talking.alice.send("bob", "can you read me?")

    bobs, alices = await settle(talking.bob, talking.alice)

    assert texts(bobs) == ["can you read me?"]
    assert kinds(bobs) == ["refreshed"]
    assert sorted(kinds(alices)) == ["delivered", "refreshed"]
    await talking.bob.send("alice", "yes")
    await talking.alice.send("bob", "good")
    alices, bobs = await settle(talking.alice, talking.bob)
    assert (texts(alices), texts(bobs)) == (["yes"], ["good"])


async def test_a_corrupted_session_is_repaired(talking: Pair) -> None:
    """Keys that no longer fit, not missing ones."""
    before = device_of(talking.bob, "alice").sessions
    for number in range(3):
        await talking.alice.send("bob", f"read {number}")
    await talking.bob.send("alice", "answer")
    await settle(talking.bob, talking.alice)
    await talking.alice.send("bob", "a turn of the ratchet")
    await settle(talking.bob, talking.alice)
    change(talking.bob, "UPDATE devices SET sessions = ?", encode_sessions(before))
    # Bob's ratchet stands where it was before: what Alice sends now opens under no key that he has.
    await talking.alice.send("bob", "after the rollback")

    bobs, alices = await settle(talking.bob, talking.alice)

    assert texts(bobs) == ["after the rollback"]
    assert kinds(bobs) == ["refreshed"]
    assert "refreshed" in kinds(alices)


async def test_a_receipt_that_could_not_be_read_comes_again(talking: Pair) -> None:
    """It was on a session that its reader lost: the text is repeated, shown once, and confirmed anew."""
    await talking.alice.send("bob", "did you get it?")
    assert texts(await drain(talking.bob)) == ["did you get it?"]
    lose_sessions(talking.alice)

    alices, bobs = await settle(talking.alice, talking.bob)

    assert "delivered" in kinds(alices)
    assert texts(bobs) == []
    assert stored(talking.alice, "SELECT 1 FROM outbox") == []


async def test_an_old_envelope_under_a_new_id_does_not_look_like_a_broken_session(talking: Pair) -> None:
    forger = Forger(talking.alice, "bob")
    envelope = forger.envelope(forger.message(forger.content(b"once").encode()))
    await forger.submit(envelope)
    assert texts(await drain(talking.bob)) == ["once"]
    lose_sessions(talking.bob)

    await forger.submit(envelope)

    assert await drain(talking.bob) == []
    assert device_of(talking.bob, "alice").broken_session is None


async def test_what_anyone_can_forge_does_not_use_up_real_repairs(talking: Pair) -> None:
    """A session id only the two know tells a real break from one that somebody made up."""
    forger = Forger(talking.alice, "bob")
    for _ in range(10):
        change(talking.bob, "INSERT INTO resets VALUES (unixepoch() * 1000, 'unproven')")
    message = forger.message(forger.content(b"unreadable").encode())
    await forger.submit(forger.envelope(message[:-1] + bytes([message[-1] ^ 1])))

    bobs, _ = await settle(talking.bob, talking.alice)

    assert kinds(bobs) == ["refreshed"]


@pytest.fixture
async def carol(talking: Pair, relay: RelayProcess, mailboxes: Mailboxes, tmp_path: Path) -> AsyncIterator[Forger]:
    """A stranger to Bob, with keys of his and a handshake that he has not seen; Bob sends no repair yet."""
    home = await sign_up(tmp_path / "carol", relay.origin)
    async with home.open() as client:
        await client.contacts.add(talking.bob.card().uri(), "bob")
        await client.send("bob", "never read")
        mailboxes.lose(talking.bob.account.address, 0)
        change(talking.bob, "UPDATE devices SET reset_sent = ?", now_ms())
        yield Forger(client, "bob")


async def test_a_stranger_cannot_make_a_break_look_real(talking: Pair, carol: Forger) -> None:
    """A handshake of hers with valid prekeys, under Alice's name: it fails late, and proves nothing."""
    message = carol.message(b"nonsense")
    await carol.submit(carol.envelope(message, sender=talking.alice.account.address, is_hybrid=True))

    assert await drain(talking.bob) == []

    broken = device_of(talking.bob, "alice")
    assert broken.broken_session
    assert not broken.is_break_proven


async def test_a_forged_break_does_not_replace_a_real_one(talking: Pair, carol: Forger) -> None:
    alice = Forger(talking.alice, "bob")
    message = alice.message(b"unreadable")
    await alice.submit(alice.envelope(message[:-1] + bytes([message[-1] ^ 1])))
    await drain(talking.bob)
    real = device_of(talking.bob, "alice")
    assert real.is_break_proven

    forged = message[:3] + bytes(8) + message[11:]
    await carol.submit(carol.envelope(forged, sender=talking.alice.account.address))
    await drain(talking.bob)

    assert device_of(talking.bob, "alice") == real


async def test_both_losing_their_sessions_at_once_converges(talking: Pair) -> None:
    await talking.alice.send("bob", "from alice")
    await talking.bob.send("alice", "from bob")
    lose_sessions(talking.alice)
    lose_sessions(talking.bob)

    bobs, alices = await settle(talking.bob, talking.alice)

    assert (texts(alices), texts(bobs)) == (["from bob"], ["from alice"])
    for number in range(3):
        await talking.alice.send("bob", f"a{number}")
        await talking.bob.send("alice", f"b{number}")
    alices, bobs = await settle(talking.alice, talking.bob)
    assert texts(alices) == ["b0", "b1", "b2"]
    assert texts(bobs) == ["a0", "a1", "a2"]
    assert kinds(alices + bobs) == ["delivered"] * 6  # no repair any more
    ours, theirs = device_of(talking.alice, "bob").sessions, device_of(talking.bob, "alice").sessions
    assert ours.sending is not None
    assert theirs.sending is not None
    assert ours.sending.ratchet.session_id == theirs.sending.ratchet.session_id


async def test_both_writing_first_at_once_converges(pair: Pair) -> None:
    await pair.alice.send("bob", "me first")
    await pair.bob.send("alice", "no, me")

    alices, bobs = await settle(pair.alice, pair.bob)

    assert (texts(alices), texts(bobs)) == (["no, me"], ["me first"])
    for number in range(2):
        await pair.alice.send("bob", f"a{number}")
        await pair.bob.send("alice", f"b{number}")
    alices, bobs = await settle(pair.alice, pair.bob)
    assert (texts(alices), texts(bobs)) == (["b0", "b1"], ["a0", "a1"])
    assert "refreshed" not in kinds(alices + bobs)


async def test_a_device_is_asked_for_a_new_session_once_an_hour(talking: Pair) -> None:
    lose_sessions(talking.bob)
    await talking.alice.send("bob", "first loss")
    await settle(talking.bob, talking.alice)
    lose_sessions(talking.bob)
    await talking.alice.send("bob", "second loss")

    bobs, _ = await settle(talking.bob, talking.alice)

    assert (texts(bobs), kinds(bobs)) == ([], [])
    assert device_of(talking.bob, "alice").broken_session is not None

    change(talking.bob, "UPDATE devices SET reset_sent = reset_sent - ?", HOUR)
    bobs, _ = await settle(talking.bob, talking.alice)
    assert (texts(bobs), kinds(bobs)) == (["second loss"], ["refreshed"])


async def test_ten_repairs_an_hour_are_the_most(talking: Pair) -> None:
    lose_sessions(talking.bob)
    for _ in range(10):
        change(
            talking.bob, "INSERT INTO resets VALUES (unixepoch() * 1000, 'proven'), (unixepoch() * 1000, 'unproven')"
        )
    await talking.alice.send("bob", "the eleventh")

    assert await settle(talking.bob, talking.alice) == [[], []]

    change(talking.bob, "UPDATE resets SET time = time - ?", HOUR)
    bobs, _ = await settle(talking.bob, talking.alice)
    assert texts(bobs) == ["the eleventh"]


async def test_no_stranger_gets_a_repair(strangers: Pair, mailboxes: Mailboxes) -> None:
    await strangers.alice.send("bob", "first")
    await drain(strangers.bob)
    lose_sessions(strangers.bob)
    await strangers.alice.send("bob", "second")

    await drain(strangers.bob)

    await mailboxes.empty(strangers.bob.account.address)
    assert mailboxes.count(strangers.alice.account.address) == 0
    assert len(strangers.bob.contacts.requests()) == 1


async def test_a_session_refreshed_twice_still_reads_what_was_sent_before(talking: Pair, relay: RelayProcess) -> None:
    """Mail on its way under an archived session is not lost."""
    forger = Forger(talking.alice, "bob")
    late = forger.envelope(forger.message(forger.content(b"late").encode()))
    # Alice resets, Bob follows; his old session receives on.
    change(talking.alice, "UPDATE devices SET broken_session = x'0102030405060708'")
    await settle(talking.alice, talking.bob)
    await forger.submit(late)

    assert texts(await drain(talking.bob)) == ["late"]


async def test_what_a_restored_relay_accepted_and_said_late_goes_again(front: Front, fronted: Pair) -> None:
    """Its `accepted` was on the way when the relay was put back: read afterwards, it must not end the sending."""
    front.on_frame = cut_at(9)
    await fronted.alice.send("bob", "accepted and lost")
    front.on_frame = bytes
    store = fronted.alice._store
    (late,) = outbox.sealed_rows(store, row_of(fronted.alice, "bob"), (), 10)
    with store.transaction():
        repair.make_up(store, now_ms())
    outbox.mark_accepted(store, late)

    await fronted.alice.flush()

    assert len(stored(fronted.bob, "SELECT 1 FROM seen")) == 0
    assert texts(await drain(fronted.bob)) == ["accepted and lost"]
    assert len(stored(fronted.bob, "SELECT 1 FROM seen")) == 3  # the text twice, and what she asks for
