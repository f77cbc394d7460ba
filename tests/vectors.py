"""Reads vectors/*.json, the known answers that every implementation reproduces."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent / "vectors"


class Fields:
    """A JSON object whose every field must be read.

    Args:
        values: As parsed.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self._unread = set(values)
        self._inside: list[Fields] = []

    def _take(self, name: str, kind: type) -> Any:  # noqa: ANN401 (checked here)
        self._unread.discard(name)
        value = self._values[name]
        assert isinstance(value, kind), f"{name} is no {kind.__name__}"
        return value

    def hex(self, name: str) -> bytes:
        """Return bytes."""
        return bytes.fromhex(self._take(name, str))

    def hex_or_none(self, name: str) -> bytes | None:
        """Return bytes, or None for null."""
        return None if self.is_null(name) else self.hex(name)

    def hexes(self, name: str) -> list[bytes]:
        """Return a list of bytes."""
        return [bytes.fromhex(item) for item in self._take(name, list)]

    def text(self, name: str) -> str:
        """Return a string."""
        return str(self._take(name, str))

    def texts(self, name: str) -> list[str]:
        """Return a list of strings."""
        return [str(item) for item in self._take(name, list)]

    def number(self, name: str) -> int:
        """Return an integer."""
        return int(self._take(name, int))

    def inside(self, name: str) -> "Fields":
        """Return an object."""
        return self._keep(self._take(name, dict))

    def all_inside(self, name: str) -> "list[Fields]":
        """Return a list of objects."""
        return [self._keep(item) for item in self._take(name, list)]

    def is_null(self, name: str) -> bool:
        """Tell whether a field is null."""
        self._unread.discard(name)
        return self._values[name] is None

    def unread(self) -> set[str]:
        """Return the names nobody asked for."""
        return self._unread.union(*(part.unread() for part in self._inside))

    def _keep(self, values: Mapping[str, Any]) -> "Fields":
        part = Fields(values)
        self._inside.append(part)
        return part


@dataclass(frozen=True, slots=True)
class Vector:
    """One known answer.

    Attributes:
        spec: File and section that it illustrates.
        operation: What is done with the input.
        expect: "ok" or an error code.
        output: Every value that results; None for a refusal.
    """

    file: str
    name: str
    spec: str
    operation: str
    input: Mapping[str, Any] = field(repr=False)
    expect: str
    output: Mapping[str, Any] | None = field(repr=False, default=None)

    def __str__(self) -> str:
        return f"{self.file}: {self.operation}: {self.name}"


Runner = Callable[[Fields], dict[str, object]]


def names() -> list[str]:
    """Return the vector files' names."""
    return sorted(path.name for path in FOLDER.glob("*.json") if path.name != "schema.json")


def document(name: str) -> dict[str, Any]:
    """Return one file as parsed."""
    parsed: dict[str, Any] = json.loads((FOLDER / name).read_text("ascii"))
    return parsed


def load(name: str) -> list[Vector]:
    """Return one file's vectors; a field that is none of Vector's is a TypeError."""
    return [Vector(file=name, **values) for values in document(name)["vectors"]]


def plain(value: object) -> object:
    """Return a value as JSON holds it: bytes as lowercase hex, tuples as lists."""
    match value:
        case bytes():
            return value.hex()
        case dict():
            return {name: plain(part) for name, part in value.items()}
        case list() | tuple():
            return [plain(part) for part in value]
        case _:
            return value
