"""kill -9 in the middle of sign-ups, replacements and deletions: after the next start all three files agree."""

import asyncio
import os
import sqlite3
from pathlib import Path

import aiohttp

from halonyx.relay.settings import load_settings
from relay.rest_kit import Person, Relay
from relay_process import RelayProcess, running_relay

PEOPLE = 8


def count(process: RelayProcess, database: str, query: str) -> int:
    connection = sqlite3.connect(process.data / database)
    try:
        found: int = connection.execute(query).fetchone()[0]
        return found
    finally:
        connection.close()


async def one_life(relay: Relay, person: Person) -> None:
    """Sign up, move to another device, and half of the time delete it all."""
    await person.sign_up(relay)
    record = os.urandom(200)
    await person.replace(relay, person.replacement(record, [person.new_device(2)], person.access_key))
    person.record = record
    if person.address[0] & 1:
        await person.delete(relay)


async def test_no_kill_leaves_the_files_at_odds(tmp_path: Path) -> None:
    with running_relay(tmp_path) as process:
        settings = load_settings(port=process.port, data=process.data)
        for after in (3, 9, 17):
            people = [Person() for _ in range(PEOPLE)]
            async with aiohttp.ClientSession() as session:
                lives = [asyncio.ensure_future(one_life(Relay(settings, session), person)) for person in people]
                async with aiohttp.ClientSession() as other:
                    for _ in range(after):
                        await Relay(settings, other).call("GET", "/v1/relay")
                process.kill()
                await asyncio.gather(*lives, return_exceptions=True)
            process.start()
            async with aiohttp.ClientSession() as session:
                relay = Relay(settings, session)
                for person in people:
                    status = await person.status(relay)
                    found = await person.lookup(relay)
                    is_there = status.status == 200 and status.json["exists"]
                    assert (found.status == 200) is is_there
        process.stop()

    living = count(process, "identity.db", "select count(*) from account where sealed_record_hash is not null")
    devices = count(process, "identity.db", "select count(*) from device")
    assert count(process, "identity.db", "select count(*) from intent") == 0
    assert count(process, "app.db", "select count(*) from account") == living
    assert count(process, "app.db", "select count(*) from mailbox") == devices
    assert count(process, "keys.db", "select count(*) from record") == living
    assert count(process, "keys.db", "select count(*) from (select distinct row, device from prekey)") == devices
