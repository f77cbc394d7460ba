"""What happens on one's own disk: reading what is sent, checking room, taking a free name; without a network."""

import errno
import os
from pathlib import Path

import pytest

from client.files_kit import container, names_in, new_folder, some_file
from halonyx.client import preparing, saving
from halonyx.client.preparing import SourceChanged, Stopped, Watch, prepare, scan
from halonyx.client.running import watched
from halonyx.client.torrent import NAME
from halonyx.client.transfers import default_folder
from halonyx.core.chunked import HEADER_SIZE, Decryptor
from halonyx.core.container import MAX_FILES
from halonyx.core.errors import Misuse
from halonyx.core.file_offer import FileOffer

ORIGIN = "http://localhost:3000"
QUIET = Watch(lambda: False, lambda _: None)


def prepared(tmp_path: Path, *paths: Path) -> FileOffer:
    return prepare(scan(paths), tmp_path, ORIGIN, b"", QUIET)


def test_a_file_becomes_what_the_offer_describes(tmp_path: Path) -> None:
    source = some_file(tmp_path, 1_234_567, "a.tar.gz")
    offer = prepared(tmp_path, source)
    ciphertext = (tmp_path / NAME).read_bytes()
    assert len(ciphertext) == offer.ciphertext_size
    saving.verify(tmp_path / NAME, offer, QUIET)
    decryptor = Decryptor(offer.key, ciphertext[:HEADER_SIZE])
    plaintext = decryptor.update(ciphertext[HEADER_SIZE:]) + decryptor.finish()
    assert plaintext == container([("a.tar.gz", source.read_bytes())])
    assert prepared(tmp_path, source).key != offer.key


def test_several_paths_become_a_folder(tmp_path: Path) -> None:
    folder = new_folder(tmp_path / "inner")
    some_file(folder, 10, "x")
    found = scan([some_file(tmp_path, 10, "y"), folder])
    assert (found.name, found.is_folder) == ("files", True)
    assert [entry.path for entry in found.manifest.entries] == ["y", "inner/x"]


def test_what_can_not_be_sent_is_said(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="name a file"):
        scan([])
    with pytest.raises(Misuse, match="no file or folder"):
        scan([tmp_path / "missing"])
    with pytest.raises(Misuse, match="no file in"):
        scan([new_folder(tmp_path / "empty")])
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Misuse, match="no file or folder"):
        scan([tmp_path / "pipe"])
    with pytest.raises(Misuse, match="can't be sent"):
        scan([some_file(tmp_path, 1, "a\\b")])
    same = new_folder(tmp_path / "same")
    for name in ("a", "A"):
        some_file(same, 1, name)
    with pytest.raises(Misuse, match="one place"):
        scan([same])
    many = new_folder(tmp_path / "many")
    for number in range(MAX_FILES + 1):
        (many / str(number)).touch()
    with pytest.raises(Misuse, match=f"at most {MAX_FILES}"):
        scan([many])


@pytest.mark.parametrize("size", [99, 101, None])
def test_a_file_that_changes_while_it_is_read_is_not_sent(tmp_path: Path, size: int | None) -> None:
    source = some_file(tmp_path, 100)
    sources = scan([source])
    if size is None:
        source.unlink()
    else:
        source.write_bytes(bytes(size))
    with pytest.raises(SourceChanged):
        prepare(sources, tmp_path, ORIGIN, b"", QUIET)


async def test_work_in_a_thread_ends_when_it_is_not_wanted(tmp_path: Path) -> None:
    source = some_file(tmp_path, 5_000_000)
    with pytest.raises(Stopped):
        prepare(scan([source]), tmp_path, ORIGIN, b"", Watch(lambda: True, lambda _: None))
    begun: list[int] = []

    def forever(watch: Watch) -> None:
        while True:
            watch.step(len(begun))
            begun.append(0)

    with pytest.raises(Stopped):
        await watched(forever, lambda _: None, lambda: not begun)


def test_media_types_are_what_the_name_says() -> None:
    assert preparing.media_type("a.pdf") == "application/pdf"
    assert preparing.media_type("a") == ""


