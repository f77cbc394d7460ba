"""What the routes work with, found through the application they belong to."""

from collections import Counter
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Annotated, Any, Final

from fastapi import Depends, Request, Response

from halonyx.core.primitives import VerifyKey
from halonyx.core.types import Address, DeviceId
from halonyx.relay.accounts import Accounts
from halonyx.relay.authentication import Authenticator
from halonyx.relay.context import RelayContext
from halonyx.wire.rest import ERRORS, Body, ErrorBody, ErrorCode

_COMMON: Final[tuple[ErrorCode, ...]] = ("malformed", "wrong-host", "too-many-requests", "busy", "internal")
VERSION: Final = version("halonyx")


@dataclass(frozen=True, slots=True)
class Services:
    """One relay's context and what is built on it.

    Attributes:
        uploads: Parts of files that are being taken, by mailbox.
        downloads: Files that are being given out, by client.
    """

    context: RelayContext
    accounts: Accounts
    authenticator: Authenticator
    uploads: Counter[int] = field(default_factory=Counter)
    downloads: Counter[str] = field(default_factory=Counter)

    async def by_login_key(self, request: Request, address: Address, only: int | None = None) -> None:
        """Demand that a call is signed by the login key of a device of the account.

        Args:
            request: The call.
            address: The account its body names.
            only: The one device that may make it; None for any.

        Raises:
            Refused: not-authenticated, the same for every reason; too-many-requests.
        """
        identity = self.context.identity

        def find_key(device: int) -> VerifyKey | None:
            is_meant = only is None or device == only
            return identity.login_key(address, DeviceId(device)) if is_meant else None

        await self.authenticator.check(request, address, find_key, self.context.clock(), identity.note_call)


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
