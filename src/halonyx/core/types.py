"""Ids and their sizes.

Source: spec/conventions.md, "Types".
"""

from typing import Final, NewType

Usid = NewType("Usid", bytes)
"""32 bytes; self-certifying name of an account; known to the owner and the contacts only."""

Address = NewType("Address", bytes)
"""32 bytes; SHA-256 of the USID; what the relay knows."""

DeviceId = NewType("DeviceId", int)
"""1 to 255; never reused within an account."""

Fingerprint = NewType("Fingerprint", bytes)
"""32 bytes; hash over the keys of an account or a device."""

SessionId = NewType("SessionId", bytes)
"""8 bytes; derived by both sides from the handshake."""

MessageId = NewType("MessageId", bytes)
"""16 random bytes inside the encryption; the same in every resend."""

EnvelopeId = NewType("EnvelopeId", bytes)
"""16 random bytes the relay sees; fresh for each recipient device ("envelope id" in spec/delivery.md)."""

ConversationId = NewType("ConversationId", bytes)
"""16 bytes; names a conversation inside the encryption."""

FileKey = NewType("FileKey", bytes)
"""32 random bytes, fresh for every offer of a file; all else about the file is derived from it."""

PrekeyId = NewType("PrekeyId", int)
"""1 to 2^32-1; never reused by a device."""

Millis = NewType("Millis", int)
"""Milliseconds since 1970-01-01 UTC."""

HASH_SIZE: Final = 32
KEY_SIZE: Final = 32
SIGNATURE_SIZE: Final = 64
SESSION_ID_SIZE: Final = 8
MESSAGE_ID_SIZE: Final = 16
ACCESS_KEY_SIZE: Final = 16
MAX_DEVICE_ID: Final = 255
MAX_PREKEY_ID: Final = 2**32 - 1

SECOND: Final = 1000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
