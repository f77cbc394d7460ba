"""What the SDK hands to its caller: plain values, nothing that changes.

Source: spec/delivery.md, "What a person sees".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
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
class Invite:
    """Lets one person sign up at our relay.

    Attributes:
        invite: 32 characters of hex.
        expires: Milliseconds since 1970.
    """

    invite: str = field(repr=False)
    expires: Millis


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
        direct_allowed: Files may go to and from them directly, so that they see our IP address: because they are
            verified, or because the person agreed.
    """

    name: str
    usid: Usid
    address: Address
    origin: str
    state: ContactState
    verified: bool
    frozen: str | None
    devices: int
    direct_allowed: bool


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
    "announcement",  # the operator of our relay says something
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


TransferState = Literal[
    "preparing",  # being encrypted
    "offered",  # the other side has not decided, or we have not
    "waiting",  # accepted; `reason` says for what
    "transferring",
    "paused",  # by us
    "verifying",  # all is here; being checked, decrypted and saved
    "done",
    "refused",
    "cancelled",
    "failed",
]
TransferPath = Literal["direct", "drop"]


@dataclass(frozen=True, slots=True)
class Transfer:
    """One offer of files, given or received, and how far it has come.

    Attributes:
        id: Message id of the offer.
        contact: Our name for the other side.
        name: Of the file or folder, harmless to show and to save under.
        media_type: `type/subtype` as the sender says, or empty; true of nothing.
        count: Number of files.
        size: Bytes of all files; 0 while a transfer is being prepared.
        thumbnail: JPEG or WebP, made by the sender, or empty.
        reason: Code of what it waits for or why it failed, or None.
        done, total: Bytes of the ciphertext that came or went, and all of them.
        down, up: Bytes a second.
        peers: Open connections.
        ratio: Bytes given out for each byte of the ciphertext.
        seconds_left: At the present speed; None while nothing moves.
        path: How it goes now, or went last.
        in_drop: The sender's relay holds the ciphertext.
        direct_allowed: Our IP address may be visible to the contact.
        folder: Where it will be saved, once it is accepted.
        saved: Where the file or folder lies, once it is done.
    """

    id: MessageId
    contact: str
    outgoing: bool
    name: str = field(repr=False)
    media_type: str = field(repr=False)
    is_folder: bool
    count: int
    size: int
    thumbnail: bytes = field(repr=False)
    state: TransferState
    reason: str | None
    done: int
    total: int
    down: int
    up: int
    peers: int
    ratio: float
    seconds_left: int | None
    path: TransferPath | None
    in_drop: bool
    direct_allowed: bool
    folder: Path | None
    saved: Path | None


@dataclass(frozen=True, slots=True)
class FileOffered:
    """A contact offers files; shown once.

    Attributes:
        time: The sender's clock.
        received: Ours.
    """

    transfer: Transfer
    time: Millis
    received: Millis


@dataclass(frozen=True, slots=True)
class TransferChanged:
    """Something became of an offer: it was accepted, refused, saved, or it can't go on.

    Attributes:
        transfer: As it is now.
        state, reason: What it came to then.
    """

    transfer: Transfer
    state: TransferState
    reason: str | None
    time: Millis


Event = Message | Notice | FileOffered | TransferChanged


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One message of a conversation, either way.

    Attributes:
        position: Our order of receipt; pass the smallest as `before` to see older ones.
        transfer: Of an offer of files, whose name is the text: the transfer's id.
        no_receipt: It is `accepted`, was written a day ago or earlier, and their device has not confirmed it: they are
            away, or their relay lost it or holds it back.
    """

    position: int
    id: MessageId
    contact: str
    outgoing: bool
    text: str = field(repr=False)
    time: Millis
    state: MessageState
    transfer: MessageId | None = None
    no_receipt: bool = False
