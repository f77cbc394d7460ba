"""REST bodies of an account: challenge, sign-up, invites, replacement, access key. Source: spec/delivery.md, "REST"."""

from typing import Annotated, Final

from pydantic import AfterValidator, Field

from halonyx.core.types import MAX_DEVICE_ID
from halonyx.wire.base64url import Base64Url
from halonyx.wire.rest import Body
from halonyx.wire.rest_directory import Prekeys
from halonyx.wire.rest_fields import MAX_SAFE_INTEGER, AddressBytes, Blob, DeviceNumber, HashBytes, KeyBytes, UtcMillis
from halonyx.wire.rest_relay import SignUpMode

MAX_DEVICES: Final = 8
EPOCH_SIZE: Final = 8
SEED_SIZE: Final = 32
MAX_NAME: Final = 64  # code points
MIN_EMAIL: Final = 5
MAX_EMAIL: Final = 254
EMAIL: Final = (
    "^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?[.])+"
    "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$"
)

EpochBytes = Annotated[bytes, Base64Url(EPOCH_SIZE, EPOCH_SIZE)]
Seed = Annotated[bytes, Base64Url(SEED_SIZE, SEED_SIZE)]
HashHex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", min_length=64, max_length=64)]
WorkNonce = Annotated[int, Field(ge=0, le=MAX_SAFE_INTEGER)]
InviteHex = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


def _printable(name: str) -> str:
    if name != name.strip() or not name.isprintable():
        raise ValueError("a name is printable, without space around it")
    return name


class WorkRequest(Body):
    """POST /v1/signup/challenge."""

    address: AddressBytes


class WorkChallenge(Body):
    """Answer: what sign-up must prove. In all modes but `pow` there is no seed and bits is 0."""

    mode: SignUpMode
    seed: Seed | None
    bits: Annotated[int, Field(ge=0, le=64)]
    expires: UtcMillis


class Work(Body):
    """A solved challenge; the nonce is hashed as a u64, and below 2^53 so that JSON keeps it."""

    seed: Seed
    nonce: WorkNonce


class NewDevice(Body):
    """A device with its login key and sealed prekeys (empty for a device that is kept)."""

    id: DeviceNumber
    login_key: KeyBytes
    prekeys: Prekeys


class ContactDetails(Body):
    """Who a person says they are, for the operator of a relay that asks."""

    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME), AfterValidator(_printable)]
    email: Annotated[str, Field(min_length=MIN_EMAIL, max_length=MAX_EMAIL, pattern=EMAIL)]


class SignUpRequest(Body):
    """POST /v1/accounts, signed by the management key in it."""

    address: AddressBytes
    management_key: KeyBytes
    access_hash: HashBytes
    request_hash: HashBytes
    record: Blob
    device: NewDevice
    work: Work | None
    invite: InviteHex | None = None
    contact: ContactDetails | None = None


class SignUpResponse(Body):
    """The mailbox of the new device."""

    epoch: EpochBytes


class InviteRequest(Body):
    """POST /v1/invite, signed by the device's login key."""

    address: AddressBytes
    device: DeviceNumber


class InviteAnswer(Body):
    """An invite: one person may sign up with it until it expires."""

    invite: InviteHex
    expires: UtcMillis


class ReplaceAccountRequest(Body):
    """PUT /v1/account, signed by the management key; devices absent from the list are removed."""

    address: AddressBytes
    replaces: HashHex
    record: Blob
    devices: Annotated[list[NewDevice], Field(min_length=1, max_length=MAX_DEVICES)]
    access_hash: HashBytes
    request_hash: HashBytes


class ReplaceAccountResponse(Body):
    """The epochs of the devices' mailboxes, in the order of the request."""

    epochs: Annotated[list[EpochBytes], Field(min_length=1, max_length=MAX_DEVICES)]


class AccountRequest(Body):
    """POST /v1/account/status and /v1/account/delete, signed by the management key."""

    address: AddressBytes


class AccountStatus(Body):
    """What the relay holds; after deletion nothing. Device ids up to `highest_device` are used up."""

    exists: bool
    record_hash: HashHex | None
    devices: list[DeviceNumber]
    highest_device: Annotated[int, Field(ge=0, le=MAX_DEVICE_ID)]


class AccessKeyRequest(Body):
    """PUT /v1/access-key, signed by a login key: whoever holds the former key is shut out at once."""

    address: AddressBytes
    access_hash: HashBytes
