"""Making the ciphertext of what is offered: files are read once, encrypted and hashed on the way, in constant memory.

Source: spec/files.md, "Container", "Encryption" and "Torrent".
"""

import hashlib
import mimetypes
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from halonyx.client.thumbnail import thumbnail_of
from halonyx.client.torrent import NAME, PIECE_SIZE, info_of
from halonyx.core.chunked import CHUNK_SIZE, SALT_SIZE, Encryptor, ciphertext_size
from halonyx.core.container import MAX_FILES, FileEntry, Manifest, padding
from halonyx.core.errors import Malformed, Misuse
from halonyx.core.file_names import check_component
from halonyx.core.file_offer import FileOffer
from halonyx.core.types import KEY_SIZE, FileKey

BLOCK_SIZE: Final = 64 * CHUNK_SIZE
INFO: Final = "info"  # file of the torrent's info dictionary, beside the ciphertext
SEVERAL: Final = "files"  # name of the folder that several files arrive in


class SourceChanged(Misuse):
    """A file was altered or removed while it was being read."""

    code = "source-changed"


class Stopped(Exception):
    """The work in a thread was told to end."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What is offered: a name, and where each file of the manifest is read from."""

    name: str
    is_folder: bool
    manifest: Manifest
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Watch:
    """What work in a thread asks and tells.

    Attributes:
        is_stopped: Whether to end.
        tell: Called with the bytes done so far.
    """

    is_stopped: Callable[[], bool]
    tell: Callable[[int], None]

    def step(self, done: int) -> None:
        """Tell how far the work is.

        Raises:
            Stopped: It is not wanted any more.
        """
        if self.is_stopped():
            raise Stopped
        self.tell(done)


def scan(paths: Sequence[Path]) -> Sources:
    """Look at what is to be offered: one file as it is, a folder or several paths as a folder.

    Links inside a folder are not followed: they may lead to what nobody meant to send. Empty folders are left out.

    Raises:
        Misuse: Nothing there, not readable, neither file nor folder, no file in it, too many, or names that can't be
            carried.
    """
    if not paths:
        raise Misuse("name a file or folder to send")
    single = len(paths) == 1
    found = [entry for path in paths for entry in _files(path, is_alone=single)]
    if not found:
        raise Misuse(f"there is no file in {paths[0]}")
    if len(found) > MAX_FILES:
        raise Misuse(f"one offer has at most {MAX_FILES} files: pack them into an archive first")
    try:
        name = check_component((paths[0].absolute().name if single else "") or SEVERAL)
        manifest = Manifest(tuple(FileEntry(name, size) for name, _, size in found))
    except Malformed as error:
        raise Misuse(f"these names can't be sent: {error}") from None
    is_folder = not single or paths[0].is_dir()
    return Sources(name, is_folder, manifest, tuple(path for _, path, _ in found))


def prepare(sources: Sources, folder: Path, origin: str, thumbnail: bytes, watch: Watch) -> FileOffer:
    """Encrypt what is offered under a fresh key into `folder`, and describe it.

    Args:
        folder: Ours alone; what a former try left there is overwritten.
        origin: The relay whose tracker and drop are used.
        thumbnail: The caller's; if it is empty, one is made of a single picture.

    Raises:
        SourceChanged: A file is not what it was when it was looked at.
        Stopped: It is not wanted any more.
        OSError: The disk is full, or a file can't be read.
    """
    key, manifest = FileKey(secrets.token_bytes(KEY_SIZE)), sources.manifest
    encryptor = Encryptor(key, secrets.token_bytes(SALT_SIZE))
    with _Ciphertext(folder / NAME) as out:
        out.write(encryptor.header)
        for block in _container(sources):
            out.write(encryptor.update(block))
            watch.step(out.size)
        out.write(encryptor.finish())
        out.sync()
    if out.size != ciphertext_size(manifest.padded_size):
        raise SourceChanged("a file changed while it was read: send it again")
    info = info_of(out.size, out.piece_hashes())
    write_private(folder / INFO, info)
    return FileOffer(
        is_folder=sources.is_folder,
        in_drop=False,
        key=key,
        size=manifest.content_size,
        count=len(manifest.entries),
        ciphertext_size=out.size,
        ciphertext_hash=out.hash.digest(),
        info_hash=hashlib.sha1(info, usedforsecurity=False).digest(),
        origin=origin,
        name=sources.name,
        media_type="" if sources.is_folder else media_type(sources.name),
        thumbnail=thumbnail or (b"" if sources.is_folder else thumbnail_of(sources.files[0])),
    )


def media_type(name: str) -> str:
    """Return what a name's end says about the content, or nothing."""
    found = mimetypes.guess_type(name)[0] or ""
    return found if found == found.lower() else ""


def write_private(path: Path, data: bytes) -> None:
    """Write a small file that only its owner can read, and sync it."""
    with open(path, "wb", opener=open_private) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


class _Ciphertext:
    """The file that is shared, with its hashes; changes as it is written."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "wb", opener=open_private)  # noqa: SIM115 (closed by __exit__)
        self._pieces: list[bytes] = []
        self._piece = hashlib.sha1(usedforsecurity=False)
        self._room = PIECE_SIZE
        self.hash = hashlib.sha256()
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: bytes) -> None:
        """Append, and take into the hashes."""
        self._file.write(data)
        self.hash.update(data)
        self.size += len(data)
        view = memoryview(data)
        while view:
            part, view = view[: self._room], view[self._room :]
            self._piece.update(part)
            self._room -= len(part)
            if not self._room:
                self._end_piece()

    def sync(self) -> None:
        """Write what is buffered to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def piece_hashes(self) -> bytes:
        """Return the SHA-1 of each piece; nothing may be written after it."""
        if self._room < PIECE_SIZE:
            self._end_piece()
        return b"".join(self._pieces)

    def _end_piece(self) -> None:
        self._pieces.append(self._piece.digest())
        self._piece = hashlib.sha1(usedforsecurity=False)
        self._room = PIECE_SIZE


def _container(sources: Sources) -> Iterator[bytes]:
    yield sources.manifest.encode()
    for entry, path in zip(sources.manifest.entries, sources.files, strict=True):
        yield from _content(path, entry.size)
    yield from padding(sources.manifest)


def _content(path: Path, size: int) -> Iterator[bytes]:
    """Read exactly as many bytes as were promised."""
    try:
        with path.open("rb") as file:
            left = size
            while left:
                block = file.read(min(BLOCK_SIZE, left))
                if not block:
                    raise SourceChanged(f"{path.name} became shorter while it was read: send it again")
                left -= len(block)
                yield block
            if file.read(1):
                raise SourceChanged(f"{path.name} grew while it was read: send it again")
    except FileNotFoundError:
        raise SourceChanged(f"{path.name} is gone: it can't be sent") from None


def _files(path: Path, *, is_alone: bool) -> Iterator[tuple[str, Path, int]]:
    """Yield name in the manifest, place and size of each file."""
    try:
        if path.is_dir():
            top = "" if is_alone else path.absolute().name + "/"
            for found in sorted(path.rglob("*")):
                if stat.S_ISREG(found.lstat().st_mode):
                    yield top + found.relative_to(path).as_posix(), found, found.stat().st_size
        elif path.is_file():
            yield path.absolute().name, path, path.stat().st_size
        else:
            raise Misuse(f"there is no file or folder {path}")
    except OSError as error:
        raise Misuse(f"can't read {error.filename or path}: {error.strerror}") from None


def open_private(path: str, flags: int) -> int:
    """Open a file that only its owner can read, and follow no link: the `opener` of our own files."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
