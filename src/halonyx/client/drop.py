"""The drop: the same ciphertext in a relay's blob store, for people who are never online together.

Both directions go on where they stopped. Source: spec/file-relay.md, "Drop".
"""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Final

import aiohttp
from pydantic import ValidationError

from halonyx.client.account import Account
from halonyx.client.preparing import open_private
from halonyx.client.transport import CONNECT_SECONDS, Refused, Relay, refusal, refuse_redirects
from halonyx.core.errors import TransportError
from halonyx.core.file_offer import FileOffer
from halonyx.core.kdf import drop_deletion_key, drop_id
from halonyx.core.primitives import sha256
from halonyx.wire.rest import Done
from halonyx.wire.rest_files import (
    MAX_DROP_PART,
    UPLOAD_HEADER,
    DropDeleteRequest,
    DropOpened,
    DropProgress,
    DropRequest,
)

SILENCE_SECONDS: Final = 30  # without a byte, the connection counts as lost
READ_SIZE: Final = 256 * 1024
MAX_ERROR_SIZE: Final = 64 * 1024


class DropGone(Refused):
    """The relay has no such file: it was deleted, or it is not complete yet."""

    def __init__(self) -> None:
        super().__init__("drop-unknown", "the relay does not have this file")


async def upload(account: Account, offer: FileOffer, ciphertext: Path, note: Callable[[int], None]) -> None:
    """Put a ciphertext into the drop of our relay, from where an earlier try stopped.

    Args:
        note: Called with the bytes that the relay has on disk.

    Raises:
        Refused: The relay keeps no files, has no room, or forgot this one.
        TransportError: It can't be reached, or is busy.
    """
    drop = drop_id(offer.key)
    request = DropRequest(
        address=account.address,
        device=account.own.device.id,
        drop=drop,
        size=offer.ciphertext_size,
        delete_hash=sha256(drop_deletion_key(offer.key)),
    )
    async with Relay(offer.origin) as relay:
        opened = await relay.call("POST", "/v1/drop", request, DropOpened, account.signer)
    offset = opened.offset
    url = f"{offer.origin}/v1/drop/{drop.hex()}"
    async with _session() as session:
        while offset < offer.ciphertext_size:
            note(offset)
            part = await asyncio.to_thread(_read, ciphertext, offset)
            headers = {UPLOAD_HEADER: opened.upload, "Content-Type": "application/octet-stream"}
            async with session.put(f"{url}?offset={offset}", data=io.BytesIO(part), headers=headers) as answer:
                offset = await _progress(answer, offset + len(part))
    note(offset)


async def download(offer: FileOffer, ciphertext: Path, note: Callable[[int], None]) -> None:
    """Fetch a ciphertext from the drop, from where an earlier try stopped. What came is not verified yet.

    Args:
        ciphertext: Grows as the bytes come.
        note: Called with the bytes that are here.

    Raises:
        DropGone: The relay does not have it, or not all of it.
        TransportError: It can't be reached, or the connection was lost.
        OSError: The disk is full.
    """
    url = f"{offer.origin}/v1/drop/{drop_id(offer.key).hex()}"
    with open(ciphertext, "ab", opener=open_private) as file:  # noqa: ASYNC230 (opening is quick; writing is not done here)
        file.truncate(min(file.tell(), offer.ciphertext_size))
        offset = file.seek(0, 2)
        note(offset)
        if offset == offer.ciphertext_size:
            return
        async with _session() as session, session.get(url, headers={"Range": f"bytes={offset}-"}) as answer:
            await _check_found(answer, offset)
            async for block in answer.content.iter_chunked(READ_SIZE):
                if offset + len(block) > offer.ciphertext_size:
                    raise TransportError(f"{offer.origin} does not keep to the protocol")
                await asyncio.to_thread(file.write, block)
                offset += len(block)
                note(offset)
    if offset < offer.ciphertext_size:
        raise TransportError(f"the connection to {offer.origin} was lost")


async def delete(offer: FileOffer) -> None:
    """Ask the relay to forget a ciphertext (raises TransportError; one that it does not have is as good as deleted)."""
    request = DropDeleteRequest(drop=drop_id(offer.key), key=drop_deletion_key(offer.key))
    async with Relay(offer.origin) as relay:
        try:
            await relay.call("POST", "/v1/drop/delete", request, Done)
        except Refused:
            return


@asynccontextmanager
async def _session() -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS)
    try:
        async with aiohttp.ClientSession(
            timeout=timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            middlewares=(refuse_redirects,),
        ) as session:
            yield session
    except (aiohttp.ClientError, TimeoutError, ConnectionError, UnicodeError):  # the last: a label of more than 63
        raise TransportError("can't reach the relay that keeps the file") from None


async def _progress(answer: aiohttp.ClientResponse, expected: int) -> int:
    text = await answer.content.read(MAX_ERROR_SIZE)
    if not answer.ok:
        raise refusal(text, answer.status)
    try:
        offset = DropProgress.model_validate_json(text).offset
    except ValidationError:
        raise TransportError("the relay does not answer like a Halonyx relay") from None
    if offset != expected:
        raise TransportError("the relay took another part than was sent")
    return offset


async def _check_found(answer: aiohttp.ClientResponse, offset: int) -> None:
    if answer.status == HTTPStatus.NOT_FOUND:
        raise DropGone
    if not answer.ok:
        raise refusal(await answer.content.read(MAX_ERROR_SIZE), answer.status)
    if offset and answer.status != HTTPStatus.PARTIAL_CONTENT:
        raise TransportError("the relay began at another place than was asked for")


def _read(path: Path, offset: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(MAX_DROP_PART)
