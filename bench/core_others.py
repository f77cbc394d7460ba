"""The others as contestants of core.py: vodozemac, and the PyPI package DoubleRatchet with its recommended parts."""

import asyncio
import time

import vodozemac
from core_ours import AD, KEY, PLAINTEXT, timed
from doubleratchet import DoubleRatchet, EncryptedMessage, Header
from doubleratchet.recommended import (
    HashFunction,
    aead_aes_hmac,
    diffie_hellman_ratchet_curve25519,
    kdf_hkdf,
    kdf_separate_hmacs,
)

from halonyx.core import ratchet
from halonyx.core.primitives import KeyPair

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


# --- the PyPI package DoubleRatchet


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
