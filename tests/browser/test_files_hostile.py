"""Hostile senders: what they offer and serve is refused, by its name, and nothing of it is kept or released."""

import contextlib
import hashlib
import os
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha1
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page
from playwright.sync_api import Error as PageError

from browser.peer import Peer, acquaint, peer
from browser.transfers import MEBIBYTE, Sharer, sharer
from halonyx.client import outbox
from halonyx.client.people import contact_by_name
from halonyx.client.torrent import info_of, tracker_url
from halonyx.core.chunked import Encryptor, ciphertext_size
from halonyx.core.container import FileEntry, Manifest, padding
from halonyx.core.content import Kind
from halonyx.core.file_offer import FileOffer
from halonyx.core.kdf import tracker_token
from halonyx.core.types import FileKey, MessageId
from halonyx.web.build import load
from relay_process import RelayProcess

PIECE: Final = MEBIBYTE

SERVE: Final = """async ([library, torrent, tracker, content, isHeld]) => {
  const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
  const { default: WebTorrent } = await import(library)
  const data = bytes(content)
  const client = new WebTorrent({ dht: false, lsd: false, tracker: { rtcConfig: { iceServers: [] } } })
  const released = new Promise((resolve) => { globalThis.release = resolve })
  if (!isHeld) release()
  globalThis.seeding = client.add(bytes(torrent), {
    announce: [tracker],
    skipVerify: true,
    store: class {
      constructor(chunkLength) { this.chunkLength = chunkLength }
      get(index, options, last) {
        const piece = data.slice(index * this.chunkLength, (index + 1) * this.chunkLength)
        void released.then(() => (last ?? options)(null, piece))
      }
      put(index, piece, done) { done(null) }
      close(done) { done(null) }
      destroy(done) { done(null) }
    },
  })
}"""
"""Seed whatever bytes under a torrent, whether or not they fit; one that is held gives none before `release`."""

LEFT: Final = """async () => {
  while (seeding.uploaded === 0 || seeding.numPeers > 0) await new Promise((resolve) => setTimeout(resolve, 50))
  return seeding.uploaded
}"""
"""Wait until what a page seeds was taken from it, and it was left; return how many bytes it gave."""


@dataclass(frozen=True)
class Lie:
    """An offer and what is served for it."""

    offer: FileOffer
    info: bytes
    served: bytes


def short_hash(content: bytes) -> bytes:
    return sha1(content, usedforsecurity=False).digest()


def hashes_of(content: bytes, piece: int = PIECE) -> bytes:
    return b"".join(short_hash(content[at : at + piece]) for at in range(0, len(content), piece))


def encrypted(key: FileKey, *files: tuple[str, bytes]) -> bytes:
    """Return a correct ciphertext of these files."""
    manifest = Manifest(tuple(FileEntry(path, len(content)) for path, content in files))
    encryptor = Encryptor(key, os.urandom(24))
    parts = [encryptor.header]
    parts += [encryptor.update(part) for part in (manifest.encode(), *(content for _, content in files))]
    parts += [encryptor.update(part) for part in padding(manifest)]
    return b"".join([*parts, encryptor.finish()])


def honest(origin: str, size: int = 1000) -> Lie:
    """Return an offer that is right in everything, to be changed."""
    key, content = FileKey(os.urandom(32)), os.urandom(size)
    served = encrypted(key, ("note", content))
    info = info_of(len(served), hashes_of(served))
    offer = FileOffer(
        is_folder=False,
        in_drop=False,
        key=key,
        size=size,
        count=1,
        ciphertext_size=len(served),
        ciphertext_hash=hashlib.sha256(served).digest(),
        info_hash=short_hash(info),
        origin=origin,
        name="note",
        media_type="",
        thumbnail=b"",
    )
    return Lie(offer, info, served)


def serving(lie: Lie, served: bytes, info: bytes | None = None) -> Lie:
    """Return a lie whose torrent is of other bytes."""
    info = info or info_of(len(served), hashes_of(served))
    return Lie(replace(lie.offer, info_hash=short_hash(info)), info, served)


