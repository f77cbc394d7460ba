"""What the tests of bad input share: two people in conversation, and what a refusal leaves as it was."""

from typing import Any, Final

from client.forging import Forger
from client.homes import Mailboxes, Pair, drain, settle, stored, texts
from halonyx.client import Event

KEPT: Final = (
    "account",
    "prekeys",
    "replays",
    "contacts",
    "devices",
    "messages",
    "held",
    "gaps",
    "outbox",
    "receipts_due",
    "resets",
)
"""Tables that a refused message leaves alone; `seen` and the cursor say that it was refused."""


async def talk(pair: Pair) -> Pair:
    await pair.alice.send("bob", "hello")
    await pair.bob.send("alice", "hello")
    await settle(pair.alice, pair.bob)
    await pair.alice.send("bob", "now the session is established")
    await settle(pair.bob, pair.alice)
    return pair


def snapshot(pair: Pair, *but: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return all that Bob keeps, except the columns that only say what was read, and when."""
    found = {}
    for table in KEPT:
        rows = [dict(row) for row in stored(pair.bob, f"SELECT * FROM {table}")]  # noqa: S608
        for row in rows:
            for column in ("cursor", "epoch", "known", *but):
                row.pop(column, None)
        found[table] = [tuple(row.items()) for row in rows]
    return found


async def refused(pair: Pair, mailboxes: Mailboxes, envelope: bytes, *but: str) -> list[Event]:
    """Let Alice leave an envelope; check that Bob acknowledges it and keeps nothing of it, and return his events."""
    before = snapshot(pair, *but)
    cursor = stored(pair.bob, "SELECT cursor FROM mailbox")[0]["cursor"]
    await Forger(pair.alice, "bob").submit(envelope)

    events = await drain(pair.bob)

    await mailboxes.empty(pair.bob.account.address)
    assert stored(pair.bob, "SELECT cursor FROM mailbox")[0]["cursor"] == cursor + 1
    assert snapshot(pair, *but) == before
    assert texts(events) == []
    return events


async def still_works(pair: Pair, text: str = "honest") -> None:
    await pair.alice.send("bob", text)
    assert text in texts(await drain(pair.bob))


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
