"""Offers and states: one encoding, nothing that contradicts itself, and no file but the one that was offered."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.people import ORIGIN, message_id, seed
from core.strict import bit_flips, raises_only_our_errors, refuses_truncations_and_trailing_bytes
from halonyx.core.chunked import MAX_PLAINTEXT_SIZE, ciphertext_size
from halonyx.core.container import FileEntry, Manifest, padded_size
from halonyx.core.errors import HalonyxError, Malformed, UnsupportedVersion
from halonyx.core.file_offer import MAX_THUMBNAIL_SIZE, FileOffer, FileState, Reason, State
from halonyx.core.types import FileKey

JPEG, WEBP = b"\xff\xd8\xff\xe0 jpeg", b"RIFF\x10\x00\x00\x00WEBP webp"
PHOTO = Manifest((FileEntry("photo.jpg", 1_000_000),))
TREE = Manifest((FileEntry("a", 5), FileEntry("b/c", 300_000), FileEntry("b/d", 0)))


def offered(manifest: Manifest, name: str, *, is_folder: bool) -> FileOffer:
    return FileOffer(
        is_folder=is_folder,
        in_drop=False,
        key=FileKey(seed("file key")),
        size=manifest.content_size,
        count=len(manifest.entries),
        ciphertext_size=ciphertext_size(manifest.padded_size),
        ciphertext_hash=seed("ciphertext hash"),
        info_hash=seed("info hash", 20),
        origin=ORIGIN,
        name=name,
        media_type="image/jpeg",
        thumbnail=JPEG,
    )


OFFER = offered(PHOTO, "photo.jpg", is_folder=False)
FOLDER = replace(offered(TREE, "Fotos ä", is_folder=True), in_drop=True, media_type="", thumbnail=b"")


@pytest.mark.parametrize("offer", [OFFER, FOLDER, replace(OFFER, thumbnail=WEBP)], ids=["file", "folder", "webp"])
def test_an_offer_reads_back_and_its_parser_is_strict(offer: FileOffer) -> None:
    assert FileOffer.parse(offer.encode()) == offer
    refuses_truncations_and_trailing_bytes(FileOffer.parse, offer.encode())
    assert offer.container_size in (PHOTO.padded_size, TREE.padded_size)


def test_the_layout_is_the_specified_one() -> None:
    assert FOLDER.encode() == (
        b"\x01\x03"
        + seed("file key")
        + (300_005).to_bytes(8, "big")
        + (3).to_bytes(4, "big")
        + FOLDER.ciphertext_size.to_bytes(8, "big")
        + seed("ciphertext hash")
        + seed("info hash", 20)
        + b"\x00\x15https://relay.example\x00\x08Fotos \xc3\xa4\x00\x00\x00"
    )


def test_every_bit_flip_is_refused_or_read_as_it_stands() -> None:
    for flipped in bit_flips(OFFER.encode()):
        parsed = raises_only_our_errors(FileOffer.parse, flipped)
        assert parsed is None or (isinstance(parsed, FileOffer) and parsed.encode() == flipped)


@given(st.binary(max_size=300))
def test_random_bytes_never_crash_the_parsers(data: bytes) -> None:
    raises_only_our_errors(FileOffer.parse, data)
    raises_only_our_errors(FileOffer.parse, OFFER.encode()[:106] + data)
    raises_only_our_errors(FileState.parse, data)


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version_is_unsupported(version: int) -> None:
    with pytest.raises(UnsupportedVersion):
        FileOffer.parse(bytes([version]) + OFFER.encode()[1:])


@pytest.mark.parametrize("flags", [4, 8, 0x80, 0xFF])
def test_an_unknown_flag_is_refused(flags: int) -> None:
    with pytest.raises(Malformed, match="flag"):
        FileOffer.parse(b"\x01" + bytes([flags]) + OFFER.encode()[2:])


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "photo/jpg"},
        {"name": ".."},
        {"name": "photo\njpg"},
        {"origin": "https://relay.example/"},
        {"origin": "http://relay.example"},
        {"media_type": "image/JPEG"},
        {"media_type": "image"},
        {"media_type": "image/"},
        {"media_type": "/jpeg"},
        {"media_type": "image/jpeg\n"},
        {"media_type": "text/html; charset=utf-8"},
        {"media_type": "a" * 128 + "/b"},
        {"thumbnail": b"\x89PNG\r\n\x1a\n"},
        {"thumbnail": b"<svg/>"},
        {"thumbnail": b"\xff\xd8"},
        {"thumbnail": b"RIFF\x10\x00\x00\x00WAVE"},
        {"thumbnail": b"xRIFF\x10\x00\x00\x00WEBP"},
        {"count": 0},
        {"count": 2},
    ],
    ids=str,
)
def test_a_field_out_of_its_range_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        replace(OFFER, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("media_type", ["", "a/b", "application/vnd.x+json", "a" * 127 + "/" + "b" * 127])
def test_media_types_that_are_some_pass(media_type: str) -> None:
    assert replace(OFFER, media_type=media_type).media_type == media_type


def test_texts_that_are_none_are_refused() -> None:
    body = OFFER.encode()
    for at in (body.index(b"https"), body.index(b"photo"), body.index(b"image")):
        with pytest.raises(Malformed):
            FileOffer.parse(body[:at] + b"\xff" + body[at + 1 :])


def test_the_thumbnail_has_its_limit() -> None:
    largest = JPEG + bytes(MAX_THUMBNAIL_SIZE - len(JPEG))
    assert FileOffer.parse(replace(OFFER, thumbnail=largest).encode()).thumbnail == largest
    with pytest.raises(HalonyxError):
        replace(OFFER, thumbnail=largest + b"x").encode()
    start = OFFER.encode()[: -len(JPEG) - 2]
    with pytest.raises(Malformed):
        FileOffer.parse(start + (MAX_THUMBNAIL_SIZE + 1).to_bytes(2, "big") + largest + b"x")


@pytest.mark.parametrize("number", [0, 10_001, 2**32 - 1])
def test_a_folder_has_1_to_10_000_files(number: int) -> None:
    with pytest.raises(Malformed, match="number"):
        replace(FOLDER, count=number)


@pytest.mark.parametrize("size", [0, 56, 56 + 16_400, OFFER.ciphertext_size - 1, OFFER.ciphertext_size + 1, 2**64 - 1])
def test_a_ciphertext_that_is_not_this_file_s_is_refused(size: int) -> None:
    with pytest.raises(Malformed):
        replace(OFFER, ciphertext_size=size)


def test_a_ciphertext_of_another_padded_size_is_refused() -> None:
    for other in (OFFER.container_size - 16_384, OFFER.container_size + 16_384):
        assert padded_size(other) == other
        with pytest.raises(Malformed, match="become"):
            replace(OFFER, ciphertext_size=ciphertext_size(other))


@pytest.mark.parametrize("size", [MAX_PLAINTEXT_SIZE, 2**53, 2**64 - 1])
def test_a_size_that_can_not_be_encrypted_is_refused(size: int) -> None:
    with pytest.raises(Malformed):
        replace(OFFER, size=size)


@given(st.integers(1, 10_000), st.integers(0, 2**40))
def test_a_folder_s_ciphertext_has_the_size_of_some_paths(count: int, size: int) -> None:
    least, most = (padded_size(5 + count * (10 + path) + size) for path in (1, 1024))
    for padded in (least, most):
        assert replace(FOLDER, count=count, size=size, ciphertext_size=ciphertext_size(padded))
    for wrong in (padded_size(max(262_144, least - 1)) - 1, padded_size(most + 1)):
        with pytest.raises(Malformed):
            replace(FOLDER, count=count, size=size, ciphertext_size=ciphertext_size(wrong))


def test_a_size_between_padded_ones_is_refused() -> None:
    wide = replace(FOLDER, count=1000, ciphertext_size=ciphertext_size(padded_size(500_000)))
    with pytest.raises(Malformed, match="become"):
        replace(wide, ciphertext_size=ciphertext_size(500_001))


def test_the_container_holds_what_was_offered() -> None:
    OFFER.check_manifest(PHOTO)
    FOLDER.check_manifest(TREE)
    for offer, other in (
        (OFFER, Manifest((FileEntry("photo.jpg", 999_999),))),
        (OFFER, Manifest((FileEntry("virus.exe", 1_000_000),))),
        (OFFER, Manifest((FileEntry("photo.jpg/x", 1_000_000),))),
        (OFFER, Manifest((FileEntry("photo.jpg", 500_000), FileEntry("b", 500_000)))),
        (FOLDER, Manifest((FileEntry("a", 300_005),))),
        (FOLDER, Manifest((FileEntry("a", 5), FileEntry("b", 300_000), FileEntry("c", 1)))),
    ):
        with pytest.raises(Malformed):
            offer.check_manifest(other)
    FOLDER.check_manifest(Manifest((FileEntry("x", 300_005), FileEntry("y", 0), FileEntry("z", 0))))


STATES = [FileState(message_id("offer"), state) for state in State if state is not State.FAILED]
FAILURES = [FileState(message_id("offer"), State.FAILED, reason) for reason in Reason if reason]


@pytest.mark.parametrize("said", [*STATES, *FAILURES], ids=lambda said: f"{said.state.name} {said.reason.name}")
def test_a_state_reads_back_and_its_parser_is_strict(said: FileState) -> None:
    assert said.encode() == message_id("offer") + bytes([said.state, said.reason])
    assert FileState.parse(said.encode()) == said
    refuses_truncations_and_trailing_bytes(FileState.parse, said.encode())


STRANGE = [(0, 0), (9, 0), (255, 0), (8, 1), (7, 0), (7, 4), (7, 255), (1, 1), (6, 3)]


@pytest.mark.parametrize(("state", "reason"), STRANGE)
def test_a_state_or_reason_that_there_is_none_of_is_refused(state: int, reason: int) -> None:
    with pytest.raises(Malformed):
        FileState.parse(message_id("offer") + bytes([state, reason]))
