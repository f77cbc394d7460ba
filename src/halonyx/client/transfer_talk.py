"""What two people tell each other of an offer once it is made: taken in, and said again while nothing comes of it.

A state has no receipt: one that is lost would leave both waiting for the other. Whoever receives says again that it
accepted, whoever offers that it still does; that brings what the other side last said of it, how it ended included.

Source: spec/files.md, "State".
"""

from typing import Final

from halonyx.client.account import now_ms
from halonyx.client.events import add_transfer_event
from halonyx.client.model import TransferState
from halonyx.client.store import Store
from halonyx.client.transfer_rows import TransferRow, find_transfer, transfer_by_id
from halonyx.client.transfer_states import (
    BOTH_NEED_DIRECT,
    FAILURES,
    NEEDS_DIRECT,
    REASONS,
    THEY_NEED_DIRECT,
    change,
    tell,
)
from halonyx.core.file_offer import FileState, Reason, State
from halonyx.core.types import DAY, HOUR, Millis

TELL_AGAIN: Final = HOUR
TOLD_FOR: Final = 14 * DAY  # then nothing of it waits for them any more
DROP_KEEPS: Final = 14 * DAY
OURS_TO_AGREE: Final = (NEEDS_DIRECT, BOTH_NEED_DIRECT)
_OVER: Final[dict[State, TransferState]] = {
    State.REFUSED: "refused",
    State.CANCELLED: "cancelled",
    State.DONE: "done",
    State.FAILED: "failed",
}


def is_to_be_told(row: TransferRow, now: Millis) -> bool:
    """Tell whether to say again that it waits here, while nothing comes: after an hour, and ever less often."""
    if row.state != "waiting":
        return False
    last = row.asked if row.is_outgoing else row.told
    since = last - row.time
    return not last or (since < TOLD_FOR and last + min(max(TELL_AGAIN, since), DAY) < now)


def tell_again(store: Store, transfer: int) -> None:
    """Say once more that we accepted, or still offer it, and what we wait for; unless that still is to be sent."""
    with store.transaction():
        row = transfer_by_id(store, transfer)
        change(store, row, row.state, row.reason, **{"asked" if row.is_outgoing else "told": now_ms()})
        _tell_once(store, row, State.STILL_OFFERED if row.is_outgoing else State.ACCEPTED)
        if row.reason in OURS_TO_AGREE:
            _tell_once(store, row, State.NEEDS_DIRECT)


def note_needs_direct(store: Store, transfer: int) -> None:
    """Note once that neither way is open until the person agrees, and tell both people."""
    with store.transaction():
        row = transfer_by_id(store, transfer)
        if row.is_active and row.reason not in OURS_TO_AGREE:
            reason = BOTH_NEED_DIRECT if row.reason == THEY_NEED_DIRECT else NEEDS_DIRECT
            change(store, row, "waiting", reason, down=0, up=0, peers=0)
            add_transfer_event(store, row.id, "waiting", reason, now_ms())
            tell(store, row, State.NEEDS_DIRECT)


def note_agreed(store: Store, transfer: int) -> None:
    """Note that nothing waits for our person's agreement any more, and tell the other one, who was told it does."""
    with store.transaction():
        row = transfer_by_id(store, transfer)
        if row.is_active and row.reason in OURS_TO_AGREE:
            change(store, row, row.state, THEY_NEED_DIRECT if row.reason == BOTH_NEED_DIRECT else None)
            tell(store, row, State.STILL_OFFERED if row.is_outgoing else State.ACCEPTED)


def take_state(store: Store, contact: int, told: FileState, now: Millis) -> None:
    """Take in what the other side says of an offer, inside the caller's transaction; of an unknown one nothing."""
    row = _meant(store, contact, told)
    if row is None or row.encoded is None:
        return
    if row.is_active:
        _take(store, row, told, now)
    elif told.state is State.STILL_OFFERED:
        _say_end(store, row)
    elif row.is_outgoing and told.state is State.ACCEPTED:
        _take_again(store, row, now)


