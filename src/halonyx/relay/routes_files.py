"""Calls about files: credentials for the operator's TURN server, and the drop.

Source: spec/file-relay.md.
"""

import asyncio
import os
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated, Final, TypeVar

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from halonyx.core.types import Address
from halonyx.relay import turn
from halonyx.relay.context import RelayContext
from halonyx.relay.guard import client_host
from halonyx.relay.refusals import Refused
from halonyx.relay.services import Here, refusals, reply
from halonyx.relay.store.drops import DropStore, Outcome
from halonyx.wire.rest import Done, ErrorCode
from halonyx.wire.rest_fields import MAX_SAFE_INTEGER
from halonyx.wire.rest_files import (
    UPLOAD_HEADER,
    DropDeleteRequest,
    DropOpened,
    DropProgress,
    DropRequest,
    TurnCredentials,
    TurnRequest,
)

router: Final = APIRouter(prefix="/v1", redirect_slashes=False)
CHUNK: Final = 64 * 1024  # whoever reads slowly holds about two in memory
UPLOADS_PER_MAILBOX: Final = 4
DOWNLOADS_PER_CLIENT: Final = 16
_BODY: Final[tuple[ErrorCode, ...]] = ("too-large", "unsupported-content", "too-slow")
_SIGNED: Final[tuple[ErrorCode, ...]] = ("not-authenticated", "wrong-origin", *_BODY)
_BLOB: Final = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_TOKEN: Final = re.compile(r"[0-9a-f]{32}")
_RANGE: Final = re.compile(r"bytes=(?:([0-9]{1,16})-([0-9]{0,16})|-([0-9]{1,16}))")
_REASONS: Final[dict[Outcome, ErrorCode]] = {
    Outcome.GONE: "not-authenticated",
    Outcome.UNKNOWN: "drop-unknown",
    Outcome.CONFLICT: "drop-conflict",
    Outcome.FULL: "drop-full",
}

DropHex = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$", description="drop id in hex")]
Key = TypeVar("Key", int, str)
Offset = Annotated[int, Query(ge=0, le=MAX_SAFE_INTEGER, description="where the part belongs")]


@router.post("/turn", tags=["signed"], response_model=TurnCredentials, responses=refusals(*_SIGNED, "no-turn"))
async def turn_credentials(call: TurnRequest, request: Request, here: Here) -> Response:
    """Give out credentials for the operator's TURN server, which name nobody and soon expire."""
    await here.by_login_key(request, Address(call.address), call.device)
    settings = here.context.settings
    try:
        secret = settings.turn_key()
    except ValueError:  # the file was there at the start
        raise Refused("busy") from None
    if secret is None:
        raise Refused("no-turn")
    return reply(turn.issue(secret, settings.turn_urls, here.context.clock(), settings.turn_seconds))


@router.post(
    "/drop",
    tags=["signed"],
    response_model=DropOpened,
    responses=refusals(*_SIGNED, "no-drop", "drop-conflict", "drop-full"),
)
async def open_drop(call: DropRequest, request: Request, here: Here) -> Response:
    """Make room for an encrypted file, or say how much of it is there; the new token ends the ones before it."""
    address, context = Address(call.address), here.context
    await here.by_login_key(request, address, call.device)
    drops = _drops(context)
    opened = await drops.open(call, context.clock())
    if isinstance(opened, Outcome):
        raise Refused(_REASONS[opened])
    offset, token = opened
    return reply(DropOpened(offset=offset, upload=token))


@router.post(
    "/drop/delete", tags=["anonymous"], response_model=Done, responses=refusals(*_BODY, "no-drop", "drop-unknown")
)
async def delete_drop(call: DropDeleteRequest, here: Here) -> Response:
    """Delete an encrypted file, for whoever shows its deletion key."""
    if not await _drops(here.context).delete(call.drop, call.key):
        raise Refused("drop-unknown")
    return reply(Done())


