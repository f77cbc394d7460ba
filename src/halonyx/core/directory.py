"""Sealing what the relay keeps for contacts to fetch, so that the relay stores noise.

The seal only hides: every contact knows the key. Authenticity rests on the signatures inside.

Source: spec/identity.md, "Directory objects".
"""

from dataclasses import dataclass
from typing import Final

from halonyx.core.encoding import Writer
from halonyx.core.errors import Malformed
from halonyx.core.kdf import directory_key
from halonyx.core.primitives import NONCE_SIZE, TAG_SIZE, aead_open, aead_seal
from halonyx.core.types import Address, DeviceId, PrekeyId, Usid

RECORD_USE: Final = 0


@dataclass(frozen=True, slots=True)
class Slot:
    """Where the relay keeps an object: what it sees in clear, and what the seal binds.

    Attributes:
        use: 0 for the record, else a prekey's use, 1 to 5.
        device: 0 for the record.
        id: 0 for the record.
    """

    address: Address
    use: int
    device: DeviceId | int
    id: PrekeyId | int

    def associated_data(self) -> bytes:
        """Return address ‖ use u8 ‖ device u8 ‖ id u32."""
        return Writer().fixed(self.address, 32).u8(self.use).u8(self.device).u32(self.id).done()


def record_slot(address: Address) -> Slot:
    """Return the slot of an account's record."""
    return Slot(address, RECORD_USE, 0, 0)


def seal_object(usid: Usid, slot: Slot, content: bytes, nonce: bytes) -> bytes:
    """Seal a record or prekey; 28 bytes longer than its content.

    Args:
        nonce: 12 fresh random bytes (at most 2^32 objects an account).
    """
    return nonce + aead_seal(directory_key(usid), nonce, content, slot.associated_data())


def open_object(usid: Usid, slot: Slot, sealed: bytes) -> bytes:
    """Open what the relay served for `slot`.

    Raises:
        Malformed: Shorter than nonce and tag.
        AuthenticationFailed: Another account's, another slot's, or altered.
    """
    if len(sealed) < NONCE_SIZE + TAG_SIZE:
        raise Malformed(f"sealed object of {len(sealed)} bytes")
    return aead_open(directory_key(usid), sealed[:NONCE_SIZE], sealed[NONCE_SIZE:], slot.associated_data())
