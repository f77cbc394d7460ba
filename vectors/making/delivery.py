"""delivery.json: frames, logins, signed calls, sign-up work."""

import base64
import hashlib

from vectors.making.book import Book, Fields
from vectors.making.people import ALICE, ORIGIN
from vectors.making.reference import NOW, Drawn, be, bytes_for, ed25519_public, ed25519_sign, flip, put, sha256

RECEIVE, SEND = "/v1/receive", "/v1/send"
CLIENT, RELAY = "client", "relay"
NONCE, EPOCH, ENVELOPE_ID = bytes_for("challenge nonce"), bytes_for("epoch", 8), bytes_for("envelope id", 16)
ENVELOPE = b"\x01" + bytes_for("envelope", 1023)
ACCESS_KEY = bytes_for("access key", 16)
RELAY_SEED, LOGIN_SEED = bytes_for("relay key"), bytes_for("login key")
OPERATOR_SEED, ANNOUNCED = bytes_for("operator key"), b"The relay moves on Sunday."
ORIGIN_BYTES = ORIGIN.encode("ascii")
CREATED = NOW // 1000
Refusal = tuple[str, Fields, str]
BAD_BODIES: tuple[Refusal, ...] = (
    ("nonce of 31 bytes", {"nonce": NONCE[:-1]}, "misuse"),
    ("nonce of 33 bytes", {"nonce": NONCE + b"\x00"}, "misuse"),
    ("no origin", {"origin": ""}, "misuse"),
    ("origin of 256 bytes", {"origin": "https://" + "a" * 248}, "misuse"),
    ("origin that is not ASCII", {"origin": "https://gr\u00fc\u00dfe.example"}, "misuse"),
)
BAD_LOGINS: tuple[Refusal, ...] = (
    ("seed of 31 bytes", {"seed": LOGIN_SEED[:-1]}, "malformed"),
    ("address of 31 bytes", {"address": ALICE.address[:-1]}, "misuse"),
    ("device 0", {"device": 0}, "misuse"),
    ("device 256", {"device": 256}, "misuse"),
)


def make(drawn: Drawn) -> Book:
    """Return the file."""
    del drawn
    book = Book("delivery.md", "Frames of both paths, login, signed calls, sign-up work, base64url.")
    for name, path, sender, frame, fields in _frames():
        _frame(book, name, (path, sender), frame, fields)
    _frame_refusals(book)
    _login(book)
    _announcements(book)
    _signed_calls(book)
    _work(book)
    _base64url(book)
    return book


def challenge_body(nonce: bytes = NONCE, time: int = NOW, origin: bytes = ORIGIN_BYTES) -> bytes:
    """Return what the relay signs."""
    return nonce + be(time, 8) + be(len(origin), 2) + origin


def login_body(nonce: bytes = NONCE, origin: bytes = ORIGIN_BYTES, address: bytes = ALICE.address) -> bytes:
    """Return what device 1 signs."""
    return nonce + be(len(origin), 2) + origin + address + b"\x01\x01"


def announcement(text: bytes = ANNOUNCED, time: int = NOW, head: bytes = b"\x01\x40") -> bytes:
    """Return what the operator signed, with the signature."""
    body = head + be(time, 8) + be(len(text), 2) + text
    return body + ed25519_sign(OPERATOR_SEED, "announcement", body)


