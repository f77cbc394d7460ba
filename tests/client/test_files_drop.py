"""The drop: for two people who are never online together. The relay holds the ciphertext until the recipient has it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from client.files_kit import (
    agree,
    folders,
    new_folder,
    offered,
    reached,
    row_of,
    running_files,
    some_file,
    until,
)
from client.front import running_front
from client.homes import Pair, change, drain, settle, two_people
from halonyx.client import drop, transfer_states
from halonyx.client.account import load_account
from halonyx.client.running import FROM_DROP, Runner, folder_of
from halonyx.client.torrent import NAME
from halonyx.client.transfer_talk import TELL_AGAIN
from halonyx.core.errors import TransportError
from relay_process import RelayProcess, free_port, running_relay

SIZE = 9_000_000
QUOTA = 40_000_000


@pytest.fixture(scope="module")
def keeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    """A relay that keeps files, and answers to the origin of what may stand in front of it."""
    port = free_port()
    origins = f'["http://localhost:{port}"]'
    folder = tmp_path_factory.mktemp("keeper")
    with running_relay(folder, HALONYX_DROP_QUOTA=str(QUOTA), HALONYX_RATE_DROP="100000/minute") as relay:
        relay.stop()
        relay.settings["HALONYX_ORIGINS"] = origins.replace("]", f', "{relay.origin}"]')
        relay.start()
        relay.settings["front"] = str(port)
        yield relay


def kept(relay: RelayProcess) -> list[Path]:
    """Return what lies in the relay's drop."""
    return [path for path in (relay.data / "drop").rglob("*") if path.is_file()]


async def test_two_who_are_never_online_together(keeper: RelayProcess, tmp_path: Path) -> None:
    target = new_folder(tmp_path / "saved")
    async with two_people(tmp_path, (keeper.origin, keeper.origin)) as pair:
        source = some_file(tmp_path, SIZE)
        offer = await pair.alice.files.offer("bob", [source], drop=True)
        async with running_files(pair.alice):
            await until(lambda: pair.alice.files.get(offer.id).in_drop)
            await pair.alice.flush()
        found = kept(keeper)
        assert [path.stat().st_size for path in found] == [row_of(pair.alice).offer.ciphertext_size]
        assert source.read_bytes()[:64] not in found[0].read_bytes()
        # Alice is gone, and Bob never let anybody see his address: no connection to a peer is made.
        async with running_files(pair.bob):
            await until(lambda: bool(pair.bob.files.list()) and pair.bob.files.get(offer.id).in_drop)
            await pair.bob.files.accept(offer.id, target)
            done = await reached(pair.bob, offer.id, "done")
            await until(lambda: not kept(keeper))
            await until(lambda: not pair.bob.files.get(offer.id).in_drop)
        assert (done.path, done.direct_allowed) == ("drop", False)
        assert (target / "report.pdf").read_bytes() == source.read_bytes()
        await settle(pair.bob, pair.alice)
        assert pair.alice.files.get(offer.id).state == "done"
        async with running_files(pair.alice):
            await until(lambda: not folders(pair.alice) and not pair.alice.files.get(offer.id).in_drop)


async def test_an_upload_that_was_cut_off_goes_on_where_it_was(keeper: RelayProcess, tmp_path: Path) -> None:
    async with two_people(tmp_path, (keeper.origin, keeper.origin)) as pair:
        await offered(pair, some_file(tmp_path, SIZE), drop=True)
        row, account = row_of(pair.alice), load_account(pair.alice._store)
        ciphertext = folder_of(pair.alice._home, row.id) / NAME

        def stop_at_the_second_part(done: int) -> None:
            if done:
                raise Cut

        with pytest.raises(Cut):
            await drop.upload(account, row.offer, ciphertext, stop_at_the_second_part)
        seen: list[int] = []
        await drop.upload(account, row.offer, ciphertext, seen.append)
        assert seen[0] == 4 * 1024 * 1024
        assert seen[-1] == row.offer.ciphertext_size
        await drop.upload(account, row.offer, ciphertext, seen.append)  # once more is as good
        await drop.delete(row.offer)
        await drop.delete(row.offer)
        with pytest.raises(drop.DropGone):
            await drop.download(row.offer, tmp_path / "got", seen.append)


