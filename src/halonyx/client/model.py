"""What the SDK hands to its caller: plain values, nothing that changes.

Source: spec/delivery.md, "What a person sees".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from halonyx.core.types import Address, MessageId, Millis, Usid

ContactState = Literal["accepted", "request", "blocked", "removed"]
MessageState = Literal["waiting", "accepted", "delivered", "failed", "received"]


@dataclass(frozen=True, slots=True)
class AccountInfo:
    """The account of this home.

    Attributes:
        origin: The relay it receives at.
        device: Id of this device, 1 to 255.
    """

    usid: Usid
    address: Address
    origin: str
    device: int
    record_version: int


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account just made, with the recovery code that is shown this once."""

    account: AccountInfo
    recovery_code: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Contact:
    """Someone we know.

    Attributes:
        name: Ours for them; at most 64 code points.
        verified: The safety number was compared.
        frozen: The code of why sending stopped until the person decides, or None.
        devices: How many devices their record names; 0 before it was fetched.
    """

    name: str
    usid: Usid
    address: Address
    origin: str
    state: ContactState
    verified: bool
    frozen: str | None
    devices: int


@dataclass(frozen=True, slots=True)
class Sent:
    """A message of ours.

    Attributes:
        state: `waiting` until a relay has it on disk, `accepted` until their device has it, then `delivered`.
        reason: While waiting, the code of what it waits for; None when nothing is known to be wrong.
    """

    id: MessageId
    state: MessageState
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A message of theirs, shown once.

    Attributes:
        time: The sender's clock.
        received: Ours.
    """

    id: MessageId
    sender: str
    text: str = field(repr=False)
    time: Millis
    received: Millis


NoticeKind = Literal[
    "request",  # a stranger's first message waits for a decision
    "requests-full",  # a stranger's first message was dropped: too many wait for a decision
    "delivered",  # their device has our message
    "device",  # a contact has a new device
    "gap",  # a message of theirs is missing and was asked for
    "refreshed",  # a session was repaired
    "stale",  # the relay serves an old or a second record; sending is stopped
    "own-record",  # a contact was served another record of ours than the one we published
    "unsupported",  # a message of a newer program
    "drained",  # a contact got none of our one-time keys: they are used up or withheld
    "restored",  # our relay was put back to an older copy
    "failed",  # a message was not confirmed within 14 days
]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the person should know that is no message.

    Attributes:
        contact: The contact's name, if it concerns one.
        data: Text and numbers by key, for `--json`; keys depend on the kind.
    """

    kind: NoticeKind
    contact: str | None
    time: Millis
    data: Mapping[str, str | int | bool]


Event = Message | Notice


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One message of a conversation, either way.

    Attributes:
        position: Our order of receipt; pass the smallest as `before` to see older ones.
    """

    position: int
    id: MessageId
    contact: str
    outgoing: bool
    text: str = field(repr=False)
    time: Millis
    state: MessageState
