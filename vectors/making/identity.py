"""identity.json: recovery code, account keys, record, directory objects, contact card."""

import base64
from dataclasses import replace

from vectors.making.book import Book, Fields
from vectors.making.people import ALICE, BOB, MALLORY, ORIGIN, Account, device_of
from vectors.making.reference import (
    NOW,
    Drawn,
    be,
    bytes_for,
    ed25519_public,
    ed25519_sign,
    expand,
    flip,
    hs,
    put,
    seal,
)

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
VERSION = 1_760_000_000
KEYS_AT = 14 + 32  # version, type, version u32, created u64, salt
ORIGINS_AT = KEYS_AT + 32 + 1952


def make(drawn: Drawn) -> Book:
    """Return the file."""
    book = Book(
        "identity.md", "Recovery code, account keys, USID and address, account record, directory objects, card."
    )
    _recovery(book)
    _keys(book)
    _record(book, drawn)
    _record_refusals(book, drawn)
    _record_checks(book, drawn)
    _origins(book)
    _objects(book, drawn)
    _card(book)
    return book


def base32(data: bytes, count: int) -> str:
    """Return the first `count` characters of Crockford base32."""
    bits = "".join(f"{byte:08b}" for byte in data)
    return "".join(ALPHABET[int(bits[at : at + 5], 2)] for at in range(0, 5 * count, 5))


def _code(entropy: bytes) -> str:
    return base32(entropy, 32) + base32(hs("recovery checksum", entropy), 4)


def _grouped(text: str) -> str:
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))


def _recovery(book: Book) -> None:
    entropy = ALICE.entropy
    code = _grouped(_code(entropy))
    place, operation = "Recovery code", "recovery_code_parse"
    book.ok(place, "recovery_code_encode", "twenty bytes", {"entropy": entropy}, {"text": code})
    zero = _grouped(_code(bytes(20)))
    book.ok(place, operation, "as shown", {"text": code}, {"entropy": entropy})
    typed = " " + zero.lower().replace("0", "o").replace("-", " ") + "\n"
    book.ok(place, operation, "as typed: lower case, spaces, o for 0", {"text": typed}, {"entropy": bytes(20)})
    for name, text in (
        ("last character missing", code[:-1]),
        ("a character too many", code + "0"),
        ("one character wrong", ("1" if code[0] == "0" else "0") + code[1:]),
        ("two characters swapped", code[1] + code[0] + code[2:]),
        ("checksum wrong", code[:-1] + ("1" if code[-1] == "0" else "0")),
        ("letter U", "U" + code[1:]),
        ("character outside the alphabet", "*" + code[1:]),
        ("empty", ""),
        ("without its checksum", code[:-5]),
    ):
        book.refuse(place, operation, name, {"text": text}, "malformed")
    for name, wrong in (("nineteen bytes", entropy[:-1]), ("twenty-one bytes", entropy + b"\x00"), ("no bytes", b"")):
        book.refuse(place, "recovery_code_encode", name, {"entropy": wrong}, "misuse")


def _keys(book: Book) -> None:
    seed = expand(ALICE.entropy, "account seed", 32)
    management = ALICE.derive("management key")
    output = {
        "account_seed": seed,
        "ed25519_seed": ALICE.ed25519_seed,
        "ed25519": ALICE.ed25519,
        "mldsa65_seed": ALICE.mldsa65_seed,
        "mldsa65": ALICE.mldsa65,
        "management_seed": management,
        "management_key": ed25519_public(management),
        "salt": ALICE.salt,
        "account_fingerprint": ALICE.fingerprint,
        "usid": ALICE.usid,
        "address": ALICE.address,
        "directory_key": expand(ALICE.usid, "directory key", 32),
        "request_key": expand(ALICE.usid, "request key", 16),
    }
    book.ok("Account keys", "account_keys", "everything from twenty bytes", {"entropy": ALICE.entropy}, output)
    for name, wrong in (
        ("nineteen bytes", ALICE.entropy[:-1]),
        ("twenty-one bytes", ALICE.entropy + b"\x00"),
        ("no bytes", b""),
    ):
        book.refuse("Account keys", "account_keys", name, {"entropy": wrong}, "misuse")
    _device(book)


