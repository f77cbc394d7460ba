"""An OS keyring for tests: one JSON file that a variable names. Chosen by PYTHON_KEYRING_BACKEND."""

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend

FILE = "TEST_KEYRING"


class Keyring(KeyringBackend):
    """Keeps everything in one file."""

    priority = 1.0

    def get_password(self, service: str, username: str) -> str | None:
        return _read().get(f"{service}/{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        Path(os.environ[FILE]).write_text(json.dumps(_read() | {f"{service}/{username}": password}))


def _read() -> dict[str, str]:
    path = Path(os.environ[FILE])
    found: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    return found
