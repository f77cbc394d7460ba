"""handshake.json: prekeys, bundles, X3DH, PQXDH on both sides."""

from dataclasses import dataclass

from vectors.making import ratchet_reference as ratchet
from vectors.making.book import Book, Fields
from vectors.making.people import (
    ALICE,
    BOB,
    ENVELOPE,
    EXPIRY,
    LAST_RESORT,
    MALLORY,
    ONE_TIME,
    ONE_TIME_KEM,
    PREKEY_ROLES,
    SIGNED,
    Account,
    prekey,
)
from vectors.making.reference import (
    NOW,
    Drawn,
    be,
    bytes_for,
    ed25519_sign,
    expand,
    flip,
    hs,
    put,
    x25519,
    x25519_public,
)

F = b"\xff" * 32
IDS = {SIGNED: 3, ENVELOPE: 4, LAST_RESORT: 5, ONE_TIME: 1000, ONE_TIME_KEM: 2000}
LOW = b"\x01" + bytes(31)
HIGH = b"\xff" * 32
FULL, LAST = "full", "last resort"


@dataclass(frozen=True, slots=True)
class Agreement:
    """One PQXDH from Alice to Bob, with every value on the way."""

    handshake: bytes
    values: Fields
    root_key: bytes
    session_id: bytes
    ads: tuple[bytes, bytes]
    given: Fields


def identity(account: Account) -> tuple[bytes, int, bytes]:
    """Return address, device id and device fingerprint."""
    return account.address, account.device.id, account.device_fingerprint


def own(account: Account) -> Fields:
    """Return a device with its private keys."""
    device = account.device
    keys = {"identity_private": device.identity_private, "signing_seed": device.signing_seed}
    return {"address": account.address, "id": device.id, "created": device.created} | keys


def peer(account: Account) -> Fields:
    """Return a device as its record names it."""
    return {"address": account.address} | account.device.public()


def bundle_of(owner: Account, *, one_time: bool = True, last_resort: bool = False) -> Fields:
    """Return an encoded bundle."""
    kem = LAST_RESORT if last_resort else ONE_TIME_KEM
    return {
        "signed": prekey(owner, SIGNED, IDS[SIGNED]),
        "envelope": prekey(owner, ENVELOPE, IDS[ENVELOPE]),
        "kem": prekey(owner, kem, IDS[kem]),
        "one_time": prekey(owner, ONE_TIME, IDS[ONE_TIME]) if one_time else None,
    }


def agree(drawn: Drawn, name: str, ours: Account, theirs: Account) -> Agreement:
    """Compute one handshake from the formulas; the name "last resort" means that no one-time keys are left."""
    last_resort = name == LAST
    one_time = not last_resort
    ephemeral, fresh = bytes_for(f"ephemeral of {name}"), bytes_for(f"first ratchet key of {name}")
    use = LAST_RESORT if last_resort else ONE_TIME_KEM
    ciphertext, secret = drawn.encapsulate(theirs.prekey_private(use), 1024, name)
    signed, one_time_key = theirs.prekey_public(SIGNED), theirs.prekey_public(ONE_TIME) if one_time else b""
    exchanges = [
        x25519(ours.device.identity_private, signed),
        x25519(ephemeral, theirs.device.identity_key),
        x25519(ephemeral, signed),
        x25519(ephemeral, one_time_key) if one_time else b"",
    ]
    ikm = F + b"".join(exchanges) + secret
    transcript = _transcript(
        ours,
        theirs,
        (x25519_public(ephemeral), be(IDS[SIGNED], 4) + signed),
        b"\x01" + be(IDS[ONE_TIME], 4) + one_time_key if one_time else b"",
        (be(use, 1) + be(IDS[use], 4) + theirs.prekey_public(use), ciphertext),
    )
    okm = expand(ikm, "handshake secret", 96, transcript, bytes(32))
    session_id = expand(okm[64:], "session id", 8)
    flags = (1 if one_time else 0) | (2 if last_resort else 0)
    ids = be(IDS[SIGNED], 4) + be(IDS[ONE_TIME] if one_time else 0, 4) + be(IDS[use], 4)
    handshake = b"\x01\x11\x02" + be(flags, 1) + x25519_public(ephemeral) + ids + ciphertext
    ads = ratchet.ad_of(identity(ours), identity(theirs)), ratchet.ad_of(identity(theirs), identity(ours))
    values: Fields = {
        "dh1": exchanges[0],
        "dh2": exchanges[1],
        "dh3": exchanges[2],
        "dh4": exchanges[3],
        "kem_secret": secret,
        "ikm": ikm,
        "transcript_hash": transcript,
        "okm": okm,
        "root_key": okm[:32],
        "session_id": session_id,
    }
    given: Fields = {
        "ours": own(ours),
        "theirs": peer(theirs),
        "bundle": bundle_of(theirs, one_time=one_time, last_resort=last_resort),
        "ephemeral_private": ephemeral,
        "ratchet_private": fresh,
        "kem_ciphertext": ciphertext,
        "kem_secret": secret,
    }
    return Agreement(handshake, values, okm[:32], session_id, ads, given)


