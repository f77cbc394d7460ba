"""Reading our mailbox: log in, take in, acknowledge, and again after every loss of connection.

Source: spec/delivery.md, "Inbox".
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from halonyx.client import announcements, inbox, repair, upkeep
from halonyx.client.account import load_account, now_ms
from halonyx.client.store import Store
from halonyx.client.transport import DeviceReplaced, Refused, Relay, Socket, log_in, receive_reply
from halonyx.core.errors import BadSignature, HalonyxError, RemoteError, TransportError
from halonyx.wire.announcement import Announce
from halonyx.wire.frames import RECEIVE_PATH, Ack, CaughtUp, Deliver, Hello

FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 30.0
MAX_SEQ: Final = 2**63 - 1  # what the store can hold; an honest relay counts from 1


@dataclass(slots=True)
class Receiver:
    """One run of receiving; changes as the connection does.

    Attributes:
        wake: Called when something may be there to show or to send.
        is_caught_up: The backlog was delivered.
        news: Counts the calls of `wake`.
        left: One-time prekeys left at the relay, as it said at the last login.
        problem: Why there is no connection now, or None.
        pause: Seconds before the next try; grows until a backlog was delivered.
    """

    store: Store
    wake: Callable[[], None]
    is_caught_up: bool = False
    news: int = 0
    left: tuple[int, int] | None = None
    problem: HalonyxError | None = field(default=None)
    pause: float = FIRST_PAUSE_SECONDS

    async def run(self) -> None:
        """Receive until cancelled, or until the relay refuses this device.

        Raises:
            Refused, BadSignature: Trying again would not help.
            StoreError: Nothing can be stored.
        """
        while True:
            try:
                await self._connected()
            except TransportError as error:
                self.problem = error
                self._tell()
            # Spread, so that a relay that restarts is not hit by everyone at once.
            await asyncio.sleep(self.pause * random.uniform(0.5, 1.0))  # noqa: S311 (no secret)  # nosec B311
            self.pause = min(2 * self.pause, LONGEST_PAUSE_SECONDS)

    def _tell(self) -> None:
        self.news += 1
        self.wake()

    async def _connected(self) -> None:
        account = load_account(self.store)
        async with Relay(account.origin) as relay:
            socket = await relay.socket(RECEIVE_PATH)
            try:
                who = (account.address, account.own.device.id)
                hello = Hello(account.epoch, account.cursor)
                welcome = await log_in(socket, account.relay_key, account.login, who, hello)
                self.problem, self.left = None, (welcome.one_time_left, welcome.one_time_kem_left)
                upkeep.note_known(self.store, now_ms())
                if welcome.epoch != account.epoch:
                    self._begin_epoch(welcome.epoch)
                self._tell()
                await self._read(socket, welcome.epoch)
            except DeviceReplaced:
                await upkeep.doubt_login(self.store)
            except (Refused, BadSignature):
                raise
            except RemoteError as error:
                raise TransportError(f"the relay does not keep to the protocol: {error.code}") from None
            finally:
                await socket.close()

    def _begin_epoch(self, epoch: bytes) -> None:
        with self.store.transaction():
            self.store.execute("UPDATE account SET epoch = ?", epoch)
            self.store.execute("UPDATE mailbox SET cursor = 0")
            repair.make_up(self.store, now_ms())

    async def _read(self, socket: Socket, epoch: bytes) -> None:
        account = load_account(self.store)
        while True:
            match await receive_reply(socket, None):
                case Deliver() as deliver if deliver.seq <= MAX_SEQ:
                    # Committed before it is acknowledged: the relay deletes on acknowledgement.
                    inbox.take_in(self.store, account, deliver)
                    await socket.send(Ack(epoch, deliver.seq).encode())
                    self._tell()
                case Announce() as announce:
                    if announcements.take_in(self.store, announce.announcement, now_ms()):
                        self._tell()
                case CaughtUp():
                    self.is_caught_up, self.pause = True, FIRST_PAUSE_SECONDS
                    self._tell()
                case _:
                    raise TransportError("the relay sent a frame that does not belong here")
