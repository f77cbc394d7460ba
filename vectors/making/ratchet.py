"""ratchet.json: messages with every key, order, loss, forgery; sessions."""

import copy
from collections.abc import Sequence

from vectors.making import ratchet_reference as reference
from vectors.making import sessions
from vectors.making.book import Book, Fields
from vectors.making.handshake import agree
from vectors.making.people import ALICE, BOB, MALLORY, SIGNED
from vectors.making.ratchet_reference import HEADER_SIZE, State
from vectors.making.reference import DAY, NOW, Drawn, bytes_for, flip, put
from vectors.making.talk import Talk, established

LOW = b"\x01" + bytes(31)


def make(drawn: Drawn) -> Book:
    """Return the file."""
    book = Book("ratchet.md", "Double Ratchet messages with every key on the way, refusals, sessions.")
    _parse(book, drawn)
    _encrypt(book, drawn)
    _decrypt(book, drawn)
    _order(book, drawn)
    _limits(book, drawn)
    sessions.add(book, drawn)
    return book


def _parse(book: Book, drawn: Drawn) -> None:
    place, operation = "Message", "message_parse"
    good = established(drawn).from_alice(b"")
    fields = {
        "session_id": good[3:11],
        "ratchet_key": good[11:43],
        "previous_length": 1,
        "index": 0,
        "salt": good[51:67],
        "ciphertext": good[67:],
    }
    book.ok(place, operation, "empty plaintext, the shortest message", {"message": good}, fields)
    for size in (1, 2, 3, 11, 43, 47, 51):
        book.refuse(place, operation, f"cut off after {size} bytes", {"message": good[:size]}, "malformed")
    for name, data, code in (
        ("empty", b"", "malformed"),
        ("82 bytes", good[:-1], "malformed"),
        ("header only", good[:HEADER_SIZE], "malformed"),
        ("version 0", put(good, 0, b"\x00"), "unsupported-version"),
        ("version 2", put(good, 0, b"\x02"), "unsupported-version"),
        ("type of a handshake", put(good, 1, b"\x11"), "malformed"),
        ("flag set", put(good, 2, b"\x01"), "malformed"),
        ("another flag set", put(good, 2, b"\x80"), "malformed"),
    ):
        book.refuse(place, operation, name, {"message": data}, code)


def _encrypt(book: Book, drawn: Drawn) -> None:
    place, operation = "Encrypting", "encrypt"
    talk = Talk(agree(drawn, "full", ALICE, BOB))
    salt = bytes_for("encrypt salt", 16)
    after, sent = reference.encrypt(talk.alice, b"hello", salt)
    given: Fields = {"state": talk.alice, "plaintext": b"hello", "salt": salt}
    book.ok(place, operation, "first message", given, {**sent, "after": after})
    second, again = reference.encrypt(after, b"", salt)
    given_second: Fields = {"state": after, "plaintext": b"", "salt": salt}
    book.ok(place, operation, "second message, empty", given_second, {**again, "after": second})
    end = copy.deepcopy(talk.alice)
    end["sending"] = {"key": bytes_for("last chain key"), "index": 2**32 - 1}
    for name, changes in (
        ("responder before the first message", {"state": talk.bob}),
        ("chain at its end", {"state": end}),
        ("no salt", {"salt": b""}),
        ("salt of a nonce's 12 bytes", {"salt": salt[:12]}),
        ("salt of 15 bytes", {"salt": salt[:15]}),
        ("salt of 17 bytes", {"salt": salt + b"\x00"}),
    ):
        book.refuse(place, operation, name, given | changes, "misuse")


def _given(state: State, message: bytes, now: int = NOW) -> Fields:
    return {"state": state, "message": message, "fresh_private": bytes_for("decrypt fresh"), "now": now}


def _opened(book: Book, title: str, state: State, message: bytes, plaintext: bytes) -> State:
    place, name = title.split(": ")
    given = _given(state, message)
    after, keys = reference.receive(state, message, bytes_for("decrypt fresh"), NOW)
    associated = state["receiving_ad"] + message[:HEADER_SIZE]
    output: Fields = {**keys, "associated_data": associated, "plaintext": plaintext, "after": after}
    book.ok(place, "decrypt", name, given, output)
    return after


def _decrypt(book: Book, drawn: Drawn) -> None:
    talk = established(drawn)
    message = talk.from_alice(b"same chain")
    _opened(book, "DH step: message with a new ratchet key", talk.bob, message, b"same chain")
    talk.to_bob(message)
    following = talk.from_alice(b"next")
    after = _opened(book, "Decrypting: next message of the chain", talk.bob, following, b"next")
    book.refuse("Decrypting", "decrypt", "the same message again", _given(after, following), "duplicate")
    first, forged = Talk(talk.made), put(message, 11, BOB.prekey_public(SIGNED))
    name = "a chain that only we could have"
    book.refuse("Decrypting", "decrypt", name, _given(first.alice, forged), "duplicate")
    _forged(book, talk, following)
    _bad_headers(book, talk.bob, following)


