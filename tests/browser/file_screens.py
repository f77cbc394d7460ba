"""The way to every screen about files: choosing, offering, and each state an offer can be in.

States that take a second machine, or a fault, are written into the store; those that pass are told to the page as
another tab would tell them.
"""

import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Page, ViewportSize, expect

from browser import filling
from browser.people import NARROW, WIDE, Person, person, somebody
from relay_process import RelayProcess, running_relay

MINUTE: Final = 60_000
SERVICES: Final = {
    "HALONYX_DROP_QUOTA": "1000000000",
    "HALONYX_TURN_SECRET": "for-tests-only-for-tests-only-for-tests",
    "HALONYX_TURN_URLS": "turn:127.0.0.1:9?transport=udp",
}
TALL: Final[ViewportSize] = {"width": 1440, "height": 3200}
"""Shows every offer at once."""
LONG_NAME: Final = "Minutes of the meeting about the roof of the old tram depot, third and last draft.pdf"
TURNED: Final = "holiday\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe"
DRAWN: Final = """async () => {
  const canvas = new OffscreenCanvas(480, 320)
  const context = canvas.getContext("2d")
  const sky = context.createLinearGradient(0, 0, 0, 320)
  sky.addColorStop(0, "#7fb3c8"); sky.addColorStop(1, "#f3d9b1")
  context.fillStyle = sky; context.fillRect(0, 0, 480, 320)
  context.fillStyle = "#4d6b57"; context.beginPath(); context.moveTo(0, 320); context.lineTo(0, 220)
  context.lineTo(140, 120); context.lineTo(260, 230); context.lineTo(350, 160); context.lineTo(480, 260)
  context.lineTo(480, 320); context.fill()
  const bytes = new Uint8Array(await (await canvas.convertToBlob({ type: "image/webp", quality: 0.6 })).arrayBuffer())
  return btoa(String.fromCharCode(...bytes))
}"""
TELL: Final = """([transfers]) => {
  const channel = new BroadcastChannel("halonyx")
  channel.postMessage({ kind: "changes", changes: transfers.map((transfer) => ({ kind: "transfer", transfer })) })
  channel.close()
}"""


