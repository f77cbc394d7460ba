"""`halonyx web`'s server in front of a real relay: what it passes on, and what it refuses."""

import asyncio
import contextlib
import io
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web
from multidict import CIMultiDictProxy
from yarl import URL

from halonyx.core.types import DeviceId, EnvelopeId
from halonyx.relay.settings import load_settings
from halonyx.web.build import Build, File, hash_of
from halonyx.web.loopback import MAX_ANSWER, MAX_PART, serve
from halonyx.wire.frames import SEND_PATH, SUBPROTOCOL, Accepted, Status, Submit, parse_send_reply
from relay.rest_kit import Person, Relay
from relay.sockets_support import envelope
from relay_process import RelayProcess, free_port, running_relay

FILES: Final = (File("assets/main-1a2b.js", b"import './x.js'" * 100), File("index.html", b"<!doctype html>"))
BUILD: Final = Build({file.path: file for file in FILES}, hash_of(FILES))


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: CIMultiDictProxy[str]


@dataclass
class Page:
    """A browser's page at the server."""

    port: int
    session: aiohttp.ClientSession

    @property
    def own(self) -> str:
        return f"http://localhost:{self.port}"

    def through(self, origin: str, path: str) -> str:
        return f"{self.own}/relay/{quote(origin, safe='')}{path}"

    async def get(self, url: str, **headers: str) -> Answer:
        async with self.session.get(URL(url, encoded=True), headers=headers, allow_redirects=False) as answer:
            return Answer(answer.status, await answer.read(), answer.headers)


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    with running_relay(tmp_path_factory.mktemp("relay")) as process:
        yield process


@pytest.fixture
async def page(relay: RelayProcess) -> AsyncIterator[Page]:
    port, ready = free_port(), asyncio.Event()
    task = asyncio.create_task(serve(BUILD, port, relay.origin, ready.set))
    async with asyncio.timeout(10):
        await ready.wait()
    async with aiohttp.ClientSession() as session:
        yield Page(port, session)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@contextlib.asynccontextmanager
async def lying(handler: Callable[[web.Request], Awaitable[web.Response]], largest: int = 1024) -> AsyncIterator[str]:
    """Serve something that is no relay and takes bodies up to a size; yields its origin."""
    app = web.Application(client_max_size=largest)
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://localhost:{port}"
    finally:
        await runner.cleanup()


async def test_it_serves_the_build_with_its_policy(page: Page, relay: RelayProcess) -> None:
    index = await page.get(f"{page.own}/")
    script = await page.get(f"{page.own}/assets/main-1a2b.js")
    site = await page.get(f"{page.own}/site.json")

    assert (index.status, index.body, script.headers["Content-Encoding"]) == (200, b"<!doctype html>", "gzip")
    for answer in (index, script, site):
        assert "connect-src 'self'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert json.loads(site.body) == {"build": BUILD.hash, "reach": "loopback", "relays": [], "relay": relay.origin}
    for path in ("/assets/", "/assets/../index.html%00", "/etc/passwd", "/%2e%2e/README.md"):
        assert (await page.get(page.own + path)).status == 404


async def test_calls_and_sockets_reach_the_relay(page: Page, relay: RelayProcess) -> None:
    info = await page.get(page.through(relay.origin, "/v1/relay"))
    assert (info.status, "relay_key" in json.loads(info.body)) == (200, True)
    knows = await page.get(page.through(relay.origin, "/v1/relay/knows"))
    assert (knows.status, "held" in json.loads(knows.body)) == (200, True)
    alice = Person()
    await alice.sign_up(Relay(load_settings(port=relay.port, data=relay.data), page.session))
    submit = Submit(EnvelopeId(os.urandom(16)), alice.address, DeviceId(1), alice.access_key, envelope())

    async with page.session.ws_connect(
        URL(page.through(relay.origin, SEND_PATH), encoded=True), protocols=(SUBPROTOCOL,)
    ) as socket:
        await socket.send_bytes(submit.encode())
        answer = parse_send_reply((await socket.receive(10)).data)
        await socket.send_bytes(b"\x00")
        last = [await socket.receive(10) for _ in range(2)][-1]

    assert isinstance(answer, Accepted)
    assert answer.status is Status.ACCEPTED
    assert (last.type, socket.protocol, last.data) == (aiohttp.WSMsgType.CLOSE, SUBPROTOCOL, 1002)


async def test_a_refusal_of_the_relay_comes_back_as_it_is(page: Page, relay: RelayProcess) -> None:
    async with page.session.post(URL(page.through(relay.origin, "/v1/lookup"), encoded=True), json={}) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (400, "malformed")


