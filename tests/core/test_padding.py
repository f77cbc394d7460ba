"""Seven sizes, and padding that can hide nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halonyx.core.errors import Malformed, Misuse
from halonyx.core.padding import BUCKETS, bucket_for, check_padding


def test_the_buckets_are_1_to_64_kib() -> None:
    assert BUCKETS == (1024, 2048, 4096, 8192, 16_384, 32_768, 65_536)


@given(st.integers(0, 65_536))
def test_the_smallest_bucket_that_holds_it(size_bytes: int) -> None:
    bucket = bucket_for(size_bytes)
    assert bucket in BUCKETS
    assert size_bytes <= bucket
    assert bucket == 1024 or size_bytes > bucket // 2


@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_full_bucket_is_used(bucket: int) -> None:
    assert bucket_for(bucket) == bucket


def test_what_does_not_fit_is_misuse() -> None:
    with pytest.raises(Misuse):
        bucket_for(65_537)


@given(st.binary(max_size=40))
def test_padding_is_all_zero(padding: bytes) -> None:
    if any(padding):
        with pytest.raises(Malformed):
            check_padding(padding)
    else:
        check_padding(padding)


@pytest.mark.parametrize("at", [0, 1, 499, 998, 999])
def test_one_byte_anywhere_is_refused(at: int) -> None:
    padding = bytearray(1000)
    check_padding(bytes(padding))
    padding[at] = 1
    with pytest.raises(Malformed):
        check_padding(bytes(padding))
