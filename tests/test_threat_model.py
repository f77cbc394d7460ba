"""The threat model names every surface, what remains of it, and tests that exist."""

import ast
import functools
import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "docs" / "threat-model.md"
SURFACES: Final = range(1, 36)
PARTS: Final = ("Threat", "Mitigation", "Tests", "What remains")
LIES: Final = re.compile(r"<!-- lies.*?<!-- /lies -->", re.DOTALL)
NAMED: Final = re.compile(r"`((?:web/)?tests/[\w/.]+)::([^`]+)`")
HEADING: Final = re.compile(r"^### (\d+)\. (.+) \(((?:[STRIDE](?:, )?)+)\)$", re.MULTILINE)
# A call with a text and then a function, which `describe` has, too; `each` stands between `test` and it.
TITLE: Final = re.compile(r'(?<!describe)\(\s*"((?:[^"\\\n]|\\.)*)",\s*(?:\{[^{}]*\},\s*)?(?:async\s*)?\(')


def named(text: str) -> list[tuple[str, str]]:
    """Return file and name of every test that a text names, but for the table that is made from the tests."""
    return NAMED.findall(LIES.sub("", text))


@functools.cache
def titles_of(file: str) -> frozenset[str]:
    """Return the names of a Python file's tests, or the titles of a TypeScript file's; none if there is no file."""
    path = ROOT / file
    if not path.is_file():
        return frozenset()
    text = path.read_text("utf-8")
    if path.suffix == ".ts":
        return frozenset(title.replace('\\"', '"') for title in TITLE.findall(text))
    defined = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(
        node.name for node in ast.parse(text).body if isinstance(node, defined) and node.name.startswith("test_")
    )


def flaws(page: str) -> list[str]:
    """Return what is wrong with a threat model; nothing if nothing is."""
    parts = HEADING.split(page)
    numbers = [int(number) for number in parts[1::4]]
    found = [f"surfaces are {numbers}"] if numbers != list(SURFACES) else []
    for number, body in zip(numbers, parts[4::4], strict=True):
        lines = dict(re.findall(r"^- \*\*(.+?):\*\* (.+)$", body.partition("\n## ")[0], re.MULTILINE))
        found += [f"surface {number} has no {part!r}" for part in PARTS if part not in lines]
        tests = lines.get("Tests", "")
        if tests != "not tested." and (not named(tests) or len(named(tests)) != tests.count("`") // 2):
            found.append(f"surface {number} names no test, or something else among them")
    return found + [f"there is no {file}::{name}" for file, name in named(page) if name not in titles_of(file)]


def test_every_surface_is_there_with_tests_that_exist() -> None:
    assert flaws(PAGE.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("old", "new", "flaw"),
    [
        (
            "test_old_record`",
            "test_older_record`",
            "there is no tests/hostile/test_directory_lies.py::test_older_record",
        ),
        ("directory_lies.test.ts::old-record", "directory_lies.test.ts::old", "there is no web/tests"),
        ("tests/relay/test_absent.py", "tests/relay/test_gone.py", "there is no tests/relay/test_gone.py"),
        ("### 7. ", "### 8. ", "surfaces are"),
        ("### 35. ", "## 35. ", "surfaces are"),
        ("`tests/test_dependencies.py::", "`test_dependencies.py::", "surface 18 names no test"),
        ("- **What remains:** Who is root", "Who is root", "surface 35 has no 'What remains'"),
        (
            "- **What remains:** Who is root on the machine is the operator.",
            "- **What remains:** ",
            "surface 35 has no",
        ),
    ],
)
def test_what_is_missing_is_found(old: str, new: str, flaw: str) -> None:
    page = PAGE.read_text("utf-8")
    assert old in page

    found = flaws(page.replace(old, new))

    assert any(each.startswith(flaw) for each in found), found