async def test_a_download_that_was_cut_off_goes_on_where_it_was(keeper: RelayProcess, tmp_path: Path) -> None:
    async with two_people(tmp_path, (keeper.origin, keeper.origin)) as pair:
        await offered(pair, some_file(tmp_path, SIZE), drop=True)
        row = row_of(pair.alice)
        ciphertext = folder_of(pair.alice._home, row.id) / NAME
        await drop.upload(load_account(pair.alice._store), row.offer, ciphertext, lambda _: None)
        content, got = ciphertext.read_bytes(), tmp_path / "got"
        got.write_bytes(content[:1_000_003])
        seen: list[int] = []
        await drop.download(row.offer, got, seen.append)
        assert (seen[0], seen[-1]) == (1_000_003, len(content))
        assert got.read_bytes() == content
        await drop.download(row.offer, got, seen.append)  # nothing is left to fetch
        got.write_bytes(content + b"more than there is")
        await drop.download(row.offer, got, seen.append)
        assert got.read_bytes() == content
        await drop.delete(row.offer)


async def test_what_the_relay_deleted_is_said_and_a_direct_way_taken(keeper: RelayProcess, tmp_path: Path) -> None:
    target = new_folder(tmp_path / "saved")
    async with two_people(tmp_path, (keeper.origin, keeper.origin)) as pair:
        source = some_file(tmp_path, SIZE)
        offer = await pair.alice.files.offer("bob", [source], drop=True)
        async with running_files(pair.alice):
            await until(lambda: pair.alice.files.get(offer.id).in_drop)
            await pair.alice.flush()
        await drain(pair.bob)
        row = row_of(pair.bob)
        (folder_of(pair.bob._home, row.id) / FROM_DROP).write_bytes(
            (folder_of(pair.alice._home, row_of(pair.alice).id) / NAME).read_bytes()[:2_000_000]
        )
        await drop.delete(row.offer)
        async with running_files(pair.bob):
            await pair.bob.files.accept(offer.id, target)
            await until(lambda: not pair.bob.files.get(offer.id).in_drop)
            await until(lambda: pair.bob.files.get(offer.id).reason == "needs-direct")
            assert pair.bob.files.get(offer.id).state == "waiting"
            agree(pair)
            async with running_files(pair.alice):
                await reached(pair.bob, offer.id, "done")
        assert (target / "report.pdf").read_bytes() == source.read_bytes()


@pytest.mark.parametrize("who", ["still wants it", "tries it again", "offers it"])
async def test_what_the_drop_lost_is_uploaded_again(keeper: RelayProcess, tmp_path: Path, who: str) -> None:
    target = new_folder(tmp_path / "saved")
    async with two_people(tmp_path, (keeper.origin, keeper.origin)) as pair:
        source = some_file(tmp_path, 1000)
        offer = await pair.alice.files.offer("bob", [source], drop=True)
        async with running_files(pair.alice):
            await until(lambda: pair.alice.files.get(offer.id).in_drop)
            await pair.alice.flush()
        await drain(pair.bob)
        await pair.bob.files.accept(offer.id, target)
        await settle(pair.bob, pair.alice, pair.bob)
        await drop.delete(row_of(pair.alice).offer)  # as of a relay that was put back to an older copy
        if who == "tries it again":
            transfer_states.fail(pair.bob._store, row_of(pair.bob).id, "wrong-hash")
            await settle(pair.bob, pair.alice)
            await pair.bob.files.retry(offer.id)
        async with running_files(pair.alice, pair.bob):
            if who != "tries it again":
                await until(lambda: not pair.bob.files.get(offer.id).in_drop)
            if who == "still wants it":
                change(pair.bob, "UPDATE transfers SET told = told - ?", TELL_AGAIN + 1000)
            if who == "offers it":
                await pair.alice.files.resume(offer.id, drop=True)
            await reached(pair.bob, offer.id, "done")
        assert (target / "report.pdf").read_bytes() == source.read_bytes()


