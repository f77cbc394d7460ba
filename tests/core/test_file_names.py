"""Names: none leads out of its folder, none misleads who sees it, and no two land in one place."""

import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from halonyx.core.errors import Malformed
from halonyx.core.file_names import (
    MAX_COMPONENT_SIZE,
    MAX_FOLDERS,
    MAX_PATH_SIZE,
    check_component,
    check_distinct,
    check_folders,
    check_path,
    folded,
    safe_name,
    safe_paths,
)

# Texts made of what names go wrong with.
ODD = st.text(
    st.one_of(
        st.sampled_from(
            'a.b .-~_/\\:*?"<>|\t\r\n\x00\x7f\x9b\u202e\u2066\u200b\u200d\u00a0\u3000\ufeffß\u0301\u0308\u017fİ\u0131'
        ),
        st.characters(),
    ),
    max_size=40,
)
DEVICES = ["con", "PRN", "Aux", "nul", "COM0", "lpt9", "com\u00b9", "CLOCK$", "conin$", "CONOUT$"]


@pytest.mark.parametrize("name", ["a", "a.txt", ".hidden", "-", "ä" * 127, "x" * 255, "a b", "\u202e", "con", "…"])
def test_what_a_file_system_takes_may_be_sent(name: str) -> None:
    assert check_component(name) == name
    assert check_path(f"b/{name}") == f"b/{name}"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/", "a\\b", "x" * 256, "ä" * 128, "\ud800", "a\udfff"])
def test_what_none_takes_is_refused(name: str) -> None:
    with pytest.raises(Malformed):
        check_component(name)


@pytest.mark.parametrize("code", [*range(0x20), *range(0x7F, 0xA0)])
def test_control_characters_are_refused(code: int) -> None:
    assert unicodedata.category(chr(code)) == "Cc"
    with pytest.raises(Malformed):
        check_component(f"a{chr(code)}b")


def test_a_path_has_its_own_limit_and_every_component_is_checked() -> None:
    longest = "/".join(["d" * 255] * 4) + "/"
    assert check_path(longest[:-1]) == longest[:-1]
    assert len(longest) == MAX_PATH_SIZE
    with pytest.raises(Malformed, match="path"):
        check_path(longest + "d")
    for path in ("a/", "/a", "a//b", "a/./b", "a/../b", "a/b\\c", "a/b\nc"):
        with pytest.raises(Malformed):
            check_path(path)
    with pytest.raises(Malformed):
        check_path("a/\ud800")


@pytest.mark.parametrize(
    "paths",
    [
        ("a", "a"),
        ("a", "A"),
        ("straße", "STRASSE"),
        ("ß", "\u1e9e"),
        ("\u00e4", "a\u0308"),
        ("\u03c3", "\u03c2"),
        ("\ufb01", "FI"),
        ("a", "a/b"),
        ("a", "a b", "a!/c", "A/b"),
        ("a/b", "a/c", "a/b/d"),
    ],
)
def test_two_files_for_one_place_are_refused(paths: tuple[str, ...]) -> None:
    for order in (paths, paths[::-1]):
        with pytest.raises(Malformed):
            check_distinct(order)


@pytest.mark.parametrize("paths", [(), ("a",), ("a", "b"), ("a", "ab"), ("a b", "a/b"), ("a/b", "a/bc", "a!", "b/a")])
def test_files_apart_pass(paths: tuple[str, ...]) -> None:
    check_distinct(paths)


@given(st.lists(st.sampled_from(["a", "A", "b", "a/b", "a/B", "a/b/c", "ab", "a b", "b/a", "a!"]), max_size=5))
def test_distinct_is_what_the_definition_says(paths: list[str]) -> None:
    keys = [folded(path) for path in paths]
    clash = len(set(keys)) < len(keys) or any(one != two and two.startswith(one + "/") for one in keys for two in keys)
    try:
        check_distinct(paths)
    except Malformed:
        assert clash
    else:
        assert not clash


def test_folding_is_at_least_as_coarse_as_case_folding_and_composition() -> None:
    for character in map(chr, range(sys.maxunicode + 1)):
        same = {character.casefold(), unicodedata.normalize("NFD", character)} - {character}
        if same:
            assert {folded(folded(character)), *map(folded, same)} == {folded(character)}


