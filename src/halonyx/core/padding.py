"""Bucket sizes: an envelope is 1, 2, 4, 8, 16, 32 or 64 KiB, nothing between.

Source: spec/envelope.md, "Padding".
"""

from typing import Final

from halonyx.core.errors import Malformed, Misuse

BUCKETS: Final = tuple(1024 << power for power in range(7))


def bucket_for(size_bytes: int) -> int:
    """Return the smallest bucket that holds `size_bytes`.

    Raises:
        Misuse: More than 64 KiB.
    """
    for bucket in BUCKETS:
        if size_bytes <= bucket:
            return bucket
    raise Misuse(f"{size_bytes} bytes do not fit an envelope of {BUCKETS[-1]}")


def check_padding(padding: bytes) -> None:
    """Refuse padding that is not all zero: one envelope, one encoding.

    Raises:
        Malformed: A byte other than zero.
    """
    if padding.count(0) != len(padding):
        raise Malformed("padding is not zero")
