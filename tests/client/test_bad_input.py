"""The rest of the specification's table of bad input, from the client's side: wrong sessions, senders and records."""

import dataclasses
import secrets
from pathlib import Path

import pytest

from client.forging import FOREIGN, Forger
from client.homes import (
    Mailboxes,
    Pair,
    change,
    device_of,
    drain,
    end_hold,
    kinds,
    notices,
    row_of,
    settle,
    sign_up,
    stored,
    texts,
)
from client.owner import Owner
from client.refusals import flipped, refused, still_works, talk
from halonyx.client.account import load_account, now_ms
from halonyx.core.content import RecordName
from halonyx.core.ratchet import HEADER_SIZE
from halonyx.core.session import Sessions, encode_sessions
from relay_process import RelayProcess


@pytest.fixture
async def talking(pair: Pair) -> Pair:
    """Alice and Bob, each of whom has answered the other."""
    return await talk(pair)


async def test_an_envelope_of_a_newer_version_is_refused_by_the_relay_already(talking: Pair) -> None:
    forger = Forger(talking.alice, "bob")
    with pytest.raises(AssertionError):
        await forger.submit(b"\x02" + forger.envelope(forger.message(b"x"))[1:])


async def test_an_unknown_extension_that_is_not_critical_is_passed_over(talking: Pair) -> None:
    forger = Forger(talking.alice, "bob")
    plaintext = forger.content(b"with more").encode()[:-1] + b"\x01\x00\x09\x00\x01x"
    await forger.send(plaintext)

    assert texts(await drain(talking.bob)) == ["with more"]


async def test_a_message_with_a_forged_ratchet_key_is_dropped_and_old_keys_still_work(
    talking: Pair, mailboxes: Mailboxes
) -> None:
    """It looks like a session out of step, so a repair is due; nothing else is touched."""
    forger = Forger(talking.alice, "bob")
    late = forger.envelope(forger.message(forger.content(b"sealed before").encode()))
    change(talking.bob, "UPDATE devices SET reset_sent = ?", now_ms())  # repair is another test's matter
    message = forger.message(b"x")
    forged = message[:11] + secrets.token_bytes(31) + b"\x01" + message[43:]

    assert await refused(talking, mailboxes, forger.envelope(forged), "broken_session", "is_break_proven") == []

    await forger.submit(late)
    assert texts(await drain(talking.bob)) == ["sealed before"]


async def test_a_message_with_an_altered_tag_leaves_the_session_as_it_was(talking: Pair, mailboxes: Mailboxes) -> None:
    forger = Forger(talking.alice, "bob")
    message = forger.message(forger.content(b"altered on its way").encode())
    change(talking.bob, "UPDATE devices SET reset_sent = ?", now_ms())

    envelope = forger.envelope(flipped(message, len(message) - 1))
    assert await refused(talking, mailboxes, envelope, "broken_session", "is_break_proven") == []

    await forger.submit(forger.envelope(message))
    assert texts(await drain(talking.bob)) == ["altered on its way"]


async def test_an_index_far_ahead_is_refused(talking: Pair, mailboxes: Mailboxes) -> None:
    forger = Forger(talking.alice, "bob")
    change(talking.bob, "UPDATE devices SET reset_sent = ?", now_ms())
    message = forger.message(b"x")
    forged = message[: HEADER_SIZE - 20] + b"\xff\xff\xff\xff" + message[HEADER_SIZE - 16 :]

    assert await refused(talking, mailboxes, forger.envelope(forged), "broken_session", "is_break_proven") == []
    await still_works(talking)


async def test_a_second_delivery_is_acknowledged_and_shown_once(talking: Pair, mailboxes: Mailboxes) -> None:
    forger = Forger(talking.alice, "bob")
    envelope = forger.envelope(forger.message(forger.content(b"once").encode()))
    await forger.submit(envelope)
    assert texts(await drain(talking.bob)) == ["once"]

    assert await refused(talking, mailboxes, envelope) == []
    await still_works(talking)


async def test_a_place_used_twice_is_repaired_at_most(talking: Pair, mailboxes: Mailboxes) -> None:
    """No honest program does this unless its store was put back to an older copy."""
    forger = Forger(talking.alice, "bob")
    change(talking.bob, "UPDATE devices SET reset_sent = ?", now_ms())
    message = forger.message(forger.content(b"once").encode())
    await forger.submit(forger.envelope(message))
    assert texts(await drain(talking.bob)) == ["once"]

    assert await refused(talking, mailboxes, forger.envelope(message), "broken_session", "is_break_proven") == []
    await still_works(talking)


