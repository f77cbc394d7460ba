"""A disk without room: submissions wait, acknowledgements and deletions go through, and then there is room again."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from halonyx.relay.store.reserve import LEAST_ROOM, Reserve
from relay.own_disk import IN_NAMESPACE, can_mount

TESTS = Path(__file__).parent.parent
SCRIPT = TESTS / "relay" / "full_disk.py"
MOUNT = 'mount -t tmpfs -o size=32m none "$1" && exec "$2" "$3" "$1" tmpfs'


def test_a_full_disk_takes_acknowledgements_and_nothing_else_until_there_is_room(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    if can_mount(folder):
        command = [*IN_NAMESPACE, MOUNT, "sh", str(folder), sys.executable, str(SCRIPT)]
    else:
        sys.stdout.write("no file system can be mounted here: app.db is stopped from growing instead of a full disk\n")
        command = [sys.executable, str(SCRIPT), str(folder), "pages"]
    environment = os.environ | {"PYTHONPATH": str(TESTS)}

    ran = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)

    assert told["stored"] > 100
    assert told["delivered"] == told["stored"]
    assert told["rows"] == 0
    assert told["afterwards"] == "ACCEPTED"
    assert told["threads"] is True
    if command[-1] != "pages":  # there, the disk itself has room
        assert told["refused"] == ["BUSY"]
        assert told["kept"] is True
        assert told["keys"] is True
        assert told["logged"] <= 3


def test_a_shortage_ends_when_the_reserve_is_back_with_room_to_spare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, size = tmp_path / "reserve", 2 * LEAST_ROOM
    kept = Reserve(path, size)
    free = 0
    monkeypatch.setattr("shutil.disk_usage", lambda _: _Usage(free))

    assert (kept.run_short(), kept.run_short(), kept.is_short) == (True, False, True)
    free = 2 * size - 1
    assert (kept.restore(), kept.is_short, path.exists()) == (False, True, False)
    free = 2 * size
    assert (kept.restore(), kept.is_short, path.stat().st_size) == (True, False, size)
    free = size - 1
    kept.run_short()
    assert (kept.restore(), kept.is_short, path.exists()) == (False, True, True)
    free = size
    assert (kept.restore(), kept.is_short) == (True, False)
    kept.release()
    kept.release()
    assert not path.exists()


class _Usage:
    def __init__(self, free: int) -> None:
        self.free = free
