"""A relay that lies about keys: nothing is sent, the person is told, and only the person lifts it."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from client.front import Answer, Front
from client.homes import Pair, change, drain, kinds, notices, row_of, settle, sign_up, stored, texts
from client.owner import Owner
from halonyx.client import Client
from halonyx.client.account import load_account, now_ms
from halonyx.client.directory import NAMED_PAUSE
from halonyx.core.directory import Slot, open_object, record_slot, seal_object
from halonyx.core.encoding import decode_base64url, encode_base64url
from halonyx.core.errors import StaleDirectory
from halonyx.core.identity import AccountRecord, OwnDevice
from halonyx.core.prekeys import Prekey, PrekeyUse, sign_prekey
from halonyx.core.primitives import KeyPair, SigningKey
from halonyx.core.types import DAY, Address, Millis, Usid

LOOKUP: Final = "/v1/lookup"
BUNDLE: Final = "/v1/bundle"
NONCE: Final = bytes(12)
SIGNATURES: Final = 64 + 3309  # Ed25519 and ML-DSA-65, at the end of a record


def served(owner: Client, record: bytes) -> Callable[[Answer, Answer], Answer]:
    """Answer lookups with these bytes as the owner's record: the relay may know the key that only hides."""
    account = owner.account
    blob = seal_object(account.usid, record_slot(account.address), record, NONCE)

    def alter(asked: Answer, answer: Answer) -> Answer:
        if decode_base64url(asked["address"]) != account.address:
            return answer
        return answer | {"record": encode_base64url(blob)}

    return alter


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def own_record(client: Client) -> AccountRecord:
    return load_account(client._store).record


async def check_stopped(client: Client, code: str, text: str = "secret") -> None:
    """Check that what is written to Bob stays here, that the person is told why, and that evidence is kept."""
    sent = await client.send("bob", text)
    assert (sent.state, sent.reason) == ("waiting", code)
    assert client.contacts.get("bob").frozen == code
    assert [notice.data for notice in notices(await drain(client), "stale")] == [{"code": code}]
    assert stored(client, "SELECT evidence FROM contacts WHERE name = 'bob'")[0]["evidence"]
    with pytest.raises(StaleDirectory):
        await client.send("bob", "another")
    assert stored(client, "SELECT 1 FROM deliveries") == []


