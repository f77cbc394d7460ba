"""Someone with the Python client, in a thread of their own: Playwright's loop has the thread of the test."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from browser.people import Person
from halonyx.client import Client, Event, Message, create_account
from halonyx.core.types import Usid

HANGING_SECONDS: Final = 90  # a bound against hanging, not a measurement
POLL_SECONDS: Final = 0.01
PASSPHRASE: Final = "correct horse"

Result = TypeVar("Result")


@dataclass
class Peer:
    """An open account that receives all the time.

    Attributes:
        events: What it was shown, as it came.
    """

    client: Client
    loop: asyncio.AbstractEventLoop
    events: list[Event] = field(default_factory=list)
    _news: threading.Condition = field(default_factory=threading.Condition)

    @property
    def card(self) -> str:
        """Its card as a link, the form that the other dialogs share."""
        return self.call(self._of(lambda: self.client.card().link()))

    @property
    def usid(self) -> Usid:
        return self.call(self._of(lambda: self.client.account.usid))

    def add(self, card: str, name: str) -> None:
        self.call(self.client.contacts.add(card, name))

    def write(self, name: str, texts: Iterable[str]) -> None:
        """Send one after another, and return when the relay has them all."""
        self.begin_to_write(name, texts).result(HANGING_SECONDS)

    def begin_to_write(self, name: str, texts: Iterable[str]) -> "Future[None]":
        """Begin to send one after another; the future ends when the relay has them all."""

        async def send() -> None:
            for text in texts:
                sent = await self.client.send(name, text, HANGING_SECONDS)
                assert sent.state != "waiting", sent

        return asyncio.run_coroutine_threadsafe(send(), self.loop)

    def texts(self) -> list[str]:
        with self._news:
            return self._texts()

    def until(self, count: int) -> list[str]:
        """Wait for this many messages, and return them all."""
        with self._news:
            is_there = self._news.wait_for(lambda: len(self._texts()) >= count, HANGING_SECONDS)
            assert is_there, f"{len(self._texts())} of {count} messages came"
            return self._texts()

    def until_state(self, name: str, text: str, state: str) -> None:
        """Wait until what it wrote to someone has come this far."""

        def is_there() -> bool:
            return any(entry.text == text and entry.state == state for entry in self.client.history(name))

        self.call(self._once(is_there))

    def accept(self, name: str) -> None:
        """Accept the first request, as soon as there is one."""

        async def accept() -> None:
            await self._once(lambda: bool(self.client.contacts.requests()))
            await self.client.contacts.accept(self.client.contacts.requests()[0].name, name)

        self.call(accept())

    def change(self, sql: str, *values: object) -> None:
        """Change its store behind its back, as a fault would."""

        async def change() -> None:
            with self.client._store.transaction():
                self.client._store.execute(sql, *values)

        self.call(change())

    def stored(self, sql: str) -> list[tuple[Any, ...]]:
        """Read its store, as whoever has its passphrase could."""
        return self.call(self._of(lambda: [tuple(row) for row in self.client._store.all(sql)]))

    def call(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(HANGING_SECONDS)

    def _texts(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Message)]

    async def _of(self, value: Callable[[], Result]) -> Result:
        return value()

    async def _once(self, is_there: Callable[[], bool]) -> None:
        async with asyncio.timeout(HANGING_SECONDS):
            while not is_there():  # noqa: ASYNC110 (another task changes it)
                await asyncio.sleep(POLL_SECONDS)

    async def follow(self) -> None:
        """Receive until cancelled."""
        async for event in self.client.events(follow=True):
            with self._news:
                self.events.append(event)
                self._news.notify_all()


@contextlib.contextmanager
def peer(home: Path, origin: str) -> Iterator[Peer]:
    """Make an account and open it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    ready: list[Peer] = []
    opened, done = threading.Event(), asyncio.Event()

    async def live() -> None:
        await create_account(home, origin, PASSPHRASE)
        async with Client.open(home, PASSPHRASE) as client:
            ready.append(Peer(client, loop))
            following = asyncio.create_task(ready[0].follow())
            opened.set()
            await done.wait()
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following

    life = asyncio.run_coroutine_threadsafe(live(), loop)
    life.add_done_callback(lambda _: opened.set())
    try:
        opened.wait(HANGING_SECONDS)
        if not ready:
            life.result(0)
        yield ready[0]
    finally:
        loop.call_soon_threadsafe(done.set)
        life.result(HANGING_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def acquaint(person: Person, person_name: str, other: Peer, other_name: str) -> None:
    """Let a person at the browser and one at the Python client add each other's card."""
    other.add(person.card(), person_name)
    person.add(other.card, other_name)
