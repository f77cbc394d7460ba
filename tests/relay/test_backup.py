"""Copies of a running relay, and putting them back: one moment, whole or not at all, and nothing given out twice."""

import asyncio
import errno
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from halonyx.core.errors import Misuse, StoreError
from halonyx.relay import backup
from halonyx.relay.backup import back_up, restore, secrets_of
from halonyx.relay.folder import RESTORING, hold
from halonyx.relay.secrets import DATABASES, Secrets, write
from halonyx.relay.settings import RelaySettings, load_settings
from relay.rest_kit import Person, running_relay


def at(data: Path) -> RelaySettings:
    return load_settings(data=data, reserve_bytes=0)


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    connection = apsw.Connection(str(path))
    try:
        return list(connection.execute(query))
    finally:
        connection.close()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def copy_of_a_relay(tmp_path: Path, *people: Person) -> Path:
    """Sign people up, copy the relay while it runs, and stop it."""
    file = tmp_path / "copy"
    async with running_relay(tmp_path, reserve_bytes=0) as relay:
        for person in people:
            assert (await person.sign_up(relay)).status == 201
        await asyncio.to_thread(back_up, relay.settings, file)
    return file


async def test_people_are_back_after_it(tmp_path: Path) -> None:
    alice = Person()
    file = await copy_of_a_relay(tmp_path, alice)
    done = await asyncio.to_thread(restore, at(tmp_path / "new" / "data"), file)
    assert done.replaced is None
    async with running_relay(tmp_path / "new", reserve_bytes=0) as relay:
        status = (await alice.status(relay)).json
        assert (status["exists"], status["devices"]) == (True, [1])
        assert (await alice.lookup(relay)).status == 200


async def test_a_disk_without_links_takes_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    file = await copy_of_a_relay(tmp_path, Person())
    await asyncio.to_thread(restore, at(tmp_path / "new" / "data"), file)
    assert len(rows(tmp_path / "new" / "data" / "identity.db", "select * from account")) == 1


async def test_a_copy_is_of_one_moment_while_accounts_come_and_go(tmp_path: Path) -> None:
    """No account in it lacks its record or its mailbox, but those whose change was announced and not finished."""
    async with running_relay(tmp_path, reserve_bytes=0) as relay:
        is_over = asyncio.Event()

        async def churn() -> None:
            while not is_over.is_set():
                person = Person()
                assert (await person.sign_up(relay)).status == 201
                assert (await person.delete(relay)).status == 200

        churning = [asyncio.create_task(churn()) for _ in range(8)]
        copies = [tmp_path / f"copy{number}" for number in range(6)]
        for file in copies:
            await asyncio.to_thread(back_up, relay.settings, file)
        is_over.set()
        await asyncio.gather(*churning)
    for file in copies:
        folder = tmp_path / f"{file.name}.restored"
        await asyncio.to_thread(restore, at(folder), file)
        counts = [
            rows(folder / name, query)[0][0]
            for name, query in (
                ("identity.db", "select count(*) from device"),
                ("keys.db", "select count(*) from record"),
                ("app.db", "select count(*) from mailbox"),
                ("identity.db", "select count(*) from intent"),
            )
        ]
        devices, records, mailboxes, interrupted = (int(str(count)) for count in counts)
        assert abs(devices - records) <= interrupted
        assert abs(devices - mailboxes) <= interrupted


async def test_the_copy_waits_for_a_writer_and_sees_what_it_committed(tmp_path: Path) -> None:
    file = await copy_of_a_relay(tmp_path, Person())
    data = tmp_path / "data"
    file.unlink()
    secrets_of(file).unlink()
    writer = apsw.Connection(str(data / "keys.db"))
    writer.execute("begin immediate; delete from record")
    copying = asyncio.create_task(asyncio.to_thread(back_up, at(data), file))
    await asyncio.sleep(0.1)
    assert not copying.done()
    writer.execute("commit")
    writer.close()
    await copying
    await asyncio.to_thread(restore, at(tmp_path / "new"), file)
    assert rows(tmp_path / "new" / "keys.db", "select * from record") == []


