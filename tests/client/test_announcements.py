"""Announcements at the client: shown if they are the pinned operator's, new, and the first within an hour."""

import asyncio
from pathlib import Path

import pytest

from client.homes import Pair, change, drain, notices, receive_until, recovered, stored
from halonyx.client import Client, Event, Message
from halonyx.client.announcements import take_in
from halonyx.core.primitives import SigningKey
from halonyx.core.types import DAY, HOUR, Millis
from halonyx.relay.announcing import FILE, announce
from halonyx.relay.context import wall_clock
from halonyx.relay.secrets import read
from halonyx.relay.settings import load_settings
from halonyx.wire.announcement import Announcement
from relay_process import RelayProcess

NOW = Millis(1_800_000_000_000)


def told(events: list[Event]) -> list[object]:
    return [notice.data["announcement"] for notice in notices(events, "announcement")]


@pytest.fixture
def operator(relay: RelayProcess) -> SigningKey:
    return read(load_settings(data=relay.data).secrets_path).operator_key


def said(key: SigningKey, text: str, time: int = NOW) -> bytes:
    return Announcement(Millis(time), text).sign(key)


def hears(client: Client, encoded: bytes, now: int = NOW) -> bool:
    return take_in(client._store, encoded, Millis(now))


async def test_it_reaches_who_is_there_and_who_comes_later_once(relay: RelayProcess, pair: Pair) -> None:
    settings = load_settings(data=relay.data)
    (relay.data / FILE).unlink(missing_ok=True)
    waiting = asyncio.create_task(receive_until(pair.alice, lambda events: bool(told(events))))
    await pair.bob.send("alice", "hello")
    await asyncio.to_thread(announce, settings, "The relay moves.", wall_clock())
    try:
        events = await waiting
        assert told(events) == ["The relay moves."]
        (notice,) = notices(events, "announcement")
        assert (notice.contact, notice.data["relay"]) == (None, relay.origin)
        assert not [event for event in events if isinstance(event, Message) and "moves" in event.text]
        assert told(await drain(pair.bob)) == ["The relay moves."]
        assert told(await drain(pair.alice)) == told(await drain(pair.bob)) == []
    finally:
        (relay.data / FILE).unlink()


async def test_an_account_that_was_recovered_pins_the_key_anew(
    pair: Pair, operator: SigningKey, tmp_path: Path
) -> None:
    async with recovered(pair.homes[0], tmp_path / "again") as alice:
        assert stored(alice, "SELECT operator_key FROM account")[0][0] == operator.public.raw
        assert hears(alice, said(operator, "hello"))


async def test_only_the_pinned_operator_is_heard(pair: Pair, operator: SigningKey) -> None:
    encoded = said(operator, "hello")
    for wrong in (
        said(SigningKey.generate(), "hello"),
        encoded[:-64],
        encoded.replace(b"hello", b"help!"),
        encoded + b"\x00",
        b"\x01\x40",
        b"\x02" + encoded[1:],
    ):
        assert not hears(pair.alice, wrong)
    assert hears(pair.alice, encoded)
    assert told(await drain(pair.alice)) == ["hello"]


async def test_an_announcement_is_heard_once_and_no_older_one_after_it(pair: Pair, operator: SigningKey) -> None:
    assert hears(pair.alice, said(operator, "new"))
    assert not hears(pair.alice, said(operator, "new"), NOW + 3 * HOUR)
    assert not hears(pair.alice, said(operator, "old", NOW - 2 * HOUR), NOW + 3 * HOUR)


async def test_one_an_hour_by_the_operators_clock_and_by_ours(pair: Pair, operator: SigningKey) -> None:
    assert hears(pair.alice, said(operator, "one"))
    assert not hears(pair.alice, said(operator, "two", NOW + HOUR - 1), NOW + 2 * HOUR)
    assert not hears(pair.alice, said(operator, "three", NOW + HOUR), NOW + HOUR - 1)
    assert hears(pair.alice, said(operator, "three", NOW + HOUR), NOW + HOUR), "it comes again with the next login"


async def test_a_clock_that_was_ahead_holds_up_nothing(pair: Pair, operator: SigningKey) -> None:
    change(pair.alice, "UPDATE account SET announcement_came = ?", NOW + 300 * DAY)
    assert hears(pair.alice, said(operator, "hello"))


@pytest.mark.parametrize("time", [NOW - 7 * DAY, NOW + DAY + 1, 2**64 - 1])
async def test_what_is_over_or_of_days_to_come_is_not_heard(pair: Pair, operator: SigningKey, time: int) -> None:
    assert not hears(pair.alice, said(operator, "hello", time))


async def test_an_account_of_before_hears_none(pair: Pair, operator: SigningKey) -> None:
    change(pair.alice, "UPDATE account SET operator_key = NULL")
    assert not hears(pair.alice, said(operator, "hello"))
