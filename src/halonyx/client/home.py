"""The folder of an account: before there is one, and when it goes.

Source: spec/conventions.md, "At rest".
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from halonyx.client import unlock
from halonyx.client.locks import is_lock, try_lock
from halonyx.client.store import STORE_FILE, Store
from halonyx.core.errors import StoreError

NEW_LOCK: Final = "account.lock"
TRANSFERS: Final = "transfers"  # folder in the home
_COUNT: Final = "SELECT count(*) FROM account WHERE is_registered = 1"


@contextmanager
def new_store(home: Path, passphrase: str | None) -> Iterator[Store]:
    """Make a folder and an empty store in it; leave no trace of the store if no account comes of it.

    What an earlier sign-up left that was cut off before the relay answered is removed: its code was never shown.

    Raises:
        StoreError: There is an account, another process makes one, or there is neither passphrase nor keyring.
    """
    unlock.make_home(home)
    path = home / STORE_FILE
    with try_lock(home / NEW_LOCK) as held:
        if not held:
            raise StoreError(f"another process makes an account in {home}")
        if _has_account(home, path, passphrase):
            raise StoreError(f"{home} has an account already: choose another folder with --home")
        _remove(home, path)
        store = Store(path, unlock.make_key(home, passphrase))
        try:
            yield store
        finally:
            is_registered = bool(store.value(_COUNT))
            store.close()
            if not is_registered:
                _remove(home, path)


def erase_home(home: Path) -> None:
    """Delete what an account keeps in its folder and its key in the keyring; the folder, too, if that was all.

    Store and key go last: what fails before can be tried again.

    Raises:
        OSError: Something can't be deleted.
    """
    if (home / TRANSFERS).exists():
        shutil.rmtree(home / TRANSFERS)
    _remove(home, home / STORE_FILE)
    for path in home.iterdir():
        if path.name == NEW_LOCK or is_lock(path.name):
            path.unlink()
    with suppress(OSError):  # a folder of the person's, in which other things lie
        home.rmdir()


def _has_account(home: Path, path: Path, passphrase: str | None) -> bool:
    if not path.exists() or not path.stat().st_size:
        return False
    if unlock.needs_passphrase(home) is None:
        return True  # locked with a key that is lost: not ours to delete
    store = Store(path, unlock.load_key(home, passphrase))
    try:
        return bool(store.value(_COUNT))
    finally:
        store.close()


def _remove(home: Path, path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    unlock.forget_key(home)
