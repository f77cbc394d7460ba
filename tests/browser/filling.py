"""A past for an account: what would take days, or thousands of messages, written by the client's own store."""

import functools
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Page

ROOT: Final = Path(__file__).parents[2]


@functools.cache
def _script() -> str:
    with tempfile.TemporaryDirectory() as folder:
        build = ["npx", "vite", "build", "--config", "vite.filling.config.ts", "--outDir", folder, "--logLevel", "warn"]
        subprocess.run(build, cwd=ROOT / "web", check=True)
        return (Path(folder) / "filling.js").read_text()


def write(page: Page, name: str, messages: list[dict[str, Any]]) -> None:
    """Add messages (text, time, state; theirs are "received") to a conversation; seen after a reload."""
    _call(page, "write", name, messages)


def note(page: Page, name: str, notices: list[dict[str, Any]]) -> None:
    """Add quiet lines (kind, time, data) to a conversation; seen after a reload."""
    _call(page, "note", name, notices)


def offer(page: Page, name: str, offers: list[dict[str, Any]]) -> None:
    """Add offers of files to a conversation; seen after a reload."""
    _call(page, "offer", name, offers)


def change(page: Page, name: str, **fields: object) -> None:
    """Change what is stored of a contact; seen after a reload."""
    _call(page, "change", name, fields)


def strangers(page: Page, count: int) -> None:
    """Let so many strangers wait for a decision; seen after a reload."""
    _call(page, "strangers", count)


def _call(page: Page, function: str, *arguments: object) -> None:
    if not page.evaluate("'filling' in window"):
        page.evaluate(f"() => {{ {_script()}; window.filling = filling }}")
    page.evaluate(f"(given) => filling.{function}(...given)", list(arguments))
