"""No secret shows: not in `repr` or `str` of any object of the core, not in the text of any error."""

import ast
import base64
import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, is_dataclass, replace
from inspect import getmembers, isclass
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halonyx.core
from core.people import NOW, ORIGIN, Person, key_pair, make_content, make_pair, make_person, message_id, seed
from halonyx.core import directory, kdf, labels, primitives, recovery
from halonyx.core import ratchet as ratchets
from halonyx.core.card import Card
from halonyx.core.chunked import Decryptor, Encryptor, ciphertext_size
from halonyx.core.container import FileEntry, Manifest
from halonyx.core.content import Content, Kind, Resend, encode_ids
from halonyx.core.envelope import Envelope, Payload, open_envelope, seal_envelope
from halonyx.core.errors import HalonyxError
from halonyx.core.file_offer import FileOffer, FileState, State
from halonyx.core.identity import AccountRecord, check_record
from halonyx.core.prekeys import Prekey, PrekeyUse
from halonyx.core.primitives import KeyPair, PublicKey, SigningKey
from halonyx.core.ratchet import Chain, Message, Ratchet
from halonyx.core.safety_number import matches_qr
from halonyx.core.session import (
    Archived,
    Established,
    Initiated,
    SessionMessage,
    Sessions,
    encode_sessions,
    parse_sessions,
)
from halonyx.core.types import FileKey, SessionId

SHOWN: Final = 6  # bytes of a secret that may not stand anywhere in a row
LITERAL: Final = re.compile(r"""b'(?:[^'\\]|\\.)*'|b"(?:[^"\\]|\\.)*\"""")
HEX: Final = re.compile(r"[0-9a-fA-F]{12,}")
BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{8,}")
DECIMALS: Final = re.compile(r"(?:\d{1,3}, ){5,}\d{1,3}")
NUMBER: Final = re.compile(r"\d{15,}")


@dataclass
class Scene:
    """One of every object of the core, and every secret that went into them."""

    people: tuple[Person, Person]
    objects: list[object]
    secrets: list[bytes]
    sealed_message: bytes
    envelope: bytes


def make_scene(name: str) -> Scene:
    alice, bob = make_person(f"{name} alice"), make_person(f"{name} bob")
    content = make_content(alice, bob, f"blue herrings for {name}")
    handshake, ours, theirs = make_pair(alice, bob, name)
    ours, _ = ratchets.encrypt(ours, b"kept for later", bytes(16))
    ours, sealed_message = ratchets.encrypt(ours, content.encode(), bytes(16))
    message = Message.parse(sealed_message)
    theirs, _ = ratchets.decrypt(theirs, message, key_pair(f"{name} fresh"), NOW)
    assert theirs.skipped
    session, initiated = Established(theirs), Initiated(ours, handshake)
    payload = Payload(alice.address, alice.device.device.id, alice.record.encoded, handshake.encode() + sealed_message)
    kem = bob.envelope_prekey.mlkem768.encapsulate()
    envelope = seal_envelope(bob.envelope_prekey, bob.recipient, payload, key_pair(f"{name} e"), kem)
    handshake_secrets = kdf.kdf_pqxdh(seed(f"{name} ikm"), seed(f"{name} transcript"))
    privates, prekeys = bob.prekeys.privates(handshake), bob.prekeys
    objects: list[object] = [
        *(alice.keys, alice.record, alice.device, alice.device.device, alice.peer, alice.party, alice.record_name),
        *(alice.keys.ed25519, alice.keys.ed25519.public, alice.keys.mldsa65, alice.keys.mldsa65.public),
        *(prekeys.signed, prekeys.signed.public, prekeys.last_resort, prekeys.last_resort.public),
        *(prekeys.envelope, bob.envelope_prekey, prekeys.published[PrekeyUse.SIGNED], prekeys.bundle(), privates),
        *(handshake, ours, theirs, theirs.sending, theirs.skipped, *theirs.skipped.values(), message),
        *(session, initiated, Archived(session, NOW), SessionMessage(handshake, message), handshake_secrets),
        *(Sessions(initiated, (Archived(session, NOW),)), payload, Envelope.parse(envelope), content),
        *(*files_of(name), *files_of(name)[0].entries, Encryptor(seed(f"{name} file"), bytes(24))),
        *(Resend(SessionId(bytes(8)), (1,)), Card(ORIGIN, alice.usid, 1), directory.record_slot(alice.address)),
    ]
    secrets = [
        *secrets_of_account(alice),
        *secrets_of_device(bob),
        *secrets_of_ratchet(ours),
        *secrets_of_ratchet(theirs),
        *secrets_of_files(name),
        *(
            handshake_secrets.root_key,
            content.body,
            *content.extensions.values(),
            kem[1],
        ),
        *(kdf.directory_key(alice.usid), kdf.request_key(alice.usid), kdf.access_key(seed(f"profile {name} alice"))),
    ]
    return Scene((alice, bob), objects, secrets, sealed_message, envelope)


