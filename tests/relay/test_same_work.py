"""A stranger learns nothing from how long an answer takes: the same work, counted, for known and unknown accounts."""

import hmac
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import apsw
import pytest

from halonyx.core.primitives import SigningKey, VerifyKey, sha256
from halonyx.core.types import Address, DeviceId
from halonyx.relay import decide
from halonyx.relay.decide import key_kind
from halonyx.relay.store.database import Database
from halonyx.wire.frames import CloseCode, Status
from halonyx.wire.http_signature import KeyId, Signer
from relay.rest_kit import Person, running_relay
from relay.sockets_support import Device, Receiver, envelope, served
from relay.test_mailbox import Bench, benched
from relay.test_sameness import forged, signed_calls


class Work:
    """What was done: statements run, keys built, signatures verified, keys compared."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        self._count(monkeypatch, VerifyKey, "verify")
        self._count(monkeypatch, VerifyKey, "__post_init__")
        monkeypatch.setattr(decide, "hmac", SimpleNamespace(compare_digest=self._compare))

    def _count(self, monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> None:
        real = getattr(owner, name)

        def counting(*given: object) -> object:
            self.done.append(name)
            return real(*given)

        monkeypatch.setattr(owner, name, counting)

    def _compare(self, first: bytes, second: bytes) -> bool:
        self.done.append("compare")
        return hmac.compare_digest(first, second)

    def trace(self, *databases: Database) -> None:
        for database in databases:
            database._reader.exec_trace = self._statement
            database._connection.exec_trace = self._statement

    def _statement(self, _: apsw.Cursor, statement: str, __: object) -> bool:
        self.done.append(statement)
        return True

    @contextmanager
    def counted(self, into: list[list[str]]) -> Iterator[None]:
        self.done = []
        yield
        into.append(sorted(self.done))


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    return Work(monkeypatch)


@pytest.mark.parametrize("hashes", [(None, None), (bytes(32), None), (sha256(b"a"), sha256(b"b"))])
def test_a_key_is_compared_with_two_hashes_whatever_there_is(work: Work, hashes: tuple[bytes | None, ...]) -> None:
    assert key_kind(hashes[0], hashes[1], bytes(16)) is None
    assert work.done == ["compare", "compare"]


async def probe(bench: Bench, work: Work, device: Device, into: list[list[str]]) -> None:
    with work.counted(into):
        submission = await bench.submit(device, key=os.urandom(16))
    assert submission.status is Status.BAD_ACCESS_KEY


async def test_submissions_with_a_wrong_key_cost_the_same(work: Work, tmp_path: Path) -> None:
    async with benched(tmp_path) as bench:
        work.trace(bench.database)
        full, empty, used = [await bench.enrol() for _ in range(3)]
        await bench.submit_all([bench.submission(full, envelope(), None, None) for _ in range(50)])
        bench.store._intake.forget()
        await bench.submit(used)
        costs: list[list[str]] = []
        for device in (full, empty, used, Device.fresh(), full, Device(full.address, DeviceId(9), *rest(full))):
            await probe(bench, work, device, costs)

        assert all(cost == costs[0] for cost in costs)
        assert "compare" in costs[0]


def rest(device: Device) -> tuple[SigningKey, bytes, bytes]:
    return device.login, device.access_key, device.request_key


async def test_a_mailbox_is_counted_in_one_statement_and_strangers_are_not_remembered(
    work: Work, tmp_path: Path
) -> None:
    async with benched(tmp_path) as bench:
        work.trace(bench.database)
        alice = await bench.enrol()
        bench.store._intake.forget()
        costs: list[list[str]] = []
        with work.counted(costs):
            await bench.submit(alice)
        for _ in range(5):
            await bench.submit(Device.fresh())
            await bench.submit(Device(alice.address, DeviceId(9), *rest(alice)))

        assert sum("from envelope e" in done or "join envelope" in done for done in costs[0]) == 1
        assert len(bench.store._intake._accounts) == len(bench.store._intake._boxes) == 1


@pytest.mark.parametrize("path", ["lookup", "bundle"])
async def test_anonymous_calls_with_a_wrong_key_cost_the_same(work: Work, path: str, tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        known, deleted = Person(), Person()
        await known.sign_up(relay)
        await deleted.sign_up(relay)
        await deleted.delete(relay)
        work.trace(relay.here.identity.database, relay.here.mailboxes.database, relay.here.keys.database)
        costs: list[list[str]] = []
        for person in (known, deleted, Person()):
            with work.counted(costs):
                answer = await getattr(person, path)(relay, key=os.urandom(16))
            assert answer.code == "bad-access-key"

        assert costs[0] == costs[1] == costs[2]


@pytest.mark.parametrize("device", [0, 1, 9])
async def test_signed_calls_by_strangers_cost_the_same(work: Work, device: int, tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        known, unknown, stranger = Person(), Person(), SigningKey.generate()
        await known.sign_up(relay)
        work.trace(relay.here.identity.database, relay.here.mailboxes.database, relay.here.keys.database)
        for on_known, on_unknown in zip(signed_calls(known.address), signed_calls(unknown.address), strict=True):
            costs: list[list[str]] = []
            for call, person in ((on_known, known), (on_unknown, unknown)):
                with work.counted(costs):
                    answer = await forged(relay, call, Signer(KeyId(person.address, device), stranger))
                assert answer.code == "not-authenticated"

            assert costs[0] == costs[1]
            assert costs[0].count("verify") == 1


async def test_sign_ups_without_work_cost_the_same(work: Work, tmp_path: Path) -> None:
    async with running_relay(tmp_path, signup="pow") as relay:
        taken = Address(os.urandom(32))
        await relay.here.identity.register(
            taken, SigningKey.generate().public, bytes(32), (DeviceId(1), SigningKey.generate().public)
        )
        databases = (relay.here.identity.database, relay.here.mailboxes.database, relay.here.keys.database)
        for database in databases:  # what upkeep asked for at the start is done then
            await database.write(lambda _: None)
        work.trace(*databases)
        costs: list[list[str]] = []
        for address in (taken, Address(os.urandom(32))):
            person = Person(address)
            with work.counted(costs):
                assert (await person.sign_up(relay)).code == "bad-work"

        assert costs[0] == costs[1]


async def test_logins_of_strangers_cost_the_same(work: Work, tmp_path: Path) -> None:
    async with served(tmp_path) as here:
        known = await here.enrol()
        work.trace(here.relay.context.identity.database)
        costs: list[list[str]] = []
        devices = (known, Device.fresh(), Device(known.address, DeviceId(9), *rest(known)))
        for device in devices:
            receiver = Receiver(await here.socket("/v1/receive"), here)
            with work.counted(costs):
                await receiver.login(device, key=SigningKey.generate())
                assert await receiver.next() == CloseCode.NOT_AUTHENTICATED

        assert costs[0] == costs[1] == costs[2]
        assert costs[0].count("verify") == 2  # the challenge by the test, the login by the relay
