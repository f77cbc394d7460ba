"""Exact bytes: big-endian, bounded, nothing left over."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halonyx.core.encoding import Reader, Writer, decode_base64url, encode_base64url
from halonyx.core.errors import Malformed, Misuse, UnsupportedVersion


def test_fields_are_big_endian_and_read_back_in_order() -> None:
    data = Writer().u8(1).u16(0x0203).u32(0x04050607).u64(0x08090A0B0C0D0E0F).fixed(b"xyz", 3).done()

    reader = Reader(data)

    assert data == bytes(range(1, 16)) + b"xyz"
    assert (reader.u8(), reader.u16(), reader.u32(), reader.u64()) == (
        1,
        0x0203,
        0x04050607,
        0x08090A0B0C0D0E0F,
    )
    assert reader.position() == 15
    assert reader.take(3) == b"xyz"
    reader.finish()


@given(st.binary(max_size=40), st.integers(0, 60))
def test_take_gives_exactly_what_is_there_or_refuses(data: bytes, size_bytes: int) -> None:
    reader = Reader(data)
    if size_bytes > len(data):
        with pytest.raises(Malformed):
            reader.take(size_bytes)
        assert reader.position() == 0
    else:
        assert reader.take(size_bytes) + reader.rest() == data
        reader.finish()


@pytest.mark.parametrize("size_bytes", [1, 2, 4, 8])
def test_an_integer_that_is_cut_short_is_refused(size_bytes: int) -> None:
    with pytest.raises(Malformed):
        Reader(bytes(size_bytes - 1)).unsigned(size_bytes)


@given(st.integers(1, 8), st.data())
def test_integers_round_trip(size_bytes: int, data: st.DataObject) -> None:
    value = data.draw(st.integers(0, 256**size_bytes - 1))
    assert Reader(Writer().unsigned(value, size_bytes).done()).unsigned(size_bytes) == value


@pytest.mark.parametrize("value", [-1, 256, 2**64])
def test_an_integer_that_does_not_fit_is_misuse(value: int) -> None:
    with pytest.raises(Misuse):
        Writer().u8(value)


def test_a_fixed_field_of_another_size_is_misuse() -> None:
    with pytest.raises(Misuse):
        Writer().fixed(b"12", 3)
    with pytest.raises(Misuse):
        Writer().fixed(b"1234", 3)


@given(st.binary(min_size=2, max_size=5))
def test_sized_fields_round_trip_within_their_bounds(field: bytes) -> None:
    reader = Reader(Writer().sized(field, 2, 5, 2).done())
    assert reader.sized(2, 5, 2) == field
    reader.finish()


@pytest.mark.parametrize("size_bytes", [1, 6])
def test_a_length_outside_its_bounds_is_refused_on_both_sides(size_bytes: int) -> None:
    with pytest.raises(Misuse):
        Writer().sized(bytes(size_bytes), 2, 5, 2)
    with pytest.raises(Malformed):
        Reader(Writer().u16(size_bytes).raw(bytes(size_bytes)).done()).sized(2, 5, 2)


def test_a_length_is_checked_before_its_bytes_are_taken() -> None:
    with pytest.raises(Malformed, match="outside"):
        Reader(b"\xff\xff\xff\xff").sized(4, 100)


@pytest.mark.parametrize(("number", "is_allowed"), [(0, False), (1, True), (3, True), (4, False), (255, False)])
def test_a_count_has_bounds(number: int, *, is_allowed: bool) -> None:
    reader = Reader(bytes([number]))
    if is_allowed:
        assert reader.count(1, 3, 1) == number
    else:
        with pytest.raises(Malformed):
            reader.count(1, 3, 1)


def test_a_count_may_be_zero_by_default() -> None:
    assert Reader(b"\x00").count(1, 3) == 0


def test_header_tells_another_version_from_another_type() -> None:
    reader = Reader(b"\x01\x20")
    reader.header(1, 0x20)
    reader.finish()
    with pytest.raises(UnsupportedVersion):
        Reader(b"\x02\x20").header(1, 0x20)
    with pytest.raises(Malformed):
        Reader(b"\x01\x21").header(1, 0x20)
    with pytest.raises(Malformed):
        Reader(b"\x01").header(1, 0x20)


@given(st.integers(0, 255), st.integers(0, 255))
def test_flags_refuse_every_unknown_bit(flags: int, known: int) -> None:
    if flags & ~known:
        with pytest.raises(Malformed):
            Reader(bytes([flags])).flags(known)
    else:
        assert Reader(bytes([flags])).flags(known) == flags


def test_a_trailing_byte_is_refused() -> None:
    reader = Reader(b"ab")
    reader.take(1)
    with pytest.raises(Malformed):
        reader.finish()


@given(st.binary(max_size=100))
def test_base64url_has_one_spelling(data: bytes) -> None:
    assert decode_base64url(encode_base64url(data)) == data


@given(st.text(max_size=20))
def test_whatever_decodes_encodes_back(text: str) -> None:
    try:
        data = decode_base64url(text)
    except Malformed:
        return
    assert encode_base64url(data) == text
