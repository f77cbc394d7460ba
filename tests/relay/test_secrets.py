"""The secrets file: made once, private, whole, and missed when it is gone."""

import json
import stat
from pathlib import Path

import pytest

from halonyx.core.errors import StoreError
from halonyx.core.types import Address
from halonyx.relay.secrets import DATABASES, Secrets, load_or_create, pseudonym, write


def paths(folder: Path) -> tuple[Path, Path]:
    data = folder / "data"
    data.mkdir()
    return folder / "data.secrets", data


def test_the_first_start_makes_them_and_the_next_one_finds_them(tmp_path: Path) -> None:
    path, data = paths(tmp_path)

    made = load_or_create(path, data)
    found = load_or_create(path, data)

    assert found.to_json() == made.to_json()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir() if entry.is_file()] == ["data.secrets"]


def test_every_secret_is_another(tmp_path: Path) -> None:
    first, second = (json.loads(Secrets.generate().to_json()) for _ in range(2))
    values = [value for made in (first, second) for name, value in made.items() if name != "format"]

    assert len(values) == len(set(values)) == 12


@pytest.mark.parametrize("name", DATABASES)
def test_databases_without_their_secrets_are_not_opened(tmp_path: Path, name: str) -> None:
    path, data = paths(tmp_path)
    (data / name).write_bytes(b"")

    with pytest.raises(StoreError, match="missing"):
        load_or_create(path, data)
    assert not path.exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path, data = paths(tmp_path)
    load_or_create(path, data)
    path.chmod(mode)

    with pytest.raises(StoreError, match="chmod 600"):
        load_or_create(path, data)


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document | {"format": 2},
        lambda document: document | {"more": "AA=="},
        lambda document: {name: value for name, value in document.items() if name != "work_key"},
        lambda document: document | {"work_key": "AA=="},
        lambda document: document | {"work_key": "not base64"},
        lambda document: document | {"relay_key": 5},
        lambda document: [document],
        len,
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, change: object) -> None:
    path, data = paths(tmp_path)
    document = json.loads(load_or_create(path, data).to_json())
    assert callable(change)
    path.write_text(json.dumps(change(document)))

    with pytest.raises(StoreError):
        load_or_create(path, data)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe"])
def test_half_a_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path, data = paths(tmp_path)
    load_or_create(path, data)
    path.write_bytes(content)

    with pytest.raises(StoreError, match="damaged"):
        load_or_create(path, data)


def test_no_file_is_ever_overwritten(tmp_path: Path) -> None:
    path, data = paths(tmp_path)
    made = load_or_create(path, data)

    with pytest.raises(StoreError, match="written"):
        write(path, Secrets.generate())
    assert path.read_bytes() == made.to_json()
    assert list(tmp_path.glob(".*")) == []


def test_a_folder_in_the_way_is_an_error(tmp_path: Path) -> None:
    path, data = paths(tmp_path)
    path.mkdir()

    with pytest.raises(StoreError):
        load_or_create(path, data)


def test_the_repr_hides_everything() -> None:
    secrets = Secrets.generate()
    shown = repr(secrets)

    for value in (secrets.app_pepper, secrets.work_key, secrets.relay_key.seed()):
        assert repr(value) not in shown
        assert value.hex() not in shown
    assert shown == "Secrets()"


def test_pseudonyms_of_two_files_do_not_join() -> None:
    secrets, address = Secrets.generate(), Address(bytes(32))

    rows = {pseudonym(pepper, address) for pepper in (secrets.app_pepper, secrets.identity_pepper, secrets.keys_pepper)}

    assert len(rows) == 3
    assert pseudonym(secrets.keys_pepper, address) in rows
    assert pseudonym(secrets.keys_pepper, Address(bytes(31) + b"\x01")) not in rows
