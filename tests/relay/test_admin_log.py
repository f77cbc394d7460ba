"""The admin log tells what was done, survives a crash in the middle of a line, and shows whatever was changed."""

import asyncio
import json
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from halonyx.cli.main import run
from halonyx.core.errors import Misuse, StoreError
from halonyx.relay import admin_log
from halonyx.relay.admin_log import HEAD, LOG, AdminEvent, Finding, Flaw, append, last_marks, read
from halonyx.relay.announcing import TooSoon, announce
from halonyx.relay.backup import back_up, restore
from halonyx.relay.context import wall_clock
from halonyx.relay.events import configure
from halonyx.relay.folder import refuse_root
from halonyx.relay.secrets import DATABASES
from halonyx.relay.settings import RelaySettings, load_settings
from halonyx.relay.store import identity
from halonyx.relay.store.invites import make_invites
from relay.rest_kit import running_relay
from relay_process import free_port

Captured = pytest.CaptureFixture[str]


def written(folder: Path, count: int = 5) -> list[bytes]:
    """Write `count` lines and return them."""
    for number in range(count):
        append(folder, AdminEvent.INVITED, count=number + 1)
    return (folder / LOG).read_bytes().splitlines(keepends=True)


def flaws(folder: Path) -> list[tuple[str, int]]:
    return [(finding.flaw.value, finding.line) for finding in read(folder).findings]


def events(folder: Path) -> list[str]:
    return [line.fields["event"] for line in read(folder).lines if line is not None]


def test_lines_follow_each_other(tmp_path: Path) -> None:
    lines = [json.loads(line) for line in written(tmp_path)]

    assert [line["number"] for line in lines] == [1, 2, 3, 4, 5]
    assert [line["count"] for line in lines] == [1, 2, 3, 4, 5]
    assert read(tmp_path).findings == ()
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / LOG, tmp_path / HEAD)} == {0o600}


Change = Callable[[list[bytes]], list[bytes]]
CHANGES: dict[str, tuple[Change, list[tuple[str, int]]]] = {
    "alter": (lambda lines: [*lines[:2], lines[2].replace(b'"count":3', b'"count":4'), *lines[3:]], [("altered", 3)]),
    "alter the last": (lambda lines: [*lines[:4], lines[4].replace(b'"count":5', b'"count":6')], [("altered", 5)]),
    "write over": (lambda lines: [*lines[:2], b"nothing\n", *lines[3:]], [("altered", 3)]),
    "delete": (lambda lines: [*lines[:2], *lines[3:]], [("deleted", 3)]),
    "delete the first": (lambda lines: lines[1:], [("deleted", 1)]),
    "delete two": (lambda lines: [*lines[:1], *lines[3:]], [("deleted", 2)]),
    "swap": (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], [("swapped", 2)]),
    "repeat": (lambda lines: [*lines[:3], lines[1], *lines[3:]], [("swapped", 2)]),
    "truncate": (lambda lines: lines[:3], [("cut", 4)]),
    "truncate within": (lambda lines: [*lines[:3], lines[3][:9]], [("torn", 4), ("cut", 5)]),
    "empty": (lambda _: [], [("cut", 1)]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_is_named(name: str, tmp_path: Path) -> None:
    lines = written(tmp_path)
    change, expected = CHANGES[name]
    (tmp_path / LOG).write_bytes(b"".join(change(lines)))

    assert flaws(tmp_path) == expected
    append(tmp_path, AdminEvent.STOPPED)
    assert set(flaws(tmp_path)) - {("torn", 4)}, "what is written afterwards hides it"


def test_lines_that_would_take_all_memory_are_altered(tmp_path: Path) -> None:
    lines = written(tmp_path, 3)
    lines[1] = lines[1].replace(b'"number":2', b'"number":' + b"9" * 18)
    (tmp_path / LOG).write_bytes(b"".join([*lines, b"[" * 100_000, b"\n"]))

    assert flaws(tmp_path)[0] == ("altered", 2)


@pytest.mark.parametrize(
    ("was", "made"),
    [
        (b'"count":2', b'"count":[2]'),
        (b'"count":2', b'"count":true'),
        (b'"count":2', b'"names":[2]'),
        (b'"time":', b'"time":99'),  # years beyond any calendar
        (b'"time":', b'"time":-'),
    ],
)
def test_a_field_with_what_is_never_written_is_no_line_of_ours(
    was: bytes, made: bytes, tmp_path: Path, capsys: Captured
) -> None:
    lines = written(tmp_path, 3)
    (tmp_path / LOG).write_bytes(lines[0] + lines[1].replace(was, made) + lines[2])

    assert run(["relay", "admin-log", "--json", "--data", str(tmp_path)]) == 1
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        json.loads(lines[0]),
        json.loads(lines[2]),
        {"flaw": "altered", "line": 2},
    ]


def test_a_log_that_is_gone_is_missed(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / LOG).unlink()

    assert flaws(tmp_path) == [("cut", 1)]


