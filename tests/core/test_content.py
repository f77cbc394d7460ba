"""Content: what the ratchet encrypts has one encoding, and what is not understood is refused or ignored by rule."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.people import NOW, make_content, make_person, message_id, seed
from core.strict import bit_flips, raises_only_our_errors, refuses_truncations_and_trailing_bytes
from halonyx.core.content import (
    CRITICAL,
    MAX_BODY_SIZE,
    MAX_COUNTERS,
    MAX_EXTENSION_SIZE,
    MAX_EXTENSIONS,
    MAX_IDS,
    MAX_TEXT_SIZE,
    Content,
    Extension,
    Kind,
    RecordName,
    Resend,
    counter_of,
    encode_ids,
    is_counted,
    parse_ids,
    parse_text,
)
from halonyx.core.errors import Malformed, Misuse, UnsupportedVersion
from halonyx.core.file_offer import FileState, State
from halonyx.core.types import ConversationId, MessageId, Millis, SessionId

ALICE, BOB = make_person("alice"), make_person("bob")
FULL = make_content(ALICE, BOB)
BARE = replace(FULL, reply_to=None, expires_after=None, extensions={})
SESSION = SessionId(seed("session", 8))

# Where the fields of a content without optional fields lie.
FLAGS_AT, ID_AT, COUNTER_AT, SENT_AT, CONVERSATION_AT, NAMES_AT, BODY_AT = 2, 3, 19, 27, 35, 51, 123
EXTENSIONS_AT = BODY_AT + 4 + len(BARE.body)


def with_extensions(*extensions: tuple[int, bytes], count: int | None = None) -> bytes:
    """Return a text message with these extensions written as they are given."""
    data = BARE.encode()[:EXTENSIONS_AT] + bytes([len(extensions) if count is None else count])
    for number, value in extensions:
        data += number.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value
    return data


def of_kind(kind: int, body: bytes) -> bytes:
    data = BARE.encode()
    return data[:1] + bytes([kind]) + data[2:BODY_AT] + len(body).to_bytes(4, "big") + body + b"\x00"


@pytest.mark.parametrize("content", [FULL, BARE], ids=["every field", "no optional field"])
def test_content_reads_back_and_its_parser_is_strict(content: Content) -> None:
    assert Content.parse(content.encode()) == content
    refuses_truncations_and_trailing_bytes(Content.parse, content.encode())


def test_the_layout_is_the_specified_one() -> None:
    names = b"".join(
        name.version.to_bytes(4, "big") + name.hash for name in (FULL.sender_record, FULL.recipient_record)
    )
    fixed = FULL.message_id + (1).to_bytes(8, "big") + NOW.to_bytes(8, "big") + FULL.conversation + names
    reply_to, profile_key = message_id("earlier"), seed("profile alice")
    assert FULL.encode() == (
        b"\x01\x01\x03" + fixed + reply_to + (3600).to_bytes(4, "big") + b"\x00\x00\x00\x05hello"
        b"\x01\x00\x01\x00\x20" + profile_key
    )
    assert BARE.encode() == b"\x01\x01\x00" + fixed + b"\x00\x00\x00\x05hello\x00"


contents = st.builds(
    Content,
    kind=st.just(Kind.TEXT),
    message_id=st.binary(min_size=16, max_size=16).map(MessageId),
    counter=st.integers(0, 2**64 - 1),
    sent=st.integers(0, 2**64 - 1).map(Millis),
    conversation=st.binary(min_size=16, max_size=16).map(ConversationId),
    sender_record=st.builds(RecordName, st.integers(0, 2**32 - 1), st.binary(min_size=32, max_size=32)),
    recipient_record=st.builds(RecordName, st.integers(0, 2**32 - 1), st.binary(min_size=32, max_size=32)),
    body=st.text(min_size=1, max_size=50).map(str.encode),
    reply_to=st.none() | st.binary(min_size=16, max_size=16).filter(any).map(MessageId),
    expires_after=st.none() | st.integers(1, 2**32 - 1),
    extensions=st.dictionaries(st.just(Extension.PROFILE_KEY), st.binary(min_size=32, max_size=32)),
)


@given(contents)
def test_any_content_round_trips(content: Content) -> None:
    assert Content.parse(content.encode()) == content


@given(st.binary(max_size=200) | st.binary(max_size=40).map(lambda tail: BARE.encode()[:BODY_AT] + tail))
def test_what_parses_encodes_back(data: bytes) -> None:
    parsed = raises_only_our_errors(Content.parse, data)
    assert parsed is None or (isinstance(parsed, Content) and parsed.encode() == data)


def test_a_flipped_bit_gives_another_content_or_is_refused() -> None:
    for flipped in bit_flips(FULL.encode()):
        parsed = raises_only_our_errors(Content.parse, flipped)
        if isinstance(parsed, Content):
            assert parsed != FULL
            assert parsed.encode() == flipped or parsed.extensions == {}  # an extension turned into an unknown one


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version_is_unsupported(version: int) -> None:
    with pytest.raises(UnsupportedVersion, match="version"):
        Content.parse(bytes([version]) + BARE.encode()[1:])


@pytest.mark.parametrize("kind", [0, *range(Kind.REACTION, Kind.CALL + 1), 12, 255])
def test_a_reserved_or_unknown_kind_is_unsupported(kind: int) -> None:
    with pytest.raises(UnsupportedVersion, match="kind"):
        Content.parse(of_kind(kind, b"hello"))


@pytest.mark.parametrize("flags", [0x04, 0x10, 0x80, 0xFF])
def test_an_unknown_flag_is_malformed(flags: int) -> None:
    data = BARE.encode()
    with pytest.raises(Malformed, match="flag"):
        Content.parse(data[:FLAGS_AT] + bytes([flags]) + data[ID_AT:])


def test_a_flagged_field_that_is_zero_is_malformed() -> None:
    data = BARE.encode()
    for flag, field in ((1, bytes(16)), (2, bytes(4)), (3, bytes(16) + b"\x01" * 4), (3, b"\x01" * 16 + bytes(4))):
        with pytest.raises(Malformed, match="zero"):
            Content.parse(data[:FLAGS_AT] + bytes([flag]) + data[ID_AT:BODY_AT] + field + data[BODY_AT:])


def test_a_body_over_its_cap_is_refused_on_both_sides() -> None:
    with pytest.raises(Malformed, match="outside"):
        Content.parse(of_kind(Kind.TEXT, bytes(MAX_BODY_SIZE + 1)))
    with pytest.raises(Malformed, match="outside"):
        Content.parse(BARE.encode()[:BODY_AT] + b"\xff\xff\xff\xff")
    with pytest.raises(Misuse):
        replace(BARE, body=bytes(MAX_BODY_SIZE + 1)).encode()


@pytest.mark.parametrize(
    "content",
    [
        replace(BARE, message_id=MessageId(b"short")),
        replace(BARE, conversation=ConversationId(bytes(17))),
        replace(BARE, counter=-1),
        replace(BARE, counter=2**64),
        replace(BARE, sender_record=RecordName(2**32, bytes(32))),
        replace(BARE, recipient_record=RecordName(1, bytes(31))),
        replace(BARE, reply_to=MessageId(bytes(15))),
        replace(BARE, expires_after=2**32),
        replace(BARE, extensions={Extension.PROFILE_KEY: bytes(MAX_EXTENSION_SIZE + 1)}),
    ],
)
def test_a_field_out_of_its_range_is_misuse(content: Content) -> None:
    with pytest.raises(Misuse):
        content.encode()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (Kind.TEXT, b"x"),
        (Kind.TEXT, b"x" * MAX_TEXT_SIZE),
        (Kind.TEXT, "grüße, 你好 👋".encode()),
        (Kind.RECEIPT, encode_ids((message_id("a"),))),
        (Kind.CONTROL, b""),
        (Kind.RESEND, Resend(SESSION, (1, 2)).encode()),
        (Kind.FILE_STATE, FileState(message_id("offer"), State.DONE).encode()),
    ],
)
def test_each_kind_takes_its_body(kind: Kind, body: bytes) -> None:
    content = Content.parse(of_kind(kind, body))
    assert (content.kind, content.body) == (kind, body)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (Kind.TEXT, b""),
        (Kind.TEXT, b"x" * (MAX_TEXT_SIZE + 1)),
        (Kind.TEXT, b"\xff"),
        (Kind.TEXT, b"\xed\xa0\x80"),
        (Kind.TEXT, b"\xc0\x80"),
        (Kind.RECEIPT, b""),
        (Kind.RECEIPT, bytes(15)),
        (Kind.RECEIPT, bytes(17)),
        (Kind.RECEIPT, bytes(16 * (MAX_IDS + 1))),
        (Kind.CONTROL, b"x"),
        (Kind.RESEND, b""),
        (Kind.FILE, b"\x01x"),
        (Kind.FILE_STATE, bytes(18)),
    ],
)
def test_a_body_that_its_kind_forbids_is_malformed(kind: Kind, body: bytes) -> None:
    with pytest.raises(Malformed):
        Content.parse(of_kind(kind, body))


def test_the_counter_stands_before_all_that_a_kind_changes() -> None:
    data = of_kind(255, b"hello")
    assert counter_of(data) == BARE.counter
    with pytest.raises(Malformed):
        counter_of(data[: COUNTER_AT + 7])
    with pytest.raises(UnsupportedVersion):
        counter_of(b"\x02" + data[1:])


def test_texts_and_files_have_a_counter_and_nothing_else_has() -> None:
    assert [kind for kind in Kind if is_counted(kind)] == [Kind.TEXT, Kind.FILE]


def test_receipts_name_1_to_64_messages() -> None:
    for count in (1, 2, MAX_IDS):
        ids = tuple(message_id(str(number)) for number in range(count))
        assert parse_ids(encode_ids(ids)) == ids
    for count in (0, MAX_IDS + 1):
        with pytest.raises(Misuse):
            encode_ids((message_id("a"),) * count)


@given(st.binary(max_size=60))
def test_texts_are_utf_8(body: bytes) -> None:
    parsed = raises_only_our_errors(parse_text, body)
    assert parsed is None or (isinstance(parsed, str) and parsed.encode() == body)


@given(st.none() | st.binary(min_size=8, max_size=8).map(SessionId), st.sets(st.integers(0, 2**64 - 1), max_size=20))
def test_resend_requests_round_trip(resets: SessionId | None, counters: set[int]) -> None:
    resend = Resend(resets, tuple(sorted(counters)))
    assert Resend.parse(resend.encode()) == resend


@given(st.binary(max_size=40) | st.binary(max_size=20).map(lambda tail: b"\x01" + SESSION + tail))
def test_a_resend_request_that_parses_encodes_back(data: bytes) -> None:
    parsed = raises_only_our_errors(Resend.parse, data)
    assert parsed is None or (isinstance(parsed, Resend) and parsed.encode() == data)


@pytest.mark.parametrize("resend", [Resend(SESSION, (3, 5)), Resend(None, (1,)), Resend(None, ()), Resend(SESSION, ())])
def test_the_resend_parser_is_strict(resend: Resend) -> None:
    refuses_truncations_and_trailing_bytes(Resend.parse, resend.encode())


def test_the_resend_layout_is_the_specified_one() -> None:
    counters = (3).to_bytes(8, "big") + (5).to_bytes(8, "big")
    assert Resend(SESSION, (3, 5)).encode() == b"\x01" + SESSION + b"\x00\x02" + counters
    assert Resend(None, ()).encode() == bytes(11)


@pytest.mark.parametrize("counters", [(2, 1), (1, 1)])
def test_resend_counters_ascend(counters: tuple[int, ...]) -> None:
    with pytest.raises(Malformed, match="ascend"):
        Resend.parse(Resend(None, counters).encode())


def test_a_resend_request_is_bounded_and_contradicts_no_flag() -> None:
    most = Resend(None, tuple(range(MAX_COUNTERS)))
    assert Resend.parse(most.encode()) == most
    with pytest.raises(Malformed, match="count"):
        Resend.parse(Resend(None, tuple(range(MAX_COUNTERS + 1))).encode())
    with pytest.raises(Malformed, match="without its flag"):
        Resend.parse(b"\x00" + SESSION + bytes(2))
    with pytest.raises(Malformed, match="flag"):
        Resend.parse(b"\x02" + SESSION + bytes(2))


def test_an_unknown_extension_is_dropped_unless_critical() -> None:
    profile_key = (Extension.PROFILE_KEY, seed("profile"))
    parsed = Content.parse(with_extensions(profile_key, (2, b"later"), (CRITICAL - 1, b"")))
    assert parsed.extensions == {Extension.PROFILE_KEY: seed("profile")}
    for number in (CRITICAL, CRITICAL | Extension.PROFILE_KEY, 0xFFFF):
        with pytest.raises(UnsupportedVersion, match="critical"):
            Content.parse(with_extensions(profile_key, (number, b"")))


def test_extensions_ascend() -> None:
    for numbers in ((1, 1), (2, 1), (0, 0)):
        with pytest.raises(Malformed, match="ascend"):
            Content.parse(with_extensions(*((number, bytes(32)) for number in numbers)))
    assert Content.parse(with_extensions((0, b""))).extensions == {}


def test_extensions_are_bounded() -> None:
    most = [(number + 100, b"") for number in range(MAX_EXTENSIONS + 1)]
    assert Content.parse(with_extensions(*most[:-1])).extensions == {}
    with pytest.raises(Malformed, match="count"):
        Content.parse(with_extensions(*most))
    assert Content.parse(with_extensions((100, bytes(MAX_EXTENSION_SIZE)))).extensions == {}
    with pytest.raises(Malformed, match="outside"):
        Content.parse(with_extensions((100, bytes(MAX_EXTENSION_SIZE + 1))))
    with pytest.raises(Malformed):
        Content.parse(with_extensions((100, b""), count=2))


@pytest.mark.parametrize("size_bytes", [0, 31, 33])
def test_a_profile_key_is_32_bytes(size_bytes: int) -> None:
    with pytest.raises(Malformed, match="32"):
        Content.parse(with_extensions((Extension.PROFILE_KEY, bytes(size_bytes))))
