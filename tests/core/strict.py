"""What every strict parser is held to, in one place."""

from collections.abc import Callable, Iterator

import pytest

from halonyx.core.errors import HalonyxError, Malformed

Parse = Callable[[bytes], object]


def refuses_truncations_and_trailing_bytes(parse: Parse, encoded: bytes) -> None:
    """Check that `parse` takes `encoded` and nothing shorter or longer."""
    parse(encoded)
    for size_bytes in range(len(encoded)):
        with pytest.raises(Malformed):
            parse(encoded[:size_bytes])
    for value in range(256):
        with pytest.raises(Malformed):
            parse(encoded + bytes([value]))


def raises_only_our_errors(parse: Parse, data: bytes) -> object | None:
    """Return what `parse` made of `data`, or None if it was refused; anything but a HalonyxError fails the test."""
    try:
        return parse(data)
    except HalonyxError:
        return None


def bit_flips(data: bytes) -> Iterator[bytes]:
    """Yield `data` with each of its bits flipped in turn."""
    for at in range(len(data)):
        for bit in range(8):
            yield data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
