"""One connection on /v1/receive: a device proves itself, then gets its mailbox in order and acknowledges.

There is one path to the device: rows in order of their sequence numbers. A row just committed is pushed directly only
while everything before it has been sent; otherwise the pump reads from the store when there is room again.

Source: spec/delivery.md, "Login" and "Delivering".
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from typing import Final, Protocol

from halonyx.core.errors import BadSignature, Misuse, StoreError
from halonyx.core.labels import DEVICE_LOGIN, RELAY_CHALLENGE
from halonyx.core.primitives import SigningKey, VerifyKey
from halonyx.core.types import Address, DeviceId, Millis
from halonyx.relay.decide import Action, Quiet, acknowledged, due, window_is_open
from halonyx.relay.events import Event, log
from halonyx.relay.sockets import Connection, Gate
from halonyx.relay.store.intake import Submission
from halonyx.relay.store.mailbox import MailboxStore, Opened
from halonyx.wire.frames import (
    NONCE_SIZE,
    Ack,
    Auth,
    CaughtUp,
    Challenge,
    CloseCode,
    ErrorCode,
    Hello,
    Welcome,
    deliver_head,
    parse_receive_request,
)
from halonyx.wire.login import challenge_body, login_body

PUMP_ROWS: Final = 16  # at most 1 MiB read ahead of a window that may close
_NOBODY: Final = SigningKey.generate().public

LoginKey = Callable[[Address, DeviceId], VerifyKey | None]
PrekeysLeft = Callable[[Address, DeviceId], tuple[int, int]]


class Post(Gate, Protocol):
    """The hub, as a receiving connection sees it."""

    mailboxes: MailboxStore
    login_key: LoginKey
    prekeys_left: PrekeysLeft
    relay_key: SigningKey

    def clock(self) -> Millis:
        """Return the time of day."""

    def announcement(self) -> bytes | None:
        """Return the frame of the operator's announcement, if there is one to tell."""

    def enter(self, connection: "Receiving", mailbox: bytes) -> None:
        """Make this the device's only connection."""

    def leave(self, connection: "Receiving") -> None:
        """Forget the connection."""

    def acknowledge(self, rows: list[int]) -> None:
        """Put acknowledged rows before the writer."""

    def flush(self) -> None:
        """Hand over at once what waits for the writer."""

    def count_delivered(self) -> None:
        """Count one delivery."""

    def keep(self, task: asyncio.Task[None]) -> None:
        """Hold a task until it is done."""


class State(Enum):
    """How far the device has got."""

    CHALLENGED = auto()
    PROVED = auto()
    OPENING = auto()
    OPEN = auto()


