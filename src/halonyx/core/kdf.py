"""Every key split: which secret, under which label, becomes which keys.

`info` is always label ‖ 0x00 ‖ context. Salt is empty unless named.

Source: spec/conventions.md, "Key derivation"; each function names its own section.
"""

from dataclasses import dataclass, field
from typing import Final, NewType

from halonyx.core import labels
from halonyx.core.primitives import NONCE_SIZE, hkdf, hkdf_expand, hmac_sha256_pair
from halonyx.core.types import ACCESS_KEY_SIZE, KEY_SIZE, SESSION_ID_SIZE, FileKey, SessionId, Usid

RootKey = NewType("RootKey", bytes)
ChainKey = NewType("ChainKey", bytes)
MessageKey = NewType("MessageKey", bytes)
AccessKey = NewType("AccessKey", bytes)

ZERO_SALT: Final = bytes(32)
_ROOT_INFO: Final = labels.ROOT_KEY + b"\x00"
_MESSAGE_INFO: Final = labels.MESSAGE_KEY + b"\x00"
_CHUNKED_INFO: Final = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\x00"
COMMITMENT_SIZE: Final = 32
TOKEN_SIZE: Final = 16  # of what a file key gives tracker and drop


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


def kdf_chunked(file_key: bytes, salt: bytes, context: bytes) -> tuple[bytes, bytes, bytes]:
    """Split a file key into an AES key (32 bytes), a base nonce (12) and the commitment to the file key (32).

    Args:
        file_key: 32 uniformly random bytes.
        salt: 24 bytes, never twice with one file key.
        context: What the file is for.

    Source: spec/files.md, "Encryption"; https://c2sp.org/chunked-encryption, "Key derivation".
    """
    okm = hkdf_expand(file_key, _CHUNKED_INFO + salt + context, KEY_SIZE + NONCE_SIZE + COMMITMENT_SIZE)
    return okm[:KEY_SIZE], okm[KEY_SIZE:-COMMITMENT_SIZE], okm[-COMMITMENT_SIZE:]


def tracker_token(file_key: FileKey) -> bytes:
    """Return the 16 bytes that two people show the tracker to meet each other and nobody else.

    Source: spec/files.md, "Torrent".
    """
    return expand(file_key, labels.TRACKER_TOKEN, TOKEN_SIZE)


def drop_id(file_key: FileKey) -> bytes:
    """Return the 16 bytes by which the relay's drop knows the ciphertext.

    Source: spec/files.md, "Drop".
    """
    return expand(file_key, labels.DROP_ID, TOKEN_SIZE)


def drop_deletion_key(file_key: FileKey) -> bytes:
    """Return the 16 bytes with which either side deletes what the drop holds; the drop knows their SHA-256.

    Source: spec/files.md, "Drop".
    """
    return expand(file_key, labels.DROP_DELETION_KEY, TOKEN_SIZE)