async def test_the_same_message_in_a_new_envelope_is_receipted_again_and_shown_once(talking: Pair) -> None:
    """A resend: encrypted anew under the same message id."""
    forger = Forger(talking.alice, "bob")
    content = forger.content(b"once")
    await forger.send(content)
    await forger.send(content)

    assert texts(await drain(talking.bob)) == ["once"]
    assert [entry.text for entry in talking.bob.history("alice")].count("once") == 1


async def test_an_unknown_session_of_a_contact_is_repaired_at_most(talking: Pair, mailboxes: Mailboxes) -> None:
    forger = Forger(talking.alice, "bob")
    change(talking.bob, "UPDATE devices SET reset_sent = ?", now_ms())
    message = forger.message(b"x")

    envelope = forger.envelope(message[:3] + bytes(8) + message[11:])
    assert await refused(talking, mailboxes, envelope, "broken_session", "is_break_proven") == []
    await still_works(talking)


async def test_a_message_without_a_handshake_from_someone_unknown_is_nothing(
    talking: Pair, mailboxes: Mailboxes
) -> None:
    forger = Forger(talking.alice, "bob")

    assert await refused(talking, mailboxes, forger.envelope(forger.message(b"x"), sender=FOREIGN)) == []
    assert talking.bob.contacts.requests() == []


async def test_noise_leaves_no_mark(talking: Pair, mailboxes: Mailboxes) -> None:
    """Anyone can send any amount of it."""
    forger = Forger(talking.alice, "bob")
    envelope = forger.envelope(forger.message(b"x"))
    before = stored(talking.bob, "SELECT * FROM seen")

    for _ in range(3):
        noise = envelope[:60] + secrets.token_bytes(len(envelope) - 60)
        assert await refused(talking, mailboxes, noise) == []

    assert stored(talking.bob, "SELECT * FROM seen") == before


async def test_a_sender_who_is_not_the_records_owner_is_refused(
    talking: Pair, mailboxes: Mailboxes, relay: RelayProcess, tmp_path: Path
) -> None:
    carol = await sign_up(tmp_path / "carol", relay.origin)
    async with carol.open() as client:
        record = stored(client, "SELECT record FROM account")[0]["record"]
        forger = Forger(talking.alice, "bob")
        envelope = forger.envelope(forger.message(b"x"), record=record)

        assert await refused(talking, mailboxes, envelope) == []


async def test_a_message_under_anothers_name_is_refused(
    talking: Pair, mailboxes: Mailboxes, relay: RelayProcess, tmp_path: Path
) -> None:
    """The session is Alice's; the envelope says Carol. Sessions are found under their owner only."""
    carol = await sign_up(tmp_path / "carol", relay.origin)
    async with carol.open() as client:
        await talking.bob.contacts.add(client.card().uri(), "carol")
        await client.contacts.add(talking.bob.card().uri(), "bob")
        await client.send("bob", "I am carol")
        await settle(talking.bob, client)
        change(talking.bob, "UPDATE devices SET reset_sent = ?", now_ms())
        forger = Forger(talking.alice, "bob")
        message = forger.message(forger.content(b"I am carol, too").encode())

        envelope = forger.envelope(message, sender=client.account.address)
        assert await refused(talking, mailboxes, envelope, "broken_session", "is_break_proven") == []
        assert [entry.text for entry in talking.bob.history("carol")] == ["I am carol"]


async def test_a_device_that_is_not_in_the_record_is_refused(talking: Pair, mailboxes: Mailboxes) -> None:
    forger = Forger(talking.alice, "bob")
    envelope = forger.envelope(forger.message(forger.content().encode()), device=type(forger.peer.device.id)(9))

    assert await refused(talking, mailboxes, envelope) == []


async def test_a_repeated_handshake_makes_no_second_session(pair: Pair, mailboxes: Mailboxes) -> None:
    await pair.alice.send("bob", "first")
    forger = Forger(pair.alice, "bob")
    again = forger.message(forger.content(b"second").encode())  # carries the handshake, too
    await pair.alice.send("bob", "third")
    await drain(pair.bob)
    session_before = device_of(pair.bob, "alice").sessions.sending
    await forger.submit(forger.envelope(again))

    # The session id is known: the session handles it.
    assert texts(await drain(pair.bob)) == ["second"]
    after = device_of(pair.bob, "alice").sessions
    assert session_before is not None
    assert after.sending is not None
    assert after.sending.ratchet.session_id == session_before.ratchet.session_id
    assert after.archived == ()


