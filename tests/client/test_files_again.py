"""Transfers that are tried again: what failed, what was lost on the way, what a relay does not take."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest

from client.files_kit import agree, new_folder, offered, reached, row_of, running_files, some_file, until
from client.homes import Pair, change, drain, settle, stored
from halonyx.client import TransferChanged, drop_states, transfer_states, transfer_talk
from halonyx.client.pauses import FIRST_SECONDS, LONGEST_SECONDS, next_pause
from halonyx.client.people import contact_by_id
from halonyx.client.running import Runner
from halonyx.client.transfer_states import NewOffer
from halonyx.client.transfer_talk import DROP_KEEPS, TELL_AGAIN, TOLD_FOR
from halonyx.client.transport import Refused
from halonyx.core.content import Kind
from halonyx.core.errors import Misuse
from halonyx.core.types import DAY, HOUR, MessageId, Millis
from relay_process import free_port


async def failed(pair: Pair, path: Path, target: Path, reason: str) -> MessageId:
    """Let Bob accept what Alice offers and fail, and both know; return the id."""
    offer = await offered(pair, path)
    await pair.bob.files.accept(offer.id, target)
    await settle(pair.alice, pair.bob)
    transfer_states.fail(pair.bob._store, row_of(pair.bob).id, reason)
    await settle(pair.alice, pair.bob)
    assert pair.alice.files.get(offer.id).reason == pair.bob.files.get(offer.id).reason == reason
    return offer.id


async def test_the_sender_may_try_again_what_failed_there(pair: Pair, tmp_path: Path) -> None:
    agree(pair)
    source, target = some_file(tmp_path, 1000), new_folder(tmp_path / "saved")
    offer = await failed(pair, source, target, "disk-full")
    assert (await pair.alice.files.retry(offer)).state == "waiting"
    transfer_states.retry(pair.bob._store, row_of(pair.bob).id)
    change(pair.bob, "DELETE FROM outbox")  # that he wants it again is lost
    async with running_files(pair.alice, pair.bob):
        await reached(pair.bob, offer, "done")
    assert (target / "report.pdf").read_bytes() == source.read_bytes()


async def test_what_can_not_be_tried_again_is_said(pair: Pair, tmp_path: Path) -> None:
    source = some_file(tmp_path, 1000)
    damaged = await failed(pair, source, tmp_path, "damaged")
    with pytest.raises(Misuse, match="send it anew"):
        await pair.alice.files.retry(damaged)
    refused = await offered(pair, source)
    await pair.bob.files.refuse(refused.id)
    with pytest.raises(Misuse, match="it is refused"):
        await pair.bob.files.retry(refused.id)
    gone = transfer_states.add_outgoing(
        pair.alice._store, contact_by_id(pair.alice._store, 1), [tmp_path / "gone"], NewOffer("gone", b"", drop=False)
    )
    transfer_states.fail(pair.alice._store, gone.id, "misuse")
    with pytest.raises(Misuse, match="send it anew"):
        await pair.alice.files.retry(gone.message_id)
    waiting = await offered(pair, source)
    await pair.alice.files.pause(waiting.id)
    assert (await pair.alice.files.retry(waiting.id)).state == "offered"  # as to resume it


@pytest.mark.parametrize("when", ["an hour later", "when the person looks"])
async def test_an_acceptance_that_was_lost_is_said_again(pair: Pair, tmp_path: Path, when: str) -> None:
    agree(pair)
    offer = await offered(pair, some_file(tmp_path, 1000))
    transfer_states.accept(pair.bob._store, row_of(pair.bob).id, new_folder(tmp_path / "saved"))
    change(pair.bob, "DELETE FROM outbox")
    async with running_files(pair.alice, pair.bob):
        await until(lambda: pair.bob.files.get(offer.id).reason == "peer-offline")
        assert pair.alice.files.get(offer.id).state == "offered"
        if when == "an hour later":
            change(pair.bob, "UPDATE transfers SET told = told - ?", TELL_AGAIN + 1000)
        else:
            await pair.bob.files.resume(offer.id)
        await reached(pair.bob, offer.id, "done")


async def test_an_acceptance_that_is_said_again_is_no_news(pair: Pair, tmp_path: Path) -> None:
    agree(pair)
    offer = await offered(pair, some_file(tmp_path, 1000))
    await pair.bob.files.accept(offer.id, new_folder(tmp_path / "saved"))
    await drain(pair.alice)
    transfer_states.note_waits(pair.alice._store, row_of(pair.alice).id, "peer-offline")
    transfer_talk.tell_again(pair.bob._store, row_of(pair.bob).id)
    await pair.bob.flush()
    assert [event for event in await drain(pair.alice) if isinstance(event, TransferChanged)] == []
    assert pair.alice.files.get(offer.id).reason == "peer-offline"


@pytest.mark.parametrize("end", ["done", "refused", "failed"])
async def test_an_end_that_was_lost_is_said_again(pair: Pair, tmp_path: Path, end: str) -> None:
    agree(pair)
    offer = await offered(pair, some_file(tmp_path, 1000))
    await pair.bob.files.accept(offer.id, new_folder(tmp_path / "saved"))
    await settle(pair.alice)
    async with running_files(pair.alice):
        if end == "done":
            async with pair.bob.files.run():  # and what he says of it is not sent
                await reached(pair.bob, offer.id, "done")
        else:
            change(pair.bob, "UPDATE transfers SET state = ?, reason = 'damaged'", end)
        change(pair.bob, "DELETE FROM outbox")
        await until(lambda: pair.alice.files.get(offer.id).reason in {"unconfirmed", "peer-offline"})
        if end == "done":
            await until(lambda: pair.alice.files.get(offer.id).reason == "unconfirmed")
        async with pair.bob.online():
            assert pair.alice.files.get(offer.id).state == "waiting"
            change(pair.alice, "UPDATE transfers SET asked = asked - ?", TELL_AGAIN + 1000)
            await reached(pair.alice, offer.id, end)


async def test_what_waits_for_the_other_one_is_noted_as_long_as_it_does(pair: Pair, tmp_path: Path) -> None:
    offer = await offered(pair, some_file(tmp_path, 1000))
    await pair.bob.files.accept(offer.id, new_folder(tmp_path / "saved"))
    await settle(pair.alice)
    alice, bob = pair.alice._store, pair.bob._store

    def reasons() -> tuple[str | None, str | None]:
        return pair.alice.files.get(offer.id).reason, pair.bob.files.get(offer.id).reason

    transfer_talk.note_needs_direct(alice, row_of(pair.alice).id)
    transfer_talk.note_needs_direct(bob, row_of(pair.bob).id)
    await settle(pair.alice, pair.bob)
    assert reasons() == ("both-need-direct", "both-need-direct")
    for _ in range(2):  # what is said again takes nothing back that still holds
        transfer_talk.tell_again(bob, row_of(pair.bob).id)
        transfer_talk.tell_again(alice, row_of(pair.alice).id)
        await settle(pair.alice, pair.bob)
        assert reasons() == ("both-need-direct", "both-need-direct")
    transfer_talk.note_agreed(bob, row_of(pair.bob).id)
    await settle(pair.bob, pair.alice)
    assert reasons() == ("needs-direct", "they-need-direct")
    transfer_talk.note_agreed(alice, row_of(pair.alice).id)
    await settle(pair.alice, pair.bob)
    assert reasons() == (None, None)


async def test_who_agrees_says_so(pair: Pair, tmp_path: Path) -> None:
    pair.alice.contacts.allow_direct("bob")
    offer = await offered(pair, some_file(tmp_path, 1000))
    await pair.bob.files.accept(offer.id, new_folder(tmp_path / "saved"))
    async with running_files(pair.alice):
        async with running_files(pair.bob):
            await until(lambda: pair.alice.files.get(offer.id).reason == "they-need-direct")
        runner = Runner(pair.bob._store, pair.bob._home)
        pair.bob.contacts.allow_direct("alice")
        assert runner._wanted(row_of(pair.bob)) == ["fetch"]  # which does not begin: they don't meet
        await pair.bob.flush()
        await until(lambda: pair.alice.files.get(offer.id).reason == "peer-offline")
        await pair.alice.files.pause(offer.id)
        change(pair.bob, "UPDATE transfers SET reason = 'needs-direct'")
        await pair.alice.files.resume(offer.id)
        async with pair.bob.online():  # she asks, and he says what he waits for
            await until(lambda: pair.alice.files.get(offer.id).reason == "they-need-direct")


@pytest.mark.parametrize("where", ["there", "there, and paused", "deleted by the relay"])
async def test_a_drop_that_was_not_heard_of_is_told_again(pair: Pair, tmp_path: Path, where: str) -> None:
    offer = await offered(pair, some_file(tmp_path, 1000))
    if where == "there, and paused":
        await pair.bob.files.accept(offer.id, tmp_path)
        await settle(pair.alice)
        await pair.alice.files.pause(offer.id)
    drop_states.note_in_drop(pair.alice._store, row_of(pair.alice).id)
    change(pair.alice, "DELETE FROM outbox")  # told while the offer itself was on its way, say
    if where == "there, and paused":
        transfer_talk.tell_again(pair.bob._store, row_of(pair.bob).id)
    else:
        await pair.bob.files.accept(offer.id, tmp_path)
    if where == "deleted by the relay":
        change(pair.alice, "UPDATE transfers SET told = told - ?", DROP_KEEPS)
    await settle(pair.bob, pair.alice, pair.bob)
    assert pair.bob.files.get(offer.id).in_drop is (where != "deleted by the relay")
    assert row_of(pair.alice).state == "waiting"


async def test_an_acceptance_is_said_ever_less_often(pair: Pair, tmp_path: Path) -> None:
    await offered(pair, some_file(tmp_path, 1000))
    bob = pair.bob._store
    transfer_states.accept(bob, row_of(pair.bob).id, tmp_path)
    transfer_talk.tell_again(bob, row_of(pair.bob).id)
    (waiting,) = stored(pair.bob, "SELECT count(*) AS count FROM outbox WHERE kind = ?", Kind.FILE_STATE)
    assert waiting["count"] == 1  # the first is still to be sent
    row = row_of(pair.bob)
    now, times = row.time, list[int]()
    while now < row.time + 2 * TOLD_FOR:
        now = Millis(now + HOUR // 2)
        if transfer_talk.is_to_be_told(replace(row, told=Millis(row.time + sum(times))), now):
            times.append(now - row.time - sum(times))
    assert [time // HOUR for time in times[:7]] == [1, 2, 4, 8, 16, 24, 24]
    assert len(times) < 20
    assert sum(times) < TOLD_FOR + 2 * DAY
    late = Millis(row.told + DAY)
    assert transfer_talk.is_to_be_told(row, late)
    assert not transfer_talk.is_to_be_told(replace(row, state="transferring"), late)  # it comes
    asked = Millis(row.time + HOUR)
    ours = replace(row, is_outgoing=True, asked=asked, told=late)  # when the drop had it
    assert [transfer_talk.is_to_be_told(ours, Millis(asked + wait)) for wait in (HOUR - 1, HOUR + 1)] == [False, True]


async def test_with_who_is_blocked_nothing_is_tried_again(pair: Pair, tmp_path: Path) -> None:
    offer = await failed(pair, some_file(tmp_path, 1000), tmp_path, "disk-full")
    await pair.alice.contacts.block("bob")
    with pytest.raises(Misuse, match="blocked"):
        await pair.alice.files.retry(offer)


async def test_without_a_drop_an_offer_for_it_is_refused_before_anything_is_made(pair: Pair, tmp_path: Path) -> None:
    source = some_file(tmp_path, 1000)
    with pytest.raises(Refused) as told:
        await pair.alice.files.offer("bob", [source], drop=True)
    assert told.value.code == "no-drop"
    assert list(pair.alice.files.list()) == []
    offer = await offered(pair, source)
    with pytest.raises(Refused):
        await pair.alice.files.resume(offer.id, drop=True)


async def test_an_offer_goes_on_without_a_drop_that_is_no_more(pair: Pair, tmp_path: Path) -> None:
    offer = await offered(pair, some_file(tmp_path, 1000))
    change(pair.alice, "UPDATE transfers SET wants_drop = 1")  # when the relay had one
    async with running_files(pair.alice, pair.bob):
        await until(lambda: pair.alice.files.get(offer.id).reason == "no-drop")
        assert pair.alice.files.get(offer.id).state == "offered"
        agree(pair)
        await pair.bob.files.accept(offer.id, new_folder(tmp_path / "saved"))
        await reached(pair.bob, offer.id, "done")
        await reached(pair.alice, offer.id, "done")


async def test_what_failed_for_want_of_room_stays_in_the_drop(pair: Pair, tmp_path: Path) -> None:
    await failed(pair, some_file(tmp_path, 1000), tmp_path, "disk-full")
    change(pair.alice, "UPDATE transfers SET in_drop = 1, wants_drop = 1")
    runner = Runner(pair.alice._store, pair.alice._home)
    assert runner._wanted(row_of(pair.alice)) == []
    transfer_states.cancel(pair.alice._store, row_of(pair.alice).id)
    assert runner._wanted(row_of(pair.alice)) == ["delete-drop"]


async def test_a_relay_that_is_gone_is_asked_less_and_less_often(pair: Pair, tmp_path: Path) -> None:
    await offered(pair, some_file(tmp_path, 1000))
    alice = pair.alice
    transfer_states.cancel(alice._store, row_of(alice).id)
    gone = replace(row_of(alice).offer, origin=f"http://localhost:{free_port()}").encode()
    change(alice, "UPDATE transfers SET in_drop = 1, offer = ?", gone)
    runner, pauses = Runner(alice._store, alice._home), []
    for _ in range(3):
        await runner._step()
        await asyncio.wait(runner._jobs.values())
        await runner._step()
        ((job, pause),) = runner._pauses.items()
        assert runner._jobs == {}
        pauses.append(pause.seconds)
        runner._pauses[job] = replace(pause, until=time.monotonic())  # it is over
    assert pauses == [FIRST_SECONDS, 2 * FIRST_SECONDS, 4 * FIRST_SECONDS]
    change(alice, "UPDATE transfers SET in_drop = 0")
    await runner._step()
    assert runner._pauses == {}
    await runner._end(list(runner._jobs))


def test_pauses_grow_to_a_bound_and_begin_anew_after_work_that_went_well() -> None:
    pause = None
    for _ in range(20):
        pause = next_pause(pause, pause.until if pause else 0)
    assert pause is not None
    assert pause.seconds == LONGEST_SECONDS
    assert next_pause(pause, pause.until, 3600).seconds == 2 * LONGEST_SECONDS
    assert next_pause(pause, pause.until + LONGEST_SECONDS + 1).seconds == FIRST_SECONDS
