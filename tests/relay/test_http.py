"""What every request meets before and after a route: host, origin, sizes, encodings, headers, health, numbers."""

import asyncio
import gzip
import json
import os
from pathlib import Path

import pytest
from starlette.types import Message, Receive, Scope, Send

from halonyx.relay.guard import Guard, client_host
from halonyx.wire.rest_account import AccountRequest, WorkRequest
from halonyx.wire.rest_directory import LookupRequest
from halonyx.wire.rest_relay import RelayInfo
from relay.rest_kit import Person, Relay, running_relay

ANONYMOUS = ("/v1/lookup", "/v1/bundle", "/v1/signup/challenge")
SIGNED = ("/v1/accounts", "/v1/account/status", "/v1/account/delete")


async def raw(relay: Relay, request: bytes) -> bytes:
    """Send bytes as they are and return everything until the relay closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.settings.port)
    try:
        writer.write(request)
        async with asyncio.timeout(20):
            return await reader.read()
    finally:
        writer.close()


def post(relay: Relay, path: str, *headers: str, body: bytes = b"{}") -> bytes:
    lines = [f"POST {path} HTTP/1.1", f"Host: {relay.authority}", "Content-Type: application/json", "Connection: close"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


async def test_the_relay_says_who_it_is(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        info = (await relay.call("GET", "/v1/relay")).json
        again = (await relay.call("GET", "/v1/relay")).json

        assert set(info) == RelayInfo.model_fields.keys()
        assert info["files"] == {"tracker": True, "turn": False, "drop": 0}
        assert info["origins"] == list(relay.settings.public_origins)
        assert info["signup"] == "open"
        assert info["relay_key"] == again["relay_key"] != info["operator_key"]
        assert info["limits"]["request_inbox"] == 20


async def test_every_answer_carries_the_security_headers(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        answers = [
            await relay.call("GET", "/"),
            await relay.call("GET", "/docs"),
            await relay.call("GET", "/static/docs.js"),
            await relay.call("GET", "/openapi.json"),
            await relay.call("GET", "/v1/relay"),
            await relay.call("GET", "/nothing"),
            await relay.call("POST", "/v1/lookup", b"x"),
            await relay.call("OPTIONS", "/v1/lookup"),
            await relay.call("GET", "/v1/relay", headers={"Host": "evil.example"}),
        ]

        for answer in answers:
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
            assert answer.headers["X-Frame-Options"] == "DENY"
            policy = answer.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'")
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert "Server" not in answer.headers
            assert "Strict-Transport-Security" not in answer.headers


async def test_with_https_browsers_are_told_to_stay_with_it(tmp_path: Path) -> None:
    async with running_relay(tmp_path, origins=["https://relay.example"], behind_proxy=True) as relay:
        answer = await relay.call("GET", "/v1/relay", headers={"Host": "relay.example"})

        assert answer.status == 200
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


REFUSED = [
    ("GET", "/nothing", 404, "not-found"),
    ("GET", "/v1/", 404, "not-found"),
    ("GET", "/v1/relay/", 404, "not-found"),
    ("GET", "/static/../settings.py", 404, "not-found"),
    ("GET", "/static/..%2fsettings.py", 404, "not-found"),
    ("GET", "/static/none.js", 404, "not-found"),
    ("GET", "/v1/lookup", 405, "method-not-allowed"),
    ("DELETE", "/v1/relay", 415, "unsupported-content"),
    ("GET", "/v1/relay?x=1", 400, "malformed"),
]


async def test_errors_look_alike(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        for method, path, status, code in REFUSED:
            answer = await relay.call(method, path)

            assert (path, answer.status, answer.code) == (path, status, code)
            assert set(answer.json) == {"error"}
            assert set(answer.json["error"]) == {"code", "message"}


MALFORMED = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"5",
    b'"text"',
    b"{}",
    b"\xff\xfe",
    b'{"address": "A", "key": "A"}',
    b'{"address": "\\ud800", "key": "A"}',
    b'{"address": NaN, "key": 1e999}',
    b'{"address": ' + b"9" * 5000 + b', "key": 1}',
    b"[" * 10_000,
    b'{"a":' * 3000 + b"1" + b"}" * 3000,
]


@pytest.mark.parametrize("path", ["/v1/lookup", "/v1/account/status"])
async def test_every_malformed_body_gets_one_answer(tmp_path: Path, path: str) -> None:
    async with running_relay(tmp_path) as relay:
        answers = [await relay.call("POST", path, body) for body in MALFORMED]

        assert {(answer.status, answer.code) for answer in answers} == {(400, "malformed")}
        assert len({answer.body for answer in answers}) == 1


async def test_unknown_fields_are_refused(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        await alice.sign_up(relay)
        call = json.loads(LookupRequest(address=alice.address, key=alice.access_key).to_json())

        assert (await relay.call("POST", "/v1/lookup", json.dumps(call).encode())).status == 200
        assert (await relay.call("POST", "/v1/lookup", json.dumps(call | {"more": 1}).encode())).code == "malformed"


async def test_compressed_bodies_are_not_opened(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        bomb = gzip.compress(bytes(10_000_000))
        for encoding in ("gzip", "deflate", "br", "identity"):
            answer = await relay.call("POST", "/v1/lookup", bomb, headers={"Content-Encoding": encoding})
            assert (answer.status, answer.code) == (415, "unsupported-content")


async def test_bodies_are_json(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        body, path = WorkRequest(address=bytes(32)), "/v1/signup/challenge"
        spelled = {"Content-Type": "Application/JSON; charset=UTF-8"}

        for other in ("text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", ""):
            assert (await relay.call("POST", path, body, headers={"Content-Type": other})).status == 415
        assert (await relay.call("POST", path, body, headers=spelled)).status == 200


async def test_large_bodies_are_refused_before_they_are_read(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        announced = await raw(relay, post(relay, "/v1/lookup", "Content-Length: 999999999999", body=b""))
        large = await relay.call("PUT", "/v1/prekeys", b"x" * 1_048_576)
        too_large = await raw(relay, post(relay, "/v1/accounts", "Content-Length: 1048577", body=b""))

        assert b"413" in announced.split(b"\r\n")[0]
        assert (large.status, large.code) == (400, "malformed")
        assert b"413" in too_large.split(b"\r\n")[0]
        assert b"connection: close" in announced.lower()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_body_without_a_length_is_refused_before_it_is_read(tmp_path: Path, method: str) -> None:
    async with running_relay(tmp_path) as relay:
        head = post(relay, "/v1/signup/challenge", "Transfer-Encoding: chunked", body=b"")
        body = b"2\r\n{}\r\n0\r\n"  # trailers could follow, as many as one likes
        answer = await raw(relay, head.replace(b"POST", method.encode()) + body)

        assert b" 400 " in answer.split(b"\r\n")[0]


async def test_a_trailer_does_not_name_a_client(tmp_path: Path) -> None:
    origins = ["https://relay.example"]
    async with running_relay(tmp_path, behind_proxy=True, origins=origins) as relay:
        named = []

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            named.append(client_host(scope, behind_proxy=True))
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        headers = [
            (b"host", b"relay.example"),
            (b"content-type", b"application/json"),
            (b"x-forwarded-for", b"192.0.2.1"),
        ]
        scope = {"type": "http", "method": "POST", "path": "/v1/lookup", "query_string": b"", "headers": headers}

        async def receive() -> Message:
            headers.append((b"x-forwarded-for", b"192.0.2.2"))
            return {"type": "http.request", "body": b"{}", "more_body": False}

        async def send(_: Message) -> None:
            pass

        await Guard(application, relay.here, {})(scope, receive, send)

        assert named == ["192.0.2.1"]


async def test_two_lengths_are_refused(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        chunked = b"2\r\n{}\r\n0\r\n\r\n"
        attempts = [
            post(relay, "/v1/lookup", "Content-Length: 12", "Transfer-Encoding: chunked", body=chunked),
            post(relay, "/v1/lookup", "Transfer-Encoding: chunked", "Content-Length: 12", body=chunked),
            post(relay, "/v1/lookup", "Content-Length: 2", "Content-Length: 3"),
            post(relay, "/v1/lookup", "Content-Length: 2", "Host: evil.example"),
            post(relay, "/v1/lookup", "Content-Length: +2"),
        ]
        for attempt in attempts:
            answer = await raw(relay, attempt)
            assert b" 400 " in answer.split(b"\r\n")[0]
            assert answer.count(b"HTTP/1.1") == 1


async def test_other_hosts_are_not_served(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        for host in ("evil.example", "127.0.0.1", "localhost", "127.0.0.1:1", ""):
            answer = await relay.call("GET", "/v1/relay", headers={"Host": host})
            health = await relay.call("GET", "/healthz", headers={"Host": host})

            assert (answer.status, answer.code) == (421, "wrong-host")
            assert health.status == 200


async def test_localhost_is_the_same_relay(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        host = f"localhost:{relay.settings.port}"

        assert (await relay.call("GET", "/v1/relay", headers={"Host": host})).status == 200


@pytest.mark.parametrize("path", ANONYMOUS)
async def test_anonymous_calls_may_come_from_any_page(tmp_path: Path, path: str) -> None:
    async with running_relay(tmp_path) as relay:
        origin = {"Origin": "https://elsewhere.example"}
        asked = await relay.call("OPTIONS", path, headers=origin | {"Access-Control-Request-Method": "POST"})
        called = await relay.call("POST", path, b"{}", headers=origin)

        assert asked.status == 204
        assert asked.headers["Access-Control-Allow-Headers"] == "content-type"
        assert "POST" in asked.headers["Access-Control-Allow-Methods"]
        assert called.status == 400
        for answer in (asked, called):
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("path", SIGNED)
async def test_signed_calls_come_from_our_own_pages_only(tmp_path: Path, path: str) -> None:
    async with running_relay(tmp_path) as relay:
        own = f"http://localhost:{relay.settings.port}"
        for foreign in ("https://elsewhere.example", "null", own + ".evil.example", own.replace("http", "https")):
            asked = await relay.call("OPTIONS", path, headers={"Origin": foreign})
            called = await relay.call("POST", path, b"{}", headers={"Origin": foreign})
            assert (asked.status, called.status) == (403, 403)
            assert called.code == "wrong-origin"
            assert "Access-Control-Allow-Origin" not in called.headers
        asked = await relay.call("OPTIONS", path, headers={"Origin": own})
        called = await relay.call("POST", path, b"{}", headers={"Origin": own})

        assert (asked.status, called.status) == (204, 400)
        assert "signature-input" in asked.headers["Access-Control-Allow-Headers"]
        assert asked.headers["Access-Control-Allow-Origin"] == called.headers["Access-Control-Allow-Origin"] == own
        assert called.headers["Vary"] == "Origin"


async def test_health_and_readiness(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        healthy, ready = await relay.call("GET", "/healthz"), await relay.call("GET", "/readyz")

        assert (healthy.status, healthy.json) == (200, {"status": "ok"})
        assert (ready.status, ready.json) == (200, {"status": "ready"})


async def test_a_full_disk_is_not_ready(tmp_path: Path) -> None:
    async with running_relay(tmp_path, min_free_bytes=2**60) as relay:
        answer = await relay.call("GET", "/readyz")

        assert (answer.status, answer.code) == (503, "busy")
        assert (await relay.call("GET", "/healthz")).status == 200


async def test_a_lost_data_folder_is_not_ready(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        relay.settings.data.rename(tmp_path / "moved")
        try:
            assert (await relay.call("GET", "/readyz")).status == 503
        finally:
            (tmp_path / "moved").rename(relay.settings.data)


async def test_numbers_are_for_loopback_and_name_nobody(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        await alice.sign_up(relay)
        await alice.bundle(relay)
        await relay.call("GET", f"/{alice.address.hex()}")
        answer = await relay.call("GET", "/metrics")
        text = answer.body.decode()

        assert answer.headers["Content-Type"].startswith("text/plain")
        assert "halonyx_sign_ups_total 1.0" in text
        assert "halonyx_bundles_total 1.0" in text
        assert 'halonyx_requests_total{route="/v1/accounts",status="201"} 1.0' in text
        assert 'route="other",status="404"' in text
        assert alice.address.hex() not in text
        assert "127.0.0.1" not in text


async def test_numbers_are_for_others_by_token_only(tmp_path: Path) -> None:
    origins = ["https://relay.example"]
    async with running_relay(tmp_path, behind_proxy=True, metrics_token="s3cret", origins=origins) as relay:
        outside = {"X-Forwarded-For": "192.0.2.1"}
        without = await relay.call("GET", "/metrics", headers=outside)
        wrong = [
            await relay.call("GET", "/metrics", headers=outside | {"Authorization": value})
            for value in ("Bearer s3cre", "Bearer s3cret ext", "s3cret", "Basic s3cret", "Bearer ", "")
        ]
        right = await relay.call("GET", "/metrics", headers=outside | {"Authorization": "Bearer s3cret"})

        assert {answer.status for answer in (without, *wrong)} == {401}
        assert right.status == 200


async def test_without_a_token_no_token_opens_the_numbers(tmp_path: Path) -> None:
    async with running_relay(tmp_path, behind_proxy=True, origins=["https://relay.example"]) as relay:
        for value in ("Bearer ", "Bearer None", "Bearer"):
            headers = {"X-Forwarded-For": "192.0.2.1", "Authorization": value}
            assert (await relay.call("GET", "/metrics", headers=headers)).status == 401


async def test_a_closed_database_is_busy_and_says_nothing_else(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        relay.here.keys.database.close()
        alice = Person()
        answer = await alice.sign_up(relay)

        assert (answer.status, answer.code) == (503, "busy")
        assert (await relay.call("GET", "/readyz")).status == 503


async def test_the_same_nonce_of_many_calls_is_bounded(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        await alice.sign_up(relay)
        call = AccountRequest(address=alice.address)
        answers = await asyncio.gather(
            *(relay.call("POST", "/v1/account/status", call, alice.manager) for _ in range(300))
        )

        assert {answer.status for answer in answers} == {200, 429}
        assert sum(answer.status == 200 for answer in answers) == 256
        relay.clock.ahead = 121_000
        assert (await alice.status(relay)).status == 200


async def test_bodies_that_do_not_come_are_not_waited_for_for_ever(tmp_path: Path) -> None:
    async with running_relay(tmp_path, body_seconds=1) as relay:
        answer = await raw(relay, post(relay, "/v1/lookup", "Content-Length: 20"))

        assert b" 408 " in answer.split(b"\n")[0]
        assert b"too-slow" in answer


async def test_random_bodies_never_break_the_relay(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        for path in (*ANONYMOUS, *SIGNED):
            for size in (1, 17, 300):
                assert (await relay.call("POST", path, os.urandom(size))).status == 400
        assert (await relay.call("GET", "/readyz")).status == 200