def _device(book: Book) -> None:
    device = ALICE.device
    given = {"address": ALICE.address, "device": device.public()}
    book.ok("Devices", "device_fingerprint", "one device", given, {"device_fingerprint": ALICE.device_fingerprint})
    for name, changes, code in (
        ("identity key of 31 bytes", {"identity_key": device.identity_key[:-1]}, "malformed"),
        ("identity key non-canonical", {"identity_key": b"\xff" * 32}, "bad-key"),
        ("signing key of 33 bytes", {"signing_key": device.signing_key + b"\x00"}, "malformed"),
        ("signing key of small order", {"signing_key": b"\x01" + bytes(31)}, "bad-key"),
    ):
        changed = {"address": ALICE.address, "device": device.public() | changes}
        book.refuse("Devices", "device_fingerprint", name, changed, code)


def _fields(account: Account, record: bytes, devices: list[Fields], origins: list[str]) -> Fields:
    return {
        "version": VERSION,
        "created": NOW,
        "salt": account.salt,
        "ed25519": account.ed25519,
        "mldsa65": account.mldsa65,
        "origins": origins,
        "devices": devices,
        "account_fingerprint": account.fingerprint,
        "usid": account.usid,
        "address": account.address,
        "record_hash": hs("record hash", record),
    }


def _record(book: Book, drawn: Drawn) -> None:
    place, operation = "Account record", "record_parse"
    one = ALICE.record(drawn)
    fields = _fields(ALICE, one, [ALICE.device.public()], [ORIGIN])
    book.ok(place, operation, "one device, one origin", {"record": one}, fields)
    second = device_of("alice", 7)
    origins = (b"https://one.example", b"https://two.example:8443", b"http://localhost:3000")
    two = ALICE.signed(drawn, ALICE.body(VERSION, (ALICE.device, second), origins))
    names = [origin.decode("ascii") for origin in origins]
    fields = _fields(ALICE, two, [ALICE.device.public(), second.public()], names)
    book.ok(place, operation, "two devices, three origins", {"record": two}, fields)


