"""A file arrives whole, once and under its name, however often and whenever both sides are killed.

The sender's, the recipient's and the relay's processes are real and are killed with SIGKILL at random moments: while
the file is encrypted, announced, sent, checked, decrypted and renamed.
"""

import asyncio
import os
import random
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from command_line import PASSPHRASE
from halonyx.client import Client, create_account
from relay_process import RelayProcess, clean_environment, free_port

SIZE: Final = 20_000_000
KILLS: Final = 8
SOAK_KILLS: Final = 60
HANGING_SECONDS: Final = 240
LIVE: Final = """
import asyncio, pathlib, sys
from halonyx.client import Client
async def main():
    home, source, target = map(pathlib.Path, sys.argv[1:4])
    async with Client.open(home, sys.argv[4]) as me:
        if source.name and not me.files.list() and sys.argv[5] == "sender":
            await me.files.offer("other", [source], drop=sys.argv[6] == "drop")
        async with me.online(), me.files.run():
            print("runs", flush=True)
            while True:
                for transfer in me.files.list():
                    if not transfer.outgoing and transfer.state == "offered":
                        await me.files.accept(transfer.id, target)
                await asyncio.sleep(0.05)
asyncio.run(main())
"""


class Life:
    """One side's process, begun again after every death."""

    def __init__(self, *arguments: object) -> None:
        self._command = [sys.executable, "-c", LIVE, *map(str, arguments)]
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        self._process = subprocess.Popen(self._command, env=clean_environment(), stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            assert self._process.wait(30) == -signal.SIGKILL, "it had ended by itself"
            self._process = None


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[RelayProcess]:
    (tmp_path / "relay").mkdir()
    relay = RelayProcess(free_port(), tmp_path / "relay" / "relay", {"HALONYX_DROP_QUOTA": "100000000"})
    relay.start()
    yield relay
    if relay.is_running:
        relay.stop()


async def _meet(homes: list[Path], origin: str, *, is_direct: bool) -> None:
    for home in homes:
        await create_account(home, origin, PASSPHRASE)
    async with Client.open(homes[0], PASSPHRASE) as alice, Client.open(homes[1], PASSPHRASE) as bob:
        for me, other in ((alice, bob), (bob, alice)):
            await me.contacts.add(other.card().uri(), "other")
            me.contacts.allow_direct("other", allowed=is_direct)


def _is_done(home: Path) -> bool:
    async def look() -> bool:
        async with Client.open(home, PASSPHRASE) as me:
            return any(transfer.state == "done" for transfer in me.files.list())

    return asyncio.run(look())


@pytest.mark.timeout(HANGING_SECONDS * 4)
@pytest.mark.parametrize("way", ["direct", "drop"])
def test_a_file_survives_kills_of_everyone(relay: RelayProcess, tmp_path: Path, way: str) -> None:
    homes, target = [tmp_path / "alice", tmp_path / "bob"], tmp_path / "saved"
    target.mkdir()
    source = tmp_path / "report.bin"
    source.write_bytes(os.urandom(SIZE))
    asyncio.run(_meet(homes, relay.origin, is_direct=way == "direct"))
    seed = int(os.environ.get("HALONYX_SEED") or secrets.randbits(32))
    sys.stdout.write(f"HALONYX_SEED={seed}\n")
    chance = random.Random(seed)  # noqa: S311 (a history that can be repeated)
    sender = Life(homes[0], source, target, PASSPHRASE, "sender", way)
    recipient = Life(homes[1], source, target, PASSPHRASE, "recipient", way)
    sides = [sender, recipient]
    for side in sides:
        side.begin()
    try:
        for _ in range(SOAK_KILLS if os.environ.get("HALONYX_SOAK") else KILLS):
            # Connecting takes a second: most deaths come in the middle of something.
            _sleep(chance.uniform(0.3, 4.0))
            if chance.random() < 0.2:
                relay.kill()
                relay.start()
            else:
                side = chance.choice(sides)
                side.kill()
                side.begin()
        for _ in range(HANGING_SECONDS):
            if all(_is_done(home) for home in homes):
                break
            _sleep(1)
    finally:
        for side in sides:
            side.kill()
    assert all(_is_done(home) for home in homes)
    assert [path.name for path in target.iterdir()] == ["report.bin"]
    assert (target / "report.bin").read_bytes() == source.read_bytes()


def _sleep(seconds: float) -> None:
    asyncio.run(asyncio.sleep(seconds))
