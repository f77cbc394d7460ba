"""Invites in identity.db: each lets one person sign up, once, until it expires.

Stored is the SHA-256 of 16 random bytes and the day on which it expires, nothing about who made or used it. How many a
member made is a number for this week, kept apart from the invites.

Source: spec/delivery.md, "Sign-up".
"""

import secrets
from pathlib import Path
from typing import Final, NewType

import apsw

from halonyx.core.errors import Misuse
from halonyx.core.primitives import sha256
from halonyx.core.types import DAY, Address, Millis
from halonyx.relay.admin_log import AdminEvent, note
from halonyx.relay.secrets import pseudonym
from halonyx.relay.store.database import Database
from halonyx.relay.store.file import Schema, open_file, refusal

MIGRATION: Final = """
    create table invite(
        hash blob not null primary key,
        expires integer not null
    ) strict, without rowid;
    create table minted(
        row blob not null primary key,
        week integer not null,
        count integer not null
    ) strict, without rowid;
"""
WEEK: Final = 7 * DAY
INVITE_SIZE: Final = 16

Invite = NewType("Invite", str)
"""16 random bytes in lowercase hex."""


def new_invite() -> Invite:
    """Draw an invite."""
    return Invite(secrets.token_hex(INVITE_SIZE))


def expiry(now: Millis, days: int) -> Millis:
    """Return when an invite made now expires: at the end of a day, so that its time joins it with no one's call."""
    return Millis((now // DAY + days + 1) * DAY)


def spend(connection: apsw.Connection, invite: Invite, now: Millis) -> bool:
    """Use an invite up, inside the transaction that makes the account; False if there is none, or no more."""
    connection.execute("delete from invite where hash = ? and expires > ?", (_hash(invite), now))
    return connection.changes() == 1


class InviteStore:
    """Invites of one relay.

    Args:
        database: identity.db.
        pepper: 32 bytes, `Secrets.identity_pepper`.
    """

    def __init__(self, database: Database, pepper: bytes) -> None:
        self._database = database
        self._pepper = pepper

    def holds(self, invite: Invite, now: Millis) -> bool:
        """Tell whether somebody may sign up with it."""
        query = "select 1 from invite where hash = ? and expires > ?"
        return bool(self._database.read(lambda connection: connection.execute(query, (_hash(invite), now)).get))

    async def mint(self, address: Address, now: Millis, *, a_week: int, days: int) -> tuple[Invite, Millis] | None:
        """Make an invite for a member to give away; None if they have made `a_week` since the week began."""
        row, week, invite = pseudonym(self._pepper, address), now // WEEK, new_invite()

        def job(connection: apsw.Connection) -> bool:
            connection.execute("delete from minted where week != ?", (week,))
            made = connection.execute("select count from minted where row = ?", (row,)).get
            if int(made or 0) >= a_week:
                return False
            connection.execute(
                "insert into minted values (?, ?, 1) on conflict (row) do update set count = count + 1", (row, week)
            )
            connection.execute("insert into invite values (?, ?)", (_hash(invite), expiry(now, days)))
            return True

        return (invite, expiry(now, days)) if await self._database.write(job) else None

    async def forget_expired(self, now: Millis) -> None:
        """Drop invites whose time is over, and the counts of weeks that are."""

        def job(connection: apsw.Connection) -> None:
            connection.execute("delete from invite where expires <= ?", (now,))
            connection.execute("delete from minted where week != ?", (now // WEEK,))

        await self._database.write(job, may_grow=False)

    async def forget_all(self) -> None:
        """Drop every invite: in a restored file some were used before."""
        await self._database.write(lambda connection: connection.execute("delete from invite").fetchall())


def make_invites(path: Path, schema: Schema, count: int, expires: Millis) -> list[Invite]:
    """Put invites into identity.db from another process than the relay's, which may run.

    Args:
        path: identity.db.
        schema: What it must hold; it is not migrated here.
        count: How many.
        expires: From `expiry`.

    Raises:
        Misuse: There is no such file, or it is an earlier program's.
        StoreError: It is damaged, or can't be written.
    """
    if not path.is_file():
        raise Misuse(f"there is no relay in {path.parent}: name its folder with --data, or start it once")
    invites = [new_invite() for _ in range(count)]
    try:
        connection = open_file(path)
        try:
            if connection.pragma("user_version") != len(schema.migrations):
                raise Misuse("the relay's files are another version's: start this version's relay once")
            with connection:
                connection.executemany(
                    "insert into invite values (?, ?)", [(_hash(invite), expires) for invite in invites]
                )
        finally:
            connection.close()
    except apsw.Error as error:
        raise refusal(path, error) from None
    note(path.parent, AdminEvent.INVITED, count=count)
    return invites


def _hash(invite: Invite) -> bytes:
    return sha256(bytes.fromhex(invite))
