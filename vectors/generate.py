"""Write every vector file again: `python vectors/generate.py`; with --check, only compare.

Inputs are fixed; what the library draws itself (ML-KEM ciphertexts, ML-DSA signatures) is kept in making/drawn.json,
so that two runs write the same bytes.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from vectors.making import (  # noqa: E402
    conventions,
    delivery,
    envelope,
    files,
    handshake,
    identity,
    ratchet,
    safety_number,
    schema,
)
from vectors.making.reference import DRAWN, Drawn  # noqa: E402

MAKERS = (conventions, identity, handshake, ratchet, envelope, delivery, files, safety_number)


def texts(drawn: Drawn) -> dict[Path, str]:
    """Return every file's path and text."""
    folder = ROOT / "vectors"
    books = [maker.make(drawn) for maker in MAKERS]
    return {book.path(folder): book.text() for book in books} | {folder / "schema.json": schema.text()}


def main() -> int:
    """Write or compare; 1 if a file differs."""
    drawn = Drawn.load()
    made = texts(drawn)
    if "--check" in sys.argv[1:]:
        stale = [path.name for path, text in made.items() if not path.exists() or path.read_text("ascii") != text]
        if drawn.used != drawn.known:
            stale.append(DRAWN.name)
        sys.stderr.writelines(f"{name} is not what the generator writes\n" for name in stale)
        return 1 if stale else 0
    for path, text in made.items():
        path.write_text(text, "ascii")
    drawn.save()
    return 0


if __name__ == "__main__":
    sys.exit(main())