@pytest.fixture(scope="module")
def mallory(relay: RelayProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    with peer(tmp_path_factory.mktemp("mallory") / "home", relay.origin) as opened:
        yield opened


@pytest.fixture(scope="module")
def victim(browser: Browser, relay: RelayProcess, mallory: Peer) -> Iterator[Sharer]:
    with sharer(browser, relay.origin) as opened:
        acquaint(opened.person, "Bob", mallory, "Mallory")
        yield opened


@pytest.fixture
def bob(victim: Sharer, relay: RelayProcess) -> Iterator[Sharer]:
    """Bob, who has nothing of Mallory's offers before."""
    with victim.anew(relay.origin, "Mallory"):
        victim.allow_direct("Mallory")
        yield victim


@contextlib.contextmanager
def serving_page(browser: Browser, origin: str) -> Iterator[Page]:
    """A page that seeds what it is told."""
    context = browser.new_context(permissions=["camera", "microphone"])
    page = context.new_page()
    page.goto(origin)
    yield page
    context.close()


@pytest.fixture(scope="module")
def pages(browser: Browser, relay: RelayProcess) -> Iterator[tuple[Page, Page]]:
    with serving_page(browser, relay.origin) as first, serving_page(browser, relay.origin) as second:
        yield first, second


@pytest.fixture
def servers(pages: tuple[Page, Page], relay: RelayProcess) -> tuple[Page, Page]:
    """Two pages that seed nothing yet."""
    for page in pages:
        page.goto(relay.origin)
    return pages


@pytest.fixture
def server(servers: tuple[Page, Page]) -> Page:
    return servers[0]


def send(mallory: Peer, body: bytes) -> str:
    """Send a body as an offer; return its id."""
    message = MessageId(os.urandom(16))

    async def queue() -> None:
        store = mallory.client._store
        with store.transaction():
            outbox.add(store, (contact_by_name(store, "Bob").id, None), Kind.FILE, body, message)
        await mallory.client.flush()

    mallory.call(queue())
    return message.hex()


def serve(server: Page, lie: Lie, origin: str, *, is_held: bool = False) -> None:
    build = load()
    assert build is not None
    (library,) = [f"/{path}" for path in build.files if path.startswith("assets/webtorrent")]
    tracker = tracker_url(origin, tracker_token(lie.offer.key))
    torrent = b"d4:info" + lie.info + b"e"
    server.evaluate(SERVE, [library, b64encode(torrent).decode(), tracker, b64encode(lie.served).decode(), is_held])


def ends(bob: Sharer, mallory: Peer, server: Page, lie: Lie) -> dict[str, Any]:
    """Let Bob accept, and return how it ends."""
    offer = send(mallory, lie.offer.encode())
    serve(server, lie, lie.offer.origin)
    bob.accept("Mallory", offer)
    return bob.until("Mallory", offer, lambda found: found["state"] in {"done", "failed"})


def refused(bob: Sharer, offer: str) -> str:
    """Return with which code saving is refused."""
    with pytest.raises(PageError) as told:
        bob.saved(offer)
    return str(told.value)


def test_the_liars_of_these_tests_can_be_honest(bob: Sharer, mallory: Peer, server: Page, relay: RelayProcess) -> None:
    assert ends(bob, mallory, server, honest(relay.origin))["state"] == "done"


def test_another_ciphertext_than_was_offered(bob: Sharer, mallory: Peer, server: Page, relay: RelayProcess) -> None:
    lie = honest(relay.origin)
    end = ends(bob, mallory, server, serving(lie, os.urandom(len(lie.served))))
    assert (end["state"], end["reason"]) == ("failed", "wrong-hash")
    assert "misuse" in refused(bob, end["id"])
    bob.until_stored(lambda found: found == {})


def test_pieces_that_fit_no_hash(bob: Sharer, mallory: Peer, server: Page, relay: RelayProcess) -> None:
    lie = honest(relay.origin)
    end = ends(bob, mallory, server, Lie(lie.offer, lie.info, os.urandom(len(lie.served))))
    assert (end["state"], end["reason"], end["done"]) == ("failed", "wrong-hash", 0)
    bob.until_stored(lambda found: found == {})


@pytest.mark.parametrize("first", ["garbage", "both"])
def test_a_peer_that_serves_garbage_beside_an_honest_one(
    bob: Sharer, mallory: Peer, servers: tuple[Page, Page], relay: RelayProcess, first: str
) -> None:
    server, second = servers
    lie = honest(relay.origin, 5 * MEBIBYTE)
    offer = send(mallory, lie.offer.encode())
    serve(server, lie, relay.origin, is_held=True)
    serve(second, replace(lie, served=os.urandom(len(lie.served))), relay.origin, is_held=True)
    bob.accept("Mallory", offer)
    bob.until("Mallory", offer, lambda found: found["peers"] == 2)
    second.evaluate("release()")
    if first == "garbage":
        assert second.evaluate(LEFT) > 0
    server.evaluate("release()")
    assert bob.until("Mallory", offer, lambda found: found["state"] in {"done", "failed"})["state"] == "done"
    assert list(bob.saved(offer)) == ["note"]


@pytest.mark.parametrize("wrong", ["name", "piece length", "length", "private"])
def test_another_torrent_than_is_made_of_files(
    bob: Sharer, mallory: Peer, server: Page, relay: RelayProcess, wrong: str
) -> None:
    lie = honest(relay.origin)
    served = lie.served + bytes(PIECE) if wrong == "length" else lie.served
    info = info_of(len(served), hashes_of(served))
    if wrong == "name":
        info = info.replace(b"7:halonyx", b"4:evil")
    elif wrong == "private":
        info = info[:-1] + b"7:privatei1ee"
    elif wrong == "piece length":
        small = hashes_of(served, PIECE // 4)
        info = info_of(len(served), small).replace(b"i1048576e", b"i262144e")
    end = ends(bob, mallory, server, serving(lie, served, info))
    assert (end["state"], end["reason"]) == ("failed", "wrong-metadata")
    bob.until_stored(lambda found: found == {})


@pytest.mark.parametrize("inside", ["nothing", "another key", "another name", "another size", "more files"])
def test_what_opens_to_something_else(
    bob: Sharer, mallory: Peer, server: Page, relay: RelayProcess, inside: str
) -> None:
    lie = honest(relay.origin)
    served = {
        "nothing": os.urandom(len(lie.served)),
        "another key": encrypted(FileKey(os.urandom(32)), ("note", bytes(1000))),
        "another name": encrypted(lie.offer.key, ("evil", bytes(1000))),
        "another size": encrypted(lie.offer.key, ("note", bytes(999))),
        "more files": encrypted(lie.offer.key, ("note", bytes(500)), ("else", bytes(500))),
    }[inside]
    assert len(served) == len(lie.served)
    right_hash = replace(lie.offer, ciphertext_hash=hashlib.sha256(served).digest())
    end = ends(bob, mallory, server, serving(replace(lie, offer=right_hash), served))
    assert end["state"] == "done"
    assert "damaged" in refused(bob, end["id"])
    assert bob.until_state("Mallory", end["id"], "failed")["reason"] == "damaged"
    bob.until_stored(lambda found: not any(path.startswith("halonyx-transfers") for path in found))


def test_a_name_with_path_parts_is_no_offer(victim: Sharer, relay: RelayProcess, tmp_path: Path) -> None:
    """All of them before one text, which is held for a while, as behind any gap."""
    with peer(tmp_path / "trudy", relay.origin) as trudy:  # who has gaps from now on
        acquaint(victim.person, "Bob", trudy, "Trudy")
        offers = []
        for name in (b"../e", b"a/bc", b"a\\bc", b"a\x00bc"):
            body = honest(relay.origin).offer.encode().replace(b"\x00\x04note", b"\x00\x04" + name)
            assert name in body
            offers.append(send(trudy, body))
        trudy.write("Bob", ["afterwards"])
        victim.person.sees("afterwards")
        assert [victim.transfer("Trudy", offer) for offer in offers] == [None] * 4


def test_an_offer_at_a_relay_of_neither_is_said_so(bob: Sharer, mallory: Peer) -> None:
    offer = send(mallory, honest("https://elsewhere.example").offer.encode())
    bob.accept("Mallory", offer)
    bob.until("Mallory", offer, lambda found: found["reason"] == "strange-relay")


def test_sizes_are_what_they_must_be() -> None:
    lie = honest("http://localhost:1")
    assert lie.offer.ciphertext_size == ciphertext_size(Manifest((FileEntry("note", 1000),)).padded_size)
