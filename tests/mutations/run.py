"""Switch each guard off in a copy of the program, and see its test fail: `make mutations`.

The tests are the working tree's; only the program is a copy, first on the path of modules. All tests have to pass with
the untouched copy, so that each fails for its guard alone.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from mutations.guards import CORE, Guard
from mutations.guards_accounts import ACCOUNTS
from mutations.guards_client import CLIENT
from mutations.guards_operator import OPERATOR
from mutations.guards_relay import RELAY
from mutations.guards_web import BROWSER

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "reference" / "mutations.md"
BEGIN: Final = "<!-- mutations: made by `make mutations` -->"
END: Final = "<!-- /mutations -->"
FAILED: Final = 1  # pytest's status for tests that failed; what can't be imported is another
SECONDS: Final = 120  # of one test
AT_ONCE: Final = 2  # each in a copy of its own
GUARDS: Final = CORE + RELAY + ACCOUNTS + OPERATOR + CLIENT + BROWSER


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


def fails(tests: Iterable[str], copy: Path) -> bool:
    """Run tests against the copy; tell whether one fails.

    Raises:
        RuntimeError: They did not run.
    """
    browser = sorted({test for test in tests if test.startswith("web/")})
    python = sorted({*tests} - {*browser})
    return bool((python and _fails_in_python(python, copy)) or (browser and _fails_in_browser_code(browser, copy)))


def _fails_in_python(tests: list[str], copy: Path) -> bool:
    environment = os.environ | {"PYTHONPATH": str(copy / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    if len(tests) == 1:  # one that fails by waiting need not wait longer
        command.append("--timeout=40")
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=SECONDS * len(tests), check=False
    )
    if done.returncode not in {0, FAILED}:
        raise RuntimeError(done.stdout + done.stderr)
    if done.returncode == FAILED and len(tests) > 1:
        _say(done.stdout)
    return done.returncode == FAILED


def _fails_in_browser_code(tests: list[str], copy: Path) -> bool:
    files = sorted({test.partition("::")[0].removeprefix("web/") for test in tests})
    # A title with values in it is called by what stands before them.
    titles = [re.sub(r"([.*+?^${}()|\[\]\\])", r"\\\1", test.partition("::")[2].partition("%")[0]) for test in tests]
    command = ["npx", "vitest", "run", *files, "-t", "|".join(titles), "--reporter=json"]
    done = subprocess.run(
        command, cwd=copy / "web", capture_output=True, text=True, timeout=SECONDS * len(tests), check=False
    )
    found = done.stdout[done.stdout.find("{") :]
    result = json.loads(found) if found else {"numPassedTests": 0, "numFailedTests": 0}
    if result["numPassedTests"] + result["numFailedTests"] < len(tests):
        raise RuntimeError(done.stdout + done.stderr)
    if result["numFailedTests"] and len(tests) > 1:
        _say(found)
    return bool(result["numFailedTests"])


def table() -> str:
    """Return the table of guards."""
    lines = ["| Guard | Where | Test that fails without it |", "|---|---|---|"]
    for guard in GUARDS:
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
    words = sys.argv[1:]
    chosen = [guard for guard in GUARDS if not words or any(word in guard.file + guard.what for word in words)]
    with tempfile.TemporaryDirectory(prefix="halonyx-mutations-") as folder, ThreadPoolExecutor(AT_ONCE) as pool:
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(AT_ONCE):
            (into := Path(folder, str(number))).mkdir()
            copies.put(copy_of(ROOT, into))
        tests = {guard.test for guard in chosen}
        browser = {test for test in tests if test.startswith("web/")}
        if any(pool.map(lambda some: _with(copies, lambda copy: fails(some, copy)), (tests - browser, browser))):
            _say("a test fails with every guard in its place")
            return 1
        caught = pool.map(lambda guard: _with(copies, lambda copy: _is_caught(guard, copy)), chosen)
        missed = [guard for guard, is_caught in zip(chosen, caught, strict=True) if not is_caught]
    _say(f"{len(chosen) - len(missed)} of {len(chosen)} guards are caught")
    if not missed and not words:
        PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
    return 1 if missed else 0


def _with(copies: SimpleQueue[Path], work: Callable[[Path], bool]) -> bool:
    copy = copies.get()
    try:
        return work(copy)
    finally:
        copies.put(copy)


def _is_caught(guard: Guard, copy: Path) -> bool:
    with without(guard, copy):
        is_caught = fails([guard.test], copy)
    _say(f"{'caught' if is_caught else 'NOT CAUGHT'}: {guard.what} ({guard.test})")
    return is_caught


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
