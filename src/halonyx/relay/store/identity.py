"""identity.db: which management key holds an address, which devices it has, and their login keys.

No name, e-mail or phone column, unless the operator asks for names (details.py), and no time but that of the signed
calls of the last minutes, which no row joins with an account: rows are keyed by a pseudonym of the address under this
file's pepper.
A change that touches more than this file is announced here first, so that a crash in the middle can be tidied up:
SQLite does not commit atomically across files. Which record is current is sealed: its hash in clear would join this
file's rows with those of keys.db.

Source: spec/delivery.md, "Accounts at the relay".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Final, NewType

import apsw

from halonyx.core.labels import RELAY_PSEUDONYM
from halonyx.core.primitives import SigningKey, VerifyKey, hmac_sha256
from halonyx.core.types import Address, DeviceId, Millis
from halonyx.relay.secrets import pseudonym
from halonyx.relay.store import details, invites
from halonyx.relay.store.database import Database, Schema
from halonyx.relay.store.invites import Invite
from halonyx.relay.store.sealing import seal, sealing_key, unseal
from halonyx.wire.rest_account import ContactDetails

SCHEMA: Final = Schema(
    application_id=0x48584944,  # "HXID"
    migrations=(
        """
        create table account(
            row blob not null primary key,
            management_key blob not null,
            sealed_record_hash blob,
            highest_device integer not null
        ) strict, without rowid;
        create table device(
            row blob not null references account(row) on delete cascade,
            device integer not null,
            login_key blob not null,
            primary key (row, device)
        ) strict, without rowid;
        create table intent(
            id integer not null primary key,
            sealed_address blob not null
        ) strict;
        create table call(
            name blob not null primary key,
            expires integer not null
        ) strict, without rowid;
        create index call_expires on call(expires);
        """,
        invites.MIGRATION,
    ),
    shuffled=("account", "device", details.NAME),
)

_NO_KEY: Final = SigningKey.generate().public.raw
_INTENT: Final = b"intent"  # no pseudonym is this short

Intent = NewType("Intent", int)
"""Number of an announced change."""


@dataclass(frozen=True, slots=True)
class Account:
    """One row of identity.db.

    Attributes:
        management_key: Holds the address for ever.
        record_hash: SHA-256 of the sealed record that is current, or None after deletion.
        devices: Login key of each device.
        highest_device: Largest device id ever used under this address, also before a deletion.
    """

    management_key: VerifyKey = field(repr=False)
    record_hash: bytes | None = field(repr=False)
    devices: Mapping[DeviceId, VerifyKey] = field(repr=False)
    highest_device: int


class Change(Enum):
    """How a change of an account ended."""

    DONE = auto()
    REPEATED = auto()
    ADDRESS_TAKEN = auto()
    CONFLICT = auto()
    DEVICE_ID_USED = auto()
    BAD_INVITE = auto()


class IdentityStore:
    """Accounts and their devices.

    Args:
        database: identity.db, opened with SCHEMA.
        pepper: 32 bytes, `Secrets.identity_pepper`.
    """

    def __init__(self, database: Database, pepper: bytes) -> None:
        self.database = database
        self._pepper = pepper
        self._seal_key = sealing_key(pepper)

    async def ask_for_details(self) -> None:
        """Make a place for names and e-mail addresses, if there is none."""
        await self.database.write(lambda connection: connection.execute(details.TABLE).fetchall())

    def account(self, address: Address) -> Account | None:
        """Return the account or the reservation that a deleted one left."""
        row = pseudonym(self._pepper, address)
        return self.database.read(lambda connection: self._account(connection, row))

    def login_key(self, address: Address, device: DeviceId) -> VerifyKey | None:
        """Return the key by which a device proves itself, or None; the same work for either."""
        query = "select login_key from device where row = ? and device = ?"
        return self._key(query, (pseudonym(self._pepper, address), device))

    def management_key(self, address: Address) -> VerifyKey | None:
        """Return the key that holds an address, also after deletion, or None; the same work for either."""
        return self._key("select management_key from account where row = ?", (pseudonym(self._pepper, address),))

    def _key(self, query: str, bindings: tuple[bytes | int, ...]) -> VerifyKey | None:
        found = self.database.read(lambda connection: connection.execute(query, bindings).fetchone())
        key = VerifyKey(_NO_KEY if found is None else found[0])
        return None if found is None else key

    async def announce(self, address: Address, *, is_removal: bool = False) -> Intent:
        """Note durably that a change of several files begins; a removal may be noted on a full disk too."""
        sealed = seal(self._seal_key, address, _INTENT)
        return await self.database.write(lambda connection: _announce(connection, sealed), may_grow=not is_removal)

    async def settle(self, intent: Intent) -> None:
        """Forget an announced change: every file is as this one says."""
        await self.database.write(
            lambda connection: connection.execute("delete from intent where id = ?", (intent,)).fetchall(),
            may_grow=False,
        )

    def announced(self) -> list[tuple[Intent, Address]]:
        """Return the changes that a crash interrupted, oldest first.

        Raises:
            StoreError: An entry was sealed under other secrets.
        """
        rows: Any = self.database.read(
            lambda connection: connection.execute("select id, sealed_address from intent order by id").fetchall()
        )
        return [(Intent(number), Address(unseal(self._seal_key, sealed, _INTENT))) for number, sealed in rows]

    async def note_call(self, call: bytes, now: Millis, expires: Millis) -> bool:
        """Note a signed call until its signature is too old to be taken again, also over a restart.

        Args:
            call: The key that signed, and the nonce.
            now: Milliseconds since 1970; what expired by then is dropped.
            expires: The same.

        Returns:
            False if it was noted before.
        """
        name = hmac_sha256(self._pepper, RELAY_PSEUDONYM + b"\x00" + call)  # longer than an address

        def job(connection: apsw.Connection) -> bool:
            connection.execute("delete from call where expires < ?", (now,))
            connection.execute("insert or ignore into call values (?, ?)", (name, expires))
            return connection.changes() == 1

        return await self.database.write(job, may_grow=False)

    async def register(  # noqa: PLR0913 (what an account is made of)
        self,
        address: Address,
        management_key: VerifyKey,
        record_hash: bytes,
        device: tuple[DeviceId, VerifyKey],
        invite: tuple[Invite, Millis] | None = None,
        *,
        contact: ContactDetails | None = None,
    ) -> Change:
        """Make an account: this commit is the moment from which it exists.

        Args:
            record_hash: SHA-256 of the sealed record, which keys.db already has.
            device: The first device and its login key.
            invite: What is used up by it, and the time; None where none is needed.
            contact: For the operator, after `ask_for_details`.

        Returns:
            DONE; REPEATED for the very same call; ADDRESS_TAKEN if another management key holds the address;
            CONFLICT if the same one has an account with other content; BAD_INVITE if it was used meanwhile.
        """
        row = pseudonym(self._pepper, address)

        def job(connection: apsw.Connection) -> Change:
            account = self._account(connection, row)
            if account is not None and account.management_key != management_key:
                return Change.ADDRESS_TAKEN
            if account is not None and account.record_hash is not None:
                is_same = account.record_hash == record_hash and dict(account.devices) == dict([device])
                return Change.REPEATED if is_same else Change.CONFLICT
            if account is not None and device[0] <= account.highest_device:
                return Change.DEVICE_ID_USED  # also after a deletion: contacts may still know the former device
            if invite is not None and not invites.spend(connection, *invite):
                return Change.BAD_INVITE
            connection.execute(
                "insert into account values (?, ?, ?, ?) on conflict (row) do update"
                " set sealed_record_hash = excluded.sealed_record_hash, highest_device = excluded.highest_device",
                (row, management_key.raw, seal(self._seal_key, record_hash, row), device[0]),
            )
            connection.execute("insert into device values (?, ?, ?)", (row, device[0], device[1].raw))
            self.database.shuffling.note()
            if contact is not None:
                details.put(connection, row, seal(self._seal_key, contact.to_json(), details.PLACE + row))
            return Change.DONE

        return await self.database.write(job)

    async def replace(
        self, address: Address, replaces: bytes, record_hash: bytes, devices: Mapping[DeviceId, VerifyKey]
    ) -> Change:
        """Exchange record and device list if the record is still the one the caller knows.

        Args:
            replaces: SHA-256 of the sealed record that is to go.
            record_hash: SHA-256 of the new one, which keys.db already has.
            devices: All devices from now on.

        Returns:
            DONE, REPEATED (already so), CONFLICT or DEVICE_ID_USED.
        """
        row = pseudonym(self._pepper, address)

        def job(connection: apsw.Connection) -> Change:
            account = self._account(connection, row)
            change = judge_replacement(account, replaces, record_hash, devices)
            if change is Change.DONE and account is not None:
                highest = max(account.highest_device, *devices)
                connection.execute(
                    "update account set sealed_record_hash = ?, highest_device = ? where row = ?",
                    (seal(self._seal_key, record_hash, row), highest, row),
                )
                connection.execute("delete from device where row = ?", (row,))
                self.database.shuffling.note()
                connection.executemany(
                    "insert into device values (?, ?, ?)", [(row, number, key.raw) for number, key in devices.items()]
                )
            return change

        return await self.database.write(job)

    async def delete(self, address: Address) -> None:
        """End an account; what stays is which management key holds the address and which device ids are used up."""
        row = pseudonym(self._pepper, address)

        def job(connection: apsw.Connection) -> None:
            connection.execute("delete from device where row = ?", (row,))
            connection.execute("update account set sealed_record_hash = null where row = ?", (row,))
            details.delete(connection, row)

        await self.database.write(job, may_grow=False)

    def _account(self, connection: apsw.Connection, row: bytes) -> Account | None:
        found = connection.execute(
            "select management_key, sealed_record_hash, highest_device from account where row = ?", (row,)
        ).fetchone()
        if found is None:
            return None
        management_key, sealed, highest = found
        devices = connection.execute("select device, login_key from device where row = ? order by device", (row,))
        keys = {DeviceId(number): VerifyKey(key) for number, key in devices}
        record_hash = None if sealed is None else unseal(self._seal_key, sealed, row)
        return Account(VerifyKey(management_key), record_hash, keys, highest)


def judge_replacement(
    account: Account | None, replaces: bytes, record_hash: bytes, devices: Mapping[DeviceId, VerifyKey]
) -> Change:
    """Say what a replacement of record and devices would come to.

    Args:
        account: As it is now.
        replaces: SHA-256 of the record the caller believes current.
        record_hash: SHA-256 of the record the caller brings.
        devices: All devices the caller wants.

    Returns:
        DONE, REPEATED, CONFLICT, or DEVICE_ID_USED: an id names one device for ever, so neither a new login key
        under a known id nor the id of a removed device is taken.
    """
    if account is None or account.record_hash is None:
        return Change.CONFLICT
    if account.record_hash == record_hash and dict(account.devices) == dict(devices):
        return Change.REPEATED
    if account.record_hash != replaces:
        return Change.CONFLICT
    for number, key in devices.items():
        known = account.devices.get(number)
        if known != key and (known is not None or number <= account.highest_device):
            return Change.DEVICE_ID_USED
    return Change.DONE


def _announce(connection: apsw.Connection, sealed: bytes) -> Intent:
    connection.execute("insert into intent(sealed_address) values (?)", (sealed,))
    return Intent(connection.last_insert_rowid())
