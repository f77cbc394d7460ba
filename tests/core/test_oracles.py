"""Random runs against the PyPI packages X3DH and DoubleRatchet, written by others from the same specifications."""

import asyncio
import struct
from collections import deque
from dataclasses import dataclass
from typing import ClassVar

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from doubleratchet import AEAD, DoubleRatchet, EncryptedMessage, Header
from doubleratchet.recommended import (
    HashFunction,
    diffie_hellman_ratchet_curve25519,
    kdf_hkdf,
    kdf_separate_hmacs,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from x3dh import BaseState, IdentityKeyFormat
from x3dh import Header as X3dhHeader
from x3dh.crypto_provider import HashFunction as X3dhHashFunction
from x3dh.identity_key_pair import IdentityKeyPairPriv

from core.people import NOW, key_pair, seed
from core.test_ratchet import SECRETS, SESSION, SIGNED_PREKEY, make_pair
from halonyx.core import labels
from halonyx.core.handshake import x3dh_accept, x3dh_initiate
from halonyx.core.primitives import KeyPair, PublicKey
from halonyx.core.ratchet import MAX_JUMP, MAX_SKIPPED, Message, Ratchet, decrypt, encrypt, starts_receiving_chain

# --- X3DH: one side ours, the other the package's


class OracleX3dh(BaseState):
    @staticmethod
    def _encode_public_key(key_format: IdentityKeyFormat, pub: bytes) -> bytes:  # noqa: ARG004  # the package calls it
        return pub


def make_oracle(identity: KeyPair) -> OracleX3dh:
    return OracleX3dh.create(
        IdentityKeyFormat.CURVE_25519,
        X3dhHashFunction.SHA_256,
        labels.X3DH_SECRET + b"\x00",
        IdentityKeyPairPriv(identity.private_raw()),
    )


PRIVATES = st.binary(min_size=32, max_size=32).map(KeyPair.from_private)


@settings(max_examples=50, deadline=None)
@given(ours=PRIVATES, theirs=PRIVATES, ephemeral=PRIVATES, has_one_time=st.booleans())
def test_we_initiate_and_the_package_x3dh_accepts(
    ours: KeyPair,
    theirs: KeyPair,
    ephemeral: KeyPair,
    has_one_time: bool,  # noqa: FBT001  # drawn by name
) -> None:
    oracle = make_oracle(theirs)
    oracle.generate_pre_keys(1)
    one_time = next(iter(oracle.bundle.pre_keys)) if has_one_time else None

    secret, ad = x3dh_initiate(
        ours,
        ephemeral,
        PublicKey(oracle.bundle.identity_key),
        PublicKey(oracle.bundle.signed_pre_key),
        PublicKey(one_time) if one_time else None,
    )

    header = X3dhHeader(ours.public.raw, ephemeral.public.raw, oracle.bundle.signed_pre_key, one_time)
    accepted = asyncio.run(oracle.get_shared_secret_passive(header, require_pre_key=has_one_time))
    assert (secret, ad) == accepted[:2]


@settings(max_examples=50, deadline=None)
@given(ours=PRIVATES, theirs=PRIVATES, has_one_time=st.booleans())
def test_the_package_x3dh_initiates_and_we_accept(
    ours: KeyPair,
    theirs: KeyPair,
    has_one_time: bool,  # noqa: FBT001  # drawn by name
) -> None:
    us = make_oracle(ours)
    us.generate_pre_keys(has_one_time)
    signed = KeyPair.from_private(us.model.signed_pre_key.priv)
    one_time = KeyPair.from_private(next(iter(us.model.pre_keys))) if has_one_time else None

    secret, ad, header = asyncio.run(
        make_oracle(theirs).get_shared_secret_active(us.bundle, require_pre_key=has_one_time)
    )

    ephemeral = PublicKey(header.ephemeral_key)
    assert (secret, ad) == x3dh_accept(ours, signed, one_time, theirs.public, ephemeral)


# --- DoubleRatchet, byte for byte


class OracleRootKdf(kdf_hkdf.KDF):
    @staticmethod
    def _get_hash_function() -> HashFunction:
        return HashFunction.SHA_256

    @staticmethod
    def _get_info() -> bytes:
        return labels.ROOT_KEY + b"\x00"


class OracleChainKdf(kdf_separate_hmacs.KDF):
    @staticmethod
    def _get_hash_function() -> HashFunction:
        return HashFunction.SHA_256


class OracleAead(AEAD):
    """Our message split, written from the specification; the salt ends the header, which ends the associated data."""

    @staticmethod
    def _split(key: bytes, associated_data: bytes) -> tuple[AESGCM, bytes]:
        okm = HKDF(hashes.SHA256(), 44, None, labels.MESSAGE_KEY + b"\x00" + associated_data[-16:]).derive(key)
        return AESGCM(okm[:32]), okm[32:]

    @staticmethod
    async def encrypt(plaintext: bytes, key: bytes, associated_data: bytes) -> bytes:
        cipher, nonce = OracleAead._split(key, associated_data)
        return cipher.encrypt(nonce, plaintext, associated_data)

    @staticmethod
    async def decrypt(ciphertext: bytes, key: bytes, associated_data: bytes) -> bytes:
        cipher, nonce = OracleAead._split(key, associated_data)
        return cipher.decrypt(nonce, ciphertext, associated_data)


class OracleDh(diffie_hellman_ratchet_curve25519.DiffieHellmanRatchet):
    """Takes its fresh keys from a queue, so that both implementations draw the same."""

    fresh: ClassVar[deque[bytes]] = deque()

    @staticmethod
    def _generate_priv() -> bytes:
        return OracleDh.fresh.popleft()


class OracleRatchet(DoubleRatchet):
    @staticmethod
    def _build_associated_data(associated_data: bytes, header: Header) -> bytes:
        ad, salt = associated_data[:32], associated_data[32:]
        return ad + oracle_header(header, salt)


def oracle_header(header: Header, salt: bytes) -> bytes:
    numbers = struct.pack(">II", header.previous_sending_chain_length, header.sending_chain_length)
    return b"\x01\x10\x00" + SESSION + header.ratchet_pub + numbers + salt


ORACLE = (OracleDh, OracleRootKdf, OracleChainKdf, b"\x02\x01", MAX_JUMP, MAX_SKIPPED, OracleAead)


@dataclass
class Both:
    """One side, run by both implementations."""

    ours: Ratchet
    oracle: OracleRatchet | None = None

    async def send(self, plaintext: bytes, salt: bytes) -> bytes:
        self.ours, encoded = encrypt(self.ours, plaintext, salt)
        associated_data = self.ours.sending_ad + salt
        if self.oracle is None:
            OracleDh.fresh.append(self.ours.ours.private_raw())
            self.oracle, message = await OracleRatchet.encrypt_initial_message(
                *ORACLE, SECRETS.root_key, SIGNED_PREKEY.public.raw, plaintext, associated_data
            )
        else:
            message = await self.oracle.encrypt_message(plaintext, associated_data)
        assert encoded == oracle_header(message.header, salt) + message.ciphertext
        self.compare()
        return encoded

    async def receive(self, encoded: bytes, fresh: KeyPair) -> bytes:
        message = Message.parse(encoded)
        if starts_receiving_chain(self.ours, message):
            OracleDh.fresh.append(fresh.private_raw())
        self.ours, plaintext = decrypt(self.ours, message, fresh, NOW)
        header = Header(message.ratchet_key, message.previous_length, message.index)
        theirs = EncryptedMessage(header, message.ciphertext)
        associated_data = self.ours.receiving_ad + message.salt
        if self.oracle is None:
            self.oracle, opened = await OracleRatchet.decrypt_initial_message(
                *ORACLE, SECRETS.root_key, SIGNED_PREKEY.private_raw(), theirs, associated_data
            )
        else:
            opened = await self.oracle.decrypt_message(theirs, associated_data)
        assert plaintext == opened
        self.compare()
        return plaintext

    def compare(self) -> None:
        """Compare every key and counter of the two states."""
        assert self.oracle is not None
        model, ours = self.oracle.model, self.ours
        dh, chains = model.diffie_hellman_ratchet, model.diffie_hellman_ratchet.symmetric_key_ratchet
        assert dh.own_ratchet_priv == ours.ours.private_raw()
        assert ours.theirs is not None
        assert dh.other_ratchet_pub == ours.theirs.raw
        assert dh.root_chain.key == ours.root_key
        for theirs, chain in ((chains.sending_chain, ours.sending), (chains.receiving_chain, ours.receiving)):
            assert (theirs and (theirs.key, theirs.length)) == (chain and (chain.key, chain.index))
        assert (chains.previous_sending_chain_length or 0) == ours.previous_length
        skipped = [(key.ratchet_pub, key.index, key.message_key) for key in model.skipped_message_keys]
        assert skipped == [(*slot, key.message_key) for slot, key in ours.skipped.items()]


STEPS = st.lists(
    st.tuples(st.booleans(), st.sampled_from(["send", "send", "next", "any", "drop"]), st.integers(0, 99)),
    min_size=10,
    max_size=80,
)


@settings(max_examples=100, deadline=None)
@given(steps=STEPS)
def test_random_schedules_agree_with_the_package_doubleratchet(steps: list[tuple[bool, str, int]]) -> None:
    asyncio.run(_run_schedule(steps))


async def _run_schedule(steps: list[tuple[bool, str, int]]) -> None:
    OracleDh.fresh.clear()
    alice, bob = (Both(state) for state in make_pair())
    network: dict[bool, list[tuple[bytes, bytes]]] = {True: [], False: []}
    for number, (is_alice, action, pick) in enumerate(steps):
        side, waiting = (alice, network[True]) if is_alice else (bob, network[False])
        if action == "send":
            if side.ours.sending is not None:
                text = f"{number}".encode()
                network[not is_alice].append((await side.send(text, seed(f"salt {number}", 16)), text))
        elif waiting:
            encoded, text = waiting.pop(0 if action == "next" else pick % len(waiting))
            if action != "drop":
                assert await side.receive(encoded, key_pair(f"fresh {number}")) == text
    assert not OracleDh.fresh


def test_a_long_schedule_with_loss_agrees_with_the_package_doubleratchet() -> None:
    steps = [(True, "send", 0)] * 40 + [(False, "any", 31)] * 5
    for number in range(150):
        is_alice = number // 3 % 2 == 0
        steps += [(is_alice, "send", 0), (is_alice, "send", 0), (not is_alice, "any", number), (is_alice, "drop", 0)]
    asyncio.run(_run_schedule(steps))