async def test_a_handshake_on_a_used_one_time_prekey_is_refused_and_repaired(pair: Pair) -> None:
    """Bob has lost the session and, rightly, the one-time key: only a fresh handshake of his own helps."""
    await pair.alice.send("bob", "first")
    await drain(pair.bob)
    change(pair.bob, "UPDATE devices SET sessions = ?", encode_sessions(Sessions()))
    await pair.alice.send("bob", "second")

    bobs, alices = await settle(pair.bob, pair.alice)

    assert texts(bobs) == ["second"]
    assert "refreshed" in kinds(bobs)
    assert "refreshed" in kinds(alices)


async def test_a_handshake_with_an_altered_kem_ciphertext_fails_like_any_other(
    pair: Pair, mailboxes: Mailboxes
) -> None:
    await pair.alice.send("bob", "not yet read")
    forger = Forger(pair.alice, "bob")
    message = flipped(forger.message(forger.content().encode()), 200)
    assert device_of(pair.bob, "alice").sessions == Sessions()
    change(pair.bob, "UPDATE devices SET reset_sent = ?", now_ms())  # else he would begin a session of his own
    record = stored(pair.alice, "SELECT record FROM account")[0]["record"]
    prekeys = stored(pair.bob, "SELECT id FROM prekeys")
    mailboxes.lose(pair.bob.account.address, 0)

    await forger.submit(forger.envelope(message, record=record))

    assert await drain(pair.bob) == []
    assert stored(pair.bob, "SELECT id FROM prekeys") == prekeys  # a failed decrypt costs no one-time key
    assert stored(pair.bob, "SELECT 1 FROM messages") == []


async def test_a_contact_who_names_a_second_record_of_theirs_is_frozen(talking: Pair) -> None:
    forger = Forger(talking.alice, "bob")
    version = row_of(talking.bob, "alice").record_name.version
    await forger.send(forger.content(b"look", sender_record=RecordName(version, bytes(32))))

    events = await drain(talking.bob)

    assert [notice.data["code"] for notice in notices(events, "stale")] == ["stale-directory"]
    assert talking.bob.contacts.get("alice").frozen == "stale-directory"
    assert stored(talking.bob, "SELECT evidence FROM contacts")[0]["evidence"]
    assert texts(events) == ["look"]


async def test_a_contact_who_sends_a_second_record_of_one_version_is_frozen(talking: Pair) -> None:
    owner = Owner(talking.homes[0], talking.alice)
    first = load_account(talking.alice._store).record
    second = owner.record(first.version, created=first.created + 1)
    forger = Forger(talking.alice, "bob")

    await forger.submit(forger.envelope(forger.message(forger.content().encode()), record=second.encoded))
    events = await drain(talking.bob)

    assert [notice.data["code"] for notice in notices(events, "stale")] == ["stale-directory"]
    assert texts(events) == []
    (contact,) = stored(talking.bob, "SELECT record, evidence FROM contacts")
    assert (contact["record"], contact["evidence"]) == (first.encoded, second.encoded)


async def test_a_contact_who_was_served_another_record_of_ours_says_so(talking: Pair) -> None:
    forger = Forger(talking.alice, "bob")
    honest = forger.content()
    await forger.send(dataclasses.replace(honest, recipient_record=RecordName(2**32 - 1, bytes(32))))

    events = await drain(talking.bob)

    assert [notice.data for notice in notices(events, "own-record")] == [{"version": 2**32 - 1}]
    # Loud, but not once a message.
    again = forger.content(counter=honest.counter + 1, recipient_record=RecordName(2**32 - 1, bytes(32)))
    await forger.send(again)
    assert notices(await drain(talking.bob), "own-record") == []


async def test_a_forged_counter_is_bounded(talking: Pair) -> None:
    forger = Forger(talking.alice, "bob")
    await forger.send(forger.content(b"from far ahead", counter=2**52))

    await end_hold(talking.bob)
    events = await drain(talking.bob)

    assert "gap" in kinds(events)
    assert texts(events) == ["from far ahead"]
    assert len(stored(talking.bob, "SELECT 1 FROM gaps")) <= 128


async def test_a_stranger_cannot_fill_the_screen(pair: Pair, relay: RelayProcess, tmp_path: Path) -> None:
    """What a stranger's program says in a version of its own is refused without a word."""
    carol = await sign_up(tmp_path / "carol", relay.origin)
    async with carol.open() as client:
        await client.contacts.add(pair.bob.card().uri(), "bob")
        await client.send("bob", "hello")
        await drain(pair.bob)
        forger = Forger(client, "bob")
        for _ in range(3):
            await forger.submit(forger.envelope(b"\x02" + forger.message(b"x")[1:]))

        assert await drain(pair.bob) == []
