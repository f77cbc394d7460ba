"""What a browser profile holds after a real conversation, looked at from the page and on disk."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Playwright, expect

from browser.browsers import FLAGS, watched
from browser.peer import Peer, acquaint, peer
from browser.people import HANGING_MS, WIDE, Person
from halonyx.core.card import Card
from halonyx.core.identity import address_of
from relay_process import RelayProcess, running_relay

NAME: Final = "Wilhelmina Ockenfels"
OURS: Final = "the quince marmalade is behind the blue door"
THEIRS: Final = "nobody may know about the blue door"
TYPED: Final = "a draft about zinc rhubarb that was never sent"
SEARCHED: Final = "marmalade"
SETTINGS: Final = {"halonyx.theme", "halonyx.sounds", "halonyx.notifications"}
WINDOW: Final = 16  # bytes of a secret that may not turn up anywhere
CHROMIUM: Final = "/usr/bin/chromium"

DUMP: Final = """async () => {
  const keys = []
  const hex = (bytes) => Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("")
  const walk = async (value) => {
    if (value instanceof CryptoKey) {
      const formats = { private: ["pkcs8", "jwk", "raw"], secret: ["raw", "jwk"], public: ["raw"] }[value.type]
      const read = []
      for (const format of formats) {
        await crypto.subtle.exportKey(format, value).then(() => read.push(format), () => undefined)
      }
      keys.push({ type: value.type, algorithm: value.algorithm.name, extractable: value.extractable, read })
      return { key: keys.length }
    }
    if (value instanceof ArrayBuffer) return { hex: hex(value) }
    if (ArrayBuffer.isView(value)) {
      return { hex: hex(value.buffer.slice(value.byteOffset, value.byteOffset + value.byteLength)) }
    }
    if (value instanceof Map) return { map: await walk([...value]) }
    if (value instanceof Set) return { set: await walk([...value]) }
    if (value instanceof Blob) return { hex: hex(await value.arrayBuffer()) }
    if (value instanceof Date) return { date: value.toISOString() }
    if (typeof value === "bigint") return { big: value.toString() }
    if (Array.isArray(value)) return Promise.all(value.map(walk))
    if (typeof value !== "object" || value === null) return value ?? null
    if (Object.getPrototypeOf(value) !== Object.prototype) throw new Error(`a ${value.constructor.name}`)
    const fields = await Promise.all(Object.entries(value).map(async ([name, field]) => [name, await walk(field)]))
    return Object.fromEntries(fields)
  }
  const settled = (request) => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
  const databases = {}
  for (const { name } of await indexedDB.databases()) {
    const database = await settled(indexedDB.open(name))
    databases[name] = {}
    for (const store of database.objectStoreNames) {
      const table = database.transaction(store).objectStore(store)
      const [found, rows] = await Promise.all([settled(table.getAllKeys()), settled(table.getAll())])
      databases[name][store] = await walk(found.map((key, at) => [key, rows[at]]))
    }
    database.close()
  }
  const cached = {}
  for (const name of await caches.keys()) {
    const cache = await caches.open(name)
    for (const request of await cache.keys()) {
      cached[request.url] = hex(await (await cache.match(request)).arrayBuffer())
    }
  }
  return {
    databases, cached, keys, cookies: document.cookie, history: JSON.stringify(history.state), address: location.href,
    local: { ...localStorage }, session: { ...sessionStorage },
    folders: "storage" in navigator && navigator.storage.getDirectory
      ? await Array.fromAsync((await navigator.storage.getDirectory()).keys()) : [],
  }
}"""

PROBE: Final = """async (raw) => {
  const settled = (request) => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
  const opening = indexedDB.open("probe")
  opening.onupgradeneeded = () => opening.result.createObjectStore("keys")
  const database = await settled(opening)
  const key = await crypto.subtle.importKey("raw", new Uint8Array(raw), "AES-GCM", false, ["encrypt"])
  await settled(database.transaction("keys", "readwrite").objectStore("keys").put(key, 1))
  database.close()
}"""


@dataclass(frozen=True)
class Used:
    """A profile that was used, and closed.

    Attributes:
        dump: What the page could read.
        words: What must not stand anywhere: texts, names, who anyone is, keys.
        secrets: Bytes of the other side's sessions and of identities.
        probe: A key that the page gave to the browser, which may not read it out again.
    """

    profile: Path
    dump: dict[str, Any]
    words: dict[str, str]
    secrets: list[bytes]
    origin: str
    their_origin: str
    cookies: int
    probe: bytes


@pytest.fixture(scope="module")
def used(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Used]:
    """Someone at one relay wrote with someone at another, searched, made settings and left a draft."""
    folder = tmp_path_factory.mktemp("storage")
    with (
        running_relay(folder / "theirs") as theirs,
        running_relay(folder / "ours", HALONYX_PEER_RELAYS=json.dumps([theirs.origin])) as ours,
        peer(folder / "home", theirs.origin) as other,
    ):
        yield _use(playwright, folder / "profile", ours, theirs, other)


def _use(playwright: Playwright, profile: Path, ours: RelayProcess, theirs: RelayProcess, other: Peer) -> Used:
    options: dict[str, Any] = {"viewport": WIDE, "locale": "en-GB"}
    context = playwright.chromium.launch_persistent_context(
        profile, executable_path=CHROMIUM, headless=False, args=list(FLAGS), **options
    )
    context.set_default_timeout(HANGING_MS)
    with watched(context) as wrong:
        page = context.new_page()
        page.goto(ours.origin)
        me = Person(context, page, wrong)
        code = me.create()
        acquaint(me, "Me", other, NAME)
        me.write(NAME, OURS)
        assert other.until(1) == [OURS]
        other.write("Me", [THEIRS])
        me.sees(THEIRS)
        me.sees(OURS, "delivered")
        me.write(NAME, OURS + " again")
        me.sees(OURS + " again", "delivered")
        search = page.get_by_role("searchbox", name="Search people and messages")
        search.fill(SEARCHED)
        expect(page.get_by_role("region", name="Messages").get_by_role("listitem")).to_have_count(2)
        search.fill("")
        page.get_by_role("button", name="Settings").click()
        page.get_by_text("Dark", exact=True).click()
        page.get_by_role("switch", name="Sounds").click()
        page.keyboard.press("Escape")
        me.composer(NAME).fill(TYPED)
        card = Card.parse(me.card())
        page.evaluate("navigator.serviceWorker.ready.then(() => null)")
        dump = page.evaluate(DUMP)
        probe = os.urandom(32)
        page.evaluate(PROBE, list(probe))
        showing = context.new_page()  # fields that are full when the browser ends must not be in what it restores
        showing.goto(ours.origin)
        showing.get_by_role("button", name="Share your card").first.click()
        showing.get_by_label("Your link").wait_for()
        cookies = len(context.cookies())
        assert wrong == []
    context.close()
    mine, yours = card.usid, other.usid
    identities = [mine, yours, address_of(mine), address_of(yours)]
    words = {
        "a text of ours": OURS,
        "a text of theirs": THEIRS,
        "a draft": TYPED,
        "a name": NAME,
        "the recovery code": code,
        "a card": card.link().rpartition("=")[2],
        "the recovery code without hyphens": code.replace("-", ""),
        **{f"identity {number}": value.hex() for number, value in enumerate(identities)},
    }
    return Used(profile, dump, words, [*identities, *_secrets(other)], ours.origin, theirs.origin, cookies, probe)


def _secrets(other: Peer) -> list[bytes]:
    """Return the other side's sessions, whose chain and root keys are the browser's too, and what else is private."""
    columns = {
        "devices": ("sessions",),
        "account": ("identity_private", "signing_seed", "login_seed", "profile_key"),
        "contacts": ("profile_key", "record"),
    }
    found = [
        value
        for table, names in columns.items()
        for row in other.stored(f"SELECT {', '.join(names)} FROM {table}")  # noqa: S608 (constants)
        for value in row
    ]
    assert all(isinstance(value, bytes) for value in found)
    return [bytes(value) for value in found]


def _windows(values: Iterable[bytes]) -> Iterator[bytes]:
    """Return each part of the values that is too varied to be there by chance."""
    for value in values:
        for start in range(len(value) - WINDOW + 1):
            window = value[start : start + WINDOW]
            if len(set(window)) > WINDOW // 2:
                yield window


def _byte_strings(value: object) -> Iterator[bytes]:
    """Return all byte strings of a dump."""
    if isinstance(value, dict):
        if set(value) == {"hex"}:
            yield bytes.fromhex(value["hex"])
        for field in value.values():
            yield from _byte_strings(field)
    elif isinstance(value, list):
        for entry in value:
            yield from _byte_strings(entry)


def _spellings(word: str) -> list[bytes]:
    """Return a word as a browser may write it: one byte or two a character, and as JSON."""
    return [word.encode("utf-8"), word.encode("utf-16-le"), json.dumps(word)[1:-1].encode("ascii")]


def test_the_page_finds_no_word_of_anyone_in_the_browser(used: Used) -> None:
    """Bytes count in whatever encoding they hide: every byte string is looked through for every spelling."""
    shown = json.dumps({name: part for name, part in used.dump.items() if name != "cached"}, ensure_ascii=False)
    hidden = list(_byte_strings(used.dump["databases"]))
    hidden += [bytes.fromhex(content) for content in used.dump["cached"].values()]
    assert sum(map(len, hidden)) > 10_000

    words = used.words | {"the relay of a contact": used.their_origin}
    for kind, word in words.items():
        assert word.lower() not in shown.lower(), kind
        assert not any(spelling in content for content in hidden for spelling in _spellings(word)), kind
    databases = json.dumps(used.dump["databases"])
    assert used.origin not in databases


def test_no_key_is_there_in_the_clear(used: Used) -> None:
    """The other side has the same chain keys, so it knows what to look for."""
    contents = b"\0".join([*_byte_strings(used.dump["databases"]), json.dumps(used.dump["databases"]).encode()])
    there = {contents[start : start + WINDOW] for start in range(len(contents) - WINDOW + 1)}
    secrets = list(_windows(used.secrets))

    assert len(secrets) > 500
    assert [secret.hex() for secret in secrets if secret in there] == []


def test_no_stored_key_can_be_read_out(used: Used) -> None:
    keys = used.dump["keys"]

    assert {key["algorithm"] for key in keys} >= {"AES-GCM", "HMAC", "X25519", "Ed25519"}
    assert len(keys) > 100  # one-time prekeys among them
    for key in keys:
        assert key["type"] in {"private", "secret"}
        assert (key["extractable"], key["read"]) == (False, [])


def test_every_row_is_sealed_but_keys_and_indexes(used: Used) -> None:
    databases = used.dump["databases"]
    assert set(databases) == {"halonyx"}
    tables = dict(databases["halonyx"])
    device = dict(map(tuple, tables.pop("device")))
    assert set(device) == {"keys", "revision"}
    assert all(rows for name, rows in tables.items() if name in {"account", "contacts", "messages", "prekeys"})
    for rows in tables.values():
        for _, row in rows:
            assert set(row) >= {"sealed", "keys"}
            for name, field in row.items():
                if name not in {"sealed", "keys"}:
                    assert isinstance(field, (int, str)), name
    states = {field for rows in tables.values() for _, row in rows for field in row.values() if isinstance(field, str)}
    named = {state for state in states if not _is_hex(state)}
    assert named <= {"accepted", "delivered", "received", "waiting", "request", "sealed", "resend"}


def _is_hex(text: str) -> bool:
    return len(text) >= 32 and set(text) <= set("0123456789abcdef")


def test_nothing_else_is_kept(used: Used) -> None:
    assert set(used.dump["local"]) <= SETTINGS
    assert used.dump["local"]["halonyx.theme"] == "dark"
    assert set(used.dump["local"].values()) <= {"dark", "light", "system", "on", "off"}
    assert used.dump["session"] == {}
    assert (used.dump["cookies"], used.cookies, used.dump["folders"]) == ("", 0, [])
    assert used.dump["address"] == used.origin + "/"
    assert {address.removeprefix(used.origin + "/").split("/")[0] for address in used.dump["cached"]} <= {
        "assets",
        "index.html",
        "manifest.webmanifest",
        "icon.svg",
        "icon-192.png",
        "icon-512.png",
        "icon-maskable-512.png",
    }


def test_no_word_of_anyone_is_in_the_files_of_the_profile(used: Used) -> None:
    files = [path for path in used.profile.rglob("*") if path.is_file()]
    contents = {path.relative_to(used.profile): path.read_bytes() for path in files}
    assert any("IndexedDB" in path.parts for path in contents)

    for kind, word in used.words.items():
        for path, content in contents.items():
            assert not any(spelling in content for spelling in _spellings(word)), f"{kind} in {path}"
    for path, content in contents.items():
        for secret in used.secrets:
            assert secret[:WINDOW] not in content, path


def test_chromium_writes_keys_to_disk_as_they_are(used: Used) -> None:
    """What docs/reference/web.md says of a copied profile: no page can read such a key, but its file has the bytes."""
    files = [path for path in used.profile.rglob("*") if path.is_file() and "IndexedDB" in str(path)]

    assert any(used.probe in path.read_bytes() for path in files)