def _record_refusals(book: Book, drawn: Drawn) -> None:
    place, operation = "Account record", "record_parse"
    device, good = ALICE.device, ALICE.record(drawn)
    body = ALICE.body(VERSION, (device,))
    devices_at = len(body) - 75
    many = tuple(device_of("alice", number) for number in range(1, 10))
    for name, changed in (
        ("type 2", put(body, 1, b"\x02")),
        ("record version 0", put(body, 2, bytes(4))),
        ("no origin", body[:ORIGINS_AT] + b"\x00" + body[devices_at:]),
        ("four origins", ALICE.body(VERSION, (device,), tuple(b"https://%d.example" % n for n in range(4)))),
        ("empty origin", body[:ORIGINS_AT] + b"\x01\x00" + body[devices_at:]),
        ("origin that is not ASCII", ALICE.body(VERSION, (device,), ("https://rel\u00e4y.example".encode(),))),
        ("origin with a path", ALICE.body(VERSION, (device,), (b"https://relay.example/",))),
        ("plain http beyond loopback", ALICE.body(VERSION, (device,), (b"http://relay.example",))),
        ("origin length beyond the record", put(body, ORIGINS_AT + 1, b"\xff")),
        ("no device", body[:devices_at] + b"\x00"),
        ("nine devices", ALICE.body(VERSION, many)),
        ("device id 0", ALICE.body(VERSION, (replace(device, id=0),))),
        ("device flag set", put(body, devices_at + 2, b"\x01")),
        ("same device id twice", ALICE.body(VERSION, (device, replace(many[1], id=1)))),
        ("device ids descend", ALICE.body(VERSION, (many[1], device))),
    ):
        book.refuse(place, operation, name, {"record": ALICE.signed(drawn, changed)}, "malformed")
    low = (b"\x01" + bytes(31), bytes([0xED]) + b"\xff" * 30 + b"\x7f")
    for name, changed in (
        ("account key of small order", put(body, KEYS_AT, low[0])),
        ("device identity key non-canonical", put(body, devices_at + 11, low[1])),
        ("device signing key of small order", put(body, devices_at + 43, low[0])),
    ):
        book.refuse(place, operation, name, {"record": ALICE.signed(drawn, changed)}, "bad-key")
    book.refuse(place, operation, "format version 2", {"record": put(good, 0, b"\x02")}, "unsupported-version")
    for name, data in (
        ("empty", b""),
        ("one byte", good[:1]),
        ("last byte missing", good[:-1]),
        ("trailing byte", good + b"\x00"),
        ("longer than any record", good + bytes(6766 - len(good))),
    ):
        book.refuse(place, operation, name, {"record": data}, "malformed")
    classical = ed25519_sign(ALICE.ed25519_seed, "account record", body)
    signature = drawn.mldsa65_sign(ALICE.mldsa65_seed, "account record", body)
    other_label = drawn.mldsa65_sign(ALICE.mldsa65_seed, "login", body)
    for name, data in (
        ("Ed25519 signature changed", flip(good, len(body))),
        ("ML-DSA-65 signature changed", flip(good, len(body) + 64)),
        ("Ed25519 under another label", body + ed25519_sign(ALICE.ed25519_seed, "login", body) + signature),
        ("ML-DSA-65 under another context", body + classical + other_label),
        ("Ed25519 by another account", body + ed25519_sign(BOB.ed25519_seed, "account record", body) + signature),
        ("body changed after signing: created", flip(good, 13)),
        ("body changed after signing: salt", flip(good, 14)),
        ("body changed after signing: device key", flip(good, len(body) - 64)),
        ("another's ML-DSA-65 key", put(good, KEYS_AT + 32, MALLORY.mldsa65)),
    ):
        book.refuse(place, operation, name, {"record": data}, "bad-signature")


def _record_checks(book: Book, drawn: Drawn) -> None:
    place, operation = "Checking a record", "record_check"
    old, new = ALICE.record(drawn, VERSION), ALICE.record(drawn, VERSION + 500)
    other = ALICE.signed(drawn, ALICE.body(VERSION, (device_of("alice", 2),)))
    base: Fields = {"record": new, "usid": ALICE.usid, "seen": old, "named": VERSION}
    book.ok(place, operation, "newer than seen and named, whatever lay between", base, {"version": VERSION + 500})
    for name, changes, code in (
        ("another account's record", {"usid": BOB.usid}, "untrusted-identity"),
        ("older than seen", {"record": old, "seen": new, "named": 0}, "stale-directory"),
        ("older than named by the contact", {"record": old, "named": VERSION + 1}, "stale-directory"),
        ("older than named by the card, nothing seen", {"seen": None, "named": VERSION + 501}, "stale-directory"),
        ("same version, other bytes", {"record": other}, "stale-directory"),
    ):
        book.refuse(place, operation, name, base | changes, code)


def _origins(book: Book) -> None:
    place, operation = "Origins", "origin"
    for text in ("https://relay.example", "http://[::1]:8080"):
        book.ok(place, operation, text, {"origin": text}, {"origin": text})
    for name, text in (
        ("upper case", "https://Relay.example"),
        ("default port written out", "https://relay.example:443"),
        ("default port of http", "http://localhost:80"),
        ("port 0", "https://relay.example:0"),
        ("port beyond 65535", "https://relay.example:65536"),
        ("user name", "https://me@relay.example"),
        ("no scheme", "relay.example"),
        ("other scheme", "ftp://relay.example"),
        ("256 characters", "https://" + "a" * 248),
        ("trailing newline", "https://relay.example\n"),
    ):
        book.refuse(place, operation, name, {"origin": text}, "malformed")


