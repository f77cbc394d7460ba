"""What the operator of a relay tells everybody there: a signed text, and the frame that brings it.

Source: spec/delivery.md, "Announcements".
"""

import re
from dataclasses import dataclass, field
from typing import ClassVar, Final, Self

from halonyx.core.encoding import Reader, Writer
from halonyx.core.errors import Malformed, Misuse
from halonyx.core.labels import ANNOUNCEMENT
from halonyx.core.primitives import SigningKey, VerifyKey
from halonyx.core.types import DAY, HOUR, SIGNATURE_SIZE, Millis

VERSION: Final = 1
TYPE: Final = 0x40
MAX_TEXT: Final = 2000  # bytes
APART: Final = HOUR
LIFETIME: Final = 7 * DAY
AHEAD: Final = DAY  # how far a clock may be behind the operator's
_ONE_LINE: Final = "an announcement is one line, without control characters"
_CONTROL: Final = re.compile("[\u0000-\u001f\u007f-\u009f]")


@dataclass(frozen=True, slots=True)
class Announce:
    """The frame: 2 bytes and an announcement, which is read only by who knows the operator's key.

    Apart, so that an announcement that can't be read does not cost the connection.
    """

    TYPE: ClassVar[int] = 10
    announcement: bytes = field(repr=False)

    def encode(self) -> bytes:
        """Encode."""
        return bytes((VERSION, self.TYPE)) + self.announcement

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Take the body off `reader`."""
        announcement = reader.rest()
        if not announcement:
            raise Malformed("an announcement of 0 bytes")
        return cls(announcement)


@dataclass(frozen=True, slots=True)
class Announcement:
    """What an operator said.

    Attributes:
        time: The operator's clock.
        text: 1 to 2,000 bytes of UTF-8, without control characters.
    """

    time: Millis
    text: str

    def sign(self, operator: SigningKey) -> bytes:
        """Return the announcement with its signature, 77 to 2,076 bytes.

        Raises:
            Misuse: The text is empty, too long, or has a control character in it.
        """
        try:
            text = self.text.encode("utf-8")
        except UnicodeEncodeError:
            raise Misuse("the announcement is not UTF-8 text") from None
        if not 1 <= len(text) <= MAX_TEXT:
            raise Misuse(f"an announcement has 1 to {MAX_TEXT} bytes of text, this one has {len(text)}")
        if _CONTROL.search(self.text):
            raise Misuse(_ONE_LINE)
        body = Writer().u8(VERSION).u8(TYPE).u64(self.time).sized(text, 2, MAX_TEXT, 1).done()
        return body + operator.sign(ANNOUNCEMENT, body)

    @classmethod
    def parse(cls, data: bytes, operator: VerifyKey) -> Self:
        """Read an announcement.

        Args:
            data: All of it.
            operator: The key that must have signed it.

        Raises:
            Malformed: Another form, or a text that nobody may announce.
            UnsupportedVersion: A newer form.
            BadSignature: It is not the operator's.
        """
        reader = Reader(data)
        reader.header(VERSION, TYPE)
        time, text = Millis(reader.u64()), _text(reader.sized(2, MAX_TEXT, 1))
        size = reader.position()
        signature = reader.take(SIGNATURE_SIZE)
        reader.finish()
        operator.verify(ANNOUNCEMENT, data[:size], signature)
        return cls(time, text)

    def may_follow(self, former: Millis) -> bool:
        """Tell whether this may come after one of the time `former`: newer, and an hour apart."""
        return self.time >= former + APART

    def is_current(self, now: Millis) -> bool:
        """Tell whether it is to be told at all: not over, and not of a day to come."""
        return now - LIFETIME < self.time <= now + AHEAD


def _text(encoded: bytes) -> str:
    try:
        text = encoded.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("an announcement that is not UTF-8") from None
    if _CONTROL.search(text):
        raise Malformed(_ONE_LINE)
    return text
