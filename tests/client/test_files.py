"""Files between two people: offered, accepted, fetched over WebRTC, verified, saved; or not."""

import os
import re
import stat
import urllib.request
from pathlib import Path

import pytest

from client.files_kit import (
    agree,
    folders,
    names_in,
    new_folder,
    offered,
    reached,
    row_of,
    running_files,
    some_file,
    until,
)
from client.homes import Mailboxes, Pair, change, drain, end_hold, kinds, settle, two_people
from halonyx.client import FileOffered, TransferChanged, outbox, transfer_states
from halonyx.client.running import folder_of
from halonyx.client.saving import temporary_for
from halonyx.client.torrent import NAME
from halonyx.core.content import Kind
from halonyx.core.errors import Misuse
from relay_process import RelayProcess, running_relay

SIZE = 3_000_000


async def test_a_file_is_offered_accepted_and_saved(pair: Pair, tmp_path: Path) -> None:
    agree(pair)
    source, target = some_file(tmp_path, SIZE), new_folder(tmp_path / "saved")
    made = await pair.alice.files.offer("bob", [source])
    assert (made.state, made.name, made.size, made.media_type) == ("offered", "report.pdf", SIZE, "application/pdf")
    events = await drain(pair.bob)
    assert [type(event) for event in events] == [FileOffered]
    assert isinstance(events[0], FileOffered)
    assert (events[0].transfer.contact, events[0].transfer.size, events[0].transfer.outgoing) == ("alice", SIZE, False)
    assert pair.bob.history("alice")[0].transfer == made.id
    assert pair.bob.history("alice")[0].text == "report.pdf"

    async with running_files(pair.alice, pair.bob):
        accepted = await pair.bob.files.accept(made.id, target)
        assert (accepted.state, accepted.folder) == ("waiting", target)
        saved = await reached(pair.bob, made.id, "done")
        await reached(pair.alice, made.id, "done")

    assert saved.saved == target / "report.pdf"
    assert saved.saved.read_bytes() == source.read_bytes()
    assert stat.S_IMODE(saved.saved.stat().st_mode) == 0o600
    assert names_in(target) == ["report.pdf"]
    assert folders(pair.alice) == folders(pair.bob) == []
    ours, theirs = await settle(pair.alice, pair.bob)
    assert [event.state for event in ours if isinstance(event, TransferChanged)] == ["done"]
    assert [event.state for event in theirs if isinstance(event, TransferChanged)] == ["done"]
    assert "delivered" in kinds(ours)


async def test_only_its_owner_can_read_the_ciphertext_on_either_disk(pair: Pair, tmp_path: Path) -> None:
    agree(pair)
    source, target = some_file(tmp_path, SIZE), new_folder(tmp_path / "saved")
    offer = await offered(pair, source)
    for client in (pair.alice, pair.bob):
        folder = folder_of(client._home, row_of(client).id)
        assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    ciphertext = folder_of(pair.alice._home, row_of(pair.alice).id) / NAME
    assert stat.S_IMODE(ciphertext.stat().st_mode) == 0o600
    assert source.read_bytes()[:64] not in ciphertext.read_bytes()
    async with running_files(pair.bob):
        await pair.bob.files.accept(offer.id, target)
        fetched = folder_of(pair.bob._home, row_of(pair.bob).id) / NAME
        await until(fetched.exists)
        assert stat.S_IMODE(fetched.stat().st_mode) == 0o600


async def test_a_folder_is_one_offer(pair: Pair, tmp_path: Path) -> None:
    agree(pair)
    source, target = new_folder(tmp_path / "holiday"), new_folder(tmp_path / "saved")
    (source / "inner" / "deep").mkdir(parents=True)
    (source / "inner" / "empty").mkdir()
    for name, content in (("a.txt", b"first"), ("inner/b.bin", os.urandom(400_000)), ("inner/deep/zero", b"")):
        (source / name).write_bytes(content)
    (source / "link").symlink_to("/etc/passwd")
    offer = await offered(pair, source)
    assert (offer.name, offer.is_folder, offer.count, offer.size) == ("holiday", True, 3, 400_005)
    async with running_files(pair.alice, pair.bob):
        await pair.bob.files.accept(offer.id, target)
        await reached(pair.bob, offer.id, "done")
    found = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    assert found == {"holiday/a.txt", "holiday/inner/b.bin", "holiday/inner/deep/zero"}
    for name in ("a.txt", "inner/b.bin", "inner/deep/zero"):
        assert (target / "holiday" / name).read_bytes() == (source / name).read_bytes()


