"""What the routes work with, found through the application they belong to."""

from dataclasses import dataclass
from importlib.metadata import version
from typing import Annotated, Any, Final

from fastapi import Depends, Request, Response

from halonyx.relay.accounts import Accounts
from halonyx.relay.authentication import Authenticator
from halonyx.relay.context import RelayContext
from halonyx.wire.rest import ERRORS, Body, ErrorBody, ErrorCode

_COMMON: Final[tuple[ErrorCode, ...]] = ("malformed", "wrong-host", "too-many-requests", "busy", "internal")
VERSION: Final = version("halonyx")


@dataclass(frozen=True, slots=True)
class Services:
    """One relay's context and what is built on it."""

    context: RelayContext
    accounts: Accounts
    authenticator: Authenticator


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Here = Annotated[Services, Depends(_services)]


def reply(body: Body, status: int = 200) -> Response:
    """Return a body as JSON, as it is: what the model allows is what leaves."""
    return Response(body.to_json(), status_code=status, media_type="application/json")


def refusals(*codes: ErrorCode) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of the errors a route may answer with, besides those every route may."""
    texts: dict[int, list[str]] = {}
    for code in (*codes, *_COMMON):
        status, message = ERRORS[code]
        texts.setdefault(int(status), []).append(f"{code}: {message}")
    return {
        status: {"model": ErrorBody, "description": "; ".join(sorted(lines))} for status, lines in sorted(texts.items())
    }
