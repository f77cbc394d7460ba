"""Envelopes that no honest client makes, from a person's own keys and sessions."""

import secrets
from dataclasses import dataclass, replace
from typing import Any, Final

from client.homes import FIRST, device_of, row_of
from halonyx.client import Client
from halonyx.client.account import load_account, now_ms
from halonyx.client.people import device_row, save_sessions
from halonyx.client.transport import Relay, submit
from halonyx.core import session
from halonyx.core.content import Content, Kind, RecordName
from halonyx.core.envelope import Payload, seal_envelope
from halonyx.core.handshake import Peer
from halonyx.core.prekeys import EnvelopePrekey
from halonyx.core.primitives import KeyPair
from halonyx.core.types import Address, DeviceId, EnvelopeId, MessageId
from halonyx.wire.frames import SEND_PATH, Status, Submit

FOREIGN: Final = Address(bytes(range(32)))


@dataclass(frozen=True, slots=True)
class Forger:
    """What a person could send to a contact with a program of their own making.

    Attributes:
        client: Whose keys; a session with the contact is there unless only `envelope` and `submit` are used.
        name: The contact it writes to.
    """

    client: Client
    name: str

    @property
    def peer(self) -> Peer:
        contact = row_of(self.client, self.name)
        peer = contact.peer(contact.record.devices[0].id) if contact.record else None
        assert peer is not None
        return peer

    def content(self, body: bytes = b"forged", **changes: Any) -> Content:  # noqa: ANN401 (any field)
        """Return what an honest client would say next, with changes."""
        contact, account = row_of(self.client, self.name), load_account(self.client._store)
        assert contact.record is not None
        honest = Content(
            kind=Kind.TEXT,
            message_id=MessageId(secrets.token_bytes(16)),
            counter=device_of(self.client, self.name, self.peer.device.id).sent_counter + 1,
            sent=now_ms(),
            conversation=contact.conversation_with(account.address),
            sender_record=RecordName(account.record.version, account.record.hash),
            recipient_record=contact.record_name,
            body=body,
        )
        return replace(honest, **changes)

    def message(self, plaintext: bytes) -> bytes:
        """Encrypt on the sending session, which moves on."""
        store = self.client._store
        with store.transaction():
            row = device_row(store, row_of(self.client, self.name).id, self.peer.device.id)
            assert row.sessions.sending is not None
            after, message = session.seal(row.sessions.sending, plaintext, secrets.token_bytes(16))
            save_sessions(store, row, session.replace_sending(row.sessions, after))
        return message

    def envelope(
        self,
        message: bytes,
        *,
        sender: Address | None = None,
        device: DeviceId = FIRST,
        record: bytes | None = None,
        is_hybrid: bool = False,
    ) -> bytes:
        """Seal any bytes as any sender."""
        prekey = device_of(self.client, self.name, self.peer.device.id).envelope_prekey
        assert prekey is not None
        keys = EnvelopePrekey.of(prekey)
        payload = Payload(sender or self.client.account.address, device, record, message)
        kem = keys.mlkem768.encapsulate() if is_hybrid or record is not None else None
        return seal_envelope(keys, (self.peer.address, self.peer.fingerprint), payload, KeyPair.generate(), kem)

    async def submit(self, envelope: bytes) -> None:
        """Leave an envelope at the contact's relay."""
        contact = row_of(self.client, self.name)
        async with Relay(contact.origins[0]) as relay:
            socket = await relay.socket(SEND_PATH)
            envelope_id = EnvelopeId(secrets.token_bytes(16))
            frame = Submit(envelope_id, contact.address, self.peer.device.id, contact.access, envelope)
            (answer,) = await submit(socket, [frame])
            await socket.close()
        assert answer.status is Status.ACCEPTED

    async def send(self, content: Content | bytes) -> None:
        """Encrypt, seal and leave a content that may be anything."""
        plaintext = content if isinstance(content, bytes) else content.encode()
        await self.submit(self.envelope(self.message(plaintext)))