async def test_several_transfers_both_ways_at_once_and_an_empty_file(pair: Pair, tmp_path: Path) -> None:
    agree(pair)
    target = new_folder(tmp_path / "saved")
    sources = [some_file(tmp_path, size, f"{size}.bin") for size in (0, 16_384, 2_000_000)]
    offers = [await pair.alice.files.offer("bob", [source]) for source in sources]
    back = await pair.bob.files.offer("alice", [some_file(tmp_path, 500_000, "back.bin")])
    await settle(pair.alice, pair.bob)
    async with running_files(pair.alice, pair.bob):
        for offer in offers:
            await pair.bob.files.accept(offer.id, target)
        await pair.alice.files.accept(back.id, target)
        for offer in offers:
            await reached(pair.bob, offer.id, "done")
        await reached(pair.alice, back.id, "done")
    for source in [*sources, tmp_path / "back.bin"]:
        assert (target / source.name).read_bytes() == source.read_bytes()


async def test_nothing_that_is_there_is_touched(pair: Pair, tmp_path: Path) -> None:
    agree(pair)
    source, target = some_file(tmp_path, 1000), new_folder(tmp_path / "saved")
    elsewhere = tmp_path / "elsewhere"
    (target / "report.pdf").write_bytes(b"mine")
    (target / "report (2).pdf").symlink_to(elsewhere)  # to where nothing is: opening it would make that file
    offer = await offered(pair, source)
    # What lies where it is decrypted is a trap of somebody who can write to the folder.
    temporary_for(target, offer.id).symlink_to(elsewhere)
    async with running_files(pair.alice, pair.bob):
        await pair.bob.files.accept(offer.id, target)
        done = await reached(pair.bob, offer.id, "done")
    assert done.saved == target / "report (3).pdf"
    assert done.saved.read_bytes() == source.read_bytes()
    assert (target / "report.pdf").read_bytes() == b"mine"
    assert (target / "report (2).pdf").is_symlink()
    assert not elsewhere.exists()


async def test_a_refused_offer_is_over_on_both_sides(pair: Pair, tmp_path: Path) -> None:
    offer = await offered(pair, some_file(tmp_path, 1000))
    await pair.bob.files.refuse(offer.id)
    events = await drain(pair.alice)
    assert [event.state for event in events if isinstance(event, TransferChanged)] == ["refused"]
    assert pair.alice.files.get(offer.id).state == pair.bob.files.get(offer.id).state == "refused"
    async with running_files(pair.alice):
        await until(lambda: not folders(pair.alice))
    for client in (pair.alice, pair.bob):
        with pytest.raises(Misuse, match="refused"):
            await client.files.cancel(offer.id)
    with pytest.raises(Misuse, match="decided before"):
        await pair.bob.files.accept(offer.id, tmp_path)


@pytest.mark.parametrize("who", ["alice", "bob"])
async def test_a_cancelled_transfer_is_over_on_both_sides(pair: Pair, tmp_path: Path, who: str) -> None:
    agree(pair)
    target = new_folder(tmp_path / "saved")
    offer = await offered(pair, some_file(tmp_path, SIZE))
    async with running_files(pair.bob):
        await pair.bob.files.accept(offer.id, target)
        await until(lambda: pair.bob.files.get(offer.id).reason == "peer-offline")
    await drain(pair.alice)
    mine, other = (pair.alice, pair.bob) if who == "alice" else (pair.bob, pair.alice)
    assert (await mine.files.cancel(offer.id)).state == "cancelled"
    async with running_files(pair.alice, pair.bob):
        ended = await reached(other, offer.id, "cancelled", "refused")
        await until(lambda: not folders(pair.alice) and not folders(pair.bob))
    assert ended.state == ("cancelled" if who == "alice" else "refused")
    assert names_in(target) == []


