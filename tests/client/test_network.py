"""A network that cuts, a relay that is full, and frames that no honest relay sends."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web

from client.forging import FOREIGN
from client.front import Front, cut_at
from client.homes import (
    HANGING_SECONDS,
    POLL_SECONDS,
    Pair,
    change,
    drain,
    kinds,
    receive_until,
    settle,
    sign_up,
    stored,
    texts,
    two_people,
)
from halonyx.client import Client, Event, sending, transport
from halonyx.client.outbox import add_text
from halonyx.client.people import contact_by_name
from halonyx.client.prekeys import REFILL_EVERY
from halonyx.client.receiving import FIRST_PAUSE_SECONDS, Receiver
from halonyx.client.repair import ASKED_AN_HOUR
from halonyx.core.content import MAX_TEXT_SIZE
from halonyx.core.errors import TransportError
from halonyx.core.types import DeviceId, EnvelopeId
from halonyx.wire import frames
from halonyx.wire.frames import Status
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


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many envelopes each batch has from now on."""
    found: list[int] = []

    async def counted(socket: transport.Socket, batch: list[frames.Submit]) -> list[frames.Accepted]:
        found.append(len(batch))
        return await transport.submit(socket, batch)

    monkeypatch.setattr(sending, "submit", counted)
    return found


async def test_a_batch_is_no_larger_than_a_slow_line_takes_in_its_time(pair: Pair, sizes: list[int]) -> None:
    """Of one that is cut off nothing counts, and with the next try all of it goes again."""
    await pair.alice.send("bob", "hello")
    await settle(pair.bob, pair.alice)
    row = contact_by_name(pair.alice._store, "bob")
    for number in range(9):
        add_text(pair.alice._store, row, str(number) * MAX_TEXT_SIZE)
    sizes.clear()

    await pair.alice.flush()

    assert sizes == [8, 1]
    assert [text[0] for text in texts(await drain(pair.bob))] == [str(number) for number in range(9)]


async def test_a_mailbox_that_was_full_is_tried_with_one_envelope(tmp_path: Path, sizes: list[int]) -> None:
    with running_relay(tmp_path / "relay", HALONYX_MAILBOX_MESSAGES="3") as relay:
        async with two_people(tmp_path, (relay.origin, relay.origin)) as pair:
            await pair.alice.send("bob", "hello")
            await settle(pair.bob, pair.alice)
            for number in range(8):
                add_text(pair.alice._store, contact_by_name(pair.alice._store, "bob"), str(number))
            sizes.clear()
            for _ in range(3):
                await pair.alice.flush()
            assert sizes == [8, 1, 1]

            assert texts(await drain(pair.bob)) == ["0", "1", "2"]
            sizes.clear()
            await pair.alice.flush()
            assert sizes == [1, 4]
            assert texts(await drain(pair.bob)) == ["3", "4", "5"]


def submits() -> list[frames.Submit]:
    return [
        frames.Submit(EnvelopeId(secrets.token_bytes(16)), FOREIGN, DeviceId(1), bytes(16), b"\x01" * 1024)
        for _ in range(2)
    ]


@pytest.mark.parametrize("lie", ["an answer for what was not sent", "an answer given twice"])
async def test_a_relay_that_answers_what_it_was_not_asked_is_left_at_once(front: Front, lie: str) -> None:
    """Else it could go on for ever."""
    batch = submits()
    answered = [bytes(16)] if lie == "an answer for what was not sent" else [batch[0].envelope_id] * 2

    async def answer(theirs: web.WebSocketResponse) -> None:
        for envelope_id in answered:
            await theirs.send_bytes(frames.Accepted(EnvelopeId(envelope_id), Status.BUSY).encode())
        await theirs.receive()

    front.on_sending = silent_after(answer)
    async with transport.Relay(front.origin) as relay:
        socket = await relay.socket(frames.SEND_PATH)
        with pytest.raises(TransportError, match="waits for no answer"):
            await transport.submit(socket, batch)
        await socket.close()


def silent_after(
    begin: Callable[[web.WebSocketResponse], Awaitable[None]] | None = None,
) -> Callable[[web.WebSocketResponse], Awaitable[None]]:
    """Behave as a relay does that takes all and says no more."""

    async def on_sending(theirs: web.WebSocketResponse) -> None:
        if begin is not None:
            await begin(theirs)
        async for _ in theirs:
            pass

    return on_sending


async def test_a_relay_that_does_not_answer_is_left_in_time(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "SUBMIT_SECONDS", 0.1)
    front.on_sending = silent_after()
    async with transport.Relay(front.origin) as relay:
        socket = await relay.socket(frames.SEND_PATH)
        with pytest.raises(TransportError, match="does not answer"):
            await transport.submit(socket, submits())
        await socket.close()


@pytest.fixture
async def mallory(front: Front, pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    """A contact of Alice's whose relay takes mail without ever answering; Bob is another, as ever."""
    await pair.alice.send("bob", "hello")
    await pair.bob.send("alice", "hello")
    await settle(pair.alice, pair.bob)
    monkeypatch.setattr(transport, "SUBMIT_SECONDS", 2 * HANGING_SECONDS)
    home = await sign_up(tmp_path / "mallory", front.origin)
    async with home.open() as client:
        await pair.alice.contacts.add(client.card().uri(), "mallory")
        front.on_sending = silent_after()
        yield client


@pytest.mark.usefixtures("mallory")
async def test_one_contacts_relay_holds_up_no_other_contact(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "CONTACT_SECONDS", 2 * HANGING_SECONDS)
    add_text(pair.alice._store, contact_by_name(pair.alice._store, "mallory"), "never answered")
    confirmed = asyncio.Event()
    following = asyncio.create_task(receive_until(pair.alice, lambda _: confirmed.is_set()))
    async with asyncio.timeout(HANGING_SECONDS):
        while not pair.alice._sender._running:  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(POLL_SECONDS)
        await pair.bob.send("alice", "now")

        await receive_until(pair.bob, lambda found: "delivered" in kinds(found))

    confirmed.set()
    assert texts(await following) == ["now"]


@pytest.mark.usefixtures("mallory")
async def test_a_contact_that_takes_too_long_is_tried_again_after_a_pause(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "CONTACT_SECONDS", 0.1)
    sent = await pair.alice.send("mallory", "never answered")
    assert (sent.state, sent.reason) == ("waiting", "transport-error")
    sender = pair.alice._sender

    assert not sender._is_due(contact_by_name(pair.alice._store, "mallory").id)
    with pytest.raises(TransportError):
        await pair.alice.flush()  # a person asked for it
    assert await sender.flush(HANGING_SECONDS) == []


@pytest.mark.usefixtures("mallory")
async def test_a_person_waits_no_longer_than_they_said(pair: Pair) -> None:
    sent = await pair.alice.send("mallory", "never answered", wait_seconds=0.1)

    assert sent.state == "waiting"
    assert (await pair.alice.send("bob", "answered")).state == "accepted"


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


@pytest.mark.parametrize("origin", ["https://[:]", "https://[::::::]", "https://[1]:3000", "https://" + "a" * 64])
async def test_a_relay_that_can_not_exist_can_not_be_reached(origin: str) -> None:
    async with transport.Relay(origin) as relay:
        with pytest.raises(TransportError):
            await relay.info()
        with pytest.raises(TransportError):
            await relay.socket(frames.SEND_PATH)
