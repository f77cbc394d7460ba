"""Words and JSON: what goes where, and that parts are escaped."""

import json

import pytest

from halonyx.cli.output import LAST_MOMENT, Lines, Output, Plain, fill, local, to_json, utc


def test_an_answer_is_either_words_or_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=False).answer({"name": "bob"}, "Added {name}.", name="bob")
    assert capsys.readouterr() == ("Added bob.\n", "")

    Output(as_json=True).answer({"name": "b\u202eob"}, "Added {name}.", name="bob")
    assert capsys.readouterr() == ('{"name": "b\\u202eob"}\n', "")


def test_json_is_alone_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(as_json=True)
    output.say("words")
    output.remark("more words")
    assert capsys.readouterr() == ("", "")


def test_remarks_and_errors_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=False).remark("by the way")
    Output(as_json=False).error("misuse", "No \x1b here.\nTry again.")
    assert capsys.readouterr() == ("", "by the way\nError: No \\u{1b} here.\nTry again.\n")

    Output(as_json=True).error("misuse", "No.\nTry again.")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err) == {"error": {"code": "misuse", "message": "No.\nTry again."}}


def test_every_part_is_escaped_once() -> None:
    filled = fill("{name}: {text} {ours} {number}", name="b\nob", text=Lines("a\nb\x1b"), ours=Plain("x\ny"), number=7)

    assert filled == "b\\u{a}ob: a\n    b\\u{1b} x\ny 7"


def test_braces_from_outside_are_no_places() -> None:
    assert fill("{text}", text="{name} {0} {") == "{name} {0} {"


def test_json_nests() -> None:
    assert to_json({"error": {"code": "x"}, "n": 1, "b": True, "none": None}) == (
        '{"error": {"code": "x"}, "n": 1, "b": true, "none": null}'
    )


@pytest.mark.parametrize(
    ("milliseconds", "shown"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_795_429_867_042, "2026-11-23T10:31:07.042Z"),
        (1_795_429_867_999, "2026-11-23T10:31:07.999Z"),
        (2**63, "9999-12-31T00:00:00.000Z"),
    ],
)
def test_moments_are_rfc_3339_in_utc_with_milliseconds(milliseconds: int, shown: str) -> None:
    assert utc(milliseconds) == shown


def test_a_clock_beyond_the_calendar_is_no_error() -> None:
    assert local(2**64 - 1) == local(LAST_MOMENT)
