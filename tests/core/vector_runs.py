"""What each operation of conventions, identity, envelope and safety-number vectors means for our code."""

from core.vector_states import read_device, write_device
from halonyx.core import labels
from halonyx.core.card import Card
from halonyx.core.content import Content, Extension, Resend
from halonyx.core.directory import Slot, open_object, seal_object
from halonyx.core.envelope import Envelope, EnvelopeKeys, Payload, open_envelope, seal_envelope
from halonyx.core.identity import (
    AccountRecord,
    address_of,
    check_record,
    device_fingerprint,
    usid_of,
)
from halonyx.core.kdf import access_key, directory_key, expand, kdf_envelope, request_key
from halonyx.core.origin import check_origin
from halonyx.core.padding import bucket_for
from halonyx.core.prekeys import EnvelopePrekey
from halonyx.core.primitives import (
    KemKeyPair,
    KemPublicKey,
    KeyPair,
    PostQuantumVerifyKey,
    PublicKey,
    VerifyKey,
    aead_open,
    sha512,
)
from halonyx.core.recovery import account_keys, encode_recovery_code, parse_recovery_code
from halonyx.core.safety_number import (
    ITERATIONS,
    Party,
    encode_qr,
    matches_qr,
    safety_number,
)
from halonyx.core.types import Address, DeviceId, Fingerprint, PrekeyId, Usid
from vectors import Fields, Runner

Output = dict[str, object]


def hs(given: Fields) -> Output:
    return {"digest": labels.hash_of(given.text("label").encode("ascii"), *given.hexes("parts"))}


def hkdf(given: Fields) -> Output:
    label, size = given.text("label").encode("ascii"), given.number("size")
    return {"okm": expand(given.hex("ikm"), label, size, given.hex("context"), given.hex("salt"))}


def x25519(given: Fields) -> Output:
    ours, theirs = KeyPair.from_private(given.hex("private")), PublicKey(given.hex("public"))
    return {"our_public": ours.public.raw, "shared_secret": ours.exchange(theirs)}


def ed25519_verify(given: Fields) -> Output:
    key, label = VerifyKey(given.hex("public_key")), given.text("label").encode("ascii")
    key.verify(label, given.hex("body"), given.hex("signature"))
    return {}


def mldsa65_verify(given: Fields) -> Output:
    key, label = PostQuantumVerifyKey(given.hex("public_key")), given.text("label").encode("ascii")
    key.verify(label, given.hex("body"), given.hex("signature"))
    return {}


def mlkem_decapsulate(given: Fields) -> Output:
    load = {768: KemKeyPair.from_seed_768, 1024: KemKeyPair.from_seed_1024}[given.number("bits")]
    pair = load(given.hex("seed"))
    return {"public_key": pair.public.raw, "shared_secret": pair.decapsulate(given.hex("ciphertext"))}


def mlkem_public_key(given: Fields) -> Output:
    return {"public_key": KemPublicKey(given.hex("public_key")).raw}


def aead(given: Fields) -> Output:
    fields = (given.hex(name) for name in ("key", "nonce", "ciphertext", "associated_data"))
    return {"plaintext": aead_open(*fields)}


def recovery_code_encode(given: Fields) -> Output:
    return {"text": encode_recovery_code(given.hex("entropy"))}


def recovery_code_parse(given: Fields) -> Output:
    return {"entropy": parse_recovery_code(given.text("text"))}


def keys_of_account(given: Fields) -> Output:
    entropy = given.hex("entropy")
    keys = account_keys(entropy)
    usid = usid_of(keys)
    return {
        "account_seed": expand(entropy, labels.ACCOUNT_SEED, 32),
        "ed25519_seed": keys.ed25519.seed(),
        "ed25519": keys.ed25519.public.raw,
        "mldsa65_seed": keys.mldsa65.private.private_bytes_raw(),
        "mldsa65": keys.mldsa65.public.raw,
        "management_seed": keys.management.seed(),
        "management_key": keys.management.public.raw,
        "salt": keys.salt,
        "account_fingerprint": labels.hash_of(
            labels.ACCOUNT_FINGERPRINT, keys.ed25519.public.raw, keys.mldsa65.public.raw
        ),
        "usid": usid,
        "address": address_of(usid),
        "directory_key": directory_key(usid),
        "request_key": request_key(usid),
    }


