"""The last part of docs/reference/commands.md, made of the program's own help.

`python -m halonyx.cli.reference docs/reference/commands.md` writes it again after a change to a command.
"""

import contextlib
import io
import os
import sys
from pathlib import Path
from typing import Final

from halonyx.cli import text
from halonyx.cli.main import app

COLUMNS: Final = "80"
HEADING: Final = "## Help pages\n"


def updated(page: str) -> str:
    """Return the page with everything behind its last heading made anew.

    Args:
        page: The reference page; what stands above the heading is written by hand.
    """
    kept, heading, _ = page.partition(HEADING)
    sections = (f"### {path}\n\n```\n{help_of(path)}\n```\n" for path in text.COMMAND)
    return kept + (heading or HEADING) + "\n" + "\n".join(sections)


def help_of(path: str) -> str:
    """Return a command's help page, as wide as on a narrow terminal."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = COLUMNS
    try:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            app([*path.split(), "--help"], prog_name="halonyx", standalone_mode=False)
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
    return "\n".join(line.rstrip() for line in printed.getvalue().rstrip().splitlines())


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(updated(file.read_text()))
