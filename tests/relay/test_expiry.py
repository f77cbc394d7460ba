"""Undelivered envelopes expire by time, whatever the clock did; numbers of mailboxes are never used again."""

from pathlib import Path

from relay.test_mailbox import benched


async def test_a_row_of_a_clock_that_went_wrong_does_not_stop_the_expiry(tmp_path: Path) -> None:
    async with benched(tmp_path, retention_ms=1000) as bench:
        alice = await bench.enrol()
        bench.now += 500_000
        late = await bench.submit(alice)
        bench.now -= 500_000
        await bench.submit(alice)
        await bench.submit(alice)
        bench.now += 1001
        assert await bench.store.sweep() == 2
        assert [row.seq for row in await bench.waiting(alice)] == [late.seq]
        bench.now += 500_000
        assert await bench.store.sweep() == 1


async def test_expired_rows_are_found_by_an_index(tmp_path: Path) -> None:
    async with benched(tmp_path) as bench:
        plan = bench.database.read(
            lambda connection: connection.execute(
                "explain query plan select row from envelope where time < 5 limit 5"
            ).fetchall()
        )
        assert "envelope_by_time" in str(plan)


async def test_a_mailbox_number_is_never_used_again(tmp_path: Path) -> None:
    async with benched(tmp_path) as bench:
        alice = await bench.enrol()
        former = (await bench.open(alice)).box
        await bench.store.drop_mailbox(alice.address, alice.device)
        bob = await bench.enrol()
        assert (await bench.open(bob)).box != former
