"""Reading what was said: pages, and any substring of everything."""

from collections.abc import Iterator

import pytest

from client.homes import Pair, drain, settle
from halonyx.client.account import now_ms
from halonyx.client.history import history, search
from halonyx.client.outbox import add_text
from halonyx.client.people import contact_by_name
from halonyx.client.store import Store
from halonyx.core.errors import Misuse
from halonyx.core.types import DAY, MINUTE, MessageId

SAID = (
    "The quick brown fox",
    "jumps over the lazy dog",
    '100% "sure" it\'s fine',
    "snake_case and C:\\path",
    "Привет, как дела?",
    "\U0001f98a fox again",
    "NEAR(a b) AND fo* OR ^x",
    "日本語のテキスト",
    "before\x00behind",
)


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store in which all of it was written to Bob."""
    store = Store(tmp_path_factory.mktemp("said") / "store.db", bytes(32))
    with store.transaction():
        store.execute(
            "INSERT INTO contacts (name, usid, address, origin, state, named_version, added)"
            " VALUES ('bob', x'01', ?, 'http://localhost', 'accepted', 0, 0)",
            bytes(32),
        )
    for text in SAID:
        add_text(store, contact_by_name(store, "bob"), text)
    yield store
    store.close()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("fox", (0, 5)),
        ("FOX", (0, 5)),
        ("quick brown", (0,)),
        ("azy d", (1,)),
        ("%", (2,)),
        ("0%", (2,)),
        ("100%", (2,)),
        ('"', (2,)),
        ('"sure"', (2,)),
        ("it's", (2,)),
        ("'", (2,)),
        ("_", (3,)),
        ("e_c", (3,)),
        ("\\", (3,)),
        ("C:\\path", (3,)),
        ("как", (4,)),
        ("дел", (4,)),
        ("к ", (4,)),
        ("\U0001f98a", (5,)),
        ("\U0001f98a f", (5,)),
        ("fo*", (6,)),
        ("NEAR(", (6,)),
        ("^x", (6,)),
        (" OR ", (6,)),
        ("日本", (7,)),
        ("本語の", (7,)),
        ("fxo", ()),
        ("zz", ()),
        ("behind", (8,)),
        ("eh", (8,)),
        ("e\x00b", (8,)),
        ("e\x00x", ()),
    ],
)
def test_any_substring_is_found(said: Store, text: str, found: tuple[int, ...]) -> None:
    assert [entry.text for entry in search(said, text, 50)] == [SAID[index] for index in found]


def test_a_search_has_an_answer_to_nothing_and_bounds(said: Store) -> None:
    with pytest.raises(Misuse):
        search(said, "", 50)
    for limit in (0, -1, 10_001):
        with pytest.raises(Misuse):
            search(said, "fox", limit)
        with pytest.raises(Misuse):
            history(said, "bob", limit, None)
    assert [entry.text for entry in search(said, "fox", 1)] == [SAID[5]]  # the newest


async def test_what_was_removed_is_not_found(pair: Pair) -> None:
    await pair.alice.send("bob", "the lazy dog")
    assert pair.alice.search("lazy")
    await pair.alice.contacts.remove("bob")

    assert pair.alice.search("lazy") == []
    assert pair.alice.search("z") == []
    await pair.alice.contacts.add(pair.bob.card().uri(), "bob")
    assert pair.alice.search("lazy") == []


def test_pages_lead_to_the_beginning_without_a_hole(said: Store) -> None:
    pages, before = [], None
    while page := history(said, "bob", 3, before):
        pages.append([entry.text for entry in page])
        before = page[0].position

    assert [text for page in reversed(pages) for text in page] == list(SAID)
    assert [len(page) for page in pages] == [3, 3, 3]


def test_a_page_can_begin_at_a_message(said: Store) -> None:
    third = history(said, "bob", 50, None)[2]

    assert [entry.text for entry in history(said, "bob", 50, third.id)] == list(SAID[:2])
    with pytest.raises(Misuse, match="no message"):
        history(said, "bob", 50, MessageId(bytes(16)))


@pytest.mark.parametrize(
    ("state", "age", "expected"),
    [("accepted", DAY - MINUTE, False), ("accepted", DAY, True), ("delivered", DAY, False)],
)
def test_what_was_accepted_a_day_ago_and_not_confirmed_has_no_receipt(
    said: Store, state: str, age: int, *, expected: bool
) -> None:
    with said.transaction():
        said.execute("UPDATE messages SET state = ?, sent = ?", state, now_ms() - age)

    assert {entry.no_receipt for entry in history(said, "bob", 50, None)} == {expected}


async def test_history_is_in_the_order_of_receipt_not_of_anyones_clock(pair: Pair) -> None:
    await pair.alice.send("bob", "first")
    await drain(pair.bob)
    await pair.bob.send("alice", "second")
    await pair.alice.send("bob", "third")
    await settle(pair.alice, pair.bob)

    assert [(entry.text, entry.outgoing) for entry in pair.bob.history("alice")] == [
        ("first", False),
        ("second", True),
        ("third", False),
    ]
