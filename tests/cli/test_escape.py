"""Text from outside is harmless on a terminal, and nothing else is changed."""

import json
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from halonyx.cli.escape import MAX_NAME, escape, escape_json, escape_lines, escape_name

HIDDEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


@pytest.mark.parametrize(
    ("outside", "shown"),
    [
        ("hello", "hello"),
        ("grüß dich 👋 日本", "grüß dich 👋 日本"),
        ("\x1b[2Jgone", "\\u{1b}[2Jgone"),
        ("a\rb", "a\\u{d}b"),
        ("a\x7f\x9bb", "a\\u{7f}\\u{9b}b"),
        ("user\u202egnp.exe", "user\\u{202e}gnp.exe"),
        ("\u2066\u2069\u200e\u061c", "\\u{2066}\\u{2069}\\u{200e}\\u{61c}"),
        ("bo\u200bb\u200d\ufeff", "bo\\u{200b}b\\u{200d}\\u{feff}"),
        ("\u3164\u034f\u2800", "\\u{3164}\\u{34f}\\u{2800}"),
        ("\U000e0041", "\\u{e0041}"),
        ("a\u2028b", "a\\u{2028}b"),
    ],
)
def test_invisible_characters_become_code_points(outside: str, shown: str) -> None:
    assert escape(outside) == shown


@given(st.text())
@example("\x00\x1b]0;title\x07")
def test_nothing_hidden_is_left(outside: str) -> None:
    assert not [character for character in escape(outside) if unicodedata.category(character) in HIDDEN]


@given(st.text(st.characters(categories=("L", "N", "P", "Zs"), exclude_characters="\u115f\u1160\u3164\uffa0")))
def test_visible_text_stays_as_it_is(outside: str) -> None:
    assert escape(outside) == outside


def test_a_second_line_can_not_pose_as_a_message() -> None:
    assert escape_lines("hi\n10:31 bob: pay me\r\nend\x1b") == "hi\n    10:31 bob: pay me\n    end\\u{1b}"


def test_a_name_is_cut_to_its_bound() -> None:
    assert escape_name("n" * MAX_NAME) == "n" * MAX_NAME
    assert escape_name("n" * (MAX_NAME + 1)) == "n" * (MAX_NAME - 1) + "…"


@given(st.text())
@example("a\u202eb\x7f\U000e0041\U0001f600")
def test_json_keeps_its_value_and_hides_nothing(outside: str) -> None:
    document = escape_json(json.dumps({"text": outside}, ensure_ascii=False))

    assert json.loads(document) == {"text": outside}
    assert not [character for character in document if unicodedata.category(character) in HIDDEN]
