"""How a command is declared: a function from a `Run` and its own arguments; --home and --json are added here."""

import asyncio
import inspect
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, Final, ParamSpec, cast

import typer
from typer.core import TyperGroup

from halonyx.cli import text
from halonyx.cli.output import Output
from halonyx.cli.passphrase import passphrase_to_open
from halonyx.core.errors import RemoteError, TransportError

if TYPE_CHECKING:
    from halonyx.client import Client

FLUSH_SECONDS: Final = 2.0
PIPE_CLOSED: Final = 141  # 128 + SIGPIPE, what other programs end with
P = ParamSpec("P")

JsonOption = Annotated[bool, typer.Option("--json", help=text.JSON_OPTION)]
HomeOption = Annotated[Path | None, typer.Option("--home", metavar="DIR", help=text.HOME_OPTION, show_default=False)]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one command.

    Attributes:
        home: The account's folder.
        output: Where the answer goes.
        rest: Arguments that no option of the command took, for a command that asked for them.
    """

    home: Path
    output: Output
    rest: tuple[str, ...] = ()

    @asynccontextmanager
    async def client(self, *, flush: bool = True) -> AsyncIterator["Client"]:
        """Open the account, and first send what waits, without minding a relay that can't be reached.

        Args:
            flush: False where the command itself sends what waits.
        """
        from halonyx.client import Client  # noqa: PLC0415 (slow import; not for --help)

        async with Client.open(self.home, passphrase_to_open(self.home)) as me:
            if flush:
                with suppress(TransportError, RemoteError):
                    await me.flush(FLUSH_SECONDS)
            yield me


Body = Callable[Concatenate[Run, P], Coroutine[Any, Any, None] | None]


def command(
    app: typer.Typer, path: str, *, has_home: bool = True, takes_rest: bool = False
) -> Callable[[Body[P]], Body[P]]:
    """Register a function as the command `path`, with its wording from the catalogue.

    Args:
        app: The group it belongs to.
        path: As typed after `halonyx`, for example `contact add`.
        has_home: False for a command that uses no account.
        takes_rest: Whether it reads options that are not declared.
    """

    def register(body: Body[P]) -> Body[P]:
        rest = {"allow_extra_args": takes_rest, "ignore_unknown_options": takes_rest}
        name, epilog = path.rpartition(" ")[2], examples(text.EXAMPLE[path])
        app.command(name, help=text.COMMAND[path], epilog=epilog, context_settings=rest)(
            _entry(body, has_home=has_home)
        )
        return body

    return register


class OpenGroup(TyperGroup):
    """A group that is a command itself, with options of any name, unless the first word names a command of its own."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Leave everything to the group's own function, or everything to the command that is named."""
        if args and args[0] in self.commands:
            return super().parse_args(ctx, args)
        ctx.allow_interspersed_args = ctx.ignore_unknown_options = True
        super().parse_args(ctx, args)
        ctx.args, ctx._protected_args = [*ctx._protected_args, *ctx.args], []  # noqa: SLF001 (the library has no other)
        return ctx.args


def open_group(app: typer.Typer, path: str) -> Callable[[Body[P]], typer.Typer]:
    """Register a function as the command `path` that has commands of its own; without an account.

    Returns:
        A decorator that gives the group.
    """

    def register(body: Body[P]) -> typer.Typer:
        group = typer.Typer(
            cls=OpenGroup,
            name=path,
            invoke_without_command=True,
            subcommand_metavar="[COMMAND [ARGS]...]",
            rich_markup_mode=None,
            help=text.COMMAND[path],
            epilog=examples(text.EXAMPLE[path]),
        )
        group.callback()(_entry(body, has_home=False))
        app.add_typer(group)
        return group

    return register


def _entry(body: Body[P], *, has_home: bool) -> Callable[..., None]:
    # The parser checked the arguments against the signature set below, which the type checker can't follow.
    carry_out = cast("Callable[..., Coroutine[Any, Any, None] | None]", body)

    def entry(context: typer.Context, **values: Any) -> None:  # noqa: ANN401 (each command has its own)
        if context.invoked_subcommand is not None:
            return
        start = context.find_root().params
        run = Run(
            home=values.pop("home", None) or start["home"] or default_home(),
            output=Output(as_json=values.pop("as_json") or start["as_json"]),
            rest=tuple(context.args),
        )
        try:
            _carry_out(lambda: carry_out(run, **values))
        except typer.BadParameter as wrong:
            wrong.ctx = wrong.ctx or context  # for the name of the command whose help is worth reading
            raise

    own = list(inspect.signature(body).parameters.values())[1:]
    context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    shared = [_option("home", HomeOption, None)] if has_home else []
    parameters = [context, *own, _option("as_json", JsonOption, default=False), *shared]
    entry.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    entry.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return entry


def default_home() -> Path:
    """Return $HALONYX_HOME, else `halonyx` in the XDG data folder."""
    chosen = os.environ.get("HALONYX_HOME")
    if chosen:
        return Path(chosen)
    data = os.environ.get("XDG_DATA_HOME") or ""
    # The specification of those folders says to ignore a relative one.
    return (Path(data) if Path(data).is_absolute() else Path.home() / ".local" / "share") / "halonyx"


def examples(lines: tuple[str, ...]) -> str:
    """Return the last part of a help page."""
    return "\n".join(("\b", text.EXAMPLES, *(f"  {line}" for line in lines)))


def _carry_out(body: Callable[[], Coroutine[Any, Any, None] | None]) -> None:
    try:
        steps = body()
        if steps is not None:
            asyncio.run(steps)
    except BrokenPipeError:
        # Nobody reads any more. Standard output is swapped so that the interpreter's own flush at exit stays quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(PIPE_CLOSED) from None


def _option(name: str, annotation: Any, default: object) -> inspect.Parameter:  # noqa: ANN401 (an annotation)
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
