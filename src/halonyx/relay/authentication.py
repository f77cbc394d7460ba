"""Signed calls: the signature is checked before anything about the account is said.

Unknown account, removed device, wrong key, stale time and repeated nonce get the same answer after the same work.
Source: spec/delivery.md, "Signed calls".
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from fastapi import Request

from halonyx.core.errors import BadSignature, Malformed
from halonyx.core.primitives import SigningKey, VerifyKey
from halonyx.core.types import SECOND, Address, Millis
from halonyx.relay.refusals import Refused
from halonyx.wire import http_signature
from halonyx.wire.http_signature import Target

NONCES_PER_KEY: Final = 256
KEYS_REMEMBERED: Final = 50_000
_REMEMBERED_SECONDS: Final = 2 * http_signature.WINDOW_SECONDS
_NOBODY: Final = SigningKey.generate().public
"""Stands in for the key of an account that is not there: nobody has kept its private part."""

FindKey = Callable[[int], VerifyKey | None]


NoteCall = Callable[[bytes, Millis, Millis], Awaitable[bool]]


class NonceMemory:
    """Nonces of signatures that verified, as long as they would verify again. Bounded in keys and per key."""

    def __init__(self, per_key: int = NONCES_PER_KEY, keys: int = KEYS_REMEMBERED) -> None:
        self._per_key = per_key
        self._keys = keys
        self._seen: OrderedDict[bytes, dict[str, int]] = OrderedDict()

    def remember(self, key: bytes, nonce: str, now: int) -> bool:
        """Note a nonce; False if it was seen before.

        Args:
            key: The public key that verified: under the name it claims, a stranger could use up the owner's calls.
            nonce: As signed.
            now: Unix seconds.

        Raises:
            Refused: The key made more calls in two minutes than are remembered.
        """
        seen = {known: at for known, at in self._seen.get(key, {}).items() if now - at <= _REMEMBERED_SECONDS}
        if nonce in seen:
            return False
        if len(seen) >= self._per_key:
            raise Refused("too-many-requests", _REMEMBERED_SECONDS)
        self._seen[key] = {**seen, nonce: now}
        self._seen.move_to_end(key)
        if len(self._seen) > self._keys:
            self._seen.popitem(last=False)
        return True


@dataclass(slots=True)
class Authenticator:
    """Checks who signed a call.

    Attributes:
        nonces: What was used before.
        newcomers: The same for keys that came with the call: made-up ones must not push out those of accounts.
    """

    nonces: NonceMemory
    newcomers: NonceMemory = field(default_factory=NonceMemory)

    async def check(
        self, request: Request, address: Address, find_key: FindKey, now: Millis, note: NoteCall | None
    ) -> None:
        """Demand that the call is signed, now and for the first time, by a key of `address`.

        Args:
            request: Its body is read already or read now.
            address: The account the body names.
            find_key: Gives the key for the device number the signature names (0: management key), or None if
                there is none or it may not make this call.
            now: Milliseconds since 1970.
            note: Notes a call on disk, for what a restart forgets; None if the key came with the call.

        Raises:
            Refused: not-authenticated, the same for every reason; too-many-requests.
        """
        target = Target(request.method, request.headers.get("host", ""), request.url.path)
        try:
            claim = http_signature.parse(request.headers, target, await request.body())
            key = find_key(claim.key_id.device) if claim.key_id.address == address else None
            claim.verify(key or _NOBODY)
            claim.check_fresh(now // SECOND)
        except (Malformed, BadSignature):
            raise Refused("not-authenticated") from None
        memory = self.newcomers if note is None else self.nonces
        if key is None or not memory.remember(key.raw, claim.nonce, now // SECOND):
            raise Refused("not-authenticated")
        kept_until = Millis(now + _REMEMBERED_SECONDS * SECOND)
        if note is not None and not await note(key.raw + claim.nonce.encode("ascii"), now, kept_until):
            raise Refused("not-authenticated")
