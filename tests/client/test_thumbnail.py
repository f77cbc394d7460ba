"""Small pictures of pictures: within their bounds, upright, with nothing beside them, and of pictures alone."""

import os
import resource
import subprocess
import sys
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, UnidentifiedImageError

from client.test_files_local import prepared
from halonyx.client import thumbnail
from halonyx.client.thumbnail import thumbnail_of
from halonyx.client.thumbnail_maker import MAX_PIXELS, MEMORY, small_picture
from halonyx.core.file_offer import MAX_THUMBNAIL_SIZE

RED, GREEN, BLUE, YELLOW = (250, 0, 0), (0, 200, 0), (0, 0, 250), (250, 250, 0)
WHITE: Final = (255, 255, 255)
CORNERS: Final = {1: (RED, GREEN), 2: (GREEN, RED), 3: (YELLOW, BLUE), 4: (BLUE, YELLOW)}
TURNED: Final = {5: (RED, BLUE), 6: (BLUE, RED), 7: (YELLOW, GREEN), 8: (GREEN, YELLOW)}
PLACE: Final = b"51 28 N 0 0 W"
HELD: Final = ("JPEG", "PNG", "WEBP", "GIF")


def encoded(picture: Image.Image, format_: str, **options: Any) -> bytes:  # noqa: ANN401 (Pillow's own options)
    out = BytesIO()
    picture.save(out, format_, **options)
    return out.getvalue()


def small(content: bytes) -> Image.Image:
    """Make a thumbnail and look at it as whoever receives it does."""
    made = small_picture(BytesIO(content))
    assert len(made) <= MAX_THUMBNAIL_SIZE
    # One chunk of pixels and nothing else: no EXIF, no XMP, no colour profile.
    assert (made[:4], made[8:16], 20 + int.from_bytes(made[16:20], "little")) == (b"RIFF", b"WEBPVP8 ", len(made))
    return Image.open(BytesIO(made))


def is_like(found: Any, wanted: tuple[int, int, int]) -> bool:  # noqa: ANN401 (as Pillow has it)
    return all(abs(ours - theirs) < 40 for ours, theirs in zip(found, wanted, strict=True))


def written(folder: Path, content: bytes, name: str = "picture") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def quarters() -> Image.Image:
    """A picture that looks different however it is turned."""
    drawn = Image.new("RGB", (64, 32), RED)
    for corner, colour in (((32, 0), GREEN), ((0, 16), BLUE), ((32, 16), YELLOW)):
        drawn.paste(colour, (*corner, corner[0] + 32, corner[1] + 16))
    return drawn


@pytest.mark.parametrize("format_", HELD)
def test_whatever_its_name_says_a_picture_is_made_small(tmp_path: Path, format_: str) -> None:
    content = encoded(quarters().resize((960, 480)), format_)
    picture = small(content)
    assert picture.size == (480, 240)
    assert is_like(picture.getpixel((10, 10)), RED)
    assert is_like(picture.getpixel((470, 230)), YELLOW)
    assert thumbnail_of(written(tmp_path, content, "notes.txt")) == small_picture(BytesIO(content))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "I;16", "RGBA", "CMYK"])
def test_every_kind_of_pixels_is_drawn(mode: str) -> None:
    drawn = Image.new("L", (40, 40), 255).convert(mode) if mode != "I;16" else Image.new(mode, (40, 40), 65_535)
    content = encoded(drawn, "JPEG" if mode == "CMYK" else "PNG")
    assert is_like(small(content).getpixel((20, 20)), WHITE)


def test_what_is_transparent_is_white_and_of_many_frames_the_first_is_shown() -> None:
    assert is_like(small(encoded(Image.new("RGBA", (40, 40), (*RED, 0)), "PNG")).getpixel((20, 20)), WHITE)
    frames = [Image.new("RGB", (40, 40), colour) for colour in (RED, BLUE)]
    for format_ in ("GIF", "WEBP", "PNG"):
        several = encoded(frames[0], format_, save_all=True, append_images=frames[1:])
        assert is_like(small(several).getpixel((20, 20)), RED)