def _objects(book: Book, drawn: Drawn) -> None:
    place = "Directory objects"
    nonce = bytes_for("object nonce", 12)
    content = ALICE.record(drawn)[:200]
    for name, use, device, prekey_id in (("a record's slot", 0, 0, 0), ("a prekey's slot", 4, 1, 17)):
        slot: Fields = {"usid": ALICE.usid, "use": use, "device": device, "id": prekey_id}
        associated = ALICE.address + be(use, 1) + be(device, 1) + be(prekey_id, 4)
        sealed = nonce + seal(expand(ALICE.usid, "directory key", 32), nonce, content, associated)
        output = {"associated_data": associated, "sealed": sealed}
        sealing = slot | {"content": content, "nonce": nonce}
        book.ok(place, "object_seal", name, sealing, output)
        # Numbers one beyond their field: to whoever cuts them off, another slot.
        for case, changes in (
            ("nonce of 11 bytes", {"nonce": nonce[:-1]}),
            ("nonce of 16 bytes", {"nonce": nonce + bytes(4)}),
            ("use beyond a byte", {"use": 256 + use}),
            ("device beyond a byte", {"device": 256 + device}),
            ("id beyond four bytes", {"id": 2**32 + prekey_id}),
        ):
            book.refuse(place, "object_seal", f"{name}: {case}", sealing | changes, "misuse")
        opened = slot | {"sealed": sealed}
        for case, changes, code in (
            ("another use", {"use": use + 1}, "authentication-failed"),
            ("another device", {"device": device + 1}, "authentication-failed"),
            ("another id", {"id": prekey_id + 1}, "authentication-failed"),
            ("another account", {"usid": BOB.usid}, "authentication-failed"),
            ("nonce changed", {"sealed": flip(sealed, 0)}, "authentication-failed"),
            ("tag changed", {"sealed": flip(sealed, len(sealed) - 1)}, "authentication-failed"),
            ("27 bytes", {"sealed": sealed[:27]}, "malformed"),
        ):
            book.refuse(place, "object_open", f"{name}: {case}", opened | changes, code)


def card_text(body: bytes) -> str:
    """Return a card's text with its checksum."""
    return base64.urlsafe_b64encode(body + hs("card checksum", body)[:4]).rstrip(b"=").decode("ascii")


def _card(book: Book) -> None:
    place, operation = "Contact card", "card_parse"
    origin = ORIGIN.encode("ascii")
    body = b"\x01\x31" + be(VERSION, 4) + ALICE.usid + be(len(origin), 1) + origin
    text = card_text(body)
    uri, link = f"halonyx:{text}", f"{ORIGIN}/#add={text}"
    output = {"origin": ORIGIN, "usid": ALICE.usid, "record_version": VERSION, "uri": uri, "link": link}
    book.ok(place, operation, "URI", {"text": uri}, output)
    book.ok(place, operation, "link, white space around it", {"text": f" {link}\n"}, output)
    other = body[:38] + be(5, 1) + b"x.com"
    letter = "B" if text[10] == "A" else "A"
    for name, wrong, code in (
        ("one character wrong", f"halonyx:{text[:10]}{letter}{text[11:]}", "malformed"),
        ("last character missing", uri[:-1], "malformed"),
        ("padding", uri + "=", "malformed"),
        ("character outside base64url", f"halonyx:{text[:-1]}+", "malformed"),
        ("another scheme", f"signal:{text}", "malformed"),
        ("empty", "", "malformed"),
        ("link of another relay", f"https://other.example/#add={text}", "malformed"),
        ("type of a QR code", f"halonyx:{card_text(put(body, 1, b'0'))}", "malformed"),
        ("version 2", f"halonyx:{card_text(put(body, 0, bytes([2])))}", "unsupported-version"),
        ("trailing byte", f"halonyx:{card_text(body + bytes(1))}", "malformed"),
        ("origin without scheme", f"halonyx:{card_text(other)}", "malformed"),
        ("801 characters", uri.ljust(801, "A"), "malformed"),
        ("unused bits set", "halonyx:" + _with_unused_bits(text), "malformed"),
    ):
        book.refuse(place, operation, name, {"text": wrong}, code)


def _with_unused_bits(text: str) -> str:
    """Return another spelling of the same bytes: the last character's unused bits set."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + letters[letters.index(text[-1]) + 1]
