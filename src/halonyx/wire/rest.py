"""Bodies of every REST call, the same models on both sides: strict, no unknown field, bytes as base64url.

Addresses and keys stand in bodies only, never in URLs. Source: spec/delivery.md, "REST".
"""

import base64
import binascii
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from halonyx.core.types import ACCESS_KEY_SIZE, HASH_SIZE, KEY_SIZE, MAX_DEVICE_ID, MAX_PREKEY_ID

MIN_BLOB: Final = 29  # nonce 12, one byte, tag 16
MAX_BLOB: Final = 8192
MAX_DEVICES: Final = 8
MAX_ONE_TIME_PREKEYS: Final = 200
MAX_PREKEYS_IN_CALL: Final = 2 * MAX_ONE_TIME_PREKEYS + 3
FETCH_ID_SIZE: Final = 16
EPOCH_SIZE: Final = 8
SEED_SIZE: Final = 32
DROP_ID_SIZE: Final = 16
DROP_KEY_SIZE: Final = 16
MAX_DROP_PART: Final = 4 * 1024 * 1024
UPLOAD_HEADER: Final = "Halonyx-Upload"
MAX_HELD: Final = 200
MAX_SENTENCES: Final = 20
MAX_NAME: Final = 64  # code points
MIN_EMAIL: Final = 5
MAX_EMAIL: Final = 254
EMAIL: Final = (
    "^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?[.])+"
    "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$"
)
MAX_SAFE_INTEGER: Final = 2**53 - 1  # largest integer every JSON reader keeps exactly

USE_SIGNED: Final = 1
USE_ENVELOPE: Final = 2
USE_LAST_RESORT: Final = 3
USE_ONE_TIME: Final = 4
USE_ONE_TIME_KEM: Final = 5
REPLACED_USES: Final = (USE_SIGNED, USE_ENVELOPE, USE_LAST_RESORT)
ONE_TIME_USES: Final = (USE_ONE_TIME, USE_ONE_TIME_KEM)

ErrorCode = Literal[
    "malformed",
    "bad-key",
    "not-authenticated",
    "bad-access-key",
    "bad-work",
    "bad-invite",
    "sign-up-closed",
    "contact-required",
    "no-invites",
    "invites-used",
    "wrong-origin",
    "too-slow",
    "not-found",
    "method-not-allowed",
    "address-taken",
    "storage-conflict",
    "device-id-used",
    "prekeys-full",
    "no-turn",
    "no-drop",
    "drop-unknown",
    "drop-conflict",
    "drop-full",
    "bad-range",
    "too-large",
    "unsupported-content",
    "wrong-host",
    "too-many-requests",
    "internal",
    "busy",
]

