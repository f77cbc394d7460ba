"""app.db: mailboxes and the hashes of the keys that open them.

A mailbox is one device's queue: an epoch, a sequence counter, envelopes. Rows are named by a pseudonym of address
and device under this file's pepper; nothing says who sent an envelope.

Source: spec/delivery.md, "Mailbox".
"""

import os
from array import array
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from secrets import randbits
from typing import Final, cast

import apsw

from halonyx.core.labels import RELAY_PSEUDONYM
from halonyx.core.primitives import hmac_sha256
from halonyx.core.types import Address, DeviceId
from halonyx.relay.decide import KeyKind, Limits, key_kind, start_after
from halonyx.relay.store.database import Database, Schema
from halonyx.relay.store.intake import Clock, Intake, Listener, read_hashes, system_clock
from halonyx.wire.frames import EPOCH_SIZE

SCHEMA: Final = Schema(
    application_id=0x48584150,  # "HXAP"
    migrations=(
        """
        create table account(
            id integer not null primary key,
            name blob not null unique,
            access_hash blob,
            request_hash blob
        ) strict;
        create table mailbox(
            id integer primary key autoincrement, -- never used again: a connection may know a mailbox that is gone
            name blob not null unique,
            account integer not null references account(id),
            epoch blob not null,
            next_seq integer not null
        ) strict;
        create index mailbox_of_account on mailbox(account);
        create table envelope(
            row integer not null primary key,
            mailbox integer not null references mailbox(id),
            seq integer not null,
            envelope_id blob not null,
            time integer not null,
            is_request integer not null,
            size integer not null,
            body blob not null
        ) strict;
        create unique index envelope_by_id on envelope(mailbox, envelope_id);
        create unique index envelope_by_seq on envelope(mailbox, seq);
        create index envelope_by_time on envelope(time);
        """,
        """
        create table drop_file(
            id integer primary key autoincrement, -- never used again: a part may be on its way to a file that is gone
            name blob not null unique,
            mailbox integer not null references mailbox(id),
            size integer not null,
            received integer not null,
            created integer not null,
            delete_hash blob not null,
            upload_hash blob not null
        ) strict;
        create index drop_file_of_mailbox on drop_file(mailbox);
        create index drop_file_by_time on drop_file(created);
        """,
    ),
    shuffled=("account", "mailbox"),
)
_ID_BITS: Final = 63  # random: numbers in a row would tell who came before whom
SWEEP_BATCH: Final = 1000

FilesGone = Callable[[list[bytes]], Awaitable[None]]
"""Removes the files of drops whose rows went with their mailbox."""


async def _no_files(names: list[bytes]) -> None:
    """Stand in while nobody keeps files."""


class Names:
    """Pseudonyms of app.db.

    Args:
        pepper: 32 bytes, `Secrets.app_pepper`.
    """

    __slots__ = ("_pepper",)

    def __init__(self, pepper: bytes) -> None:
        self._pepper = pepper

    def account(self, address: Address) -> bytes:
        """Return the name of an account, 32 bytes."""
        return hmac_sha256(self._pepper, RELAY_PSEUDONYM + b"\x00" + address)

    def mailbox(self, address: Address, device: DeviceId) -> bytes:
        """Return the name of a device's mailbox, 32 bytes."""
        return hmac_sha256(self._pepper, RELAY_PSEUDONYM + b"\x00" + address + device.to_bytes(1, "big"))

    def drop(self, drop: bytes) -> bytes:
        """Return the name of an encrypted file, 32 bytes; a drop id has 16, an address 32."""
        return hmac_sha256(self._pepper, RELAY_PSEUDONYM + b"\x00" + drop)


@dataclass(frozen=True, slots=True)
class Stored:
    """One envelope read back for delivery."""

    row: int
    seq: int
    envelope_id: bytes
    time: int
    envelope: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Opened:
    """A mailbox at HELLO: delivery goes from the first row behind `after`."""

    box: int
    epoch: bytes
    head: int
    after: int