@given(ODD)
@example("../../etc/passwd")
@example("a\u200b\u0308" + "ä" * 200 + ".txt")
@example("." + "\u0301" * 200)
@example("NUL. " + ". " * 200 + "x")
def test_a_safe_name_is_safe_and_stays_as_it_is(name: str) -> None:
    safe = safe_name(name)
    assert check_component(safe) == safe
    assert safe_name(safe) == safe
    assert unicodedata.is_normalized("NFC", safe)
    assert safe[0] not in ".-~ "
    assert safe[-1] not in ". "
    assert not set(safe) & set('/\\:*?"<>|')
    assert "  " not in safe


def test_of_what_is_not_seen_only_what_scripts_need_stays() -> None:
    stays = {0x200C, 0x200D, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)}
    for code in range(sys.maxunicode + 1):
        category = unicodedata.category(chr(code))
        if category in ("Cc", "Zl", "Zp", "Cs"):
            assert chr(code) not in safe_name(f"a{chr(code)}b")
        elif category == "Zs":
            assert safe_name(f"a{chr(code)}b") == "a b"
        # Cf marks with a shape of their own: Arabic, Syriac, Kaithi and Egyptian ones stand over or around others.
        elif category == "Cf" and unicodedata.bidirectional(chr(code)) not in ("AN", "L", "AL"):
            assert (chr(code) in safe_name(f"a{chr(code)}b")) == (code in stays), hex(code)


@pytest.mark.parametrize("device", DEVICES)
def test_a_device_is_no_name(device: str) -> None:
    for name in (device, device.upper(), f"{device}.txt", f"{device} .txt", f" {device}", f"{device}."):
        assert safe_name(name).startswith("_")
    assert safe_name(f"{device}x.txt") == f"{device}x.txt"


@given(
    st.text("aä👋. ", min_size=200, max_size=400),
    st.sampled_from(["", ".txt", ".tar.gz", "." + "e" * 15, "." + "e" * 16]),
)
def test_a_long_name_is_cut_before_its_extension(stem: str, extension: str) -> None:
    name = "n" + stem + "n" + extension
    safe = safe_name(name)
    assert len(safe.encode()) <= MAX_COMPONENT_SIZE
    if 1 < len(extension) <= 16:
        assert safe.endswith(extension[extension.rindex(".") :])


# As a manifest lists them: without empty components.
@given(st.lists(ODD.map(lambda name: "n" + name.replace("/", "")), min_size=1, max_size=8), st.integers(1, 3))
def test_every_path_gets_a_place_of_its_own(names: list[str], depth: int) -> None:
    paths = ["/".join(names[at : at + depth]) for at in range(len(names))]
    saved = safe_paths(paths)
    assert len(saved) == len(paths)
    by_path = dict(zip(paths, saved, strict=True))
    assert len({folded(path) for path in by_path.values()}) == len(by_path)
    for path in saved:
        for component in path.split("/"):
            assert check_component(component) == component


def test_paths_that_need_no_change_get_none() -> None:
    paths = ["a/b.txt", "a/c", "d", "e/f/g"]
    assert safe_paths(paths) == paths


def test_folders_that_become_one_stay_two() -> None:
    assert safe_paths(["con/x", "_con/x", "con/y", "CON/x"]) == ["_con/x", "_con (2)/x", "_con/y", "_CON (3)/x"]
    assert safe_paths(["a\u200b", "a/b"]) == ["a", "a (2)/b"]


def test_two_thousand_names_that_become_one_are_no_long_search() -> None:
    saved = safe_paths("x" + "\u200b" * number for number in range(2_000))
    assert saved[:3] == ["x", "x (2)", "x (3)"]
    assert saved[-1] == "x (2000)"


def test_paths_need_so_many_folders_together() -> None:
    shared = "s/" * 500
    most = [f"{at}/{shared}f" for at in range(MAX_FOLDERS // 501)]
    most += [f"t{at}/f" for at in range(MAX_FOLDERS % 501)]
    check_folders([*most, *(f"{path} of the same folder" for path in most), "f"])
    with pytest.raises(Malformed):
        check_folders([*most, "one/more"])
    with pytest.raises(Malformed):
        check_folders(f"{at}/{shared}f" for at in range(10_000))
