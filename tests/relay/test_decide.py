"""The rules of delivery, as tables."""

from dataclasses import dataclass

import pytest

from halonyx.core.primitives import sha256
from halonyx.relay.decide import (
    Action,
    Close,
    KeyKind,
    Limits,
    Nothing,
    Pressure,
    Quiet,
    acknowledged,
    admit,
    due,
    key_kind,
    pressure,
    start_after,
    window_is_open,
)
from halonyx.relay.settings import load_settings
from halonyx.wire.frames import CloseCode, Status

LIMITS = Limits()
ACCESS, REQUEST = KeyKind.ACCESS, KeyKind.REQUEST
OURS, OTHER = b"epoch one", b"epoch two"
KIB = 1024


@dataclass(frozen=True, slots=True)
class Box:
    messages: int = 0
    size_bytes: int = 0
    requests: int = 0


@pytest.mark.parametrize(
    ("kind", "box", "size", "expected"),
    [
        (ACCESS, Box(), KIB, Status.ACCEPTED),
        (REQUEST, Box(), KIB, Status.ACCEPTED),
        (None, Box(), KIB, Status.BAD_ACCESS_KEY),
        (None, None, KIB, Status.BAD_ACCESS_KEY),
        (ACCESS, None, KIB, Status.GONE),
        (REQUEST, None, KIB, Status.GONE),
        (REQUEST, Box(requests=19), KIB, Status.ACCEPTED),
        (REQUEST, Box(requests=20), KIB, Status.REQUESTS_FULL),
        (ACCESS, Box(requests=20), KIB, Status.ACCEPTED),
        (ACCESS, Box(messages=9_999), KIB, Status.ACCEPTED),
        (ACCESS, Box(messages=10_000), KIB, Status.MAILBOX_FULL),
        (REQUEST, Box(messages=10_000), KIB, Status.MAILBOX_FULL),
        (ACCESS, Box(size_bytes=64 * KIB * KIB - KIB), KIB, Status.ACCEPTED),
        (ACCESS, Box(size_bytes=64 * KIB * KIB - KIB + 1), KIB, Status.MAILBOX_FULL),
        (ACCESS, Box(size_bytes=64 * KIB * KIB - 32 * KIB), 64 * KIB, Status.MAILBOX_FULL),
    ],
)
def test_who_may_leave_an_envelope(kind: KeyKind | None, box: Box | None, size: int, expected: Status) -> None:
    assert admit(kind, box, size, LIMITS) is expected


KEY, STRANGERS_KEY = bytes(16), b"r" * 16


@pytest.mark.parametrize(
    ("access_hash", "request_hash", "key", "expected"),
    [
        (sha256(KEY), sha256(STRANGERS_KEY), KEY, ACCESS),
        (sha256(KEY), sha256(STRANGERS_KEY), STRANGERS_KEY, REQUEST),
        (sha256(KEY), sha256(STRANGERS_KEY), b"x" * 16, None),
        (sha256(KEY), None, STRANGERS_KEY, None),
        (None, sha256(STRANGERS_KEY), STRANGERS_KEY, REQUEST),
        (None, None, KEY, None),
        (sha256(KEY), sha256(KEY), KEY, ACCESS),
    ],
)
def test_which_key_was_shown(
    access_hash: bytes | None, request_hash: bytes | None, key: bytes, expected: KeyKind | None
) -> None:
    assert key_kind(access_hash, request_hash, key) is expected


@pytest.mark.parametrize(
    ("theirs", "cursor", "head", "expected"),
    [(OURS, 5, 9, 5), (OURS, 0, 9, 0), (OURS, 99, 9, 9), (OTHER, 5, 9, 0), (bytes(8), 0, 9, 0)],
)
def test_a_cursor_counts_in_its_own_epoch_only(theirs: bytes, cursor: int, head: int, expected: int) -> None:
    assert start_after(OURS, theirs, cursor, head) == expected


