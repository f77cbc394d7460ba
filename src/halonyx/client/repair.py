"""Asking again for what was lost: with a session that broke, or with a relay that was put back to an older copy.

Source: spec/ratchet.md, "Repair"; spec/delivery.md, "Client".
"""

from typing import Final, Literal

from halonyx.client import outbox, prekeys, sealing
from halonyx.client.events import add_notice
from halonyx.client.people import ContactRow, DeviceRow, device_row
from halonyx.client.store import Store
from halonyx.client.transport import Refused
from halonyx.core.content import Kind, Resend
from halonyx.core.handshake import Peer
from halonyx.core.types import HOUR, DeviceId, Millis

RESET_EVERY: Final = HOUR  # of one device pair
ASKED_AN_HOUR: Final = 10  # for each cause

Cause = Literal["proven", "unproven", "epoch"]
"""What anyone can forge has a budget of its own."""


def may_reset(store: Store, row: DeviceRow, now: Millis) -> bool:
    """Tell whether a device may be asked for a new session now."""
    is_asked = row.reset_sent <= now < row.reset_sent + RESET_EVERY  # a time after now: the clock was put back since
    return not is_asked and _may_ask(store, _cause(row), now)


def ask_reset(store: Store, contact: ContactRow, peer: Peer, now: Millis) -> None:
    """Seal a reset request as the first message of our new session; inside the caller's transaction.

    Raises:
        Refused: There is no valid envelope prekey for it.
    """
    device = device_row(store, contact.id, peer.device.id)
    to = (contact.id, DeviceId(peer.device.id))
    # It names what it replaces, so that both sides archive the same session.
    body = Resend(device.broken_session or None, ()).encode()
    position = outbox.add(store, to, Kind.RESEND, body)
    if not sealing.seal_for(store, contact, peer, position):
        raise Refused("no-valid-prekey", "their device has to come online first, to renew its keys")
    store.execute("UPDATE outbox SET is_expanded = 1 WHERE position = ?", position)
    store.execute("UPDATE devices SET reset_sent = ? WHERE contact = ? AND device = ?", now, *to)
    _asked(store, device, now)
    _mended(store, device)
    add_notice(store, "refreshed", contact.id, now)


def ask_on_new_session(store: Store, row: DeviceRow, now: Millis) -> None:
    """Ask for what a broken session lost on the one they have just begun; inside the caller's transaction.

    A handshake of ours besides would leave each side sending on a session that the other has archived.
    """
    if row.broken_session is None:
        return
    if _may_ask(store, _cause(row), now):
        outbox.add(store, (row.contact, row.device), Kind.RESEND, Resend(None, ()).encode())
        _asked(store, row, now)
    _mended(store, row)


def make_up(store: Store, now: Millis) -> None:
    """Make up for what our relay lost when it was put back to an older copy, inside the caller's transaction.

    It is told our prekeys and access key anew. Contacts are asked for what has no receipt from us; what has none from
    them goes again, because the receipt, not the message, may be what was lost. Both are known by their message ids.
    Sealed ones too: their `accepted` may be on its way, said by the relay that then lost the receipt.
    """
    if not _may_ask(store, "epoch", now):
        return  # a relay could name a new epoch at every login
    store.execute("INSERT INTO resets VALUES (?, 'epoch')", now)
    add_notice(store, "restored", None, now)
    prekeys.publish_again(store, now)
    for row in store.all("SELECT id FROM contacts WHERE state = 'accepted' ORDER BY id"):
        outbox.add(store, (row["id"], None), Kind.RESEND, Resend(None, ()).encode())
        for device in store.all("SELECT device FROM devices WHERE contact = ?", row["id"]):
            outbox.repeat(store, (row["id"], device["device"]), ("sealed", "accepted"))


def _asked(store: Store, row: DeviceRow, now: Millis) -> None:
    """Note that a device was asked, and repeat what it has not confirmed: the receipts may be what was lost.

    What no relay has accepted yet goes out anyway, and keeps its turn.
    """
    store.execute("INSERT INTO resets VALUES (?, ?)", now, _cause(row))
    outbox.repeat(store, (row.contact, row.device), ("accepted",))


def _mended(store: Store, row: DeviceRow) -> None:
    where = (row.contact, row.device)
    store.execute("UPDATE devices SET broken_session = NULL WHERE contact = ? AND device = ?", *where)


def _may_ask(store: Store, cause: Cause, now: Millis) -> bool:
    lately = "SELECT count(*) FROM resets WHERE cause = ? AND ? < time AND time <= ?"
    asked = store.value(lately, cause, now - HOUR, now)
    return bool(asked < ASKED_AN_HOUR)


def _cause(row: DeviceRow) -> Cause:
    return "proven" if row.is_break_proven else "unproven"
