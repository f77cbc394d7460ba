"""People who send each other files: the page's own calls, made from the test, and what WebRTC says on the way.

The real page runs under its real policy; the test only listens in and speaks to its Worker as the page does.
"""

import asyncio
import contextlib
import hashlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Page, Playwright

from browser.browsers import FLAGS, LOOPBACK, watched
from browser.people import HANGING_MS, WIDE, Person, person
from relay.turn_kit import turn_server

WEBRTC: Final = ("camera", "microphone")  # else addresses are hidden, and loopback has no mDNS
POLL_MS: Final = 50
SECRET: Final = "0123456789abcdef0123456789abcdef"
MEBIBYTE: Final = 1024 * 1024

LISTENING: Final = """() => {
  globalThis.shown = new Map()
  const waiting = new Map()
  let last = 1e9  // the page counts from 1
  const Original = globalThis.Worker
  globalThis.Worker = class extends Original {
    constructor(address, options) {
      super(address, options)
      if (options?.name !== "halonyx") return
      this.addEventListener("message", ({ data }) => {
        if ("change" in data) {
          if (data.change.kind === "transfer") globalThis.shown.set(data.change.transfer.id, data.change.transfer)
          return
        }
        const call = waiting.get(data.id)
        waiting.delete(data.id)
        if ("error" in data) call?.reject(new Error(data.error.code))
        else call?.resolve(data.result)
      })
      globalThis.call = (method, ...args) => new Promise((resolve, reject) => {
        waiting.set(++last, { resolve, reject })
        this.postMessage({ id: last, method, args })
      })
    }
  }
  globalThis.received = 0
  const { set } = Object.getOwnPropertyDescriptor(RTCDataChannel.prototype, "onmessage")
  Object.defineProperty(RTCDataChannel.prototype, "onmessage", {
    configurable: true,
    set(listener) {
      set.call(this, (event) => {
        globalThis.received += event.data.byteLength ?? 0
        listener?.call(this, event)
      })
    },
  })
  globalThis.descriptions = []
  for (const name of ["createOffer", "createAnswer"]) {
    const original = RTCPeerConnection.prototype[name]
    RTCPeerConnection.prototype[name] = async function (...args) {
      const made = await original.apply(this, args)
      if (made !== undefined) globalThis.descriptions.push(made.sdp)
      return made
    }
  }
  const send = WebSocket.prototype.send
  WebSocket.prototype.send = function (data) {
    if (typeof data === "string") globalThis.descriptions.push(data)
    return send.call(this, data)
  }
  const Connection = globalThis.RTCPeerConnection
  globalThis.configurations = []
  globalThis.RTCPeerConnection = class extends Connection {
    constructor(configuration) {
      super(configuration)
      globalThis.configurations.push(JSON.stringify(configuration))
      this.addEventListener("icecandidate", ({ candidate }) => {
        if (candidate?.candidate) globalThis.descriptions.push(candidate.candidate)
      })
    }
  }
}"""

CONTENT: Final = """(size, seed) => {
  const [block, content] = [new Uint8Array(65536), new Uint8Array(size)]
  let state = seed
  for (let at = 0; at < block.length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    block[at] = state >>> 24
  }
  for (let at = 0; at < size; at += block.length) {
    new DataView(block.buffer).setUint32(0, at)
    content.set(block.subarray(0, Math.min(block.length, size - at)), at)
  }
  return content
}"""
BLOCK: Final = 65_536
END_ALL: Final = """async (contact) => {
  for (const { id } of await globalThis.call("filesOf", contact)) {
    await globalThis.call("cancelFile", id).catch(() => null)  // it has ended
  }
}"""


