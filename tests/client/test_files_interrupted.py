"""Transfers that are cut off: by a restart of either side, by a full disk, by a relay that is away."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from client.files_kit import (
    agree,
    folders,
    names_in,
    new_folder,
    offered,
    reached,
    row_of,
    running_files,
    some_file,
    until,
)
from client.homes import Pair, settle
from halonyx.client import transfer_states
from halonyx.client.people import contact_by_id
from halonyx.client.preparing import INFO, scan
from halonyx.client.running import folder_of
from halonyx.client.saving import DiskFull, temporary_for
from halonyx.client.torrent import NAME
from halonyx.client.transfer_states import NewOffer
from halonyx.core.errors import Misuse

LARGE = 30_000_000


def fetched(pair: Pair) -> int:
    """Return how many bytes of the ciphertext take room on Bob's disk."""
    path = folder_of(pair.bob._home, row_of(pair.bob).id) / NAME
    return path.stat().st_blocks * 512 if path.exists() else 0


@pytest.mark.parametrize("who", ["alice", "bob"])
async def test_after_a_restart_of_either_side_it_goes_on_with_what_is_there(
    pair: Pair, tmp_path: Path, who: str
) -> None:
    agree(pair)
    source, target = some_file(tmp_path, LARGE), new_folder(tmp_path / "saved")
    offer = await offered(pair, source)
    first, second = (pair.bob, pair.alice) if who == "alice" else (pair.alice, pair.bob)
    await pair.bob.files.accept(offer.id, target)
    await settle(pair.alice, pair.bob)
    async with running_files(first):
        async with running_files(second):
            await until(lambda: fetched(pair) > LARGE // 10)
        # `second` is gone, with its sessions.
        held = fetched(pair)
        async with running_files(second):
            await reached(pair.bob, offer.id, "done")
    assert held > 0
    assert (target / "report.pdf").read_bytes() == source.read_bytes()


async def test_what_lies_on_the_disk_is_not_fetched_again(pair: Pair, tmp_path: Path) -> None:
    agree(pair)
    source, target = some_file(tmp_path, LARGE), new_folder(tmp_path / "saved")
    offer = await offered(pair, source)
    ours, theirs = (folder_of(client._home, row_of(client).id) for client in (pair.alice, pair.bob))
    # As after `kill -9`: all but the last piece came, and one in the middle is damaged.
    content = bytearray((ours / NAME).read_bytes()[: 28 * 1024 * 1024])
    content[5 * 1024 * 1024] ^= 1
    (theirs / NAME).write_bytes(content)
    (theirs / INFO).write_bytes((ours / INFO).read_bytes())
    async with running_files(pair.alice, pair.bob):
        await pair.bob.files.accept(offer.id, target)
        await reached(pair.bob, offer.id, "done")
        await reached(pair.alice, offer.id, "done")
    assert (target / "report.pdf").read_bytes() == source.read_bytes()
    assert row_of(pair.alice).sent < 5 * 1024 * 1024


async def test_saved_metadata_that_is_damaged_is_asked_for_again(pair: Pair, tmp_path: Path) -> None:
    agree(pair)
    offer = await offered(pair, some_file(tmp_path, 1_000_000))
    (folder_of(pair.bob._home, row_of(pair.bob).id) / INFO).write_bytes(b"cut off")
    async with running_files(pair.alice, pair.bob):
        await pair.bob.files.accept(offer.id, new_folder(tmp_path / "saved"))
        await reached(pair.bob, offer.id, "done")


async def test_an_offer_that_was_cut_off_while_it_was_prepared_is_made_later(pair: Pair, tmp_path: Path) -> None:
    source = some_file(tmp_path, 2_000_000)
    contact = pair.alice._store.value("SELECT id FROM contacts WHERE name = 'bob'")
    row = transfer_states.add_outgoing(
        pair.alice._store,
        contact_by_id(pair.alice._store, contact),
        [source],
        NewOffer(scan([source]).name, b"", drop=False),
    )
    (folder_of(pair.alice._home, row.id) / NAME).write_bytes(b"half of it")
    assert pair.alice.files.get(row.message_id).state == "preparing"
    async with running_files(pair.alice):
        await reached(pair.alice, row.message_id, "offered")
        async with running_files(pair.bob):
            await until(lambda: bool(pair.bob.files.list()))
    assert pair.bob.files.get(row.message_id).size == 2_000_000


async def test_a_source_that_is_gone_fails_the_offer(pair: Pair, tmp_path: Path) -> None:
    contact = contact_by_id(pair.alice._store, 1)
    row = transfer_states.add_outgoing(
        pair.alice._store, contact, [tmp_path / "gone"], NewOffer("gone", b"", drop=False)
    )
    async with running_files(pair.alice):
        await reached(pair.alice, row.message_id, "failed")
    with pytest.raises(Misuse):
        await pair.alice.files.pause(row.message_id)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let no file of this process grow further, as on a full disk."""
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, former[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)


async def test_a_disk_that_fills_up_while_fetching_pauses_and_room_lets_it_go_on(pair: Pair, tmp_path: Path) -> None:
    agree(pair)
    source, target = some_file(tmp_path, LARGE), new_folder(tmp_path / "saved")
    offer = await offered(pair, source)
    async with running_files(pair.alice, pair.bob):
        with files_of_at_most(8_000_000):
            await pair.bob.files.accept(offer.id, target)
            paused = await reached(pair.bob, offer.id, "paused")
        assert paused.reason == "disk-full"
        await pair.bob.files.resume(offer.id)
        await reached(pair.bob, offer.id, "done")
    assert (target / "report.pdf").read_bytes() == source.read_bytes()


async def test_a_disk_that_fills_up_while_saving_pauses_and_leaves_nothing_half(pair: Pair, tmp_path: Path) -> None:
    agree(pair)
    source, target = some_file(tmp_path, LARGE), new_folder(tmp_path / "saved")
    offer = await offered(pair, source)
    ours, theirs = (folder_of(client._home, row_of(client).id) for client in (pair.alice, pair.bob))
    (theirs / NAME).write_bytes((ours / NAME).read_bytes())
    (theirs / INFO).write_bytes((ours / INFO).read_bytes())
    async with running_files(pair.bob):
        with files_of_at_most(20_000_000):
            await pair.bob.files.accept(offer.id, target)
            paused = await reached(pair.bob, offer.id, "paused")
        assert paused.reason == "disk-full"
        assert names_in(target) == []
        await pair.bob.files.resume(offer.id)
        await reached(pair.bob, offer.id, "done")
    assert names_in(target) == ["report.pdf"]


async def test_a_name_that_was_about_to_be_taken_is_not_ours_for_that(pair: Pair, tmp_path: Path) -> None:
    agree(pair)
    source, target = some_file(tmp_path, LARGE), new_folder(tmp_path / "saved")
    offer = await offered(pair, source)
    ours, theirs = (folder_of(client._home, row_of(client).id) for client in (pair.alice, pair.bob))
    (theirs / NAME).write_bytes((ours / NAME).read_bytes())
    (target / "report.pdf").write_bytes(b"mine")
    transfer_states.accept(pair.bob._store, row_of(pair.bob).id, target)
    transfer_states.note_verifying(pair.bob._store, row_of(pair.bob).id)
    # A process died when it had noted the name, before it found it taken; the next one finds no room.
    transfer_states.note_saving(pair.bob._store, row_of(pair.bob).id, target / "report.pdf")
    temporary_for(target, offer.id).write_bytes(b"a part")
    async with running_files(pair.bob):
        with files_of_at_most(20_000_000):
            await reached(pair.bob, offer.id, "paused")
        await pair.bob.files.resume(offer.id)
        done = await reached(pair.bob, offer.id, "done")
    assert done.saved == target / "report (2).pdf"
    assert done.saved.read_bytes() == source.read_bytes()


async def test_plaintext_that_was_half_written_goes_with_the_transfer(pair: Pair, tmp_path: Path) -> None:
    offer = await offered(pair, some_file(tmp_path, 1000))
    target = new_folder(tmp_path / "saved")
    folder_of(pair.bob._home, row_of(pair.bob).id)
    await pair.bob.files.accept(offer.id, target)
    temporary_for(target, offer.id).write_bytes(b"a part")  # of a process that was killed
    await pair.bob.files.cancel(offer.id)
    assert names_in(target) == []
    assert folders(pair.bob) == []


async def test_a_disk_without_room_for_the_encrypted_copy(pair: Pair, tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as huge:
        huge.truncate(2**43)
    with pytest.raises(DiskFull):
        await pair.alice.files.offer("bob", [tmp_path / "huge"])
    assert pair.alice.files.list()[-1].reason == "disk-full"
    large = some_file(tmp_path, LARGE)
    with files_of_at_most(1_000_000), pytest.raises(DiskFull):
        await pair.alice.files.offer("bob", [large])
    for transfer in pair.alice.files.list():
        await pair.alice.files.cancel(transfer.id)
    assert folders(pair.alice) == []


async def test_a_folder_that_is_gone_pauses_the_saving(pair: Pair, tmp_path: Path) -> None:
    agree(pair)
    offer = await offered(pair, some_file(tmp_path, 1000))
    target = new_folder(tmp_path / "saved")
    await pair.bob.files.accept(offer.id, target)
    target.rmdir()
    async with running_files(pair.alice, pair.bob):
        assert (await reached(pair.bob, offer.id, "paused")).reason in {"cant-save", "disk-full"}
        target.mkdir()
        await pair.bob.files.resume(offer.id)
        await reached(pair.bob, offer.id, "done")


async def test_only_one_process_carries_the_transfers_of_a_home(pair: Pair, tmp_path: Path) -> None:
    agree(pair)
    target = new_folder(tmp_path / "saved")
    offer = await offered(pair, some_file(tmp_path, 1_000_000))
    async with (
        pair.homes[1].open() as other,
        running_files(pair.alice, pair.bob),
        other.online(),
        other.files.run(),
    ):
        await other.files.accept(offer.id, target)
        await reached(other, offer.id, "done")
        await reached(pair.bob, offer.id, "done")
    assert names_in(target) == ["report.pdf"]
    assert folders(pair.bob) == []
