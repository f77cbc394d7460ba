"""What each operation of handshake and ratchet vectors means for our code."""

from core.vector_states import (
    read_bundle,
    read_own,
    read_peer,
    read_session,
    read_sessions,
    read_state,
    summary,
    write_state,
)
from halonyx.core import labels
from halonyx.core.handshake import (
    F,
    Handshake,
    Peer,
    PrekeyPrivates,
    accept,
    initiate,
    x3dh_accept,
    x3dh_initiate,
)
from halonyx.core.identity import OwnDevice
from halonyx.core.kdf import ZERO_SALT, MessageKey, expand, kdf_chain, kdf_message, kdf_pqxdh
from halonyx.core.prekeys import Prekey
from halonyx.core.primitives import KemKeyPair, KeyPair, PublicKey, VerifyKey
from halonyx.core.ratchet import HEADER_SIZE, Message, Ratchet, decrypt, dh_ratchet_step, encrypt
from halonyx.core.session import SessionMessage, adopt, receive, seal
from halonyx.core.types import Fingerprint, Millis, SessionId
from vectors import Fields, Runner

Output = dict[str, object]


def prekey_parse(given: Fields) -> Output:
    data = given.hex("prekey")
    prekey = Prekey.parse(data)
    assert prekey.encode() == data
    return {
        "use": int(prekey.use),
        "id": prekey.id,
        "expiry": prekey.expiry,
        "key": prekey.key,
        "signature": prekey.signature,
    }


def prekey_verify(given: Fields) -> Output:
    signer = VerifyKey(given.hex("signing_key")), Fingerprint(given.hex("device_fingerprint"))
    Prekey.parse(given.hex("prekey")).verify(*signer)
    return {}


def bundle_verify(given: Fields) -> Output:
    signer = VerifyKey(given.hex("signing_key")), Fingerprint(given.hex("device_fingerprint"))
    read_bundle(given).verify(*signer, Millis(given.number("now")))
    return {}


def _pair_or_none(given: Fields, name: str) -> KeyPair | None:
    private = given.hex_or_none(name)
    return KeyPair.from_private(private) if private else None


def _exchanges(*secrets: bytes) -> Output:
    return {f"dh{number}": secret for number, secret in enumerate(secrets, 1)}


def x3dh_initiates(given: Fields) -> Output:
    ours, ephemeral = (KeyPair.from_private(given.hex(name)) for name in ("identity_private", "ephemeral_private"))
    theirs, signed = PublicKey(given.hex("identity_key")), PublicKey(given.hex("signed_prekey"))
    raw = given.hex_or_none("one_time_prekey")
    one_time = PublicKey(raw) if raw else None
    secret, associated = x3dh_initiate(ours, ephemeral, theirs, signed, one_time)
    secrets = [ours.exchange(signed), ephemeral.exchange(theirs), ephemeral.exchange(signed)]
    secrets.append(ephemeral.exchange(one_time) if one_time else b"")
    ikm = F + b"".join(secrets)
    return {**_exchanges(*secrets), "ikm": ikm, "shared_secret": secret, "associated_data": associated}


def x3dh_accepts(given: Fields) -> Output:
    ours, signed = (KeyPair.from_private(given.hex(name)) for name in ("identity_private", "signed_private"))
    theirs, ephemeral = PublicKey(given.hex("identity_key")), PublicKey(given.hex("ephemeral_key"))
    one_time = _pair_or_none(given, "one_time_private")
    secret, associated = x3dh_accept(ours, signed, one_time, theirs, ephemeral)
    secrets = [signed.exchange(theirs), ours.exchange(ephemeral), signed.exchange(ephemeral)]
    secrets.append(one_time.exchange(ephemeral) if one_time else b"")
    ikm = F + b"".join(secrets)
    return {**_exchanges(*secrets), "ikm": ikm, "shared_secret": secret, "associated_data": associated}


def handshake_parse(given: Fields) -> Output:
    data = given.hex("handshake")
    handshake = Handshake.parse(data)
    assert handshake.encode() == data
    return {
        "ephemeral": handshake.ephemeral.raw,
        "signed": handshake.signed,
        "one_time": handshake.one_time or 0,
        "kem": handshake.kem,
        "uses_last_resort": handshake.uses_last_resort,
        "ciphertext": handshake.ciphertext,
        "replay_key": handshake.replay_key(),
    }


