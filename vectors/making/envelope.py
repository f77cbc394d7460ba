"""envelope.json: buckets, sealing and opening in both forms, payload, content."""

from vectors.making.book import Book, Fields
from vectors.making.content import add as add_content
from vectors.making.people import ALICE, BOB, ENVELOPE
from vectors.making.reference import (
    Drawn,
    be,
    bytes_for,
    expand,
    flip,
    mlkem_public,
    put,
    seal,
    x25519,
    x25519_public,
)

PREKEY_ID = 4
SIZES = tuple(1024 << power for power in range(7))
LOW = b"\x01" + bytes(31)
MESSAGE = bytes_for("session message", 120)


def make(drawn: Drawn) -> Book:
    """Return the file."""
    book = Book("envelope.md", "Bucket sizes, classical and hybrid envelopes, payload, content.")
    _buckets(book)
    _access(book)
    _sealing(book, drawn)
    _parse(book, drawn)
    _open_refusals(book, drawn)
    _payload_refusals(book, drawn)
    add_content(book)
    return book


def payload(record: bytes | None, message: bytes = MESSAGE) -> bytes:
    """Return a payload without its padding."""
    behind = b"" if record is None else be(len(record), 2) + record
    flags = b"\x00" if record is None else b"\x01"
    return b"\x01\x22" + flags + ALICE.address + b"\x01" + behind + be(len(message), 4) + message


def sealed(drawn: Drawn, inside: bytes, *, hybrid: bool, size: int | None = None) -> Fields:
    """Return an envelope to Bob with every value on the way."""
    ephemeral = bytes_for("envelope ephemeral")
    private, seed = BOB.prekey_private(ENVELOPE), BOB.envelope_seed
    ciphertext, secret = drawn.encapsulate(seed, 768, "envelope") if hybrid else (b"", b"")
    form = b"\x21" if hybrid else b"\x20"
    header = b"\x01" + form + be(PREKEY_ID, 4) + x25519_public(ephemeral) + ciphertext
    ikm = x25519(ephemeral, x25519_public(private)) + secret
    context = form + be(PREKEY_ID, 4) + x25519_public(ephemeral) + x25519_public(private)
    context += (mlkem_public(seed, 768) + ciphertext if hybrid else b"") + BOB.address + BOB.device_fingerprint
    okm = expand(ikm, "envelope key", 44, context)
    size = size or next(bucket for bucket in SIZES if bucket >= len(header) + len(inside) + 16)
    padded = inside.ljust(size - len(header) - 16, b"\x00")
    return {
        "ikm": ikm,
        "context": context,
        "key": okm[:32],
        "nonce": okm[32:],
        "payload": inside,
        "envelope": header + seal(okm[:32], okm[32:], padded, header),
    }


def opener() -> Fields:
    """Return what Bob opens with."""
    return {
        "prekey": PREKEY_ID,
        "x25519_private": BOB.prekey_private(ENVELOPE),
        "mlkem768_seed": BOB.envelope_seed,
        "address": BOB.address,
        "device_fingerprint": BOB.device_fingerprint,
    }


def _buckets(book: Book) -> None:
    for size, bucket in ((1024, 1024), (1025, 2048), (65_536, 65_536)):
        book.ok("Padding", "bucket", f"{size} bytes", {"size": size}, {"bucket": bucket})
    # From 2^31 on: what a signed or a cut-off integer takes for less.
    for name, size in (
        ("65,537 bytes", 65_537),
        ("65 KiB", 65 * 1024),
        ("128 KiB", 128 * 1024),
        ("16 MiB", 2**24),
        ("2^31 bytes", 2**31),
        ("2^32 bytes", 2**32),
        ("2^32 + 1,024 bytes", 2**32 + 1024),
        ("2^48 bytes", 2**48),
        ("2^53 - 1 bytes", 2**53 - 1),
    ):
        book.refuse("Padding", "bucket", name, {"size": size}, "misuse")


def _access(book: Book) -> None:
    profile = bytes_for("profile key")
    given: Fields = {"profile_key": profile, "usid": BOB.usid}
    output = {"access_key": expand(profile, "access key", 16), "request_key": expand(BOB.usid, "request key", 16)}
    book.ok("Access", "access_keys", "both keys of a mailbox", given, output)


