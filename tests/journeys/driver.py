"""Processes that live until they are killed: the relay, and for each person one that sends and one that receives.

They are forked from a server that has the program loaded already, so that a life costs milliseconds. What runs in them
is the program itself; a driver only passes on what it is told over a pipe, and says what came of it.
"""

import asyncio
import contextlib
import ctypes
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Final

from halonyx.client import Client, Message
from halonyx.client.store import STORE_FILE, Store
from halonyx.core.errors import HalonyxError
from halonyx.relay import server
from halonyx.relay.settings import load_settings

PRELOADED: Final = ["pytest", "halonyx.client", "halonyx.relay.server"]
PR_SET_PDEATHSIG: Final = 1
DYING_SECONDS: Final = 10

_processes: Final = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(PRELOADED)


@dataclass(frozen=True, slots=True)
class Command:
    """Send a text.

    Attributes:
        wait: How long to wait for `accepted`; 0 leaves at once.
    """

    to: str
    text: str
    wait: float


@dataclass(frozen=True, slots=True)
class Said:
    """What a driver reports.

    Attributes:
        kind: `sent` (values: id, state), `shown` (values: id, text), or `failed` (values: what, why).
    """

    kind: str
    values: tuple[str, str]


@dataclass(slots=True)
class Life:
    """One process, until it is killed.

    Attributes:
        said: What it reported, in order.
        asked: Commands given.
    """

    name: str
    process: ForkServerProcess
    pipe: Connection
    said: list[Said] = field(default_factory=list)
    asked: int = 0

    @classmethod
    def begin(cls, name: str, run: Callable[..., None], *arguments: object) -> "Life":
        """Fork a process that calls `run(pipe, *arguments)`."""
        ours, theirs = _processes.Pipe()
        process = _processes.Process(target=_live, args=(run, theirs, *arguments), name=name, daemon=True)
        process.start()
        theirs.close()
        return cls(name, process, ours)

    def tell(self, command: Command) -> None:
        """Give a command; one that died meanwhile does not hear it."""
        self.asked += 1
        with contextlib.suppress(OSError):
            self.pipe.send(command)

    def listen(self) -> None:
        """Take in what it reported so far."""
        with contextlib.suppress(EOFError, OSError):
            while self.pipe.poll():
                self.said.append(self.pipe.recv())

    @property
    def is_idle(self) -> bool:
        """Whether every command is carried out."""
        return self.asked == sum(said.kind == "sent" for said in self.said)

    @property
    def has_ended(self) -> bool:
        """Whether it ended by itself, which no driver should."""
        return self.process.exitcode is not None

    def kill(self) -> None:
        """Kill it where it stands (SIGKILL) and take in its last words."""
        self.process.kill()
        self.process.join(DYING_SECONDS)
        assert self.process.exitcode is not None, f"{self.name} survived SIGKILL"
        self.listen()
        self.pipe.close()
        self.process.close()


def send(pipe: Connection, home: Path, key: bytes) -> None:
    """Be the process in which one person writes."""

    async def main() -> None:
        told: asyncio.Queue[Command] = asyncio.Queue()
        asyncio.get_running_loop().add_reader(pipe.fileno(), _hear, pipe, told)
        with _store(home, key) as store:
            me = Client(home, store)
            while True:
                command = await told.get()
                sent = await me.send(command.to, command.text, command.wait)
                pipe.send(Said("sent", (sent.id.hex(), sent.state)))

    asyncio.run(main())


def _hear(pipe: Connection, told: asyncio.Queue[Command]) -> None:
    try:
        told.put_nowait(pipe.recv())
    except EOFError:
        os._exit(0)  # the tests are gone, and so is who would end this process


def receive(pipe: Connection, home: Path, key: bytes) -> None:
    """Be the process in which one person reads."""

    async def main() -> None:
        with _store(home, key) as store:
            async for event in Client(home, store).events(follow=True):
                if isinstance(event, Message):
                    pipe.send(Said("shown", (event.id.hex(), event.text)))

    asyncio.run(main())


def relay(pipe: Connection, log: Path, settings: dict[str, Any]) -> None:
    """Be the relay, exactly as its command starts it; what it says goes to the end of `log`."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    server.run(load_settings(**settings))


def _live(run: Callable[..., None], pipe: Connection, *arguments: object) -> None:
    # Nothing outlives the tests: the fork server ends with them, and this process with the fork server.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        run(pipe, *arguments)
    except (EOFError, BrokenPipeError):
        return
    except HalonyxError as error:
        pipe.send(Said("failed", (error.code, str(error))))
        raise


@contextlib.contextmanager
def _store(home: Path, key: bytes) -> Iterator[Store]:
    """Open a store by its key: deriving it from a passphrase takes longer than most lives last."""
    store = Store(home / STORE_FILE, key)
    try:
        yield store
    finally:
        store.close()
