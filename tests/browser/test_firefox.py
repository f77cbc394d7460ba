"""The main flow between Firefox and Chromium, and every known answer inside Firefox."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from browser.people import GROUPS, STATES, Person
from browser.test_vectors import DOCUMENTS, page_address
from relay_process import RelayProcess

__all__ = ["page_address"]
DRIVER: Final = Path(__file__).with_name("firefox.mjs")
TEXTS: Final = "[...document.querySelectorAll('li.message .words')].map((words) => words.innerText)"


class Firefox:
    """A Firefox with a profile of its own; each command waits until it could be done."""

    def __init__(self) -> None:
        executable = shutil.which("firefox-esr") or shutil.which("firefox")
        assert executable is not None, "Firefox is missing: apt-get install firefox-esr"
        command = ["node", str(DRIVER), executable]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.version = self._answer()

    def __call__(self, command: str, *given: object) -> Any:  # noqa: ANN401 (whatever the page says)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([command, *given]) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:  # noqa: ANN401
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "Firefox or its driver ended"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["value"]

    def end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def create(self) -> None:
        """Make an identity as a newcomer does."""
        self("press", "Create my identity")
        self("until", "document.querySelectorAll('ol.code li').length > 0")
        groups = self("evaluate", "[...document.querySelectorAll('ol.code li')].map((group) => group.innerText)")
        assert len(groups) == GROUPS
        self("press", "I have kept it")
        self("until", "document.querySelector('label.group') !== null")
        for label in self("evaluate", "[...document.querySelectorAll('label.group')].map((label) => label.innerText)"):
            number = re.search(r"\d", label)
            assert number is not None
            self("fill", label.strip(), groups[int(number[0]) - 1])
        self("press", "Check")
        self("press", "Go to my messages")

    def card(self) -> str:
        """Return our card's link, from the dialog that shares it."""
        self("press", "Share your card")
        link = (
            "[...document.querySelectorAll('input')].find((field) => field.labels[0]?.innerText === 'Your link')?.value"
        )
        card = str(self("until", link))
        self("press", "Close")
        return card

    def add(self, card: str, name: str) -> None:
        self("press", "Add someone")
        self("fill", "Their link or card", card)
        self("fill", "Your name for them", name)
        self("press", "Add")

    def write(self, name: str, text: str) -> None:
        self("fill", f"Message to {name}", text)
        self("key", "Enter")

    def sees(self, text: str, state: str | None = None) -> None:
        """Wait until a message is shown once, and has come as far as `state`."""
        rows = "[...document.querySelectorAll('li.message')]"
        mine = f"{rows}.filter((row) => row.querySelector('.words').innerText === {json.dumps(text)})"
        self("until", f"{mine}.length === 1")
        if state is not None:
            self("until", f"{mine}[0]?.querySelector('.state')?.textContent === {json.dumps(STATES[state])}")


@pytest.fixture(scope="module")
def firefox() -> Iterator[Firefox]:
    started = Firefox()
    yield started
    started.end()


@pytest.mark.timeout(240)
def test_firefox_and_chromium_write_to_each_other(firefox: Firefox, relay: RelayProcess, alice: Person) -> None:
    firefox("goto", relay.origin)
    firefox.create()
    card = firefox.card()
    firefox.add(alice.card(), "Alice")
    alice.add(card, "Fiona")
    firefox.write("Alice", "from Firefox")
    alice.sees("from Firefox")
    firefox.sees("from Firefox", "delivered")
    alice.write("Fiona", "from Chromium")
    firefox.sees("from Chromium")
    alice.sees("from Chromium", "delivered")

    firefox("reload")
    firefox.sees("from Chromium")
    for number in range(3):
        firefox.write("Alice", f"after a reload {number}")
        alice.write("Fiona", f"and back {number}")
        alice.sees(f"after a reload {number}")
        firefox.sees(f"and back {number}", None)
        firefox.sees(f"after a reload {number}", "delivered")
        alice.sees(f"and back {number}", "delivered")
    assert sorted(firefox("evaluate", TEXTS)) == sorted(alice.texts())
    assert firefox("wrong") == []


@pytest.mark.timeout(300)
def test_every_vector_in_firefox(firefox: Firefox, page_address: str) -> None:
    firefox("goto", page_address)
    script = f"""(async () => {{
      const {{ runVectors, isPostQuantumNative }} = await import("/in_browser.js")
      return [await runVectors({json.dumps(DOCUMENTS)}), await isPostQuantumNative()]
    }})()"""
    failures, uses_own = firefox("evaluate", script)

    assert failures == []
    assert not uses_own, "this Firefox has ML-KEM of its own: test noble's, too"
