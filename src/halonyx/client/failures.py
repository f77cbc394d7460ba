"""What a refused envelope means: a session to repair, a record to freeze, a person to tell; or nothing.

Source: spec/delivery.md, "Inbox"; spec/ratchet.md, "Repair".
"""

from typing import Final

from halonyx.client.directory import freeze
from halonyx.client.events import add_notice
from halonyx.client.people import contact_by_id, device_row
from halonyx.client.store import Store
from halonyx.core.errors import (
    AuthenticationFailed,
    Duplicate,
    RemoteError,
    Replay,
    StaleDirectory,
    TooFarAhead,
    UnknownPrekey,
    UnknownSession,
    UnsupportedVersion,
)
from halonyx.core.types import DAY, DeviceId, Millis, SessionId

# What tells that the session is out of step, and not that somebody sent rubbish. Envelopes seen before do not come as
# far as to be a Duplicate: one is of a sender whose store was put back to an older copy.
_NEEDS_RESET: Final = (AuthenticationFailed, Duplicate, TooFarAhead, UnknownPrekey, UnknownSession)


class Failed(Exception):
    """A refusal of what names a contact as its sender.

    Attributes:
        session_id: The session it named.
        is_session_known: We have that session; else anyone could have named it.
        evidence: What speaks against a record.
    """

    def __init__(
        self,
        error: RemoteError,
        sender: tuple[int, DeviceId],
        session_id: SessionId = SessionId(b""),  # noqa: B008 (a constant)
        *,
        is_session_known: bool = False,
        evidence: bytes = b"",
    ) -> None:
        super().__init__(error.code)
        self.error, self.evidence = error, evidence
        self.contact, self.device = sender
        self.session_id, self.is_session_known = session_id, is_session_known


class TooManyStrangers(UnknownSession):
    """As many requests as we keep wait for a decision."""


def note_failure(store: Store, failed: Failed, now: Millis) -> None:
    """Note what a refusal calls for, inside the caller's transaction; of strangers nothing."""
    contact = store.one("SELECT state FROM contacts WHERE id = ?", failed.contact)
    if contact is None or contact["state"] != "accepted":
        return
    match failed.error:
        case StaleDirectory():
            freeze(store, contact_by_id(store, failed.contact), failed.error.code, failed.evidence, now)
        case UnsupportedVersion():
            _note_unsupported(store, failed.contact, now)
        case Replay():
            pass
        case error if isinstance(error, _NEEDS_RESET):
            device_row(store, failed.contact, failed.device)  # a first message's vanished with its transaction
            # What anyone can forge never takes the place of what only the two of us can have sent.
            store.execute(
                "UPDATE devices SET broken_session = ?, is_break_proven = ? WHERE contact = ? AND device = ?"
                " AND (broken_session IS NULL OR is_break_proven <= ?)",
                failed.session_id,
                failed.is_session_known,
                failed.contact,
                failed.device,
                failed.is_session_known,
            )


def note_too_many_strangers(store: Store, now: Millis) -> None:
    """Say once a day at most that a stranger found no room, inside the caller's transaction."""
    if store.execute("UPDATE account SET requests_full_noted = ?1 WHERE requests_full_noted + ?2 <= ?1", now, DAY):
        add_notice(store, "requests-full", None, now)


def _note_unsupported(store: Store, contact: int, now: Millis) -> None:
    """Say it once a day at most: the sender of what can't even be parsed is not proven."""
    if store.execute(
        "UPDATE contacts SET unsupported_noted = ?1 WHERE id = ?3 AND unsupported_noted + ?2 <= ?1", now, DAY, contact
    ):
        add_notice(store, "unsupported", contact, now)
