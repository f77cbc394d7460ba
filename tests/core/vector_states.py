"""Protocol values to and from the fields of vectors."""

from collections.abc import Mapping

from halonyx.core.handshake import Handshake, Peer
from halonyx.core.identity import Device, OwnDevice
from halonyx.core.kdf import ChainKey, MessageKey, RootKey
from halonyx.core.prekeys import Prekey, PrekeyBundle
from halonyx.core.primitives import KeyPair, PublicKey, SigningKey, VerifyKey
from halonyx.core.ratchet import Chain, Ratchet, SkippedKey
from halonyx.core.session import Archived, Established, Initiated, Session, Sessions
from halonyx.core.types import Address, DeviceId, Millis, SessionId
from vectors import Fields


def read_device(fields: Fields) -> Device:
    """Return a device as a record names it."""
    keys = PublicKey(fields.hex("identity_key")), VerifyKey(fields.hex("signing_key"))
    return Device(DeviceId(fields.number("id")), Millis(fields.number("created")), *keys)


def write_device(device: Device) -> dict[str, object]:
    """Return the fields of a device."""
    return {
        "id": device.id,
        "created": device.created,
        "identity_key": device.identity_key.raw,
        "signing_key": device.signing_key.raw,
    }


def read_peer(fields: Fields) -> Peer:
    """Return a device of the other side."""
    return Peer(Address(fields.hex("address")), read_device(fields))


def read_own(fields: Fields) -> OwnDevice:
    """Return a device with its private keys."""
    identity = KeyPair.from_private(fields.hex("identity_private"))
    signing = SigningKey.from_seed(fields.hex("signing_seed"))
    device = Device(DeviceId(fields.number("id")), Millis(fields.number("created")), identity.public, signing.public)
    return OwnDevice(Address(fields.hex("address")), device, identity, signing)


def read_bundle(fields: Fields) -> PrekeyBundle:
    """Return a prekey bundle."""
    one_time = fields.hex_or_none("one_time")
    return PrekeyBundle(
        signed=Prekey.parse(fields.hex("signed")),
        envelope=Prekey.parse(fields.hex("envelope")),
        kem=Prekey.parse(fields.hex("kem")),
        one_time=Prekey.parse(one_time) if one_time else None,
    )


def _read_chain(fields: Fields, name: str) -> Chain | None:
    if fields.is_null(name):
        return None
    chain = fields.inside(name)
    return Chain(ChainKey(chain.hex("key")), chain.number("index"))


def _write_chain(chain: Chain | None) -> dict[str, object] | None:
    return {"key": chain.key, "index": chain.index} if chain else None


def read_state(fields: Fields) -> Ratchet:
    """Return a ratchet."""
    theirs = fields.hex_or_none("theirs")
    return Ratchet(
        session_id=SessionId(fields.hex("session_id")),
        sending_ad=fields.hex("sending_ad"),
        receiving_ad=fields.hex("receiving_ad"),
        root_key=RootKey(fields.hex("root_key")),
        ours=KeyPair.from_private(fields.hex("ours_private")),
        theirs=PublicKey(theirs) if theirs else None,
        sending=_read_chain(fields, "sending"),
        receiving=_read_chain(fields, "receiving"),
        previous_length=fields.number("previous_length"),
        skipped={
            (kept.hex("ratchet_key"), kept.number("index")): SkippedKey(
                MessageKey(kept.hex("message_key")), Millis(kept.number("stored"))
            )
            for kept in fields.all_inside("skipped")
        },
    )


def write_state(state: Ratchet) -> Mapping[str, object]:
    """Return the fields of a ratchet."""
    return {
        "session_id": state.session_id,
        "sending_ad": state.sending_ad,
        "receiving_ad": state.receiving_ad,
        "root_key": state.root_key,
        "ours_private": state.ours.private_raw(),
        "theirs": state.theirs.raw if state.theirs else None,
        "sending": _write_chain(state.sending),
        "receiving": _write_chain(state.receiving),
        "previous_length": state.previous_length,
        "skipped": [
            {"ratchet_key": key, "index": index, "message_key": kept.message_key, "stored": kept.stored}
            for (key, index), kept in state.skipped.items()
        ],
    }


def read_session(fields: Fields) -> Session:
    """Return one session: initiated while it carries its handshake."""
    handshake, state = fields.hex_or_none("handshake"), read_state(fields.inside("state"))
    return Initiated(state, Handshake.parse(handshake)) if handshake else Established(state)


def read_sessions(fields: Fields) -> Sessions:
    """Return all sessions with a device."""
    return Sessions(
        sending=None if fields.is_null("sending") else read_session(fields.inside("sending")),
        archived=tuple(
            Archived(read_session(old.inside("session")), Millis(old.number("since")))
            for old in fields.all_inside("archived")
        ),
    )


def summary(sessions: Sessions) -> dict[str, object]:
    """Return which session sends, whether it is answered, and which are archived."""
    sending = sessions.sending
    return {
        "sending": sending.ratchet.session_id if sending else None,
        "is_answered": isinstance(sending, Established),
        "archived": [old.session.ratchet.session_id for old in sessions.archived],
    }
