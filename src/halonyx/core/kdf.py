"""Every key split: which secret, under which label, becomes which keys.

`info` is always label ‖ 0x00 ‖ context. Salt is empty unless named.

Source: spec/conventions.md, "Key derivation"; each function names its own section.
"""

from dataclasses import dataclass, field
from typing import Final, NewType

from halonyx.core import labels
from halonyx.core.primitives import NONCE_SIZE, hkdf, hmac_sha256_pair
from halonyx.core.types import ACCESS_KEY_SIZE, KEY_SIZE, SESSION_ID_SIZE, SessionId, Usid

RootKey = NewType("RootKey", bytes)
ChainKey = NewType("ChainKey", bytes)
MessageKey = NewType("MessageKey", bytes)
AccessKey = NewType("AccessKey", bytes)

ZERO_SALT: Final = bytes(32)
_ROOT_INFO: Final = labels.ROOT_KEY + b"\x00"
_MESSAGE_INFO: Final = labels.MESSAGE_KEY + b"\x00"


def expand(secret: bytes, label: bytes, size_bytes: int, context: bytes = b"", salt: bytes = b"") -> bytes:
    """Return HKDF(secret) under `label`; 1 to 8,160 bytes."""
    return hkdf(secret, label + b"\x00" + context, size_bytes, salt)


def kdf_root(root_key: RootKey, shared_secret: bytes) -> tuple[RootKey, ChainKey]:
    """Advance the root chain by one X25519 secret.

    Source: spec/ratchet.md, "KDF_RK"; Signal, The Double Ratchet Algorithm, section 5.2.
    """
    okm = hkdf(shared_secret, _ROOT_INFO, 64, root_key)
    return RootKey(okm[:32]), ChainKey(okm[32:])


def kdf_chain(chain_key: ChainKey) -> tuple[ChainKey, MessageKey]:
    """Advance a sending or receiving chain by one message.

    Source: spec/ratchet.md, "KDF_CK".
    """
    message_key, next_key = hmac_sha256_pair(chain_key, b"\x01", b"\x02")
    return ChainKey(next_key), MessageKey(message_key)


def kdf_message(message_key: MessageKey, salt: bytes) -> tuple[bytes, bytes]:
    """Split a message key into an AES key (32 bytes) and a nonce (12).

    The salt is 16 fresh bytes from the header: a state restored from an old copy must not use a key and nonce twice.

    Source: spec/ratchet.md, "Message encryption".
    """
    okm = hkdf(message_key, _MESSAGE_INFO + salt, 44)
    return okm[:32], okm[32:]


@dataclass(frozen=True, slots=True)
class HandshakeSecrets:
    """What a handshake yields: the first root key and the session's name."""

    root_key: RootKey = field(repr=False)
    session_id: SessionId


def kdf_pqxdh(ikm: bytes, transcript: bytes) -> HandshakeSecrets:
    """Split the PQXDH input into root key and session id; the middle third is reserved and dropped.

    Source: spec/handshake.md, "Suite 2".
    """
    okm = expand(ikm, labels.PQXDH_SECRET, 96, transcript, ZERO_SALT)
    return HandshakeSecrets(RootKey(okm[:32]), SessionId(expand(okm[64:], labels.SESSION_ID, SESSION_ID_SIZE)))


def kdf_envelope(ikm: bytes, context: bytes) -> tuple[bytes, bytes]:
    """Split an envelope's secret into an AES key (32 bytes) and a nonce (12).

    Source: spec/envelope.md, "Key".
    """
    okm = expand(ikm, labels.ENVELOPE_KEY, KEY_SIZE + NONCE_SIZE, context)
    return okm[:KEY_SIZE], okm[KEY_SIZE:]


def directory_key(usid: Usid) -> bytes:
    """Return the 32-byte key that seals what the relay keeps for contacts to fetch.

    Source: spec/identity.md, "Directory key".
    """
    return expand(usid, labels.DIRECTORY_KEY, KEY_SIZE)


def request_key(usid: Usid) -> AccessKey:
    """Return the 16-byte key by which a stranger with the card may leave a first message.

    Source: spec/envelope.md, "Access".
    """
    return AccessKey(expand(usid, labels.REQUEST_KEY, ACCESS_KEY_SIZE))


def access_key(profile_key: bytes) -> AccessKey:
    """Return the 16-byte key by which contacts send and look up.

    Args:
        profile_key: 32 random bytes, given to contacts inside encrypted messages.

    Source: spec/envelope.md, "Access".
    """
    return AccessKey(expand(profile_key, labels.ACCESS_KEY, ACCESS_KEY_SIZE))
