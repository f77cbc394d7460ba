"""Both WebSocket paths over a real port: delivery, order, window, acknowledgement, handover, login."""

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from halonyx.core.labels import DEVICE_LOGIN
from halonyx.core.primitives import SigningKey
from halonyx.core.types import Address, DeviceId
from halonyx.wire.frames import (
    RECEIVE_PATH,
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
    Welcome,
)
from halonyx.wire.login import login_body
from relay.sockets_support import FAST, Device, Receiver, Served, envelope, marked, next_bytes, number_of, served, until


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as made:
        yield made


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
            second, body = os.urandom(16), envelope()
            refused = await sender.submit(alice, body, key=alice.request_key, envelope_id=second)
            assert refused is Status.REQUESTS_FULL
            assert await sender.submit(alice, envelope()) is Status.REQUESTS_FULL  # it would overtake
            assert await sender.submit(alice, body, envelope_id=second) is Status.ACCEPTED
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


async def test_another_version_is_named(relay: Served) -> None:
    receiver = Receiver(await relay.socket(RECEIVE_PATH), relay)
    assert isinstance(await receiver.next(), Challenge)
    await receiver.socket.send_bytes(b"\x02" + Hello(bytes(8), 0).encode()[1:])
    assert await receiver.next() == Error(ErrorCode.UNSUPPORTED_VERSION)
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