class MailboxStore:
    """The store of envelopes. Submissions and acknowledgements reach it as `database.post`, many at a time.

    Args:
        database: app.db, opened with SCHEMA.
        pepper: 32 bytes, `Secrets.app_pepper`.
        limits: The operator's bounds.
        clock: Milliseconds since 1970.
    """

    def __init__(self, database: Database, pepper: bytes, limits: Limits, clock: Clock = system_clock) -> None:
        self.database = database
        self.names = Names(pepper)
        self._limits = limits
        self._clock = clock
        self._listener: Listener | None = None
        self._intake = Intake(limits, clock)
        self.on_files_gone: FilesGone = _no_files

    def attach(self, listener: Listener) -> None:
        """Start to take submissions, on the event loop; `listener` hears what became of them."""
        self._listener = listener
        self._intake.listener = listener
        self.database.attach(self._intake)

    # Accounts and devices: called by the routes; every call may be repeated.

    async def set_keys(self, address: Address, access_hash: bytes, request_hash: bytes | None) -> None:
        """Set the hashes of the keys, 32 bytes each; the old keys stop working with this commit.

        Args:
            request_hash: None leaves the request key as it is.
        """
        name = self.names.account(address)

        def job(connection: apsw.Connection) -> None:
            connection.execute(
                "insert into account(id, name, access_hash, request_hash) values(?, ?, ?, ?)"
                " on conflict(name) do update set access_hash = excluded.access_hash,"
                " request_hash = coalesce(excluded.request_hash, request_hash)",
                (randbits(_ID_BITS), name, access_hash, request_hash),
            )
            self.database.shuffling.note()
            self._intake.forget_account(name)

        await self.database.write(job, may_grow=False)

    async def create_mailbox(self, address: Address, device: DeviceId) -> bytes:
        """Make a device's mailbox if it has none, and return its epoch, 8 bytes."""
        account, name, epoch = self.names.account(address), self.names.mailbox(address, device), os.urandom(EPOCH_SIZE)

        def job(connection: apsw.Connection) -> bytes:
            connection.execute(
                "insert into account(id, name) values(?, ?) on conflict(name) do nothing", (randbits(_ID_BITS), account)
            )
            connection.execute(
                "insert into mailbox(id, name, account, epoch, next_seq)"
                " select ?, ?, id, ?, 1 from account where name = ?"
                " on conflict(name) do nothing",
                (randbits(_ID_BITS), name, epoch, account),
            )
            self.database.shuffling.note()
            self._intake.forget_mailbox(name)
            return cast(bytes, connection.execute("select epoch from mailbox where name = ?", (name,)).get)

        return await self.database.write(job)

    async def drop_mailbox(self, address: Address, device: DeviceId) -> None:
        """Delete a device's mailbox with everything in it, and close its connection."""
        name = self.names.mailbox(address, device)
        await self._drop(lambda connection: _ids(connection, "select id, name from mailbox where name = ?", name))

    async def drop_account(self, address: Address) -> None:
        """Delete all mailboxes and both key hashes of an account, and close its connections."""
        account = self.names.account(address)
        query = "select m.id, m.name from mailbox m join account a on a.id = m.account where a.name = ?"
        await self._drop(lambda connection: _ids(connection, query, account), account)

    async def _drop(
        self, find: Callable[[apsw.Connection], list[tuple[int, bytes]]], account: bytes | None = None
    ) -> None:
        def job(connection: apsw.Connection) -> tuple[list[bytes], list[bytes]]:
            found, files = find(connection), []
            for box, name in found:
                connection.execute("delete from envelope where mailbox = ?", (box,))
                gone = connection.execute("delete from drop_file where mailbox = ? returning name", (box,))
                files += [cast(bytes, file) for (file,) in gone]
                connection.execute("delete from mailbox where id = ?", (box,))
                self._intake.forget_mailbox(name)
            if account is not None:
                connection.execute("delete from account where name = ?", (account,))
                self._intake.forget_account(account)
            return [name for _, name in found], files

        names, files = await self.database.write(job, may_grow=False)
        for name in names:
            if self._listener is not None:
                self._listener.dropped(name)
        await self.on_files_gone(files)

    def check_key(self, address: Address, key: bytes) -> KeyKind | None:
        """Tell which key of the account this is; the same work for unknown accounts."""
        name = self.names.account(address)
        access_hash, request_hash = self.database.read(lambda connection: read_hashes(connection, name))
        return key_kind(access_hash, request_hash, key)

    def epoch(self, address: Address, device: DeviceId) -> bytes | None:
        """Return the epoch of a device's mailbox, 8 bytes, or None."""
        name = self.names.mailbox(address, device)
        return self.database.read(
            lambda connection: cast(
                "bytes | None", connection.execute("select epoch from mailbox where name = ?", (name,)).get
            )
        )

    async def renew_epochs(self) -> None:
        """Give every mailbox a new epoch: sequence numbers of a restored file may have been used before."""
        await self.database.write(
            lambda connection: connection.execute("update mailbox set epoch = randomblob(8)").fetchall()
        )

    # Delivery

    async def open(self, mailbox: bytes, epoch: bytes, cursor: int) -> Opened | None:
        """Carry out a HELLO: the cursor acknowledges, delivery starts behind it; None if there is no such mailbox."""

        def job(connection: apsw.Connection) -> Opened | None:
            row = connection.execute("select id, epoch, next_seq from mailbox where name = ?", (mailbox,)).fetchone()
            if row is None:
                return None
            box, ours, next_seq = row
            after = start_after(ours, epoch, cursor, next_seq - 1)
            connection.execute("delete from envelope where mailbox = ? and seq <= ?", (box, after))
            if connection.changes():
                self._intake.forget_mailbox(mailbox)
            return Opened(box, ours, next_seq - 1, after)

        return await self.database.write(job, may_grow=False)

    def waiting(self, box: int, after: int, messages: int) -> list[Stored]:
        """Read at most `messages` envelopes behind a sequence number, in order."""
        return self.database.read(
            lambda connection: [
                Stored(*row)
                for row in connection.execute(
                    "select row, seq, envelope_id, time, body from envelope where mailbox = ? and seq > ?"
                    " order by seq limit ?",
                    (box, after, messages),
                )
            ]
        )

    async def sweep(self) -> int:
        """Delete what has waited longer than the retention, in batches; return how many envelopes that were."""
        swept = 0
        while True:
            count = await self.database.write(self._sweep_batch, may_grow=False)
            swept += count
            if count < SWEEP_BATCH:
                return swept

    def _sweep_batch(self, connection: apsw.Connection) -> int:
        # By time and not by row: the clock may be set back, and one row with a late time must not stop the sweep.
        query = "select row from envelope where time < ? limit ?"
        found = connection.execute(query, (self._clock() - self._limits.retention_ms, SWEEP_BATCH))
        expired = array("q", (cast(int, row) for (row,) in found))
        self._intake.delete(connection, expired)
        return len(expired)


def _ids(connection: apsw.Connection, query: str, name: bytes) -> list[tuple[int, bytes]]:
    return cast("list[tuple[int, bytes]]", connection.execute(query, (name,)).fetchall())
