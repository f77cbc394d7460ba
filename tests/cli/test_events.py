"""How each kind of event is printed."""

import json
from typing import Final, get_args

import pytest

from halonyx.cli.messages import CLOCK_TOLERANCE, show_entries, show_event
from halonyx.cli.output import Output
from halonyx.client import HistoryEntry, Message, Notice
from halonyx.client.model import NoticeKind
from halonyx.core.types import MessageId, Millis

Captured = pytest.CaptureFixture[str]
NOON = Millis(1_795_435_200_000)
DATA: dict[str, dict[str, str | int | bool]] = {
    "gap": {"missing": 2},
    "stale": {"code": "stale-directory"},
    "device": {"device": 2},
    "announcement": {"relay": "https://relay.example", "announcement": "Sunday, 8 o'clock"},
}
NOBODYS: Final = ("announcement", "request", "requests-full", "restored")
"""Of someone without a name yet, and of our own relay."""


@pytest.mark.parametrize("kind", get_args(NoticeKind))
@pytest.mark.parametrize("contact", ["b\u202eob", None])
def test_every_notice_has_words_and_a_shape(kind: NoticeKind, contact: str | None, capsys: Captured) -> None:
    notice = Notice(kind, contact, NOON, DATA.get(kind, {}))

    show_event(Output(as_json=False), notice)
    words = capsys.readouterr().out
    assert words.count("\n") == (2 if kind == "announcement" else 1)
    assert "\u202e" not in words
    assert kind in NOBODYS or ("b\\u{202e}ob" if contact else "someone") in words

    show_event(Output(as_json=True), notice)
    printed = json.loads(capsys.readouterr().out)
    expected: dict[str, object] = {
        "kind": kind,
        "request" if kind == "request" else "from": contact,
        "time": "2026-11-23T12:00:00.000Z",
        **DATA.get(kind, {}),
    }
    assert printed == {key: value for key, value in expected.items() if value is not None}


@pytest.mark.parametrize("ahead", [0, CLOCK_TOLERANCE, CLOCK_TOLERANCE + 1])
def test_a_clock_that_is_ahead_is_marked(ahead: int, capsys: Captured) -> None:
    message = Message(MessageId(bytes(16)), "bob", "hi", Millis(NOON + ahead), NOON)
    show_event(Output(as_json=False), message)
    assert ("their clock is ahead" in capsys.readouterr().out) == (ahead > CLOCK_TOLERANCE)


@pytest.mark.parametrize("no_receipt", [False, True])
def test_a_message_that_nobody_confirmed_for_a_day_says_so(*, no_receipt: bool, capsys: Captured) -> None:
    entry = HistoryEntry(1, MessageId(bytes(16)), "bob", True, "hi", NOON, "accepted", no_receipt=no_receipt)

    show_entries(Output(as_json=False), [entry])
    assert ("no receipt yet" in capsys.readouterr().out) == no_receipt
    show_entries(Output(as_json=True), [entry])
    assert json.loads(capsys.readouterr().out)["no_receipt"] == no_receipt
