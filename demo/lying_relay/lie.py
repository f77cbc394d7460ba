"""What a lie may change; whatever it leaves alone is told as it is."""

from pathlib import Path

from halonyx.core.types import Address, DeviceId
from halonyx.relay.context import RelayContext
from halonyx.relay.decide import KeyKind
from halonyx.relay.store.intake import Submission
from halonyx.web.build import Build
from halonyx.wire.rest_directory import Bundle
from lying_relay.insider import Cards, Insider
from lying_relay.queue import Queue


class Lie:
    """Nothing is a lie.

    Args:
        cards: What those who collude with the relay have given it.
        switch: The lie is told while this file is there; None tells it always.

    Attributes:
        insider: What the relay can do with the cards, once it runs.
    """

    def __init__(self, cards: Cards, switch: Path | None) -> None:
        self._cards = cards
        self._switch = switch
        self.insider: Insider

    @property
    def is_told(self) -> bool:
        """Whether the relay lies now."""
        return self._switch is None or self._switch.exists()

    def begin(self, context: RelayContext) -> None:
        """Get to know the relay."""
        self.insider = Insider(context, self._cards)

    def publish(self, address: Address, sealed: bytes) -> None:
        """Hear that an account brings a record."""

    def record(self, address: Address, sealed: bytes, asked_with: KeyKind | None) -> bytes:  # noqa: ARG002
        """Return the sealed record to serve.

        Args:
            address: Whose record is asked for.
            sealed: The true one.
            asked_with: Which key the caller showed.
        """
        return sealed

    async def bundle(self, address: Address, device: DeviceId, bundle: Bundle) -> Bundle:  # noqa: ARG002
        """Return the prekeys to hand out in the place of `bundle`."""
        return bundle

    def watch(self, submission: Submission) -> None:
        """See an envelope that is stored honestly, because no lie is told now."""

    def submit(self, queue: Queue, submission: Submission) -> None:
        """Do with an envelope what is to be done with it."""
        queue.store(submission)

    def page(self, build: Build | None) -> Build | None:
        """Return the web client to serve."""
        return build
