"""files.json: container, chunked encryption, offers, states and names."""

from vectors.making import file_offers
from vectors.making.book import Book, Fields
from vectors.making.chunked_reference import CHUNK, HEADER, MAX_SIZE, SEALED, Run, Sealing, blank, padded, sealed_size
from vectors.making.reference import Drawn, be, bytes_for, expand, flip, sha256

KEY = bytes_for("file key")
SALT = bytes_for("file salt", 24)
CYCLE = bytes(range(256))
LENGTHS = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 5)
PATHS = "Encryption", "chunked_decrypt"


def make(drawn: Drawn) -> Book:
    """Return the file."""
    del drawn  # nothing here is drawn
    book = Book("files.md", "Files: container, chunked encryption, offers and their states, names on disk.")
    _secrets(book)
    _encrypt(book)
    _decrypt(book)
    _cut_off(book)
    _altered(book)
    _manifests(book)
    _bad_manifests(book)
    _bad_paths(book)
    _containers(book)
    file_offers.add(book)
    return book


def _secrets(book: Book) -> None:
    for name, key in (("a random key", KEY), ("zeros", bytes(32))):
        output: Fields = {
            "tracker_token": expand(key, "tracker token", 16),
            "drop_id": expand(key, "drop id", 16),
            "drop_deletion_key": expand(key, "drop deletion key", 16),
        }
        book.ok("File key", "file_secrets", name, {"key": key}, output)


def _encrypt(book: Book) -> None:
    operation = "chunked_encrypt"
    for size in (0, CHUNK, 3 * CHUNK + 5):
        whole, rest = divmod(size, len(CYCLE))
        runs: list[Run] = [{"bytes": CYCLE, "times": whole}, {"bytes": CYCLE[:rest], "times": 1}]
        sealing = Sealing.of(KEY, SALT)
        ciphertext = sealing.encrypt(CYCLE * whole + CYCLE[:rest])
        result = {
            "header": ciphertext[:HEADER],
            "ciphertext_size": len(ciphertext),
            "ciphertext_hash": sha256(ciphertext),
        }
        given: Fields = {"key": KEY, "salt": SALT, "plaintext": runs}
        book.ok("Encryption", operation, f"{size} bytes", given, sealing.values() | result)
    for size in (0, 16, 31, 33, 64):
        given = {"key": bytes(size), "salt": SALT, "plaintext": []}
        book.refuse("Encryption", operation, f"a key of {size} bytes", given, "misuse")
    for size in (0, 12, 16, 23, 25, 32):
        given = {"key": KEY, "salt": bytes(size), "plaintext": []}
        book.refuse("Encryption", operation, f"a salt of {size} bytes", given, "misuse")


def _decrypt(book: Book) -> None:
    """Add successes; every plaintext is chosen so that its ciphertext is zeros between tags, and short to write."""
    for size in LENGTHS:
        sealing = Sealing.of(KEY, SALT)
        plaintext = sealing.blank_plaintext(size)
        output = {"plaintext_size": size, "plaintext_hash": sha256(plaintext)}
        book.ok(*PATHS, f"{size} bytes", _given(sealing.blank_runs(size)), sealing.values() | output)
    other = Sealing.of(KEY, SALT, b"another context")
    output = {"plaintext_size": 5, "plaintext_hash": sha256(other.blank_plaintext(5))}
    given = _given(other.blank_runs(5), context=b"another context")
    book.ok(*PATHS, "another context", given, other.values() | output)


def _given(runs: list[Run], **changes: object) -> Fields:
    return {"key": KEY, "context": b"halonyx/1 file content", "ciphertext": runs} | changes