def fingerprint_of_device(given: Fields) -> Output:
    device = read_device(given.inside("device"))
    return {"device_fingerprint": device_fingerprint(Address(given.hex("address")), device)}


def record_parse(given: Fields) -> Output:
    record = AccountRecord.parse(given.hex("record"))
    return {
        "version": record.version,
        "created": record.created,
        "salt": record.salt,
        "ed25519": record.ed25519.raw,
        "mldsa65": record.mldsa65.raw,
        "origins": list(record.origins),
        "devices": [write_device(device) for device in record.devices],
        "account_fingerprint": record.fingerprint,
        "usid": record.usid,
        "address": record.address,
        "record_hash": record.hash,
    }


def record_check(given: Fields) -> Output:
    record, seen = AccountRecord.parse(given.hex("record")), given.hex_or_none("seen")
    before = AccountRecord.parse(seen) if seen else None
    check_record(record, Usid(given.hex("usid")), before, given.number("named"))
    return {"version": record.version}


def origin(given: Fields) -> Output:
    return {"origin": check_origin(given.text("origin"))}


def _slot(given: Fields) -> tuple[Usid, Slot]:
    usid = Usid(given.hex("usid"))
    return usid, Slot(address_of(usid), given.number("use"), given.number("device"), given.number("id"))


def object_seal(given: Fields) -> Output:
    usid, slot = _slot(given)
    content = given.hex("content")
    sealed = seal_object(usid, slot, content, given.hex("nonce"))
    assert open_object(usid, slot, sealed) == content
    return {"associated_data": slot.associated_data(), "sealed": sealed}


def object_open(given: Fields) -> Output:
    usid, slot = _slot(given)
    return {"content": open_object(usid, slot, given.hex("sealed"))}


def card_parse(given: Fields) -> Output:
    card = Card.parse(given.text("text"))
    return {
        "origin": card.origin,
        "usid": card.usid,
        "record_version": card.record_version,
        "uri": card.uri(),
        "link": card.link(),
    }


def bucket(given: Fields) -> Output:
    return {"bucket": bucket_for(given.number("size"))}


def access_keys(given: Fields) -> Output:
    return {"access_key": access_key(given.hex("profile_key")), "request_key": request_key(Usid(given.hex("usid")))}


def envelope_parse(given: Fields) -> Output:
    envelope = Envelope.parse(given.hex("envelope"))
    return {
        "prekey": envelope.prekey,
        "ephemeral": envelope.ephemeral.raw,
        "kem_ciphertext": envelope.kem_ciphertext,
        "header": envelope.header,
        "ciphertext": envelope.ciphertext,
    }


def _recipient(given: Fields) -> tuple[Address, Fingerprint]:
    return Address(given.hex("address")), Fingerprint(given.hex("device_fingerprint"))


def envelope_seal(given: Fields) -> Output:
    keys = PublicKey(given.hex("x25519_public")), KemPublicKey(given.hex("mlkem768_public"))
    prekey, recipient = EnvelopePrekey(PrekeyId(given.number("prekey")), *keys), _recipient(given)
    sender, device = Address(given.hex("sender")), DeviceId(given.number("device"))
    payload = Payload(sender, device, given.hex_or_none("record"), given.hex("message"))
    ephemeral = KeyPair.from_private(given.hex("ephemeral_private"))
    ciphertext, secret = given.hex_or_none("kem_ciphertext"), given.hex_or_none("kem_secret")
    kem = None if ciphertext is None or secret is None else (ciphertext, secret)
    sealed = seal_envelope(prekey, recipient, payload, ephemeral, kem)
    envelope, ikm = Envelope.parse(sealed), ephemeral.exchange(prekey.x25519) + (secret or b"")
    both = prekey.mlkem768.raw + ciphertext if ciphertext else b""
    context = envelope.header[1:38] + prekey.x25519.raw + both + recipient[0] + recipient[1]
    key, nonce = kdf_envelope(ikm, context)
    padded = aead_open(key, nonce, envelope.ciphertext, envelope.header)
    size = 40 + len(payload.message) + (2 + len(payload.record) if payload.record else 0)
    assert not any(padded[size:])
    values = {"ikm": ikm, "context": context, "key": key, "nonce": nonce}
    return {**values, "payload": padded[:size], "envelope": sealed}