async def test_what_a_copy_may_have_given_out_since_is_made_good(tmp_path: Path) -> None:
    alice = Person()
    async with running_relay(tmp_path, reserve_bytes=0) as relay:
        await alice.sign_up(relay)
        fetch = os.urandom(16)
        assert (await alice.bundle(relay, fetch)).json["one_time_prekey"]
        await asyncio.to_thread(back_up, relay.settings, tmp_path / "copy")
    before = rows(tmp_path / "data" / "app.db", "select epoch from mailbox")
    await asyncio.to_thread(restore, at(tmp_path / "new" / "data"), tmp_path / "copy")
    after = rows(tmp_path / "new" / "data" / "app.db", "select epoch from mailbox")
    assert len(before) == len(after) == 1
    assert before != after
    async with running_relay(tmp_path / "new", reserve_bytes=0) as relay:
        bundle = (await alice.bundle(relay, fetch)).json
        assert bundle["last_resort_prekey"]
        assert (bundle["one_time_prekey"], bundle["one_time_kem_prekey"]) == (None, None)


async def test_files_that_the_copy_lacks_are_forgotten_at_the_start(tmp_path: Path) -> None:
    file = await copy_of_a_relay(tmp_path, Person())
    await asyncio.to_thread(restore, at(tmp_path / "new" / "data"), file)
    database = apsw.Connection(str(tmp_path / "new" / "data" / "app.db"))
    database.execute("insert into drop_file select 1, x'aa', id, 5, 5, 0, x'', x'' from mailbox")
    database.close()
    async with running_relay(tmp_path / "new", reserve_bytes=0):
        pass
    assert rows(tmp_path / "new" / "data" / "app.db", "select * from drop_file") == []


async def test_nothing_but_the_two_files_is_left(tmp_path: Path) -> None:
    await copy_of_a_relay(tmp_path)
    assert names(tmp_path) == {"copy", "copy.secrets", "data", "data.secrets"}


async def test_it_is_for_its_owner_and_never_written_over(tmp_path: Path) -> None:
    file = await copy_of_a_relay(tmp_path)
    assert [path.stat().st_mode & 0o777 for path in (file, secrets_of(file))] == [0o600, 0o600]
    content = file.read_bytes()
    with pytest.raises(Misuse, match="never written over"):
        back_up(at(tmp_path / "data"), file)
    with pytest.raises(Misuse, match=r"copy\.secrets is there"):
        back_up(at(tmp_path / "data"), file.rename(tmp_path / "other").with_name("copy"))
    assert (tmp_path / "other").read_bytes() == content


def test_without_a_relay_there_is_nothing_to_copy(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="no relay"):
        back_up(at(tmp_path / "data"), tmp_path / "copy")


async def test_a_damaged_database_is_not_copied(tmp_path: Path) -> None:
    await copy_of_a_relay(tmp_path, Person())
    damage(tmp_path / "data" / "keys.db")
    with pytest.raises(StoreError, match=r"keys\.db is damaged|can't be copied"):
        back_up(at(tmp_path / "data"), tmp_path / "second")
    assert not (tmp_path / "second").exists()


async def test_restoring_needs_the_secrets(tmp_path: Path) -> None:
    file = await copy_of_a_relay(tmp_path, Person())
    kept = secrets_of(file).rename(tmp_path / "kept")
    with pytest.raises(Misuse, match="secrets file of this backup is missing"):
        restore(at(tmp_path / "new"), file)
    assert not (tmp_path / "new").exists()
    write(secrets_of(file), Secrets.generate())
    with pytest.raises(StoreError, match="another secrets file"):
        await asyncio.to_thread(restore, at(tmp_path / "new"), file)
    assert not list((tmp_path / "new").glob("*.db"))
    assert not (tmp_path / "new.secrets").exists()
    kept.rename(tmp_path / "new.secrets")
    with pytest.raises(Misuse, match="belongs to another relay"):
        restore(at(tmp_path / "new"), file)
    secrets_of(file).unlink()
    await asyncio.to_thread(restore, at(tmp_path / "new"), file)