@pytest.mark.parametrize("format_", HELD[:3])
@pytest.mark.parametrize(("orientation", "top"), (CORNERS | TURNED).items())
def test_it_is_upright(format_: str, orientation: int, top: tuple[tuple[int, int, int], ...]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = small(encoded(quarters(), format_, exif=exif))
    assert picture.size == ((32, 64) if orientation in TURNED else (64, 32))
    width, _ = picture.size
    assert is_like(picture.getpixel((4, 4)), top[0])
    assert is_like(picture.getpixel((width - 4, 4)), top[1])


@pytest.mark.parametrize("format_", HELD[:3])
def test_nothing_of_the_camera_is_in_it(format_: str) -> None:
    exif = Image.Exif()
    exif[0x010E] = PLACE.decode()
    content = encoded(quarters(), format_, exif=exif, icc_profile=PLACE)
    assert Image.open(BytesIO(content)).info.keys() >= {"exif", "icc_profile"}
    assert small(content).info.keys().isdisjoint({"exif", "icc_profile", "xmp"})


@settings(max_examples=25, deadline=None)
@given(width=st.integers(1, 900), height=st.integers(1, 900), format_=st.sampled_from(HELD))
def test_it_keeps_its_shape_and_its_bounds(width: int, height: int, format_: str) -> None:
    picture = small(encoded(quarters().resize((width, height)), format_))
    scale = min(1.0, 480 / max(width, height))
    assert all(abs(found - side * scale) <= 1 for found, side in zip(picture.size, (width, height), strict=True))


def test_what_stays_too_large_is_made_smaller() -> None:
    noise = Image.frombytes("RGB", (600, 600), os.urandom(600 * 600 * 3))
    assert max(small(encoded(noise, "PNG")).size) < 480


def chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


def png(width: int, height: int) -> bytes:
    """A black picture of one bit a pixel."""
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes((1, 0, 0, 0, 0))
    rows = zlib.compress(bytes((1 + -(-width // 8)) * min(height, 6_000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def side(pixels: int, size: int = 2) -> bytes:
    return pixels.to_bytes(size, "little")


GIF: Final = encoded(Image.new("P", (1, 1)), "GIF")
FRAME: Final = GIF.index(b"\x2c\x00\x00\x00\x00")
BOMBS: Final = {
    "png": png(60_000, 60_000),
    "jpeg": b"\xff\xd8\xff\xc0\x00\x11\x08"
    + b"\xff\xff" * 2
    + b"\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00\xff\xda\x00\x02",
    "webp": b"RIFF\x16\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00" + bytes(4) + side(16_383, 3) * 2,
    "gif": GIF[:6] + side(65_535) * 2 + GIF[10:],
    "frame of a gif": GIF[: FRAME + 5] + side(65_535) * 2 + GIF[FRAME + 9 :],
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_a_few_bytes_do_not_become_gigabytes(tmp_path: Path, bomb: bytes) -> None:
    with pytest.raises(Image.DecompressionBombError):
        small_picture(BytesIO(bomb))
    assert thumbnail_of(written(tmp_path, bomb)) == b""


def test_forty_megapixels_are_drawn_and_no_more(tmp_path: Path) -> None:
    assert MAX_PIXELS == 8_000 * 5_000
    assert thumbnail_of(written(tmp_path, png(8_000, 5_000))) != b""
    assert thumbnail_of(written(tmp_path, png(8_000, 5_001))) == b""


@pytest.mark.parametrize("format_", HELD[:3])
def test_a_picture_that_is_cut_off_has_none(tmp_path: Path, format_: str) -> None:
    whole = encoded(Image.frombytes("RGB", (90, 90), os.urandom(90 * 90 * 3)), format_)
    assert thumbnail_of(written(tmp_path, whole[: len(whole) // 2])) == b""


@pytest.mark.parametrize(
    "head", [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF\x10\x00\x00\x00WEBPVP8 ", b"GIF89a"]
)
def test_what_begins_as_a_picture_and_is_none_has_none(tmp_path: Path, head: bytes) -> None:
    for rest in (b"", b"\x00" * 30, os.urandom(2_000)):
        with pytest.raises(Exception):  # noqa: B017, PT011 (whatever a decoder says)
            small_picture(BytesIO(head + rest))
    assert thumbnail_of(written(tmp_path, head + os.urandom(2_000))) == b""


@pytest.mark.parametrize("format_", ["BMP", "TIFF", "PPM", "ICO", "PDF", "EPS", "AVIF"])
def test_other_formats_are_not_even_looked_at(tmp_path: Path, format_: str) -> None:
    content = encoded(quarters(), format_)
    with pytest.raises(UnidentifiedImageError):
        small_picture(BytesIO(content))
    assert thumbnail_of(written(tmp_path, content, "picture.jpg")) == b""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return what is started from now on."""
    seen: list[object] = []
    run: Callable[..., object] = subprocess.run

    def noted(arguments: object, **options: object) -> object:
        seen.append(arguments)
        return run(arguments, **options)

    monkeypatch.setattr(subprocess, "run", noted)
    return seen


def test_nothing_is_started_for_what_is_no_picture_or_too_large(tmp_path: Path, started: list[object]) -> None:
    for content in (b"", b"hello", b"%PDF-1.7"):
        assert thumbnail_of(written(tmp_path, content)) == b""
    assert thumbnail_of(tmp_path / "missing") == b""
    path = written(tmp_path, encoded(quarters(), "PNG"))
    for size, count in ((64 * 1024 * 1024, 1), (64 * 1024 * 1024 + 1, 1)):
        os.truncate(path, size)  # what follows a PNG's end is not read
        assert (thumbnail_of(path) != b"", len(started)) == (size == 64 * 1024 * 1024, count)


def test_a_picture_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, encoded(quarters(), "PNG"))
    monkeypatch.setattr(thumbnail, "SECONDS", 0.0)
    before = psutil.Process().children()
    assert thumbnail_of(path) == b""
    assert psutil.Process().children() == before


def test_the_maker_bounds_itself(tmp_path: Path) -> None:
    script = "import resource, runpy, sys; runpy.run_path(sys.argv[1], run_name='__main__')\n"
    script += "print(resource.getrlimit(resource.RLIMIT_AS), resource.getrlimit(resource.RLIMIT_CPU), file=sys.stderr)"
    with written(tmp_path, encoded(quarters(), "PNG")).open("rb") as file:
        maker = Path(thumbnail.__file__).with_name("thumbnail_maker.py")
        ran = subprocess.run([sys.executable, "-I", "-c", script, maker], stdin=file, capture_output=True, check=True)
    assert ran.stderr.decode().strip() == f"{(MEMORY, MEMORY)} {(20, 20)}"
    assert resource.getrlimit(resource.RLIMIT_AS) != (MEMORY, MEMORY)


def test_the_maker_knows_nothing_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALONYX_PASSPHRASE", "correct horse")
    spy = written(tmp_path, b"import os; print('it ran', os.environ, os.listdir('/proc/self/fd'))", "spy.py")
    monkeypatch.setattr(thumbnail, "_MAKER", spy)
    with written(tmp_path, b"another file of ours").open("rb"):
        told = thumbnail_of(written(tmp_path, encoded(quarters(), "PNG"))).decode()
    assert "it ran" in told
    assert "HALONYX" not in told
    assert "['0', '1', '2', '3']" in told  # the last is the listing's own


def test_one_picture_is_offered_with_it_and_several_without(tmp_path: Path) -> None:
    path = written(tmp_path, encoded(quarters(), "PNG"), "picture.png")
    assert prepared(tmp_path, path).thumbnail == thumbnail_of(path) != b""
    assert prepared(tmp_path, path, written(tmp_path, path.read_bytes(), "other.png")).thumbnail == b""