def _frames() -> list[tuple[str, str, str, bytes, Fields]]:
    signature = ed25519_sign(RELAY_SEED, "relay challenge", challenge_body())
    answer = ed25519_sign(LOGIN_SEED, "login", login_body())
    address = ALICE.address
    submit: Fields = {"envelope_id": ENVELOPE_ID, "address": address, "device": 1, "key": ACCESS_KEY}
    deliver: Fields = {"seq": 7, "envelope_id": ENVELOPE_ID, "time": NOW, "envelope": ENVELOPE}
    welcome: Fields = {"epoch": EPOCH, "head": 7, "one_time_left": 100, "one_time_kem_left": 99}
    return [
        (
            "CHALLENGE",
            RECEIVE,
            RELAY,
            b"\x01\x01" + NONCE + be(NOW, 8) + signature,
            {"nonce": NONCE, "time": NOW, "signature": signature},
        ),
        (
            "AUTH",
            RECEIVE,
            CLIENT,
            b"\x01\x02" + address + b"\x01" + answer,
            {"address": address, "device": 1, "signature": answer},
        ),
        ("HELLO", RECEIVE, CLIENT, b"\x01\x03" + EPOCH + be(5, 8), {"epoch": EPOCH, "cursor": 5}),
        ("WELCOME", RECEIVE, RELAY, b"\x01\x04" + EPOCH + be(7, 8) + be(100, 2) + be(99, 2), welcome),
        ("DELIVER", RECEIVE, RELAY, b"\x01\x05" + be(7, 8) + ENVELOPE_ID + be(NOW, 8) + ENVELOPE, deliver),
        ("ACK", RECEIVE, CLIENT, b"\x01\x06" + EPOCH + be(7, 8), {"epoch": EPOCH, "upto": 7}),
        ("CAUGHT_UP", RECEIVE, RELAY, b"\x01\x07" + be(7, 8), {"seq": 7}),
        (
            "SUBMIT",
            SEND,
            CLIENT,
            b"\x01\x08" + ENVELOPE_ID + address + b"\x01" + ACCESS_KEY + ENVELOPE,
            submit | {"envelope": ENVELOPE},
        ),
        (
            "ACCEPTED",
            SEND,
            RELAY,
            b"\x01\x09" + ENVELOPE_ID + b"\x04" + be(5, 2),
            {"envelope_id": ENVELOPE_ID, "status": 4, "retry_after_s": 5},
        ),
        ("ANNOUNCE", RECEIVE, RELAY, b"\x01\x0a" + announcement(), {"announcement": announcement()}),
        ("ERROR", SEND, RELAY, b"\x01\x0b\x01", {"code": 1}),
    ]


def _frame(book: Book, name: str, way: tuple[str, str], frame: bytes, fields: Fields) -> None:
    place, operation = "Frames", "frame_parse"
    path, sender = way
    given: Fields = {"path": path, "sender": sender, "frame": frame}
    book.ok(place, operation, name, given, {"type": name, "fields": fields})
    others: Fields = {"sender": CLIENT if sender == RELAY else RELAY}
    for case, changes, code in (
        ("version 2", {"frame": put(frame, 0, b"\x02")}, "unsupported-version"),
        ("sent by the other side", others, "malformed"),
        ("cut off", {"frame": _cut_off(name, frame)}, "malformed"),
    ):
        book.refuse(place, operation, f"{name}: {case}", given | changes, code)
    if name not in {"DELIVER", "SUBMIT", "ANNOUNCE"}:
        book.refuse(place, operation, f"{name}: trailing byte", given | {"frame": frame + b"\x00"}, "malformed")


def _cut_off(name: str, frame: bytes) -> bytes:
    """Cut a frame where its own layout ends, not that of what it carries."""
    if name == "ANNOUNCE":
        return frame[:2]
    return frame[:-1] if len(frame) < 1000 else frame[:18]


