"""Anonymous calls: sign-up challenges, and the sealed keys of others, opened by an access key or request key.

Unknown account, wrong key and unknown device get the same answer, byte for byte.
"""

from typing import Final

from fastapi import APIRouter, Response

from halonyx.core.types import Address, DeviceId
from halonyx.relay.refusals import Refused
from halonyx.relay.services import VERSION, Here, Services, refusals, reply
from halonyx.relay.store.identity import Account
from halonyx.wire.rest import (
    Bundle,
    BundleRequest,
    DeviceEntry,
    ErrorCode,
    LookupRequest,
    LookupResponse,
    RelayInfo,
    WorkChallenge,
    WorkRequest,
)

router: Final = APIRouter(prefix="/v1", tags=["anonymous"], redirect_slashes=False)
_BODY: Final[tuple[ErrorCode, ...]] = ("too-large", "unsupported-content", "too-slow")


@router.get("/relay", response_model=RelayInfo, responses=refusals())
async def relay_info(here: Here) -> Response:
    """Say who this relay is and what it takes; the keys are pinned at sign-up."""
    context = here.context
    return reply(
        RelayInfo(
            relay_key=context.secrets.relay_key.public.raw,
            operator_key=context.secrets.operator_key.public.raw,
            origins=list(context.settings.public_origins),
            signup=context.settings.signup_mode,
            version=VERSION,
            time=context.clock(),
            limits=context.settings.public_limits(),
        )
    )


@router.post("/signup/challenge", response_model=WorkChallenge, responses=refusals(*_BODY))
async def sign_up_challenge(call: WorkRequest, here: Here) -> Response:
    """Say what a sign-up must prove; nothing is stored, known and unknown addresses are alike."""
    return reply(here.accounts.challenge(Address(call.address)))


@router.post("/lookup", response_model=LookupResponse, responses=refusals(*_BODY, "bad-access-key"))
async def lookup(call: LookupRequest, here: Here) -> Response:
    """Return the sealed record and each device's envelope prekey."""
    address = Address(call.address)
    account = _opened(here, address, call.key)
    if account.record_hash is None:
        raise Refused("bad-access-key")
    record = here.context.keys.record(address, account.record_hash)
    if record is None:
        raise Refused("bad-access-key")
    devices = []
    for device in account.devices:
        prekey = here.context.keys.envelope_prekey(address, device)
        if prekey is not None:
            devices.append(DeviceEntry(device=device, envelope_prekey=prekey))
    return reply(LookupResponse(record=record, devices=devices))


@router.post("/bundle", response_model=Bundle, responses=refusals(*_BODY, "bad-access-key"))
async def bundle(call: BundleRequest, here: Here) -> Response:
    """Hand out one of each prekey of a device; on disk before it leaves, and never twice.

    The same `fetch_id` within ten minutes gets the same bundle. The rate is per device, for all clients together:
    whoever has the key can't drain the one-time prekeys faster than the device refills them.
    """
    address, device, now = Address(call.address), DeviceId(call.device), here.context.clock()
    if device not in _opened(here, address, call.key).devices:
        raise Refused("bad-access-key")
    known = here.context.keys.fetched(address, device, call.fetch_id, now)
    if known is not None:
        return reply(known)
    limiter = here.context.limiter
    who = limiter.client(f"{address.hex()}.{device}")
    wait = limiter.hit(here.context.settings.rate_bundle_device, "rate_bundle_device", who)
    if wait:
        here.context.metrics.limited.labels("/v1/bundle").inc()
        raise Refused("too-many-requests", wait)
    popped = await here.context.keys.pop_bundle(address, device, call.fetch_id, now)
    if popped is None:
        raise Refused("bad-access-key")
    here.context.metrics.bundles.inc()
    return reply(popped)


def _opened(here: Services, address: Address, key: bytes) -> Account:
    """Return the account that `key` opens.

    Raises:
        Refused: bad-access-key, whatever the reason.
    """
    # The account is read only for those with the key: reading one that is there takes longer.
    kind = here.context.mailboxes.check_key(address, key)
    account = None if kind is None else here.context.identity.account(address)
    if account is None:
        raise Refused("bad-access-key")
    return account