def _cut_off(book: Book) -> None:
    """Add ciphertexts that lack an end, or have too much of one."""
    size = 3 * CHUNK + 5
    sealing = Sealing.of(KEY, SALT)
    header, *chunks = sealing.blank_runs_by_chunk(size)
    end = b"".join(run["bytes"] * run["times"] for run in chunks[3])
    for name, runs, code in (
        ("nothing", [], "malformed"),
        ("a header of 55 bytes", blank(header[0]["bytes"][:-1]), "malformed"),
        ("a header and no chunk", header, "malformed"),
        ("cut off behind chunk 0: a last chunk of full length", [*header, *chunks[0]], "malformed"),
        ("cut off behind chunk 1", [*header, *chunks[0], *chunks[1]], "malformed"),
        ("cut off behind chunk 2", [*header, *chunks[0], *chunks[1], *chunks[2]], "malformed"),
        ("15 bytes of the last chunk", [*header, *chunks[0], *chunks[1], *chunks[2], *blank(end[:15])], "malformed"),
        ("16 bytes of the last chunk", [*header, *chunks[0], *chunks[1], *chunks[2], *blank(end[:16])], None),
        ("last byte missing", [*header, *chunks[0], *chunks[1], *chunks[2], *blank(end[:-1])], None),
        ("cut off within chunk 1", [*header, *chunks[0], *blank(bytes(CHUNK - 1))], None),
        ("cut off in chunk 1's tag", [*header, *chunks[0], *blank(bytes(SEALED - 1))], None),
        ("trailing byte", [*header, *chunks[0], *chunks[1], *chunks[2], *chunks[3], *blank(b"\x00")], None),
        ("an empty chunk behind the last", [*sealing.blank_runs(5), *sealing.blank_chunk(1, 0)], None),
        ("a full chunk where the last belongs, and 16 bytes", [*header, *chunks[0], *blank(bytes(16))], None),
    ):
        book.refuse(*PATHS, name, _given(runs), code or "authentication-failed")


def _altered(book: Book) -> None:
    """Add ciphertexts whose parts are moved, changed, or another file's."""
    sealing, other = Sealing.of(KEY, SALT), Sealing.of(KEY, bytes_for("another file salt", 24))
    header, *chunks = sealing.blank_runs_by_chunk(3 * CHUNK + 5)
    head = header[0]["bytes"]
    tag = chunks[1][1]["bytes"]
    body = [run for chunk in chunks for run in chunk]
    for name, runs in (
        ("chunks 0 and 1 swapped", [*header, *chunks[1], *chunks[0], *chunks[2], *chunks[3]]),
        ("chunks 1 and 2 swapped", [*header, *chunks[0], *chunks[2], *chunks[1], *chunks[3]]),
        ("chunk 0 twice", [*header, *chunks[0], *chunks[0], *chunks[1], *chunks[2], *chunks[3]]),
        ("chunk 2 twice", [*header, *chunks[0], *chunks[1], *chunks[2], *chunks[2], *chunks[3]]),
        ("last chunk twice", [*header, *body, *chunks[3]]),
        ("chunk 0 missing", [*header, *chunks[1], *chunks[2], *chunks[3]]),
        ("chunk 1 missing", [*header, *chunks[0], *chunks[2], *chunks[3]]),
        ("last chunk first", [*header, *chunks[3], *chunks[0], *chunks[1], *chunks[2]]),
        ("another file's chunk 1", [*header, *chunks[0], *other.blank_chunk(1, CHUNK), *chunks[2], *chunks[3]]),
        ("another file's last chunk", [*header, *chunks[0], *chunks[1], *chunks[2], *other.blank_chunk(3, 5)]),
        ("first bit of chunk 0 flipped", [*header, *blank(b"\x80" + bytes(CHUNK - 1)), *body[1:]]),
        ("last bit of chunk 0 flipped", [*header, *blank(bytes(CHUNK - 1) + b"\x01"), *body[1:]]),
        ("a bit of chunk 1's tag flipped", [*header, *body[:3], *blank(flip(tag, 0)), *body[4:]]),
        ("a bit of the last tag flipped", [*header, *body[:-1], *blank(flip(body[-1]["bytes"], 15))]),
        ("first bit of the commitment flipped", [*blank(flip(head, 24)), *body]),
        ("last bit of the commitment flipped", [*blank(flip(head, HEADER - 1)), *body]),
        ("a bit of the salt flipped", [*blank(flip(head, 0)), *body]),
        ("another file's header", [*other.blank_runs(0)[:1], *body]),
    ):
        book.refuse(*PATHS, name, _given(runs), "authentication-failed")
    whole = sealing.blank_runs(5)
    book.refuse(*PATHS, "wrong key", _given(whole, key=bytes_for("another key")), "authentication-failed")
    book.refuse(*PATHS, "no context", _given(whole, context=b""), "authentication-failed")
    for size in (0, 31, 33):
        book.refuse(*PATHS, f"a key of {size} bytes", _given(whole, key=bytes(size)), "misuse")