@dataclass(frozen=True)
class Sent:
    """A file that a page makes: `size` bytes that anyone can make again of `seed`, behind a head of its own."""

    path: str
    size: int
    seed: int = 1
    type: str = "application/octet-stream"
    head: bytes = b""

    @property
    def content(self) -> bytes:
        """The same bytes as CONTENT makes."""
        state, block = self.seed, bytearray(BLOCK)
        for at in range(BLOCK):
            state = (state * 1_664_525 + 1_013_904_223) & 0xFFFFFFFF
            block[at] = state >> 24
        blocks = (at.to_bytes(4, "big") + block[4:] for at in range(0, self.size, BLOCK))
        return self.head + b"".join(blocks)[len(self.head) : self.size]

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@dataclass
class Sharer:
    """A person, and the calls about files."""

    person: Person

    @property
    def page(self) -> Page:
        return self.person.page

    def call(self, method: str, *args: object) -> Any:  # noqa: ANN401 (what the page's calls return)
        return self.page.evaluate("([method, ...args]) => globalThis.call(method, ...args)", [method, *args])

    def contact(self, name: str) -> int:
        """Return the id of a contact."""
        found = [row["contact"]["id"] for row in self.call("conversations") if row["contact"]["name"] == name]
        assert len(found) == 1, f"{len(found)} contacts {name}"
        return int(found[0])

    def offer(self, name: str, *files: Sent, folder: str | None = None, drop: bool = False) -> str:
        """Offer files; return the id of the offer."""
        script = f"""async ([contact, wanted, folder, drop]) => {{
          const content = {CONTENT}
          const files = wanted.map(({{ path, size, seed, type, head }}) => {{
            const bytes = content(size, seed)
            bytes.set(head)
            return {{ path, file: new File([bytes], path.split("/").at(-1), {{ type }}) }}
          }})
          return (await globalThis.call("offerFiles", contact, files, folder, null, {{ drop }})).id
        }}"""
        wanted = [asdict(file) | {"head": list(file.head)} for file in files]
        return str(self.page.evaluate(script, [self.contact(name), wanted, folder, drop]))

    def transfer(self, name: str, offer: str) -> dict[str, Any] | None:
        """Return a transfer as the conversation shows it now; None if it is not there."""
        entries = self.call("messages", self.contact(name), None, 100)
        found = [entry["file"] for entry in entries if entry["id"] == offer]
        return found[0] if found else None

    def until(self, name: str, offer: str, is_there: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until a transfer is as wanted."""
        deadline = time.monotonic() + 2 * HANGING_MS / 1000
        while True:
            found = self.transfer(name, offer)
            if found is not None and is_there(found):
                return found
            assert time.monotonic() < deadline, f"it hangs at {shortened(found)}"
            self.page.wait_for_timeout(POLL_MS)

    def until_begun(self, name: str, offer: str, share: float = 0.05) -> dict[str, Any]:
        """Wait until a part of it is there, and not all."""
        found = self.until(name, offer, lambda now: now["done"] >= share * now["total"] or now["state"] == "done")
        assert found["state"] != "done", "the file is too small to stop it in the middle"
        return found

    def until_state(self, name: str, offer: str, state: str) -> dict[str, Any]:
        return self.until(name, offer, lambda found: found["state"] == state)

    def until_offered(self, name: str, file: str) -> str:
        """Wait until someone offers a file of this name; return the id."""
        deadline = time.monotonic() + HANGING_MS / 1000
        while not (found := [one for one in self.call("filesOf", self.contact(name)) if one["name"] == file]):
            assert time.monotonic() < deadline, f"no {file} was offered"
            self.page.wait_for_timeout(POLL_MS)
        return str(found[0]["id"])

    def accept(self, name: str, offer: str) -> None:
        self.until_state(name, offer, "offered")
        self.call("acceptFile", offer)

    def saved(self, offer: str) -> dict[str, str]:
        """Save, and return the SHA-256 of each file by path."""
        script = """async (offer) => {
          const found = {}
          for (const { path, file } of await globalThis.call("saveFile", offer)) {
            const hash = await crypto.subtle.digest("SHA-256", await file.arrayBuffer())
            found[path] = Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, "0")).join("")
          }
          return found
        }"""
        return dict(self.page.evaluate(script, offer))

    def stored(self) -> dict[str, int]:
        """Return every file in the browser's private file system: its size by its path."""
        script = """async () => {
          const found = {}
          const list = async (folder, above) => {
            for await (const [name, entry] of folder.entries()) {
              if (entry.kind === "file") found[above + name] = (await entry.getFile()).size
              else await list(entry, `${above}${name}/`)
            }
          }
          await list(await navigator.storage.getDirectory(), "")
          return found
        }"""
        return dict(self.page.evaluate(script))

    def until_stored(self, is_there: Callable[[dict[str, int]], bool]) -> None:
        """Wait until the private files are as wanted."""
        deadline = time.monotonic() + HANGING_MS / 1000
        while not is_there(found := self.stored()):
            assert time.monotonic() < deadline, found
            self.page.wait_for_timeout(POLL_MS)

    @contextlib.contextmanager
    def anew(self, address: str, name: str) -> Iterator[None]:
        """Open a conversation in which nothing is under way, kept or agreed to; nothing may go wrong in it."""
        self.page.goto(address)
        self.page.evaluate(END_ALL, self.contact(name))
        self.until_stored(lambda found: found == {})
        self.allow_direct(name, allowed=False)
        self.person.open(name)
        yield
        wrong = list(self.person.wrong)
        self.person.wrong.clear()
        assert wrong == [], wrong

    def allow_direct(self, name: str, *, allowed: bool = True) -> None:
        self.call("allowDirect", self.contact(name), allowed)

    def candidates(self) -> list[str]:
        """Return the kinds of all candidates that this page has offered or sent, each once."""
        script = """() => globalThis.descriptions.flatMap(
          (text) => Array.from(text.matchAll(/candidate:[^\\r\\n"\\\\]+? typ (\\w+)/g), ([, kind]) => kind))"""
        return sorted(set(self.page.evaluate(script)))