async def test_an_acceptance_of_what_was_cancelled_is_answered(pair: Pair, tmp_path: Path) -> None:
    offer = await offered(pair, some_file(tmp_path, 1000))
    transfer_states.cancel(pair.alice._store, row_of(pair.alice).id)
    change(pair.alice, "DELETE FROM outbox")  # what was said is lost
    pair.bob.contacts.allow_direct("alice")
    await pair.bob.files.accept(offer.id, tmp_path)
    await settle(pair.alice, pair.bob)
    assert pair.bob.files.get(offer.id).state == "cancelled"


async def test_what_they_could_not_take_is_kept_until_they_try_again_or_it_is_cancelled(
    pair: Pair, tmp_path: Path
) -> None:
    agree(pair)
    source, target = some_file(tmp_path, 1000), new_folder(tmp_path / "saved")
    offer = await offered(pair, source)
    await pair.bob.files.accept(offer.id, target)
    transfer_states.fail(pair.bob._store, row_of(pair.bob).id, "wrong-hash")
    await settle(pair.alice, pair.bob)
    assert (pair.alice.files.get(offer.id).state, pair.alice.files.get(offer.id).reason) == ("failed", "wrong-hash")

    async with running_files(pair.alice, pair.bob):
        assert (await pair.bob.files.retry(offer.id)).state == "waiting"
        await reached(pair.bob, offer.id, "done")
        await reached(pair.alice, offer.id, "done")
    assert (target / "report.pdf").read_bytes() == source.read_bytes()

    again = await offered(pair, source)
    await pair.bob.files.accept(again.id, target)
    transfer_states.fail(pair.bob._store, row_of(pair.bob).id, "disk-full")
    await settle(pair.alice, pair.bob)
    async with running_files(pair.alice):
        assert folders(pair.alice)
        await pair.alice.files.cancel(again.id)
        await until(lambda: not folders(pair.alice))
    # Theirs, saying so, is on its way while ours asks again.
    transfer_states.retry(pair.bob._store, row_of(pair.bob).id)
    await settle(pair.alice, pair.bob)
    assert pair.bob.files.get(again.id).state == "cancelled"


async def test_two_who_both_have_to_agree_do_not_answer_each_other_for_ever(pair: Pair, tmp_path: Path) -> None:
    offer = await offered(pair, some_file(tmp_path, 1000))
    both = (pair.alice, pair.bob)
    async with running_files(*both):
        await pair.bob.files.accept(offer.id, new_folder(tmp_path / "saved"))
        await until(lambda: all(client.files.get(offer.id).reason == "both-need-direct" for client in both))
        pair.alice.contacts.allow_direct("bob")
        await until(lambda: pair.alice.files.get(offer.id).reason == "they-need-direct")
        pair.bob.contacts.allow_direct("alice")
        await reached(pair.bob, offer.id, "done")


async def test_an_offer_under_the_id_of_ours_does_not_stand_in_its_way(pair: Pair, tmp_path: Path) -> None:
    offer = await offered(pair, some_file(tmp_path, 1000))
    row = row_of(pair.bob)
    assert row.encoded is not None
    with pair.bob._store.transaction():
        outbox.add(pair.bob._store, (row.contact, None), Kind.FILE, row.encoded, offer.id)
    await pair.bob.send("alice", "after it")
    await settle(pair.alice, pair.bob)
    assert pair.alice.history("bob")[-1].text == "after it"
    assert [transfer.outgoing for transfer in pair.alice.files.list()] == [True]
    assert (await pair.alice.files.cancel(offer.id)).state == "cancelled"


