"""Reader and Writer for exact bytes: big-endian, every length bounded, nothing left over.

Source: spec/conventions.md, "Encoding".
"""

import base64
import binascii

from halonyx.core.errors import Malformed, Misuse, UnsupportedVersion


def encode_base64url(data: bytes) -> str:
    """Return base64url without padding (RFC 4648 section 5)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode_base64url(text: str) -> bytes:
    """Return the bytes of canonical base64url without padding.

    Raises:
        Malformed: Padding, another alphabet, whitespace, or unused bits that are set.
    """
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("not base64url without padding") from None
    if encode_base64url(data) != text:
        raise Malformed("not canonical base64url")
    return data


class Reader:
    """Takes fields off the front of `data`; every method raises Malformed when bytes are missing.

    Args:
        data: The whole encoding.
    """

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size_bytes: int) -> bytes:
        """Take exactly `size_bytes`."""
        end = self._at + size_bytes
        if end > len(self._data):
            raise Malformed(f"{end - len(self._data)} bytes missing")
        field = self._data[self._at : end]
        self._at = end
        return field

    def unsigned(self, size_bytes: int) -> int:
        """Take a big-endian unsigned integer of `size_bytes`."""
        return int.from_bytes(self.take(size_bytes), "big")

    def u8(self) -> int:
        """Take one byte."""
        return self.unsigned(1)

    def u16(self) -> int:
        """Take two bytes."""
        return self.unsigned(2)

    def u32(self) -> int:
        """Take four bytes."""
        return self.unsigned(4)

    def u64(self) -> int:
        """Take eight bytes."""
        return self.unsigned(8)

    def sized(self, length_bytes: int, maximum: int, minimum: int = 0) -> bytes:
        """Take a length of `length_bytes`, check it against its bounds, then take that many bytes."""
        size = self.unsigned(length_bytes)
        if not minimum <= size <= maximum:
            raise Malformed(f"length {size} is outside {minimum} to {maximum}")
        return self.take(size)

    def count(self, length_bytes: int, maximum: int, minimum: int = 0) -> int:
        """Take a number of items within its bounds."""
        number = self.unsigned(length_bytes)
        if not minimum <= number <= maximum:
            raise Malformed(f"count {number} is outside {minimum} to {maximum}")
        return number

    def header(self, version: int, kind: int) -> None:
        """Take the first two bytes of every object.

        Raises:
            UnsupportedVersion: Another version.
            Malformed: Another type, or fewer than two bytes.
        """
        found_version, found_kind = self.u8(), self.u8()
        if found_version != version:
            raise UnsupportedVersion(f"version {found_version}, expected {version}")
        if found_kind != kind:
            raise Malformed(f"type {found_kind}, expected {kind}")

    def flags(self, known: int) -> int:
        """Take one byte of flags, refusing any bit not in `known`."""
        flags = self.u8()
        if flags & ~known:
            raise Malformed(f"unknown flag in {flags:#04x}")
        return flags

    def position(self) -> int:
        """Return how many bytes were taken."""
        return self._at

    def rest(self) -> bytes:
        """Take everything that is left."""
        return self.take(len(self._data) - self._at)

    def finish(self) -> None:
        """Refuse trailing bytes: one value, one encoding."""
        if self._at != len(self._data):
            raise Malformed(f"{len(self._data) - self._at} trailing bytes")


class Writer:
    """Builds what Reader reads; raises Misuse when a value does not fit its field."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def fixed(self, field: bytes, size_bytes: int) -> "Writer":
        """Append bytes whose size the specification fixes."""
        if len(field) != size_bytes:
            raise Misuse(f"field of {len(field)} bytes, expected {size_bytes}")
        self._parts.append(field)
        return self

    def unsigned(self, value: int, size_bytes: int) -> "Writer":
        """Append a big-endian unsigned integer."""
        try:
            self._parts.append(value.to_bytes(size_bytes, "big"))
        except OverflowError:
            raise Misuse(f"value does not fit {size_bytes} bytes") from None
        return self

    def u8(self, value: int) -> "Writer":
        """Append one byte."""
        return self.unsigned(value, 1)

    def u16(self, value: int) -> "Writer":
        """Append two bytes."""
        return self.unsigned(value, 2)

    def u32(self, value: int) -> "Writer":
        """Append four bytes."""
        return self.unsigned(value, 4)

    def u64(self, value: int) -> "Writer":
        """Append eight bytes."""
        return self.unsigned(value, 8)

    def sized(self, field: bytes, length_bytes: int, maximum: int, minimum: int = 0) -> "Writer":
        """Append a length of `length_bytes` and the bytes."""
        if not minimum <= len(field) <= maximum:
            raise Misuse(f"field of {len(field)} bytes is outside {minimum} to {maximum}")
        return self.unsigned(len(field), length_bytes).raw(field)

    def raw(self, field: bytes) -> "Writer":
        """Append bytes that delimit themselves or end the object."""
        self._parts.append(field)
        return self

    def done(self) -> bytes:
        """Return all that was written."""
        return b"".join(self._parts)