def _sealing(book: Book, drawn: Drawn) -> None:
    record = ALICE.record(drawn)
    for name, hybrid, enclosed in (("classical", False, None), ("hybrid, with the record", True, record)):
        made = sealed(drawn, payload(enclosed), hybrid=hybrid)
        ciphertext, secret = drawn.encapsulate(BOB.envelope_seed, 768, "envelope")
        given: Fields = {
            "prekey": PREKEY_ID,
            "x25519_public": x25519_public(BOB.prekey_private(ENVELOPE)),
            "mlkem768_public": mlkem_public(BOB.envelope_seed, 768),
            "address": BOB.address,
            "device_fingerprint": BOB.device_fingerprint,
            "sender": ALICE.address,
            "device": 1,
            "record": enclosed,
            "message": MESSAGE,
            "ephemeral_private": bytes_for("envelope ephemeral"),
            "kem_ciphertext": ciphertext if hybrid else None,
            "kem_secret": secret if hybrid else None,
        }
        book.ok("Sealing", "envelope_seal", name, given, made)
        low = given | {"x25519_public": LOW}
        book.refuse("Sealing", "envelope_seal", f"{name}: prekey of low order", low, "bad-key")
        _sealing_refusals(book, name, given)
        output: Fields = {"sender": ALICE.address, "device": 1, "record": enclosed, "message": MESSAGE}
        book.ok("Opening", "envelope_open", name, opener() | {"envelope": made["envelope"]}, output)
    larger = sealed(drawn, payload(None), hybrid=False, size=4096)
    output = {"sender": ALICE.address, "device": 1, "record": None, "message": MESSAGE}
    name = "a larger bucket than needed"
    book.ok("Opening", "envelope_open", name, opener() | {"envelope": larger["envelope"]}, output)


def _sealing_refusals(book: Book, form: str, given: Fields) -> None:
    high = {"x25519_public": b"\xed" + b"\xff" * 30 + b"\x7f"}
    cases: list[tuple[str, Fields, str]] = [("prekey non-canonical", dict(high), "bad-key")]
    if form == "classical":
        # 38 bytes of header, 40 of payload before the message and 16 of tag leave 65,442.
        cases += [
            ("one byte more than 64 KiB hold", {"message": bytes(65_443)}, "misuse"),
            ("no message", {"message": b""}, "misuse"),
            ("device 256", {"device": 256}, "misuse"),
            ("prekey id 2^32", {"prekey": 2**32}, "misuse"),
        ]
    else:
        public = mlkem_public(BOB.envelope_seed, 768)
        cases += [
            ("ML-KEM key with a coefficient of 4,095", {"mlkem768_public": put(public, 0, b"\xff\xff\xff")}, "bad-key"),
            ("ML-KEM key one byte short", {"mlkem768_public": public[:-1]}, "malformed"),
            ("record longer than any", {"record": bytes(6766)}, "misuse"),
            ("sender of 31 bytes", {"sender": ALICE.address[:-1]}, "misuse"),
        ]
    for name, changes, code in cases:
        book.refuse("Sealing", "envelope_seal", f"{form}: {name}", given | changes, code)


def _classical(drawn: Drawn) -> bytes:
    envelope = sealed(drawn, payload(None), hybrid=False)["envelope"]
    return envelope if isinstance(envelope, bytes) else b""


def _hybrid(drawn: Drawn) -> bytes:
    envelope = sealed(drawn, payload(None), hybrid=True)["envelope"]
    return envelope if isinstance(envelope, bytes) else b""


