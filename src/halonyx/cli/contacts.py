"""`halonyx card` and `halonyx contact …`."""

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from halonyx.cli import text, text_files
from halonyx.cli.command import Run, command
from halonyx.cli.escape import escape_name
from halonyx.cli.output import JsonValue, Plain, fill
from halonyx.cli.pictures import qr_code, table
from halonyx.core.errors import Malformed, Misuse

if TYPE_CHECKING:
    from halonyx.client import Contact

Name = Annotated[str, typer.Argument(metavar="NAME", help=text.NAME_ARGUMENT, show_default=False)]
NameOption = Annotated[str | None, typer.Option("--name", metavar="NAME", help=text.NAME_OPTION, show_default=False)]
Request = Annotated[str, typer.Argument(metavar="ID", help=text.REQUEST_ARGUMENT, show_default=False)]


class MalformedCard(Misuse):
    """What was typed is no card."""

    code = "malformed"


def register(app: typer.Typer) -> None:
    """Add `card` and the group to the program."""
    command(app, "card")(card)
    app.add_typer(group)


group = typer.Typer(name="contact", help=text.GROUP["contact"], no_args_is_help=True, rich_markup_mode=None)


async def card(run: Run, *, qr: Annotated[bool, typer.Option("--qr", help=text.CARD_QR)] = False) -> None:
    """Print the card alone on standard output, so that it can be piped and copied."""
    async with run.client() as me:
        uri = me.card().uri()
    run.output.answer({"card": uri}, "{card}", card=uri)
    if qr:
        run.output.say("\n{picture}", picture=Plain(qr_code(uri)))
    run.output.remark(text.CARD_NEXT)


@command(group, "contact add")
async def add(
    run: Run,
    card: Annotated[str, typer.Argument(metavar="CARD", help=text.CARD_ARGUMENT, show_default=False)],
    name: NameOption = None,
) -> None:
    """Add someone; works offline."""
    from halonyx.core.card import Card  # noqa: PLC0415 (slow import; not for --help)

    try:
        Card.parse(card)
    except Malformed as error:
        raise MalformedCard(str(error)) from None
    async with run.client() as me:
        contact = await me.contacts.add(card, name)
    run.output.answer(_short(contact), text.CONTACT_ADDED, **_named(contact))


@command(group, "contact list")
async def list_contacts(run: Run) -> None:
    """List contacts, one a line."""
    async with run.client() as me:
        contacts = me.contacts.list()
    if run.output.as_json:
        for contact in contacts:
            run.output.answer(_whole(contact), "")
        return
    if not contacts:
        run.output.say(text.NO_CONTACTS)
        return
    rows = [(escape_name(contact.name), _standing(contact), contact.usid.hex()) for contact in contacts]
    run.output.say("{rows}", rows=Plain(table(text.CONTACT_COLUMNS, rows)))


@command(group, "contact show")
async def show(run: Run, name: Name) -> None:
    """Show everything known about one contact."""
    async with run.client() as me:
        contact = me.contacts.get(name)
    values = _whole(contact)
    parts = values | {
        "name": escape_name(contact.name),
        "state": text.STATE[contact.state],
        "verified": text.YES if contact.verified else text.NO,
    }
    run.output.answer(values, text.CONTACT_SHOWN, **parts)
    if contact.frozen is not None:
        run.output.say(text.CONTACT_FROZEN, reason=contact.frozen, **_named(contact))


@command(group, "contact rename")
async def rename(
    run: Run,
    name: Name,
    new: Annotated[str, typer.Argument(metavar="NEW", help=text.NEW_NAME_ARGUMENT, show_default=False)],
) -> None:
    """Change our name for a contact."""
    async with run.client() as me:
        contact = me.contacts.rename(name, new)
    run.output.answer(_short(contact), text.CONTACT_RENAMED, old=name, name=contact.name)


@command(group, "contact block")
async def block(run: Run, name: Name) -> None:
    """Block a contact and change the access key for everyone else."""
    async with run.client() as me:
        contact = await me.contacts.block(name)
    run.output.answer(_whole(contact), text.CONTACT_BLOCKED, name=contact.name)


@command(group, "contact unblock")
async def unblock(run: Run, name: Name) -> None:
    """Lift a block."""
    async with run.client() as me:
        await me.contacts.unblock(name)
        contact = me.contacts.get(name)
    run.output.answer(_whole(contact), text.CONTACT_UNBLOCKED, name=contact.name)


@command(group, "contact remove")
async def remove(run: Run, name: Name) -> None:
    """Take a contact off the list."""
    async with run.client() as me:
        await me.contacts.remove(name)
    run.output.answer({"name": name, "removed": True}, text.CONTACT_REMOVED, name=name)


@command(group, "contact requests")
async def requests(run: Run) -> None:
    """List requests; nothing a stranger wrote is shown."""
    async with run.client() as me:
        waiting = me.contacts.requests()
    for request in waiting:
        values = {"request": request.name, "usid": request.usid.hex()}
        run.output.answer(values, text.REQUEST_SHOWN, **values)
    run.output.say(text.REQUESTS_NEXT if waiting else text.NO_REQUESTS)


@command(group, "contact accept")
async def accept(run: Run, request: Request, name: NameOption = None) -> None:
    """Make a stranger a contact."""
    async with run.client() as me:
        contact = await me.contacts.accept(request, name)
    run.output.answer(_short(contact), text.REQUEST_ACCEPTED, name=contact.name)


@command(group, "contact refuse")
async def refuse(run: Run, request: Request) -> None:
    """Drop a request."""
    async with run.client() as me:
        me.contacts.refuse(request)
    run.output.answer({"request": request, "refused": True}, text.REQUEST_REFUSED)


@command(group, "contact trust")
async def trust(run: Run, name: Name) -> None:
    """Lift the stop on sending after the person decided."""
    async with run.client() as me:
        if me.contacts.get(name).frozen is None:
            raise Misuse(fill(text.CONTACT_NOT_FROZEN, name=name))
        contact = await me.contacts.trust(name)
    run.output.answer(_whole(contact), text.CONTACT_TRUSTED, **_named(contact))


@command(group, "contact direct")
async def direct(
    run: Run, name: Name, *, off: Annotated[bool, typer.Option("--off", help=text.DIRECT_OFF)] = False
) -> None:
    """Agree that files with a contact go directly, or forbid it."""
    async with run.client() as me:
        contact = me.contacts.allow_direct(name, allowed=not off)
    words = text_files.CONTACT_DIRECT
    if off:
        is_still = contact.direct_allowed
        words = text_files.CONTACT_DIRECT_VERIFIED if is_still else text_files.CONTACT_NOT_DIRECT
    run.output.answer(_whole(contact), words, name=contact.name)


def _short(contact: "Contact") -> dict[str, JsonValue]:
    return {"name": contact.name, "usid": contact.usid.hex(), "verified": contact.verified}


def _whole(contact: "Contact") -> dict[str, JsonValue]:
    return _short(contact) | {
        "address": contact.address.hex(),
        "relay": contact.origin,
        "state": contact.state,
        "frozen": contact.frozen,
        "devices": contact.devices,
        "direct_allowed": contact.direct_allowed,
    }


def _named(contact: "Contact") -> dict[str, str]:
    return {"name": escape_name(contact.name), "argument": shlex.quote(contact.name)}


def _standing(contact: "Contact") -> str:
    if contact.state != "accepted":
        return text.STATE[contact.state]
    if contact.frozen is not None:
        return text.STATE["frozen"]
    return text.STATE["verified" if contact.verified else "unverified"]