def _forged(book: Book, talk: Talk, message: bytes) -> None:
    place, operation, code = "Decrypting", "decrypt", "authentication-failed"
    for at in (3, 10, 25, 42, 43, 46, 49, 50, 51, 58, 66, HEADER_SIZE, HEADER_SIZE + 3, HEADER_SIZE + 15):
        changed = flip(message, at, 0x02)
        book.refuse(place, operation, f"bit of byte {at} changed", _given(talk.bob, changed), code)
    for name, data in (
        ("last tag byte changed", flip(message, len(message) - 1)),
        ("shortened", message[:-1]),
        ("lengthened", message + b"\x00"),
        ("forged with a new ratchet key", put(message, 11, MALLORY.device.identity_key)),
        ("our own message sent back", talk.from_bob(b"mine")),
    ):
        book.refuse(place, operation, name, _given(talk.bob, data), code)
    swapped = copy.deepcopy(talk.bob)
    swapped["receiving_ad"] = swapped["sending_ad"]
    book.refuse("Associated data", operation, "another direction", _given(swapped, message), code)


def _bad_headers(book: Book, state: State, message: bytes) -> None:
    place, operation = "Decrypting", "decrypt"
    for name, key in (
        ("ratchet key of low order", LOW),
        ("ratchet key zero", bytes(32)),
        ("ratchet key non-canonical", b"\xed" + b"\xff" * 30 + b"\x7f"),
        ("ratchet key with the top bit set", flip(MALLORY.device.identity_key, 31, 0x80)),
    ):
        book.refuse(place, operation, name, _given(state, put(message, 11, key)), "bad-key")
    for name, data in (
        ("index 2^32 - 1 in the known chain", message),
        ("index 2^32 - 1 in a new chain", put(message, 11, MALLORY.device.identity_key)),
    ):
        book.refuse(place, operation, name, _given(state, put(data, 47, b"\xff" * 4)), "too-far-ahead")


def _order(book: Book, drawn: Drawn) -> None:
    talk = established(drawn)
    talk.to_bob(talk.from_alice(b"zero"))
    held = [talk.from_alice(b"one"), talk.from_alice(b"two"), talk.from_alice(b"three")]
    ahead = _opened(book, "Skipped message keys: two messages skipped", talk.bob, held[2], b"three")
    late = _opened(book, "Skipped message keys: a skipped message arrives", ahead, held[0], b"one")
    place, operation = "Skipped message keys", "decrypt"
    book.refuse(place, operation, "a skipped message arrives twice", _given(late, held[0]), "duplicate")
    altered = _given(ahead, flip(held[1], 70))
    book.refuse(place, operation, "a skipped message, altered", altered, "authentication-failed")
    expired = _given(ahead, held[1], NOW + 30 * DAY)
    book.refuse(place, operation, "the skipped key is 30 days old", expired, "duplicate")
    # The old chain is left with its last message missing, and the new one begins beyond its first.
    talk.bob = late
    talk.from_alice(b"lost in the old chain")
    talk.to_alice(talk.from_bob(b"turn"))
    talk.from_alice(b"lost in the new chain")
    following = talk.from_alice(b"new chain")
    name = "DH step: a new chain, with a message of each chain missing"
    _opened(book, name, talk.bob, following, b"new chain")


def _limits(book: Book, drawn: Drawn) -> None:
    talk = established(drawn)
    talk.to_bob(talk.from_alice(b"zero"))
    state = copy.deepcopy(talk.bob)
    messages = [talk.from_alice(b"") for _ in range(3004)]
    for name, index, expect in (("exactly 1,000 skipped", 1000, "ok"), ("1,001 skipped", 1001, "too-far-ahead")):
        _sequence(book, name, state, [messages[index]], expect)
    _sequence(book, "2,000 keys kept, the oldest still opens", state, _at(messages, 1000, 2001, 0), "ok")
    _sequence(book, "2,001 keys kept, the oldest is gone", state, _at(messages, 1000, 2001, 2003, 0), "duplicate")
    _sequence(book, "a skipped message arrives twice in a row", state, _at(messages, 1000, 0, 0), "duplicate")
    _sequence(book, "1,001 skipped behind 1,000 skipped", state, _at(messages, 1000, 2002), "too-far-ahead")
    _sequence(book, "1,000 in a jump across chains", state, [_crossing(talk, 400, 600)], "authentication-failed")
    _sequence(book, "1,001 in a jump across chains", state, [_crossing(talk, 400, 601)], "too-far-ahead")
    _sequence(book, "previous chain length 2^32 - 1", state, [_crossing(talk, 2**32 - 2, 0)], "too-far-ahead")


def _crossing(talk: Talk, left: int, index: int) -> bytes:
    """Return a forged message of a new chain that leaves `left` messages of the old one and `index` of the new."""
    key = MALLORY.device.identity_key
    return reference.header_of(talk.made.session_id, key, left + 1, index, bytes(16)) + bytes(16)


def _at(messages: Sequence[bytes], *indices: int) -> list[bytes]:
    return [messages[index] for index in indices]


def _sequence(book: Book, name: str, state: State, messages: list[bytes], expect: str) -> None:
    given: Fields = {"state": state, "messages": messages, "fresh_private": bytes_for("decrypt fresh"), "now": NOW}
    place, operation = "Skipped message keys", "decrypt_in_turn"
    if expect != "ok":
        book.refuse(place, operation, name, given, expect)
        return
    after = state
    for message in messages:
        after = reference.receive(after, message, bytes_for("decrypt fresh"), NOW)[0]
    chain = after["receiving"]
    oldest, newest = after["skipped"][0]["message_key"], after["skipped"][-1]["message_key"]
    output: Fields = {
        "next_index": chain["index"] if chain else 0,
        "chain_key": chain["key"] if chain else b"",
        "skipped": len(after["skipped"]),
        "oldest_message_key": oldest,
        "newest_message_key": newest,
    }
    book.ok(place, operation, name, given, output)
