"""schema.json: which operations there are, and which fields each takes and gives."""

import json

Json = dict[str, object]

HEX: Json = {"$ref": "#/$defs/hex"}
COUNT: Json = {"$ref": "#/$defs/unsigned"}
TEXT: Json = {"type": "string"}
FLAG: Json = {"type": "boolean"}
HEXES: Json = {"type": "array", "items": HEX}
TEXTS: Json = {"type": "array", "items": TEXT}
COUNTS: Json = {"type": "array", "items": COUNT}

CODES = (
    "ok",
    "malformed",
    "unsupported-version",
    "bad-signature",
    "bad-key",
    "unknown-prekey",
    "unknown-session",
    "replay",
    "duplicate",
    "too-far-ahead",
    "authentication-failed",
    "untrusted-identity",
    "stale-directory",
    "storage-conflict",
    "misuse",
)
FILES = ("conventions", "identity", "handshake", "ratchet", "envelope", "delivery", "files", "safety-number")


def fields(hexes: str = "", /, **others: Json) -> Json:
    """Return a closed object: names of hex fields, a `?` for one that may be null, and fields of other types."""
    properties: dict[str, object] = {}
    for name in hexes.split():
        properties[name.rstrip("?")] = or_null(HEX) if name.endswith("?") else HEX
    properties |= others
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def or_null(kind: Json) -> Json:
    """Return a type that may also be null."""
    return {"anyOf": [kind, {"type": "null"}]}


def ref(name: str) -> Json:
    """Return a reference to one of the shared types."""
    return {"$ref": f"#/$defs/{name}"}


def many(name: str) -> Json:
    """Return a list of a shared type."""
    return {"type": "array", "items": ref(name)}


SHARED: dict[str, Json] = {
    "hex": {"type": "string", "pattern": "^([0-9a-f]{2})*$"},
    "unsigned": {"type": "integer", "minimum": 0, "maximum": 2**53 - 1},
    "device": fields("identity_key signing_key", id=COUNT, created=COUNT),
    "peer": fields("address identity_key signing_key", id=COUNT, created=COUNT),
    "own_device": fields("address identity_private signing_seed", id=COUNT, created=COUNT),
    "bundle": fields("signed envelope kem one_time?"),
    "record_name": fields("hash", version=COUNT),
    "party": fields("fingerprint address"),
    "chain": fields("key", index=COUNT),
    "skipped_key": fields("ratchet_key message_key", index=COUNT, stored=COUNT),
    "state": fields(
        "session_id sending_ad receiving_ad root_key ours_private theirs?",
        sending=or_null(ref("chain")),
        receiving=or_null(ref("chain")),
        previous_length=COUNT,
        skipped=many("skipped_key"),
    ),
    "session": fields("handshake?", state=ref("state")),
    "archived": fields(session=ref("session"), since=COUNT),
    "sessions": fields(sending=or_null(ref("session")), archived=many("archived")),
    "run": fields("bytes", times=COUNT),
    "file_entry": fields(path=TEXT, size=COUNT),
    "file": fields("hash", path=TEXT),
    "frame": {"type": "object", "additionalProperties": {"anyOf": [HEX, COUNT]}},
}

PQXDH = "dh1 dh2 dh3 dh4 kem_secret ikm transcript_hash okm root_key session_id"
X3DH = "dh1 dh2 dh3 dh4 ikm shared_secret associated_data"
SLOT: dict[str, Json] = {"use": COUNT, "device": COUNT, "id": COUNT}
SUMMARY: dict[str, Json] = {"sending": or_null(HEX), "is_answered": FLAG, "archived": HEXES}
DEVICE_LIST: Json = many("device")
CALL: dict[str, Json] = {"method": TEXT, "authority": TEXT, "path": TEXT}
SIGNATURE_HEADERS: dict[str, Json] = {"content_digest": TEXT, "signature_input": TEXT, "signature": TEXT}
PARTIES: dict[str, Json] = {"ours": ref("party"), "theirs": ref("party")}

