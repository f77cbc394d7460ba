"""app.db: idempotent submit, per-device order, caps, requests, expiry, and no row left over."""

import asyncio
import os
import random
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import apsw
import pytest

from halonyx.core.primitives import sha256
from halonyx.core.types import Address, DeviceId
from halonyx.relay.decide import KeyKind, Limits
from halonyx.relay.store import intake, mailbox
from halonyx.relay.store.database import Database
from halonyx.relay.store.intake import Acknowledged, Submission
from halonyx.relay.store.mailbox import MailboxStore
from halonyx.wire.frames import NO_EPOCH, Status
from relay.sockets_support import Device, Line, envelope, folder_bytes

PEPPER = bytes(range(32))


class Bench:
    """A store, a clock that is set by hand, and an ear for what is settled."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.now = 1_000_000
        self.database = Database(folder / "app.db", mailbox.SCHEMA)
        self.store = MailboxStore(self.database, PEPPER, limits, lambda: self.now)
        self.gone: list[bytes] = []
        self._settled: asyncio.Queue[list[Submission]] = asyncio.Queue()
        self.store.attach(self)

    def settled(self, submissions: list[Submission]) -> None:
        self._settled.put_nowait(submissions)

    def dropped(self, mailbox: bytes) -> None:
        self.gone.append(mailbox)

    async def enrol(self, device: Device | None = None) -> Device:
        device = device or Device.fresh()
        await self.store.create_mailbox(device.address, device.device)
        await self.store.set_keys(device.address, sha256(device.access_key), sha256(device.request_key))
        return device

    def submission(
        self,
        device: Device,
        body: bytes,
        key: bytes | None = None,
        envelope_id: bytes | None = None,
        line: Line | None = None,
    ) -> Submission:
        names = self.store.names
        pair = names.account(device.address), names.mailbox(device.address, device.device)
        return Submission(line or Line(), pair, key or device.access_key, envelope_id or os.urandom(16), body)

    async def submit(
        self, device: Device, body: bytes = b"", *, key: bytes | None = None, envelope_id: bytes | None = None
    ) -> Submission:
        return (await self.submit_all([self.submission(device, body or envelope(), key, envelope_id)]))[0]

    async def submit_all(self, submissions: list[Submission]) -> list[Submission]:
        self.database.post(list(submissions))
        async with asyncio.timeout(10):
            settled = await self._settled.get()
            while not settled:  # a group of acknowledgements only
                settled = await self._settled.get()
        return settled

    async def waiting(self, device: Device) -> list[mailbox.Stored]:
        opened = await self.open(device)
        return self.store.waiting(opened.box, opened.after, 100_000)

    async def open(self, device: Device, epoch: bytes = NO_EPOCH, cursor: int = 0) -> mailbox.Opened:
        opened = await self.store.open(self.store.names.mailbox(device.address, device.device), epoch, cursor)
        assert opened is not None
        return opened

    def acknowledge(self, rows: list[int]) -> None:
        self.database.post([Acknowledged(rows)])

    async def count(self, table: str = "envelope") -> int:
        queries = {
            name: f"select count(*) from {name}"  # noqa: S608 (fixed names)
            for name in ("envelope", "mailbox", "account")
        }
        return int(str(await self.database.write(lambda connection: connection.execute(queries[table]).get)))

    def close(self) -> None:
        self.database.close()


@asynccontextmanager
async def benched(folder: Path, **limits: int) -> AsyncIterator[Bench]:
    with closing(Bench(folder, Limits(**limits))) as made:
        yield made


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with benched(tmp_path) as made:
        yield made


async def test_an_envelope_is_stored_once_and_numbered_per_device(bench: Bench) -> None:
    alice, bob = await bench.enrol(), await bench.enrol()
    bodies = [envelope() for _ in range(5)]
    for body in bodies:
        assert (await bench.submit(alice, body)).status is Status.ACCEPTED
    assert (await bench.submit(bob)).seq == 1
    stored = await bench.waiting(alice)
    assert [row.seq for row in stored] == [1, 2, 3, 4, 5]
    assert [row.envelope for row in stored] == bodies
    assert {row.time for row in stored} == {bench.now}


async def test_a_repetition_is_accepted_and_stored_once(bench: Bench) -> None:
    alice, envelope_id = await bench.enrol(), os.urandom(16)
    first = await bench.submit(alice, envelope_id=envelope_id)
    again = await bench.submit(alice, first.envelope, envelope_id=envelope_id)
    assert (first.status, again.status) == (Status.ACCEPTED, Status.ACCEPTED)
    assert (first.row > 0, again.row) == (True, 0)
    twice = [bench.submission(alice, envelope(), None, bytes(16)) for _ in range(40)]
    settled = await bench.submit_all(twice)
    assert {submission.status for submission in settled} == {Status.ACCEPTED}
    assert sum(submission.row > 0 for submission in settled) == 1
    assert await bench.count() == 2
    assert (await bench.submit(alice)).seq > settled[0].seq


async def test_the_same_id_for_two_devices_is_two_envelopes(bench: Bench) -> None:
    alice = await bench.enrol()
    second = Device(alice.address, DeviceId(2), alice.login, alice.access_key, alice.request_key)
    await bench.store.create_mailbox(second.address, second.device)
    for device in (alice, second):
        assert (await bench.submit(device, envelope_id=bytes(16))).row
    assert await bench.count() == 2


@pytest.mark.parametrize("size", [1, 7, 8, 31, 32, 33, 41, 100])
async def test_groups_of_every_size_are_stored_whole_and_in_order(bench: Bench, size: int) -> None:
    alice = await bench.enrol()
    settled = await bench.submit_all([bench.submission(alice, envelope(), None, None) for _ in range(size)])
    assert [submission.seq for submission in settled] == list(range(1, size + 1))
    stored = await bench.waiting(alice)
    assert [row.envelope for row in stored] == [submission.envelope for submission in settled]
    assert [row.row for row in stored] == [submission.row for submission in settled]


async def test_wrong_keys_and_unknown_accounts_get_the_same_answer(bench: Bench) -> None:
    alice, stranger = await bench.enrol(), Device.fresh()
    assert (await bench.submit(alice, key=bytes(16))).status is Status.BAD_ACCESS_KEY
    assert (await bench.submit(stranger)).status is Status.BAD_ACCESS_KEY
    assert await bench.count() == 0


async def test_the_right_key_for_a_device_that_left_says_gone(bench: Bench) -> None:
    alice = await bench.enrol()
    other = Device(alice.address, DeviceId(9), alice.login, alice.access_key, alice.request_key)
    assert (await bench.submit(other)).status is Status.GONE
    assert (await bench.submit(other, key=alice.request_key)).status is Status.GONE
    await bench.store.create_mailbox(alice.address, DeviceId(9))
    assert (await bench.submit(other)).status is Status.ACCEPTED
    await bench.store.drop_mailbox(alice.address, DeviceId(9))
    assert (await bench.submit(other)).status is Status.GONE


async def test_a_replaced_access_key_stops_at_once(bench: Bench) -> None:
    alice = await bench.enrol()
    assert (await bench.submit(alice)).status is Status.ACCEPTED
    fresh = os.urandom(16)
    await bench.store.set_keys(alice.address, sha256(fresh), None)
    assert (await bench.submit(alice)).status is Status.BAD_ACCESS_KEY
    assert (await bench.submit(alice, key=fresh)).status is Status.ACCEPTED
    assert (await bench.submit(alice, key=alice.request_key)).status is Status.ACCEPTED
    assert bench.store.check_key(alice.address, alice.access_key) is None
    assert bench.store.check_key(alice.address, fresh) is KeyKind.ACCESS
    assert bench.store.check_key(alice.address, alice.request_key) is KeyKind.REQUEST
    assert bench.store.check_key(Address(bytes(32)), fresh) is None


async def test_strangers_leave_20_and_an_acknowledgement_makes_room(tmp_path: Path) -> None:
    async with benched(tmp_path, request_inbox=20) as bench:
        alice = await bench.enrol()
        first = [await bench.submit(alice, key=alice.request_key) for _ in range(20)]
        assert {submission.status for submission in first} == {Status.ACCEPTED}
        assert (await bench.submit(alice, key=alice.request_key)).status is Status.REQUESTS_FULL
        again = await bench.submit(alice, key=alice.request_key, envelope_id=first[0].envelope_id)
        assert again.status is Status.ACCEPTED
        assert (await bench.submit(alice)).status is Status.ACCEPTED
        bench.acknowledge([first[0].row, first[1].row])
        bench.acknowledge([first[1].row])
        statuses = [(await bench.submit(alice, key=alice.request_key)).status for _ in range(3)]
        assert statuses == [Status.ACCEPTED, Status.ACCEPTED, Status.REQUESTS_FULL]


async def test_a_full_mailbox_refuses_and_never_drops_the_oldest(tmp_path: Path) -> None:
    async with benched(tmp_path, mailbox_messages=3, mailbox_bytes=5 * 1024) as bench:
        alice, bob = await bench.enrol(), await bench.enrol()
        stored = [await bench.submit(alice) for _ in range(3)]
        assert (await bench.submit(alice)).status is Status.MAILBOX_FULL
        assert (await bench.submit(alice, envelope_id=stored[2].envelope_id)).status is Status.ACCEPTED
        bench.acknowledge([stored[0].row])
        assert (await bench.submit(alice, envelope(4096))).status is Status.MAILBOX_FULL
        assert (await bench.submit(alice, envelope(2048))).status is Status.ACCEPTED
        assert [row.seq for row in await bench.waiting(alice)] == [2, 3, 4]
        assert (await bench.submit(bob)).status is Status.ACCEPTED


async def test_nothing_of_a_connection_overtakes_what_found_no_room(tmp_path: Path) -> None:
    full, taken = Status.MAILBOX_FULL, Status.ACCEPTED
    async with benched(tmp_path, mailbox_bytes=5 * 1024) as bench:
        alice, bob, line = await bench.enrol(), await bench.enrol(), Line()
        first = await bench.submit(alice, envelope(2048))
        large = bench.submission(alice, envelope(4096), line=line)
        small = [bench.submission(device, envelope(1024), line=line) for device in (bob, alice)]
        again = bench.submission(alice, first.envelope, None, first.envelope_id, line)

        settled = await bench.submit_all([large, *small, again])
        assert [submission.status for submission in settled] == [full, taken, full, taken]

        # What its sender wrote before it heard of it comes in a later group; another's has nothing to do with it.
        later = await bench.submit_all([bench.submission(alice, envelope(1024), line=line)])
        assert later[0].status is full
        assert (await bench.submit(alice, envelope(1024))).status is taken
        bench.acknowledge([first.row])
        later = await bench.submit_all([bench.submission(alice, envelope(1024), line=line)])
        assert later[0].status is full

        settled = await bench.submit_all([large, small[1]])  # in order, from the first that was refused
        assert [submission.status for submission in settled] == [taken, full]
        assert [stored.envelope for stored in await bench.waiting(alice)][1:] == [large.envelope]


async def test_nothing_of_a_connection_overtakes_what_the_disk_refused(bench: Bench) -> None:
    alice, line = await bench.enrol(), Line()
    first, second = (bench.submission(alice, envelope(), line=line) for _ in range(2))
    refused = bench.store._intake.refused([first])
    assert refused == [first]

    assert [each.status for each in await bench.submit_all([second])] == [Status.BUSY]
    assert [each.status for each in await bench.submit_all([first, second])] == [Status.ACCEPTED] * 2
    assert [stored.envelope for stored in await bench.waiting(alice)] == [first.envelope, second.envelope]


async def test_counters_survive_a_restart_and_seqs_are_never_reused(tmp_path: Path) -> None:
    alice = Device.fresh()
    async with benched(tmp_path, mailbox_messages=3) as bench:
        await bench.enrol(alice)
        rows = [(await bench.submit(alice)).row for _ in range(3)]
        bench.acknowledge(rows)
        assert await bench.count() == 0
    async with benched(tmp_path, mailbox_messages=3) as bench:
        assert [(await bench.submit(alice)).seq for _ in range(3)] == [4, 5, 6]
        assert (await bench.submit(alice)).status is Status.MAILBOX_FULL


async def test_hello_continues_behind_the_cursor_of_the_same_epoch(bench: Bench) -> None:
    alice = await bench.enrol()
    for _ in range(5):
        await bench.submit(alice)
    epoch = bench.store.epoch(alice.address, alice.device)
    assert epoch is not None
    opened = await bench.open(alice, epoch, 3)
    assert (opened.epoch, opened.head, opened.after) == (epoch, 5, 3)
    assert [row.seq for row in bench.store.waiting(opened.box, opened.after, 100)] == [4, 5]
    assert await bench.count() == 2
    assert (await bench.open(alice, os.urandom(8), 5)).after == 0
    assert await bench.count() == 2
    assert (await bench.open(alice, epoch, 2**63)).after == 5
    assert await bench.count() == 0
    assert (await bench.submit(alice)).seq == 6


async def test_hello_frees_room_the_writer_had_counted(tmp_path: Path) -> None:
    async with benched(tmp_path, mailbox_messages=2) as bench:
        alice = await bench.enrol()
        for _ in range(2):
            await bench.submit(alice)
        assert (await bench.submit(alice)).status is Status.MAILBOX_FULL
        await bench.open(alice, bench.store.epoch(alice.address, alice.device) or b"", 1)
        assert (await bench.submit(alice)).status is Status.ACCEPTED
        assert (await bench.submit(alice)).status is Status.MAILBOX_FULL


async def test_a_restored_store_gives_every_mailbox_a_new_epoch(bench: Bench) -> None:
    devices = [await bench.enrol() for _ in range(3)]
    before = [bench.store.epoch(device.address, device.device) for device in devices]
    await bench.store.renew_epochs()
    after = [bench.store.epoch(device.address, device.device) for device in devices]
    assert len({*before, *after}) == 6


async def test_making_a_mailbox_twice_changes_nothing(bench: Bench) -> None:
    alice = await bench.enrol()
    await bench.submit(alice)
    epoch = bench.store.epoch(alice.address, alice.device)
    assert await bench.store.create_mailbox(alice.address, alice.device) == epoch
    assert (await bench.submit(alice)).seq == 2
    assert bench.store.epoch(Address(bytes(32)), DeviceId(1)) is None
    assert await bench.store.open(bytes(32), NO_EPOCH, 0) is None


async def test_rows_lie_in_no_order_once_the_log_is_folded_and_nothing_else_changes(tmp_path: Path) -> None:
    async with benched(tmp_path) as bench:
        devices = [await bench.enrol() for _ in range(30)]
        for device in devices:
            await bench.submit(device)
    path = tmp_path / "app.db"
    with closing(apsw.Connection(str(path))) as connection:
        names = [name for (name,) in connection.execute("select name from account order by id")]
        boxes = [name for (name,) in connection.execute("select name from mailbox order by id")]
    raw = path.read_bytes()
    assert sorted(names, key=raw.index, reverse=True) == names  # a page is filled from its end
    assert sorted(boxes, key=raw.index, reverse=True) == boxes

    async with benched(tmp_path) as bench:
        assert [bench.store.names.account(device.address) for device in devices] != names
        assert [len(await bench.waiting(device)) for device in devices] == [1] * len(devices)
        with pytest.raises(apsw.ConstraintError):  # foreign keys are looked at again
            await bench.database.write(lambda connection: connection.execute("delete from mailbox").fetchall())


async def test_a_dropped_account_leaves_nothing(bench: Bench) -> None:
    alice, bob = await bench.enrol(), await bench.enrol()
    await bench.store.create_mailbox(alice.address, DeviceId(2))
    await bench.submit(alice)
    await bench.submit(bob)
    await bench.store.drop_account(alice.address)
    assert [await bench.count(table) for table in ("account", "mailbox", "envelope")] == [1, 1, 1]
    names = bench.store.names
    assert set(bench.gone) == {names.mailbox(alice.address, DeviceId(number)) for number in (1, 2)}
    assert (await bench.submit(alice)).status is Status.BAD_ACCESS_KEY
    await bench.store.drop_account(alice.address)
    await bench.store.drop_mailbox(alice.address, DeviceId(1))


async def test_a_late_acknowledgement_never_meets_a_new_row(bench: Bench) -> None:
    alice, bob = await bench.enrol(), await bench.enrol()
    row = (await bench.submit(alice)).row
    bench.acknowledge([row])
    assert await bench.count() == 0
    bench.store._intake.forget()
    assert (await bench.submit(bob)).row > row
    bench.acknowledge([row])
    assert await bench.count() == 1


async def test_old_envelopes_expire_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox, "SWEEP_BATCH", 10)
    async with benched(tmp_path, retention_ms=1000, mailbox_messages=30) as bench:
        alice = await bench.enrol()
        await bench.submit_all([bench.submission(alice, envelope(), None, None) for _ in range(25)])
        bench.now += 1000
        assert await bench.store.sweep() == 0
        await bench.submit(alice)
        bench.now += 1
        assert await bench.store.sweep() == 25
        assert await bench.store.sweep() == 0
        assert [row.seq for row in await bench.waiting(alice)] == [26]
        statuses = [(await bench.submit(alice)).status for _ in range(30)]
        assert statuses.count(Status.ACCEPTED) == 29


async def test_a_refused_disk_says_busy_and_acknowledgements_still_count(bench: Bench) -> None:
    alice = await bench.enrol()
    rows = [(await bench.submit(alice, envelope(16 * 1024))).row for _ in range(10)]
    pages = bench.database.read(lambda connection: connection.execute("pragma page_count").get)
    bench.database._connection.execute(f"pragma max_page_count={pages}")
    bench.acknowledge(rows[:5])
    big = [bench.submission(alice, envelope(64 * 1024), None, None) for _ in range(20)]
    settled = await bench.submit_all(big)
    assert {submission.status for submission in settled} == {Status.BUSY}
    assert await bench.count() == 5
    assert (await bench.submit(alice)).status is Status.ACCEPTED


async def test_the_writer_forgets_rather_than_grows(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "REMEMBERED", 10)
    devices = [await bench.enrol() for _ in range(12)]
    for number in (1, 2):
        for device in devices:
            assert (await bench.submit(device)).seq == number
            assert (await bench.submit(Device.fresh())).status is Status.BAD_ACCESS_KEY
    assert len(bench.store._intake._boxes) + len(bench.store._intake._accounts) <= 12


async def test_what_the_writer_remembers_is_what_the_file_holds(tmp_path: Path) -> None:
    chance = random.Random(20_261_101)  # noqa: S311 (a schedule, not a secret)
    async with benched(tmp_path, mailbox_messages=12, request_inbox=4, retention_ms=50) as bench:
        devices = [await bench.enrol() for _ in range(3)]
        known: list[Submission] = []
        for _ in range(60):
            batch = [_random_submission(bench, chance, devices, known) for _ in range(chance.randint(1, 9))]
            bench.acknowledge([s.row for s in chance.sample(known, min(len(known), 4)) if s.row])
            known += await bench.submit_all(batch)
            bench.now += chance.randint(0, 10)
            if chance.random() < 0.1:
                await bench.store.sweep()
            if chance.random() < 0.1:
                device = chance.choice(devices)
                await bench.open(device, bench.store.epoch(device.address, device.device) or b"", chance.randint(0, 40))
            for remembered, held in await _fillings(bench):
                assert remembered == held


def _random_submission(
    bench: Bench, chance: random.Random, devices: list[Device], known: list[Submission]
) -> Submission:
    device = chance.choice(devices)
    key = chance.choice([device.access_key, device.access_key, device.request_key, bytes(16)])
    repeated = chance.choice(known).envelope_id if known and chance.random() < 0.3 else None
    return bench.submission(device, envelope(chance.choice([1024, 2048])), key, repeated)


async def _fillings(bench: Bench) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    def job(connection: apsw.Connection) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        query = (
            "select coalesce(count(*), 0), coalesce(sum(size), 0), coalesce(sum(is_request), 0),"
            " (select next_seq from mailbox where id = ?1) from envelope where mailbox = ?1"
        )
        return [
            ((box.messages, box.size_bytes, box.requests, box.next_seq), connection.execute(query, (box.id,)).get)
            for box in bench.store._intake._boxes.values()
            if box is not None
        ]

    return await bench.database.write(job)


async def test_deleting_nothing_is_nothing(bench: Bench) -> None:
    await bench.database.write(lambda connection: bench.store._intake.delete(connection, array("q")))


async def test_no_address_stands_in_the_file(bench: Bench, tmp_path: Path) -> None:
    alice = await bench.enrol()
    await bench.submit(alice)
    content = folder_bytes(tmp_path)
    assert bytes(alice.address) not in content
    assert alice.access_key not in content
    assert bench.store.names.mailbox(alice.address, alice.device) in content
