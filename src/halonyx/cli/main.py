"""The `halonyx` program: its groups, and what an error becomes."""

import sys
import traceback
from importlib.metadata import version
from typing import Annotated, Final

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from halonyx.cli import account, contacts, files, keeping, messages, relay, text, verification, web
from halonyx.cli.command import HomeOption, JsonOption, examples
from halonyx.cli.output import Output, fill
from halonyx.core.errors import HalonyxError, RemoteError, TransportError

REFUSED: Final = 1  # by the other side
WRONG_USE: Final = 2
UNREACHABLE: Final = 3
FAULT: Final = 70  # EX_SOFTWARE: ours
INTERRUPTED: Final = 130

ORDER: Final = (
    "account",
    "card",
    "contact",
    "verify",
    "send",
    "receive",
    "send-file",
    "files",
    "history",
    "search",
    "backup",
    "restore",
    "web",
    "relay",
)


class InOrder(TyperGroup):
    """The program's commands in the order a newcomer meets them."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """Return their names for the help page."""
        return sorted(super().list_commands(ctx), key=ORDER.index)


app = typer.Typer(
    cls=InOrder,
    rich_markup_mode=None,
    name="halonyx",
    help=text.APP,
    epilog=examples(text.APP_EXAMPLES),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def show_version(value: bool) -> None:  # noqa: FBT001 (called by the option parser)
    """Print the version and end."""
    if value:
        sys.stdout.write(f"halonyx {version('halonyx')}\n")
        raise typer.Exit


@app.callback()
def start(
    *,
    home: HomeOption = None,
    as_json: JsonOption = False,
    show: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help=text.VERSION_OPTION)
    ] = False,
) -> None:
    """Take the options that stand before the command; `command.command` reads them."""


relay.register(app)
account.register(app)
contacts.register(app)
verification.register(app)
messages.register(app)
files.register(app)
keeping.register(app)
web.register(app)


def main() -> None:
    """Run the program and exit with its status."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Carry out one command line.

    Returns:
        0; 1 refused by the other side; 2 wrong use or a local store that refuses; 3 the relay can't be reached.
    """
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    output = Output(as_json="--json" in options)
    _prepare_streams()
    try:
        return int(app(arguments, prog_name="halonyx", standalone_mode=False) or 0)
    except TyperException as error:
        return _usage(error, output)
    except HalonyxError as error:
        return _refused(error, output)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except OSError as error:
        reason, file = error.strerror or type(error).__name__, error.filename or ""
        output.error("system-error", text.SYSTEM_ERROR.format(reason=reason, file=file).rstrip(": ") + ".")
        return WRONG_USE
    except Exception:  # noqa: BLE001 (the outermost place: a fault must not look like a refusal)
        traceback.print_exc()
        output.error("fault", text.BUG)
        return FAULT


def _usage(error: TyperException, output: Output) -> int:
    message = error.format_message()
    if message.startswith("Usage:") and not output.as_json:  # a group without a command
        sys.stderr.write(message + "\n")
        return WRONG_USE
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "halonyx"
    output.error("usage", f"{message}\n{fill(text.USAGE_HINT, command=command)}")
    return WRONG_USE


def _refused(error: HalonyxError, output: Output) -> int:
    message = str(error)
    message = message + ("" if message.endswith((".", "'")) else ".")
    hint = text.HINT.get(error.code)
    output.error(error.code, f"{message}\n{hint}" if hint else message)
    match error:
        case TransportError():
            return UNREACHABLE
        case RemoteError():
            return REFUSED
        case _:
            return WRONG_USE


def _prepare_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        # A locale that lacks a character must not end the program in the middle of a message.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
