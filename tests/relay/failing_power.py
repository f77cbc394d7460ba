"""app.db on a disk whose power fails, run by test_power_loss.py in a process of its own: `failing_power.py FOLDER`.

Beside each file is kept what the disk would hold if the power failed now: all up to the last sync, and of what was
written since a random choice, torn at 512 bytes. Reads a plan from standard input, prints what was lost as JSON.
"""

import asyncio
import contextlib
import json
import random
import sys
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import apsw

from halonyx.core.primitives import sha256
from halonyx.core.types import EnvelopeId
from halonyx.relay.decide import Limits
from halonyx.relay.store import database
from halonyx.relay.store.database import Database
from halonyx.relay.store.file import PAGE_BYTES, open_file
from halonyx.relay.store.intake import Acknowledged, Submission
from halonyx.relay.store.mailbox import SCHEMA, MailboxStore
from halonyx.relay.store.reserve import Reserve
from halonyx.wire.frames import Status
from relay.sockets_support import Device, Line, envelope

SECTOR: Final = 512
LATEST: Final = 400  # operations of the disk after which the power has failed at the latest
FOLDING_PAGES: Final = 20  # size of the write-ahead log at which it is folded: often within a run
LIMITS: Final = Limits(mailbox_messages=100_000)
WAIT_S: Final = 20
STORE: Final[Any] = database  # as a module whose names may be exchanged


