"""The decoders of the protocol itself: what peers write, what people paste or scan, what the client's store holds."""

from collections.abc import Iterator
from typing import Final

from core.people import NOW, make_pair, make_person
from fuzz.decoder import Decoder, exactly, text
from halonyx.client.torrent import WrongMetadata, check_info, info_of
from halonyx.core import content, envelope, identity
from halonyx.core.card import Card
from halonyx.core.chunked import HEADER_SIZE, Decryptor, Encryptor
from halonyx.core.container import FileEntry, Manifest, Unpacker
from halonyx.core.content import Content, Resend, encode_ids, parse_ids, parse_text
from halonyx.core.encoding import Writer
from halonyx.core.envelope import Envelope
from halonyx.core.errors import AuthenticationFailed, BadKey, BadSignature, Malformed, UnsupportedVersion
from halonyx.core.file_names import check_component, safe_name
from halonyx.core.file_offer import FileOffer, FileState
from halonyx.core.handshake import Handshake
from halonyx.core.identity import AccountRecord
from halonyx.core.origin import check_origin
from halonyx.core.prekeys import EnvelopePrekey, Prekey, PrekeyUse
from halonyx.core.primitives import MLDSA65_SIGNATURE_SIZE
from halonyx.core.ratchet import Message
from halonyx.core.recovery import encode_recovery_code, parse_recovery_code
from halonyx.core.safety_number import Party, encode_qr, matches_qr
from halonyx.core.session import (
    Archived,
    Established,
    Initiated,
    SessionMessage,
    Sessions,
    encode_sessions,
    parse_sessions,
)
from halonyx.core.types import SIGNATURE_SIZE, Address, DeviceId, Fingerprint

OURS: Final = Party(Fingerprint(bytes(32)), Address(b"\x01" * 32))
THEIRS: Final = Party(Fingerprint(b"\x02" * 32), Address(b"\x03" * 32))
KEY: Final = bytes(32)
SALT: Final = bytes(24)
CIPHERTEXT_SIZE: Final = 2_500_000  # of the torrent: three pieces
REFUSED: Final = (Malformed, UnsupportedVersion)


def _record_is_same(record: AccountRecord, data: bytes) -> bool:
    """Compare but for the signatures, which nobody can make again."""
    writer = Writer().u8(1).u8(identity.TYPE).u32(record.version).u64(record.created).fixed(record.salt, 32)
    writer.raw(record.ed25519.raw).raw(record.mldsa65.raw).u8(len(record.origins))
    for origin in record.origins:
        writer.sized(origin.encode(), 1, 255)
    writer.u8(len(record.devices))
    for device in record.devices:
        writer.u8(device.id).u8(0).u64(device.created).raw(device.identity_key.raw).raw(device.signing_key.raw)
    body = writer.done()
    return data.startswith(body) and len(data) == len(body) + SIGNATURE_SIZE + MLDSA65_SIGNATURE_SIZE


def _session_message(message: SessionMessage) -> bytes:
    handshake = message.handshake.encode() if message.handshake else b""
    return handshake + message.message.header + message.message.ciphertext


def _envelope_prekey(data: bytes) -> tuple[bytes, bytes]:
    prekey = Prekey.parse(data)
    split = EnvelopePrekey.of(prekey)
    return prekey.key, split.x25519.raw + split.mlkem768.raw


def _envelope_prekeys() -> Iterator[bytes]:
    yield make_person("alice").prekeys.published[PrekeyUse.ENVELOPE].encode()


def _stored_sessions() -> Iterator[bytes]:
    handshake, ours, theirs = make_pair(make_person("alice"), make_person("bob"))
    yield encode_sessions(Sessions())
    yield encode_sessions(Sessions(Initiated(ours, handshake)))
    yield encode_sessions(Sessions(Established(theirs), (Archived(Initiated(ours, handshake), NOW),)))


def _payloads() -> Iterator[bytes]:
    for record in (None, b"record"):
        payload = envelope.Payload(Address(bytes(32)), DeviceId(1), record, b"message")
        yield envelope._encode_payload(payload) + bytes(100)


def _content_is_same(value: Content, data: bytes) -> bool:
    """Compare, but for extensions of newer programs, which are passed over."""
    encoded = value.encode()
    return encoded == data or (len(encoded) < len(data) and Content.parse(encoded) == value)


def _payload_is_same(payload: envelope.Payload, data: bytes) -> bool:
    encoded = envelope._encode_payload(payload)
    return data.startswith(encoded) and not any(data[len(encoded) :])


def _decrypted(data: bytes) -> bytes:
    decryptor = Decryptor(KEY, data[:HEADER_SIZE])
    return decryptor.update(data[HEADER_SIZE:]) + decryptor.finish()


def _encrypted(plaintext: bytes) -> bytes:
    encryptor = Encryptor(KEY, SALT)
    return encryptor.header + encryptor.update(plaintext) + encryptor.finish()


def _ciphertexts() -> Iterator[bytes]:
    for size in (0, 1, 16_384, 16_385):
        yield _encrypted(b"x" * size)


def _unpacked(data: bytes) -> tuple[Manifest, list[tuple[int, bytes]]]:
    unpacker, pieces = Unpacker(len(data), lambda _: None), []
    for at in range(0, len(data), 997):  # no border of anything
        pieces += unpacker.update(data[at : at + 997])
    return unpacker.finish(), pieces


