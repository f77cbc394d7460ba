"""A stranger who knows only an address learns nothing: unknown, wrong and absent look the same, byte for byte."""

import os
from pathlib import Path

import pytest

from halonyx.core.primitives import SigningKey, sha256
from halonyx.core.types import Address
from halonyx.wire.http_signature import KeyId, Signer
from halonyx.wire.rest import Body
from halonyx.wire.rest_account import AccessKeyRequest, AccountRequest, ReplaceAccountRequest, WorkRequest
from halonyx.wire.rest_directory import BundleRequest, PublishRequest
from relay.rest_kit import Answer, Person, Relay, running_relay


def shape(answer: Answer) -> tuple[int, bytes, list[tuple[str, str]]]:
    """Everything an observer sees; the Date header changes by itself, but not in length."""
    headers = [(name, "" if name.lower() == "date" else value) for name, value in answer.headers.items()]
    return answer.status, answer.body, headers


async def test_lookups_of_known_and_unknown_accounts_are_alike(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        known, deleted = Person(), Person()
        await known.sign_up(relay)
        await deleted.sign_up(relay)
        await deleted.delete(relay)
        stranger = os.urandom(16)

        answers = [
            await person.lookup(relay, key)
            for person, key in ((known, stranger), (Person(), stranger), (deleted, deleted.access_key))
        ]

        assert len({str(shape(answer)) for answer in answers}) == 1
        assert (answers[0].status, answers[0].code) == (403, "bad-access-key")


async def test_bundles_of_known_and_unknown_accounts_and_devices_are_alike(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        known = Person()
        await known.sign_up(relay)
        calls = [
            BundleRequest(address=known.address, key=os.urandom(16), device=1, fetch_id=os.urandom(16)),
            BundleRequest(address=known.address, key=os.urandom(16), device=9, fetch_id=os.urandom(16)),
            BundleRequest(address=known.address, key=known.access_key, device=9, fetch_id=os.urandom(16)),
            BundleRequest(address=os.urandom(32), key=known.access_key, device=1, fetch_id=os.urandom(16)),
        ]

        answers = [await relay.call("POST", "/v1/bundle", call) for call in calls]

        assert len({str(shape(answer)) for answer in answers}) == 1
        assert (answers[0].status, answers[0].code) == (403, "bad-access-key")


async def test_a_cached_bundle_is_for_those_with_the_key(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        known, fetch = Person(), os.urandom(16)
        await known.sign_up(relay)
        await known.bundle(relay, fetch)

        assert (await known.bundle(relay, fetch, key=os.urandom(16))).code == "bad-access-key"


def signed_calls(address: Address) -> list[tuple[str, str, Body]]:
    return [
        ("POST", "/v1/account/status", AccountRequest(address=address)),
        ("POST", "/v1/account/delete", AccountRequest(address=address)),
        ("PUT", "/v1/prekeys", PublishRequest(address=address, device=1, prekeys=[], one_time_from=1)),
        ("PUT", "/v1/access-key", AccessKeyRequest(address=address, access_hash=bytes(32))),
        (
            "PUT",
            "/v1/account",
            ReplaceAccountRequest(
                address=address,
                replaces=sha256(b"").hex(),
                record=bytes(64),
                devices=[Person().new_device()],
                access_hash=bytes(32),
                request_hash=bytes(32),
            ),
        ),
    ]


@pytest.mark.parametrize("device", [0, 1, 9])
async def test_signed_calls_by_strangers_are_alike(tmp_path: Path, device: int) -> None:
    async with running_relay(tmp_path) as relay:
        known, unknown = Person(), Person()
        await known.sign_up(relay)
        stranger = SigningKey.generate()

        for on_known, on_unknown in zip(signed_calls(known.address), signed_calls(unknown.address), strict=True):
            first = await forged(relay, on_known, Signer(KeyId(known.address, device), stranger))
            second = await forged(relay, on_unknown, Signer(KeyId(unknown.address, device), stranger))
            foreign = await forged(relay, on_known, Signer(KeyId(unknown.address, device), unknown.management))

            assert shape(first) == shape(second) == shape(foreign)
            assert (first.status, first.code) == (401, "not-authenticated")


async def forged(relay: Relay, call: tuple[str, str, Body], signer: Signer) -> Answer:
    method, path, body = call
    return await relay.call(method, path, body, signer)


async def test_challenges_say_nothing_about_the_address(tmp_path: Path) -> None:
    async with running_relay(tmp_path, signup="pow") as relay:
        unknown = await relay.call("POST", "/v1/signup/challenge", WorkRequest(address=os.urandom(32)))
        again = await relay.call("POST", "/v1/signup/challenge", WorkRequest(address=os.urandom(32)))

        assert (unknown.status, len(unknown.body)) == (again.status, len(again.body))
