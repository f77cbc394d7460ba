"""Fuzzes each decoder of a family, or one decoder, guided by coverage: `run.py NAME SECONDS FOLDER`.

FOLDER/corpus holds what each begins with. FOLDER/DECODER/found takes what reaches new code; what breaks a decoder is
left beside it, and FOLDER/DECODER/runs says how many inputs it had. As many are searched at a time as there are
processors. SECONDS are of processor time, so that other work beside it takes nothing away.
Exit status 0: nothing broke any.
"""

import os
import resource
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import atheris

with atheris.instrument_imports(include=["halonyx.core", "halonyx.wire", "halonyx.relay", "halonyx.client.torrent"]):
    from fuzz.decoder import Decoder
    from fuzz.families import chosen

LARGEST = 70_000  # bytes of an input: a frame and a little more
MEMORY = 256 << 20  # beyond what the program itself takes; an allocation that does not fit is a MemoryError
HANGING_SECONDS = 20


def main(name: str, seconds: float, folder: Path) -> int:
    """Fuzz, each decoder in a process of its own: libFuzzer never returns. Tell how many broke."""
    broken = running = 0
    for decoder in chosen(name):
        if running == len(os.sched_getaffinity(0)):
            broken, running = broken + (os.wait()[1] != 0), running - 1
        (folder / decoder.name / "found").mkdir(parents=True)
        if not os.fork():
            _search(decoder, seconds, folder)
        running += 1
    return broken + sum(os.wait()[1] != 0 for _ in range(running))


def _search(decoder: Decoder[Any], seconds: float, folder: Path) -> NoReturn:
    own = folder / decoder.name
    runs = 0

    def one_input(data: bytes) -> None:
        nonlocal runs
        decoder.check(data)
        runs += 1
        if time.process_time() > end:
            (own / "runs").write_text(str(runs))
            os._exit(0)

    flags = {"max_len": LARGEST, "timeout": HANGING_SECONDS, "artifact_prefix": f"{own}/"}
    folders = [str(own / "found"), str(folder / "corpus")]  # the first takes what is new
    atheris.Setup([decoder.name, *(f"-{flag}={value}" for flag, value in flags.items()), *folders], one_input)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    end = time.process_time() + seconds
    atheris.Fuzz()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1], float(sys.argv[2]), Path(sys.argv[3])), 1))
