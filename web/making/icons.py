"""Draws the PNG icons from public/icon.svg with Chromium: python making/icons.py [path of chromium].

The maskable one has no rounded corners and keeps its sign within the safe zone, because the system cuts it to a shape.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

PUBLIC = Path(__file__).parent.parent / "public"
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--default-background-color=00000000")


def draw(chromium: str, svg: str, size: int, target: Path) -> None:
    """Take a picture of the drawing alone on a page of its size."""
    page = f"<body style='margin:0'>{svg.replace('<svg ', f'<svg width={size} height={size} style=display:block ', 1)}"
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "icon.html"
        source.write_text(page)
        command = (chromium, *FLAGS, f"--window-size={size},{size}", f"--screenshot={target}", f"file://{source}")
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603


def main() -> None:
    """Draw all of them."""
    chromium = sys.argv[1] if len(sys.argv) > 1 else "/usr/bin/chromium"
    svg = (PUBLIC / "icon.svg").read_text()
    draw(chromium, svg, 192, PUBLIC / "icon-192.png")
    draw(chromium, svg, 512, PUBLIC / "icon-512.png")
    draw(chromium, svg.replace('rx="11"', ""), 512, PUBLIC / "icon-maskable-512.png")


if __name__ == "__main__":
    main()