async def test_the_tracker_is_reached_by_its_token_alone(page: Page, relay: RelayProcess) -> None:
    told = {"action": "announce", "info_hash": "i" * 20, "peer_id": "p" * 20, "left": None, "event": "started"}
    address = page.through(relay.origin, "/v1/tracker")

    async with page.session.ws_connect(URL(f"{address}?token={'5' * 32}", encoded=True)) as socket:
        await socket.send_str(json.dumps(told | {"numwant": 0, "offers": [], "uploaded": 0, "downloaded": 0}))
        answer = json.loads((await socket.receive(10)).data)

    assert (answer["action"], answer["incomplete"]) == ("announce", 1)
    for query in ("", "?token=", f"?token={'5' * 31}", f"?token={'5' * 32}&x=1", f"?x=1&token={'5' * 32}"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await page.session.ws_connect(URL(address + query, encoded=True))
        assert refused.value.status == 404


async def test_parts_of_encrypted_files_pass_both_ways(page: Page) -> None:
    part, asked = os.urandom(MAX_PART), []

    async def drop(request: web.Request) -> web.Response:
        body = await request.read()
        asked.append((request.method, request.query_string, body, request.headers.get("Halonyx-Upload")))
        if request.method == "PUT":
            return web.json_response({"offset": 5})
        headers = {"Content-Range": f"bytes 0-{len(part) - 1}/{len(part)}", "X-Else": request.headers["Range"]}
        return web.Response(status=206, body=part, headers=headers)

    async with lying(drop, len(part) + 1) as origin:
        url = page.through(origin, f"/v1/drop/{'a' * 32}")
        put = page.session.put(
            URL(f"{url}?offset=0", encoded=True), data=io.BytesIO(part), headers={"Halonyx-Upload": "token"}
        )
        async with put as answer:
            assert (answer.status, await answer.json()) == (200, {"offset": 5})
        fetched = await page.get(url, Range="bytes=0-")
        for query in ("?offset=", "?offset=1&x=1", "?x=1"):
            async with page.session.put(URL(url + query, encoded=True), data=b"x") as answer:
                assert answer.status == 405
        assert (await page.get(f"{url}?offset=1", Range="bytes=0-")).status == 405

    assert (fetched.status, fetched.body) == (206, part)
    assert "Content-Range" in fetched.headers
    assert "X-Else" not in fetched.headers
    assert asked == [("PUT", "offset=0", part, "token"), ("GET", "", b"", None)]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "localhost"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "document"},
        {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "script"},
        {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"},
    ],
    ids=str,
)
async def test_other_names_and_other_pages_reach_no_relay(
    page: Page, relay: RelayProcess, headers: dict[str, str]
) -> None:
    for path in ("/v1/relay", SEND_PATH):
        answer = await page.get(page.through(relay.origin, path), **headers)
        assert answer.status in {403, 421}


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "file:///etc/passwd",
        "https://a@b.example",
        "http://localhost:1/x",
        "ftp://localhost",
        "x",
    ],
)
async def test_what_is_no_relay_is_not_asked(page: Page, origin: str) -> None:
    assert (await page.get(page.through(origin, "/v1/relay"))).status in {400, 404}


@pytest.mark.parametrize("path", ["/healthz", "/v1/", "/v1/../metrics", "/v1/relay?x=1", "/v1/%2e%2e/metrics"])
async def test_only_calls_of_the_protocol_pass(page: Page, relay: RelayProcess, path: str) -> None:
    assert (await page.get(page.through(relay.origin, path))).status in {404, 405}


async def test_a_relay_that_is_not_there_is_said_so(page: Page) -> None:
    nowhere = f"http://localhost:{free_port()}"
    for path in ("/v1/relay", SEND_PATH):
        answer = await page.get(page.through(nowhere, path))
        assert answer.status == 502


async def test_answers_without_end_and_redirects_are_not_passed_on(page: Page) -> None:
    followed: list[str] = []

    async def lie(request: web.Request) -> web.Response:
        followed.append(request.path)
        if request.path in {"/v1/relay", SEND_PATH}:
            return web.Response(status=302, headers={"Location": "/v1/secret"})
        return web.Response(body=bytes(MAX_ANSWER + 1), headers={"Set-Cookie": "a=b"})

    async with lying(lie) as origin:
        for path in ("/v1/relay", "/v1/lookup"):
            assert (await page.get(page.through(origin, path))).status == 502
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await page.session.ws_connect(URL(page.through(origin, SEND_PATH), encoded=True), protocols=(SUBPROTOCOL,))

    assert refused.value.status == 502
    assert followed == ["/v1/relay", "/v1/lookup", SEND_PATH]


async def test_no_answer_of_a_relay_becomes_a_page_or_a_script(page: Page) -> None:
    async def page_of_its_own(_: web.Request) -> web.Response:
        return web.Response(text="<script src='x'></script>", content_type="text/html", headers={"Set-Cookie": "a=b"})

    async with lying(page_of_its_own) as origin:
        answer = await page.get(page.through(origin, "/v1/relay"))

    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; sandbox")
    assert "Set-Cookie" not in answer.headers
