"""Backups: contacts, verifications and history in one encrypted file; never seeds, sessions or prekeys.

Source: spec/conventions.md, "Backup".
"""

import secrets
import zlib
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from halonyx.client.account import now_ms
from halonyx.client.events import show_request
from halonyx.client.model import MessageState
from halonyx.client.people import check_name
from halonyx.client.store import Store
from halonyx.core import labels
from halonyx.core.errors import AuthenticationFailed, Malformed, Misuse, StoreError
from halonyx.core.identity import address_of
from halonyx.core.kdf import expand
from halonyx.core.origin import check_origin
from halonyx.core.primitives import NONCE_SIZE, aead_open, aead_seal, argon2id
from halonyx.core.types import Usid
from halonyx.disk import write_whole

MAGIC: Final = b"halonyx/1 backup\n"
SALT_SIZE: Final = 16
KEY_SIZE: Final = 32
MAX_FILE_SIZE: Final = 1 << 30
MAX_CONTENT_SIZE: Final = 1 << 32
RESTORED: Final = -(2**62)  # below every position that a message gets here
A_MILLISECOND: Final = 2**8  # positions for the restored messages of one; with 2^53 ms all of them stay below 0


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)


Hex = Annotated[str, Field(pattern="^([0-9A-F]{2})*$")]
Count = Annotated[int, Field(ge=0, le=2**53)]


class _Contact(_Part):
    name: Annotated[str, AfterValidator(check_name)]
    usid: Annotated[Hex, Field(min_length=64, max_length=64)]
    origin: Annotated[str, AfterValidator(check_origin)]
    state: Literal["accepted", "blocked"]
    is_verified: Annotated[int, Field(ge=0, le=1)]
    named_version: Annotated[int, Field(ge=0, lt=2**32)]
    added: Count


class _Message(_Part):
    usid: Annotated[Hex, Field(min_length=64, max_length=64)]
    is_outgoing: Annotated[int, Field(ge=0, le=1)]
    message_id: Annotated[Hex, Field(min_length=32, max_length=32)]
    text: str
    sent: Count
    received: Count
    state: MessageState


class _Content(_Part):
    contacts: list[_Contact]
    messages: list[_Message]


def write_backup(store: Store, path: Path, passphrase: str) -> None:
    """Write a backup; an existing file is replaced in one step.

    Args:
        path: Mode 0600.
        passphrase: Not empty; the file can be read with it alone.

    Raises:
        Misuse: An empty passphrase.
        StoreError: The file can't be written, or would be too large to be read.
    """
    if not passphrase:
        raise Misuse("a backup needs a passphrase")
    with store.transaction():
        contacts = store.all(
            "SELECT name, hex(usid) AS usid, origin, state, is_verified, max(named_version, record_version)"
            " AS named_version, added FROM contacts WHERE state IN ('accepted', 'blocked') ORDER BY id"
        )
        messages = store.all(
            "SELECT hex(usid) AS usid, is_outgoing, hex(message_id) AS message_id, text, sent, received,"
            " messages.state AS state FROM messages JOIN contacts ON contacts.id = contact"
            " WHERE contacts.state IN ('accepted', 'blocked') ORDER BY position"
        )
    content = _Content(
        contacts=[_Contact.model_validate(dict(row)) for row in contacts],
        messages=[_Message.model_validate(dict(row)) for row in messages],
    )
    salt, nonce = secrets.token_bytes(SALT_SIZE), secrets.token_bytes(NONCE_SIZE)
    text = content.model_dump_json().encode("utf-8")
    plaintext = zlib.compress(text)
    data = MAGIC + salt + nonce + aead_seal(_key(passphrase, salt), nonce, plaintext, MAGIC + salt)
    if len(data) > MAX_FILE_SIZE or len(text) > MAX_CONTENT_SIZE:
        raise StoreError(f"a backup has at most {MAX_FILE_SIZE} bytes, {MAX_CONTENT_SIZE} unpacked: this one is larger")
    try:
        write_whole(path, data)
    except OSError as error:
        raise StoreError(f"can't write {path}: {error.strerror}") from None


def read_backup(store: Store, path: Path, passphrase: str) -> tuple[int, int]:
    """Add a backup's contacts and history to this account; what is here already stays as it is.

    All that was ever restored stands in the order of its receipt, before what came since.

    Returns:
        How many contacts and messages were added.

    Raises:
        StoreError: The file can't be read or is none, or the passphrase is wrong.
    """
    try:
        data = path.read_bytes() if path.stat().st_size <= MAX_FILE_SIZE else b""
    except OSError as error:
        raise StoreError(f"can't read {path}: {error.strerror}") from None
    start = len(MAGIC) + SALT_SIZE
    if not data.startswith(MAGIC) or len(data) < start + NONCE_SIZE:
        raise StoreError(f"{path} is no Halonyx backup")
    salt, nonce = data[len(MAGIC) : start], data[start : start + NONCE_SIZE]
    try:
        plaintext = aead_open(_key(passphrase, salt), nonce, data[start + NONCE_SIZE :], MAGIC + salt)
        content = _Content.model_validate_json(zlib.decompressobj().decompress(plaintext, MAX_CONTENT_SIZE))
    except AuthenticationFailed:
        raise StoreError("wrong passphrase, or the backup is damaged") from None
    except (zlib.error, ValidationError, Misuse, Malformed):
        raise StoreError(f"{path} is a backup of another version") from None
    with store.transaction():
        contacts = sum(_restore_contact(store, contact) for contact in content.contacts)
        messages = sum(_restore_message(store, message) for message in content.messages)
    return contacts, messages


def _restore_contact(store: Store, contact: _Contact) -> int:
    usid = Usid(bytes.fromhex(contact.usid))
    row = store.one("SELECT id, state FROM contacts WHERE usid = ?", usid)
    if row is not None and row["state"] in ("accepted", "blocked"):
        return 0
    name = contact.name
    if store.one("SELECT 1 FROM contacts WHERE name = ?", name) is not None:
        name = f"contact-{address_of(usid).hex()[:8]}"
    values = (name, contact.origin, contact.state, contact.is_verified, contact.named_version)
    if row is None:
        return store.execute(
            "INSERT INTO contacts (name, origin, state, is_verified, named_version, usid, address, added)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            *values,
            usid,
            address_of(usid),
            contact.added,
        )
    if row["state"] == "request" and contact.state == "accepted":
        show_request(store, row["id"], now_ms())  # they wrote before the backup was restored
    return store.execute(
        "UPDATE contacts SET name = ?, origin = ?, state = ?, is_verified = ?,"
        " named_version = max(named_version, ?) WHERE id = ?",
        *values,
        row["id"],
    )


def _restore_message(store: Store, message: _Message) -> int:
    first = RESTORED + message.received * A_MILLISECOND
    last = store.value("SELECT max(position) FROM messages WHERE position < ?", first + A_MILLISECOND)
    # What still waited then is not in this outbox.
    state = "failed" if message.state == "waiting" else message.state
    return store.execute(
        "INSERT OR IGNORE INTO messages (position, contact, is_outgoing, message_id, text, sent, received, state)"
        " SELECT ?, id, ?, ?, ?, ?, ?, ? FROM contacts WHERE usid = ?",
        max(first, (last or RESTORED) + 1),
        message.is_outgoing,
        bytes.fromhex(message.message_id),
        message.text,
        message.sent,
        message.received,
        state,
        bytes.fromhex(message.usid),
    )


def _key(passphrase: str, salt: bytes) -> bytes:
    return expand(argon2id(passphrase.encode("utf-8", "surrogatepass"), salt), labels.BACKUP_KEY, KEY_SIZE)
