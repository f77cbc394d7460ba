"""The relay as a process: starting, stopping, being killed, and what it says when it can't start."""

import asyncio
import contextlib
import http.client
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from halonyx.core.errors import Misuse
from halonyx.core.labels import DEVICE_LOGIN
from halonyx.core.primitives import SigningKey, sha256
from halonyx.relay.decide import Limits
from halonyx.relay.secrets import load_or_create
from halonyx.relay.server import Relay
from halonyx.relay.settings import load_settings
from halonyx.relay.sockets import framed
from halonyx.relay.store import identity, mailbox
from halonyx.relay.store.database import Database
from halonyx.relay.store.identity import IdentityStore
from halonyx.relay.store.mailbox import MailboxStore
from halonyx.wire.frames import (
    RECEIVE_PATH,
    SEND_PATH,
    SUBPROTOCOL,
    Accepted,
    Ack,
    Auth,
    CaughtUp,
    Challenge,
    Deliver,
    Hello,
    Status,
    Submit,
    Welcome,
    parse_receive_reply,
    parse_send_reply,
)
from halonyx.wire.login import login_body
from relay.sockets_support import Device, envelope, served
from relay_process import RelayProcess, clean_environment, free_port, running_relay

SETTINGS = {"HALONYX_RESERVE_BYTES": "0"}


async def enrol(data: Path) -> Device:
    """Put a device into a relay's files before it starts."""
    os.makedirs(data)  # noqa: PTH103 (nothing else runs on this loop yet)
    device, secrets = Device.fresh(), load_or_create(data.with_name(data.name + ".secrets"), data)
    app = Database(data / "app.db", mailbox.SCHEMA)
    known = Database(data / "identity.db", identity.SCHEMA)
    with contextlib.closing(app), contextlib.closing(known):
        store = MailboxStore(app, secrets.app_pepper, Limits())
        await store.create_mailbox(device.address, device.device)
        await store.set_keys(device.address, sha256(device.access_key), sha256(device.request_key))
        await IdentityStore(known, secrets.identity_pepper).register(
            device.address, SigningKey.generate().public, bytes(32), (device.device, device.login.public)
        )
    return device


@contextlib.asynccontextmanager
async def connected(process: RelayProcess, path: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(process.origin + path, protocols=[SUBPROTOCOL], max_msg_size=0) as opened,
    ):
        yield opened


async def receive_all(process: RelayProcess, device: Device) -> list[Deliver]:
    """Log in and take everything until CAUGHT_UP."""
    async with connected(process, RECEIVE_PATH) as opened:
        challenge = parse_receive_reply(await opened.receive_bytes())
        assert isinstance(challenge, Challenge)
        body = login_body(challenge.nonce, process.origin, device.address, device.device)
        signature = device.login.sign(DEVICE_LOGIN, body)
        await opened.send_bytes(Auth(device.address, device.device, signature).encode())
        await opened.send_bytes(Hello(bytes(8), 0).encode())
        found, epoch = [], b""
        while not isinstance(answer := parse_receive_reply(await opened.receive_bytes()), CaughtUp):
            if isinstance(answer, Welcome):
                epoch = answer.epoch
            if isinstance(answer, Deliver):
                found.append(answer)
                await opened.send_bytes(Ack(epoch, answer.seq).encode())
        return found


async def submit_until_killed(process: RelayProcess, device: Device, count: int) -> set[bytes]:
    """Submit without end; kill the relay after `count` answers; return the ids it accepted."""
    accepted: set[bytes] = set()
    room = asyncio.Semaphore(50)
    async with connected(process, SEND_PATH) as opened:

        async def send() -> None:
            while await room.acquire():
                frame = Submit(os.urandom(16), device.address, device.device, device.access_key, envelope())  # type: ignore[arg-type]
                await opened.send_bytes(frame.encode())

        sending = asyncio.create_task(send())
        while (message := await opened.receive()).type is aiohttp.WSMsgType.BINARY:
            answer = parse_send_reply(message.data)
            assert isinstance(answer, Accepted)
            assert answer.status is Status.ACCEPTED
            accepted.add(answer.envelope_id)
            room.release()
            if len(accepted) == count:
                process.kill()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    return accepted


async def test_a_killed_relay_has_everything_it_accepted(tmp_path: Path) -> None:
    device = await enrol(tmp_path / "relay")
    with running_relay(tmp_path, **SETTINGS) as process:
        accepted = await submit_until_killed(process, device, 200)
        process.start()
        accepted |= await submit_until_killed(process, device, 200)
        process.start()
        found = await receive_all(process, device)
    ids = [bytes(deliver.envelope_id) for deliver in found]
    assert len(accepted) >= 400
    assert accepted <= set(ids)
    assert len(ids) <= len(accepted) + 100
    assert len(ids) == len(set(ids))
    assert [deliver.seq for deliver in found] == sorted(deliver.seq for deliver in found)


