"""The decoders between client and relay: frames, signed calls, bodies, the tracker, headers that proxies set."""

import importlib
import json
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any, Final

from pydantic import ValidationError

from fuzz.decoder import Decoder, exactly
from halonyx import wire
from halonyx.core.encoding import decode_base64url, encode_base64url
from halonyx.core.errors import BadSignature, Malformed, UnsupportedVersion
from halonyx.core.primitives import SigningKey
from halonyx.core.types import Address, Millis
from halonyx.relay.clients import last_hop, network_of
from halonyx.relay.handshake import MAIL_PATHS, Refusal, Upgrade, judge
from halonyx.wire import frames, http_signature, tracker
from halonyx.wire.announcement import Announcement
from halonyx.wire.http_signature import Claim, KeyId, Signer, Target
from halonyx.wire.rest import Body
from halonyx.wire.tracker import TRACKER_PATH

OPERATOR: Final = SigningKey.from_seed(bytes(32))
TARGET: Final = Target("PUT", "relay.example", "/v1/prekeys")
ORIGIN: Final = "https://relay.example"
FRAME: Final = (("frame_parse", "frame"),)
REFUSED: Final = (Malformed, UnsupportedVersion)


def _announcements() -> Iterator[bytes]:
    for said in ("x", "The relay moves on Sunday", "Ünïcode 👋"):
        yield Announcement(Millis(1_760_000_000_000), said).sign(OPERATOR)


def _lines(data: bytes) -> tuple[dict[str, str], bytes]:
    """Return the three headers of a signed call, as an HTTP server hands them on, and the body."""
    names = ("content-digest", "signature-input", "signature")
    digest, given, signature, body = (data.split(b"\n", 3) + [b""] * 4)[:4]
    values = [value.decode("latin-1") for value in (digest, given, signature)]
    return dict(zip(names, values, strict=True)), body


def _claim(data: bytes) -> Claim:
    headers, body = _lines(data)
    return http_signature.parse(headers, TARGET, body)


def _claim_is_same(claim: Claim, data: bytes) -> bool:
    named = f'created={claim.created};nonce="{claim.nonce}";keyid="{claim.key_id}";alg="ed25519"'
    return _lines(data)[0]["signature-input"].endswith(f'"content-digest");{named}')


def _signed_calls() -> Iterator[bytes]:
    signer = Signer(KeyId(Address(b"\x07" * 32), 1), OPERATOR)
    for body in (b"", b'{"a":1}'):
        headers = http_signature.sign(signer, TARGET, body, created=1_760_000_000, nonce=bytes(16))
        yield "\n".join([*headers.values(), ""]).encode() + body


def _example(  # noqa: C901, PLR0911 (a case for each kind of schema)
    schema: dict[str, Any], models: dict[str, Any], *, is_full: bool
) -> Any:  # noqa: ANN401 (JSON)
    """Return a value of a JSON schema: everything in it, or as little as may be."""

    def inside(other: dict[str, Any]) -> Any:  # noqa: ANN401 (JSON)
        return _example(other, models, is_full=is_full)

    match schema:
        case {"$ref": name}:
            return inside(models[name.rpartition("/")[2]])
        case {"anyOf": choices}:
            return inside(choices[0 if is_full else -1])
        case {"enum": [first, *_]} | {"const": first}:
            return first
        case {"type": "object"}:
            fields = schema.get("properties", {})
            return {name: inside(fields[name]) for name in (fields if is_full else schema.get("required", ()))}
        case {"type": "array"}:
            return [inside(schema["items"])] * max(schema.get("minItems", 0), int(is_full))
        case {"type": "integer"}:
            return schema.get("minimum", 0)
        case {"type": "boolean"}:
            return is_full
        case {"type": "string", "pattern": pattern} if "@" in pattern:
            return "alice@example.org"
        case {"type": "string"}:
            hexes = 32 if "{32}" in schema.get("pattern", "") else schema.get("minLength", 0)
            return ("A" if schema.get("format") == "base64url" else "0") * hexes
        case _:
            return None


def _models() -> list[type[Body]]:
    """Return the models of all calls, in whichever file of `wire` they stand."""
    for module in pkgutil.iter_modules(wire.__path__):
        importlib.import_module(f"{wire.__name__}.{module.name}")
    return Body.__subclasses__()


