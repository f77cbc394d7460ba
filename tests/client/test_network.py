"""A network that cuts, a relay that is full, and frames that no honest relay sends."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from client.front import Front, cut_at
from client.homes import HANGING_SECONDS, POLL_SECONDS, Pair, change, drain, kinds, settle, stored, texts, two_people
from halonyx.client import Event
from halonyx.client.outbox import add_text
from halonyx.client.people import contact_by_name
from halonyx.client.prekeys import REFILL_EVERY
from halonyx.client.receiving import FIRST_PAUSE_SECONDS, Receiver
from halonyx.client.repair import ASKED_AN_HOUR
from halonyx.core.errors import TransportError
from relay_process import running_relay

MANY: Final = 70
"""More than a batch of envelopes (32) and than the ids of one receipt (64)."""


async def test_many_messages_at_once_arrive_in_order_and_are_all_confirmed(pair: Pair) -> None:
    await pair.alice.send("bob", "hello")
    await settle(pair.bob, pair.alice)
    for number in range(MANY):
        add_text(pair.alice._store, contact_by_name(pair.alice._store, "bob"), str(number))
    await pair.alice.flush()

    bobs, alices = await settle(pair.bob, pair.alice)

    assert texts(bobs) == [str(number) for number in range(MANY)]
    assert kinds(alices) == ["delivered"] * MANY
    assert stored(pair.alice, "SELECT 1 FROM outbox") == []


async def test_an_answer_that_was_lost_repeats_no_message(front: Front, fronted: Pair) -> None:
    """The relay has it, the sender does not know: the same bytes go again under the same id."""
    front.on_frame = cut_at(9)
    first = await fronted.alice.send("bob", "once")
    assert first.state == "waiting"

    await fronted.alice.flush()

    assert fronted.alice.history("bob")[0].state == "accepted"
    assert texts(await drain(fronted.bob)) == ["once"]
    assert len(stored(fronted.bob, "SELECT 1 FROM seen")) == 1


async def test_a_connection_cut_between_deliveries_shows_everything_once(front: Front, fronted: Pair) -> None:
    for number in range(4):
        await fronted.alice.send("bob", str(number))
    passed = [0]

    def every_second(frame: bytes) -> bytes | None:
        if frame[1] == 5:
            passed[0] += 1
        return None if frame[1] == 5 and passed[0] % 2 == 0 else frame

    front.on_frame = every_second
    found: list[Event] = []
    with pytest.raises(TransportError):
        await interrupted(fronted, found)
    assert texts(found) == ["0"]
    front.on_frame = bytes

    assert texts(found + await drain(fronted.bob)) == [str(number) for number in range(4)]


async def interrupted(pair: Pair, found: list[Event]) -> None:
    """Let Bob receive until the connection is cut; what was shown until then is in `found`."""
    async for event in pair.bob.events():
        found.append(event)  # noqa: PERF401 (the cut must not lose them)


async def test_a_mailbox_that_is_full_keeps_the_rest_with_the_sender(tmp_path: Path) -> None:
    with running_relay(tmp_path / "relay", HALONYX_MAILBOX_MESSAGES="3") as relay:
        async with two_people(tmp_path, (relay.origin, relay.origin)) as pair:
            await pair.alice.send("bob", "hello")
            await settle(pair.bob, pair.alice)
            sent = [await pair.alice.send("bob", str(number)) for number in range(5)]
            assert [one.state for one in sent] == ["accepted"] * 3 + ["waiting"] * 2
            assert {one.reason for one in sent[3:]} == {"mailbox-full"}

            assert texts(await drain(pair.bob)) == ["0", "1", "2"]
            await drain(pair.alice)
            assert texts(await drain(pair.bob)) == ["3", "4"]


LIES: Final[dict[str, tuple[int, Callable[[bytes], bytes]]]] = {
    "a sequence number that nothing counts to": (5, lambda frame: frame[:2] + b"\xff" * 8 + frame[10:]),
    "an envelope of no size": (5, lambda frame: frame[:-1]),
    "a frame of no type": (5, lambda frame: frame[:1] + b"\x77" + frame[2:]),
    "a frame of the other path": (5, lambda _: b"\x01\x09" + bytes(19)),
    "a version of its own": (4, lambda frame: b"\x02" + frame[1:]),
    "nothing": (4, lambda _: b""),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_relay_that_breaks_the_protocol_is_left_and_tried_again(front: Front, fronted: Pair, lie: str) -> None:
    frame_type, alter = LIES[lie]
    await fronted.alice.send("bob", "hello")
    front.on_frame = lambda frame: alter(frame) if frame[1] == frame_type else frame

    with pytest.raises(TransportError):
        await drain(fronted.bob)

    front.on_frame = bytes
    assert texts(await drain(fronted.bob)) == ["hello"]


async def test_an_answer_for_another_envelope_is_no_answer(front: Front, fronted: Pair) -> None:
    front.on_frame = lambda frame: frame[:2] + bytes(16) + frame[18:] if frame[1] == 9 else frame

    sent = await fronted.alice.send("bob", "hello")

    assert (sent.state, sent.reason) == ("waiting", "transport-error")


def new_epoch(frame: bytes) -> bytes | None:
    """Answer as a relay does that names a fresh epoch at every login and then closes."""
    match frame[1]:
        case 4:
            return frame[:2] + secrets.token_bytes(8) + frame[10:]
        case 5 | 7:
            return None
    return frame


async def test_a_relay_that_names_ever_new_epochs_costs_little_and_is_noticed(front: Front, fronted: Pair) -> None:
    await fronted.alice.send("bob", "hello")
    front.on_frame = new_epoch
    shown: list[Event] = []
    for _ in range(ASKED_AN_HOUR + 2):
        with pytest.raises(TransportError):
            await interrupted(fronted, shown)
        await fronted.bob.flush()

    assert kinds(shown) == ["restored"] * ASKED_AN_HOUR
    assert len(stored(fronted.bob, "SELECT 1 FROM prekeys")) == 203 + 200  # one new set, and no other within the hour

    change(fronted.bob, "UPDATE account SET refilled = refilled - ?", REFILL_EVERY)
    front.on_frame = bytes
    assert texts(await drain(fronted.bob)) == ["hello"]
    await fronted.alice.send("bob", "still here")
    assert texts(await drain(fronted.bob)) == ["still here"]


async def test_a_relay_that_never_delivers_is_asked_less_and_less_often(front: Front, fronted: Pair) -> None:
    front.on_frame = new_epoch
    receiver = Receiver(fronted.bob._store, lambda: None)
    receiving = asyncio.create_task(receiver.run())
    async with asyncio.timeout(HANGING_SECONDS):
        while receiver.pause < 4 * FIRST_PAUSE_SECONDS:  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(POLL_SECONDS)

        front.on_frame = bytes
        while not receiver.is_caught_up:  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(POLL_SECONDS)

    assert receiver.pause == FIRST_PAUSE_SECONDS
    receiving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await receiving
