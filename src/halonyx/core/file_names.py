"""Names of files: which ones may be sent, and what they become on the disk of whoever saves them.

A parser refuses what no honest program sends. Saving changes the rest, because a name that is right where it was
written can mislead a person or a file system elsewhere.

Source: spec/files.md, "Names" and "Saved names".
"""

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Final
from unicodedata import normalize

from halonyx.core.errors import Malformed

MAX_PATH_SIZE: Final = 1024  # bytes of UTF-8
MAX_COMPONENT_SIZE: Final = 255  # bytes of UTF-8; what file systems take
MAX_FOLDERS: Final = 10_000  # of all paths together
MAX_EXTENSION_SIZE: Final = 16  # bytes kept when a name is cut, the dot included
NAMELESS: Final = "file"

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Characters without a shape of their own (Unicode's Default_Ignorable_Code_Point, and the annotation marks): they turn
# the direction of what follows or make two names look alike. Joiners and variation selectors stay, because Persian,
# Indic scripts and emoji are written with them.
_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]"
)
# White_Space: fifty spaces push the true extension out of sight, and a line break ends the name in a list.
_SPACE: Final = re.compile("[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")
_RESERVED_CHARACTER: Final = re.compile(r'[/\\:*?"<>|]')  # of Windows; a colon names a stream there
_RESERVED_NAME: Final = re.compile(
    r"(?:CON|PRN|AUX|NUL|CLOCK\$|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9¹²³]) *(?:\.|$)", re.ASCII | re.IGNORECASE
)
_HEAD: Final = re.compile(r"^[.\-~ ]+")
_TAIL: Final = re.compile(r"[. ]+$")


def check_component(name: str) -> str:
    """Return a name that may stand between the slashes of a path.

    Raises:
        Malformed: Empty, `.` or `..`, over 255 bytes, no Unicode text, or with a slash, backslash or control character.
    """
    if name in ("", ".", "..") or "/" in name or "\\" in name or _CONTROL.search(name):
        raise Malformed("a name that no file may have")
    if size_of(name) > MAX_COMPONENT_SIZE:
        raise Malformed(f"a name of more than {MAX_COMPONENT_SIZE} bytes")
    return name


def check_path(path: str) -> str:
    """Return a path that stays inside the folder it is saved in.

    Raises:
        Malformed: Over 1,024 bytes, or a component that `check_component` refuses: absolute paths have an empty one.
    """
    if size_of(path) > MAX_PATH_SIZE:
        raise Malformed(f"a path of more than {MAX_PATH_SIZE} bytes")
    for component in path.split("/"):
        check_component(component)
    return path


def check_distinct(paths: Iterable[str]) -> None:
    """Refuse paths that some file system takes for one, and a file where another path has a folder.

    Raises:
        Malformed: Two such paths.
    """
    # With the lowest character for a slash, whatever lies inside a folder follows it at once.
    in_order = sorted(folded(path).replace("/", "\x00") for path in paths)
    for before, after in pairwise(in_order):
        if after == before or after.startswith(before + "\x00"):
            raise Malformed("two files that need one place")


def check_folders(paths: Iterable[str]) -> None:
    """Refuse paths that need more folders than an offer has files.

    Ten thousand paths of five hundred components would be five million folders, and gigabytes of memory to place them.

    Raises:
        Malformed: More than 10,000 folders.
    """
    folders: set[str] = set()
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
        if len(folders) > MAX_FOLDERS:
            raise Malformed(f"more than {MAX_FOLDERS} folders")


def folded(path: str) -> str:
    """Return what a file system that ignores case and composition may make of a path.

    At least as coarse as Unicode's case folding, and within the reach of every language's standard library.
    """
    return normalize("NFC", normalize("NFC", path).lower().upper())


def size_of(text: str) -> int:
    """Return the bytes of a text in UTF-8 (Malformed if it has none: half a surrogate pair)."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise Malformed("a name that is not Unicode text") from None


def safe_name(component: str) -> str:
    """Return the name under which to show and to save what a peer calls `component`.

    Unseen characters go, white space becomes single spaces, characters that Windows reserves become `_`. So do dots,
    dashes and tildes in front, which hide a file, make it an option of a command, or name someone's home; dots and
    spaces at the end, which Windows drops, go. A device's name gets a `_` in front. At most 255 bytes remain, cut
    before the extension; of nothing, `file` remains.

    Args:
        component: Any text; no path.

    Returns:
        1 to 255 bytes in UTF-8, which `check_component` takes and this function leaves as they are.
    """
    text = normalize("NFC", _UNSEEN.sub("", component))
    text = _TAIL.sub("", _RESERVED_CHARACTER.sub("_", _SPACE.sub(" ", text)))
    text = _HEAD.sub(lambda head: "_" if head[0].strip(" ") else "", text)
    if _RESERVED_NAME.match(text):
        text = "_" + text
    return _shortened(text, "") or NAMELESS


def safe_paths(paths: Iterable[str]) -> list[str]:
    """Return where to save each path: safe names, and no two in one place.

    Args:
        paths: As a manifest lists them.

    Returns:
        As many paths, in the same order; a name that is taken gets ` (2)` before its extension.
    """
    taken: dict[str, int] = {}
    chosen: dict[str, str] = {}  # what a sent folder or file is called here

    def place(sent: str) -> str:
        if sent not in chosen:
            folder, _, name = sent.rpartition("/")
            chosen[sent] = _free(place(folder) if folder else "", safe_name(name), taken)
        return chosen[sent]

    return [place(path) for path in paths]


def _free(folder: str, name: str, taken: dict[str, int]) -> str:
    """Return a path in a folder that nothing else takes, and take it.

    `taken` holds the last number given to each path, so that ten thousand names that become one are no long search.
    """
    first = path = f"{folder}/{name}" if folder else name
    while folded(path) in taken:
        taken[folded(first)] += 1
        marked = _shortened(name, f" ({taken[folded(first)]})")
        path = f"{folder}/{marked}" if folder else marked
    taken[folded(path)] = 1
    return path


def _shortened(name: str, mark: str) -> str:
    """Return a name with a mark before its extension, cut before the mark so that 255 bytes suffice."""
    stem, dot, extension = name.rpartition(".")
    if not stem or len((dot + extension).encode()) > MAX_EXTENSION_SIZE:
        stem, dot, extension = name, "", ""
    end = (mark + dot + extension).encode()
    room = MAX_COMPONENT_SIZE - len(end)
    kept = stem.encode()[:room].decode(errors="ignore")
    return (kept if kept == stem else _TAIL.sub("", kept)) + end.decode()