LIES: Final[dict[str, tuple[Callable[[bytes], bytes], str]]] = {
    "another device key": (lambda record: flipped(record, len(record) - SIGNATURES - 40), "bad-signature"),
    "a bad Ed25519 signature": (lambda record: flipped(record, len(record) - SIGNATURES + 1), "bad-signature"),
    "a bad ML-DSA signature": (lambda record: flipped(record, len(record) - 5), "bad-signature"),
    "a cut record": (lambda record: record[:-1], "malformed"),
    "a version of its own": (lambda record: record[:5] + b"\xff" + record[6:], "bad-signature"),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_record_that_was_altered_stops_sending(front: Front, fronted: Pair, lie: str) -> None:
    alter, code = LIES[lie]
    front.alter[LOOKUP] = served(fronted.bob, alter(own_record(fronted.bob).encoded))

    await check_stopped(fronted.alice, code)


async def test_noise_instead_of_a_record_stops_sending(front: Front, fronted: Pair) -> None:
    front.alter[LOOKUP] = lambda _, answer: answer | {"record": encode_base64url(bytes(5000))}

    await check_stopped(fronted.alice, "authentication-failed")


async def test_another_accounts_record_stops_sending(front: Front, fronted: Pair, tmp_path: Any) -> None:  # noqa: ANN401
    mallory = await sign_up(tmp_path / "mallory", front.origin)
    async with mallory.open() as client:
        front.alter[LOOKUP] = served(fronted.bob, own_record(client).encoded)

    await check_stopped(fronted.alice, "untrusted-identity")


async def test_the_person_lifts_it_and_what_waited_goes_out(front: Front, fronted: Pair) -> None:
    front.alter[LOOKUP] = served(fronted.bob, flipped(own_record(fronted.bob).encoded, 1000))
    await check_stopped(fronted.alice, "bad-signature", "waited")
    front.alter.clear()
    await fronted.alice.flush()
    assert fronted.alice.history("bob")[0].state == "waiting"  # not by itself

    contact = await fronted.alice.contacts.trust("bob")

    assert contact.frozen is None
    assert texts(await drain(fronted.bob)) == ["waited"]


async def test_a_record_older_than_one_seen_stops_sending(front: Front, fronted: Pair) -> None:
    old = own_record(fronted.bob)
    owner = Owner(fronted.homes[1], fronted.bob)
    await owner.publish(owner.next_record())
    await fronted.alice.send("bob", "with the new record")
    assert row_of(fronted.alice, "bob").record_name.version == old.version + 1
    await drain(fronted.bob)
    await drain(fronted.alice)

    front.alter[LOOKUP] = served(fronted.bob, old.encoded)
    change(fronted.alice, "UPDATE contacts SET record_checked = 0")

    await check_stopped(fronted.alice, "stale-directory")
    assert row_of(fronted.alice, "bob").record_name.version == old.version + 1


async def test_a_record_older_than_the_card_stops_sending(front: Front, fronted: Pair) -> None:
    old = own_record(fronted.bob)
    owner = Owner(fronted.homes[1], fronted.bob)
    await owner.publish(owner.next_record())
    await fronted.alice.contacts.remove("bob")
    await fronted.alice.contacts.add(fronted.bob.card().uri(), "bob")
    front.alter[LOOKUP] = served(fronted.bob, old.encoded)

    await check_stopped(fronted.alice, "stale-directory")


async def test_two_records_of_one_version_stop_sending(front: Front, fronted: Pair) -> None:
    await fronted.alice.send("bob", "with the first")
    await settle(fronted.bob, fronted.alice)
    first = own_record(fronted.bob)
    second = Owner(fronted.homes[1], fronted.bob).record(first.version, created=first.created + 1)
    front.alter[LOOKUP] = served(fronted.bob, second.encoded)
    change(fronted.alice, "UPDATE contacts SET record_checked = 0")

    await check_stopped(fronted.alice, "stale-directory")
    assert row_of(fronted.alice, "bob").record == first


async def test_a_record_withheld_is_found_out_by_the_next_message_and_three_tries(front: Front, fronted: Pair) -> None:
    await fronted.alice.send("bob", "hello")
    await settle(fronted.bob, fronted.alice)
    old = own_record(fronted.bob)
    owner = Owner(fronted.homes[1], fronted.bob)
    await owner.publish(owner.next_record())
    front.alter[LOOKUP] = served(fronted.bob, old.encoded)
    await fronted.bob.send("alice", "I have a new record")
    front.asked.clear()

    events = await drain(fronted.alice)
    for tries in (1, 2):
        assert len(front.asked[LOOKUP]) == tries
        assert fronted.alice.contacts.get("bob").frozen is None
        await fronted.alice.flush()
        assert len(front.asked[LOOKUP]) == tries  # not before twenty seconds have passed
        change(fronted.alice, "UPDATE contacts SET named_since = named_since - ?", NAMED_PAUSE)
        await fronted.alice.flush()
    events += await drain(fronted.alice)

    assert texts(events) == ["I have a new record"]
    assert [notice.data["code"] for notice in notices(events, "stale")] == ["stale-directory"]
    assert fronted.alice.contacts.get("bob").frozen == "stale-directory"
    with pytest.raises(StaleDirectory):
        await fronted.alice.send("bob", "stopped")

    front.alter.clear()
    assert (await fronted.alice.contacts.trust("bob")).frozen is None
    await fronted.alice.send("bob", "go on")
    assert texts(await drain(fronted.bob)) == ["go on"]


async def test_a_new_record_that_is_there_at_the_first_try_alarms_nobody(front: Front, fronted: Pair) -> None:
    await fronted.alice.send("bob", "hello")
    await settle(fronted.bob, fronted.alice)
    owner = Owner(fronted.homes[1], fronted.bob)
    await owner.publish(owner.next_record())
    await fronted.bob.send("alice", "I have a new record")

    events = await drain(fronted.alice)

    assert (texts(events), kinds(events)) == (["I have a new record"], [])
    assert row_of(fronted.alice, "bob").record == own_record(fronted.bob)


def forged_prekey(use: PrekeyUse, device: OwnDevice, usid: Usid, answer: Answer, expiry: int) -> Answer:
    """Return a bundle's entry with a key of our own in it, signed by `device`."""
    genuine = Slot(device.address, use, device.device.id, answer["id"])
    prekey = Prekey.parse(open_object(usid, genuine, decode_base64url(answer["blob"])))
    key = KeyPair.generate().public.raw + prekey.key[32:]
    forged = sign_prekey(device, use, prekey.id, Millis(expiry), key)
    return answer | {"blob": encode_base64url(seal_object(usid, genuine, forged.encode(), NONCE))}


def impostor(client: Client) -> OwnDevice:
    """Return the device with another signing key."""
    own = load_account(client._store).own
    return OwnDevice(own.address, own.device, own.identity, SigningKey.generate())


SLOTS: Final = {
    "signed_prekey": PrekeyUse.SIGNED,
    "one_time_prekey": PrekeyUse.ONE_TIME,
    "one_time_kem_prekey": PrekeyUse.ONE_TIME_KEM,
    "envelope_prekey": PrekeyUse.ENVELOPE,
}


FAULTS: Final = [
    *(("signed by another device", field) for field in SLOTS),
    ("expired", "signed_prekey"),
    ("expired", "envelope_prekey"),
]


def with_forged(client: Client, fault: str, field: str) -> Callable[[Answer, Answer], Answer]:
    """Answer bundle calls with one prekey replaced."""
    usid, genuine = client.account.usid, load_account(client._store).own
    device, expiry = (genuine, now_ms() - 1) if fault == "expired" else (impostor(client), now_ms() + DAY)
    return lambda _, answer: answer | {field: forged_prekey(SLOTS[field], device, usid, answer[field], expiry)}


@pytest.mark.parametrize(("fault", "field"), FAULTS)
async def test_one_bad_prekey_discards_the_bundle(front: Front, fronted: Pair, fault: str, field: str) -> None:
    """There is no fallback to the others: the message waits, and no session begins."""
    front.alter[BUNDLE] = with_forged(fronted.bob, fault, field)

    sent = await fronted.alice.send("bob", "secret")

    assert (sent.state, sent.reason) == ("waiting", "bad-signature")
    assert stored(fronted.alice, "SELECT 1 FROM deliveries") == []
    front.alter.clear()
    await fronted.alice.flush()
    assert texts(await drain(fronted.bob)) == ["secret"]


@pytest.mark.parametrize("field", ["one_time_prekey", "one_time_kem_prekey"])
async def test_an_expired_one_time_prekey_is_as_none(front: Front, fronted: Pair, field: str) -> None:
    """Its owner was away for long, and could not renew it."""
    front.alter[BUNDLE] = with_forged(fronted.bob, "expired", field)

    sent = await fronted.alice.send("bob", "secret")

    assert sent.state == "accepted"
    assert "secret" in texts(await drain(fronted.bob))


async def test_prekeys_in_each_others_places_discard_the_bundle(front: Front, fronted: Pair) -> None:
    front.alter[BUNDLE] = lambda _, answer: answer | {"signed_prekey": answer["one_time_prekey"]}

    sent = await fronted.alice.send("bob", "secret")

    assert (sent.state, sent.reason) == ("waiting", "authentication-failed")  # the seal is bound to the place


async def test_a_prekey_of_another_use_under_a_valid_seal_is_refused(front: Front, fronted: Pair) -> None:
    usid, own = fronted.bob.account.usid, load_account(fronted.bob._store).own

    def alter(_: Answer, answer: Answer) -> Answer:
        one_time = Slot(own.address, PrekeyUse.ONE_TIME, own.device.id, answer["one_time_prekey"]["id"])
        inside = open_object(usid, one_time, decode_base64url(answer["one_time_prekey"]["blob"]))
        place = Slot(own.address, PrekeyUse.SIGNED, own.device.id, answer["one_time_prekey"]["id"])
        sealed = encode_base64url(seal_object(usid, place, inside, NONCE))
        return answer | {"signed_prekey": {"id": answer["one_time_prekey"]["id"], "blob": sealed}}

    front.alter[BUNDLE] = alter
    sent = await fronted.alice.send("bob", "secret")

    assert (sent.state, sent.reason) == ("waiting", "bad-signature")


@pytest.mark.parametrize("fault", ["signed by another device", "expired", "noise"])
async def test_a_bad_envelope_prekey_in_a_lookup_is_not_used(front: Front, fronted: Pair, fault: str) -> None:
    """An envelope sealed to a key of the relay's would show it who wrote."""
    await fronted.alice.send("bob", "hello")
    await settle(fronted.bob, fronted.alice)
    usid, genuine = fronted.bob.account.usid, load_account(fronted.bob._store).own
    device, expiry = (genuine, now_ms() - 1) if fault == "expired" else (impostor(fronted.bob), now_ms() + DAY)
    before = stored(fronted.alice, "SELECT envelope_prekey FROM devices")[0]["envelope_prekey"]

    def alter(asked: Answer, answer: Answer) -> Answer:
        assert Address(decode_base64url(asked["address"])) == fronted.bob.account.address
        (entry,) = answer["devices"]
        if fault == "noise":
            forged = entry["envelope_prekey"] | {"blob": encode_base64url(bytes(200))}
        else:
            forged = forged_prekey(PrekeyUse.ENVELOPE, device, usid, entry["envelope_prekey"], expiry)
        return answer | {"devices": [entry | {"envelope_prekey": forged}]}

    front.alter[LOOKUP] = alter
    change(fronted.alice, "UPDATE devices SET envelope_fetched = 0")

    sent = await fronted.alice.send("bob", "secret")

    assert stored(fronted.alice, "SELECT envelope_prekey FROM devices")[0]["envelope_prekey"] == before
    assert sent.state == "accepted"  # sealed to the one that is known, which is still valid
    assert texts(await drain(fronted.bob)) == ["secret"]


async def test_a_relay_that_is_not_the_one_of_the_sign_up_is_not_told_anything(fronted: Pair) -> None:
    """Its key was pinned: a stranger's server in its place gets no proof of who we are."""
    change(fronted.alice, "UPDATE account SET relay_key = ?", SigningKey.generate().public.raw)

    with pytest.raises(Exception, match="does not hold the key") as refused:
        await drain(fronted.alice)
    assert getattr(refused.value, "code", "") == "bad-signature"
