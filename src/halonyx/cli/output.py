"""What a command prints: one JSON object a line, or words for a person; never both.

Every value that goes into words is escaped here, so no command can forget to. Answers go to standard output, remarks
and errors to standard error.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TextIO

from halonyx.cli.escape import escape, escape_json, escape_lines

LAST_MOMENT: Final = 253_402_214_400_000  # 9999-12-31 in ms; a sender's clock can name later ones, a calendar can't
JsonValue = str | int | float | bool | None | Mapping[str, "JsonValue"]


class Plain(str):
    """A value that is ours, laid out already and free of anything from outside; not escaped."""

    __slots__ = ()


class Lines(str):
    """A text from outside whose line breaks are kept."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Output:
    """Where a command's answer goes.

    Attributes:
        as_json: One object a line on standard output and nothing else there.
    """

    as_json: bool

    def answer(self, values: Mapping[str, JsonValue], words: str, /, **parts: object) -> None:
        """Print one answer: `values` as JSON, or `words` with `parts` filled in."""
        if self.as_json:
            _write(sys.stdout, to_json(values))
        else:
            self.say(words, **parts)

    def say(self, words: str, /, **parts: object) -> None:
        """Print words for a person; nothing with --json."""
        if not self.as_json:
            _write(sys.stdout, fill(words, **parts))

    def remark(self, words: str, /, **parts: object) -> None:
        """Print a hint on standard error, apart from the answer; nothing with --json."""
        if not self.as_json:
            _write(sys.stderr, fill(words, **parts))

    def error(self, code: str, message: str) -> None:
        """Print what went wrong on standard error.

        Args:
            code: One word that programs read.
            message: One or more sentences for a person; escaped here.
        """
        if self.as_json:
            _write(sys.stderr, to_json({"error": {"code": code, "message": message}}))
        else:
            _write(sys.stderr, "Error: " + "\n".join(escape(line) for line in message.split("\n")))


def fill(words: str, /, **parts: object) -> str:
    """Return `words` with every part escaped and filled in."""
    return words.format_map({name: _safe(value) for name, value in parts.items()})


def to_json(values: Mapping[str, JsonValue]) -> str:
    """Return one line of JSON that is harmless on a terminal."""
    return escape_json(json.dumps(values, ensure_ascii=False, default=dict))


def utc(milliseconds: int) -> str:
    """Return a moment as RFC 3339 in UTC with milliseconds, for example 2026-11-23T10:31:07.042Z."""
    milliseconds = min(milliseconds, LAST_MOMENT)
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


def local(milliseconds: int) -> str:
    """Return a moment on the reader's own clock: the time of day, with the date unless it is today."""
    moment = datetime.fromtimestamp(min(milliseconds, LAST_MOMENT) / 1000, UTC).astimezone()
    today = datetime.now().astimezone().date()
    return f"{moment:%H:%M}" if moment.date() == today else f"{moment:%Y-%m-%d %H:%M}"


def _safe(value: object) -> str:
    match value:
        case Plain():
            return value
        case Lines():
            return escape_lines(value)
        case _:
            return escape(str(value))


def _write(stream: TextIO, text: str) -> None:
    stream.write(text + "\n")
    stream.flush()  # a reader at the other end of a pipe sees each line as it comes