def envelope_open(given: Fields) -> Output:
    keys = EnvelopeKeys(
        PrekeyId(given.number("prekey")),
        KeyPair.from_private(given.hex("x25519_private")),
        KemKeyPair.from_seed_768(given.hex("mlkem768_seed")),
    )
    payload = open_envelope(Envelope.parse(given.hex("envelope")), keys, _recipient(given))
    values = {"sender": payload.sender, "device": payload.device}
    return {**values, "record": payload.record, "message": payload.message}


def content_parse(given: Fields) -> Output:
    data = given.hex("content")
    content = Content.parse(data)
    names = {
        name: {"version": record.version, "hash": record.hash}
        for name, record in (("sender_record", content.sender_record), ("recipient_record", content.recipient_record))
    }
    return {
        "kind": int(content.kind),
        "message_id": content.message_id,
        "counter": content.counter,
        "sent": content.sent,
        "conversation": content.conversation,
        **names,
        "reply_to": content.reply_to,
        "expires_after": content.expires_after,
        "body": content.body,
        "profile_key": content.extensions.get(Extension.PROFILE_KEY),
        "is_canonical": content.encode() == data,
    }


def resend_parse(given: Fields) -> Output:
    body = given.hex("body")
    resend = Resend.parse(body)
    assert resend.encode() == body
    return {"resets": resend.resets, "counters": list(resend.counters)}


def _parties(given: Fields) -> tuple[Party, Party]:
    ours, theirs = given.inside("ours"), given.inside("theirs")
    parties = [Party(Fingerprint(side.hex("fingerprint")), Address(side.hex("address"))) for side in (ours, theirs)]
    return parties[0], parties[1]


def number_of(given: Fields) -> Output:
    ours, theirs = _parties(given)
    first = digest = sha512(labels.SAFETY_NUMBER + b"\x00\x01" + ours.fingerprint + ours.address)
    for _ in range(ITERATIONS - 1):
        digest = sha512(digest + ours.fingerprint)
    our_half = " ".join(f"{int.from_bytes(digest[at : at + 5], 'big') % 100_000:05d}" for at in range(0, 30, 5))
    number = safety_number(ours, theirs)
    halves = [number[:35], number[36:]]
    halves.remove(our_half)
    values = {"our_h0": first, "our_digest": digest, "our_half": our_half, "their_half": halves[0]}
    return {**values, "safety_number": number}


def qr_encode(given: Fields) -> Output:
    return {"payload": encode_qr(*_parties(given))}


def qr_match(given: Fields) -> Output:
    return {"is_match": matches_qr(given.hex("payload"), *_parties(given))}


RUNS: dict[str, Runner] = {
    "hs": hs,
    "hkdf": hkdf,
    "x25519": x25519,
    "ed25519_verify": ed25519_verify,
    "mldsa65_verify": mldsa65_verify,
    "mlkem_decapsulate": mlkem_decapsulate,
    "mlkem_public_key": mlkem_public_key,
    "aead_open": aead,
    "recovery_code_encode": recovery_code_encode,
    "recovery_code_parse": recovery_code_parse,
    "account_keys": keys_of_account,
    "device_fingerprint": fingerprint_of_device,
    "record_parse": record_parse,
    "record_check": record_check,
    "origin": origin,
    "object_seal": object_seal,
    "object_open": object_open,
    "card_parse": card_parse,
    "bucket": bucket,
    "access_keys": access_keys,
    "envelope_parse": envelope_parse,
    "envelope_seal": envelope_seal,
    "envelope_open": envelope_open,
    "content_parse": content_parse,
    "resend_parse": resend_parse,
    "safety_number": number_of,
    "qr_encode": qr_encode,
    "qr_match": qr_match,
}
