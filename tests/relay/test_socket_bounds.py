"""What bounds the two WebSocket paths: slow and silent peers, caps, stopping."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from halonyx.core.types import Address, DeviceId
from halonyx.relay.store.database import Busy
from halonyx.wire.frames import (
    RECEIVE_PATH,
    SEND_PATH,
    SUBPROTOCOL,
    Accepted,
    Hello,
    Status,
)
from relay.sockets_support import (
    FAST,
    Receiver,
    Sender,
    Served,
    envelope,
    folder_bytes,
    marked,
    number_of,
    served,
    until,
)


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as made:
        yield made


# Slow and silent peers


async def test_a_receiver_that_never_acknowledges_is_closed_and_loses_nothing(tmp_path: Path) -> None:
    async with served(tmp_path, replace(FAST, unacked_messages=2, progress_s=0.2)) as relay:
        alice = await relay.enrol()
        async with relay.sender() as sender, relay.receiver(alice) as receiver:
            for number in range(3):
                await sender.submit(alice, marked(number))
            assert [number_of(await receiver.deliver()) for _ in range(2)] == [0, 1]
            assert await receiver.next() == 4408
        assert relay.rows() == 3


async def test_a_receiver_that_never_reads_is_dropped_and_costs_one_window(tmp_path: Path) -> None:
    limits = replace(FAST, unacked_messages=5000, unacked_bytes=2**30, progress_s=0.3, ping_s=60)
    async with served(tmp_path, limits, mailbox_bytes=2**30) as relay:
        alice = await relay.enrol()
        receiver = Receiver(await relay.socket(RECEIVE_PATH), relay)
        await receiver.login(alice)
        await receiver.hello()
        transport = receiver.socket._conn.transport  # type: ignore[union-attr]  # to stop reading
        assert transport is not None
        transport.pause_reading()
        async with relay.sender() as sender:
            for _ in range(300):
                assert await sender.submit(alice, envelope(64 * 1024)) is Status.ACCEPTED
        assert relay.relay.hub.counts.delivered < 300
        await until(lambda: not relay.relay.hub._receivers)
        assert relay.rows() == 300
        transport.abort()


async def test_a_sender_whose_answers_pile_up_is_not_read_and_then_closed(tmp_path: Path) -> None:
    async with served(tmp_path, replace(FAST, progress_s=0.3, ping_s=60)) as relay:
        alice = await relay.enrol()
        async with relay.sender() as sender:
            (connection,) = relay.relay.hub._connections
            connection.pause_writing()  # as the transport does over its mark
            assert connection.is_paused
            await sender.post(alice, envelope())
            await until(lambda: not relay.relay.hub._connections)
            assert relay.relay.hub.counts.submitted == 0


async def test_a_sender_that_reads_late_gets_every_answer(tmp_path: Path) -> None:
    async with served(tmp_path, replace(FAST, send_buffer_bytes=4096)) as relay:
        alice = await relay.enrol()
        async with relay.sender() as sender:
            (connection,) = relay.relay.hub._connections
            connection.pause_writing()
            posted = [await sender.post(alice, envelope()) for _ in range(100)]
            await asyncio.sleep(0.1)
            assert relay.relay.hub.counts.submitted == 0
            connection.resume_writing()
            answers = [await sender.next() for _ in posted]
            assert answers == [Accepted(envelope_id, Status.ACCEPTED) for envelope_id in posted]


async def test_a_receiver_that_reads_late_gets_everything_in_order(tmp_path: Path) -> None:
    async with served(tmp_path, replace(FAST, unacked_messages=5000, unacked_bytes=2**30)) as relay:
        alice = await relay.enrol()
        async with relay.receiver(alice) as receiver, relay.sender() as sender:
            await receiver.caught_up()
            transport = receiver.socket._conn.transport  # type: ignore[union-attr]  # to stop reading
            assert transport is not None
            transport.pause_reading()
            for _ in range(200):
                assert await sender.submit(alice, envelope(64 * 1024)) is Status.ACCEPTED
            assert relay.relay.hub.counts.delivered < 200
            transport.resume_reading()
            assert [(await receiver.deliver()).seq for _ in range(200)] == list(range(1, 201))


async def test_a_login_the_store_cannot_serve_may_come_again(relay: Served) -> None:
    alice = await relay.enrol()
    relay.relay.hub.prekeys_left = _broken_disk
    receiver = Receiver(await relay.socket(RECEIVE_PATH), relay)
    await receiver.login(alice)
    await receiver.socket.send_bytes(Hello(bytes(8), 0).encode())
    assert await receiver.next() == 4503


def _broken_disk(address: Address, device: DeviceId) -> tuple[int, int]:
    raise Busy("the disk is full or failing")


async def test_a_peer_that_leaves_during_its_login_leaves_nothing_behind(relay: Served) -> None:
    alice, hub, gate = await relay.enrol(), relay.relay.hub, asyncio.Event()
    loop = asyncio.get_running_loop()
    blocked = asyncio.create_task(
        hub.mailboxes.database.write(lambda _: asyncio.run_coroutine_threadsafe(gate.wait(), loop).result())
    )
    receiver = Receiver(await relay.socket(RECEIVE_PATH), relay)
    await receiver.login(alice)
    await receiver.socket.send_bytes(Hello(bytes(8), 0).encode())
    await until(lambda: hub._receivers)
    await receiver.socket.close()
    await until(lambda: not hub._connections)
    gate.set()
    await blocked
    assert not hub._receivers
    async with relay.receiver(alice) as again:
        assert await again.caught_up() == []


async def test_what_expired_is_swept_while_the_relay_runs(tmp_path: Path) -> None:
    async with served(tmp_path, replace(FAST, retention_ms=0, sweep_s=0.05)) as relay:
        alice = await relay.enrol()
        async with relay.sender() as sender:
            assert await sender.submit(alice, envelope()) is Status.ACCEPTED
        await until(lambda: relay.relay.hub.counts.swept == 1)
        assert relay.rows() == 0


async def test_a_clock_that_is_wrong_at_the_start_costs_no_mail(tmp_path: Path) -> None:
    async with served(tmp_path, FAST) as relay:
        alice = await relay.enrol()
        async with relay.sender() as sender:
            assert await sender.submit(alice, envelope()) is Status.ACCEPTED
    async with served(tmp_path, replace(FAST, retention_ms=0, sweep_s=3600)) as relay, relay.receiver(alice) as line:
        assert len(await line.caught_up()) == 1


async def test_a_silent_peer_is_pinged_and_then_dropped(tmp_path: Path) -> None:
    async with served(tmp_path, replace(FAST, ping_s=0.1, pong_s=0.2)) as relay:
        alice = await relay.enrol()
        async with relay.receiver(alice) as alive:
            await alive.caught_up()
            mute = await relay.session.ws_connect(relay.origin + RECEIVE_PATH, protocols=[SUBPROTOCOL], autoping=False)
            waiting = asyncio.create_task(alive.next())
            messages = [await mute.receive() for _ in range(3)]
            assert [message.type for message in messages[:2]] == [
                aiohttp.WSMsgType.BINARY,
                aiohttp.WSMsgType.PING,
            ]
            assert messages[2].type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}
            assert not waiting.done()
            waiting.cancel()


# Caps


async def test_a_client_has_so_many_connections(tmp_path: Path) -> None:
    async with served(tmp_path, replace(FAST, connections_per_client=3)) as relay:
        sockets = [await relay.socket(SEND_PATH) for _ in range(3)]
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await relay.socket(SEND_PATH)
        assert refused.value.status == 429
        await sockets[0].close()
        await until(lambda: len(relay.relay.hub._connections) == 2)
        await (await relay.socket(RECEIVE_PATH)).close()


async def test_there_are_so_many_unproved_connections(tmp_path: Path) -> None:
    async with served(tmp_path, replace(FAST, unauthenticated_connections=4)) as relay:
        alice = await relay.enrol()
        async with relay.receiver(alice):
            unproved = [await relay.socket(RECEIVE_PATH) for _ in range(4)]
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await relay.socket(RECEIVE_PATH)
            async with relay.sender() as sender:
                assert await sender.submit(alice, envelope()) is Status.ACCEPTED
            await unproved[0].close()
            await until(lambda: relay.relay.hub._unproved == 3)
            await (await relay.socket(RECEIVE_PATH)).close()


async def test_there_are_so_many_sending_connections_in_all(tmp_path: Path) -> None:
    async with served(tmp_path, replace(FAST, sending_connections=2)) as relay:
        alice = await relay.enrol()
        first, _ = await relay.socket(SEND_PATH), await relay.socket(SEND_PATH)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await relay.socket(SEND_PATH)
        assert refused.value.status == 429
        async with relay.receiver(alice):
            await first.close()
            await until(lambda: len(relay.relay.hub._connections) == 2)
            await (await relay.socket(SEND_PATH)).close()


async def test_a_client_opens_so_many_sockets_in_a_minute(tmp_path: Path) -> None:
    async with served(tmp_path, rate_sockets="3/minute", behind_proxy=True) as relay:
        for path in (SEND_PATH, RECEIVE_PATH, SEND_PATH):
            await (await relay.socket(path)).close()
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await relay.socket(SEND_PATH)
        assert refused.value.status == 429
        await (await relay.socket(SEND_PATH, **{"X-Forwarded-For": "192.0.2.1"})).close()


# Stopping


async def test_stopping_answers_what_was_read_and_says_4503(tmp_path: Path) -> None:
    async with served(tmp_path) as relay:
        alice, hub, gate = await relay.enrol(), relay.relay.hub, asyncio.Event()
        loop = asyncio.get_running_loop()
        async with relay.receiver(alice) as receiver, relay.sender() as sender, relay.sender() as idle:
            await receiver.caught_up()
            blocked = asyncio.create_task(
                hub.mailboxes.database.write(lambda _: asyncio.run_coroutine_threadsafe(gate.wait(), loop).result())
            )
            for number in range(20):
                await sender.post(alice, marked(number))
            await until(lambda: hub.counts.submitted == 20)
            relay.relay.stop()
            assert await idle.next() == 4503
            gate.set()
            await blocked
            answers = [await sender.next() for _ in range(21)]
            assert [type(answer) for answer in answers[:20]] == [Accepted] * 20
            assert answers[20] == 4503
            assert await _until_closed(receiver) == 4503


async def _until_closed(peer: Sender | Receiver) -> int:
    answer: object = None
    while not isinstance(answer, int):
        answer = await peer.next()
    return answer


async def test_after_delivery_the_bytes_are_nowhere_in_the_data_folder(tmp_path: Path) -> None:
    body = envelope(8192, mark=os.urandom(64))
    async with served(tmp_path, checkpoint_seconds=1) as relay:
        alice = await relay.enrol()
        async with relay.receiver(alice) as receiver, relay.sender() as sender:
            assert await sender.submit(alice, body) is Status.ACCEPTED
            assert _pieces(body, folder_bytes(relay.data)) > len(body) // 32
            await receiver.ack((await receiver.deliver()).seq)
            await until(lambda: relay.rows() == 0)
            await until(lambda: not _pieces(body, folder_bytes(relay.data)))
    assert not _pieces(body, folder_bytes(tmp_path))


def _pieces(body: bytes, content: bytes) -> int:
    return sum(body[at : at + 16] in content for at in range(0, len(body), 16))
