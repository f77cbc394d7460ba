"""Signed calls: accounts by the management key, prekeys and the access key by a device's login key."""

from typing import Final

from fastapi import APIRouter, Request, Response

from halonyx.core.types import Address
from halonyx.relay.accounts import verify_key
from halonyx.relay.context import RelayContext
from halonyx.relay.guard import client_host
from halonyx.relay.refusals import Refused
from halonyx.relay.services import Here, Services, refusals, reply
from halonyx.wire.http_signature import MANAGEMENT
from halonyx.wire.rest import Done, ErrorCode
from halonyx.wire.rest_account import (
    AccessKeyRequest,
    AccountRequest,
    AccountStatus,
    InviteAnswer,
    InviteRequest,
    ReplaceAccountRequest,
    ReplaceAccountResponse,
    SignUpRequest,
    SignUpResponse,
)
from halonyx.wire.rest_directory import PrekeyCounts, PublishRequest

router: Final = APIRouter(prefix="/v1", tags=["signed"], redirect_slashes=False)
_SIGNED: Final[tuple[ErrorCode, ...]] = (
    "not-authenticated",
    "wrong-origin",
    "too-large",
    "unsupported-content",
    "too-slow",
)


async def _by_management_key(request: Request, here: Services, address: Address) -> None:
    key = here.context.identity.management_key(address)
    context = here.context
    await here.authenticator.check(
        request,
        address,
        lambda device: key if device == MANAGEMENT else None,
        context.clock(),
        context.identity.note_call,
    )


def _admit(context: RelayContext, host: str) -> None:
    """Count a sign-up: per client, then of all clients together."""
    limiter, settings = context.limiter, context.settings
    wait = limiter.hit(settings.rate_sign_up, "rate_sign_up", limiter.client(host))
    wait = wait or limiter.hit(settings.rate_sign_up_total, "rate_sign_up_total")
    if wait:
        context.metrics.limited.labels("/v1/accounts").inc()
        raise Refused("too-many-requests", wait)


@router.post(
    "/accounts",
    status_code=201,
    response_model=SignUpResponse,
    responses={
        200: {"model": SignUpResponse, "description": "The same call came before"},
        **refusals(
            *_SIGNED,
            "bad-work",
            "bad-invite",
            "sign-up-closed",
            "contact-required",
            "bad-key",
            "address-taken",
            "device-id-used",
            "storage-conflict",
            "prekeys-full",
        ),
    },
)
async def sign_up(call: SignUpRequest, request: Request, here: Here) -> Response:
    """Make an account with its first device; signed by the management key in the body."""
    key = verify_key(call.management_key)
    address, now = Address(call.address), here.context.clock()
    # Not noted on disk: repeating a sign-up changes nothing, and anybody can make up a key.
    await here.authenticator.check(request, address, lambda device: key if device == MANAGEMENT else None, now, None)
    host = client_host(request.scope, behind_proxy=here.context.settings.behind_proxy)
    epoch, is_new = await here.accounts.sign_up(call, lambda: _admit(here.context, host))
    return reply(SignUpResponse(epoch=epoch), 201 if is_new else 200)


@router.put(
    "/account",
    response_model=ReplaceAccountResponse,
    responses=refusals(*_SIGNED, "bad-key", "storage-conflict", "device-id-used", "prekeys-full"),
)
async def replace_account(call: ReplaceAccountRequest, request: Request, here: Here) -> Response:
    """Exchange record and devices by compare-and-swap; devices that are not in the list are removed at once."""
    await _by_management_key(request, here, Address(call.address))
    return reply(ReplaceAccountResponse(epochs=await here.accounts.replace(call)))


@router.post("/invite", response_model=InviteAnswer, responses=refusals(*_SIGNED, "no-invites", "invites-used"))
async def make_invite(call: InviteRequest, request: Request, here: Here) -> Response:
    """Make an invite for somebody the member knows; it is not noted whose it was."""
    await here.by_login_key(request, Address(call.address), call.device)
    return reply(await here.accounts.invite(Address(call.address)))


@router.post("/account/status", response_model=AccountStatus, responses=refusals(*_SIGNED))
async def account_status(call: AccountRequest, request: Request, here: Here) -> Response:
    """Say what the relay holds of the account, for recovery."""
    await _by_management_key(request, here, Address(call.address))
    return reply(here.accounts.status(Address(call.address)))


@router.post("/account/delete", response_model=Done, responses=refusals(*_SIGNED))
async def delete_account(call: AccountRequest, request: Request, here: Here) -> Response:
    """Delete everything; only the reservation of the address for its management key stays."""
    await _by_management_key(request, here, Address(call.address))
    await here.accounts.delete(Address(call.address))
    return reply(Done())


@router.put("/prekeys", response_model=PrekeyCounts, responses=refusals(*_SIGNED, "prekeys-full"))
async def publish_prekeys(call: PublishRequest, request: Request, here: Here) -> Response:
    """Store prekeys of the device that signs; ids that were used before are passed over."""
    await here.by_login_key(request, Address(call.address), call.device)
    one_time, one_time_kem = await here.accounts.publish(call)
    return reply(PrekeyCounts(one_time=one_time, one_time_kem=one_time_kem))


@router.put("/access-key", response_model=Done, responses=refusals(*_SIGNED))
async def set_access_key(call: AccessKeyRequest, request: Request, here: Here) -> Response:
    """Replace the hash of the access key: whoever holds the former key is shut out at once."""
    address = Address(call.address)
    await here.by_login_key(request, address)
    await here.accounts.set_access_hash(address, call.access_hash)
    return reply(Done())