def test_room_is_looked_for_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(saving.DiskFull, match="no room"):
        saving.check_room(tmp_path, 2**62)
    with pytest.raises(Misuse, match="can't save"):
        saving.check_room(tmp_path / "missing", 1)
    offer = prepared(tmp_path, some_file(tmp_path, 1_000_000))
    assert saving.room_needed(tmp_path / NAME, tmp_path, offer) == [(tmp_path, 1_000_000)]
    missing = new_folder(tmp_path / "new") / NAME
    assert saving.room_needed(missing, tmp_path, offer) == [(tmp_path, 1_000_000 + offer.ciphertext_size)]


@pytest.mark.parametrize("at", [0, 30, 60, 20_000, -1])
def test_an_altered_or_cut_ciphertext_is_another_one(tmp_path: Path, at: int) -> None:
    offer = prepared(tmp_path, some_file(tmp_path, 300_000))
    content = bytearray((tmp_path / NAME).read_bytes())
    content[at] ^= 1
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(saving.WrongHash):
        saving.verify(tmp_path / NAME, offer, QUIET)
    content[at] ^= 1
    (tmp_path / NAME).write_bytes(content[:-1])
    with pytest.raises(saving.WrongHash):
        saving.verify(tmp_path / NAME, offer, QUIET)


def test_a_name_is_taken_only_when_it_is_free(tmp_path: Path) -> None:
    target = new_folder(tmp_path / "saved")
    noted: list[Path] = []
    for number in range(3):
        temporary = some_file(target, number, ".part")
        path = saving.put(temporary, target, "a.tar.gz", noted.append)
        assert path == noted[-1]
    assert names_in(target) == ["a.tar (2).gz", "a.tar (3).gz", "a.tar.gz"]
    for _ in range(2):
        new_folder(target / ".folder")
        saving.put(target / ".folder", target, "v1.2", noted.append)
    assert {"v1.2", "v1.2 (2)"} <= set(names_in(target))


def test_who_comes_first_between_looking_and_taking_keeps_the_name(tmp_path: Path) -> None:
    def another(path: Path) -> None:
        if path.name == "a":
            path.write_bytes(b"theirs")

    path = saving.put(some_file(tmp_path, 5, ".part"), tmp_path, "a", another)
    assert path.name == "a (2)"
    assert (tmp_path / "a").read_bytes() == b"theirs"


def test_a_file_system_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "not here")

    monkeypatch.setattr(os, "link", no_links)
    (tmp_path / "a").write_bytes(b"mine")
    path = saving.put(some_file(tmp_path, 5, ".part"), tmp_path, "a", lambda _: None)
    assert (path.name, path.stat().st_size) == ("a (2)", 5)
    assert names_in(tmp_path) == ["a", "a (2)"]


def test_a_long_name_is_cut_before_its_number(tmp_path: Path) -> None:
    name = "é" * 120 + ".pdf"
    for _ in range(2):
        saving.put(some_file(tmp_path, 1, ".part"), tmp_path, name, lambda _: None)
    assert len(names_in(tmp_path)) == 2
    assert all(found.endswith(".pdf") and len(found.encode()) <= 255 for found in names_in(tmp_path))


def test_a_process_that_died_while_saving_leaves_no_second_copy(tmp_path: Path) -> None:
    temporary, target = tmp_path / ".part", tmp_path / "a"
    assert saving.was_put(temporary, None) is False
    assert saving.was_put(temporary, target) is False  # died before anything was named
    temporary.write_bytes(b"x")
    assert saving.was_put(temporary, target) is False  # decrypted, perhaps not whole
    target.write_bytes(b"someone else's")
    assert saving.was_put(temporary, target) is False
    target.unlink()
    os.link(temporary, target)
    assert saving.was_put(temporary, target) is True  # named, and the first name not yet gone
    assert names_in(tmp_path) == ["a"]
    assert saving.was_put(temporary, target) is True


def test_what_is_saved_goes_to_downloads_if_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder() == Path.cwd()
    assert default_folder() == Path.cwd()
    new_folder(tmp_path / "Downloads")
    assert default_folder() == tmp_path / "Downloads"
