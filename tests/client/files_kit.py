"""Two people who send each other files over the real relay and real WebRTC, on this machine's own addresses."""

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from client.homes import HANGING_SECONDS, Pair, drain
from halonyx.client import Client, Transfer, running, transfer_states
from halonyx.client.home import TRANSFERS
from halonyx.client.people import contact_by_name
from halonyx.client.preparing import INFO
from halonyx.client.torrent import NAME, PIECE_SIZE, info_of
from halonyx.client.transfer_rows import TransferRow, all_transfers
from halonyx.client.transfer_states import NewOffer
from halonyx.core.chunked import Encryptor
from halonyx.core.container import FileEntry, Manifest
from halonyx.core.file_offer import FileOffer
from halonyx.core.types import FileKey, MessageId

LOOK_SECONDS: Final = 0.02


def agree(pair: Pair) -> None:
    """Let each see the other's IP address."""
    pair.alice.contacts.allow_direct("bob")
    pair.bob.contacts.allow_direct("alice")


@asynccontextmanager
async def running_files(*clients: Client) -> AsyncIterator[None]:
    """Keep people online and their transfers moving."""
    async with AsyncExitStack() as stack:
        for client in clients:
            await stack.enter_async_context(client.online())
            await stack.enter_async_context(client.files.run())
        yield


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so; fails only when it never becomes so."""
    async with asyncio.timeout(HANGING_SECONDS):
        while not is_so():  # noqa: ASYNC110 (what happens in other threads and processes tells nobody)
            await asyncio.sleep(LOOK_SECONDS)


async def reached(client: Client, transfer: MessageId, *states: str) -> Transfer:
    """Wait until a transfer is in one of some states."""
    await until(lambda: client.files.get(transfer).state in states)
    return client.files.get(transfer)


async def offered(pair: Pair, path: Path, *, drop: bool = False) -> Transfer:
    """Let Alice offer a file or folder, and Bob hear of it; return it as he sees it."""
    made = await pair.alice.files.offer("bob", [path], drop=drop)
    await drain(pair.bob)
    return pair.bob.files.get(made.id)


def row_of(client: Client) -> TransferRow:
    """Return the newest transfer as stored."""
    return all_transfers(client._store)[-1]


def folders(client: Client) -> list[Path]:
    """Return the folders of transfers that are kept on disk."""
    return sorted((client._home / TRANSFERS).glob("*"))


def some_file(folder: Path, size: int, name: str = "report.pdf") -> Path:
    """Make a file of random bytes."""
    path = folder / name
    path.write_bytes(os.urandom(size))
    return path


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def new_folder(path: Path) -> Path:
    path.mkdir()
    return path


def container(entries: list[tuple[str, bytes]]) -> bytes:
    """Return an honest container."""
    manifest = Manifest(tuple(FileEntry(name, len(content)) for name, content in entries))
    held = manifest.encode() + b"".join(content for _, content in entries)
    return held.ljust(manifest.padded_size, b"\x00")


async def forge(pair: Pair, plaintext: bytes, info: bytes | None = None, **changes: Any) -> MessageId:  # noqa: ANN401 (fields of an offer)
    """Let Alice's program offer what an honest one would not.

    Args:
        plaintext: The container, as it is.
        info: Another info dictionary than the right one.
        changes: Fields of the offer that are not what they should be.
    """
    alice = pair.alice
    contact = contact_by_name(alice._store, "bob")
    row = transfer_states.add_outgoing(alice._store, contact, [], NewOffer("report.pdf", b"", drop=False))
    key = FileKey(secrets.token_bytes(32))
    encryptor = Encryptor(key, secrets.token_bytes(24))
    ciphertext = encryptor.header + encryptor.update(plaintext) + encryptor.finish()
    pieces = [ciphertext[at : at + PIECE_SIZE] for at in range(0, len(ciphertext), PIECE_SIZE)]
    hashes = b"".join(hashlib.sha1(piece, usedforsecurity=False).digest() for piece in pieces)
    info = info or info_of(len(ciphertext), hashes)
    folder = running.folder_of(alice._home, row.id)
    (folder / NAME).write_bytes(ciphertext)
    (folder / INFO).write_bytes(info)
    honest = FileOffer(
        is_folder=False,
        in_drop=False,
        key=key,
        size=100,
        count=1,
        ciphertext_size=len(ciphertext),
        ciphertext_hash=hashlib.sha256(ciphertext).digest(),
        info_hash=hashlib.sha1(info, usedforsecurity=False).digest(),
        origin=alice.account.origin,
        name="report.pdf",
        media_type="",
        thumbnail=b"",
    )
    transfer_states.note_prepared(alice._store, row.id, replace(honest, **changes))
    await alice.flush()
    await drain(pair.bob)
    return row.message_id
