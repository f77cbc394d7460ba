"""What goes on beside a person's command: when it can't go on, the command ends, and says why."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import pytest

from client.files_kit import folders, row_of, running_files, some_file, until
from client.homes import HANGING_SECONDS, Pair, recovered
from halonyx.client import Client, transfer_states, transfers
from halonyx.client.beside import beside
from halonyx.client.locks import TRANSFERS_LOCK, try_lock
from halonyx.client.people import contact_by_name
from halonyx.client.torrent import NAME
from halonyx.client.transfer_states import NewOffer
from halonyx.client.transport import DeviceReplaced
from halonyx.core.errors import Misuse, StoreError


async def wait_for_ever() -> None:
    async with asyncio.timeout(HANGING_SECONDS):
        await asyncio.Event().wait()


@contextmanager
def held_by(other: Client, client: Client) -> Iterator[None]:
    """Let another process hold the store longer than a client waits for it."""
    client._store.execute("PRAGMA busy_timeout = 20")
    with other._store.transaction():
        yield


def to_prepare(client: Client, path: Path) -> None:
    contact = contact_by_name(client._store, "bob")
    transfer_states.add_outgoing(client._store, contact, [path], NewOffer(path.name, b"", drop=False))


async def test_a_device_that_was_replaced_ends_whoever_waits_beside_it(pair: Pair, tmp_path: Path) -> None:
    async with recovered(pair.homes[1], tmp_path / "new"):
        with pytest.raises(DeviceReplaced):
            async with running_files(pair.bob):
                await wait_for_ever()


async def test_transfers_go_on_after_a_store_that_was_held_too_long(pair: Pair, tmp_path: Path) -> None:
    to_prepare(pair.alice, some_file(tmp_path, 1000))

    def has_stopped() -> bool:
        """Tell whether a runner did what it could, and let go of the lock."""
        with try_lock(pair.alice._home / TRANSFERS_LOCK) as is_free:
            return is_free and all((folder / NAME).exists() for folder in folders(pair.alice) or [tmp_path])

    async with pair.homes[0].open() as other, AsyncExitStack() as stack:
        with held_by(other, pair.alice):
            await stack.enter_async_context(pair.alice.files.run())
            await until(has_stopped)
        await until(lambda: row_of(pair.alice).state == "offered")


async def test_a_store_that_stays_held_ends_whoever_waits_for_a_transfer(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfers, "PATIENCE_SECONDS", 0)
    to_prepare(pair.alice, some_file(tmp_path, 1000))
    async with pair.homes[0].open() as other:
        with held_by(other, pair.alice), pytest.raises(StoreError, match="locked"):
            async with pair.alice.files.run():
                await wait_for_ever()


async def test_an_error_of_the_body_ends_the_work_and_stays_what_it_is() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await wait_for_ever()
        finally:
            ended.set()

    async def body() -> None:
        async with beside(work(), work()):
            await asyncio.sleep(0)
            raise Misuse("of the body")

    with pytest.raises(Misuse, match="of the body"):
        await body()
    assert ended.is_set()
