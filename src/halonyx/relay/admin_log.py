"""What the operator did, in the data folder: JSON lines, each with the SHA-256 of the line before it.

Starts, stops, invites, copies, changed settings; closed lists of events and fields, so no person and no network address
has a field to go into. Beside the log lies its head, the number and hash of the last line, so that lines cut off at the
end are missed. Whoever may write in the folder can make both anew: a head that was noted elsewhere tells that, too.

Source: docs/reference/relay.md, "Admin log".
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from halonyx.core.errors import Misuse, StoreError
from halonyx.core.primitives import sha256
from halonyx.disk import write_whole
from halonyx.relay.events import Event, log
from halonyx.relay.secrets import DATABASES

LOG: Final = "admin.log"
HEAD: Final = "admin.head"
FILES: Final = (LOG, HEAD)
MODE: Final = 0o600
NO_LINE: Final = "0" * 64
MAX_BYTES: Final = 64 * 1024 * 1024
MAX_GONE: Final = 1 << 20  # a line that claims more before it is not believed
LAST_TIME: Final = 253_402_300_799_999  # the end of 9999, where calendars end
_ALWAYS: Final[dict[str, type]] = {"number": int, "time": int, "event": str, "previous": str}


class AdminEvent(StrEnum):
    """Everything that is noted."""

    STARTED = "relay-started"
    STOPPED = "relay-stopped"
    SETTINGS_CHANGED = "settings-changed"
    INVITED = "invites-made"
    ANNOUNCED = "announced"
    BACKED_UP = "backed-up"
    RESTORED = "restored"
    MENDED = "log-mended"


FIELDS: Final[dict[str, type]] = {"version": str, "mode": str, "count": int, "names": list, "marks": dict, "found": str}
"""Names are those of settings; a mark tells two values of one setting apart and nothing else (see `server`)."""


class Flaw(StrEnum):
    """What can be wrong with the log."""

    ALTERED = "altered"
    DELETED = "deleted"
    SWAPPED = "swapped"
    CUT = "cut"
    TORN = "torn"  # by a crash in the middle of a line; what it told of was not confirmed


@dataclass(frozen=True, slots=True)
class Finding:
    """One flaw.

    Attributes:
        line: Counted from 1; for lines that are gone, where they were.
    """

    flaw: Flaw
    line: int


@dataclass(frozen=True, slots=True)
class Line:
    """One line that is whole: its fields, and SHA-256 of its bytes in hex."""

    fields: dict[str, Any]
    digest: str


@dataclass(frozen=True, slots=True)
class Log:
    """A log as it was read.

    Attributes:
        lines: None for one that is no JSON object.
        head: Number and hash of the last line as they were noted; (0, NO_LINE) before the first.
        findings: What is wrong, in the order of lines.
    """

    lines: tuple[Line | None, ...]
    head: tuple[int, str]
    findings: tuple[Finding, ...]


def append(data: Path, event: AdminEvent, **fields: object) -> None:
    """Add a line; it is on disk when this returns. Any process may, also while the relay runs.

    A log that ends otherwise than its head says is gone on with, behind a line that says so: nothing is hidden.

    Args:
        data: The data folder.
        event: What happened.
        fields: Of FIELDS.

    Raises:
        Misuse: A field that is not in the list, or of another type.
        StoreError: The log can't be written.
    """
    for name, value in fields.items():
        if type(value) is not FIELDS.get(name):
            raise Misuse(f"admin log field {name} is not in the list")
    try:
        with _locked(data) as descriptor:
            content = _read_all(descriptor)
            head = _read_head(data)
            if content and not content.endswith(b"\n"):
                content += _write(descriptor, b"\n")
            digests = [sha256(line).hex() for line in content.split(b"\n")[:-1]]
            found = _ending(content, digests, head)
            if found is not None:
                _add(data, descriptor, digests, {"event": AdminEvent.MENDED, "found": found})
            _add(data, descriptor, digests, {"event": event, **fields})
    except OSError as error:
        raise StoreError(f"{data / LOG} can't be written: {error.strerror}") from None


def note(data: Path, event: AdminEvent, **fields: object) -> None:
    """Add a line about what is done already: if it can't be written, that is told in the relay's own log."""
    try:
        append(data, event, **fields)
    except StoreError as error:
        log(Event.WRITE_FAILED, database=LOG, error=type(error).__name__)


def read(data: Path) -> Log:
    """Read the log and look for what is wrong with it.

    Raises:
        StoreError: It can't be read.
    """
    try:
        if not (data / LOG).exists():
            content, head = b"", _read_head(data)
        else:
            with _locked(data) as descriptor:
                content, head = _read_all(descriptor), _read_head(data)
    except OSError as error:
        raise StoreError(f"{data / LOG} can't be read: {error.strerror}") from None
    raw = content.split(b"\n")
    if not raw[-1]:
        raw.pop()
    lines = tuple(_parse(line) for line in raw)
    findings = [*_findings(lines, [sha256(line).hex() for line in raw], head)]
    if not lines and any((data / name).exists() for name in DATABASES):
        findings.append(Finding(Flaw.CUT, 1))  # a relay notes its first start
    return Log(lines, head, tuple(dict.fromkeys(findings)))  # two checks may find the same


def last_marks(log: Log) -> dict[str, str] | None:
    """Return the marks of the settings at the last start that was noted; None before the first."""
    starts = (line.fields for line in reversed(log.lines) if line and line.fields["event"] == AdminEvent.STARTED)
    return next((marks for fields in starts if isinstance(marks := fields.get("marks"), dict)), None)


# Writing


@contextlib.contextmanager
def _locked(data: Path) -> Iterator[int]:
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC  # root may run the relay itself
    descriptor = os.open(data / LOG, flags, MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _add(data: Path, descriptor: int, digests: list[str], fields: dict[str, object]) -> None:
    """Write a line, then the head: after a crash between the two the log is one line ahead."""
    previous = digests[-1] if digests else NO_LINE
    fields = {"number": len(digests) + 1, "time": time.time_ns() // 1_000_000, **fields, "previous": previous}
    line = json.dumps(fields, separators=(",", ":")).encode("ascii")
    _write(descriptor, line + b"\n")
    os.fsync(descriptor)
    digests.append(sha256(line).hex())
    _write_head(data, len(digests), digests[-1])


def _write(descriptor: int, content: bytes) -> bytes:
    if os.write(descriptor, content) != len(content):
        raise OSError(None, "no room for the whole line")
    return content


def _write_head(data: Path, number: int, digest: str) -> None:
    write_whole(data / HEAD, f"{number} {digest}\n".encode("ascii"))


def _ending(content: bytes, digests: list[str], head: tuple[int, str]) -> Flaw | None:
    """Say how the log ends otherwise than its head says; one whole line more is a crash between the two."""
    number, digest = head
    if len(digests) < number:
        return Flaw.CUT
    if (digests[number - 1] if number else NO_LINE) != digest or len(digests) - number > 1:
        return Flaw.ALTERED
    is_torn = len(digests) > number and _parse(content.split(b"\n")[-2]) is None
    return Flaw.TORN if is_torn else None


# Reading


def _read_all(descriptor: int) -> bytes:
    if os.fstat(descriptor).st_size > MAX_BYTES:
        raise OSError(None, "it is larger than any log of ours: move it elsewhere")
    os.lseek(descriptor, 0, os.SEEK_SET)
    parts = []
    while part := os.read(descriptor, 1 << 20):
        parts.append(part)
    return b"".join(parts)


def _read_head(data: Path) -> tuple[int, str]:
    try:
        number, digest = (data / HEAD).read_text("ascii").split()
        if number.isdecimal():
            return int(number), digest
    except FileNotFoundError:
        return 0, NO_LINE
    except ValueError:
        pass
    return 0, ""  # damaged: no line has this hash


def _parse(raw: bytes) -> Line | None:
    try:
        fields = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    known = _ALWAYS | {name: kind for name, kind in FIELDS.items() if name in fields}
    is_ours = (
        all(type(fields.get(name)) is kind for name, kind in known.items())
        and 0 <= fields["time"] <= LAST_TIME
        and all(type(name) is str for name in fields.get("names", ()))
    )
    return Line(fields, sha256(raw).hex()) if is_ours else None


def _findings(lines: Sequence[Line | None], digests: Sequence[str], head: tuple[int, str]) -> Iterator[Finding]:
    numbers = [None if line is None else int(line.fields["number"]) for line in lines]
    by_number = {0: NO_LINE}
    expected, most = 1, len(lines) + MAX_GONE
    last_at = {number: at for at, number in enumerate(numbers) if number is not None}
    for at, (line, digest) in enumerate(zip(lines, digests, strict=True)):
        number = numbers[at] or expected  # what can't be read stands where it stood
        if number > most:
            yield Finding(Flaw.ALTERED, expected)
            number = expected
        if number < expected:
            yield Finding(Flaw.SWAPPED, number)
        elif number > expected and all(last_at.get(gone, -1) < at for gone in range(expected, number)):
            yield Finding(Flaw.DELETED, expected)
        if line is None:
            yield Finding(_unreadable(lines, digests, at), number)
        by_number[number] = digest
        expected = max(expected, number + 1)
    for line in filter(None, lines):
        number = line.fields["number"]
        if by_number.get(number - 1, line.fields["previous"]) != line.fields["previous"]:
            yield Finding(Flaw.ALTERED, number - 1)
        if line.fields["event"] == AdminEvent.MENDED and line.fields.get("found") != Flaw.TORN:
            yield Finding(Flaw.CUT if line.fields.get("found") == Flaw.CUT else Flaw.ALTERED, number)
    yield from _at_the_end(by_number, head, expected - 1)


def _unreadable(lines: Sequence[Line | None], digests: Sequence[str], at: int) -> Flaw:
    """Tell a line torn by a crash, which is the last or mended by the next, from one that was written over."""
    if at + 1 == len(lines):
        return Flaw.TORN
    fields = {} if (line := lines[at + 1]) is None else line.fields
    is_mended = (fields.get("event"), fields.get("found")) == (AdminEvent.MENDED, Flaw.TORN)
    return Flaw.TORN if is_mended and fields.get("previous") == digests[at] else Flaw.ALTERED


def _at_the_end(by_number: Mapping[int, str], head: tuple[int, str], last: int) -> Iterator[Finding]:
    number, digest = head
    if last < number:
        yield Finding(Flaw.CUT, last + 1)
    elif last > number + 1 or by_number.get(number, digest) != digest:
        yield Finding(Flaw.ALTERED, max(number, 1))