def _transcript(
    ours: Account, theirs: Account, classical: tuple[bytes, bytes], one_time: bytes, kem: tuple[bytes, bytes]
) -> bytes:
    parties = [ours.address, be(ours.device.id, 1), ours.device_fingerprint]
    parties += [theirs.address, be(theirs.device.id, 1), theirs.device_fingerprint]
    return hs("pqxdh", b"\x02", *parties, *classical, one_time, *kem)


def make(drawn: Drawn) -> Book:
    """Return the file."""
    book = Book("handshake.md", "Prekeys and bundles; X3DH (suite 1) and PQXDH (suite 2), every intermediate value.")
    _prekeys(book)
    _bundles(book)
    _suite_1(book)
    _parse(book, drawn)
    _initiate(book, drawn)
    _accept(book, drawn)
    return book


def _prekeys(book: Book) -> None:
    place = "Prekeys"
    good = prekey(BOB, ONE_TIME, 1000)
    fields = {
        "use": ONE_TIME,
        "id": 1000,
        "expiry": EXPIRY,
        "key": BOB.prekey_public(ONE_TIME),
        "signature": good[-64:],
    }
    book.ok(place, "prekey_parse", "one-time prekey", {"prekey": good}, fields)
    for name, data, code in (
        ("empty", b"", "malformed"),
        ("version 2", put(good, 0, b"\x02"), "unsupported-version"),
        ("type 1", put(good, 1, b"\x01"), "malformed"),
        ("use 0", put(good, 2, b"\x00"), "malformed"),
        ("use 6", put(good, 2, b"\x06"), "malformed"),
        ("id 0", put(good, 3, bytes(4)), "malformed"),
        ("last byte missing", good[:-1], "malformed"),
        ("trailing byte", good + b"\x00", "malformed"),
        ("a KEM use with an X25519 key", put(good, 2, b"\x05"), "malformed"),
    ):
        book.refuse(place, "prekey_parse", name, {"prekey": data}, code)
    signer: Fields = {"signing_key": BOB.device.signing_key, "device_fingerprint": BOB.device_fingerprint}
    for use, role in PREKEY_ROLES.items():
        signed = prekey(BOB, use, IDS[use])
        if use in (SIGNED, ONE_TIME_KEM):
            book.ok(place, "prekey_verify", role, signer | {"prekey": signed}, {})
        at = len(signed) - 64
        tail = signed[2:at]
        other = next(name for number, name in PREKEY_ROLES.items() if number != use)
        relabelled = ed25519_sign(BOB.device.signing_seed, other, BOB.device_fingerprint + tail)
        for name, changes in (
            ("another device's fingerprint", {"device_fingerprint": ALICE.device_fingerprint}),
            ("signed under another label", {"prekey": signed[:at] + relabelled}),
            ("id changed", {"prekey": flip(signed, 6)}),
            ("expiry changed", {"prekey": flip(signed, 14)}),
        ):
            book.refuse(
                place, "prekey_verify", f"{role}: {name}", signer | {"prekey": signed} | changes, "bad-signature"
            )
    swapped = put(prekey(BOB, SIGNED, 3), 2, be(ONE_TIME, 1))
    book.refuse(place, "prekey_verify", "use changed", signer | {"prekey": swapped}, "bad-signature")
    by_other = signer | {"prekey": prekey(BOB, SIGNED, 3), "signing_key": MALLORY.device.signing_key}
    book.refuse(place, "prekey_verify", "another device's key", by_other, "bad-signature")


def _bundles(book: Book) -> None:
    place, operation = "Bundle", "bundle_verify"
    signer: Fields = {"signing_key": BOB.device.signing_key, "device_fingerprint": BOB.device_fingerprint, "now": NOW}
    full, empty = bundle_of(BOB), bundle_of(BOB, one_time=False, last_resort=True)
    book.ok(place, operation, "one of each", signer | full, {})
    book.ok(place, operation, "no one-time keys left", signer | empty, {})
    expired = {use: prekey(BOB, use, IDS[use], expiry=NOW) for use in PREKEY_ROLES}
    for name, changes in (
        ("signed prekey expires now", {"signed": expired[SIGNED]}),
        ("envelope prekey expires now", {"envelope": expired[ENVELOPE]}),
        ("KEM prekey expires now", {"kem": expired[ONE_TIME_KEM]}),
        ("one-time prekey expires now", {"one_time": expired[ONE_TIME]}),
        ("one-time prekey as signed prekey", {"signed": full["one_time"]}),
        ("signed prekey as one-time prekey", {"one_time": full["signed"]}),
        ("signed prekey as KEM prekey", {"kem": full["signed"]}),
        ("KEM prekey as envelope prekey", {"envelope": full["kem"]}),
        ("signed prekey by another device", {"signed": prekey(MALLORY, SIGNED, 3)}),
        ("one-time prekey by another device", {"one_time": prekey(MALLORY, ONE_TIME, 1000)}),
    ):
        book.refuse(place, operation, name, signer | full | changes, "bad-signature")


