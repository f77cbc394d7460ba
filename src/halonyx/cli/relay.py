"""`halonyx relay`: run a relay in this process, and what its operator does besides."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, get_origin

import typer

from halonyx.cli import relay_looks
from halonyx.cli import text_relay as text
from halonyx.cli.command import Run, command, open_group
from halonyx.cli.output import JsonValue, fill, local, utc
from halonyx.cli.relay_options import ConfigOption, DataOption, SecretsOption, operator_settings
from halonyx.core.errors import Misuse

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

MAX_INPUT: Final = 64 * 1024  # more than may be announced: whatever is too long is refused by its length


def register(app: typer.Typer) -> None:
    """Add the group to the program."""
    group = open_group(app, "relay")(relay)
    command(group, "relay doctor", has_home=False, takes_rest=True)(doctor)
    command(group, "relay invite", has_home=False)(invite)
    command(group, "relay announce", has_home=False)(announce)
    command(group, "relay contacts", has_home=False)(contacts)
    command(group, "relay backup", has_home=False)(backup)
    command(group, "relay restore", has_home=False)(restore)
    relay_looks.register(group)


# None leaves a setting to its HALONYX_ variable, the settings file or the relay's own default.
def relay(  # noqa: PLR0913 (one argument an option)
    run: Run,
    *,
    host: Annotated[str | None, typer.Option(metavar="HOST", help=text.HOST)] = None,
    port: Annotated[int | None, typer.Option(metavar="PORT", help=text.PORT)] = None,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help=text.DATA)] = None,
    origin: Annotated[list[str] | None, typer.Option(metavar="URL", help=text.ORIGIN)] = None,
    behind_proxy: Annotated[bool | None, typer.Option("--behind-proxy", help=text.PROXY)] = None,
    tls_cert: Annotated[Path | None, typer.Option(metavar="FILE", help=text.TLS_CERT)] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help=text.TLS_KEY)] = None,
    signup: Annotated[str | None, typer.Option(metavar="MODE", help=text.SIGNUP)] = None,
    log_level: Annotated[str | None, typer.Option(metavar="LEVEL", help=text.LOG)] = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help=text.CONFIG)] = None,
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
        "tls_cert": tls_cert,
        "tls_key": tls_key,
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
    serve(settings, lambda: run.output.answer(values, text.STARTS, **values))


def doctor(  # noqa: PLR0913 (one argument an option)
    run: Run,
    *,
    port: Annotated[int | None, typer.Option(metavar="PORT", help=text.PORT)] = None,
    data: DataOption = None,
    secrets: SecretsOption = None,
    origin: Annotated[list[str] | None, typer.Option(metavar="URL", help=text.ORIGIN)] = None,
    behind_proxy: Annotated[bool | None, typer.Option("--behind-proxy", help=text.PROXY)] = None,
    config: ConfigOption = None,
) -> None:
    """Print what is wrong, one finding each; exit status 1 if there is any."""
    from halonyx.relay.doctor import examine  # noqa: PLC0415
    from halonyx.relay.settings import RelaySettings  # noqa: PLC0415

    named = {
        "port": port,
        "data": data,
        "secrets": secrets,
        "origins": origin or None,
        "behind_proxy": behind_proxy or None,
        "config": config,
    }
    findings = examine(named | _other_settings(run.rest, RelaySettings.model_fields))
    for found in findings:
        values: dict[str, JsonValue] = {"code": found.code, "text": found.text, "change": found.change}
        run.output.answer(values, text.FOUND, code=found.code, text=found.text, change=found.change)
    if findings:
        raise typer.Exit(1)
    run.output.say(text.ALL_WELL)


def invite(
    run: Run,
    *,
    days: Annotated[int | None, typer.Option(metavar="N", min=1, max=365, help=text.INVITE_DAYS)] = None,
    count: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help=text.INVITE_COUNT)] = 1,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Print invites, one a line; the relay keeps their hashes."""
    from halonyx.relay.context import wall_clock  # noqa: PLC0415
    from halonyx.relay.store import identity, invites  # noqa: PLC0415

    settings = operator_settings(data=data, config=config)
    expires = invites.expiry(wall_clock(), days or settings.invite_days)
    for made in invites.make_invites(settings.data / "identity.db", identity.SCHEMA, count, expires):
        run.output.answer({"invite": made, "expires": expires}, text.INVITED, invite=made)
    origin = settings.origins[0] if settings.origins else text.INVITED_ORIGIN  # --data alone does not tell it
    run.output.remark(text.INVITED_NEXT, expires=local(expires), origin=origin)