@router.put(
    "/drop/{drop}",
    tags=["upload"],
    response_model=DropProgress,
    responses=refusals(*_BODY, "no-drop", "drop-unknown", "drop-conflict"),
    openapi_extra={
        "requestBody": {"content": _BLOB, "required": True},
        "parameters": [{"name": UPLOAD_HEADER, "in": "header", "required": True, "schema": {"type": "string"}}],
    },
)
async def put_part(drop: DropHex, offset: Offset, request: Request, here: Here) -> Response:
    """Take the next part of an encrypted file, at most 4 MiB; it is on disk before the answer leaves."""
    drops, token = _drops(here.context), request.headers.get(UPLOAD_HEADER, "")
    row = drops.may_upload(bytes.fromhex(drop), token) if _TOKEN.fullmatch(token) else None
    if row is None:  # before the body: a stranger's is not read
        raise Refused("drop-unknown")
    settings = here.context.settings
    with _place(here.uploads, row.mailbox, settings.drop_uploads, UPLOADS_PER_MAILBOX):
        part = await _read(request, settings.drop_body_seconds)
        if not part:
            raise Refused("malformed")
        reached = await drops.append(row, offset, part)
    if isinstance(reached, Outcome):
        raise Refused(_REASONS[reached])
    return reply(DropProgress(offset=reached))


@router.get(
    "/drop/{drop}",
    tags=["anonymous"],
    response_class=Response,
    responses={
        200: {"description": "The file", "content": _BLOB},
        206: {"description": "The range asked for", "content": _BLOB},
        **refusals("no-drop", "drop-unknown", "bad-range"),
    },
)
async def get_drop(drop: DropHex, request: Request, here: Here) -> Response:
    """Give out an encrypted file once all of it is there: whole, or one range of it."""
    drops = _drops(here.context)
    found = drops.complete(bytes.fromhex(drop), here.context.clock())
    if found is None:
        raise Refused("drop-unknown")
    path, size = found
    span = _range(request.headers.getlist("range"), size)
    start, end = span or (0, size)
    headers = {
        "Content-Type": "application/octet-stream",
        "Content-Length": str(end - start),
        "Content-Disposition": "attachment",
        "Accept-Ranges": "bytes",
    }
    if span is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    client = here.context.limiter.client(client_host(request.scope, behind_proxy=here.context.settings.behind_proxy))
    with ExitStack() as held:
        most = here.context.settings.drop_downloads
        held.enter_context(_place(here.downloads, client, most, DOWNLOADS_PER_CLIENT))
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:  # deleted between the row and here
            raise Refused("drop-unknown") from None
        held.callback(os.close, descriptor)
        chunks = _chunks(drops, descriptor, start, end)
        return _Download(chunks, 206 if span else 200, headers, held.pop_all())


class _Download(StreamingResponse):
    """Streams part of a file and lets go of what it holds whatever happens, also if nothing was ever read."""

    def __init__(self, chunks: AsyncIterator[bytes], status: int, headers: dict[str, str], held: ExitStack) -> None:
        super().__init__(chunks, status_code=status, headers=headers)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._held:
            await super().__call__(scope, receive, send)


async def _chunks(drops: DropStore, descriptor: int, start: int, end: int) -> AsyncIterator[bytes]:
    while start < end:
        chunk = await asyncio.to_thread(os.pread, descriptor, min(CHUNK, end - start), start)
        if not chunk:
            raise OSError("the file is shorter than its row says")
        start += len(chunk)
        drops.given_bytes += len(chunk)
        yield chunk


def _drops(context: RelayContext) -> DropStore:
    if not context.settings.drop_quota:
        raise Refused("no-drop")
    return context.drops


@contextmanager
def _place(places: Counter[Key], key: Key, total: int, each: int) -> Iterator[None]:
    """Count what goes on at the same time, of all and of one mailbox or client: it holds memory.

    Raises:
        Refused: busy, at a bound.
    """
    if places.total() >= total or places[key] >= each:
        raise Refused("busy", 1)
    places[key] += 1
    try:
        yield
    finally:
        places[key] -= 1
        if not places[key]:
            del places[key]


async def _read(request: Request, seconds: float) -> bytes:
    try:
        async with asyncio.timeout(seconds):
            return await request.body()
    except TimeoutError:
        raise Refused("too-slow") from None
    except ClientDisconnect:  # nobody hears this
        raise Refused("malformed") from None


def _range(values: list[str], size: int) -> tuple[int, int] | None:
    """Return start and end of the one range that is asked for; None for the whole file.

    Raises:
        Refused: bad-range, if no byte of the file is in it.

    Source: RFC 9110 section 14.2: what is no range we know is ignored.
    """
    found = _RANGE.fullmatch(values[0].strip()) if len(values) == 1 else None
    if found is None:
        return None
    first, last, suffix = found.groups()
    if suffix is not None:
        start, end = max(0, size - int(suffix)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return None
    if start >= end:
        raise Refused("bad-range")
    return start, end