def _suite_1(book: Book) -> None:
    place = "Suite 1"
    ephemeral = bytes_for("x3dh ephemeral")
    ours, theirs = ALICE.device, BOB.device
    signed, one_time = BOB.prekey_private(SIGNED), BOB.prekey_private(ONE_TIME)
    for name, with_one_time in (("with one-time prekey", True), ("without one-time prekey", False)):
        exchanges = [
            x25519(ours.identity_private, x25519_public(signed)),
            x25519(ephemeral, theirs.identity_key),
            x25519(ephemeral, x25519_public(signed)),
            x25519(ephemeral, x25519_public(one_time)) if with_one_time else b"",
        ]
        ikm = F + b"".join(exchanges)
        values: Fields = {
            "dh1": exchanges[0],
            "dh2": exchanges[1],
            "dh3": exchanges[2],
            "dh4": exchanges[3],
            "ikm": ikm,
            "shared_secret": expand(ikm, "x3dh secret", 32, b"", bytes(32)),
            "associated_data": ours.identity_key + theirs.identity_key,
        }
        given: Fields = {
            "identity_private": ours.identity_private,
            "ephemeral_private": ephemeral,
            "identity_key": theirs.identity_key,
            "signed_prekey": x25519_public(signed),
            "one_time_prekey": x25519_public(one_time) if with_one_time else None,
        }
        book.ok(place, "x3dh_initiate", name, given, values)
        accepting: Fields = {
            "identity_private": theirs.identity_private,
            "signed_private": signed,
            "one_time_private": one_time if with_one_time else None,
            "identity_key": ours.identity_key,
            "ephemeral_key": x25519_public(ephemeral),
        }
        book.ok(place, "x3dh_accept", name, accepting, values)
        initiating_keys = ("identity_key", "signed_prekey", *(("one_time_prekey",) if with_one_time else ()))
        for operation, both, keys in (
            ("x3dh_initiate", given, initiating_keys),
            ("x3dh_accept", accepting, ("identity_key", "ephemeral_key")),
        ):
            for changed in keys:
                book.refuse(place, operation, f"{name}: {changed} of low order", both | {changed: LOW}, "bad-key")
            high = both | {"identity_key": HIGH}
            book.refuse(place, operation, f"{name}: identity_key non-canonical", high, "bad-key")
            short = both | {keys[1]: LOW[:-1]}
            book.refuse(place, operation, f"{name}: {keys[1]} of 31 bytes", short, "malformed")


def _parse(book: Book, drawn: Drawn) -> None:
    place, operation = "Header", "handshake_parse"
    good = agree(drawn, "full", ALICE, BOB).handshake
    output: Fields = {
        "ephemeral": good[4:36],
        "signed": IDS[SIGNED],
        "one_time": IDS[ONE_TIME],
        "kem": IDS[ONE_TIME_KEM],
        "uses_last_resort": False,
        "ciphertext": good[48:],
        "replay_key": hs("handshake replay", good[36:40] + good[44:48], good[4:36], good[48:]),
    }
    book.ok(place, operation, "one of each", {"handshake": good}, output)
    for name, data, code in (
        ("version 2", put(good, 0, b"\x02"), "unsupported-version"),
        ("type of a message", put(good, 1, b"\x10"), "malformed"),
        ("suite 1 in production", put(good, 2, b"\x01"), "unsupported-version"),
        ("suite 3", put(good, 2, b"\x03"), "unsupported-version"),
        ("unknown flag", put(good, 3, b"\x05"), "malformed"),
        ("one-time id without its flag", put(good, 3, b"\x00"), "malformed"),
        ("flag without one-time id", put(good, 40, bytes(4)), "malformed"),
        ("signed prekey id 0", put(good, 36, bytes(4)), "malformed"),
        ("KEM prekey id 0", put(good, 44, bytes(4)), "malformed"),
        ("ephemeral key non-canonical", put(good, 4, b"\xed" + b"\xff" * 30 + b"\x7f"), "bad-key"),
        ("ephemeral key with the top bit set", flip(good, 35, 0x80), "bad-key"),
        ("last byte missing", good[:-1], "malformed"),
        ("trailing byte", good + b"\x00", "malformed"),
    ):
        book.refuse(place, operation, name, {"handshake": data}, code)


