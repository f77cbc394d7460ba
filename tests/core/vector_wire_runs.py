"""What each operation of delivery vectors means for our code."""

from base64 import b64decode
from dataclasses import fields as fields_of
from typing import Final

from halonyx.core.encoding import decode_base64url
from halonyx.core.labels import DEVICE_LOGIN, RELAY_CHALLENGE, REST_REQUEST
from halonyx.core.primitives import SigningKey, VerifyKey, sha256
from halonyx.core.types import Address, DeviceId, Millis
from halonyx.wire import http_signature, work
from halonyx.wire.announcement import Announcement
from halonyx.wire.frames import (
    RECEIVE_PATH,
    SEND_PATH,
    FrameType,
    parse_receive_reply,
    parse_receive_request,
    parse_send_reply,
    parse_send_request,
)
from halonyx.wire.http_signature import KeyId, Signer, Target
from halonyx.wire.login import challenge_body, login_body
from vectors import Fields, Runner

Output = dict[str, object]
PARSERS: Final = {
    (RECEIVE_PATH, "client"): parse_receive_request,
    (RECEIVE_PATH, "relay"): parse_receive_reply,
    (SEND_PATH, "client"): parse_send_request,
    (SEND_PATH, "relay"): parse_send_reply,
}


def frame_parse(given: Fields) -> Output:
    parse, data = PARSERS[given.text("path"), given.text("sender")], given.hex("frame")
    frame = parse(data)
    assert frame.encode() == data
    values = {part.name: getattr(frame, part.name) for part in fields_of(frame)}
    return {"type": FrameType(data[1]).name, "fields": values}


def _challenge(given: Fields) -> bytes:
    return challenge_body(given.hex("nonce"), Millis(given.number("time")), given.text("origin"))


def challenge_sign(given: Fields) -> Output:
    body = _challenge(given)
    return {"body": body, "signature": SigningKey.from_seed(given.hex("seed")).sign(RELAY_CHALLENGE, body)}


def challenge_verify(given: Fields) -> Output:
    VerifyKey(given.hex("key")).verify(RELAY_CHALLENGE, _challenge(given), given.hex("signature"))
    return {}


def _login(given: Fields) -> bytes:
    who = Address(given.hex("address")), DeviceId(given.number("device"))
    return login_body(given.hex("nonce"), given.text("origin"), *who)


def login_sign(given: Fields) -> Output:
    body = _login(given)
    return {"body": body, "signature": SigningKey.from_seed(given.hex("seed")).sign(DEVICE_LOGIN, body)}


def login_verify(given: Fields) -> Output:
    VerifyKey(given.hex("key")).verify(DEVICE_LOGIN, _login(given), given.hex("signature"))
    return {}


def announcement_sign(given: Fields) -> Output:
    said = Announcement(Millis(given.number("time")), given.text("text"))
    return {"announcement": said.sign(SigningKey.from_seed(given.hex("seed")))}


def announcement_parse(given: Fields) -> Output:
    found = Announcement.parse(given.hex("announcement"), VerifyKey(given.hex("key")))
    return {"time": found.time, "text": found.text}


def _target(given: Fields) -> Target:
    return Target(given.text("method"), given.text("authority"), given.text("path"))


def http_sign(given: Fields) -> Output:
    key_id = KeyId(Address(given.hex("address")), given.number("device"))
    signer, target, body = Signer(key_id, SigningKey.from_seed(given.hex("seed"))), _target(given), given.hex("body")
    headers = http_signature.sign(signer, target, body, created=given.number("created"), nonce=given.hex("nonce"))
    digest, inputs = headers["Content-Digest"], headers["Signature-Input"]
    lines = [f'"@method": {target.method}', f'"@authority": {target.authority}', f'"@path": {target.path}']
    lines += [f'"content-digest": {digest}', f'"@signature-params": {inputs.removeprefix("halonyx=")}']
    base = "\n".join(lines).encode("ascii")
    signature = b64decode(headers["Signature"].removeprefix("halonyx=:").removesuffix(":"))
    signer.key.public.verify(REST_REQUEST, base, signature)
    return {"content_digest": digest, "signature_input": inputs, "signature": headers["Signature"], "base": base}


def http_verify(given: Fields) -> Output:
    names = ("content_digest", "signature_input", "signature")
    headers = {name.replace("_", "-"): given.text(name) for name in names}
    claim = http_signature.parse(headers, _target(given), given.hex("body"))
    claim.verify(VerifyKey(given.hex("key")))
    claim.check_fresh(given.number("now"))
    return {
        "address": claim.key_id.address,
        "device": claim.key_id.device,
        "created": claim.created,
        "nonce": claim.nonce,
    }


def work_solve(given: Fields) -> Output:
    seed, address = given.hex("seed"), Address(given.hex("address"))
    nonce = work.solve(seed, address, given.number("bits"))
    assert nonce is not None
    return {"nonce": nonce, "digest": sha256(seed + address + nonce.to_bytes(8, "big"))}


def work_check(given: Fields) -> Output:
    seed, address = given.hex("seed"), Address(given.hex("address"))
    return {"is_solved": work.check(seed, address, given.number("bits"), given.number("nonce"))}


def base64url_decode(given: Fields) -> Output:
    return {"data": decode_base64url(given.text("text"))}


WIRE_RUNS: dict[str, Runner] = {
    "frame_parse": frame_parse,
    "challenge_sign": challenge_sign,
    "challenge_verify": challenge_verify,
    "login_sign": login_sign,
    "login_verify": login_verify,
    "announcement_sign": announcement_sign,
    "announcement_parse": announcement_parse,
    "http_sign": http_sign,
    "http_verify": http_verify,
    "work_solve": work_solve,
    "work_check": work_check,
    "base64url_decode": base64url_decode,
}
