"""Rows of transfers, as values.

Source: spec/files.md; spec/delivery.md, "What a person sees".
"""

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, cast

from halonyx.client.model import Transfer, TransferPath, TransferState
from halonyx.client.store import Row, Store
from halonyx.core.errors import Misuse
from halonyx.core.file_names import safe_name
from halonyx.core.file_offer import FileOffer
from halonyx.core.types import MessageId, Millis

ACTIVE: Final = ("preparing", "offered", "waiting", "transferring", "verifying")
TOLD: Final = ("wrong-hash", "disk-full", "damaged")  # failures at the one who receives
MIN_PREFIX: Final = 4  # hex digits of an id that a person has to type
_COLUMNS: Final = (
    "SELECT transfers.*, contacts.name AS contact_name, contacts.is_verified OR contacts.direct_allowed AS is_direct"
    " FROM transfers JOIN contacts ON contacts.id = contact"
)
_OF_STATES: Final = (
    " WHERE contacts.state IN ('accepted', 'blocked') AND transfers.state IN (SELECT value FROM json_each(?))"
    " ORDER BY transfers.id"
)


@dataclass(frozen=True)
class TransferRow:
    """A transfer as stored.

    Attributes:
        id: Ours; names its folder.
        encoded: Body of the FILE message; None while it is being prepared.
        sources: What is offered.
        wants_drop: The person wants the ciphertext in the drop, too.
        folder: Where to save.
        saved: Where it is saved, or about to be.
        told: When they last heard that we accepted; of ours, when it was in the drop.
        asked: Of ours, when they last heard that it is still offered, or we from them.
        time: When it was offered; of theirs, when the person last wanted it; of ours, when they did.
    """

    id: int
    contact: int
    contact_name: str
    is_outgoing: bool
    message_id: MessageId
    name: str = field(repr=False)
    encoded: bytes | None = field(repr=False)
    sources: tuple[Path, ...]
    thumbnail: bytes = field(repr=False)
    wants_drop: bool
    in_drop: bool
    state: TransferState
    is_paused: bool
    reason: str | None
    folder: Path | None
    saved: Path | None
    done: int
    down: int
    up: int
    peers: int
    sent: int
    path: TransferPath | None
    direct_allowed: bool
    told: Millis
    asked: Millis
    time: Millis

    @cached_property
    def offer(self) -> FileOffer:
        """What is offered (Misuse while it is being prepared)."""
        if self.encoded is None:
            raise Misuse("this is not prepared yet")
        return FileOffer.parse(self.encoded)

    @property
    def is_active(self) -> bool:
        """Whether anything can still become of it."""
        return self.state in ACTIVE

    @property
    def is_kept(self) -> bool:
        """Whether its ciphertext is of use: who could not take it may try again until it is cancelled."""
        return self.is_active or (self.is_outgoing and self.state == "failed" and self.reason in TOLD)

    def public(self) -> Transfer:
        """Return what callers see."""
        offer = self.offer if self.encoded is not None else None
        total = offer.ciphertext_size if offer else 0
        done = min(self.sent, total) if self.is_outgoing and offer else self.done
        if self.state == "done":
            done = total
        is_moving = self.is_active and not self.is_paused
        down, up, peers = (self.down, self.up, self.peers) if is_moving else (0, 0, 0)
        speed = up if self.is_outgoing else down
        return Transfer(
            id=self.message_id,
            contact=self.contact_name,
            outgoing=self.is_outgoing,
            name=self.name,
            media_type=offer.media_type if offer else "",
            is_folder=offer.is_folder if offer else False,
            count=offer.count if offer else 0,
            size=offer.size if offer else 0,
            thumbnail=offer.thumbnail if offer else b"",
            state="paused" if self.is_paused and self.is_active else self.state,
            reason=self.reason,
            done=done,
            total=total,
            down=down,
            up=up,
            peers=peers,
            ratio=self.sent / total if total else 0.0,
            seconds_left=-(-(total - done) // speed) if speed and total else None,
            path=self.path,
            in_drop=self.in_drop,
            direct_allowed=self.direct_allowed,
            folder=self.folder,
            saved=self.saved if self.state == "done" else None,
        )


def add_incoming(store: Store, contact: int, message_id: MessageId, encoded: bytes, now: Millis) -> None:
    """Note an offer of theirs, inside the caller's transaction."""
    offer = FileOffer.parse(encoded)
    store.execute(
        "INSERT OR IGNORE INTO transfers (contact, is_outgoing, message_id, name, offer, in_drop, state, time)"
        " VALUES (?, 0, ?, ?, ?, ?, 'offered', ?)",
        contact,
        message_id,
        safe_name(offer.name),
        encoded,
        offer.in_drop,
        now,
    )


def is_taken(store: Store, message_id: MessageId) -> bool:
    """Tell whether a transfer has this id: nobody draws one twice by chance, and one of ours must stay the only one."""
    return store.one("SELECT 1 FROM transfers WHERE message_id = ?", message_id) is not None


class TransferGone(Misuse):
    """The transfer was forgotten together with its contact."""


def transfer_by_id(store: Store, transfer: int) -> TransferRow:
    """Return a transfer by its row id.

    Raises:
        TransferGone: There is none.
    """
    row = store.one(f"{_COLUMNS} WHERE transfers.id = ?", transfer)
    if row is None:
        raise TransferGone("this transfer is gone: its contact was removed")
    return transfer_row(row)


def find_transfer(store: Store, contact: int, message_id: MessageId, *, is_outgoing: bool) -> TransferRow | None:
    """Return one side's offer to or from a contact, or None."""
    where = "contact = ? AND message_id = ? AND is_outgoing = ?"
    row = store.one(f"{_COLUMNS} WHERE {where}", contact, message_id, is_outgoing)
    return None if row is None else transfer_row(row)


def transfer_by_prefix(store: Store, typed: str) -> TransferRow:
    """Return the transfer whose id begins with what a person typed.

    Raises:
        Misuse: None or several, fewer than four digits, or not hexadecimal.
    """
    if len(typed) < MIN_PREFIX:
        raise Misuse(f"type at least {MIN_PREFIX} characters of the id: see 'halonyx files list'")
    rows = all_transfers(store)
    found = [row for row in rows if row.message_id.hex().startswith(typed.lower())]
    if len(found) != 1:
        how_many = "several transfers begin" if found else "no transfer begins"
        raise Misuse(f"{how_many} with {typed!r}: see 'halonyx files list'")
    return found[0]


def all_transfers(store: Store, states: tuple[str, ...] | None = None) -> list[TransferRow]:
    """Return the transfers with accepted contacts, or those in some states, oldest first."""
    rows = store.all(
        _COLUMNS + _OF_STATES,
        json.dumps(states or (*ACTIVE, "done", "refused", "cancelled", "failed")),
    )
    return [transfer_row(row) for row in rows]


def end_all(store: Store, contact: int) -> None:
    """End all transfers with a contact without a word to them, inside the caller's transaction."""
    store.execute(
        "UPDATE transfers SET state = 'cancelled', reason = NULL WHERE contact = ?"
        " AND state IN ('preparing', 'offered', 'waiting', 'transferring', 'verifying')",
        contact,
    )


def give_up(store: Store, contact: int, message_id: bytes) -> None:
    """Give up an offer that was not confirmed, inside the caller's transaction."""
    store.execute(
        "UPDATE transfers SET state = 'failed', reason = 'expired' WHERE contact = ? AND is_outgoing = 1"
        " AND message_id = ? AND state = 'offered'",
        contact,
        message_id,
    )


def transfer_row(row: Row) -> TransferRow:
    """Make a transfer of its row."""
    return TransferRow(
        id=row["id"],
        contact=row["contact"],
        contact_name=row["contact_name"],
        is_outgoing=bool(row["is_outgoing"]),
        message_id=MessageId(row["message_id"]),
        name=row["name"],
        encoded=row["offer"],
        sources=tuple(Path(path) for path in json.loads(row["sources"])),
        thumbnail=row["thumbnail"],
        wants_drop=bool(row["wants_drop"]),
        in_drop=bool(row["in_drop"]),
        state=cast("TransferState", row["state"]),
        is_paused=bool(row["is_paused"]),
        reason=row["reason"],
        folder=None if row["folder"] is None else Path(row["folder"]),
        saved=None if row["saved"] is None else Path(row["saved"]),
        done=row["done"],
        down=row["down"],
        up=row["up"],
        peers=row["peers"],
        sent=row["sent"],
        path=cast("TransferPath | None", row["path"]),
        direct_allowed=bool(row["is_direct"]),
        told=Millis(row["told"]),
        asked=Millis(row["asked"]),
        time=Millis(row["time"]),
    )
