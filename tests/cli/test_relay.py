"""`halonyx relay`: it starts, says what to do next, and refuses what it can't do."""

import http.client
import json
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from command_line import HALONYX
from halonyx.cli.main import run
from relay_process import clean_environment, free_port

Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize("in_json", [False, True])
def test_it_says_what_to_do_next_and_stops_at_ctrl_c(in_json: bool, tmp_path: Path) -> None:  # noqa: FBT001
    port, data = free_port(), tmp_path / "relay"
    flags = ["--port", str(port), "--data", str(data), "--pow-bits", "8", "--signup=pow", "--log-level", "error"]
    with subprocess.Popen(
        [*HALONYX, "relay", *flags, *(["--json"] if in_json else [])],
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as relay:
        assert relay.stdout is not None
        assert relay.stderr is not None
        first = relay.stdout.readline()
        about = _ask(port)  # at once: the words came when it answered
        relay.send_signal(signal.SIGINT)
        relay.wait(timeout=30)
        rest, errors = relay.stdout.read(), relay.stderr.read()
    assert (relay.returncode, errors) == (0, "")
    assert about["signup"] == "pow"
    if in_json:
        origin = f"http://localhost:{port}"
        assert json.loads(first) == {"origin": origin, "data": str(data), "secrets": f"{data}.secrets"}
        assert rest == ""
    else:
        assert first == f"Halonyx relay on http://localhost:{port}\n"
        assert f"halonyx account create --relay http://localhost:{port}" in rest


def test_a_port_in_use_is_said_and_nothing_else(tmp_path: Path, capsys: Captured) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert run(["relay", "--port", str(taken.getsockname()[1]), "--data", str(tmp_path / "relay")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "is in use: stop what uses it, or choose another with --port." in captured.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--pow-bitz", "3"], "no setting --pow-bitz"),
        (["--pow-bits"], "needs a value"),
        (["extra"], "no setting extra"),
        (["--pow-bits", "29"], "28"),
        (["--origins", "nowhere"], "origins"),
        (["--peer-relays", "https://b.example,nowhere"], "peer_relays.1"),
        (["--peer-relays", "nowhere", "--peer-relays", "https://b.example", "--pow-bits=29"], "peer_relays.0"),
        (["--peer-relays=https://b.example", "--peer-relays", "nowhere"], "peer_relays.1"),
        (
            ["--peer-relays", '["https://b.example"]', "--peer-relays", "https://c.example", "--pow-bits=29"],
            "by commas",
        ),
        (["--host", "0.0.0.0"], "TLS"),  # noqa: S104 (it is refused)
        (["--config", "/nowhere.toml"], "does not exist"),
    ],
)
def test_settings_that_are_wrong(arguments: list[str], words: str, capsys: Captured) -> None:
    assert run(["relay", *arguments]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.out == ""


def _ask(port: int) -> dict[str, object]:
    connection = http.client.HTTPConnection("localhost", port, timeout=10)
    connection.request("GET", "/v1/relay")
    answer: dict[str, object] = json.loads(connection.getresponse().read())
    connection.close()
    return answer
