"""Anonymous calls: sign-up challenges, and the sealed keys of others, opened by an access key or request key.

Unknown account, wrong key and unknown device get the same answer, byte for byte.
"""

from functools import partial
from typing import Final

from fastapi import APIRouter, Request, Response

from halonyx.core.types import Address, DeviceId
from halonyx.relay.context import RelayContext
from halonyx.relay.decide import KeyKind
from halonyx.relay.guard import client_host
from halonyx.relay.knows import columns, page
from halonyx.relay.limits import Scope
from halonyx.relay.refusals import Refused
from halonyx.relay.services import VERSION, Here, Services, refusals, reply
from halonyx.relay.store.identity import Account
from halonyx.wire.rest import ErrorCode
from halonyx.wire.rest_account import WorkChallenge, WorkRequest
from halonyx.wire.rest_directory import Bundle, BundleRequest, DeviceEntry, LookupRequest, LookupResponse
from halonyx.wire.rest_relay import RelayInfo, RelayKnows

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
            contact_required=context.settings.contact_required,
            limits=context.settings.public_limits(),
            files=context.settings.public_files(),
        )
    )


@router.get("/relay/knows", response_model=RelayKnows, responses=refusals())
async def relay_knows(here: Here) -> Response:
    """Say what is held about an account, from the schema of the databases as they are."""
    context = here.context
    databases = (context.identity.database, context.mailboxes.database, context.keys.database)
    return reply(page([one for database in databases for one in database.read(partial(columns, database.path.name))]))


@router.post("/signup/challenge", response_model=WorkChallenge, responses=refusals(*_BODY))
async def sign_up_challenge(call: WorkRequest, here: Here) -> Response:
    """Say what a sign-up must prove; nothing is stored, known and unknown addresses are alike."""
    return reply(here.accounts.challenge(Address(call.address)))


@router.post("/lookup", response_model=LookupResponse, responses=refusals(*_BODY, "bad-access-key"))
async def lookup(call: LookupRequest, here: Here) -> Response:
    """Return the sealed record and each device's envelope prekey."""
    address = Address(call.address)
    _, account = _opened(here, address, call.key)
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
async def bundle(call: BundleRequest, request: Request, here: Here) -> Response:
    """Hand out one of each prekey of a device; on disk before it leaves, and never twice.

    The same `fetch_id` within ten minutes gets the same bundle. One-time prekeys have a budget per device, for all
    clients together, apart for those with the access key and those with the request key, so that strangers can't drain
    them for contacts; past it the bundle comes without.
    """
    context, address, device = here.context, Address(call.address), DeviceId(call.device)
    kind, account = _opened(here, address, call.key)
    if device not in account.devices:
        raise Refused("bad-access-key")
    now = context.clock()
    known = context.keys.fetched(address, device, call.fetch_id, now)
    if known is not None:
        return reply(known)
    popped = await context.keys.pop_bundle(
        address, device, call.fetch_id, now, with_one_time=_is_within_budget(request, context, kind, call)
    )
    if popped is None:
        raise Refused("bad-access-key")
    context.metrics.bundles.inc()
    return reply(popped)


def _is_within_budget(request: Request, context: RelayContext, kind: KeyKind, call: BundleRequest) -> bool:
    """Count a fetch; tell whether it may have one-time prekeys.

    Raises:
        Refused: too-many-requests, if this client asks for this device too often.
    """
    limiter, settings = context.limiter, context.settings
    host = client_host(request.scope, behind_proxy=settings.behind_proxy)
    device = limiter.client(f"{call.address.hex()}.{call.device}")
    pair = f"{limiter.client(host)}.{device}"
    wait = limiter.hit(settings.rate_bundle_client, "rate_bundle_client", pair, Scope.CLIENT_AND_DEVICE)
    if wait:
        context.metrics.limited.labels("/v1/bundle").inc()
        raise Refused("too-many-requests", wait)
    name = "rate_bundle_device" if kind is KeyKind.ACCESS else "rate_bundle_requests"
    return limiter.hit(getattr(settings, name), name, device, Scope.DEVICE) == 0


def _opened(here: Services, address: Address, key: bytes) -> tuple[KeyKind, Account]:
    """Return which key `key` is, and the account it opens.

    Raises:
        Refused: bad-access-key, whatever the reason.
    """
    # The account is read only for those with the key: reading one that is there takes longer.
    kind = here.context.mailboxes.check_key(address, key)
    account = None if kind is None else here.context.identity.account(address)
    if kind is None or account is None:
        raise Refused("bad-access-key")
    return kind, account
