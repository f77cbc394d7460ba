"""The part of files.json about what two people say: offers, states; and about names on disk."""

from dataclasses import asdict, dataclass, replace

from vectors.making.book import Book, Fields
from vectors.making.chunked_reference import padded, sealed_size
from vectors.making.reference import be, bytes_for, put

KEY = bytes_for("file key")
OFFER_ID = bytes_for("message", 16)
JPEG = b"\xff\xd8\xff\xe0" + bytes_for("thumbnail", 60)
WEBP = b"RIFF" + be(56, 4)[::-1] + b"WEBP" + bytes_for("thumbnail", 52)


def single_size(name: str, size: int) -> int:
    """Return the ciphertext size of one file."""
    return sealed_size(padded(15 + len(name.encode()) + size))


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer; a text may be bytes, to be wrong."""

    is_folder: bool = False
    in_drop: bool = False
    size: int = 1_000_000
    count: int = 1
    ciphertext_size: int = single_size("photo.jpg", 1_000_000)
    origin: str | bytes = "https://relay.example"
    name: str | bytes = "photo.jpg"
    media_type: str = "image/jpeg"
    thumbnail: bytes = JPEG

    def body(self) -> bytes:
        """Return the body of the message."""
        flags = (1 if self.is_folder else 0) | (2 if self.in_drop else 0)
        data = be(1, 1) + be(flags, 1) + KEY + be(self.size, 8) + be(self.count, 4) + be(self.ciphertext_size, 8)
        data += bytes_for("ciphertext hash") + bytes_for("info hash", 20)
        for value, size in ((self.origin, 2), (self.name, 2), (self.media_type, 1)):
            raw = value if isinstance(value, bytes) else value.encode()
            data += be(len(raw), size) + raw
        return data + be(len(self.thumbnail), 2) + self.thumbnail

    def fields(self) -> Fields:
        """Return the fields."""
        hashes: Fields = {"ciphertext_hash": bytes_for("ciphertext hash"), "info_hash": bytes_for("info hash", 20)}
        return {"key": KEY} | hashes | asdict(self)


FOLDER = Offer(
    is_folder=True, count=3, size=300_000, ciphertext_size=sealed_size(padded(300_100)), media_type="", thumbnail=b""
)


def add(book: Book) -> None:
    """Add the vectors."""
    _offers(book)
    _bad_offers(book)
    _bad_sizes(book)
    _states(book)
    _names(book)
    _paths(book)


def _offers(book: Book) -> None:
    long = "n" * 251 + ".txt"
    longest = Offer(
        name=long,
        size=2**40,
        ciphertext_size=single_size(long, 2**40),
        media_type="a" * 127 + "/" + "b" * 127,
        thumbnail=b"\xff\xd8\xff" + bytes(16_381),
    )
    for name, offer in (
        ("an image", Offer()),
        ("a folder in the drop", replace(FOLDER, in_drop=True, name="Fotos ä", origin="http://localhost:3000")),
        ("an empty file", Offer(size=0, name="a", ciphertext_size=single_size("a", 0), media_type="", thumbnail=b"")),
        ("a WebP thumbnail", Offer(thumbnail=WEBP, media_type="application/vnd.x+json")),
        ("longest name and thumbnail", longest),
    ):
        book.ok("Offer", "offer_parse", name, {"body": offer.body()}, offer.fields())


def _bad_offers(book: Book) -> None:
    good = Offer().body()
    for name, body, code in (
        ("empty", b"", "malformed"),
        ("version 0", put(good, 0, b"\x00"), "unsupported-version"),
        ("version 2", put(good, 0, b"\x02"), "unsupported-version"),
        ("unknown flag", put(good, 1, b"\x04"), "malformed"),
        ("last byte missing", good[:-1], "malformed"),
        ("trailing byte", good + b"\x00", "malformed"),
    ):
        book.refuse("Offer", "offer_parse", name, {"body": body}, code)
    for name, offer in (
        ("origin with a path", Offer(origin="https://relay.example/")),
        ("origin in plain http", Offer(origin="http://relay.example")),
        ("no origin", Offer(origin="")),
        ("origin that is not ASCII", Offer(origin="https://rélay.example")),
        ("no name", Offer(name="")),
        ("name of 256 bytes", Offer(name="n" * 256, ciphertext_size=single_size("n" * 256, 1_000_000))),
        ("name with a slash", Offer(name="photo/jpg")),
        ("name with a backslash", Offer(name="photo\\jpg")),
        ("name ..", Offer(name="..")),
        ("name with a line break", Offer(name="photo\njpg")),
        ("name that is not UTF-8", Offer(name=b"photo.jp\xff")),
        ("media type in upper case", Offer(media_type="image/JPEG")),
        ("media type with parameters", Offer(media_type="text/plain; charset=x")),
        ("media type without a slash", Offer(media_type="image")),
        ("media type without a subtype", Offer(media_type="image/")),
        ("media type with a line break", Offer(media_type="image/jpeg\n")),
        ("media type of 128 characters before the slash", Offer(media_type="a" * 128 + "/b")),
        ("media type that is not ASCII", Offer(media_type="image/ä")),
        ("thumbnail in PNG", Offer(thumbnail=b"\x89PNG\r\n\x1a\n")),
        ("thumbnail in SVG", Offer(thumbnail=b"<svg/>")),
        ("thumbnail of two bytes of JPEG", Offer(thumbnail=b"\xff\xd8")),
        ("thumbnail of another RIFF", Offer(thumbnail=b"RIFF\x00\x00\x00\x00WAVE")),
        ("thumbnail of 16,385 bytes", Offer(thumbnail=b"\xff\xd8\xff" + bytes(16_382))),
    ):
        book.refuse("Offer", "offer_parse", name, {"body": offer.body()}, "malformed")


def _bad_sizes(book: Book) -> None:
    size = single_size("photo.jpg", 1_000_000)
    most = sealed_size(padded(5 + 3 * 1034 + 300_000))
    for name, offer in (
        ("no file", replace(FOLDER, count=0)),
        ("two files without a folder", Offer(count=2)),
        ("10,001 files", replace(FOLDER, count=10_001)),
        ("size of 2^64 - 1", Offer(size=2**64 - 1)),
        ("size over what can be encrypted", Offer(size=2**52)),
        ("ciphertext of no bytes", Offer(ciphertext_size=0)),
        ("ciphertext that no plaintext becomes", Offer(ciphertext_size=56 + 16_400)),
        ("ciphertext of 2^64 - 1 bytes", Offer(ciphertext_size=2**64 - 1)),
        ("ciphertext a byte short", Offer(ciphertext_size=size - 1)),
        ("ciphertext a byte long", Offer(ciphertext_size=size + 1)),
        ("ciphertext of the next padded size", Offer(ciphertext_size=sealed_size(padded(1_015_809)))),
        ("ciphertext without padding", Offer(ciphertext_size=sealed_size(15 + 9 + 1_000_000))),
        ("folder smaller than its files", replace(FOLDER, ciphertext_size=sealed_size(262_144))),
        ("folder larger than the longest paths", replace(FOLDER, ciphertext_size=most + 8192 + 16)),
        ("folder of a size between padded ones", replace(FOLDER, ciphertext_size=sealed_size(303_000))),
    ):
        book.refuse("Offer", "offer_parse", name, {"body": offer.body()}, "malformed")


def _states(book: Book) -> None:
    place, operation = "State", "file_state_parse"
    for name, state, reason in (
        ("accepted", 1, 0),
        ("in the drop", 6, 0),
        ("failed: wrong hash", 7, 1),
        ("damaged", 7, 3),
        ("still offered", 8, 0),
    ):
        output: Fields = {"offer": OFFER_ID, "state": state, "reason": reason}
        book.ok(place, operation, name, {"body": OFFER_ID + be(state, 1) + be(reason, 1)}, output)
    for name, body in (
        ("empty", b""),
        ("an id alone", OFFER_ID),
        ("no reason", OFFER_ID + b"\x01"),
        ("trailing byte", OFFER_ID + b"\x01\x00\x00"),
        ("state 0", OFFER_ID + b"\x00\x00"),
        ("state 9", OFFER_ID + b"\x09\x00"),
        ("state 255", OFFER_ID + b"\xff\x00"),
        ("accepted with a reason", OFFER_ID + b"\x01\x01"),
        ("cancelled with a reason", OFFER_ID + b"\x03\x02"),
        ("still offered with a reason", OFFER_ID + b"\x08\x01"),
        ("in the drop with a reason", OFFER_ID + b"\x06\x02"),
        ("refused with a reason", OFFER_ID + b"\x02\x03"),
        ("failed without a reason", OFFER_ID + b"\x07\x00"),
        ("failed for reason 4", OFFER_ID + b"\x07\x04"),
        ("failed for reason 255", OFFER_ID + b"\x07\xff"),
    ):
        book.refuse(place, operation, name, {"body": body}, "malformed")


def _names(book: Book) -> None:
    joined = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 👩\u200d🚀.txt"
    for cause, pairs in (
        ("nothing to change", ("photo.jpg", "Grüße 你好 👋.txt", joined, "console.txt", "_", "a..b", "a-b~c")),
        ("nothing left", (("", "file"), ("...", "file"), ("\u202e", "file"), (" \n ", "file"), ("\ud800", "file"))),
        (
            "dots, dashes, tildes and spaces in front",
            ((".bashrc", "_bashrc"), ("-rf", "_rf"), ("~root", "_root"), (" .a", "_a"), ("..\u200b/x", "__x")),
        ),
        ("dots and spaces at the end", (("a.txt. .", "a.txt"), ("  a.txt ", "a.txt"), ("a.\u202e", "a"))),
        (
            "characters that are not seen",
            (
                ("photo\u202egpj.exe", "photogpj.exe"),
                ("a\u2066b\u2069\u061c.txt", "ab.txt"),
                ("a\u200bb\ufeff\u00ad\u3164.txt", "ab.txt"),
                ("a\U000e0041b.txt", "ab.txt"),
                ("a\x00b\x1bc\x7f\x9b.txt", "abc.txt"),
                ("a\ud800b", "ab"),
            ),
        ),
        (
            "white space",
            (("photo.jpg" + " \u00a0\u3000\t" * 9 + ".exe", "photo.jpg .exe"), ("a\r\nb\u2028c\x85d", "a b c d")),
        ),
        (
            "characters and devices of Windows",
            (
                ('a:b*c?d"e<f>g|h\\i/j', "a_b_c_d_e_f_g_h_i_j"),
                *(("CON", "_CON"), ("nul.txt", "_nul.txt"), ("Lpt1 .txt", "_Lpt1 .txt"), ("com\u00b9", "_com\u00b9")),
                *(("conin$.a.b", "_conin$.a.b"), (" aux", "_aux"), ("co\u200bm0", "_com0")),
            ),
        ),
        ("composition", (("a\u0308.txt", "\u00e4.txt"), ("COM1\u212a", "COM1K"), ("a\u200b\u0308", "\u00e4"))),
        (
            "over 255 bytes",
            (
                ("n" * 300 + ".jpeg", "n" * 250 + ".jpeg"),
                ("ä" * 200 + ".gz", "ä" * 126 + ".gz"),
                ("n" * 300 + "." + "e" * 16, "n" * 255),
                ("n" * 250 + "." + "n" * 9, "n" * 245 + "." + "n" * 9),
                ("n" * 250 + " " + "n" * 9 + ".jpg", "n" * 250 + ".jpg"),
                ("NUL." + "n" * 253, "_NUL." + "n" * 250),
            ),
        ),
    ):
        whole = [(pair, pair) if isinstance(pair, str) else pair for pair in pairs]
        names, safe = [list(column) for column in zip(*whole, strict=True)]
        book.ok("Saved names", "safe_names", cause, {"names": names}, {"names": safe})


def _paths(book: Book) -> None:
    for name, given, saved in (
        ("nothing to change", ["a/b.txt", "a/c", "d"], ["a/b.txt", "a/c", "d"]),
        ("two names that become one", ["a\u202e.txt", "a.txt"], ["a.txt", "a (2).txt"]),
        ("two that differ in case", ["a?", "A*", "a_"], ["a_", "A_ (2)", "a_ (3)"]),
        ("the mark is taken", ["x (2)", "x", "x\u200b"], ["x (2)", "x", "x (3)"]),
        ("two folders that become one", ["con/x", "_con/x", "con/y"], ["_con/x", "_con (2)/x", "_con/y"]),
        ("a file and a folder that become one", ["a\u200b", "a/b"], ["a", "a (2)/b"]),
        ("a repository", ["p/.git/hooks/pre-push"], ["p/_git/hooks/pre-push"]),
        ("long names", ["n" * 255, "N" * 255], ["n" * 255, "N" * 251 + " (2)"]),
    ):
        book.ok("Saved names", "safe_paths", name, {"paths": given}, {"paths": saved})
