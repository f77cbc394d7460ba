"""Every frame: one value, one encoding, and nothing else is taken."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halonyx.core.errors import Malformed, Misuse, UnsupportedVersion
from halonyx.core.types import Address, DeviceId, EnvelopeId, Millis
from halonyx.wire import frames
from halonyx.wire.announcement import Announce
from halonyx.wire.frames import (
    ENVELOPE_SIZES,
    MAX_ENVELOPE,
    MAX_FRAME,
    Accepted,
    Ack,
    Auth,
    CaughtUp,
    Challenge,
    Deliver,
    Error,
    Hello,
    Status,
    Submit,
    Welcome,
    accepted_frame,
    deliver_head,
    is_envelope,
    parse_receive_reply,
    parse_receive_request,
    parse_send_reply,
    parse_send_request,
)
from halonyx.wire.login import challenge_body, login_body

Parser = Callable[[bytes], Any]

PARSERS: tuple[Parser, ...] = (parse_receive_request, parse_receive_reply, parse_send_request, parse_send_reply)


def fixed(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


u8 = st.integers(0, 2**8 - 1)
u16 = st.integers(0, 2**16 - 1)
u64 = st.integers(0, 2**64 - 1)
device = st.integers(1, 255)
buckets = st.sampled_from(sorted(ENVELOPE_SIZES)).map(lambda size: b"\x01" + bytes(size - 1))

FRAMES: dict[Parser, st.SearchStrategy[Any]] = {
    parse_receive_request: st.one_of(
        st.builds(Auth, fixed(32), device, fixed(64)),
        st.builds(Hello, fixed(8), u64),
        st.builds(Ack, fixed(8), u64),
    ),
    parse_receive_reply: st.one_of(
        st.builds(Challenge, fixed(32), u64, fixed(64)),
        st.builds(Welcome, fixed(8), u64, u16, u16),
        st.builds(Deliver, u64, fixed(16), u64, buckets),
        st.builds(CaughtUp, u64),
        st.builds(Announce, st.binary(min_size=1, max_size=2100)),
        st.builds(Error, u8),
    ),
    parse_send_request: st.builds(Submit, fixed(16), fixed(32), device, fixed(16), st.binary(max_size=2048)),
    parse_send_reply: st.one_of(st.builds(Accepted, fixed(16), st.sampled_from(Status), u16), st.builds(Error, u8)),
}
SIZES = {
    Auth: 99,
    Hello: 18,
    Ack: 18,
    Challenge: 106,
    Welcome: 22,
    CaughtUp: 10,
    Accepted: 21,
    Error: 3,
}
ADDRESS, DEVICE = Address(bytes(32)), DeviceId(1)
SUBMIT = Submit(EnvelopeId(bytes(16)), ADDRESS, DEVICE, bytes(16), b"")


@pytest.mark.parametrize("parser", PARSERS)
@given(data=st.data())
def test_a_frame_parses_to_itself_on_its_own_path_only(parser: Parser, data: st.DataObject) -> None:
    frame = data.draw(FRAMES[parser])
    encoded = frame.encode()
    assert parser(encoded) == frame
    assert encoded[:2] == bytes([1, frame.TYPE])
    assert len(encoded) == SIZES.get(type(frame), len(encoded))
    for other in PARSERS:
        if other is not parser and not isinstance(frame, Error):
            with pytest.raises(Malformed):
                other(encoded)


@pytest.mark.parametrize("parser", PARSERS)
@given(data=st.data())
def test_every_truncation_is_refused(parser: Parser, data: st.DataObject) -> None:
    frame = data.draw(FRAMES[parser])
    encoded = frame.encode()
    least = {Submit: 67, Announce: 3}.get(type(frame), len(encoded))
    for size in range(min(least, 200)):
        with pytest.raises(Malformed):
            parser(encoded[:size])


@pytest.mark.parametrize("parser", PARSERS)
@given(data=st.data())
def test_a_trailing_byte_is_refused(parser: Parser, data: st.DataObject) -> None:
    frame = data.draw(FRAMES[parser])
    if isinstance(frame, Submit | Announce):
        return
    with pytest.raises(Malformed):
        parser(frame.encode() + b"\x00")


@pytest.mark.parametrize("parser", PARSERS)
@given(data=st.data(), version=u8.filter(lambda number: number != 1))
def test_another_version_is_refused(parser: Parser, data: st.DataObject, version: int) -> None:
    encoded = data.draw(FRAMES[parser]).encode()
    with pytest.raises(UnsupportedVersion):
        parser(bytes([version]) + encoded[1:])


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("kind", [0, 12, 255])
def test_unknown_types_are_refused(parser: Parser, kind: int) -> None:
    with pytest.raises(Malformed):
        parser(bytes([1, kind]) + bytes(100))


@pytest.mark.parametrize("parser", PARSERS)
@given(noise=st.binary(max_size=300))
def test_noise_is_refused_or_encodes_back_to_itself(parser: Parser, noise: bytes) -> None:
    try:
        frame = parser(noise)
    except (Malformed, UnsupportedVersion):
        return
    assert frame.encode() == noise


@pytest.mark.parametrize("parser", PARSERS)
def test_a_frame_over_66_kib_is_refused_before_it_is_read(parser: Parser) -> None:
    for kind in range(256):
        with pytest.raises(Malformed):
            parser(bytes([1, kind]) + bytes(MAX_FRAME))


def test_device_0_is_refused() -> None:
    encoded = bytearray(SUBMIT.encode())
    encoded[50] = 0
    with pytest.raises(Malformed):
        parse_send_request(bytes(encoded))
    encoded = bytearray(Auth(ADDRESS, DEVICE, bytes(64)).encode())
    encoded[34] = 0
    with pytest.raises(Malformed):
        parse_receive_request(bytes(encoded))
    for number in (0, 256):
        with pytest.raises(Misuse):
            Submit(EnvelopeId(bytes(16)), ADDRESS, DeviceId(number), bytes(16), b"").encode()


def test_an_envelope_of_any_size_parses_in_submit_but_only_a_bucket_in_deliver() -> None:
    head = SUBMIT.encode()
    assert parse_send_request(head + bytes(MAX_ENVELOPE)).envelope == bytes(MAX_ENVELOPE)
    with pytest.raises(Malformed):
        parse_send_request(head + bytes(MAX_ENVELOPE + 1))
    with pytest.raises(Misuse):
        Submit(EnvelopeId(bytes(16)), ADDRESS, DEVICE, bytes(16), bytes(MAX_ENVELOPE + 1)).encode()
    with pytest.raises(Malformed):
        parse_receive_reply(deliver_head(1, bytes(16), 0) + bytes(1025))
    with pytest.raises(Misuse):
        Deliver(1, EnvelopeId(bytes(16)), Millis(0), bytes(1025)).encode()


@pytest.mark.parametrize(
    ("envelope", "expected"),
    [
        *((b"\x01" + bytes(size - 1), True) for size in sorted(ENVELOPE_SIZES)),
        (b"\x02" + bytes(1023), False),
        (b"\x01" + bytes(1024), False),
        (b"\x01" + bytes(3 * 1024 - 1), False),
        (b"", False),
    ],
)
def test_the_relay_looks_at_size_and_first_byte(envelope: bytes, *, expected: bool) -> None:
    assert is_envelope(envelope) is expected


def test_an_unknown_status_is_refused() -> None:
    with pytest.raises(Malformed):
        parse_send_reply(accepted_frame(bytes(16), len(Status), 0))


@given(fixed(16), st.sampled_from(Status), u16)
def test_the_fast_encoding_is_the_encoding(envelope_id: bytes, status: Status, retry_after: int) -> None:
    assert (
        accepted_frame(envelope_id, status, retry_after)
        == Accepted(EnvelopeId(envelope_id), status, retry_after).encode()
    )


@pytest.mark.parametrize(
    "frame",
    [
        Hello(bytes(7), 0),
        Hello(bytes(8), -1),
        Ack(bytes(8), 2**64),
        Challenge(bytes(31), Millis(0), bytes(64)),
        Auth(ADDRESS, DEVICE, bytes(63)),
        Welcome(bytes(8), 0, 2**16, 0),
    ],
)
def test_impossible_values_are_our_own_mistake(frame: frames.ReceiveRequest | Challenge | Welcome) -> None:
    with pytest.raises(Misuse):
        frame.encode()


def test_what_is_signed_at_login_is_fixed() -> None:
    nonce, origin = bytes(range(32)), "http://localhost:3000"
    assert challenge_body(nonce, Millis(1), origin) == nonce + (1).to_bytes(8, "big") + b"\x00\x15" + origin.encode()
    assert login_body(nonce, origin, ADDRESS, DEVICE) == nonce + b"\x00\x15" + origin.encode() + ADDRESS + b"\x01\x01"


@pytest.mark.parametrize("origin", ["", "http://é", "h" * 256])
def test_an_origin_is_short_ascii(origin: str) -> None:
    with pytest.raises(Misuse):
        login_body(bytes(32), origin, ADDRESS, DEVICE)


def test_login_refuses_a_device_that_cannot_be() -> None:
    with pytest.raises(Misuse):
        login_body(bytes(32), "http://localhost", ADDRESS, DeviceId(0))


def test_no_key_and_no_envelope_shows_in_repr() -> None:
    key, envelope = b"k" * 16, b"\x01" + b"e" * 1023
    for frame in (
        Submit(EnvelopeId(bytes(16)), ADDRESS, DEVICE, key, envelope),
        Deliver(1, EnvelopeId(bytes(16)), Millis(0), envelope),
    ):
        assert "kkkk" not in repr(frame)
        assert "eeee" not in repr(frame)
