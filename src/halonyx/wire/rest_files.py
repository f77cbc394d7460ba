"""REST bodies for files: TURN credentials, and the drop where ciphertext waits.

Source: spec/delivery.md, "REST"; spec/file-relay.md.
"""

from typing import Annotated, Final

from pydantic import Field

from halonyx.wire.base64url import Base64Url
from halonyx.wire.rest import Body
from halonyx.wire.rest_fields import MAX_SAFE_INTEGER, AddressBytes, DeviceNumber, HashBytes, UtcMillis

DROP_ID_SIZE: Final = 16
DROP_KEY_SIZE: Final = 16
MAX_DROP_PART: Final = 4 * 1024 * 1024
UPLOAD_HEADER: Final = "Halonyx-Upload"

DropId = Annotated[bytes, Base64Url(DROP_ID_SIZE, DROP_ID_SIZE)]
DropKey = Annotated[bytes, Base64Url(DROP_KEY_SIZE, DROP_KEY_SIZE)]
UploadToken = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", min_length=32, max_length=32)]
DropSize = Annotated[int, Field(ge=1, le=MAX_SAFE_INTEGER)]


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
