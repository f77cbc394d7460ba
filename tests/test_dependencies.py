"""What is installed is what was locked, and what is imported was declared."""

import ast
import json
import re
import sys
import tomllib
from importlib.metadata import packages_distributions, requires
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def imported() -> set[str]:
    """Return the packages that the program imports, beside itself and the standard library."""
    found = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names - {"halonyx"}


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-") for requirement in requirements}


def test_every_package_is_locked_with_its_hash() -> None:
    python = tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))["package"]
    browser = json.loads((ROOT / "web/package-lock.json").read_text("utf-8"))["packages"]

    files = [file for package in python for file in (package.get("sdist"), *package.get("wheels", ())) if file]
    assert all(file["hash"].startswith("sha256:") for file in files)
    assert [package["name"] for package in python if not {"sdist", "wheels"} & package.keys()] == ["halonyx"]
    assert all(package["integrity"].startswith("sha512-") for path, package in browser.items() if path)


def test_packages_of_the_browser_client_run_no_scripts() -> None:
    files = [path for path in (ROOT / "Makefile", *(ROOT / "deploy").iterdir()) if path.is_file()]
    installing = [
        line
        for path in files
        for line in path.read_text("utf-8").splitlines()
        if re.search(r"\bnpm (ci|i|install)\b", line)
    ]

    assert installing
    assert [line for line in installing if "--ignore-scripts" not in line] == []


def test_a_wheel_holds_the_program_and_no_lies() -> None:
    """Neither what only lies, nor what only tests and shows: the relay of demo/lying_relay is in no installation."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]

    assert build.keys() == {"artifacts", "targets"}
    assert build["artifacts"] == ["src/halonyx/web/site/"]
    assert build["targets"]["wheel"] == {"packages": ["src/halonyx"]}
    assert (ROOT / "demo/lying_relay/__main__.py").is_file()
    assert [path.name for path in (ROOT / "src").iterdir() if path.name != "__pycache__"] == ["halonyx"]
    assert not [path for path in (ROOT / "src").rglob("*") if "lying" in path.name]


def test_every_import_is_declared() -> None:
    """By us, or by what we declare: starlette comes with fastapi."""
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    declared = names(ours)
    declared |= {name for direct in declared for name in names(requires(direct) or [])}
    distributions = packages_distributions()

    for package in imported():
        assert names(distributions[package]) & declared, f"{package} is not in pyproject.toml"
