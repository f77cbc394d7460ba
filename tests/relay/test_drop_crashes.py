"""A relay that is killed at random moments keeps what it said it had of a file, and leaves no file behind."""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from halonyx.relay.settings import load_settings
from relay.drop_kit import MIB, File, files_of
from relay.rest_kit import Person, Relay
from relay_process import RelayProcess, running_relay

PART = 64 * 1024
KILLS = 8
SETTINGS = {"HALONYX_DROP_QUOTA": str(64 * MIB), "HALONYX_MIN_FREE_BYTES": "0", "HALONYX_RESERVE_BYTES": "0"}


@asynccontextmanager
async def calling(process: RelayProcess) -> AsyncIterator[Relay]:
    """Make calls to a relay in a process of its own."""
    settings = load_settings(port=process.port, data=process.data)
    # A connection to a process that was killed meanwhile must not be what the next call finds.
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        yield Relay(settings, session)


async def upload(relay: Relay, owner: Person, file: File, known: list[int]) -> bool:
    """Upload until the relay dies or all is there; `known` gets how much the relay said it had."""
    try:
        opened = await file.open(relay, owner)
        assert opened.status == 200, opened.body
        at = opened.json["offset"]
        assert at >= known[-1], "what was answered is on disk"
        while at < len(file.content):
            answer = await file.put(relay, opened.json["upload"], at, file.content[at : at + PART])
            assert answer.status == 200, answer.body
            at = answer.json["offset"]
            known.append(at)
    except (aiohttp.ClientError, ConnectionError):
        return False
    return True


async def test_an_upload_goes_on_after_every_kill(tmp_path: Path) -> None:
    seed = int(time.time())
    print(f"seed {seed}")  # noqa: T201 (to repeat a failure)
    moments, alice, file = random.Random(seed), Person(), File(os.urandom(24 * MIB + 5))  # noqa: S311
    known, is_done = [0], False
    with running_relay(tmp_path, **SETTINGS) as process:
        async with calling(process) as relay:
            await alice.sign_up(relay)
            for _ in range(KILLS):
                uploading = asyncio.create_task(upload(relay, alice, file, known))
                await asyncio.sleep(moments.uniform(0, 0.4))
                process.kill()
                is_done = await uploading or is_done
                process.start()
            assert await upload(relay, alice, file, known)

            assert (await file.get(relay)).body == file.content
            assert len(files_of(relay)) == 1


@pytest.mark.parametrize("moment", [0.0, 0.005, 0.02])
async def test_a_deletion_and_a_kill_leave_a_whole_file_or_none(tmp_path: Path, moment: float) -> None:
    alice, file = Person(), File(os.urandom(MIB))
    with running_relay(tmp_path, **SETTINGS) as process:
        async with calling(process) as relay:
            await alice.sign_up(relay)
            await file.upload(relay, alice)
            deleting = asyncio.create_task(file.delete(relay))
            await asyncio.sleep(moment)
            process.kill()
            await asyncio.wait([deleting])
            deleting.exception()
            process.start()

            answer = await file.get(relay)

            assert (answer.status, len(files_of(relay))) in {(200, 1), (404, 0)}
            assert answer.status == 404 or answer.body == file.content


async def test_a_start_removes_files_without_rows_and_rows_without_files(tmp_path: Path) -> None:
    alice, kept, lost, cut = Person(), File(), File(), File()
    with running_relay(tmp_path, **SETTINGS) as process:
        async with calling(process) as relay:
            await alice.sign_up(relay)
            before: set[str] = set()
            names = []
            for file in (kept, lost, cut):
                await file.upload(relay, alice)
                names += sorted(set(files_of(relay)) - before)
                before = set(files_of(relay))
            process.stop()
            folder = process.data / "drop"
            (folder / names[1]).unlink()
            os.truncate(folder / names[2], 1000)
            (folder / ("ab" * 32)).write_bytes(b"of a row that was never committed")
            (folder / "lost+found").mkdir()  # a disk's own, if one is mounted there
            process.start()

            assert files_of(relay) == [names[0], "lost+found"]
            assert (await kept.get(relay)).body == kept.content
            assert [(await file.get(relay)).code for file in (lost, cut)] == ["drop-unknown"] * 2
            assert (await lost.open(relay, alice)).json["offset"] == 0, "it can be left again"


async def test_a_relay_that_stops_finishes_the_part_it_has(tmp_path: Path) -> None:
    alice, file = Person(), File(os.urandom(4 * MIB))
    with running_relay(tmp_path, **SETTINGS) as process:
        async with calling(process) as relay:
            await alice.sign_up(relay)
            token = (await file.open(relay, alice)).json["upload"]
            putting = asyncio.create_task(file.put(relay, token, 0, file.content))
            await asyncio.sleep(0.05)
            assert await asyncio.to_thread(process.stop) == 0
            [result] = await asyncio.gather(putting, return_exceptions=True)
            process.start()

            offset = (await file.open(relay, alice)).json["offset"]

            if not isinstance(result, BaseException) and result.status == 200:
                assert offset == len(file.content)
            assert offset in {0, len(file.content)}
