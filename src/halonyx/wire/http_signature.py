"""Signed REST calls: HTTP Message Signatures in one fixed form, with an Ed25519 label in front.

One signature named `halonyx` over method, authority, path and body digest. The parser accepts exactly what
`sign` writes: RFC 9421 allows many spellings, and two programs may read one of them differently.

Source: spec/delivery.md, "Signed calls"; RFC 9421 sections 2.5 and 3.1; RFC 9530 section 2.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from halonyx.core.encoding import encode_base64url
from halonyx.core.errors import BadSignature, Malformed, Misuse
from halonyx.core.labels import REST_REQUEST
from halonyx.core.primitives import SigningKey, VerifyKey, equal, sha256
from halonyx.core.types import HASH_SIZE, MAX_DEVICE_ID, SIGNATURE_SIZE, Address

NONCE_SIZE: Final = 16
WINDOW_SECONDS: Final = 60
MANAGEMENT: Final = 0
"""Device number that names the account's management key."""

_COMPONENTS: Final = '("@method" "@authority" "@path" "content-digest")'
_INPUT: Final = re.compile(
    r'halonyx=(?P<params>\("@method" "@authority" "@path" "content-digest"\)'
    r";created=(?P<created>0|[1-9][0-9]{0,14})"
    r';nonce="(?P<nonce>[A-Za-z0-9_-]{22})"'
    r';keyid="(?P<address>[0-9a-f]{64})\.(?P<device>0|[1-9][0-9]{0,2})"'
    r';alg="ed25519")'
)
_SIGNATURE: Final = re.compile(r"halonyx=:(?P<signature>[A-Za-z0-9+/]{86}==):")


@dataclass(frozen=True, slots=True)
class KeyId:
    """Names the key that signed: an address and a device number, 0 for the management key.

    Raises:
        Misuse: Address not 32 bytes, or device not 0 to 255.
    """

    address: Address = field(repr=False)
    device: int

    def __post_init__(self) -> None:
        if len(self.address) != HASH_SIZE or not MANAGEMENT <= self.device <= MAX_DEVICE_ID:
            raise Misuse("a key id is an address of 32 bytes and a device number of 0 to 255")

    def __str__(self) -> str:
        return f"{self.address.hex()}.{self.device}"


@dataclass(frozen=True, slots=True)
class Signer:
    """A key and its name.

    Attributes:
        key_id: Names the key.
        key: Management key or a device's login key.
    """

    key_id: KeyId
    key: SigningKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked, and of whom.

    Attributes:
        method: `POST` and so on, upper case.
        authority: The Host header, lower case: `localhost:3000`.
        path: Absolute path; signed calls have no query.
    """

    method: str
    authority: str
    path: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A parsed signature that is not verified yet.

    Attributes:
        key_id: The key it says it is by.
        created: Unix seconds it says it was made at.
        nonce: 22 characters of base64url.
    """

    key_id: KeyId
    created: int
    nonce: str = field(repr=False)
    _base: bytes = field(repr=False)
    _signature: bytes = field(repr=False)

    def verify(self, key: VerifyKey) -> None:
        """Check the signature.

        Raises:
            BadSignature: It does not verify under `key`.
        """
        key.verify(REST_REQUEST, self._base, self._signature)

    def check_fresh(self, now: int) -> None:
        """Check the time.

        Args:
            now: Unix seconds.

        Raises:
            BadSignature: Made more than 60 s before or after `now`.
        """
        if abs(now - self.created) > WINDOW_SECONDS:
            raise BadSignature(f"signature is not within {WINDOW_SECONDS} s of the clock")


def sign(signer: Signer, target: Target, body: bytes, *, created: int, nonce: bytes) -> dict[str, str]:
    """Return the three headers that sign a call.

    Args:
        signer: The key and its name.
        target: Method, authority and path exactly as sent.
        body: The bytes sent.
        created: Unix seconds.
        nonce: 16 fresh random bytes.

    Raises:
        Misuse: Nonce of another size.

    Source: spec/delivery.md, "Signed calls".
    """
    if len(nonce) != NONCE_SIZE:
        raise Misuse(f"nonce of {len(nonce)} bytes, expected {NONCE_SIZE}")
    nonce_text = encode_base64url(nonce)
    params = f'{_COMPONENTS};created={created};nonce="{nonce_text}";keyid="{signer.key_id}";alg="ed25519"'
    digest = content_digest(body)
    signature = signer.key.sign(REST_REQUEST, _signature_base(target, digest, params))
    return {
        "Content-Digest": digest,
        "Signature-Input": f"halonyx={params}",
        "Signature": f"halonyx=:{base64.b64encode(signature).decode('ascii')}:",
    }


def parse(headers: Mapping[str, str], target: Target, body: bytes) -> Claim:
    """Read the three headers of a call and check the body against its digest.

    Args:
        headers: Lower-case names.
        target: Method, authority and path as received.
        body: The bytes received.

    Raises:
        Malformed: A header is missing or not in the one form, or the digest is not the body's.

    Source: spec/delivery.md, "Signed calls".
    """
    digest = headers.get("content-digest", "")
    parsed = _INPUT.fullmatch(headers.get("signature-input", ""))
    signature = _SIGNATURE.fullmatch(headers.get("signature", ""))
    if parsed is None or signature is None:
        raise Malformed("signature headers are missing or not in the one form")
    if not equal(digest.encode("utf-8"), content_digest(body).encode("ascii")):
        raise Malformed("content digest is not the body's")
    device, raw = int(parsed["device"]), base64.b64decode(signature["signature"])
    if device > MAX_DEVICE_ID or base64.b64encode(raw).decode("ascii") != signature["signature"]:
        raise Malformed("signature headers are not in the one form")
    key_id = KeyId(Address(bytes.fromhex(parsed["address"])), device)
    base = _signature_base(target, digest, parsed["params"])
    return Claim(key_id, int(parsed["created"]), parsed["nonce"], base, raw[:SIGNATURE_SIZE])


def content_digest(body: bytes) -> str:
    """Return the Content-Digest header value (RFC 9530 section 2)."""
    return f"sha-256=:{base64.b64encode(sha256(body)).decode('ascii')}:"


def _signature_base(target: Target, digest: str, params: str) -> bytes:
    """Return the bytes RFC 9421 section 2.5 says are signed."""
    lines = (
        f'"@method": {target.method}',
        f'"@authority": {target.authority.lower()}',
        f'"@path": {target.path}',
        f'"content-digest": {digest}',
        f'"@signature-params": {params}',
    )
    return "\n".join(lines).encode("utf-8")
