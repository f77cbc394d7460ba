"""The owner of an account with the recovery code in hand: new records, second devices, as a later program will make."""

import secrets
from dataclasses import dataclass, replace
from pathlib import Path

from client.homes import Home, change
from halonyx.client import Client, unlock
from halonyx.client.account import _Plan, _store_account, load_account, now_ms
from halonyx.client.prekeys import published_forms
from halonyx.client.store import STORE_FILE, Store
from halonyx.client.transport import Relay
from halonyx.core import kdf
from halonyx.core.directory import record_slot, seal_object
from halonyx.core.identity import AccountRecord, Device, OwnDevice, make_record
from halonyx.core.primitives import KeyPair, SigningKey, sha256
from halonyx.core.recovery import AccountKeys, account_keys, parse_recovery_code
from halonyx.core.types import DeviceId
from halonyx.wire.http_signature import MANAGEMENT, KeyId, Signer
from halonyx.wire.rest_account import (
    AccountRequest,
    AccountStatus,
    NewDevice,
    ReplaceAccountRequest,
    ReplaceAccountResponse,
)
from halonyx.wire.rest_relay import RelayInfo


async def _info(origin: str) -> RelayInfo:
    async with Relay(origin) as relay:
        return await relay.info()


@dataclass(frozen=True, slots=True)
class Owner:
    """An account's owner; `client` is open on one of its devices."""

    home: Home
    client: Client

    @property
    def keys(self) -> AccountKeys:
        return account_keys(parse_recovery_code(self.home.code))

    def record(self, version: int, *devices: Device, created: int | None = None) -> AccountRecord:
        """Sign a record of some version and devices (none: those of now)."""
        now = load_account(self.client._store).record
        made = now.created if created is None else type(now.created)(created)
        return make_record(self.keys, version, made, now.origins, devices or now.devices)

    def next_record(self, *devices: Device) -> AccountRecord:
        return self.record(load_account(self.client._store).record.version + 1, *devices)

    async def publish(self, record: AccountRecord, devices: list[NewDevice] | None = None) -> None:
        """Replace the record at the relay, and keep the device that is open unless `devices` says otherwise."""
        account = load_account(self.client._store)
        kept = [NewDevice(id=account.own.device.id, login_key=account.login.public.raw, prekeys=[])]
        signer = Signer(KeyId(account.address, MANAGEMENT), self.keys.management)
        async with Relay(account.origin) as relay:
            asked = AccountRequest(address=account.address)
            status = await relay.call("POST", "/v1/account/status", asked, AccountStatus, signer)
            assert status.record_hash is not None
            request = ReplaceAccountRequest(
                address=account.address,
                replaces=status.record_hash,
                record=seal_object(account.usid, record_slot(account.address), record.encoded, secrets.token_bytes(12)),
                devices=devices or kept,
                access_hash=account.access_hash,
                request_hash=sha256(kdf.request_key(account.usid)),
            )
            await relay.call("PUT", "/v1/account", request, ReplaceAccountResponse, signer)
        change(self.client, "UPDATE account SET record = ?", record.encoded)

    async def add_device(self, path: Path) -> Home:
        """Make a second device with a home of its own, in the record beside the first."""
        account, now = load_account(self.client._store), now_ms()
        identity, signing = KeyPair.generate(), SigningKey.generate()
        device = Device(DeviceId(account.record.devices[-1].id + 1), now, identity.public, signing.public)
        own = OwnDevice(account.address, device, identity, signing)
        record = self.next_record(*account.record.devices, device)
        unlock.make_home(path)
        store = Store(path / STORE_FILE, unlock.make_key(path, None))
        try:
            plan = _Plan(self.keys, record, own, await _info(account.origin))
            login, _, prekeys = _store_account(store, account.origin, plan)
            forms = published_forms(account.usid, own, prekeys)
            kept = NewDevice(id=account.own.device.id, login_key=account.login.public.raw, prekeys=[])
            added = NewDevice(id=device.id, login_key=login.public.raw, prekeys=forms)
            await self.publish(record, [kept, added])
            with store.transaction():
                store.execute("UPDATE account SET is_registered = 1, profile_key = ?", account.profile_key)
        finally:
            store.close()
        return replace(self.home, path=path)
