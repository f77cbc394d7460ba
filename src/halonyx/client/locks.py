"""File locks between the processes of one home; the system drops them when a process dies.

Source: spec/delivery.md, "Client".
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from halonyx.core.errors import Misuse

RECEIVER_LOCK: Final = "receiver.lock"
OUTBOX_LOCK: Final = "outbox.lock"


class ReceiverBusy(Misuse):
    """Another process receives for this home."""

    code = "receiver-busy"


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Hold the lock, if it is free; yields whether it is held. The file names the holder's process."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        with suppress(OSError):  # a full disk; the lock holds, and the number is for people
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode("ascii"), 0)
        yield True
    finally:
        os.close(descriptor)


def holder(path: Path) -> str:
    """Return the process id the lock file names, or `unknown`."""
    try:
        return path.read_text().strip() or "unknown"
    except OSError:
        return "unknown"