def manifest(*entries: tuple[str | bytes, int], count: int | None = None) -> bytes:
    """Return a manifest."""
    data = b"\x01" + be(len(entries) if count is None else count, 4)
    for path, size in entries:
        raw = path.encode() if isinstance(path, str) else path
        data += be(len(raw), 2) + raw + be(size, 8)
    return data


def _manifests(book: Book) -> None:
    deep = "/".join(["d" * 203] * 5) + "/abcd"
    for name, entries in (
        ("one file of no bytes", (("empty", 0),)),
        ("one file just below 256 KiB with its manifest", (("a", 256 * 1024 - 16),)),
        ("one byte more than 256 KiB", (("a", 256 * 1024 - 15),)),
        ("5 GB in a path of 1,024 bytes", ((deep, 5_000_000_000),)),
        ("the largest container", (("a", MAX_SIZE + 1 - 2**45 - 16),)),
        ("a folder", (("a.txt", 5), ("b/c.txt", 0), ("b/ä ö", 2**32), ("b.txt", 1), ("…/.hidden", 7))),
        ("255 bytes between slashes", (("ä" * 127 + "x/y", 1),)),
    ):
        data = manifest(*entries)
        total = sum(size for _, size in entries)
        output: Fields = {
            "entries": [{"path": path, "size": size} for path, size in entries],
            "content_size": total,
            "unpadded_size": len(data) + total,
            "padded_size": padded(len(data) + total),
            "ciphertext_size": sealed_size(padded(len(data) + total)),
        }
        book.ok("Container", "manifest_parse", name, {"manifest": data}, output)


def _bad_manifests(book: Book) -> None:
    good = manifest(("a", 1), ("b", 2))
    for name, data, code in (
        ("empty", b"", "malformed"),
        ("version 0", b"\x00" + good[1:], "unsupported-version"),
        ("version 2", b"\x02" + good[1:], "unsupported-version"),
        ("no file", manifest(), "malformed"),
        ("10,001 files", manifest(count=10_001), "malformed"),
        ("2^32 - 1 files", manifest(count=2**32 - 1), "malformed"),
        ("a file less than counted", manifest(("a", 1), count=2), "malformed"),
        ("a file more than counted", manifest(("a", 1), ("b", 1), count=1), "malformed"),
        ("last byte missing", good[:-1], "malformed"),
        ("trailing byte", good + b"\x00", "malformed"),
        ("path of 1,025 bytes", manifest(("/".join(["d" * 204] * 5) + "/", 1)), "malformed"),
        ("path that is not UTF-8", manifest((b"\xff", 1)), "malformed"),
        ("path with a surrogate", manifest((b"\xed\xa0\x80", 1)), "malformed"),
        ("size over what can be encrypted", manifest(("a", MAX_SIZE + 1)), "malformed"),
        ("size of 2^64 - 1", manifest(("a", 2**64 - 1)), "malformed"),
        ("sum over what can be encrypted", manifest(("a", MAX_SIZE), ("b", MAX_SIZE)), "malformed"),
        ("padded over what can be encrypted", manifest(("a", MAX_SIZE - 2**45)), "malformed"),
        ("one path twice", manifest(("a", 1), ("a", 1)), "malformed"),
        ("two paths but for case", manifest(("Straße", 1), ("STRASSE", 1)), "malformed"),
        ("two paths but for composition", manifest(("\u00e4", 1), ("a\u0308", 1)), "malformed"),
        ("a file where a folder is", manifest(("a/b", 1), ("a", 1)), "malformed"),
        ("a file where a folder is, but for case", manifest(("A", 1), ("a b", 1), ("a/b", 1)), "malformed"),
    ):
        book.refuse("Container", "manifest_parse", name, {"manifest": data}, code)


