"""The protocol core against vodozemac, the PyPI package DoubleRatchet and the primitives alone.

Run: `python bench/core.py`. Every contestant takes a turn in every round, so that a slow second meets all of them; a
ratio is the median of the rounds' ratios. CPU time, so that other programs' turns do not count.
"""

import asyncio
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import vodozemac
from cryptography.hazmat.backends.openssl import backend
from doubleratchet import DoubleRatchet, EncryptedMessage, Header
from doubleratchet.recommended import (
    HashFunction,
    aead_aes_hmac,
    diffie_hellman_ratchet_curve25519,
    kdf_hkdf,
    kdf_separate_hmacs,
)

from halonyx.core import ratchet
from halonyx.core.handshake import Peer, PrekeyPrivates, accept, encapsulate, initiate
from halonyx.core.identity import Device, OwnDevice
from halonyx.core.kdf import ChainKey, HandshakeSecrets, MessageKey, RootKey, kdf_chain, kdf_message, kdf_root
from halonyx.core.prekeys import Prekey, PrekeyBundle, PrekeyUse, sign_prekey
from halonyx.core.primitives import KemKeyPair, KeyPair, SigningKey, aead_open, aead_seal
from halonyx.core.ratchet import Message, Ratchet
from halonyx.core.session import Established, Initiated, SessionMessage, seal
from halonyx.core.types import Address, DeviceId, Millis, PrekeyId, SessionId

ROUNDS: Final = 21
PLAINTEXT: Final = os.urandom(1024)
KEY: Final = os.urandom(32)
AD: Final = bytes(32 + ratchet.HEADER_SIZE)
NOW: Final = Millis(1_780_000_000_000)