def _initiate(book: Book, drawn: Drawn) -> None:
    place, operation = "Initiating", "initiate"
    for name in (FULL, LAST):
        made = agree(drawn, name, ALICE, BOB)
        fresh = bytes_for(f"first ratchet key of {name}")
        state = ratchet.initiator(made.root_key, made.session_id, made.ads, BOB.prekey_public(SIGNED), fresh)
        output = made.values | {"handshake": made.handshake, "state": state}
        book.ok(place, operation, f"{name}: every value", made.given, output)
    given = agree(drawn, "full", ALICE, BOB).given
    theirs, bundle = peer(BOB), bundle_of(BOB)
    last = given | {"bundle": bundle_of(BOB, one_time=False, last_resort=True)}
    name = "last resort: their identity key of low order"
    book.refuse(place, operation, name, last | {"theirs": theirs | {"identity_key": LOW}}, "bad-key")
    for name, changes in (
        ("their identity key of low order", {"theirs": theirs | {"identity_key": LOW}}),
        ("their identity key non-canonical", {"theirs": theirs | {"identity_key": HIGH}}),
        ("signed prekey of low order", {"bundle": bundle | {"signed": prekey(BOB, SIGNED, 3, key=LOW)}}),
        ("one-time prekey of low order", {"bundle": bundle | {"one_time": prekey(BOB, ONE_TIME, 9, key=LOW)}}),
        ("signed prekey non-canonical", {"bundle": bundle | {"signed": prekey(BOB, SIGNED, 3, key=HIGH)}}),
        ("one-time prekey non-canonical", {"bundle": bundle | {"one_time": prekey(BOB, ONE_TIME, 9, key=HIGH)}}),
    ):
        book.refuse(place, operation, name, given | changes, "bad-key")


def _accept(book: Book, drawn: Drawn) -> None:
    place, operation = "Accepting", "accept"
    for name in (FULL, LAST):
        made = agree(drawn, name, ALICE, BOB)
        fresh = bytes_for(f"first ratchet key of {name}")
        theirs = ratchet.initiator(made.root_key, made.session_id, made.ads, BOB.prekey_public(SIGNED), fresh)
        sent = ratchet.encrypt(theirs, b"hello", bytes_for(f"salt of {name}", 16))[1]
        given: Fields = {
            "ours": own(BOB),
            "theirs": peer(ALICE),
            "handshake": made.handshake,
            "signed_private": BOB.prekey_private(SIGNED),
            "one_time_private": BOB.prekey_private(ONE_TIME) if name == FULL else None,
            "kem_seed": BOB.prekey_private(LAST_RESORT if name == LAST else ONE_TIME_KEM),
            "message": sent["message"],
            "fresh_private": bytes_for(f"reply key of {name}"),
            "now": NOW,
        }
        ads = made.ads[1], made.ads[0]
        state = ratchet.responder(made.root_key, made.session_id, ads, BOB.prekey_private(SIGNED))
        after = ratchet.receive(state, sent["message"], bytes_for(f"reply key of {name}"), NOW)[0]
        output = made.values | {"state": state, "plaintext": b"hello", "after": after}
        book.ok(place, operation, f"{name}: every value", given, output)
        _accept_refusals(book, name, given, made.handshake)


def _accept_refusals(book: Book, name: str, given: Fields, handshake: bytes) -> None:
    for case, changes in (
        ("ML-KEM ciphertext altered", {"handshake": flip(handshake, 900)}),
        ("another KEM prekey id", {"handshake": flip(handshake, 47)}),
        ("another signed prekey id", {"handshake": flip(handshake, 39)}),
        ("last-resort flag changed", {"handshake": flip(handshake, 3, 0x02)}),
        ("another ephemeral key", {"handshake": put(handshake, 4, MALLORY.device.identity_key)}),
        ("said to come from another device", {"theirs": peer(MALLORY)}),
        ("for another device", {"ours": own(MALLORY)}),
        ("another device id", {"theirs": peer(ALICE) | {"id": 2}}),
        ("another creation time", {"theirs": peer(ALICE) | {"created": 1}}),
    ):
        book.refuse("Accepting", "accept", f"{name}: {case}", given | changes, "authentication-failed")
    low = put(handshake, 4, LOW)
    book.refuse("Accepting", "accept", f"{name}: ephemeral key of low order", given | {"handshake": low}, "bad-key")
    book.refuse(
        "Accepting",
        "accept",
        f"{name}: their identity key of low order",
        given | {"theirs": peer(ALICE) | {"identity_key": LOW}},
        "bad-key",
    )
