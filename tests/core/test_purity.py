"""Core and wire are values in, values out: no I/O, clock, randomness, logging or async, and one crypto importer."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import halonyx.core
import halonyx.wire

PACKAGES: Final = [Path(package.__path__[0]) for package in (halonyx.core, halonyx.wire)]
FILES: Final = sorted(path for package in PACKAGES for path in package.rglob("*.py"))

SOCKETS: Final = {"socket", "socketserver", "ssl", "select", "selectors", "urllib", "ftplib", "smtplib", "xmlrpc"}
FRAMEWORKS: Final = {
    "aiohttp",
    "fastapi",
    "httptools",
    "httpx",
    "picows",
    "requests",
    "starlette",
    "uvicorn",
    "websockets",
}
FILE_SYSTEM: Final = {"os", "io", "pathlib", "shutil", "tempfile", "glob", "fileinput", "mmap", "fcntl", "importlib"}
STORES: Final = {"sqlite3", "apsw", "sqlcipher3", "dbm", "shelve", "pickle", "keyring"}
CLOCKS: Final = {"time", "datetime", "calendar", "zoneinfo", "sched", "timeit"}
LOGGING: Final = {"logging", "warnings", "traceback", "sys", "rich", "typer", "prometheus_client"}
CONCURRENCY: Final = {
    "asyncio",
    "anyio",
    "trio",
    "uvloop",
    "threading",
    "concurrent",
    "multiprocessing",
    "subprocess",
    "queue",
    "signal",
    "contextvars",
}
RANDOMNESS: Final = {"random", "secrets", "uuid"}
FORBIDDEN: Final = SOCKETS | FRAMEWORKS | FILE_SYSTEM | STORES | CLOCKS | LOGGING | CONCURRENCY | RANDOMNESS
FORBIDDEN_CALLS: Final = {"open", "print", "input", "eval", "exec", "compile", "__import__", "breakpoint"}
CRYPTO: Final = {"cryptography", "nacl", "Crypto", "Cryptodome", "doubleratchet", "x3dh", "vodozemac"}
# `http` also holds a client and a server; only its names for statuses and methods are values.
HTTP_NAMES: Final = {"HTTPStatus", "HTTPMethod"}
CORE_FOR_WIRE: Final = {"types", "encoding", "errors", "labels", "primitives"}


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield what a module imports, as dotted names down to the imported object."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            prefix = "." * node.level + (node.module or "")
            yield from (f"{prefix}.{alias.name}" for alias in node.names)


def impurities(source: str, package: str, module: str) -> list[str]:
    """Name everything in a module's source that the layer forbids."""
    tree, found = ast.parse(source), []
    for name in imported(tree):
        parts = name.split(".")
        is_http_value = parts[0] == "http" and parts[-1] in HTTP_NAMES
        if name.startswith(".") or parts[0] in FORBIDDEN or (parts[0] == "http" and not is_http_value):
            found.append(name)
        if parts[0] in CRYPTO and (package, module) != ("core", "primitives"):
            found.append(name)
        if parts[0] == "halonyx" and not may_import(package, parts):
            found.append(name)
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith | ast.Await):
            found.append("async")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS:
            found.append(node.func.id)
        if isinstance(node, ast.Attribute) and node.attr.startswith("generate") and module != "primitives":
            found.append(node.attr)
    return found


def may_import(package: str, parts: list[str]) -> bool:
    """Tell whether core or wire may import this module of ours."""
    if parts[1] == "core":
        return package == "core" or (len(parts) > 2 and parts[2] in CORE_FOR_WIRE)
    return parts[1] == "wire" and package == "wire"


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_module_is_pure(path: Path) -> None:
    assert impurities(path.read_text("utf-8"), path.parent.name, path.stem) == []


def test_the_scan_sees_all_of_core_and_wire() -> None:
    names = {(path.parent.name, path.stem) for path in FILES}
    assert {("core", "ratchet"), ("core", "primitives"), ("wire", "frames"), ("wire", "rest")} <= names


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import socket", "socket"),
        ("import os.path", "os.path"),
        ("from time import monotonic", "time.monotonic"),
        ("from datetime import datetime", "datetime.datetime"),
        ("import logging as log", "logging"),
        ("from secrets import token_bytes", "secrets.token_bytes"),
        ("def f():\n    import random", "random"),
        ("import http.client", "http.client"),
        ("from http import client", "http.client"),
        ("from .ratchet import decrypt", ".ratchet.decrypt"),
        ("import cryptography", "cryptography"),
        ("from cryptography.hazmat import x", "cryptography.hazmat.x"),
        ("from halonyx.client import store", "halonyx.client.store"),
        ("import halonyx.relay", "halonyx.relay"),
        ("async def f() -> None: ...", "async"),
        ("open('x')", "open"),
        ("print(1)", "print"),
        ("KeyPair.generate()", "generate"),
        ("KemKeyPair.generate_768()", "generate_768"),
    ],
)
def test_the_scan_finds(source: str, found: str) -> None:
    assert impurities(source, "core", "ratchet") == [found]


@pytest.mark.parametrize(
    "source",
    [
        "import halonyx.core",
        "from halonyx.core import ratchet",
        "from halonyx.core.ratchet import decrypt",
        "from halonyx.core.kdf import kdf_root",
        "from halonyx.core.envelope import Envelope",
    ],
)
def test_wire_does_not_reach_a_ratchet(source: str) -> None:
    assert impurities(source, "wire", "frames") != []
    assert impurities(source, "core", "session") == []


def test_what_is_allowed_passes() -> None:
    allowed = "import hashlib\nfrom http import HTTPStatus\nfrom halonyx.core.types import Address"
    assert impurities(allowed, "wire", "rest") == []
    assert impurities("from cryptography.exceptions import InvalidTag", "core", "primitives") == []
