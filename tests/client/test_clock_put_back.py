"""A clock that ran ahead and was put right: what it noted for later holds nothing up until then."""

from client.homes import Pair, change, device_of, row_of, settle, stored
from halonyx.client import order, outbox, repair
from halonyx.client.account import load_account, now_ms
from halonyx.client.directory import has_fresh_envelope_prekey, needs_refresh
from halonyx.client.prekeys import due_prekeys
from halonyx.core.prekeys import PrekeyUse
from halonyx.core.types import DAY, DeviceId

AHEAD = 30 * DAY


async def test_what_was_noted_for_later_holds_nothing_up(pair: Pair) -> None:
    await pair.alice.send("bob", "hello")
    await settle(pair.bob, pair.alice)
    client, store, now = pair.alice, pair.alice._store, now_ms()
    bob, device = row_of(client, "bob"), DeviceId(1)
    assert not needs_refresh(store, bob, now)

    change(client, "UPDATE devices SET envelope_fetched = ?", now + AHEAD)
    assert not has_fresh_envelope_prekey(store, bob, device, now)

    change(client, "UPDATE contacts SET record_checked = ?", now + AHEAD)
    assert needs_refresh(store, row_of(client, "bob"), now)

    change(client, "UPDATE devices SET reset_sent = ?", now + AHEAD)
    for _ in range(repair.ASKED_AN_HOUR):
        change(client, "INSERT INTO resets VALUES (?, 'unproven')", now + AHEAD)
    assert repair.may_reset(store, device_of(client, "bob"), now)

    change(client, "INSERT INTO gaps VALUES (?, ?, 1, ?, 1, ?)", bob.id, device, now, now + AHEAD)
    change(client, "INSERT INTO gaps VALUES (?, ?, 2, ?, 1, ?)", bob.id, device, now, order.NEVER)
    assert outbox.contacts_with_work(store, now) == [bob.id]
    with store.transaction():
        assert order.counters_to_ask(store, bob.id, now) == {device: (1,)}


async def test_prekeys_made_by_it_are_not_taken_for_new_ones(pair: Pair) -> None:
    client, now = pair.alice, now_ms()
    change(client, "UPDATE prekeys SET made = ? WHERE use = ?", now + AHEAD, PrekeyUse.SIGNED)
    change(client, "DELETE FROM prekeys WHERE use = ?", PrekeyUse.ONE_TIME)
    change(client, "UPDATE account SET refilled = ?", now + AHEAD)

    due_prekeys(client._store, load_account(client._store).own, None, now)

    made = {
        row["use"]: row["count"]
        for row in stored(client, "SELECT use, count(*) AS count FROM prekeys WHERE state = 0 GROUP BY use")
    }
    assert made == {PrekeyUse.SIGNED: 1, PrekeyUse.ONE_TIME: 100}
