"""The one table of domain-separation labels, and the hash that uses them.

Source: spec/conventions.md, "Labels"; a test shows the labels unique and prefix-free.
"""

import hashlib
from typing import Final

NAMESPACE: Final = b"halonyx/1 "


def _label(role: str) -> bytes:
    return NAMESPACE + role.encode("ascii")


# Hashes
ACCOUNT_FINGERPRINT: Final = _label("account fingerprint")
USID: Final = _label("usid")
DEVICE_FINGERPRINT: Final = _label("device")
RECORD_HASH: Final = _label("record hash")
RECOVERY_CHECKSUM: Final = _label("recovery checksum")
CARD_CHECKSUM: Final = _label("card checksum")
ASSOCIATED_DATA: Final = _label("ad")
HANDSHAKE_TRANSCRIPT: Final = _label("pqxdh")
HANDSHAKE_REPLAY: Final = _label("handshake replay")
SAFETY_NUMBER: Final = _label("safety number")
CONVERSATION: Final = _label("conversation")

# Key derivations
ACCOUNT_SEED: Final = _label("account seed")
ACCOUNT_ED25519: Final = _label("account ed25519")
ACCOUNT_MLDSA: Final = _label("account mldsa65")
ACCOUNT_SALT: Final = _label("account salt")
MANAGEMENT_KEY: Final = _label("management key")
DIRECTORY_KEY: Final = _label("directory key")
ACCESS_KEY: Final = _label("access key")
REQUEST_KEY: Final = _label("request key")
X3DH_SECRET: Final = _label("x3dh secret")
PQXDH_SECRET: Final = _label("handshake secret")
SESSION_ID: Final = _label("session id")
ROOT_KEY: Final = _label("root key")
MESSAGE_KEY: Final = _label("message key")
ENVELOPE_KEY: Final = _label("envelope key")
BACKUP_KEY: Final = _label("backup key")
FILE_CONTENT: Final = _label("file content")
TRACKER_TOKEN: Final = _label("tracker token")
DROP_ID: Final = _label("drop id")
DROP_DELETION_KEY: Final = _label("drop deletion key")

# Signatures
ACCOUNT_RECORD: Final = _label("account record")
SIGNED_PREKEY: Final = _label("signed prekey")
ENVELOPE_PREKEY: Final = _label("envelope prekey")
LAST_RESORT_PREKEY: Final = _label("last-resort prekey")
ONE_TIME_PREKEY: Final = _label("one-time prekey")
ONE_TIME_KEM_PREKEY: Final = _label("one-time kem prekey")
RELAY_CHALLENGE: Final = _label("relay challenge")
DEVICE_LOGIN: Final = _label("login")
REST_REQUEST: Final = _label("rest request")
ANNOUNCEMENT: Final = _label("announcement")

# Kept by the relay for itself: pseudonyms in its files, proof-of-work seeds, its backups and admin log
RELAY_PSEUDONYM: Final = _label("relay pseudonym")
SIGNUP_WORK: Final = _label("sign-up work")
RELAY_SEAL: Final = _label("sealed column")
RELAY_BACKUP: Final = _label("relay backup")
RELAY_MARK: Final = _label("setting mark")


def hash_of(label: bytes, *parts: bytes) -> bytes:
    """Return HS(role; parts): SHA-256 over the label and the parts, each with its length.

    Args:
        label: One of this module's labels.
        parts: Each below 2^32 bytes; an absent optional part is empty.

    Returns:
        32 bytes.

    Source: spec/conventions.md, "HS".
    """
    digest = hashlib.sha256(len(label).to_bytes(1, "big") + label)
    for part in parts:
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return digest.digest()
