"""What an operator looks up: what the relay knows, and what was done with it."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from halonyx.cli import text_relay as text
from halonyx.cli.command import Run, command
from halonyx.cli.output import JsonValue, fill
from halonyx.cli.relay_options import ConfigOption, DataOption, SecretsOption, operator_settings
from halonyx.core.card import Card
from halonyx.core.errors import Malformed, Misuse
from halonyx.core.identity import address_of
from halonyx.core.types import HASH_SIZE, Address

HASH: Final = re.compile("[0-9a-f]{64}")


def register(group: typer.Typer) -> None:
    """Add the commands to the group."""
    command(group, "relay knows", has_home=False)(knows)
    command(group, "relay admin-log", has_home=False)(admin_log)


def knows(
    run: Run,
    whose: Annotated[str | None, typer.Argument(metavar="ADDRESS", help=text.KNOWS_WHOSE, show_default=False)] = None,
    *,
    data: DataOption = None,
    secrets: SecretsOption = None,
    config: ConfigOption = None,
) -> None:
    """Print what the relay's files hold, from their schema."""
    from halonyx.relay import knows as knowing  # noqa: PLC0415
    from halonyx.relay.secrets import read  # noqa: PLC0415

    settings = operator_settings(data=data, secrets=secrets, config=config)
    page, found = knowing.of_anybody(settings.data), None
    if whose is not None:
        address = _address(whose)
        found = {
            (one.held.file, one.held.name): (one.rows, one.value)
            for one in knowing.of_account(settings, read(settings.secrets_path), address)
        }
    file = ""
    for held in page.held:
        if held.file != file:
            run.output.say(text.KNOWS_FILE, file=held.file)
        file = held.file
        values: dict[str, JsonValue] = {"file": held.file, "name": held.name, "text": held.text}
        if found is None or not held.name:
            run.output.answer(values, text.KNOWS_HELD if held.name else text.KNOWS_BESIDE, **values)
        else:
            rows, value = found[held.file, held.name]
            words = _in_words(rows, value or text.KNOWS_EMPTY)
            run.output.answer(values | {"rows": rows, "value": value}, text.KNOWS_OF, **values, found=words)
    for title, key, sentences in (
        (text.KNOWS_CAN, "can_tell", page.can_tell),
        (text.KNOWS_CANNOT, "cannot_tell", page.cannot_tell),
    ):
        run.output.say(title)
        for sentence in sentences:
            run.output.answer({key: sentence}, text.KNOWS_SENTENCE, sentence=sentence)


def admin_log(
    run: Run,
    *,
    verify: Annotated[bool, typer.Option("--verify", help=text.ADMIN_VERIFY)] = False,
    head: Annotated[str | None, typer.Option("--head", metavar="HASH", help=text.ADMIN_HEAD)] = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Print the admin log, or what is wrong with it; exit status 1 if it was changed."""
    from halonyx.relay import admin_log as log  # noqa: PLC0415
    from halonyx.relay.folder import require_relay  # noqa: PLC0415

    if head is not None and not HASH.fullmatch(head):
        raise Misuse(text.ADMIN_NO_HASH)
    settings = operator_settings(data=data, config=config)
    found = log.read(settings.data)
    if not found.lines and not found.findings:
        require_relay(settings.data)  # it notes its first start
    is_check = verify or head is not None
    for line in found.lines:
        if line is not None and not is_check:
            run.output.answer(line.fields, text.ADMIN_LINE, **_line_in_words(line.fields))
    for finding in found.findings:
        run.output.answer(
            {"flaw": finding.flaw, "line": finding.line}, text.ADMIN_FLAW[finding.flaw], line=finding.line
        )
    is_missed = head is not None and all(line is None or line.digest != head for line in found.lines)
    if is_missed:
        run.output.answer({"flaw": "head", "line": None}, text.ADMIN_NO_HEAD)
    if is_missed or any(finding.flaw is not log.Flaw.TORN for finding in found.findings):
        raise typer.Exit(1)
    if is_check:
        number, digest = found.head
        run.output.answer({"lines": number, "head": digest}, text.ADMIN_WELL, number=number, digest=digest)


def _line_in_words(fields: Mapping[str, Any]) -> dict[str, str]:
    moment = datetime.fromtimestamp(fields["time"] / 1000, UTC)
    shown = {name: ", ".join(value) if isinstance(value, list) else value for name, value in fields.items()}
    details = " ".join(
        f"{name} {shown[name]}" for name in ("version", "mode", "count", "found", "names") if name in shown
    )
    return {"time": f"{moment:%Y-%m-%d %H:%M:%S} UTC", "event": fields["event"], "details": details}


def _in_words(rows: int | None, value: str) -> str:
    if rows is None:
        return text.KNOWS_NOBODYS
    words = (text.KNOWS_NONE, text.KNOWS_ONE, text.KNOWS_MORE)[min(rows, 2)]
    return fill(words, rows=rows, value=value)


def _address(typed: str) -> Address:
    """Read an address in hex, or take it from a contact card."""
    try:
        address = bytes(address_of(Card.parse(typed).usid)) if ":" in typed else bytes.fromhex(typed)
    except (Malformed, ValueError):
        address = b""
    if len(address) != HASH_SIZE:
        raise Misuse(text.KNOWS_NO_ADDRESS)
    return Address(address)
