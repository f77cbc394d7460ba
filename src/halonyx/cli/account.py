"""`halonyx account create|recover|show|invite|delete`."""

import secrets
import sys
from typing import Annotated, Final

import typer

from halonyx.cli import text, text_account
from halonyx.cli.command import Run, command
from halonyx.cli.output import JsonValue, Output, Plain, fill, local
from halonyx.cli.passphrase import TRIES, has_keyring, passphrase_to_create, passphrase_to_open, recovery_code
from halonyx.core.errors import Malformed, Misuse

DEFAULT_RELAY: Final = "http://localhost:3000"
GROUPS_ASKED: Final = 2
GROUPS_PER_LINE: Final = 3

RelayOption = Annotated[str, typer.Option("--relay", metavar="URL", envvar="HALONYX_RELAY", help=text.RELAY_URL)]

InviteOption = Annotated[str | None, typer.Option("--invite", metavar="INVITE", help=text.INVITE_OPTION)]
NameOption = Annotated[str | None, typer.Option("--my-name", metavar="NAME", help=text.MY_NAME)]
EmailOption = Annotated[str | None, typer.Option("--my-email", metavar="ADDRESS", help=text.MY_EMAIL)]


class MalformedRelay(Misuse):
    """What was typed is no relay's address."""

    code = "malformed"


def register(app: typer.Typer) -> None:
    """Add the group to the program."""
    app.add_typer(group)


group = typer.Typer(name="account", help=text.GROUP["account"], no_args_is_help=True, rich_markup_mode=None)


@command(group, "account create")
async def create(
    run: Run,
    relay: RelayOption = DEFAULT_RELAY,
    invite: InviteOption = None,
    my_name: NameOption = None,
    my_email: EmailOption = None,
) -> None:
    """Sign up; the recovery code exists only in what is printed here."""
    from halonyx.client import admission, create_account  # noqa: PLC0415 (slow import; not for --help)

    origin, given = relay_origin(relay), admission(invite, my_name, my_email)
    passphrase = passphrase_to_create()
    new = await create_account(run.home, origin, passphrase, given)
    values = {
        "usid": new.account.usid.hex(),
        "address": new.account.address.hex(),
        "recovery_code": new.recovery_code,
    }
    run.output.answer(values, text_account.ACCOUNT_CREATED, code=_laid_out(new.recovery_code))
    if passphrase is None and has_keyring():
        run.output.say(text_account.KEY_IN_KEYRING)
    if not run.output.as_json and sys.stdin.isatty() and sys.stdout.isatty():
        _ask_back(run.output, new.recovery_code)
    run.output.say(text_account.ACCOUNT_NEXT)


@command(group, "account recover")
async def recover(
    run: Run,
    relay: RelayOption = DEFAULT_RELAY,
    invite: InviteOption = None,
    my_name: NameOption = None,
    my_email: EmailOption = None,
) -> None:
    """Take the account over on this machine."""
    from halonyx.client import admission, recover_account  # noqa: PLC0415

    origin, given = relay_origin(relay), admission(invite, my_name, my_email)
    code = recovery_code()
    account = await recover_account(run.home, origin, code, passphrase_to_create(), given)
    run.output.answer({"usid": account.usid.hex(), "address": account.address.hex()}, text_account.ACCOUNT_RECOVERED)


@command(group, "account show")
async def show(run: Run) -> None:
    """Show what identifies the account; none of it is secret from contacts."""
    async with run.client() as me:
        account = me.account
    values: dict[str, JsonValue] = {
        "usid": account.usid.hex(),
        "address": account.address.hex(),
        "relay": account.origin,
        "device": account.device,
    }
    run.output.answer(values, text_account.ACCOUNT_SHOWN, **values)


@command(group, "account invite")
async def invite(run: Run) -> None:
    """Print an invite to the account's relay."""
    async with run.client() as me:
        made, relay = await me.invite(), me.account.origin
    values: dict[str, JsonValue] = {"invite": made.invite, "expires": made.expires, "relay": relay}
    run.output.answer(values, "{invite}", invite=made.invite)
    run.output.remark(text_account.INVITED_NEXT, expires=local(made.expires), relay=relay)


@command(group, "account delete")
async def delete(
    run: Run, *, yes: Annotated[bool, typer.Option("--yes", help=text_account.DELETE_YES)] = False
) -> None:
    """Delete the account at its relay, then on this machine."""
    from halonyx.client import Client, delete_account  # noqa: PLC0415

    passphrase = passphrase_to_open(run.home)
    async with Client.open(run.home, passphrase) as me:
        account = me.account
    values: dict[str, JsonValue] = {"address": account.address.hex(), "relay": account.origin}
    if not yes:
        _ask_to_delete(run.output, **values)
    await delete_account(run.home, recovery_code(), passphrase)
    run.output.answer({**values, "deleted": True}, text_account.ACCOUNT_DELETED, **values)


def relay_origin(typed: str) -> str:
    """Return a relay's origin as it was typed, with or without a slash at the end (MalformedRelay if it is none)."""
    from halonyx.core.origin import check_origin  # noqa: PLC0415

    try:
        return check_origin(typed.rstrip("/"))
    except Malformed as error:
        raise MalformedRelay(str(error)) from None


def _laid_out(code: str) -> Plain:
    groups = code.split("-")
    lines = (groups[at : at + GROUPS_PER_LINE] for at in range(0, len(groups), GROUPS_PER_LINE))
    return Plain("\n".join("    " + "-".join(line) for line in lines))


def _ask_to_delete(output: Output, **parts: JsonValue) -> None:
    if output.as_json or not sys.stdin.isatty():
        raise Misuse(text_account.DELETE_UNASKED)
    output.say(text_account.DELETE_TELLS, **parts)
    if input(text_account.ASK_DELETE).strip().lower() != text_account.DELETE_WORD:
        raise Misuse(text_account.NOT_DELETED)


def _ask_back(output: Output, code: str) -> None:
    groups = code.split("-")
    for at in sorted(secrets.SystemRandom().sample(range(len(groups)), GROUPS_ASKED)):
        if not _knows_group(output, at + 1, groups[at]):
            output.say(text_account.CODE_NOT_CONFIRMED, code=_laid_out(code))
            return
    output.say(text_account.CODE_CONFIRMED)


def _knows_group(output: Output, number: int, group: str) -> bool:
    for _ in range(TRIES):
        if input(fill(text.ASK_GROUP, number=number)).strip().upper() == group:
            return True
        output.say(text_account.CODE_GROUP_WRONG, number=number)
    return False
