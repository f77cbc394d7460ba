"""Accounts over a real port: sign-up, replacement, deletion, and what a crash in the middle leaves."""

import asyncio
import os
from pathlib import Path

import pytest

from halonyx.core.encoding import encode_base64url
from halonyx.core.errors import StoreError
from halonyx.core.primitives import SigningKey, sha256
from halonyx.core.types import Address, DeviceId
from halonyx.relay.accounts import Accounts
from halonyx.relay.authentication import NonceMemory
from halonyx.relay.store.identity import IdentityStore
from halonyx.wire.http_signature import KeyId, Signer, Target, sign
from halonyx.wire.rest_account import AccessKeyRequest, AccountRequest, NewDevice, SignUpRequest
from relay.rest_kit import Person, Relay, prekeys, running_relay


async def test_an_account_is_made_and_found(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()

        made = await alice.sign_up(relay)
        again = await alice.sign_up(relay)
        found = await alice.lookup(relay)
        by_request_key = await alice.lookup(relay, alice.request_key)

        assert (made.status, again.status) == (201, 200)
        assert made.json == again.json
        assert found.json["record"] == encode_base64url(alice.record)
        assert [entry["device"] for entry in found.json["devices"]] == [1]
        assert found.json["devices"][0]["envelope_prekey"]["blob"] == encode_base64url(alice.prekeys[1].blob)
        assert by_request_key.body == found.body
        assert (await alice.status(relay)).json == {
            "exists": True,
            "record_hash": sha256(alice.record).hex(),
            "devices": [1],
            "highest_device": 1,
        }


async def test_the_first_management_key_keeps_the_address_after_deletion_too(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        thief = Person(address=alice.address)
        await alice.sign_up(relay)

        before = await thief.sign_up(relay)
        deleted = await alice.delete(relay)
        after = await thief.sign_up(relay)
        gone = await alice.lookup(relay)
        status = await alice.status(relay)
        repeated = await alice.delete(relay)
        reused = await alice.sign_up(relay)
        back = await alice.sign_up(relay, device=2)

        assert (before.status, before.code) == (409, "address-taken")
        assert (deleted.status, deleted.json) == (200, {})
        assert (after.status, after.code) == (409, "address-taken")
        assert (gone.status, gone.code) == (403, "bad-access-key")
        assert status.json == {"exists": False, "record_hash": None, "devices": [], "highest_device": 1}
        assert (reused.status, reused.code) == (409, "device-id-used")
        assert (repeated.status, back.status) == (200, 201)


async def test_deletion_leaves_no_row_but_the_reservation(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        await alice.sign_up(relay)
        await alice.bundle(relay)
        await alice.delete(relay)

        assert rows(relay) == {
            "identity": {"account": 1, "device": 0, "intent": 0},
            "mailboxes": {"account": 0, "mailbox": 0, "envelope": 0},
            "keys": {"record": 0, "prekey": 0, "high_water": 0, "fetch": 0},
        }


def rows(relay: Relay) -> dict[str, dict[str, int]]:
    tables = {
        "identity": ("account", "device", "intent"),
        "mailboxes": ("account", "mailbox", "envelope"),
        "keys": ("record", "prekey", "high_water", "fetch"),
    }
    return {
        store: {
            table: getattr(relay.here, store).database.read(
                lambda connection, table=table: connection.execute(f"select count(*) from {table}").get  # noqa: S608
            )
            for table in names
        }
        for store, names in tables.items()
    }


async def test_the_same_key_signs_up_once_with_one_content(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        await alice.sign_up(relay)
        alice.record = os.urandom(300)

        refused = await alice.sign_up(relay)

        assert (refused.status, refused.code) == (409, "storage-conflict")


async def test_recovery_replaces_the_device_and_drops_the_old_one(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        await alice.sign_up(relay)
        alice.login = SigningKey.generate()
        record, key = os.urandom(500), os.urandom(16)
        call = alice.replacement(record, [alice.new_device(2)], key)

        replaced = await alice.replace(relay, call)
        repeated = await alice.replace(relay, call)
        former_key = await alice.lookup(relay)
        found = await alice.lookup(relay, key)
        bundle = await alice.bundle(relay, key=key, device=1)

        assert [len(epoch) for epoch in replaced.json["epochs"]] == [11]  # 8 bytes in base64url
        assert (repeated.status, repeated.json) == (200, replaced.json)
        assert former_key.code == "bad-access-key"
        assert found.json["record"] == encode_base64url(record)
        assert [entry["device"] for entry in found.json["devices"]] == [2]
        assert bundle.code == "bad-access-key"
        assert relay.here.identity.login_key(alice.address, DeviceId(1)) is None
        assert relay.here.mailboxes.epoch(alice.address, DeviceId(1)) is None
        assert relay.here.mailboxes.epoch(alice.address, DeviceId(2)) is not None
        assert relay.here.keys.counts(alice.address, DeviceId(1)) == (0, 0)


async def test_a_removed_device_can_do_nothing(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        await alice.sign_up(relay)
        removed = Person(alice.address, alice.management, alice.login)
        alice.login = SigningKey.generate()
        await alice.replace(relay, alice.replacement(os.urandom(500), [alice.new_device(2)], alice.access_key))

        publish = await removed.publish(relay, prekeys(3, 50))
        access = await removed.set_access_key(relay, os.urandom(16))

        assert (publish.status, publish.code) == (401, "not-authenticated")
        assert (access.status, access.code) == (401, "not-authenticated")
        assert (await alice.lookup(relay)).status == 200


async def test_replacement_is_compare_and_swap(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        await alice.sign_up(relay)
        kept = NewDevice(id=1, login_key=alice.login.public.raw, prekeys=[])
        first = alice.replacement(os.urandom(500), [kept], alice.access_key)
        second = alice.replacement(os.urandom(500), [kept], os.urandom(16))

        won = await alice.replace(relay, first)
        lost = await alice.replace(relay, second)

        assert won.status == 200
        assert (lost.status, lost.code) == (409, "storage-conflict")
        assert (await alice.lookup(relay)).json["record"] == encode_base64url(first.record)
        assert relay.here.keys.counts(alice.address, DeviceId(1)) == (3, 3)


async def test_device_ids_are_never_used_again(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        await alice.sign_up(relay)
        first_login, alice.login = alice.login, SigningKey.generate()

        same_id = await alice.replace(
            relay, alice.replacement(os.urandom(500), [alice.new_device(1)], alice.access_key)
        )
        record = os.urandom(500)
        await alice.replace(relay, alice.replacement(record, [alice.new_device(2)], alice.access_key))
        alice.record, alice.login = record, first_login
        returned = await alice.replace(
            relay, alice.replacement(os.urandom(500), [alice.new_device(1)], alice.access_key)
        )

        assert (same_id.status, same_id.code) == (409, "device-id-used")
        assert (returned.status, returned.code) == (409, "device-id-used")


@pytest.mark.parametrize("missing", [1, 2, 3])
async def test_a_device_comes_with_all_its_prekeys(tmp_path: Path, missing: int) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        alice.prekeys = [prekey for prekey in alice.prekeys if prekey.use != missing]

        refused = await alice.sign_up(relay)

        assert (refused.status, refused.code) == (400, "malformed")
        assert rows(relay)["keys"]["prekey"] == 0


async def test_too_many_prekeys_undo_the_whole_sign_up(tmp_path: Path) -> None:
    async with running_relay(tmp_path, one_time_prekeys=2) as relay:
        alice = Person()

        refused = await alice.sign_up(relay)

        assert (refused.status, refused.code) == (409, "prekeys-full")
        assert all(count == 0 for tables in rows(relay).values() for count in tables.values())


async def test_keys_of_small_order_are_refused(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        call = alice.sign_up_request().model_dump()
        call["device"]["login_key"] = bytes(32)
        await alice.sign_up(relay)
        device = NewDevice(id=2, login_key=b"\x01" + bytes(31), prekeys=alice.prekeys)

        made = await relay.call("POST", "/v1/accounts", SignUpRequest(**call), alice.manager)
        replaced = await alice.replace(relay, alice.replacement(os.urandom(99), [device], alice.access_key))
        call["management_key"] = bytes(32)
        managed = await relay.call("POST", "/v1/accounts", SignUpRequest(**call), alice.manager)

        assert {made.code, replaced.code, managed.code} == {"bad-key"}


async def test_a_device_is_listed_once(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        await alice.sign_up(relay)
        twice = [alice.new_device(2), alice.new_device(2)]

        assert (
            await alice.replace(relay, alice.replacement(os.urandom(99), twice, os.urandom(16)))
        ).code == "malformed"


async def test_a_refused_replacement_changes_nothing(tmp_path: Path) -> None:
    async with running_relay(tmp_path, one_time_prekeys=3) as relay:
        alice = Person()
        await alice.sign_up(relay)
        before = rows(relay)
        alice.prekeys = prekeys(4)

        refused = await alice.replace(relay, alice.replacement(os.urandom(99), [alice.new_device(2)], os.urandom(16)))

        assert refused.code == "prekeys-full"
        assert rows(relay) == before
        assert (await alice.lookup(relay)).json["record"] == encode_base64url(alice.record)


async def test_deleting_and_publishing_at_once_leaves_nothing_behind(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        await alice.sign_up(relay)

        answers = await asyncio.gather(
            *(alice.publish(relay, prekeys(2, 10 + number)) for number in range(5)),
            alice.delete(relay),
            *(alice.publish(relay, prekeys(2, 20 + number)) for number in range(5)),
            *(alice.set_access_key(relay, os.urandom(16)) for _ in range(5)),
        )

        assert {answer.status for answer in answers} <= {200, 401}
        assert rows(relay)["keys"] == {"record": 0, "prekey": 0, "high_water": 0, "fetch": 0}
        assert rows(relay)["mailboxes"] == {"account": 0, "mailbox": 0, "envelope": 0}


async def test_racing_sign_ups_make_one_account(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        thieves = [Person(address=alice.address) for _ in range(5)]

        answers = await asyncio.gather(*(person.sign_up(relay) for person in (alice, *thieves, alice)))

        assert sorted(answer.status for answer in answers if answer.status < 300) in ([201], [200, 201])
        assert {answer.code for answer in answers if answer.status >= 300} == {"address-taken"}
        assert rows(relay)["keys"]["record"] == 1
        assert rows(relay)["identity"] == {"account": 1, "device": 1, "intent": 0}


async def test_a_relay_with_other_secrets_does_not_guess(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        await relay.here.identity.announce(Address(bytes(32)))
        strange = IdentityStore(relay.here.identity.database, bytes(32))

        with pytest.raises(StoreError, match="another secrets file"):
            strange.announced()


def test_nonces_are_remembered_for_a_bounded_number_of_keys() -> None:
    memory = NonceMemory(per_key=4, keys=2)

    seen = [memory.remember(key, "n", 0) for key in (b"a", b"b", b"a", b"c", b"c", b"a")]

    assert seen == [True, True, False, True, False, True]


async def test_the_access_key_is_replaced_at_once(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        await alice.sign_up(relay)
        key = os.urandom(16)

        assert (await alice.set_access_key(relay, key)).json == {}

        assert (await alice.lookup(relay)).code == "bad-access-key"
        assert (await alice.lookup(relay, key)).status == 200
        assert (await alice.lookup(relay, alice.request_key)).status == 200


async def test_a_crash_in_the_middle_of_a_sign_up_is_taken_back(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        context = relay.here
        await context.identity.announce(alice.address)
        await context.keys.stage(alice.address, alice.record, [(DeviceId(1), alice.prekeys)])
        await context.mailboxes.create_mailbox(alice.address, DeviceId(1))
        await context.mailboxes.set_keys(alice.address, sha256(alice.access_key), sha256(alice.request_key))
    async with running_relay(tmp_path) as relay:
        assert all(count == 0 for tables in rows(relay).values() for count in tables.values())
        assert (await alice.sign_up(relay)).status == 201


async def test_a_crash_in_the_middle_of_a_removal_is_finished(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        await alice.sign_up(relay)
        context, record, login = relay.here, os.urandom(500), SigningKey.generate()
        await context.identity.announce(alice.address)
        await context.keys.stage(alice.address, record, [(DeviceId(2), prekeys())])
        await context.mailboxes.create_mailbox(alice.address, DeviceId(2))
        await context.identity.replace(alice.address, sha256(alice.record), sha256(record), {DeviceId(2): login.public})
    async with running_relay(tmp_path) as relay:
        found = await alice.lookup(relay)

        assert found.json["record"] == encode_base64url(record)
        assert [entry["device"] for entry in found.json["devices"]] == [2]
        assert relay.here.mailboxes.epoch(alice.address, DeviceId(1)) is None
        assert relay.here.keys.counts(alice.address, DeviceId(1)) == (0, 0)
        assert rows(relay)["identity"]["intent"] == 0
        assert rows(relay)["keys"]["record"] == 1


async def test_tidying_a_settled_relay_changes_nothing(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        await alice.sign_up(relay)
        before = rows(relay)

        assert await Accounts(relay.here).tidy() == 0

        assert rows(relay) == before


async def test_a_signature_counts_once_for_one_body_one_path_and_now(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        await alice.sign_up(relay)
        body, path = AccountRequest(address=alice.address).to_json(), "/v1/account/status"
        target = Target("POST", relay.authority, path)
        now = relay.clock() // 1000
        headers = sign(alice.manager, target, body, created=now, nonce=os.urandom(16))
        stale = sign(alice.manager, target, body, created=now - 62, nonce=os.urandom(16))
        early = sign(alice.manager, target, body, created=now + 70, nonce=os.urandom(16))
        elsewhere = sign(alice.manager, Target("POST", "other.example", path), body, created=now, nonce=os.urandom(16))

        assert (await relay.call("POST", path, body, headers=headers)).status == 200
        for wrong in (headers, stale, early, elsewhere, {}):
            assert (await relay.call("POST", path, body, headers=wrong)).code == "not-authenticated"
        replayed = await relay.call("POST", "/v1/account/delete", body, headers=headers)
        assert replayed.code == "not-authenticated"
        assert (await alice.lookup(relay)).status == 200


async def test_only_the_right_key_may_make_a_call(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice, mallory = Person(), Person()
        await alice.sign_up(relay)
        await mallory.sign_up(relay)
        status = AccountRequest(address=alice.address)

        by_device = await relay.call("POST", "/v1/account/status", status, alice.device())
        by_other = await relay.call("POST", "/v1/account/status", status, mallory.manager)
        named_alice = Signer(KeyId(alice.address, 0), mallory.management)
        by_forged = await relay.call("POST", "/v1/account/delete", status, named_alice)
        access = AccessKeyRequest(address=alice.address, access_hash=os.urandom(32))
        by_manager = await relay.call("PUT", "/v1/access-key", access, alice.manager)

        assert {by_device.code, by_other.code, by_forged.code, by_manager.code} == {"not-authenticated"}
        assert (await alice.lookup(relay)).status == 200


async def test_accounts_outlive_a_restart(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        made = await alice.sign_up(relay)
    async with running_relay(tmp_path) as relay:
        assert (await alice.sign_up(relay)).json == made.json
        assert (await alice.lookup(relay)).status == 200


async def test_the_files_hold_no_address(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        await alice.sign_up(relay)
        await alice.bundle(relay)
    stored = b"".join(path.read_bytes() for path in (tmp_path / "data").iterdir())

    assert alice.record in stored
    for secret in (alice.address, alice.access_key, alice.request_key):
        assert secret not in stored
        assert secret.hex().encode() not in stored
