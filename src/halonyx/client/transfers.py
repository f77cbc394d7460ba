"""Files, as callers see them: offered, accepted, paused, cancelled; and the context in which they move.

Source: spec/files.md; spec/delivery.md, "What a person sees".
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from halonyx.client import preparing, running, saving, transfer_states
from halonyx.client.account import load_account
from halonyx.client.beside import beside
from halonyx.client.locks import TRANSFERS_LOCK, try_lock
from halonyx.client.model import Transfer
from halonyx.client.pauses import next_pause
from halonyx.client.people import contact_by_name
from halonyx.client.running import Runner
from halonyx.client.store import Store
from halonyx.client.transfer_rows import TransferRow, all_transfers, transfer_by_id, transfer_by_prefix
from halonyx.client.transfer_states import NewOffer
from halonyx.client.transport import Refused, Relay
from halonyx.core.errors import Misuse, StoreError, TransportError
from halonyx.core.file_offer import MAX_THUMBNAIL_SIZE
from halonyx.core.types import MessageId

LOCK_POLL_SECONDS: Final = 1.0
PATIENCE_SECONDS: Final = 8.0  # after a longer pause the store's trouble is no passing one
DOWNLOADS: Final = "Downloads"


class Files:
    """The transfers of one account.

    Args:
        flush: Sends what a change queued.
    """

    def __init__(self, store: Store, home: Path, flush: Callable[[], Awaitable[None]]) -> None:
        self._store, self._home, self._flush = store, home, flush

    async def offer(self, name: str, paths: Sequence[Path], *, drop: bool = False, thumbnail: bytes = b"") -> Transfer:
        """Encrypt files and offer them to a contact. It is durable when this returns.

        Args:
            paths: One file, or one folder, or several of them, which become one folder.
            drop: Put the ciphertext into the relay's drop, too, so that the two need not be online together.
            thumbnail: JPEG or WebP, at most 16,384 bytes; if it is empty, one is made of a single picture.

        Returns:
            The transfer, `offered`; cut off before, it is `preparing` and `run` makes it ready.

        Raises:
            Misuse: No contact of this name, a blocked one, nothing to read, or a file that changed meanwhile.
            Refused: `no-drop`: our relay keeps no files. One that can't be reached now is asked later.
            DiskFull: No room for the encrypted copy.
        """
        contact = contact_by_name(self._store, name)
        if len(thumbnail) > MAX_THUMBNAIL_SIZE:
            raise Misuse(f"a thumbnail has at most {MAX_THUMBNAIL_SIZE} bytes")
        sources = await asyncio.to_thread(preparing.scan, paths)
        if drop:
            await self._check_drop()
        new = NewOffer(sources.name, thumbnail, drop)
        row = transfer_states.add_outgoing(self._store, contact, paths, new)
        with suppress(preparing.Stopped):  # cancelled by another process
            await running.prepare(self._store, self._home, row)
        await self._flush()
        return self.get(row.message_id)

    def list(self) -> Sequence[Transfer]:
        """Return every transfer, oldest first."""
        return [row.public() for row in all_transfers(self._store)]

    def get(self, transfer: MessageId | str) -> Transfer:
        """Return one transfer.

        Args:
            transfer: Its id, or the first four or more hexadecimal digits of it.

        Raises:
            Misuse: There is none, or several.
        """
        return self._row(transfer).public()

    async def accept(self, transfer: MessageId | str, folder: Path | None = None) -> Transfer:
        """Take what a contact offers; `run` then fetches it.

        Args:
            folder: Where to save. By default Downloads in the person's home folder, else the working folder.

        Raises:
            Misuse: No offer that waits for our decision, or no such folder.
            DiskFull: No room for it.
        """
        row, target = self._row(transfer), folder or default_folder()
        if not target.is_dir():
            raise Misuse(f"there is no folder {target}: make it first, or name another")
        if row.encoded is not None:
            place = running.folder_of(self._home, row.id)
            for where, size in saving.room_needed(place / "halonyx", target, row.offer):
                saving.check_room(where, size)
        transfer_states.accept(self._store, row.id, target)
        return await self._changed(row)

    async def refuse(self, transfer: MessageId | str) -> Transfer:
        """Decline what a contact offers, and tell them (raises Misuse)."""
        row = self._row(transfer)
        transfer_states.refuse(self._store, row.id)
        return await self._changed(row)

    async def pause(self, transfer: MessageId | str) -> Transfer:
        """Stop for now, here; what came is kept (raises Misuse)."""
        row = self._row(transfer)
        transfer_states.set_paused(self._store, row.id, is_paused=True)
        return await self._changed(row)

    async def resume(self, transfer: MessageId | str, *, drop: bool = False) -> Transfer:
        """Go on.

        Args:
            drop: Put the ciphertext into the relay's drop, too.

        Raises:
            Misuse: It is over, or not ours to put there.
            Refused: `no-drop`: our relay keeps no files.
        """
        row = self._row(transfer)
        if drop and row.is_outgoing:
            await self._check_drop()
        transfer_states.set_paused(self._store, row.id, is_paused=False, drop=drop)
        return await self._changed(row)

    async def retry(self, transfer: MessageId | str) -> Transfer:
        """Try again what failed on either side, or let go on what waits.

        Raises:
            Misuse: It is over, or nothing of it is left to be tried.
        """
        row = self._row(transfer)
        if row.is_active:
            return await self.resume(row.message_id)
        transfer_states.retry(self._store, row.id)
        return await self._changed(row)

    async def cancel(self, transfer: MessageId | str) -> Transfer:
        """End a transfer on both sides; what came of it is deleted (raises Misuse)."""
        row = self._row(transfer)
        transfer_states.cancel(self._store, row.id)
        return await self._changed(row)

    def mark_seen(self, transfer: MessageId | str) -> None:
        """Note that the person saw what became of a transfer, so that no event tells it again (raises Misuse)."""
        transfer_states.note_told(self._store, self._row(transfer).id)

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Let transfers move until the end of the context, here or in another process that does it already.

        Offers, answers and cancellations come and go by `Client.online` or `Client.events` beside this.

        Raises:
            StoreError: Nothing can be stored, and that does not pass; it ends the body of the context.
        """
        async with beside(self._run()):
            yield

    async def _run(self) -> None:
        pause = None
        while True:
            wait = LOCK_POLL_SECONDS
            try:
                with try_lock(self._home / TRANSFERS_LOCK) as held:
                    if held:
                        await Runner(self._store, self._home).run()
            except StoreError:  # another process holds the store too long, or the disk is full
                pause = next_pause(pause, time.monotonic())
                wait = pause.seconds
                if wait > PATIENCE_SECONDS:
                    raise
            await asyncio.sleep(wait)

    async def _check_drop(self) -> None:
        origin = load_account(self._store).origin
        with suppress(TransportError):  # the upload finds out
            async with Relay(origin) as relay:
                if not (await relay.info()).files.drop:
                    raise Refused("no-drop", "your relay keeps no files: without the drop it goes when both are online")

    async def _changed(self, row: TransferRow) -> Transfer:
        with try_lock(self._home / TRANSFERS_LOCK) as held:
            if held:  # else whoever runs the transfers does it
                await asyncio.to_thread(running.sweep, running.leftovers(self._store, self._home))
        await self._flush()
        return transfer_by_id(self._store, row.id).public()

    def _row(self, transfer: MessageId | str) -> TransferRow:
        return transfer_by_prefix(self._store, transfer if isinstance(transfer, str) else transfer.hex())


def default_folder() -> Path:
    """Return Downloads in the person's home folder if there is one, else the working folder."""
    downloads = Path.home() / DOWNLOADS
    return downloads if downloads.is_dir() else Path.cwd()
