"""Bytes, contents and versions that are refused, from the client's side.

Whatever it is, it is acknowledged (so that it can't block the queue), changes nothing that is kept, and the next honest
message is shown.
"""

import secrets
from collections.abc import AsyncIterator, Callable
from typing import Final

import pytest
import pytest_asyncio

from client.forging import Forger
from client.homes import (
    Mailboxes,
    Pair,
    change,
    drain,
    kinds,
    stored,
    texts,
    two_people,
)
from client.refusals import flipped, refused, still_works, talk
from halonyx.core import handshake as handshakes
from halonyx.core.content import CRITICAL, Content, Kind
from relay_process import RelayProcess


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def unchanged(relay: RelayProcess, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    """The same for all cases that are shown to change nothing."""
    async with two_people(tmp_path_factory.mktemp("unchanged"), (relay.origin, relay.origin)) as made:
        yield await talk(made)


def classical_with_record(forger: Forger) -> bytes:
    """Name the form of a hybrid envelope as classical: the first contact without ML-KEM."""
    hybrid = forger.envelope(forger.message(b"x"), record=b"r" * 200)
    return hybrid[:1] + b"\x20" + hybrid[2:]


def other_prekey(forger: Forger) -> bytes:
    envelope = forger.envelope(forger.message(forger.content().encode()))
    return envelope[:2] + (2**32 - 1).to_bytes(4, "big") + envelope[6:]


MALFORMED: Final[dict[str, Callable[[Forger], bytes]]] = {
    "noise": lambda _: b"\x01\x20" + secrets.token_bytes(1022),
    "unknown form": lambda _: b"\x01\x7f" + secrets.token_bytes(1022),
    "altered envelope": lambda forger: flipped(forger.envelope(forger.message(forger.content().encode())), 500),
    "no message inside": lambda forger: forger.envelope(b"\x00"),
    "handshake cut off": lambda forger: forger.envelope(b"\x01\x11\x02\x00" + bytes(100)),
    "unknown message type": lambda forger: forger.envelope(b"\x01\x77" + bytes(200)),
    "unknown message flag": lambda forger: forger.envelope(b"\x01\x10\x80" + bytes(200)),
    "record cut off": lambda forger: forger.envelope(forger.message(b"x"), record=b"\x01\x01\x00\x00"),
    "record in a classical envelope": classical_with_record,
    "zero ephemeral key": lambda _: b"\x01\x20" + b"\x00\x00\x00\x02" + bytes(1018),
    "non-canonical ephemeral key": lambda _: b"\x01\x20" + b"\x00\x00\x00\x02" + b"\xff" * 1018,
    "sealed to a prekey that is not there": other_prekey,
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", MALFORMED)
async def test_bytes_that_are_nothing_are_acknowledged_and_change_nothing(
    unchanged: Pair, mailboxes: Mailboxes, case: str
) -> None:
    envelope = MALFORMED[case](Forger(unchanged.alice, "bob"))

    assert await refused(unchanged, mailboxes, envelope) == []
    await still_works(unchanged)


CONTENTS: Final[dict[str, Callable[[Forger], bytes]]] = {
    "trailing byte": lambda forger: forger.content().encode() + b"\x00",
    "empty": lambda _: b"",
    "text that is not UTF-8": lambda forger: forger.content(b"\xff\xfe").encode(),
    "text of 16385 bytes": lambda forger: forger.content(b"x" * 16_385).encode(),
    "text without a counter": lambda forger: forger.content(counter=0).encode(),
    "receipt with a counter": lambda forger: forger.content(bytes(16), kind=Kind.RECEIPT).encode(),
    "receipt of 15 bytes": lambda forger: forger.content(bytes(15), kind=Kind.RECEIPT, counter=0).encode(),
    "counter no store can hold": lambda forger: forger.content(counter=2**64 - 1).encode(),
    "counter no store can count on from": lambda forger: forger.content(counter=2**63 - 1).encode(),
    "time no store can hold": lambda forger: forger.content(sent=2**64 - 1).encode(),
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", CONTENTS)
async def test_content_that_is_malformed_changes_nothing(unchanged: Pair, mailboxes: Mailboxes, case: str) -> None:
    forger = Forger(unchanged.alice, "bob")
    envelope = forger.envelope(forger.message(CONTENTS[case](forger)))

    assert await refused(unchanged, mailboxes, envelope) == []
    await still_works(unchanged)


UNSUPPORTED: Final[dict[str, Callable[[Forger], bytes]]] = {
    "content version": lambda forger: forger.message(b"\x02" + forger.content().encode()[1:]),
    "another conversation": lambda forger: forger.message(forger.content(conversation=bytes(16)).encode()),
    "message version": lambda forger: b"\x02" + forger.message(b"x")[1:],
    "handshake suite": lambda forger: b"\x01\x11\x01\x00" + bytes(handshakes.HEADER_SIZE - 4) + forger.message(b"x"),
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", UNSUPPORTED)
async def test_what_a_newer_program_says_is_refused_with_a_notice(
    unchanged: Pair, mailboxes: Mailboxes, case: str
) -> None:
    forger = Forger(unchanged.alice, "bob")
    change(unchanged.bob, "UPDATE contacts SET unsupported_noted = 0")

    events = await refused(unchanged, mailboxes, forger.envelope(UNSUPPORTED[case](forger)), "unsupported_noted")
    again = await refused(unchanged, mailboxes, forger.envelope(UNSUPPORTED[case](forger)), "unsupported_noted")

    assert kinds(events) == ["unsupported"]
    assert kinds(again) == []  # anyone can forge it: once a day is enough
    await still_works(unchanged)


PASSED_OVER: Final[dict[str, Callable[[Content], bytes]]] = {
    "kind": lambda content: b"\x01\x05" + content.encode()[2:],
    "critical extension": lambda content: (
        content.encode()[:-1] + b"\x01" + (CRITICAL | 9).to_bytes(2, "big") + b"\x00\x00"
    ),
}


@pytest.mark.parametrize("case", PASSED_OVER)
async def test_what_a_newer_program_says_keeps_its_place_in_the_count(
    pair: Pair, mailboxes: Mailboxes, case: str
) -> None:
    """It can't be shown, but nothing is missing: the next message waits for nothing and nothing is asked for."""
    await talk(pair)
    forger = Forger(pair.alice, "bob")
    await forger.submit(forger.envelope(forger.message(PASSED_OVER[case](forger.content()))))

    events = await drain(pair.bob)
    await mailboxes.empty(pair.bob.account.address)
    change(pair.alice, "UPDATE devices SET sent_counter = sent_counter + 1")
    await pair.alice.send("bob", "next")

    assert kinds(events) == ["unsupported"]
    assert texts(await drain(pair.bob)) == ["next"]
    assert stored(pair.bob, "SELECT 1 FROM held") == []
