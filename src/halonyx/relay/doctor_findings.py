"""What the doctor may find: a closed list.

Source: docs/reference/relay.md, "Doctor".
"""

from dataclasses import dataclass
from typing import Literal

Code = Literal[
    "settings",
    "data-folder",
    "data-permissions",
    "secrets",
    "secrets-permissions",
    "secrets-place",
    "restoring",
    "databases",
    "disk",
    "clock",
    "port",
    "running",
    "origins",
    "other-relay",
    "tls-files",
    "tls-certificate",
    "tls-expiry",
    "tls",
    "dns",
    "public-url",
    "public-other-relay",
    "proxy-host",
    "proxy-forwarded-for",
    "proxy-origin",
    "websocket",
    "turn-unreachable",
    "turn-secret",
    "turn",
]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to change.

    Attributes:
        code: One word for programs.
        text: What is wrong.
        change: What to do.
    """

    code: Code
    text: str
    change: str
