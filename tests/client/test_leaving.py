"""Deleting an account: what goes, what stays, what contacts see, and what a failure leaves."""

import asyncio
import shutil
import time
from pathlib import Path
from typing import Final

import pytest

from client.front import Front
from client.homes import (
    HANGING_SECONDS,
    POLL_SECONDS,
    Mailboxes,
    MemoryKeyring,
    drain,
    introduce,
    recovered,
    settle,
    sign_up,
    texts,
)
from halonyx.client import Client, ReceiverBusy, create_account, delete_account
from halonyx.client.home import TRANSFERS
from halonyx.client.locks import RECEIVER_LOCK, try_lock
from halonyx.client.transport import Refused
from halonyx.core.errors import Malformed, Misuse, StoreError, TransportError
from halonyx.core.recovery import ENTROPY_SIZE, encode_recovery_code
from relay_process import RelayProcess

PASSPHRASE: Final = "swordfish"


async def test_a_deleted_account_is_gone_here_and_there_and_its_code_makes_it_anew(
    relay: RelayProcess, mailboxes: Mailboxes, memory_keyring: MemoryKeyring, tmp_path: Path
) -> None:
    alice, bob = await sign_up(tmp_path / "alice", relay.origin), await sign_up(tmp_path / "bob", relay.origin)
    async with bob.open() as friend:
        async with alice.open() as leaver:
            account, version = leaver.account, leaver.account.record_version
            await introduce(leaver, friend)
            await friend.send("alice", "hello")
            await settle(leaver, friend)
        assert (await friend.send("alice", "on its way")).state == "accepted"
        assert mailboxes.count(account.address) == 1
        kept = len(memory_keyring.passwords)

        assert await delete_account(alice.path, alice.code) == account

        assert not alice.path.exists()
        assert (len(memory_keyring.passwords), mailboxes.count(account.address)) == (kept - 1, 0)
        late = await friend.send("alice", "too late")
        assert (late.state, late.reason) == ("waiting", "bad-access-key")
        assert [entry.text for entry in friend.history("alice")] == ["hello", "on its way", "too late"]

        async with asyncio.timeout(HANGING_SECONDS):
            while time.time() < version + 1:  # noqa: ASYNC110 (a record's version is in seconds)
                await asyncio.sleep(POLL_SECONDS)
        async with recovered(alice, tmp_path / "again") as back:
            assert (back.account.address, back.account.device, back.contacts.list()) == (account.address, 2, [])
            await back.contacts.add(friend.card().uri(), "bob")
            await friend.flush()
            assert texts(await drain(back)) == ["on its way", "too late"]


async def test_deleting_again_does_what_was_left_and_touches_nothing_else(relay: RelayProcess, tmp_path: Path) -> None:
    home, left = tmp_path / "home", tmp_path / "left"
    code = (await create_account(home, relay.origin, PASSPHRASE)).recovery_code
    shutil.copytree(home, left)  # of a deletion that was cut off when the relay had answered
    (left / "uv.lock").write_text("the person's")
    (left / TRANSFERS / "1").mkdir(parents=True)
    await delete_account(home, code, PASSPHRASE)

    await delete_account(left, code, PASSPHRASE)

    assert [path.name for path in left.iterdir()] == ["uv.lock"]
    with pytest.raises(StoreError, match="no account in"):
        await delete_account(left, code, PASSPHRASE)


async def test_whatever_fails_leaves_everything_as_it_was(
    front: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = await sign_up(tmp_path / "home", front.origin)
    with pytest.raises(Malformed):
        await delete_account(home.path, home.code[:-1])
    with pytest.raises(Misuse, match="another account"):
        await delete_account(home.path, encode_recovery_code(bytes(ENTROPY_SIZE)))
    with try_lock(home.path / RECEIVER_LOCK), pytest.raises(ReceiverBusy):
        await delete_account(home.path, home.code)
    with monkeypatch.context() as patched:
        late = time.time() + 300
        patched.setattr(time, "time", lambda: late)
        with pytest.raises(Refused, match="the clock of this machine is wrong"):
            await delete_account(home.path, home.code)
    await front.stop()
    with pytest.raises(TransportError, match="nothing was deleted on this machine"):
        await delete_account(home.path, home.code)
    await front.start()

    async with Client.open(home.path) as client:
        assert await drain(client) == []  # the relay knows it, and nothing is missing here
