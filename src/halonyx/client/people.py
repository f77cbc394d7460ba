"""Rows of contacts and their devices, as values.

Source: spec/identity.md, "Checking a record"; spec/ratchet.md, "Sessions".
"""

from dataclasses import dataclass, field
from typing import Final, cast

from halonyx.client.account import cached_record
from halonyx.client.model import Contact, ContactState
from halonyx.client.store import Row, Store
from halonyx.core import kdf, labels
from halonyx.core.content import RecordName
from halonyx.core.errors import Misuse, StorageConflict
from halonyx.core.handshake import Peer
from halonyx.core.identity import AccountRecord
from halonyx.core.kdf import AccessKey
from halonyx.core.labels import hash_of
from halonyx.core.prekeys import Prekey
from halonyx.core.session import Sessions, encode_sessions, parse_sessions
from halonyx.core.types import Address, ConversationId, DeviceId, Millis, SessionId, Usid

MAX_NAME: Final = 64  # code points
REQUEST_ID_LENGTH: Final = 16  # hex digits of the address: too many for anyone to find a second one
UNKNOWN_RECORD: Final = RecordName(0, bytes(32))


@dataclass(frozen=True, slots=True)
class ContactRow:
    """A contact as stored.

    Attributes:
        named_version: Highest version of their record that the card or they have named.
        frozen: Code of why sending stopped, or None.
        profile_key: Theirs, once they gave it.
        direct_allowed: They are verified, or the person agreed that they see our IP address.
    """

    id: int
    name: str
    usid: Usid = field(repr=False)
    address: Address
    origin: str
    state: ContactState
    is_verified: bool
    record: AccountRecord | None
    record_checked: Millis
    named_version: int
    named_tries: int
    named_since: Millis
    frozen: str | None
    profile_key: bytes | None = field(repr=False)
    has_our_profile_key: bool
    direct_allowed: bool

    @property
    def origins(self) -> tuple[str, ...]:
        """Where they receive: as their record says, else as the card hints."""
        return self.record.origins if self.record else (self.origin,)

    @property
    def access(self) -> AccessKey:
        """The key that opens their mailbox for us."""
        return kdf.access_key(self.profile_key) if self.profile_key else kdf.request_key(self.usid)

    @property
    def record_name(self) -> RecordName:
        """Which of their records we know."""
        return RecordName(self.record.version, self.record.hash) if self.record else UNKNOWN_RECORD

    def conversation_with(self, ours: Address) -> ConversationId:
        """Return the id of our conversation, the same on both sides."""
        return ConversationId(hash_of(labels.CONVERSATION, *sorted((ours, self.address)))[:16])

    def peer(self, device_id: DeviceId) -> Peer | None:
        """Return one device of their newest record, or None."""
        device = self.record.device(device_id) if self.record else None
        return Peer(self.address, device) if device else None

    def public(self) -> Contact:
        """Return what callers see."""
        return Contact(
            name=self.address.hex()[:REQUEST_ID_LENGTH] if self.state == "request" else self.name,
            usid=self.usid,
            address=self.address,
            origin=self.origins[0],
            state=self.state,
            verified=self.is_verified,
            frozen=self.frozen,
            devices=len(self.record.devices) if self.record else 0,
            direct_allowed=self.direct_allowed,
        )


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """One device of a contact: sessions, counters, envelope prekey.

    Attributes:
        revision: Of the row that was read; a write under another one is a conflict.
        next_counter: The counter we expect next; 0 if whichever comes first is the first.
        broken_session: Its messages could not be read, so a reset is due; empty bytes when no id is known.
        is_break_proven: We know that session; else anyone could have named it.
    """

    contact: int
    device: DeviceId
    sessions: Sessions
    revision: int
    sent_counter: int
    next_counter: int
    envelope_prekey: Prekey | None
    envelope_fetched: Millis
    broken_session: SessionId | None
    is_break_proven: bool
    reset_sent: Millis


class NameTaken(Misuse):
    """A contact has this name already."""

    code = "name-taken"


