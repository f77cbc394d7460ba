"""Submissions and acknowledgements, many in one transaction: the relay's hot path on the writer thread.

One thread changes app.db, so what it remembers of a mailbox is the truth until a transaction is rolled back; then it
forgets everything and reads again. About 8 µs a message for insert, counter and delete together.

Source: spec/delivery.md, "Submitting" and "Acknowledging".
"""

import time
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol, cast

import apsw

from halonyx.core.errors import Misuse
from halonyx.relay.decide import KeyKind, Limits, admit, key_kind
from halonyx.wire.frames import Status

REMEMBERED: Final = 131_072  # mailboxes and accounts kept in memory: about 30 MB
COLUMNS: Final = 8
# Rows in one statement: SQLite's work is the same, but each statement gives up the interpreter lock once.
STATEMENT_ROWS: Final = (32, 8, 1)

_INSERT: Final = {
    rows: f"insert into envelope values {','.join(['(?,?,?,?,?,?,?,?)'] * rows)}"  # noqa: S608 (constant)
    " on conflict(mailbox, envelope_id) do nothing"
    for rows in STATEMENT_ROWS
}
_DELETE: Final = "delete from envelope where row in carray(?) returning mailbox, size, is_request"

# After these the same envelope is tried again, after a pause in which later ones could overtake it.
_LATER: Final = frozenset({Status.MAILBOX_FULL, Status.BUSY, Status.REQUESTS_FULL})

Clock = Callable[[], int]
Hashes = tuple[bytes | None, bytes | None]
NO_HASHES: Final[Hashes] = (None, None)


def system_clock() -> int:
    """Return milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Refusals:
    """What one connection was refused for now, the first of each mailbox: nothing may overtake it.

    Kept until that envelope comes again, and by no time: what was written before its sender had the answer may still
    be on its way.
    """

    __slots__ = ("_first",)

    def __init__(self) -> None:
        self._first: dict[bytes, tuple[bytes, Status]] = {}

    def is_first(self, mailbox: bytes, envelope_id: bytes) -> bool:
        """Tell whether this is what the others have to wait for."""
        return self._first.get(mailbox, (None,))[0] == envelope_id

    def before(self, mailbox: bytes, envelope_id: bytes) -> Status | None:
        """Return the status of what this has to wait for, or None."""
        first = self._first.get(mailbox)
        return None if first is None or first[0] == envelope_id else first[1]

    def note(self, mailbox: bytes, envelope_id: bytes, status: Status) -> None:
        """Take in what an envelope is answered."""
        if self.before(mailbox, envelope_id) is not None:
            return
        if status in _LATER:
            self._first[mailbox] = (envelope_id, status)
        else:
            self._first.pop(mailbox, None)


class Sender(Protocol):
    """Who submits, as the store sees it."""

    @property
    def refusals(self) -> Refusals:
        """What the writer refused; only its thread changes them."""


class Submission:
    """One well-formed SUBMIT on its way through the writer.

    Args:
        sender: Who is to be told.
        names: Names of the account and of the mailbox in app.db.
        key: The key that was shown, 16 bytes.
        envelope_id: 16 bytes.
        envelope: A bucket.

    Attributes:
        status: Valid once the group is settled; so are the next three.
        row: Number of the stored row; 0 if nothing new was stored.
        seq: Its sequence number.
        time: When it was stored, in milliseconds.
    """

    __slots__ = ("account", "envelope", "envelope_id", "key", "mailbox", "row", "sender", "seq", "status", "time")

    def __init__(
        self, sender: Sender, names: tuple[bytes, bytes], key: bytes, envelope_id: bytes, envelope: bytes
    ) -> None:
        self.sender = sender
        self.account, self.mailbox = names
        self.key = key
        self.envelope_id = envelope_id
        self.envelope = envelope
        self.status: Status = Status.BUSY
        self.row = 0
        self.seq = 0
        self.time = 0

    def settle(self, status: Status) -> None:
        """Set what it is answered; it has no row yet."""
        self.status, self.row = status, 0
        self.sender.refusals.note(self.mailbox, self.envelope_id, status)


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Rows a device has committed on its side."""

    rows: list[int]


