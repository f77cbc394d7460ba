"""The specification and the code name the same things."""

import re
from enum import IntEnum
from pathlib import Path

import pytest

from halonyx.core import errors, labels, types
from halonyx.core.content import Kind
from halonyx.core.prekeys import PrekeyUse
from halonyx.wire import frames, rest
from vectors import FOLDER, names

ROOT = Path(__file__).resolve().parent.parent
SPEC = ROOT / "spec"
SOURCES = sorted((ROOT / "src").rglob("*.py"))
PAGES = sorted(SPEC.glob("*.md"))
FORMATS = [path for path in PAGES if path.name != "threat-model.md"]  # which has no bytes
# Notes that a heading stands for; a file name, then its quoted headings up to the next word that is neither.
HEADING = re.compile(r"(?:spec/)?([a-z-]+\.md),\s+((?:\"[^\"]+\"(?:,|\s|and)*)+)")
TABLE = re.compile(r"(?:spec/)?([a-z-]+\.md),\s+table\s+(\d+)")


def page(name: str) -> str:
    return (SPEC / name).read_text("utf-8")


def headings(name: str) -> set[str]:
    return set(re.findall(r"^#{2,4} (.+)$", page(name), re.MULTILINE))


def in_code(text: str) -> str:
    """Join a docstring's or comment's lines, so that a reference may break between them."""
    return re.sub(r"\s*\n\s*#?\s*", " ", text)


def references(text: str) -> list[tuple[str, str]]:
    named = [(name, quoted) for name, quotes in HEADING.findall(text) for quoted in re.findall(r'"([^"]+)"', quotes)]
    return [(name, heading) for name, heading in named if (SPEC / name).exists()]


@pytest.mark.parametrize("path", [*SOURCES, *PAGES], ids=lambda path: str(path.relative_to(ROOT)))
def test_every_reference_leads_to_a_heading_or_table(path: Path) -> None:
    text = in_code(path.read_text("utf-8"))

    for name, heading in references(text):
        assert heading in headings(name), f"{name} has no heading {heading!r}"
    for name, number in TABLE.findall(text):
        assert f"Table {number}: " in page(name), f"{name} has no table {number}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_specification_file_that_is_named_exists(path: Path) -> None:
    for name in re.findall(r"\bspec/([a-z-]+\.md)", path.read_text("utf-8")):
        assert (SPEC / name).is_file(), f"spec/{name} does not exist"


@pytest.mark.parametrize("path", FORMATS, ids=lambda path: path.name)
def test_pages_are_short_and_end_with_their_vectors(path: Path) -> None:
    text = path.read_text("utf-8")

    assert len(text.splitlines()) <= 500
    assert re.findall(r"^## (.+)$", text, re.MULTILINE)[-2:] == ["Example", "Vectors"]


def first_cells(name: str, heading: str) -> list[str]:
    """Return the first column of the tables below a heading, without backquotes."""
    section = page(name).split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return [line.split("|")[1].strip().strip("`") for line in section.splitlines() if line.startswith("| ")]


def test_the_label_table_is_complete() -> None:
    defined = {
        value.removeprefix(labels.NAMESPACE).decode("ascii")
        for name, value in vars(labels).items()
        if name.isupper() and isinstance(value, bytes) and value != labels.NAMESPACE
    }

    listed = first_cells("conventions.md", "Labels")

    assert listed[0] == "Role"
    assert sorted(listed[1:]) == sorted(defined)


def test_the_list_of_error_codes_is_closed() -> None:
    def below(kind: type[errors.HalonyxError]) -> set[str]:
        return {kind.code}.union(
            *(below(child) for child in kind.__subclasses__() if child.__module__ == errors.__name__)
        )

    section = page("conventions.md").split("\n### What a refusal does", 1)[0].split("\n## Error codes\n", 1)[1]
    listed = re.findall(r"^\| ([a-z-]+) \|", section, re.MULTILINE)

    assert sorted(listed) == sorted(below(errors.HalonyxError))


def test_the_table_of_types_names_every_size() -> None:
    listed = " ".join(first_cells("conventions.md", "Types"))

    for name in (
        "Usid",
        "Address",
        "DeviceId",
        "Fingerprint",
        "SessionId",
        "MessageId",
        "EnvelopeId",
        "PrekeyId",
        "FileKey",
    ):
        assert hasattr(types, name)
        assert re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower() in listed.lower()


@pytest.mark.parametrize(
    ("table", "kind"),
    [(1, frames.FrameType), (2, frames.Status), (3, frames.ErrorCode), (4, frames.CloseCode)],
    ids=["types", "statuses", "errors", "closes"],
)
def test_numbers_of_frames_stand_in_their_tables(table: int, kind: type[IntEnum]) -> None:
    text = page("delivery.md").split(f"\nTable {table}: " if table > 1 else "Table 1: ", 1)[1]
    rows = re.findall(r"^\| (\d+) \| ([A-Z_a-z-]+)", text.split("\n\n", 2)[1], re.MULTILINE)

    assert [(int(number), name.upper().replace("-", "_")) for number, name in rows] == [
        (member.value, member.name) for member in kind
    ]


def test_rest_errors_stand_in_their_table() -> None:
    section = page("delivery.md").split("\n### REST errors\n", 1)[1].split("\n### ", 1)[0]
    listed = {code: int(status) for code, status in re.findall(r"^\| ([a-z-]+) \| (\d+) \|", section, re.MULTILINE)}

    assert listed == {code: int(status) for code, (status, _) in rest.ERRORS.items()}


def test_numbers_of_contents_and_prekeys_stand_in_their_tables() -> None:
    table = page("envelope.md").split("Table 4: ", 1)[1].split("\n\n", 2)[1]
    kinds = re.findall(r"^\| (\d+)(?: to \d+)? \| ([a-z, ]+) \|", table, re.MULTILINE)
    named = [
        (int(first) + at, name.upper().replace(" ", "_"))
        for first, names_of_kinds in kinds
        for at, name in enumerate(names_of_kinds.split(", "))
    ]
    uses = re.findall(r"^\| (\d) \| ([a-zA-Z -]+) prekey \|", page("handshake.md"), re.MULTILINE)

    assert named == [(kind.value, kind.name) for kind in Kind]
    assert [(int(number), name.upper().replace("-", "_").replace(" ", "_")) for number, name in uses] == [
        (use.value, use.name) for use in PrekeyUse
    ]


@pytest.mark.parametrize("path", FORMATS, ids=lambda path: path.name)
def test_bytes_of_examples_come_from_the_vectors(path: Path) -> None:
    known = "".join((FOLDER / name).read_text("ascii") for name in names())
    example = path.read_text("utf-8").split("\n## Example\n", 1)[1].split("\n## ", 1)[0]

    found = [part for part in re.findall(r"\b[0-9a-f]{8,}\b", example) if len(part) % 2 == 0]

    assert found
    for part in found:
        is_text = bytes.fromhex(part).isascii() and bytes.fromhex(part).decode("ascii").isprintable()
        is_number = part.startswith("0000")
        assert part in known or is_text or is_number, f"{part} is in no vector"
