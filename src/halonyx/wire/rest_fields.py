"""Fields that several REST calls have. Source: spec/delivery.md, "REST"."""

from typing import Annotated, Final

from pydantic import Field

from halonyx.core.types import HASH_SIZE, KEY_SIZE, MAX_DEVICE_ID
from halonyx.wire.base64url import Base64Url

MIN_BLOB: Final = 29  # nonce 12, one byte, tag 16
MAX_BLOB: Final = 8192
MAX_SAFE_INTEGER: Final = 2**53 - 1  # largest integer every JSON reader keeps exactly

AddressBytes = Annotated[bytes, Base64Url(HASH_SIZE, HASH_SIZE)]
HashBytes = Annotated[bytes, Base64Url(HASH_SIZE, HASH_SIZE)]
KeyBytes = Annotated[bytes, Base64Url(KEY_SIZE, KEY_SIZE)]
Blob = Annotated[bytes, Base64Url(MIN_BLOB, MAX_BLOB)]
DeviceNumber = Annotated[int, Field(ge=1, le=MAX_DEVICE_ID)]
UtcMillis = Annotated[int, Field(ge=0, le=MAX_SAFE_INTEGER, description="milliseconds since 1970, UTC")]
