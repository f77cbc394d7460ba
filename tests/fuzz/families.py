"""All decoders, in families that read bytes of one kind: each is given whatever is tried on the others."""

from typing import Any, Final

from fuzz.core_decoders import CONTENTS, FILES, IDENTITY, SESSIONS
from fuzz.decoder import Decoder
from fuzz.planted import PLANTED
from fuzz.wire_decoders import BODIES, FRAMES, HEADERS

FAMILIES: Final[dict[str, tuple[Decoder[Any], ...]]] = {
    "identity": IDENTITY,
    "sessions": SESSIONS,
    "contents": CONTENTS,
    "files": FILES,
    "frames": FRAMES,
    "headers": HEADERS,
    "bodies": BODIES,
}


def chosen(name: str) -> tuple[Decoder[Any], ...]:
    """Return the decoders of a family, or the one of this name."""
    everything = {decoder.name: (decoder,) for decoders in (*FAMILIES.values(), PLANTED) for decoder in decoders}
    return FAMILIES.get(name) or everything[name]
