"""One path to the device: stored and live rows in one order, whatever the window does."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from halonyx.relay.sending import Sending
from halonyx.relay.store.intake import Submission
from halonyx.wire.frames import Accepted, Status
from relay.sockets_support import FAST, Served, envelope, marked, number_of, served, until


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as made:
        yield made


async def test_a_row_just_committed_does_not_overtake_rows_that_wait(tmp_path: Path) -> None:
    async with served(tmp_path, replace(FAST, unacked_messages=8)) as relay:
        alice = await relay.enrol()
        async with relay.sender() as sender, relay.receiver(alice) as receiver:
            await receiver.caught_up()
            for number in range(10):
                assert await sender.submit(alice, marked(number)) is Status.ACCEPTED
            numbers = [number_of(await receiver.deliver()) for _ in range(8)]
            await receiver.ack(1)  # room for one more, but less than half the window
            await until(lambda: relay.rows() == 9)
            assert await sender.submit(alice, marked(10)) is Status.ACCEPTED
            await receiver.ack(8)
            numbers += [number_of(await receiver.deliver()) for _ in range(3)]
    assert numbers == list(range(11))


async def test_a_row_the_pump_has_read_is_not_pushed_again(relay: Served) -> None:
    alice = await relay.enrol()
    hub = relay.relay.hub
    async with relay.sender() as sender, relay.receiver(alice) as receiver:
        await receiver.caught_up()
        (receiving,) = hub._receivers.values()
        (sending,) = hub._connections - {receiving}
        receiving._is_live = False  # as after a window that was full
        names = hub.names.account(alice.address), hub.names.mailbox(alice.address, alice.device)
        assert isinstance(sending, Sending)
        sending._unaccepted += 1
        hub.submit(Submission(sending, names, alice.access_key, os.urandom(16), marked(1)))
        hub.flush()
        time.sleep(0.3)  # noqa: ASYNC251 (the loop must not hear of the commit before the pump has read the row)
        receiving._pump()
        await sender.post(alice, marked(2))
        assert [type(await sender.next()) for _ in range(2)] == [Accepted, Accepted]
        assert [number_of(await receiver.deliver()) for _ in range(2)] == [1, 2]
        assert hub.counts.delivered == 2


async def test_live_and_stored_are_one_stream_however_the_window_moves(relay: Served) -> None:
    alice = await relay.enrol()
    total = 600
    async with relay.sender() as sender, relay.receiver(alice) as receiver:

        async def send() -> None:
            for number in range(total):
                await sender.post(alice, marked(number))
            for _ in range(total):
                assert isinstance(await sender.next(), Accepted)

        async def receive() -> list[int]:
            numbers: list[int] = []
            while len(numbers) < total:
                delivered = await receiver.deliver()
                numbers.append(number_of(delivered))
                if delivered.seq % 40 == 0 or len(numbers) == total:
                    await receiver.ack(delivered.seq)
            return numbers

        _, numbers = await asyncio.gather(send(), receive())
    assert numbers == list(range(total))
    await until(lambda: relay.rows() == 0)


async def test_an_ack_is_cumulative_and_bounded_by_what_was_delivered(tmp_path: Path) -> None:
    async with served(tmp_path, replace(FAST, unacked_messages=4)) as relay:
        alice = await relay.enrol()
        async with relay.sender() as sender:
            for number in range(10):
                assert await sender.submit(alice, marked(number)) is Status.ACCEPTED
            async with relay.receiver(alice) as receiver:
                first = [await receiver.deliver() for _ in range(4)]
                await receiver.ack(2**64 - 1)
                await until(lambda: relay.rows() == 6)
                second = [await receiver.deliver() for _ in range(4)]
                await receiver.ack(second[1].seq)
                await until(lambda: relay.rows() == 4)
                await receiver.ack(first[0].seq)
                await receiver.ack(second[3].seq, epoch=os.urandom(8))
                third = [await receiver.deliver() for _ in range(2)]
                assert await sender.submit(alice, marked(10)) is Status.ACCEPTED  # the writer is past the ACKs
                assert relay.rows() == 5
    assert [number_of(deliver) for deliver in first + second + third] == list(range(10))


async def test_nothing_is_sent_beyond_the_window(tmp_path: Path) -> None:
    async with served(tmp_path, replace(FAST, unacked_messages=8, unacked_bytes=256 * 1024)) as relay:
        alice = await relay.enrol()
        async with relay.sender() as sender, relay.receiver(alice) as receiver:
            await receiver.caught_up()
            for number in range(20):
                assert await sender.submit(alice, marked(number)) is Status.ACCEPTED
            assert relay.relay.hub.counts.delivered == 8
            numbers = [number_of(await receiver.deliver()) for _ in range(8)]
            await receiver.ack(8)
            numbers += [number_of(await receiver.deliver()) for _ in range(8)]
            await receiver.ack(16)
            numbers += [number_of(await receiver.deliver()) for _ in range(4)]
            assert numbers == list(range(20))
            await receiver.ack(20)
            for _ in range(6):
                assert await sender.submit(alice, envelope(64 * 1024)) is Status.ACCEPTED
            assert relay.relay.hub.counts.delivered == 24
