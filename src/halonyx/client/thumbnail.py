"""Small pictures of pictures, sent inside the message.

Source: spec/files.md, "Offer".
"""

import re
import subprocess  # nosec B404
import sys
from pathlib import Path
from typing import Final

LARGEST_PICTURE: Final = 64 * 1024 * 1024  # bytes of a file worth decoding for this
SECONDS: Final = 30.0  # most take a quarter of one
_MAKER: Final = Path(__file__).with_name("thumbnail_maker.py")
_PICTURE: Final = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF.{4}WEBP", re.DOTALL)


def thumbnail_of(path: Path) -> bytes:
    """Make a thumbnail of a JPEG, PNG, WebP or GIF, whatever its name says, in a process of its own.

    Returns:
        WebP of at most 16,384 bytes; nothing if it is no picture, or none that can be made small within bounds of size,
        pixels, memory and time.
    """
    try:
        with path.open("rb") as file:
            if _PICTURE.match(file.read(12)) is None or path.stat().st_size > LARGEST_PICTURE:
                return b""
            file.seek(0)
            made = subprocess.run(  # noqa: S603 (our own program)  # nosec B603
                [sys.executable, "-I", _MAKER],
                stdin=file,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=SECONDS,
                check=True,
                env={},  # a passphrase may stand in ours
            )
    except (OSError, subprocess.SubprocessError):
        return b""
    return made.stdout