def announce(
    run: Run,
    message: Annotated[str | None, typer.Argument(metavar="[TEXT|-]", help=text.ANNOUNCED_TEXT)] = None,
    *,
    data: DataOption = None,
    secrets: SecretsOption = None,
    config: ConfigOption = None,
) -> None:
    """Sign a text and leave it for the relay to tell."""
    from halonyx.relay.announcing import announce as sign  # noqa: PLC0415
    from halonyx.relay.context import wall_clock  # noqa: PLC0415

    words = _from_standard_input() if message in (None, "-") else message
    now = wall_clock()
    sign(operator_settings(data=data, secrets=secrets, config=config), words, now)
    run.output.answer({"announcement": words, "time": utc(now)}, text.ANNOUNCED)


def contacts(run: Run, *, data: DataOption = None, secrets: SecretsOption = None, config: ConfigOption = None) -> None:
    """Print who gave a name and an e-mail address."""
    from halonyx.relay.folder import require_relay  # noqa: PLC0415
    from halonyx.relay.secrets import read  # noqa: PLC0415
    from halonyx.relay.store import details  # noqa: PLC0415
    from halonyx.relay.store.sealing import sealing_key  # noqa: PLC0415

    settings = operator_settings(data=data, secrets=secrets, config=config)
    require_relay(settings.data)
    key = sealing_key(read(settings.secrets_path).identity_pepper)
    for one in details.read_all(settings.data / "identity.db", key):
        run.output.answer({"name": one.name, "email": one.email}, text.CONTACT, name=one.name, email=one.email)


def backup(
    run: Run,
    file: Annotated[Path, typer.Argument(metavar="FILE", help=text.BACKUP_FILE, show_default=False)],
    *,
    data: DataOption = None,
    secrets: SecretsOption = None,
    config: ConfigOption = None,
) -> None:
    """Copy the databases of one moment, and the secrets to a second file."""
    from halonyx.relay.backup import back_up, secrets_of  # noqa: PLC0415

    back_up(operator_settings(data=data, secrets=secrets, config=config), file)
    values = {"file": str(file), "secrets": str(secrets_of(file))}
    run.output.answer(values, text.BACKED_UP, **values)


def restore(  # noqa: PLR0913 (one argument an option)
    run: Run,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help=text.RESTORE_FILE, exists=True, dir_okay=False, show_default=False)
    ],
    *,
    replace: Annotated[bool, typer.Option("--replace", help=text.REPLACE)] = False,
    data: DataOption = None,
    secrets: SecretsOption = None,
    config: ConfigOption = None,
) -> None:
    """Put the databases back, with new epochs."""
    from halonyx.relay import backup as copies  # noqa: PLC0415

    settings = operator_settings(data=data, secrets=secrets, config=config)
    done = copies.restore(settings, file, replace=replace)
    aside = None if done.replaced is None else str(done.replaced)
    values: dict[str, JsonValue] = {"data": str(settings.data), "taken": done.taken, "replaced": aside}
    run.output.answer(values, text.RESTORED, data=settings.data, taken=local(done.taken))
    if aside is not None:
        run.output.say(text.MOVED_ASIDE, replaced=aside)


def _from_standard_input() -> str:
    data = sys.stdin.buffer.read(MAX_INPUT)
    try:
        return data.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError:
        raise Misuse(text.ANNOUNCED_NO_TEXT) from None


def _other_settings(arguments: tuple[str, ...], known: Mapping[str, "FieldInfo"]) -> dict[str, str]:
    """Read `--pow-bits 22` and `--pow-bits=22` for any setting; most are too rare to have a place in the help page.

    A list that is given several times adds up; of anything else the last counts.
    """
    found: dict[str, str] = {}
    left = list(arguments)
    while left:
        option, has_value, value = left.pop(0).partition("=")
        name = option.removeprefix("--").replace("-", "_")
        if not option.startswith("--") or name not in known:
            raise Misuse(fill(text.NO_SETTING, option=option))
        if not has_value and not left:
            raise Misuse(fill(text.NO_VALUE, option=option))
        taken = value if has_value else left.pop(0)
        adds_up = name in found and get_origin(known[name].annotation) is list
        found[name] = f"{found[name]},{taken}" if adds_up else taken
    return found
