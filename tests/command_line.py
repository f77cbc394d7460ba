"""A person at a terminal: the real `halonyx` program, one process a command, a folder of their own.

Commands that end by themselves are forked from a server that has the program loaded: a process of its own each, with
its own environment and standard streams, without half a second of imports. Those that go on start from nothing.
"""

import io
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from relay_process import LOADED, clean_environment

HALONYX: Final = (sys.executable, "-c", "from halonyx.cli.main import main; main()")
COMMAND_SECONDS: Final = 60  # a bound against hanging, not a measurement
PASSPHRASE: Final = "correct horse"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one command printed and how it ended."""

    status: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """Standard output as one JSON object a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def error(self) -> dict[str, str]:
        """The error that --json printed."""
        found: dict[str, str] = json.loads(self.err)["error"]
        return found


@dataclass(frozen=True, slots=True)
class Person:
    """One home on one relay."""

    home: Path
    origin: str
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Environment of this person's commands."""
        own = {"HALONYX_HOME": str(self.home), "HALONYX_RELAY": self.origin, "HALONYX_PASSPHRASE": PASSPHRASE}
        return clean_environment(**(own | self.settings))

    def run(self, *arguments: str, status: int = 0, stdin: bytes = b"") -> Answer:
        """Run one command to its end and check how it ended."""
        with tempfile.TemporaryDirectory() as folder:
            streams = [Path(folder, name) for name in ("in", "out", "err")]
            streams[0].write_bytes(stdin)
            process = LOADED.Process(target=carry_out, args=(arguments, self.environment, streams))
            process.start()
            process.join(COMMAND_SECONDS)
            if process.exitcode is None:
                process.kill()
                process.join()
            out, err = (stream.read_text() if stream.exists() else "" for stream in streams[1:])
            answer = Answer(process.exitcode or 0, out, err)
            process.close()
        assert answer.status == status, f"{arguments}: {answer}"
        return answer

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command that goes on by itself; the caller ends it."""
        return subprocess.Popen(
            [*HALONYX, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def one(self, *arguments: str, stdin: bytes = b"") -> dict[str, Any]:
        """Run one command with --json and return its one object."""
        objects = self.run(*arguments, "--json", stdin=stdin).objects
        assert len(objects) == 1, objects
        return objects[0]

    def many(self, *arguments: str) -> list[dict[str, Any]]:
        """Run one command with --json and return its objects."""
        return self.run(*arguments, "--json").objects

    def card(self) -> str:
        """This person's contact card."""
        card: str = self.one("card")["card"]
        return card


def carry_out(arguments: tuple[str, ...], environment: dict[str, str], streams: list[Path]) -> None:
    """Be the `halonyx` program: the target of a forked process."""
    from halonyx.cli.main import main  # noqa: PLC0415 (loaded by the server)

    os.setsid()  # no terminal to ask at
    os.environ.clear()
    os.environ.update(environment)
    modes = (os.O_RDONLY, os.O_WRONLY | os.O_CREAT, os.O_WRONLY | os.O_CREAT)
    for number, (path, mode) in enumerate(zip(streams, modes, strict=True)):
        os.dup2(os.open(path, mode, 0o600), number)
    sys.stdin = io.TextIOWrapper(io.FileIO(0, "r"), encoding="utf-8", errors="surrogateescape")
    sys.stdout, sys.stderr = (io.TextIOWrapper(io.FileIO(number, "w"), encoding="utf-8") for number in (1, 2))
    sys.argv = ["halonyx", *arguments]
    main()


def sign_up(home: Path, origin: str) -> Person:
    """Make an account and return its person."""
    person = Person(home, origin)
    person.run("account", "create", "--json")
    return person


def introduce(first: Person, first_name: str, second: Person, second_name: str) -> None:
    """Let each add the other's card."""
    first.run("contact", "add", second.card(), "--name", second_name)
    second.run("contact", "add", first.card(), "--name", first_name)


def texts(objects: list[dict[str, Any]]) -> list[str]:
    """Return the texts among events, in order."""
    return [found["text"] for found in objects if "text" in found]
