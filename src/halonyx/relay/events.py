"""What the relay logs: a closed list of events with a closed list of fields.

No id, address, key, IP address or content has a field to go into, so it can't get into a log.
Source: docs/reference/relay.md, "Log".
"""

import contextlib
import json
import logging
import os
import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from halonyx.core.errors import Misuse

STDERR: Final = 2


class Event(StrEnum):
    """Everything the relay ever says."""

    STARTED = "relay-started"
    STOPPING = "relay-stopping"
    STOPPED = "relay-stopped"
    CHANGES_TIDIED = "interrupted-changes-tidied"
    REQUEST = "request"
    REQUEST_FAILED = "request-failed"
    UPKEEP_FAILED = "upkeep-failed"
    DISK_FULL = "disk-full"
    SWEPT = "expired-envelopes-deleted"
    FILES_SWEPT = "expired-files-deleted"
    FILES_TIDIED = "files-tidied"
    SOCKET_FAILED = "socket-failed"
    WRITE_FAILED = "write-failed"


LIBRARIES: Final = ("asyncio", "uvicorn.error")

FIELDS: Final[dict[str, type]] = {
    "port": int,
    "count": int,
    "status": int,
    "code": int,
    "version": str,
    "mode": str,
    "build": str,
    "route": str,
    "method": str,
    "error": str,
    "database": str,
}
"""Field names and their types. Texts are the program's own: a route of the table, a class name, a mode."""

LEVELS: Final = {
    Event.REQUEST: logging.DEBUG,
    Event.REQUEST_FAILED: logging.ERROR,
    Event.UPKEEP_FAILED: logging.ERROR,
    Event.DISK_FULL: logging.ERROR,
    Event.SOCKET_FAILED: logging.ERROR,
    Event.WRITE_FAILED: logging.ERROR,
}
"""Levels other than info."""


_logger: Final = logging.getLogger("halonyx.relay")


class _Lines(logging.Handler):
    """Writes one JSON object a line, or loses it: standard error may be closed or on a full disk."""

    def emit(self, record: logging.LogRecord) -> None:
        if sys.stderr is None:  # closed before the start
            return
        line = {
            "event": record.msg,
            "level": record.levelname.lower(),
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
            **record.__dict__["fields"],
        }
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(json.dumps(line, sort_keys=True) + "\n")
            sys.stderr.flush()


class _Foreign(logging.Handler):
    """Makes an event of what a library says, by the error's class alone: its text could name a client."""

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0] if record.exc_info else None
        log(Event.SOCKET_FAILED, error=kind.__name__ if kind else record.name)


def configure(level: str) -> None:
    """Send events at `level` (debug, info, warning, error) and above to standard error, one JSON object a line.

    Call it before anything is opened.
    """
    # A standard stream that was closed leaves its number to the next file, and a socket under it ends the event loop.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= STDERR:
        pass
    os.close(descriptor)
    _logger.handlers = [_Lines()]
    _logger.propagate = False
    _logger.setLevel(level.upper())
    for name in LIBRARIES:
        library = logging.getLogger(name)
        library.handlers = [_Foreign(logging.ERROR)]  # their warnings say that a stranger sent no HTTP
        library.propagate = False


def log(event: Event, **fields: int | str) -> None:
    """Write one event; the relay goes on if it can't be written.

    Raises:
        Misuse: A field that is not in the list, or of another type.
    """
    for name, value in fields.items():
        if type(value) is not FIELDS.get(name):
            raise Misuse(f"event field {name} is not in the list")
    _logger.log(LEVELS.get(event, logging.INFO), event.value, extra={"fields": fields})
