"""REST bodies of sealed prekeys: put there by their owner, handed out to whoever has a key to the mailbox.

Source: spec/delivery.md, "REST".
"""

from typing import Annotated, Final

from pydantic import Field

from halonyx.core.types import ACCESS_KEY_SIZE, MAX_PREKEY_ID
from halonyx.wire.base64url import Base64Url
from halonyx.wire.rest import Body
from halonyx.wire.rest_fields import AddressBytes, Blob, DeviceNumber

MAX_ONE_TIME_PREKEYS: Final = 200
MAX_PREKEYS_IN_CALL: Final = 2 * MAX_ONE_TIME_PREKEYS + 3
FETCH_ID_SIZE: Final = 16

USE_SIGNED: Final = 1
USE_ENVELOPE: Final = 2
USE_LAST_RESORT: Final = 3
USE_ONE_TIME: Final = 4
USE_ONE_TIME_KEM: Final = 5
REPLACED_USES: Final = (USE_SIGNED, USE_ENVELOPE, USE_LAST_RESORT)
ONE_TIME_USES: Final = (USE_ONE_TIME, USE_ONE_TIME_KEM)

AccessKeyBytes = Annotated[bytes, Base64Url(ACCESS_KEY_SIZE, ACCESS_KEY_SIZE)]
FetchId = Annotated[bytes, Base64Url(FETCH_ID_SIZE, FETCH_ID_SIZE)]
PrekeyNumber = Annotated[int, Field(ge=1, le=MAX_PREKEY_ID)]
PrekeyUse = Annotated[int, Field(ge=USE_SIGNED, le=USE_ONE_TIME_KEM)]


class Prekey(Body):
    """A sealed prekey with its clear header; see spec/identity.md, "Sealed objects"."""

    use: PrekeyUse
    id: PrekeyNumber
    blob: Blob


Prekeys = Annotated[list[Prekey], Field(max_length=MAX_PREKEYS_IN_CALL)]


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
