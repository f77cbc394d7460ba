"""The contact card: what one person gives another, as a URI, a link or a QR code.

Source: spec/identity.md, "Contact card".
"""

from dataclasses import dataclass, field
from typing import Final

from halonyx.core import labels
from halonyx.core.encoding import Reader, Writer, decode_base64url, encode_base64url
from halonyx.core.errors import Malformed
from halonyx.core.labels import hash_of
from halonyx.core.origin import MAX_ORIGIN_SIZE, check_origin
from halonyx.core.types import Usid

VERSION: Final = 1
TYPE: Final = 0x31
SCHEME: Final = "halonyx:"
FRAGMENT: Final = "/#add="
CHECKSUM_SIZE: Final = 4
MAX_CARD_LENGTH: Final = 800  # characters; the longest origin twice


@dataclass(frozen=True, slots=True)
class Card:
    """Who to write to and where to find the record.

    Attributes:
        origin: A hint; the record names where its owner receives.
        usid: Opens what the relay keeps sealed and leaves first messages; not shown in `repr`.
        record_version: A relay that serves less is lying.
    """

    origin: str
    usid: Usid = field(repr=False)
    record_version: int

    def uri(self) -> str:
        """Return the card as `halonyx:…`."""
        return SCHEME + self._text()

    def link(self) -> str:
        """Return the card as a link to the relay's page; the part behind # never reaches the server."""
        return self.origin + FRAGMENT + self._text()

    def _text(self) -> str:
        body = Writer().u8(VERSION).u8(TYPE).u32(self.record_version).fixed(self.usid, 32)
        encoded = body.sized(check_origin(self.origin).encode("ascii"), 1, MAX_ORIGIN_SIZE).done()
        return encode_base64url(encoded + _checksum(encoded))

    @classmethod
    def parse(cls, text: str) -> "Card":
        """Read a card in either form; white space around it is ignored.

        Raises:
            Malformed: No card, or one with a typing error.
            UnsupportedVersion: A card of a newer program.
        """
        text = text.strip()
        if len(text) > MAX_CARD_LENGTH:
            raise Malformed("too long for a contact card")
        if text.startswith(SCHEME):
            return cls._parse_body(text.removeprefix(SCHEME))
        origin, found, body = text.partition(FRAGMENT)
        if not found:
            raise Malformed("a contact card begins with halonyx: or is a link with #add=")
        card = cls._parse_body(body)
        if card.origin != origin:
            raise Malformed("the link and the card inside it name different relays")
        return card

    @classmethod
    def _parse_body(cls, text: str) -> "Card":
        try:
            data = decode_base64url(text)
        except Malformed:
            raise Malformed("the contact card has a character that does not belong to it, or is cut off") from None
        encoded, checksum = data[:-CHECKSUM_SIZE], data[-CHECKSUM_SIZE:]
        if checksum != _checksum(encoded):
            raise Malformed("the contact card is incomplete or has a typing error")
        reader = Reader(encoded)
        reader.header(VERSION, TYPE)
        record_version, usid = reader.u32(), Usid(reader.take(32))
        try:
            origin = check_origin(reader.sized(1, MAX_ORIGIN_SIZE, 1).decode("ascii"))
        except UnicodeDecodeError:
            raise Malformed("origin is not ASCII") from None
        reader.finish()
        return cls(origin, usid, record_version)


def _checksum(encoded: bytes) -> bytes:
    return hash_of(labels.CARD_CHECKSUM, encoded)[:CHECKSUM_SIZE]
