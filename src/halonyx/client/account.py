"""This home's account: made, recovered, and kept supplied with prekeys.

The recovery code's keys live only as long as a sign-up or a recovery takes.

Source: spec/identity.md; spec/handshake.md, "Prekeys".
"""

import secrets
import time
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final

from halonyx.client.admission import Admission, prove
from halonyx.client.home import new_store
from halonyx.client.model import AccountInfo, Invite, NewAccount
from halonyx.client.prekeys import AT_RELAY, NewPrekey, full_set, published_forms, store_prekeys
from halonyx.client.store import Store
from halonyx.client.transport import Refused, Relay
from halonyx.core import kdf
from halonyx.core.directory import open_object, record_slot, seal_object
from halonyx.core.errors import RemoteError, StoreError, TransportError
from halonyx.core.identity import (
    AccountRecord,
    Device,
    OwnDevice,
    address_of,
    check_record,
    make_record,
    next_version,
    usid_of,
)
from halonyx.core.origin import check_origin
from halonyx.core.primitives import NONCE_SIZE, KeyPair, SigningKey, VerifyKey, sha256
from halonyx.core.recovery import ENTROPY_SIZE, AccountKeys, account_keys, encode_recovery_code, parse_recovery_code
from halonyx.core.types import Address, DeviceId, Millis, Usid
from halonyx.wire.frames import EPOCH_SIZE
from halonyx.wire.http_signature import MANAGEMENT, KeyId, Signer
from halonyx.wire.rest import ERRORS
from halonyx.wire.rest_account import (
    AccountRequest,
    AccountStatus,
    InviteAnswer,
    InviteRequest,
    NewDevice,
    ReplaceAccountRequest,
    ReplaceAccountResponse,
    SignUpRequest,
    SignUpResponse,
)
from halonyx.wire.rest_directory import LookupRequest, LookupResponse
from halonyx.wire.rest_relay import RelayInfo

PROFILE_KEY_SIZE: Final = 32
_NOTHING: Final = Admission()


@dataclass(frozen=True, slots=True)
class Account:
    """The account row as values.

    Attributes:
        relay_key: Pinned at sign-up.
        is_access_published: The relay knows the hash of the current access key.
        epoch, cursor: Where the mailbox was read up to.
    """

    usid: Usid = field(repr=False)
    origin: str
    relay_key: VerifyKey
    own: OwnDevice
    login: SigningKey
    record: AccountRecord
    profile_key: bytes = field(repr=False)
    is_access_published: bool
    epoch: bytes
    cursor: int

    @property
    def address(self) -> Address:
        """What the relay knows us by."""
        return self.own.address

    @property
    def signer(self) -> Signer:
        """Signs calls as this device."""
        return Signer(KeyId(self.address, self.own.device.id), self.login)

    @property
    def access_hash(self) -> bytes:
        """SHA-256 of the key that our contacts show."""
        return sha256(kdf.access_key(self.profile_key))

    def info(self) -> AccountInfo:
        """Return what callers may know."""
        return AccountInfo(self.usid, self.address, self.origin, self.own.device.id, self.record.version)


@lru_cache(maxsize=256)
def cached_record(encoded: bytes) -> AccountRecord:
    """Parse a stored record; two signatures are checked once a process, not once a message."""
    return AccountRecord.parse(encoded)


