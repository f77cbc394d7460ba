"""The part of envelope.json about content: what the ratchet encrypts."""

from vectors.making.book import Book, Fields
from vectors.making.file_offers import Offer
from vectors.making.reference import NOW, be, bytes_for, put

TEXT, RECEIPT, CONTROL, RESEND, FILE, FILE_STATE = 1, 2, 3, 4, 5, 11
IDS = b"".join(bytes_for(f"message {number}", 16) for number in range(3))
PROFILE_KEY = bytes_for("profile key")
RESET = b"\x01" + bytes_for("session", 8)
COUNTERS = be(2, 2) + be(3, 8) + be(5, 8)
STATE = bytes_for("message 0", 16) + b"\x01\x00"
BAD_RESENDS = (
    ("unknown flag", b"\x02" + bytes(8) + be(0, 2)),
    ("session id without its flag", b"\x00" + RESET[1:] + be(0, 2)),
    ("counters descend", RESET + be(2, 2) + be(5, 8) + be(3, 8)),
    ("a counter twice", RESET + be(2, 2) + be(5, 8) + be(5, 8)),
    ("129 counters", RESET + be(129, 2) + b"".join(be(number, 8) for number in range(129))),
    ("last byte missing", (RESET + COUNTERS)[:-1]),
    ("trailing byte", RESET + COUNTERS + b"\x00"),
)


def add(book: Book) -> None:
    """Add the vectors about content."""
    _successes(book)
    _refusals(book)
    _body_refusals(book)


def encoded(
    kind: int,
    body: bytes,
    *,
    flags: int = 0,
    optional: bytes = b"",
    extensions: tuple[tuple[int, bytes], ...] = (),
) -> bytes:
    """Return a content."""
    fixed = bytes_for("message", 16) + be(9, 8) + be(NOW, 8) + bytes_for("conversation", 16)
    names = be(1_760_000_000, 4) + bytes_for("our record") + be(1_760_000_500, 4) + bytes_for("their record")
    behind = be(len(extensions), 1) + b"".join(
        be(number, 2) + be(len(value), 2) + value for number, value in extensions
    )
    return b"\x01" + be(kind, 1) + be(flags, 1) + fixed + names + optional + be(len(body), 4) + body + behind


def fields(kind: int, body: bytes, **changes: object) -> Fields:
    """Return the fields of a content."""
    same: Fields = {
        "kind": kind,
        "message_id": bytes_for("message", 16),
        "counter": 9,
        "sent": NOW,
        "conversation": bytes_for("conversation", 16),
        "sender_record": {"version": 1_760_000_000, "hash": bytes_for("our record")},
        "recipient_record": {"version": 1_760_000_500, "hash": bytes_for("their record")},
        "reply_to": None,
        "expires_after": None,
        "body": body,
        "profile_key": None,
        "is_canonical": True,
    }
    return same | changes


def _successes(book: Book) -> None:
    place, operation = "Content", "content_parse"
    hello = "Grüße, Alice".encode()
    replying = bytes_for("message 0", 16)
    resend = RESET + COUNTERS
    full = encoded(
        TEXT, hello, flags=3, optional=replying + be(3600, 4), extensions=((1, PROFILE_KEY), (0x0ABC, b"new"))
    )
    for name, data, output in (
        ("text", encoded(TEXT, hello), fields(TEXT, hello)),
        (
            "text with every option, and an extension to ignore",
            full,
            fields(TEXT, hello, reply_to=replying, expires_after=3600, profile_key=PROFILE_KEY, is_canonical=False),
        ),
        ("receipt for three messages", encoded(RECEIPT, IDS), fields(RECEIPT, IDS)),
        ("control", encoded(CONTROL, b""), fields(CONTROL, b"")),
        ("resend request", encoded(RESEND, resend), fields(RESEND, resend)),
        ("file offer", encoded(FILE, Offer().body()), fields(FILE, Offer().body())),
        ("file state", encoded(FILE_STATE, STATE), fields(FILE_STATE, STATE)),
    ):
        book.ok(place, operation, name, {"content": data}, output)
    counters: Fields = {"resets": bytes_for("session", 8), "counters": [3, 5]}
    book.ok("Resend", "resend_parse", "two counters and a reset", {"body": resend}, counters)
    for name, body in (("empty", b""), *BAD_RESENDS):
        book.refuse("Resend", "resend_parse", name, {"body": body}, "malformed")


