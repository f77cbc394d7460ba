"""The tracker introduces peers of one swarm, and nobody else, however they behave."""

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from halonyx.relay.tracker import MOST_REFUSALS, Tracker
from halonyx.wire.tracker import MAX_SDP, TRACKER_PATH
from relay.sockets_support import Served, served, until
from relay.tracker_kit import HASH, TOKEN, offers, peer, text
from relay.wire_support import OPCODE_CLOSE, frame, request, upgraded, wire

pytestmark = pytest.mark.asyncio(loop_scope="module")
GENEROUS: dict[str, Any] = {"rate_tracker_sockets": "100000/minute", "rate_tracker": "100000/minute"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relay(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """One relay for all probes: none of them may hurt it."""
    async with served(tmp_path_factory.mktemp("tracker"), **GENEROUS) as made:
        yield made


def tracker_of(relay: Served) -> Tracker:
    assert relay.relay.hub.tracker is not None
    return relay.relay.hub.tracker


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def _nobody_is_left(relay: Served) -> AsyncIterator[None]:
    """Every test, whatever it did, leaves nothing behind once its sockets are gone."""
    yield
    tracker = tracker_of(relay)
    await until(lambda: not tracker._sockets)
    swarms = tracker.swarms
    assert (swarms.peers, swarms._swarms, swarms._places, dict(swarms._networks)) == (0, {}, {}, {})


# Introductions


async def test_an_offer_and_its_answer_reach_the_other(relay: Served) -> None:
    async with peer(relay) as alice, peer(relay) as bob:
        first = await alice.announce(5, left=0)
        assert (first["complete"], first["incomplete"], first["interval"]) == (1, 0, 120)
        second = await bob.announce(5)
        assert (second["complete"], second["incomplete"]) == (1, 1)

        offer = await alice.next()
        assert offer["peer_id"] == text(bob.id)
        assert offer["offer"]["type"] == "offer"
        await alice.answer(offer)

        answer = await bob.next()
        assert (answer["peer_id"], answer["offer_id"]) == (text(alice.id), offer["offer_id"])
        assert answer["answer"] == {"type": "answer", "sdp": "v=0 answer"}
        assert answer["info_hash"] == text(HASH)


async def test_each_offer_goes_to_another_peer_and_none_to_its_own(relay: Served) -> None:
    async with peer(relay) as alice, peer(relay) as bob, peer(relay) as carol:
        await bob.announce()
        await carol.announce()
        await alice.announce(10)

        ids = {(await one.next())["offer_id"] for one in (bob, carol)}

        assert len(ids) == 2
        assert all([await one.is_left_alone() for one in (alice, bob, carol)])


async def test_two_who_have_everything_are_of_no_use_to_each_other(relay: Served) -> None:
    async with peer(relay) as alice, peer(relay) as bob, peer(relay) as carol:
        await alice.announce(left=0)
        await carol.announce(left=17)
        await carol.announce(event="completed", left=0)
        await bob.announce(5, left=0)

        assert await alice.is_left_alone()
        assert await carol.is_left_alone()


async def test_one_who_does_not_know_the_length_lacks_it(relay: Served) -> None:
    async with peer(relay) as alice:
        assert (await alice.announce(left=None))["incomplete"] == 1
        assert (await alice.announce(left=0))["complete"] == 1


@pytest.mark.parametrize("how", ["stopped", "closed"])
async def test_one_who_leaves_is_forgotten(relay: Served, how: str) -> None:
    async with peer(relay) as alice, peer(relay) as bob:
        await alice.announce()
        await bob.announce()
        if how == "stopped":
            await alice.send(event="stopped")
        else:
            await alice.socket.close()
        await until(lambda: tracker_of(relay).swarms.peers == 1)

        assert (await bob.announce())["incomplete"] == 1


async def test_the_newest_connection_has_the_peer_id(relay: Served) -> None:
    async with peer(relay) as former, peer(relay) as newer, peer(relay) as bob:
        newer.id = former.id
        await former.announce()
        assert (await newer.announce())["incomplete"] == 1
        await former.socket.close()
        await bob.announce(1)

        assert (await newer.next())["peer_id"] == text(bob.id)


# Strangers


@pytest.mark.parametrize(
    "query",
    ["", "?", "?token=", "?token=" + "a" * 31, "?token=" + "A" * 32, f"?token={TOKEN}&x=1", f"?x=1&token={TOKEN}"],
)
async def test_without_a_token_there_is_no_tracker(relay: Served, query: str) -> None:
    async with peer(relay, query=query) as stranger:
        assert await stranger.next() == 1008


async def test_with_another_token_one_meets_nobody(relay: Served) -> None:
    async with peer(relay) as alice, peer(relay, "cd" * 16) as stranger:
        await alice.announce(5)

        assert (await stranger.announce(5))["incomplete"] == 1
        assert await alice.is_left_alone()
        assert await stranger.is_left_alone()


async def test_an_offer_does_not_reach_another_swarm(relay: Served) -> None:
    async with peer(relay) as alice, peer(relay) as stranger:
        await alice.announce(5)
        await stranger.announce(5, info_hash="x" * 20)

        assert await alice.is_left_alone()


async def test_an_answer_does_not_reach_another_swarm(relay: Served) -> None:
    async with peer(relay) as alice, peer(relay, "cd" * 16) as stranger:
        await alice.announce()
        await stranger.announce()

        await stranger.answer({"peer_id": text(alice.id), "offer_id": "o" * 20})

        assert await alice.is_left_alone()
        assert await stranger.is_left_alone(), "one who is not there is passed over in silence"


async def test_one_answers_only_where_one_has_announced(relay: Served) -> None:
    async with peer(relay) as alice, peer(relay) as bob:
        await alice.announce()
        for name in (bob.id, alice.id):  # in no name, and in another's
            bob.id = name
            await bob.answer({"peer_id": text(alice.id), "offer_id": "o" * 20})
            assert (await bob.next())["failure reason"] == "not-announced"

        assert await alice.is_left_alone()


async def test_nobody_stops_another(relay: Served) -> None:
    async with peer(relay) as alice, peer(relay) as bob:
        await alice.announce()
        bob.id = alice.id
        await bob.send(event="stopped")
        assert await bob.is_left_alone()

        assert tracker_of(relay).swarms.peers == 1


# What is no announce


def changed(**fields: object) -> bytes:
    good = {"action": "announce", "info_hash": text(HASH), "peer_id": "p" * 20, "offers": offers(1), "left": None}
    return json.dumps(good | fields).encode()


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"hello", id="no JSON"),
        pytest.param(b"{", id="half of it"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[" * 60_000, id="nested lists"),
        pytest.param(b'{"action":' * 6_000, id="nested objects"),
        pytest.param(changed(left=json.loads("[" * 900 + "]" * 900)), id="nested in a field"),
        pytest.param(changed().replace(b"null", b"[" * 20_000 + b"]" * 20_000), id="deep in a field"),
        pytest.param(b"9" * 60_000, id="a long number"),
        pytest.param(changed(action="scrape"), id="scrape"),
        pytest.param(changed(action=7), id="an action that is no text"),
        pytest.param(changed(info_hash=None), id="no info-hash"),
        pytest.param(changed(info_hash="h" * 19), id="an info-hash of 19"),
        pytest.param(changed(info_hash="h" * 21), id="an info-hash of 21"),
        pytest.param(changed(info_hash="h" * 19 + "ĸ"), id="an info-hash that is no bytes"),
        pytest.param(changed(info_hash=["h"] * 20), id="an info-hash that is a list"),
        pytest.param(changed(peer_id=20), id="a peer id that is a number"),
        pytest.param(changed(peer_id={}), id="a peer id that is an object"),
        pytest.param(changed(event=1), id="an event that is a number"),
        pytest.param(changed(event="e" * 17), id="a long event"),
        pytest.param(changed(offers="offers"), id="offers that are a text"),
        pytest.param(changed(offers=[None]), id="an offer that is null"),
        pytest.param(changed(offers=[{"offer_id": "o" * 20}]), id="an offer without one"),
        pytest.param(changed(offers=[{"offer_id": "o", "offer": {"type": "offer", "sdp": ""}}]), id="a short offer id"),
        pytest.param(changed(offers=[{"offer_id": "o" * 20, "offer": {"type": "answer", "sdp": ""}}]), id="no offer"),
        pytest.param(changed(offers=offers(1, "x" * (MAX_SDP + 1))), id="a long description"),
        pytest.param(changed(offers=offers(65)), id="65 offers"),
        pytest.param(changed(answer="answer"), id="an answer that is a text"),
        pytest.param(changed(answer={"type": "offer", "sdp": ""}), id="an answer that is an offer"),
        pytest.param(changed().replace(b"hhhh", b"\\ud800"), id="half a character"),
    ],
)
async def test_what_is_no_announce_is_named_and_changes_nothing(relay: Served, message: bytes) -> None:
    async with peer(relay) as alice:
        await alice.socket.send_str(message.decode())

        assert await alice.next() == {"action": "announce", "failure reason": "malformed"}
        assert tracker_of(relay).swarms.peers == 0
        assert (await alice.announce())["incomplete"] == 1, "the connection goes on"


async def test_fields_nobody_knows_are_passed_over(relay: Served) -> None:
    async with peer(relay) as alice, peer(relay) as bob:
        await bob.announce()
        given = [offers(1)[0] | {"extra": 1}]
        await alice.announce(offers=given, uploaded=1, trackerid="x", key=[1], left=2**70)

        assert set(await bob.next()) == {"action", "info_hash", "peer_id", "offer_id", "offer"}


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        pytest.param([frame(2, b"{}")], 1003, id="binary"),
        pytest.param([frame(1, b" " * 65_537)], 1009, id="a large message"),
        pytest.param([frame(1, b" " * 40_000, fin=False), frame(0, b" " * 40_000)], 1009, id="large in fragments"),
        pytest.param([frame(1, b" " * 40_000, fin=False), frame(0, b" " * 40_000, fin=False)], 1009, id="without end"),
        pytest.param([frame(0, b"{}")], 1002, id="continuation without start"),
        pytest.param([frame(1, b"{", fin=False), frame(1, b"}")], 1002, id="a message inside another"),
        pytest.param([frame(1, b"{", fin=False), frame(1, b"}", fin=False)], 1002, id="a fragment inside another"),
        pytest.param([frame(1, b"{", fin=False), frame(2, b"}")], 1003, id="binary inside text"),
        pytest.param([frame(1, b"{}", rsv=4)], 1002, id="compressed"),
        pytest.param([frame(1, b"{", fin=False), frame(0, b"}", rsv=4)], 1002, id="compressed later"),
        pytest.param([frame(1, b"{}", mask=False)], 1002, id="unmasked"),
    ],
)
async def test_frames_that_close_the_connection(relay: Served, frames: list[bytes], code: int) -> None:
    async with upgraded(relay, f"{TRACKER_PATH}?token={TOKEN}") as made:
        made.writer.write(b"".join(frames))

        assert await made.close_code() == code