@pytest.mark.parametrize(
    ("theirs", "upto", "delivered", "expected"),
    [(OURS, 3, 5, 3), (OURS, 5, 5, 5), (OURS, 2**64 - 1, 5, 5), (OURS, 0, 5, 0), (OTHER, 3, 5, 0)],
)
def test_an_ack_never_reaches_beyond_what_was_delivered(
    theirs: bytes, upto: int, delivered: int, expected: int
) -> None:
    assert acknowledged(OURS, theirs, upto, delivered) == expected


@pytest.mark.parametrize(
    ("unacked", "unacked_bytes", "expected"),
    [
        (0, 0, True),
        (63, 63 * KIB, True),
        (64, 64 * KIB, False),
        (15, 960 * KIB, True),
        (16, 1024 * KIB, False),
        (0, 2**30, True),
    ],
)
def test_the_window_is_64_envelopes_or_1_mib(*, unacked: int, unacked_bytes: int, expected: bool) -> None:
    assert window_is_open(unacked, unacked_bytes, LIMITS) is expected


@pytest.mark.parametrize(
    ("now", "queued", "queued_bytes", "paused_for", "expected"),
    [
        (Pressure.OPEN, 4095, 0, 0, Pressure.OPEN),
        (Pressure.OPEN, 4096, 0, 0, Pressure.PAUSED),
        (Pressure.OPEN, 1, 64 * KIB * KIB, 0, Pressure.PAUSED),
        (Pressure.PAUSED, 4096, 0, 1.9, Pressure.PAUSED),
        (Pressure.PAUSED, 2049, 0, 1.9, Pressure.PAUSED),
        (Pressure.PAUSED, 2049, 0, 2, Pressure.REFUSING),
        (Pressure.PAUSED, 2048, 0, 9, Pressure.OPEN),
        (Pressure.PAUSED, 0, 64 * KIB * KIB, 0, Pressure.PAUSED),
        (Pressure.REFUSING, 2049, 0, 9, Pressure.REFUSING),
        (Pressure.REFUSING, 2048, 32 * KIB * KIB, 9, Pressure.OPEN),
    ],
)
def test_a_full_queue_pauses_then_refuses(
    now: Pressure, queued: int, queued_bytes: int, paused_for: float, expected: Pressure
) -> None:
    assert pressure(now, queued, queued_bytes, paused_for, LIMITS) is expected


@pytest.mark.parametrize(
    ("quiet", "expected"),
    [
        (Quiet(heard=0), Nothing.WAIT),
        (Quiet(heard=24.9), Nothing.WAIT),
        (Quiet(heard=25), Nothing.PING),
        (Quiet(heard=44, pinged=19), Nothing.WAIT),
        (Quiet(heard=45, pinged=20), Nothing.ABORT),
        (Quiet(heard=0, unproved=4.9), Nothing.WAIT),
        (Quiet(heard=0, unproved=5), Close(CloseCode.NOT_AUTHENTICATED)),
        (Quiet(heard=0, session=86_399), Nothing.WAIT),
        (Quiet(heard=0, session=86_400), Close(CloseCode.NORMAL)),
        (Quiet(heard=0, idle=59), Nothing.WAIT),
        (Quiet(heard=0, idle=60), Close(CloseCode.NORMAL)),
        (Quiet(heard=0, stuck=59), Nothing.WAIT),
        (Quiet(heard=0, stuck=60, pinged=30), Close(CloseCode.NO_PROGRESS)),
        (Quiet(heard=99, closing=1, stuck=99, unproved=9), Nothing.WAIT),
        (Quiet(heard=99, closing=2, stuck=99, unproved=9), Nothing.ABORT),
    ],
)
def test_what_time_asks_of_a_connection(quiet: Quiet, expected: Action) -> None:
    assert due(quiet, LIMITS) == expected


def test_the_defaults_are_the_settings_defaults() -> None:
    assert Limits.of(load_settings()) == Limits()
    assert Limits.of(load_settings(unacked_messages=3)).unacked_messages == 3
    assert Limits.of(load_settings(body_seconds=3)).body_s == 3