@pytest.mark.parametrize("head", [b"", b"nonsense", b"2 " + b"0" * 64, b"-9 " + b"0" * 64, None])
def test_a_head_that_does_not_fit_is_named(head: bytes | None, tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / HEAD).unlink() if head is None else (tmp_path / HEAD).write_bytes(head)

    assert [flaw for flaw, _ in flaws(tmp_path)] == ["altered"]
    append(tmp_path, AdminEvent.STOPPED)
    assert events(tmp_path)[-2:] == ["log-mended", "relay-stopped"]


@pytest.mark.parametrize("kept", [1, 40])
def test_a_line_torn_by_a_crash_is_told_and_mended(kept: int, tmp_path: Path) -> None:
    lines = written(tmp_path, 3)
    with (tmp_path / LOG).open("ab") as log:
        log.write(lines[0][:kept])

    assert flaws(tmp_path) == [("torn", 4)]
    append(tmp_path, AdminEvent.STARTED)
    assert flaws(tmp_path) == [("torn", 4)]
    assert events(tmp_path)[-2:] == ["log-mended", "relay-started"]
    assert lines[0][:kept] + b"\n" in (tmp_path / LOG).read_bytes().splitlines(keepends=True)


def test_a_crash_between_line_and_head_is_no_flaw(tmp_path: Path) -> None:
    written(tmp_path, 3)
    head = (tmp_path / HEAD).read_bytes()
    append(tmp_path, AdminEvent.STOPPED)
    (tmp_path / HEAD).write_bytes(head)

    assert flaws(tmp_path) == []
    append(tmp_path, AdminEvent.STARTED)
    assert (flaws(tmp_path), len(events(tmp_path))) == ([], 5)


def _write_some(folder: Path) -> None:
    for _ in range(20):
        append(folder, AdminEvent.INVITED, count=1)


