"""What Chromium's camera sees in a test: a film of one picture, read anew each time the camera starts."""

import base64
from pathlib import Path
from typing import Final

from playwright.sync_api import Locator

WIDTH: Final = 640
HEIGHT: Final = 480
HEADER: Final = f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F10:1 Ip A1:1 C420jpeg\n".encode()
GREY: Final = bytes([128])

# Somebody holds the picture before a grey wall, and not quite straight.
DRAW: Final = """async ([picture, width, height]) => {
  const bytes = Uint8Array.from(atob(picture), character => character.charCodeAt(0))
  const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }))
  const context = new OffscreenCanvas(width, height).getContext("2d")
  context.fillStyle = "#808080"
  context.fillRect(0, 0, width, height)
  const scale = Math.min(1, 0.85 * height / Math.max(bitmap.width, bitmap.height))
  context.translate(width / 2, height / 2)
  context.rotate(0.05)
  context.drawImage(bitmap, -scale * bitmap.width / 2, -scale * bitmap.height / 2,
    scale * bitmap.width, scale * bitmap.height)
  const { data } = context.getImageData(0, 0, width, height)
  let light = ""
  for (let at = 0; at < data.length; at += 4) light += String.fromCharCode(data[at + 1])
  return btoa(light)
}"""


def flags(film: Path) -> tuple[str, ...]:
    """Return what makes Chromium take this film for a camera that everybody may use."""
    return (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    )


def hold(film: Path, shown: Locator) -> None:
    """Hold what is on someone's screen before the camera."""
    shown.wait_for()
    picture = base64.b64encode(shown.screenshot(animations="disabled")).decode()
    light = base64.b64decode(shown.page.evaluate(DRAW, [picture, WIDTH, HEIGHT]))
    film.write_bytes(HEADER + b"FRAME\n" + light + GREY * (WIDTH * HEIGHT // 2))
