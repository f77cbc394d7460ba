"""The hub: every open connection, who receives for which mailbox, and the way to the writer.

All of it lives on the event loop; only `MailboxStore` has a thread.

Source: spec/delivery.md, "Connections" and "Bounds".
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Final, cast

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from halonyx.core.primitives import SigningKey
from halonyx.core.types import Millis
from halonyx.relay.announcing import LOOK_SECONDS, Board
from halonyx.relay.decide import Limits, Pressure, pressure
from halonyx.relay.events import Event, log
from halonyx.relay.handshake import MAIL_PATHS, Upgrade
from halonyx.relay.limits import Limiter
from halonyx.relay.receiving import LoginKey, PrekeysLeft, Receiving
from halonyx.relay.sending import Sending
from halonyx.relay.sockets import Connection
from halonyx.relay.store.intake import Acknowledged, Submission, system_clock
from halonyx.relay.store.mailbox import MailboxStore
from halonyx.relay.tracker import Tracker, Tracking
from halonyx.relay.upkeep import every
from halonyx.wire.frames import RECEIVE_PATH, CloseCode, Status
from halonyx.wire.tracker import TRACKER_PATH

TOLD_AT_ONCE: Final = 100  # devices that hear an announcement before anything else is done


@dataclass(slots=True)
class Counts:
    """What has happened since the start; no label names anybody."""

    submitted: int = 0
    accepted: int = 0
    busy: int = 0
    delivered: int = 0
    acknowledged: int = 0
    replaced: int = 0
    swept: int = 0

    def collect(self) -> Iterator[Metric]:
        """Return the counts for /metrics."""
        for item in fields(self):
            yield CounterMetricFamily(f"halonyx_{item.name}", f"How many were {item.name}", getattr(self, item.name))


class Hub:
    """One relay's connections.

    Args:
        mailboxes: The store; the hub attaches itself to it, so make it on the event loop.
        login_key: Login key of a device, or None.
        prekeys_left: Unused one-time prekeys and one-time KEM prekeys of a device.
        relay_key: Signs challenges.
        origins: The relay's own origins.
        limits: The operator's bounds.
        limiter: Counts upgrades.
        rate_sockets: Their rate per client.
        behind_proxy: Whether X-Forwarded-For is believed.
        tracker: Introduces people who send files; None if this relay does not.
        board: What the operator announced; None announces nothing.
        clock: Milliseconds since 1970.
    """

    def __init__(  # noqa: PLR0913 (everything a connection needs)
        self,
        mailboxes: MailboxStore,
        *,
        login_key: LoginKey,
        prekeys_left: PrekeysLeft,
        relay_key: SigningKey,
        origins: tuple[str, ...],
        limits: Limits,
        limiter: Limiter,
        rate_sockets: str,
        behind_proxy: bool = False,
        tracker: Tracker | None = None,
        board: Board | None = None,
        clock: Callable[[], int] = system_clock,
    ) -> None:
        self.mailboxes = mailboxes
        self.names = mailboxes.names
        self.login_key = login_key
        self.prekeys_left = prekeys_left
        self.relay_key = relay_key
        self.origins = origins
        self.limits = limits
        self._limiter = limiter
        self._rate = rate_sockets
        self.behind_proxy = behind_proxy
        self.tracker = tracker
        self._board = board
        self.paths = MAIL_PATHS if tracker is None else MAIL_PATHS | {TRACKER_PATH}
        self.counts = Counts()
        self.pressure = Pressure.OPEN
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time()
        self._connections: set[Connection] = set()
        self._networks: Counter[str] = Counter()
        self._receivers: dict[bytes, Receiving] = {}
        self._unproved = 0
        self._senders = 0
        self._outbox: list[object] = []
        self._queued = 0
        self._queued_bytes = 0
        self._paused_at = self.now
        self._tasks: set[asyncio.Task[None]] = set()
        mailboxes.attach(self)

    def start(self) -> None:
        """Begin to look after time: deadlines of connections, expiry of envelopes."""
        self.keep(self._loop.create_task(every(self.limits.tick_s, self._tick)))
        # Not at once: a machine's clock may be wrong when it starts, and what is deleted by it is lost.
        sweep = every(self.limits.sweep_s, self._sweep, first=self.limits.sweep_s)
        self.keep(self._loop.create_task(sweep))
        self.keep(self._loop.create_task(every(LOOK_SECONDS, self._look)))

    async def stop(self) -> None:
        """End the tasks; connections are closed before, by whoever stops the server."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def clock(self) -> Millis:
        """Return the time of day."""
        return Millis(self._clock())

    def announcement(self) -> bytes | None:
        """Return the frame of the operator's announcement, if there is one to tell."""
        return None if self._board is None else self._board.frame(self.clock())

    def collect(self) -> Iterator[Metric]:
        """Return what /metrics shows of the sockets; no number is about one account."""
        yield from self.counts.collect()
        yield GaugeMetricFamily("halonyx_connections", "Open WebSockets", len(self._connections))
        yield GaugeMetricFamily("halonyx_receivers", "Devices logged in", len(self._receivers))
        yield GaugeMetricFamily("halonyx_writer_queue", "Envelopes waiting for the writer", self._queued)
        if self.tracker is not None:
            yield from self.tracker.collect()

    # Connections

    def admit(self, upgrade: Upgrade, network: str) -> Connection | None:
        """Make the connection for an upgrade, or refuse when the client or everybody has too many."""
        if upgrade.path == TRACKER_PATH:
            tracking = self.tracker.admit(self, upgrade.query, network) if self.tracker else None
            if tracking is not None:
                self._connections.add(tracking)
            return tracking
        if self._limiter.hit(self._rate, "sockets", self._limiter.client(network)):
            return None
        if self._networks[network] >= self.limits.connections_per_client:
            return None
        connection: Connection
        if upgrade.path == RECEIVE_PATH:
            if self._unproved >= self.limits.unauthenticated_connections:
                return None
            self._unproved += 1
            connection = Receiving(self, network, upgrade.origin)
        else:
            if self._senders >= self.limits.sending_connections:
                return None
            self._senders += 1
            connection = Sending(self, network)
        self._connections.add(connection)
        self._networks[network] += 1
        return connection

    def gone(self, connection: Connection) -> None:
        """Drop a connection whose socket is closed."""
        if connection in self._connections:
            self._connections.discard(connection)
            if isinstance(connection, Tracking):
                return
            if isinstance(connection, Sending):
                self._senders -= 1
            self._networks[connection.network] -= 1
            if not self._networks[connection.network]:
                del self._networks[connection.network]

    def enter(self, connection: Receiving, mailbox: bytes) -> None:
        """Make this the device's only connection: the newest wins."""
        self._unproved -= 1
        former = self._receivers.get(mailbox)
        self._receivers[mailbox] = connection
        if former is not None:
            self.counts.replaced += 1
            former.close(CloseCode.REPLACED)

    def leave(self, connection: Connection) -> None:
        """Deliver nothing more to a connection. A newer one of the same device stays."""
        if not isinstance(connection, Receiving):
            return
        if not connection.is_proved:
            self._unproved -= 1
        elif connection.mailbox is not None and self._receivers.get(connection.mailbox) is connection:
            del self._receivers[connection.mailbox]

    def dropped(self, mailbox: bytes) -> None:
        """Close the connection of a mailbox that is gone."""
        receiver = self._receivers.get(mailbox)
        if receiver is not None:
            receiver.close(CloseCode.NOT_AUTHENTICATED)

    # To the writer and back

    def submit(self, submission: Submission) -> None:
        """Put a submission before the writer."""
        self.counts.submitted += 1
        self._queued += 1
        self._queued_bytes += len(submission.envelope)
        if self.pressure is not Pressure.PAUSED:
            self._weigh()
        self._post(submission)

    def acknowledge(self, rows: list[int]) -> None:
        """Put acknowledged rows before the writer."""
        self.counts.acknowledged += len(rows)
        self._post(Acknowledged(rows))

    def count_delivered(self) -> None:
        """Count one delivery."""
        self.counts.delivered += 1

    def _post(self, item: object) -> None:
        if not self._outbox:
            self._loop.call_soon(self.flush)  # one hand-over for everything this turn of the loop reads
        self._outbox.append(item)

    def flush(self) -> None:
        """Hand over at once what waits for the writer."""
        if self._outbox:
            items, self._outbox = self._outbox, []
            self.mailboxes.database.post(items)

    def settled(self, submissions: list[Submission]) -> None:
        """Answer the senders, push to the receivers."""
        receivers = self._receivers
        for submission in submissions:
            self._queued -= 1
            self._queued_bytes -= len(submission.envelope)
            if submission.status is Status.ACCEPTED:
                self.counts.accepted += 1
            elif submission.status is Status.BUSY:
                self.counts.busy += 1
            sender = cast(Sending, submission.sender)
            with _Apart(sender):
                sender.settled(submission)
            if submission.row:
                receiver = receivers.get(submission.mailbox)
                if receiver is not None:
                    with _Apart(receiver):
                        receiver.committed(submission)
        if self.pressure is not Pressure.OPEN:
            self._weigh()

    def _weigh(self) -> None:
        former = self.pressure
        self.pressure = pressure(
            former, self._queued, self._queued_bytes, self._loop.time() - self._paused_at, self.limits
        )
        if self.pressure is former:
            return
        senders = [connection for connection in self._connections if isinstance(connection, Sending)]
        if self.pressure is Pressure.PAUSED:
            self._paused_at = self._loop.time()
            for sender in senders:
                sender.pause_reading()
        else:
            for sender in senders:
                sender.read_if_allowed()

    # Time

    def keep(self, task: asyncio.Task[None]) -> None:
        """Hold a task until it is done: the event loop itself does not."""
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log(Event.UPKEEP_FAILED, error=type(error).__name__)

    async def _tick(self) -> None:
        self.tick()

    def tick(self) -> None:
        """Carry out what time asks of every connection."""
        self.now = self._loop.time()
        self._weigh()
        for connection in tuple(self._connections):
            with _Apart(connection):
                connection.tick()

    async def _look(self) -> None:
        frame = None if self._board is None else self._board.look(self.clock())
        if frame is None:
            return
        for told, receiver in enumerate(tuple(self._receivers.values())):
            with _Apart(receiver):
                receiver.announce(frame)
            if told % TOLD_AT_ONCE == 0:
                await asyncio.sleep(0)  # mail goes on meanwhile

    async def _sweep(self) -> None:
        swept = await self.mailboxes.sweep()
        self.counts.swept += swept
        if swept:
            log(Event.SWEPT, count=swept)


class _Apart:
    """Ends the one connection in which something unforeseen happened; the others don't notice."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Exception):
            return False
        log(Event.SOCKET_FAILED, error=type(error).__name__)
        self._connection.abort()
        return True