def _examples(model: type[Body]) -> Iterator[bytes]:
    schema = model.model_json_schema()
    for is_full in (False, True):
        yield json.dumps(_example(schema, schema.get("$defs", {}), is_full=is_full)).encode()


def _model(model: type[Body]) -> Decoder[Body]:
    return Decoder(
        model.__name__,
        model.model_validate_json,
        lambda value, _: model.model_validate_json(value.to_json()) == value,
        (ValidationError,),
        made=lambda: _examples(model),
    )


def _upgrade(data: bytes) -> Upgrade | Refusal:
    return judge(b"GET " + data, (ORIGIN,), MAIL_PATHS | {TRACKER_PATH})


def _upgrade_is_same(value: Upgrade | Refusal, data: bytes) -> bool:
    if isinstance(value, Refusal):
        return value.response().startswith(b"HTTP/1.1 4")
    return value.canonical().startswith(b"GET /v1/") and value.key.encode() in data


def _upgrades() -> Iterator[bytes]:
    for path in (*sorted(MAIL_PATHS), f"{TRACKER_PATH}?token={'0' * 32}"):
        yield (
            f"{path} HTTP/1.1\r\nHost: relay.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {'A' * 22}==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: halonyx.1\r\n"
            f"Origin: {ORIGIN}\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n"
        ).encode()


def _announce_is_same(announce: tracker.Announce, _: bytes) -> bool:
    known = announce.model_copy(update={"left": None})  # the one field that is only ever compared with 0
    return tracker.parse_announce(known.model_dump_json().encode()) == known


def _announces() -> Iterator[bytes]:
    peer = "x" * 20
    yield (
        f'{{"action":"announce","info_hash":"{peer}","peer_id":"{peer}","event":"started","left":1,"numwant":5,'
        f'"offers":[{{"offer_id":"{peer}","offer":{{"type":"offer","sdp":"v=0"}}}}]}}'
    ).encode()
    yield (
        f'{{"action":"announce","info_hash":"{peer}","peer_id":"{peer}","to_peer_id":"{peer}","offer_id":"{peer}",'
        '"answer":{"type":"answer","sdp":"v=0"}}'
    ).encode()


def _frame(name: str, parse: Callable[[bytes], Any]) -> Decoder[Any]:
    return Decoder(name, parse, exactly(lambda frame: frame.encode()), REFUSED, FRAME)


FRAMES: Final = (
    _frame("receive-request", frames.parse_receive_request),
    _frame("receive-reply", frames.parse_receive_reply),
    _frame("send-request", frames.parse_send_request),
    _frame("send-reply", frames.parse_send_reply),
    Decoder(
        "announcement",
        lambda data: Announcement.parse(data, OPERATOR.public),
        exactly(lambda said: said.sign(OPERATOR)),
        (*REFUSED, BadSignature),
        (("announcement_parse", "announcement"),),
        _announcements,
    ),
)

HEADERS: Final = (
    Decoder("signed-call", _claim, _claim_is_same, (Malformed,), made=_signed_calls),
    Decoder("upgrade", _upgrade, _upgrade_is_same, (), made=_upgrades),
    Decoder(
        "forwarded",
        lambda data: network_of(last_hop([data.decode("latin-1")]) or ""),
        lambda network, _: network in ("", network_of(network)) or "/" in network,
        (),
        made=lambda: (b"192.0.2.1", b"10.0.0.1, [2001:db8::1]:443", b"::ffff:192.0.2.1", b"192.0.2.1:99"),
    ),
    Decoder(
        "tracker-token",
        lambda data: tracker.parse_token(data.decode("latin-1")),
        lambda token, data: token is None or data == b"token=" + token.hex().encode(),
        (),
        made=lambda: (b"token=" + b"0" * 32,),
    ),
)

BODIES: Final[tuple[Decoder[Any], ...]] = (
    *(_model(model) for model in sorted(_models(), key=lambda model: model.__name__)),
    Decoder(
        "base64url",
        lambda data: decode_base64url(data.decode("latin-1")),
        exactly(lambda value: encode_base64url(value).encode()),
        (Malformed,),
        (("base64url_decode", "text"),),
    ),
    Decoder("announce", tracker.parse_announce, _announce_is_same, (Malformed,), made=_announces),
)