def _frame_refusals(book: Book) -> None:
    place, operation = "Frames", "frame_parse"
    frames = {name: (path, sender, frame) for name, path, sender, frame, _ in _frames()}
    submit, deliver = frames["SUBMIT"][2], frames["DELIVER"][2]
    for name, kind, frame in (
        ("AUTH: device 0", "AUTH", put(frames["AUTH"][2], 34, b"\x00")),
        ("SUBMIT: device 0", "SUBMIT", put(submit, 50, b"\x00")),
        ("SUBMIT: envelope of 65,537 bytes", "SUBMIT", submit[:67] + bytes(65_537)),
        ("DELIVER: envelope of 1,023 bytes", "DELIVER", deliver[:-1]),
        ("DELIVER: envelope of 1,025 bytes", "DELIVER", deliver + b"\x00"),
        ("ACCEPTED: unknown status", "ACCEPTED", put(frames["ACCEPTED"][2], 18, b"\x07")),
        ("frame longer than 66 KiB", "SUBMIT", submit.ljust(66 * 1024 + 1, b"\x00")),
        ("type 0", "HELLO", put(frames["HELLO"][2], 1, b"\x00")),
        ("type 12", "HELLO", put(frames["HELLO"][2], 1, b"\x0c")),
        ("SUBMIT on the receiving path", "HELLO", submit),
        ("empty", "HELLO", b""),
        ("one byte", "HELLO", b"\x01"),
    ):
        path, sender, _ = frames[kind]
        book.refuse(place, operation, name, {"path": path, "sender": sender, "frame": frame}, "malformed")


def _login(book: Book) -> None:
    place = "Login"
    signature = ed25519_sign(RELAY_SEED, "relay challenge", challenge_body())
    challenge: Fields = {"nonce": NONCE, "time": NOW, "origin": ORIGIN}
    output: Fields = {"body": challenge_body(), "signature": signature}
    book.ok(place, "challenge_sign", "the relay's challenge", challenge | {"seed": RELAY_SEED}, output)
    short: Refusal = ("seed of 31 bytes", {"seed": RELAY_SEED[:-1]}, "malformed")
    for name, wrong, code in (*BAD_BODIES, short):
        given = challenge | {"seed": RELAY_SEED} | wrong
        book.refuse(place, "challenge_sign", f"challenge: {name}", given, code)
    checked = challenge | {"key": ed25519_public(RELAY_SEED), "signature": signature}
    for name, changes in (
        ("challenge of another relay", {"origin": "https://other.example"}),
        ("challenge at another time", {"time": NOW + 1}),
        ("challenge with another nonce", {"nonce": flip(NONCE, 0)}),
        ("challenge by another relay's key", {"key": ed25519_public(LOGIN_SEED)}),
    ):
        book.refuse(place, "challenge_verify", name, checked | changes, "bad-signature")
    answer = ed25519_sign(LOGIN_SEED, "login", login_body())
    login: Fields = {"nonce": NONCE, "origin": ORIGIN, "address": ALICE.address, "device": 1}
    output = {"body": login_body(), "signature": answer}
    book.ok(place, "login_sign", "a device's answer", login | {"seed": LOGIN_SEED}, output)
    for name, wrong, code in (*BAD_BODIES, *BAD_LOGINS):
        book.refuse(place, "login_sign", f"login: {name}", login | {"seed": LOGIN_SEED} | wrong, code)
    shown = login | {"key": ed25519_public(LOGIN_SEED), "signature": answer}
    for name, changes in (
        ("login replayed on another connection", {"nonce": flip(NONCE, 0)}),
        ("login passed on to another relay", {"origin": "http://localhost:3000"}),
        ("login as another address", {"address": flip(ALICE.address, 31)}),
        ("login as another device", {"device": 2}),
        ("login under the label of calls", {"signature": ed25519_sign(LOGIN_SEED, "rest request", login_body())}),
    ):
        book.refuse(place, "login_verify", name, shown | changes, "bad-signature")


