"""Alice and Bob on one session, computed by the reference ratchet."""

from vectors.making import ratchet_reference as reference
from vectors.making.handshake import Agreement, agree
from vectors.making.people import ALICE, BOB, SIGNED
from vectors.making.reference import NOW, Drawn, bytes_for


class Talk:
    """Two states that write to each other; every salt and fresh pair is numbered."""

    def __init__(self, made: Agreement) -> None:
        self.made = made
        first = bytes_for("first ratchet key of full")
        ads = made.ads[1], made.ads[0]
        self.alice = reference.initiator(made.root_key, made.session_id, made.ads, BOB.prekey_public(SIGNED), first)
        self.bob = reference.responder(made.root_key, made.session_id, ads, BOB.prekey_private(SIGNED))
        self._count = 0

    def salt(self) -> bytes:
        """Return the next salt."""
        self._count += 1
        return bytes_for(f"salt {self._count}", 16)

    def fresh(self) -> bytes:
        """Return the next fresh private key."""
        self._count += 1
        return bytes_for(f"fresh {self._count}")

    def from_alice(self, text: bytes) -> bytes:
        """Send from Alice."""
        self.alice, sent = reference.encrypt(self.alice, text, self.salt())
        return sent["message"]

    def from_bob(self, text: bytes) -> bytes:
        """Send from Bob."""
        self.bob, sent = reference.encrypt(self.bob, text, self.salt())
        return sent["message"]

    def to_bob(self, message: bytes) -> None:
        """Deliver to Bob."""
        self.bob = reference.receive(self.bob, message, self.fresh(), NOW)[0]

    def to_alice(self, message: bytes) -> None:
        """Deliver to Alice."""
        self.alice = reference.receive(self.alice, message, self.fresh(), NOW)[0]


def established(drawn: Drawn) -> Talk:
    """Return a talk in which both sides have written once."""
    talk = Talk(agree(drawn, "full", ALICE, BOB))
    talk.to_bob(talk.from_alice(b"hello"))
    talk.to_alice(talk.from_bob(b"hello back"))
    return talk
