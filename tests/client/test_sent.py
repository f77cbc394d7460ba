"""All that two clients send to their relay in a life: paths, headers, bodies and frames, looked through."""

from client.front import Front
from client.homes import Pair, settle
from halonyx.core.recovery import parse_recovery_code
from relay.thief import found

TEXT = "a word that nobody else may read"
NAME = "a name that Alice alone gave"


async def test_neither_a_usid_nor_a_word_nor_a_name_is_sent(front: Front, fronted: Pair) -> None:
    fronted.alice.contacts.rename("bob", NAME)
    await fronted.alice.send(NAME, TEXT)
    await settle(fronted.bob, fronted.alice)
    await fronted.bob.send("alice", TEXT)
    await settle(fronted.alice, fronted.bob)
    secrets: dict[str, list[bytes]] = {
        "USID": [fronted.alice.account.usid, fronted.bob.account.usid],
        "recovery code": [parse_recovery_code(home.code) for home in fronted.homes],
        "text": [TEXT.encode()],
        "name": [NAME.encode()],
    }

    assert len(front.sent) > 4 * 1024  # two envelopes and two receipts at least
    assert found(bytes(front.sent), secrets) == set()
    assert found(bytes(front.sent) + secrets["USID"][1].hex().encode(), secrets) == {"USID"}
