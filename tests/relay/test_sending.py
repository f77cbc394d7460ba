"""What bounds a sending connection: one recipient, submits in flight, the writer's queue, wrong keys."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from halonyx.core.primitives import sha256
from halonyx.core.types import Address, DeviceId, EnvelopeId
from halonyx.relay.decide import Pressure
from halonyx.relay.sockets import READ_AT_ONCE
from halonyx.wire.frames import (
    Accepted,
    Ack,
    Error,
    ErrorCode,
    Status,
    Submit,
    parse_send_reply,
)
from relay.sockets_support import FAST, Device, Served, envelope, marked, number_of, served, until
from relay.wire_support import OPCODE_BINARY, frame, upgraded


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as made:
        yield made


async def test_a_sending_connection_serves_one_recipient(relay: Served) -> None:
    alice, bob = await relay.enrol(), await relay.enrol()
    async with relay.sender() as sender:
        assert await sender.submit(alice, envelope()) is Status.ACCEPTED
        await sender.post(bob, envelope())
        assert await sender.next() == Error(ErrorCode.OTHER_RECIPIENT)
        assert await sender.next() == 1002
    assert relay.rows() == 1


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x02\x08" + bytes(100), ErrorCode.UNSUPPORTED_VERSION),
        (b"\x01\x08" + bytes(64), ErrorCode.MALFORMED),
        (Ack(bytes(8), 0).encode(), ErrorCode.MALFORMED),
        (
            Submit(EnvelopeId(bytes(16)), Address(bytes(32)), DeviceId(1), bytes(16), b"").encode()[:50],
            ErrorCode.MALFORMED,
        ),
    ],
)
async def test_a_bad_frame_is_named_and_closes(relay: Served, frame: bytes, code: ErrorCode) -> None:
    async with relay.sender() as sender:
        await sender.socket.send_bytes(frame)
        assert await sender.next() == Error(code)
        assert await sender.next() == 1002


async def test_an_idle_sender_is_closed(tmp_path: Path) -> None:
    async with served(tmp_path, replace(FAST, idle_send_s=0.1)) as relay:
        alice = await relay.enrol()
        async with relay.sender() as sender:
            assert await sender.submit(alice, envelope()) is Status.ACCEPTED
            assert await sender.next() == 1000


async def test_reading_stops_at_the_cap_of_unaccepted_submits(tmp_path: Path) -> None:
    async with served(tmp_path, replace(FAST, unaccepted_submits=4)) as relay:
        alice = await relay.enrol()
        hub, gate = relay.relay.hub, asyncio.Event()
        loop = asyncio.get_running_loop()
        blocked = asyncio.create_task(
            hub.mailboxes.database.write(lambda _: asyncio.run_coroutine_threadsafe(gate.wait(), loop).result())
        )
        async with upgraded(relay) as made:

            def put(*sizes: int) -> None:
                submits = [
                    Submit(EnvelopeId(os.urandom(16)), alice.address, alice.device, alice.access_key, envelope(size))
                    for size in sizes
                ]
                made.writer.write(b"".join(frame(OPCODE_BINARY, submit.encode()) for submit in submits))

            put(64 * 1024, 64 * 1024)  # what is read into has to grow for them
            await until(lambda: hub.counts.submitted == 2)
            put(*[1024] * 200)
            await until(lambda: next(iter(hub._connections)).is_paused)
            await asyncio.sleep(0.1)
            held = hub.counts.submitted
            gate.set()
            await blocked
            for _ in range(202):
                answer = parse_send_reply((await made.frame())[1])
                assert isinstance(answer, Accepted)
                assert answer.status is Status.ACCEPTED
    assert held < 4 + READ_AT_ONCE // 1024


async def test_a_full_writer_queue_pauses_then_says_busy_then_recovers(tmp_path: Path) -> None:
    limits = replace(FAST, writer_queue_messages=8, writer_patience_s=0.2)
    async with served(tmp_path, limits) as relay:
        alice, bob = await relay.enrol(), await relay.enrol()
        hub, gate = relay.relay.hub, asyncio.Event()
        loop = asyncio.get_running_loop()
        blocked = asyncio.create_task(
            hub.mailboxes.database.write(lambda _: asyncio.run_coroutine_threadsafe(gate.wait(), loop).result())
        )
        async with relay.sender() as sender, relay.sender() as other:
            for _ in range(8):
                await sender.post(alice, envelope())
            await until(lambda: hub.pressure is Pressure.PAUSED)
            first = await other.post(bob, marked(1))
            answer = await other.next()
            assert isinstance(answer, Accepted)
            assert (answer.status, answer.retry_after_s) == (Status.BUSY, limits.retry_after_s)
            gate.set()
            await blocked
            assert {type(await sender.next()) for _ in range(8)} == {Accepted}
            assert hub.pressure is Pressure.OPEN
            # Nothing overtakes what was refused, whether it was written before the answer came or after.
            assert await other.submit(bob, marked(2)) is Status.BUSY
            assert await other.submit(bob, marked(1), envelope_id=first) is Status.ACCEPTED
            assert await other.submit(bob, marked(2)) is Status.ACCEPTED
        async with relay.receiver(bob) as receiver:
            assert [number_of(one) for one in await receiver.caught_up()] == [1, 2]


async def test_what_the_writer_refused_comes_before_what_never_reached_it(tmp_path: Path) -> None:
    async with served(tmp_path, replace(FAST, mailbox_bytes=2048)) as relay:
        alice = await relay.enrol()
        hub = relay.relay.hub
        async with relay.sender() as sender:
            assert await sender.submit(alice, envelope()) is Status.ACCEPTED
            first, large = os.urandom(16), envelope(2048)
            assert await sender.submit(alice, large, envelope_id=first) is Status.MAILBOX_FULL
            hub.pressure = Pressure.REFUSING
            assert await sender.submit(alice, marked(3)) is Status.BUSY
            hub.pressure = Pressure.OPEN
            assert await sender.submit(alice, marked(3)) is Status.BUSY
            async with relay.receiver(alice) as receiver:
                assert len(await receiver.caught_up()) == 1
                await until(lambda: relay.rows() == 0)
            assert await sender.submit(alice, large, envelope_id=first) is Status.ACCEPTED


@pytest.mark.parametrize("is_known", [True, False])
async def test_wrong_keys_never_reach_the_writer_and_close(relay: Served, is_known: bool) -> None:  # noqa: FBT001
    alice = await relay.enrol() if is_known else Device.fresh()
    before = relay.relay.hub.counts.submitted
    async with relay.sender() as sender:
        for _ in range(FAST.unaccepted_submits):  # all that may be in flight when a key is changed
            await sender.post(alice, envelope(), key=bytes(16))
        answers = [await sender.next() for _ in range(FAST.unaccepted_submits)]
        assert {answer.status for answer in answers if isinstance(answer, Accepted)} == {Status.BAD_ACCESS_KEY}
        assert await sender.next() == 1008
    assert relay.relay.hub.counts.submitted == before


async def test_a_key_changed_on_the_way_is_refused_by_the_writer(relay: Served) -> None:
    alice, new_key = await relay.enrol(), os.urandom(16)
    async with relay.sender() as sender:
        assert await sender.submit(alice, envelope()) is Status.ACCEPTED
        await relay.relay.context.mailboxes.set_keys(alice.address, sha256(new_key), None)
        before = relay.relay.hub.counts.submitted
        assert [await sender.submit(alice, envelope()) for _ in range(3)] == [Status.BAD_ACCESS_KEY] * 3
        assert relay.relay.hub.counts.submitted == before + 1
        assert await sender.submit(alice, envelope(), key=new_key) is Status.ACCEPTED
    assert relay.rows() == 2
