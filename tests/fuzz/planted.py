"""Decoders with a bug each, so that the search can be seen to find them."""

from typing import Any, Final

from fuzz.decoder import Decoder, exactly
from halonyx.core.encoding import Reader
from halonyx.core.errors import HalonyxError, Malformed, UnsupportedVersion

BAD: Final = b"!?"


def _raising(error: Exception, data: bytes) -> bytes:
    if data.startswith(BAD):
        raise error
    return data


def _large(data: bytes) -> bytes:
    return bytes(1 << 30)[:0] + data if data.startswith(BAD) else data


def _lax(data: bytes) -> bytes:
    """Read a sized field and look at nothing behind it."""
    return Reader(data).sized(1, 255)


PLANTED: Final[tuple[Decoder[Any], ...]] = (
    Decoder("planted-crash", lambda data: _raising(KeyError(), data), exactly(bytes), (Malformed,)),
    Decoder("planted-error", lambda data: _raising(UnsupportedVersion(), data), exactly(bytes), (Malformed,)),
    Decoder("planted-vague", lambda data: _raising(Malformed(), data), exactly(bytes), (HalonyxError,)),
    Decoder("planted-memory", _large, exactly(bytes), (Malformed,)),
    Decoder("planted-lax", _lax, exactly(lambda field: bytes([len(field)]) + field), (Malformed,)),
)
