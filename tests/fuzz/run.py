"""Fuzzes a family of decoders, or one decoder, guided by coverage: `run.py NAME SECONDS FOLDER`.

FOLDER/corpus holds what to begin with and takes what reaches new code; what breaks a decoder is left beside it.
Exit status 0: nothing did.
"""

import resource
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["halonyx.core", "halonyx.wire", "halonyx.relay", "halonyx.client.torrent"]):
    from fuzz.families import chosen

LARGEST = 70_000  # bytes of an input: a frame and a little more
MEMORY = 256 << 20  # beyond what the program itself takes; an allocation that does not fit is a MemoryError
HANGING_SECONDS = 20


def main(name: str, seconds: str, folder: Path) -> None:
    """Fuzz; does not return."""
    decoders = chosen(name)

    def one_input(data: bytes) -> None:
        for decoder in decoders:
            decoder.check(data)

    flags = {
        "max_total_time": seconds,
        "max_len": LARGEST,
        "timeout": HANGING_SECONDS,
        "artifact_prefix": f"{folder}/",
        "print_final_stats": 1,
    }
    atheris.Setup([name, *(f"-{flag}={value}" for flag, value in flags.items()), str(folder / "corpus")], one_input)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