OPERATIONS: dict[str, tuple[Json, Json]] = {
    "hs": (fields(label=TEXT, parts=HEXES), fields("digest")),
    "hkdf": (fields("ikm salt context", label=TEXT, size=COUNT), fields("okm")),
    "x25519": (fields("private public"), fields("our_public shared_secret")),
    "ed25519_verify": (fields("public_key body signature", label=TEXT), fields()),
    "mldsa65_verify": (fields("public_key body signature", label=TEXT), fields()),
    "mlkem_decapsulate": (fields("seed ciphertext", bits=COUNT), fields("public_key shared_secret")),
    "mlkem_public_key": (fields("public_key"), fields("public_key")),
    "aead_open": (fields("key nonce ciphertext associated_data"), fields("plaintext")),
    "recovery_code_encode": (fields("entropy"), fields(text=TEXT)),
    "recovery_code_parse": (fields(text=TEXT), fields("entropy")),
    "account_keys": (
        fields("entropy"),
        fields(
            "account_seed ed25519_seed ed25519 mldsa65_seed mldsa65 management_seed management_key salt"
            " account_fingerprint usid address directory_key request_key"
        ),
    ),
    "device_fingerprint": (fields("address", device=ref("device")), fields("device_fingerprint")),
    "record_parse": (
        fields("record"),
        fields(
            "salt ed25519 mldsa65 account_fingerprint usid address record_hash",
            version=COUNT,
            created=COUNT,
            origins=TEXTS,
            devices=DEVICE_LIST,
        ),
    ),
    "record_check": (fields("record usid seen?", named=COUNT), fields(version=COUNT)),
    "origin": (fields(origin=TEXT), fields(origin=TEXT)),
    "object_seal": (fields("usid content nonce", **SLOT), fields("associated_data sealed")),
    "object_open": (fields("usid sealed", **SLOT), fields("content")),
    "card_parse": (fields(text=TEXT), fields("usid", origin=TEXT, record_version=COUNT, uri=TEXT, link=TEXT)),
    "prekey_parse": (fields("prekey"), fields("key signature", use=COUNT, id=COUNT, expiry=COUNT)),
    "prekey_verify": (fields("prekey signing_key device_fingerprint"), fields()),
    "bundle_verify": (fields("signed envelope kem one_time? signing_key device_fingerprint", now=COUNT), fields()),
    "x3dh_initiate": (
        fields("identity_private ephemeral_private identity_key signed_prekey one_time_prekey?"),
        fields(X3DH),
    ),
    "x3dh_accept": (
        fields("identity_private signed_private one_time_private? identity_key ephemeral_key"),
        fields(X3DH),
    ),
    "handshake_parse": (
        fields("handshake"),
        fields("ephemeral ciphertext replay_key", signed=COUNT, one_time=COUNT, kem=COUNT, uses_last_resort=FLAG),
    ),
    "initiate": (
        fields(
            "ephemeral_private ratchet_private kem_ciphertext kem_secret",
            ours=ref("own_device"),
            theirs=ref("peer"),
            bundle=ref("bundle"),
        ),
        fields(f"{PQXDH} handshake", state=ref("state")),
    ),
    "accept": (
        fields(
            "handshake signed_private one_time_private? kem_seed message fresh_private",
            ours=ref("own_device"),
            theirs=ref("peer"),
            now=COUNT,
        ),
        fields(f"{PQXDH} plaintext", state=ref("state"), after=ref("state")),
    ),
    "message_parse": (
        fields("message"),
        fields("session_id ratchet_key salt ciphertext", previous_length=COUNT, index=COUNT),
    ),
    "encrypt": (
        fields("plaintext salt", state=ref("state")),
        fields("header message_key key nonce associated_data message", after=ref("state")),
    ),
    "decrypt": (
        fields("message fresh_private", state=ref("state"), now=COUNT),
        fields("message_key key nonce associated_data plaintext", after=ref("state")),
    ),
    "decrypt_in_turn": (
        fields("fresh_private", state=ref("state"), messages=HEXES, now=COUNT),
        fields("chain_key oldest_message_key newest_message_key", next_index=COUNT, skipped=COUNT),
    ),
    "session_message_parse": (fields("data"), fields("handshake? message")),
    "session_seal": (fields("plaintext salt", session=ref("session")), fields("data")),
    "session_receive": (
        fields("message fresh_private", sessions=ref("sessions"), now=COUNT),
        fields("plaintext", **SUMMARY),
    ),
    "session_adopt": (
        fields(
            "our_fingerprint their_fingerprint resets?",
            sessions=ref("sessions"),
            accepted=ref("state"),
            now=COUNT,
        ),
        fields(**SUMMARY),
    ),
    "bucket": (fields(size=COUNT), fields(bucket=COUNT)),
    "access_keys": (fields("profile_key usid"), fields("access_key request_key")),
    "envelope_parse": (fields("envelope"), fields("ephemeral kem_ciphertext? header ciphertext", prekey=COUNT)),
    "envelope_seal": (
        fields(
            "x25519_public mlkem768_public address device_fingerprint sender record? message ephemeral_private"
            " kem_ciphertext? kem_secret?",
            prekey=COUNT,
            device=COUNT,
        ),
        fields("ikm context key nonce payload envelope"),
    ),
    "envelope_open": (
        fields("envelope x25519_private mlkem768_seed address device_fingerprint", prekey=COUNT),
        fields("sender record? message", device=COUNT),
    ),
    "content_parse": (
        fields("content"),
        fields(
            "message_id conversation reply_to? body profile_key?",
            kind=COUNT,
            counter=COUNT,
            sent=COUNT,
            sender_record=ref("record_name"),
            recipient_record=ref("record_name"),
            expires_after=or_null(COUNT),
            is_canonical=FLAG,
        ),
    ),
    "resend_parse": (fields("body"), fields("resets?", counters=COUNTS)),
    "file_secrets": (fields("key"), fields("tracker_token drop_id drop_deletion_key")),
    "chunked_encrypt": (
        fields("key salt", plaintext=many("run")),
        fields("aead_key base_nonce commitment header ciphertext_hash", ciphertext_size=COUNT),
    ),
    "chunked_decrypt": (
        fields("key context", ciphertext=many("run")),
        fields("aead_key base_nonce commitment plaintext_hash", plaintext_size=COUNT),
    ),
    "manifest_parse": (
        fields("manifest"),
        fields(
            entries=many("file_entry"),
            content_size=COUNT,
            unpadded_size=COUNT,
            padded_size=COUNT,
            ciphertext_size=COUNT,
        ),
    ),
    "container_open": (fields(container=many("run")), fields(size=COUNT, files=many("file"))),
    "offer_parse": (
        fields("body"),
        fields(
            "key ciphertext_hash info_hash thumbnail",
            is_folder=FLAG,
            in_drop=FLAG,
            size=COUNT,
            count=COUNT,
            ciphertext_size=COUNT,
            origin=TEXT,
            name=TEXT,
            media_type=TEXT,
        ),
    ),
    "file_state_parse": (fields("body"), fields("offer", state=COUNT, reason=COUNT)),
    "safe_names": (fields(names=TEXTS), fields(names=TEXTS)),
    "safe_paths": (fields(paths=TEXTS), fields(paths=TEXTS)),
    "safety_number": (
        fields(**PARTIES),
        fields("our_h0 our_digest", our_half=TEXT, their_half=TEXT, safety_number=TEXT),
    ),
    "qr_encode": (fields(**PARTIES), fields("payload")),
    "qr_match": (fields("payload", **PARTIES), fields(is_match=FLAG)),
    "frame_parse": (fields("frame", path=TEXT, sender=TEXT), fields(type=TEXT, fields=ref("frame"))),
    "challenge_sign": (fields("seed nonce", time=COUNT, origin=TEXT), fields("body signature")),
    "challenge_verify": (fields("key nonce signature", time=COUNT, origin=TEXT), fields()),
    "login_sign": (fields("seed nonce address", origin=TEXT, device=COUNT), fields("body signature")),
    "login_verify": (fields("key nonce address signature", origin=TEXT, device=COUNT), fields()),
    "announcement_sign": (fields("seed", time=COUNT, text=TEXT), fields("announcement")),
    "announcement_parse": (fields("key announcement"), fields(time=COUNT, text=TEXT)),
    "http_sign": (
        fields("body seed address nonce", **CALL, device=COUNT, created=COUNT),
        fields("base", **SIGNATURE_HEADERS),
    ),
    "http_verify": (
        fields("body key", **CALL, **SIGNATURE_HEADERS, now=COUNT),
        fields("address", device=COUNT, created=COUNT, nonce=TEXT),
    ),
    "work_solve": (fields("seed address", bits=COUNT), fields("digest", nonce=COUNT)),
    "work_check": (fields("seed address", bits=COUNT, nonce=COUNT), fields(is_solved=FLAG)),
    "base64url_decode": (fields(text=TEXT), fields("data")),
}