def changed(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-30_000] ^= 1
    file.write_bytes(content)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:40_000])


def retold(file: Path) -> None:
    head, mark, taken = file.read_bytes().partition(b'"taken": ')
    file.write_bytes(head + mark + b"9" + taken[1:])


def other(file: Path) -> None:
    file.write_bytes(b"not an archive")


def foreign_member(file: Path) -> None:
    file.unlink()
    with tarfile.open(file, "w") as archive:
        archive.addfile(tarfile.TarInfo("../identity.db"))


@pytest.mark.parametrize("change", [changed, cut, retold, other, foreign_member])
async def test_a_file_that_is_not_as_it_was_written_is_refused(tmp_path: Path, change: Callable[[Path], None]) -> None:
    file = await copy_of_a_relay(tmp_path, Person())
    change(file)
    with pytest.raises(StoreError, match=r"damaged|changed"):
        await asyncio.to_thread(restore, at(tmp_path / "new"), file)
    assert not list((tmp_path / "new").glob("*.db"))


async def test_what_is_there_stays_unless_it_may_be_moved(tmp_path: Path) -> None:
    file = await copy_of_a_relay(tmp_path, Person())
    data = tmp_path / "data"
    with pytest.raises(Misuse, match="--replace"):
        restore(at(data), file)
    former = (data / "identity.db").read_bytes()
    (data / "drop").mkdir()
    done = await asyncio.to_thread(restore, at(data), file, replace=True)
    assert done.replaced is not None
    assert (done.replaced / "identity.db").read_bytes() == former
    assert (done.replaced / "drop").is_dir()
    again = await asyncio.to_thread(restore, at(data), file, replace=True)
    assert done.replaced.exists()
    assert again.replaced != done.replaced


async def test_not_while_the_relay_runs(tmp_path: Path) -> None:
    file = await copy_of_a_relay(tmp_path)
    with hold(tmp_path / "data"), pytest.raises(Misuse, match="another relay"):
        restore(at(tmp_path / "data"), file, replace=True)


async def test_a_restore_that_was_interrupted_keeps_the_relay_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = Person()
    file = await copy_of_a_relay(tmp_path, alice)
    rename, left = Path.rename, [2]

    def dying(self: Path, target: Path) -> Path:
        left[0] -= 1
        if left[0] == 0:
            raise OSError(5, "pulled the plug")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", dying)
    with pytest.raises(StoreError, match="plug"):
        await asyncio.to_thread(restore, at(tmp_path / "data"), file, replace=True)
    monkeypatch.undo()
    assert (tmp_path / "data" / RESTORING).is_dir()
    with pytest.raises(StoreError, match="interrupted"):
        async with running_relay(tmp_path, reserve_bytes=0):
            pass
    await asyncio.to_thread(restore, at(tmp_path / "data"), file, replace=True)
    async with running_relay(tmp_path, reserve_bytes=0) as relay:
        assert (await alice.status(relay)).json["exists"]


async def test_a_newer_format_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup, "FORMAT", 2)
    file = await copy_of_a_relay(tmp_path)
    monkeypatch.undo()
    with pytest.raises(StoreError, match="newer program"):
        restore(at(tmp_path / "new"), file)


@pytest.mark.parametrize("name", DATABASES)
async def test_a_damaged_database_is_refused_at_the_start_with_what_to_do(tmp_path: Path, name: str) -> None:
    await copy_of_a_relay(tmp_path, Person())
    damage(tmp_path / "data" / name)
    with pytest.raises(StoreError, match=rf"{name} is damaged: .* 'halonyx relay restore FILE --replace'"):
        async with running_relay(tmp_path, reserve_bytes=0):
            pass


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096 : 4096 + 512] = os.urandom(512)
    path.write_bytes(content)
