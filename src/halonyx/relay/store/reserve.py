"""A file that is given up on a full disk, so that acknowledgements and deletions still run.

Deleting needs room in the write-ahead log first; without a reserve a full disk could never empty itself. It is given
up only when a deletion needs it: everything else waits until there is room again.

Source: spec/delivery.md, "Disk full".
"""

import os
import shutil
import threading
from pathlib import Path
from typing import Final

LEAST_ROOM: Final = 1024 * 1024


class Reserve:
    """Room put aside in the data folder, and whether the disk is short of room. Used from any thread.

    Args:
        path: The file.
        size_bytes: Its size; 0 for none.
    """

    def __init__(self, path: Path, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._path = path
        self._is_short = False
        self._lock = threading.Lock()

    @property
    def is_short(self) -> bool:
        """Whether a write has failed for lack of room, and room has not been found since."""
        return self._is_short

    def run_short(self) -> bool:
        """Note that a write failed for lack of room; True if that is news."""
        with self._lock:
            is_news, self._is_short = not self._is_short, True
        return is_news

    def release(self) -> None:
        """Give the room up, any number of times.

        Raises:
            OSError: The file can't be removed.
        """
        with self._lock:
            self._path.unlink(missing_ok=True)

    def restore(self) -> bool:
        """Put the room aside again, if as much again stays free to write in; only then the shortage is over.

        With less, the shortage would be back with the next group of envelopes.
        """
        with self._lock:
            try:
                is_there = self.size_bytes == 0 or self._path.exists()
                needed = max(self.size_bytes, LEAST_ROOM) + (0 if is_there else self.size_bytes)
                if shutil.disk_usage(self._path.parent).free < needed:
                    return False
                if not is_there:
                    self._allocate()
            except OSError:
                return False
            self._is_short = False
            return True

    def _allocate(self) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self.size_bytes)
        except OSError:
            self._path.unlink()
            raise
        finally:
            os.close(descriptor)
