"""What becomes of an offer here: each change is one transaction, with the message that tells the other side.

Source: spec/files.md, "Offer" and "State".
"""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from halonyx.client import outbox
from halonyx.client.account import now_ms
from halonyx.client.events import TRANSFER, add_transfer_event
from halonyx.client.model import TransferPath, TransferState
from halonyx.client.people import ContactRow, check_accepted, contact_by_id
from halonyx.client.store import Store
from halonyx.client.torrent import Progress
from halonyx.client.transfer_rows import TransferRow, transfer_by_id
from halonyx.core.content import Kind
from halonyx.core.errors import Misuse
from halonyx.core.file_names import safe_name
from halonyx.core.file_offer import FileOffer, FileState, Reason, State
from halonyx.core.types import MESSAGE_ID_SIZE

NEEDS_DIRECT: Final = "needs-direct"
THEY_NEED_DIRECT: Final = "they-need-direct"
BOTH_NEED_DIRECT: Final = "both-need-direct"
FAILURES: Final = {
    Reason.WRONG_HASH: "wrong-hash",
    Reason.DISK_FULL: "disk-full",
    Reason.DAMAGED: "damaged",
}
REASONS: Final = {code: reason for reason, code in FAILURES.items()} | {"wrong-metadata": Reason.DAMAGED}


@dataclass(frozen=True, slots=True)
class NewOffer:
    """What is known of an offer before anything is read.

    Attributes:
        thumbnail: JPEG or WebP of at most 16,384 bytes, or empty.
        drop: Put the ciphertext into the drop, too.
    """

    name: str
    thumbnail: bytes
    drop: bool


def add_outgoing(store: Store, contact: ContactRow, sources: Sequence[Path], new: NewOffer) -> TransferRow:
    """Note what is to be offered; nothing is read yet, and nobody hears of it.

    Raises:
        Misuse: The contact may not be written to.
    """
    with store.transaction():
        check_accepted(store, contact, "send files")
        transfer = store.insert(
            "INSERT INTO transfers"
            " (contact, is_outgoing, message_id, name, sources, thumbnail, wants_drop, state, time)"
            " VALUES (?, 1, ?, ?, ?, ?, ?, 'preparing', ?)",
            contact.id,
            secrets.token_bytes(MESSAGE_ID_SIZE),
            safe_name(new.name),
            json.dumps([str(path.absolute()) for path in sources]),
            new.thumbnail,
            new.drop,
            now_ms(),
        )
        return transfer_by_id(store, transfer)


def note_prepared(store: Store, transfer: int, offer: FileOffer) -> None:
    """Put an offer into history and outbox, unless it was cancelled meanwhile."""
    with store.transaction():
        row = transfer_by_id(store, transfer)
        if row.state != "preparing":
            return
        now = now_ms()
        change(store, row, "offered", None, offer=offer.encode(), done=0)
        store.execute(
            "INSERT INTO messages (contact, is_outgoing, message_id, text, sent, received, state)"
            " VALUES (?, 1, ?, ?, ?, ?, 'waiting')",
            row.contact,
            row.message_id,
            row.name,
            now,
            now,
        )
        outbox.add(store, (row.contact, None), Kind.FILE, offer.encode(), row.message_id)


def accept(store: Store, transfer: int, folder: Path) -> None:
    """Take what a contact offers.

    Raises:
        Misuse: It is no offer that waits for our decision.
    """
    with store.transaction():
        row = _offered(store, transfer)
        change(store, row, "waiting", None, folder=str(folder.absolute()), told=now_ms(), time=now_ms())
        tell(store, row, State.ACCEPTED)


def retry(store: Store, transfer: int) -> None:
    """Try again what failed, ours or theirs; what came of it was thrown away, and is fetched anew.

    Raises:
        Misuse: It has not failed, nothing of it is left to be tried, or the contact is blocked.
    """
    with store.transaction():
        row = transfer_by_id(store, transfer)
        if contact_by_id(store, row.contact).state != "accepted":
            raise Misuse(f"{row.contact_name} is blocked: unblock before you try this again")
        if row.state != "failed":
            raise Misuse(f"this has not failed: it is {row.public().state}")
        if row.is_outgoing and (not row.is_kept or row.reason == FAILURES[Reason.DAMAGED]):
            raise Misuse("nothing of this can be tried again: send it anew")
        now = now_ms()
        values = {"asked": now, "sent": 0} if row.is_outgoing else {"told": now, "saved": None}
        change(store, row, "waiting", None, is_paused=False, done=0, time=now, **values)
        if not row.is_outgoing:
            tell(store, row, State.ACCEPTED)


def refuse(store: Store, transfer: int) -> None:
    """Decline what a contact offers (raises as `accept`)."""
    with store.transaction():
        row = _offered(store, transfer)
        change(store, row, "refused", None)
        tell(store, row, State.REFUSED)


def cancel(store: Store, transfer: int) -> None:
    """End a transfer from our side, and say so.

    Raises:
        Misuse: It is over already.
    """
    with store.transaction():
        row = transfer_by_id(store, transfer)
        row = row if row.is_kept else _active(store, transfer)
        change(store, row, "cancelled", None)
        if row.encoded is not None:
            tell(store, row, State.CANCELLED if row.is_outgoing else State.REFUSED)


