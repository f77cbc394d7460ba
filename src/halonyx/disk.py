"""Files and folders on disk for certain, for relay and client alike.

Beside the layers: neither of the two may import the other, and core and wire touch no file.
"""

import os
import secrets
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Make or replace a file in one step: after a crash it is the former or this one, and on disk when this returns.

    Args:
        path: Gets mode 0600.
        content: All of it.

    Raises:
        OSError: It can't be written; the former stays.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def take_name(temporary: Path, target: Path) -> None:
    """Give a file its name, which nothing may have: unlike a rename, this never replaces.

    Not every file system has links (vfat and exFAT have none). Without them there is an empty file for a moment.

    Raises:
        FileExistsError: The name is taken.
        OSError: The folder can't be written to.
    """
    try:
        os.link(temporary, target, follow_symlinks=False)
    except OSError:  # if it is because the name is taken, the next line says so again
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        temporary.replace(target)  # over the empty file that was made in this moment
    else:
        temporary.unlink()


def sync_folder(folder: Path) -> None:
    """Bring on disk which files are in a folder.

    Raises:
        OSError: It can't be.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
