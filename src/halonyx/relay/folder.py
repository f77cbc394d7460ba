"""The data folder, held by one process at a time.

Source: docs/reference/relay.md, "Backup and restore".
"""

import contextlib
import fcntl
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from halonyx.core.errors import Misuse, StoreError
from halonyx.relay.secrets import DATABASES

FOLDER_MODE: Final = 0o700
LOCK: Final = "lock"
RESTORING: Final = "restoring"
"""Folder in which a restore prepares its files; while it is there, the databases beside it are of no moment."""


def refuse_root(data: Path) -> None:
    """Refuse root in a folder of somebody else, who may have put a link there: root would write wherever it leads.

    Raises:
        Misuse: It is root's process, and somebody else's folder.
    """
    if os.geteuid() != 0 or not data.exists():
        return
    links = [path.lstat().st_uid for path in (data, *data.parents) if path.is_symlink()]
    owner = next((uid for uid in (*links, data.stat().st_uid) if uid), 0)
    if owner:
        try:
            name = pwd.getpwuid(owner).pw_name
        except KeyError:
            name = str(owner)
        raise Misuse(f"{data} belongs to {name}, who could make root write anywhere: runuser -u {name} -- halonyx …")


def require_relay(data: Path) -> None:
    """Refuse a folder in which there is no relay.

    Raises:
        Misuse: A database is missing.
    """
    if not all((data / name).is_file() for name in DATABASES):
        raise Misuse(f"there is no relay in {data}: name its folder with --data, or start it once")


@contextlib.contextmanager
def hold(data: Path) -> Iterator[None]:
    """Make the data folder if needed and hold it: two writers would each believe their own memory.

    Raises:
        Misuse: Another process holds it.
        StoreError: It can't be made or used.
    """
    try:
        data.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        descriptor = os.open(data / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"data folder {data} can't be used: {error.strerror}. Name another with --data") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Misuse(f"another relay is using the data folder {data}: stop it, or name another with --data") from None
    else:
        yield
    finally:
        os.close(descriptor)


def check_whole(data: Path) -> None:
    """Refuse a folder in which a restore was interrupted: half of it may be from another time than the rest.

    Raises:
        StoreError: It was.
    """
    if (data / RESTORING).exists():
        raise StoreError(f"a restore into {data} was interrupted: run it again with --replace")
