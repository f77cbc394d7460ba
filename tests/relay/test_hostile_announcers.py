"""A relay in a process of its own under thousands of announces: its memory is bounded, and it names every refusal."""

import asyncio
import json
import os
from collections import Counter
from pathlib import Path

import aiohttp
import psutil

from relay.tracker_kit import Peer, offers, text
from relay_process import RelayProcess, running_relay

ANNOUNCES = 10_000
SOCKETS = 10
MOST_GROWTH = 32 * 1024 * 1024  # swarms and their buffers; unbounded it would be the whole of what is sent, 160 MB


async def _announce(relay: RelayProcess, session: aiohttp.ClientSession, count: int) -> Counter[str]:
    """Announce another torrent each time, as fast as the answers come, and count what the tracker says."""
    said: Counter[str] = Counter()
    socket = await session.ws_connect(f"{relay.origin}/v1/tracker?token={os.urandom(16).hex()}", max_msg_size=0)
    peer = Peer(socket)
    bulk = offers(4, "x" * 4000)
    for _ in range(count):
        await peer.send(info_hash=text(os.urandom(20)), offers=bulk)
        answer = await peer.next()
        if not isinstance(answer, dict):
            said[f"closed {answer}"] += 1
            break
        said[answer.get("failure reason", "taken")] += 1
    await socket.close()
    return said


async def test_ten_thousand_announces_leave_memory_and_neighbours_alone(tmp_path: Path) -> None:
    bounds = {"HALONYX_TRACKER_SWARMS_PER_CLIENT": "500", "HALONYX_TRACKER_CONNECTIONS_PER_CLIENT": str(SOCKETS + 2)}
    with running_relay(tmp_path, **bounds, HALONYX_LOG_LEVEL="debug") as relay:
        process = psutil.Process(relay.pid)
        async with aiohttp.ClientSession() as session:
            friend = await session.ws_connect(f"{relay.origin}/v1/tracker?token={'ab' * 16}")
            alice = Peer(friend)
            await alice.announce()
            before = process.memory_info().rss
            said: Counter[str] = Counter()
            while said.total() < ANNOUNCES:
                for one in await asyncio.gather(*(_announce(relay, session, 500) for _ in range(SOCKETS))):
                    said += one
            growth = process.memory_info().rss - before

            assert set(said) == {"taken", "too-many-swarms", "closed 1008"}
            assert growth < MOST_GROWTH, growth
            assert (await alice.announce())["incomplete"] == 1, "those who were there go on"
            await friend.close()
            async with session.get(f"{relay.origin}/metrics") as answer:
                numbers = await answer.text()
        assert "halonyx_tracker_peers 0.0" in numbers or "halonyx_tracker_peers 1.0" in numbers
        assert relay.stop() == 0
        log = relay.log()
        for secret in ("ab" * 16, text(alice.id), alice.id.hex(), "127.0.0.1", json.dumps(text(alice.id))):
            assert secret not in log


async def test_a_thousand_messages_that_are_none_are_named(tmp_path: Path) -> None:
    junk = ["{", "[" * 50_000, '{"action":"announce"}', "null", '{"action":"announce","info_hash":' + "1" * 5000 + "}"]
    with running_relay(tmp_path) as relay:
        process = psutil.Process(relay.pid)
        async with aiohttp.ClientSession() as session:
            before = process.memory_info().rss
            for _ in range(10):
                socket = await session.ws_connect(f"{relay.origin}/v1/tracker?token={'ab' * 16}")
                for number in range(100):
                    await socket.send_str(junk[number % len(junk)])
                    assert json.loads((await socket.receive()).data)["failure reason"] == "malformed"
                assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
                await socket.close()
            assert process.memory_info().rss - before < MOST_GROWTH
        assert relay.is_ready()
