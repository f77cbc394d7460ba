"""The doctor: a relay behind nginx with a TURN server, in which all is well, then one thing after another is not."""

import asyncio
import os
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import apsw
import pytest

from halonyx.cli.main import run
from halonyx.relay.doctor import examine
from halonyx.relay.doctor_findings import Code
from halonyx.relay.folder import RESTORING
from halonyx.relay.secrets import Secrets, write
from halonyx.relay.store import file
from relay.tls_kit import Pair, certificate, nginx
from relay.turn_kit import turn_server
from relay_process import RelayProcess, free_port

SECRET = "a secret of sixteen"
FORWARDED = "proxy_set_header X-Forwarded-For $remote_addr;"


@dataclass(frozen=True)
class Hosting:
    """What is running, and the settings by which the doctor looks at it."""

    relay: RelayProcess
    settings: dict[str, Any] = field(default_factory=dict)

    def codes(self, **other: Any) -> list[str]:  # noqa: ANN401 (any setting)
        return [finding.code for finding in examine(self.settings | other)]


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pair:
    made = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.chain))
    return made


@pytest.fixture
def hosting(tmp_path: Path) -> Iterator[Hosting]:
    """A relay that is set up to be reached through a proxy."""
    public = free_port()
    origin = f"https://localhost:{public}"
    relay = RelayProcess(
        free_port(),
        tmp_path / "relay",
        {
            "HALONYX_BEHIND_PROXY": "true",
            "HALONYX_ORIGINS": f'["{origin}"]',
            "HALONYX_RESERVE_BYTES": "0",
        },
    )
    settings = {"port": relay.port, "data": relay.data, "origins": [origin], "behind_proxy": True}
    relay.start()
    try:
        yield Hosting(relay, settings)
    finally:
        if relay.is_running:
            relay.stop()


def public_port(hosting: Hosting) -> int:
    return int(hosting.settings["origins"][0].rpartition(":")[2])


async def test_nothing_is_named_where_all_is_well(hosting: Hosting, pair: Pair, tmp_path: Path) -> None:
    async with turn_server(tmp_path, SECRET) as turn_port:
        with nginx(tmp_path / "nginx", pair, public_port(hosting), hosting.relay.port):
            turn = {"turn_secret": SECRET, "turn_urls": f"turn:127.0.0.1:{turn_port}"}
            assert await asyncio.to_thread(hosting.codes, **turn) == []
            assert await asyncio.to_thread(hosting.codes, **turn | {"turn_secret": SECRET * 2}) == ["turn-secret"]


def test_a_turn_server_that_does_not_answer(hosting: Hosting, pair: Pair, tmp_path: Path) -> None:
    with nginx(tmp_path / "nginx", pair, public_port(hosting), hosting.relay.port):
        turn = {"turn_secret": SECRET, "turn_urls": f"turn:127.0.0.1:{free_port()}"}
        assert hosting.codes(**turn) == ["turn-unreachable"]


def test_the_reference_lists_what_may_be_found() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "relay.md").read_text()
    table = page.partition("## Doctor")[2].partition("\n## ")[0]
    assert tuple(re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE)) == get_args(Code)


def test_a_turn_server_that_refuses(hosting: Hosting, pair: Pair, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def refuse() -> None:
            asked, client = server.recvfrom(2048)
            no_capacity = bytes.fromhex("0009000400000508")  # ERROR-CODE 508
            server.sendto(bytes.fromhex("01130008") + asked[4:20] + no_capacity, client)

        refusing = threading.Thread(target=refuse)
        refusing.start()
        with nginx(tmp_path / "nginx", pair, public_port(hosting), hosting.relay.port):
            turn = {"turn_secret": SECRET, "turn_urls": f"turn:127.0.0.1:{server.getsockname()[1]}"}
            assert hosting.codes(**turn) == ["turn"]
        refusing.join()


# The proxy, one line of the sample at a time


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (("proxy_set_header Host $http_host;", ""), "proxy-host"),
        ((FORWARDED, ""), "proxy-forwarded-for"),
        ((FORWARDED, "proxy_set_header X-Forwarded-For $http_x_forwarded_for;"), "proxy-forwarded-for"),
        ((FORWARDED, "proxy_set_header X-Forwarded-For '';"), "proxy-forwarded-for"),
        (("proxy_set_header Upgrade $http_upgrade;", ""), "websocket"),
        (("proxy_set_header Connection $halonyx_connection;", ""), "websocket"),
        ((FORWARDED, f"{FORWARDED} proxy_set_header Origin '';"), "proxy-origin"),
        ((FORWARDED, f"{FORWARDED} proxy_set_header Origin https://other.example;"), "proxy-origin"),
        (("proxy_pass http://halonyx;", "return 204;"), "public-url"),
        (("proxy_pass http://halonyx;", "proxy_pass http://halonyx/elsewhere;"), "public-url"),
    ],
)
def test_a_proxy_that_is_not_right(
    hosting: Hosting, pair: Pair, tmp_path: Path, broken: tuple[str, str], code: str
) -> None:
    with nginx(tmp_path / "nginx", pair, public_port(hosting), hosting.relay.port, broken):
        assert hosting.codes() == [code]


