"""One way to write a relay's origin, and plain http only on this machine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halonyx.core.errors import Malformed
from halonyx.core.origin import MAX_ORIGIN_SIZE, check_origin

LONGEST_ORIGIN = "https://" + "a" * 240 + ".b:8443"


@pytest.mark.parametrize(
    "origin",
    [
        "https://relay.example",
        "https://relay.example:8443",
        "https://relay.example:80",
        "https://10.0.0.1",
        "https://[2001:db8::1]:65535",
        "http://localhost",
        "http://localhost:3000",
        "http://localhost:443",
        "http://127.0.0.1:1",
        "http://127.1.2.3",
        "http://[::1]:3000",
        LONGEST_ORIGIN,
    ],
)
def test_an_origin_is_taken_as_it_is(origin: str) -> None:
    assert check_origin(origin) == origin


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "relay.example",
        "https://",
        "https://Relay.example",
        "HTTPS://relay.example",
        "https://relay.example/",
        "https://relay.example:443",
        "https://relay.example:0",
        "https://relay.example:08443",
        "https://relay.example:65536",
        "https://relay.example:",
        "https://relay.example\n",
        "https://user@relay.example",
        "https://relay.example?x",
        "https://relay.example#x",
        "https://relay.exämple",
        "wss://relay.example",
        "http://relay.example",
        "http://localhost:80",
        "http://localhost.example",
        "http://127.0.0.1.example",
        "http://1127.0.0.1",
        "http://127.0.0.256",
        "http://127.0.0.01",
        "https://relay..example",
        "https://relay.example.",
        "https://.relay.example",
        "https://-relay.example",
        "https://relay-.example",
        "http://[::2]",
        LONGEST_ORIGIN.replace("a", "aa", 1),
    ],
)
def test_another_way_to_write_an_origin_is_malformed(origin: str) -> None:
    with pytest.raises(Malformed):
        check_origin(origin)


@given(st.text(max_size=40))
def test_random_origins_raise_only_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        check_origin(text)


def test_the_longest_origin_is_255_characters() -> None:
    assert len(LONGEST_ORIGIN) == MAX_ORIGIN_SIZE == 255
