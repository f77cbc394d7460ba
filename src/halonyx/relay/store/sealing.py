"""Columns of identity.db that are encrypted under a key from the secrets file.

Source: docs/reference/relay.md, "Secrets file".
"""

import secrets as random

from halonyx.core.errors import AuthenticationFailed, StoreError
from halonyx.core.labels import RELAY_SEAL
from halonyx.core.primitives import NONCE_SIZE, aead_open, aead_seal, hkdf
from halonyx.core.types import KEY_SIZE


def sealing_key(pepper: bytes) -> bytes:
    """Return the key, 32 bytes, that belongs to the file's pepper."""
    return hkdf(pepper, RELAY_SEAL + b"\x00", KEY_SIZE)


def seal(key: bytes, content: bytes, place: bytes) -> bytes:
    """Encrypt a value for one place."""
    nonce = random.token_bytes(NONCE_SIZE)
    return nonce + aead_seal(key, nonce, content, place)


def unseal(key: bytes, sealed: bytes, place: bytes) -> bytes:
    """Decrypt a value.

    Raises:
        StoreError: It was sealed under another key, or for another place.
    """
    try:
        return aead_open(key, sealed[:NONCE_SIZE], sealed[NONCE_SIZE:], place)
    except AuthenticationFailed:
        raise StoreError("identity.db belongs to another secrets file") from None