def _refusals(book: Book) -> None:
    place, operation = "Content", "content_parse"
    good = encoded(TEXT, b"hi")
    profile = (1, PROFILE_KEY)
    many = tuple((number, b"") for number in range(2, 19))
    for name, data, code in (
        ("empty", b"", "malformed"),
        ("version 2", put(good, 0, b"\x02"), "unsupported-version"),
        ("version 0", put(good, 0, b"\x00"), "unsupported-version"),
        ("kind 0", encoded(0, b""), "unsupported-version"),
        ("kind 12", encoded(12, b""), "unsupported-version"),
        ("reserved kind: reaction", encoded(6, b""), "unsupported-version"),
        ("reserved kind: edit", encoded(7, b""), "unsupported-version"),
        ("reserved kind: delete", encoded(8, b""), "unsupported-version"),
        ("reserved kind: group", encoded(9, b""), "unsupported-version"),
        ("reserved kind: call", encoded(10, b""), "unsupported-version"),
        ("unknown flag", encoded(TEXT, b"hi", flags=4), "malformed"),
        ("reply to nothing", encoded(TEXT, b"hi", flags=1, optional=bytes(16)), "malformed"),
        ("expires after 0 seconds", encoded(TEXT, b"hi", flags=2, optional=bytes(4)), "malformed"),
        ("last byte missing", good[:-1], "malformed"),
        ("trailing byte", good + b"\x00", "malformed"),
        ("body longer than the content", good[:-7] + be(400, 4) + b"hi\x00", "malformed"),
        ("critical extension", encoded(TEXT, b"hi", extensions=((0x8001, b""),)), "unsupported-version"),
        ("extensions descend", encoded(TEXT, b"hi", extensions=((5, b""), profile)), "malformed"),
        ("extension twice", encoded(TEXT, b"hi", extensions=(profile, profile)), "malformed"),
        ("seventeen extensions", encoded(TEXT, b"hi", extensions=many), "malformed"),
        ("extension of 1,025 bytes", encoded(TEXT, b"hi", extensions=((5, bytes(1025)),)), "malformed"),
        ("profile key of 31 bytes", encoded(TEXT, b"hi", extensions=((1, bytes(31)),)), "malformed"),
    ):
        book.refuse(place, operation, name, {"content": data}, code)


def _body_refusals(book: Book) -> None:
    place, operation = "Content", "content_parse"
    for name, kind, body in (
        ("empty text", TEXT, b""),
        ("text of 16,385 bytes", TEXT, b"a" * 16_385),
        ("text that is not UTF-8", TEXT, b"\xff"),
        ("text with an overlong form", TEXT, b"\xc0\xaf"),
        ("text with a surrogate", TEXT, b"\xed\xa0\x80"),
        ("receipt for nothing", RECEIPT, b""),
        ("receipt of 17 bytes", RECEIPT, bytes(17)),
        ("receipt for 65 messages", RECEIPT, bytes(16 * 65)),
        ("control with a body", CONTROL, b"x"),
        ("file offer of no bytes", FILE, b""),
        ("file offer that is a text", FILE, b"\x01hello"),
        ("file offer with a byte more", FILE, Offer().body() + b"\x00"),
        ("file state of 17 bytes", FILE_STATE, STATE[:-1]),
        ("file state 9", FILE_STATE, STATE[:16] + b"\x09\x00"),
        ("file state with a reason for success", FILE_STATE, STATE[:-1] + b"\x01"),
        *((f"resend: {name}", RESEND, body) for name, body in BAD_RESENDS),
    ):
        book.refuse(place, operation, name, {"content": encoded(kind, body)}, "malformed")