@dataclass
class Image:
    """What a disk surely holds of one file, and what was written since it was synced: (offset, bytes), None: cut."""

    synced: bytearray = field(default_factory=bytearray)
    later: list[tuple[int, bytes | None]] = field(default_factory=list)

    def sync(self) -> None:
        for at, data in self.later:
            _put(self.synced, at, data)
        self.later.clear()

    def left(self, chance: random.Random) -> bytes:
        """Return what is there after a failure."""
        content = bytearray(self.synced)
        for at, data in self.later:
            if chance.random() < 0.5:
                torn = data
                if data is not None and chance.random() < 0.3:
                    torn = data[: SECTOR * chance.randint(0, max(1, len(data) // SECTOR))]
                _put(content, at, torn)
        return bytes(content)


class Disk(apsw.VFS):
    """The default file system of this process, until the power fails."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "", makedefault=True)
        self.images: dict[str, Image] = {}
        self.left: int | None = None  # operations until then

    def tick(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise apsw.IOError("the power failed")

    def xOpen(self, name: apsw.URIFilename | str | None, flags: list[int]) -> "File":  # noqa: N802
        return File(self, name, flags)

    def xDelete(self, name: str, sync: bool) -> None:  # noqa: N802, FBT001
        self.tick()
        self.images.pop(Path(name).name, None)
        super().xDelete(name, sync)


class File(apsw.VFSFile):
    """One file of it."""

    def __init__(self, disk: Disk, name: apsw.URIFilename | str | None, flags: list[int]) -> None:
        super().__init__("unix", name, flags)  # by name: the default is the disk itself
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        self._disk, self._image = disk, disk.images.setdefault(Path(path).name, Image())

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802, ANN401
        self._disk.tick()
        self._image.later.append((offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._disk.tick()
        self._image.later.append((size, None))
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._disk.tick()
        self._image.sync()
        super().xSync(flags)


@dataclass
class Told:
    """What the relay has told its clients before the power failed."""

    accepted: dict[bytes, bytes] = field(default_factory=dict)
    rows: dict[int, bytes] = field(default_factory=dict)
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    refused: int = 0

    def settle(self, submissions: list[Submission]) -> None:
        for submission in submissions:
            if submission.status is Status.ACCEPTED:
                self.accepted[submission.envelope_id] = submission.envelope
                self.rows[submission.row] = submission.envelope_id
            else:
                self.refused += 1
        self.settled.set()


class Listener:
    """Hears what the store says."""

    def __init__(self, told: Told) -> None:
        self.told = told

    def settled(self, submissions: list[Submission]) -> None:
        self.told.settle(submissions)

    def dropped(self, mailbox: bytes) -> None:
        raise AssertionError(mailbox)


async def lived(folder: Path, disk: Disk, device: Device, chance: random.Random) -> tuple[Told, set[bytes]]:
    """Take mail until the power fails; return what was told, and what may be gone because it was acknowledged."""
    told, acknowledged = Told(), set[bytes]()
    made = Database(
        folder / "app.db",
        SCHEMA,
        checkpoint_interval_s=0.02,
        reserve=Reserve(folder / "reserve", 2 * PAGE_BYTES * FOLDING_PAGES),
        on_broken=lambda: None,
    )
    with contextlib.suppress(apsw.IOError), closing(made):
        store = MailboxStore(made, bytes(32), LIMITS)
        await store.create_mailbox(device.address, device.device)
        await store.set_keys(device.address, sha256(device.access_key), sha256(device.request_key))
        store.attach(Listener(told))
        for image in disk.images.values():
            image.sync()  # what lies before is not asked about
        disk.left = chance.randint(1, LATEST)
        names = store.names.account(device.address), store.names.mailbox(device.address, device.device)
        while not told.refused:
            count = chance.choice((1, 1, 3, 20))
            mail = [
                Submission(Line(), names, device.access_key, chance.randbytes(16), envelope()) for _ in range(count)
            ]
            items: list[object] = [*mail]
            if told.rows and chance.random() < 0.3:
                row = chance.choice(list(told.rows))
                acknowledged.add(told.rows.pop(row))
                items.append(Acknowledged([row]))
            told.settled.clear()
            made.post(items)
            await asyncio.wait_for(told.settled.wait(), WAIT_S)
    return told, acknowledged


async def found(folder: Path, device: Device) -> dict[bytes, bytes]:
    """Open what is left as a relay does that starts again, and take some mail more."""
    with closing(Database(folder / "app.db", SCHEMA)) as made:
        store = MailboxStore(made, bytes(32), LIMITS)
        mailbox = store.names.mailbox(device.address, device.device)
        opened = await store.open(mailbox, bytes(8), 0)
        assert opened is not None
        before = {stored.envelope_id: stored.envelope for stored in store.waiting(opened.box, opened.after, 100_000)}
        told = Told()
        store.attach(Listener(told))
        names = store.names.account(device.address), mailbox
        repeated = [Submission(Line(), names, device.access_key, one, before[one]) for one in list(before)[-3:]]
        fresh = Submission(Line(), names, device.access_key, EnvelopeId(bytes(16)), envelope())
        made.post([*repeated, fresh])
        await asyncio.wait_for(told.settled.wait(), WAIT_S)
        assert not told.refused
        after = [stored.envelope_id for stored in store.waiting(opened.box, opened.after, 100_000)]
        assert after == [*before, fresh.envelope_id]  # each once, in order, the new one last
    return before


def one_failure(folder: Path, number: int, *, is_careless: bool) -> dict[str, int]:
    """Let the power fail once."""
    chance, device = random.Random(number), Device.fresh()  # noqa: S311
    disk = Disk(f"disk {number}")
    connect = _careless if is_careless else _exclusive
    before, after = folder / "before", folder / "after"
    before.mkdir(parents=True)
    after.mkdir()
    STORE.open_file = connect()
    told, acknowledged = asyncio.run(lived(before, disk, device, chance))
    disk.unregister()
    STORE.open_file = open_file
    for name, image in disk.images.items():
        (after / name).write_bytes(image.left(chance))
    kept = asyncio.run(found(after, device))
    lost = sum(kept.get(one) != whole for one, whole in told.accepted.items() if one not in acknowledged)
    return {"accepted": len(told.accepted), "lost": lost}


def _exclusive() -> Any:  # noqa: ANN401
    """Return `open_file` for a disk made in Python, which has no shared memory: one connection, that locks the file."""
    opened: list[apsw.Connection] = []

    def connect(path: Path, *pages: int) -> apsw.Connection:
        if opened:  # the reader: nothing here reads
            return apsw.Connection(":memory:")
        apsw.connection_hooks.append(_lock)
        try:
            opened.append(open_file(path, *pages))
        finally:
            apsw.connection_hooks.remove(_lock)
        return opened[0]

    return connect


def _careless() -> Any:  # noqa: ANN401
    """Return the same with a setting under which SQLite does not wait for the disk."""
    exclusive = _exclusive()

    def connect(path: Path, *pages: int) -> apsw.Connection:
        made: apsw.Connection = exclusive(path, *pages)
        made.execute("pragma synchronous=normal")
        return made

    return connect


def _lock(connection: apsw.Connection) -> None:
    connection.execute("pragma locking_mode=exclusive")


def _put(content: bytearray, at: int, data: bytes | None) -> None:
    if data is None:
        del content[at:]
        return
    content.extend(bytes(max(0, at - len(content))))
    content[at : at + len(data)] = data


def main(folder: Path) -> None:
    """Let the power fail as often as the plan says."""
    plan = json.load(sys.stdin)
    STORE.GRACE_S = 0.0
    runs = [
        one_failure(folder / str(number), number, is_careless=plan["is_careless"])
        for number in range(plan["first"], plan["first"] + plan["cuts"])
    ]
    totals = {name: sum(run[name] for run in runs) for name in ("accepted", "lost")}
    json.dump(totals | {"runs": len(runs), "losing": sum(run["lost"] > 0 for run in runs)}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
