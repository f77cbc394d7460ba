"""A real Chromium, with a context of its own for each person."""

import contextlib
import shutil
from collections.abc import Iterator
from typing import Final

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, Playwright

FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
LOOPBACK: Final = "--allow-loopback-in-peer-connection"
NATIVE: Final = "--enable-blink-features=WebCryptoPQC"
"""ML-KEM and ML-DSA by Chromium itself; versions before 156 have it behind this flag."""

OFFLINE_ERRORS: Final = ("net::ERR_", "WebSocket connection to", "Failed to load resource")


def launch(playwright: Playwright, *flags: str) -> Browser:
    """Start Debian's Chromium; it brings its own headless mode, so Playwright must not ask for another."""
    executable = shutil.which("chromium")
    assert executable is not None, "chromium is missing: apt-get install chromium"
    return playwright.chromium.launch(executable_path=executable, headless=False, args=[*FLAGS, *flags])


@contextlib.contextmanager
def watched(context: BrowserContext) -> Iterator[list[str]]:
    """Collect what goes wrong in any page of a context: errors, and what a policy forbade.

    That a relay can't be reached is no error of the page.
    """
    wrong: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not any(word in message.text for word in OFFLINE_ERRORS):
            wrong.append(f"{message.type}: {message.text}")

    def on_error(error: Error) -> None:
        wrong.append(f"page error: {error}")

    def on_page(page: Page) -> None:
        page.on("console", on_console)
        page.on("pageerror", on_error)

    context.on("page", on_page)
    yield wrong
