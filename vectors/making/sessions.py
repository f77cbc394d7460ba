"""The part of ratchet.json about sessions: which one receives, which one sends."""

from vectors.making import ratchet_reference as reference
from vectors.making.book import Book, Fields
from vectors.making.handshake import agree
from vectors.making.people import ALICE, BOB, SIGNED
from vectors.making.ratchet_reference import State
from vectors.making.reference import NOW, Drawn, bytes_for, flip, put
from vectors.making.talk import established

HOUR = 3_600_000
LIFETIME = 72 * HOUR
LOW, HIGH = b"\x11" * 32, b"\x22" * 32


def add(book: Book, drawn: Drawn) -> None:
    """Add the vectors about sessions."""
    _session_message(book, drawn)
    _receive(book, drawn)
    _adopt(book, drawn)


def _session(state: State, handshake: bytes | None = None) -> Fields:
    return {"handshake": handshake, "state": state}


def _sessions(sending: Fields | None, *archived: tuple[Fields, int]) -> Fields:
    return {"sending": sending, "archived": [{"session": session, "since": since} for session, since in archived]}


def _named(state: State, number: int) -> State:
    """Return the state under another session id."""
    renamed: State = {**state, "session_id": bytes([number]) * 8}
    return renamed


def _session_message(book: Book, drawn: Drawn) -> None:
    place, operation = "Sessions", "session_message_parse"
    made = agree(drawn, "full", ALICE, BOB)
    fresh = bytes_for("first ratchet key of full")
    state = reference.initiator(made.root_key, made.session_id, made.ads, BOB.prekey_public(SIGNED), fresh)
    salt = bytes_for("seal salt", 16)
    message = reference.encrypt(state, b"hello", salt)[1]["message"]
    whole = made.handshake + message
    for name, handshake, data in (("unanswered", made.handshake, whole), ("answered", None, message)):
        given: Fields = {"session": _session(state, handshake), "plaintext": b"hello", "salt": salt}
        book.ok(place, "session_seal", name, given, {"data": data})
        end: State = {**state, "sending": {"key": bytes_for("last chain key"), "index": 2**32 - 1}}
        for case, changes in (
            ("chain at its end", {"session": _session(end, handshake)}),
            ("no sending chain", {"session": _session({**state, "sending": None}, handshake)}),
            ("salt of 15 bytes", {"salt": salt[:15]}),
            ("salt of 17 bytes", {"salt": salt + b"\x00"}),
        ):
            book.refuse(place, "session_seal", f"{name}: {case}", given | changes, "misuse")
        book.ok(place, operation, name, {"data": data}, {"handshake": handshake, "message": message})
    for name, data, code in (
        ("empty", b"", "malformed"),
        ("one byte", b"\x01", "malformed"),
        ("handshake alone", made.handshake, "malformed"),
        ("handshake cut off", made.handshake[:1000], "malformed"),
        ("two handshakes", made.handshake + whole, "malformed"),
        ("handshake of version 2", put(whole, 0, b"\x02"), "unsupported-version"),
        ("handshake of suite 1", put(whole, 2, b"\x01"), "unsupported-version"),
        ("message of version 2 behind a handshake", put(whole, 1616, b"\x02"), "unsupported-version"),
        ("type of neither", put(message, 1, b"\x12"), "malformed"),
        ("message one byte short of a tag", whole[: 1616 + 82], "malformed"),
    ):
        book.refuse(place, operation, name, {"data": data}, code)


def _receive(book: Book, drawn: Drawn) -> None:
    place, operation = "Sessions", "session_receive"
    talk = established(drawn)
    reply = talk.from_bob(b"answer")
    unanswered = _session(talk.alice, agree(drawn, "full", ALICE, BOB).handshake)
    other = _session(_named(talk.alice, 1))
    base: Fields = {"message": reply, "fresh_private": bytes_for("decrypt fresh"), "now": NOW}
    ours, first = talk.made.session_id, b"\x01" * 8
    answered = {"plaintext": b"answer", "sending": ours, "is_answered": True, "archived": [first]}
    sessions = _sessions(unanswered, (other, NOW))
    book.ok(place, operation, "a reply answers our handshake", base | {"sessions": sessions}, answered)
    archived = _sessions(other, (_session(talk.alice), NOW - LIFETIME + 1))
    output = {"plaintext": b"answer", "sending": first, "is_answered": True, "archived": [ours]}
    book.ok(place, operation, "an archived session still receives", base | {"sessions": archived}, output)
    expired = _sessions(other, (_session(talk.alice), NOW - LIFETIME))
    read = _sessions(_session(reference.receive(talk.alice, reply, bytes_for("decrypt fresh"), NOW)[0]))
    far = put(reply, 47, b"\xff" * 4)
    for name, changes, code in (
        ("no session", {"sessions": _sessions(None)}, "unknown-session"),
        ("read before", {"sessions": read}, "duplicate"),
        ("index 2^32 - 1", {"sessions": sessions, "message": far}, "too-far-ahead"),
        ("another session id", {"sessions": sessions, "message": flip(reply, 3)}, "unknown-session"),
        ("archived 72 hours ago", {"sessions": expired}, "unknown-session"),
        ("message altered", {"sessions": sessions, "message": flip(reply, 70)}, "authentication-failed"),
        ("archived session, altered", {"sessions": archived, "message": flip(reply, 70)}, "authentication-failed"),
    ):
        book.refuse(place, operation, name, base | changes, code)


