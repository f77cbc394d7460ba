"""The recovery code: what is written can be typed back, and one typing error is noticed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.people import seed
from halonyx.core import labels
from halonyx.core.errors import Malformed, Misuse
from halonyx.core.kdf import expand
from halonyx.core.recovery import ALPHABET, account_keys, encode_recovery_code, parse_recovery_code

ENTROPY = seed("entropy", 20)
CODE = encode_recovery_code(ENTROPY)
entropies = st.binary(min_size=20, max_size=20)


def crockford(data: bytes) -> str:
    """Write bytes in Crockford base32 through a string of bits, unlike the module, which shifts a number."""
    bits = "".join(f"{byte:08b}" for byte in data)
    return "".join(ALPHABET[int(bits[at : at + 5], 2)] for at in range(0, len(bits) - len(bits) % 5, 5))


@given(entropies)
def test_what_is_written_reads_back(entropy: bytes) -> None:
    assert parse_recovery_code(encode_recovery_code(entropy)) == entropy


@given(entropies)
def test_the_code_is_nine_groups_of_crockford_base32(entropy: bytes) -> None:
    groups = encode_recovery_code(entropy).split("-")
    checksum = labels.hash_of(labels.RECOVERY_CHECKSUM, entropy)
    assert [len(group) for group in groups] == [4] * 9
    assert "".join(groups) == crockford(entropy) + crockford(checksum)[:4]


def test_known_codes() -> None:
    assert encode_recovery_code(bytes(20)).startswith("0000-0000-0000-0000-0000-0000-0000-0000-")
    assert encode_recovery_code(b"\xff" * 20).startswith("ZZZZ-ZZZZ-ZZZZ-ZZZZ-ZZZZ-ZZZZ-ZZZZ-ZZZZ-")


def test_the_alphabet_leaves_out_what_is_misread() -> None:
    assert len(set(ALPHABET)) == 32
    assert not set("ILOU") & set(ALPHABET)


@pytest.mark.parametrize(
    "typed",
    [
        CODE.lower(),
        CODE.replace("-", ""),
        CODE.replace("-", " "),
        f"  {CODE}\r\n",
        "\t".join(CODE),
        CODE.replace("0", "O").replace("1", "I"),
        CODE.replace("0", "o").replace("1", "l"),
    ],
)
def test_a_code_is_read_as_people_type_it(typed: str) -> None:
    assert parse_recovery_code(typed) == ENTROPY


def test_the_letters_that_stand_for_digits_are_read() -> None:
    zeros = encode_recovery_code(bytes(20))
    assert parse_recovery_code(zeros.replace("0", "O")) == bytes(20)
    ones = encode_recovery_code(int("00001" * 32, 2).to_bytes(20, "big"))
    assert parse_recovery_code(ones.replace("1", "I")) == parse_recovery_code(ones.replace("1", "L"))


def test_every_single_wrong_character_is_noticed() -> None:
    symbols = CODE.replace("-", "")
    for at, right in enumerate(symbols):
        for wrong in ALPHABET.replace(right, ""):
            with pytest.raises(Malformed):
                parse_recovery_code(symbols[:at] + wrong + symbols[at + 1 :])


def test_swapped_neighbours_are_noticed() -> None:
    symbols = CODE.replace("-", "")
    for at in range(len(symbols) - 1):
        if symbols[at] != symbols[at + 1]:
            with pytest.raises(Malformed):
                parse_recovery_code(symbols[:at] + symbols[at + 1] + symbols[at] + symbols[at + 2 :])


@pytest.mark.parametrize("text", ["", "-", CODE[:-1], CODE + "0", CODE[:-5], CODE + CODE])
def test_another_length_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match="36 characters"):
        parse_recovery_code(text)


@pytest.mark.parametrize("at", [0, 35])
@pytest.mark.parametrize("wrong", ["U", "u", "*", "é", "٣", "_"])
def test_another_character_is_refused(wrong: str, at: int) -> None:
    symbols = CODE.replace("-", "")
    with pytest.raises(Malformed, match="letters and digits"):
        parse_recovery_code(symbols[:at] + wrong + symbols[at + 1 :])


@given(st.text(max_size=50))
def test_random_text_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        parse_recovery_code(text)


@pytest.mark.parametrize("size_bytes", [0, 19, 21, 32])
def test_entropy_of_another_size_is_misuse(size_bytes: int) -> None:
    with pytest.raises(Misuse):
        encode_recovery_code(bytes(size_bytes))
    with pytest.raises(Misuse):
        account_keys(bytes(size_bytes))


def test_the_account_is_recovered_from_its_code_alone() -> None:
    keys = account_keys(parse_recovery_code(CODE))
    assert keys.ed25519 == account_keys(ENTROPY).ed25519
    assert keys.mldsa65.public == account_keys(ENTROPY).mldsa65.public
    assert keys.management == account_keys(ENTROPY).management
    assert keys.salt == account_keys(ENTROPY).salt


def test_each_key_has_a_label_of_its_own() -> None:
    account_seed = expand(ENTROPY, b"halonyx/1 account seed", 32)
    keys = account_keys(ENTROPY)
    assert keys.ed25519.seed() == expand(account_seed, b"halonyx/1 account ed25519", 32)
    assert keys.mldsa65.private.private_bytes_raw() == expand(account_seed, b"halonyx/1 account mldsa65", 32)
    assert keys.management.seed() == expand(account_seed, b"halonyx/1 management key", 32)
    assert keys.salt == expand(account_seed, b"halonyx/1 account salt", 32)
    assert keys.ed25519.public != keys.management.public


@given(entropies, entropies)
def test_codes_that_differ_give_accounts_that_differ(first: bytes, second: bytes) -> None:
    assert (account_keys(first).ed25519 == account_keys(second).ed25519) == (first == second)
