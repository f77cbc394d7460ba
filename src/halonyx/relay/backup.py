"""Copies of a relay: the three databases of one moment in one file, and the way back.

The copy is taken while the relay runs. Files of the drop are not in it: they are large, short-lived, and their senders
still have them. The secrets go to a file of their own, because whoever holds both can test which addresses have an
account.

Source: docs/reference/relay.md, "Backup and restore"; https://sqlite.org/backup.html, https://sqlite.org/isolation.html.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import secrets as random
import shutil
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import apsw

from halonyx.core.errors import Misuse, StoreError
from halonyx.core.labels import RELAY_BACKUP
from halonyx.core.primitives import equal, hmac_sha256
from halonyx.core.types import Millis
from halonyx.disk import sync_folder, take_name
from halonyx.relay.admin_log import FILES, AdminEvent, note
from halonyx.relay.decide import Limits
from halonyx.relay.folder import RESTORING, hold
from halonyx.relay.secrets import DATABASES, MODE, Secrets, read, write
from halonyx.relay.settings import RelaySettings
from halonyx.relay.store import identity, keys, mailbox
from halonyx.relay.store.database import Database
from halonyx.relay.store.file import BUSY_TIMEOUT_MS, Schema, check
from halonyx.relay.store.invites import InviteStore
from halonyx.relay.store.keys import KeyStore
from halonyx.relay.store.mailbox import MailboxStore

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
MAX_MANIFEST: Final = 4096
STEP_PAGES: Final = 1024
PART: Final = 1024 * 1024
SCHEMAS: Final[dict[str, Schema]] = {"identity.db": identity.SCHEMA, "app.db": mailbox.SCHEMA, "keys.db": keys.SCHEMA}
_LEFTOVERS: Final = ("lock", "reserve", RESTORING, *FILES)  # the admin log goes on


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did.

    Attributes:
        taken: When the backup was made, milliseconds since 1970.
        replaced: Where the former files lie now; None if there were none.
    """

    taken: int
    replaced: Path | None


def secrets_of(file: Path) -> Path:
    """Return where the secrets of a backup lie."""
    return file.with_name(file.name + ".secrets")


def back_up(settings: RelaySettings, file: Path) -> None:
    """Write the databases as they are at one moment to `file`, and the secrets beside it; the relay may run.

    Args:
        settings: Those of the relay.
        file: Must not exist, nor the file of its secrets.

    Raises:
        Misuse: A file is there already, or there is no relay in the data folder.
        StoreError: A database is damaged, or something can't be read or written.
    """
    beside = secrets_of(file)
    for there in (file, beside):
        if there.exists():
            raise Misuse(f"{there} is there already: choose another name, a backup is never written over")
    missing = [name for name in DATABASES if not (settings.data / name).is_file()]
    if missing:
        raise Misuse(f"there is no relay in {settings.data}: {missing[0]} is missing. Name its folder with --data")
    kept = read(settings.secrets_path)
    folder = file.with_name(f".{file.name}.{random.token_hex(8)}")
    try:
        folder.mkdir(mode=0o700)
        try:
            _copy_all(settings.data, folder)
            (folder / MANIFEST).write_bytes(_manifest(kept, folder))
            _pack(folder, file)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise StoreError(f"{file} can't be written: {error.strerror or type(error).__name__}") from None
    write(beside, kept)
    note(settings.data, AdminEvent.BACKED_UP)


def restore(settings: RelaySettings, file: Path, *, replace: bool = False) -> Restored:
    """Put a backup back and make good what an older copy would break: no relay may run on the folder.

    Every mailbox gets a new epoch; one-time prekeys and bundles kept for repetition are dropped (they may have been
    handed out since), invites too (they may have been used). Complete or not at all: a restore that is interrupted
    leaves a mark, with which no relay starts.

    Args:
        settings: Those of the relay.
        file: From `back_up`.
        replace: Whether files that are there may be moved aside.

    Raises:
        Misuse: The data folder is not empty, its relay runs, or the secrets are missing.
        StoreError: The file is damaged or belongs to other secrets, or something can't be read or written.
    """
    kept = _secrets_for(settings, file)
    with hold(settings.data):
        data = settings.data
        there = sorted(entry.name for entry in data.iterdir() if entry.name not in _LEFTOVERS)
        if there and not replace:
            raise Misuse(f"{data} is not empty: --replace moves what is there aside")
        staged = data / RESTORING
        try:
            shutil.rmtree(staged, ignore_errors=True)
            staged.mkdir(mode=0o700)
            taken = _unpack(file, staged, kept)
            asyncio.run(_make_good(settings, kept, staged))
            if not settings.secrets_path.exists():
                write(settings.secrets_path, kept)
            replaced = _exchange(data, staged, there)
        except OSError as error:
            raise StoreError(f"{data} can't be restored: {error.strerror or type(error).__name__}") from None
        note(data, AdminEvent.RESTORED)
    return Restored(taken, replaced)


def _secrets_for(settings: RelaySettings, file: Path) -> Secrets:
    """Return the secrets of a backup: the file beside it, or the relay's own; where there are both, they must agree."""
    beside, own = secrets_of(file), settings.secrets_path
    found = [read(path) for path in (beside, own) if path.exists()]
    if not found:
        raise Misuse(
            f"the secrets file of this backup is missing: put it to {beside} or {own}, it is of no use without"
        )
    if found[0].to_json() != found[-1].to_json():
        raise Misuse(
            f"{own} belongs to another relay than {beside}: name another file with --secrets, or move one away"
        )
    return found[0]


# Copying