def _unpacked_is_same(value: tuple[Manifest, list[tuple[int, bytes]]], data: bytes) -> bool:
    manifest, pieces = value
    return (manifest.encode() + b"".join(piece for _, piece in pieces)).ljust(len(data), b"\x00") == data


def _containers() -> Iterator[bytes]:
    for entries in ((FileEntry("a", 3),), (FileEntry("a", 0), FileEntry("b/c", 2), FileEntry("b/d", 1500))):
        manifest = Manifest(entries)
        yield (manifest.encode() + b"x" * manifest.content_size).ljust(manifest.padded_size, b"\x00")


def _infos() -> Iterator[bytes]:
    yield info_of(CIPHERTEXT_SIZE, b"x" * 60)


IDENTITY: Final = (
    Decoder(
        "record",
        AccountRecord.parse,
        _record_is_same,
        (*REFUSED, BadKey, BadSignature),
        (("record_parse", "record"),),
    ),
    Decoder(
        "card",
        lambda data: Card.parse(text(data)),
        lambda card, data: text(data).strip() in (card.uri(), card.link()),
        REFUSED,
        (("card_parse", "text"),),
    ),
    Decoder(
        "recovery-code",
        lambda data: parse_recovery_code(text(data)),
        lambda entropy, _: parse_recovery_code(encode_recovery_code(entropy)) == entropy,
        (Malformed,),
        (("recovery_code_parse", "text"),),
    ),
    Decoder(
        "origin",
        lambda data: check_origin(text(data)),
        lambda origin, data: origin == text(data),
        (Malformed,),
        (("origin", "origin"),),
    ),
    Decoder(
        "safety-number",
        lambda data: matches_qr(data, OURS, THEIRS),
        lambda matches, data: matches == (data == encode_qr(THEIRS, OURS)),
        REFUSED,
        (("qr_match", "payload"),),
        lambda: (encode_qr(THEIRS, OURS),),
    ),
)

SESSIONS: Final = (
    Decoder("prekey", Prekey.parse, exactly(Prekey.encode), REFUSED, (("prekey_parse", "prekey"),)),
    Decoder(
        "envelope-prekey",
        _envelope_prekey,
        lambda value, _: value[0] == value[1],
        (*REFUSED, BadKey, BadSignature),
        (("prekey_parse", "prekey"),),
        _envelope_prekeys,
    ),
    Decoder(
        "handshake",
        Handshake.parse,
        exactly(Handshake.encode),
        (*REFUSED, BadKey),
        (("handshake_parse", "handshake"),),
    ),
    Decoder(
        "ratchet-message",
        Message.parse,
        exactly(lambda message: message.header + message.ciphertext),
        REFUSED,
        (("message_parse", "message"),),
    ),
    Decoder(
        "session-message",
        SessionMessage.parse,
        exactly(_session_message),
        (*REFUSED, BadKey),
        (("session_message_parse", "data"),),
    ),
    Decoder("sessions", parse_sessions, exactly(encode_sessions), (*REFUSED, BadKey), made=_stored_sessions),
)

CONTENTS: Final = (
    Decoder(
        "envelope",
        Envelope.parse,
        exactly(lambda parsed: parsed.header + parsed.ciphertext),
        (*REFUSED, BadKey),
        (("envelope_parse", "envelope"),),
    ),
    Decoder("payload", envelope._parse_payload, _payload_is_same, REFUSED, made=_payloads),
    Decoder("content", Content.parse, _content_is_same, REFUSED, (("content_parse", "content"),)),
    Decoder(
        "counter",
        content.counter_of,
        lambda counter, data: data[19:27] == counter.to_bytes(8, "big"),
        REFUSED,
        (("content_parse", "content"),),
    ),
    Decoder("resend", Resend.parse, exactly(Resend.encode), (Malformed,), (("resend_parse", "body"),)),
    Decoder("receipt", parse_ids, exactly(encode_ids), (Malformed,), made=lambda: (bytes(16), bytes(64))),
    Decoder("text", parse_text, exactly(str.encode), (Malformed,), made=lambda: ("Grüße 👋".encode(),)),
)

FILES: Final = (
    Decoder("file-offer", FileOffer.parse, exactly(FileOffer.encode), REFUSED, (("offer_parse", "body"),)),
    Decoder("file-state", FileState.parse, exactly(FileState.encode), (Malformed,), (("file_state_parse", "body"),)),
    Decoder("manifest", Manifest.parse, exactly(Manifest.encode), REFUSED, (("manifest_parse", "manifest"),)),
    Decoder("container", _unpacked, _unpacked_is_same, REFUSED, made=_containers),
    Decoder("chunked", _decrypted, exactly(_encrypted), (Malformed, AuthenticationFailed), made=_ciphertexts),
    Decoder("torrent", lambda data: check_info(data, CIPHERTEXT_SIZE), exactly(bytes), (WrongMetadata,), made=_infos),
    Decoder(
        "saved-name",
        lambda data: safe_name(text(data)),
        lambda name, _: safe_name(check_component(name)) == name,
        (),
        made=lambda: ("Grüße.tar.gz".encode(), b"CON", b"..", b"a/b:c\xff"),
    ),
)
