"""Project Wycheproof: every file for a primitive that we call, through our wrapper.

The files lie beside the repository or where WYCHEPROOF_DIR says, never in it. Without them nothing is checked here,
and the tests say so in their output. The X25519 file in JWK form holds the same cases for the browser's key format.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from halonyx.core.errors import AuthenticationFailed, BadKey, BadSignature, Malformed, Misuse
from halonyx.core.primitives import (
    KemKeyPair,
    KeyPair,
    PostQuantumVerifyKey,
    PublicKey,
    VerifyKey,
    aead_open,
    aead_seal,
    hkdf,
    hmac_sha256,
)

BESIDE: Final = Path(__file__).resolve().parents[3] / "shared" / "wycheproof"
ABSENT: Final = "wycheproof absent: set WYCHEPROOF_DIR; its cases were not run"

Case = dict[str, Any]


def directory() -> Path | None:
    """Return where the files lie; one that is named but missing is an error, so that CI can't lose them unnoticed."""
    named = os.environ.get("WYCHEPROOF_DIR")
    if named:
        return Path(named).resolve(strict=True)
    return BESIDE if BESIDE.is_dir() else None


def cases(name: str) -> Iterator[tuple[Case, Case]]:
    """Yield each group with each of its cases."""
    found = directory()
    if found is None:
        print(ABSENT)  # noqa: T201 - shown by `pytest -rP`: the run must not look as if it had checked this
        return
    parsed = json.loads((found / f"{name}_test.json").read_text("utf-8"))
    for group in parsed["testGroups"]:
        for case in group["tests"]:
            yield group, case


def unhex(case: Case, *names: str) -> list[bytes]:
    return [bytes.fromhex(case[name]) for name in names]


def expect_all(seen: Counter[str], expected: dict[str, int]) -> None:
    """Check that every kind of case was run, unless the files are absent."""
    assert directory() is None or seen == Counter(expected)


def test_the_files_are_there_or_it_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    ran = sum(1 for _ in cases("aes_gcm"))
    assert (ran == 316) == (directory() is not None)
    assert (ABSENT in capsys.readouterr().out) == (directory() is None)


def test_aes_gcm() -> None:
    seen: Counter[str] = Counter()
    for group, case in cases("aes_gcm"):
        key, nonce, data, plaintext, ciphertext, tag = unhex(case, "key", "iv", "aad", "msg", "ct", "tag")
        if group["keySize"] != 256 or group["ivSize"] != 96:
            seen["size we refuse"] += 1
            with pytest.raises(Misuse):
                aead_seal(key, nonce, plaintext, data)
            with pytest.raises(Misuse):
                aead_open(key, nonce, ciphertext + tag, data)
        elif case["result"] == "valid":
            seen["valid"] += 1
            assert aead_seal(key, nonce, plaintext, data) == ciphertext + tag
            assert aead_open(key, nonce, ciphertext + tag, data) == plaintext
        else:
            seen["invalid"] += 1
            with pytest.raises(AuthenticationFailed):
                aead_open(key, nonce, ciphertext + tag, data)
    expect_all(seen, {"valid": 39, "invalid": 27, "size we refuse": 250})


def test_ed25519() -> None:
    seen: Counter[str] = Counter()
    for group, case in cases("ed25519"):
        key = VerifyKey(bytes.fromhex(group["publicKey"]["pk"]))
        message, signature = unhex(case, "msg", "sig")
        seen[case["result"]] += 1
        if case["result"] == "valid":
            key._verify(message, signature)
        else:
            with pytest.raises(BadSignature):
                key._verify(message, signature)
    expect_all(seen, {"valid": 88, "invalid": 63})


def test_hkdf_sha256() -> None:
    seen: Counter[str] = Counter()
    for _, case in cases("hkdf_sha256"):
        ikm, salt, info, expected = unhex(case, "ikm", "salt", "info", "okm")
        seen[case["result"]] += 1
        if case["result"] == "valid":
            assert hkdf(ikm, info, case["size"], salt) == expected
        else:
            with pytest.raises(Misuse):
                hkdf(ikm, info, case["size"], salt)
    expect_all(seen, {"valid": 83, "invalid": 3})


def test_hmac_sha256() -> None:
    seen: Counter[str] = Counter()
    for group, case in cases("hmac_sha256"):
        key, message, tag = unhex(case, "key", "msg", "tag")
        seen[case["result"]] += 1
        assert (hmac_sha256(key, message)[: group["tagSize"] // 8] == tag) == (case["result"] == "valid")
    expect_all(seen, {"valid": 66, "invalid": 108})


def test_ml_dsa_65_verify() -> None:
    seen: Counter[str] = Counter()
    for group, case in cases("mldsa_65_verify"):
        message, signature = unhex(case, "msg", "sig")
        context, raw = bytes.fromhex(case.get("ctx", "")), bytes.fromhex(group["publicKey"])
        if "IncorrectPublicKeyLength" in case["flags"]:
            seen["key size"] += 1
            with pytest.raises(Malformed):
                PostQuantumVerifyKey(raw)
        elif case["result"] == "valid":
            seen["valid"] += 1
            PostQuantumVerifyKey(raw).verify(context, message, signature)
        else:
            seen["invalid"] += 1
            with pytest.raises(BadSignature):
                PostQuantumVerifyKey(raw).verify(context, message, signature)
    expect_all(seen, {"valid": 79, "invalid": 127, "key size": 4})


@pytest.mark.parametrize("size", [768, 1024])
def test_ml_kem(size: int) -> None:
    seen: Counter[str] = Counter()
    load = KemKeyPair.from_seed_768 if size == 768 else KemKeyPair.from_seed_1024
    for _, case in cases(f"mlkem_{size}"):
        seed, ciphertext, secret = unhex(case, "seed", "c", "K")
        seen[case["result"]] += 1
        if case["result"] == "valid":
            pair = load(seed)
            assert pair.public.raw == bytes.fromhex(case["ek"])
            assert pair.decapsulate(ciphertext) == secret
        else:
            with pytest.raises(Malformed):
                load(seed).decapsulate(ciphertext)
    expect_all(seen, {"valid": 153, "invalid": 40})


def test_x25519() -> None:
    seen: Counter[str] = Counter()
    for _, case in cases("x25519"):
        public, private, shared = unhex(case, "public", "private", "shared")
        ours = KeyPair.from_private(private)
        if "NonCanonicalPublic" in case["flags"]:
            seen["non-canonical"] += 1
            with pytest.raises(BadKey):
                PublicKey(public)
        elif "ZeroSharedSecret" in case["flags"]:
            seen["all zero"] += 1
            with pytest.raises(BadKey):
                ours.exchange(PublicKey(public))
        else:
            seen["accepted"] += 1
            assert ours.exchange(PublicKey(public)) == shared
    expect_all(seen, {"accepted": 474, "non-canonical": 19, "all zero": 25})
