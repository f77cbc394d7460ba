"""No bytes from outside do more to a decoder than be refused by the error that it names.

In `make test` each decoder has ten seconds of processor time, in `make soak` a minute.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fuzz.decoder import Decoder, Wrong, kept, seeds
from fuzz.families import FAMILIES, chosen
from fuzz.planted import BAD, PLANTED
from halonyx.core.errors import Malformed, UnsupportedVersion

TESTS = Path(__file__).parents[1]
SECONDS = 60 if os.environ.get("HALONYX_SOAK") else 10
DECODERS = [decoder for decoders in FAMILIES.values() for decoder in decoders]
CORPUS_BYTES = 500 * 1024


def fuzzed(name: str, corpus: set[bytes], folder: Path, seconds: int) -> tuple[subprocess.CompletedProcess[str], str]:
    """Run the fuzzer; return how it ended, and what broke which decoder, in hex."""
    (folder / "corpus").mkdir()
    for number, data in enumerate(sorted(corpus)):
        (folder / "corpus" / str(number)).write_bytes(data)
    done = subprocess.run(
        [sys.executable, str(TESTS / "fuzz" / "run.py"), name, str(seconds), str(folder)],
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
    )
    broke = "\n".join(f"{path.parent.name}: {path.read_bytes().hex()}" for path in folder.glob("*/*-*"))
    return done, broke


@pytest.mark.timeout(3600)  # it runs beside everything else, and comes last
@pytest.mark.parametrize("family", FAMILIES)
def test_no_bytes_break_a_decoder(family: str, tmp_path: Path) -> None:
    corpus = seeds(FAMILIES[family]) | kept(family)

    done, broke = fuzzed(family, corpus, tmp_path, SECONDS)

    assert done.returncode == 0, f"{done.stderr[-3000:]}\n{broke}"
    runs = {path.parent.name: int(path.read_text()) for path in tmp_path.glob("*/runs")}
    assert runs.keys() == {decoder.name for decoder in FAMILIES[family]}
    assert min(runs.values()) > len(corpus)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_was_kept_breaks_no_decoder(family: str) -> None:
    for data in seeds(FAMILIES[family]) | kept(family):
        for decoder in FAMILIES[family]:
            decoder.check(data)


@pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: decoder.name)
def test_every_decoder_takes_something_and_refuses_something(decoder: Decoder[Any]) -> None:
    """A corpus that is refused whole would reach nothing but the first lines of a decoder."""
    taken = {decoder.check(data) for data in seeds((decoder,)) | {b"", b"\xff" * 40}}

    assert taken == ({True, False} if decoder.errors else {True})


def test_the_kept_corpus_is_small() -> None:
    files = sorted((TESTS / "fuzz" / "corpus").iterdir())

    assert [path.stem for path in files] == sorted(FAMILIES)
    assert sum(path.stat().st_size for path in files) < CORPUS_BYTES


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("planted-crash", BAD, KeyError),
        ("planted-error", BAD, UnsupportedVersion),
        ("planted-vague", BAD, Malformed),
        ("planted-lax", b"\x01ab", Wrong),
    ],
)
def test_a_planted_bug_is_one(name: str, data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        chosen(name)[0].check(data)


@pytest.mark.parametrize("name", ["planted-lax", "planted-memory"])
def test_the_search_finds_a_planted_bug(name: str, tmp_path: Path) -> None:
    done, broke = fuzzed(name, {BAD, b"\x01a"}, tmp_path, 30)

    assert done.returncode != 0
    assert broke
    assert ("MemoryError" if name == "planted-memory" else "Wrong") in done.stdout + done.stderr


def test_planted_bugs_are_in_no_family() -> None:
    assert not {decoder.name for decoder in PLANTED} & {decoder.name for decoder in DECODERS}
