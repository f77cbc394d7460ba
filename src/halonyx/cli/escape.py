"""Make text from outside harmless on a terminal.

Control characters could move the cursor or recolour the screen, bidirectional marks could turn a line around, and
invisible characters could make two names look alike. All of them are shown as their code point instead.
"""

import re
import unicodedata
from typing import Final

MAX_NAME: Final = 64  # code points; protocol bound on names
CONTINUED: Final = "\n    "
"""What a line break inside a message becomes, so that its second line can't pose as a message of its own."""

# Control, format (bidirectional marks, zero-width, tags, soft hyphen), surrogate, private use, line and paragraph ends.
_HIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
# Letters and marks by category, yet drawn as nothing: combining grapheme joiner, Hangul fillers, Khmer inherent
# vowels, Mongolian separators, braille blank.
_BLANK: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
_NEEDS_NO_CHECK: Final = re.compile(r"[ -~]*")


def escape(text: str) -> str:
    """Return `text` on one line with every invisible character written as its code point.

    Args:
        text: Anything, from anyone.
    """
    if _NEEDS_NO_CHECK.fullmatch(text):
        return text
    return "".join(_code_point(character) if _is_hidden(character) else character for character in text)


def escape_lines(text: str) -> str:
    """Return `text` escaped, its line breaks kept and every further line indented."""
    return CONTINUED.join(escape(line) for line in text.replace("\r\n", "\n").split("\n"))


def escape_name(name: str) -> str:
    """Return a name escaped, cut to 64 code points."""
    return escape(name if len(name) <= MAX_NAME else name[: MAX_NAME - 1] + "…")


def escape_json(document: str) -> str:
    r"""Return a JSON document with every invisible character as `\uXXXX`: the same value, harmless on a terminal."""
    if _NEEDS_NO_CHECK.fullmatch(document):
        return document
    return "".join(_json_escape(character) if _is_hidden(character) else character for character in document)


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in _HIDDEN_CATEGORIES or character in _BLANK


def _code_point(character: str) -> str:
    return f"\\u{{{ord(character):x}}}"


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