class Listener(Protocol):
    """Hears on the event loop what the writer has put on disk."""

    def settled(self, submissions: list[Submission]) -> None:
        """Every submission of a group has its final status."""

    def dropped(self, mailbox: bytes) -> None:
        """A mailbox is gone; its connection has to go too."""


class _Box:
    __slots__ = ("id", "messages", "next_seq", "requests", "size_bytes")

    def __init__(self, box: int, next_seq: int, messages: int, size_bytes: int, requests: int) -> None:
        self.id = box
        self.next_seq = next_seq
        self.messages = messages
        self.size_bytes = size_bytes
        self.requests = requests


class Intake:
    """The lane of app.db (see `database.Lane`).

    Args:
        limits: The operator's bounds.
        clock: Milliseconds since 1970.
    """

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self.listener: Listener | None = None
        self._limits = limits
        self._clock = clock
        self._boxes: dict[bytes, _Box] = {}
        self._boxes_by_id: dict[int, _Box] = {}
        self._accounts: dict[bytes, Hashes] = {}
        # Never goes back while the process lives: a late acknowledgement must not meet a new row under an old number.
        self._next_row = 0

    def apply(self, connection: apsw.Connection, items: list[object], *, may_grow: bool) -> object:
        """Delete what was acknowledged, then store what was submitted; return the submissions."""
        submissions: list[Submission] = []
        rows = array("q")
        for item in items:
            if isinstance(item, Submission):
                submissions.append(item)
            elif isinstance(item, Acknowledged):
                rows.extend(item.rows)
            else:
                raise Misuse("neither a submission nor an acknowledgement")
        self.delete(connection, rows)
        if not may_grow:
            return self.refused(items)
        self._store(connection, submissions)
        return submissions

    def refused(self, items: list[object]) -> object:
        """Answer `busy` to every submission. Acknowledged rows stay; the device's next cursor takes them."""
        submissions = [item for item in items if isinstance(item, Submission)]
        for submission in submissions:
            submission.settle(Status.BUSY)
        return submissions

    def committed(self, outcome: object) -> None:
        """Pass the settled submissions on."""
        if self.listener is not None:
            self.listener.settled(cast("list[Submission]", outcome))

    def forget(self) -> None:
        """Read everything again."""
        self._boxes.clear()
        self._boxes_by_id.clear()
        self._accounts.clear()

    def forget_mailbox(self, name: bytes) -> None:
        """Read this mailbox again: a job changed it."""
        box = self._boxes.pop(name, None)
        if box is not None:
            self._boxes_by_id.pop(box.id, None)

    def forget_account(self, name: bytes) -> None:
        """Read this account again: a job changed it."""
        self._accounts.pop(name, None)

    def delete(self, connection: apsw.Connection, rows: "array[int]") -> None:
        """Delete rows by their numbers; those that are gone already count nothing."""
        if not rows:
            return
        bound = apsw.carray(rows, flags=apsw.SQLITE_CARRAY_INT64)
        for number, size, is_request in connection.execute(_DELETE, (bound,)):
            box = self._boxes_by_id.get(number)
            if box is not None:
                box.messages -= 1
                box.size_bytes -= size
                box.requests -= is_request

    def _store(self, connection: apsw.Connection, submissions: list[Submission]) -> None:
        if len(self._boxes) + len(self._accounts) >= REMEMBERED:
            self.forget()
        now = self._clock()
        stored: list[tuple[Submission, _Box, int]] = []
        values: list[object] = []
        next_row = max(self._next_row, connection.execute("select coalesce(max(row), 0) + 1 from envelope").get)
        for submission in submissions:
            # The key first: what a mailbox costs to look at would tell a stranger whether it exists.
            kind = self._key_kind(connection, submission.account, submission.key)
            box = None if kind is None else self._box(connection, submission.mailbox)
            size = len(submission.envelope)
            status = admit(kind, box, size, self._limits)
            if status is Status.ACCEPTED:
                status = submission.sender.refusals.before(submission.mailbox, submission.envelope_id) or status
            if box is None or status is not Status.ACCEPTED:
                is_repeated = box is not None and _has(connection, box.id, submission.envelope_id)
                submission.settle(Status.ACCEPTED if is_repeated else status)  # a repetition needs no room
                continue
            submission.settle(status)
            is_request = 1 if kind is KeyKind.REQUEST else 0
            submission.row, submission.seq, submission.time = next_row, box.next_seq, now
            values += (
                next_row,
                box.id,
                box.next_seq,
                submission.envelope_id,
                now,
                is_request,
                size,
                submission.envelope,
            )
            stored.append((submission, box, is_request))
            next_row += 1
            box.next_seq += 1
            box.messages += 1
            box.size_bytes += size
            box.requests += is_request
        self._next_row = next_row
        if stored:
            self._insert(connection, stored, values)

    def _insert(
        self, connection: apsw.Connection, stored: list[tuple[Submission, _Box, int]], values: list[object]
    ) -> None:
        before, at, left = connection.total_changes(), 0, len(stored)
        for rows in STATEMENT_ROWS:
            while left >= rows:
                connection.execute(_INSERT[rows], values[at : at + rows * COLUMNS])
                at += rows * COLUMNS
                left -= rows
        if connection.total_changes() - before != len(stored):
            _take_back_repeated(connection, stored)
        # One counter row a mailbox, not one a message. A number that went to a repetition is left out for ever,
        # which harms nobody: order matters, gaps in it don't.
        boxes = {box.id: box.next_seq for _, box, _ in stored}
        connection.executemany(
            "update mailbox set next_seq = ? where id = ?", [(seq, number) for number, seq in boxes.items()]
        )

    def _box(self, connection: apsw.Connection, name: bytes) -> _Box | None:
        try:
            return self._boxes[name]
        except KeyError:
            pass
        found = connection.execute(
            "select m.id, m.next_seq, count(e.row), coalesce(sum(e.size), 0), coalesce(sum(e.is_request), 0)"
            " from mailbox m left join envelope e on e.mailbox = m.id where m.name = ? group by m.id",
            (name,),
        ).fetchone()
        if found is None:
            return None
        box = self._boxes[name] = self._boxes_by_id[found[0]] = _Box(*found)
        return box

    def _key_kind(self, connection: apsw.Connection, name: bytes, key: bytes) -> KeyKind | None:
        """Tell which key this is; a wrong one costs the same whether the account is remembered, known or made up."""
        kind = key_kind(*self._accounts.get(name, NO_HASHES), key)
        if kind is None:
            hashes = read_hashes(connection, name)
            kind = key_kind(*hashes, key)
            if kind is not None:  # only then: a stranger's names must not push out those that are used
                self._accounts[name] = hashes
        return kind


def read_hashes(connection: apsw.Connection, name: bytes) -> Hashes:
    """Return the hashes of the access key and the request key; (None, None) for an unknown account."""
    found = connection.execute("select access_hash, request_hash from account where name = ?", (name,)).fetchone()
    return NO_HASHES if found is None else (found[0], found[1])


def _has(connection: apsw.Connection, box: int, envelope_id: bytes) -> bool:
    query = "select 1 from envelope where mailbox = ? and envelope_id = ?"
    return connection.execute(query, (box, envelope_id)).get is not None


def _take_back_repeated(connection: apsw.Connection, stored: Iterable[tuple[Submission, _Box, int]]) -> None:
    """Undo the counting of submissions that the unique key left out: their first copy is in the mailbox already."""
    for submission, box, is_request in stored:
        if connection.execute("select 1 from envelope where row = ?", (submission.row,)).get is None:
            submission.row = 0
            box.messages -= 1
            box.size_bytes -= len(submission.envelope)
            box.requests -= is_request
