"""`halonyx relay`: run a relay in this process."""

from pathlib import Path
from typing import Annotated

import typer

from halonyx.cli import text
from halonyx.cli.command import Run, command


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(app, "relay", has_home=False)(relay)


# None leaves a setting to its HALONYX_ variable, the settings file or the relay's own default.
def relay(  # noqa: PLR0913 (one argument an option)
    run: Run,
    *,
    host: Annotated[str | None, typer.Option(metavar="HOST", help=text.RELAY_HOST)] = None,
    port: Annotated[int | None, typer.Option(metavar="PORT", help=text.RELAY_PORT)] = None,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help=text.RELAY_DATA)] = None,
    origin: Annotated[list[str] | None, typer.Option(metavar="URL", help=text.RELAY_ORIGIN)] = None,
    behind_proxy: Annotated[bool | None, typer.Option("--behind-proxy", help=text.RELAY_PROXY)] = None,
    signup: Annotated[str | None, typer.Option(metavar="MODE", help=text.RELAY_SIGNUP)] = None,
    log_level: Annotated[str | None, typer.Option(metavar="LEVEL", help=text.RELAY_LOG)] = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help=text.RELAY_CONFIG)] = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    # Imported here: a client needs none of it.
    from halonyx.relay.server import run as serve  # noqa: PLC0415
    from halonyx.relay.settings import load_settings  # noqa: PLC0415

    settings = load_settings(
        host=host,
        port=port,
        data=data,
        origins=origin or None,
        behind_proxy=behind_proxy or None,
        signup=signup,
        log_level=log_level,
        config=config,
    )
    values = {
        "origin": settings.public_origins[0],
        "data": str(settings.data),
        "secrets": str(settings.secrets_path),
    }
    run.output.answer(values, text.RELAY_STARTS, **values)
    serve(settings)
