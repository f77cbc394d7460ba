"""The web client, where a build of it is installed, and what its page is told about this server.

Source: docs/reference/web.md.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import APIRouter, Request, Response

from halonyx.relay.settings import RelaySettings
from halonyx.web.build import INDEX, SECURITY_HEADERS, Build, File, policy, takes_gzip, with_sockets

SITE: Final = "/site.json"

Headers = dict[str, str]


def site_headers(build: Build | None, settings: RelaySettings) -> dict[str, Headers]:
    """Return the headers of each path of the web client."""
    if build is None:
        return {}
    page = policy(with_sockets((*settings.public_origins, *settings.peer_relays)))
    headers = {
        address: SECURITY_HEADERS | {"content-security-policy": page, "cache-control": file.cache_control}
        for file in build.files.values()
        for address in _addresses(file)
    }
    headers[SITE] = headers["/"]
    return headers


def site_router(build: Build, settings: RelaySettings) -> APIRouter:
    """Return one route a file: no path from a request ever reaches the file system."""
    router = APIRouter(redirect_slashes=False, include_in_schema=False)
    for file in build.files.values():
        for address in _addresses(file):
            router.add_api_route(address, _sender(file), methods=["GET"])
    reached = [*settings.public_origins, *settings.peer_relays]
    told: dict[str, object] = {"build": build.hash, "reach": "direct", "relays": reached, "relay": None}

    async def site() -> dict[str, object]:
        return told

    router.add_api_route(SITE, site, methods=["GET"])
    return router


def _addresses(file: File) -> tuple[str, ...]:
    return ("/", f"/{INDEX}") if file.path == INDEX else (f"/{file.path}",)


def _sender(file: File) -> Callable[[Request], Awaitable[Response]]:
    async def send(request: Request) -> Response:
        headers = {"Content-Type": file.media_type, "Vary": "Accept-Encoding"}
        if file.compressed is not None and takes_gzip(request.headers.get("accept-encoding", "")):
            return Response(file.compressed, headers=headers | {"Content-Encoding": "gzip"})
        return Response(file.content, headers=headers)

    return send
