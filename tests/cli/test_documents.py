"""What the documents say about the commands is what the commands do."""

import re
import shlex
from pathlib import Path
from typing import Final, get_args

import pytest

from halonyx.cli import text
from halonyx.cli.main import ORDER
from halonyx.cli.reference import updated
from halonyx.client.model import NoticeKind

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
VARIABLES: Final = ("HALONYX_HOME", "HALONYX_PASSPHRASE", "HALONYX_BACKUP_PASSPHRASE", "HALONYX_RECOVERY_CODE")


def test_the_reference_shows_the_help_of_today() -> None:
    page = (ROOT / "docs/reference/commands.md").read_text()
    assert updated(page) == page, "python -m halonyx.cli.reference docs/reference/commands.md"
    assert all(variable in page for variable in VARIABLES)
    assert re.findall(r"^\| `([a-z-]+)` \| [a-z`]", page.partition("calls a `kind`")[2], re.MULTILINE) == list(
        get_args(NoticeKind)
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_in_a_document_exists(page: Path) -> None:
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line.partition("#")[0] for block in blocks for line in block.splitlines()]
    commands = [line for line in lines if re.match(r"halonyx [a-z]", line)]
    for line in commands:
        first, second, *_ = [*shlex.split(line)[1:], ""]
        assert first in text.COMMAND or f"{first} {second}" in text.COMMAND, line


def test_links_between_documents_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_decisions_are_short_and_whole() -> None:
    pages = sorted((ROOT / "docs/decisions").glob("*.md"))
    assert [page.name[:4] for page in pages] == [f"{number + 1:04d}" for number in range(len(pages))]
    for page in pages:
        words = page.read_text()
        assert len(words.splitlines()) <= 60, page.name
        assert [line for line in words.splitlines() if line.startswith("## ")] == [
            "## Context",
            "## Choice",
            "## Price",
        ]


def test_every_command_belongs_to_the_program() -> None:
    assert {path.split()[0] for path in text.COMMAND} == set(ORDER)
    assert text.COMMAND.keys() == text.EXAMPLE.keys()
