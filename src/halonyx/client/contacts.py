"""Contacts: added by card, renamed, blocked, removed; strangers accepted or refused.

Source: spec/identity.md, "Contact card"; spec/delivery.md, "Requests".
"""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from halonyx.client import outbox
from halonyx.client.account import PROFILE_KEY_SIZE, Account, load_account, now_ms
from halonyx.client.events import show_request
from halonyx.client.model import Contact
from halonyx.client.order import begin_anew
from halonyx.client.people import (
    REQUEST_ID_LENGTH,
    ContactRow,
    NameTaken,
    check_name,
    contact_by_id,
    contact_by_name,
    contact_row,
)
from halonyx.client.store import Store
from halonyx.client.transfer_rows import end_all
from halonyx.core.card import Card
from halonyx.core.content import Kind
from halonyx.core.errors import Misuse
from halonyx.core.identity import address_of

NAME_DIGITS: Final = 8  # of the address, in the name of someone whom nobody named


class Contacts:
    """The people of one account.

    Args:
        flush: Sends what a change queued.
    """

    def __init__(self, store: Store, flush: Callable[[], Awaitable[None]]) -> None:
        self._store = store
        self._flush = flush

    async def add(self, card_text: str, name: str | None = None) -> Contact:
        """Add someone from their card; works offline, and accepts their waiting request if there is one.

        Args:
            name: At most 64 code points; without one, the start of their address.

        Raises:
            Malformed, UnsupportedVersion: No contact card.
            Misuse: Our own card, a name that does not fit, or someone we have under another name.
            NameTaken: Somebody else has the name.
        """
        card = Card.parse(card_text)
        if card.usid == load_account(self._store).usid:
            raise Misuse("this is your own card: give it to the other person, and add theirs")
        with self._store.transaction():
            row = self._store.one("SELECT * FROM contacts WHERE usid = ?", card.usid)
            if row is None:
                return contact_by_id(self._store, self._add_new(card, name)).public()
            self._add_known(contact_row(row), card, name)
        await self._flush()
        return contact_by_id(self._store, row["id"]).public()

    def list(self) -> Sequence[Contact]:
        """Return accepted and blocked contacts by name."""
        rows = self._store.all("SELECT * FROM contacts WHERE state IN ('accepted', 'blocked') ORDER BY name")
        return [contact_row(row).public() for row in rows]

    def get(self, name: str) -> Contact:
        """Return one contact.

        Raises:
            Misuse: There is none of this name.
        """
        return contact_by_name(self._store, name).public()

    def rename(self, name: str, new: str) -> Contact:
        """Change our name for a contact.

        Raises:
            Misuse: There is none of this name, or the new one does not fit.
            NameTaken: Somebody else has the new one.
        """
        with self._store.transaction():
            contact = contact_by_name(self._store, name)
            if new != name:
                self._check_free(check_name(new))
                self._store.execute("UPDATE contacts SET name = ? WHERE id = ?", new, contact.id)
            return contact_by_id(self._store, contact.id).public()

    async def block(self, name: str) -> Contact:
        """Take nothing more from a contact, and change the key by which anyone writes to us.

        Every other contact gets the new key inside an encrypted message.

        Raises:
            Misuse: There is none of this name.
        """
        with self._store.transaction():
            contact = contact_by_name(self._store, name)
            self._store.execute("UPDATE contacts SET state = 'blocked' WHERE id = ?", contact.id)
            self._store.execute("DELETE FROM outbox WHERE contact = ?", contact.id)
            self._store.execute("DELETE FROM receipts_due WHERE contact = ?", contact.id)
            self._store.execute(
                "UPDATE messages SET state = 'failed' WHERE contact = ? AND state = 'waiting'", contact.id
            )
            end_all(self._store, contact.id)
            self._rotate_profile_key()
        await self._flush()
        return contact_by_id(self._store, contact.id).public()

    async def unblock(self, name: str) -> Contact:
        """Take messages from a contact again; what they wrote before stays dropped.

        Raises:
            Misuse: There is none of this name.
        """
        with self._store.transaction():
            contact = contact_by_name(self._store, name)
            self._accept(contact, contact.name)
        await self._flush()
        return contact_by_id(self._store, contact.id).public()

    def allow_direct(self, name: str, *, allowed: bool = True) -> Contact:
        """Let files go to and from a contact directly, so that our IP address is visible to them; or no longer.

        A verified contact needs no such permission.

        Raises:
            Misuse: There is none of this name.
        """
        with self._store.transaction():
            contact = contact_by_name(self._store, name)
            self._store.execute("UPDATE contacts SET direct_allowed = ? WHERE id = ?", allowed, contact.id)
            return contact_by_id(self._store, contact.id).public()

    async def remove(self, name: str) -> None:
        """Forget a contact's name, verification and messages. If they write again, it is a request.

        They lose the key by which contacts write to us, as when they are blocked.

        Raises:
            Misuse: There is none of this name.
        """
        with self._store.transaction():
            contact = contact_by_name(self._store, name)
            if contact.state == "blocked":
                begin_anew(self._store, contact.id, now_ms())
            self._forget(contact, "removed")
            if contact.state == "accepted":
                self._rotate_profile_key()
        await self._flush()

    def requests(self) -> Sequence[Contact]:
        """Return strangers whose first message waits for a decision; their name is the request's id."""
        rows = self._store.all("SELECT * FROM contacts WHERE state = 'request' ORDER BY id")
        return [contact_row(row).public() for row in rows]

    async def accept(self, request_id: str, name: str | None = None) -> Contact:
        """Accept a request: its messages are shown, and their sender is told that they arrived.

        Args:
            request_id: As `requests` shows it.
            name: At most 64 code points.

        Raises:
            Misuse: No such request, or a name that does not fit.
            NameTaken: Somebody else has the name.
        """
        with self._store.transaction():
            contact = self._request(request_id)
            chosen = check_name(name or f"contact-{contact.address.hex()[:NAME_DIGITS]}")
            self._check_free(chosen)
            self._accept(contact, chosen)
        await self._flush()
        return contact_by_id(self._store, contact.id).public()

    def refuse(self, request_id: str) -> None:
        """Refuse a request: its messages go, its sender hears nothing, and what else they send is dropped.

        Raises:
            Misuse: No such request.
        """
        with self._store.transaction():
            self._forget(self._request(request_id), "blocked")

    async def trust(self, name: str) -> Contact:
        """Write to a contact again although a relay served a record that did not fit.

        Raises:
            Misuse: There is none of this name.
        """
        with self._store.transaction():
            contact = contact_by_name(self._store, name)
            version = contact.record.version if contact.record else 0
            self._store.execute(
                "UPDATE contacts SET frozen = NULL, evidence = NULL, named_version = ?, named_tries = 0 WHERE id = ?",
                version,
                contact.id,
            )
        await self._flush()
        return contact_by_id(self._store, contact.id).public()

    def _add_new(self, card: Card, name: str | None) -> int:
        address = address_of(card.usid)
        chosen = check_name(name or f"contact-{address.hex()[:NAME_DIGITS]}")
        self._check_free(chosen)
        return self._store.insert(
            "INSERT INTO contacts (name, usid, address, origin, state, named_version, added)"
            " VALUES (?, ?, ?, ?, 'accepted', ?, ?)",
            chosen,
            card.usid,
            address,
            card.origin,
            card.record_version,
            now_ms(),
        )

    def _add_known(self, contact: ContactRow, card: Card, name: str | None) -> None:
        """Take in a card of someone we have already."""
        if contact.state == "accepted" and name not in (None, contact.name):
            raise Misuse(f"you have this contact as {contact.name!r}: rename it with 'halonyx contact rename'")
        if contact.state != "accepted":
            former = contact.name if contact.state == "blocked" else None
            chosen = name or former or f"contact-{contact.address.hex()[:NAME_DIGITS]}"
            if chosen != former:
                self._check_free(check_name(chosen))
            self._accept(contact, chosen)
        self._store.execute(
            "UPDATE contacts SET origin = ?, named_version = max(named_version, ?) WHERE id = ?",
            card.origin,
            card.record_version,
            contact.id,
        )

    def _accept(self, contact: ContactRow, name: str) -> None:
        self._store.execute("UPDATE contacts SET state = 'accepted', name = ? WHERE id = ?", name, contact.id)
        if contact.state == "request":
            show_request(self._store, contact.id, now_ms())
        if contact.state == "blocked":
            begin_anew(self._store, contact.id, now_ms())
            # Blocking changed the key by which they write; without this one they would wait for an answer.
            outbox.add(self._store, (contact.id, None), Kind.CONTROL, b"")

    def _forget(self, contact: ContactRow, state: str) -> None:
        """Drop all that a person sees; sessions and counters stay, so that nothing old is taken twice."""
        address = contact.address.hex()
        name = f"refused-{address[:REQUEST_ID_LENGTH]}" if state == "blocked" else f"removed {address}"
        for table in ("events", "transfers", "messages", "outbox", "receipts_due", "held", "gaps"):
            self._store.execute(f"DELETE FROM {table} WHERE contact = ?", contact.id)  # noqa: S608
        self._store.execute(
            "UPDATE contacts SET state = ?, name = ?, is_verified = 0, direct_allowed = 0, has_our_profile_key = 0"
            " WHERE id = ?",
            state,
            name,
            contact.id,
        )

    def _rotate_profile_key(self) -> None:
        self._store.execute(
            "UPDATE account SET profile_key = ?, is_access_published = 0", secrets.token_bytes(PROFILE_KEY_SIZE)
        )
        self._store.execute("UPDATE contacts SET has_our_profile_key = 0")
        self._store.execute("UPDATE deliveries SET has_profile_key = 0")
        for row in self._store.all("SELECT id FROM contacts WHERE state = 'accepted' AND profile_key IS NOT NULL"):
            outbox.add(self._store, (row["id"], None), Kind.CONTROL, b"")

    def _request(self, request_id: str) -> ContactRow:
        rows = self._store.all("SELECT * FROM contacts WHERE state = 'request'")
        found = [row for row in rows if row["address"].hex()[:REQUEST_ID_LENGTH] == request_id.lower()]
        if len(found) != 1:
            raise Misuse(f"no request {request_id!r}: see 'halonyx contact requests'")
        return contact_row(found[0])

    def _check_free(self, name: str) -> None:
        if self._store.one("SELECT 1 FROM contacts WHERE name = ?", name) is not None:
            raise NameTaken(f"the name {name!r} is taken: choose another with --name")


def our_card(account: Account) -> Card:
    """Return the card to give to others."""
    return Card(account.origin, account.usid, account.record.version)
