"""Switch each guard off in a copy of the program, and see its test fail: `make mutations`.

The tests are the working tree's; only the program is a copy, first on the path of modules. A test has to pass with the
untouched copy, so that it fails for the guard alone.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from mutations.guards import Guard
from mutations.guards_relay import PYTHON
from mutations.guards_web import BROWSER

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "reference" / "mutations.md"
BEGIN: Final = "<!-- mutations: made by `make mutations` -->"
END: Final = "<!-- /mutations -->"
FAILED: Final = 1  # pytest's status for tests that failed; what can't be imported is another
SECONDS: Final = 120


def copy_of(root: Path, into: Path) -> Path:
    """Copy both programs; everything beside them, which their tests read, is linked."""
    for path in root.iterdir():
        if path.name not in {"src", "web", ".git"}:
            (into / path.name).symlink_to(path)
    shutil.copytree(root / "src", into / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(root / "web", into / "web", ignore=shutil.ignore_patterns("node_modules"))
    (into / "web" / "node_modules").symlink_to(root / "web" / "node_modules")
    return into


@contextmanager
def without(guard: Guard, copy: Path) -> Iterator[None]:
    """Take a guard out of the copy."""
    path = copy / guard.file
    whole = path.read_text("utf-8")
    if whole.count(guard.old) != 1:
        raise ValueError(f"{guard.file} has {guard.old!r} {whole.count(guard.old)} times")
    path.write_text(whole.replace(guard.old, guard.new), "utf-8")
    try:
        yield
    finally:
        path.write_text(whole, "utf-8")


def fails(guard: Guard, copy: Path) -> bool:
    """Run a guard's test against the copy; tell whether it fails.

    Raises:
        RuntimeError: It did not run.
    """
    file, _, name = guard.test.partition("::")
    return _fails_in_browser_code(file, name, copy) if file.startswith("web/") else _fails_in_python(guard.test, copy)


def _fails_in_python(test: str, copy: Path) -> bool:
    environment = os.environ | {"PYTHONPATH": str(copy / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--timeout=40", test]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    if done.returncode not in {0, FAILED}:
        raise RuntimeError(done.stdout + done.stderr)
    return done.returncode == FAILED


def _fails_in_browser_code(file: str, name: str, copy: Path) -> bool:
    # A title with values in it is called by what stands before them.
    title = re.sub(r"([.*+?^${}()|\[\]\\])", r"\\\1", name.partition("%")[0])
    command = ["npx", "vitest", "run", file.removeprefix("web/"), "-t", title, "--reporter=json"]
    done = subprocess.run(command, cwd=copy / "web", capture_output=True, text=True, timeout=SECONDS, check=False)
    found = done.stdout[done.stdout.find("{") :]
    result = json.loads(found) if found else {"numPassedTests": 0, "numFailedTests": 0}
    if not result["numPassedTests"] + result["numFailedTests"]:
        raise RuntimeError(done.stdout + done.stderr)
    return bool(result["numFailedTests"])


def table() -> str:
    """Return the table of guards."""
    lines = ["| Guard | Where | Test that fails without it |", "|---|---|---|"]
    for guard in (*PYTHON, *BROWSER):
        name = guard.test.partition("::")[2]
        lines.append(f"| {guard.what} | [{guard.file}](../../{guard.file}) | {_link(guard.test, name)} |")
    return "\n".join(lines)


def _link(test: str, name: str) -> str:
    return f"[{name}](../../{test.partition('::')[0]})"


def page(text: str) -> str:
    """Return the page with the table as it should be."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


def main() -> int:
    """Run all, or those whose file or sentence has one of the arguments in it, and write the page if all are caught."""
    chosen = [
        guard
        for guard in (*PYTHON, *BROWSER)
        if not sys.argv[1:] or any(word in guard.file + guard.what for word in sys.argv[1:])
    ]
    wrong = []
    with tempfile.TemporaryDirectory(prefix="halonyx-mutations-") as folder:
        copy = copy_of(ROOT, Path(folder))
        passing: dict[str, bool] = {}
        for guard in chosen:
            if guard.test not in passing:
                passing[guard.test] = not fails(guard, copy)
            with without(guard, copy):
                is_caught = fails(guard, copy)
            verdict = "caught" if is_caught and passing[guard.test] else "NOT CAUGHT"
            _say(f"{verdict}: {guard.what} ({guard.test})")
            if verdict != "caught":
                wrong.append(guard)
    _say(f"{len(chosen) - len(wrong)} of {len(chosen)} guards are caught")
    if not wrong and not sys.argv[1:]:
        PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
    return 1 if wrong else 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
