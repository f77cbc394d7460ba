"""A TCP proxy between clients and a relay that cuts connections, and freezes them: half-open, as a lost network is."""

import asyncio
import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

CHUNK: Final = 16_384
SMALLEST_ENVELOPE: Final = 1024


class Freeze(Enum):
    """Which bytes no longer pass."""

    UP = auto()
    DOWN = auto()
    BOTH = auto()


@dataclass(slots=True)
class _Way:
    """One direction of one connection; `passed` is set when an envelope's first bytes went through."""

    passed: asyncio.Event
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    is_open: asyncio.Event = field(default_factory=asyncio.Event)

    async def carry(self) -> None:
        """Pass bytes until the end. A frozen way passes nothing on, not even the end."""
        data = await self._next()
        while data:
            try:
                self.writer.write(data)
                await self.writer.drain()
            except OSError:
                return
            if len(data) >= SMALLEST_ENVELOPE:
                self.passed.set()
            data = await self._next()

    async def _next(self) -> bytes:
        try:
            data = await self.reader.read(CHUNK)
        except OSError:
            data = b""
        await self.is_open.wait()
        return data

    def cut(self) -> None:
        """Reset: what was under way is lost."""
        self.writer.transport.abort()


@dataclass(eq=False, slots=True)
class _Line:
    up: _Way
    down: _Way

    @property
    def is_frozen(self) -> bool:
        return not (self.up.is_open.is_set() and self.down.is_open.is_set())

    async def carry(self) -> None:
        """Pass bytes both ways until one side ends; then end both, unless the network says nothing of it."""
        ways = [asyncio.create_task(self.up.carry()), asyncio.create_task(self.down.carry())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self.cut()

    def freeze(self, which: Freeze) -> None:
        if which is not Freeze.DOWN:
            self.up.is_open.clear()
        if which is not Freeze.UP:
            self.down.is_open.clear()

    def thaw(self) -> None:
        self.up.is_open.set()
        self.down.is_open.set()

    def cut(self) -> None:
        self.up.cut()
        self.down.cut()


class Proxy:
    """Listens on a port of its own, and passes every connection on to the relay's.

    Args:
        relay_port: Where the relay listens while it lives.
    """

    def __init__(self, relay_port: int) -> None:
        self._relay_port = relay_port
        self._server: asyncio.Server | None = None
        self._lines: list[_Line] = []
        self._passed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, port: int = 0) -> int:
        """Listen; return the port."""
        self._server = await asyncio.start_server(self._came, "127.0.0.1", port)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        """Cut everything and stop listening."""
        assert self._server is not None
        self._server.close()
        self.cut_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def envelopes_pass(self, count: int, seconds: float) -> None:
        """Return as soon as envelopes passed `count` times, whichever way, but at the latest after so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for _ in range(count):
                    self._passed.clear()
                    await self._passed.wait()

    def cut_one(self, dice: random.Random) -> bool:
        """Reset some connection; False when there is none."""
        return self._with_one(dice, self._lines, _Line.cut)

    def cut_all(self) -> None:
        """Reset every connection."""
        for line in self._lines:
            line.cut()

    def freeze_one(self, dice: random.Random) -> bool:
        """Make some connection half-open; False when there is none."""
        which = dice.choice(list(Freeze))
        return self._with_one(
            dice, [line for line in self._lines if not line.is_frozen], lambda line: line.freeze(which)
        )

    def freeze_all(self) -> None:
        """Make every connection half-open; new ones are not concerned."""
        for line in self._lines:
            line.freeze(Freeze.BOTH)

    def thaw_one(self, dice: random.Random) -> bool:
        """Let the late bytes of some half-open connection through; False when there is none."""
        return self._with_one(dice, [line for line in self._lines if line.is_frozen], _Line.thaw)

    def heal(self) -> None:
        """End what is half-open: the network is back, and knows nothing of those connections."""
        for line in self._lines:
            if line.is_frozen:
                line.cut()

    @staticmethod
    def _with_one(dice: random.Random, lines: list[_Line], act: Callable[[_Line], None]) -> bool:
        if not lines:
            return False
        act(dice.choice(lines))
        return True

    async def _came(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._join(reader, writer)
        except asyncio.CancelledError:
            return  # by `close`; streams would report a cancelled connection as a failure
        finally:
            self._tasks.discard(task)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            relay_reader, relay_writer = await asyncio.open_connection("127.0.0.1", self._relay_port)
        except OSError:
            writer.transport.abort()
            return
        line = _Line(_Way(self._passed, reader, relay_writer), _Way(self._passed, relay_reader, writer))
        line.thaw()
        self._lines.append(line)
        try:
            await line.carry()
        finally:
            self._lines.remove(line)
