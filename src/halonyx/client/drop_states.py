"""What becomes of a ciphertext in the drop: each change is one transaction, with the message that tells the other side.

Source: spec/files.md, "Drop" and "State".
"""

import time
from typing import Final

from halonyx.client.account import now_ms
from halonyx.client.events import add_transfer_event
from halonyx.client.store import Store
from halonyx.client.transfer_rows import transfer_by_id
from halonyx.client.transfer_states import change, tell
from halonyx.core.file_offer import State

WRITE_SECONDS: Final = 1.0  # between two notes of progress
GIVEN_UP: Final = ("no-drop", "drop-full", "too-large")  # the drop will not take this file; the rest is tried again


def note_in_drop(store: Store, transfer: int) -> None:
    """Note that the drop holds all of our ciphertext, and tell who it is for."""
    with store.transaction():
        row = transfer_by_id(store, transfer)
        if row.is_active and not row.in_drop:
            change(store, row, row.state, None, in_drop=1, up=0, told=now_ms())
            tell(store, row, State.IN_DROP)


def note_drop_deleted(store: Store, transfer: int) -> None:
    """Note that the drop has nothing of a transfer any more."""
    with store.transaction():
        store.execute("UPDATE transfers SET in_drop = 0, wants_drop = 0 WHERE id = ?", transfer)


class DropNotes:
    """Notes of one upload or download, written once a second at most; changes as they are made."""

    def __init__(self, store: Store, transfer: int) -> None:
        self._store, self._transfer = store, transfer
        self._began, self._first = time.monotonic(), -1
        self._written = 0.0

    def sent(self, done: int) -> None:
        """Note how much the relay has of our ciphertext."""
        self._note(done, "up")

    def came(self, done: int) -> None:
        """Note how much of theirs is here."""
        self._note(done, "down")

    def _note(self, done: int, direction: str) -> None:
        now = time.monotonic()
        if self._first < 0:
            self._first = done
        if now - self._written < WRITE_SECONDS:
            return
        self._written = now
        speed = int((done - self._first) / max(now - self._began, 0.001))
        with self._store.transaction():
            row = transfer_by_id(self._store, self._transfer)
            if row.is_active:
                state = row.state if row.is_outgoing else "transferring"
                reason = "uploading" if row.is_outgoing else None
                numbers = {"up": speed} if direction == "up" else {"down": speed}
                change(self._store, row, state, reason, done=done, path="drop", **numbers)


def drop_refused(store: Store, transfer: int, reason: str) -> None:
    """Note that the relay does not take our ciphertext: the offer goes on without the drop."""
    with store.transaction():
        row = transfer_by_id(store, transfer)
        if row.is_active and row.wants_drop:
            change(store, row, row.state, reason, wants_drop=0, up=0)
            add_transfer_event(store, row.id, row.state, reason, now_ms())


def drop_is_gone(store: Store, transfer: int) -> None:
    """Note that the relay has our contact's ciphertext no more."""
    with store.transaction():
        row = transfer_by_id(store, transfer)
        if row.is_active and row.in_drop:
            change(store, row, row.state, "drop-unknown", in_drop=0, down=0, peers=0)
            add_transfer_event(store, row.id, row.state, "drop-unknown", now_ms())
