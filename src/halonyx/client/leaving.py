"""Leaving for good: the account goes from its relay, then this home goes from the disk.

Source: spec/delivery.md, "Accounts at the relay".
"""

from pathlib import Path

from halonyx.client import running, saving, unlock
from halonyx.client.account import load_account
from halonyx.client.home import erase_home
from halonyx.client.locks import receiver_lock
from halonyx.client.model import AccountInfo
from halonyx.client.store import STORE_FILE, Store
from halonyx.client.transfer_rows import all_transfers
from halonyx.client.transport import NOT_AUTHENTICATED, Refused, Relay
from halonyx.core.errors import Misuse, TransportError
from halonyx.core.identity import usid_of
from halonyx.core.recovery import AccountKeys, account_keys, parse_recovery_code
from halonyx.core.types import Address
from halonyx.wire.http_signature import MANAGEMENT, KeyId, Signer
from halonyx.wire.rest import Done
from halonyx.wire.rest_account import AccountRequest


async def delete_account(home: Path, code: str, passphrase: str | None = None) -> AccountInfo:
    """Delete an account at its relay, with all that waits for it there, then its store and key on this machine.

    Contacts keep what they have and are not told; what they write from now on waits with them (`bad-access-key`) and is
    given up after 14 days. Nobody else gets the address: `recover_account` makes the account anew under it, there or at
    another relay, without contacts and history. What cuts this off leaves the store: call it again.

    Args:
        code: Its recovery code: deleting is signed with a key that no device keeps, so a stolen one can't.

    Returns:
        What was deleted.

    Raises:
        Malformed: The code has a typing error.
        Misuse: It is another account's code.
        ReceiverBusy: Another process receives for this home.
        StoreError: No account there, a wrong or missing passphrase, or a damaged store.
        Refused: The relay has no such account; nothing was deleted on this machine.
        TransportError: It can't be reached; likewise.
    """
    keys = account_keys(parse_recovery_code(code))
    account, half_saved = _looked_up(home, passphrase)
    if usid_of(keys) != account.usid:
        raise Misuse("this is the recovery code of another account: nothing was deleted")
    with receiver_lock(home):
        await _delete_at_relay(account.origin, account.address, keys)
        running.sweep(half_saved)
        erase_home(home)
    return account


def _looked_up(home: Path, passphrase: str | None) -> tuple[AccountInfo, list[Path]]:
    """Return the account, and what it may have left half-decrypted outside its home."""
    store = Store(home / STORE_FILE, unlock.load_key(home, passphrase))
    try:
        rows = all_transfers(store)
        half_saved = [saving.temporary_for(row.folder, row.message_id) for row in rows if row.folder is not None]
        return load_account(store).info(), half_saved
    finally:
        store.close()


async def _delete_at_relay(origin: str, address: Address, keys: AccountKeys) -> None:
    signer = Signer(KeyId(address, MANAGEMENT), keys.management)
    try:
        async with Relay(origin) as relay:
            await relay.call("POST", "/v1/account/delete", AccountRequest(address=address), Done, signer)
    except TransportError as error:
        raise TransportError(f"{error}: nothing was deleted on this machine") from None
    except Refused as error:
        if error.code != NOT_AUTHENTICATED:
            raise
        raise Refused(
            NOT_AUTHENTICATED,
            f"{origin} has no such account, or the clock of this machine is wrong: nothing was deleted."
            " If the account is gone there, delete its folder on this machine yourself",
        ) from None
