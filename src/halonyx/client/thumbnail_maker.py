"""Makes a small picture of a picture: a program of its own, because decoders are large, and no keys are in it.

It reads the picture at standard input and writes the small one to standard output, or fails. `client.thumbnail` starts
it, and it imports nothing of ours, to begin at once.

Source: spec/files.md, "Offer".
"""

import resource
import sys
from io import BytesIO
from typing import BinaryIO, Final

from PIL import GifImagePlugin, Image, ImageOps, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

MAX_SIZE: Final = 16_384
MAX_PIXELS: Final = 40_000_000  # what the browser client shows in place
MEMORY: Final = 1024 * 1024 * 1024  # bytes; a WebP of 40 megapixels takes 800 MB, a PNG 350 MB
CPU_SECONDS: Final = 20
# All that is tried; named by their modules, because Pillow would else load every decoder it has to find them.
FORMATS: Final = [
    plugin.format
    for plugin in (
        JpegImagePlugin.JpegImageFile,
        PngImagePlugin.PngImageFile,
        WebPImagePlugin.WebPImageFile,
        GifImagePlugin.GifImageFile,
    )
]
TRIES: Final = (
    (480, 70),
    (320, 70),
    (320, 50),
    (200, 50),
    (96, 40),
)  # longer side and quality; as in the browser client


def small_picture(source: BinaryIO) -> bytes:
    """Draw a picture's first frame upright on white, at most 480 pixels wide and high, and nothing that lay beside it.

    Args:
        source: JPEG, PNG, WebP or GIF, by its content.

    Returns:
        WebP, at most 16,384 bytes.

    Raises:
        Exception: Whatever a decoder makes of it: no picture, one of more than 40,000,000 pixels, or a broken one.

    Source: spec/files.md, "Offer".
    """
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2  # refused is what has more than twice of it, before room is made for it
    with Image.open(source, formats=FORMATS) as picture:
        longest, _ = TRIES[0]
        picture.draft(None, (2 * longest, 2 * longest))  # a JPEG needs no more
        drawn = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    drawn.thumbnail((longest, longest))  # first, so that what is copied and turned is small
    upright = ImageOps.exif_transpose(drawn)
    small = Image.new("RGB", upright.size, "white")  # it has nothing of the camera
    small.paste(upright, mask=upright if upright.mode == "RGBA" else None)
    for longest, quality in TRIES:
        small.thumbnail((longest, longest))
        encoded = BytesIO()
        small.save(encoded, "WEBP", quality=quality)
        if encoded.tell() <= MAX_SIZE:
            return encoded.getvalue()
    raise ValueError("it stays too large")


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    sys.stdout.buffer.write(small_picture(sys.stdin.buffer))