def _parse(book: Book, drawn: Drawn) -> None:
    place, operation = "Envelope", "envelope_parse"
    good, hybrid = _classical(drawn), _hybrid(drawn)
    for name, data, header in (("classical", good, 38), ("hybrid", hybrid, 1126)):
        fields: Fields = {
            "prekey": PREKEY_ID,
            "ephemeral": data[6:38],
            "kem_ciphertext": data[38:header] if header > 38 else None,
            "header": data[:header],
            "ciphertext": data[header:],
        }
        book.ok(place, operation, name, {"envelope": data}, fields)
    for name, data, code in (
        ("empty", b"", "malformed"),
        ("1,023 bytes", good[:-1], "malformed"),
        ("1,025 bytes", good + b"\x00", "malformed"),
        ("3 KiB", good * 3, "malformed"),
        ("version 0", put(good, 0, b"\x00"), "unsupported-version"),
        ("version 2", put(good, 0, b"\x02"), "unsupported-version"),
        ("form of a payload", put(good, 1, b"\x22"), "malformed"),
        ("form 0", put(good, 1, b"\x00"), "malformed"),
        ("hybrid in 1 KiB", put(good, 1, b"\x21"), "malformed"),
        ("ephemeral key non-canonical", put(good, 6, b"\xed" + b"\xff" * 30 + b"\x7f"), "bad-key"),
        ("ephemeral key with the top bit set", flip(good, 37, 0x80), "bad-key"),
    ):
        book.refuse(place, operation, name, {"envelope": data}, code)


def _open_refusals(book: Book, drawn: Drawn) -> None:
    place, operation = "Opening", "envelope_open"
    for form, data in (("classical", _classical(drawn)), ("hybrid", _hybrid(drawn))):
        good = opener() | {"envelope": data}
        for name, changes in (
            ("prekey id changed", {"envelope": flip(data, 5)}),
            ("ephemeral key changed", {"envelope": flip(data, 6)}),
            ("ciphertext changed", {"envelope": flip(data, 1200 % len(data))}),
            ("tag changed", {"envelope": flip(data, len(data) - 1)}),
            ("another recipient address", {"address": ALICE.address}),
            ("another device fingerprint", {"device_fingerprint": ALICE.device_fingerprint}),
            ("another envelope prekey", {"x25519_private": ALICE.prekey_private(ENVELOPE)}),
        ):
            book.refuse(place, operation, f"{form}: {name}", good | changes, "authentication-failed")
        low = {"envelope": put(data, 6, LOW)}
        book.refuse(place, operation, f"{form}: ephemeral key of low order", good | low, "bad-key")
    hybrid = _hybrid(drawn)
    good = opener() | {"envelope": hybrid}
    for name, changes in (
        ("ML-KEM ciphertext altered", {"envelope": flip(hybrid, 500)}),
        ("another ML-KEM key", {"mlkem768_seed": ALICE.envelope_seed}),
        ("relabelled classical", {"envelope": put(hybrid, 1, b"\x20")}),
    ):
        book.refuse(place, operation, f"hybrid: {name}", good | changes, "authentication-failed")


def _payload_refusals(book: Book, drawn: Drawn) -> None:
    place, operation = "Payload", "envelope_open"
    good = payload(None)
    record = ALICE.record(drawn)
    cut = good[:36]
    for name, inside, code in (
        ("version 2", put(good, 0, b"\x02"), "unsupported-version"),
        ("type of an envelope", put(good, 1, b"\x20"), "malformed"),
        ("unknown flag", put(good, 2, b"\x02"), "malformed"),
        ("device 0", put(good, 35, b"\x00"), "malformed"),
        ("empty message", cut + bytes(4), "malformed"),
        ("message longer than the envelope", cut + be(1000, 4), "malformed"),
        ("message length beyond 64 KiB", cut + be(65_537, 4), "malformed"),
        ("padding that is not zero", good + b"\x00\x01", "malformed"),
        ("all padding", b"", "unsupported-version"),
        ("record flag without a record", put(cut, 2, b"\x01") + be(0, 2) + be(1, 4) + b"x", "malformed"),
        ("record longer than any", put(cut, 2, b"\x01") + be(6766, 2), "malformed"),
    ):
        made = sealed(drawn, inside, hybrid=True)
        book.refuse(place, operation, name, opener() | {"envelope": made["envelope"]}, code)
    classical = sealed(drawn, payload(record), hybrid=False)
    name = "first contact in a classical envelope"
    book.refuse(place, operation, name, opener() | {"envelope": classical["envelope"]}, "malformed")