def _vector(operation: str, given: Json, output: Json) -> Json:
    return {
        "if": {"properties": {"operation": {"const": operation}}},
        "then": {
            "properties": {"input": given},
            "if": {"properties": {"expect": {"const": "ok"}}},
            "then": {"properties": {"output": output}, "required": ["output"]},
            "else": {"properties": {"output": False}},
        },
    }


def schema() -> Json:
    """Return the schema."""
    vector: Json = {
        "type": "object",
        "required": ["name", "spec", "operation", "input", "expect"],
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string", "description": "the one cause"},
            "spec": {"type": "string", "description": "file and section"},
            "operation": {"enum": list(OPERATIONS)},
            "input": {"type": "object"},
            "expect": {"enum": list(CODES)},
            "output": {"type": "object", "description": "every value that results; only where expect is ok"},
        },
        "allOf": [_vector(name, *kinds) for name, kinds in OPERATIONS.items()],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Known answers; bytes are lowercase hex, times milliseconds",
        "type": "object",
        "required": ["spec", "about", "vectors"],
        "additionalProperties": False,
        "properties": {
            "spec": {"enum": [f"{name}.md" for name in FILES]},
            "about": {"type": "string"},
            "vectors": {"type": "array", "minItems": 1, "items": vector},
        },
        "$defs": SHARED,
    }


def text() -> str:
    """Return the file."""
    return json.dumps(schema(), indent=1) + "\n"
