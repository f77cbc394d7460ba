"""The classic attack, step by step: a relay gives Alice a key of its own as Bob's, to read what she writes to him.

Run by `make demo-mitm`. The relay is the real one with one lie, see demo/lying_relay. Each ✓ was checked just before it
was printed; if one turns out false, the demo says so and ends with status 1.
"""

import http.client
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from demo import (
    ALICE,
    BOB,
    Person,
    Relay,
    claim,
    count_waiting,
    meet,
    play,
    step,
)
from halonyx.core.card import Card
from halonyx.core.directory import Slot, open_object, record_slot
from halonyx.core.errors import BadSignature
from halonyx.core.identity import AccountRecord, Device, address_of, device_fingerprint
from halonyx.core.kdf import request_key
from halonyx.core.prekeys import Prekey, PrekeyUse
from halonyx.core.primitives import MLDSA65_SIGNATURE_SIZE, PublicKey, VerifyKey
from halonyx.core.types import SIGNATURE_SIZE, DeviceId, Millis, PrekeyId
from halonyx.wire.rest import Body
from halonyx.wire.rest_directory import Bundle, BundleRequest, LookupRequest, LookupResponse

WORDS: Final = "The key is under the blue flowerpot."
DEVICE: Final = DeviceId(1)


class LyingRelay(Relay):
    """The real relay, which swaps device keys while the file `lying` is there."""

    def __init__(self, folder: Path) -> None:
        self.cards, self.switch = folder / "cards", folder / "lying"
        lie = ("swap-device-key", "--cards", str(self.cards), "--while", str(self.switch))
        # `env` becomes the program that it starts.
        super().__init__(
            folder, ("env", f"PYTHONPATH={Path(__file__).parent}", sys.executable, "-m", "lying_relay", *lie)
        )

    def ask(self, path: str, question: Body) -> bytes:
        """Ask as anybody with a card does."""
        connection = http.client.HTTPConnection("localhost", self.port)
        try:
            connection.request("POST", path, question.to_json(), {"Content-Type": "application/json"})
            return connection.getresponse().read()
        finally:
            connection.close()


@dataclass(frozen=True)
class Served:
    """What the relay tells whoever asks for Bob.

    Attributes:
        record: Opened, and not yet checked.
        signed_prekey: The same.
    """

    record: bytes
    signed_prekey: Prekey

    @property
    def device(self) -> Device:
        """The one device that the record names: its last bytes before the two signatures of the account."""
        entry = self.record[: -SIGNATURE_SIZE - MLDSA65_SIGNATURE_SIZE][-72:]
        created, identity, signing = Millis(int.from_bytes(entry[:8], "big")), entry[8:40], entry[40:]
        return Device(DEVICE, created, PublicKey(identity), VerifyKey(signing))


def served(relay: LyingRelay, card: Card) -> Served:
    address, key = address_of(card.usid), request_key(card.usid)
    found = LookupResponse.model_validate_json(relay.ask("/v1/lookup", LookupRequest(address=address, key=key)))
    question = BundleRequest(address=address, key=key, device=DEVICE, fetch_id=bytes(16))
    stored = Bundle.model_validate_json(relay.ask("/v1/bundle", question)).signed_prekey
    slot = Slot(address, PrekeyUse.SIGNED, DEVICE, PrekeyId(stored.id))
    prekey = Prekey.parse(open_object(card.usid, slot, stored.blob))
    return Served(open_object(card.usid, record_slot(address), found.record), prekey)


def is_signed(record: bytes) -> bool:
    try:
        AccountRecord.parse(record)
    except BadSignature:
        return False
    return True


def swap(relay: LyingRelay, bob: Person) -> None:
    step(
        4,
        "The relay begins to lie",
        "What a relay keeps for Bob's contacts is sealed: it can't even see Bob's keys. So Mallory, who has Bob's "
        "card, gives it to the relay. From now on the relay opens Bob's record, puts a device key of its own in the "
        "place of Bob's, makes prekeys to go with it, and seals everything as it was.",
    )
    uri = bob.run("card")[0]["card"]
    card = Card.parse(uri)
    true = served(relay, card)
    relay.cards.write_text(uri)
    relay.switch.touch()
    false = served(relay, card)
    print(f"      Bob's device key          {true.device.identity_key.raw.hex()}")
    print(f"      what the relay serves now {false.device.identity_key.raw.hex()}")
    claim("The relay serves a key that is not Bob's.", holds=true.device != false.device)
    fingerprint = device_fingerprint(address_of(card.usid), false.device)
    false.signed_prekey.verify(false.device.signing_key, fingerprint)  # raises
    claim("The prekeys are in order: they are signed by the device in the record.", holds=True)
    claim(
        "One thing it can't make: the account's two signatures over the record. The card names the keys that make "
        "them, and they come out of Bob's recovery code alone.",
        holds=is_signed(true.record) and not is_signed(false.record),
    )


def write(alice: Person, relay: LyingRelay) -> None:
    step(
        5,
        "Alice writes to Bob",
        "Her program fetches Bob's record, as before every first message, and checks it against the card.",
    )
    sent = alice.run("send", BOB, WORDS)[0]
    claim(f"Her message is {sent['state']}: it stays on her machine.", holds=sent["state"] == "waiting")
    (told,) = [event for event in alice.run("receive") if event.get("kind") == "stale"]
    print(f"      Alice is told: the relay serves keys for {told['from']} that don't fit ({told['code']}).")
    claim(
        "She is warned by name, before anything was sent.", holds=(told["from"], told["code"]) == (BOB, "bad-signature")
    )
    frozen = alice.run("contact", "show", BOB)[0]["frozen"]
    claim("Sending to Bob is stopped until she decides.", holds=frozen == "bad-signature")
    claim("The relay has got nothing from her, not even something encrypted.", holds=count_waiting(relay) == 0)


def go_on(alice: Person, bob: Person, relay: LyingRelay) -> None:
    step(
        6,
        "The relay gives up",
        "It can go on refusing to serve Bob's keys, or be honest: more than that it can't do. Alice has her program "
        "ask again, and the two compare their safety number by phone.",
    )
    relay.switch.unlink()
    alice.run("contact", "trust", BOB)
    numbers = [person.run("verify", other)[0]["safety_number"] for person, other in ((alice, BOB), (bob, ALICE))]
    print(f"      Alice sees  {numbers[0]}\n      Bob sees    {numbers[1]}")
    claim("It is the same number on both sides.", holds=numbers[0] == numbers[1])
    received = bob.texts()
    for text in received:
        print(f"      Bob reads: {text}")
    claim("Bob has what Alice wrote, and nobody else could read it.", holds=received == [WORDS])


def show(folder: Path, relay: LyingRelay) -> None:
    step(
        1,
        "A relay starts, and its operator wants to read along",
        "It is the real relay with one lie. For now it is honest.",
    )
    alice, bob = meet(folder, relay)
    swap(relay, bob)
    write(alice, relay)
    go_on(alice, bob, relay)


def main() -> int:
    return play(
        LyingRelay,
        show,
        "A relay swaps Bob's key for its own, so that Alice would encrypt to the relay.",
        "Other lies, and what they come to: docs/threat-model.md.",
    )


if __name__ == "__main__":
    sys.exit(main())
