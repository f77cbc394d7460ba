"""One vector file in the making."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

Fields = dict[str, object]
Given = Mapping[str, object]


def plain(value: object) -> object:
    """Return a JSON value: bytes become lowercase hex, everything else stays."""
    match value:
        case bytes():
            return value.hex()
        case dict():
            return {name: plain(part) for name, part in value.items()}
        case list() | tuple():
            return [plain(part) for part in value]
        case _:
            return value


@dataclass(slots=True)
class Book:
    """The vectors of one specification file.

    Attributes:
        spec: Name of the specification file.
        about: What the file fixes, in a sentence.
    """

    spec: str
    about: str
    vectors: list[Fields] = field(default_factory=list)

    def ok(self, place: str, operation: str, name: str, given: Given, output: Given) -> None:
        """Add a success: the section, what is done, why this case, inputs, and every value that results."""
        self._add(place, operation, name, {"input": given, "expect": "ok", "output": output})

    def refuse(self, place: str, operation: str, name: str, given: Given, code: str) -> None:
        """Add a refusal with its error code."""
        self._add(place, operation, name, {"input": given, "expect": code})

    def _add(self, place: str, operation: str, name: str, rest: Fields) -> None:
        vector: Fields = {"name": name, "spec": f"{self.spec}, {place}", "operation": operation}
        self.vectors.append(vector | {part: plain(value) for part, value in rest.items()})

    def text(self) -> str:
        """Return the file."""
        whole = {"spec": self.spec, "about": self.about, "vectors": self.vectors}
        return json.dumps(whole, indent=1, ensure_ascii=True) + "\n"

    def path(self, folder: Path) -> Path:
        """Return where the file belongs."""
        return folder / self.spec.replace(".md", ".json")
