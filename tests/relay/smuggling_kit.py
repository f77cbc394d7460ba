"""Requests whose end two programs may see in different places, each with another request hidden behind it.

Source: RFC 9112 sections 5.1, 5.2, 6.1, 6.3, 7.1 and 11.2; RFC 9113 section 3.1.
"""

from collections.abc import Callable
from typing import Final

PATH: Final = "/v1/lookup"
JSON: Final = b"Content-Type: application/json\r\n"
LAST: Final = b"0\r\n\r\n"
UPGRADE: Final = (
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: halonyx.1\r\n"
)

Build = Callable[[bytes, bytes], bytes]
"""Makes the bytes of a case from the Host and User-Agent lines and from the hidden request."""


def _post(framing: bytes, body: Callable[[bytes], bytes], version: bytes = b"1.1") -> Build:
    """Return a call with `framing` in its head; `LENGTH` in it is the length of the body."""

    def build(lines: bytes, hidden: bytes) -> bytes:
        made = body(hidden)
        head = framing.replace(b"LENGTH", str(len(made)).encode())
        return b"POST " + PATH.encode() + b" HTTP/" + version + b"\r\n" + lines + JSON + head + b"\r\n" + made

    return build


def _get(target: bytes, framing: bytes, behind: Callable[[bytes], bytes], method: bytes = b"GET") -> Build:
    def build(lines: bytes, hidden: bytes) -> bytes:
        made = behind(hidden)
        head = framing.replace(b"LENGTH", str(len(made)).encode())
        return method + b" " + target + b" HTTP/1.1\r\n" + lines + head + b"\r\n" + made

    return build


def _plain(hidden: bytes) -> bytes:
    return hidden


def _ended(hidden: bytes) -> bytes:
    """Behind the last chunk."""
    return LAST + hidden


def _chunk(hidden: bytes) -> bytes:
    """Within a chunk."""
    return f"{len(hidden):x}\r\n".encode() + hidden + b"\r\n" + LAST


def _short(hidden: bytes) -> bytes:
    """Behind two bytes."""
    return b"{}" + hidden


def _chunked(coding: bytes) -> Build:
    """A length that covers everything, and something that may or may not be read as chunked."""
    return _post(coding + b"\r\nContent-Length: LENGTH\r\n", _ended)


def _lengths(first: bytes, second: bytes) -> Build:
    return _post(b"Content-Length: " + first + b"\r\nContent-Length: " + second + b"\r\n", _short)


def _sized(size: bytes) -> Build:
    """A chunk whose size is written in a way of its own; the one reading ends before the hidden request."""
    return _post(b"Transfer-Encoding: chunked\r\n", lambda hidden: size + b"{}\r\n" + LAST + hidden)


