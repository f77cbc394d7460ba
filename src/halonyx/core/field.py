"""The field of Curve25519 and edwards25519, as far as decoding keys needs it.

Source: RFC 7748 section 4.1; RFC 8032 section 5.1.
"""

from typing import Final

FIELD_PRIME: Final = 2**255 - 19
# y-coordinates of the eight points of small order on edwards25519 (RFC 8032 section 5.1; two points share a y each).
SMALL_ORDER_Y: Final = frozenset(
    {
        0,
        1,
        FIELD_PRIME - 1,
        int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"),
        int.from_bytes(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little"),
    }
)
