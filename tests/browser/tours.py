"""All screens of the client, tour by tour; run by itself it takes their pictures: `tours.py FOLDER [TOUR…]`."""

import sys
import tempfile
from pathlib import Path
from typing import Final

from playwright.sync_api import sync_playwright

from browser.browsers import launch
from browser.file_screens import files
from browser.screens import LOOKS, conversation, everything_else, first_run, people
from relay_process import running_relay

TOURS: Final = (first_run, conversation, people, files, everything_else)


def main(folder: Path, *names: str) -> None:
    """Take a picture of every screen in every look; of the tours of these names, or of all."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, running_relay(Path(scratch)) as relay, sync_playwright() as started:
        browser = launch(started)
        for tour in (tour for tour in TOURS if not names or tour.__name__ in names):
            for name, page in tour(browser, relay):
                for look in LOOKS:
                    look.apply(page)
                    page.screenshot(path=folder / f"{name}-{look}.png")
                LOOKS[0].apply(page)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
