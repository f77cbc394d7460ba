"""A file that is given up when the disk is full, so that acknowledgements and deletions still run.

Deleting needs room in the write-ahead log first; without a reserve a full disk could never empty itself.
Source: spec/delivery.md, "Disk full".
"""

import contextlib
import os
import shutil
from pathlib import Path
from typing import Final

FULL: Final = 0.95


class Reserve:
    """Room put aside in the data folder.

    Args:
        path: The file.
        size_bytes: Its size; 0 for none.
    """

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path = path
        self._size_bytes = size_bytes

    def release(self) -> None:
        """Give the room up. May be called from any thread, any number of times."""
        self._path.unlink(missing_ok=True)

    def restore(self) -> bool:
        """Put the room aside again if the disk has enough of it; return whether it is there."""
        if self._size_bytes == 0 or self._path.exists():
            return True
        usage = shutil.disk_usage(self._path.parent)
        if (usage.used + self._size_bytes) >= usage.total * FULL:
            return False
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with contextlib.suppress(OSError):
                os.posix_fallocate(descriptor, 0, self._size_bytes)
                return True
            self.release()
            return False
        finally:
            os.close(descriptor)

    def review(self) -> None:
        """Release at 95 % of the disk, restore below."""
        usage = shutil.disk_usage(self._path.parent)
        if usage.used >= usage.total * FULL:
            self.release()
        else:
            self.restore()
