"""libtorrent and the relay's tracker, in a network of their own: with the token it finds the other, without nobody."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any, cast

import libtorrent

from relay import swarm_run
from relay.drop_kit import SETTINGS, File
from relay.rest_kit import Person, running_relay
from relay.swarm_run import torrent
from relay_process import clean_environment

SCRIPT = Path(__file__).with_name("swarm_run.py")


async def run(folder: Path, theirs: str, ours: str) -> Any:  # noqa: ANN401 (JSON)
    """Run the two peers and return what they say."""
    command = ("unshare", "--map-root-user", "--net", sys.executable, str(SCRIPT), str(folder), theirs, ours)
    environment = clean_environment(PYTHONPATH=str(SCRIPT.parents[1]))
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(said)


async def test_two_peers_with_the_token_find_each_other(tmp_path: Path) -> None:
    token = os.urandom(16).hex()

    said = await run(tmp_path, token, token)

    assert said["is_equal"]
    assert token not in said["log"]


async def test_a_peer_with_another_token_finds_nobody(tmp_path: Path) -> None:
    said = await run(tmp_path, "ab" * 16, "cd" * 16)

    assert said["announces"] >= 2
    assert said["received"] == 0


async def test_the_drop_is_a_web_seed(tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("sender", "receiver")]
    for place in places:
        place.mkdir()
    info = torrent(places[0])
    file = File((places[0] / "halonyx").read_bytes())
    async with running_relay(tmp_path / "relay", **SETTINGS) as relay:
        alice = Person()
        await alice.sign_up(relay)
        await file.upload(relay, alice)
        given = {**swarm_run.SETTINGS, "listen_interfaces": "127.0.0.1:0", "ssrf_mitigation": True}
        session = libtorrent.session(cast("libtorrent.settings_pack", given))
        wanted = libtorrent.add_torrent_params()
        wanted.ti, wanted.save_path, wanted.url_seeds = info, str(places[1]), [f"http://{relay.authority}{file.path}"]
        handle = session.add_torrent(wanted)
        async with asyncio.timeout(60):
            while not handle.status().is_seeding:  # noqa: ASYNC110 (the library has nothing to wait for)
                await asyncio.sleep(0.1)
        session.remove_torrent(handle)

    assert (places[1] / "halonyx").read_bytes() == file.content