@contextlib.contextmanager
def sharer_on_disk(playwright: Playwright, profile: Path, address: str) -> Iterator[Sharer]:
    """As `sharer`, with the profile on a disk: other profiles keep files in memory, and meet other limits."""
    context = playwright.chromium.launch_persistent_context(
        profile,
        executable_path=shutil.which("chromium"),
        headless=False,
        args=[*FLAGS, LOOPBACK],
        viewport=WIDE,
        locale="en-GB",
        permissions=list(WEBRTC),
    )
    context.set_default_timeout(HANGING_MS)
    context.add_init_script(f"({LISTENING})()")
    try:
        with watched(context) as wrong:
            page = context.new_page()
            page.goto(address)
            newcomer = Person(context, page)
            newcomer.create()
            yield Sharer(newcomer)
            assert wrong == [], wrong
    finally:
        context.close()


def shortened(transfer: dict[str, Any] | None) -> dict[str, Any] | None:
    return transfer and {key: value for key, value in transfer.items() if key != "thumbnail"}


@contextlib.contextmanager
def sharer(browser: Browser, address: str) -> Iterator[Sharer]:
    """Open the client in a fresh profile, where WebRTC has addresses without a network."""
    with person(browser, address, f"({LISTENING})()", permissions=list(WEBRTC)) as newcomer:
        newcomer.create()
        yield Sharer(newcomer)


@contextlib.contextmanager
def turn(folder: Path, port: int | None = None) -> Iterator[int]:
    """Run coturn for a test without a loop of its own; return its port, a free one unless it is told."""
    loop, done = asyncio.new_event_loop(), asyncio.Event()
    ports: list[int] = []
    started = threading.Event()

    async def serve() -> None:
        async with turn_server(folder, SECRET, has_local_peers=True, port=port) as taken:
            ports.append(taken)
            started.set()
            await done.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert started.wait(30)
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()
        loop.close()


def turn_settings(port: int) -> dict[str, str]:
    """Return what tells a relay of that TURN server."""
    return {"HALONYX_TURN_SECRET": SECRET, "HALONYX_TURN_URLS": f"turn:127.0.0.1:{port}?transport=udp"}
