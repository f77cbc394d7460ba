"""libtorrent and the relay's tracker, in a network of their own: with the token it finds the other, without nobody."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

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
