"""What a relay does not have: bearer tokens, datagrams, administration over the network, and what is not built yet."""

from http import HTTPStatus
from pathlib import Path
from socket import SOCK_DGRAM, SOCK_STREAM

import psutil
import pytest

from halonyx.relay.app import openapi_document
from halonyx.relay.handshake import Refusal, Upgrade, judge
from halonyx.wire import frames
from halonyx.wire.rest_account import AccountRequest
from relay.rest_kit import Person, running_relay
from relay_process import running_relay as relay_process

PUSH, GROUPS, LINKING, ADMINISTRATION = (
    ("push", "push/subscribe", "webpush"),
    ("group", "groups", "groups/1/members"),
    ("link", "devices", "devices/link"),
    ("admin", "announce", "users", "settings", "restore"),
)
TOKENS = ("Bearer eyJhbGciOiJub25lIn0.e30.", "Basic YWRtaW46YWRtaW4=", "Token 0123456789abcdef")
"""A JSON web token without a signature, a password, and what else servers take."""
ORIGIN = "http://localhost:3000"


def upgrade(path: str) -> Upgrade | Refusal:
    headers = {
        "Host": "localhost:3000",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==",
        "Sec-WebSocket-Protocol": frames.SUBPROTOCOL,
    }
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return judge("\r\n".join(lines).encode("ascii"), (ORIGIN,))


async def test_no_token_and_no_cookie_stands_for_a_signature(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        await alice.sign_up(relay)
        call = AccountRequest(address=alice.address)
        for headers in (*({"Authorization": token} for token in TOKENS), {"Cookie": "session=0123456789abcdef"}):
            answer = await relay.call("POST", "/v1/account/status", call, headers=headers)

            assert (answer.status, answer.code) == (HTTPStatus.UNAUTHORIZED, "not-authenticated")
            assert not answer.headers.keys() & {"Set-Cookie", "WWW-Authenticate"}
        signed = await alice.status(relay)
        assert (signed.status, "Set-Cookie" in signed.headers) == (HTTPStatus.OK, False)


@pytest.mark.parametrize("names", [PUSH, GROUPS, LINKING, ADMINISTRATION], ids=["push", "groups", "linking", "admin"])
async def test_what_is_not_there_has_no_route(tmp_path: Path, names: tuple[str, ...]) -> None:
    document = openapi_document().decode("utf-8")
    assert isinstance(upgrade(frames.SEND_PATH), Upgrade)
    async with running_relay(tmp_path) as relay:
        for name in names:
            assert f'"/v1/{name}' not in document
            assert upgrade(f"/v1/{name}") == Refusal(HTTPStatus.NOT_FOUND)
            for path in (f"/v1/{name}", f"/{name}"):
                for method in ("GET", "POST", "PUT", "DELETE"):
                    answer = await relay.call(method, path, None if method == "GET" else b"{}")

                    assert (answer.status, answer.code) == (HTTPStatus.NOT_FOUND, "not-found"), (method, path)


def test_it_listens_on_one_port_and_takes_no_datagrams(tmp_path: Path) -> None:
    with relay_process(tmp_path) as relay:
        sockets = psutil.Process(relay.pid).net_connections("inet")

        assert {socket.laddr.port for socket in sockets if socket.type == SOCK_STREAM} == {relay.port}
        assert not [socket for socket in sockets if socket.type == SOCK_DGRAM]
