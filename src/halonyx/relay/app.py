"""The relay's HTTP side: routes behind the guard, uniform errors, one description of the API.

Source: spec/delivery.md, "REST".
"""

import asyncio
import functools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Scope

from halonyx.core.errors import StoreError
from halonyx.relay import routes_account, routes_directory, routes_files, routes_public
from halonyx.relay.accounts import Accounts
from halonyx.relay.authentication import Authenticator, NonceMemory
from halonyx.relay.context import RelayContext
from halonyx.relay.events import Event, log
from halonyx.relay.guard import Guard
from halonyx.relay.refusals import Refused, answer
from halonyx.relay.routes_site import site_headers, site_router
from halonyx.relay.services import VERSION, Services
from halonyx.relay.upkeep import every
from halonyx.web.build import Build
from halonyx.wire.rest import ErrorCode

UPKEEP_SECONDS: Final = 60.0
BUSY_SECONDS: Final = 5
DESCRIPTION: Final = (
    "Binary fields are base64url without padding. Signed calls carry Content-Digest, Signature-Input and Signature "
    "headers as spec/delivery.md says. Every answer that is not 2xx is an error body."
)
ROUTERS: Final = (routes_directory.router, routes_account.router, routes_files.router, routes_public.router)
_CODES_BY_STATUS: Final[dict[int, ErrorCode]] = {404: "not-found", 405: "method-not-allowed"}


def create_app(context: RelayContext, build: Build | None = None) -> FastAPI:
    """Return the application of one relay; its lifespan tidies interrupted changes before the first request.

    Args:
        build: The web client to serve; None serves a page that says what this is.
    """
    app = FastAPI(
        title="Halonyx relay",
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    if build is not None:  # before the page that stands in for it
        app.include_router(site_router(build, context.settings))
    for router in ROUTERS:
        app.include_router(router)
    app.add_exception_handler(Refused, _on_refused)
    app.add_exception_handler(StoreError, _on_store_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.state.services = Services(context, Accounts(context), Authenticator(NonceMemory()))
    app.state.openapi_document = openapi_document
    app.add_middleware(Guard, context=context, pages=site_headers(build, context.settings))
    return app


@functools.cache
def openapi_document() -> bytes:
    """Return the OpenAPI 3.1 description of every route, as JSON that does not change unless the API does."""
    routes = [route for router in ROUTERS for route in router.routes]
    document = get_openapi(
        title="Halonyx relay", version=VERSION, description=DESCRIPTION, routes=routes, license_info={"name": "MIT"}
    )
    for path in document["paths"].values():
        for operation in path.values():
            _describe(operation)
    for unused in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(unused, None)
    document["components"]["securitySchemes"] = {
        "signature": {
            "type": "apiKey",
            "in": "header",
            "name": "Signature",
            "description": "HTTP message signature (RFC 9421) by the account's management key or a device's login key",
        }
    }
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False).encode("utf-8") + b"\n"


def _describe(operation: dict[str, Any]) -> None:
    """Replace the library's own error (422, never sent) and say which calls are signed."""
    operation["responses"].pop("422", None)
    operation["operationId"] = operation["operationId"].split("_v1_")[0]
    if "signed" in operation.get("tags", []):
        operation["security"] = [{"signature": []}]


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: Services = app.state.services
    await services.accounts.tidy()
    tidied = await services.context.drops.tidy()
    if tidied:
        log(Event.FILES_TIDIED, count=tidied)
    context = services.context
    fetches = every(UPKEEP_SECONDS, functools.partial(_forget_fetches, context))
    # Not at once, as with mail: see `Hub.start`.
    expired = every(UPKEEP_SECONDS, functools.partial(_forget_expired, context), first=context.settings.sweep_seconds)
    upkeep = asyncio.gather(fetches, expired)
    try:
        yield
    finally:
        upkeep.cancel()
        with suppress(asyncio.CancelledError):
            await upkeep


async def _forget_fetches(context: RelayContext) -> None:
    await context.keys.forget_fetches(context.clock())


async def _forget_expired(context: RelayContext) -> None:
    now = context.clock()
    _, swept = await asyncio.gather(context.invites.forget_expired(now), context.drops.sweep(now))
    if swept:
        log(Event.FILES_SWEPT, count=swept)


async def _on_refused(request: Request, error: Exception) -> Response:  # noqa: ARG001 (the library's shape)
    return answer(error if isinstance(error, Refused) else Refused("internal"))


async def _on_store_error(request: Request, error: Exception) -> Response:  # noqa: ARG001 (logged by the store)
    return answer(Refused("busy", BUSY_SECONDS))


async def _on_invalid(request: Request, error: Exception) -> Response:  # noqa: ARG001
    return answer(Refused("malformed"))


async def _on_http_exception(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 400
    response = answer(Refused(_CODES_BY_STATUS.get(status, "malformed")))
    if status == HTTPStatus.METHOD_NOT_ALLOWED:  # has to say which are (RFC 9110 section 15.5.6)
        response.headers["Allow"] = ", ".join(sorted(_methods(request.scope)))
    return response


def _methods(scope: Scope) -> set[str]:
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    found = {method for route in routes if route.matches(scope)[0] is not Match.NONE for method in route.methods or ()}
    return found or {"GET"}  # files of the web client
