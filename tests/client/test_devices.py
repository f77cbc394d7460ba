"""Accounts that change: two devices, a device removed, recovery on an empty folder, two relays."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from client.forging import Forger
from client.front import Front
from client.homes import (
    FIRST,
    POLL_SECONDS,
    Home,
    Mailboxes,
    Pair,
    change,
    device_of,
    drain,
    kinds,
    notices,
    recovered,
    row_of,
    settle,
    sign_up,
    stored,
    texts,
    two_people,
)
from client.owner import Owner
from halonyx.client import Client, recover_account
from halonyx.client.account import load_account, now_ms
from halonyx.client.directory import NAMED_PAUSE, accept_record, needs_refresh
from halonyx.client.outbox import add_text, contacts_with_work
from halonyx.client.people import device_row
from halonyx.client.prekeys import full_set, published_forms
from halonyx.client.transport import Refused
from halonyx.core.errors import Malformed, StoreError
from halonyx.core.identity import Device, OwnDevice, next_version
from halonyx.core.prekeys import PrekeyUse
from halonyx.core.primitives import KeyPair, SigningKey
from halonyx.core.types import DeviceId
from halonyx.wire import frames
from halonyx.wire.frames import Status
from halonyx.wire.rest_account import NewDevice
from relay_process import RelayProcess, running_relay

SECOND: Final = DeviceId(2)
MANY: Final = 40
"""With three of them in the full mailbox, more than a batch (32) waits for it."""


@pytest.fixture
async def second(pair: Pair, tmp_path: Path) -> AsyncIterator[Client]:
    """Bob's second device, which Alice has not heard of."""
    home = await Owner(pair.homes[1], pair.bob).add_device(tmp_path / "second")
    async with home.open() as client:
        await client.contacts.add(pair.alice.card().uri(), "alice")
        yield client


async def test_a_text_reaches_both_devices_and_both_receipts_count(pair: Pair, second: Client) -> None:
    sent = await pair.alice.send("bob", "to both")

    assert sent.state == "accepted"
    assert len(stored(pair.alice, "SELECT 1 FROM deliveries")) == 2
    assert texts(await drain(pair.bob)) == ["to both"]
    alices = await drain(pair.alice)
    assert kinds(alices) == ["delivered"]  # one of them has it
    assert [row["state"] for row in stored(pair.alice, "SELECT state FROM deliveries ORDER BY device")] == [
        "delivered",
        "accepted",
    ]

    assert texts(await drain(second)) == ["to both"]
    assert await drain(pair.alice) == []  # said once
    assert stored(pair.alice, "SELECT 1 FROM outbox") == []
    assert pair.alice.contacts.get("bob").devices == 2


async def test_a_full_mailbox_of_one_device_does_not_hold_up_the_other(tmp_path: Path) -> None:
    with running_relay(tmp_path / "relay", HALONYX_MAILBOX_MESSAGES="3") as relay:
        async with two_people(tmp_path, (relay.origin, relay.origin)) as pair:
            home = await Owner(pair.homes[1], pair.bob).add_device(tmp_path / "second")
            async with home.open() as second:
                await second.contacts.add(pair.alice.card().uri(), "alice")
                await pair.alice.send("bob", "hello, you two")
                await settle(pair.bob, second, pair.alice)
                written = [str(number) for number in range(MANY)]
                for text in written:
                    add_text(pair.alice._store, row_of(pair.alice, "bob"), text)

                arrived: list[str] = []
                for _ in written:
                    await pair.alice.flush()
                    arrived += texts(await drain(second))

                assert arrived == written
                assert texts(await drain(pair.bob)) == written[:3]


@pytest.mark.parametrize("status", [Status.GONE, Status.REQUESTS_FULL, Status.MALFORMED])
async def test_what_one_device_does_not_take_reaches_the_other(
    front: Front, fronted: Pair, tmp_path: Path, status: Status
) -> None:
    home = await Owner(fronted.homes[1], fronted.bob).add_device(tmp_path / "second")
    async with home.open() as second:
        await second.contacts.add(fronted.alice.card().uri(), "alice")
        answered = []

        def refuse_all_but_the_second(frame: bytes) -> bytes:
            if frame[1] != frames.FrameType.ACCEPTED:
                return frame
            answered.append(frame)
            return frame if len(answered) == 2 else frame[:18] + bytes([status]) + frame[19:]

        front.on_frame = refuse_all_but_the_second
        sent = await fronted.alice.send("bob", "to both")

        assert (sent.state, texts(await drain(second))) == ("accepted", ["to both"])
        waiting = stored(fronted.alice, "SELECT device FROM deliveries WHERE state = 'sealed'")
        assert [row["device"] for row in waiting] == [1]