Contestant = Callable[[int], float]
"""Takes how many operations to do; returns seconds for each, set-up left out."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A ratio we ask for: at least so many times the speed of another, or at most so many times its time."""

    ours: str
    other: str
    bound: float
    is_floor: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison: operations a round, who takes part, and what is asked for."""

    title: str
    count: int
    contestants: Mapping[str, Contestant]
    goals: tuple[Goal, ...]


def timed(step: Callable[[], object], count: int) -> float:
    start = time.process_time()
    for _ in range(count):
        step()
    return (time.process_time() - start) / count


# --- ours


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


# --- vodozemac; a message crosses as bytes, as ours does


def vodozemac_accounts(count: int) -> tuple[vodozemac.Account, vodozemac.Account, list[vodozemac.Curve25519PublicKey]]:
    ours, theirs = vodozemac.Account(), vodozemac.Account()
    theirs.generate_one_time_keys(count)
    return ours, theirs, list(theirs.one_time_keys.values())


def vodozemac_pair() -> tuple[vodozemac.Session, vodozemac.Session]:
    ours, theirs, one_time = vodozemac_accounts(1)
    session = ours.create_outbound_session(theirs.curve25519_key, one_time[0])
    first = session.encrypt(b"first").to_pre_key()
    assert first is not None  # noqa: S101  # an outbound session begins so
    answering, _ = theirs.create_inbound_session(ours.curve25519_key, first)
    session.decrypt(answering.encrypt(b"reply"))
    return session, answering


def encrypt_vodozemac(count: int) -> float:
    session, _ = vodozemac_pair()
    return timed(lambda: session.encrypt(PLAINTEXT).to_parts(), count)


def decrypt_vodozemac(count: int) -> float:
    session, answering = vodozemac_pair()
    parts = [session.encrypt(PLAINTEXT).to_parts() for _ in range(count)]
    start = time.process_time()
    for kind, message in parts:
        answering.decrypt(vodozemac.AnyOlmMessage.from_parts(kind, message))
    return (time.process_time() - start) / count


def alternate_vodozemac(count: int) -> float:
    ours, theirs = vodozemac_pair()
    start = time.process_time()
    for _ in range(count):
        theirs.decrypt(vodozemac.AnyOlmMessage.from_parts(*ours.encrypt(PLAINTEXT).to_parts()))
        ours, theirs = theirs, ours
    return (time.process_time() - start) / count


def handshake_vodozemac(count: int) -> float:
    ours, theirs, one_time = vodozemac_accounts(count)
    start = time.process_time()
    for key in one_time:
        session = ours.create_outbound_session(theirs.curve25519_key, key)
        _, message = session.encrypt(PLAINTEXT).to_parts()
        first = vodozemac.AnyOlmMessage.pre_key(message).to_pre_key()
        assert first is not None  # noqa: S101
        theirs.create_inbound_session(ours.curve25519_key, first)
    return (time.process_time() - start) / count


# --- the PyPI package DoubleRatchet, with its recommended parts


class RootKdf(kdf_hkdf.KDF):
    """HKDF-SHA-256, as ours."""

    @staticmethod
    def _get_hash_function() -> HashFunction:
        return HashFunction.SHA_256

    @staticmethod
    def _get_info() -> bytes:
        return b"bench root"


class ChainKdf(kdf_separate_hmacs.KDF):
    """Two HMAC-SHA-256, as ours."""

    @staticmethod
    def _get_hash_function() -> HashFunction:
        return HashFunction.SHA_256


class Aead(aead_aes_hmac.AEAD):
    """AES-256-CBC with HMAC-SHA-256: what the package recommends."""

    @staticmethod
    def _get_hash_function() -> HashFunction:
        return HashFunction.SHA_256

    @staticmethod
    def _get_info() -> bytes:
        return b"bench aead"


class PackageRatchet(DoubleRatchet):
    """The package leaves only the associated data to its user."""

    @staticmethod
    def _build_associated_data(associated_data: bytes, header: Header) -> bytes:
        lengths = header.previous_sending_chain_length.to_bytes(4, "big") + header.sending_chain_length.to_bytes(
            4, "big"
        )
        return associated_data + header.ratchet_pub + lengths


async def package_pair() -> tuple[PackageRatchet, PackageRatchet]:
    signed = KeyPair.generate()
    parts = (
        diffie_hellman_ratchet_curve25519.DiffieHellmanRatchet,
        RootKdf,
        ChainKdf,
        b"\x02\x01",
        ratchet.MAX_JUMP,
        ratchet.MAX_SKIPPED,
        Aead,
        KEY,
    )
    ours, first = await PackageRatchet.encrypt_initial_message(*parts, signed.public.raw, b"first", AD)
    theirs, _ = await PackageRatchet.decrypt_initial_message(*parts, signed.private_raw(), first, AD)
    return ours, theirs


def encrypt_package(count: int) -> float:
    async def run() -> float:
        ours, _ = await package_pair()
        start = time.process_time()
        for _ in range(count):
            await ours.encrypt_message(PLAINTEXT, AD)
        return (time.process_time() - start) / count

    return asyncio.run(run())


def decrypt_package(count: int) -> float:
    async def run() -> float:
        ours, theirs = await package_pair()
        messages: list[EncryptedMessage] = [await ours.encrypt_message(PLAINTEXT, AD) for _ in range(count)]
        start = time.process_time()
        for message in messages:
            await theirs.decrypt_message(message, AD)
        return (time.process_time() - start) / count

    return asyncio.run(run())


def alternate_package(count: int) -> float:
    async def run() -> float:
        theirs, ours = await package_pair()
        start = time.process_time()
        for _ in range(count):
            await theirs.decrypt_message(await ours.encrypt_message(PLAINTEXT, AD), AD)
            ours, theirs = theirs, ours
        return (time.process_time() - start) / count

    return asyncio.run(run())


# --- the handshake


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


def verify_bundle(count: int) -> float:
    device = make_device()
    bundle, _ = make_bundle(device)
    return timed(lambda: bundle.verify(device.device.signing_key, device.fingerprint, NOW), count)


ROWS: Final = (
    Row(
        "encrypt, 1 KiB, one chain",
        1000,
        {
            "halonyx": encrypt_ours,
            "vodozemac": encrypt_vodozemac,
            "DoubleRatchet": encrypt_package,
            "floor": encrypt_floor,
        },
        (
            Goal("halonyx", "vodozemac", 1),
            Goal("halonyx", "DoubleRatchet", 4),
            Goal("halonyx", "floor", 2, is_floor=True),
        ),
    ),
    Row(
        "decrypt, 1 KiB, one chain",
        1000,
        {
            "halonyx": decrypt_ours,
            "vodozemac": decrypt_vodozemac,
            "DoubleRatchet": decrypt_package,
            "floor": decrypt_floor,
        },
        (Goal("halonyx", "DoubleRatchet", 4), Goal("halonyx", "floor", 2, is_floor=True)),
    ),
    Row(
        "encrypt and decrypt, 1 KiB, strictly alternating",
        300,
        {
            "halonyx": alternate_ours,
            "vodozemac": alternate_vodozemac,
            "DoubleRatchet": alternate_package,
            "floor": alternate_floor,
            "X25519 alone": exchange_floor,
        },
        (
            Goal("halonyx", "vodozemac", 0.9),
            Goal("halonyx", "DoubleRatchet", 2.5),
            Goal("halonyx", "floor", 1.25, is_floor=True),
            Goal("halonyx", "X25519 alone", 1.25, is_floor=True),
        ),
    ),
    Row(
        "handshake, both sides, with its first message of 1 KiB",
        50,
        {
            "halonyx": handshake_ours,
            "vodozemac": handshake_vodozemac,
            "floor": handshake_floor,
            "checking a bundle's signatures": verify_bundle,
        },
        (Goal("halonyx", "vodozemac", 0.4),),
    ),
)


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())


def verdict(goal: Goal, times: Mapping[str, list[float]]) -> str:
    """Return one line: the median of the rounds' ratios, and whether it is what the goal asks."""
    rounds = zip(times[goal.ours], times[goal.other], strict=True)
    if goal.is_floor:
        ratio = statistics.median(ours / floor for ours, floor in rounds)
        is_met, asked = ratio <= goal.bound, f"the time of {goal.other} (at most {goal.bound})"
    else:
        ratio = statistics.median(theirs / ours for ours, theirs in rounds)
        is_met, asked = ratio >= goal.bound, f"the speed of {goal.other} (at least {goal.bound})"
    return f"{ratio:.2f} x {asked}: {'met' if is_met else 'MISSED'}"


def main() -> None:
    print(f"{processor()}, {os.cpu_count()} cores, {platform.platform()}")
    names = ("cryptography", "vodozemac", "doubleratchet")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    print(f"Python {platform.python_version()}, {versions}, {backend.openssl_version_text()}")
    times: dict[str, dict[str, list[float]]] = {row.title: {name: [] for name in row.contestants} for row in ROWS}
    for _ in range(ROUNDS):
        for row in ROWS:
            for name, contestant in row.contestants.items():
                times[row.title][name].append(contestant(row.count))
    for row in ROWS:
        print(f"\n{row.title} (n = {ROUNDS} rounds x {row.count})")
        for name, values in times[row.title].items():
            low, median, high = (1e6 * value for value in statistics.quantiles(values, n=4))
            print(f"  {name:32} {median:8.1f} us   (quartiles {low:.1f} to {high:.1f})")
        for goal in row.goals:
            print(f"  {verdict(goal, times[row.title])}")


if __name__ == "__main__":
    main()
