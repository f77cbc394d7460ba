"""`halonyx verify`: the safety number."""

import re
import shlex
from typing import Annotated, Final

import typer

from halonyx.cli import text
from halonyx.cli.command import Run, command
from halonyx.cli.contacts import Name
from halonyx.cli.escape import escape_name
from halonyx.cli.output import JsonValue, Plain, fill
from halonyx.cli.pictures import qr_code
from halonyx.core.errors import Misuse

GROUPS: Final = 12
DIGITS: Final = 60
GROUPS_PER_LINE: Final = 4


class SafetyNumberDiffers(Misuse):
    """The compared numbers are not the same."""

    code = "safety-number-differs"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(app, "verify")(verify)


async def verify(
    run: Run,
    name: Name,
    *,
    qr: Annotated[bool, typer.Option("--qr", help=text.VERIFY_QR)] = False,
    number: Annotated[
        str | None, typer.Option("--number", metavar='"…"', help=text.VERIFY_NUMBER, show_default=False)
    ] = None,
) -> None:
    """Show the number, draw it, or compare it."""
    compared = None if number is None else _groups(number)
    async with run.client() as me:
        ours = await me.safety_number(name)
        if compared is not None and compared != ours:
            was_verified = me.contacts.get(name).verified
            words = text.SAFETY_DIFFERS_FROM_VERIFIED if was_verified else text.SAFETY_DIFFERS
            raise SafetyNumberDiffers(fill(words, name=escape_name(name)))
        contact = await me.verify(name, compared) if compared is not None else me.contacts.get(name)
        picture = qr_code(await me.safety_qr(name)) if qr and not run.output.as_json else None
    values: dict[str, JsonValue] = {"name": contact.name, "safety_number": ours, "verified": contact.verified}
    parts = {"name": escape_name(contact.name), "argument": shlex.quote(contact.name)}
    if compared is not None:
        run.output.answer(values, text.SAFETY_VERIFIED, **parts)
        return
    run.output.answer(values, text.SAFETY_NUMBER, number=_laid_out(ours), **parts)
    if picture is not None:
        run.output.say("{picture}\n", picture=Plain(picture))
        run.output.say(text.SAFETY_QR, **parts)
    else:
        run.output.say(text.SAFETY_IS_VERIFIED if contact.verified else text.SAFETY_HOW, **parts)


def _groups(number: str) -> str:
    """Return what was typed as twelve groups, however it was spaced."""
    digits = re.sub(r"[\s.-]", "", number)
    if len(digits) != DIGITS or not (digits.isascii() and digits.isdigit()):
        raise Misuse(text.SAFETY_MALFORMED)
    width = DIGITS // GROUPS
    return " ".join(digits[at : at + width] for at in range(0, DIGITS, width))


def _laid_out(number: str) -> Plain:
    groups = number.split(" ")
    lines = (groups[at : at + GROUPS_PER_LINE] for at in range(0, len(groups), GROUPS_PER_LINE))
    return Plain("\n".join("    " + " ".join(line) for line in lines))