def _copy_all(data: Path, folder: Path) -> None:
    try:
        with contextlib.ExitStack() as opened:
            for name, source in _one_moment(data, opened):
                target = folder / name
                os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE))
                _copy(source, target)
                check(target)
    except apsw.Error as error:
        raise StoreError(f"the databases in {data} can't be copied: {type(error).__name__}") from None


def _one_moment(data: Path, opened: contextlib.ExitStack) -> list[tuple[str, apsw.Connection]]:
    """Return a connection to each database that sees it as it was at one moment, the same for all.

    All are locked against writing, always in this order and for the milliseconds it takes to look at each once; the
    relay's writers wait for so long. The views then stay while the relay goes on writing.
    """
    found = []
    with contextlib.ExitStack() as locked:
        for name in DATABASES:
            locked.enter_context(_locked(data / name))
        for name in DATABASES:
            source = apsw.Connection(str(data / name), flags=apsw.SQLITE_OPEN_READWRITE)
            opened.callback(source.close)
            source.set_busy_timeout(BUSY_TIMEOUT_MS)
            source.execute("begin")
            source.execute("select count(*) from sqlite_schema").fetchall()  # only a read makes the view
            found.append((name, source))
    return found


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        connection.execute("begin immediate")
        yield
        connection.execute("rollback")
    finally:
        connection.close()


def _copy(source: apsw.Connection, path: Path) -> None:
    target = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        with target.backup("main", source, "main") as copying:
            while not copying.done:
                copying.step(STEP_PAGES)
        target.execute("pragma journal_mode=delete").fetchall()  # one file, without a log beside it
    finally:
        target.close()


def _manifest(kept: Secrets, folder: Path) -> bytes:
    """Say when the copy was taken and what the files are, under a key of the secrets: it fits them or nothing else."""
    values = {
        "format": FORMAT,
        "taken": time.time_ns() // 1_000_000,
        "files": {name: _digest(folder / name) for name in DATABASES},
    }
    return json.dumps({**values, "tag": _tag(kept, values)}, sort_keys=True).encode("ascii")


def _tag(kept: Secrets, values: dict[str, Any]) -> str:
    content = json.dumps(values, sort_keys=True).encode("ascii")
    return hmac_sha256(kept.work_key, RELAY_BACKUP + b"\x00" + content).hex()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pack(folder: Path, file: Path) -> None:
    temporary = folder / "backup"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
    with os.fdopen(descriptor, "wb") as raw:
        with tarfile.open(fileobj=raw, mode="w") as archive:
            for name in (MANIFEST, *DATABASES):
                member = tarfile.TarInfo(name)
                member.size, member.mode = (folder / name).stat().st_size, MODE
                with (folder / name).open("rb") as content:
                    archive.addfile(member, content)
        raw.flush()
        os.fsync(raw.fileno())
    take_name(temporary, file)
    sync_folder(file.parent)


# Restoring


def _unpack(file: Path, folder: Path, kept: Secrets) -> int:
    """Write the databases of a backup into `folder` and return when it was taken."""
    try:
        with tarfile.open(file, mode="r:") as archive:
            for name in (MANIFEST, *DATABASES):
                _take(archive, name, folder / name)
        values = json.loads((folder / MANIFEST).read_bytes())
        tag, taken = values.pop("tag"), int(values["taken"])
        if values["format"] != FORMAT:
            raise StoreError(f"{file} was written by a newer program: update this one")
        if not equal(_tag(kept, values).encode(), tag.encode()):
            raise StoreError(f"{file} belongs to another secrets file, or was changed")
        if values["files"] != {name: _digest(folder / name) for name in DATABASES}:
            raise StoreError(f"{file} is damaged")
    except (tarfile.TarError, EOFError, KeyError, ValueError, TypeError, AttributeError):
        raise StoreError(f"{file} is no backup of a relay, or it is damaged") from None
    (folder / MANIFEST).unlink()
    return taken


def _take(archive: tarfile.TarFile, name: str, path: Path) -> None:
    member = archive.next()
    content = None if member is None else archive.extractfile(member)
    if member is None or content is None or member.name != name:
        raise ValueError(name)
    if name == MANIFEST and member.size > MAX_MANIFEST:
        raise ValueError(name)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE), "wb") as target:
        shutil.copyfileobj(content, target, PART)
        target.flush()
        os.fsync(target.fileno())


async def _make_good(settings: RelaySettings, kept: Secrets, folder: Path) -> None:
    with contextlib.ExitStack() as opened:

        def database(name: str) -> Database:
            found = Database(folder / name, SCHEMAS[name])
            opened.callback(found.close)
            return found

        await MailboxStore(database("app.db"), kept.app_pepper, Limits.of(settings)).renew_epochs()
        prekeys = KeyStore(
            database("keys.db"), kept.keys_pepper, one_time_cap=settings.one_time_prekeys, cache=Millis(0)
        )
        await prekeys.forget_one_time()
        await InviteStore(database("identity.db"), kept.identity_pepper).forget_all()


def _exchange(data: Path, staged: Path, there: list[str]) -> Path | None:
    """Move what is there aside and the restored files in; `staged` goes last, and with it the mark."""
    replaced = None
    moving = [name for name in there if not name.startswith("replaced-")]
    if moving:
        replaced = data / f"replaced-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
        replaced.mkdir(mode=0o700)
        for name in moving:
            (data / name).rename(replaced / name)
    for name in DATABASES:
        (staged / name).rename(data / name)
    sync_folder(data)
    staged.rmdir()
    sync_folder(data)
    return replaced
