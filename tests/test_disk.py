"""A file is replaced whole or not at all."""

import errno
import os
from pathlib import Path

import pytest

from halonyx.disk import sync_folder, take_name, write_whole


def test_a_file_is_replaced_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"former")
    path.chmod(0o644)
    with path.open("rb") as former:
        write_whole(path, b"new")

        assert former.read() == b"former"
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_can_not_be_written_leaves_the_former(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "within").mkdir(parents=True)
    with pytest.raises(OSError, match="folder"):
        write_whole(folder, b"new")
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "nowhere" / "file", b"new")

    assert list(tmp_path.rglob("*")) == [folder, folder / "within"]


def test_it_is_on_disk_before_it_has_its_name_and_the_name_is_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, bool]] = []

    def note(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        synced.append((name.partition(".file")[0], (tmp_path / "file").exists()))

    monkeypatch.setattr(os, "fsync", note)
    write_whole(tmp_path / "file", b"new")

    assert synced == [("", False), (tmp_path.name, True)]
    sync_folder(tmp_path)
    assert len(synced) == 3


@pytest.mark.parametrize("has_links", [True, False], ids=["ext4", "vfat"])
def test_a_name_is_taken_only_if_it_is_free(
    has_links: bool,  # noqa: FBT001 (pytest passes it by name)
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    if not has_links:
        monkeypatch.setattr(os, "link", refuse)
    for name in ("first", "second"):
        (tmp_path / name).write_text(name)
    take_name(tmp_path / "first", tmp_path / "name")
    with pytest.raises(FileExistsError):
        take_name(tmp_path / "second", tmp_path / "name")

    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"name": "first", "second": "second"}
