"""A pseudo-terminal with one command of one person running at it, for what is asked of a person."""

import codecs
import os
import pty
from typing import Self

from command_line import HALONYX, Person
from relay_process import clean_environment


class Terminal:
    """A pseudo-terminal with one command running at it."""

    def __init__(self, person: Person, *arguments: str) -> None:
        environment = clean_environment(
            HALONYX_HOME=str(person.home),
            HALONYX_RELAY=person.origin,
            PYTHON_KEYRING_BACKEND="keyring.backends.fail.Keyring",
        )
        self.seen = ""
        self._decode = codecs.getincrementaldecoder("utf-8")().decode  # a character may come in two reads
        self._answered: dict[str, int] = {}
        self._pid, self._descriptor = pty.fork()
        if self._pid == 0:  # pragma: no cover (the child)
            os.execvpe(HALONYX[0], [*HALONYX, *arguments], environment)  # noqa: S606

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def type(self, line: str) -> None:
        """Type a line."""
        os.write(self._descriptor, line.encode() + b"\n")

    def wait_for(self, words: str, times: int = 1) -> None:
        """Read until `words` have been printed this many times."""
        while self.seen.count(words) < times:
            assert self._read(), f"ended before {words!r}: {self.seen}"

    def answer(self, question: str, line: str) -> None:
        """Wait until `question` is asked once more than it was answered, then type a line."""
        self._answered[question] = self._answered.get(question, 0) + 1
        self.wait_for(question, self._answered[question])
        self.type(line)

    def end(self) -> int:
        """Read to the end and return the exit status."""
        while self._read():
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def _read(self) -> bool:
        try:
            data = os.read(self._descriptor, 4096)
        except OSError:  # the other side closed
            return False
        self.seen += self._decode(data).replace("\r\n", "\n")
        return bool(data)