def set_paused(store: Store, transfer: int, *, is_paused: bool, drop: bool = False) -> None:
    """Pause a transfer, or let it go on.

    Args:
        drop: Put the ciphertext into the drop, too.

    Raises:
        Misuse: It is over already.
    """
    with store.transaction():
        row = _active(store, transfer)
        if drop and not row.is_outgoing:
            raise Misuse("only the sender can put a file into the drop")
        reason = row.reason if is_paused else None
        wants_drop = drop or row.wants_drop
        numbers = {"down": 0, "up": 0, "peers": 0}
        if not is_paused:  # whoever runs it says once more that it was accepted, or is still offered and in the drop
            numbers |= {"asked": 0, "in_drop": 0} if row.is_outgoing else {"told": 0}
            numbers["time"] = now_ms()
        change(store, row, row.state, reason, is_paused=is_paused, wants_drop=wants_drop, **numbers)


def halt(store: Store, transfer: int, reason: str) -> None:
    """Pause a transfer because it can't go on until the person does something, and show that."""
    with store.transaction():
        row = transfer_by_id(store, transfer)
        if row.is_active:
            change(store, row, row.state, reason, is_paused=True, down=0, up=0, peers=0)
            add_transfer_event(store, row.id, "paused", reason, now_ms())


def note_told(store: Store, transfer: int) -> None:
    """Note that the person saw what became of a transfer: no event has to tell it."""
    with store.transaction():
        store.execute("DELETE FROM events WHERE kind = ? AND transfer = ?", TRANSFER, transfer)


def note_waits(store: Store, transfer: int, reason: str | None) -> None:
    """Note what a transfer waits for."""
    with store.transaction():
        row = transfer_by_id(store, transfer)
        if row.is_active and row.reason != reason:
            change(store, row, "waiting" if row.state == "transferring" else row.state, reason, down=0, up=0, peers=0)


def note_progress(store: Store, transfer: int, found: Progress, path: TransferPath, sent_before: int) -> None:
    """Write down how far a transfer has come, if that changed."""
    with store.transaction():
        row = transfer_by_id(store, transfer)
        if row.state not in ("waiting", "transferring"):
            return
        state: TransferState = "transferring" if found.peers else "waiting"
        reason = None if found.peers else _why(row, found)
        numbers = (found.done, found.down, found.up, found.peers, sent_before + found.sent)
        if (row.state, row.reason, row.done, row.down, row.up, row.peers, row.sent) != (state, reason, *numbers):
            done, down, up, peers, sent = numbers
            change(store, row, state, reason, done=done, down=down, up=up, peers=peers, sent=sent, path=path)


def note_done(store: Store, transfer: int, done: int) -> None:
    """Write down how much of a file is encrypted or checked."""
    with store.transaction():
        store.execute("UPDATE transfers SET done = ? WHERE id = ?", done, transfer)


def note_verifying(store: Store, transfer: int) -> None:
    """Note that all of the ciphertext is here."""
    with store.transaction():
        row = transfer_by_id(store, transfer)
        if row.state in ("waiting", "transferring"):
            change(store, row, "verifying", None, done=row.offer.ciphertext_size, down=0, up=0, peers=0)


def note_saving(store: Store, transfer: int, target: Path | None) -> None:
    """Note under which name a file that is decrypted and on disk is about to appear; None: it is not yet."""
    with store.transaction():
        store.execute("UPDATE transfers SET saved = ? WHERE id = ?", target and str(target), transfer)


def finish(store: Store, transfer: int) -> None:
    """Note that a file is saved, and tell who sent it."""
    _end(store, transfer, "done", None, State.DONE)


def fail(store: Store, transfer: int, reason: str) -> None:
    """Give a transfer up, and tell the other side.

    Args:
        reason: A code.
    """
    _end(store, transfer, "failed", reason, State.FAILED)


def tell(store: Store, row: TransferRow, state: State, reason: Reason = Reason.NONE) -> None:
    """Queue a FILE_STATE, inside the caller's transaction."""
    body = FileState(row.message_id, state, reason).encode()
    outbox.add(store, (row.contact, None), Kind.FILE_STATE, body)


def change(store: Store, row: TransferRow, state: TransferState, reason: str | None, **values: object) -> None:
    """Write a row's new state, and columns by their names, inside the caller's transaction."""
    columns = "".join(f", {name} = ?" for name in values)
    store.execute(
        f"UPDATE transfers SET state = ?, reason = ?{columns} WHERE id = ?",  # noqa: S608
        state,
        reason,
        *values.values(),
        row.id,
    )


def _end(store: Store, transfer: int, state: TransferState, reason: str | None, told: State) -> None:
    with store.transaction():
        row = transfer_by_id(store, transfer)
        if not row.is_active:
            return
        change(store, row, state, reason, down=0, up=0, peers=0)
        add_transfer_event(store, row.id, state, reason, now_ms())
        if not row.is_outgoing:
            tell(store, row, told, REASONS.get(reason or "", Reason.NONE))
        elif row.encoded is not None:
            tell(store, row, State.CANCELLED)


def _why(row: TransferRow, found: Progress) -> str | None:
    """Return the code of why nobody is there."""
    if found.is_tracked is False:
        return "relay-unreachable"
    if found.is_checking:
        return "checking"
    if row.reason == THEY_NEED_DIRECT:
        return THEY_NEED_DIRECT
    if row.is_outgoing and row.sent >= row.offer.ciphertext_size:
        return "unconfirmed"
    return "bad-peer" if found.wasted else "peer-offline"


def _offered(store: Store, transfer: int) -> TransferRow:
    row = transfer_by_id(store, transfer)
    if row.is_outgoing:
        raise Misuse("this is your own offer: the other side decides. To take it back: 'halonyx files cancel'")
    if row.state != "offered":
        raise Misuse(f"this was decided before: it is {row.public().state}. To go on with it: 'halonyx files resume'")
    return row


def _active(store: Store, transfer: int) -> TransferRow:
    row = transfer_by_id(store, transfer)
    if not row.is_active:
        raise Misuse(f"this is over: it is {row.state}")
    return row
