"""safety-number.json: digits and QR payload."""

import hashlib

from vectors.making.book import Book, Fields
from vectors.making.people import ALICE, BOB, MALLORY, Account
from vectors.making.reference import Drawn, flip, put


def make(drawn: Drawn) -> Book:
    """Return the file."""
    del drawn
    book = Book("safety-number.md", "The sixty digits and the QR payload.")
    _digits(book)
    _codes(book)
    return book


def party(account: Account) -> Fields:
    """Return one side."""
    return {"fingerprint": account.fingerprint, "address": account.address}


def half_of(account: Account) -> tuple[bytes, bytes, str]:
    """Return h_0, h_5199 and the thirty digits of one side."""
    first = digest = hashlib.sha512(b"halonyx/1 safety number\x00\x01" + account.fingerprint + account.address).digest()
    for _ in range(5199):
        digest = hashlib.sha512(digest + account.fingerprint).digest()
    groups = [int.from_bytes(digest[at : at + 5], "big") % 100_000 for at in range(0, 30, 5)]
    return first, digest, " ".join(f"{group:05d}" for group in groups)


def _digits(book: Book) -> None:
    for name, ours, theirs in (("Alice's screen", ALICE, BOB), ("Bob's screen shows the same", BOB, ALICE)):
        first, second = half_of(ours), half_of(theirs)
        output: Fields = {
            "our_h0": first[0],
            "our_digest": first[1],
            "our_half": first[2],
            "their_half": second[2],
            "safety_number": " ".join(sorted((first[2], second[2]))),
        }
        book.ok("Digits", "safety_number", name, {"ours": party(ours), "theirs": party(theirs)}, output)


def code_of(ours: Account, theirs: Account) -> bytes:
    """Return the QR payload of one side."""
    return b"\x01\x30" + ours.fingerprint + ours.address + theirs.fingerprint + theirs.address


def _codes(book: Book) -> None:
    place = "QR"
    sides: Fields = {"ours": party(ALICE), "theirs": party(BOB)}
    book.ok(place, "qr_encode", "what Alice shows", sides, {"payload": code_of(ALICE, BOB)})
    for name, changes in _misfits():
        book.refuse(place, "qr_encode", name, sides | changes, "misuse")
    scanned = code_of(BOB, ALICE)
    book.ok(place, "qr_match", "Alice scans Bob", sides | {"payload": scanned}, {"is_match": True})
    for name, payload in (
        ("our own code", code_of(ALICE, BOB)),
        ("Bob knows another Alice", code_of(BOB, MALLORY)),
        ("somebody else's code", code_of(MALLORY, ALICE)),
        ("their fingerprint, one bit", flip(scanned, 2)),
        ("their address, one bit", flip(scanned, 34)),
        ("our fingerprint, one bit", flip(scanned, 66)),
        ("our address, last bit", flip(scanned, 129)),
    ):
        book.ok(place, "qr_match", f"no match: {name}", sides | {"payload": payload}, {"is_match": False})
    for size in (0, 1, 2, 3, 33, 34, 65, 66, 97, 98, 128, 129):
        given = sides | {"payload": scanned[:size]}
        book.refuse(place, "qr_match", f"{size} bytes", given, "malformed")
    for name, payload, code in (
        ("131 bytes", scanned + b"\x00", "malformed"),
        ("131 bytes, the first zero", b"\x00" + scanned, "unsupported-version"),
        ("both codes, one behind the other", scanned + code_of(ALICE, BOB), "malformed"),
        ("version 0", put(scanned, 0, b"\x00"), "unsupported-version"),
        ("version 2", put(scanned, 0, b"\x02"), "unsupported-version"),
        ("version 255", put(scanned, 0, b"\xff"), "unsupported-version"),
        ("type 0", put(scanned, 1, b"\x00"), "malformed"),
        ("type of a message", put(scanned, 1, b"\x10"), "malformed"),
        ("type of a card", put(scanned, 1, b"\x31"), "malformed"),
        ("type with the top bit set", put(scanned, 1, b"\xb0"), "malformed"),
    ):
        book.refuse(place, "qr_match", name, sides | {"payload": payload}, code)
    for name, changes in _misfits():
        book.refuse(place, "qr_match", f"scanning: {name}", sides | changes | {"payload": scanned}, "misuse")


def _misfits() -> list[tuple[str, Fields]]:
    """Return each side with a fingerprint or address of another size, which would move all that stands behind it."""
    found: list[tuple[str, Fields]] = []
    for side, account in (("ours", ALICE), ("theirs", BOB)):
        good = party(account)
        for part, value in (("fingerprint", account.fingerprint), ("address", account.address)):
            found.append((f"{side}: {part} of 31 bytes", {side: good | {part: value[:-1]}}))
            found.append((f"{side}: {part} of 33 bytes", {side: good | {part: value + b"\x00"}}))
    return found
