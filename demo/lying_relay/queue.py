"""What a lie can do with envelopes: store one, say `accepted` and do something else, or store one that nobody sent."""

import os
from typing import Protocol

from halonyx.relay.store.intake import Refusals, Submission


class Queue(Protocol):
    """The relay's hub, as a lie sees it."""

    def store(self, submission: Submission) -> None:
        """Store an envelope, and answer its sender when it is on disk: what an honest relay does."""

    def pretend(self, submission: Submission) -> None:
        """Tell the sender that the envelope is on disk."""


class _Nobody:
    """The sender of what nobody sent."""

    def __init__(self) -> None:
        self.refusals = Refusals()

    def settled(self, submission: Submission) -> None:
        """Hear that it is on disk."""

    def abort(self) -> None:
        """End no connection."""


def of_nobody(like: Submission, envelope: bytes) -> Submission:
    """Return an envelope for the mailbox that another one was for."""
    return Submission(_Nobody(), (like.account, like.mailbox), like.key, os.urandom(16), envelope)