def _values(secrets: list[bytes], kem_secret: bytes, transcript: bytes) -> Output:
    ikm = F + b"".join(secrets) + kem_secret
    split = kdf_pqxdh(ikm, transcript)
    return {
        **_exchanges(*secrets),
        "kem_secret": kem_secret,
        "ikm": ikm,
        "transcript_hash": transcript,
        "okm": expand(ikm, labels.PQXDH_SECRET, 96, transcript, ZERO_SALT),
        "root_key": split.root_key,
        "session_id": split.session_id,
    }


def _peer(ours: OwnDevice) -> Peer:
    return Peer(ours.address, ours.device)


def _transcript(
    initiator: Peer, responder: Peer, handshake: Handshake, keys: tuple[PublicKey, PublicKey | None, bytes]
) -> bytes:
    """Return th from the formula; that our code uses the same shows in the root key."""
    parties = [(side.address, bytes([side.device.id]), side.fingerprint) for side in (initiator, responder)]
    signed, one_time, kem = keys
    named = b"\x01" + (handshake.one_time or 0).to_bytes(4, "big") + one_time.raw if one_time else b""
    return labels.hash_of(
        labels.HANDSHAKE_TRANSCRIPT,
        b"\x02",
        *parties[0],
        *parties[1],
        handshake.ephemeral.raw,
        handshake.signed.to_bytes(4, "big") + signed.raw,
        named,
        (b"\x03" if handshake.uses_last_resort else b"\x05") + handshake.kem.to_bytes(4, "big") + kem,
        handshake.ciphertext,
    )


def initiates(given: Fields) -> Output:
    ours, theirs = read_own(given.inside("ours")), read_peer(given.inside("theirs"))
    bundle = read_bundle(given.inside("bundle"))
    ephemeral, fresh = (KeyPair.from_private(given.hex(name)) for name in ("ephemeral_private", "ratchet_private"))
    kem = given.hex("kem_ciphertext"), given.hex("kem_secret")
    handshake, state = initiate(ours, theirs, bundle, (ephemeral, fresh), kem)
    signed = PublicKey(bundle.signed.key)
    one_time = PublicKey(bundle.one_time.key) if bundle.one_time else None
    secrets = [ours.identity.exchange(signed), ephemeral.exchange(theirs.device.identity_key)]
    secrets += [ephemeral.exchange(signed), ephemeral.exchange(one_time) if one_time else b""]
    transcript = _transcript(_peer(ours), theirs, handshake, (signed, one_time, bundle.kem.key))
    return {**_values(secrets, kem[1], transcript), "handshake": handshake.encode(), "state": write_state(state)}


def accepts(given: Fields) -> Output:
    ours, theirs = read_own(given.inside("ours")), read_peer(given.inside("theirs"))
    handshake = Handshake.parse(given.hex("handshake"))
    signed, one_time = KeyPair.from_private(given.hex("signed_private")), _pair_or_none(given, "one_time_private")
    kem = KemKeyPair.from_seed_1024(given.hex("kem_seed"))
    state = accept(ours, theirs, handshake, PrekeyPrivates(signed, one_time, kem))
    message, fresh = Message.parse(given.hex("message")), KeyPair.from_private(given.hex("fresh_private"))
    after, plaintext = decrypt(state, message, fresh, Millis(given.number("now")))
    secrets = [signed.exchange(theirs.device.identity_key), ours.identity.exchange(handshake.ephemeral)]
    secrets += [signed.exchange(handshake.ephemeral), one_time.exchange(handshake.ephemeral) if one_time else b""]
    keys = signed.public, one_time.public if one_time else None, kem.public.raw
    transcript = _transcript(theirs, _peer(ours), handshake, keys)
    values = _values(secrets, kem.decapsulate(handshake.ciphertext), transcript)
    return {**values, "state": write_state(state), "plaintext": plaintext, "after": write_state(after)}


def message_parse(given: Fields) -> Output:
    message = Message.parse(given.hex("message"))
    return {
        "session_id": message.session_id,
        "ratchet_key": message.ratchet_key,
        "previous_length": message.previous_length,
        "index": message.index,
        "salt": message.salt,
        "ciphertext": message.ciphertext,
    }


def encrypts(given: Fields) -> Output:
    state, plaintext, salt = read_state(given.inside("state")), given.hex("plaintext"), given.hex("salt")
    before = write_state(state)
    after, data = encrypt(state, plaintext, salt)
    assert write_state(state) == before
    assert state.sending is not None
    message_key = kdf_chain(state.sending.key)[1]
    key, nonce = kdf_message(message_key, salt)
    return {
        "header": data[:HEADER_SIZE],
        "message_key": message_key,
        "key": key,
        "nonce": nonce,
        "associated_data": state.sending_ad + data[:HEADER_SIZE],
        "message": data,
        "after": write_state(after),
    }


