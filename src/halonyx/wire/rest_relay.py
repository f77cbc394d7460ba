"""REST bodies about a relay: who it is, what it takes, and what it knows. Source: spec/delivery.md, "REST"."""

from typing import Annotated, Final, Literal

from pydantic import Field

from halonyx.wire.rest import Body
from halonyx.wire.rest_fields import MAX_SAFE_INTEGER, KeyBytes, UtcMillis

MAX_HELD: Final = 200
MAX_SENTENCES: Final = 20

Sentence = Annotated[str, Field(min_length=1, max_length=400)]
SignUpMode = Literal["open", "pow", "token", "closed"]


class RelayLimits(Body):
    """Bounds a client should know."""

    max_envelope_bytes: int
    mailbox_messages: int
    mailbox_bytes: int
    request_inbox: int
    retention_days: int
    one_time_prekeys: int


class RelayFiles(Body):
    """What the relay does for files; `drop` is the bytes it keeps for each mailbox, 0 if it keeps none."""

    tracker: bool
    turn: bool
    drop: Annotated[int, Field(ge=0, le=MAX_SAFE_INTEGER)]


class RelayInfo(Body):
    """Answer of GET /v1/relay; the keys are pinned at sign-up."""

    relay_key: KeyBytes
    operator_key: KeyBytes
    origins: list[str]
    signup: SignUpMode
    version: str
    time: UtcMillis
    contact_required: bool
    limits: RelayLimits
    files: RelayFiles


class Held(Body):
    """Something the relay holds: a file, a `table.column` in it (empty if it is no database), and what that is."""

    file: Annotated[str, Field(min_length=1, max_length=40)]
    name: Annotated[str, Field(max_length=80)]
    text: Sentence


class RelayKnows(Body):
    """Answer of GET /v1/relay/knows: what the relay holds about an account, and what it could tell a court."""

    held: Annotated[list[Held], Field(max_length=MAX_HELD)]
    can_tell: Annotated[list[Sentence], Field(max_length=MAX_SENTENCES)]
    cannot_tell: Annotated[list[Sentence], Field(max_length=MAX_SENTENCES)]
