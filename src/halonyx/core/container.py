"""The container: what is encrypted when files are sent. A manifest, the files one after another, zeros.

Source: spec/files.md, "Container".
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Final

from halonyx.core.chunked import MAX_PLAINTEXT_SIZE
from halonyx.core.encoding import Reader, Writer
from halonyx.core.errors import Malformed, Misuse, UnsupportedVersion
from halonyx.core.file_names import MAX_PATH_SIZE, check_distinct, check_folders, check_path
from halonyx.core.padding import check_padding

VERSION: Final = 1
MAX_FILES: Final = 10_000
MIN_PADDED_SIZE: Final = 256 * 1024
HEAD_SIZE: Final = 5  # version and count
ENTRY_SIZE: Final = 10  # of a manifest's entry, its path aside
_PADDING_BLOCK: Final = bytes(1024 * 1024)


def padded_size(size_bytes: int) -> int:
    """Return the size to which a container is padded: at least 256 KiB, then Padmé, at most 3.2 % more.

    Raises:
        Misuse: More than can be encrypted.

    Source: Nikitin et al., Reducing Metadata Leakage from Encrypted Files and Communication with PURBs, section 4.
    """
    exponent = max(size_bytes, MIN_PADDED_SIZE).bit_length() - 1
    mask = (1 << (exponent - exponent.bit_length())) - 1
    padded = (max(size_bytes, MIN_PADDED_SIZE) + mask) & ~mask
    if padded > MAX_PLAINTEXT_SIZE:
        raise Misuse(f"{size_bytes} bytes are more than can be encrypted")
    return padded


def padding(manifest: "Manifest") -> Iterator[bytes]:
    """Yield the zeros behind the last file, in blocks of at most 1 MiB."""
    left = manifest.padded_size - manifest.unpadded_size
    while left > 0:
        yield _PADDING_BLOCK[:left]
        left -= len(_PADDING_BLOCK)


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file: where it belongs below the folder, components apart by `/`, and how many bytes it has."""

    path: str = field(repr=False)
    size: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the container holds; layout: spec/files.md, table 1.

    Attributes:
        entries: 1 to 10,000 files, in the order of their contents.

    Raises:
        Malformed: No entry or too many, a path that `check_path` refuses, two paths that a file system could take for
            one, a file where another path needs a folder, over 10,000 folders, or more bytes than can be encrypted.
    """

    entries: tuple[FileEntry, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.entries) <= MAX_FILES:
            raise Malformed(f"a manifest lists 1 to {MAX_FILES} files")
        paths = [check_path(entry.path) for entry in self.entries]
        check_folders(paths)
        check_distinct(paths)
        if not all(0 <= entry.size <= MAX_PLAINTEXT_SIZE for entry in self.entries):
            raise Malformed("a file of a size that can't be encrypted")
        _check_padded(self.unpadded_size)

    @property
    def content_size(self) -> int:
        """Bytes of all files together."""
        return sum(entry.size for entry in self.entries)

    @property
    def unpadded_size(self) -> int:
        """Bytes of the manifest and of all files."""
        paths = sum(len(entry.path.encode()) for entry in self.entries)
        return HEAD_SIZE + len(self.entries) * ENTRY_SIZE + paths + self.content_size

    @property
    def padded_size(self) -> int:
        """Bytes of the whole container."""
        return padded_size(self.unpadded_size)

    def encode(self) -> bytes:
        """Return the first bytes of the container."""
        writer = Writer().u8(VERSION).u32(len(self.entries))
        for entry in self.entries:
            writer.sized(entry.path.encode(), 2, MAX_PATH_SIZE).u64(entry.size)
        return writer.done()

    @classmethod
    def parse(cls, data: bytes) -> "Manifest":
        """Read a manifest that stands alone.

        Raises:
            Malformed: Not the one encoding of a manifest.
            UnsupportedVersion: Another version.
        """
        reader = Reader(data)
        steps = _manifest_steps()
        needed = next(steps)
        try:
            while True:
                needed = steps.send(reader.take(needed))
        except StopIteration as done:
            reader.finish()
            manifest: Manifest = done.value
            return manifest


class Unpacker:
    """Takes a container as it is decrypted, in constant memory but for the manifest (at most 10 MiB).

    Args:
        size: Bytes of the container, from the size of its ciphertext.
        check: Called once with the manifest; raises what it does not like, before any content is given out.

    Attributes:
        manifest: None until all of it came.
    """

    __slots__ = ("_at", "_check", "_entry", "_held", "_is_over", "_left", "_needed", "_size", "_steps", "manifest")

    def __init__(self, size: int, check: Callable[[Manifest], None]) -> None:
        self._size, self._check = size, check
        self._steps = _manifest_steps()
        self._needed = next(self._steps)
        self._held = b""
        self._at = self._entry = self._left = 0
        self._is_over = False
        self.manifest: Manifest | None = None

    def update(self, plaintext: bytes) -> list[tuple[int, bytes]]:
        """Return what `plaintext` holds of files: index in the manifest and content, in order; empty files have none.

        Raises:
            Malformed: No manifest, one that does not fit the size, padding that is not zero, or too many bytes.
            UnsupportedVersion: Another version.
            Misuse: After a refusal.
        """
        if self._is_over:
            raise Misuse("this container was refused")
        self._is_over = True  # and stays so if anything is raised below
        self._at += len(plaintext)
        if self._at > self._size:
            raise Malformed("a container longer than its size")
        if self.manifest is None:
            plaintext = self._read_manifest(plaintext)
        pieces = self._cut(self.manifest, plaintext) if self.manifest else []
        self._is_over = False
        return pieces

    def finish(self) -> Manifest:
        """Return the manifest once the whole container came.

        Raises:
            Malformed: Bytes are missing.
        """
        if self._is_over:
            raise Misuse("this container was refused")
        if self.manifest is None or self._at != self._size:
            raise Malformed(f"{self._size - self._at} bytes of the container are missing")
        return self.manifest

    def _read_manifest(self, plaintext: bytes) -> bytes:
        """Read as far as the bytes go; return what lies behind the manifest."""
        data, at = self._held + plaintext, 0
        try:
            while at + self._needed <= len(data):
                step, at = data[at : at + self._needed], at + self._needed
                self._needed = self._steps.send(step)
        except StopIteration as done:
            manifest: Manifest = done.value
        else:
            self._held = data[at:]
            return b""
        if manifest.padded_size != self._size:
            raise Malformed("a container of another size than its files need")
        self._check(manifest)
        self._left = manifest.entries[0].size
        self.manifest = manifest
        return data[at:]

    def _cut(self, manifest: Manifest, data: bytes) -> list[tuple[int, bytes]]:
        pieces, at = [], 0
        while self._entry < len(manifest.entries):
            piece = data[at : at + self._left]
            if piece:
                pieces.append((self._entry, piece))
            at += len(piece)
            self._left -= len(piece)
            if self._left:
                return pieces
            self._entry += 1
            if self._entry < len(manifest.entries):
                self._left = manifest.entries[self._entry].size
        check_padding(data[at:])
        return pieces


def _manifest_steps() -> Generator[int, bytes, Manifest]:
    """Read a manifest field by field: yield how many bytes come next, be sent them, return the manifest."""
    version = (yield 1)[0]
    if version != VERSION:
        raise UnsupportedVersion(f"container version {version}")
    count = Reader((yield 4)).count(4, MAX_FILES, 1)
    entries = []
    for _ in range(count):
        length = Reader((yield 2)).count(2, MAX_PATH_SIZE, 1)
        try:
            path = (yield length).decode("utf-8")
        except UnicodeDecodeError:
            raise Malformed("a path that is not UTF-8") from None
        size = Reader((yield 8)).u64()
        entries.append(FileEntry(path, size))
    return Manifest(tuple(entries))


def _check_padded(size_bytes: int) -> None:
    try:
        padded_size(size_bytes)
    except Misuse as error:
        raise Malformed(str(error)) from None
