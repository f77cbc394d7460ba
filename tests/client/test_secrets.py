"""No secret and no word of anybody in logs, errors or the `repr` of what the client hands out or keeps."""

import logging
import traceback
from pathlib import Path

import pytest

from client.forging import Forger
from client.homes import Mailboxes, Pair, device_of, drain, row_of, settle, stored
from halonyx.client import create_account
from halonyx.client.account import load_account
from halonyx.client.outbox import sealed_rows
from halonyx.client.prekeys import full_set
from halonyx.core.errors import HalonyxError
from halonyx.core.recovery import account_keys, parse_recovery_code
from halonyx.core.types import Millis
from relay_process import RelayProcess

TEXT = "the treasure lies under the old oak"


def secrets_of(pair: Pair) -> list[bytes]:
    found = []
    for client in (pair.alice, pair.bob):
        rows = [
            *stored(client, "SELECT identity_private, signing_seed, login_seed, profile_key FROM account"),
            *stored(client, "SELECT private FROM prekeys LIMIT 5"),
            *stored(client, "SELECT profile_key FROM contacts"),
        ]
        found += [bytes(value) for row in rows for value in row if value]
        for row in stored(client, "SELECT sessions FROM devices"):
            sessions = bytes(row["sessions"])
            found += [sessions[at : at + 32] for at in range(80, len(sessions) - 32, 64)]
    return found


def check_silent(text: str, pair: Pair) -> None:
    assert TEXT not in text
    assert "oak" not in text
    for code in (home.code for home in pair.homes):
        assert code not in text
    for secret in secrets_of(pair):
        assert secret.hex() not in text
        assert repr(secret)[2:-1] not in text


async def test_nothing_that_is_handed_out_shows_a_secret(pair: Pair) -> None:
    sent = await pair.alice.send("bob", TEXT)
    bobs = await drain(pair.bob)
    alices = await drain(pair.alice)
    await pair.alice.send("bob", TEXT)
    shown = [
        sent,
        bobs,
        alices,
        pair.homes,
        pair.alice,
        pair.alice.account,
        pair.alice.card(),
        pair.alice.contacts,
        pair.alice.contacts.list(),
        pair.alice.history("bob"),
        pair.bob.search("oak"),
        load_account(pair.alice._store),
        row_of(pair.alice, "bob"),
        device_of(pair.alice, "bob"),
        device_of(pair.bob, "alice"),
        sealed_rows(pair.alice._store, row_of(pair.alice, "bob"), (), 10),
        full_set(load_account(pair.alice._store).own, 1000, Millis(0))[:5],
        account_keys(parse_recovery_code(pair.homes[0].code)),
        pair.alice._store,
        pair.alice._sender,
    ]

    for value in shown:
        check_silent(f"{value!r} {value!s}", pair)


async def test_a_new_account_does_not_show_its_code(relay: RelayProcess, tmp_path: Path) -> None:
    made = await create_account(tmp_path / "home", relay.origin)

    assert made.recovery_code not in f"{made!r} {made!s}"


async def test_nothing_is_logged_and_no_error_tells(
    pair: Pair, mailboxes: Mailboxes, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Everything that can go wrong on the way, at the most talkative level."""
    caplog.set_level(logging.DEBUG)
    errors = []
    await pair.alice.send("bob", TEXT)
    await pair.bob.send("alice", TEXT)
    await settle(pair.alice, pair.bob)
    forger = Forger(pair.alice, "bob")
    for content in (forger.content(b"\xff" + TEXT.encode()), forger.content(TEXT.encode(), counter=0)):
        await forger.send(content)
    await settle(pair.bob, pair.alice)
    for attempt in (
        lambda: pair.alice.send("carol", TEXT),
        lambda: pair.alice.send("bob", TEXT * 1000),
        lambda: pair.alice.contacts.add(pair.bob.card().uri() + "x", "x"),
        lambda: pair.alice.verify("bob", "0" * 60),
        lambda: create_account(pair.homes[0].path, pair.homes[0].origin),
    ):
        with pytest.raises(HalonyxError) as raised:
            await attempt()
        errors.append("".join(traceback.format_exception_only(raised.value)))

    mailboxes_log = mailboxes.relay.log()
    printed = capfd.readouterr()
    own = [record.getMessage() for record in caplog.records if record.name.startswith("halonyx")]
    assert own == []
    check_silent("\n".join([*errors, caplog.text, printed.out, printed.err, mailboxes_log]), pair)
    usids = [pair.alice.account.usid.hex(), pair.bob.account.usid.hex()]
    assert not any(usid in "\n".join([*errors, mailboxes_log]) for usid in usids)
