"""Domain separation: no label stands for two things or begins another, and HS is injective."""

import hashlib
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from halonyx.core import labels
from halonyx.core.labels import NAMESPACE, hash_of

TABLE = {
    name: value
    for name, value in vars(labels).items()
    if name.isupper() and name != "NAMESPACE" and isinstance(value, bytes)
}


def test_labels_are_unique() -> None:
    assert len(set(TABLE.values())) == len(TABLE)
    assert len(TABLE) > 30


def test_no_label_begins_another() -> None:
    # A prefix-free set stays apart even where a label is followed by context without a length.
    assert not any(after.startswith(before) for before, after in pairwise(sorted(TABLE.values())))


def test_every_label_has_the_namespace_a_role_and_only_printable_ascii() -> None:
    for value in TABLE.values():
        assert value.startswith(NAMESPACE)
        assert len(NAMESPACE) < len(value) <= 255
        assert value.decode("ascii").isprintable()


def test_hash_of_is_what_the_specification_writes() -> None:
    label = labels.USID
    expected = hashlib.sha256(bytes([len(label)]) + label + b"\x00\x00\x00\x02ab" + b"\x00\x00\x00\x00").digest()
    assert hash_of(label, b"ab", b"") == expected


@given(st.lists(st.binary(max_size=6), max_size=4), st.lists(st.binary(max_size=6), max_size=4))
def test_hash_of_tells_part_boundaries_apart(first: list[bytes], second: list[bytes]) -> None:
    assert (hash_of(labels.USID, *first) == hash_of(labels.USID, *second)) == (first == second)


@given(st.binary(max_size=12), st.integers(0, 12), st.integers(0, 12))
def test_moving_a_boundary_changes_the_hash(data: bytes, first: int, second: int) -> None:
    cuts = [(data[:at], data[at:]) for at in (first, second)]
    assert (hash_of(labels.USID, *cuts[0]) == hash_of(labels.USID, *cuts[1])) == (cuts[0] == cuts[1])


def test_an_absent_part_is_not_the_same_as_an_empty_one() -> None:
    assert len({hash_of(labels.USID), hash_of(labels.USID, b""), hash_of(labels.USID, b"", b"")}) == 3


def test_labels_separate() -> None:
    assert len({hash_of(value, b"same") for value in TABLE.values()}) == len(TABLE)
