"""Order and gaps in the store alone: any arrival order of a device's counters, with repetitions."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halonyx.client import order
from halonyx.client.events import next_event
from halonyx.client.order import HOLD, MAX_TRACKED, Text, place, show_overdue
from halonyx.client.people import device_row
from halonyx.client.store import Store
from halonyx.core.types import DeviceId, MessageId, Millis

CONTACT: Final = 1
DEVICE: Final = DeviceId(1)
START: Final = Millis(10**12)
PASSED: Final = 0  # stands among counters for: the hold is over
COUNTERS: Final = st.lists(st.integers(min_value=PASSED, max_value=12), max_size=40)


@contextmanager
def open_store() -> Iterator[Store]:
    with TemporaryDirectory() as folder:
        store = Store(Path(folder) / "store.db", bytes(32))
        with store.transaction():
            store.execute(
                "INSERT INTO contacts (id, name, usid, address, origin, state, named_version, added)"
                " VALUES (?, 'alice', x'01', x'02', 'http://localhost', 'accepted', 0, 0)",
                CONTACT,
            )
            device_row(store, CONTACT, DEVICE)
        store.execute("PRAGMA synchronous = OFF")  # the power stays on
        try:
            yield store
        finally:
            store.close()


def arrive(store: Store, counter: int, now: int = START) -> None:
    message_id = MessageId(counter.to_bytes(16, "big"))
    with store.transaction():
        text = Text(
            contact=CONTACT,
            device=DEVICE,
            counter=counter,
            message_id=message_id,
            text=str(counter),
            sent=Millis(0),
            received=Millis(now),
        )
        place(store, text)


def shown(store: Store) -> list[int]:
    return [int(row["text"]) for row in store.all("SELECT text FROM messages ORDER BY position")]


def gaps(store: Store) -> list[int]:
    return [row["counter"] for row in store.all("SELECT counter FROM gaps ORDER BY counter")]


def expected_order(arrivals: list[int]) -> tuple[list[int], set[int]]:
    """Say in a few lines what the store should show, and which counters it still misses."""
    seen: list[int] = []
    held: set[int] = set()
    expected = 1
    for counter in arrivals:
        if counter == PASSED:
            seen += sorted(held)
            expected = max([expected - 1, *held]) + 1
            held.clear()
        elif counter in seen or counter in held:
            continue
        elif counter < expected:
            seen.append(counter)  # its gap was shown
        else:
            held.add(counter)
        while expected in held:
            held.discard(expected)
            seen.append(expected)
            expected += 1
    return seen, set(range(1, max([expected - 1, *held]) + 1)) - set(seen) - held


@pytest.fixture(scope="module")
def shared() -> Iterator[Store]:
    with open_store() as store:
        yield store


def emptied(store: Store) -> Store:
    """Return the store as new: making one takes longer than the example it is for."""
    with store.transaction():
        for table in ("messages", "held", "gaps", "events"):
            store.execute(f"DELETE FROM {table}")  # noqa: S608
        store.execute("UPDATE devices SET next_counter = 1")
    return store


@settings(max_examples=60, deadline=None)
@given(COUNTERS)
def test_messages_show_in_the_order_they_were_sent(shared: Store, arrivals: list[int]) -> None:
    store = emptied(shared)
    now = int(START)
    for counter in arrivals:
        if counter == PASSED:
            now += HOLD
            show_overdue(store, Millis(now))
        else:
            arrive(store, counter, now)
    seen, missing = expected_order(arrivals)

    assert shown(store) == seen
    assert set(gaps(store)) == missing


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(1, 9)))
def test_whatever_arrives_within_the_hold_is_in_order(shared: Store, arrivals: list[int]) -> None:
    store = emptied(shared)
    for counter in arrivals:
        arrive(store, counter)

    assert shown(store) == list(range(1, 9))
    assert gaps(store) == []
    assert not order.holds_anything(store)


def test_a_gap_is_shown_after_the_hold_and_once() -> None:
    with open_store() as store:
        arrive(store, 3)
        show_overdue(store, Millis(START + HOLD - 1))
        assert next_event(store) is None

        show_overdue(store, Millis(START + HOLD))
        show_overdue(store, Millis(START + 2 * HOLD))

        events = store.all("SELECT kind, data FROM events ORDER BY id")
        assert [(row["kind"], row["data"]) for row in events] == [("gap", '{"missing": 2}'), ("message", "{}")]


def test_a_clock_that_was_put_back_since_hides_nothing() -> None:
    with open_store() as store:
        arrive(store, 2, START + 2 * HOLD)
        show_overdue(store, Millis(START + HOLD))
        assert shown(store) == []  # no more than the hold: it is only late

        show_overdue(store, Millis(START + HOLD - 1))

        assert shown(store) == [2]
        assert gaps(store) == [1]


def test_a_message_after_its_gap_was_shown_comes_last() -> None:
    with open_store() as store:
        arrive(store, 2)
        show_overdue(store, Millis(START + HOLD))
        arrive(store, 1)
        arrive(store, 3)

        assert shown(store) == [2, 1, 3]
        assert gaps(store) == []


def test_a_jump_keeps_the_newest_holes_and_says_how_many_are_missing() -> None:
    with open_store() as store:
        arrive(store, 1)
        arrive(store, 1_000_000)

        assert gaps(store) == list(range(1_000_000 - MAX_TRACKED, 1_000_000))
        assert store.value("SELECT data FROM events WHERE kind = 'gap'") == f'{{"missing": {999_998 - MAX_TRACKED}}}'
        show_overdue(store, Millis(START + HOLD))
        assert shown(store) == [1, 1_000_000]


def test_a_jump_shows_what_was_held_before_it() -> None:
    with open_store() as store:
        for counter in (3, 5, 1000):
            arrive(store, counter)

        show_overdue(store, Millis(START + HOLD))

        assert shown(store) == [3, 5, 1000]
        missing = [row["data"] for row in store.all("SELECT data FROM events WHERE kind = 'gap' ORDER BY id")]
        assert missing == [f'{{"missing": {997 - MAX_TRACKED}}}', f'{{"missing": {MAX_TRACKED}}}']


def test_missing_ones_are_asked_for_once_an_hour_after_their_gap_was_shown() -> None:
    with open_store() as store:
        arrive(store, 4)
        assert order.counters_to_ask(store, CONTACT, START) == {}
        show_overdue(store, Millis(START + HOLD))

        assert order.counters_to_ask(store, CONTACT, Millis(START + HOLD)) == {DEVICE: (1, 2, 3)}
        assert order.counters_to_ask(store, CONTACT, Millis(START + HOLD + 1)) == {}
        arrive(store, 2)
        again = order.counters_to_ask(store, CONTACT, Millis(START + HOLD + order.ASK_AGAIN))
        assert again == {DEVICE: (1, 3)}


def test_of_many_missing_ones_every_one_is_asked_for_in_its_turn() -> None:
    with open_store() as store:
        arrive(store, MAX_TRACKED)
        arrive(store, 2 * MAX_TRACKED)
        show_overdue(store, Millis(START + HOLD))
        missing = gaps(store)

        asked: list[int] = []
        while found := order.counters_to_ask(store, CONTACT, Millis(START + HOLD)):
            assert len(found[DEVICE]) <= MAX_TRACKED
            asked += found[DEVICE]

        assert asked == missing
