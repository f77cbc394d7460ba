"""One connection on /v1/send: anonymous, for one recipient address.

Source: spec/delivery.md, "Submitting".
"""

from typing import Protocol

from halonyx.core.types import Address, DeviceId
from halonyx.relay.decide import Action, Pressure, Quiet, due
from halonyx.relay.sockets import Connection, Gate
from halonyx.relay.store.intake import Refusals, Submission
from halonyx.relay.store.mailbox import MailboxStore, Names
from halonyx.wire.frames import (
    CloseCode,
    ErrorCode,
    Status,
    Submit,
    accepted_frame,
    is_envelope,
    parse_send_request,
)


class Writer(Gate, Protocol):
    """The hub, as a sending connection sees it."""

    mailboxes: MailboxStore
    names: Names
    pressure: Pressure

    def submit(self, submission: Submission) -> None:
        """Put a submission before the writer."""

    def leave(self, connection: "Sending") -> None:
        """Forget the connection."""


class Sending(Connection):
    """Takes SUBMIT, answers ACCEPTED.

    Args:
        hub: Where submissions go.
        network: Whose count this connection is in.
    """

    def __init__(self, hub: Writer, network: str) -> None:
        super().__init__(hub, network)
        self._hub = hub
        self._address: Address | None = None
        self._names: dict[int, tuple[bytes, bytes]] = {}
        self.refusals = Refusals()
        self._busy_from: dict[bytes, bytes] = {}  # by mailbox the first envelope that never reached the writer
        self._good_key = b""
        self._wrong_keys = 0
        self._unaccepted = 0
        self._busy_at = hub.now
        self._blocked_at: float | None = None
        self._is_draining = False

    def on_frame(self, data: bytes) -> None:
        """Take one SUBMIT."""
        submit = self.parsed(parse_send_request, data)
        if submit is None:
            return
        self._busy_at = self._hub.now
        if submit.address != self._address:
            if self._address is not None:
                self.fail(ErrorCode.OTHER_RECIPIENT)
                return
            self._address = submit.address
        names = self._names.get(submit.device) or self._name(submit.address, submit.device)
        if not is_envelope(submit.envelope):
            self.send(accepted_frame(submit.envelope_id, Status.MALFORMED, 0))
        elif self._is_busy_for(names[1], submit.envelope_id):
            self._refuse(submit.envelope_id)
        elif not self._is_known(submit):
            self._refuse_key(submit.envelope_id)
        else:
            self._unaccepted += 1
            if self._unaccepted >= self._hub.limits.unaccepted_submits or self._hub.pressure is Pressure.PAUSED:
                self.pause_reading()
            self._hub.submit(Submission(self, names, submit.key, submit.envelope_id, submit.envelope))

    def _name(self, address: Address, device: DeviceId) -> tuple[bytes, bytes]:
        names = self._names[device] = (self._hub.names.account(address), self._hub.names.mailbox(address, device))
        return names

    def _is_busy_for(self, mailbox: bytes, envelope_id: bytes) -> bool:
        """Tell whether to refuse this before it costs the writer anything; then all behind it, until it comes again."""
        first = self._busy_from.get(mailbox, envelope_id)
        if self.refusals.is_first(mailbox, envelope_id):
            first = envelope_id  # the writer had it before any that we refused
        if first == envelope_id and self._hub.pressure is not Pressure.REFUSING and not self._is_draining:
            self._busy_from.pop(mailbox, None)
            return False
        self._busy_from[mailbox] = first
        return True

    def _is_known(self, submit: Submit) -> bool:
        """Check a key before it costs the writer anything, about 5 µs; the writer's own check decides."""
        if submit.key == self._good_key:
            return True
        if self._hub.mailboxes.check_key(submit.address, submit.key) is None:
            return False
        self._good_key = submit.key
        return True

    def _refuse_key(self, envelope_id: bytes) -> None:
        """Answer a wrong key; a client has no more to show than may be in flight when the key is changed."""
        self._good_key = b""
        self._wrong_keys += 1
        self.send(accepted_frame(envelope_id, Status.BAD_ACCESS_KEY, 0))
        if self._wrong_keys >= self._hub.limits.unaccepted_submits:
            self.close(CloseCode.POLICY_VIOLATION)

    def _refuse(self, envelope_id: bytes) -> None:
        self.send(accepted_frame(envelope_id, Status.BUSY, self._hub.limits.retry_after_s))

    def settled(self, submission: Submission) -> None:
        """Answer a submission whose group is on disk."""
        self._unaccepted -= 1
        self._busy_at = self._hub.now
        status = submission.status
        if status is Status.BUSY:
            self._refuse(submission.envelope_id)
        elif status is Status.BAD_ACCESS_KEY:  # changed since it was checked
            self._refuse_key(submission.envelope_id)
        else:
            self.send(accepted_frame(submission.envelope_id, status, 0))
        if self.is_paused:
            self.read_if_allowed()
        if self._is_draining and self._unaccepted == 0:
            self.close(CloseCode.SHUTTING_DOWN)

    def read_if_allowed(self) -> None:
        """Read again once half of what was in flight is answered and read, and the writer has room."""
        is_low = self._unaccepted * 2 <= self._hub.limits.unaccepted_submits
        is_held = self._blocked_at is not None or self._is_draining
        if is_low and self._hub.pressure is not Pressure.PAUSED and not is_held:
            self.resume_reading()

    def pause_writing(self) -> None:
        """Read nothing more from a peer that does not read its answers: each costs memory here."""
        self._blocked_at = self._hub.now
        self.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self._blocked_at = None
        self.read_if_allowed()

    def drain(self) -> None:
        """Answer what was read, then close."""
        self._is_draining = True
        if self._unaccepted == 0:
            self.close(CloseCode.SHUTTING_DOWN)
        else:
            self.pause_reading()

    def on_gone(self) -> None:
        """Leave the hub; what is before the writer is stored all the same."""
        self._hub.leave(self)

    def due(self) -> Action:
        """Idle means: nothing submitted and nothing unanswered."""
        now = self._hub.now
        return due(
            Quiet(
                heard=now - self.heard_at,
                pinged=None if self.pinged_at is None else now - self.pinged_at,
                closing=None if self.closed_at is None else now - self.closed_at,
                idle=None if self._unaccepted else now - self._busy_at,
                stuck=None if self._blocked_at is None else now - self._blocked_at,
            ),
            self._hub.limits,
        )