CASES: Final[dict[str, Build]] = {
    # Two framings
    "CL.TE": _post(b"Content-Length: LENGTH\r\nTransfer-Encoding: chunked\r\n", _ended),
    "TE.CL": _post(b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", _chunk),
    "CL.0": _post(b"Content-Length: LENGTH\r\n", _plain),
    "CL before and behind TE": _post(
        b"Content-Length: LENGTH\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n", _ended
    ),
    # Transfer-Encoding, spelled so that one of two may overlook it
    "TE twice": _chunked(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"),
    "TE list": _chunked(b"Transfer-Encoding: chunked, identity"),
    "TE list the other way": _chunked(b"Transfer-Encoding: identity, chunked"),
    "TE gzip, chunked": _chunked(b"Transfer-Encoding: gzip, chunked"),
    "TE xchunked": _chunked(b"Transfer-Encoding: xchunked"),
    "TE chunkedx": _chunked(b"Transfer-Encoding: chunkedx"),
    "TE quoted": _chunked(b'Transfer-Encoding: "chunked"'),
    "TE upper case": _chunked(b"TRANSFER-ENCODING: CHUNKED"),
    "TE space before the colon": _chunked(b"Transfer-Encoding : chunked"),
    "TE tab before the value": _chunked(b"Transfer-Encoding:\tchunked"),
    "TE vertical tab": _chunked(b"Transfer-Encoding:\x0bchunked"),
    "TE form feed behind": _chunked(b"Transfer-Encoding: chunked\x0c"),
    "TE NUL behind": _chunked(b"Transfer-Encoding: chunked\x00"),
    "TE no-break space": _chunked(b"Transfer-Encoding:\xa0chunked"),
    "TE underscore": _chunked(b"Transfer_Encoding: chunked"),
    "TE space in front": _chunked(b" Transfer-Encoding: chunked"),
    "TE empty, then chunked": _chunked(b"Transfer-Encoding:\r\nTransfer-Encoding: chunked"),
    "TE parameter": _chunked(b"Transfer-Encoding: chunked;q=1"),
    "TE behind a bare LF": _chunked(b"X-A: a\nTransfer-Encoding: chunked"),
    "TE behind a bare CR": _chunked(b"X-A: a\rTransfer-Encoding: chunked"),
    "TE named by Connection": _chunked(b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked"),
    # Lengths
    "CL twice": _lengths(b"2", b"LENGTH"),
    "CL twice the other way": _lengths(b"LENGTH", b"2"),
    "CL twice the same": _lengths(b"LENGTH", b"LENGTH"),
    "CL list": _post(b"Content-Length: LENGTH, LENGTH\r\n", _short),
    "CL list of two": _post(b"Content-Length: 2, LENGTH\r\n", _short),
    "CL plus": _post(b"Content-Length: +LENGTH\r\n", _short),
    "CL minus": _post(b"Content-Length: -2\r\n", _short),
    "CL hex": _post(b"Content-Length: 0xLENGTH\r\n", _short),
    "CL underscore": _post(b"Content-Length: 0_LENGTH\r\n", _short),
    "CL spaced": _post(b"Content-Length: LENGTH 2\r\n", _short),
    "CL fraction": _post(b"Content-Length: LENGTH.0\r\n", _short),
    "CL over 64 bits": _post(b"Content-Length: 18446744073709551618\r\n", _short),
    "CL space before the colon": _post(b"Content-Length : 2\r\nContent-Length: LENGTH\r\n", _short),
    "CL empty": _post(b"Content-Length: \r\nContent-Length: LENGTH\r\n", _short),
    # Lines
    "obs-fold CL": _post(b"X-A: a\r\n Content-Length: 2\r\nContent-Length: LENGTH\r\n", _short),
    "obs-fold value": _post(b"Content-Length:\r\n LENGTH\r\n", _short),
    "obs-fold TE": _chunked(b"Transfer-Encoding:\r\n chunked"),
    "bare LF everywhere": lambda lines, hidden: _post(b"Content-Length: LENGTH\r\n", _plain)(lines, hidden).replace(
        b"\r\n\r\n", b"\n\n", 1
    ),
    "CR CR LF": _post(b"X-A: a\r\r\nContent-Length: LENGTH\r\n", _plain),
    "NUL in a name": _post(b"X\x00A: a\r\nContent-Length: LENGTH\r\n", _plain),
    "no colon": _post(b"X-A\r\nContent-Length: LENGTH\r\n", _plain),
    "empty name": _post(b": a\r\nContent-Length: LENGTH\r\n", _plain),
    # Chunks
    "chunk": _post(b"Transfer-Encoding: chunked\r\n", _chunk),
    "chunk extension": _sized(b"2;a=b\r\n"),
    "chunk extension ended by LF": _sized(b"2;a\n"),
    "chunk extension of lines": _post(
        b"Transfer-Encoding: chunked\r\n", lambda hidden: b"2;" + hidden + b"\r\n{}\r\n" + LAST
    ),
    "chunk size over 64 bits": _sized(b"10000000000000002\r\n"),
    "chunk size hex": _sized(b"0x2\r\n"),
    "chunk size spaced": _sized(b"2 \r\n"),
    "chunk size signed": _sized(b"+2\r\n"),
    "chunk size negative": _sized(b"-2\r\n"),
    "chunk without its end": _post(b"Transfer-Encoding: chunked\r\n", lambda hidden: b"2\r\n{}xx" + LAST + hidden),
    "trailers": _post(
        b"Transfer-Encoding: chunked\r\n", lambda hidden: b"0\r\nContent-Length: 2\r\nHost: a\r\n\r\n" + hidden
    ),
    # Versions
    "HTTP/1.0 keep-alive": _post(b"Connection: keep-alive\r\nContent-Length: LENGTH\r\n", _plain, b"1.0"),
    "HTTP/1.0 chunked": _post(b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n", _chunk, b"1.0"),
    "HTTP/1.0 without a length": _post(b"", _plain, b"1.0"),
    "HTTP/0.9": lambda _, hidden: b"GET /v1/relay\r\n\r\n" + hidden,
    "HTTP/1.2": _post(b"Content-Length: LENGTH\r\n", _plain, b"1.2"),
    "HTTP/2.0": _post(b"Content-Length: LENGTH\r\n", _plain, b"2.0"),
    "line break in the target": _get(b"/v1/relay HTTP/1.1\nX-A:", b"Content-Length: LENGTH\r\n", _plain),
    # Bodies where there are none
    "GET with a body": _get(b"/v1/relay", b"Content-Length: LENGTH\r\n", _plain),
    "GET with chunks": _get(b"/v1/relay", b"Transfer-Encoding: chunked\r\n", _chunk),
    "HEAD with a body": _get(b"/v1/relay", b"Content-Length: LENGTH\r\n", _plain, b"HEAD"),
    "OPTIONS with a body": _get(b"/v1/lookup", b"Content-Length: LENGTH\r\n", _plain, b"OPTIONS"),
    "DELETE with a body": _get(b"/v1/relay", b"Content-Length: LENGTH\r\n", _plain, b"DELETE"),
    "a body that was announced": _post(b"Expect: 100-continue\r\nContent-Length: LENGTH\r\n", _plain),
    # Upgrades: whoever believes in one reads no further
    "upgrade refused": _get(
        b"/v1/send",
        b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + UPGRADE.replace(b": 13", b": 12"),
        _plain,
    ),
    "upgrade of another path": _get(b"/v1/relay", b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + UPGRADE, _plain),
    "upgrade taken": _get(b"/v1/send", b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + UPGRADE, _plain),
    "upgrade with a body": _get(
        b"/v1/send",
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: LENGTH\r\n" + UPGRADE,
        _plain,
    ),
    "upgrade of a POST": _post(
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: LENGTH\r\n" + UPGRADE, _plain
    ),
    "h2c": _get(
        b"/v1/relay",
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
        b"Content-Length: LENGTH\r\n",
        _plain,
    ),
    "h2c and then frames": _get(
        b"/v1/relay",
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
        b"Content-Length: LENGTH\r\n",
        lambda hidden: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + hidden,
    ),
    "HTTP/2 at once": lambda _, hidden: (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00" + hidden
    ),
}
