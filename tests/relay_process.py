"""A real relay as a process of its own, for suites that talk to it over the network.

It is forked from a server that has the program loaded, which saves most of a start: its imports.
Limits are generous through settings, because all people of a test share one client address.
"""

import contextlib
import http.client
import multiprocessing
import os
import random
import runpy
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Final

# One server forks every program of the tests: there is one for all of a process.
LOADED: Final = multiprocessing.get_context("forkserver")
LOADED.set_forkserver_preload(["halonyx.relay.server", "halonyx.cli.main", "halonyx.client"])

STARTING_SECONDS: Final = 30
STOPPING_SECONDS: Final = 15
GENEROUS: Final = {
    "HALONYX_LOG_LEVEL": "warning",
    "HALONYX_CONNECTIONS_PER_CLIENT": "1000",
    "HALONYX_HTTP_CONNECTIONS_PER_CLIENT": "1000",
    "HALONYX_RATE_SIGN_UP": "100000/hour",
    "HALONYX_RATE_SIGN_UP_TOTAL": "100000/hour",
    "HALONYX_RATE_CHALLENGE": "100000/minute",
    "HALONYX_RATE_SIGNED": "100000/minute",
    "HALONYX_RATE_LOOKUP": "100000/minute",
    "HALONYX_RATE_BUNDLE": "100000/minute",
    "HALONYX_RATE_BUNDLE_DEVICE": "100000/hour",
    "HALONYX_RATE_BUNDLE_REQUESTS": "100000/hour",
    "HALONYX_RATE_BUNDLE_CLIENT": "100000/hour",
    "HALONYX_RATE_PUBLIC": "100000/minute",
    "HALONYX_RATE_SOCKETS": "100000/minute",
    "HALONYX_RATE_TRACKER_SOCKETS": "100000/minute",
    "HALONYX_RATE_TRACKER": "100000/minute",
    "HALONYX_RATE_DROP": "100000/minute",
    "HALONYX_TRACKER_CONNECTIONS_PER_CLIENT": "1000",
    "HALONYX_TRACKER_SWARMS_PER_CLIENT": "1000",
}


def clean_environment(**settings: str) -> dict[str, str]:
    """Return this process's environment without its own HALONYX_ variables and with `settings`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HALONYX_")}
    return kept | settings


def free_port() -> int:
    """Return a port of loopback, free for TCP and UDP, that the kernel gives to nobody who asks for any."""
    for port in random.sample(range(20_000, 30_000), 100):
        with contextlib.ExitStack() as probes, contextlib.suppress(OSError):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                probes.enter_context(socket.socket(socket.AF_INET, kind)).bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


@dataclass(slots=True)
class RelayProcess:
    """One relay that can be stopped, killed and started again on the same port and files.

    Attributes:
        data: Its data folder; the secrets file lies beside it.
        settings: HALONYX_… variables over the generous ones; with another, the interpreter's, it starts from nothing.
        program: Module that is run, and what its command line begins with.
    """

    port: int
    data: Path
    settings: dict[str, str] = field(default_factory=dict)
    program: tuple[str, ...] = ("halonyx.relay",)
    _process: ForkServerProcess | None = None

    @property
    def origin(self) -> str:
        """How clients name it."""
        return f"http://localhost:{self.port}"

    @property
    def log_path(self) -> Path:
        """Everything it has written, over all its starts."""
        return self.data.with_name(self.data.name + ".log")

    @property
    def pid(self) -> int:
        """Process id while it runs."""
        assert self._process is not None
        assert self._process.pid is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and return once it answers; AssertionError with its log if it does not."""
        arguments = (*self.program, "--port", str(self.port), "--data", str(self.data))
        environment = clean_environment(**(GENEROUS | self.settings))
        is_loaded = all(name.startswith("HALONYX_") for name in self.settings)
        self._process = LOADED.Process(
            target=carry_out, args=(arguments, environment, self.log_path, is_loaded), daemon=True
        )
        self._process.start()
        deadline = time.monotonic() + STARTING_SECONDS
        while not self.is_ready():
            assert self._process.exitcode is None, f"the relay stopped:\n{self.log()}"
            assert time.monotonic() < deadline, f"the relay does not answer:\n{self.log()}"
            time.sleep(0.02)

    def is_ready(self) -> bool:
        """Tell whether /readyz says yes."""
        connection = http.client.HTTPConnection("localhost", self.port, timeout=2)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def log(self) -> str:
        """Return what it has written so far."""
        return self.log_path.read_text(errors="replace")

    def stop(self) -> int:
        """Ask it to stop (SIGTERM) and return its exit status."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """Kill it where it stands (SIGKILL)."""
        return self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> int:
        ended, self._process = self._process, None
        assert ended is not None
        assert ended.pid is not None
        if ended.exitcode is None:
            os.kill(ended.pid, number)
        ended.join(STOPPING_SECONDS)
        is_hanging = ended.exitcode is None
        if is_hanging:
            ended.kill()
            ended.join()
        assert not is_hanging, f"the relay does not stop:\n{self.log()}"
        assert ended.exitcode is not None
        return ended.exitcode

    @property
    def is_running(self) -> bool:
        """Tell whether it was started and not stopped."""
        return self._process is not None


def carry_out(command: tuple[str, ...], environment: dict[str, str], log: Path, is_loaded: bool) -> None:  # noqa: FBT001
    """Be `python -m` with the words of `command`: the target of a forked process."""
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in (1, 2):
        os.dup2(written, number)
    if not is_loaded:
        os.execve(sys.executable, [sys.executable, "-m", *command], environment)  # noqa: S606
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = list(command)
    runpy.run_module(command[0], run_name="__main__", alter_sys=True)


@contextlib.contextmanager
def running_relay(folder: Path, **settings: str) -> Iterator[RelayProcess]:
    """Run a relay on a free port with its files in `folder`; `settings` are HALONYX_… variables."""
    folder.mkdir(parents=True, exist_ok=True)
    relay = RelayProcess(free_port(), folder / "relay", dict(settings))
    relay.start()
    try:
        yield relay
    finally:
        if relay.is_running:
            relay.stop()
