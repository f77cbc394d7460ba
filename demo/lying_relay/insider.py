"""What a relay can do that somebody has given contact cards: open what contacts could, and seal things in their place.

A card holds a USID. It opens the records and prekeys that lie at the relay, and hides others as well as the true ones
were hidden; it signs nothing.
"""

import os
import secrets
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Final

from halonyx.core import labels, session
from halonyx.core.card import Card
from halonyx.core.content import Content, Kind, RecordName
from halonyx.core.directory import Slot, open_object, record_slot, seal_object
from halonyx.core.envelope import Payload, seal_envelope
from halonyx.core.handshake import Peer, encapsulate, initiate
from halonyx.core.identity import AccountRecord, OwnDevice, address_of
from halonyx.core.labels import hash_of
from halonyx.core.prekeys import EnvelopePrekey, Prekey, PrekeyBundle, PrekeyUse
from halonyx.core.primitives import NONCE_SIZE, KemKeyPair, KeyPair, SigningKey
from halonyx.core.types import Address, ConversationId, DeviceId, MessageId, PrekeyId, Usid
from halonyx.relay.context import RelayContext
from halonyx.relay.store.intake import Submission
from halonyx.relay.store.keys import KeyStore
from halonyx.wire.rest_directory import Bundle, StoredPrekey

SLOTS: Final = {
    "signed_prekey": PrekeyUse.SIGNED,
    "envelope_prekey": PrekeyUse.ENVELOPE,
    "last_resort_prekey": PrekeyUse.LAST_RESORT,
    "one_time_prekey": PrekeyUse.ONE_TIME,
    "one_time_kem_prekey": PrekeyUse.ONE_TIME_KEM,
}