def test_processes_write_one_after_the_other(tmp_path: Path) -> None:
    processes = [multiprocessing.get_context("fork").Process(target=_write_some, args=(tmp_path,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert (flaws(tmp_path), len(events(tmp_path))) == ([], 60)


@pytest.mark.parametrize(
    "command",
    [
        ["invite"],
        ["announce", "Hello"],
        ["contacts"],
        ["backup", "copy"],
        ["restore", "copy"],
        ["admin-log"],
        ["knows"],
    ],
    ids=lambda command: command[0],
)
def test_root_does_nothing_in_a_folder_of_somebody_else(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    data, precious = tmp_path / "data", tmp_path / "precious"
    data.mkdir()
    precious.write_text("root's")
    for name in (LOG, "admin.new", "announcement", *DATABASES):
        (data / name).symlink_to(precious)
    is_root = os.geteuid() == 0
    if is_root:
        os.chown(data, 12_345, 12_345)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.chdir(tmp_path)
    Path("copy").touch()
    owner = precious.stat().st_uid

    assert run(["relay", *command, "--data", str(data)]) == 2

    assert "runuser -u" in capsys.readouterr().err
    assert (precious.read_text(), precious.stat().st_uid) == ("root's", owner)
    assert len(list(data.iterdir())) == 3 + len(DATABASES)


def test_root_does_nothing_where_somebody_else_put_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "roots" / "data").mkdir(parents=True)
    link = tmp_path / "theirs"
    link.symlink_to(tmp_path / "roots")
    if os.geteuid() == 0:
        os.chown(link, 12_345, 12_345, follow_symlinks=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    with pytest.raises(Misuse, match="runuser"):
        refuse_root(link / "data")


def test_no_link_is_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("")
    (tmp_path / "admin.new").symlink_to(precious)
    written(tmp_path, 1)
    (tmp_path / LOG).unlink()
    (tmp_path / LOG).symlink_to(precious)
    with pytest.raises(StoreError):
        written(tmp_path, 1)

    assert precious.read_text() == ""


def test_only_listed_fields_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(Misuse):
        append(tmp_path, AdminEvent.INVITED, address="ab" * 32)
    with pytest.raises(Misuse):
        append(tmp_path, AdminEvent.INVITED, count="127.0.0.1")


def test_a_log_that_can_not_be_used_is_an_error(tmp_path: Path) -> None:
    (tmp_path / LOG).mkdir()
    with pytest.raises(StoreError):
        append(tmp_path, AdminEvent.STOPPED)
    with pytest.raises(StoreError):
        read(tmp_path)


def test_a_log_beyond_bounds_is_not_read(tmp_path: Path) -> None:
    written(tmp_path, 1)
    os.truncate(tmp_path / LOG, admin_log.MAX_BYTES + 1)
    with pytest.raises(StoreError, match="larger"):
        read(tmp_path)


async def test_a_relay_notes_its_life_and_nobody_s(tmp_path: Path) -> None:
    data, port = tmp_path / "data", free_port()
    for flags in ({}, {}, {"pow_bits": 21, "metrics_token": "a secret of the operator"}):
        async with running_relay(tmp_path, reserve_bytes=0, port=port, **flags) as relay:
            back_up(relay.settings, tmp_path / f"copy {len(events(data))}")
    await asyncio.to_thread(restore, load_settings(data=data), tmp_path / "copy 1", replace=True)

    life = ["relay-started", "backed-up", "relay-stopped"]
    assert events(data) == [*life, *life, "relay-started", "settings-changed", *life[1:], "restored"]
    assert flaws(data) == []
    changed = [line.fields["names"] for line in read(data).lines if line and "names" in line.fields]
    assert changed == [["metrics_token", "pow_bits"]]
    marks = last_marks(read(data))
    assert marks is not None
    assert set(marks) >= {"data", "pow_bits", "metrics_token"}
    text = (data / LOG).read_text()
    assert not [word for word in ("127.0.0.1", "localhost", "secret of", str(tmp_path)) if word in text]


async def test_other_secrets_are_no_change_of_settings(tmp_path: Path) -> None:
    data, port, files = tmp_path / "data", free_port(), [tmp_path / "first", tmp_path / "second"]
    for secrets in files:
        async with running_relay(tmp_path, reserve_bytes=0, port=port) as relay:
            back_up(relay.settings, tmp_path / f"copy of {secrets.name}")
        (tmp_path / "data.secrets").rename(secrets)  # the next start makes new ones
        for name in DATABASES:
            (data / name).unlink()
    await asyncio.to_thread(restore, load_settings(data=data), tmp_path / "copy of first", replace=True)
    async with running_relay(tmp_path, reserve_bytes=0, port=port):
        pass

    assert "restored" in events(data)
    assert "settings-changed" not in events(data)
    assert "key" not in RelaySettings.model_fields


async def test_announcements_and_invites_are_noted(tmp_path: Path) -> None:
    async with running_relay(tmp_path, reserve_bytes=0) as relay:
        announce(relay.settings, "The relay moves on Sunday.", wall_clock())
        with pytest.raises(TooSoon):
            announce(relay.settings, "It does not.", wall_clock())
        make_invites(relay.settings.data / "identity.db", identity.SCHEMA, 3, wall_clock())

    assert events(tmp_path / "data") == ["relay-started", "announced", "invites-made", "relay-stopped"]
    assert "Sunday" not in (tmp_path / "data" / LOG).read_text()


async def test_what_is_done_counts_as_done_without_the_log(tmp_path: Path, capsys: Captured) -> None:
    configure("info")
    async with running_relay(tmp_path, reserve_bytes=0) as relay:
        (relay.settings.data / LOG).unlink()
        (relay.settings.data / LOG).mkdir()
        announce(relay.settings, "The relay moves on Sunday.", wall_clock())
        assert len(make_invites(relay.settings.data / "identity.db", identity.SCHEMA, 3, wall_clock())) == 3
        back_up(relay.settings, tmp_path / "copy")
    capsys.readouterr()
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / LOG).mkdir()
    await asyncio.to_thread(restore, load_settings(data=tmp_path / "new"), tmp_path / "copy")

    assert (tmp_path / "new" / "app.db").is_file()
    assert "write-failed" in capsys.readouterr().err


def test_the_command_prints_it_and_checks_it(tmp_path: Path, capsys: Captured) -> None:
    lines = written(tmp_path, 2)
    option = ["--data", str(tmp_path)]

    assert run(["relay", "admin-log", *option]) == 0
    assert "invites-made  count 2" in capsys.readouterr().out
    assert run(["relay", "admin-log", "--json", *option]) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [json.loads(line) for line in lines]
    assert run(["relay", "admin-log", "--verify", "--json", *option]) == 0
    noted = json.loads(capsys.readouterr().out)
    assert noted["lines"] == 2
    assert run(["relay", "admin-log", "--head", noted["head"], *option]) == 0
    (tmp_path / LOG).unlink()
    (tmp_path / HEAD).unlink()
    written(tmp_path, 3)  # made anew
    assert run(["relay", "admin-log", "--verify", *option]) == 0
    assert run(["relay", "admin-log", "--verify", "--head", noted["head"], *option]) == 1
    assert run(["relay", "admin-log", "--verify", "--head", noted["head"][:-1], *option]) == 2
    (tmp_path / LOG).write_bytes(b"".join((tmp_path / LOG).read_bytes().splitlines(keepends=True)[:2]))
    capsys.readouterr()
    assert run(["relay", "admin-log", "--verify", *option]) == 1
    assert capsys.readouterr().out == "The end of the log is missing, from line 3 on.\n"


def test_without_a_log_a_relay_is_missed_or_its_log(tmp_path: Path, capsys: Captured) -> None:
    """A folder that was named wrongly is not in order, and a relay notes at least its first start."""
    command = ["relay", "admin-log", "--verify", "--data", str(tmp_path)]
    assert run(command) == 2
    assert "name its folder with --data" in capsys.readouterr().err
    for name in DATABASES:
        (tmp_path / name).touch()

    assert run(command) == 1
    assert capsys.readouterr().out == "The end of the log is missing, from line 1 on.\n"
    append(tmp_path, AdminEvent.STARTED)
    assert (run(command), flaws(tmp_path)) == (0, [])


def test_every_flaw_has_words() -> None:
    from halonyx.cli import text_relay  # noqa: PLC0415

    assert set(text_relay.ADMIN_FLAW) == set(Flaw)
    assert Finding(Flaw.CUT, 1).line == 1
