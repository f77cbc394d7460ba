"""The safety number: sixty digits two people compare, and the same as a QR payload.

Source: spec/safety-number.md.
"""

from dataclasses import dataclass
from typing import Final

from halonyx.core import labels
from halonyx.core.encoding import Reader, Writer
from halonyx.core.primitives import equal, sha512
from halonyx.core.types import Address, Fingerprint

VERSION: Final = 1
QR_TYPE: Final = 0x30
ITERATIONS: Final = 5200  # makes a search for a look-alike 5,200 times dearer
GROUPS_PER_SIDE: Final = 6
_FORMAT: Final = b"\x00\x01"


@dataclass(frozen=True, slots=True)
class Party:
    """One side: the fingerprint of its account and its address."""

    fingerprint: Fingerprint
    address: Address


def safety_number(ours: Party, theirs: Party) -> str:
    """Return twelve groups of five digits, the same on both sides.

    Source: spec/safety-number.md, "Digits".
    """
    return " ".join(sorted((_half(ours), _half(theirs))))


def encode_qr(ours: Party, theirs: Party) -> bytes:
    """Return the 130 bytes that our QR code shows: our fingerprint and address, then theirs as we know them."""
    writer = Writer().u8(VERSION).u8(QR_TYPE)
    for party in (ours, theirs):
        writer.fixed(party.fingerprint, 32).fixed(party.address, 32)
    return writer.done()


def matches_qr(scanned: bytes, ours: Party, theirs: Party) -> bool:
    """Tell whether the code their device shows names them and us as we know both.

    Args:
        scanned: 130 bytes from their screen.

    Raises:
        Malformed: Not a safety number's QR payload.
        UnsupportedVersion: One of another version.

    Source: spec/safety-number.md, "QR".
    """
    reader = Reader(scanned)
    reader.header(VERSION, QR_TYPE)
    reader.take(128)
    reader.finish()
    return equal(scanned, encode_qr(theirs, ours))


def _half(party: Party) -> str:
    digest = sha512(labels.SAFETY_NUMBER + _FORMAT + party.fingerprint + party.address)
    for _ in range(ITERATIONS - 1):
        digest = sha512(digest + party.fingerprint)
    groups = (int.from_bytes(digest[at : at + 5], "big") % 100_000 for at in range(0, 5 * GROUPS_PER_SIDE, 5))
    return " ".join(f"{group:05d}" for group in groups)
