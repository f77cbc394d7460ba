"""The demos keep their word: every step is there, everything it claims holds, and nothing is left behind."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import psutil
import pytest

from relay_process import clean_environment

DEMOS: Final = Path(__file__).parents[2] / "demo"


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("program", "steps", "claims"), [("demo.py", 8, 23), ("mitm.py", 6, 12)])
def test_a_demo(program: str, steps: int, claims: int, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(DEMOS / program)],
        env=clean_environment(TMPDIR=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert [line[0] for line in done.stdout.splitlines() if line[:1].isdigit()] == [str(n + 1) for n in range(steps)]
    assert done.stdout.count("✓") == claims
    assert "✗" not in done.stdout
    assert list(tmp_path.iterdir()) == []
    started_here = [process for process in psutil.process_iter() if str(tmp_path) in " ".join(_command(process))]
    assert started_here == []


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
