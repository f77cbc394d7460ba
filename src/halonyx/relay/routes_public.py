"""Pages, health and numbers: nothing here knows an account."""

import shutil
from importlib.resources import files
from typing import Any, Final

import apsw
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from halonyx.core.primitives import equal
from halonyx.relay.guard import client_host
from halonyx.relay.metrics import CONTENT_TYPE
from halonyx.relay.refusals import Refused
from halonyx.relay.services import Here, refusals
from halonyx.relay.settings import is_loopback

router: Final = APIRouter(tags=["public"], redirect_slashes=False)

_TYPES: Final = {
    "home.html": "text/html; charset=utf-8",
    "docs.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "docs.js": "text/javascript; charset=utf-8",
}
_ASSETS: Final = {name: files("halonyx.relay").joinpath("static", name).read_bytes() for name in _TYPES}
"""Read once at start: no path from a request ever reaches the file system."""

_METRICS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "Prometheus text format", "content": {"text/plain": {"schema": {"type": "string"}}}}
}


class Health(BaseModel):
    """`ok` or `ready`."""

    status: str


@router.get("/", include_in_schema=False)
async def home() -> Response:
    """Say what this is."""
    return _asset("home.html")


@router.get("/docs", include_in_schema=False)
async def docs() -> Response:
    """Show the API for people."""
    return _asset("docs.html")


@router.get("/static/{name}", include_in_schema=False)
async def static(name: str) -> Response:
    """Return one of the pages' own assets."""
    return _asset(name)


@router.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> Response:
    """Return the description of the API; the same file as docs/reference/openapi.json."""
    text: bytes = request.app.state.openapi_document()  # made at the first request: the start has no time for it
    return Response(text, media_type="application/json")


@router.get("/healthz", response_model=Health, responses=refusals())
async def healthz() -> dict[str, str]:
    """Say that the process answers."""
    return {"status": "ok"}


@router.get("/readyz", response_model=Health, responses=refusals())
async def readyz(here: Here) -> dict[str, str]:
    """Say that the databases answer and the disk has room; 503 otherwise."""
    context = here.context
    databases = (context.identity.database, context.mailboxes.database, context.keys.database)
    try:
        for database in databases:
            database.read(lambda connection: connection.execute("select 1").fetchall())
        free = shutil.disk_usage(context.settings.data).free
    except (apsw.Error, OSError):
        raise Refused("busy", 5) from None
    if free < context.settings.min_free_bytes:
        raise Refused("busy", 60)
    return {"status": "ready"}


@router.get("/metrics", response_class=Response, responses={**_METRICS, **refusals("not-authenticated")})
async def metrics(request: Request, here: Here) -> Response:
    """Return the numbers, to loopback or to whoever has the token."""
    settings = here.context.settings
    host = client_host(request.scope, behind_proxy=settings.behind_proxy)
    token = settings.metrics_token
    shown = request.headers.get("authorization", "").encode("utf-8")
    has_token = token is not None and equal(shown, b"Bearer " + token.get_secret_value().encode("utf-8"))
    if not is_loopback(host) and not has_token:
        raise Refused("not-authenticated")
    return Response(here.context.metrics.render(), headers={"Content-Type": CONTENT_TYPE})


def _asset(name: str) -> Response:
    content = _ASSETS.get(name)
    if content is None:
        raise Refused("not-found")
    return Response(content, headers={"Content-Type": _TYPES[name]})