def _take(store: Store, row: TransferRow, told: FileState, now: Millis) -> None:
    # Who says that it goes on needs nothing of us any more, or says so next.
    without_theirs = {THEY_NEED_DIRECT: None, BOTH_NEED_DIRECT: NEEDS_DIRECT}
    state, reason = row.state, without_theirs.get(row.reason or "", row.reason)
    match told.state:
        case State.ACCEPTED:
            if state == "offered":
                state, reason = "waiting", None
                change(store, row, row.state, row.reason, time=now, asked=now)
            if row.in_drop:
                _answer_from_drop(store, row, now)
        case State.STILL_OFFERED:
            if row.reason in OURS_TO_AGREE:
                _tell_once(store, row, State.NEEDS_DIRECT)
        case State.NEEDS_DIRECT:
            # What we wait for ourselves stays noted: two who answer each other's word for it would never end.
            reason = THEY_NEED_DIRECT if row.reason not in OURS_TO_AGREE else BOTH_NEED_DIRECT
        case State.IN_DROP:
            change(store, row, state, None, in_drop=1)
            return
        case over:
            state, reason = _OVER[over], FAILURES[told.reason] if over is State.FAILED else None
    if (state, reason) != (row.state, row.reason):
        change(store, row, state, reason)
        if state != row.state or reason is not None:  # that it waits for nothing any more shows by itself
            add_transfer_event(store, row.id, state, reason, now)


def _answer_from_drop(store: Store, row: TransferRow, now: Millis) -> None:
    """Say that the drop has it, or have the upload ask the drop first, and begin anew if it lost it."""
    # They may not have heard: who is told of an offer that is still on its way forgets it. Who asks again may have
    # looked in vain; while it is paused, nobody would ask the drop.
    if (row.state == "offered" or row.is_paused) and now < row.told + DROP_KEEPS:
        tell(store, row, State.IN_DROP)
    else:
        change(store, row, row.state, row.reason, in_drop=0)


def _meant(store: Store, contact: int, told: FileState) -> TransferRow | None:
    """Find the transfer that someone speaks of who may say this of it."""
    match told.state:
        case State.CANCELLED | State.IN_DROP | State.STILL_OFFERED:
            return find_transfer(store, contact, told.offer, is_outgoing=False)
        case State.NEEDS_DIRECT:
            ours = find_transfer(store, contact, told.offer, is_outgoing=True)
            return ours or find_transfer(store, contact, told.offer, is_outgoing=False)
        case _:
            return find_transfer(store, contact, told.offer, is_outgoing=True)


def _say_end(store: Store, row: TransferRow) -> None:
    """Say again how it ended here, to who offers it and has not heard."""
    if row.state == "done":
        _tell_once(store, row, State.DONE)
    elif row.state == "failed":
        _tell_once(store, row, State.FAILED, REASONS.get(row.reason or "", Reason.DAMAGED))
    else:
        _tell_once(store, row, State.REFUSED)


def _take_again(store: Store, row: TransferRow, now: Millis) -> None:
    """Let them try again what they could not take; of what is deleted here say so, or they would wait for ever."""
    if row.is_kept:
        change(store, row, "waiting", None, sent=0, time=now, asked=now, in_drop=0)
        add_transfer_event(store, row.id, "waiting", None, now)
    else:
        tell(store, row, State.CANCELLED)


def _tell_once(store: Store, row: TransferRow, state: State, reason: Reason = Reason.NONE) -> None:
    """Queue a FILE_STATE unless it still waits to be sent, inside the caller's transaction."""
    body = FileState(row.message_id, state, reason).encode()
    if store.one("SELECT 1 FROM outbox WHERE contact = ? AND body = ?", row.contact, body) is None:
        tell(store, row, state, reason)
