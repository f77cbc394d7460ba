"""Write the table of lies in docs/threat-model.md: what each comes to, from the file that the tests are held to.

Run by `make threat-table`; tests/hostile/test_threat_table.py fails while the page is out of date.
"""

import re
import sys
from pathlib import Path
from typing import Final

from hostile.liars import ROOT, expected
from lying_relay.catalogue import LIES

PAGE: Final = ROOT / "docs" / "threat-model.md"
BEGIN: Final = "<!-- lies: made by `make threat-table` -->"
END: Final = "<!-- /lies -->"
PYTHON: Final = re.compile(r'@pytest\.mark\.lie\("([a-z-]+)"\)\nasync def (test_\w+)')
BROWSER: Final = re.compile(r'^lie\("([a-z-]+)"', re.MULTILINE)
WHOLE_BROWSER: Final = "altered-javascript"  # a page is altered in a real browser
WHOLE_BROWSER_TEST: Final = "tests/browser/test_altered.py"


def python_tests() -> dict[str, str]:
    """Return the Python client's test of each lie."""
    return {
        lie: f"{path.relative_to(ROOT)}::{test}"
        for path in sorted((ROOT / "tests" / "hostile").glob("test_*.py"))
        for lie, test in PYTHON.findall(path.read_text(encoding="utf-8"))
    }


def browser_tests() -> dict[str, str]:
    """Return the browser client's test of each lie."""
    found = {
        lie: str(path.relative_to(ROOT))
        for path in sorted((ROOT / "web" / "tests" / "hostile").glob("*.test.ts"))
        for lie in BROWSER.findall(path.read_text(encoding="utf-8"))
    }
    return found | {WHOLE_BROWSER: WHOLE_BROWSER_TEST}


def table() -> str:
    """Return the table as it should stand in the page."""
    rows, python, browser = expected(), python_tests(), browser_tests()
    lines = [
        "| The relay | What it achieves | Python client | Browser client |",
        "|---|---|---|---|",
    ]
    for name, lie in LIES.items():
        row = rows[name]
        what = (lie.__doc__ or "").splitlines()[0].rstrip(".")
        what = what[0].lower() + what[1:]
        cells = [
            f"`{name}`: {what}",
            row["words"],
            _cell(row["python"], python[name]),
            _cell(row["web"], browser[name]),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(came_to: dict[str, str | list[str]], test: str) -> str:
    notices = [f"`{notice}`" for notice in came_to["notices"]]
    return f"message {came_to['state']}; notices: {', '.join(notices) or 'none'} ([test](../{test.partition('::')[0]}))"


def page(text: str) -> str:
    """Return the page with the table as it should be."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE} has no place for the table")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main() -> int:
    """Write the page."""
    path: Path = PAGE
    path.write_text(page(path.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
