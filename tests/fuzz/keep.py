"""Fuzzes every family and keeps what reaches new code: `PYTHONPATH=tests python tests/fuzz/keep.py SECONDS`.

Kept are the smallest of them; what the vectors hold is there anyway.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from fuzz.decoder import keep, kept, seeds
from fuzz.families import FAMILIES

LARGEST = 2048
ROOM = 40_000  # bytes of a family


def main(seconds: str) -> None:
    """Fuzz and keep."""
    runner = str(Path(__file__).with_name("run.py"))
    for family, decoders in FAMILIES.items():
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "corpus").mkdir()
            begun = seeds(decoders)
            for number, data in enumerate(sorted(begun | kept(family))):
                (folder / "corpus" / str(number)).write_bytes(data)
            subprocess.run([sys.executable, runner, family, seconds, name], check=True, stderr=subprocess.DEVNULL)
            known = {*folder.glob("corpus/*"), *folder.glob("*/found/*")}
            found = sorted({path.read_bytes() for path in known} - begun, key=len)
        room, chosen = ROOM, []
        for data in found:
            room -= len(data)
            if len(data) > LARGEST or room < 0:
                break
            chosen.append(data)
        keep(family, chosen)
        sys.stdout.write(f"{family}: {len(chosen)} of {len(found)}\n")


if __name__ == "__main__":
    main(sys.argv[1])
