"""The relay's secrets: peppers of the three databases and its own keys, in one file outside the data folder.

A thief of the data folder alone can't join the databases by pseudonyms, nor recompute one.
Source: docs/reference/relay.md, "Secrets file".
"""

import base64
import json
import os
import secrets as random
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from halonyx.core.errors import Malformed, StoreError
from halonyx.core.labels import RELAY_PSEUDONYM
from halonyx.core.primitives import SigningKey, hmac_sha256
from halonyx.core.types import KEY_SIZE, Address
from halonyx.disk import sync_folder, take_name

FORMAT: Final = 1
MODE: Final = 0o600
DATABASES: Final = ("identity.db", "app.db", "keys.db")
_FIELDS: Final = ("app_pepper", "identity_pepper", "keys_pepper", "relay_key", "operator_key", "work_key")


@dataclass(frozen=True, slots=True)
class Secrets:
    """Everything whose loss or theft matters.

    Attributes:
        app_pepper: 32 bytes; keys the pseudonyms in app.db.
        identity_pepper: 32 bytes; the same for identity.db.
        keys_pepper: 32 bytes; the same for keys.db.
        relay_key: Signs challenges; clients pin its public key at sign-up.
        operator_key: Signs announcements of the operator.
        work_key: 32 bytes; authenticates the seeds of sign-up work.
    """

    app_pepper: bytes = field(repr=False)
    identity_pepper: bytes = field(repr=False)
    keys_pepper: bytes = field(repr=False)
    relay_key: SigningKey = field(repr=False)
    operator_key: SigningKey = field(repr=False)
    work_key: bytes = field(repr=False)

    @classmethod
    def generate(cls) -> Self:
        """Make fresh secrets from the system's generator."""
        return cls(
            app_pepper=random.token_bytes(KEY_SIZE),
            identity_pepper=random.token_bytes(KEY_SIZE),
            keys_pepper=random.token_bytes(KEY_SIZE),
            relay_key=SigningKey.generate(),
            operator_key=SigningKey.generate(),
            work_key=random.token_bytes(KEY_SIZE),
        )

    def to_json(self) -> bytes:
        """Return the content of the secrets file."""
        values = {
            "app_pepper": self.app_pepper,
            "identity_pepper": self.identity_pepper,
            "keys_pepper": self.keys_pepper,
            "relay_key": self.relay_key.seed(),
            "operator_key": self.operator_key.seed(),
            "work_key": self.work_key,
        }
        encoded = {name: base64.b64encode(value).decode("ascii") for name, value in values.items()}
        return json.dumps({"format": FORMAT, **encoded}, indent=2).encode("utf-8") + b"\n"

    @classmethod
    def from_json(cls, content: bytes) -> Self:
        """Read the content of a secrets file.

        Raises:
            StoreError: Not a secrets file of this format, whole and unchanged in shape.
        """
        try:
            document = json.loads(content)
            if document.pop("format") != FORMAT or set(document) != set(_FIELDS):
                raise StoreError("the secrets file has another format")
            values = {name: base64.b64decode(document[name], validate=True) for name in _FIELDS}
            if any(len(value) != KEY_SIZE for value in values.values()):
                raise StoreError("the secrets file holds a value of the wrong size")
            return cls(
                app_pepper=values["app_pepper"],
                identity_pepper=values["identity_pepper"],
                keys_pepper=values["keys_pepper"],
                relay_key=SigningKey.from_seed(values["relay_key"]),
                operator_key=SigningKey.from_seed(values["operator_key"]),
                work_key=values["work_key"],
            )
        except (ValueError, TypeError, KeyError, AttributeError, Malformed):
            raise StoreError("the secrets file is damaged: put its copy back") from None


def pseudonym(pepper: bytes, address: Address) -> bytes:
    """Return the row key of an account in one database, 32 bytes.

    Args:
        pepper: That database's pepper, 32 bytes.
        address: 32 bytes.
    """
    return hmac_sha256(pepper, RELAY_PSEUDONYM + b"\x00" + address)


def read(path: Path) -> Secrets:
    """Return the secrets in `path`.

    Raises:
        StoreError: The file is missing, damaged, or readable by others.
    """
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise StoreError(f"secrets file {path} may be read by others: chmod 600 it")
            return Secrets.from_json(file.read())
    except OSError as error:
        raise StoreError(f"secrets file {path} can't be read: {error.strerror} (--secrets names another)") from None


def load_or_create(path: Path, data: Path) -> Secrets:
    """Return the secrets in `path`; on the first start make them.

    Args:
        path: The secrets file.
        data: The data folder, which must not hold databases that other secrets belong to.

    Raises:
        StoreError: The file is damaged or readable by others, or is missing while databases exist: with new
            peppers every account in them would be lost without a word.
    """
    if path.exists():
        return read(path)
    if any((data / name).exists() for name in DATABASES):
        raise StoreError(f"{data} holds databases but their secrets file {path} is missing: restore it first")
    made = Secrets.generate()
    write(path, made)
    return made


def write(path: Path, made: Secrets) -> None:
    """Write a secrets file of mode 0600: whole or not at all, and never over another one.

    Raises:
        StoreError: The file exists, or the folder can't be written.
    """
    temporary = path.with_name(f".{path.name}.{random.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(made.to_json())
            file.flush()
            os.fsync(file.fileno())
        try:
            take_name(temporary, path)  # fails when another process was first: its secrets must win
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise StoreError(f"secrets file {path} can't be written: {error.strerror}") from None