class Cards:
    """A file of cards, one a line, read whenever it is asked.

    Args:
        path: None for a relay that nobody colludes with.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def usids(self) -> dict[Address, Usid]:
        """Return whose USIDs are known."""
        if self._path is None or not self._path.exists():
            return {}
        usids = [Card.parse(line).usid for line in self._path.read_text().split()]
        return {address_of(usid): usid for usid in usids}


class Insider:
    """A relay with cards."""

    def __init__(self, context: RelayContext, cards: Cards) -> None:
        self._context = context
        self._cards = cards

    @cached_property
    def identity(self) -> KeyPair:
        """The identity key that the relay would have in the place of others'."""
        return KeyPair.generate()

    @cached_property
    def _mlkem768(self) -> KemKeyPair:
        return KemKeyPair.generate_768()

    @cached_property
    def _mlkem1024(self) -> KemKeyPair:
        return KemKeyPair.generate_1024()

    @cached_property
    def signing(self) -> SigningKey:
        """The signing key of the same."""
        return SigningKey.generate()

    def key_for(self, use: PrekeyUse) -> bytes:
        """Return a public key to which the relay has the private one, for a prekey of this use."""
        match use:
            case PrekeyUse.SIGNED | PrekeyUse.ONE_TIME:
                return self.identity.public.raw
            case PrekeyUse.ENVELOPE:
                return self.identity.public.raw + self._mlkem768.public.raw
            case PrekeyUse.LAST_RESORT | PrekeyUse.ONE_TIME_KEM:
                return self._mlkem1024.public.raw

    def others(self, address: Address) -> list[Address]:
        """Return whose cards are known besides this one's."""
        return [other for other in self._cards.usids() if other != address]

    def open(self, slot: Slot, sealed: bytes) -> bytes | None:
        """Open an object; None without the card."""
        usid = self._cards.usids().get(slot.address)
        return None if usid is None else open_object(usid, slot, sealed)

    def seal(self, slot: Slot, content: bytes) -> bytes:
        """Seal an object as its owner would; what is no less noise without the card."""
        usid = self._cards.usids().get(slot.address)
        if usid is None:
            return os.urandom(len(content) + 28)
        return seal_object(usid, slot, content, os.urandom(NONCE_SIZE))

    def sealed_record(self, address: Address) -> bytes | None:
        """Return the true record of an account as it lies here."""
        account = self._context.identity.account(address)
        if account is None or account.record_hash is None:
            return None
        return KeyStore.record(self._context.keys, address, account.record_hash)

    def record(self, address: Address) -> AccountRecord | None:
        """Return the true record of an account; None without its card."""
        sealed = self.sealed_record(address)
        opened = self.open(record_slot(address), sealed) if sealed else None
        return AccountRecord.parse(opened) if opened else None

    def false_device(self, record: AccountRecord, device: DeviceId) -> OwnDevice:
        """Return a device with the relay's own keys in the place of the first one."""
        public = replace(
            record.devices[0], id=device, identity_key=self.identity.public, signing_key=self.signing.public
        )
        return OwnDevice(record.address, public, self.identity, self.signing)

    async def true_bundle(self, address: Address, device: DeviceId) -> Bundle | None:
        """Take prekeys as a contact would."""
        keys, now = self._context.keys, self._context.clock()
        return await KeyStore.pop_bundle(keys, address, device, os.urandom(16), now)

    def opened(self, address: Address, device: DeviceId, bundle: Bundle) -> dict[str, Prekey]:
        """Open the prekeys of a bundle whose card is known, by field."""
        found = {}
        for field, use in SLOTS.items():
            stored: StoredPrekey | None = getattr(bundle, field)
            content = self.open(Slot(address, use, device, PrekeyId(stored.id)), stored.blob) if stored else None
            if content is not None:
                found[field] = Prekey.parse(content)
        return found

    def sealed(self, address: Address, device: DeviceId, prekeys: dict[str, Prekey], bundle: Bundle) -> Bundle:
        """Put prekeys into a bundle, sealed as their owner would."""
        stored = {
            field: StoredPrekey(
                id=prekey.id, blob=self.seal(Slot(address, SLOTS[field], device, prekey.id), prekey.encode())
            )
            for field, prekey in prekeys.items()
        }
        return bundle.model_copy(update=stored)

    async def forged(self, submission: Submission, kind: Kind, body: bytes) -> list[bytes]:
        """Make envelopes for the mailbox of a submission, as from every other person whose card is known."""
        names = self._context.mailboxes.names
        for address in self._cards.usids():
            record = self.record(address)
            for device in record.devices if record else ():
                if record and names.mailbox(address, device.id) == submission.mailbox:
                    senders = [self.record(other) for other in self.others(address)]
                    return [await self._forge(sender, record, device.id, kind, body) for sender in senders if sender]
        return []

    async def _forge(
        self, sender: AccountRecord, recipient: AccountRecord, device: DeviceId, kind: Kind, body: bytes
    ) -> bytes:
        """Begin a session in the sender's name, with private keys of the relay's own, and write in it."""
        theirs = Peer(recipient.address, recipient.devices[0])
        bundle = await self.true_bundle(recipient.address, device)
        prekeys = self.opened(recipient.address, device, bundle) if bundle else {}
        keys = PrekeyBundle(
            signed=prekeys["signed_prekey"],
            envelope=prekeys["envelope_prekey"],
            kem=prekeys["one_time_kem_prekey"],
            one_time=prekeys["one_time_prekey"],
        )
        ours = OwnDevice(sender.address, sender.devices[0], self.identity, self.signing)
        hello, ratchet = initiate(ours, theirs, keys, (KeyPair.generate(), KeyPair.generate()), encapsulate(keys))
        content = Content(
            kind=kind,
            message_id=MessageId(secrets.token_bytes(16)),
            counter=1 if kind is Kind.TEXT else 0,
            sent=self._context.clock(),
            conversation=_conversation(sender.address, recipient.address),
            sender_record=RecordName(sender.version, sender.hash),
            recipient_record=RecordName(recipient.version, recipient.hash),
            body=body,
        )
        _, message = session.seal(session.Initiated(ratchet, hello), content.encode(), secrets.token_bytes(16))
        payload = Payload(sender.address, sender.devices[0].id, sender.encoded, message)
        to = EnvelopePrekey.of(keys.envelope)
        place = (recipient.address, theirs.fingerprint)
        return seal_envelope(to, place, payload, KeyPair.generate(), to.mlkem768.encapsulate())


def _conversation(one: Address, other: Address) -> ConversationId:
    return ConversationId(hash_of(labels.CONVERSATION, *sorted((one, other)))[:16])
