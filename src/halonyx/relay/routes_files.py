"""Calls about files: credentials for the operator's TURN server."""

from typing import Final

from fastapi import APIRouter, Request, Response

from halonyx.core.types import Address
from halonyx.relay import turn
from halonyx.relay.refusals import Refused
from halonyx.relay.services import Here, refusals, reply
from halonyx.wire.rest import ErrorCode, TurnCredentials, TurnRequest

router: Final = APIRouter(prefix="/v1", redirect_slashes=False)
_BODY: Final[tuple[ErrorCode, ...]] = ("too-large", "unsupported-content", "too-slow")
_SIGNED: Final[tuple[ErrorCode, ...]] = ("not-authenticated", "wrong-origin", *_BODY)


@router.post("/turn", tags=["signed"], response_model=TurnCredentials, responses=refusals(*_SIGNED, "no-turn"))
async def turn_credentials(call: TurnRequest, request: Request, here: Here) -> Response:
    """Give out credentials for the operator's TURN server, which name nobody and soon expire."""
    await here.by_login_key(request, Address(call.address), call.device)
    settings = here.context.settings
    try:
        secret = settings.turn_key()
    except ValueError:  # the file was there at the start
        raise Refused("busy") from None
    if secret is None:
        raise Refused("no-turn")
    return reply(turn.issue(secret, settings.turn_urls, here.context.clock(), settings.turn_seconds))