def test_a_proxy_that_does_not_run(hosting: Hosting, pair: Pair) -> None:
    assert hosting.codes() == ["public-url"]


def test_a_proxy_that_adds_to_the_header_is_right(hosting: Hosting, pair: Pair, tmp_path: Path) -> None:
    adds = (FORWARDED, "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;")
    with nginx(tmp_path / "nginx", pair, public_port(hosting), hosting.relay.port, adds):
        assert hosting.codes() == []


@pytest.mark.parametrize(
    ("made", "code"),
    [({"days": -1}, "tls-certificate"), ({"host": "other.example"}, "tls-certificate"), ({"days": 5}, "tls-expiry")],
)
def test_a_certificate_that_is_not_right(
    hosting: Hosting, tmp_path: Path, made: dict[str, Any], code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = certificate(tmp_path, "made", **made)
    monkeypatch.setenv("SSL_CERT_FILE", str(pair.chain))
    with nginx(tmp_path / "nginx", pair, public_port(hosting), hosting.relay.port):
        assert hosting.codes() == [code]


def test_a_certificate_that_nobody_knows(
    hosting: Hosting, pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with nginx(tmp_path / "nginx", pair, public_port(hosting), hosting.relay.port):
        assert hosting.codes() == ["tls-certificate"]


def test_a_port_that_speaks_no_tls(hosting: Hosting, pair: Pair, tmp_path: Path) -> None:
    plain = (" ssl http2;", ";")
    with nginx(tmp_path / "nginx", pair, public_port(hosting), hosting.relay.port, plain):
        assert hosting.codes() == ["tls"]


def test_a_name_that_nobody_knows(hosting: Hosting) -> None:
    hosting.relay.stop()
    hosting.relay.settings["HALONYX_ORIGINS"] = '["https://relay.invalid"]'
    hosting.relay.start()
    assert hosting.codes(origins=["https://relay.invalid"]) == ["dns"]


def test_a_proxy_that_leads_to_another_relay(hosting: Hosting, pair: Pair, tmp_path: Path) -> None:
    other = RelayProcess(free_port(), tmp_path / "other", dict(hosting.relay.settings))
    other.start()
    try:
        with nginx(tmp_path / "nginx", pair, public_port(hosting), other.port):
            assert hosting.codes() == ["public-other-relay"]
    finally:
        other.stop()


def test_settings_that_the_relay_does_not_have(hosting: Hosting, pair: Pair, tmp_path: Path) -> None:
    with nginx(tmp_path / "nginx", pair, public_port(hosting), hosting.relay.port):
        assert hosting.codes(origins=["https://relay.example.invalid"])[0] == "origins"


# This machine, without a proxy


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosting]:
    """A relay on this machine that is only looked at; what is broken is a copy of its folder, or the doctor's view."""
    folder = tmp_path_factory.mktemp("shared")
    relay = RelayProcess(free_port(), folder / "relay", {"HALONYX_RESERVE_BYTES": "0"})
    relay.start()
    yield Hosting(relay, {"port": relay.port, "data": relay.data})
    relay.stop()


@pytest.fixture
def copied(shared: Hosting, tmp_path: Path) -> Hosting:
    data = tmp_path / "relay"
    shutil.copytree(shared.relay.data, data)
    shutil.copy(shared.relay.data.with_name("relay.secrets"), tmp_path / "relay.secrets")
    return replace(shared, settings={**shared.settings, "data": data})


def test_a_relay_for_this_machine_needs_no_proxy(copied: Hosting) -> None:
    assert copied.codes() == []


def loosen_folder(data: Path) -> None:
    data.chmod(0o755)


def loosen_file(data: Path) -> None:
    (data / "keys.db").chmod(0o644)


def remove(data: Path) -> None:
    shutil.rmtree(data)


def lose_secrets(data: Path) -> None:
    data.with_name("relay.secrets").unlink()


def loosen_secrets(data: Path) -> None:
    data.with_name("relay.secrets").chmod(0o644)


def change_secrets(data: Path) -> None:
    lose_secrets(data)
    write(data.with_name("relay.secrets"), Secrets.generate())


def damage(data: Path) -> None:
    (data / "app.db").write_bytes(os.urandom(8192))


def interrupt(data: Path) -> None:
    (data / RESTORING).mkdir()


def come_from_the_future(data: Path) -> None:
    os.utime(data / "app.db", (time.time() + 3600,) * 2)


@pytest.mark.parametrize(
    ("break_it", "code"),
    [
        (remove, "data-folder"),
        (loosen_folder, "data-permissions"),
        (loosen_file, "data-permissions"),
        (lose_secrets, "secrets"),
        (loosen_secrets, "secrets-permissions"),
        (change_secrets, "other-relay"),
        (damage, "databases"),
        (interrupt, "restoring"),
        (come_from_the_future, "clock"),
    ],
)
def test_a_folder_that_is_not_right(copied: Hosting, break_it: Callable[[Path], None], code: str) -> None:
    break_it(copied.settings["data"])
    assert copied.codes() == [code]


def test_a_database_that_can_not_be_opened_is_not_called_damaged(
    copied: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, "BUSY_TIMEOUT_MS", 1)
    holder = apsw.Connection(str(copied.settings["data"] / "app.db"))
    holder.execute("pragma journal_mode = delete; begin exclusive").fetchall()

    (found,) = examine(copied.settings)

    assert (found.code, found.text.endswith("app.db can't be opened: BusyError")) == ("databases", True)
    holder.close()


def test_secrets_in_the_data_folder(copied: Hosting) -> None:
    inside = copied.settings["data"] / "secrets"
    shutil.move(copied.settings["data"].with_name("relay.secrets"), inside)
    assert copied.codes(secrets=inside) == ["secrets-place"]


def test_a_disk_without_room(copied: Hosting) -> None:
    assert copied.codes(min_free_bytes=2**60) == ["disk"]


def test_settings_that_are_none(copied: Hosting, tmp_path: Path) -> None:
    (tmp_path / "relay.toml").write_text("no_such_setting = 1\n")
    assert copied.codes(config=tmp_path / "relay.toml") == ["settings"]
    assert copied.codes(host="0.0.0.0") == ["settings"]  # noqa: S104 (it is refused)


def test_nobody_on_the_port_or_somebody_else(copied: Hosting) -> None:
    assert copied.codes(port=free_port()) == ["running"]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert copied.codes(port=taken.getsockname()[1]) == ["port"]


def test_a_certificate_of_ones_own_that_is_none(copied: Hosting, pair: Pair) -> None:
    other = certificate(pair.key.parent, "other")
    codes = copied.codes(tls_cert=pair.chain, tls_key=other.key)
    assert codes[0] == "tls-files"


def test_the_command_says_what_to_change(copied: Hosting, capsys: pytest.CaptureFixture[str]) -> None:
    data = copied.settings["data"]
    options = ["relay", "doctor", "--port", str(copied.relay.port), "--data", str(data)]
    assert run(options) == 0
    assert capsys.readouterr().out == "All is well.\n"
    loosen_folder(data)
    assert run([*options, "--min-free-bytes", str(2**60)]) == 1
    words = capsys.readouterr().out
    assert f"data-permissions: Others may open {data}." in words
    assert f"chmod 700 {data}" in words
    assert "disk: " in words
    assert run([*options, "--json"]) == 1
    assert '"code": "data-permissions"' in capsys.readouterr().out