def _bad_paths(book: Book) -> None:
    for name, path in (
        ("empty path", ""),
        ("absolute path", "/etc/passwd"),
        ("a way out", "../a"),
        ("a way out in the middle", "a/../../b"),
        ("a dot", "./a"),
        ("a dot alone", "."),
        ("two slashes", "a//b"),
        ("slash at the end", "a/"),
        ("backslash", "a\\b"),
        ("NUL", "a\x00b"),
        ("line break", "a\nb"),
        ("DEL", "a\x7fb"),
        ("C1 control character", "a\x9bb"),
        ("component of 256 bytes", "d" * 256),
        ("component of 256 bytes, fewer characters", "ä" * 128),
    ):
        book.refuse("Names", "manifest_parse", name, {"manifest": manifest((path, 1))}, "malformed")


def _containers(book: Book) -> None:
    place, operation = "Container", "container_open"
    head = manifest(("a", 3), ("empty", 0), ("b/c", 1000))
    runs: list[Run] = [{"bytes": head + b"abc", "times": 1}, {"bytes": b"\x07", "times": 1000}]
    used = len(head) + 1003
    whole: list[Run] = [*runs, {"bytes": b"\x00", "times": 256 * 1024 - used}]
    contents = [{"path": "a", "hash": sha256(b"abc")}, {"path": "empty", "hash": sha256(b"")}]
    output = {"size": 256 * 1024, "files": [*contents, {"path": "b/c", "hash": sha256(b"\x07" * 1000)}]}
    book.ok(place, operation, "three files", {"container": whole}, output)
    exact = manifest(("a", 256 * 1024 - 16))
    full: list[Run] = [{"bytes": exact, "times": 1}, {"bytes": b"\x01", "times": 256 * 1024 - 16}]
    files = [{"path": "a", "hash": sha256(b"\x01" * (256 * 1024 - 16))}]
    book.ok(place, operation, "no padding", {"container": full}, {"size": 256 * 1024, "files": files})
    zeros = 256 * 1024 - used
    for name, changed, code in (
        ("nothing", [], "malformed"),
        ("version 2", [*blank(b"\x02"), *blank(whole[0]["bytes"][1:]), *whole[1:]], "unsupported-version"),
        ("half a manifest", blank(head[:9]), "malformed"),
        ("first byte of padding not zero", [*runs, *blank(b"\x01" + bytes(zeros - 1))], "malformed"),
        ("last byte of padding not zero", [*runs, *blank(bytes(zeros - 1) + b"\x80")], "malformed"),
        ("no padding where it belongs", runs, "malformed"),
        ("padding a byte short", [*runs, *blank(bytes(zeros - 1))], "malformed"),
        ("padding a byte long", [*whole, *blank(b"\x00")], "malformed"),
        ("padded to the next size", [*whole, *blank(bytes(8192))], "malformed"),
        ("10,001 folders", _chains(512 * 19 + 293), "malformed"),
    ):
        book.refuse(place, operation, name, {"container": changed}, code)


def _chains(components: int) -> list[Run]:
    """Return a container of empty files, each below as many folders as a path has room for."""
    runs: list[Run] = [{"bytes": b"\x01" + be(-(-components // 512), 4), "times": 1}]
    for at in range(0, components, 512):
        deep = min(512, components - at) - 2
        first = b"%c/" % (ord("b") + at // 512)
        path: Run = {"bytes": b"a/", "times": deep}
        runs += [*blank(be(2 * deep + 3, 2) + first), path, *blank(b"a" + be(0, 8))]
    used = sum(len(run["bytes"]) * run["times"] for run in runs)
    return [*runs, {"bytes": b"\x00", "times": 256 * 1024 - used}]
