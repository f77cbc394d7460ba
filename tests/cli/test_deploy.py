"""What the documents and deploy/ tell an operator to run is what the program has: every command and every option."""

import configparser
import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Final

import pytest
import typer.main
from typer.core import TyperGroup

from cli.test_documents import PAGES, ROOT
from halonyx.cli.main import app
from halonyx.relay.settings import RelaySettings, load_settings

DEPLOY: Final = ROOT / "deploy"
SERVICE: Final = DEPLOY / "halonyx-relay.service"
TAKES_ANY_SETTING: Final = frozenset({"relay", "doctor"})


def unknown(line: str) -> list[str]:
    """Return the words of a command line that the program does not know."""
    command = typer.main.get_command(app)
    words = shlex.split(line, comments=True)[1:]
    while isinstance(command, TyperGroup) and words and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    options = {option for parameter in command.params for option in parameter.opts}
    if command.name in TAKES_ANY_SETTING:
        options |= {f"--{name.replace('_', '-')}" for name in RelaySettings.model_fields}
    given = [word.partition("=")[0] for word in words if word.startswith("--") and word != "--"]
    is_command = not isinstance(command, TyperGroup) or command.invoke_without_command or not words
    return [word for word in given if word not in options] + ([] if is_command else words[:1])


def lines_of(page: Path) -> list[str]:
    blocks = re.findall(r"^ *```[a-z]*\n(.*?)^ *```", page.read_text(), re.MULTILINE | re.DOTALL)
    command = r"^ {0,4}(?:docker compose exec relay |runuser -u halonyx -- )?(halonyx [a-z].*)$"
    return [found for block in blocks for found in re.findall(command, block, re.MULTILINE)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_option_in_a_document_exists(page: Path) -> None:
    wrong = {
        line: words for line in lines_of(page) if "…" not in line and "Usage:" not in line and (words := unknown(line))
    }

    assert wrong == {}


def test_the_first_page_for_hosts_is_whole() -> None:
    lines = lines_of(ROOT / "docs/howto/host.md")

    assert {" ".join(shlex.split(line)[1:3]) for line in lines} >= {"relay doctor", "relay invite", "relay backup"}
    assert len(lines) >= 10
    assert unknown("halonyx relay invite --cuont 5") == ["--cuont"]
    assert unknown("halonyx relay inivte") == ["inivte"] or unknown("halonyx relay invite --port 1") == ["--port"]


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(SERVICE)
    return parser


def test_the_unit_runs_what_there_is(tmp_path: Path) -> None:
    line = unit()["Service"]["ExecStart"]
    settings = re.search(r"```toml\n(.*?)```", (ROOT / "docs/howto/host.md").read_text(), re.DOTALL)
    assert settings is not None
    (tmp_path / "halonyx.toml").write_text(settings[1])

    assert unknown(line) == []
    loaded = load_settings(config=tmp_path / "halonyx.toml", data=Path("/var/lib/halonyx/relay"))
    assert (loaded.signup_mode, loaded.behind_proxy) == ("token", True)
    assert loaded.secrets_path == Path("/var/lib/halonyx/relay.secrets")
    assert unit()["Service"]["StateDirectory"] == "halonyx"


def test_the_unit_gives_away_what_the_relay_does_not_need() -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(SERVICE)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout

    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert found is not None
    assert float(found[1]) < 1.5, "the file says 0.9, of systemd 252"


def test_no_proxy_logs_who_calls() -> None:
    """Caddy writes down the client of every call that it can't pass on, unless it is told not to."""
    nginx, caddy, compose = ((DEPLOY / name).read_text() for name in ("nginx.conf", "Caddyfile", "compose.yaml"))

    assert "access_log off;" in nginx
    assert "/halonyx.log crit;" in nginx
    assert all("exclude http.log.error" in text for text in (caddy, compose))


def test_the_container_runs_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    text, compose = (DEPLOY / "Containerfile").read_text(), (DEPLOY / "compose.yaml").read_text()
    parts = {name: json.loads(value) for name, value in re.findall(r"^(ENTRYPOINT|CMD) (\[.*\])$", text, re.MULTILINE)}
    given = re.findall(r"(HALONYX_[A-Z_]+): '(.*)'", compose) + re.findall(
        r"^ENV (HALONYX_[A-Z_]+)=(.*)$", text, re.MULTILINE
    )
    for name, value in given:
        monkeypatch.setenv(name, value)

    assert unknown(shlex.join(parts["ENTRYPOINT"] + parts["CMD"])) == []
    # As the operator's commands load them, which are given the folder alone.
    loaded = load_settings(data=Path("/data/relay"))
    assert loaded.public_origins == ("https://relay.example",)
    assert (loaded.signup_mode, loaded.behind_proxy) == ("token", True)
    assert all(line in compose for line in ("dockerfile: deploy/Containerfile", "read_only: true", "relay:3000"))
    for line in re.findall(r"halonyx relay [a-z].*", text + compose):
        assert unknown(line.partition(",")[0]) == [], line
    version = re.search(r"UV_VERSION := (.*)", (ROOT / "Makefile").read_text())
    assert version is not None
    assert f"uv=={version[1]} " in text
