"""The recovery code: 160 random bits as 32 Crockford base32 characters and a checksum of four.

Source: spec/identity.md, "Recovery code".
"""

from dataclasses import dataclass, field
from typing import Final

from halonyx.core import labels
from halonyx.core.errors import Malformed, Misuse
from halonyx.core.kdf import expand
from halonyx.core.primitives import PostQuantumSigningKey, SigningKey

ENTROPY_SIZE: Final = 20
CODE_CHARACTERS: Final = 32
CHECKSUM_CHARACTERS: Final = 4
GROUP: Final = 4

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUE: Final = {character: value for value, character in enumerate(ALPHABET)} | {"O": 0, "I": 1, "L": 1}


@dataclass(frozen=True, slots=True)
class AccountKeys:
    """What the recovery code yields. Derived at sign-up, device change and recovery, then dropped; never stored."""

    ed25519: SigningKey = field(repr=False)
    mldsa65: PostQuantumSigningKey = field(repr=False)
    management: SigningKey = field(repr=False)
    salt: bytes = field(repr=False)


def encode_recovery_code(entropy: bytes) -> str:
    """Write 20 random bytes as nine groups of four characters: eight of code, one of checksum.

    Raises:
        Misuse: Not 20 bytes.
    """
    if len(entropy) != ENTROPY_SIZE:
        raise Misuse(f"a recovery code holds {ENTROPY_SIZE} bytes")
    text = _base32(entropy) + _checksum(entropy)
    return "-".join(text[at : at + GROUP] for at in range(0, len(text), GROUP))


def parse_recovery_code(text: str) -> bytes:
    """Read a recovery code as a person types it: any case, spaces and hyphens anywhere, O for 0, I and L for 1.

    Returns:
        The 20 bytes.

    Raises:
        Malformed: Another character, another length, or a checksum that does not fit.
    """
    symbols = [character for character in text.upper() if character not in "- \t\r\n"]
    if len(symbols) != CODE_CHARACTERS + CHECKSUM_CHARACTERS:
        raise Malformed(f"a recovery code has {CODE_CHARACTERS + CHECKSUM_CHARACTERS} characters, got {len(symbols)}")
    number = 0
    for symbol in symbols[:CODE_CHARACTERS]:
        number = number << 5 | _value(symbol)
    entropy = number.to_bytes(ENTROPY_SIZE, "big")
    checksum = "".join(ALPHABET[_value(symbol)] for symbol in symbols[CODE_CHARACTERS:])
    if checksum != _checksum(entropy):
        raise Malformed("the recovery code has a typing error: its checksum does not fit")
    return entropy


def account_keys(entropy: bytes) -> AccountKeys:
    """Derive the account's keys from the recovery code's 20 bytes.

    Raises:
        Misuse: Not 20 bytes.
    """
    if len(entropy) != ENTROPY_SIZE:
        raise Misuse(f"a recovery code holds {ENTROPY_SIZE} bytes")
    seed = expand(entropy, labels.ACCOUNT_SEED, 32)
    return AccountKeys(
        ed25519=SigningKey.from_seed(expand(seed, labels.ACCOUNT_ED25519, 32)),
        mldsa65=PostQuantumSigningKey.from_seed(expand(seed, labels.ACCOUNT_MLDSA, 32)),
        management=SigningKey.from_seed(expand(seed, labels.MANAGEMENT_KEY, 32)),
        salt=expand(seed, labels.ACCOUNT_SALT, 32),
    )


def _value(symbol: str) -> int:
    value = _VALUE.get(symbol)
    if value is None:
        raise Malformed("a recovery code has only letters and digits, without U")
    return value


def _base32(data: bytes) -> str:
    number = int.from_bytes(data, "big")
    count = len(data) * 8 // 5
    return "".join(ALPHABET[number >> 5 * (count - 1 - at) & 31] for at in range(count))


def _checksum(entropy: bytes) -> str:
    return _base32(labels.hash_of(labels.RECOVERY_CHECKSUM, entropy)[:5])[:CHECKSUM_CHARACTERS]