def _announcements(book: Book) -> None:
    place, sign, parse = "Announcements", "announcement_sign", "announcement_parse"
    said: Fields = {"seed": OPERATOR_SEED, "time": NOW, "text": ANNOUNCED.decode("ascii")}
    good, key = announcement(), ed25519_public(OPERATOR_SEED)
    book.ok(place, sign, "the operator's announcement", said, {"announcement": good})
    for name, wrong, code in (
        ("an empty text", {"text": ""}, "misuse"),
        ("a text of 2,001 bytes in 1,001 characters", {"text": "\u00e9" * 1000 + "e"}, "misuse"),
        ("a text of two lines", {"text": "one\ntwo"}, "misuse"),
        ("seed of 31 bytes", {"seed": OPERATOR_SEED[:-1]}, "malformed"),
    ):
        book.refuse(place, sign, f"announcing: {name}", said | wrong, code)
    given: Fields = {"key": key, "announcement": good}
    book.ok(place, parse, "an announcement", given, {"time": NOW, "text": said["text"]})
    longest = "\u20ac".encode() * 666 + b"e."
    output: Fields = {"time": 0, "text": longest.decode("utf-8")}
    book.ok(place, parse, "one of 2,000 bytes", given | {"announcement": announcement(longest, 0)}, output)
    at = len(good) - 64
    for name, wrong_bytes, code in (
        ("unsigned", good[:at], "malformed"),
        ("a signature of 63 bytes", good[:-1], "malformed"),
        ("a byte behind it", good + b"\x00", "malformed"),
        ("a text of 0 bytes", announcement(b""), "malformed"),
        ("a text of 2,001 bytes", announcement(longest + b"."), "malformed"),
        ("a text that is not UTF-8", announcement(b"gr\xfc\xdfe"), "malformed"),
        ("a surrogate", announcement(b"\xed\xa0\x80"), "malformed"),
        ("a line end", announcement(b"one\ntwo"), "malformed"),
        ("an escape", announcement(b"\x1b[2J"), "malformed"),
        ("U+007F", announcement(b"a\x7f"), "malformed"),
        ("U+009F", announcement("a\u009f".encode()), "malformed"),
        ("another type", announcement(head=b"\x01\x41"), "malformed"),
        ("version 2", announcement(head=b"\x02\x40"), "unsupported-version"),
        ("an altered text", put(good, 12, b"W"), "bad-signature"),
        ("an altered time", put(good, 9, bytes((good[9] ^ 1,))), "bad-signature"),
        ("an altered signature", flip(good, at), "bad-signature"),
    ):
        book.refuse(place, parse, f"announcement: {name}", given | {"announcement": wrong_bytes}, code)
    relay = given | {"key": ed25519_public(RELAY_SEED)}
    book.refuse(place, parse, "announcement: by another key", relay, "bad-signature")
    label = good[:at] + ed25519_sign(OPERATOR_SEED, "relay challenge", good[:at])
    book.refuse(place, parse, "announcement: under another label", given | {"announcement": label}, "bad-signature")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _signed_calls(book: Book) -> None:
    place = "Signed calls"
    body = b'{"address":"PvnvfxuhSpVYGSj8cjZ_Ol4R3D2RnBe1Xsraw_Q","device":1,"prekeys":[]}'
    nonce = base64.urlsafe_b64encode(bytes_for("call nonce", 16)).rstrip(b"=").decode("ascii")
    key_id = f"{ALICE.address.hex()}.1"
    params = '("@method" "@authority" "@path" "content-digest")'
    params += f';created={CREATED};nonce="{nonce}";keyid="{key_id}";alg="ed25519"'
    digest = f"sha-256=:{_base64(sha256(body))}:"
    lines = ('"@method": PUT', '"@authority": relay.example', '"@path": /v1/prekeys', f'"content-digest": {digest}')
    base = "\n".join((*lines, f'"@signature-params": {params}')).encode("ascii")
    signature = ed25519_sign(LOGIN_SEED, "rest request", base)
    call: Fields = {"method": "PUT", "authority": "relay.example", "path": "/v1/prekeys", "body": body}
    headers: Fields = {
        "content_digest": digest,
        "signature_input": f"halonyx={params}",
        "signature": f"halonyx=:{_base64(signature)}:",
    }
    signer: Fields = {"seed": LOGIN_SEED, "address": ALICE.address, "device": 1, "created": CREATED}
    signer["nonce"] = bytes_for("call nonce", 16)
    book.ok(place, "http_sign", "publishing prekeys", call | signer, headers | {"base": base})
    for name, changes, code in (
        ("seed of 33 bytes", {"seed": LOGIN_SEED + b"\x00"}, "malformed"),
        ("nonce of 15 bytes", {"nonce": bytes(15)}, "misuse"),
        ("nonce of 17 bytes", {"nonce": bytes(17)}, "misuse"),
        ("address of 31 bytes", {"address": ALICE.address[:-1]}, "misuse"),
        ("device 256", {"device": 256}, "misuse"),
    ):
        book.refuse(place, "http_sign", f"signing: {name}", call | signer | changes, code)
    good = call | headers | {"key": ed25519_public(LOGIN_SEED), "now": CREATED + 60}
    output: Fields = {"address": ALICE.address, "device": 1, "created": CREATED, "nonce": nonce}
    book.ok(place, "http_verify", "sixty seconds later", good, output)
    _call_refusals(book, good, headers, params)