async def test_paused_it_stands_still_and_resumed_it_ends(pair: Pair, tmp_path: Path) -> None:
    agree(pair)
    target = new_folder(tmp_path / "saved")
    source = some_file(tmp_path, SIZE)
    offer = await offered(pair, source)
    async with running_files(pair.alice, pair.bob):
        await pair.alice.files.pause(offer.id)
        await pair.bob.files.accept(offer.id, target)
        await until(lambda: pair.bob.files.get(offer.id).reason == "peer-offline")
        await pair.bob.files.pause(offer.id)
        assert pair.bob.files.get(offer.id).state == pair.alice.files.get(offer.id).state == "paused"
        await pair.alice.files.resume(offer.id)
        assert pair.alice.files.get(offer.id).state != "paused"
        await pair.bob.files.resume(offer.id)
        await reached(pair.bob, offer.id, "done")
    assert (target / "report.pdf").read_bytes() == source.read_bytes()


async def test_an_offer_waits_for_someone_offline_and_starts_when_both_are_there(pair: Pair, tmp_path: Path) -> None:
    agree(pair)
    target = new_folder(tmp_path / "saved")
    offer = await pair.alice.files.offer("bob", [some_file(tmp_path, SIZE)])  # Bob is not there
    async with running_files(pair.bob):
        await until(lambda: bool(pair.bob.files.list()))
        await pair.bob.files.accept(offer.id, target)  # Alice is not there
        await until(lambda: pair.bob.files.get(offer.id).reason == "peer-offline")
        async with running_files(pair.alice):
            await reached(pair.bob, offer.id, "done")
    assert (target / "report.pdf").stat().st_size == SIZE


async def test_a_blocked_contact_gets_and_gives_nothing(pair: Pair, tmp_path: Path) -> None:
    agree(pair)
    offer = await offered(pair, some_file(tmp_path, 1000))
    await pair.bob.files.accept(offer.id, tmp_path)
    await pair.bob.contacts.block("alice")
    assert pair.bob.files.get(offer.id).state == "cancelled"
    with pytest.raises(Misuse, match="blocked"):
        await pair.bob.files.offer("alice", [tmp_path / "report.pdf"])
    await pair.alice.files.offer("bob", [tmp_path / "report.pdf"])
    await drain(pair.bob)
    assert len(pair.bob.files.list()) == 1


async def test_nothing_of_a_strangers_offer_is_shown_before_it_is_accepted(strangers: Pair, tmp_path: Path) -> None:
    offer = await strangers.alice.files.offer("bob", [some_file(tmp_path, 1000)])
    events = await drain(strangers.bob)
    assert kinds(events) == ["request"]
    assert "report" not in repr(events)
    assert list(strangers.bob.files.list()) == []
    with pytest.raises(Misuse, match="no transfer"):
        await strangers.bob.files.accept(offer.id, tmp_path)
    request = strangers.bob.contacts.requests()[0]
    await strangers.bob.contacts.accept(request.name, "alice")
    events = await drain(strangers.bob)
    assert [type(event) for event in events] == [FileOffered]


async def test_an_offer_that_was_lost_is_missed_and_comes_again(
    pair: Pair, mailboxes: Mailboxes, tmp_path: Path
) -> None:
    await pair.alice.send("bob", "before")
    await settle(pair.alice, pair.bob)
    lost = await pair.alice.files.offer("bob", [some_file(tmp_path, 1000)])
    await pair.alice.send("bob", "after")
    mailboxes.lose(pair.bob.account.address, 0)
    await end_hold(pair.bob)
    events = [event for found in (await settle(pair.bob, pair.alice, pair.bob))[::2] for event in found]
    assert kinds(events) == ["gap"]
    assert [event.transfer.id for event in events if isinstance(event, FileOffered)] == [lost.id]
    assert pair.bob.files.get(lost.id).state == "offered"


async def test_without_agreement_each_side_says_who_has_to_do_what(pair: Pair, tmp_path: Path) -> None:
    target = new_folder(tmp_path / "saved")
    source = some_file(tmp_path, 1000)
    offer = await offered(pair, source)
    async with running_files(pair.alice, pair.bob):
        await pair.bob.files.accept(offer.id, target)
        await until(lambda: pair.bob.files.get(offer.id).reason == "both-need-direct")
        await until(lambda: pair.alice.files.get(offer.id).reason == "both-need-direct")
        pair.alice.contacts.allow_direct("bob")
        await until(lambda: pair.alice.files.get(offer.id).path == "direct")
        assert pair.bob.files.get(offer.id).state == "waiting"
        pair.bob.contacts.allow_direct("alice")
        await reached(pair.bob, offer.id, "done")
    assert (target / "report.pdf").read_bytes() == source.read_bytes()