def _adopt(book: Book, drawn: Drawn) -> None:
    place, operation = "Both start at once", "session_adopt"
    made = agree(drawn, "full", ALICE, BOB)
    alice = established(drawn).alice
    mine, theirs = _named(alice, 1), _named(alice, 2)
    answered, unanswered = _session(mine), _session(mine, made.handshake)
    old = [(_session(_named(alice, number)), NOW - number) for number in range(3, 8)]
    base: Fields = {
        "accepted": theirs,
        "our_fingerprint": LOW,
        "their_fingerprint": HIGH,
        "resets": None,
        "now": NOW,
    }
    one, two = b"\x01" * 8, b"\x02" * 8
    for name, sessions, changes, output in (
        ("no session before", _sessions(None), {}, (two, True, [])),
        ("ours is answered", _sessions(answered), {}, (two, True, [one])),
        ("ours unanswered, smaller fingerprint", _sessions(unanswered), {}, (one, False, [two])),
        (
            "ours unanswered, greater fingerprint",
            _sessions(unanswered),
            {"our_fingerprint": HIGH, "their_fingerprint": LOW},
            (two, True, [one]),
        ),
        ("they reset exactly ours", _sessions(unanswered), {"resets": one}, (two, True, [one])),
        ("both reset an older session", _sessions(unanswered), {"resets": b"\x09" * 8}, (one, False, [two])),
        (
            "five archived: the oldest goes",
            _sessions(answered, *old),
            {},
            (two, True, [one, *(bytes([number]) * 8 for number in range(3, 7))]),
        ),
    ):
        sending, is_answered, archived = output
        summary: Fields = {"sending": sending, "is_answered": is_answered, "archived": archived}
        book.ok(place, operation, name, base | {"sessions": sessions} | changes, summary)
    _replays(book, base, theirs, made.handshake)


def _replays(book: Book, base: Fields, theirs: State, handshake: bytes) -> None:
    """Whatever else holds, a handshake whose session is there makes no second one."""
    place, operation = "Both start at once", "session_adopt"
    answered, unanswered = _session(theirs), _session(theirs, handshake)
    other = _named(theirs, 1)
    greater: Fields = {"our_fingerprint": HIGH, "their_fingerprint": LOW}
    its: Fields = {"resets": theirs["session_id"]}
    others: Fields = {"resets": other["session_id"]}
    kept = (_session(theirs), NOW - LIFETIME + 1)
    cases: list[tuple[str, Fields, Fields]] = []
    for name, sending in (("answered", answered), ("unanswered", unanswered)):
        cases += [
            (f"our {name} session", _sessions(sending), {}),
            (f"our {name} session, greater fingerprint", _sessions(sending), greater),
            (f"our {name} session, which they reset", _sessions(sending), its),
            (f"our {name} session, while they reset another", _sessions(sending), others),
            (f"our {name} session, archived besides", _sessions(sending, (answered, NOW)), {}),
        ]
    for name, sending in (("answered", _session(other)), ("unanswered", _session(other, handshake))):
        cases += [
            (f"archived, ours {name}", _sessions(sending, (answered, NOW)), {}),
            (f"archived unanswered, ours {name}", _sessions(sending, (unanswered, NOW)), {}),
            (f"archived, ours {name}, which they reset", _sessions(sending, (answered, NOW)), others),
            (f"archived, which they reset, ours {name}", _sessions(sending, (answered, NOW)), its),
            (f"archived for 72 hours less 1 ms, ours {name}", _sessions(sending, kept), {}),
        ]
    name = "archived, ours unanswered, greater fingerprint"
    cases.append((name, _sessions(_session(other, handshake), (answered, NOW)), greater))
    cases.append(("archived, and no session to send on", _sessions(None, (answered, NOW)), {}))
    old = [(_session(_named(theirs, number)), NOW - number) for number in range(3, 8)]
    for at, position in ((0, "newest"), (2, "third"), (4, "oldest")):
        held = [*old[:at], (answered, NOW - 3 - at), *old[at + 1 :]]
        cases.append((f"the {position} of five archived", _sessions(_session(other), *held), {}))
    for name, sessions, changes in cases:
        book.refuse(place, operation, f"replayed: {name}", base | {"sessions": sessions} | changes, "replay")
