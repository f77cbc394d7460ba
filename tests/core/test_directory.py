"""What the relay keeps: opened by those who know the USID, in the slot it was made for, unaltered."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.people import make_person, seed
from core.strict import bit_flips, raises_only_our_errors
from halonyx.core.directory import Slot, open_object, record_slot, seal_object
from halonyx.core.errors import AuthenticationFailed, Malformed, Misuse
from halonyx.core.kdf import directory_key
from halonyx.core.prekeys import PrekeyUse
from halonyx.core.primitives import aead_open
from halonyx.core.types import Usid

ALICE = make_person("alice")
SLOT = Slot(ALICE.address, PrekeyUse.SIGNED, 1, 0x01020304)
NONCE = seed("nonce", 12)
PREKEY = ALICE.prekeys.published[PrekeyUse.SIGNED].encode()


@given(st.binary(max_size=300))
def test_what_is_sealed_opens(content: bytes) -> None:
    sealed = seal_object(ALICE.usid, SLOT, content, NONCE)
    assert len(sealed) == len(content) + 28
    assert open_object(ALICE.usid, SLOT, sealed) == content


def test_the_layout_is_nonce_then_aes_gcm_over_what_the_relay_sees() -> None:
    sealed = seal_object(ALICE.usid, SLOT, PREKEY, NONCE)
    seen_by_the_relay = ALICE.address + b"\x01\x01\x01\x02\x03\x04"
    assert sealed[:12] == NONCE
    assert SLOT.associated_data() == seen_by_the_relay
    assert aead_open(directory_key(ALICE.usid), NONCE, sealed[12:], seen_by_the_relay) == PREKEY


def test_the_record_lies_in_slot_0() -> None:
    slot = record_slot(ALICE.address)
    assert slot.associated_data() == ALICE.address + bytes(6)
    sealed = seal_object(ALICE.usid, slot, ALICE.record.encoded, NONCE)
    assert open_object(ALICE.usid, slot, sealed) == ALICE.record.encoded


def test_an_object_opens_in_its_own_slot_only() -> None:
    sealed = seal_object(ALICE.usid, SLOT, PREKEY, NONCE)
    others = [
        replace(SLOT, address=make_person("bob").address),
        replace(SLOT, use=PrekeyUse.ONE_TIME),
        replace(SLOT, device=2),
        replace(SLOT, id=0x01020305),
        record_slot(ALICE.address),
    ]
    for slot in others:
        with pytest.raises(AuthenticationFailed):
            open_object(ALICE.usid, slot, sealed)


def test_another_usid_opens_nothing() -> None:
    sealed = seal_object(ALICE.usid, SLOT, PREKEY, NONCE)
    with pytest.raises(AuthenticationFailed):
        open_object(make_person("bob").usid, SLOT, sealed)
    with pytest.raises(AuthenticationFailed):
        open_object(Usid(ALICE.address), SLOT, sealed)  # the relay knows the address, and it is not the key


def test_every_flipped_bit_is_noticed() -> None:
    for flipped in bit_flips(seal_object(ALICE.usid, SLOT, PREKEY, NONCE)):
        with pytest.raises(AuthenticationFailed):
            open_object(ALICE.usid, SLOT, flipped)


def test_every_truncation_and_every_byte_added_is_noticed() -> None:
    sealed = seal_object(ALICE.usid, SLOT, PREKEY, NONCE)
    for size_bytes in range(len(sealed)):
        with pytest.raises(Malformed if size_bytes < 28 else AuthenticationFailed):
            open_object(ALICE.usid, SLOT, sealed[:size_bytes])
    for value in range(256):
        with pytest.raises(AuthenticationFailed):
            open_object(ALICE.usid, SLOT, sealed + bytes([value]))


@given(st.binary(max_size=100))
def test_random_objects_are_refused(data: bytes) -> None:
    assert raises_only_our_errors(lambda sealed: open_object(ALICE.usid, SLOT, sealed), data) is None


@pytest.mark.parametrize("size_bytes", [0, 11, 13])
def test_a_nonce_of_another_size_is_misuse(size_bytes: int) -> None:
    with pytest.raises(Misuse):
        seal_object(ALICE.usid, SLOT, PREKEY, bytes(size_bytes))


@pytest.mark.parametrize("slot", [replace(SLOT, use=256), replace(SLOT, device=256), replace(SLOT, id=2**32)])
def test_a_slot_out_of_range_is_misuse(slot: Slot) -> None:
    with pytest.raises(Misuse):
        seal_object(ALICE.usid, slot, PREKEY, NONCE)
