"""A relay whose disk fills up, run by test_disk_full.py in a process of its own: `full_disk.py FOLDER tmpfs|pages`.

`tmpfs`: FOLDER is a small file system of its own. `pages`: it is not, and app.db is stopped from growing instead.
Prints one JSON object with what happened.
"""

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import apsw

from halonyx.relay.events import configure
from halonyx.relay.store.database import Busy
from halonyx.wire.frames import CaughtUp, Deliver, Hello, Status, Welcome
from relay.rest_kit import prekeys
from relay.sockets_support import Device, Receiver, Sender, Served, envelope, served, until

RESERVE = 8 << 20
LARGEST = 64 << 10
MOST = 600


@dataclass
class Disk:
    """The disk under the relay."""

    here: Served
    folder: Path
    is_real: bool

    def begin(self) -> None:
        if not self.is_real:
            self._writer.execute("pragma max_page_count=3000")

    def fill(self) -> None:
        """Take what is left, as any other program on the machine may."""
        with (self.folder / "filler").open("wb", 0) as filler:
            try:
                while self.is_real:
                    filler.write(bytes(4096))
            except OSError:
                return

    def grow(self) -> None:
        (self.folder / "filler").unlink()
        if not self.is_real:
            self._writer.execute("pragma max_page_count=1000000")

    @property
    def _writer(self) -> apsw.Connection:
        return self.here.relay.context.mailboxes.database._connection


async def main(folder: Path, *, is_real: bool) -> dict[str, object]:
    with (folder / "log").open("w") as log:  # on the same disk, as most logs are
        sys.stderr = log
        configure("info")
        async with served(folder, reserve_bytes=RESERVE, checkpoint_seconds=1, log_level="info") as here:
            disk, device = Disk(here, folder, is_real), await here.enrol()
            disk.begin()
            async with here.sender() as sender:
                told = await fill(here, sender, device, disk)
                told |= await drain(here, device)
                disk.grow()
                await until(lambda: not here.relay.context.mailboxes.database.is_short)
            async with here.sender() as sender:
                told["afterwards"] = (await sender.submit(device, envelope(LARGEST))).name
            told["threads"] = all(
                store.database._thread.is_alive()
                for store in (here.relay.context.mailboxes, here.relay.context.keys, here.relay.context.identity)
            )
    return told | {"logged": (folder / "log").read_text().count('"disk-full"')}


async def fill(here: Served, sender: Sender, device: Device, disk: Disk) -> dict[str, object]:
    stored = 0
    while (await sender.submit(device, envelope(LARGEST))) is Status.ACCEPTED:
        stored += 1
        assert stored < MOST
    disk.fill()
    refused = set()
    for size in (LARGEST, 1024, 1024, LARGEST):
        async with here.sender() as other:  # on the same one it would be refused because the one before was
            refused.add((await other.submit(device, envelope(size))).name)
    is_kept = (here.data / "reserve").exists()
    return {"stored": stored, "refused": sorted(refused), "kept": is_kept, "keys": await keys_refused(here, device)}


async def keys_refused(here: Served, device: Device) -> bool:
    """Whether the other files leave the reserve alone too; they share the disk."""
    try:
        await here.relay.context.keys.stage(device.address, bytes(400), [(device.device, prekeys())])
    except Busy:
        return True
    return False


async def drain(here: Served, device: Device) -> dict[str, object]:
    receiver = Receiver(await here.socket("/v1/receive"), here)
    await receiver.login(device)
    await receiver.socket.send_bytes(Hello(receiver.epoch, 0).encode())
    delivered, frame = 0, await receiver.next()
    while not isinstance(frame, CaughtUp):
        if isinstance(frame, Welcome):
            receiver.epoch = frame.epoch
        elif isinstance(frame, Deliver):
            delivered += 1
            await receiver.ack(frame.seq)
        frame = await receiver.next()
    await until(lambda: here.rows() == 0)
    return {"delivered": delivered, "rows": here.rows()}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(Path(sys.argv[1]), is_real=sys.argv[2] == "tmpfs"))))
