"""What a contact, or whoever sits in a swarm, can try with files: nothing of it is saved, and it is said."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import libtorrent as lt
import pytest
from aiohttp import web

from client.files_kit import (
    agree,
    container,
    folders,
    forge,
    names_in,
    new_folder,
    offered,
    reached,
    row_of,
    running_files,
    some_file,
    until,
)
from client.homes import Pair, drain, settle
from halonyx.client import torrent, transfer_states, transfer_talk
from halonyx.client.running import folder_of
from halonyx.client.torrent import NAME, PIECE_SIZE, WrongMetadata, check_info, info_of, tracker_url
from halonyx.core.encoding import Writer
from halonyx.core.file_offer import FileState, State
from halonyx.core.kdf import tracker_token
from halonyx.core.types import FileKey, MessageId, Millis
from relay_process import free_port

HONEST = container([("report.pdf", bytes(100))])


def evil_container(path: bytes) -> bytes:
    """Return a container with a path that no honest program writes."""
    head = Writer().u8(1).u32(1).sized(path, 2, 1024).u64(100).done()
    return (head + bytes(100)).ljust(256 * 1024, b"\x00")


async def fails(pair: Pair, target: Path, reason: str, *offers: MessageId) -> None:
    """Let Bob accept what fails on both sides for a reason, leaving nothing behind."""
    async with running_files(pair.alice, pair.bob):
        for offer in offers:
            await pair.bob.files.accept(offer, target)
        for offer in offers:
            ended = await reached(pair.bob, offer, "failed", "done")
            assert (ended.state, ended.reason) == ("failed", reason), f"number {offers.index(offer)}"
            await reached(pair.alice, offer, "failed")
            assert pair.alice.files.get(offer).reason == reason
        await until(lambda: not folders(pair.bob))
    assert names_in(target) == []


async def test_a_path_that_leaves_the_folder_or_is_not_the_offered_one(pair: Pair, tmp_path: Path) -> None:
    agree(pair)
    paths = [b"../report.pdf", b"/etc/cron.d/report.pdf", b"x/../../report.pdf", b"..", b"a\\b", b"report.pdf\x00"]
    offers = []
    for path in (*paths, b"other.pdf"):
        offers.append(await forge(pair, evil_container(path)))
        await drain(pair.alice)  # an answer: five offers go out without one
    await fails(pair, new_folder(tmp_path / "saved"), "damaged", *offers)


async def test_padding_that_carries_something(pair: Pair, tmp_path: Path) -> None:
    agree(pair)
    offer = await forge(pair, HONEST[:-1] + b"\x01")
    await fails(pair, new_folder(tmp_path / "saved"), "damaged", offer)


async def test_more_or_less_than_was_offered(pair: Pair, tmp_path: Path) -> None:
    agree(pair)
    offer = await forge(pair, HONEST, size=101)
    await fails(pair, new_folder(tmp_path / "saved"), "damaged", offer)


async def test_a_key_that_the_ciphertext_does_not_commit_to(pair: Pair, tmp_path: Path) -> None:
    agree(pair)
    offer = await forge(pair, HONEST, key=FileKey(os.urandom(32)))
    await fails(pair, new_folder(tmp_path / "saved"), "damaged", offer)


async def test_content_of_another_hash(pair: Pair, tmp_path: Path) -> None:
    agree(pair)
    offer = await forge(pair, HONEST, ciphertext_hash=bytes(32))
    await fails(pair, new_folder(tmp_path / "saved"), "wrong-hash", offer)


async def test_metadata_of_something_else_is_refused_before_anything_is_fetched(pair: Pair, tmp_path: Path) -> None:
    agree(pair)
    size = 56 + len(HONEST) + (len(HONEST) // 16_384 + 1) * 16
    honest: dict[bytes, Any] = {
        b"length": size,
        b"name": b"halonyx",
        b"piece length": PIECE_SIZE,
        b"pieces": bytes(20),
    }
    foreign: list[dict[bytes, Any]] = [
        {b"length": size + 1},
        {b"name": b"../../etc"},
        {b"piece length": PIECE_SIZE // 2},
        {b"source": b"tells who it is"},
    ]
    fetched: dict[MessageId, Path] = {}
    for changes in foreign:
        offer = await forge(pair, HONEST, info=lt.bencode(honest | changes))
        fetched[offer] = folder_of(pair.bob._home, row_of(pair.bob).id) / NAME
    async with running_files(pair.alice, pair.bob):
        for offer in fetched:
            await pair.bob.files.accept(offer, new_folder(tmp_path / offer.hex()))
        for offer, file in fetched.items():
            ended = await reached(pair.bob, offer, "failed")
            assert not file.exists() or file.stat().st_size == 0
            assert ended.reason == "wrong-metadata"


def test_metadata_has_one_form() -> None:
    info = info_of(PIECE_SIZE + 1, bytes(40))
    assert lt.bdecode(info) == {
        b"length": PIECE_SIZE + 1,
        b"name": b"halonyx",
        b"piece length": PIECE_SIZE,
        b"pieces": bytes(40),
    }
    assert check_info(info, PIECE_SIZE + 1) == info
    for wrong in (
        b"",
        info[:-1],
        info + b"e",
        info.replace(b"1048577", b"1048578"),
        info_of(PIECE_SIZE + 1, bytes(20)),
    ):
        with pytest.raises(WrongMetadata):
            check_info(wrong, PIECE_SIZE + 1)


async def test_an_info_hash_of_nothing_moves_nothing_and_can_be_cancelled(pair: Pair, tmp_path: Path) -> None:
    agree(pair)
    offer = await forge(pair, HONEST, info_hash=os.urandom(20))
    async with running_files(pair.alice, pair.bob):
        await pair.bob.files.accept(offer, new_folder(tmp_path / "saved"))
        await until(lambda: pair.alice.files.get(offer).path == "direct")
        await until(lambda: pair.bob.files.get(offer).reason == "peer-offline")
        assert pair.bob.files.get(offer).done == 0
        await pair.bob.files.cancel(offer)
        await reached(pair.alice, offer, "refused")


async def test_a_peer_that_serves_garbage_is_dropped_and_the_honest_one_heard(pair: Pair, tmp_path: Path) -> None:
    agree(pair)
    source, target = some_file(tmp_path, 3_000_000), new_folder(tmp_path / "saved")
    offer = await offered(pair, source)
    row = row_of(pair.alice)
    honest = folder_of(pair.alice._home, row.id)
    garbage = new_folder(tmp_path / "garbage")
    (garbage / NAME).write_bytes(os.urandom(row.offer.ciphertext_size))
    url = tracker_url(row.offer.origin, tracker_token(row.offer.key))
    with serving(garbage, (honest / "info").read_bytes(), url):
        async with running_files(pair.bob):
            await pair.bob.files.accept(offer.id, target)
            await until(
                lambda: (
                    pair.bob.files.get(offer.id).peers > 0 or bool(pair.bob.files.get(offer.id).reason == "bad-peer")
                )
            )
            await drain(pair.alice)
            async with running_files(pair.alice):
                await reached(pair.bob, offer.id, "done")
    assert (target / "report.pdf").read_bytes() == source.read_bytes()


@contextmanager
def serving(folder: Path, info: bytes, url: str) -> Iterator[None]:
    """Be a peer that gives out whatever lies in a folder, whether it fits its hashes or not."""
    settings: Any = {**torrent._SETTINGS, "disable_hash_checks": True}
    session = lt.session(settings)
    parameters = lt.add_torrent_params()
    parameters.ti = lt.torrent_info(b"d4:info" + info + b"e")
    parameters.save_path, parameters.trackers = str(folder), [url]
    parameters.flags = torrent._FLAGS | lt.torrent_flags.seed_mode
    handle = session.add_torrent(parameters)
    yield
    session.remove_torrent(handle)


HOSTILE = [
    "",
    "null",
    "[]",
    "{",
    '{"action":"announce"}',
    '{"action":"announce","info_hash":1,"peer_id":2,"offers":3}',
    '{"failure reason":"' + "x" * 10_000 + '"}',
    '{"action":"announce","info_hash":"HASH","interval":-1,"complete":-5,"incomplete":1e300}',
    '{"action":"announce","info_hash":"HASH","peer_id":"' + "p" * 20 + '","offer_id":"' + "o" * 20 + '","offer":{}}',
    '{"action":"announce","info_hash":"HASH","peer_id":"' + "p" * 20 + '","offer_id":"' + "o" * 20
    + '","offer":{"type":"offer","sdp":"v=0\\r\\nm=application 9 X\\r\\na=candidate:x"}}',
    '{"action":"announce","info_hash":"HASH","peer_id":"' + "p" * 20 + '","offer_id":"' + "o" * 20
    + '","answer":{"type":"answer","sdp":"nonsense"}}',
    "[" * 100_000,
]  # fmt: skip


async def test_a_hostile_tracker_moves_nothing_and_ends_nothing(tmp_path: Path) -> None:
    info_hash = os.urandom(20)
    name = "".join(f"\\u00{byte:02x}" for byte in info_hash)
    asked: list[str] = []

    async def handle(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            asked.append(message.data)
            for words in HOSTILE:
                await socket.send_str(words.replace("HASH", name))
            await socket.send_bytes(b"\x00\xff")
        return socket

    application = web.Application()
    application.router.add_get("/v1/tracker", handle)
    runner = web.AppRunner(application)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "localhost", port).start()
    shared = torrent.Torrent(tmp_path, 1_000_000, tracker_url(f"http://localhost:{port}", bytes(16)))
    shared.fetch(info_hash, None)
    try:
        await until(lambda: len(asked) > 0)
        await until(lambda: shared.progress().is_tracked is not None)
        found = shared.progress()
        assert (found.done, found.peers, found.is_complete, shared.take_info()) == (0, 0, False, None)
    finally:
        shared.close()
        await runner.cleanup()


async def test_an_offer_that_names_a_strangers_relay_sends_nobody_there(pair: Pair, tmp_path: Path) -> None:
    agree(pair)
    offer = await forge(pair, HONEST, origin="https://elsewhere.example")
    async with running_files(pair.bob):
        await pair.bob.files.accept(offer, new_folder(tmp_path / "saved"))
        await until(lambda: pair.bob.files.get(offer).reason == "strange-relay")
        assert pair.bob.files.get(offer).state == "paused"


async def test_a_name_that_misleads_is_saved_as_a_harmless_one(pair: Pair, tmp_path: Path) -> None:
    agree(pair)
    target = new_folder(tmp_path / "saved")
    name = "-\u202egpj.exe"
    offer = await forge(pair, container([(name, bytes(100))]), name=name)
    assert pair.bob.history("alice")[-1].text == "_gpj.exe"
    async with running_files(pair.alice, pair.bob):
        await pair.bob.files.accept(offer, target)
        await reached(pair.bob, offer, "done")
    assert names_in(target) == ["_gpj.exe"]


@pytest.mark.parametrize("state", [State.CANCELLED, State.IN_DROP, State.ACCEPTED, State.DONE, State.REFUSED])
async def test_a_state_from_who_may_not_say_it_changes_nothing(pair: Pair, tmp_path: Path, state: State) -> None:
    offer = await offered(pair, some_file(tmp_path, 1000))
    is_senders = state in (State.CANCELLED, State.IN_DROP)
    # What the sender may say is said by the recipient, and the other way round; and of an offer that there is none of.
    liar, other = (pair.bob, pair.alice) if is_senders else (pair.alice, pair.bob)
    with liar._store.transaction():
        transfer_states.tell(liar._store, row_of(liar), state)
    await settle(liar, other)
    assert other.files.get(offer.id).state == "offered"
    assert other.files.get(offer.id).in_drop is False
    with other._store.transaction():
        unknown = FileState(MessageId(os.urandom(16)), state)
        transfer_talk.take_state(other._store, row_of(other).contact, unknown, Millis(0))
    assert other.files.get(offer.id).state == "offered"