async def test_more_than_the_quota_is_refused(keeper: RelayProcess, tmp_path: Path) -> None:
    async with two_people(tmp_path, (keeper.origin, keeper.origin)) as pair:
        with (tmp_path / "large").open("wb") as large:
            large.truncate(QUOTA + 1)
        offer = await offered(pair, tmp_path / "large", drop=True)
        async with running_files(pair.alice):
            await until(lambda: pair.alice.files.get(offer.id).reason == "drop-full")
            assert pair.alice.files.get(offer.id).state == "offered"  # it goes on without
        await pair.alice.files.cancel(offer.id)


@pytest.mark.parametrize(("held", "given"), [(0, 1), (1000, -1000)], ids=["too much", "from another place"])
async def test_a_relay_that_gives_something_else_is_not_believed(
    pair: Pair, tmp_path: Path, held: int, given: int
) -> None:
    await offered(pair, some_file(tmp_path, 1000))
    offer = row_of(pair.alice).offer

    async def give(_: web.Request) -> web.Response:
        return web.Response(body=bytes(offer.ciphertext_size + given))

    application = web.Application()
    application.router.add_get("/v1/drop/{drop}", give)
    runner, port = web.AppRunner(application), free_port()
    await runner.setup()
    await web.TCPSite(runner, "localhost", port).start()
    got = tmp_path / "got"
    got.write_bytes(bytes(held))
    try:
        with pytest.raises(TransportError):
            await drop.download(replace(offer, origin=f"http://localhost:{port}"), got, lambda _: None)
    finally:
        await runner.cleanup()
    assert got.stat().st_size <= offer.ciphertext_size


async def test_a_relay_that_is_away_is_tried_again(keeper: RelayProcess, tmp_path: Path) -> None:
    async with (
        running_front(keeper, int(keeper.settings["front"])) as front,
        two_people(tmp_path, (front.origin, front.origin)) as pair,
    ):
        await offered(pair, some_file(tmp_path, 1000), drop=True)
        row, account = row_of(pair.alice), load_account(pair.alice._store)
        await front.stop()
        with pytest.raises(TransportError):
            await drop.upload(account, row.offer, tmp_path / "report.pdf", lambda _: None)
        with pytest.raises(TransportError):
            await drop.download(row.offer, tmp_path / "got", lambda _: None)
        with pytest.raises(TransportError):
            await drop.delete(row.offer)
        async with running_files(pair.alice):
            await until(lambda: row_of(pair.alice).reason == "relay-unreachable")


@pytest.mark.parametrize(
    ("code", "status", "goes_on"),
    [
        ("too-slow", 408, True),
        ("drop-conflict", 409, True),
        ("not-authenticated", 401, True),
        ("drop-full", 507, False),
        ("too-large", 413, False),
    ],
)
async def test_what_comes_and_goes_does_not_end_the_drop(
    pair: Pair, tmp_path: Path, code: str, status: int, *, goes_on: bool
) -> None:
    await offered(pair, some_file(tmp_path, 1000))
    deleted: list[bytes] = []

    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({"error": {"code": code, "message": ""}}, status=status)

    async def delete(request: web.Request) -> web.Response:
        assert row_of(pair.alice).wants_drop  # else nobody would try again to delete it
        deleted.append(await request.read())
        return web.json_response({})

    application = web.Application()
    application.router.add_post("/v1/drop", refuse)
    application.router.add_post("/v1/drop/delete", delete)
    runner, port = web.AppRunner(application), free_port()
    await runner.setup()
    await web.TCPSite(runner, "localhost", port).start()
    there = replace(row_of(pair.alice).offer, origin=f"http://localhost:{port}").encode()
    change(pair.alice, "UPDATE transfers SET wants_drop = 1, offer = ?", there)
    try:
        await Runner(pair.alice._store, pair.alice._home)._carry(row_of(pair.alice), "upload")
    finally:
        await runner.cleanup()
    row = row_of(pair.alice)
    assert (row.wants_drop, len(deleted)) == (goes_on, 0 if goes_on else 1)
    assert (row.state, row.is_paused) == ("offered", False)


class Cut(Exception):
    """The end of an upload in its middle."""
