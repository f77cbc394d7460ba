"""The operator's announcement: from the command's file to every device that is there or comes later."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from halonyx.core.errors import Misuse, StoreError
from halonyx.core.primitives import SigningKey
from halonyx.core.types import DAY, HOUR, Millis
from halonyx.relay.announcing import FILE, TooSoon, announce
from halonyx.relay.context import wall_clock
from halonyx.relay.secrets import read
from halonyx.relay.settings import load_settings
from halonyx.wire.announcement import Announce, Announcement
from halonyx.wire.frames import CaughtUp
from relay.sockets_support import WAIT_S, Receiver, Served, envelope, served


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as made:
        yield made


def say(relay: Served, text: str, now: int | None = None) -> None:
    """Announce as the operator does: beside the running relay."""
    announce(relay.relay.settings, text, Millis(now or wall_clock()))


def put(relay: Served, encoded: bytes) -> None:
    """Leave something where announcements are, as whoever may write there could."""
    fresh = relay.data / "fresh"
    fresh.write_bytes(encoded)
    fresh.replace(relay.data / FILE)


def signed(relay: Served, text: str, time: int) -> bytes:
    return Announcement(Millis(time), text).sign(relay.relay.context.secrets.operator_key)


async def heard(receiver: Receiver, relay: Served) -> str:
    frame = await asyncio.wait_for(receiver.next(), WAIT_S)
    assert isinstance(frame, Announce), frame
    return Announcement.parse(frame.announcement, relay.relay.context.secrets.operator_key.public).text


async def is_silent(relay: Served) -> bool:
    """Tell whether a device that comes now hears no announcement: its mailbox is caught up right behind WELCOME."""
    await relay.relay.hub._look()
    async with relay.receiver(await relay.enrol()) as receiver:
        return isinstance(await receiver.next(), CaughtUp)


async def test_everybody_who_is_there_hears_it_and_everybody_who_comes_later(relay: Served) -> None:
    alice, bob = await relay.enrol(), await relay.enrol()
    async with relay.receiver(alice) as first, relay.sender() as sender:
        assert await first.caught_up() == []
        say(relay, "The relay moves on Sunday.")
        assert await heard(first, relay) == "The relay moves on Sunday."
        await sender.submit(alice, envelope())
        assert (await first.deliver()).seq == 1, "told once, and the connection goes on"
    for _ in range(2):
        async with relay.receiver(bob) as second:
            assert await heard(second, relay) == "The relay moves on Sunday."
            assert await second.caught_up() == []


async def test_one_connection_that_fails_keeps_it_from_nobody(relay: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    async with relay.receiver(await relay.enrol()) as first, relay.receiver(await relay.enrol()) as second:
        await first.caught_up()
        await second.caught_up()
        failing = next(iter(relay.relay.hub._receivers.values()))
        monkeypatch.setattr(failing, "send", None)
        say(relay, "hello")
        assert await heard(second, relay) == "hello"


async def test_nobody_hears_it_before_it_has_proved_who_it_is(relay: Served) -> None:
    say(relay, "hello")
    await relay.relay.hub._look()
    receiver = Receiver(await relay.socket("/v1/receive"), relay)
    await receiver.login(await relay.enrol(), key=SigningKey.generate())
    assert await receiver.next() == 4401


async def test_it_outlives_a_restart_and_ends_after_seven_days(tmp_path: Path) -> None:
    async with served(tmp_path) as relay:
        say(relay, "hello")
    async with served(tmp_path) as relay:
        assert not await is_silent(relay)
        board = relay.relay.hub._board
        assert board is not None
        assert board.frame(Millis(wall_clock() + 7 * DAY - HOUR)) is not None
        assert board.frame(Millis(wall_clock() + 7 * DAY)) is None


async def test_one_an_hour(relay: Served) -> None:
    now = wall_clock()
    say(relay, "first", now - HOUR + 60_000)
    with pytest.raises(TooSoon, match="one announcement an hour"):
        say(relay, "second", now)
    assert not await is_silent(relay)
    async with relay.receiver(await relay.enrol()) as receiver:
        assert await heard(receiver, relay) == "first"
    say(relay, "later", now + HOUR + 60_000)


async def test_one_made_anew_between_two_looks_is_told(relay: Served) -> None:
    async with relay.receiver(await relay.enrol()) as receiver:
        await receiver.caught_up()
        for text in ("The relay moves on Sunda.", "The relay moves on Sunday."):
            (relay.data / FILE).unlink(missing_ok=True)
            say(relay, text)
            await relay.relay.hub._look()
            assert await heard(receiver, relay) == text


async def test_a_file_that_says_the_same_is_told_once(relay: Served) -> None:
    board, encoded = relay.relay.hub._board, signed(relay, "hello", wall_clock())
    assert board is not None
    for frame in (Announce(encoded).encode(), None):
        put(relay, encoded)
        assert board.look(wall_clock()) == frame


async def test_deleting_the_file_takes_it_back(relay: Served) -> None:
    say(relay, "hello")
    assert not await is_silent(relay)
    (relay.data / FILE).unlink()
    assert await is_silent(relay)
    say(relay, "what I meant")
    assert not await is_silent(relay)


@pytest.mark.parametrize("cut", [0, 1, 64])
async def test_what_the_operator_did_not_sign_is_told_nobody(relay: Served, cut: int) -> None:
    encoded = signed(relay, "hello", wall_clock())
    put(
        relay, encoded[: len(encoded) - cut] if cut else Announcement(wall_clock(), "hello").sign(SigningKey.generate())
    )
    assert await is_silent(relay)
    put(relay, encoded.replace(b"hello", b"help!"))
    assert await is_silent(relay)
    put(relay, encoded + b"\x00" * 5000)
    assert await is_silent(relay)
    put(relay, encoded)
    assert not await is_silent(relay)


async def test_an_old_one_and_one_of_days_to_come_are_told_nobody(relay: Served) -> None:
    for time in (wall_clock() - 7 * DAY, wall_clock() + 2 * DAY):
        put(relay, signed(relay, "hello", time))
        assert await is_silent(relay)
    say(relay, "an announcement that is of no moment stands in nobody's way")


@pytest.mark.parametrize("text", ["", "two\nlines", "\x1b[2J", "x" * 2001, "€" * 667, "\udc80"])
async def test_what_may_not_be_announced_is_refused(relay: Served, text: str) -> None:
    with pytest.raises(Misuse):
        say(relay, text)
    assert not (relay.data / FILE).exists()


async def test_the_file_is_for_the_relay_alone(relay: Served) -> None:
    say(relay, "hello")
    assert (relay.data / FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in relay.data.iterdir() if path.name.startswith(".")] == []


def test_announcing_needs_a_relay_and_its_secrets(tmp_path: Path) -> None:
    settings = load_settings(data=tmp_path / "data")
    with pytest.raises(Misuse, match="--data"):
        announce(settings, "hello", wall_clock())
    settings.data.mkdir()
    for name in ("identity.db", "app.db", "keys.db"):
        (settings.data / name).touch()
    with pytest.raises(StoreError, match="secrets"):
        announce(settings, "hello", wall_clock())


async def test_a_folder_that_can_not_be_written(relay: Served) -> None:
    (relay.data / FILE).mkdir()
    (relay.data / FILE / "something").touch()
    with pytest.raises(StoreError, match="can't be written"):
        say(relay, "hello")
    assert read(relay.relay.settings.secrets_path)
    assert [path.name for path in relay.data.iterdir() if path.name.startswith(".")] == []
