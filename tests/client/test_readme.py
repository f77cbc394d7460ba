"""The program in README.md is a program."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from client.homes import HANGING_SECONDS, POLL_SECONDS, introduce, receive_until, sign_up, texts
from halonyx.client import Client, create_account
from relay_process import RelayProcess

README = Path(__file__).parents[2] / "README.md"


async def test_the_example_sends_and_receives(
    relay: RelayProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    program, _, runs = example.partition("\nasyncio.run(main())\n")
    assert runs == ""
    names: dict[str, Any] = {}
    exec(program, names)  # noqa: S102 (our own page)
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / ".local/share/halonyx"
    await create_account(folder, relay.origin, passphrase="…")
    home = await sign_up(tmp_path / "bob", relay.origin)

    async with home.open() as bob:
        async with Client.open(folder, passphrase="…") as me:
            await introduce(me, bob)
        running = asyncio.create_task(names["main"]())
        async with asyncio.timeout(HANGING_SECONDS):
            heard = texts(await receive_until(bob, lambda found: bool(texts(found))))
            await bob.send("alice", "hello yourself")
            while "bob hello yourself" not in (shown := capsys.readouterr().out):
                assert not running.done()
                await asyncio.sleep(POLL_SECONDS)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    assert (heard, shown) == (["hello"], "bob hello yourself\n")
