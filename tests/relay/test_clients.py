"""Which client a request counts for: the last hop of a proxy, an IPv4 address or an IPv6 /64."""

from pathlib import Path

import pytest

from halonyx.relay.clients import last_hop, network_of
from halonyx.relay.guard import client_host
from halonyx.wire.frames import SEND_PATH, SUBPROTOCOL
from relay.sockets_support import served, until

HOPS = [
    ([], None),
    (["192.0.2.7"], "192.0.2.7"),
    (["203.0.113.1, 192.0.2.7"], "192.0.2.7"),
    (["203.0.113.1", "192.0.2.7"], "192.0.2.7"),
    (["192.0.2.7, "], None),
    (["192.0.2.7", ""], None),
    (["192.0.2.7:51413"], "192.0.2.7"),
    (["[2001:db8::1]:51413"], "2001:db8::1"),
    (["[2001:db8::1]"], "2001:db8::1"),
    (["2001:db8::1"], "2001:db8::1"),
    (["unknown"], "unknown"),
]


@pytest.mark.parametrize(("forwarded", "expected"), HOPS)
def test_the_proxy_next_to_us_names_the_client(forwarded: list[str], expected: str | None) -> None:
    assert last_hop(forwarded) == expected


async def test_calls_and_sockets_read_the_proxy_alike(tmp_path: Path) -> None:
    async with served(tmp_path, behind_proxy=True) as relay:
        for forwarded, _ in HOPS:
            headers = [("X-Forwarded-For", value) for value in forwarded]
            opened = await relay.session.ws_connect(relay.origin + SEND_PATH, protocols=[SUBPROTOCOL], headers=headers)
            raw = [(name.lower().encode(), value.encode()) for name, value in headers]
            host = client_host({"client": ("127.0.0.1", 1), "headers": raw}, behind_proxy=True)
            connection = next(iter(relay.relay.hub._connections))
            assert connection.network == network_of(host)
            await opened.close()
            await until(lambda: not relay.relay.hub._connections)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("", ""),
        ("unknown", "unknown"),
    ],
)
def test_a_client_counts_as_its_address_or_64_network(host: str, expected: str) -> None:
    assert network_of(host) == expected