async def test_each_device_answers_on_a_session_of_its_own(pair: Pair, second: Client) -> None:
    await pair.alice.send("bob", "hello, you two")
    await settle(pair.bob, second, pair.alice)
    await pair.bob.send("alice", "from the first")
    await second.send("alice", "from the second")

    assert sorted(texts(await drain(pair.alice))) == ["from the first", "from the second"]
    assert device_of(pair.alice, "bob").sessions.sending is not None
    assert device_of(pair.alice, "bob", SECOND).sessions.sending is not None


async def test_five_first_messages_go_to_every_device(pair: Pair, second: Client) -> None:
    """The limit of unanswered messages counts messages, not envelopes."""
    states = [(await pair.alice.send("bob", str(number))).state for number in range(6)]

    assert states == ["accepted"] * 5 + ["waiting"]
    assert texts(await drain(second)) == [str(number) for number in range(5)]
    assert texts(await drain(pair.bob)) == [str(number) for number in range(5)]


async def test_a_new_device_of_a_contact_is_announced_and_gets_what_was_not_confirmed(
    pair: Pair, tmp_path: Path
) -> None:
    await pair.alice.send("bob", "confirmed")
    await settle(pair.bob, pair.alice)
    await pair.alice.send("bob", "on its way")
    home = await Owner(pair.homes[1], pair.bob).add_device(tmp_path / "second")
    await pair.bob.send("alice", "I have a second device")

    alices = await drain(pair.alice)

    assert [notice.data for notice in notices(alices, "device")] == [{"device": 2}]
    async with home.open() as second:
        await second.contacts.add(pair.alice.card().uri(), "alice")
        assert texts(await drain(second)) == ["on its way"]
    assert texts(await drain(pair.bob)) == ["on its way"]


async def test_a_new_device_whose_first_message_can_not_be_opened_is_asked_for_it(pair: Pair, tmp_path: Path) -> None:
    """What the message told of the device was undone with it."""
    await pair.bob.send("alice", "hello")
    await settle(pair.alice, pair.bob)
    home = await Owner(pair.homes[1], pair.bob).add_device(tmp_path / "second")
    async with home.open() as second:
        await second.contacts.add(pair.alice.card().uri(), "alice")
        await second.send("alice", "from the second")
        change(pair.alice, "DELETE FROM prekeys WHERE use = ?", PrekeyUse.ONE_TIME)
        assert await drain(pair.alice) == []

        change(pair.alice, "UPDATE contacts SET record_checked = record_checked - ?", NAMED_PAUSE)
        alices, _ = await settle(pair.alice, second)

    assert texts(alices) == ["from the second"]
    assert kinds(alices) == ["device", "refreshed"]


async def test_what_broke_with_a_device_that_only_now_becomes_known_is_still_to_be_repaired(
    pair: Pair, tmp_path: Path
) -> None:
    await pair.bob.send("alice", "hello")
    await settle(pair.alice, pair.bob)
    await Owner(pair.homes[1], pair.bob).add_device(tmp_path / "second")
    store, bob = pair.alice._store, row_of(pair.alice, "bob")

    with store.transaction():
        device_row(store, bob.id, SECOND)
        store.execute("UPDATE devices SET broken_session = x'' WHERE device = ?", SECOND)
        accept_record(store, bob, load_account(pair.bob._store).record, now_ms())

    rows = stored(pair.alice, "SELECT device FROM devices WHERE broken_session IS NOT NULL")
    assert [row["device"] for row in rows] == [SECOND]


async def test_a_device_that_somebody_made_up_is_looked_for_once(pair: Pair) -> None:
    await pair.bob.send("alice", "hello")
    await settle(pair.alice, pair.bob)
    bob, now = row_of(pair.alice, "bob"), now_ms()
    change(
        pair.alice, "INSERT INTO devices (contact, device, sessions, broken_session) VALUES (?, 9, x'', x'')", bob.id
    )
    assert not needs_refresh(pair.alice._store, bob, now)  # looked at a moment ago
    change(pair.alice, "UPDATE contacts SET record_checked = record_checked - ?", NAMED_PAUSE)
    assert needs_refresh(pair.alice._store, row_of(pair.alice, "bob"), now)

    await pair.alice.flush()

    assert [row["device"] for row in stored(pair.alice, "SELECT device FROM devices")] == [FIRST]
    assert contacts_with_work(pair.alice._store, now) == []


