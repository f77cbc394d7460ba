"""`halonyx relay`: run a relay in this process."""

from collections.abc import Container
from pathlib import Path
from typing import Annotated

import typer

from halonyx.cli import text
from halonyx.cli.command import Run, command
from halonyx.cli.output import fill
from halonyx.core.errors import Misuse


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(app, "relay", has_home=False, takes_rest=True)(relay)


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
    from halonyx.relay.settings import RelaySettings, load_settings  # noqa: PLC0415

    named = {
        "host": host,
        "port": port,
        "data": data,
        "origins": origin or None,
        "behind_proxy": behind_proxy or None,
        "signup": signup,
        "log_level": log_level,
        "config": config,
    }
    settings = load_settings(**(named | _other_settings(run.rest, RelaySettings.model_fields)))
    values = {
        "origin": settings.public_origins[0],
        "data": str(settings.data),
        "secrets": str(settings.secrets_path),
    }
    serve(settings, lambda: run.output.answer(values, text.RELAY_STARTS, **values))


def _other_settings(arguments: tuple[str, ...], known: Container[str]) -> dict[str, str]:
    """Read `--pow-bits 22` and `--pow-bits=22` for any setting; most are too rare to have a place in the help page."""
    found = {}
    left = list(arguments)
    while left:
        option, has_value, value = left.pop(0).partition("=")
        name = option.removeprefix("--").replace("-", "_")
        if not option.startswith("--") or name not in known:
            raise Misuse(fill(text.RELAY_NO_SETTING, option=option))
        if not has_value and not left:
            raise Misuse(fill(text.RELAY_NO_VALUE, option=option))
        found[name] = value if has_value else left.pop(0)
    return found