async def test_a_message_may_come_in_fragments(relay: Served) -> None:
    data = changed(offers=offers(10, "x" * 2000))
    parts = [data[at : at + 4096] for at in range(0, len(data), 4096)]
    async with upgraded(relay, f"{TRACKER_PATH}?token={TOKEN}") as made:
        for number, part in enumerate(parts):
            made.writer.write(frame(0 if number else 1, part, fin=number == len(parts) - 1))
            made.writer.write(frame(9, b"between"))  # control frames may come in between

        replies = [await made.frame() for _ in range(len(parts) + 1)]

        assert [json.loads(payload)["incomplete"] for kind, payload in replies if kind == 1] == [1]


async def test_no_subprotocol_is_asked_for_or_agreed_on(relay: Served) -> None:
    path = f"{TRACKER_PATH}?token={TOKEN}"
    for offered in (None, "halonyx.1"):
        async with wire(relay) as made:
            made.writer.write(request(relay, path, {"Sec_WebSocket_Protocol": offered, "Origin": "https://a.example"}))
            head = await made.head()

            assert head.startswith(b"HTTP/1.1 101 ")
            assert b"sec-websocket-protocol" not in head.lower()


# Bounds


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"tracker_peers_per_swarm": 2}, "swarm-full"),
        ({"tracker_swarms_per_client": 2}, "too-many-swarms"),
        ({"tracker_peers": 2}, "busy"),
    ],
)
async def test_bounds_of_peers(tmp_path: Path, settings: dict[str, Any], reason: str) -> None:
    async with (
        served(tmp_path, **GENEROUS, **settings) as relay,
        peer(relay) as alice,
        peer(relay) as bob,
        peer(relay) as carol,
    ):
        await alice.announce()
        await bob.announce(info_hash=text(HASH) if reason == "swarm-full" else "x" * 20)

        refused = await carol.announce(5)

        assert (refused["failure reason"], refused["info_hash"]) == (reason, text(HASH))
        assert await alice.is_left_alone()
        assert "failure reason" not in await alice.announce(), "those inside go on"
        await bob.socket.close()
        await until(lambda: tracker_of(relay).swarms.peers == 1)
        assert "failure reason" not in await carol.announce()