async def test_a_removed_device_is_refused_and_what_it_had_not_confirmed_goes_to_the_other(
    pair: Pair, second: Client, mailboxes: Mailboxes
) -> None:
    await pair.alice.send("bob", "hello, you two")
    await settle(pair.bob, second, pair.alice)
    await pair.alice.send("bob", "read by the first only")
    await drain(pair.bob)
    await drain(pair.alice)
    assert stored(pair.alice, "SELECT 1 FROM outbox") != []  # the second has not confirmed it
    owner = Owner(pair.homes[1], pair.bob)
    await owner.publish(owner.next_record(load_account(pair.bob._store).own.device))

    with pytest.raises(Refused) as refused:
        await drain(second)
    assert refused.value.code == "not-authenticated"
    sent = await pair.alice.send("bob", "to the one that is left")
    assert sent.state == "accepted"
    assert texts(await drain(pair.bob)) == ["to the one that is left"]
    await drain(pair.alice)
    assert stored(pair.alice, "SELECT 1 FROM outbox") == []  # nobody is left to confirm the other
    assert pair.alice.contacts.get("bob").devices == 1


async def test_a_message_of_a_removed_device_is_refused(pair: Pair, second: Client) -> None:
    await second.send("alice", "while I was in the record")
    await drain(pair.alice)
    forger = Forger(second, "alice")
    late = forger.envelope(forger.message(forger.content(b"too late").encode()), device=SECOND)
    owner = Owner(pair.homes[1], pair.bob)
    await owner.publish(owner.next_record(load_account(pair.bob._store).own.device))
    await pair.bob.send("alice", "I removed it")
    await drain(pair.alice)

    await forger.submit(late)

    assert texts(await drain(pair.alice)) == []


async def test_other_keys_under_a_known_device_id_are_a_new_device(pair: Pair) -> None:
    """Whoever has the account's keys could do this in silence, if only ids were compared."""
    await pair.alice.send("bob", "hello")
    await settle(pair.bob, pair.alice)
    account = load_account(pair.bob._store)
    identity, signing = KeyPair.generate(), SigningKey.generate()
    device = Device(account.own.device.id, account.own.device.created, identity.public, signing.public)
    own = OwnDevice(account.address, device, identity, signing)
    owner = Owner(pair.homes[1], pair.bob)
    record = owner.next_record(device)
    prekeys = full_set(own, 1000, account.record.created)
    kept = NewDevice(
        id=device.id,
        login_key=account.login.public.raw,
        prekeys=published_forms(account.usid, own, prekeys),
    )
    await owner.publish(record, [kept])
    change(pair.alice, "UPDATE contacts SET record_checked = 0")

    await pair.alice.send("bob", "who reads this?")

    alices = await drain(pair.alice)
    assert [notice.data for notice in notices(alices, "device")] == [{"device": 1}]
    assert row_of(pair.alice, "bob").record == record


async def test_recovery_on_an_empty_folder_keeps_the_identity(pair: Pair, tmp_path: Path) -> None:
    await pair.alice.send("bob", "hello")
    await pair.bob.send("alice", "hello")
    await settle(pair.bob, pair.alice)
    number = await pair.alice.safety_number("bob")
    await pair.alice.verify("bob", number)

    async with recovered(pair.homes[1], tmp_path / "new") as bob:
        assert (bob.account.usid, bob.account.address) == (pair.bob.account.usid, pair.bob.account.address)
        assert bob.account.device == 2
        assert bob.account.record_version > pair.bob.account.record_version
        assert bob.contacts.list() == []

        sent = await pair.alice.send("bob", "are you there?")
        assert sent.state == "accepted"
        (request,) = await drain(bob)
        assert kinds([request]) == ["request"]
        await bob.contacts.accept(bob.contacts.requests()[0].name, "alice")
        assert texts(await drain(bob)) == ["are you there?"]
        assert await bob.safety_number("alice") == number
        await bob.send("alice", "I am back")
        alices = await drain(pair.alice)

        assert texts(alices) == ["I am back"]
        assert "device" in kinds(alices)
        assert pair.alice.contacts.get("bob").verified  # the account is the same, its keys are what was compared
        assert await pair.alice.safety_number("bob") == number
        with pytest.raises(Refused) as refused:
            await drain(pair.bob)
        assert refused.value.code == "not-authenticated"


