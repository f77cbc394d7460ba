"""The files of the built web client, and the headers its page needs.

`make` puts the build into the folder `site` beside this module; a wheel carries it there. The same source gives the
same bytes, so a build's hash says whether two servers serve one program.

Source: docs/reference/web.md.
"""

import gzip
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from halonyx.core.errors import StoreError

INDEX: Final = "index.html"
HASHED: Final = "assets/"  # names below it hold a hash of the content
_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "json": "application/json",
    "webmanifest": "application/manifest+json",
    "svg": "image/svg+xml",
    "png": "image/png",
    "woff2": "font/woff2",
    "txt": "text/plain; charset=utf-8",
}
_COMPRESSED: Final = frozenset({"png", "woff2"})

SECURITY_HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), geolocation=(), microphone=(), payment=(), usb=()",
    "x-frame-options": "DENY",
}


@dataclass(frozen=True)
class File:
    """One file of the build.

    Attributes:
        path: Relative to the page, for example `assets/index-4f9c.js`.
    """

    path: str
    content: bytes = field(repr=False)

    @property
    def media_type(self) -> str:
        """Its Content-Type."""
        return _TYPES[self.path.rpartition(".")[2]]

    @property
    def cache_control(self) -> str:
        """How long a browser may keep it: for ever what is named by its hash, nothing else unasked."""
        return "public, max-age=31536000, immutable" if self.path.startswith(HASHED) else "no-cache"

    @cached_property
    def compressed(self) -> bytes | None:
        """The content for `Content-Encoding: gzip`; None where that gains nothing."""
        return None if self.path.rpartition(".")[2] in _COMPRESSED else gzip.compress(self.content, mtime=0)


@dataclass(frozen=True)
class Build:
    """A whole build.

    Attributes:
        files: By path.
        hash: SHA-256 over every path and content, 64 hexadecimal digits.
    """

    files: Mapping[str, File]
    hash: str


def load() -> Build | None:
    """Return the build, read once into memory; None in a checkout that has not built it.

    Raises:
        StoreError: The folder holds a file of a kind no build makes.
    """
    folder = files("halonyx.web").joinpath("site")
    if not folder.joinpath(INDEX).is_file():
        return None
    found = sorted(_walk(folder, ""), key=lambda file: file.path)
    return Build({file.path: file for file in found}, hash_of(found))


def hash_of(found: Iterable[File]) -> str:
    """Return the hash of a build: over each path and content in the order of paths, every part after its length."""
    digest = hashlib.sha256()
    for file in found:
        for part in (file.path.encode("utf-8"), file.content):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return digest.hexdigest()


def takes_gzip(accepted: str) -> bool:
    """Tell whether an Accept-Encoding header allows gzip. Source: RFC 9110 section 12.5.3."""
    weights = {}
    for entry in accepted.lower().split(","):
        coding, _, parameter = entry.partition(";")
        weights[coding.strip()] = parameter.replace(" ", "")
    weight = weights.get("gzip", weights.get("*", "q=0"))
    return not re.fullmatch(r"q=0(\.0*)?", weight)


def policy(connect: Iterable[str]) -> str:
    """Return the Content-Security-Policy of the page.

    Args:
        connect: Origins it may reach besides its own.
    """
    reached = " ".join(["'self'", *connect])
    return (
        "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; font-src 'self'; "
        f"img-src 'self' blob:; media-src 'self' blob:; manifest-src 'self'; connect-src {reached}; "
        "require-trusted-types-for 'script'; trusted-types halonyx; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )


def with_sockets(origins: Iterable[str]) -> list[str]:
    """Return each origin and the same for WebSockets, as a policy names them."""
    return [form for origin in origins for form in (origin, origin.replace("http", "ws", 1))]


def _walk(folder: Traversable, above: str) -> Iterable[File]:
    for entry in folder.iterdir():
        path = above + entry.name
        if entry.is_dir():
            yield from _walk(entry, path + "/")
        elif entry.name.rpartition(".")[2] not in _TYPES:
            raise StoreError(f"the web client's build holds {path}, which no build makes: run 'make run' again")
        else:
            yield File(path, entry.read_bytes())