async def test_a_client_has_so_many_sockets(tmp_path: Path) -> None:
    async with served(tmp_path, **GENEROUS, tracker_connections_per_client=2) as relay:
        async with peer(relay), peer(relay):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                async with peer(relay):
                    pass
            assert refused.value.status == 429
        await until(lambda: not tracker_of(relay)._sockets)
        async with peer(relay) as alice:
            assert (await alice.announce())["incomplete"] == 1


async def test_all_clients_have_so_many_sockets(tmp_path: Path) -> None:
    async with served(tmp_path, **GENEROUS, tracker_connections=1) as relay, peer(relay):
        with pytest.raises(aiohttp.WSServerHandshakeError, match="429"):
            async with peer(relay):
                pass


async def test_sockets_are_opened_at_a_rate(tmp_path: Path) -> None:
    async with served(tmp_path, rate_tracker_sockets="1/hour") as relay:
        async with peer(relay):
            pass
        with pytest.raises(aiohttp.WSServerHandshakeError, match="429"):
            async with peer(relay):
                pass
        assert (await relay.socket("/v1/send")).close_code is None, "mail has counts of its own"


async def test_messages_come_at_a_rate_and_no_end_of_them_closes(tmp_path: Path) -> None:
    async with served(tmp_path, rate_tracker="3/hour") as relay, peer(relay) as alice:
        assert [await alice.announce() for _ in range(3)][-1]["incomplete"] == 1
        for _ in range(MOST_REFUSALS):
            assert (await alice.announce())["failure reason"] == "too-many-messages"

        assert await alice.next() == 1008


