"""A device that its relay no longer knows: it says so, sends nothing, and keeps what waits."""

import os
import secrets
import time
from pathlib import Path
from typing import Any

import pytest

from client.front import Front
from client.homes import Pair, change, drain, receive_until, recovered, row_of, settle, texts
from halonyx.client import outbox, receiving, transport, upkeep
from halonyx.client.account import now_ms
from halonyx.client.transport import DeviceReplaced, Refused
from halonyx.core.types import HOUR
from halonyx.wire.frames import Welcome


async def test_a_device_that_was_replaced_sends_nothing_and_says_so(pair: Pair, tmp_path: Path) -> None:
    """It has not received since: its relay tells it before the first message goes out."""
    await pair.bob.send("alice", "hello")
    await settle(pair.alice, pair.bob)
    change(pair.bob, "UPDATE account SET known = known - ?", HOUR)
    async with recovered(pair.homes[1], tmp_path / "new"):
        waiting = outbox.add_text(pair.bob._store, row_of(pair.bob, "alice"), "kept")
        for attempt in (pair.bob.send("alice", "never stored"), pair.bob.flush()):
            with pytest.raises(Refused, match="recovered elsewhere") as refused:
                await attempt
            assert refused.value.code == "not-authenticated"

        assert await drain(pair.alice) == []
        assert [entry.text for entry in pair.bob.history("alice")] == ["hello", "kept"]
        assert outbox.state_of(pair.bob._store, waiting).state == "waiting"


async def test_a_device_whose_login_was_refused_sends_nothing(pair: Pair, tmp_path: Path) -> None:
    await pair.bob.send("alice", "hello")
    async with recovered(pair.homes[1], tmp_path / "new"):
        with pytest.raises(Refused):
            await drain(pair.bob)

        with pytest.raises(Refused, match="recovered elsewhere"):
            await pair.bob.send("alice", "within the hour")

        assert texts(await drain(pair.alice)) == ["hello"]


@pytest.mark.parametrize("by_login", [True, False])
async def test_a_device_that_its_relay_knows_again_sends_again(pair: Pair, *, by_login: bool) -> None:
    """The relay was put back to a copy, and then to a newer one."""
    change(pair.bob, "UPDATE account SET is_replaced = 1, known = ?", now_ms())
    if by_login:
        await drain(pair.bob)
        assert not upkeep.must_ask(pair.bob._store, now_ms())

    assert (await pair.bob.send("alice", "here I am")).state == "accepted"
    assert not upkeep.is_replaced(pair.bob._store)


async def test_a_relay_is_asked_once_an_hour_whether_it_knows_us(front: Front, fronted: Pair) -> None:
    """More calls would tell it when messages are written."""
    for number in range(3):
        await fronted.bob.send("alice", str(number))
    await drain(fronted.bob)
    assert len(front.asked["/v1/prekeys"]) == 1

    change(fronted.bob, "UPDATE account SET known = known - ?", HOUR)
    async with fronted.homes[1].open() as again:
        await again.send("alice", "an hour later")
        await again.send("alice", "and more")
    assert len(front.asked["/v1/prekeys"]) == 2
    assert front.asked["/v1/prekeys"][1]["prekeys"] == []


async def test_a_wrong_clock_is_no_recovery(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The relay gives the same answer to a signature that is too old."""
    late = time.time() + 300
    monkeypatch.setattr(time, "time", lambda: late)
    monkeypatch.setattr(time, "time_ns", lambda: int(late * 1e9))

    assert (await pair.bob.send("alice", "from the future")).state == "accepted"

    assert not upkeep.is_replaced(pair.bob._store)


async def test_a_login_that_took_too_long_is_no_recovery(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The relay closes a login that is not there in five seconds as it closes one of a stranger."""
    await pair.alice.send("bob", "hello")
    left = [DeviceReplaced()]

    async def late(*given: Any) -> Welcome:  # noqa: ANN401 (handed on)
        if left:
            raise left.pop()
        return await transport.log_in(*given)

    monkeypatch.setattr(receiving, "log_in", late)

    assert texts(await receive_until(pair.bob, bool)) == ["hello"]
    assert not upkeep.is_replaced(pair.bob._store)


async def test_a_call_that_was_repeated_on_its_way_is_no_recovery(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its nonce was used: the relay refuses the copy."""
    used = iter([bytes(16), bytes(16)])
    monkeypatch.setattr(secrets, "token_bytes", lambda size: next(used, None) or os.urandom(size))
    await upkeep.ask(pair.bob._store)
    with pytest.raises(Refused):
        await upkeep.ask(pair.bob._store)

    assert not upkeep.is_replaced(pair.bob._store)
    assert (await pair.bob.send("alice", "hello")).state == "accepted"