def files(browser: Browser, relay: RelayProcess) -> Iterator[tuple[str, Page]]:
    """Files, at a relay that has a drop and TURN, and at one that has neither."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_relay(Path(folder) / "relay", **SERVICES) as equipped,
        person(browser, relay.origin) as anna,
        person(browser, equipped.origin) as alice,
    ):
        for sender, origin, suffix in ((anna, relay.origin, ""), (alice, equipped.origin, "-equipped")):
            sender.create()
            sender.add(somebody(origin), "Bob")
            yield from _sheet(sender, Path(folder), suffix)
        yield from _offers(alice)


def _sheet(alice: Person, folder: Path, suffix: str) -> Iterator[tuple[str, Page]]:
    page = alice.page
    page.get_by_role("button", name="Send files").click()
    dialog = alice.dialog("Send files to Bob")
    yield f"files-empty{suffix}", page
    picture, minutes, nothing = folder / "garden.png", folder / LONG_NAME, folder / "album"
    picture.write_bytes(Path("web/public/icon-512.png").read_bytes())
    minutes.write_bytes(bytes(2_345_678))
    nothing.mkdir(exist_ok=True)
    for number in range(3):
        (nothing / f"{number}.jpg").write_bytes(bytes(1_000_000))
    with page.expect_file_chooser() as chooser:
        alice.press("Choose files", dialog)
    chooser.value.set_files([picture, minutes])
    with page.expect_file_chooser() as chooser:
        alice.press("Choose a folder", dialog)
    chooser.value.set_files(nothing)
    expect(dialog.get_by_role("button", name="Send 3 offers")).to_be_enabled()
    expect(dialog.locator("img.file-icon")).to_have_count(1)
    yield f"files-chosen{suffix}", page
    alice.press("Cancel", dialog)


def _offers(alice: Person) -> Iterator[tuple[str, Page]]:
    page = alice.page
    thumbnail: str = page.evaluate(DRAWN)
    theirs = [
        offered("Garden in May.webp", "offered", media="image/webp", thumbnail=thumbnail, size=3_456_789),
        offered(TURNED, "offered", media="image/jpeg", size=187_000),
        offered("Choir, spring tour", "paused", isFolder=True, count=34, size=812_000_000, done=300_000_000),
        offered("Score.pdf", "refused", media="application/pdf"),
        offered("Rehearsal.flac", "failed", media="audio/flac", reason="wrong-hash", size=48_000_000),
        offered("Lake.webp", "done", media="image/webp", thumbnail=thumbnail, size=2_100_000),
    ]
    ours = [
        offered(LONG_NAME, "offered", is_ours=True, media="application/pdf", inDrop=True),
        offered("tickets.zip", "done", is_ours=True, media="application/zip"),
        offered("Poster.webp", "running", is_ours=True, media="image/webp", thumbnail=thumbnail, size=900_000),
        offered("old.tar.gz", "cancelled", is_ours=True),
    ]
    for number, offers in enumerate((theirs[:2], theirs[2:4], theirs[4:], ours[:2], ours[2:])):
        filling.offer(page, "Bob", offers)
        page.reload()
        alice.open("Bob")
        yield f"files-states-{number}", page
    yield from _moving(alice, thumbnail)
    yield from _ending(alice)


def _moving(alice: Person, thumbnail: str) -> Iterator[tuple[str, Page]]:
    """What is under way in another tab, as that tab would tell it."""
    page = alice.page
    cases: dict[str, dict[str, Any]] = {
        "transferring": {"state": "transferring", "reason": None, "path": "relayed", "peers": 1, "secondsLeft": 74},
        "needs-direct": {"state": "waiting", "reason": "needs-direct", "hasTurn": False},
        "peer-offline": {"state": "waiting", "reason": "peer-offline"},
        "verifying": {"state": "verifying", "reason": None, "done": 90_000_000},
    }
    for number, (name, fields) in enumerate(cases.items()):
        identifier = f"{number:032x}"
        filling.offer(page, "Bob", [offered(f"{name}.mp4", "paused", media="video/mp4", id=identifier)])
        page.reload()
        alice.open("Bob")
        page.get_by_role("group", name=f"File {name}.mp4").wait_for()
        told = _transfer(identifier, f"{name}.mp4") | fields
        page.evaluate(TELL, [[told]])
        expect(page.get_by_role("group", name=f"File {name}.mp4").get_by_role("button", name="Resume")).to_have_count(0)
        yield f"files-{name}", page


def _ending(alice: Person) -> Iterator[tuple[str, Page]]:
    page = alice.page
    page.get_by_role("group", name="File peer-offline.mp4").get_by_role("button", name="Cancel").click()
    yield "files-cancel", page
    alice.press("Keep it")
    page.set_viewport_size(TALL)
    page.get_by_role("group", name=re.compile("File Lake")).get_by_role("button", name="Save").click()
    page.get_by_role("alert").wait_for()
    yield "files-save-trouble", page
    page.keyboard.press("Escape")
    page.set_viewport_size(NARROW)
    page.get_by_role("button", name="Details").click()
    page.get_by_role("dialog").get_by_role("heading", name="Shared files").scroll_into_view_if_needed()
    yield "files-shared", page
    page.keyboard.press("Escape")
    page.set_viewport_size(WIDE)


def offered(name: str, stage: str, **given: Any) -> dict[str, Any]:  # noqa: ANN401 (fields of a row)
    """Return an offer as `filling.offer` takes it, of a minute ago."""
    fields = dict(given)
    size = fields.pop("size", 90_000_000)
    return {
        "name": name,
        "stage": stage,
        "size": size,
        "isOutgoing": int(fields.pop("is_ours", False)),
        "mediaType": fields.pop("media", ""),
        "thumbnail": fields.pop("thumbnail", ""),
        "time": int(1000 * time.time()) - MINUTE,
        "fields": fields,
    }


def _transfer(identifier: str, name: str) -> dict[str, Any]:
    numbers = {"size": 90_000_000, "total": 90_000_000, "done": 41_000_000, "down": 640_000, "up": 12_000}
    return numbers | {
        "id": identifier,
        "contact": 1,
        "outgoing": False,
        "name": name,
        "mediaType": "video/mp4",
        "isFolder": False,
        "count": 1,
        "thumbnail": None,
        "peers": 0,
        "ratio": 0.02,
        "secondsLeft": None,
        "path": None,
        "inDrop": False,
        "directAllowed": False,
        "hasDrop": True,
        "hasTurn": True,
    }
