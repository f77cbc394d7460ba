"""The demo keeps its word: every step is there, everything it claims holds, and nothing is left behind."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import psutil
import pytest

from relay_process import clean_environment

DEMO: Final = Path(__file__).parents[2] / "demo" / "demo.py"
STEPS: Final = 8
CLAIMS: Final = 23


@pytest.mark.timeout(300)
def test_the_demo(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(DEMO)],
        env=clean_environment(TMPDIR=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert [line[0] for line in done.stdout.splitlines() if line[:1].isdigit()] == [str(n + 1) for n in range(STEPS)]
    assert done.stdout.count("✓") == CLAIMS
    assert "✗" not in done.stdout
    assert list(tmp_path.iterdir()) == []
    started_here = [process for process in psutil.process_iter() if str(tmp_path) in " ".join(_command(process))]
    assert started_here == []


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