class Receiving(Connection):
    """Sends CHALLENGE, takes AUTH and HELLO, then delivers.

    Args:
        hub: Stores, keys and the other connections.
        network: Whose count this connection is in.
        origin: The relay's origin by which the client reached it; the login is good for it alone.
    """

    def __init__(self, hub: Post, network: str, origin: str) -> None:
        super().__init__(hub, network)
        self.mailbox: bytes | None = None
        self.device: tuple[Address, DeviceId] | None = None
        self._hub = hub
        self._origin = origin
        self._state = State.CHALLENGED
        self._since = hub.now
        self._nonce = b""
        self._opened: Opened
        self._sent = 0
        self._unacked: deque[tuple[int, int, int]] = deque()  # sequence number, row, size
        self._unacked_bytes = 0
        self._is_live = False
        self._is_told = False
        self._is_blocked = False
        self._progress_at = hub.now

    def on_open(self) -> None:
        """Challenge the device."""
        self._nonce, now = os.urandom(NONCE_SIZE), self._hub.clock()
        signature = self._hub.relay_key.sign(RELAY_CHALLENGE, challenge_body(self._nonce, now, self._origin))
        self.send(Challenge(self._nonce, now, signature).encode())

    def on_frame(self, data: bytes) -> None:
        """Take one AUTH, then one HELLO, then ACKs."""
        frame = self.parsed(parse_receive_request, data)
        if frame is None:
            return
        if isinstance(frame, Ack) and self._state is State.OPEN:
            self._acknowledge(frame)
        elif isinstance(frame, Auth) and self._state is State.CHALLENGED:
            self._prove(frame)
        elif isinstance(frame, Hello) and self._state is State.PROVED:
            self._state = State.OPENING
            self._hub.keep(asyncio.get_running_loop().create_task(self._open(frame)))
        else:
            self.fail(ErrorCode.UNEXPECTED)

    # Login

    def _prove(self, auth: Auth) -> None:
        """Check the one try; a device that is not there costs the same work and gets the same bytes."""
        key = self._hub.login_key(auth.address, auth.device)
        try:
            body = login_body(self._nonce, self._origin, auth.address, auth.device)
            (key or _NOBODY).verify(DEVICE_LOGIN, body, auth.signature)
        except BadSignature:
            key = None
        if key is None:
            self.close(CloseCode.NOT_AUTHENTICATED)
            return
        self._state, self._since = State.PROVED, self._hub.now
        self.device = (auth.address, auth.device)
        self.mailbox = self._hub.mailboxes.names.mailbox(auth.address, auth.device)
        self._hub.enter(self, self.mailbox)

    async def _open(self, hello: Hello) -> None:
        """Carry out HELLO: the cursor acknowledges, then the backlog goes out."""
        try:
            await self._open_mailbox(hello)
        except StoreError as error:
            log(Event.SOCKET_FAILED, error=type(error).__name__)
        finally:
            if self._state is State.OPENING:  # nothing was opened, so the device has to come again
                self.close(CloseCode.SHUTTING_DOWN)

    async def _open_mailbox(self, hello: Hello) -> None:
        if self.mailbox is None or self.device is None:
            raise Misuse("HELLO before AUTH")
        self._hub.flush()
        opened = await self._hub.mailboxes.open(self.mailbox, hello.epoch, hello.cursor)
        one_time, one_time_kem = self._hub.prekeys_left(*self.device)
        if self.closed_at is not None:
            return
        if opened is None:  # removed meanwhile
            self.close(CloseCode.NOT_AUTHENTICATED)
            return
        self._opened, self._sent = opened, opened.after
        self._state, self._progress_at = State.OPEN, self._hub.now
        self.send(Welcome(opened.epoch, opened.head, one_time, one_time_kem).encode())
        announcement = self._hub.announcement()
        if announcement is not None:
            self.send(announcement)
        self._pump()

    # Delivery

    def committed(self, submission: Submission) -> None:
        """Push a row just committed, if everything before it has been sent and there is room."""
        if not self._is_live or submission.seq <= self._sent:
            return
        if self._has_room():
            self._deliver(submission.seq, submission.row, submission.envelope_id, submission.time, submission.envelope)
        else:
            self._is_live = False

    def announce(self, frame: bytes) -> None:
        """Tell what the operator says; a device that is not ready for it now hears it at its next login."""
        if self._state is State.OPEN and not self._is_blocked:
            self.send(frame)

    def _pump(self) -> None:
        """Send rows from the store in order until there is no room or no row."""
        while not self._is_live and self.closed_at is None and self._has_room():
            rows = self._hub.mailboxes.waiting(self._opened.box, self._sent, PUMP_ROWS)
            for row in rows:
                if self._has_room():
                    self._deliver(row.seq, row.row, row.envelope_id, row.time, row.envelope)
            # Read on one connection after every commit so far, so the next row will come as `committed`.
            self._is_live = len(rows) < PUMP_ROWS and (not rows or self._sent == rows[-1].seq)
        if not self._is_told and (self._is_live or self._sent >= self._opened.head):
            self._is_told = True
            self.send(CaughtUp(self._opened.head).encode())

    def _has_room(self) -> bool:
        return not self._is_blocked and window_is_open(len(self._unacked), self._unacked_bytes, self._hub.limits)

    def _deliver(self, seq: int, row: int, envelope_id: bytes, time: int, envelope: bytes) -> None:
        if not self._unacked:
            self._progress_at = self._hub.now
        self._sent = seq
        self._unacked.append((seq, row, len(envelope)))
        self._unacked_bytes += len(envelope)
        self._hub.count_delivered()
        self.send(deliver_head(seq, envelope_id, time) + envelope)

    def _acknowledge(self, ack: Ack) -> None:
        upto = acknowledged(self._opened.epoch, ack.epoch, ack.upto, self._sent)
        rows = []
        while self._unacked and self._unacked[0][0] <= upto:
            _, row, size = self._unacked.popleft()
            self._unacked_bytes -= size
            rows.append(row)
        if rows:
            self._progress_at = self._hub.now
            self._hub.acknowledge(rows)
            # Half a window at a time: with one row an ACK, most of what is read would be read again.
            is_half_free = 2 * len(self._unacked) <= self._hub.limits.unacked_messages
            if not self._is_live and is_half_free and 2 * self._unacked_bytes <= self._hub.limits.unacked_bytes:
                self._pump()

    # Time and flow

    def pause_writing(self) -> None:
        """Stop pushing: the socket's buffer is over its mark."""
        self._is_blocked = True
        self._progress_at = self._hub.now

    def resume_writing(self) -> None:
        """Go on."""
        self._is_blocked = False
        self._progress_at = self._hub.now
        if self._state is State.OPEN:
            self._pump()

    def on_gone(self) -> None:
        """Leave the hub; unacknowledged rows stay in the store."""
        self._is_live = False
        self._unacked.clear()
        self._hub.leave(self)

    @property
    def is_proved(self) -> bool:
        """Whether the device has answered the challenge."""
        return self._state is not State.CHALLENGED

    def due(self) -> Action:
        """HELLO belongs to the login: without it the connection is as useless as without AUTH."""
        now = self._hub.now
        is_waiting = self._state in {State.CHALLENGED, State.PROVED}
        is_stuck = self._is_blocked or not window_is_open(len(self._unacked), self._unacked_bytes, self._hub.limits)
        return due(
            Quiet(
                heard=now - self.heard_at,
                pinged=None if self.pinged_at is None else now - self.pinged_at,
                closing=None if self.closed_at is None else now - self.closed_at,
                unproved=now - self._since if is_waiting else None,
                session=None if is_waiting else now - self._since,
                stuck=now - self._progress_at if is_stuck else None,
            ),
            self._hub.limits,
        )