async def test_sigterm_closes_with_4503_and_leaves_whole_files(tmp_path: Path) -> None:
    device = await enrol(tmp_path / "relay")
    with running_relay(tmp_path, **SETTINGS) as process:
        async with connected(process, SEND_PATH) as opened:
            frame = Submit(os.urandom(16), device.address, device.device, device.access_key, envelope())  # type: ignore[arg-type]
            await opened.send_bytes(frame.encode())
            await opened.receive_bytes()
            stopping = asyncio.create_task(asyncio.to_thread(process.stop))
            await opened.receive()
            assert opened.close_code == 4503
            assert await stopping == 0
        assert not [entry for entry in process.data.iterdir() if entry.name.endswith(("-wal", "-shm"))]
        assert "Traceback" not in process.log()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_both_signals_stop_it_with_status_0(tmp_path: Path, number: signal.Signals) -> None:
    with running_relay(tmp_path, **SETTINGS) as process:
        assert process._end(number) == 0
        assert "Traceback" not in process.log()


@pytest.mark.parametrize("stderr", ["broken pipe", "full disk", "closed"])
async def test_a_lost_standard_error_does_not_break_stopping(tmp_path: Path, stderr: str) -> None:
    port, reading, writing = free_port(), -1, -1
    command = [sys.executable, "-m", "halonyx.relay", "--port", str(port), "--data", str(tmp_path / "relay")]
    if stderr == "broken pipe":
        reading, writing = os.pipe()
    elif stderr == "full disk":
        writing = os.open("/dev/full", os.O_WRONLY)
    else:
        command = ["sh", "-c", 'exec "$@" 2>&-', "sh", *command]
    process = await asyncio.create_subprocess_exec(
        *command,
        env=clean_environment(**SETTINGS),
        stdout=subprocess.PIPE,
        stderr=None if writing < 0 else writing,
    )
    for descriptor in (reading, writing):
        if descriptor >= 0:
            os.close(descriptor)
    async with aiohttp.ClientSession() as session:
        async with asyncio.timeout(30):
            while True:
                try:
                    opened = await session.ws_connect(f"http://127.0.0.1:{port}{SEND_PATH}", protocols=[SUBPROTOCOL])
                except aiohttp.ClientError:
                    await asyncio.sleep(0.05)
                else:
                    break
        process.terminate()
        await opened.receive()
        assert opened.close_code == 4503
    assert await asyncio.wait_for(process.wait(), 30) == 0
    assert process.stdout is not None
    assert await process.stdout.read() == b""


def start_again(process: RelayProcess, port: int, data: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "halonyx.relay", "--port", str(port), "--data", str(data)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_says_why_it_cannot_start(tmp_path: Path) -> None:
    with running_relay(tmp_path, **SETTINGS) as process:
        taken = start_again(process, process.port, tmp_path / "other")
        shared = start_again(process, free_port(), process.data)
    assert (taken.returncode, shared.returncode) == (2, 2)
    assert f"port {process.port} is in use" in taken.stderr
    assert "another relay is using the data folder" in shared.stderr
    assert "Traceback" not in taken.stderr + shared.stderr
    (tmp_path / "file").write_text("")
    broken = start_again(process, free_port(), tmp_path / "file")
    assert broken.returncode == 2
    assert "can't be used" in broken.stderr


def test_metrics_count_envelopes_and_name_nobody(tmp_path: Path) -> None:
    with running_relay(tmp_path, **SETTINGS) as process:
        connection = http.client.HTTPConnection("localhost", process.port, timeout=10)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
    for name in ("accepted_total", "delivered_total", "acknowledged_total", "connections", "writer_queue"):
        assert f"halonyx_{name} 0.0" in text


async def test_an_address_that_is_not_ours_is_named(tmp_path: Path) -> None:
    settings = load_settings(
        port=free_port(), host="203.0.113.7", data=tmp_path, behind_proxy=True, origins=["https://relay.example"]
    )
    with pytest.raises(Misuse, match=r"203\.0\.113\.7"):
        await Relay(settings).serve()


async def test_a_proxy_is_believed_only_when_there_is_one(tmp_path: Path) -> None:
    for behind_proxy, expected in ((True, "198.51.100.9"), (False, "127.0.0.1")):
        folder = tmp_path / str(behind_proxy)
        async with served(folder, behind_proxy=behind_proxy) as relay:
            forwarded = {"X-Forwarded-For": "203.0.113.1, 198.51.100.9"}
            await relay.session.ws_connect(relay.origin + SEND_PATH, protocols=[SUBPROTOCOL], headers=forwarded)
            assert dict(relay.relay.hub._networks) == {expected: 1}


@pytest.mark.parametrize(
    ("size", "head"),
    [(0, "8200"), (125, "827d"), (126, "827e007e"), (65_535, "827effff"), (65_536, "827f0000000000010000")],
)
def test_a_frame_has_the_shortest_length(size: int, head: str) -> None:
    assert framed(bytes(size)) == bytes.fromhex(head) + bytes(size)


def test_files_of_other_secrets_are_refused_in_words(tmp_path: Path) -> None:
    with running_relay(tmp_path, **SETTINGS) as process:
        process.stop()
        database = Database(process.data / "identity.db", identity.SCHEMA)
        asyncio.run(IdentityStore(database, bytes(32)).announce(Device.fresh().address))
        database.close()
        refused = start_again(process, process.port, process.data)
    assert refused.returncode == 2
    assert "identity.db belongs to another secrets file" in refused.stderr
    assert "Traceback" not in refused.stderr
