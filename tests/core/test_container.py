"""The container: a strict manifest, exact contents, padding that hides the size and can carry nothing."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.strict import bit_flips, raises_only_our_errors, refuses_truncations_and_trailing_bytes
from halonyx.core.chunked import MAX_PLAINTEXT_SIZE
from halonyx.core.container import (
    ENTRY_SIZE,
    HEAD_SIZE,
    MAX_FILES,
    MIN_PADDED_SIZE,
    FileEntry,
    Manifest,
    Unpacker,
    padded_size,
    padding,
)
from halonyx.core.errors import Malformed, Misuse, UnsupportedVersion

ENTRIES = (FileEntry("a.txt", 5), FileEntry("b/empty", 0), FileEntry("b/ä", 300_000), FileEntry("c", 1))
FOLDER = Manifest(ENTRIES)
CONTENTS = (b"hello", b"", bytes(range(250)) * 1200, b"!")


def written(manifest: Manifest = FOLDER, contents: tuple[bytes, ...] = CONTENTS) -> bytes:
    return manifest.encode() + b"".join(contents) + b"".join(padding(manifest))


def unpacked(container: bytes, part: int = 10_000, check: Callable[[Manifest], None] = lambda _: None) -> list[bytes]:
    unpacker = Unpacker(len(container), check)
    contents = [b""] * len(ENTRIES)
    for at in range(0, len(container), part):
        for index, piece in unpacker.update(container[at : at + part]):
            contents[index] += piece
    assert unpacker.finish() == unpacker.manifest
    return contents


@pytest.mark.parametrize("part", [7, 100, 16_384, 10_000_000])
def test_files_come_out_as_they_went_in_however_the_stream_is_cut(part: int) -> None:
    seen: list[Manifest] = []
    assert tuple(unpacked(written(), part, seen.append)) == CONTENTS
    assert seen == [FOLDER]


def test_the_layout_is_the_specified_one() -> None:
    manifest = Manifest((FileEntry("a", 1), FileEntry("b/ü", 2**40)))
    assert manifest.encode() == (
        b"\x01\x00\x00\x00\x02\x00\x01a" + (1).to_bytes(8, "big") + b"\x00\x04b/\xc3\xbc" + (2**40).to_bytes(8, "big")
    )
    assert manifest.unpadded_size == len(manifest.encode()) + 1 + 2**40
    assert len(manifest.encode()) == HEAD_SIZE + 2 * ENTRY_SIZE + 5


def test_a_manifest_has_one_encoding() -> None:
    small = Manifest((FileEntry("a", 1), FileEntry("b/ü", 2)))
    assert Manifest.parse(FOLDER.encode()) == FOLDER
    refuses_truncations_and_trailing_bytes(Manifest.parse, small.encode())
    for flipped in bit_flips(small.encode()):
        parsed = raises_only_our_errors(Manifest.parse, flipped)
        assert parsed is None or (isinstance(parsed, Manifest) and parsed.encode() == flipped)


@given(st.binary(max_size=60))
def test_random_bytes_never_crash_the_parser(data: bytes) -> None:
    for start in (b"", b"\x01\x00\x00\x00\x01", b"\x01\x00\x00\x00\x02\x00\x01a"):
        raises_only_our_errors(Manifest.parse, start + data)
        raises_only_our_errors(Unpacker(MIN_PADDED_SIZE, lambda _: None).update, start + data)


def test_another_version_is_unsupported() -> None:
    for version in (0, 2, 255):
        with pytest.raises(UnsupportedVersion):
            Manifest.parse(bytes([version]) + FOLDER.encode()[1:])


@pytest.mark.parametrize("count", [0, MAX_FILES + 1, 2**32 - 1])
def test_a_count_out_of_bounds_is_refused_before_any_path_is_read(count: int) -> None:
    with pytest.raises(Malformed, match="count"):
        Manifest.parse(b"\x01" + count.to_bytes(4, "big"))


def test_the_most_files_fit_and_no_more() -> None:
    entries = tuple(FileEntry(f"{number}", 0) for number in range(MAX_FILES + 1))
    assert Manifest.parse(Manifest(entries[:-1]).encode()).entries == entries[:-1]
    for wrong in ((), entries):
        with pytest.raises(Malformed, match="files"):
            Manifest(wrong)


@pytest.mark.parametrize("path", ["", "/a", "a/../b", "..", "a//b", "a\\b", "a\x00", "x" * 256, "a/" * 512 + "aa"])
def test_paths_that_lead_elsewhere_are_refused(path: str) -> None:
    with pytest.raises(Malformed):
        Manifest((FileEntry(path, 1),))


def test_a_path_that_is_no_text_is_refused() -> None:
    head = b"\x01\x00\x00\x00\x01\x00\x01"
    with pytest.raises(Malformed, match="UTF-8"):
        Manifest.parse(head + b"\xff" + bytes(8))
    with pytest.raises(Malformed):
        Manifest((FileEntry("\ud800", 1),))


@pytest.mark.parametrize("second", ["a/b", "A/B", "a/b/c", "a"])
def test_two_files_need_two_places(second: str) -> None:
    with pytest.raises(Malformed, match="place"):
        Manifest((FileEntry("a/b", 1), FileEntry("a/c", 1), FileEntry(second, 1)))


def test_folders_are_counted() -> None:
    with pytest.raises(Malformed):
        Manifest(tuple(FileEntry(f"{at:02}/{'a/' * 509}b", 0) for at in range(20)))


@pytest.mark.parametrize("size", [-1, MAX_PLAINTEXT_SIZE + 1, 2**64 - 1])
def test_a_file_that_can_not_be_encrypted_is_refused(size: int) -> None:
    with pytest.raises(Malformed, match="size"):
        Manifest((FileEntry("a", size),))


def test_files_that_together_can_not_be_encrypted_are_refused() -> None:
    with pytest.raises(Malformed, match="more than"):
        Manifest((FileEntry("a", MAX_PLAINTEXT_SIZE), FileEntry("b", MAX_PLAINTEXT_SIZE)))


@given(st.integers(0, MAX_PLAINTEXT_SIZE - 2**45))
def test_padding_is_padme_from_256_kib_on(size: int) -> None:
    padded = padded_size(size)
    assert padded >= max(size, MIN_PADDED_SIZE)
    assert padded_size(padded) == padded
    # By the paper: at most floor(log2 log2 L) + 1 bits of the size remain.
    significant = len(bin(padded).rstrip("0")) - 2
    assert significant <= math.floor(math.log2(padded.bit_length() - 1)) + 2
    assert (padded - max(size, MIN_PADDED_SIZE)) / padded < 0.0323


def test_padded_sizes_near_powers_of_two() -> None:
    for exponent in range(18, 52):
        assert padded_size(2**exponent) == 2**exponent
        step = 2 ** (exponent - exponent.bit_length())
        assert padded_size(2**exponent + 1) == 2**exponent + step
        assert padded_size(2**exponent - 1) == 2**exponent or exponent == 18
    assert padded_size(0) == padded_size(MIN_PADDED_SIZE - 1) == MIN_PADDED_SIZE
    assert padded_size(2**52 - 2**45) == 2**52 - 2**45
    with pytest.raises(Misuse):
        padded_size(2**52 - 2**45 + 1)


def test_padding_comes_in_blocks_and_is_as_long_as_needed() -> None:
    manifest = Manifest((FileEntry("a", 2**32 + 1),))
    blocks = list(padding(manifest))
    assert sum(map(len, blocks)) == manifest.padded_size - manifest.unpadded_size
    assert max(map(len, blocks)) == 1024 * 1024
    assert not any(map(any, blocks))
    exact = MIN_PADDED_SIZE - HEAD_SIZE - ENTRY_SIZE - 1
    assert list(padding(Manifest((FileEntry("a", exact),)))) == []


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_padding_is_zero_everywhere(data: st.DataObject) -> None:
    whole = bytearray(written())
    at = data.draw(st.integers(FOLDER.unpadded_size, len(whole) - 1))
    whole[at] = 1
    with pytest.raises(Malformed, match="zero"):
        unpacked(bytes(whole))


def test_the_container_is_as_long_as_its_manifest_says() -> None:
    whole = written()
    for size in (len(whole) - 8192, len(whole) - 1, len(whole) + 1, len(whole) + 8192):
        with pytest.raises(Malformed, match="size"):
            Unpacker(size, lambda _: None).update(whole[:1000])


def test_a_container_that_ends_early_or_late_is_refused() -> None:
    whole = written()
    for end in (0, 4, 20, 1000, len(whole) - 1):
        unpacker = Unpacker(len(whole), lambda _: None)
        unpacker.update(whole[:end])
        with pytest.raises(Malformed, match="missing"):
            unpacker.finish()
    unpacker = Unpacker(len(whole), lambda _: None)
    unpacker.update(whole)
    with pytest.raises(Malformed, match="longer"):
        unpacker.update(b"\x00")


def test_what_the_check_refuses_gives_out_nothing() -> None:
    def refuse(manifest: Manifest) -> None:
        raise Malformed(f"{len(manifest.entries)} files")

    unpacker = Unpacker(len(written()), refuse)
    with pytest.raises(Malformed, match="4 files"):
        unpacker.update(written())
    assert unpacker.manifest is None
    with pytest.raises(Misuse):
        unpacker.update(b"")
    with pytest.raises(Misuse):
        unpacker.finish()


def test_the_manifest_is_there_before_any_content() -> None:
    unpacker = Unpacker(len(written()), lambda _: None)
    head = FOLDER.encode()
    assert unpacker.update(head[:-1]) == []
    assert unpacker.manifest is None
    assert unpacker.update(head[-1:]) == []
    assert unpacker.manifest == FOLDER
    assert unpacker.update(b"he") == [(0, b"he")]
    assert unpacker.update(b"llo" + CONTENTS[2][:2]) == [(0, b"llo"), (2, CONTENTS[2][:2])]
