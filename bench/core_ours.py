"""Our core and the primitives alone, each as contestants of core.py; the load that all contestants carry."""

import os
import time
from collections.abc import Callable
from typing import Final

from halonyx.core import ratchet
from halonyx.core.handshake import Peer, PrekeyPrivates, accept, encapsulate, initiate
from halonyx.core.identity import Device, OwnDevice
from halonyx.core.kdf import ChainKey, HandshakeSecrets, MessageKey, RootKey, kdf_chain, kdf_message, kdf_root
from halonyx.core.prekeys import Prekey, PrekeyBundle, PrekeyUse, sign_prekey
from halonyx.core.primitives import KemKeyPair, KeyPair, SigningKey, aead_open, aead_seal
from halonyx.core.ratchet import Message, Ratchet
from halonyx.core.session import Established, Initiated, SessionMessage, seal
from halonyx.core.types import Address, DeviceId, Millis, PrekeyId, SessionId

PLAINTEXT: Final = os.urandom(1024)
KEY: Final = os.urandom(32)
AD: Final = bytes(32 + ratchet.HEADER_SIZE)
NOW: Final = Millis(1_780_000_000_000)


def timed(step: Callable[[], object], count: int) -> float:
    start = time.process_time()
    for _ in range(count):
        step()
    return (time.process_time() - start) / count


def make_pair() -> tuple[Ratchet, Ratchet]:
    signed = KeyPair.generate()
    secrets = HandshakeSecrets(RootKey(os.urandom(32)), SessionId(os.urandom(8)))
    ours = ratchet.initiator(secrets, os.urandom(32), bytes(32), signed.public, KeyPair.generate())
    return ours, ratchet.responder(secrets, bytes(32), ours.sending_ad, signed)


def receive(state: Ratchet, encoded: bytes, unused: KeyPair) -> Ratchet:
    """Open as the client does: a fresh pair is made only for a message that starts a receiving chain."""
    message = Message.parse(encoded)
    fresh = KeyPair.generate() if ratchet.starts_receiving_chain(state, message) else unused
    return ratchet.decrypt(state, message, fresh, NOW)[0]


def encrypt_ours(count: int) -> float:
    state, _ = make_pair()
    start = time.process_time()
    for _ in range(count):
        state, _ = ratchet.encrypt(state, PLAINTEXT, os.urandom(16))
    return (time.process_time() - start) / count


def decrypt_ours(count: int) -> float:
    sender, recipient = make_pair()
    unused = KeyPair.generate()
    encoded = []
    for _ in range(count):
        sender, message = ratchet.encrypt(sender, PLAINTEXT, os.urandom(16))
        encoded.append(message)
    start = time.process_time()
    for message in encoded:
        recipient = receive(recipient, message, unused)
    return (time.process_time() - start) / count


def alternate_ours(count: int) -> float:
    ours, theirs = make_pair()
    unused = KeyPair.generate()
    start = time.process_time()
    for _ in range(count):
        ours, message = ratchet.encrypt(ours, PLAINTEXT, os.urandom(16))
        theirs = receive(theirs, message, unused)
        ours, theirs = theirs, ours
    return (time.process_time() - start) / count


def make_device() -> OwnDevice:
    identity, signing = KeyPair.generate(), SigningKey.generate()
    device = Device(DeviceId(1), NOW, identity.public, signing.public)
    return OwnDevice(Address(os.urandom(32)), device, identity, signing)


def make_bundle(device: OwnDevice) -> tuple[PrekeyBundle, PrekeyPrivates]:
    privates = PrekeyPrivates(KeyPair.generate(), KeyPair.generate(), KemKeyPair.generate_1024())

    def sign(use: PrekeyUse, key: bytes) -> Prekey:
        return sign_prekey(device, use, PrekeyId(1), Millis(NOW + 1), key)

    envelope = KeyPair.generate().public.raw + KemKeyPair.generate_768().public.raw
    one_time = privates.one_time or privates.signed
    bundle = PrekeyBundle(
        signed=sign(PrekeyUse.SIGNED, privates.signed.public.raw),
        envelope=sign(PrekeyUse.ENVELOPE, envelope),
        kem=sign(PrekeyUse.ONE_TIME_KEM, privates.kem.public.raw),
        one_time=sign(PrekeyUse.ONE_TIME, one_time.public.raw),
    )
    return bundle, privates


def handshake_ours(count: int) -> float:
    """Both sides up to the first message opened; vodozemac verifies no signature here, so neither do we."""
    ours, theirs = make_device(), make_device()
    us, them = Peer(ours.address, ours.device), Peer(theirs.address, theirs.device)
    bundle, privates = make_bundle(theirs)

    def step() -> None:
        fresh = (KeyPair.generate(), KeyPair.generate())
        handshake, state = initiate(ours, them, bundle, fresh, encapsulate(bundle))
        _, encoded = seal(Initiated(state, handshake), PLAINTEXT, os.urandom(16))
        parsed = SessionMessage.parse(encoded)
        answering = accept(theirs, us, parsed.handshake or handshake, privates)
        Established(ratchet.decrypt(answering, parsed.message, KeyPair.generate(), NOW)[0])

    return timed(step, count)


def verify_bundle(count: int) -> float:
    device = make_device()
    bundle, _ = make_bundle(device)
    return timed(lambda: bundle.verify(device.device.signing_key, device.fingerprint, NOW), count)


# --- the primitives alone


def encrypt_floor(count: int) -> float:
    chain_key = ChainKey(KEY)

    def step() -> None:
        nonlocal chain_key
        chain_key, message_key = kdf_chain(chain_key)
        key, nonce = kdf_message(message_key, os.urandom(16))
        aead_seal(key, nonce, PLAINTEXT, AD)

    return timed(step, count)


def decrypt_floor(count: int) -> float:
    salt = bytes(16)
    sealed = aead_seal(*kdf_message(MessageKey(KEY), salt), PLAINTEXT, AD)

    def step() -> None:
        kdf_chain(ChainKey(KEY))
        aead_open(*kdf_message(MessageKey(KEY), salt), sealed, AD)

    return timed(step, count)


def alternate_floor(count: int) -> float:
    """One message: a pair made, two exchanges, two root steps, and a message sealed and opened."""
    ours, theirs, salt = KeyPair.generate(), KeyPair.generate().public, bytes(16)

    def step() -> None:
        kdf_chain(ChainKey(KEY))
        sealed = aead_seal(*kdf_message(MessageKey(KEY), salt), PLAINTEXT, AD)
        root_key, _ = kdf_root(RootKey(KEY), ours.exchange(theirs))
        kdf_root(root_key, KeyPair.generate().exchange(theirs))
        kdf_chain(ChainKey(KEY))
        aead_open(*kdf_message(MessageKey(KEY), salt), sealed, AD)

    return timed(step, count)


def exchange_floor(count: int) -> float:
    """Do the X25519 part of the above: a pair made and two exchanges."""
    ours, theirs = KeyPair.generate(), KeyPair.generate().public

    def step() -> None:
        ours.exchange(theirs)
        KeyPair.generate().exchange(theirs)

    return timed(step, count)


def handshake_floor(count: int) -> float:
    """The primitives of both sides: three pairs made, eleven exchanges, ML-KEM-1024 once each way."""
    ours, theirs, kem = KeyPair.generate(), KeyPair.generate().public, KemKeyPair.generate_1024()

    def step() -> None:
        for _ in range(3):
            KeyPair.generate()
        for _ in range(11):
            ours.exchange(theirs)
        ciphertext, _ = kem.public.encapsulate()
        kem.decapsulate(ciphertext)

    return timed(step, count)
