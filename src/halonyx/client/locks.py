"""File locks between the processes of one home; the system drops them when a process dies.

Source: spec/delivery.md, "Client".
"""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from halonyx.core.errors import Misuse

RECEIVER_LOCK: Final = "receiver.lock"
OUTBOX_LOCK: Final = "outbox.lock"
TRANSFERS_LOCK: Final = "transfers.lock"


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


@contextmanager
def receiver_lock(home: Path) -> Iterator[None]:
    """Be the one process that receives for a home.

    Raises:
        ReceiverBusy: Another one is.
    """
    path = home / RECEIVER_LOCK
    with try_lock(path) as held:
        if not held:
            raise ReceiverBusy(f"process {_holder(path)} receives for {home}: end it first, or wait for it")
        yield


def outbox_lock(contact: int) -> str:
    """Name the lock of whoever sends to a contact, by its row id."""
    return f"outbox-{contact}.lock"


def is_lock(name: str) -> bool:
    """Tell whether a file of a home is one of these locks."""
    return name in (RECEIVER_LOCK, OUTBOX_LOCK, TRANSFERS_LOCK) or re.fullmatch(r"outbox-\d+\.lock", name) is not None


def _holder(path: Path) -> str:
    """Return the process id the lock file names, or `unknown`."""
    try:
        return path.read_text().strip() or "unknown"
    except OSError:
        return "unknown"
