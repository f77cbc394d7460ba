"""Double Ratchet: a step is a function from state to state, and nothing is kept before the tag verifies.

Source: spec/ratchet.md; Signal, The Double Ratchet Algorithm r4, sections 2 to 5.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final

from halonyx.core.errors import AuthenticationFailed, Duplicate, Malformed, Misuse, TooFarAhead, UnsupportedVersion
from halonyx.core.kdf import ChainKey, HandshakeSecrets, MessageKey, RootKey, kdf_chain, kdf_message, kdf_root
from halonyx.core.primitives import TAG_SIZE, KeyPair, PublicKey, aead_open, aead_seal
from halonyx.core.types import DAY, Millis, SessionId

VERSION: Final = 1
TYPE: Final = 0x10
SALT_SIZE: Final = 16
MAX_JUMP: Final = 1000  # keys derived for one unauthenticated message: about 2 ms of hashing
MAX_SKIPPED: Final = 2000
SKIPPED_LIFETIME: Final = 30 * DAY  # as long as the relay keeps mail
MAX_INDEX: Final = 2**32 - 1

# version, type, flags, session id, ratchet key, previous chain length, index, salt. A Struct: Writer costs 3 us more
# a message, a third of all that is not cryptography.
_HEADER: Final = struct.Struct(">BBB8s32sII16s")
HEADER_SIZE: Final = _HEADER.size


@dataclass(frozen=True, slots=True)
class Chain:
    """A sending or receiving chain: its key, and the index of the message that it gives next."""

    key: ChainKey = field(repr=False)
    index: int = 0


@dataclass(frozen=True, slots=True)
class SkippedKey:
    """A message key kept for a message that has not arrived yet."""

    message_key: MessageKey = field(repr=False)
    stored: Millis


@dataclass(frozen=True, slots=True)
class Ratchet:
    """One side of a session.

    Attributes:
        sending_ad: HS("ad"; …) of what we send, 32 bytes; `receiving_ad` is the other direction's.
        theirs: None only on the responder's side before the first message.
        sending: None in the same case.
        receiving: None until their first message.
        previous_length: Messages in our previous sending chain.
        skipped: By ratchet key and index, oldest first; at most MAX_SKIPPED. Never changed in place.
    """

    session_id: SessionId
    sending_ad: bytes
    receiving_ad: bytes
    root_key: RootKey = field(repr=False)
    ours: KeyPair
    theirs: PublicKey | None
    sending: Chain | None
    receiving: Chain | None
    previous_length: int
    skipped: Mapping[tuple[bytes, int], SkippedKey]


@dataclass(frozen=True, slots=True)
class Message:
    """A parsed ratchet message; layout: spec/ratchet.md, table 1."""

    session_id: SessionId
    ratchet_key: bytes
    previous_length: int
    index: int
    salt: bytes
    header: bytes
    ciphertext: bytes = field(repr=False)

    @classmethod
    def parse(cls, data: bytes) -> "Message":
        """Read a message.

        Raises:
            Malformed: Too short, another type, or an unknown flag.
            UnsupportedVersion: Another version.
        """
        if len(data) < HEADER_SIZE + TAG_SIZE:
            raise Malformed(f"message of {len(data)} bytes, at least {HEADER_SIZE + TAG_SIZE}")
        header = data[:HEADER_SIZE]
        version, kind, flags, session_id, ratchet_key, previous, index, salt = _HEADER.unpack(header)
        if version != VERSION:
            raise UnsupportedVersion(f"message version {version}")
        if kind != TYPE or flags:
            raise Malformed(f"message type {kind}, flags {flags}")
        return cls(SessionId(session_id), ratchet_key, previous, index, salt, header, data[HEADER_SIZE:])


def initiator(
    secrets: HandshakeSecrets,
    sending_ad: bytes,
    receiving_ad: bytes,
    signed_prekey: PublicKey,
    fresh: KeyPair,
) -> Ratchet:
    """Start the side that wrote first: their signed prekey is their first ratchet key.

    Raises:
        BadKey: The signed prekey is of low order.

    Source: spec/ratchet.md, "Start".
    """
    root_key, sending = kdf_root(secrets.root_key, fresh.exchange(signed_prekey))
    return Ratchet(
        session_id=secrets.session_id,
        sending_ad=sending_ad,
        receiving_ad=receiving_ad,
        root_key=root_key,
        ours=fresh,
        theirs=signed_prekey,
        sending=Chain(sending),
        receiving=None,
        previous_length=0,
        skipped={},
    )


def responder(secrets: HandshakeSecrets, sending_ad: bytes, receiving_ad: bytes, signed_prekey: KeyPair) -> Ratchet:
    """Start the side that was written to; it can send only after the first message.

    Source: spec/ratchet.md, "Start".
    """
    return Ratchet(
        session_id=secrets.session_id,
        sending_ad=sending_ad,
        receiving_ad=receiving_ad,
        root_key=secrets.root_key,
        ours=signed_prekey,
        theirs=None,
        sending=None,
        receiving=None,
        previous_length=0,
        skipped={},
    )


def encrypt(state: Ratchet, plaintext: bytes, salt: bytes) -> tuple[Ratchet, bytes]:
    """Encrypt one message.

    Args:
        state: Ratchet before this message. Never changed.
        plaintext: 0 to about 64 KiB; the envelope sets the bound.
        salt: 16 fresh random bytes.

    Returns:
        The next ratchet, and the encoded message: 67 bytes of header, the ciphertext, a tag of 16.

    Raises:
        Misuse: Nothing was received yet on the responder's side, a salt of another size, or 2^32-1 messages in a chain.

    Source: spec/ratchet.md, "Encrypting".
    """
    chain = state.sending
    if chain is None or len(salt) != SALT_SIZE or chain.index >= MAX_INDEX:
        raise Misuse("no sending chain, a salt that is not 16 bytes, or a chain at its end")
    next_key, message_key = kdf_chain(chain.key)
    header = _HEADER.pack(
        VERSION, TYPE, 0, state.session_id, state.ours.public.raw, state.previous_length, chain.index, salt
    )
    key, nonce = kdf_message(message_key, salt)
    ciphertext = aead_seal(key, nonce, plaintext, state.sending_ad + header)
    # Spelled out: dataclasses.replace takes 2 us more, and this is the path of every message.
    after = Ratchet(
        state.session_id,
        state.sending_ad,
        state.receiving_ad,
        state.root_key,
        state.ours,
        state.theirs,
        Chain(next_key, chain.index + 1),
        state.receiving,
        state.previous_length,
        state.skipped,
    )
    return after, header + ciphertext


def starts_receiving_chain(state: Ratchet, message: Message) -> bool:
    """Tell whether `decrypt` would use its fresh pair for this message."""
    return (state.theirs is None or message.ratchet_key != state.theirs.raw) and (
        message.ratchet_key,
        message.index,
    ) not in state.skipped


def decrypt(state: Ratchet, message: Message, fresh: KeyPair, now: Millis) -> tuple[Ratchet, bytes]:
    """Open one message and return the ratchet that results.

    Args:
        state: Ratchet before this message. Never changed.
        message: Parsed message.
        fresh: New X25519 pair, used only if the message starts a receiving chain.
        now: Dates the keys that are skipped, and expires old ones.

    Returns:
        The next ratchet and the plaintext.

    Raises:
        AuthenticationFailed: The tag does not verify, or the message names another session.
        Duplicate: This index was opened before, or its key has expired.
        TooFarAhead: More than MAX_JUMP keys would have to be derived.
        BadKey: A new ratchet key that is non-canonical or of low order.

    Source: spec/ratchet.md, "Decrypting"; Signal, The Double Ratchet Algorithm, section 3.5.
    """
    # The tag covers the id that the sender wrote; only this check ties it to the one both sides derived.
    if message.session_id != state.session_id:
        raise AuthenticationFailed("message of another session")
    slot = (message.ratchet_key, message.index)
    kept = state.skipped.get(slot)
    if kept is not None:
        if kept.stored + SKIPPED_LIFETIME <= now:
            raise Duplicate("the key of this message has expired")
        plaintext = _open(state, kept.message_key, message)
        left = {other: key for other, key in _unexpired(state.skipped, now).items() if other != slot}
        return replace(state, skipped=left), plaintext
    candidate, message_key = _take_message_key(state, message, fresh, now)
    return candidate, _open(state, message_key, message)


def dh_ratchet_step(state: Ratchet, theirs: PublicKey, fresh: KeyPair) -> Ratchet:
    """Start a receiving chain with their new ratchet key, and a sending chain with ours.

    Raises:
        BadKey: Their key is of low order.

    Source: spec/ratchet.md, "DH step".
    """
    root_key, receiving = kdf_root(state.root_key, state.ours.exchange(theirs))
    root_key, sending = kdf_root(root_key, fresh.exchange(theirs))
    return Ratchet(
        state.session_id,
        state.sending_ad,
        state.receiving_ad,
        root_key,
        fresh,
        theirs,
        Chain(sending),
        Chain(receiving),
        state.sending.index if state.sending else 0,
        state.skipped,
    )


def _open(state: Ratchet, message_key: MessageKey, message: Message) -> bytes:
    key, nonce = kdf_message(message_key, message.salt)
    return aead_open(key, nonce, message.ciphertext, state.receiving_ad + message.header)


def _take_message_key(state: Ratchet, message: Message, fresh: KeyPair, now: Millis) -> tuple[Ratchet, MessageKey]:
    if state.theirs is None or message.ratchet_key != state.theirs.raw:
        left = max(0, message.previous_length - state.receiving.index) if state.receiving else 0
        # Checked before any hashing: the header is not authenticated yet.
        if left + message.index > MAX_JUMP:
            raise TooFarAhead(f"would skip more than {MAX_JUMP} messages")
        state = dh_ratchet_step(_skip(state, message.previous_length, now), PublicKey(message.ratchet_key), fresh)
    chain = state.receiving
    if chain is None:
        raise Duplicate("our own first chain has no messages of theirs")
    if message.index < chain.index:
        raise Duplicate("this index was opened before")
    if message.index - chain.index > MAX_JUMP:
        raise TooFarAhead(f"would skip more than {MAX_JUMP} messages")
    if message.index > chain.index:
        state = _skip(state, message.index, now)
        chain = state.receiving or chain
    next_key, message_key = kdf_chain(chain.key)
    after = Ratchet(
        state.session_id,
        state.sending_ad,
        state.receiving_ad,
        state.root_key,
        state.ours,
        state.theirs,
        state.sending,
        Chain(next_key, chain.index + 1),
        state.previous_length,
        _unexpired(state.skipped, now),
    )
    return after, message_key


def _skip(state: Ratchet, until: int, now: Millis) -> Ratchet:
    """Keep the keys of the receiving chain below index `until`."""
    chain = state.receiving
    if chain is None or state.theirs is None or until <= chain.index:
        return state
    skipped = dict(_unexpired(state.skipped, now))
    chain_key = chain.key
    for index in range(chain.index, until):
        chain_key, message_key = kdf_chain(chain_key)
        skipped[state.theirs.raw, index] = SkippedKey(message_key, now)
    if len(skipped) > MAX_SKIPPED:
        skipped = dict(islice(skipped.items(), len(skipped) - MAX_SKIPPED, None))
    return replace(state, receiving=Chain(chain_key, until), skipped=skipped)


def _unexpired(skipped: Mapping[tuple[bytes, int], SkippedKey], now: Millis) -> Mapping[tuple[bytes, int], SkippedKey]:
    """Return the keys younger than SKIPPED_LIFETIME; looks past the oldest only when that one has expired."""
    oldest = next(iter(skipped.values()), None)
    if oldest is None or oldest.stored + SKIPPED_LIFETIME > now:
        return skipped
    return {slot: key for slot, key in skipped.items() if key.stored + SKIPPED_LIFETIME > now}
