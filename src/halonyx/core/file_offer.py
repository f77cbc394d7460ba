"""What two people say about a file inside the encryption: the offer, and what became of it.

Source: spec/files.md, "Offer" and "State".
"""

import re
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from halonyx.core.chunked import plaintext_size
from halonyx.core.container import ENTRY_SIZE, HEAD_SIZE, MAX_FILES, Manifest, padded_size
from halonyx.core.encoding import Reader, Writer
from halonyx.core.errors import Malformed, Misuse, UnsupportedVersion
from halonyx.core.file_names import MAX_COMPONENT_SIZE, MAX_PATH_SIZE, check_component
from halonyx.core.origin import MAX_ORIGIN_SIZE, check_origin
from halonyx.core.types import HASH_SIZE, KEY_SIZE, MESSAGE_ID_SIZE, FileKey, MessageId

VERSION: Final = 1
INFO_HASH_SIZE: Final = 20  # SHA-1, by BEP 3
MAX_MEDIA_TYPE_SIZE: Final = 255
MAX_THUMBNAIL_SIZE: Final = 16_384  # so that the envelope stays within 32 KiB
_IS_FOLDER: Final = 0x01
_IN_DROP: Final = 0x02
# RFC 6838 section 4.2, in lower case and without parameters.
_MEDIA_TYPE: Final = re.compile(r"(?:[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126})?")
_JPEG: Final = re.compile(rb"\xff\xd8\xff")
_WEBP: Final = re.compile(rb"RIFF.{4}WEBP", re.DOTALL)


class State(IntEnum):
    """What became of an offer."""

    ACCEPTED = 1
    REFUSED = 2
    CANCELLED = 3  # by who offered it
    DONE = 4  # verified and saved
    NEEDS_DIRECT = 5  # "I have no relayed way: allow a direct connection, or use the drop"
    IN_DROP = 6  # from who offered it: the drop holds the ciphertext now
    FAILED = 7
    STILL_OFFERED = 8  # from who offered it, while nothing comes of it: "say again what became of it"


class Reason(IntEnum):
    """Why a transfer failed at whoever receives it; NONE unless the state is FAILED."""

    NONE = 0
    WRONG_HASH = 1
    DISK_FULL = 2
    DAMAGED = 3


