"""A store that is put back to an older copy of itself: from a backup of the disk, or of a virtual machine."""

import shutil
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from client.homes import Pair, change, drain, kinds, notices, row_of, settle, texts
from halonyx.client import Client, Event, order, outbox, prekeys, sealing, upkeep
from halonyx.client.account import now_ms
from halonyx.core import ratchet
from halonyx.core.prekeys import RENEWED_AFTER
from halonyx.core.primitives import aead_seal
from halonyx.core.ratchet import HEADER_SIZE, SALT_SIZE
from halonyx.core.types import Millis

NEW: Final = [["from bob 0", "from bob 1"], ["from alice 0", "from alice 1"]]
Sealed = tuple[bytes, bytes, bytes]
"""Key, nonce and header of one message."""


@pytest.fixture
def sealed(monkeypatch: pytest.MonkeyPatch) -> list[Sealed]:
    """Everything that anyone encrypts on a ratchet from now on."""
    found: list[Sealed] = []

    def record(key: bytes, nonce: bytes, plaintext: bytes, associated: bytes) -> bytes:
        found.append((key, nonce, associated[-HEADER_SIZE:]))
        return aead_seal(key, nonce, plaintext, associated)

    monkeypatch.setattr(ratchet, "aead_seal", record)
    return found


@pytest.fixture
async def back(
    pair: Pair, sealed: list[Sealed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Client]:
    """Bob in a copy of his folder that is older than what he sends from the other; no gap waits."""
    monkeypatch.setattr(order, "HOLD", 0)
    await pair.alice.send("bob", "hello")
    await pair.bob.send("alice", "hello")
    await settle(pair.alice, pair.bob)
    shutil.copytree(pair.homes[1].path, tmp_path / "back")
    for text in ("one", "two"):
        await pair.bob.send("alice", text)
    assert texts(await drain(pair.alice)) == ["one", "two"]
    async with Client.open(tmp_path / "back") as client:
        yield client
    pairs = [(key, nonce) for key, nonce, _ in sealed]
    assert len(set(pairs)) == len(pairs)


def is_place_repeated(sealed: list[Sealed]) -> bool:
    """Tell whether two messages were sealed at one place of a chain: only their salts keep their keys apart."""
    places = Counter(header[: HEADER_SIZE - SALT_SIZE] for _, _, header in sealed)
    return max(places.values()) > 1


async def talk(ours: Client, theirs: Client) -> list[list[str]]:
    """Let Alice and Bob write in turn; return what each was shown, and check that no repair was needed any more."""
    for number in range(2):
        await ours.send("bob", f"from alice {number}")
        await theirs.send("alice", f"from bob {number}")
    found = await settle(ours, theirs)
    assert kinds(found[0] + found[1]) == ["delivered"] * 4
    return [texts(events) for events in found]


async def write_on(alice: Client, bob: Client) -> list[list[Event]]:
    """Let Alice write, so that Bob sees that a message of hers is gone."""
    await alice.send("bob", "after it was put back")
    return await settle(alice, bob)


@pytest.mark.parametrize("first", ["alice", "bob", "both"])
async def test_a_store_put_back_repairs_itself_and_what_is_gone_is_missed(
    pair: Pair, back: Client, sealed: list[Sealed], first: str
) -> None:
    await pair.alice.send("bob", "read before it was put back")
    await settle(pair.bob, pair.alice)
    if first != "alice":
        await back.send("alice", "four")
    if first != "bob":
        await pair.alice.send("bob", "five")

    bobs, alices = await settle(back, pair.alice)

    assert texts(alices) == ["four"] * (first != "alice")
    assert texts(bobs) == ["five"] * (first != "bob")
    assert "refreshed" in kinds(bobs + alices)
    assert is_place_repeated(sealed) == (first != "alice")
    more_alices, more_bobs = await settle(pair.alice, back) if first != "bob" else await write_on(pair.alice, back)
    assert texts(more_alices) == []
    gaps = [*notices(bobs, "gap"), *notices(more_bobs, "gap")]
    assert [notice.data for notice in gaps] == [{"missing": 1}]
    assert await talk(pair.alice, back) == NEW
    for client, name in ((pair.alice, "bob"), (back, "alice")):
        shown = Counter(entry.text for entry in client.history(name) if not entry.outgoing)
        assert set(shown.values()) == {1}
        assert {entry.state for entry in client.history(name) if entry.outgoing} == {"delivered"}


async def test_what_is_sent_at_a_place_already_used_is_sent_again(
    pair: Pair, back: Client, sealed: list[Sealed]
) -> None:
    """Nothing of Alice's shows Bob that he was put back: she can't read him, and asks."""
    await back.send("alice", "four")

    alices, bobs = await settle(pair.alice, back)

    assert is_place_repeated(sealed)
    assert (texts(alices), kinds(alices)) == (["four"], ["refreshed"])
    assert sorted(kinds(bobs)) == ["delivered", "refreshed"]
    assert await talk(pair.alice, back) == NEW


async def test_prekeys_of_a_store_put_back_reach_those_who_write(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The relay passes over ids that were used, and the copy does not know which."""
    await pair.alice.send("bob", "hello")
    await settle(pair.bob, pair.alice)
    shutil.copytree(pair.homes[1].path, tmp_path / "back")
    change(pair.bob, "UPDATE prekeys SET made = made - ?", RENEWED_AFTER)
    await drain(pair.bob)
    monkeypatch.setattr(upkeep, "now_ms", lambda: Millis(now_ms() + RENEWED_AFTER))
    async with Client.open(tmp_path / "back") as back:
        await drain(back)
        change(pair.alice, "UPDATE devices SET envelope_fetched = 0")

        await pair.alice.send("bob", "a week later")

        assert texts(await drain(back)) == ["a week later"]


def test_ids_fit_whatever_the_clock_says() -> None:
    assert prekeys._last_id(7, Millis(0)) == 7
    assert prekeys._last_id(7, Millis(2**62)) + prekeys.IDS_A_WEEK == 2**32


async def test_what_waited_in_a_copy_is_sent_once(pair: Pair, sealed: list[Sealed], tmp_path: Path) -> None:
    """It went out before the copy was put back, and goes out again byte for byte."""
    await pair.alice.send("bob", "hello")
    await pair.bob.send("alice", "hello")
    await settle(pair.alice, pair.bob)
    store = pair.bob._store
    outbox.add_text(store, row_of(pair.bob, "alice"), "sealed")
    assert sealing.expand(store, row_of(pair.bob, "alice").id)
    shutil.copytree(pair.homes[1].path, tmp_path / "back")
    await pair.bob.flush()
    assert texts(await drain(pair.alice)) == ["sealed"]

    async with Client.open(tmp_path / "back") as back:
        await back.flush()
        await settle(pair.alice, back)

        assert [entry.text for entry in pair.alice.history("bob") if not entry.outgoing] == ["hello", "sealed"]
        assert await talk(pair.alice, back) == NEW
