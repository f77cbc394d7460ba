"""Names and e-mail addresses: only where the operator asks for them, in identity.db alone, gone with the account."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import apsw
import pytest
from pydantic import ValidationError

from halonyx.cli.main import run
from halonyx.core.errors import Misuse, StoreError
from halonyx.relay.store.details import read_all
from halonyx.relay.store.sealing import sealing_key
from halonyx.wire.rest_account import ContactDetails
from relay.rest_kit import Answer, Person, Relay, running_relay

ANN = ContactDetails(name="Ann Example", email="ann@mail.example")


@asynccontextmanager
async def asking(folder: Path, *, asks: bool = True, **flags: object) -> AsyncIterator[Relay]:
    async with running_relay(folder, signup="open", reserve_bytes=0, contact_required=asks, **flags) as relay:
        yield relay


async def sign_up(relay: Relay, person: Person, contact: ContactDetails | None = ANN) -> Answer:
    call = person.sign_up_request().model_copy(update={"contact": contact})
    return await relay.call("POST", "/v1/accounts", call, person.manager)


def kept(relay: Relay) -> list[tuple[str, str]]:
    key = sealing_key(relay.here.secrets.identity_pepper)
    return [(one.name, one.email) for one in read_all(relay.settings.data / "identity.db", key)]


async def test_a_relay_that_asks_says_so_and_takes_nobody_without(tmp_path: Path) -> None:
    async with asking(tmp_path) as relay:
        alice = Person()
        assert (await relay.call("GET", "/v1/relay")).json["contact_required"] is True
        refused = await sign_up(relay, alice, None)
        assert (refused.status, refused.code) == (403, "contact-required")
        assert relay.here.identity.management_key(alice.address) is None
        assert (await sign_up(relay, alice)).status == 201
        assert kept(relay) == [("Ann Example", "ann@mail.example")]
        assert (await sign_up(relay, alice)).status == 200, "the call that made the account may be repeated"
        assert (await sign_up(relay, alice, None)).status == 200


async def test_a_relay_that_does_not_ask_has_no_place_for_them(tmp_path: Path) -> None:
    async with asking(tmp_path, asks=False) as relay:
        alice = Person()
        assert (await relay.call("GET", "/v1/relay")).json["contact_required"] is False
        assert (await sign_up(relay, alice)).code == "malformed"
        assert (await sign_up(relay, alice, None)).status == 201
        assert kept(relay) == []
        for store in (relay.here.identity, relay.here.mailboxes, relay.here.keys):
            names = store.database.read(
                lambda c: [*c.execute("select p.name from sqlite_schema m join pragma_table_xinfo(m.name) p")]
            )
            assert not {"name", "email", "e_mail", "phone"} & {name for (name,) in names} - {"name"}
            tables = store.database.read(lambda c: [name for (name,) in c.execute("select name from sqlite_schema")])
            assert "contact_details" not in tables


async def test_they_are_sealed_and_in_one_file_and_no_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async with asking(tmp_path, log_level="debug") as relay:
        await sign_up(relay, Person())
        for store in (relay.here.mailboxes, relay.here.keys):
            tables = store.database.read(lambda c: [name for (name,) in c.execute("select name from sqlite_schema")])
            assert "contact_details" not in tables
    content = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())
    said = "".join(capfd.readouterr())
    for secret in ("Ann Example", "ann@mail.example", "mail.example"):
        assert secret.encode() not in content
        assert secret not in said
    with pytest.raises(StoreError, match="another secrets file"):
        read_all(tmp_path / "data" / "identity.db", bytes(32))


async def test_they_go_with_the_account_also_when_nobody_is_asked_any_more(tmp_path: Path) -> None:
    alice, bob = Person(), Person()
    async with asking(tmp_path) as relay:
        await sign_up(relay, alice)
        await sign_up(relay, bob, ContactDetails(name="Bob", email="bob@mail.example"))
        assert (await alice.delete(relay)).status == 200
        assert kept(relay) == [("Bob", "bob@mail.example")]
    async with asking(tmp_path, asks=False, port=relay.settings.port) as relay:
        assert kept(relay) == [("Bob", "bob@mail.example")]
        assert (await bob.delete(relay)).status == 200
        assert kept(relay) == []


async def test_a_refused_sign_up_leaves_none(tmp_path: Path) -> None:
    async with asking(tmp_path) as relay:
        alice, mallory = Person(), Person()
        await sign_up(relay, alice)
        mallory.address = alice.address
        other = ContactDetails(name="Mallory", email="mallory@mail.example")
        assert (await sign_up(relay, mallory, other)).code == "address-taken"
        assert kept(relay) == [("Ann Example", "ann@mail.example")]


async def test_a_relay_with_accounts_may_begin_to_ask(tmp_path: Path) -> None:
    alice = Person()
    async with asking(tmp_path, asks=False) as relay:
        await sign_up(relay, alice, None)
    async with asking(tmp_path, port=relay.settings.port) as relay:
        assert (await alice.status(relay)).json["exists"]
        assert (await sign_up(relay, Person())).status == 201
        assert len(kept(relay)) == 1


@pytest.mark.parametrize(
    ("name", "email"),
    [
        ("", "ann@mail.example"),
        ("x" * 65, "ann@mail.example"),
        (" Ann", "ann@mail.example"),
        ("Ann\n", "ann@mail.example"),
        ("A\u202enn", "ann@mail.example"),
        ("Ann", ""),
        ("Ann", "ann"),
        ("Ann", "ann@mail"),
        ("Ann", "ann@@mail.example"),
        ("Ann", "ann@mail.example\n"),
        ("Ann", "ann@-mail.example"),
        ("Ann", "änn@mail.example"),
        ("Ann", "Ann <ann@mail.example>"),
        ("Ann", "a" * 65 + "@mail.example"),
        ("Ann", "a@" + "b." * 125 + "example"),
    ],
)
def test_what_is_no_name_or_address_is_refused(name: str, email: str) -> None:
    with pytest.raises(ValidationError):
        ContactDetails(name=name, email=email)


def test_names_of_the_world_are_names() -> None:
    assert ContactDetails(name="Nguyễn Thị Ánh", email="a.b+c@mail.co.example").name == "Nguyễn Thị Ánh"
    assert ContactDetails(name="😀" * 64, email="a@b.c").email == "a@b.c"


def test_reading_them_needs_a_relay(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="--data"):
        read_all(tmp_path / "identity.db", bytes(32))
    (tmp_path / "identity.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError, match="damaged"):
        read_all(tmp_path / "identity.db", bytes(32))


async def test_a_damaged_row_is_not_shown(tmp_path: Path) -> None:
    async with asking(tmp_path) as relay:
        await sign_up(relay, Person())
        await sign_up(relay, Person())
    path = tmp_path / "data" / "identity.db"
    connection = apsw.Connection(str(path))
    first, second = connection.execute("select row, sealed from contact_details").fetchall()
    connection.execute("update contact_details set sealed = ? where row = ?", (first[1], second[0]))
    connection.close()
    with pytest.raises(StoreError, match="another secrets file"):
        kept(relay)


def test_without_a_relay_there_is_nobody_to_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["relay", "contacts", "--data", str(tmp_path / "none")]) == 2
    assert "name its folder with --data" in capsys.readouterr().err
