"""Telling our relay what it has not heard yet, and learning whether it still knows this device.

Source: spec/handshake.md, "Prekeys"; spec/delivery.md, "A device that was replaced".
"""

from typing import Final

from halonyx.client import inbox, prekeys
from halonyx.client.account import Account, load_account, now_ms
from halonyx.client.store import Store
from halonyx.client.transport import NOT_AUTHENTICATED, DeviceReplaced, Refused, Relay
from halonyx.core.errors import TransportError
from halonyx.core.prekeys import Prekey
from halonyx.core.types import HOUR, MINUTE, Millis
from halonyx.wire.rest import Done
from halonyx.wire.rest_account import AccessKeyRequest
from halonyx.wire.rest_directory import MAX_PREKEYS_IN_CALL, PrekeyCounts, PublishRequest

ASK_EVERY: Final = HOUR  # a call beside every message would tell our relay when we write
CLOCK_BOUND: Final = MINUTE  # further off, the relay refuses every signature


async def maintain(store: Store, left: tuple[int, int] | None = None) -> None:
    """Renew prekeys that are due, and tell our relay what it has not heard yet.

    Args:
        left: How many one-time prekeys it says it has, when it just told.

    Raises:
        TransportError: It can't be reached.
        Refused: It no longer knows this device.
    """
    account = load_account(store)
    prekeys.due_prekeys(store, account.own, left, now_ms())
    waiting = prekeys.unpublished(store)
    is_renewed = store.value("SELECT is_one_time_renewed FROM account")
    if account.is_access_published and not waiting and not is_renewed:
        return
    await _call(store, account, waiting)


async def ask(store: Store) -> None:
    """Ask our relay whether it knows this device, by a call that brings it nothing new (raises as `maintain`)."""
    await _call(store, load_account(store), [])


async def doubt_login(store: Store) -> None:
    """Find out what a refused login means: its device is replaced, or it only took longer than a relay waits.

    Raises:
        DeviceReplaced: A signed call is refused, too.
        TransportError: It is not, or the relay can't be reached: log in again.
    """
    try:
        await ask(store)
    except Refused as error:
        if error.code != NOT_AUTHENTICATED:
            raise
        note_replaced(store)
        raise DeviceReplaced from None
    raise TransportError("the relay ended the login: it took too long")


def must_ask(store: Store, now: Millis) -> bool:
    """Tell whether our relay is to be asked if it knows us: every hour, and always once it said that it does not."""
    asked = "SELECT is_replaced OR NOT (known <= ?1 AND ?1 < known + ?2) FROM account"
    return bool(store.value(asked, now, ASK_EVERY))


def is_replaced(store: Store) -> bool:
    """Tell whether our relay no longer knew this device when it last answered."""
    return bool(store.value("SELECT is_replaced FROM account"))


def note_known(store: Store, now: Millis) -> None:
    """Remember that our relay knows this device."""
    with store.transaction():
        store.execute("UPDATE account SET is_replaced = 0, known = ?", now)


def note_replaced(store: Store) -> None:
    """Remember that our relay does not know this device any more."""
    with store.transaction():
        store.execute("UPDATE account SET is_replaced = 1")


async def _call(store: Store, account: Account, waiting: list[Prekey]) -> None:
    now = now_ms()
    try:
        async with Relay(account.origin) as relay:
            await _tell(store, relay, account, waiting)
    except Refused as error:
        if error.code != NOT_AUTHENTICATED or not await _is_refused_again(store, account):
            raise
        note_replaced(store)
        raise DeviceReplaced from None
    note_known(store, now)
    # Here alone: our relay has just agreed with our clock. One that jumped ahead must not delete keys that are in use.
    inbox.forget_old(store, now)


async def _is_refused_again(store: Store, account: Account) -> bool:
    """Make sure that it is about the device: a wrong clock and a call repeated on its way get the same answer."""
    async with Relay(account.origin) as relay:
        if abs((await relay.info()).time - now_ms()) >= CLOCK_BOUND:
            return False
        try:
            await _publish(store, relay, account, [])
        except Refused as error:
            return error.code == NOT_AUTHENTICATED
    return False


async def _tell(store: Store, relay: Relay, account: Account, waiting: list[Prekey]) -> None:
    if not account.is_access_published:
        request = AccessKeyRequest(address=account.address, access_hash=account.access_hash)
        await relay.call("PUT", "/v1/access-key", request, Done, account.signer)
        with store.transaction():
            store.execute("UPDATE account SET is_access_published = 1 WHERE profile_key = ?", account.profile_key)
    for at in range(0, max(len(waiting), 1), MAX_PREKEYS_IN_CALL):
        await _publish(store, relay, account, waiting[at : at + MAX_PREKEYS_IN_CALL])


async def _publish(store: Store, relay: Relay, account: Account, part: list[Prekey]) -> None:
    request = PublishRequest(
        address=account.address,
        device=account.own.device.id,
        prekeys=[prekeys.sealed(account.usid, account.own, prekey) for prekey in part],
        one_time_from=prekeys.first_one_time(store),
    )
    try:
        await relay.call("PUT", "/v1/prekeys", request, PrekeyCounts, account.signer)
    except Refused as error:
        if error.code != "prekeys-full":
            raise
        prekeys.forget_unpublished_one_time(store)
        return
    with store.transaction():
        prekeys.mark_published(store, part)
        store.execute("UPDATE account SET is_one_time_renewed = 0")