def decrypts(given: Fields) -> Output:
    state, message = read_state(given.inside("state")), Message.parse(given.hex("message"))
    fresh, now = KeyPair.from_private(given.hex("fresh_private")), Millis(given.number("now"))
    before = write_state(state)
    try:
        after, plaintext = decrypt(state, message, fresh, now)
    finally:
        assert write_state(state) == before
    message_key = _message_key(state, message, fresh)
    key, nonce = kdf_message(message_key, message.salt)
    return {
        "message_key": message_key,
        "key": key,
        "nonce": nonce,
        "associated_data": state.receiving_ad + message.header,
        "plaintext": plaintext,
        "after": write_state(after),
    }


def _message_key(state: Ratchet, message: Message, fresh: KeyPair) -> MessageKey:
    kept = state.skipped.get((message.ratchet_key, message.index))
    if kept is not None:
        return kept.message_key
    theirs = PublicKey(message.ratchet_key)
    chain = (state if theirs == state.theirs else dh_ratchet_step(state, theirs, fresh)).receiving
    assert chain is not None
    key, message_key = kdf_chain(chain.key)
    for _ in range(chain.index, message.index):
        key, message_key = kdf_chain(key)
    return message_key


def decrypts_in_turn(given: Fields) -> Output:
    state, messages = read_state(given.inside("state")), given.hexes("messages")
    fresh, now = KeyPair.from_private(given.hex("fresh_private")), Millis(given.number("now"))
    for data in messages[:-1]:
        state, _ = _opened(state, data, fresh, now)
    state, _ = decrypt(state, Message.parse(messages[-1]), fresh, now)
    assert state.receiving is not None
    kept = list(state.skipped.values())
    return {
        "next_index": state.receiving.index,
        "chain_key": state.receiving.key,
        "skipped": len(kept),
        "oldest_message_key": kept[0].message_key,
        "newest_message_key": kept[-1].message_key,
    }


def _opened(state: Ratchet, data: bytes, fresh: KeyPair, now: Millis) -> tuple[Ratchet, bytes]:
    """Open a message before the last, which must not be the one that is refused."""
    try:
        return decrypt(state, Message.parse(data), fresh, now)
    except Exception as refused:
        raise AssertionError("refused before the last message") from refused


def session_message_parse(given: Fields) -> Output:
    data = given.hex("data")
    parsed = SessionMessage.parse(data)
    handshake = parsed.handshake.encode() if parsed.handshake else None
    return {"handshake": handshake, "message": parsed.message.header + parsed.message.ciphertext}


def session_seal(given: Fields) -> Output:
    session = read_session(given.inside("session"))
    return {"data": seal(session, given.hex("plaintext"), given.hex("salt"))[1]}


def session_receive(given: Fields) -> Output:
    sessions, message = read_sessions(given.inside("sessions")), Message.parse(given.hex("message"))
    fresh, now = KeyPair.from_private(given.hex("fresh_private")), Millis(given.number("now"))
    after, plaintext = receive(sessions, message, fresh, now)
    return {"plaintext": plaintext, **summary(after)}


def session_adopt(given: Fields) -> Output:
    sessions, accepted = read_sessions(given.inside("sessions")), read_state(given.inside("accepted"))
    ours, theirs = (Fingerprint(given.hex(name)) for name in ("our_fingerprint", "their_fingerprint"))
    resets = given.hex_or_none("resets")
    named = SessionId(resets) if resets else None
    return summary(adopt(sessions, accepted, (ours, theirs), named, Millis(given.number("now"))))


SESSION_RUNS: dict[str, Runner] = {
    "prekey_parse": prekey_parse,
    "prekey_verify": prekey_verify,
    "bundle_verify": bundle_verify,
    "x3dh_initiate": x3dh_initiates,
    "x3dh_accept": x3dh_accepts,
    "handshake_parse": handshake_parse,
    "initiate": initiates,
    "accept": accepts,
    "message_parse": message_parse,
    "encrypt": encrypts,
    "decrypt": decrypts,
    "decrypt_in_turn": decrypts_in_turn,
    "session_message_parse": session_message_parse,
    "session_seal": session_seal,
    "session_receive": session_receive,
    "session_adopt": session_adopt,
}
