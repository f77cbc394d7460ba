"""Announcements: one value, one encoding, and who may follow whom; each refusal has a vector in delivery.json."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halonyx.core.errors import Malformed, Misuse, RemoteError
from halonyx.core.primitives import SigningKey
from halonyx.core.types import DAY, HOUR, Millis
from halonyx.wire.announcement import Announce, Announcement
from halonyx.wire.frames import FrameType, parse_receive_reply

OPERATOR = SigningKey.generate()
NOW = Millis(1_800_000_000_000)
texts = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=300)


@given(st.integers(0, 2**64 - 1), texts)
def test_what_is_signed_parses_to_itself(time: int, text: str) -> None:
    said = Announcement(Millis(time), text)
    encoded = said.sign(OPERATOR)
    assert Announcement.parse(encoded, OPERATOR.public) == said
    assert parse_receive_reply(Announce(encoded).encode()) == Announce(encoded)
    assert Announce.TYPE == FrameType.ANNOUNCE


@given(st.data())
def test_no_bit_and_no_byte_may_change(data: st.DataObject) -> None:
    encoded = Announcement(NOW, data.draw(texts)).sign(OPERATOR)
    at, bit = data.draw(st.integers(0, len(encoded) - 1)), data.draw(st.integers(0, 7))
    flipped = encoded[:at] + bytes((encoded[at] ^ 1 << bit,)) + encoded[at + 1 :]
    for wrong in (flipped, encoded[:at], encoded + b"\x00"):
        with pytest.raises(RemoteError):
            Announcement.parse(wrong, OPERATOR.public)


@given(st.binary(max_size=2100))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(RemoteError):
        Announcement.parse(noise, OPERATOR.public)


def test_a_lone_surrogate_can_not_be_announced() -> None:
    with pytest.raises(Misuse, match="UTF-8"):
        Announcement(NOW, "\ud800").sign(OPERATOR)


def test_a_frame_with_nothing_in_it_is_none() -> None:
    with pytest.raises(Malformed):
        parse_receive_reply(b"\x01\x0a")


def test_an_hour_apart_and_for_seven_days() -> None:
    said = Announcement(NOW, "hello")
    assert said.may_follow(Millis(NOW - HOUR))
    assert not said.may_follow(Millis(NOW - HOUR + 1))
    assert not said.may_follow(NOW)
    assert said.is_current(Millis(NOW + 7 * DAY - 1))
    assert not said.is_current(Millis(NOW + 7 * DAY))
    assert said.is_current(Millis(NOW - DAY))
    assert not said.is_current(Millis(NOW - DAY - 1))