async def test_nobody_is_met_before_it_was_agreed_to(tmp_path: Path) -> None:
    target = new_folder(tmp_path / "saved")
    with running_relay(tmp_path / "relay") as relay:
        async with two_people(tmp_path, (relay.origin, relay.origin)) as pair:
            offer = await offered(pair, some_file(tmp_path, 1000))
            async with running_files(pair.alice, pair.bob):
                await pair.bob.files.accept(offer.id, target)
                await until(lambda: pair.alice.files.get(offer.id).reason is not None)
                await until(lambda: pair.bob.files.get(offer.id).reason is not None)
                assert announces(relay) == 0  # nobody came to the tracker, by which alone peers are found
                agree(pair)
                await reached(pair.bob, offer.id, "done")
                assert announces(relay) > 0


def announces(relay: RelayProcess) -> int:
    """Return how many announces the relay's tracker has taken."""
    with urllib.request.urlopen(f"{relay.origin}/metrics") as answer:  # noqa: S310 (our own relay)
        found = re.search(r"^halonyx_tracker_announces_total (\d+)", answer.read().decode(), re.MULTILINE)
    assert found is not None
    return int(found[1])


async def test_a_contact_that_is_removed_takes_its_transfers_along(pair: Pair, tmp_path: Path) -> None:
    agree(pair)
    offer = await offered(pair, some_file(tmp_path, SIZE))
    async with running_files(pair.bob):
        await pair.bob.files.accept(offer.id, new_folder(tmp_path / "saved"))
        await until(lambda: pair.bob.files.get(offer.id).path == "direct")
        await pair.bob.contacts.remove("alice")
        await until(lambda: not folders(pair.bob))
        assert list(pair.bob.files.list()) == []


async def test_an_offer_that_nobody_confirms_is_given_up_after_fourteen_days(pair: Pair, tmp_path: Path) -> None:
    offer = await pair.alice.files.offer("bob", [some_file(tmp_path, 1000)])
    change(pair.alice, "UPDATE outbox SET sent = sent - ?", outbox.KEPT)
    assert kinds(await drain(pair.alice)) == ["failed"]
    given_up = pair.alice.files.get(offer.id)
    assert (given_up.state, given_up.reason) == ("failed", "expired")


async def test_a_verified_contact_needs_no_agreement(pair: Pair) -> None:
    assert pair.alice.contacts.get("bob").direct_allowed is False
    await pair.alice.verify("bob", await pair.alice.safety_number("bob"))
    assert pair.alice.contacts.get("bob").direct_allowed is True
    assert pair.alice.contacts.allow_direct("bob", allowed=False).direct_allowed is True
    assert pair.bob.contacts.allow_direct("alice").direct_allowed is True
    assert pair.bob.contacts.allow_direct("alice", allowed=False).direct_allowed is False


async def test_whoever_is_no_party_changes_nothing(pair: Pair, tmp_path: Path) -> None:
    mine = await offered(pair, some_file(tmp_path, 1000))
    with pytest.raises(Misuse, match="your own offer"):
        await pair.alice.files.accept(mine.id, tmp_path)
    with pytest.raises(Misuse, match="at least 4"):
        pair.alice.files.get("abc")
    with pytest.raises(Misuse, match="no transfer"):
        pair.alice.files.get("00000000")
    with pytest.raises(Misuse, match="no folder"):
        await pair.bob.files.accept(mine.id, tmp_path / "missing")
    with pytest.raises(Misuse, match="sender"):
        await pair.bob.files.resume(mine.id, drop=True)
    assert pair.bob.files.get(mine.id.hex()[:6]).id == mine.id
