"""Contact cards: one way to write each, and a typing error is noticed."""

import base64
import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.people import ORIGIN, make_person, seed
from core.strict import raises_only_our_errors, refuses_truncations_and_trailing_bytes
from halonyx.core.card import MAX_CARD_LENGTH, Card
from halonyx.core.errors import Malformed, Misuse, UnsupportedVersion
from halonyx.core.types import Usid

CARD = Card(ORIGIN, make_person("alice").usid, 1_780_000_000)
LONGEST = Card("https://" + "a" * 240 + ".b:8443", CARD.usid, 2**32 - 1)
BODY = b"\x01\x31" + (1_780_000_000).to_bytes(4, "big") + CARD.usid + bytes([len(ORIGIN)]) + ORIGIN.encode()
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def text_of(body: bytes) -> str:
    """Write any bytes as a card whose checksum fits, so that a test meets the check it means."""
    label = b"halonyx/1 card checksum"
    digest = hashlib.sha256(bytes([len(label)]) + label + len(body).to_bytes(4, "big") + body).digest()
    return base64.urlsafe_b64encode(body + digest[:4]).decode().rstrip("=")


def parse_body(body: bytes) -> Card:
    return Card.parse("halonyx:" + text_of(body))


@pytest.mark.parametrize("card", [CARD, LONGEST, Card("http://localhost:3000", CARD.usid, 0)])
def test_both_forms_read_back(card: Card) -> None:
    assert Card.parse(card.uri()) == card
    assert Card.parse(card.link()) == card
    assert len(card.link()) <= MAX_CARD_LENGTH


def test_the_two_forms_are_the_specified_ones() -> None:
    assert CARD.uri() == "halonyx:" + text_of(BODY)
    assert CARD.link() == ORIGIN + "/#add=" + text_of(BODY)


def test_white_space_around_a_card_is_ignored_and_inside_it_is_not() -> None:
    assert Card.parse(f" \n{CARD.uri()}\t\r\n") == CARD
    with pytest.raises(Malformed, match="character"):
        Card.parse(CARD.uri()[:20] + " " + CARD.uri()[20:])


@given(
    st.sampled_from([ORIGIN, "http://127.0.0.1:3000", "https://[::1]"]),
    st.binary(min_size=32, max_size=32),
    st.integers(0, 2**32 - 1),
)
def test_any_card_round_trips(origin: str, usid: bytes, record_version: int) -> None:
    card = Card(origin, Usid(usid), record_version)
    assert Card.parse(card.uri()) == card
    assert Card.parse(card.link()) == card


def test_every_truncation_and_every_character_added_is_refused() -> None:
    for text in (CARD.uri(), CARD.link()):
        for length in range(len(text)):
            with pytest.raises(Malformed):
                Card.parse(text[:length])
        for character in ALPHABET + "=":
            with pytest.raises(Malformed):
                Card.parse(text + character)


def test_every_wrong_character_is_noticed() -> None:
    text = CARD.uri()
    for at in range(len("halonyx:"), len(text)):
        wrong = ALPHABET[(ALPHABET.index(text[at]) + 1) % 64]
        with pytest.raises(Malformed):
            Card.parse(text[:at] + wrong + text[at + 1 :])


def test_the_body_parser_is_strict() -> None:
    refuses_truncations_and_trailing_bytes(parse_body, BODY)
    with pytest.raises(Malformed, match="trailing"):
        parse_body(BODY + b"\x00")


def test_a_newer_card_is_unsupported_and_another_type_malformed() -> None:
    with pytest.raises(UnsupportedVersion):
        parse_body(b"\x02" + BODY[1:])
    with pytest.raises(Malformed):
        parse_body(b"\x01\x30" + BODY[2:])


@pytest.mark.parametrize(
    "origin",
    [b"", b"http://relay.example", b"https://relay.example:443", b"https://Relay.example", b"https://r\xc3\xa4.b"],
)
def test_a_card_with_an_origin_that_is_none_is_malformed(origin: bytes) -> None:
    with pytest.raises(Malformed):
        parse_body(BODY[:38] + bytes([len(origin)]) + origin)


def test_there_is_one_way_to_write_a_card() -> None:
    # The last character of an encoding may hold unused bits: a decoder that ignores them takes several spellings.
    card = Card("https://aa", CARD.usid, 1)
    assert len(text_of(BODY[:39] + b"https://aa")) % 4
    last = ALPHABET.index(card.uri()[-1])
    respelled = card.uri()[:-1] + ALPHABET[last + 1]
    assert base64.urlsafe_b64decode(respelled[8:] + "==") == base64.urlsafe_b64decode(card.uri()[8:] + "==")
    with pytest.raises(Malformed, match="character"):
        Card.parse(respelled)


def test_padding_and_the_other_base64_alphabet_are_refused() -> None:
    usid = Usid(b"\xfb\xff\xbf" * 10 + b"\xff\xff")
    text = Card(ORIGIN, usid, 1).uri()
    assert "-" in text or "_" in text
    for wrong in (text.replace("-", "+").replace("_", "/"), text + "=", text + "=="):
        with pytest.raises(Malformed, match="character"):
            Card.parse(wrong)


def test_a_link_that_names_another_relay_than_its_card_is_malformed() -> None:
    with pytest.raises(Malformed, match="different relays"):
        Card.parse(CARD.link().replace(ORIGIN, "https://evil.example"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "halonyx:",
        "halonyx",
        "HALONYX:" + CARD.uri()[8:],
        ORIGIN,
        ORIGIN + "/#add=",
        "https://a/#add=é",
        "halonyx:A",
    ],
)
def test_what_is_no_card_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        Card.parse(text)


def test_a_text_too_long_for_a_card_is_refused_at_once() -> None:
    with pytest.raises(Malformed, match="too long"):
        Card.parse("halonyx:" + "A" * MAX_CARD_LENGTH)


@given(st.text(max_size=60) | st.text(ALPHABET, max_size=60).map("halonyx:".__add__))
def test_random_text_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        Card.parse(text)


@given(st.binary(max_size=80))
def test_random_bodies_raise_only_our_errors(body: bytes) -> None:
    card = raises_only_our_errors(parse_body, body)
    assert card is None or (isinstance(card, Card) and card.uri() == "halonyx:" + text_of(body))


def test_a_card_that_cannot_be_written() -> None:
    with pytest.raises(Malformed):
        replace(CARD, origin="relay.example").uri()
    with pytest.raises(Misuse):
        replace(CARD, record_version=2**32).uri()
    with pytest.raises(Misuse):
        replace(CARD, usid=Usid(seed("short", 31))).link()
