"""The closed set of codes, and the tree that callers branch on."""

import inspect
import re

import pytest

from halonyx.core import errors
from halonyx.core.errors import HalonyxError, Misuse, RemoteError, StorageConflict, StoreError, TransportError

CLASSES = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, HalonyxError)]
REMOTE_CODES = {
    "malformed",
    "unsupported-version",
    "bad-signature",
    "bad-key",
    "unknown-prekey",
    "unknown-session",
    "replay",
    "duplicate",
    "too-far-ahead",
    "authentication-failed",
    "untrusted-identity",
    "stale-directory",
}


def test_remote_codes_are_exactly_the_specified_set() -> None:
    remote = [cls for cls in CLASSES if issubclass(cls, RemoteError) and cls is not RemoteError]
    assert {cls.code for cls in remote} == REMOTE_CODES
    assert len(remote) == len(REMOTE_CODES)
    assert StorageConflict.code == "storage-conflict"


def test_every_concrete_class_has_a_code_of_its_own() -> None:
    concrete = [cls for cls in CLASSES if cls not in (HalonyxError, RemoteError)]
    assert len({cls.code for cls in concrete}) == len(concrete)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_the_module_opens_with_the_tree(cls: type[HalonyxError]) -> None:
    line = re.search(rf"\b{cls.__name__}\b(.*)", errors.__doc__ or "")
    assert line is not None
    if cls.code in REMOTE_CODES:
        assert line[1].strip() == cls.code


def test_the_four_families_are_apart() -> None:
    families = (Misuse, RemoteError, StoreError, TransportError)
    for cls in CLASSES:
        assert sum(issubclass(cls, family) for family in families) == (0 if cls is HalonyxError else 1)


def test_a_transport_error_says_whether_to_retry() -> None:
    assert TransportError("timed out").retryable
    assert not TransportError("refused for good", retryable=False).retryable
    assert str(TransportError("timed out")) == "timed out"
