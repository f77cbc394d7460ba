"""From a ciphertext that is all here to a person's files: checked whole, decrypted beside the target, renamed.

Nothing is decrypted before the hash of all of it is right, nothing appears under its name before all of it is on disk,
and nothing that is there already is touched.

Source: spec/files.md, "Saved names" and "Receiving".
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from halonyx.client.preparing import BLOCK_SIZE, Watch
from halonyx.core.chunked import HEADER_SIZE, SEALED_CHUNK_SIZE, Decryptor
from halonyx.core.container import Manifest, Unpacker
from halonyx.core.errors import Misuse, RemoteError
from halonyx.core.file_names import safe_name, safe_paths
from halonyx.core.file_offer import FileOffer
from halonyx.core.types import MessageId
from halonyx.disk import sync_folder, take_name

SPARE_BYTES: Final = 16 * 1024 * 1024  # left free on any disk: a full one hurts more than our file
READ_SIZE: Final = BLOCK_SIZE // SEALED_CHUNK_SIZE * SEALED_CHUNK_SIZE
MAX_TRIES: Final = 10_000  # names "name (2)", "name (3)" and so on


class WrongHash(RemoteError):
    """What came is not what was offered."""

    code = "wrong-hash"


class Damaged(RemoteError):
    """It is what was offered, and it does not open: the sender's program is broken, or lies."""

    code = "damaged"


class DiskFull(Misuse):
    """There is no room."""

    code = "disk-full"


def check_room(folder: Path, size: int) -> None:
    """Make sure that so many bytes find room beside a little spare.

    Raises:
        DiskFull: They don't.
        Misuse: There is no such folder.
    """
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise Misuse(f"can't save in {folder}: {error.strerror}") from None
    if free < size + SPARE_BYTES:
        raise DiskFull(f"no room in {folder}: {size + SPARE_BYTES} bytes are needed and {free} free")


def room_needed(ciphertext: Path, folder: Path, offer: FileOffer) -> list[tuple[Path, int]]:
    """Return where how many bytes are needed: for what is still to come, and for the files that it becomes."""
    held = 0
    with suppress(OSError):
        held = ciphertext.stat().st_blocks * 512  # a file with holes is smaller than it looks
    missing = max(0, offer.ciphertext_size - held)
    if ciphertext.parent.stat().st_dev == folder.stat().st_dev:
        return [(folder, missing + offer.size)]
    return [(ciphertext.parent, missing), (folder, offer.size)]


def verify(ciphertext: Path, offer: FileOffer, watch: Watch) -> None:
    """Compare the whole ciphertext with the hash in the offer.

    Raises:
        WrongHash: It is another one.
        Stopped: It is not wanted any more.
    """
    digest, done = hashlib.sha256(), 0
    with ciphertext.open("rb") as file:
        while block := file.read(BLOCK_SIZE):
            digest.update(block)
            done += len(block)
            watch.step(done)
    if done != offer.ciphertext_size or digest.digest() != offer.ciphertext_hash:
        raise WrongHash("what came is not what was offered")


def decrypt(ciphertext: Path, offer: FileOffer, temporary: Path, watch: Watch) -> None:
    """Write what a verified ciphertext holds to a temporary file or folder, and sync it.

    Args:
        temporary: What a former try left there is removed.

    Raises:
        Damaged: It does not open, or holds something else than was offered.
        Stopped: It is not wanted any more.
        OSError: The disk is full, or the folder can't be written to.
    """
    remove(temporary)
    target = _Target(temporary, is_folder=offer.is_folder)

    def check(manifest: Manifest) -> None:
        offer.check_manifest(manifest)
        target.begin(manifest)

    unpacker, done = Unpacker(offer.container_size, check), 0
    try:
        with ciphertext.open("rb") as file:
            decryptor = Decryptor(offer.key, file.read(HEADER_SIZE))
            while block := file.read(READ_SIZE):
                for index, content in unpacker.update(decryptor.update(block)):
                    target.write(index, content)
                done += len(block)
                watch.step(done)
            for index, content in unpacker.update(decryptor.finish()):
                target.write(index, content)
        unpacker.finish()
        target.end()
    except RemoteError as error:
        raise Damaged(f"what was offered does not open: {error.code}") from None
    finally:
        target.close()


def temporary_for(folder: Path, message_id: MessageId) -> Path:
    """Return where a transfer is decrypted: beside the target, under a name that nobody else chooses."""
    return folder / f".halonyx-{message_id.hex()}.part"


def put(temporary: Path, folder: Path, name: str, note: Callable[[Path], None]) -> Path:
    """Give what is decrypted its name, or the next that is free, without touching anything that is there.

    Args:
        note: Called with the name before it is taken, so that a process that dies in between leaves no second copy.

    Returns:
        The name it has now.

    Raises:
        OSError: The folder can't be written to.
    """
    is_folder = temporary.is_dir()
    for number in range(1, MAX_TRIES):
        target = folder / _numbered(safe_name(name), number, is_folder=is_folder)
        note(target)
        try:
            if is_folder:
                target.mkdir(mode=0o700)  # fails if anything is there; renaming replaces an empty folder
                temporary.rename(target)
            else:
                take_name(temporary, target)
        except FileExistsError:
            continue
        sync_folder(folder)
        return target
    raise OSError(errno.EEXIST, "every name like it is taken", name)


def was_put(temporary: Path, target: Path | None) -> bool:
    """Tell whether a process that died had given the file its name, and end what it began."""
    if target is None or not os.path.lexists(target):
        return False
    if not os.path.lexists(temporary):
        return True
    if temporary.is_file() and not target.is_symlink() and target.samefile(temporary):
        temporary.unlink()
        return True
    return False


def remove(path: Path) -> None:
    """Remove a file, a link or a whole folder of ours, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class _Target:
    """A temporary file, or a folder of files; changes as it is written."""

    def __init__(self, temporary: Path, *, is_folder: bool) -> None:
        self._temporary, self._is_folder = temporary, is_folder
        self._paths: list[Path] = []
        self._at = -1
        self._file: BinaryIO | None = None

    def begin(self, manifest: Manifest) -> None:
        """Make the place for every file of the manifest."""
        if self._is_folder:
            self._temporary.mkdir(mode=0o700)
            names = safe_paths(entry.path for entry in manifest.entries)
            self._paths = [self._temporary / PurePosixPath(name) for name in names]
        else:
            self._paths = [self._temporary]

    def write(self, index: int, content: bytes) -> None:
        """Append to one file; they come one after another."""
        while self._at < index:
            self._next()
        if self._file is not None:
            self._file.write(content)

    def end(self) -> None:
        """Make what is left, which is empty, and sync everything."""
        while self._at < len(self._paths) - 1:
            self._next()
        self.close()
        for folder in {path.parent for path in self._paths} if self._is_folder else ():
            sync_folder(folder)

    def close(self) -> None:
        """Close and sync the file that is open."""
        if self._file is not None:
            file, self._file = self._file, None
            with file:
                file.flush()
                os.fsync(file.fileno())

    def _next(self) -> None:
        self.close()
        self._at += 1
        path = self._paths[self._at]
        if self._is_folder:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._file = open(descriptor, "wb")  # noqa: PTH123, SIM115 (a descriptor; closed by `close`)


def _numbered(name: str, number: int, *, is_folder: bool) -> str:
    if number == 1:
        return name
    mark = f" ({number})"
    stem, suffix = (name, "") if is_folder else (PurePosixPath(name).stem, PurePosixPath(name).suffix)
    room = 255 - len((mark + suffix).encode())
    return stem.encode()[:room].decode(errors="ignore") + mark + suffix