async def test_offers_beyond_the_bound_are_passed_over(tmp_path: Path) -> None:
    async with (
        served(tmp_path, **GENEROUS, tracker_offers=1) as relay,
        peer(relay) as alice,
        peer(relay) as bob,
        peer(relay) as carol,
    ):
        await bob.announce()
        await carol.announce()
        await alice.announce(10)

        silent = [await one.is_left_alone() for one in (bob, carol)]

        assert sorted(silent) == [False, True]


async def test_one_who_announces_nothing_is_closed(tmp_path: Path) -> None:
    async with served(tmp_path, **GENEROUS, tracker_idle_seconds=1) as relay, peer(relay) as alice:
        assert await alice.next() == 1000


async def test_one_who_does_not_read_costs_a_bounded_memory(tmp_path: Path) -> None:
    async with served(tmp_path, **GENEROUS) as relay:
        path = f"{TRACKER_PATH}?token={TOKEN}"
        async with upgraded(relay, path) as deaf, peer(relay) as alice:
            deaf.writer.write(frame(1, changed(offers=[])))
            await until(lambda: tracker_of(relay).swarms.peers == 1)
            [held] = tracker_of(relay).swarms._places
            for _ in range(1000):
                await alice.announce(1, offers=offers(1, "x" * MAX_SDP))

            assert held._blocked_at is not None
            assert held.socket.get_write_buffer_size() < relay.relay.limits.send_buffer_bytes + 2 * MAX_SDP


async def test_the_relay_can_be_without_a_tracker(tmp_path: Path) -> None:
    async with served(tmp_path, files=False) as relay:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with peer(relay):
                pass
        assert refused.value.status == 404
        async with relay.session.get(relay.origin + "/v1/relay") as answer:
            assert (await answer.json())["files"]["tracker"] is False


async def test_a_relay_that_stops_says_so(tmp_path: Path) -> None:
    async with served(tmp_path, **GENEROUS) as relay, upgraded(relay, f"{TRACKER_PATH}?token={TOKEN}") as made:
        made.writer.write(frame(1, changed()))
        await made.frame()
        relay.relay.stop()
        opcode, payload = await made.frame()

        assert (opcode, payload) == (OPCODE_CLOSE, (4503).to_bytes(2, "big"))
        made.writer.write(frame(OPCODE_CLOSE, payload))


async def test_numbers_are_counts_without_names(relay: Served) -> None:
    async with peer(relay) as alice, peer(relay) as bob:
        await alice.announce()
        await bob.announce(1)
        await bob.socket.send_str("x")
        await bob.next()
        async with relay.session.get(relay.origin + "/metrics") as answer:
            lines = [line for line in (await answer.text()).splitlines() if line.startswith("halonyx_tracker_")]

    shown = dict(line.rsplit(" ", 1) for line in lines)
    assert (shown["halonyx_tracker_sockets"], shown["halonyx_tracker_swarms"]) == ("2.0", "1.0")
    assert shown["halonyx_tracker_peers"] == "2.0"
    labels = {line.partition("{")[2].partition("=")[0] for line in lines if "{" in line}
    assert labels == {"code"}


async def test_many_swarms_of_one_client_end_in_refusals(relay: Served) -> None:
    async with peer(relay) as alice:
        reasons = [(await alice.announce(info_hash=text(os.urandom(20)))).get("failure reason") for _ in range(200)]

    most = relay.relay.settings.tracker_swarms_per_client
    assert reasons == [None] * most + ["too-many-swarms"] * (200 - most)
