"""What is said before an account is touched: help pages, wrong use, exit status."""

import json
import re
from pathlib import Path

import pytest

from halonyx.cli import text
from halonyx.cli.command import default_home
from halonyx.cli.main import ORDER, run
from halonyx.core.errors import Duplicate, HalonyxError, Malformed, StorageConflict, StoreError, TransportError

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALONYX_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HALONYX_PASSPHRASE", raising=False)


def test_help_lists_exactly_the_commands_that_exist(capsys: Captured) -> None:
    assert run(["--help"]) == 0
    page = capsys.readouterr().out
    listed = page.partition("Commands:\n")[2].partition("\n\n")[0]
    assert tuple(line.split()[0] for line in listed.splitlines()) == ORDER
    assert "..." not in listed


@pytest.mark.parametrize("group", ["account", "contact", "files"])
def test_a_group_alone_shows_its_commands_and_is_wrong_use(group: str, capsys: Captured) -> None:
    assert run([group]) == 2
    page = capsys.readouterr().err
    listed = [line.split()[0] for line in page.partition("Commands:\n")[2].splitlines()]
    assert listed == [path.split()[1] for path in text.COMMAND if path.startswith(f"{group} ")]


@pytest.mark.parametrize("path", text.COMMAND)
def test_every_command_has_a_sentence_examples_and_described_options(path: str, capsys: Captured) -> None:
    assert run([*path.split(), "--help"]) == 0
    page = capsys.readouterr().out
    assert text.COMMAND[path] in " ".join(page.split())
    assert all(f"  {example}" in page for example in text.EXAMPLE[path])
    for line in re.findall(r"^  (-.*)$", page, re.MULTILINE):
        assert re.search(r"\S {2,}\S", line) or len(line) > 20, f"an option without words: {line}"


def test_version(capsys: Captured) -> None:
    assert run(["--version"]) == 0
    assert re.fullmatch(r"halonyx \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["sned", "bob"],
        ["send"],
        ["receive", "--fast"],
        ["receive", "--timeout", "soon"],
        ["receive", "--timeout", "-1"],
        ["receive", "--timeout", "inf"],
        ["receive", "--timeout", "nan"],
        ["receive", "--timeout", "86401"],
        ["receive", "--timeout", "1e300"],
        ["history", "bob", "--limit", "0"],
        ["restore", "/nowhere/at/all"],
        ["card", "--passphrase", "secret"],
    ],
)
def test_wrong_use_is_status_2_and_names_the_help_page(arguments: list[str], capsys: Captured) -> None:
    assert run(arguments) == 2
    assert "--help" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["receive", "--follow", "--timeout", "1"], ["receive", "--timeout", "0", "--follow"]]
)
def test_following_until_a_timeout_is_wrong_use_and_names_both(arguments: list[str], capsys: Captured) -> None:
    assert run(arguments) == 2
    words = capsys.readouterr().err
    assert all(name in words for name in ("--follow", "--timeout", "halonyx receive --help"))


def test_help_of_a_backup_names_both_variables(capsys: Captured) -> None:
    for path in ("backup", "restore"):
        assert run([path, "--help"]) == 0
        page = capsys.readouterr().out
        assert "$HALONYX_BACKUP_PASSPHRASE" in page
        assert "$HALONYX_PASSPHRASE" in page


def test_wrong_use_in_json(capsys: Captured) -> None:
    assert run(["--json", "sned"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    error = json.loads(captured.err)["error"]
    assert error["code"] == "usage"
    assert "send" in error["message"]


@pytest.mark.parametrize("arguments", [["send", "bob", "--", "--json"], ["--json", "send", "bob", "--", "x"]])
def test_what_stands_behind_two_hyphens_is_text(arguments: list[str], capsys: Captured) -> None:
    assert run(arguments) == 2  # no account here
    is_json = arguments[0] == "--json"
    assert capsys.readouterr().err.startswith("{") == is_json


def test_without_an_account_every_command_says_how_to_make_one(capsys: Captured) -> None:
    assert run(["card"]) == 2
    assert "halonyx account create" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["contact", "add", "halonyx:AAAA"], "malformed"),
        (["contact", "add", "no card"], "malformed"),
        (["account", "create", "--relay", "localhost:3000"], "malformed"),
        (["account", "create", "--relay", "http://relay.example"], "malformed"),
        (["verify", "bob", "--number", "12345"], "misuse"),
        (["send", "bob", ""], "misuse"),
        (["send", "bob", "x" * 16_385], "misuse"),
        (["send", "bob", "\udcff"], "misuse"),
        (["history", "bob", "--before", "7"], "misuse"),
    ],
)
def test_a_slip_is_wrong_use_not_a_refusal(arguments: list[str], code: str, capsys: Captured) -> None:
    assert run([*arguments, "--json"]) == 2
    assert json.loads(capsys.readouterr().err)["error"]["code"] == code


@pytest.mark.parametrize(
    ("code", "words"),
    [("", "HALONYX_RECOVERY_CODE"), ("ABCD", "36 characters"), ("A" * 36, "typing error")],
)
def test_a_recovery_code_with_a_slip(
    code: str, words: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    typed = tmp_path / "code"
    typed.write_text(code + "\n")
    with typed.open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert run(["account", "recover"]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Malformed("it is short"), 1),
        (Duplicate("again"), 1),
        (StoreError("locked"), 2),
        (StorageConflict("changed"), 2),
        (TransportError("no answer"), 3),
    ],
)
def test_exit_status_tells_who_refused(
    error: HalonyxError, status: int, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise error

    monkeypatch.setattr("halonyx.cli.command.passphrase_to_open", refuse)
    assert run(["card"]) == status
    assert capsys.readouterr().err.startswith(f"Error: {error}.\n")


def test_a_fault_is_none_of_these(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing: dict[str, str] = {}
    monkeypatch.setattr("halonyx.cli.command.passphrase_to_open", lambda _: nothing["there"])
    assert run(["card"]) == 70
    assert "KeyError" in capsys.readouterr().err


def test_ctrl_c_ends_quietly(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("halonyx.cli.command.passphrase_to_open", interrupt)
    assert run(["card"]) == 130
    assert capsys.readouterr().err == ""


def test_home_is_the_option_the_variable_or_the_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert default_home() == tmp_path / "home"
    monkeypatch.delenv("HALONYX_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert default_home() == tmp_path / "data" / "halonyx"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert default_home() == Path.home() / ".local" / "share" / "halonyx"


@pytest.mark.parametrize("before", [["--home", "HERE"], []])
def test_home_stands_before_or_behind_the_command(before: list[str], capsys: Captured, tmp_path: Path) -> None:
    here = str(tmp_path / "here")
    arguments = [argument.replace("HERE", here) for argument in [*before, "card"]]
    if not before:
        arguments += ["--home", here]
    assert run(arguments) == 2
    assert here in capsys.readouterr().err
