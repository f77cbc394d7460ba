"""Carrying transfers: one process of a home does what the rows of its transfers call for, and again after any end.

Every job can be cut off at any moment: what it needs lies in the store and in the transfer's folder.

Source: spec/files.md, "Receiving".
"""

import asyncio
import errno
import os
import threading
import time
from collections.abc import Callable, Collection, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from halonyx.client import drop, drop_states, preparing, saving, transfer_states, transfer_talk
from halonyx.client.account import load_account, now_ms
from halonyx.client.home import TRANSFERS
from halonyx.client.locks import try_lock
from halonyx.client.pauses import Pause, next_pause
from halonyx.client.people import contact_by_id
from halonyx.client.preparing import INFO, Stopped, Watch
from halonyx.client.store import Store
from halonyx.client.torrent import NAME, Torrent, WrongMetadata, tracker_url
from halonyx.client.transfer_rows import TransferGone, TransferRow, all_transfers, transfer_by_id
from halonyx.client.transport import Refused
from halonyx.core.errors import Misuse, TransportError
from halonyx.core.kdf import tracker_token
from halonyx.core.origin import reaches_this_machine

TICK_SECONDS: Final = 0.1  # while anything moves
IDLE_SECONDS: Final = 0.5  # between two looks at what other processes changed
WRITE_SECONDS: Final = 1.0  # between two notes of progress
BANNED_SECONDS: Final = 10.0
LONGEST_PAUSES: Final = {"delete-drop": 3600.0}  # nobody waits for it, and the drop forgets by itself
FROM_DROP: Final = "drop"  # the ciphertext as it comes from there, until it is complete
LOCK: Final = "lock"
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Work = Literal["prepare", "share", "upload", "fetch", "fetch-drop", "save", "delete-drop"]
T = TypeVar("T")


def folder_of(home: Path, transfer: int) -> Path:
    """Return a transfer's folder, made if it is not there."""
    folder = home / TRANSFERS / str(transfer)
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def leftovers(store: Store, home: Path, busy: Collection[int] = ()) -> list[Path]:
    """Return what lies on the disk of transfers that are over, or gone; half-written plaintext, too.

    Args:
        busy: Transfers for which something is still being done.
    """
    # Before the rows: whoever begins to prepare in this moment has a row before a folder.
    folders = sorted((home / TRANSFERS).glob("*"))
    rows = {str(row.id): row for row in all_transfers(store)}
    found: list[Path] = []
    for folder in folders:
        row = rows.get(folder.name)
        if row is not None and (row.is_kept or row.id in busy):
            continue
        if row is not None and row.folder is not None:
            found.append(saving.temporary_for(row.folder, row.message_id))
        found.append(folder)
    return found


def sweep(paths: Sequence[Path]) -> None:
    """Delete what `leftovers` found; only whoever holds TRANSFERS_LOCK may."""
    for path in paths:
        with suppress(OSError):  # what can't be deleted now is with the next sweep, or when the person can
            saving.remove(path)


async def prepare(store: Store, home: Path, row: TransferRow) -> None:
    """Encrypt what is to be offered and queue the offer; whatever ends this, a later call begins anew.

    Raises:
        Misuse: A file is gone or changed: the transfer has failed.
        DiskFull: No room for the encrypted copy: it is paused.
        OSError: The disk fails otherwise.
    """
    folder, origin = folder_of(home, row.id), load_account(store).origin
    with try_lock(folder / LOCK) as held:
        if not held:
            return  # another process is at it
        try:
            sources = await asyncio.to_thread(preparing.scan, row.sources)
            saving.check_room(folder, sources.manifest.padded_size)
            offer = await watched(
                lambda watch: preparing.prepare(sources, folder, origin, row.thumbnail, watch),
                lambda done: transfer_states.note_done(store, row.id, done),
                lambda: transfer_by_id(store, row.id).state == "preparing",
            )
        except (saving.DiskFull, OSError) as error:
            if isinstance(error, OSError) and error.errno not in _FULL:
                raise
            transfer_states.halt(store, row.id, "disk-full")
            raise saving.DiskFull(f"no room for the encrypted copy in {folder}") from None
        except Misuse as error:
            transfer_states.fail(store, row.id, error.code)
            raise
        transfer_states.note_prepared(store, row.id, offer)