async def test_many_messages_that_the_lost_device_never_read_reach_the_recovered_one(
    pair: Pair, tmp_path: Path
) -> None:
    """More than go out by request key: the rest follows after the first answer, in order."""
    await pair.alice.send("bob", "hello")
    await settle(pair.bob, pair.alice)
    for number in range(8):
        await pair.alice.send("bob", f"unread {number}")

    async with recovered(pair.homes[1], tmp_path / "new") as bob:
        await pair.alice.send("bob", "after")
        await drain(bob)
        await bob.contacts.accept(bob.contacts.requests()[0].name, "alice")
        bobs, _ = await settle(bob, pair.alice)

        assert texts(bobs) == [*(f"unread {number}" for number in range(8)), "after"]
        assert {entry.state for entry in pair.alice.history("bob")} == {"delivered"}


async def test_the_recovered_one_writes_first(pair: Pair, tmp_path: Path) -> None:
    await pair.alice.send("bob", "hello")
    await settle(pair.bob, pair.alice)

    async with recovered(pair.homes[1], tmp_path / "new") as bob:
        await bob.contacts.add(pair.alice.card().uri(), "alice")
        await bob.send("alice", "new phone")
        alices = await drain(pair.alice)

        assert texts(alices) == ["new phone"]
        assert [notice.data for notice in notices(alices, "device")] == [{"device": 2}]
        await pair.alice.send("bob", "welcome back")
        assert texts(await drain(bob)) == ["welcome back"]


async def test_recovery_needs_the_code_and_an_empty_home(pair: Pair, relay: RelayProcess, tmp_path: Path) -> None:
    code = pair.homes[1].code
    with pytest.raises(Malformed, match="typing error"):
        await recover_account(tmp_path / "new", relay.origin, code[:-1] + ("0" if code[-1] != "0" else "1"))
    assert not (tmp_path / "new" / "store.db").exists()
    with pytest.raises(StoreError, match="has an account already"):
        await recover_account(pair.homes[0].path, relay.origin, code)
    assert pair.alice.account.usid == (await recover_account(tmp_path / "b", relay.origin, pair.homes[0].code)).usid


async def test_a_code_that_no_relay_knows_signs_up_anew(relay: RelayProcess, tmp_path: Path) -> None:
    """The relay was lost with everything on it: the code gives the same USID on a new one."""
    with running_relay(tmp_path / "lost") as lost:
        home = await sign_up(tmp_path / "before", lost.origin)
        async with home.open() as client:
            usid = client.account.usid

    info = await recover_account(tmp_path / "after", relay.origin, home.code)

    assert info.usid == usid


async def test_people_on_two_relays_talk(relay: RelayProcess, tmp_path: Path) -> None:
    with running_relay(tmp_path / "other") as other:
        async with two_people(tmp_path, (relay.origin, other.origin)) as pair:
            for number in range(2):
                await pair.alice.send("bob", f"to the other relay {number}")
                await pair.bob.send("alice", f"and back {number}")
            alices, bobs = await settle(pair.alice, pair.bob)

            assert texts(bobs) == ["to the other relay 0", "to the other relay 1"]
            assert texts(alices) == ["and back 0", "and back 1"]
            assert "delivered" in kinds(alices)
            assert await pair.alice.safety_number("bob") == await pair.bob.safety_number("alice")

            other.kill()
            sent = await pair.alice.send("bob", "while yours is down")
            assert (sent.state, sent.reason) == ("waiting", "transport-error")
            assert await drain(pair.alice) == []  # her own relay is there: receiving ends all the same
            other.start()
            await pair.alice.flush()
            assert texts(await drain(pair.bob)) == ["while yours is down"]


async def test_an_account_that_moved_to_another_relay_is_written_to_there(
    pair: Pair, relay: RelayProcess, tmp_path: Path
) -> None:
    """Recovery names the relay; a card of the new place shows the way, the record confirms it."""
    with running_relay(tmp_path / "other") as other:
        await pair.alice.send("bob", "hello")
        await settle(pair.bob, pair.alice)
        # The new place knows no former record: the clock alone, in seconds, makes the next one newer.
        while next_version(0, now_ms()) <= pair.bob.account.record_version:  # noqa: ASYNC110 (the clock wakes nobody)
            await asyncio.sleep(POLL_SECONDS)
        await recover_account(tmp_path / "moved", other.origin, pair.homes[1].code)
        async with Home(tmp_path / "moved", other.origin, pair.homes[1].code).open() as bob:
            await bob.contacts.add(pair.alice.card().uri(), "alice")
            await bob.send("alice", "I moved")
            assert texts(await drain(pair.alice)) == ["I moved"]
            assert pair.alice.contacts.get("bob").origin == other.origin
            await pair.alice.send("bob", "found you")
            assert texts(await drain(bob)) == ["found you"]
