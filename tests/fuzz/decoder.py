"""What a decoder is held to: a value that encodes to the same bytes again, or one of the errors it names."""

import base64
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from vectors import FOLDER as VECTORS

T = TypeVar("T")
KEPT: Final = Path(__file__).with_name("corpus")


class Wrong(AssertionError):
    """A decoder took bytes that are not the encoding of what it made of them."""


@dataclass(frozen=True)
class Decoder(Generic[T]):
    """One decoder.

    Attributes:
        decode: Reads bytes as they come from outside.
        is_same: Tells whether a value, encoded again, is what it was decoded from.
        errors: What else `decode` may do: raise one of exactly these.
        seeds: Operation and field of the vectors that begin its corpus.
        made: What else begins it.
    """

    name: str
    decode: Callable[[bytes], T]
    is_same: Callable[[T, bytes], bool]
    errors: tuple[type[Exception], ...]
    seeds: tuple[tuple[str, str], ...] = ()
    made: Callable[[], Iterable[bytes]] = field(default=lambda: ())

    def check(self, data: bytes) -> bool:
        """Decode; tell whether there was a value. Whatever is raised is a bug."""
        try:
            value = self.decode(data)
        except self.errors as error:
            if type(error) not in self.errors:
                raise
            return False
        if not self.is_same(value, data):
            raise Wrong(self.name)
        return True


def exactly(encode: Callable[[T], bytes]) -> Callable[[T, bytes], bool]:
    """Compare by encoding again."""
    return lambda value, data: encode(value) == data


def text(data: bytes) -> str:
    """Return bytes as a command's argument comes: what is no UTF-8 becomes half a surrogate pair."""
    return data.decode("utf-8", "surrogateescape")


def seeds(decoders: Iterable[Decoder[Any]]) -> set[bytes]:
    """Return what the corpus of some decoders begins with, and what was kept of former runs."""
    wanted = {seed for decoder in decoders for seed in decoder.seeds}
    found = {made for decoder in decoders for made in decoder.made()}
    for path in VECTORS.glob("*.json"):
        for vector in json.loads(path.read_text()).get("vectors", ()):  # their schema has none
            for operation, name in wanted:
                if vector["operation"] == operation:
                    found.add(_bytes(vector["input"][name]))
    return found


def kept(family: str) -> set[bytes]:
    """Return the kept corpus of a family: one input a line, in base64."""
    path = KEPT / f"{family}.txt"
    return {base64.b64decode(line) for line in path.read_text().splitlines()} if path.exists() else set()


def keep(family: str, inputs: Iterable[bytes]) -> None:
    """Write the kept corpus of a family."""
    lines = sorted(base64.b64encode(one).decode("ascii") for one in set(inputs))
    (KEPT / f"{family}.txt").write_text("".join(f"{line}\n" for line in lines))


def _bytes(value: str) -> bytes:
    try:
        return bytes.fromhex(value)
    except ValueError:
        return value.encode()
