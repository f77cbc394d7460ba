"""The drop: what it takes, what it gives out, what it forgets."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from halonyx.core.types import DAY
from halonyx.wire.rest_files import MAX_DROP_PART, UPLOAD_HEADER
from relay.drop_kit import MIB, QUOTA, SETTINGS, File, files_of
from relay.rest_kit import Person, Relay, running_relay


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[Relay]:
    async with running_relay(tmp_path, **SETTINGS) as made:
        yield made


@pytest.fixture
async def alice(relay: Relay) -> Person:
    person = Person()
    assert (await person.sign_up(relay)).status == 201
    return person


async def test_a_file_comes_back_as_it_was_left(relay: Relay, alice: Person) -> None:
    file = File(os.urandom(5 * MIB + 17))
    await file.upload(relay, alice)

    answer = await file.get(relay)

    assert (answer.status, answer.body) == (200, file.content)
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Accept-Ranges"] == "bytes"


async def test_it_is_given_out_only_once_all_of_it_is_there(relay: Relay, alice: Person) -> None:
    file = File(os.urandom(MIB))
    token = (await file.open(relay, alice)).json["upload"]
    await file.put(relay, token, 0, file.content[:-1])
    assert (await file.get(relay)).code == "drop-unknown"

    assert (await file.put(relay, token, MIB - 1, file.content[-1:])).json == {"offset": MIB}

    assert (await file.get(relay)).body == file.content


async def test_the_call_that_began_an_upload_says_how_far_it_is(relay: Relay, alice: Person) -> None:
    file = File(os.urandom(MIB))
    first = (await file.open(relay, alice)).json
    await file.put(relay, first["upload"], 0, file.content[:1000])

    again = (await file.open(relay, alice)).json

    assert (first["offset"], again["offset"]) == (0, 1000)
    assert (await file.put(relay, first["upload"], 1000, b"x")).code == "drop-unknown", "a former token"
    await file.upload(relay, alice)
    assert (await file.get(relay)).body == file.content


@pytest.mark.parametrize("offset", [0, 999, 1001, 2**53])
async def test_a_part_follows_what_is_there(relay: Relay, alice: Person, offset: int) -> None:
    file = File(os.urandom(2000))
    token = (await file.open(relay, alice)).json["upload"]
    await file.put(relay, token, 0, file.content[:1000])

    assert (await file.put(relay, token, offset, b"x" * 500)).status in {400, 409}
    assert (await file.open(relay, alice)).json["offset"] == 1000


async def test_a_part_does_not_reach_beyond_the_file(relay: Relay, alice: Person) -> None:
    file = File(os.urandom(1000))
    token = (await file.open(relay, alice)).json["upload"]

    assert (await file.put(relay, token, 0, file.content + b"x")).code == "drop-conflict"
    assert (await file.put(relay, token, 0, file.content)).status == 200
    assert (await file.put(relay, token, 1000, b"x")).code == "drop-conflict"
    assert (await file.get(relay)).body == file.content


async def test_of_two_equal_parts_at_once_one_counts(relay: Relay, alice: Person) -> None:
    file = File(os.urandom(MIB))
    token = (await file.open(relay, alice)).json["upload"]

    answers = await asyncio.gather(*(file.put(relay, token, 0, file.content) for _ in range(4)))

    assert sorted(answer.status for answer in answers) == [200, 409, 409, 409]
    assert (await file.get(relay)).body == file.content


async def test_a_part_has_at_most_four_mebibytes_and_at_least_a_byte(relay: Relay, alice: Person) -> None:
    file = File(os.urandom(MAX_DROP_PART + 1))
    token = (await file.open(relay, alice)).json["upload"]

    assert (await file.put(relay, token, 0, file.content)).code == "too-large"
    assert (await file.put(relay, token, 0, b"")).code == "malformed"
    assert (await file.put(relay, token, 0, file.content[:MAX_DROP_PART])).status == 200


@pytest.mark.parametrize("token", ["", "0" * 32, "0" * 31, "A" * 32, "é" * 32])
async def test_a_part_needs_the_token(relay: Relay, alice: Person, token: str) -> None:
    file = File()
    await file.open(relay, alice)

    assert (await file.put(relay, token, 0, file.content)).code == "drop-unknown"
    assert files_of(relay) == []


@pytest.mark.parametrize("query", ["", "?offset=", "?offset=-1", "?offset=01", "?offset=0&offset=0", "?offset=0&x=1"])
async def test_a_part_names_its_place_in_one_spelling(relay: Relay, alice: Person, query: str) -> None:
    file = File()
    token = (await file.open(relay, alice)).json["upload"]
    headers = {UPLOAD_HEADER: token, "Content-Type": "application/octet-stream"}

    answer = await relay.call("PUT", file.path + query, b"x", headers=headers)

    assert (answer.status, answer.code) == (400, "malformed")


async def test_a_part_is_bytes_without_encoding(relay: Relay, alice: Person) -> None:
    file = File()
    token = (await file.open(relay, alice)).json["upload"]
    for headers in ({"Content-Type": "application/json"}, {"Content-Encoding": "gzip"}):
        sent = {UPLOAD_HEADER: token, "Content-Type": "application/octet-stream", **headers}
        answer = await relay.call("PUT", f"{file.path}?offset=0", b"x", headers=sent)
        assert answer.code == "unsupported-content"


@pytest.mark.parametrize(
    ("asked", "status", "span"),
    [
        ("bytes=0-0", 206, (0, 1)),
        ("bytes=10-19", 206, (10, 20)),
        ("bytes=999990-", 206, (999_990, 1_000_000)),
        ("bytes=-5", 206, (999_995, 1_000_000)),
        ("bytes=-2000000", 206, (0, 1_000_000)),
        ("bytes=999999-99999999", 206, (999_999, 1_000_000)),
        ("bytes=5-4", 200, (0, 1_000_000)),
        ("bytes=0-1,5-6", 200, (0, 1_000_000)),
        ("lines=0-1", 200, (0, 1_000_000)),
        ("bytes=x-1", 200, (0, 1_000_000)),
    ],
)
async def test_ranges(relay: Relay, alice: Person, asked: str, status: int, span: tuple[int, int]) -> None:
    file = File(os.urandom(1_000_000))
    await file.upload(relay, alice)

    answer = await file.get(relay, asked)

    assert (answer.status, answer.body) == (status, file.content[slice(*span)])
    named = f"bytes {span[0]}-{span[1] - 1}/1000000" if status == 206 else None
    assert answer.headers.get("Content-Range") == named


@pytest.mark.parametrize("asked", ["bytes=1000-", "bytes=1000-1001", "bytes=-0"])
async def test_a_range_behind_the_end_is_refused(relay: Relay, alice: Person, asked: str) -> None:
    file = File(os.urandom(1000))
    await file.upload(relay, alice)

    assert (await file.get(relay, asked)).code == "bad-range"


async def test_either_side_deletes_it_and_no_stranger(relay: Relay, alice: Person) -> None:
    file = File()
    await file.upload(relay, alice)
    assert (await file.delete(relay, os.urandom(16))).code == "drop-unknown"
    assert (await file.get(relay)).status == 200

    assert (await file.delete(relay)).status == 200  # nobody signs: whoever has the file's key has this one

    assert (await file.get(relay)).code == "drop-unknown"
    assert (await file.delete(relay)).code == "drop-unknown"
    assert files_of(relay) == []


async def test_nothing_of_a_deleted_file_is_left_on_disk(relay: Relay, alice: Person) -> None:
    file = File()
    await file.upload(relay, alice)
    [name] = files_of(relay)
    mode = (relay.settings.data / "drop" / name).stat().st_mode
    assert stat.S_IMODE(mode) == 0o600
    assert file.drop.hex() not in name, "the folder does not tell what to ask for"

    await file.delete(relay)

    held = b"".join(path.read_bytes() for path in relay.settings.data.rglob("*") if path.is_file())
    assert files_of(relay) == []
    assert file.content[:64] not in held
    assert file.drop not in held
    assert file.key not in held


async def test_the_quota_counts_whole_files_from_the_first_call_on(relay: Relay, alice: Person) -> None:
    assert (await File().open(relay, alice, QUOTA)).status == 200

    assert (await File().open(relay, alice, 1)).code == "drop-full"


async def test_no_file_is_larger_than_the_quota(relay: Relay, alice: Person) -> None:
    assert (await File().open(relay, alice, QUOTA + 1)).code == "drop-full"


async def test_small_files_count_as_a_quarter_of_a_mebibyte(relay: Relay, alice: Person) -> None:
    answers = [await File().open(relay, alice, 1) for _ in range(QUOTA // (256 * 1024) + 1)]

    assert [answer.status for answer in answers[:-1]] == [200] * (len(answers) - 1)
    assert answers[-1].code == "drop-full"


async def test_a_small_file_needs_as_much_room_as_it_counts(relay: Relay, alice: Person) -> None:
    await File().open(relay, alice, QUOTA - 200 * 1024)

    assert (await File().open(relay, alice, 1)).code == "drop-full"


async def test_two_calls_at_once_do_not_both_get_the_last_room(relay: Relay, alice: Person) -> None:
    answers = await asyncio.gather(*(File().open(relay, alice, QUOTA // 2 + 1) for _ in range(8)))

    assert sorted(answer.status for answer in answers) == [200] + [507] * 7


async def test_what_is_deleted_counts_no_more(relay: Relay, alice: Person) -> None:
    file = File(os.urandom(QUOTA))
    await file.upload(relay, alice, MAX_DROP_PART)
    assert (await File().open(relay, alice)).code == "drop-full"

    await file.delete(relay)

    assert (await File().open(relay, alice)).status == 200


async def test_one_mailbox_does_not_count_for_another_but_for_all(tmp_path: Path) -> None:
    async with running_relay(tmp_path, **SETTINGS, drop_total=2 * QUOTA) as relay:
        for expected in (200, 200, 507):
            person = Person()
            await person.sign_up(relay)
            assert (await File().open(relay, person, QUOTA)).status == expected


@pytest.mark.parametrize("change", ["owner", "size", "key"])
async def test_an_id_is_one_file_of_one_mailbox(relay: Relay, alice: Person, change: str) -> None:
    bob, file = Person(), File()
    await bob.sign_up(relay)
    await file.upload(relay, alice)
    other = File(file.content, file.drop, os.urandom(16) if change == "key" else file.key)

    answer = await other.open(relay, bob if change == "owner" else alice, 17 if change == "size" else None)

    assert answer.code == "drop-conflict"
    assert (await file.get(relay)).body == file.content


async def test_only_a_device_of_the_account_opens_an_upload(relay: Relay, alice: Person) -> None:
    stranger = Person(address=alice.address)

    assert (await File().open(relay, stranger)).code == "not-authenticated"


async def test_files_expire(relay: Relay, alice: Person) -> None:
    file, begun = File(), File()
    await file.upload(relay, alice)
    await begun.open(relay, alice)
    end = 15 * DAY - relay.clock() % DAY  # of the fourteenth day behind this
    relay.clock.ahead = end - 60_000
    await relay.here.drops.sweep(relay.clock())
    assert (await file.get(relay)).status == 200

    relay.clock.ahead = end
    assert (await file.get(relay)).code == "drop-unknown", "before the sweep too"
    await relay.here.drops.sweep(relay.clock())

    assert files_of(relay) == []
    assert (await File().open(relay, alice, QUOTA)).status == 200


async def test_files_go_with_their_account(relay: Relay, alice: Person) -> None:
    bob, file, other = Person(), File(), File()
    await bob.sign_up(relay)
    await file.upload(relay, alice)
    await other.upload(relay, bob)

    assert (await alice.delete(relay)).status == 200

    assert (await file.get(relay)).code == "drop-unknown"
    assert len(files_of(relay)) == 1
    assert (await other.get(relay)).body == other.content


async def test_a_download_that_has_begun_is_finished(relay: Relay, alice: Person) -> None:
    file = File(os.urandom(8 * MIB))
    await file.upload(relay, alice, MAX_DROP_PART)

    async with relay.session.get(f"http://{relay.authority}{file.path}") as response:
        await file.delete(relay)
        assert await response.read() == file.content


async def test_without_a_quota_there_is_no_drop(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice, file = Person(), File()
        await alice.sign_up(relay)

        answers = [await file.open(relay, alice), await file.put(relay, "0" * 32, 0, b"x"), await file.get(relay)]

        assert [answer.code for answer in [*answers, await file.delete(relay)]] == ["no-drop"] * 4
        assert (await relay.call("GET", "/v1/relay")).json["files"]["drop"] == 0


async def test_a_disk_without_room_to_spare_takes_no_file(tmp_path: Path) -> None:
    async with running_relay(tmp_path, **SETTINGS | {"min_free_bytes": 2**60}) as relay:
        alice = Person()
        await alice.sign_up(relay)

        assert (await File().open(relay, alice)).code == "drop-full"


async def test_pages_of_other_origins_may_fetch_and_put(relay: Relay, alice: Person) -> None:
    file = File()
    asked = {"Origin": "https://other.example", "Access-Control-Request-Method": "PUT"}

    answer = await relay.call("OPTIONS", file.path, headers=asked)

    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "halonyx-upload" in answer.headers["Access-Control-Allow-Headers"]
    assert "range" in answer.headers["Access-Control-Allow-Headers"]
