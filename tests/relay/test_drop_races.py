"""What is deleted and left again under the same name, while the disk is slow."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from relay.drop_kit import SETTINGS, File
from relay.rest_kit import Person, running_relay

WAIT_S = 10


class SlowDisk(ThreadPoolExecutor):
    """The threads that wait for the disk; the next to start after `delay` comes to nothing before `go_on`."""

    def __init__(self) -> None:
        super().__init__()
        self._is_next_late = False
        self.is_waiting = asyncio.Event()
        self._go_on = threading.Event()

    def delay(self) -> None:
        self._is_next_late = True

    def go_on(self) -> None:
        self._go_on.set()

    def submit(self, work: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:  # noqa: ANN401 (the library's)
        if not self._is_next_late:
            return super().submit(work, *given, **named)
        self._is_next_late = False
        self.is_waiting.set()

        def late() -> object:
            self._go_on.wait(WAIT_S)
            return work(*given, **named)

        return super().submit(late)


async def test_what_is_left_again_is_not_deleted_with_what_was_there(tmp_path: Path) -> None:
    async with running_relay(tmp_path, **SETTINGS) as relay:
        alice, file, disk = Person(), File(), SlowDisk()
        await alice.sign_up(relay)
        await file.upload(relay, alice)
        asyncio.get_running_loop().set_default_executor(disk)
        disk.delay()
        deleting = asyncio.create_task(file.delete(relay))
        await asyncio.wait_for(disk.is_waiting.wait(), WAIT_S)

        token = (await file.open(relay, alice)).json["upload"]
        early = await file.put(relay, token, 0, file.content)
        disk.go_on()
        assert (await deleting).status == 200
        await file.upload(relay, alice)

        assert early.code == "drop-conflict"
        assert (await file.get(relay)).body == file.content
