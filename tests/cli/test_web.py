"""`halonyx web`: with a build and without, in a copy of the package, so that no checkout's own build matters."""

import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from command_line import HALONYX
from relay_process import clean_environment, free_port

PACKAGE: Final = Path(__file__).parents[2] / "src" / "halonyx"
FILES: Final = {"assets/page-1a2b.js": b"'use strict'\n", "index.html": b"<!doctype html><title>Halonyx</title>\n"}


@pytest.fixture(scope="module")
def unbuilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a package without the page."""
    folder = tmp_path_factory.mktemp("unbuilt")
    shutil.copytree(PACKAGE, folder / "halonyx", ignore=shutil.ignore_patterns("site", "__pycache__"))
    return folder


@pytest.fixture(scope="module")
def built(unbuilt: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a package with a page of two files."""
    folder = tmp_path_factory.mktemp("built")
    shutil.copytree(unbuilt, folder, dirs_exist_ok=True)
    for path, content in FILES.items():
        file = folder / "halonyx" / "web" / "site" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return folder


def test_without_a_build_it_says_how_to_get_one(unbuilt: Path) -> None:
    done = _run(unbuilt)
    assert (done.returncode, done.stdout) == (2, "")
    assert "'make web' builds it" in done.stderr


def test_a_port_that_is_taken_is_said_with_the_way_out(built: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = _run(built, "--port", str(port))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (f"Error: can't serve on port {port} (Address already in use): choose another with --port.\n")


@pytest.mark.parametrize("relay", ["nowhere", "http://relay.example", "https://relay.example/path"])
def test_a_relay_that_is_no_origin_is_wrong_use(relay: str, built: Path) -> None:
    done = _run(built, "--relay", relay, "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert json.loads(done.stderr)["error"]["code"] == "malformed"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_in_words_it_says_address_and_build_and_ends_like_a_relay(built: Path, number: signal.Signals) -> None:
    port = free_port()
    with _serving(built, "--port", str(port)) as page:
        assert page.stdout is not None
        assert page.stdout.readline() == f"Open http://localhost:{port} in your browser.\n"
        assert _get(port) == FILES["index.html"]  # at once: the words came when it answered
        page.send_signal(number)
        status, rest, errors = _ended(page)
    assert (status, errors) == (0, "")
    assert _hash() in rest


def test_in_json_it_is_one_object(built: Path) -> None:
    port = free_port()
    with _serving(built, "--port", str(port), "--relay", "https://relay.example/", "--json") as page:
        assert page.stdout is not None
        assert json.loads(page.stdout.readline()) == {
            "address": f"http://localhost:{port}",
            "relay": "https://relay.example",
            "build": _hash(),
        }
        page.send_signal(signal.SIGTERM)
        assert _ended(page) == (0, "", "")


def _environment(folder: Path) -> dict[str, str]:
    return clean_environment(PYTHONPATH=os.pathsep.join((str(folder), os.environ.get("PYTHONPATH", ""))))


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*HALONYX, "web", *arguments],
        env=_environment(folder),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@contextmanager
def _serving(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [*HALONYX, "web", *arguments],
        env=_environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Return status and what was left to read; `communicate` would miss what readline took into its buffer."""
    assert process.stdout is not None
    assert process.stderr is not None
    status = process.wait(timeout=30)
    return status, process.stdout.read(), process.stderr.read()


def _get(port: int) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/")
    content = connection.getresponse().read()
    connection.close()
    return content


def _hash() -> str:
    """Return the hash of the build: each path and content behind its length, in the order of paths."""
    parts = [part for path in sorted(FILES) for part in (path.encode("ascii"), FILES[path])]
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).hexdigest()
