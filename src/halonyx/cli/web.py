"""`halonyx web`: the web client from this machine."""

import asyncio
import os
import signal
from contextlib import suppress
from typing import Annotated

import typer

from halonyx.cli import text
from halonyx.cli.account import DEFAULT_RELAY, RelayOption, relay_origin
from halonyx.cli.command import Run, command
from halonyx.cli.output import fill
from halonyx.core.errors import Misuse


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(app, "web", has_home=False)(web)


async def web(
    run: Run,
    *,
    relay: RelayOption = DEFAULT_RELAY,
    port: Annotated[int, typer.Option(metavar="PORT", min=1, max=65535, help=text.WEB_PORT)] = 3001,
) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    # Imported here: no other command needs a web server.
    from halonyx.web.build import load  # noqa: PLC0415
    from halonyx.web.loopback import serve  # noqa: PLC0415

    origin = relay_origin(relay)
    build = load()
    if build is None:
        raise Misuse(text.WEB_NOT_BUILT)
    values = {"address": f"http://localhost:{port}", "relay": origin, "build": build.hash}
    serving = asyncio.create_task(
        serve(build, port, origin, lambda: run.output.answer(values, text.WEB_STARTS, **values))
    )
    # As the relay does: both signals end it in order, with status 0.
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    try:
        with suppress(asyncio.CancelledError):
            await serving
    except OSError as error:
        # Not strerror: asyncio puts the address into it once more.
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        raise Misuse(fill(text.WEB_PORT_TAKEN, port=port, reason=reason)) from None
