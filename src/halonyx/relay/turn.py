"""Short-lived credentials for the operator's TURN server, which shares a secret with the relay.

They name nobody: whoever has them may relay through the server until they expire, and that is all the server learns.

Source: spec/file-relay.md, "TURN credentials"; draft-uberti-behave-turn-rest-00; coturn, `use-auth-secret`.
"""

import base64
import hmac
import os
from typing import Final

from halonyx.core.types import SECOND, Millis
from halonyx.wire.rest_files import TurnCredentials

NAME_SIZE: Final = 8


def issue(secret: bytes, urls: list[str], now: Millis, seconds: int) -> TurnCredentials:
    """Return fresh credentials.

    Args:
        secret: What the TURN server calls `static-auth-secret`.
        urls: Its addresses.
        now: Milliseconds since 1970.
        seconds: How long they are good for.
    """
    expires = now // SECOND + seconds
    username = f"{expires}:{os.urandom(NAME_SIZE).hex()}"
    # SHA-1 is what TURN servers take here; HMAC does not lean on the collisions it is known for.
    mac = hmac.digest(secret, username.encode("ascii"), "sha1")
    credential = base64.b64encode(mac).decode("ascii")
    return TurnCredentials(urls=urls, username=username, credential=credential, expires=expires * SECOND)
