"""keys.db: sealed records and sealed prekeys. Hands out each one-time prekey once, and only after the disk knows.

A pop is DELETE … RETURNING, committed before the answer leaves: a power cut may lose a prekey, never give it twice.
Numbers that were used stay used: the highest id handed out (or current) is kept per device and use, so that a request
recorded and sent again brings nothing back.

Source: spec/delivery.md, "Prekeys at the relay".
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import apsw

from halonyx.core.errors import HalonyxError
from halonyx.core.primitives import sha256
from halonyx.core.types import Address, DeviceId, Millis, PrekeyId
from halonyx.relay.secrets import pseudonym
from halonyx.relay.store.database import Database, Schema
from halonyx.wire.rest_directory import (
    ONE_TIME_USES,
    REPLACED_USES,
    USE_ENVELOPE,
    USE_LAST_RESORT,
    USE_ONE_TIME,
    USE_ONE_TIME_KEM,
    USE_SIGNED,
    Bundle,
    Prekey,
    StoredPrekey,
)

SCHEMA: Final = Schema(
    application_id=0x48584B59,  # "HXKY"
    migrations=(
        """
        create table record(
            row blob not null,
            hash blob not null,
            blob blob not null,
            primary key (row, hash)
        ) strict, without rowid;
        create table prekey(
            row blob not null,
            device integer not null,
            use integer not null,
            id integer not null,
            blob blob not null,
            primary key (row, device, use, id)
        ) strict, without rowid;
        create table high_water(
            row blob not null,
            device integer not null,
            use integer not null,
            id integer not null,
            primary key (row, device, use)
        ) strict, without rowid;
        create table fetch(
            row blob not null,
            device integer not null,
            fetch_id blob not null,
            expires integer not null,
            bundle blob not null,
            primary key (row, device, fetch_id)
        ) strict, without rowid;
        create index fetch_expires on fetch(expires);
        """,
    ),
)
_TABLES_BY_DEVICE: Final = ("prekey", "high_water", "fetch")


class PrekeysFull(HalonyxError):
    """A device would store more one-time prekeys of one use than it may; nothing was stored."""

    code = "prekeys-full"


@dataclass(frozen=True, slots=True)
class Slot:
    """One device of one account, as keys.db names it."""

    row: bytes = field(repr=False)
    device: DeviceId


class KeyStore:
    """Records, prekeys and the bundles made of them.

    Args:
        database: keys.db, opened with SCHEMA.
        pepper: 32 bytes, `Secrets.keys_pepper`.
        one_time_cap: One-time prekeys a device stores per use.
        cache: Milliseconds in which a repeated fetch gets the same bundle at least; at most twice as long.
    """

    def __init__(self, database: Database, pepper: bytes, *, one_time_cap: int, cache: Millis) -> None:
        self.database = database
        self._pepper = pepper
        self._cap = one_time_cap
        self._cache = cache

    def _slot(self, address: Address, device: DeviceId) -> Slot:
        return Slot(pseudonym(self._pepper, address), device)

    def record(self, address: Address, record_hash: bytes) -> bytes | None:
        """Return the sealed record whose SHA-256 is `record_hash`."""
        row = pseudonym(self._pepper, address)
        found = self.database.read(
            lambda connection: connection.execute(
                "select blob from record where row = ? and hash = ?", (row, record_hash)
            ).fetchone()
        )
        return None if found is None else bytes(found[0])

    def envelope_prekey(self, address: Address, device: DeviceId) -> StoredPrekey | None:
        """Return what envelopes to the device are sealed with."""
        slot = self._slot(address, device)
        return self.database.read(lambda connection: _current(connection, slot, USE_ENVELOPE))

    def counts(self, address: Address, device: DeviceId) -> tuple[int, int]:
        """Return how many one-time prekeys and one-time KEM prekeys are left."""
        slot = self._slot(address, device)
        return self.database.read(
            lambda connection: (_count(connection, slot, USE_ONE_TIME), _count(connection, slot, USE_ONE_TIME_KEM))
        )

    async def stage(
        self, address: Address, record: bytes, devices: Sequence[tuple[DeviceId, Sequence[Prekey]]]
    ) -> None:
        """Store a record beside the current one, and the prekeys of devices.

        identity.db decides which record counts, so staging changes nothing a reader sees.

        Raises:
            PrekeysFull: A device would store too many.
        """
        row = pseudonym(self._pepper, address)

        def job(connection: apsw.Connection) -> None:
            connection.execute("insert or ignore into record values (?, ?, ?)", (row, sha256(record), record))
            for device, prekeys in devices:
                _publish(connection, Slot(row, device), prekeys, self._cap)

        await self.database.write(job)

    async def publish(
        self, address: Address, device: DeviceId, prekeys: Sequence[Prekey], one_time_from: PrekeyId
    ) -> tuple[int, int]:
        """Store a device's prekeys and return the counts of one-time ones.

        Signed, envelope and last-resort prekeys replace the former one. An id not above the highest one used before
        is passed over, so the same call may come any number of times.

        Args:
            one_time_from: One-time prekeys with a smaller id are dropped: their owner has renewed them.

        Raises:
            PrekeysFull: Too many one-time prekeys; nothing has changed.
        """
        slot = self._slot(address, device)

        def job(connection: apsw.Connection) -> tuple[int, int]:
            _drop_one_time(connection, slot, one_time_from)
            _publish(connection, slot, prekeys, self._cap)
            return _count(connection, slot, USE_ONE_TIME), _count(connection, slot, USE_ONE_TIME_KEM)

        return await self.database.write(job)

    def fetched(self, address: Address, device: DeviceId, fetch_id: bytes, now: Millis) -> Bundle | None:
        """Return the bundle this fetch got before, if that is not too long ago."""
        slot = self._slot(address, device)
        return self.database.read(lambda connection: _fetched(connection, slot, fetch_id, now))

    async def pop_bundle(
        self, address: Address, device: DeviceId, fetch_id: bytes, now: Millis, *, with_one_time: bool = True
    ) -> Bundle | None:
        """Take one of each prekey; the one-time ones are gone for ever when this returns.

        Args:
            with_one_time: False leaves the one-time prekeys for others.
            fetch_id: 16 random bytes of the caller; repeating them within the cache time gets the same bundle.

        Returns:
            The bundle, or None if the device is not there or lacks a signed, envelope or last-resort prekey.
        """
        slot = self._slot(address, device)
        # Not to the millisecond: the stranger's envelope that follows has its time in app.db, and would join the files.
        expires = (now // self._cache + 2) * self._cache if self._cache else now

        def job(connection: apsw.Connection) -> Bundle | None:
            known = _fetched(connection, slot, fetch_id, now)
            if known is not None:
                return known
            bundle = _pop_bundle(connection, slot, with_one_time=with_one_time)
            if bundle is not None:
                connection.execute(
                    "insert or replace into fetch values (?, ?, ?, ?, ?)",
                    (slot.row, device, fetch_id, expires, bundle.to_json()),
                )
            return bundle

        return await self.database.write(job)

    async def keep_only(self, address: Address, record_hash: bytes | None, devices: Iterable[DeviceId]) -> None:
        """Drop every other record and everything of every other device of the account."""
        row, kept = pseudonym(self._pepper, address), set(devices)

        def job(connection: apsw.Connection) -> None:
            connection.execute("delete from record where row = ? and hash is not ?", (row, record_hash))
            for table in _TABLES_BY_DEVICE:
                stored = connection.execute(f"select distinct device from {table} where row = ?", (row,)).fetchall()  # noqa: S608 (constant names)
                gone = [(row, number) for (number,) in stored if number not in kept]
                connection.executemany(f"delete from {table} where row = ? and device = ?", gone)  # noqa: S608

        await self.database.write(job, may_grow=False)

    async def forget_one_time(self) -> None:
        """Drop all one-time prekeys and cached bundles: in a restored file some were handed out before.

        Their owners bring new ones when they log in next.
        """

        def job(connection: apsw.Connection) -> None:
            connection.executemany("delete from prekey where use = ?", [(use,) for use in ONE_TIME_USES])
            connection.execute("delete from fetch")

        await self.database.write(job, may_grow=False)

    async def forget_fetches(self, now: Millis) -> None:
        """Drop cached bundles whose time is over."""
        await self.database.write(
            lambda connection: connection.execute("delete from fetch where expires <= ?", (now,)).fetchall(),
            may_grow=False,
        )


def _current(connection: apsw.Connection, slot: Slot, use: int) -> StoredPrekey | None:
    found = connection.execute(
        "select id, blob from prekey where row = ? and device = ? and use = ?", (slot.row, slot.device, use)
    ).fetchone()
    return None if found is None else StoredPrekey(id=found[0], blob=found[1])


def _count(connection: apsw.Connection, slot: Slot, use: int) -> int:
    found: Any = connection.execute(
        "select count(*) from prekey where row = ? and device = ? and use = ?", (slot.row, slot.device, use)
    ).fetchone()
    return int(found[0])


def _high_water(connection: apsw.Connection, slot: Slot, use: int) -> int:
    found = connection.execute(
        "select id from high_water where row = ? and device = ? and use = ?", (slot.row, slot.device, use)
    ).fetchone()
    return 0 if found is None else int(found[0])


def _raise_high_water(connection: apsw.Connection, slot: Slot, use: int, number: int) -> None:
    connection.execute(
        "insert into high_water values (?, ?, ?, ?) on conflict (row, device, use) do update"
        " set id = max(id, excluded.id)",
        (slot.row, slot.device, use, number),
    )


def _publish(connection: apsw.Connection, slot: Slot, prekeys: Sequence[Prekey], cap: int) -> None:
    highest = {use: _high_water(connection, slot, use) for use in (*REPLACED_USES, *ONE_TIME_USES)}
    for prekey in sorted(prekeys, key=lambda prekey: prekey.id):
        if prekey.id <= highest[prekey.use]:
            continue
        if prekey.use in REPLACED_USES:
            connection.execute(
                "delete from prekey where row = ? and device = ? and use = ?", (slot.row, slot.device, prekey.use)
            )
            _raise_high_water(connection, slot, prekey.use, prekey.id)
        connection.execute(
            "insert or ignore into prekey values (?, ?, ?, ?, ?)",
            (slot.row, slot.device, prekey.use, prekey.id, prekey.blob),
        )
    if any(_count(connection, slot, use) > cap for use in ONE_TIME_USES):
        raise PrekeysFull(f"a device stores at most {cap} one-time prekeys of one use")


def _drop_one_time(connection: apsw.Connection, slot: Slot, one_time_from: PrekeyId) -> None:
    for use in ONE_TIME_USES:
        connection.execute(
            "delete from prekey where row = ? and device = ? and use = ? and id < ?",
            (slot.row, slot.device, use, one_time_from),
        )
        # Else a recorded call would bring them back.
        _raise_high_water(connection, slot, use, one_time_from - 1)


def _fetched(connection: apsw.Connection, slot: Slot, fetch_id: bytes, now: Millis) -> Bundle | None:
    found = connection.execute(
        "select bundle from fetch where row = ? and device = ? and fetch_id = ? and expires > ?",
        (slot.row, slot.device, fetch_id, now),
    ).fetchone()
    return None if found is None else Bundle.model_validate_json(found[0])


def _pop_bundle(connection: apsw.Connection, slot: Slot, *, with_one_time: bool) -> Bundle | None:
    signed = _current(connection, slot, USE_SIGNED)
    envelope = _current(connection, slot, USE_ENVELOPE)
    last_resort = _current(connection, slot, USE_LAST_RESORT)
    if signed is None or envelope is None or last_resort is None:
        return None
    return Bundle(
        signed_prekey=signed,
        envelope_prekey=envelope,
        last_resort_prekey=last_resort,
        one_time_prekey=_pop(connection, slot, USE_ONE_TIME) if with_one_time else None,
        one_time_kem_prekey=_pop(connection, slot, USE_ONE_TIME_KEM) if with_one_time else None,
    )


def _pop(connection: apsw.Connection, slot: Slot, use: int) -> StoredPrekey | None:
    found: Any = connection.execute(
        "delete from prekey where row = ?1 and device = ?2 and use = ?3 and id ="
        " (select min(id) from prekey where row = ?1 and device = ?2 and use = ?3) returning id, blob",
        (slot.row, slot.device, use),
    ).fetchall()
    if not found:
        return None
    number, blob = found[0]
    _raise_high_water(connection, slot, use, number)
    return StoredPrekey(id=number, blob=blob)
