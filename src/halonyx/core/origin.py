"""How a relay is written: scheme://host[:port], in one way only.

Source: spec/identity.md, "Origins".
"""

import re
from typing import Final

from halonyx.core.errors import Malformed

MAX_ORIGIN_SIZE: Final = 255  # ASCII characters
MAX_PORT: Final = 65535
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_ORIGIN: Final = re.compile(
    rf"(?P<scheme>https?)://(?P<host>{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:]+\])(?::(?P<port>[1-9][0-9]{{0,4}}))?"
)
_LOOPBACK: Final = re.compile(r"localhost|127(?:\.(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])){3}|\[::1\]")
_DEFAULT_PORTS: Final = {"https": "443", "http": "80"}


def check_origin(origin: str) -> str:
    """Return `origin` if it is one way to write a relay; plain http is for this machine only.

    Args:
        origin: At most 255 characters, lower case, without the scheme's own port, path or final slash.

    Raises:
        Malformed: Anything else.
    """
    match = _ORIGIN.fullmatch(origin)
    if match is None or len(origin) > MAX_ORIGIN_SIZE:
        raise Malformed("a relay is written https://host or https://host:port, in lower case and without a path")
    if match["scheme"] == "http" and _LOOPBACK.fullmatch(match["host"]) is None:
        raise Malformed("plain http is allowed only for a relay on this machine")
    port = match["port"]
    if port is not None and (port == _DEFAULT_PORTS[match["scheme"]] or int(port) > MAX_PORT):
        raise Malformed("the port is out of range or the default one, which is left out")
    return origin


def reaches_this_machine(origin: str) -> bool:
    """Tell whether an origin that `check_origin` took names the machine of whoever connects."""
    match = _ORIGIN.fullmatch(origin)
    return match is not None and _LOOPBACK.fullmatch(match["host"]) is not None