def files_of(name: str) -> tuple[Manifest, FileOffer, FileState]:
    manifest = Manifest((FileEntry(f"herrings of {name}.jpg", 5),))
    offer = FileOffer(
        is_folder=False,
        in_drop=True,
        key=FileKey(seed(f"{name} file")),
        size=5,
        count=1,
        ciphertext_size=ciphertext_size(manifest.padded_size),
        ciphertext_hash=seed(f"{name} hash"),
        info_hash=seed(f"{name} info", 20),
        origin=ORIGIN,
        name=f"herrings of {name}.jpg",
        media_type="image/jpeg",
        thumbnail=b"\xff\xd8\xff" + seed(f"{name} thumbnail"),
    )
    return manifest, offer, FileState(message_id(name), State.DONE)


def secrets_of_files(name: str) -> Iterator[bytes]:
    key = FileKey(seed(f"{name} file"))
    yield from (key, seed(f"{name} hash"), seed(f"{name} info", 20), seed(f"{name} thumbnail"))
    yield from (kdf.tracker_token(key), kdf.drop_id(key), kdf.drop_deletion_key(key))
    yield from kdf.kdf_chunked(key, bytes(24), labels.FILE_CONTENT)
    yield f"herrings of {name}.jpg".encode()


def secrets_of_account(person: Person) -> Iterator[bytes]:
    keys = person.keys
    entropy = seed(f"recovery {person.name}", 20)
    yield entropy
    yield recovery.encode_recovery_code(entropy).encode()
    yield from (keys.ed25519.seed(), keys.mldsa65.private.private_bytes_raw(), keys.management.seed(), keys.salt)
    yield from (keys.management.public.raw, person.usid)
    yield from (person.device.identity.private_raw(), person.device.signing.seed())


def secrets_of_device(person: Person) -> Iterator[bytes]:
    prekeys = person.prekeys
    for pair in (person.device.identity, prekeys.signed, prekeys.one_time, prekeys.envelope.x25519):
        yield pair.private_raw()
    for kem in (prekeys.last_resort, prekeys.one_time_kem, prekeys.envelope.mlkem768):
        yield kem.seed()


def secrets_of_ratchet(ratchet: Ratchet) -> Iterator[bytes]:
    yield ratchet.root_key
    yield ratchet.ours.private_raw()
    for chain in (ratchet.sending, ratchet.receiving):
        if isinstance(chain, Chain):
            yield chain.key
    for skipped in ratchet.skipped.values():
        yield skipped.message_key


def windows(secret: bytes) -> set[bytes]:
    return {secret[at : at + SHOWN] for at in range(len(secret) - SHOWN + 1)}