ERRORS: Final[dict[ErrorCode, tuple[HTTPStatus, str]]] = {
    "malformed": (HTTPStatus.BAD_REQUEST, "the request is not what this call takes"),
    "bad-key": (HTTPStatus.BAD_REQUEST, "a public key is non-canonical or of small order"),
    "not-authenticated": (HTTPStatus.UNAUTHORIZED, "the signature does not verify"),
    "bad-access-key": (HTTPStatus.FORBIDDEN, "the key does not open this mailbox"),
    "bad-work": (HTTPStatus.FORBIDDEN, "sign-up needs a fresh solved challenge"),
    "bad-invite": (HTTPStatus.FORBIDDEN, "sign-up needs an invite that was not used and has not expired"),
    "sign-up-closed": (HTTPStatus.FORBIDDEN, "this relay takes no new accounts"),
    "contact-required": (HTTPStatus.FORBIDDEN, "sign-up needs a name and an e-mail address, for the operator"),
    "no-invites": (HTTPStatus.NOT_FOUND, "members of this relay make no invites"),
    "invites-used": (HTTPStatus.CONFLICT, "the account has made all the invites it may this week"),
    "wrong-origin": (HTTPStatus.FORBIDDEN, "this origin may not make signed calls"),
    "too-slow": (HTTPStatus.REQUEST_TIMEOUT, "the body did not arrive in time"),
    "not-found": (HTTPStatus.NOT_FOUND, "there is nothing here"),
    "method-not-allowed": (HTTPStatus.METHOD_NOT_ALLOWED, "this call takes another method"),
    "address-taken": (HTTPStatus.CONFLICT, "another management key holds this address"),
    "storage-conflict": (HTTPStatus.CONFLICT, "the record was changed meanwhile"),
    "device-id-used": (HTTPStatus.CONFLICT, "a device id was used before"),
    "prekeys-full": (HTTPStatus.CONFLICT, "the device has all the one-time prekeys it may store"),
    "no-turn": (HTTPStatus.NOT_FOUND, "this relay has no TURN server"),
    "no-drop": (HTTPStatus.NOT_FOUND, "this relay keeps no files"),
    "drop-unknown": (HTTPStatus.NOT_FOUND, "there is no such file, it is not complete, or the key is not its own"),
    "drop-conflict": (HTTPStatus.CONFLICT, "another file has this id, or the part does not follow what is there"),
    "drop-full": (HTTPStatus.INSUFFICIENT_STORAGE, "there is no room for this file"),
    "bad-range": (HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "the file is shorter than that"),
    "too-large": (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is larger than this call takes"),
    "unsupported-content": (
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "the body is not of the type this call takes, or is encoded",
    ),
    "wrong-host": (HTTPStatus.MISDIRECTED_REQUEST, "the Host header names another relay"),
    "too-many-requests": (HTTPStatus.TOO_MANY_REQUESTS, "too many requests; wait as Retry-After says"),
    "internal": (HTTPStatus.INTERNAL_SERVER_ERROR, "the relay failed"),
    "busy": (HTTPStatus.SERVICE_UNAVAILABLE, "the relay is busy; try again"),
}
"""Status and text of each code. The text is constant: nothing a caller sent comes back."""


def encode_base64url(data: bytes) -> str:
    """Return base64url without padding (RFC 4648 section 5)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode_base64url(text: str) -> bytes:
    """Return the bytes of canonical base64url without padding.

    Raises:
        ValueError: Padding, another alphabet, whitespace, or unused bits that are set.
    """
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not base64url without padding") from None
    if encode_base64url(data) != text:
        raise ValueError("not canonical base64url")
    return data


@dataclass(frozen=True, slots=True)
class Base64Url:
    """Marks a `bytes` field that travels as base64url.

    Attributes:
        minimum: Fewest bytes.
        maximum: Most bytes.
    """

    minimum: int
    maximum: int

    def parse(self, value: object) -> bytes:
        """Return the bytes of a JSON string, or check bytes passed from Python.

        Raises:
            ValueError: Neither, or of another size.
        """
        longest = (4 * self.maximum + 2) // 3
        match value:
            case str() if len(value) <= longest:
                data = decode_base64url(value)
            case bytes():
                data = value
            case _:
                raise ValueError("not base64url of the right size")
        if not self.minimum <= len(data) <= self.maximum:
            raise ValueError("not base64url of the right size")
        return data

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401
        return core_schema.no_info_plain_validator_function(
            self.parse,
            serialization=core_schema.plain_serializer_function_ser_schema(encode_base64url, when_used="json"),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {
            "type": "string",
            "format": "base64url",
            "pattern": "^[A-Za-z0-9_-]*$",
            "minLength": (4 * self.minimum + 2) // 3,
            "maxLength": (4 * self.maximum + 2) // 3,
        }


Bytes32 = Annotated[bytes, Base64Url(32, 32)]
AddressBytes = Annotated[bytes, Base64Url(HASH_SIZE, HASH_SIZE)]
HashBytes = Annotated[bytes, Base64Url(HASH_SIZE, HASH_SIZE)]
KeyBytes = Annotated[bytes, Base64Url(KEY_SIZE, KEY_SIZE)]
AccessKeyBytes = Annotated[bytes, Base64Url(ACCESS_KEY_SIZE, ACCESS_KEY_SIZE)]
EpochBytes = Annotated[bytes, Base64Url(EPOCH_SIZE, EPOCH_SIZE)]
FetchId = Annotated[bytes, Base64Url(FETCH_ID_SIZE, FETCH_ID_SIZE)]
Seed = Annotated[bytes, Base64Url(SEED_SIZE, SEED_SIZE)]
DropId = Annotated[bytes, Base64Url(DROP_ID_SIZE, DROP_ID_SIZE)]
DropKey = Annotated[bytes, Base64Url(DROP_KEY_SIZE, DROP_KEY_SIZE)]
Blob = Annotated[bytes, Base64Url(MIN_BLOB, MAX_BLOB)]
HashHex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", min_length=64, max_length=64)]
UploadToken = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", min_length=32, max_length=32)]
DropSize = Annotated[int, Field(ge=1, le=MAX_SAFE_INTEGER)]
DeviceNumber = Annotated[int, Field(ge=1, le=MAX_DEVICE_ID)]
PrekeyNumber = Annotated[int, Field(ge=1, le=MAX_PREKEY_ID)]
PrekeyUse = Annotated[int, Field(ge=USE_SIGNED, le=USE_ONE_TIME_KEM)]
WorkNonce = Annotated[int, Field(ge=0, le=MAX_SAFE_INTEGER)]
UtcMillis = Annotated[int, Field(ge=0, le=MAX_SAFE_INTEGER, description="milliseconds since 1970, UTC")]
Sentence = Annotated[str, Field(min_length=1, max_length=400)]
InviteHex = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
SignUpMode = Literal["open", "pow", "token", "closed"]


def _printable(name: str) -> str:
    if name != name.strip() or not name.isprintable():
        raise ValueError("a name is printable, without space around it")
    return name


class Body(BaseModel):
    """Base of all bodies: immutable, strict types, no unknown field."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)

    def to_json(self) -> bytes:
        """Return the JSON encoding, UTF-8."""
        return self.model_dump_json().encode("utf-8")


class ErrorDetail(Body):
    """Code for programs, text for people."""

    code: ErrorCode
    message: str


class ErrorBody(Body):
    """Body of every answer that is not 2xx."""

    error: ErrorDetail


class Done(Body):
    """Answer of a call that has nothing to say: `{}`."""


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


class Prekey(Body):
    """A sealed prekey with its clear header; see spec/identity.md, "Sealed objects"."""

    use: PrekeyUse
    id: PrekeyNumber
    blob: Blob


Prekeys = Annotated[list[Prekey], Field(max_length=MAX_PREKEYS_IN_CALL)]


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


class InviteRequest(Body):
    """POST /v1/invite, signed by the device's login key."""

    address: AddressBytes
    device: DeviceNumber


class InviteAnswer(Body):
    """An invite: one person may sign up with it until it expires."""

    invite: InviteHex
    expires: UtcMillis


class SignUpResponse(Body):
    """The mailbox of the new device."""

    epoch: EpochBytes


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


class PublishRequest(Body):
    """PUT /v1/prekeys, signed by the device's login key. One-time prekeys below `one_time_from` are dropped."""

    address: AddressBytes
    device: DeviceNumber
    prekeys: Prekeys
    one_time_from: PrekeyNumber


class PrekeyCounts(Body):
    """One-time prekeys that are left."""

    one_time: Annotated[int, Field(ge=0)]
    one_time_kem: Annotated[int, Field(ge=0)]


class AccessKeyRequest(Body):
    """PUT /v1/access-key, signed by a login key: whoever holds the former key is shut out at once."""

    address: AddressBytes
    access_hash: HashBytes


class LookupRequest(Body):
    """POST /v1/lookup, anonymous; `key` is an access key or the request key."""

    address: AddressBytes
    key: AccessKeyBytes


class StoredPrekey(Body):
    """A sealed prekey as it is handed out."""

    id: PrekeyNumber
    blob: Blob


class DeviceEntry(Body):
    """A device and what an envelope to it is sealed with."""

    device: DeviceNumber
    envelope_prekey: StoredPrekey


class LookupResponse(Body):
    """The sealed record and the devices' envelope prekeys."""

    record: Blob
    devices: list[DeviceEntry]


class BundleRequest(Body):
    """POST /v1/bundle, anonymous; the same `fetch_id` within ten minutes gets the same bundle."""

    address: AddressBytes
    key: AccessKeyBytes
    device: DeviceNumber
    fetch_id: FetchId


class Bundle(Body):
    """One of each prekey; the one-time ones are gone from the relay when this is read."""

    signed_prekey: StoredPrekey
    envelope_prekey: StoredPrekey
    last_resort_prekey: StoredPrekey
    one_time_prekey: StoredPrekey | None
    one_time_kem_prekey: StoredPrekey | None


class TurnRequest(Body):
    """POST /v1/turn, signed by the device's login key."""

    address: AddressBytes
    device: DeviceNumber


class TurnCredentials(Body):
    """Answer: what an RTCIceServer takes, good until `expires`."""

    urls: list[str]
    username: str
    credential: str
    expires: UtcMillis


class DropRequest(Body):
    """POST /v1/drop, signed by the device's login key; the same call again tells how far the upload is.

    `delete_hash` is SHA-256 of the key by which either side may delete the file.
    """

    address: AddressBytes
    device: DeviceNumber
    drop: DropId
    size: DropSize
    delete_hash: HashBytes


class DropOpened(Body):
    """Answer: where the upload goes on, and what its parts are authorised by. A token ends the ones before it."""

    offset: Annotated[int, Field(ge=0, le=MAX_SAFE_INTEGER)]
    upload: UploadToken


class DropProgress(Body):
    """Answer of PUT /v1/drop/{drop}: this much is on disk."""

    offset: Annotated[int, Field(ge=0, le=MAX_SAFE_INTEGER)]


class DropDeleteRequest(Body):
    """POST /v1/drop/delete, anonymous; the key is the proof."""

    drop: DropId
    key: DropKey
