"""The Double Ratchet a second time: a mutable dictionary in the shape the vectors carry, for single-minded reading.

Only what the vectors need: no limits, no errors. A case that must be refused is written by hand.
"""

import copy
import hmac
from typing import TypedDict

from vectors.making.reference import be, expand, hkdf, hs, label, seal, x25519, x25519_public

HEADER_SIZE = 67


class Chain(TypedDict):
    """A chain key and the index it gives next."""

    key: bytes
    index: int


class Skipped(TypedDict):
    """A kept message key."""

    ratchet_key: bytes
    index: int
    message_key: bytes
    stored: int


class State(TypedDict):
    """One side of a session."""

    session_id: bytes
    sending_ad: bytes
    receiving_ad: bytes
    root_key: bytes
    ours_private: bytes
    theirs: bytes | None
    sending: Chain | None
    receiving: Chain | None
    previous_length: int
    skipped: list[Skipped]


def kdf_rk(root_key: bytes, secret: bytes) -> tuple[bytes, bytes]:
    """Return the next root key and a chain key."""
    okm = hkdf(secret, label("root key") + b"\x00", 64, root_key)
    return okm[:32], okm[32:]


def kdf_ck(chain_key: bytes) -> tuple[bytes, bytes]:
    """Return the next chain key and a message key."""
    return hmac.digest(chain_key, b"\x02", "sha256"), hmac.digest(chain_key, b"\x01", "sha256")


def key_and_nonce(message_key: bytes, salt: bytes) -> tuple[bytes, bytes]:
    """Return the AES key and nonce of a message."""
    okm = expand(message_key, "message key", 44, salt)
    return okm[:32], okm[32:]


def ad_of(sender: tuple[bytes, int, bytes], recipient: tuple[bytes, int, bytes]) -> bytes:
    """Return HS("ad"; …) from addresses, device ids and fingerprints."""
    parts = (sender[0], be(sender[1], 1), sender[2], recipient[0], be(recipient[1], 1), recipient[2])
    return hs("ad", b"\x02", *parts)


def initiator(root: bytes, session_id: bytes, ads: tuple[bytes, bytes], signed: bytes, fresh: bytes) -> State:
    """Return the first state of the side that wrote first."""
    root_key, sending = kdf_rk(root, x25519(fresh, signed))
    return {
        "session_id": session_id,
        "sending_ad": ads[0],
        "receiving_ad": ads[1],
        "root_key": root_key,
        "ours_private": fresh,
        "theirs": signed,
        "sending": {"key": sending, "index": 0},
        "receiving": None,
        "previous_length": 0,
        "skipped": [],
    }


def responder(root: bytes, session_id: bytes, ads: tuple[bytes, bytes], signed_private: bytes) -> State:
    """Return the first state of the side that was written to."""
    return {
        "session_id": session_id,
        "sending_ad": ads[0],
        "receiving_ad": ads[1],
        "root_key": root,
        "ours_private": signed_private,
        "theirs": None,
        "sending": None,
        "receiving": None,
        "previous_length": 0,
        "skipped": [],
    }


def header_of(session_id: bytes, key: bytes, previous: int, index: int, salt: bytes) -> bytes:
    """Return the 67 bytes of a message header."""
    return b"\x01\x10\x00" + session_id + key + be(previous, 4) + be(index, 4) + salt


def encrypt(state: State, plaintext: bytes, salt: bytes) -> tuple[State, dict[str, bytes]]:
    """Return the next state, and the message with every value on the way."""
    after = copy.deepcopy(state)
    chain = after["sending"]
    if chain is None:
        raise ValueError("no sending chain")
    header = header_of(
        after["session_id"], x25519_public(after["ours_private"]), after["previous_length"], chain["index"], salt
    )
    chain["key"], message_key = kdf_ck(chain["key"])
    chain["index"] += 1
    key, nonce = key_and_nonce(message_key, salt)
    message = header + seal(key, nonce, plaintext, after["sending_ad"] + header)
    return after, {
        "header": header,
        "message_key": message_key,
        "key": key,
        "nonce": nonce,
        "associated_data": after["sending_ad"] + header,
        "message": message,
    }


def receive(state: State, message: bytes, fresh: bytes, now: int) -> tuple[State, dict[str, bytes]]:
    """Return the next state and the keys that open the message; the message is taken as genuine."""
    after = copy.deepcopy(state)
    header = message[:HEADER_SIZE]
    ratchet_key, previous = header[11:43], int.from_bytes(header[43:47], "big")
    index, salt = int.from_bytes(header[47:51], "big"), header[51:]
    message_key = None
    for kept in after["skipped"]:
        if (kept["ratchet_key"], kept["index"]) == (ratchet_key, index):
            after["skipped"].remove(kept)
            message_key = kept["message_key"]
            break
    if message_key is None:
        if ratchet_key != after["theirs"]:
            _skip(after, previous, now)
            _step(after, ratchet_key, fresh)
        _skip(after, index, now)
        chain = after["receiving"]
        if chain is None:
            raise ValueError("no receiving chain")
        chain["key"], message_key = kdf_ck(chain["key"])
        chain["index"] += 1
    key, nonce = key_and_nonce(message_key, salt)
    return after, {"message_key": message_key, "key": key, "nonce": nonce}


def _step(state: State, theirs: bytes, fresh: bytes) -> None:
    root, receiving = kdf_rk(state["root_key"], x25519(state["ours_private"], theirs))
    root, sending = kdf_rk(root, x25519(fresh, theirs))
    state["previous_length"] = state["sending"]["index"] if state["sending"] else 0
    state["root_key"], state["ours_private"], state["theirs"] = root, fresh, theirs
    state["receiving"], state["sending"] = {"key": receiving, "index": 0}, {"key": sending, "index": 0}


def _skip(state: State, until: int, now: int) -> None:
    chain, theirs = state["receiving"], state["theirs"]
    while chain is not None and theirs is not None and chain["index"] < until:
        chain["key"], message_key = kdf_ck(chain["key"])
        entry: Skipped = {
            "ratchet_key": theirs,
            "index": chain["index"],
            "message_key": message_key,
            "stored": now,
        }
        state["skipped"].append(entry)
        chain["index"] += 1