async def watched(
    work: Callable[[Watch], T], note: Callable[[int], None], is_wanted: Callable[[], bool] = lambda: True
) -> T:
    """Do long work in a thread, noting how far it is; ending this ends the work.

    Raises:
        Stopped: It is not wanted any more.
    """
    stopped, reached = threading.Event(), [0]
    thread = asyncio.create_task(
        asyncio.to_thread(work, Watch(stopped.is_set, lambda done: reached.__setitem__(0, done)))
    )
    try:
        while not thread.done():
            await asyncio.wait([thread], timeout=WRITE_SECONDS)
            note(reached[0])
            if not is_wanted():
                stopped.set()
        return thread.result()
    finally:
        stopped.set()
        if not thread.done():
            await asyncio.wait([thread])
            thread.exception()  # read, so that nobody complains


class Runner:
    """Runs the transfers of one home; only one process does."""

    def __init__(self, store: Store, home: Path) -> None:
        self._store, self._home = store, home
        self._jobs: dict[tuple[int, Work], asyncio.Task[None]] = {}
        self._pauses: dict[tuple[int, Work], Pause] = {}
        self._kept: set[int] | None = None

    async def run(self) -> None:
        """Do what the rows call for, until cancelled (raises StoreError)."""
        try:
            while True:
                is_moving = await self._step()
                await asyncio.sleep(TICK_SECONDS if is_moving else IDLE_SECONDS)
        finally:
            await self._end(list(self._jobs))
            await asyncio.to_thread(sweep, leftovers(self._store, self._home))

    async def _step(self) -> bool:
        """Begin and end jobs as the rows say; tell whether anything can still move."""
        rows = all_transfers(self._store)
        wanted = {(row.id, work) for row in rows for work in self._wanted(row)}
        for job in [job for job, task in self._jobs.items() if task.done()]:
            self._jobs.pop(job).result()  # a fault of ours ends the run
            self._pauses[job] = next_pause(self._pauses.get(job), time.monotonic(), LONGEST_PAUSES.get(job[1]))
        for job in self._pauses.keys() - wanted:
            del self._pauses[job]
        unwanted = [job for job in self._jobs if job not in wanted]
        await self._end(unwanted)
        for job in wanted - self._jobs.keys():
            pause = self._pauses.get(job)
            if pause is None or pause.until <= time.monotonic():
                self._jobs[job] = asyncio.create_task(self._carry_out(*job))
        busy = {transfer for transfer, _ in self._jobs}
        kept = {row.id for row in rows if row.is_kept} | busy
        if kept != self._kept:
            await asyncio.to_thread(sweep, leftovers(self._store, self._home, busy))
            self._kept = kept
        return any(row.is_active and not row.is_paused for row in rows)

    async def _end(self, jobs: list[tuple[int, Work]]) -> None:
        tasks = [self._jobs.pop(job) for job in jobs]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _wanted(self, row: TransferRow) -> list[Work]:
        """Return what is to be done for a transfer now."""
        if not row.is_active:
            if row.is_kept:
                return []
            is_ours_to_delete = row.is_outgoing or row.state == "done"
            may_be_there = row.in_drop or (row.wants_drop and row.encoded is not None)
            return ["delete-drop"] if is_ours_to_delete and may_be_there else []
        if row.is_paused:
            return []
        if row.direct_allowed and row.reason in transfer_talk.OURS_TO_AGREE:
            transfer_talk.note_agreed(self._store, row.id)
        if transfer_talk.is_to_be_told(row, now_ms()):
            transfer_talk.tell_again(self._store, row.id)
        return self._wanted_to_give(row) if row.is_outgoing else self._wanted_to_take(row)

    def _wanted_to_give(self, row: TransferRow) -> list[Work]:
        if row.state == "preparing":
            return ["prepare"]
        work: list[Work] = ["upload"] if row.wants_drop and not row.in_drop else []
        if row.state in ("waiting", "transferring"):
            if row.direct_allowed:
                work.append("share")
            elif not row.wants_drop:
                transfer_talk.note_needs_direct(self._store, row.id)
        return work

    def _wanted_to_take(self, row: TransferRow) -> list[Work]:
        if row.state == "offered":
            return []
        if row.state == "verifying":
            return ["save"]
        is_moving = row.peers > 0 and row.path == "direct"
        if row.in_drop and not (is_moving and row.direct_allowed):
            return ["fetch-drop"]
        if row.direct_allowed:
            return ["fetch"]
        transfer_talk.note_needs_direct(self._store, row.id)
        return []

    async def _carry_out(self, transfer: int, work: Work) -> None:
        """Do one thing for one transfer; whatever stands in its way is noted, and it is tried again later."""
        with suppress(TransferGone):  # removed together with its contact, whatever else went wrong
            await self._carry(transfer_by_id(self._store, transfer), work)

    async def _carry(self, row: TransferRow, work: Work) -> None:
        steps: dict[Work, Callable[[TransferRow], Coroutine[Any, Any, None]]] = {
            "prepare": self._prepare,
            "share": self._share,
            "upload": self._upload,
            "fetch": self._fetch,
            "fetch-drop": self._fetch_from_drop,
            "save": self._save,
            "delete-drop": self._delete_from_drop,
        }
        try:
            await steps[work](row)
        except Stopped:
            return
        except (saving.WrongHash, saving.Damaged, WrongMetadata) as error:
            transfer_states.fail(self._store, row.id, error.code)
        except TransportError:
            transfer_states.note_waits(self._store, row.id, "relay-unreachable")
        except (saving.DiskFull, Refused) as error:
            transfer_states.halt(self._store, row.id, error.code)
        except Misuse:
            transfer_states.halt(self._store, row.id, "cant-save")
        except OSError as error:
            transfer_states.halt(self._store, row.id, "disk-full" if error.errno in _FULL else "cant-save")

    async def _prepare(self, row: TransferRow) -> None:
        with suppress(Misuse):  # noted in the row
            await prepare(self._store, self._home, row)

    async def _share(self, row: TransferRow) -> None:
        folder = folder_of(self._home, row.id)
        torrent = self._torrent(row, folder)
        try:
            torrent.seed((folder / INFO).read_bytes())
            await self._follow(row, torrent)
        finally:
            await _closed(torrent)

    async def _fetch(self, row: TransferRow) -> None:
        folder = folder_of(self._home, row.id)
        self._check_origin(row)
        self._check_room(row)
        await asyncio.to_thread(_begin, folder)
        saved = folder / INFO
        torrent = self._torrent(row, folder)
        try:
            torrent.fetch(row.offer.info_hash, saved.read_bytes() if saved.exists() else None)
            await self._follow(row, torrent)
        finally:
            await _closed(torrent)
        transfer_states.note_verifying(self._store, row.id)

    def _torrent(self, row: TransferRow, folder: Path) -> Torrent:
        offer = row.offer
        return Torrent(folder, offer.ciphertext_size, tracker_url(offer.origin, tracker_token(offer.key)))

    async def _follow(self, row: TransferRow, torrent: Torrent) -> None:
        """Note how a torrent comes along; when we fetch, until it is complete."""
        written, alone = 0.0, time.monotonic()
        while True:
            info = torrent.take_info()
            if info is not None:
                preparing.write_private(folder_of(self._home, row.id) / INFO, info)
            found = torrent.progress()
            if found.problem is not None:
                raise OSError(found.problem, "the ciphertext can't be written")
            is_complete = found.is_complete and not row.is_outgoing
            if is_complete or time.monotonic() - written >= WRITE_SECONDS:
                written = time.monotonic()
                transfer_states.note_progress(self._store, row.id, found, "direct", row.sent)
            if is_complete:
                return
            if found.peers or not found.wasted:
                alone = time.monotonic()
            elif time.monotonic() - alone >= BANNED_SECONDS:
                raise Stopped  # who sent garbage is banned with all at that address: another session asks again
            await asyncio.sleep(TICK_SECONDS)

    async def _upload(self, row: TransferRow) -> None:
        ciphertext = folder_of(self._home, row.id) / NAME
        note = drop_states.DropNotes(self._store, row.id)
        try:
            await drop.upload(load_account(self._store), row.offer, ciphertext, note.sent)
        except Refused as error:
            if error.code not in drop_states.GIVEN_UP:  # it comes and goes
                transfer_states.note_waits(self._store, row.id, "relay-unreachable")
                return
            await drop.delete(row.offer)  # first: nothing here would know of what was begun there
            drop_states.drop_refused(self._store, row.id, error.code)
        else:
            drop_states.note_in_drop(self._store, row.id)

    async def _fetch_from_drop(self, row: TransferRow) -> None:
        folder = folder_of(self._home, row.id)
        self._check_origin(row)
        self._check_room(row)
        note = drop_states.DropNotes(self._store, row.id)
        try:
            await drop.download(row.offer, folder / FROM_DROP, note.came)
        except drop.DropGone:
            drop_states.drop_is_gone(self._store, row.id)
            return
        (folder / FROM_DROP).replace(folder / NAME)
        transfer_states.note_verifying(self._store, row.id)

    async def _delete_from_drop(self, row: TransferRow) -> None:
        await drop.delete(row.offer)
        drop_states.note_drop_deleted(self._store, row.id)

    async def _save(self, row: TransferRow) -> None:
        ciphertext = folder_of(self._home, row.id) / NAME
        target = row.folder or Path.cwd()
        temporary = saving.temporary_for(target, row.message_id)
        if not await asyncio.to_thread(saving.was_put, temporary, row.saved):
            self._check_room(row)

            def note(done: int) -> None:
                transfer_states.note_done(self._store, row.id, done)

            await watched(lambda watch: saving.verify(ciphertext, row.offer, watch), note)
            # A name that was about to be taken may be somebody else's by now.
            transfer_states.note_saving(self._store, row.id, None)
            is_whole = False
            try:
                await watched(lambda watch: saving.decrypt(ciphertext, row.offer, temporary, watch), note)
                is_whole = True
            finally:
                if not is_whole:  # also if this is being cancelled
                    await asyncio.to_thread(saving.remove, temporary)
            # In this thread: the store is written to between choosing a name and taking it.
            saving.put(temporary, target, row.name, lambda path: transfer_states.note_saving(self._store, row.id, path))
        transfer_states.finish(self._store, row.id)

    def _check_room(self, row: TransferRow) -> None:
        folder, target = folder_of(self._home, row.id), row.folder or Path.cwd()
        for place, size in saving.room_needed(folder / NAME, target, row.offer):
            saving.check_room(place, size)

    def _check_origin(self, row: TransferRow) -> None:
        """Meet a contact only where they receive mail: an offer must not send us to a stranger, or to this machine."""
        origin, ours = row.offer.origin, load_account(self._store).origin
        known = (*contact_by_id(self._store, row.contact).origins, ours)
        if origin not in known or (reaches_this_machine(origin) and not reaches_this_machine(ours)):
            raise Refused("strange-relay", "the offer names a relay that is not its sender's")


async def _closed(torrent: Torrent) -> None:
    """Leave the swarm, also when this is being cancelled."""
    await asyncio.shield(asyncio.to_thread(torrent.close))


def _begin(folder: Path) -> None:
    """Make the file to fetch into, which is ours alone.

    A download from the drop goes on among peers: its beginning is compared with the hashes and kept.
    """
    if (folder / FROM_DROP).exists() and not (folder / NAME).exists():
        (folder / FROM_DROP).replace(folder / NAME)
    os.close(preparing.open_private(str(folder / NAME), os.O_WRONLY | os.O_CREAT))