def now_ms() -> Millis:
    """Return the time of this machine."""
    return Millis(time.time_ns() // 1_000_000)


def load_account(store: Store) -> Account:
    """Read the account row, and how far the mailbox was read.

    Raises:
        StoreError: There is none, or sign-up never finished.
    """
    row = store.one("SELECT * FROM account, mailbox WHERE is_registered = 1")
    if row is None:
        raise StoreError("no account here: make one with 'halonyx account create'")
    record = cached_record(row["record"])
    device = record.device(DeviceId(row["device"]))
    if device is None:
        raise StoreError("the account row is damaged")
    identity, signing = KeyPair.from_private(row["identity_private"]), SigningKey.from_seed(row["signing_seed"])
    return Account(
        usid=Usid(row["usid"]),
        origin=row["origin"],
        relay_key=VerifyKey(row["relay_key"]),
        own=OwnDevice(record.address, device, identity, signing),
        login=SigningKey.from_seed(row["login_seed"]),
        record=record,
        profile_key=row["profile_key"],
        is_access_published=bool(row["is_access_published"]),
        epoch=row["epoch"],
        cursor=row["cursor"],
    )


async def create_account(
    home: Path, origin: str, passphrase: str | None = None, given: Admission = _NOTHING
) -> NewAccount:
    """Make an identity and register it at a relay.

    Args:
        home: Folder for the store; made with mode 0700.
        origin: The relay to receive at.
        passphrase: Locks the store; None uses the OS keyring.
        given: For a relay that asks for an invite, or for a name and an e-mail address.

    Raises:
        StoreError: The home has an account, or there is neither passphrase nor keyring.
        Malformed: `origin` is not how it is written.
        Refused: The relay takes no sign-ups, or not this one.
        TransportError: It can't be reached.
    """
    check_origin(origin)
    entropy = secrets.token_bytes(ENTROPY_SIZE)
    keys, now = account_keys(entropy), now_ms()
    with new_store(home, passphrase) as store:
        async with Relay(origin) as relay:
            info = await relay.info()
            own = _new_device(address_of(usid_of(keys)), DeviceId(1), now)
            record = make_record(keys, next_version(0, now), now, (origin,), (own.device,))
            account = await _sign_up(store, relay, _Plan(keys, record, own, info, given))
    return NewAccount(account.info(), encode_recovery_code(entropy))


async def recover_account(
    home: Path, origin: str, code: str, passphrase: str | None = None, given: Admission = _NOTHING
) -> AccountInfo:
    """Get an account back from its recovery code; this device replaces every other.

    Contacts keep the same USID and safety number; their next message finds this device by itself.

    Args:
        given: For a relay that asks for something and has never had this account.

    Raises:
        Malformed: The code has a typing error, or `origin` is not how it is written.
        StoreError: The home has an account, or there is neither passphrase nor keyring.
        Refused: The relay refuses, or the account changed in the same moment.
        TransportError: The relay can't be reached.
    """
    check_origin(origin)
    keys, now = account_keys(parse_recovery_code(code)), now_ms()
    usid = usid_of(keys)
    address = address_of(usid)
    with new_store(home, passphrase) as store:
        async with Relay(origin) as relay:
            info = await relay.info()
            signer = Signer(KeyId(address, MANAGEMENT), keys.management)
            found = await _status(relay, signer, address)
            previous = await _previous_record(relay, usid) if found.exists else None
            if found.highest_device == DeviceId(255):
                raise Refused("device-id-used", "this account has used up its 255 device ids")
            own = _new_device(address, DeviceId(found.highest_device + 1), now)
            version = next_version(previous.version if previous else 0, now)
            record = make_record(keys, version, previous.created if previous else now, (origin,), (own.device,))
            plan = _Plan(keys, record, own, info, given)
            if found.record_hash is None:
                account = await _sign_up(store, relay, plan)
            else:
                account = await _replace(store, relay, plan, found.record_hash)
    return account.info()


@dataclass(frozen=True, slots=True)
class _Plan:
    keys: AccountKeys
    record: AccountRecord
    own: OwnDevice
    relay: RelayInfo
    given: Admission = _NOTHING


def _new_device(address: Address, device_id: DeviceId, now: Millis) -> OwnDevice:
    identity, signing = KeyPair.generate(), SigningKey.generate()
    return OwnDevice(address, Device(device_id, now, identity.public, signing.public), identity, signing)


async def _sign_up(store: Store, relay: Relay, plan: _Plan) -> Account:
    if plan.relay.contact_required and plan.given.details is None:
        raise Refused("contact-required", ERRORS["contact-required"][1])
    login, profile_key, prekeys = _store_account(store, relay.origin, plan)
    usid, address = plan.record.usid, plan.record.address
    request = SignUpRequest(
        address=address,
        management_key=plan.keys.management.public.raw,
        access_hash=sha256(kdf.access_key(profile_key)),
        request_hash=sha256(kdf.request_key(usid)),
        record=_sealed_record(plan.record),
        device=NewDevice(
            id=plan.own.device.id, login_key=login.public.raw, prekeys=published_forms(usid, plan.own, prekeys)
        ),
        work=await prove(relay, address, plan.given),
        invite=plan.given.invite,
        contact=plan.given.details if plan.relay.contact_required else None,
    )
    signer = Signer(KeyId(address, MANAGEMENT), plan.keys.management)
    answer = await relay.call("POST", "/v1/accounts", request, SignUpResponse, signer)
    return _registered(store, answer.epoch)


async def _replace(store: Store, relay: Relay, plan: _Plan, replaces: str) -> Account:
    login, profile_key, prekeys = _store_account(store, relay.origin, plan)
    usid, address = plan.record.usid, plan.record.address
    published = published_forms(usid, plan.own, prekeys)
    request = ReplaceAccountRequest(
        address=address,
        replaces=replaces,
        record=_sealed_record(plan.record),
        devices=[NewDevice(id=plan.own.device.id, login_key=login.public.raw, prekeys=published)],
        access_hash=sha256(kdf.access_key(profile_key)),
        request_hash=sha256(kdf.request_key(usid)),
    )
    signer = Signer(KeyId(address, MANAGEMENT), plan.keys.management)
    answer = await relay.call("PUT", "/v1/account", request, ReplaceAccountResponse, signer)
    return _registered(store, answer.epochs[0])


def _store_account(store: Store, origin: str, plan: _Plan) -> tuple[SigningKey, bytes, list[NewPrekey]]:
    """Write the account before the relay hears of it; it counts only once it is registered."""
    login, profile_key = SigningKey.generate(), secrets.token_bytes(PROFILE_KEY_SIZE)
    prekeys = full_set(plan.own, 0, now_ms())
    with store.transaction():
        store.execute(
            "INSERT INTO account (one, usid, origin, relay_key, operator_key, device, identity_private, signing_seed,"
            " login_seed, record, profile_key, is_access_published, is_registered, last_prekey, epoch)"
            " VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 0, ?, ?)",
            plan.record.usid,
            origin,
            VerifyKey(plan.relay.relay_key).raw,
            VerifyKey(plan.relay.operator_key).raw,
            plan.own.device.id,
            plan.own.identity.private_raw(),
            plan.own.signing.seed(),
            login.seed(),
            plan.record.encoded,
            profile_key,
            len(prekeys),
            bytes(EPOCH_SIZE),
        )
        store_prekeys(store, prekeys, state=AT_RELAY)
    return login, profile_key, prekeys


def _registered(store: Store, epoch: bytes) -> Account:
    """Note that the relay knows the account. Its mailbox may be put back to an older copy before we first log in."""
    with store.transaction():
        store.execute("UPDATE account SET is_registered = 1, epoch = ?", epoch)
        return load_account(store)


async def make_invite(account: Account) -> Invite:
    """Ask our relay for an invite to give away.

    Raises:
        Refused: no-invites where its members make none, invites-used if we have made ours of this week.
        TransportError: It can't be reached.
    """
    async with Relay(account.origin) as relay:
        request = InviteRequest(address=account.address, device=account.own.device.id)
        answer = await relay.call("POST", "/v1/invite", request, InviteAnswer, account.signer)
    return Invite(answer.invite, Millis(answer.expires))


def _sealed_record(record: AccountRecord) -> bytes:
    nonce = secrets.token_bytes(NONCE_SIZE)
    return seal_object(record.usid, record_slot(record.address), record.encoded, nonce)


async def _status(relay: Relay, signer: Signer, address: Address) -> AccountStatus:
    """Ask what the relay holds; it answers an unknown account and a wrong key alike."""
    try:
        return await relay.call("POST", "/v1/account/status", AccountRequest(address=address), AccountStatus, signer)
    except Refused as error:
        if error.code != "not-authenticated":
            raise
        return AccountStatus(exists=False, record_hash=None, devices=[], highest_device=0)


async def _previous_record(relay: Relay, usid: Usid) -> AccountRecord | None:
    """Fetch our own record, for its version; one that does not verify is as good as none."""
    address = address_of(usid)
    request = LookupRequest(address=address, key=kdf.request_key(usid))
    answer = await relay.call("POST", "/v1/lookup", request, LookupResponse)
    try:
        record = AccountRecord.parse(open_object(usid, record_slot(address), answer.record))
        check_record(record, usid, None)
    except TransportError:
        raise
    except RemoteError:
        return None
    return record
