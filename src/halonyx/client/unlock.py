"""The key of the local store: from the OS keyring, or from a passphrase by Argon2id; never beside the store in clear.

Source: spec/conventions.md, "At rest"; RFC 9106.
"""

import json
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from halonyx.core.errors import StoreError
from halonyx.core.primitives import argon2id
from halonyx.disk import write_whole

UNLOCK_FILE: Final = "unlock.json"
KEYRING_SERVICE: Final = "halonyx"
SALT_SIZE: Final = 16
KEY_SIZE: Final = 32
NO_KEYRING: Final = (
    "no passphrase was given and this system has no keyring: set HALONYX_PASSPHRASE, or run the command on a terminal"
)


def make_key(home: Path, passphrase: str | None) -> bytes:
    """Make the store's key and remember how to get it back.

    Args:
        home: Existing folder; `unlock.json` is written into it, mode 0600.
        passphrase: None asks the OS keyring to keep a random key.

    Returns:
        32 bytes.

    Raises:
        StoreError: Neither a passphrase nor a keyring.
    """
    salt = secrets.token_bytes(SALT_SIZE)
    if passphrase is None:
        key = secrets.token_bytes(KEY_SIZE)
        _keyring_set(salt.hex(), key.hex())
        method = "keyring"
    else:
        key = _key(passphrase, salt)
        method = "passphrase"
    content = json.dumps({"version": 1, "method": method, "salt": salt.hex()}) + "\n"
    write_whole(home / UNLOCK_FILE, content.encode("ascii"))  # with its salt goes the whole history
    return key


def load_key(home: Path, passphrase: str | None) -> bytes:
    """Get the store's key back.

    Raises:
        StoreError: No account here, a passphrase is needed, or the keyring no longer has the key.
    """
    try:
        unlock = json.loads((home / UNLOCK_FILE).read_text())
        method, salt = unlock["method"], bytes.fromhex(unlock["salt"])
    except FileNotFoundError:
        raise StoreError(f"no account in {home}: make one with 'halonyx account create'") from None
    except (ValueError, KeyError, TypeError):
        raise StoreError(f"{home / UNLOCK_FILE} is damaged") from None
    if method == "keyring":
        return _keyring_get(salt.hex())
    if passphrase is None:
        raise StoreError("this account is locked with a passphrase: set HALONYX_PASSPHRASE, or type it when asked")
    return _key(passphrase, salt)


def needs_passphrase(home: Path) -> bool | None:
    """Tell whether the store of `home` opens with a passphrase; None when there is no account."""
    try:
        return bool(json.loads((home / UNLOCK_FILE).read_text())["method"] == "passphrase")
    except (OSError, ValueError, KeyError, TypeError):
        return None


def forget_key(home: Path) -> None:
    """Remove the unlock file, and the key from the keyring; a keyring that is locked keeps a key to nothing."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        unlock = json.loads((home / UNLOCK_FILE).read_text())
        if unlock["method"] == "keyring":
            _keyring_forget(unlock["salt"])
    (home / UNLOCK_FILE).unlink(missing_ok=True)


def _key(passphrase: str, salt: bytes) -> bytes:
    # A terminal may send bytes that are no UTF-8: Python carries them as lone surrogates.
    return argon2id(passphrase.encode("utf-8", "surrogatepass"), salt)


def _keyring_set(entry: str, value: str) -> None:
    # Imported here: it looks for desktop services, which takes longer than most commands.
    import keyring  # noqa: PLC0415
    import keyring.errors  # noqa: PLC0415

    if "plaintext" in type(keyring.get_keyring()).__name__.lower():
        raise StoreError("the keyring of this system keeps keys in clear: set HALONYX_PASSPHRASE instead")
    try:
        keyring.set_password(KEYRING_SERVICE, entry, value)
        # A backend that forgets at once exists, too, for people who want no keyring.
        is_kept = keyring.get_password(KEYRING_SERVICE, entry) == value
    except keyring.errors.KeyringError:
        is_kept = False
    if not is_kept:
        raise StoreError(NO_KEYRING)


def _keyring_get(entry: str) -> bytes:
    import keyring  # noqa: PLC0415
    import keyring.errors  # noqa: PLC0415

    try:
        value = keyring.get_password(KEYRING_SERVICE, entry)
    except keyring.errors.KeyringError:
        raise StoreError("the system's keyring is locked or gone: unlock it and try again") from None
    if value is None:
        raise StoreError("the system's keyring no longer has the key of this account")
    return bytes.fromhex(value)


def _keyring_forget(entry: str) -> None:
    import keyring  # noqa: PLC0415
    import keyring.errors  # noqa: PLC0415

    with suppress(keyring.errors.KeyringError):
        keyring.delete_password(KEYRING_SERVICE, entry)


def make_home(home: Path) -> None:
    """Make the folder, readable by its owner only."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if home.stat().st_mode & 0o077:
        home.chmod(0o700)
