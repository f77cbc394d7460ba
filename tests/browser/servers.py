"""Servers besides the relay: `halonyx web` on the person's own machine, and a relay that lies."""

import asyncio
import contextlib
import json
import subprocess
import threading
from collections.abc import Iterator

from client.front import Front
from command_line import HALONYX
from relay_process import RelayProcess, clean_environment, free_port


@contextlib.contextmanager
def own_page(relay: str) -> Iterator[str]:
    """Run `halonyx web` for a relay; return the address of its page."""
    command = [*HALONYX, "web", "--port", str(free_port()), "--relay", relay, "--json"]
    with subprocess.Popen(command, env=clean_environment(), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address: str = json.loads(process.stdout.readline())["address"]
            yield address
        finally:
            process.terminate()


@contextlib.contextmanager
def lying(relay: RelayProcess, port: int) -> Iterator[Front]:
    """Run a server in front of a relay that can answer other than it did; in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    front = Front(relay, port)
    try:
        asyncio.run_coroutine_threadsafe(front.start(), loop).result()
        yield front
    finally:
        asyncio.run_coroutine_threadsafe(front.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
