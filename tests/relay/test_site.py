"""The web client as a relay serves it: its files and nothing else, with their headers; and the build behind it."""

import gzip
import http.client
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

import pytest

from browser.builds import built, copied_package, copied_sources, hash_of_site, site_of
from halonyx.web.build import SECURITY_HEADERS, policy, with_sockets
from relay_process import RelayProcess, running_relay

PEER: Final = "https://peer.example"
IMMUTABLE: Final = "public, max-age=31536000, immutable"
TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
}


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Site:
    """A relay, and the build that it serves."""

    relay: RelayProcess
    folder: Path

    @property
    def paths(self) -> list[str]:
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        return _get(self.relay, path, method, **headers)


def _get(relay: RelayProcess, path: str, method: str = "GET", **headers: str) -> Answer:
    connection = http.client.HTTPConnection("localhost", relay.port, timeout=10)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return Answer(answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()})
    finally:
        connection.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A relay that lists a peer, from a copy of this checkout's build."""
    folder = tmp_path_factory.mktemp("site")
    package = copied_package(folder / "package")
    assert site_of(package).joinpath("index.html").is_file(), "the browser client is not built: make web"
    settings = {"HALONYX_PEER_RELAYS": json.dumps([PEER]), "HALONYX_LOG_LEVEL": "info"}
    with running_relay(folder / "relay", PYTHONPATH=str(package), **settings) as relay:
        yield Site(relay, site_of(package))


@pytest.fixture(scope="module")
def unbuilt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    """A relay from a checkout that was never built."""
    folder = tmp_path_factory.mktemp("unbuilt")
    package = copied_package(folder / "package")
    shutil.rmtree(site_of(package))
    with running_relay(folder / "relay", PYTHONPATH=str(package)) as relay:
        yield relay


def test_every_file_is_served_as_it_was_built(site: Site) -> None:
    for path in site.paths:
        answer = site.get(f"/{path}")
        assert (answer.status, answer.body) == (200, site.folder.joinpath(path).read_bytes())
        assert answer.headers["content-type"] == TYPES[Path(path).suffix]
    index = site.folder.joinpath("index.html").read_bytes()
    assert site.get("/").body == index
    assert b'src="/' not in index
    assert {path.split("/")[0] for path in site.paths} >= {"assets", "service_worker.js", "manifest.webmanifest"}


def test_every_file_has_the_headers_of_the_page(site: Site) -> None:
    origins = [site.relay.origin, site.relay.origin.replace("localhost", "127.0.0.1"), PEER]
    for path in ["", *site.paths, "site.json"]:
        headers = site.get(f"/{path}").headers
        assert headers["content-security-policy"] == policy(with_sockets(origins))
        assert headers.items() >= SECURITY_HEADERS.items()
        assert headers["cache-control"] == (IMMUTABLE if path.startswith("assets/") else "no-cache"), path
        assert "access-control-allow-origin" not in headers
        assert "set-cookie" not in headers


@pytest.mark.parametrize(
    ("accepted", "is_compressed"),
    [
        ("gzip", True),
        ("gzip, deflate, br, zstd", True),
        ("br;q=1, GZIP;q=0.5", True),
        ("*", True),
        ("identity", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip;q=0.0, *", False),
        ("xgzip", False),
        (None, False),
    ],
)
def test_a_file_is_compressed_for_those_who_take_it(site: Site, accepted: str | None, *, is_compressed: bool) -> None:
    for path in site.paths:
        headers = {} if accepted is None else {"Accept_Encoding": accepted}
        answer = site.get(f"/{path}", **headers)
        content = site.folder.joinpath(path).read_bytes()
        assert answer.headers["vary"] == "Accept-Encoding"
        if is_compressed and Path(path).suffix not in {".png", ".woff2"}:
            assert answer.headers["content-encoding"] == "gzip"
            assert gzip.decompress(answer.body) == content
        else:
            assert "content-encoding" not in answer.headers
            assert answer.body == content


@pytest.mark.parametrize(
    "path",
    [
        "/assets",
        "/assets/",
        "/assets/nothing.js",
        "/index.htm",
        "/INDEX.HTML",
        "/index.html/",
        "//index.html",
        "/assets/../index.html",
        "/assets/%2e%2e/index.html",
        "/assets/..%2findex.html",
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/assets/..%5c..%5cindex.html",
        "/build.py",
        "/../build.py",
        "/%2e%2e/build.py",
        "/index.html%00.js",
        "/site.json/",
        "/node_modules/preact/package.json",
    ],
)
def test_nothing_else_is_served(site: Site, path: str) -> None:
    answer = site.get(path)
    assert answer.status in {HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST}
    assert b"<!doctype" not in answer.body.lower()
    assert b"root:" not in answer.body
    assert answer.headers.get("cache-control", "no-store") == "no-store"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_files_are_read_only(site: Site, method: str) -> None:
    for path in ("/", "/index.html", "/site.json"):
        answer = site.get(path, method, Content_Type="application/json")
        assert answer.status in {HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_FOUND}


def test_another_name_for_this_relay_gets_no_page(site: Site) -> None:
    for path in ("/", "/index.html", "/site.json", "/service_worker.js"):
        assert site.get(path, Host="evil.example").status != HTTPStatus.OK


def test_the_page_is_told_the_build_and_which_relays_it_may_reach(site: Site) -> None:
    told = site.get("/site.json")
    assert told.headers["content-type"] == "application/json"
    assert json.loads(told.body) == {
        "build": hash_of_site(site.folder),
        "reach": "direct",
        "relays": [site.relay.origin, site.relay.origin.replace("localhost", "127.0.0.1"), PEER],
        "relay": None,
    }


def test_the_hash_of_the_build_is_in_the_log_at_the_start(site: Site) -> None:
    assert hash_of_site(site.folder) in site.relay.log()


def test_without_a_build_the_page_says_how_to_get_one(unbuilt: RelayProcess) -> None:
    home = _get(unbuilt, "/")
    assert (home.status, home.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"<code>make run</code>" in home.body
    for path in ("/index.html", "/site.json", "/service_worker.js", "/manifest.webmanifest"):
        assert _get(unbuilt, path).status == HTTPStatus.NOT_FOUND
    assert json.loads(_get(unbuilt, "/v1/relay").body)["relay_key"]


def test_the_same_sources_give_the_same_bytes_wherever_they_are(tmp_path: Path) -> None:
    places = (tmp_path / "one", tmp_path / "a longer" / "path with spaces")
    hashes = [built(copied_sources(place), tmp_path / f"site {number}") for number, place in enumerate(places)]
    assert hashes[0] == hashes[1]
    names = {str(tmp_path).encode(), str(Path.home()).encode() + b"/", os.uname().nodename.encode()}
    for path in (tmp_path / "site 0").rglob("*"):
        if path.is_file():
            assert not any(name in path.read_bytes() for name in names if len(name) > 5), path

    words = places[1] / "src" / "app" / "text" / "en.ts"
    words.write_text(words.read_text().replace("Settings", "Choices"))
    assert built(places[1], tmp_path / "site 2") != hashes[0]
