"""Both WebSocket paths over a real port: login, order, window, acknowledgement, handover, back-pressure, caps."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from halonyx.core.labels import DEVICE_LOGIN
from halonyx.core.primitives import SigningKey
from halonyx.core.types import Address, DeviceId, EnvelopeId
from halonyx.relay.decide import Pressure
from halonyx.wire.frames import (
    RECEIVE_PATH,
    SEND_PATH,
    SUBPROTOCOL,
    Accepted,
    Ack,
    Auth,
    CaughtUp,
    Challenge,
    Deliver,
    Error,
    ErrorCode,
    Hello,
    Status,
    Submit,
    Welcome,
)
from halonyx.wire.login import login_body
from relay.sockets_support import (
    FAST,
    Device,
    Receiver,
    Sender,
    Served,
    envelope,
    folder_bytes,
    next_bytes,
    served,
    until,
)


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as made:
        yield made


def marked(number: int) -> bytes:
    return envelope(mark=number.to_bytes(4, "big"))


def number_of(deliver: Deliver) -> int:
    return int.from_bytes(deliver.envelope[1:5], "big")


# Submit, deliver, acknowledge


async def test_an_envelope_goes_from_submit_to_deliver_to_nothing(relay: Served) -> None:
    alice, body = await relay.enrol(), envelope(4096)
    async with relay.receiver(alice) as receiver, relay.sender() as sender:
        assert await receiver.caught_up() == []
        envelope_id = await sender.post(alice, body)
        delivered = await receiver.deliver()
        assert (delivered.seq, delivered.envelope_id, delivered.envelope) == (1, envelope_id, body)
        assert await sender.next() == Accepted(envelope_id, Status.ACCEPTED)
        await receiver.ack(1)
        await until(lambda: relay.rows() == 0)


@pytest.mark.parametrize("size", [1, 2, 4, 8, 16, 32, 64])
async def test_every_bucket_arrives_as_sent(relay: Served, size: int) -> None:
    alice, body = await relay.enrol(), envelope(size * 1024)
    async with relay.receiver(alice) as receiver, relay.sender() as sender:
        assert await sender.submit(alice, body) is Status.ACCEPTED
        assert (await receiver.deliver()).envelope == body


async def test_what_waits_comes_first_and_in_order(relay: Served) -> None:
    alice = await relay.enrol()
    async with relay.sender() as sender:
        for number in range(150):
            await sender.post(alice, marked(number))
        for _ in range(150):
            answer = await sender.next()
            assert isinstance(answer, Accepted)
            assert answer.status is Status.ACCEPTED
        async with relay.receiver(alice) as receiver:
            assert receiver.welcome is not None
            assert receiver.welcome.head == 150
            await sender.post(alice, marked(150))
            backlog = await receiver.caught_up()
            while len(backlog) < 151:
                backlog.append(await receiver.deliver())
    assert [number_of(deliver) for deliver in backlog] == list(range(151))


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


async def test_a_repeated_submit_is_accepted_and_delivered_once(relay: Served) -> None:
    alice, body, envelope_id = await relay.enrol(), envelope(), os.urandom(16)
    async with relay.receiver(alice) as receiver, relay.sender() as sender:
        for _ in range(3):
            assert await sender.submit(alice, body, envelope_id=envelope_id) is Status.ACCEPTED
        assert await sender.submit(alice, marked(9)) is Status.ACCEPTED
        assert (await receiver.deliver()).envelope == body
        assert number_of(await receiver.deliver()) == 9


async def test_the_same_id_is_repeated_over_another_connection(relay: Served) -> None:
    alice, body, envelope_id = await relay.enrol(), envelope(), os.urandom(16)
    for _ in range(2):
        async with relay.sender() as sender:
            assert await sender.submit(alice, body, envelope_id=envelope_id) is Status.ACCEPTED
    assert relay.rows() == 1


async def test_every_refusal_has_its_status(tmp_path: Path) -> None:
    async with served(tmp_path, replace(FAST, mailbox_messages=2, request_inbox=1)) as relay:
        alice = await relay.enrol()
        other = replace(alice, device=DeviceId(7))
        async with relay.sender() as sender:
            assert await sender.submit(alice, envelope(1025)) is Status.MALFORMED
            assert await sender.submit(alice, bytes(1024)) is Status.MALFORMED
            assert await sender.submit(alice, b"") is Status.MALFORMED
            assert await sender.submit(alice, envelope(), key=bytes(16)) is Status.BAD_ACCESS_KEY
            assert await sender.submit(other, envelope()) is Status.GONE
            assert await sender.submit(alice, envelope(), key=alice.request_key) is Status.ACCEPTED
            assert await sender.submit(alice, envelope(), key=alice.request_key) is Status.REQUESTS_FULL
            assert await sender.submit(alice, envelope()) is Status.ACCEPTED
            assert await sender.submit(alice, envelope()) is Status.MAILBOX_FULL


async def test_known_and_unknown_accounts_answer_the_same_bytes(relay: Served) -> None:
    alice, stranger = await relay.enrol(), Device.fresh()
    answers = set()
    for device in (alice, stranger):
        async with relay.sender() as sender:
            await sender.post(device, envelope(), key=bytes(16), envelope_id=bytes(16))
            answers.add(await next_bytes(sender.socket))
    assert len(answers) == 1


# Acknowledgement, window, epoch


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
                assert relay.rows() == 4
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


async def test_what_was_not_acknowledged_comes_again(relay: Served) -> None:
    alice = await relay.enrol()
    async with relay.sender() as sender:
        for number in range(5):
            await sender.submit(alice, marked(number))
    async with relay.receiver(alice) as receiver:
        assert [number_of(await receiver.deliver()) for _ in range(5)] == [0, 1, 2, 3, 4]
        await receiver.ack(2)
        await until(lambda: relay.rows() == 3)
    async with relay.receiver(alice, receiver.epoch, 3) as receiver:
        assert [number_of(deliver) for deliver in await receiver.caught_up()] == [3, 4]
    await until(lambda: relay.rows() == 0)


async def test_a_cursor_of_another_epoch_deletes_nothing(relay: Served) -> None:
    alice = await relay.enrol()
    async with relay.sender() as sender:
        for number in range(3):
            await sender.submit(alice, marked(number))
    async with relay.receiver(alice) as receiver:
        former = receiver.epoch
    await relay.relay.context.mailboxes.renew_epochs()
    async with relay.receiver(alice, former, 3) as receiver:
        assert receiver.epoch != former
        assert len(await receiver.caught_up()) == 3


async def test_caught_up_names_the_head_at_hello(relay: Served) -> None:
    alice = await relay.enrol()
    async with relay.sender() as sender:
        await sender.submit(alice, marked(0))
    async with relay.receiver(alice) as receiver:
        assert isinstance(await receiver.next(), Deliver)
        assert await receiver.next() == CaughtUp(1)


# One connection per device


async def test_the_newer_connection_wins_and_closing_the_old_one_does_not_drop_it(relay: Served) -> None:
    alice = await relay.enrol()
    async with relay.receiver(alice) as old, relay.sender() as sender:
        await old.caught_up()
        async with relay.receiver(alice) as new:
            await new.caught_up()
            assert await old.next() == 4409
            await old.socket.close()
            await until(lambda: len(relay.relay.hub._connections) == 2)
            assert await sender.submit(alice, marked(1)) is Status.ACCEPTED
            assert number_of(await new.deliver()) == 1


async def test_handover_in_the_middle_of_a_window_loses_and_repeats_nothing_unacknowledged(relay: Served) -> None:
    alice = await relay.enrol()
    async with relay.sender() as sender, relay.receiver(alice) as old:
        for number in range(10):
            await sender.submit(alice, marked(number))
        for _ in range(10):
            seq = (await old.deliver()).seq
        await old.ack(4)
        async with relay.receiver(alice, old.epoch, 6) as new:
            await old.socket.send_bytes(Ack(old.epoch, seq).encode())
            assert [number_of(deliver) for deliver in await new.caught_up()] == [6, 7, 8, 9]


async def test_two_devices_of_one_account_receive_apart(relay: Served) -> None:
    alice = await relay.enrol()
    second = replace(alice, device=DeviceId(2), login=SigningKey.generate())
    await relay.relay.context.mailboxes.create_mailbox(second.address, second.device)
    assert await _login_code(relay, second) == 4401  # a mailbox, but no login key
    async with relay.sender() as sender, relay.receiver(alice) as receiver:
        await sender.submit(second, marked(2))
        await sender.submit(alice, marked(1))
        assert number_of(await receiver.deliver()) == 1
    assert relay.rows() == 2


async def test_a_removed_device_is_closed_at_once_and_gets_nothing(relay: Served) -> None:
    alice = await relay.enrol()
    async with relay.receiver(alice) as receiver:
        await receiver.caught_up()
        await relay.relay.context.mailboxes.drop_mailbox(alice.address, alice.device)
        assert await receiver.next() == 4401
    assert await _login_code(relay, alice, say_hello=True) == 4401


# Login


async def _login_code(relay: Served, device: Device, *, say_hello: bool = False, **given: SigningKey) -> object:
    receiver = Receiver(await relay.socket(RECEIVE_PATH), relay)
    await receiver.login(device, **given)
    if say_hello:
        await receiver.socket.send_bytes(Hello(bytes(8), 0).encode())
    answer = await receiver.next()
    await receiver.socket.close()
    return answer


async def test_every_failed_login_is_the_same_4401(relay: Served) -> None:
    alice, stranger = await relay.enrol(), Device.fresh()
    raw = set()
    for device, key in (
        (alice, SigningKey.generate()),
        (stranger, stranger.login),
        (replace(alice, device=DeviceId(2)), alice.login),
        (replace(alice, address=Address(bytes(32))), alice.login),
    ):
        receiver = Receiver(await relay.socket(RECEIVE_PATH), relay)
        await receiver.login(device, key=key)
        message = await receiver.socket.receive()
        raw.add((message.type, message.data, message.extra))
        await receiver.socket.close()
    assert raw == {(aiohttp.WSMsgType.CLOSE, 4401, "")}


async def _answer(relay: Served, device: Device, *, nonce: bytes | None = None, origin: str | None = None) -> object:
    receiver = Receiver(await relay.socket(RECEIVE_PATH), relay)
    challenge = await receiver.next()
    assert isinstance(challenge, Challenge)
    body = login_body(nonce or challenge.nonce, origin or relay.origin, device.address, device.device)
    signature = device.login.sign(DEVICE_LOGIN, body)
    await receiver.socket.send_bytes(Auth(device.address, device.device, signature).encode())
    await receiver.socket.send_bytes(Hello(bytes(8), 0).encode())
    answer = await receiver.next()
    await receiver.socket.close()
    return answer


async def test_a_login_is_good_for_its_challenge_and_its_relay_only(relay: Served) -> None:
    alice = await relay.enrol()
    assert isinstance(await _answer(relay, alice), Welcome)
    assert await _answer(relay, alice, nonce=os.urandom(32)) == 4401
    assert await _answer(relay, alice, origin="https://other.example") == 4401
    assert await _answer(relay, alice, origin=f"http://localhost:{relay.port}") == 4401


async def test_auth_and_hello_may_come_together(relay: Served) -> None:
    alice = await relay.enrol()
    assert isinstance(await _answer(relay, alice), Welcome)


async def test_there_is_one_try(relay: Served) -> None:
    alice = await relay.enrol()
    receiver = Receiver(await relay.socket(RECEIVE_PATH), relay)
    await receiver.login(alice, key=SigningKey.generate())
    await receiver.socket.send_bytes(Auth(alice.address, alice.device, bytes(64)).encode())
    assert await receiver.next() == 4401
    await receiver.socket.close()


@pytest.mark.parametrize(
    "frame", [Ack(bytes(8), 0).encode(), Hello(bytes(8), 0).encode(), b"\x01\x0a" + bytes(40), b"\x01", b""]
)
async def test_nothing_but_auth_is_taken_first(relay: Served, frame: bytes) -> None:
    receiver = Receiver(await relay.socket(RECEIVE_PATH), relay)
    assert isinstance(await receiver.next(), Challenge)
    await receiver.socket.send_bytes(frame)
    error = await receiver.next()
    assert isinstance(error, Error)
    assert error.code in {ErrorCode.UNEXPECTED, ErrorCode.MALFORMED}
    assert await receiver.next() == 1002


async def test_hello_and_auth_come_once(relay: Served) -> None:
    alice = await relay.enrol()
    for frame in (Hello(bytes(8), 0), Auth(alice.address, alice.device, bytes(64))):
        async with relay.receiver(alice) as receiver:
            await receiver.caught_up()
            await receiver.socket.send_bytes(frame.encode())
            assert await receiver.next() == Error(ErrorCode.UNEXPECTED)
            assert await receiver.next() == 1002


async def test_silence_before_the_proof_is_closed(tmp_path: Path) -> None:
    async with served(tmp_path, replace(FAST, auth_s=0.1)) as relay:
        alice = await relay.enrol()
        receiver = Receiver(await relay.socket(RECEIVE_PATH), relay)
        assert isinstance(await receiver.next(), Challenge)
        assert await receiver.next() == 4401
        assert await _login_code(relay, alice) == 4401  # AUTH without HELLO is no login


async def test_a_session_ends_so_that_the_device_proves_itself_again(tmp_path: Path) -> None:
    async with (
        served(tmp_path, replace(FAST, session_s=0.1)) as relay,
        relay.receiver(await relay.enrol()) as receiver,
    ):
        await receiver.caught_up()
        assert await receiver.next() == 1000


# Sending connections


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
        async with relay.sender() as sender:
            await sender.post(alice, envelope())
            await until(lambda: hub.counts.submitted == 1)
            for _ in range(200):
                await sender.post(alice, envelope(16 * 1024))
            await until(lambda: next(iter(hub._connections)).is_paused)
            await asyncio.sleep(0.1)
            held = hub.counts.submitted
            gate.set()
            await blocked
            for _ in range(201):
                answer = await sender.next()
                assert isinstance(answer, Accepted)
                assert answer.status is Status.ACCEPTED
    assert held < 50


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
            await other.post(bob, envelope())
            answer = await other.next()
            assert isinstance(answer, Accepted)
            assert (answer.status, answer.retry_after_s) == (Status.BUSY, limits.retry_after_s)
            gate.set()
            await blocked
            assert {type(await sender.next()) for _ in range(8)} == {Accepted}
            assert hub.pressure is Pressure.OPEN
            assert await other.submit(bob, envelope()) is Status.ACCEPTED


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


# Stopping


async def test_stopping_answers_what_was_read_and_says_4503(tmp_path: Path) -> None:
    async with served(tmp_path) as relay:
        alice = await relay.enrol()
        async with relay.receiver(alice) as receiver, relay.sender() as sender, relay.sender() as idle:
            await receiver.caught_up()
            for number in range(20):
                await sender.post(alice, marked(number))
            await until(lambda: relay.relay.hub.counts.submitted == 20)
            relay.relay.stop()
            assert await _until_closed(sender) == 4503
            assert await idle.next() == 4503
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
