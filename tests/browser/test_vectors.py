"""Every known answer inside Chromium: with ML-KEM and ML-DSA of the browser's own, and with noble's."""

import functools
import http.server
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Playwright

from browser.browsers import NATIVE, launch

ROOT: Final = Path(__file__).parents[2]
DOCUMENTS: Final = {
    path.name: json.loads(path.read_text())
    for path in sorted((ROOT / "vectors").glob("*.json"))
    if path.name != "schema.json"
}
RUNNER: Final = """
import { isPostQuantumNative, runVectors } from "/in_browser.js"
const documents = await (await fetch("/documents.json")).json()
postMessage([await runVectors(documents), await isPostQuantumNative()])
"""
RUN: Final = """new Promise((resolve, reject) => {
  const worker = new Worker("/runner.js", { type: "module" })  // as in the client
  worker.onmessage = ({ data }) => resolve(data)
  worker.onerror = ({ message }) => reject(new Error(message))
})"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def page_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the vectors' runner to a page of our own."""
    folder = tmp_path_factory.mktemp("vectors")
    build = [
        "npx",
        "vite",
        "build",
        "--config",
        "vite.vectors.config.ts",
        "--outDir",
        str(folder),
        "--logLevel",
        "warn",
    ]
    subprocess.run(build, cwd=ROOT / "web", check=True)
    (folder / "index.html").write_text("<!doctype html><title>Vectors</title>")
    (folder / "documents.json").write_text(json.dumps(DOCUMENTS))
    (folder / "runner.js").write_text(RUNNER)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()


@pytest.mark.parametrize("flags", [(NATIVE,), ()], ids=["native", "as it comes"])
def test_every_vector_in_chromium(playwright: Playwright, page_address: str, flags: tuple[str, ...]) -> None:
    browser = launch(playwright, *flags)
    try:
        page = browser.new_page()
        page.goto(page_address)
        failures, uses_own = page.evaluate(RUN)
    finally:
        browser.close()

    assert failures == []
    assert uses_own or NATIVE not in flags
