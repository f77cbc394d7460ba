"""What the relay and the device sign when a device logs in on /v1/receive.

Source: spec/delivery.md, "Login".
"""

from typing import Final

from halonyx.core.encoding import Writer
from halonyx.core.errors import Misuse
from halonyx.core.types import HASH_SIZE, MAX_DEVICE_ID, Address, DeviceId, Millis
from halonyx.wire.frames import NONCE_SIZE, VERSION

MAX_ORIGIN: Final = 255


def challenge_body(nonce: bytes, time: Millis, origin: str) -> bytes:
    """Return what the relay signs under RELAY_CHALLENGE: nonce 32 ‖ time u64 ‖ u16 length ‖ origin.

    Raises:
        Misuse: A nonce of another size, or an origin that is not 1 to 255 ASCII characters.
    """
    return Writer().fixed(nonce, NONCE_SIZE).u64(time).sized(_ascii(origin), 2, MAX_ORIGIN, 1).done()


def login_body(nonce: bytes, origin: str, address: Address, device: DeviceId) -> bytes:
    """Return what the device signs under DEVICE_LOGIN.

    nonce 32 ‖ u16 length ‖ origin ‖ address 32 ‖ device u8 ‖ version u8. The origin keeps a relay
    from passing the login on to another one.

    Raises:
        Misuse: A field that does not fit.
    """
    if not 1 <= device <= MAX_DEVICE_ID:
        raise Misuse("device must be 1 to 255")
    writer = Writer().fixed(nonce, NONCE_SIZE).sized(_ascii(origin), 2, MAX_ORIGIN, 1)
    return writer.fixed(address, HASH_SIZE).u8(device).u8(VERSION).done()


def _ascii(origin: str) -> bytes:
    try:
        return origin.encode("ascii")
    except UnicodeEncodeError:
        raise Misuse("an origin is ASCII") from None