def _call_refusals(book: Book, good: Fields, headers: Fields, params: str) -> None:
    place, operation = "Signed calls", "http_verify"
    signature, digest = str(headers["signature"]), str(headers["content_digest"])

    def changed(old: str, new: str) -> Fields:
        return {"signature_input": f"halonyx={params.replace(old, new)}"}

    for name, changes in (
        ("another method", {"method": "POST"}),
        ("another host", {"authority": "other.example"}),
        ("another path", {"path": "/v1/account"}),
        ("another key", {"key": ed25519_public(RELAY_SEED)}),
        ("61 seconds old", {"now": CREATED + 61}),
        ("61 seconds ahead", {"now": CREATED - 61}),
        ("created changed", changed(str(CREATED), str(CREATED + 1))),
    ):
        book.refuse(place, operation, name, good | changes, "bad-signature")
    for name, changes in (
        ("another body", {"body": b"{}"}),
        ("digest of another algorithm", {"content_digest": digest.replace("sha-256", "sha-512")}),
        ("no signature", {"signature": ""}),
        ("another signature name", {"signature": signature.replace("halonyx", "sig1")}),
        ("fewer components", changed(' "content-digest"', "")),
        ("another algorithm", changed("ed25519", "rsa-v1_5-sha256")),
        ("address in upper case", changed("3ef9", "3EF9")),
        ("device 256", changed('.1"', '.256"')),
        ("device with a leading zero", changed('.1"', '.01"')),
        ("an unknown parameter", changed(";alg=", ";x=1;alg=")),
    ):
        book.refuse(place, operation, name, good | changes, "malformed")


def _work(book: Book) -> None:
    place = "Sign-up"
    seed, bits = bytes_for("work seed"), 8
    nonce = next(
        number for number in range(1 << 20) if hashlib.sha256(seed + ALICE.address + be(number, 8)).digest()[0] == 0
    )
    given: Fields = {"seed": seed, "address": ALICE.address, "bits": bits}
    digest = sha256(seed + ALICE.address + be(nonce, 8))
    book.ok(place, "work_solve", "eight bits, searched from 0", given, {"nonce": nonce, "digest": digest})
    # 2^32 is no bits at all to whoever keeps 32 of them, and 256 to whoever keeps 8.
    for wrong in (65, 256, 2**32):
        book.refuse(place, "work_solve", f"{wrong:,} bits", given | {"bits": wrong}, "misuse")
    for name, changes, is_solved in (
        ("the solution", {}, True),
        ("a nonce before it", {"nonce": nonce - 1}, False),
        ("for another address", {"address": flip(ALICE.address, 0)}, False),
        ("more bits than it has", {"bits": 24}, False),
    ):
        book.ok(place, "work_check", name, given | {"nonce": nonce} | changes, {"is_solved": is_solved})


def _base64url(book: Book) -> None:
    place, operation = "REST", "base64url_decode"
    book.ok(place, operation, "all of the alphabet's tail", {"text": "-_8"}, {"data": b"\xfb\xff"})
    for name, text in (
        ("padding", "-_8="),
        ("the other alphabet", "+/8"),
        ("white space", "-_8\n"),
        ("unused bits set", "-_9"),
        ("five characters", "AAAAA"),
    ):
        book.refuse(place, operation, name, {"text": text}, "malformed")
