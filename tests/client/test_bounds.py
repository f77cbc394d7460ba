"""What a contact can put into our store besides texts: no more than a bound, and nothing is lost of what it says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from halonyx.client import order
from halonyx.client.events import MAX_A_DAY, MAX_MISSING, add_notice, mark_shown, next_event
from halonyx.client.model import Notice, NoticeKind
from halonyx.client.order import HOLD, MAX_GAPS, MAX_TRACKED, Text, pass_over, place, show_overdue
from halonyx.client.people import device_row
from halonyx.client.store import Store
from halonyx.core.types import DAY, DeviceId, MessageId, Millis

CONTACTS: Final = (1, 2)
FIRST: Final = CONTACTS[0]
DEVICES: Final = (DeviceId(1), DeviceId(2))
START: Final = Millis(10**12)
AGAIN: Final = 5
COUNTED: Final[tuple[NoticeKind, ...]] = (
    "device",
    "drained",
    "gap",
    "own-record",
    "refreshed",
    "restored",
    "unsupported",
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Two people we accepted, with two devices each."""
    made = Store(tmp_path / "store.db", bytes(32))
    made.execute("PRAGMA synchronous = OFF")  # the power stays on
    with made.transaction():
        for contact in CONTACTS:
            made.execute(
                "INSERT INTO contacts (id, name, usid, address, origin, state, named_version, added)"
                " VALUES (?1, ?2, ?3, ?3, 'http://localhost', 'accepted', 0, 0)",
                contact,
                str(contact),
                bytes([contact]),
            )
            for device in DEVICES:
                device_row(made, contact, device)
    yield made
    made.close()


def notices(store: Store) -> list[Notice]:
    """Show what is to be shown; return the notices."""
    found: list[Notice] = []
    while (event := next_event(store)) is not None:
        if isinstance(event[1], Notice):
            found.append(event[1])
        mark_shown(store, event[0])
    return found


def data_of(kind: NoticeKind) -> dict[str, str | int | bool]:
    return {"missing": 3} if kind == "gap" else {"version": 7} if kind == "own-record" else {}


def tell(store: Store, kind: NoticeKind, times: int, *, contact: int = FIRST, now: int = START) -> None:
    for number in range(times):
        with store.transaction():
            add_notice(store, kind, contact, Millis(now + number), **data_of(kind))


def arrive(store: Store, counter: int, device: DeviceId = DEVICES[0], now: int = START) -> None:
    text = Text(
        contact=FIRST,
        device=device,
        counter=counter,
        message_id=MessageId(bytes([device]) + counter.to_bytes(15, "big")),
        text=str(counter),
        sent=Millis(0),
        received=Millis(now),
    )
    with store.transaction():
        place(store, text)


def gaps(store: Store, device: DeviceId = DEVICES[0]) -> list[int]:
    return [row["counter"] for row in store.all("SELECT counter FROM gaps WHERE device = ? ORDER BY counter", device)]


@pytest.mark.parametrize("kind", COUNTED)
def test_beyond_ten_a_day_a_notice_is_counted_in_the_newest(store: Store, kind: NoticeKind) -> None:
    tell(store, kind, MAX_A_DAY + AGAIN)

    told = notices(store)
    assert [notice.kind for notice in told] == [kind] * MAX_A_DAY
    assert all("times" not in notice.data for notice in told[:-1])
    assert told[-1].time == START + MAX_A_DAY + AGAIN - 1
    if kind == "gap":
        assert sum(int(notice.data["missing"]) for notice in told) == 3 * (MAX_A_DAY + AGAIN)
    else:
        assert told[-1].data == {**data_of(kind), "times": AGAIN + 1}


def test_every_day_has_its_own_ten(store: Store) -> None:
    tell(store, "unsupported", MAX_A_DAY)
    tell(store, "unsupported", MAX_A_DAY, now=START + DAY + MAX_A_DAY)

    assert [dict(notice.data) for notice in notices(store)] == [{}] * (2 * MAX_A_DAY)


def test_every_kind_and_contact_has_its_own_ten(store: Store) -> None:
    for contact in CONTACTS:
        for kind in COUNTED:
            tell(store, kind, MAX_A_DAY, contact=contact)

    assert len(notices(store)) == len(CONTACTS) * len(COUNTED) * MAX_A_DAY


def test_what_was_shown_is_not_counted_again(store: Store) -> None:
    tell(store, "refreshed", MAX_A_DAY)
    notices(store)
    tell(store, "refreshed", 1)

    assert [dict(notice.data) for notice in notices(store)] == [{}]


@pytest.mark.parametrize("kind", ["failed", "request", "stale"])
def test_what_needs_the_person_is_never_merged(store: Store, kind: NoticeKind) -> None:
    tell(store, kind, MAX_A_DAY + AGAIN)

    assert len(notices(store)) == MAX_A_DAY + AGAIN


def test_the_sum_of_what_is_missing_is_a_number_every_program_holds(store: Store) -> None:
    for _ in range(MAX_A_DAY + AGAIN):
        with store.transaction():
            add_notice(store, "gap", FIRST, START, missing=MAX_MISSING)

    assert notices(store)[-1].data == {"missing": MAX_MISSING}


def test_many_jumps_keep_the_newest_gaps_of_each_device_and_tell_of_all(store: Store) -> None:
    jumps = [number * 3 * MAX_TRACKED for number in range(1, MAX_A_DAY + AGAIN)]
    for device in DEVICES:
        for at, counter in enumerate(jumps):
            arrive(store, counter, device, START + at)
    show_overdue(store, Millis(START + len(jumps) + HOLD))

    for device in DEVICES:
        assert len(gaps(store, device)) == MAX_GAPS
        # All of the last two windows: none of them was told as given up.
        assert gaps(store, device)[0] == jumps[-2] - MAX_TRACKED
    texts = store.value("SELECT count(*) FROM messages")
    told = notices(store)
    assert texts == len(DEVICES) * len(jumps)
    assert len(told) == MAX_A_DAY
    assert sum(int(notice.data["missing"]) for notice in told) == len(DEVICES) * (jumps[-1] - len(jumps))


def test_what_cannot_be_shown_leaves_no_row_behind(store: Store) -> None:
    for counter in range(1, MAX_TRACKED):
        with store.transaction():
            pass_over(store, FIRST, DEVICES[0], counter, START)

    assert gaps(store) == []
    arrive(store, MAX_TRACKED)
    assert store.value("SELECT count(*) FROM messages") == 1


def test_what_cannot_be_shown_is_not_missing_after_a_jump(store: Store) -> None:
    with store.transaction():
        pass_over(store, FIRST, DEVICES[0], 3, START)  # 1 and 2 are missing
    arrive(store, 1000)

    assert gaps(store) == [1, 2, *range(1000 - MAX_TRACKED, 1000)]
    show_overdue(store, Millis(START + HOLD))
    assert sum(int(notice.data["missing"]) for notice in notices(store)) == 998
    assert order.counters_to_ask(store, FIRST, Millis(START + HOLD))[DEVICES[0]][:2] == (1, 2)