def readings(text: str) -> Iterator[bytes]:
    """Yield the bytes that a text could stand for: plain, literals, hex, base64, lists of numbers, one number."""
    yield text.encode()
    for literal in LITERAL.findall(text):
        yield ast.literal_eval(literal)
    for digits in HEX.findall(text):
        for start in (0, 1):
            yield bytes.fromhex(digits[start : start + (len(digits) - start) // 2 * 2])
    for symbols in BASE64.findall(text):
        for start in range(4):
            whole = symbols[start : start + (len(symbols) - start) // 4 * 4]
            yield base64.b64decode(whole.replace("-", "+").replace("_", "/"))
    for numbers in DECIMALS.findall(text):
        yield bytes(int(number) % 256 for number in numbers.split(", "))
    for number in NUMBER.findall(text):
        size_bytes = int(number).bit_length() // 8 + 1
        yield int(number).to_bytes(size_bytes, "big")
        yield int(number).to_bytes(size_bytes, "little")


def shown(text: str, secrets: list[bytes]) -> bool:
    """Tell whether a run of any secret can be read in `text`."""
    searched = set().union(*map(windows, secrets))
    return any(not searched.isdisjoint(windows(reading)) for reading in readings(text))


@settings(max_examples=4, deadline=None)
@given(st.text("abcdefgh", min_size=1, max_size=8))
def test_no_object_shows_a_secret(name: str) -> None:
    scene = make_scene(name)
    for subject in scene.objects:
        for text in (repr(subject), str(subject), f"{subject}", f"{[subject]!r}"):
            assert not shown(text, scene.secrets), type(subject).__name__


def test_every_type_of_the_core_is_among_the_objects() -> None:
    modules = [
        importlib.import_module(f"halonyx.core.{found.name}") for found in pkgutil.iter_modules(halonyx.core.__path__)
    ]
    defined = {
        cls
        for module in modules
        for _, cls in getmembers(module, isclass)
        if is_dataclass(cls) and cls.__module__ == module.__name__
    }
    assert defined - {type(subject) for subject in make_scene("types").objects} == set()


def test_the_search_finds_what_is_shown() -> None:
    secret = seed("secret")
    leaks = [
        repr(secret),
        secret.hex(),
        secret.hex().upper(),
        base64.b64encode(secret).decode(),
        base64.urlsafe_b64encode(b"\x00" + secret).decode(),
        repr(list(secret)),
        str(int.from_bytes(secret, "big")),
        f"first bytes {secret[:SHOWN].hex()}…",
        repr(PublicKey(secret[:31] + b"\x00")),
    ]
    for leak in leaks:
        assert shown(leak, [secret]), leak
    assert not shown("nothing of it", [secret])


def failing_calls(scene: Scene) -> Iterator[Callable[[], object]]:
    """Yield calls on secret or received bytes that fail, one for every way that the core raises."""
    alice, bob = scene.people
    _, _, theirs = make_pair(alice, bob, "failing")
    usid, slot = alice.usid, directory.record_slot(alice.address)
    sealed = directory.seal_object(usid, slot, alice.record.encoded, bytes(12))
    envelope = Envelope.parse(scene.envelope)
    content = make_content(alice, bob, "blue herrings")
    sessions = encode_sessions(Sessions(Established(theirs)))
    code = recovery.encode_recovery_code(seed("entropy", 20))
    secret = alice.device.identity.private_raw()
    prekey, record = alice.prekeys.published[PrekeyUse.SIGNED], alice.record.encoded
    yield lambda: ratchets.decrypt(theirs, Message.parse(scene.sealed_message), key_pair("x"), NOW)
    yield lambda: ratchets.encrypt(theirs, content.body, bytes(16))
    yield lambda: Message.parse(scene.sealed_message[:50])
    yield lambda: open_envelope(envelope, alice.prekeys.envelope, alice.recipient)
    yield lambda: Envelope.parse(scene.envelope[1:])
    yield lambda: directory.open_object(usid, slot, sealed[:-1])
    yield lambda: directory.open_object(bob.usid, slot, sealed)
    yield lambda: AccountRecord.parse(record[:-1])
    yield lambda: AccountRecord.parse(record[:-1] + bytes([record[-1] ^ 1]))
    yield lambda: check_record(alice.record, bob.usid, None)
    yield lambda: check_record(alice.record, usid, make_person(alice.name, version=9).record)
    yield lambda: Prekey.parse(prekey.encode() + b"\x00")
    yield lambda: prekey.verify(bob.device.device.signing_key, bob.device.fingerprint)
    yield lambda: Content.parse(content.encode()[:-1])
    yield lambda: Content.parse(content.encode()[:1] + bytes([Kind.RECEIPT]) + content.encode()[2:])
    yield lambda: Content.parse(content.encode()[:1] + b"\xee" + content.encode()[2:])
    yield lambda: replace(content, body=bytes(50_000)).encode()
    yield lambda: encode_ids(())
    yield lambda: Resend.parse(secret)
    yield lambda: parse_sessions(sessions[:-1])
    yield lambda: parse_sessions(sessions + secret)
    yield lambda: recovery.parse_recovery_code(code[:-1])
    yield lambda: recovery.parse_recovery_code(code[:-1] + ("0" if code[-1] != "0" else "1"))
    yield lambda: recovery.parse_recovery_code("U" + code[1:])
    yield lambda: recovery.account_keys(secret)
    yield lambda: Card.parse(Card(ORIGIN, usid, 1).uri()[:-1])
    yield lambda: Card.parse(Card(ORIGIN, usid, 1).uri() + "!")
    yield lambda: matches_qr(secret, alice.party, bob.party)
    yield lambda: KeyPair.from_private(secret + b"\x00")
    yield lambda: SigningKey.from_seed(secret[1:])
    yield lambda: alice.device.identity.exchange(PublicKey(bytes(32)))
    yield lambda: alice.prekeys.last_resort.decapsulate(secret)
    yield from failing_files()
    yield lambda: primitives.aead_open(secret, bytes(12), scene.sealed_message, b"")
    yield lambda: primitives.aead_seal(secret + secret, bytes(12), content.body, b"")


def failing_files() -> Iterator[Callable[[], object]]:
    manifest, offer, _ = files_of("zebra")
    yield lambda: Manifest.parse(manifest.encode()[:-1])
    yield lambda: Manifest((*manifest.entries, *manifest.entries))
    yield lambda: FileOffer.parse(offer.encode() + b"\x00")
    yield lambda: replace(offer, name=f"{offer.name}/x")
    yield lambda: replace(offer, media_type=offer.name)
    yield lambda: replace(offer, ciphertext_size=1)
    yield lambda: offer.check_manifest(Manifest((FileEntry("another", 5),)))
    yield lambda: FileState.parse(offer.key)
    yield lambda: Decryptor(offer.key, offer.encode()[:56])
    yield lambda: Encryptor(offer.key, offer.key)


def test_no_error_text_shows_a_secret_or_what_it_was_about() -> None:
    scene = make_scene("zebra")
    alice, bob = scene.people
    _, _, theirs = make_pair(alice, bob, "failing")
    private = [
        *scene.secrets,
        *secrets_of_ratchet(theirs),
        *(b"blue herrings", recovery.encode_recovery_code(seed("entropy", 20)).encode(), seed("entropy", 20)),
        *(alice.address, alice.record.hash, alice.device.fingerprint),
    ]
    for call in failing_calls(scene):
        with pytest.raises(HalonyxError) as refused:
            call()
        text = f"{refused.value} {refused.value!r} {refused.value.args}"
        assert not shown(text, private)
        assert refused.value.__cause__ is None
        assert refused.value.__context__ is None or refused.value.__suppress_context__
