"""Messages of WebTorrent's tracker protocol: JSON in text frames, binary values as one code point for each byte.

Only what the relay passes on is read; fields it does not know are ignored, as the protocol demands.
Source: spec/file-relay.md, "Tracker"; bittorrent-tracker, "lib/server/parse-websocket.js".
"""

import json
import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from halonyx.core.errors import Malformed

TRACKER_PATH: Final = "/v1/tracker"
TOKEN_SIZE: Final = 16
ID_SIZE: Final = 20
MAX_SDP: Final = 16 * 1024
MAX_OFFERS_READ: Final = 64
STOPPED: Final = "stopped"
COMPLETED: Final = "completed"
_QUERY: Final = re.compile(r"token=([0-9a-f]{32})")


def _check_bytes(value: str) -> str:
    if any(ord(character) > 255 for character in value):
        raise ValueError("a character that is no byte")
    return value


Id = Annotated[str, Field(min_length=ID_SIZE, max_length=ID_SIZE), AfterValidator(_check_bytes)]
Sdp = Annotated[str, Field(max_length=MAX_SDP)]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", hide_input_in_errors=True)


class Offer(_Message):
    """One WebRTC offer, for whoever the tracker picks."""

    class Description(_Message):
        """A session description."""

        type: Literal["offer"]
        sdp: Sdp

    offer_id: Id
    offer: Description


class Answer(_Message):
    """A WebRTC answer to one offer."""

    type: Literal["answer"]
    sdp: Sdp


class Announce(_Message):
    """What a peer sends: that it is there, with offers; or an answer to somebody's offer.

    Attributes:
        left: Bytes it lacks; None while it does not know its length, as from a magnet link.
    """

    action: Literal["announce"]
    info_hash: Id
    peer_id: Id
    event: Annotated[str, Field(max_length=16)] | None = None
    left: Any = None
    offers: Annotated[list[Offer], Field(max_length=MAX_OFFERS_READ)] | None = None
    answer: Answer | None = None
    to_peer_id: Id | None = None
    offer_id: Id | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the peer has everything."""
        return self.event == COMPLETED or (type(self.left) in {int, float} and self.left == 0)


def parse_token(query: str) -> bytes | None:
    """Return the token of a tracker address, 16 bytes, or None if the query is anything but `token=` and 32 hex."""
    found = _QUERY.fullmatch(query)
    return bytes.fromhex(found[1]) if found else None


def parse_announce(text: bytes) -> Announce:
    """Return an announce.

    Args:
        text: One message, UTF-8.

    Raises:
        Malformed: No JSON, nested too deeply, or not what an announce holds.
    """
    try:
        return Announce.model_validate_json(text)
    except ValidationError:
        raise Malformed("no announce") from None


def to_bytes(value: str) -> bytes:
    """Return the bytes of a binary value, such as an info-hash."""
    return value.encode("latin-1")


def encode(**fields: object) -> bytes:
    """Return a message of the tracker."""
    return json.dumps({"action": "announce", **fields}, separators=(",", ":")).encode("ascii")


def failure(code: str, info_hash: str | None = None) -> bytes:
    """Return a refusal; `info_hash` lets the peer know which of its announces is meant."""
    named = {} if info_hash is None else {"info_hash": info_hash}
    return json.dumps({"action": "announce", "failure reason": code, **named}, separators=(",", ":")).encode("ascii")
