"""What a relay has accepted is there after the power failed, wherever it failed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

TESTS: Final = Path(__file__).parents[1]
CUTS: Final = 1000 if os.environ.get("HALONYX_SOAK") else 100


def failures(folder: Path, cuts: int, *, is_careless: bool = False) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, str(TESTS / "relay" / "failing_power.py"), str(folder)],
        input=json.dumps({"first": 0, "cuts": cuts, "is_careless": is_careless}),
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, int] = json.loads(done.stdout)
    return told


@pytest.mark.timeout(120 + CUTS)
def test_nothing_accepted_is_lost(tmp_path: Path) -> None:
    told = failures(tmp_path, CUTS)

    assert (told["runs"], told["lost"]) == (CUTS, 0)
    assert told["accepted"] > CUTS


def test_less_care_would_be_noticed(tmp_path: Path) -> None:
    """With SQLite's synchronous=NORMAL the same failures lose mail: the method can tell."""
    assert failures(tmp_path, 20, is_careless=True)["losing"] > 0
