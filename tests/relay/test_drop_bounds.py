"""What an upload may cost the relay: strangers nothing, owners a bounded number of bounded parts."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from halonyx.relay.events import configure
from halonyx.relay.routes_files import DOWNLOADS_PER_CLIENT, UPLOADS_PER_MAILBOX
from halonyx.wire.rest_files import UPLOAD_HEADER
from relay.drop_kit import MIB, SETTINGS, File, files_of
from relay.own_disk import IN_NAMESPACE, can_mount
from relay.rest_kit import Person, Relay, running_relay

WAIT_S = 10
SCRIPT = Path(__file__).with_name("full_drop.py")
MOUNT = 'mount -t tmpfs -o size=48m none "$1" && exec "$2" "$3" "$1"'


@contextlib.asynccontextmanager
async def begun(
    relay: Relay, file: File, token: str, sent: bytes = b"x", length: str = str(MIB)
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Begin to send a part of a mebibyte, and go no further than `sent`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.settings.port)
    head = (
        f"PUT {file.path}?offset=0 HTTP/1.1\r\nHost: {relay.authority}\r\nContent-Type: application/octet-stream\r\n"
        f"Content-Length: {length}\r\n{UPLOAD_HEADER}: {token}\r\n\r\n"
    )
    writer.write(head.encode() + sent)
    await writer.drain()
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def answer_of(reader: asyncio.StreamReader) -> bytes:
    """Return everything until the relay closes."""
    return await asyncio.wait_for(reader.read(), WAIT_S)


async def opened(relay: Relay, owner: Person) -> tuple[File, str]:
    file = File()
    return file, (await file.open(relay, owner)).json["upload"]


async def test_the_body_of_a_stranger_is_not_read(tmp_path: Path) -> None:
    async with running_relay(tmp_path, **SETTINGS) as relay:
        async with begun(relay, File(), "0" * 32) as (reader, _):
            answer = await answer_of(reader)  # it comes although the body never does, and ends the connection

        assert answer.startswith(b"HTTP/1.1 404 ")
        assert b"drop-unknown" in answer
        assert b"connection: close" in answer.lower()
        assert files_of(relay) == []


async def test_a_part_has_so_long_to_arrive(tmp_path: Path) -> None:
    async with running_relay(tmp_path, **SETTINGS, drop_body_seconds=1) as relay:
        alice = Person()
        await alice.sign_up(relay)
        async with begun(relay, *await opened(relay, alice)) as (reader, _):
            answer = await answer_of(reader)

        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"too-slow" in answer


async def test_a_part_may_take_longer_than_a_small_call(tmp_path: Path) -> None:
    async with running_relay(tmp_path, **SETTINGS, body_seconds=1) as relay:
        alice = Person()
        await alice.sign_up(relay)
        file, token = await opened(relay, alice)
        async with begun(relay, file, token, file.content[:-1]) as (reader, writer):
            await asyncio.sleep(4)  # a small call would be answered after one second, and cut after two more
            writer.write(file.content[-1:])
            assert (await asyncio.wait_for(reader.readline(), WAIT_S)).startswith(b"HTTP/1.1 200 ")

        assert (await file.get(relay)).body == file.content


async def test_a_length_with_zeros_before_it_is_no_way_round_the_bound(tmp_path: Path) -> None:
    async with running_relay(tmp_path, **SETTINGS) as relay:
        alice, file = Person(), File(os.urandom(6 * MIB))
        await alice.sign_up(relay)
        token = (await file.open(relay, alice)).json["upload"]
        async with begun(relay, file, token, file.content, f"{'0' * 12}{len(file.content)}") as (reader, _):
            assert b" 413 " in await asyncio.wait_for(reader.readline(), WAIT_S)

        assert (await file.open(relay, alice)).json["offset"] == 0


async def test_a_disk_that_runs_low_takes_no_part_of_a_file_that_was_begun(tmp_path: Path) -> None:
    alice, file = Person(), File()
    async with running_relay(tmp_path, **SETTINGS) as relay:
        await alice.sign_up(relay)
        await file.open(relay, alice)
    async with running_relay(tmp_path, **SETTINGS | {"min_free_bytes": 2**60}) as relay:
        token = (await file.open(relay, alice)).json["upload"]

        assert (await file.put(relay, token, 0, file.content)).code == "busy"
        assert files_of(relay) == []


async def test_so_many_parts_are_taken_at_once(tmp_path: Path) -> None:
    async with running_relay(tmp_path, **SETTINGS, drop_uploads=1) as relay:
        alice, bob = Person(), Person()
        for person in (alice, bob):
            await person.sign_up(relay)
        file, token = await opened(relay, bob)
        async with begun(relay, *await opened(relay, alice)):
            await asyncio.sleep(0.1)  # until the relay has the head
            refused = await file.put(relay, token, 0, file.content)
            assert (refused.status, refused.code) == (503, "busy")
            assert refused.headers["Retry-After"] == "1"

        async with asyncio.timeout(WAIT_S):
            while (await file.put(relay, token, 0, file.content)).status != 200:
                pass


async def test_one_mailbox_does_not_take_every_place(tmp_path: Path) -> None:
    async with running_relay(tmp_path, **SETTINGS) as relay, contextlib.AsyncExitStack() as parts:
        alice, bob = Person(), Person()
        for person in (alice, bob):
            await person.sign_up(relay)
        for _ in range(UPLOADS_PER_MAILBOX):
            await parts.enter_async_context(begun(relay, *await opened(relay, alice)))
        await asyncio.sleep(0.1)
        file, token = await opened(relay, alice)
        assert (await file.put(relay, token, 0, file.content)).code == "busy"

        other, token = await opened(relay, bob)
        assert (await other.put(relay, token, 0, other.content)).status == 200


@contextlib.asynccontextmanager
async def unread(relay: Relay, file: File) -> AsyncIterator[bytes]:
    """Ask for a whole file and read the first line of the answer alone."""
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.settings.port, limit=1)
    writer.write(f"GET {file.path} HTTP/1.1\r\nHost: {relay.authority}\r\n\r\n".encode())
    try:
        yield await asyncio.wait_for(reader.read(12), WAIT_S)
    finally:
        writer.transport.abort()


@pytest.mark.parametrize(("settings", "most"), [({}, DOWNLOADS_PER_CLIENT), ({"drop_downloads": 2}, 2)])
async def test_so_many_files_are_given_out_at_once(tmp_path: Path, settings: dict[str, int], most: int) -> None:
    async with running_relay(tmp_path, **SETTINGS, **settings) as relay:
        alice, file = Person(), File(os.urandom(12 * MIB))  # more than the system holds for one who does not read
        await alice.sign_up(relay)
        await file.upload(relay, alice, 4 * MIB)
        async with contextlib.AsyncExitStack() as downloads:
            for _ in range(most):
                assert await downloads.enter_async_context(unread(relay, file)) == b"HTTP/1.1 200"
            refused = await file.get(relay, "bytes=0-0")
            assert (refused.status, refused.code, refused.headers["Retry-After"]) == (503, "busy", "1")

        async with asyncio.timeout(WAIT_S):
            while (await file.get(relay)).body != file.content:
                pass


async def test_one_who_goes_in_the_middle_of_a_part_is_no_fault(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    configure("info")
    async with running_relay(tmp_path, **SETTINGS) as relay:
        alice = Person()
        await alice.sign_up(relay)
        async with begun(relay, *await opened(relay, alice)):
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.1)

    assert "request-failed" not in "".join(capfd.readouterr())


async def test_a_client_has_a_rate(tmp_path: Path) -> None:
    async with running_relay(tmp_path, **SETTINGS | {"rate_drop": "2/hour"}) as relay:
        codes = [(await File().get(relay)).code for _ in range(3)]

        assert codes == ["drop-unknown", "drop-unknown", "too-many-requests"]
        assert (await Person().sign_up(relay)).status == 201, "mail has rates of its own"


@pytest.mark.parametrize("method", ["POST", "DELETE", "PATCH", "HEAD"])
async def test_there_are_no_other_methods(tmp_path: Path, method: str) -> None:
    async with running_relay(tmp_path, **SETTINGS) as relay:
        headers = {"Content-Type": "application/octet-stream"}

        assert (await relay.call(method, File().path, headers=headers)).status == 405


@pytest.mark.parametrize("name", ["", "../lock", "..%2Flock", "A" * 32, "a" * 31, "a" * 33, "a" * 31 + "g"])
async def test_a_path_is_an_id_and_nothing_else(tmp_path: Path, name: str) -> None:
    async with running_relay(tmp_path, **SETTINGS) as relay:
        assert (await relay.call("GET", f"/v1/drop/{name}")).status in {400, 404, 405}


async def test_numbers_and_logs_name_no_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async with running_relay(tmp_path, **SETTINGS, log_level="debug") as relay:
        alice, file = Person(), File()
        await alice.sign_up(relay)
        await file.upload(relay, alice)
        await file.get(relay)
        numbers = (await relay.call("GET", "/metrics")).body.decode()

    shown = dict(line.rsplit(" ", 1) for line in numbers.splitlines() if line.startswith("halonyx_drop"))
    assert (float(shown["halonyx_drop_files"]), float(shown["halonyx_drop_bytes"])) == (1, MIB)
    assert float(shown["halonyx_drop_given_bytes_total"]) == MIB
    assert file.drop.hex() not in numbers + "".join(capfd.readouterr())


def test_a_full_disk_takes_no_part_and_loses_none(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    assert can_mount(folder), "a file system of its own is needed, which this machine does not give"
    command = [*IN_NAMESPACE, MOUNT, "sh", str(folder), sys.executable, str(SCRIPT)]
    environment = os.environ | {"PYTHONPATH": str(SCRIPT.parents[1])}

    ran = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=100)

    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["full"] == "busy"
    assert told["offset"] == MIB
    assert told["is_equal"] is True
    assert told["mail"] == 201
