"""conventions.json: HS, key derivation, and what the key decoders refuse."""

import hashlib

from vectors.making.book import Book, Fields
from vectors.making.reference import (
    Drawn,
    bytes_for,
    ed25519_public,
    ed25519_sign,
    expand,
    flip,
    hs,
    label,
    mldsa65_public,
    mlkem_public,
    put,
    seal,
    x25519,
    x25519_public,
)

PRIME = 2**255 - 19
LOW_ORDER = (
    ("u = 0", bytes(32)),
    ("u = 1", b"\x01" + bytes(31)),
    ("order 8, first", bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")),
    ("order 8, second", bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157")),
    ("u = p - 1", (PRIME - 1).to_bytes(32, "little")),
)
SMALL_ORDER = (
    ("identity, y = 1", b"\x01" + bytes(31)),
    ("y = 0", bytes(32)),
    ("y = 0, sign bit set", bytes(31) + b"\x80"),
    ("y = -1", (PRIME - 1).to_bytes(32, "little")),
    ("order 8, first", bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")),
    ("order 8, first, sign bit set", bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85")),
    ("order 8, second", bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")),
    (
        "order 8, second, sign bit set",
        bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"),
    ),
)


def make(drawn: Drawn) -> Book:
    """Return the file."""
    book = Book("conventions.md", "HS, key derivation, and the key and ciphertext decoders of the primitives.")
    _derivations(book)
    _x25519(book)
    _ed25519(book)
    _mldsa65(book, drawn)
    _mlkem(book, drawn)
    _aead(book)
    return book


def _derivations(book: Book) -> None:
    parts = [bytes_for("part one", 32), b"", b"\x01"]
    given = {"label": label("device").decode("ascii"), "parts": parts}
    book.ok("HS", "hs", "three parts, one of them empty", given, {"digest": hs("device", *parts)})
    ikm, salt, context = bytes_for("ikm", 32), bytes(32), bytes_for("context", 16)
    for name, used_salt, used_context, size in (
        ("no salt, no context", b"", b"", 32),
        ("salt and context, 96 bytes", salt, context, 96),
    ):
        fields: Fields = {"ikm": ikm, "label": label("session id").decode("ascii"), "salt": used_salt}
        okm = expand(ikm, "session id", size, used_context, used_salt)
        fields = fields | {"context": used_context}
        book.ok("Key derivation", "hkdf", name, fields | {"size": size}, {"okm": okm})
        # RFC 5869 section 2.3: at most 255 blocks. 65,568 is 32 to whoever keeps 16 bits.
        for wrong in (0, 8161, 65_568):
            book.refuse("Key derivation", "hkdf", f"{name}: {wrong:,} bytes asked", fields | {"size": wrong}, "misuse")


def _x25519(book: Book) -> None:
    ours, theirs = bytes_for("x25519 ours"), x25519_public(bytes_for("x25519 theirs"))
    output = {"our_public": x25519_public(ours), "shared_secret": x25519(ours, theirs)}
    book.ok("Primitives", "x25519", "exchange", {"private": ours, "public": theirs}, output)
    for name, public in LOW_ORDER:
        book.refuse("Primitives", "x25519", f"low order: {name}", {"private": ours, "public": public}, "bad-key")
    for name, number in (("u = p", PRIME), ("u = p + 1", PRIME + 1), ("u = 2^255 - 1", 2**255 - 1)):
        given = {"private": ours, "public": number.to_bytes(32, "little")}
        book.refuse("Primitives", "x25519", f"non-canonical: {name}", given, "bad-key")
    book.refuse("Primitives", "x25519", "top bit set", {"private": ours, "public": flip(theirs, 31, 0x80)}, "bad-key")
    for name, public in (("31 bytes", theirs[:31]), ("33 bytes", theirs + b"\x00"), ("no bytes", b"")):
        book.refuse("Primitives", "x25519", f"public key of {name}", {"private": ours, "public": public}, "malformed")
    book.refuse(
        "Primitives", "x25519", "private key of 31 bytes", {"private": ours[:31], "public": theirs}, "malformed"
    )


def _ed25519(book: Book) -> None:
    seed, body = bytes_for("ed25519"), bytes_for("body", 40)
    signature = ed25519_sign(seed, "login", body)
    good: Fields = {
        "public_key": ed25519_public(seed),
        "label": label("login").decode("ascii"),
        "body": body,
        "signature": signature,
    }
    book.ok("Primitives", "ed25519_verify", "valid signature", good, {})
    # s + L: the same signature in a second spelling, which RFC 8032 forbids.
    order = 2**252 + 27742317777372353535851937790883648493
    second = (int.from_bytes(signature[32:], "little") + order).to_bytes(32, "little")
    for name, changes in (
        ("first bit of R changed", {"signature": flip(signature, 0)}),
        ("last bit of s changed", {"signature": flip(signature, 63)}),
        ("s not reduced", {"signature": signature[:32] + second}),
        ("signature of 63 bytes", {"signature": signature[:63]}),
        ("signature of 65 bytes", {"signature": signature + b"\x00"}),
        ("another label", {"label": label("rest request").decode("ascii")}),
        ("body shorter by a byte", {"body": body[:-1]}),
        ("another key", {"public_key": ed25519_public(bytes_for("ed25519 other"))}),
    ):
        book.refuse("Primitives", "ed25519_verify", name, good | changes, "bad-signature")
    for name, key in SMALL_ORDER:
        # A = identity: R = s·B verifies for every message in libraries that do not look.
        forged = {"public_key": key, "signature": b"\x01" + bytes(63)}
        book.refuse("Primitives", "ed25519_verify", f"small order: {name}", good | forged, "bad-key")
    for name, number in (("y = p", PRIME), ("y = p + 1", PRIME + 1), ("y = 2^255 - 1", 2**255 - 1)):
        key = number.to_bytes(32, "little")
        book.refuse("Primitives", "ed25519_verify", f"non-canonical: {name}", good | {"public_key": key}, "bad-key")
    book.refuse("Primitives", "ed25519_verify", "key of 31 bytes", good | {"public_key": bytes(31)}, "malformed")


def _mldsa65(book: Book, drawn: Drawn) -> None:
    seed, body = bytes_for("mldsa65"), bytes_for("body", 40)
    public, signature = mldsa65_public(seed), drawn.mldsa65_sign(seed, "account record", body)
    good: Fields = {
        "public_key": public,
        "label": label("account record").decode("ascii"),
        "body": body,
        "signature": signature,
    }
    book.ok("Primitives", "mldsa65_verify", "valid signature", good, {})
    for name, changes, code in (
        ("one bit changed", {"signature": flip(signature, 100)}, "bad-signature"),
        ("another context", {"label": label("login").decode("ascii")}, "bad-signature"),
        ("signature one byte short", {"signature": signature[:-1]}, "bad-signature"),
        ("another body", {"body": flip(body, 0)}, "bad-signature"),
        ("key one byte short", {"public_key": public[:-1]}, "malformed"),
    ):
        book.refuse("Primitives", "mldsa65_verify", name, good | changes, code)


def _mlkem(book: Book, drawn: Drawn) -> None:
    for bits, size in ((768, 1088), (1024, 1568)):
        seed = bytes_for(f"mlkem{bits}", 64)
        ciphertext, secret = drawn.encapsulate(seed, bits, "conventions")
        given = {"bits": bits, "seed": seed, "ciphertext": ciphertext}
        output = {"public_key": mlkem_public(seed, bits), "shared_secret": secret}
        book.ok("Primitives", "mlkem_decapsulate", f"ML-KEM-{bits}", given, output)
        for name, changes in (
            ("one byte short", {"ciphertext": ciphertext[:-1]}),
            ("one byte long", {"ciphertext": ciphertext + b"\x00"}),
            ("ciphertext of the other size", {"ciphertext": bytes(1088 + 1568 - size)}),
            ("no ciphertext", {"ciphertext": b""}),
            ("seed of 63 bytes", {"seed": seed[:63]}),
            ("seed of 65 bytes", {"seed": seed + b"\x00"}),
        ):
            book.refuse("Primitives", "mlkem_decapsulate", f"ML-KEM-{bits}: {name}", given | changes, "malformed")
        book.ok(
            "Primitives",
            "mlkem_decapsulate",
            f"ML-KEM-{bits}: altered ciphertext gives another secret, no error",
            given | {"ciphertext": flip(ciphertext, size // 2)},
            output | {"shared_secret": _implicit_rejection(seed, flip(ciphertext, size // 2))},
        )
        public = mlkem_public(seed, bits)
        for name, wrong, code in (
            ("coefficient of 4,095", put(public, 0, b"\xff\xff\xff"), "bad-key"),
            ("coefficient of 3,329", put(public, 0, b"\x01\x0d" + bytes([public[2]])), "bad-key"),
            ("one byte short", public[:-1], "malformed"),
            ("one byte long", public + b"\x00", "malformed"),
        ):
            given_key = {"public_key": wrong}
            book.refuse("Primitives", "mlkem_public_key", f"ML-KEM-{bits}: {name}", given_key, code)


def _implicit_rejection(seed: bytes, ciphertext: bytes) -> bytes:
    """Return J(z ‖ c) of FIPS 203: SHAKE-256 over the second half of the seed and the ciphertext."""
    return hashlib.shake_256(seed[32:] + ciphertext).digest(32)


def _aead(book: Book) -> None:
    key, nonce, associated = bytes_for("aead key"), bytes_for("aead nonce", 12), bytes_for("ad", 20)
    plaintext = b"halonyx"
    ciphertext = seal(key, nonce, plaintext, associated)
    good: Fields = {"key": key, "nonce": nonce, "ciphertext": ciphertext, "associated_data": associated}
    book.ok("Primitives", "aead_open", "valid", good, {"plaintext": plaintext})
    for name, changes, code in (
        ("ciphertext bit changed", {"ciphertext": flip(ciphertext, 0)}, "authentication-failed"),
        ("tag bit changed", {"ciphertext": flip(ciphertext, len(ciphertext) - 1)}, "authentication-failed"),
        ("associated data changed", {"associated_data": associated[:-1]}, "authentication-failed"),
        ("shorter than a tag", {"ciphertext": ciphertext[:15]}, "authentication-failed"),
        ("nonce of 16 bytes", {"nonce": nonce + bytes(4)}, "misuse"),
        ("nonce of 8 bytes", {"nonce": nonce[:8]}, "misuse"),
        ("key of 16 bytes", {"key": key[:16]}, "misuse"),
    ):
        book.refuse("Primitives", "aead_open", name, good | changes, code)
