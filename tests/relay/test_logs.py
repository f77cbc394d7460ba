"""Logs name nobody: a whole life of an account at debug level, then a search for everything that could identify."""

import base64
import io
import json
import logging
import os
import socket
import sys
from pathlib import Path

import aiohttp
import pytest

from halonyx.core.encoding import encode_base64url
from halonyx.core.errors import Misuse
from halonyx.relay.events import Event, configure, log
from halonyx.relay.settings import load_settings
from relay.rest_kit import Person, Relay, prekeys
from relay.rest_kit import running_relay as running_here
from relay_process import RelayProcess, running_relay


async def live(process: RelayProcess, alice: Person) -> list[bytes]:
    """Make every call once, rightly and wrongly; return everything secret or identifying that went over the wire."""
    async with aiohttp.ClientSession() as session:
        relay = Relay(load_settings(port=process.port, data=process.data), session)
        fetch, key, record = os.urandom(16), os.urandom(16), os.urandom(300)
        await alice.sign_up(relay)
        await alice.sign_up(relay)
        await Person(address=alice.address).sign_up(relay)
        await alice.lookup(relay)
        await alice.lookup(relay, os.urandom(16))
        await alice.bundle(relay, fetch)
        await alice.bundle(relay, device=7)
        await alice.publish(relay, prekeys(5, 10))
        await alice.status(relay)
        await Person(address=alice.address).status(relay)
        await alice.set_access_key(relay, key)
        await alice.replace(relay, alice.replacement(record, [alice.new_device(2)], key))
        await relay.call("POST", "/v1/lookup", alice.address.hex().encode())
        await relay.call("GET", f"/{alice.address.hex()}", headers={"X-Forwarded-For": "192.0.2.77"})
        await relay.call("GET", f"/?{alice.address.hex()}", headers={"User-Agent": alice.address.hex()})
        await alice.delete(relay)
    keys = [alice.management.public.raw, alice.login.public.raw, alice.management.seed(), alice.login.seed()]
    return [alice.address, alice.access_key, alice.request_key, key, fetch, *keys, record[:40], alice.record[:40]]


async def test_a_whole_life_at_debug_level_leaves_no_trace(tmp_path: Path) -> None:
    alice = Person()
    with running_relay(tmp_path, HALONYX_LOG_LEVEL="debug") as process:
        identifying = await live(process, alice)
        process.kill()
        process.start()
        process.stop()
        text = process.log()

    events = [json.loads(line) for line in text.splitlines()]
    assert {"relay-started", "request", "relay-stopped"} <= {event["event"] for event in events}
    assert all(event["event"] in set(Event) for event in events)
    assert sum(event["event"] == "request" for event in events) > 15
    for value in identifying:
        for form in (value.hex(), encode_base64url(value), base64.b64encode(value).decode(), repr(value)[2:-1]):
            assert form not in text
    for address in ("127.0.0.1", "::1", "localhost", "192.0.2.77"):
        assert address not in text


def test_only_listed_fields_can_be_logged() -> None:
    with pytest.raises(Misuse):
        log(Event.STARTED, address="ab" * 32)
    with pytest.raises(Misuse):
        log(Event.STARTED, port="127.0.0.1")


def test_levels_are_respected(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info")
    log(Event.REQUEST, status=200)
    log(Event.STARTED, port=3000)

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line["level"]) for line in lines] == [("relay-started", "info")]


@pytest.mark.parametrize("error", [BrokenPipeError, OSError, ValueError])
def test_a_log_that_is_not_taken_stops_nothing(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    class Lost(io.StringIO):
        def write(self, _: str) -> int:
            raise error

    monkeypatch.setattr(sys, "stderr", Lost())
    configure("info")
    log(Event.STARTED, port=3000)


def test_without_standard_error_nothing_is_logged_elsewhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    configure("info")
    log(Event.STARTED, port=3000)

    assert capsys.readouterr().out == ""


async def test_a_bug_is_logged_by_its_class_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure("info")
    async with running_here(tmp_path) as relay:
        database = relay.here.identity.database
        await database.write(lambda connection: connection.execute("drop table device").fetchall())
        alice = Person()
        answer = await alice.publish(relay, [])

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    failed = [line for line in lines if line["event"] == "request-failed"]
    assert (answer.status, answer.code) == (500, "internal")
    assert [(line["route"], line["error"]) for line in failed] == [("/v1/prekeys", "SQLError")]
    assert alice.address.hex() not in str(lines)


@pytest.mark.parametrize("library", ["asyncio", "uvicorn.error"])
def test_what_a_library_says_is_logged_by_class_alone(library: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure("info")
    logging.getLogger(library).warning("bad request of 192.0.2.77")
    lost = ConnectionError("192.0.2.77 is gone")
    logging.getLogger(library).error("lost 192.0.2.77", exc_info=lost)
    logging.getLogger(library).error("no exception, 192.0.2.77")

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line["error"]) for line in lines] == [
        ("socket-failed", "ConnectionError"),
        ("socket-failed", library),
    ]


def test_what_is_no_http_leaves_no_line(tmp_path: Path) -> None:
    with running_relay(tmp_path) as process:
        with socket.create_connection(("127.0.0.1", process.port)) as raw:
            raw.sendall(b"this is no HTTP\r\n\r\n")
            raw.recv(1024)
        process.stop()
        assert "invalid" not in process.log().lower()