@dataclass(frozen=True, slots=True)
class FileOffer:
    """Body of a FILE message; layout: spec/files.md, table 2.

    Attributes:
        is_folder: The files belong into a folder of this name; otherwise there is one file, of this name.
        in_drop: The ciphertext lies in the drop of the relay at `origin`.
        key: Opens the ciphertext; never used for another.
        size: Bytes of all files together.
        count: Number of files, 1 to 10,000.
        ciphertext_size: What a container of these files encrypts to.
        ciphertext_hash: SHA-256; nothing of the file is released before it is verified.
        info_hash: SHA-1 of the torrent's info dictionary.
        origin: The relay whose tracker and drop are used, as a record writes origins.
        name: One component, 1 to 255 bytes; shown and saved as `safe_name` has it.
        media_type: `type/subtype` in lower case, or empty; said by the sender and true of nothing.
        thumbnail: JPEG or WebP, at most 16,384 bytes, or empty.

    Raises:
        Malformed: A field out of its range, or sizes that contradict each other.
    """

    is_folder: bool
    in_drop: bool
    key: FileKey = field(repr=False)
    size: int
    count: int
    ciphertext_size: int
    ciphertext_hash: bytes = field(repr=False)
    info_hash: bytes = field(repr=False)
    origin: str
    name: str = field(repr=False)
    media_type: str = field(repr=False)
    thumbnail: bytes = field(repr=False)

    def __post_init__(self) -> None:
        check_component(self.name)
        check_origin(self.origin)
        if _MEDIA_TYPE.fullmatch(self.media_type) is None:
            raise Malformed("no media type")
        if self.thumbnail and not (_JPEG.match(self.thumbnail) or _WEBP.match(self.thumbnail)):
            raise Malformed("a thumbnail that is neither JPEG nor WebP")
        if not 1 <= self.count <= (MAX_FILES if self.is_folder else 1):
            raise Malformed("a number of files that is none")
        self._check_size()

    def _check_size(self) -> None:
        """Refuse a ciphertext that the files of this offer cannot become: padding would carry what nobody checks."""
        paths = (1, MAX_PATH_SIZE) if self.is_folder else (len(self.name.encode()),) * 2
        least, most = (HEAD_SIZE + self.count * (ENTRY_SIZE + path) + self.size for path in paths)
        padded = plaintext_size(self.ciphertext_size)
        try:
            is_possible = padded_size(least) <= padded <= padded_size(most) and padded_size(padded) == padded
        except Misuse as error:
            raise Malformed(str(error)) from None
        if not is_possible:
            raise Malformed("a ciphertext of a size that these files do not become")

    @property
    def container_size(self) -> int:
        """Bytes of the container inside the ciphertext."""
        return plaintext_size(self.ciphertext_size)

    def check_manifest(self, manifest: Manifest) -> None:
        """Refuse a container that holds something else than was offered.

        Raises:
            Malformed: Another number of files, another size, or a single file of another name.
        """
        if (len(manifest.entries), manifest.content_size) != (self.count, self.size):
            raise Malformed("not the files that were offered")
        if not self.is_folder and manifest.entries[0].path != self.name:
            raise Malformed("not the name that was offered")

    def encode(self) -> bytes:
        """Return the body (Misuse if a field does not fit)."""
        flags = (_IS_FOLDER if self.is_folder else 0) | (_IN_DROP if self.in_drop else 0)
        writer = Writer().u8(VERSION).u8(flags).fixed(self.key, KEY_SIZE).u64(self.size).u32(self.count)
        writer.u64(self.ciphertext_size).fixed(self.ciphertext_hash, HASH_SIZE).fixed(self.info_hash, INFO_HASH_SIZE)
        writer.sized(self.origin.encode("ascii"), 2, MAX_ORIGIN_SIZE).sized(self.name.encode(), 2, MAX_COMPONENT_SIZE)
        writer.sized(self.media_type.encode("ascii"), 1, MAX_MEDIA_TYPE_SIZE)
        return writer.sized(self.thumbnail, 2, MAX_THUMBNAIL_SIZE).done()

    @classmethod
    def parse(cls, body: bytes) -> "FileOffer":
        """Read the body.

        Raises:
            Malformed: Not the one encoding of an offer.
            UnsupportedVersion: Another version.
        """
        reader = Reader(body)
        version = reader.u8()
        if version != VERSION:
            raise UnsupportedVersion(f"file offer version {version}")
        flags = reader.flags(_IS_FOLDER | _IN_DROP)
        offer = cls(
            is_folder=bool(flags & _IS_FOLDER),
            in_drop=bool(flags & _IN_DROP),
            key=FileKey(reader.take(KEY_SIZE)),
            size=reader.u64(),
            count=reader.u32(),
            ciphertext_size=reader.u64(),
            ciphertext_hash=reader.take(HASH_SIZE),
            info_hash=reader.take(INFO_HASH_SIZE),
            origin=_text(reader.sized(2, MAX_ORIGIN_SIZE, 1), "ascii"),
            name=_text(reader.sized(2, MAX_COMPONENT_SIZE, 1), "utf-8"),
            media_type=_text(reader.sized(1, MAX_MEDIA_TYPE_SIZE), "ascii"),
            thumbnail=reader.sized(2, MAX_THUMBNAIL_SIZE),
        )
        reader.finish()
        return offer


@dataclass(frozen=True, slots=True)
class FileState:
    """Body of a FILE_STATE message; layout: spec/files.md, table 3.

    Attributes:
        offer: Message id of the FILE it is about.
        reason: NONE unless the state is FAILED (Malformed otherwise).
    """

    offer: MessageId
    state: State
    reason: Reason = Reason.NONE

    def __post_init__(self) -> None:
        if (self.state is State.FAILED) == (self.reason is Reason.NONE):
            raise Malformed("a reason goes with a failure, and with nothing else")

    def encode(self) -> bytes:
        """Return message id 16 ‖ state u8 ‖ reason u8."""
        return Writer().fixed(self.offer, MESSAGE_ID_SIZE).u8(self.state).u8(self.reason).done()

    @classmethod
    def parse(cls, body: bytes) -> "FileState":
        """Read the body.

        Raises:
            Malformed: Not the one encoding of a state, or a state or reason that there is none of.
        """
        reader = Reader(body)
        offer, state, reason = MessageId(reader.take(MESSAGE_ID_SIZE)), reader.u8(), reader.u8()
        reader.finish()
        if state not in State.__members__.values() or reason not in Reason.__members__.values():
            raise Malformed(f"state {state} with reason {reason}")
        return cls(offer, State(state), Reason(reason))


def _text(field: bytes, encoding: str) -> str:
    try:
        return field.decode(encoding)
    except UnicodeDecodeError:
        raise Malformed("a text that is not what its field holds") from None