def check_name(name: str) -> str:
    """Return a name a person may give: 1 to 64 code points, printable, no white space around it.

    Raises:
        Misuse: Anything else.
    """
    if not 1 <= len(name) <= MAX_NAME or name != name.strip() or not name.isprintable():
        raise Misuse(f"a name has 1 to {MAX_NAME} printable characters, and no space before or behind")
    return name


def contact_by_name(store: Store, name: str) -> ContactRow:
    """Return the accepted or blocked contact of this name.

    Raises:
        Misuse: There is none.
    """
    row = store.one("SELECT * FROM contacts WHERE name = ? AND state IN ('accepted', 'blocked')", name)
    if row is None:
        raise Misuse(f"no contact named {name!r}: see 'halonyx contact list'")
    return contact_row(row)


def contact_by_id(store: Store, contact_id: int) -> ContactRow:
    """Return a contact by its row id, which must exist."""
    return contact_row(store.one("SELECT * FROM contacts WHERE id = ?", contact_id))


def check_accepted(store: Store, contact: ContactRow, wanted: str) -> None:
    """Make sure, inside the caller's transaction, that nobody blocked or removed a contact since `contact` was read.

    Args:
        wanted: What was to be done, for the words.

    Raises:
        Misuse: They may not be written to.
    """
    state = contact_by_id(store, contact.id).state
    if state == "blocked":
        raise Misuse(f"{contact.name} is blocked: unblock before you {wanted}")
    if state != "accepted":
        raise Misuse(f"{contact.name} is no contact any more: see 'halonyx contact list'")


def contact_by_address(store: Store, address: Address) -> ContactRow | None:
    """Return the contact of this address, whatever its state, or None."""
    row = store.one("SELECT * FROM contacts WHERE address = ?", address)
    return None if row is None else contact_row(row)


def contact_row(row: Row) -> ContactRow:
    """Make a contact of its row."""
    return ContactRow(
        id=row["id"],
        name=row["name"],
        usid=Usid(row["usid"]),
        address=Address(row["address"]),
        origin=row["origin"],
        state=cast("ContactState", row["state"]),
        is_verified=bool(row["is_verified"]),
        record=cached_record(row["record"]) if row["record"] else None,
        record_checked=row["record_checked"],
        named_version=row["named_version"],
        named_tries=row["named_tries"],
        named_since=row["named_since"],
        frozen=row["frozen"],
        profile_key=row["profile_key"],
        has_our_profile_key=bool(row["has_our_profile_key"]),
        direct_allowed=bool(row["direct_allowed"] or row["is_verified"]),
    )


def device_row(store: Store, contact_id: int, device: DeviceId) -> DeviceRow:
    """Return a device's row, made empty if there is none yet."""
    sql = "SELECT * FROM devices WHERE contact = ? AND device = ?"
    row = store.one(sql, contact_id, device)
    if row is None:
        empty = encode_sessions(Sessions())
        # What a device sent while its owner was blocked is not missing.
        insert = "INSERT INTO devices (contact, device, sessions, next_counter) SELECT id, ?, ?, unblocked = 0"
        store.execute(insert + " FROM contacts WHERE id = ?", device, empty, contact_id)
        return device_row(store, contact_id, device)
    return DeviceRow(
        contact=contact_id,
        device=device,
        sessions=parse_sessions(row["sessions"]),
        revision=row["revision"],
        sent_counter=row["sent_counter"],
        next_counter=row["next_counter"],
        envelope_prekey=Prekey.parse(row["envelope_prekey"]) if row["envelope_prekey"] else None,
        envelope_fetched=row["envelope_fetched"],
        broken_session=None if row["broken_session"] is None else SessionId(row["broken_session"]),
        is_break_proven=bool(row["is_break_proven"]),
        reset_sent=row["reset_sent"],
    )


def save_sessions(store: Store, row: DeviceRow, sessions: Sessions) -> None:
    """Store a device's sessions, inside the caller's transaction.

    Raises:
        StorageConflict: Another process stored them since `row` was read.
    """
    changed = store.execute(
        "UPDATE devices SET sessions = ?, revision = revision + 1 WHERE contact = ? AND device = ? AND revision = ?",
        encode_sessions(sessions),
        row.contact,
        row.device,
        row.revision,
    )
    if changed != 1:
        raise StorageConflict("the session was changed meanwhile")
