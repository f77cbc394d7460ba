"""Lies about envelopes. The relay sees a mailbox and a size; whose words they are, it does not."""

import asyncio
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Final

from halonyx.core.content import Kind, encode_ids
from halonyx.core.types import MessageId
from halonyx.relay.store.intake import Submission
from lying_relay.insider import Cards
from lying_relay.lie import Lie
from lying_relay.queue import Queue, of_nobody

POLL_SECONDS: Final = 0.05
TOGETHER: Final = 3  # envelopes that change their places
TOGETHER_SECONDS: Final = 0.5  # how long it waits for so many
REPLAYED: Final = 50
SMALLEST: Final = 1024


class Drop(Lie):
    """Says accepted and throws away the first envelope for each mailbox; what follows it is delivered."""

    def __init__(self, cards: Cards, switch: Path | None) -> None:
        super().__init__(cards, switch)
        self._robbed: set[bytes] = set()

    def submit(self, queue: Queue, submission: Submission) -> None:
        """Throw it away, or store it."""
        if submission.mailbox in self._robbed:
            queue.store(submission)
        else:
            self._robbed.add(submission.mailbox)
            queue.pretend(submission)


class NotStored(Lie):
    """Says accepted and stores nothing at all."""

    def submit(self, queue: Queue, submission: Submission) -> None:
        """Forget it."""
        queue.pretend(submission)


class Repeat(Lie):
    """Delivers every envelope three times, under new numbers and ids, and all former ones of that mailbox again."""

    def __init__(self, cards: Cards, switch: Path | None) -> None:
        super().__init__(cards, switch)
        self._former: dict[bytes, list[bytes]] = {}

    def submit(self, queue: Queue, submission: Submission) -> None:
        """Store it, and everything again."""
        queue.store(submission)
        former = self._former.setdefault(submission.mailbox, [])
        former.append(submission.envelope)
        for envelope in [submission.envelope, *former[-REPLAYED:]]:
            queue.store(of_nobody(submission, envelope))


class Reorder(Lie):
    """Says accepted, and stores three envelopes at a time, the last one first."""

    def __init__(self, cards: Cards, switch: Path | None) -> None:
        super().__init__(cards, switch)
        self._held: dict[bytes, list[Submission]] = {}

    def submit(self, queue: Queue, submission: Submission) -> None:
        """Hold it until others have come, or half a second."""
        queue.pretend(submission)
        held = self._held.setdefault(submission.mailbox, [])
        held.append(submission)
        if len(held) == TOGETHER:
            self._let_go(queue, submission.mailbox)
        elif len(held) == 1:
            asyncio.get_running_loop().call_later(TOGETHER_SECONDS, self._let_go, queue, submission.mailbox)

    def _let_go(self, queue: Queue, mailbox: bytes) -> None:
        for submission in reversed(self._held.pop(mailbox, [])):
            queue.store(of_nobody(submission, submission.envelope))


class Delay(Lie):
    """Says accepted, and stores nothing until it stops lying; then everything, in order."""

    def __init__(self, cards: Cards, switch: Path | None) -> None:
        super().__init__(cards, switch)
        self._held: list[Submission] = []

    def submit(self, queue: Queue, submission: Submission) -> None:
        """Hold it."""
        queue.pretend(submission)
        self._held.append(submission)
        if len(self._held) == 1:
            self._look(queue)

    def _look(self, queue: Queue) -> None:
        if self.is_told:
            asyncio.get_running_loop().call_later(POLL_SECONDS, self._look, queue)
            return
        held, self._held = self._held, []
        for submission in held:
            queue.store(of_nobody(submission, submission.envelope))


class _Working(Lie):
    """A lie that takes time: the work goes on beside the relay's."""

    def __init__(self, cards: Cards, switch: Path | None) -> None:
        super().__init__(cards, switch)
        self._tasks: set[asyncio.Task[None]] = set()

    def _work(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Forge(_Working):
    """Puts forged envelopes before each true one: noise, an altered copy, and with cards texts in others' names."""

    def submit(self, queue: Queue, submission: Submission) -> None:
        """Store forgeries first."""
        self._work(self._forge(queue, submission))

    async def _forge(self, queue: Queue, submission: Submission) -> None:
        true = submission.envelope
        false = await self.insider.forged(submission, Kind.TEXT, b"send the money to Mallory")
        altered = true[:-1] + bytes([true[-1] ^ 1])
        for envelope in [true[:6] + os.urandom(SMALLEST - 6), altered, *false]:
            queue.store(of_nobody(submission, envelope))
        queue.store(submission)


class ClaimDelivery(_Working):
    """Stores nothing, and gives all other mailboxes what may pass for a receipt: what they got before, and forged ones.

    A forged receipt is in the name of somebody whose card the relay has.
    """

    def __init__(self, cards: Cards, switch: Path | None) -> None:
        super().__init__(cards, switch)
        self._former: dict[bytes, list[Submission]] = {}

    def watch(self, submission: Submission) -> None:
        """Keep what is delivered, to deliver it again."""
        self._former.setdefault(submission.mailbox, []).append(submission)

    def submit(self, queue: Queue, submission: Submission) -> None:
        """Store receipts elsewhere instead."""
        queue.pretend(submission)
        self._work(self._claim(queue, submission.mailbox))

    async def _claim(self, queue: Queue, mailbox: bytes) -> None:
        others = [former for other, former in self._former.items() if other != mailbox]
        for former in others:
            claim = encode_ids((MessageId(os.urandom(16)),))
            false = await self.insider.forged(former[0], Kind.RECEIPT, claim)
            for envelope in [*false, *(one.envelope for one in former[-REPLAYED:])]:
                queue.store(of_nobody(former[0], envelope))
