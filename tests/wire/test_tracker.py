"""Messages of the tracker: whatever is no announce is Malformed, and nothing else is ever raised."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halonyx.core.errors import Malformed
from halonyx.wire.tracker import encode, failure, parse_announce, parse_token, to_bytes

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
NAMES = st.sampled_from(
    ["action", "info_hash", "peer_id", "event", "left", "offers", "answer", "to_peer_id", "offer_id"]
)
BINARY = st.binary(min_size=20, max_size=20).map(lambda data: data.decode("latin-1"))
GOOD = {"action": "announce", "info_hash": "h" * 20, "peer_id": "p" * 20}


@given(st.binary(max_size=300))
def test_random_bytes_never_crash(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_announce(data)


@given(st.dictionaries(NAMES, JSON, max_size=4))
def test_fields_of_any_type_are_taken_or_malformed(fields: dict[str, object]) -> None:
    try:
        announce = parse_announce(json.dumps(GOOD | fields).encode())
    except Malformed:
        return
    assert len(to_bytes(announce.info_hash)) == len(to_bytes(announce.peer_id)) == 20
    assert announce.is_complete in {True, False}


@given(info_hash=BINARY, peer_id=BINARY)
def test_binary_values_come_through_both_ways(info_hash: str, peer_id: str) -> None:
    for ascii_only in (True, False):  # a browser sends characters, libtorrent escapes
        text = json.dumps(GOOD | {"info_hash": info_hash, "peer_id": peer_id}, ensure_ascii=ascii_only)
        announce = parse_announce(text.encode())
        assert (announce.info_hash, announce.peer_id) == (info_hash, peer_id)
    assert json.loads(encode(info_hash=info_hash))["info_hash"] == info_hash
    assert json.loads(failure("busy", info_hash)) == {
        "action": "announce",
        "failure reason": "busy",
        "info_hash": info_hash,
    }


@pytest.mark.parametrize(
    ("fields", "is_complete"),
    [
        ({}, False),
        ({"left": None}, False),
        ({"left": 0}, True),
        ({"left": 0.0}, True),
        ({"left": 1}, False),
        ({"left": -1}, False),
        ({"left": False}, False),
        ({"left": "0"}, False),
        ({"left": 2**64}, False),
        ({"left": 5, "event": "completed"}, True),
        ({"left": 5, "event": "paused"}, False),
    ],
)
def test_who_has_everything(fields: dict[str, object], is_complete: bool) -> None:  # noqa: FBT001 (a table's column)
    assert parse_announce(json.dumps(GOOD | fields).encode()).is_complete is is_complete


def test_a_token_has_one_spelling() -> None:
    assert parse_token("token=" + "0f" * 16) == b"\x0f" * 16
    for wrong in ("", "token=", "token=" + "0F" * 16, "token=" + "0f" * 15, "token=" + "0f" * 16 + "\n", "0f" * 16):
        assert parse_token(wrong) is None
