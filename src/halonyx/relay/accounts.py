"""Changes of accounts across the three files, in an order that a crash can't turn into a lie.

Adding writes keys.db, then app.db, then identity.db, whose commit is the moment it counts; removing goes the other way
round. Each change is announced in identity.db first; at the next start `tidy` drops whatever an interrupted one left
that identity.db does not know.

Source: spec/delivery.md, "Accounts at the relay".
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Final
from weakref import WeakValueDictionary

from halonyx.core.errors import BadKey, HalonyxError
from halonyx.core.primitives import VerifyKey, sha256
from halonyx.core.types import MAX_DEVICE_ID, Address, DeviceId, PrekeyId
from halonyx.relay import proof
from halonyx.relay.context import RelayContext
from halonyx.relay.events import Event, log
from halonyx.relay.refusals import Refused
from halonyx.relay.store.identity import Change, judge_replacement
from halonyx.relay.store.invites import Invite
from halonyx.relay.store.keys import PrekeysFull
from halonyx.wire.rest_account import (
    AccountStatus,
    InviteAnswer,
    NewDevice,
    ReplaceAccountRequest,
    SignUpRequest,
    WorkChallenge,
)
from halonyx.wire.rest_directory import REPLACED_USES, Prekey, PublishRequest

_ALL_DEVICES: Final = tuple(DeviceId(number) for number in range(1, MAX_DEVICE_ID + 1))


def verify_key(raw: bytes) -> VerifyKey:
    """Return an Ed25519 key from a request.

    Raises:
        Refused: bad-key.
    """
    try:
        return VerifyKey(raw)
    except BadKey:
        raise Refused("bad-key") from None


class Accounts:
    """Sign-up, replacement, deletion and prekeys of the accounts of one relay."""

    def __init__(self, context: RelayContext) -> None:
        self._context = context
        self._locks: WeakValueDictionary[Address, asyncio.Lock] = WeakValueDictionary()

    def _lock(self, address: Address) -> asyncio.Lock:
        """Return the lock that keeps two changes of one account apart."""
        lock = self._locks.get(address)
        if lock is None:
            lock = self._locks[address] = asyncio.Lock()
        return lock

    def challenge(self, address: Address) -> WorkChallenge:
        """Return what a sign-up of `address` must prove."""
        context = self._context
        mode = context.settings.signup_mode
        if mode != "pow":
            return WorkChallenge(mode=mode, seed=None, bits=0, expires=0)
        bits = context.settings.pow_bits
        seed, expires = proof.issue(context.secrets.work_key, address, bits, context.clock())
        return WorkChallenge(mode="pow", seed=seed, bits=bits, expires=expires)

    async def sign_up(self, call: SignUpRequest, admit: Callable[[], None]) -> tuple[bytes, bool]:
        """Make an account with one device.

        Args:
            admit: Counts the sign-up against its rates, or raises Refused. Asked only after work or invite were
                checked: else junk without them could use up everybody's sign-ups. Whether an address is taken is told
                only after both, because it tells a stranger that the account exists.

        Returns:
            The mailbox epoch, and whether the account is new (False: the same call came before).

        Raises:
            Refused: address-taken, device-id-used (after a deletion), storage-conflict, bad-work, bad-invite,
                sign-up-closed, contact-required, bad-key, malformed, prekeys-full, or what `admit` says.
        """
        address, device = Address(call.address), DeviceId(call.device.id)
        keys = verify_key(call.management_key), verify_key(call.device.login_key)
        _check_complete(call.device)
        async with self._lock(address):
            holder = self._context.identity.management_key(address)
            # The account is read only for its owner: reading one that is there takes longer.
            account = self._context.identity.account(address) if holder == keys[0] else None
            is_new = account is None or account.record_hash is None
            if is_new:
                self._check_right(call)
                admit()
                if holder not in {None, keys[0]}:
                    raise Refused("address-taken")
                await self._add(address, call, keys)
            elif account is None or (account.record_hash, dict(account.devices)) != (
                sha256(call.record),
                {device: keys[1]},
            ):
                raise Refused("storage-conflict")
            epoch = await self._context.mailboxes.create_mailbox(address, device)
        return epoch, is_new

    def _check_right(self, call: SignUpRequest) -> None:
        is_asked = self._context.settings.contact_required
        if is_asked and call.contact is None:
            raise Refused("contact-required")
        if call.contact is not None and not is_asked:
            raise Refused("malformed")  # what was not asked for is not taken
        match self._context.settings.signup_mode:
            case "open":
                return
            case "pow":
                self._check_work(call)
            case "token":
                if call.invite is None or not self._context.invites.holds(Invite(call.invite), self._context.clock()):
                    raise Refused("bad-invite")
            case "closed":
                raise Refused("sign-up-closed")

    def _check_work(self, call: SignUpRequest) -> None:
        context = self._context
        address, bits = Address(call.address), context.settings.pow_bits
        if call.work is None or not proof.is_solved(
            context.secrets.work_key, address, bits, call.work, context.clock()
        ):
            raise Refused("bad-work")

    async def _add(self, address: Address, call: SignUpRequest, keys: tuple[VerifyKey, VerifyKey]) -> None:
        identity, mailboxes = self._context.identity, self._context.mailboxes
        device = DeviceId(call.device.id)
        is_invited = self._context.settings.signup_mode == "token"
        spent = (Invite(call.invite), self._context.clock()) if is_invited and call.invite is not None else None
        async with self._announced(address):
            await self._stage(address, call.record, [(device, call.device.prekeys)])
            await mailboxes.create_mailbox(address, device)
            await mailboxes.set_keys(address, call.access_hash, call.request_hash)
            record_hash, login = sha256(call.record), (device, keys[1])
            _demand(await identity.register(address, keys[0], record_hash, login, spent, contact=call.contact))
        self._context.metrics.sign_ups.inc()

    @asynccontextmanager
    async def _announced(self, address: Address, *, is_removal: bool = False) -> AsyncIterator[None]:
        """Announce a change of several files; if it is refused halfway, take back what identity.db does not know.

        If even that fails (a full disk), the announcement stays for the next start.
        """
        intent = await self._context.identity.announce(address, is_removal=is_removal)
        try:
            yield
        except HalonyxError:
            await self._align(address, _ALL_DEVICES)
            await self._context.identity.settle(intent)
            raise
        await self._context.identity.settle(intent)

    async def _stage(self, address: Address, record: bytes, devices: list[tuple[DeviceId, list[Prekey]]]) -> None:
        try:
            await self._context.keys.stage(address, record, devices)
        except PrekeysFull:
            raise Refused("prekeys-full") from None

    async def invite(self, address: Address) -> InviteAnswer:
        """Make an invite for a member to give away.

        Raises:
            Refused: no-invites where members make none; invites-used if this one has made theirs of this week.
        """
        settings = self._context.settings
        if settings.signup_mode != "token" or not settings.member_invites:
            raise Refused("no-invites")
        made = await self._context.invites.mint(
            address, self._context.clock(), a_week=settings.member_invites, days=settings.invite_days
        )
        if made is None:
            raise Refused("invites-used")
        return InviteAnswer(invite=made[0], expires=made[1])

    def status(self, address: Address) -> AccountStatus:
        """Return what the relay holds of an account."""
        account = self._context.identity.account(address)
        if account is None or account.record_hash is None:
            highest = account.highest_device if account else 0
            return AccountStatus(exists=False, record_hash=None, devices=[], highest_device=highest)
        return AccountStatus(
            exists=True,
            record_hash=account.record_hash.hex(),
            devices=sorted(account.devices),
            highest_device=account.highest_device,
        )

    async def replace(self, call: ReplaceAccountRequest) -> list[bytes]:
        """Exchange record, devices and access keys, if the record is still the one the caller knows.

        Returns:
            The epochs of the devices' mailboxes, in their order in the call.

        Raises:
            Refused: storage-conflict, device-id-used, bad-key, malformed or prekeys-full; nothing has changed.
        """
        address = Address(call.address)
        devices = {DeviceId(device.id): verify_key(device.login_key) for device in call.devices}
        if len(devices) != len(call.devices):
            raise Refused("malformed")
        async with self._lock(address):
            account = self._context.identity.account(address)
            known = set() if account is None else set(account.devices)
            for device in call.devices:
                if device.id not in known:
                    _check_complete(device)
            replaces, record_hash = bytes.fromhex(call.replaces), sha256(call.record)
            change = judge_replacement(account, replaces, record_hash, devices)
            _demand(change)
            if change is not Change.REPEATED:  # the access key may have been replaced since
                prekeys = [(DeviceId(device.id), device.prekeys) for device in call.devices]
                async with self._announced(address):
                    await self._stage(address, call.record, prekeys)
                    for number in devices:
                        await self._context.mailboxes.create_mailbox(address, number)
                    # Before identity.db says so: a repetition after a crash in between has to find both done.
                    await self._context.mailboxes.set_keys(address, call.access_hash, call.request_hash)
                    _demand(await self._context.identity.replace(address, replaces, record_hash, devices))
                    await self._align(address, known - set(devices))
            return [await self._context.mailboxes.create_mailbox(address, number) for number in devices]

    async def delete(self, address: Address) -> None:
        """Delete everything but the reservation of the address for its management key; repeating does no harm."""
        async with self._lock(address), self._announced(address, is_removal=True):
            await self._context.identity.delete(address)
            await self._align(address, ())

    async def publish(self, call: PublishRequest) -> tuple[int, int]:
        """Store a device's prekeys and return the counts of one-time ones.

        Raises:
            Refused: prekeys-full; not-authenticated if the device has been removed meanwhile.
        """
        address, device = Address(call.address), DeviceId(call.device)
        async with self._lock(address):
            if self._context.identity.login_key(address, device) is None:
                raise Refused("not-authenticated")
            try:
                return await self._context.keys.publish(address, device, call.prekeys, PrekeyId(call.one_time_from))
            except PrekeysFull:
                raise Refused("prekeys-full") from None

    async def set_access_hash(self, address: Address, access_hash: bytes) -> None:
        """Shut out whoever holds the former access key.

        Raises:
            Refused: not-authenticated, if the account has been deleted meanwhile.
        """
        async with self._lock(address):
            account = self._context.identity.account(address)
            if account is None or account.record_hash is None:
                raise Refused("not-authenticated")
            await self._context.mailboxes.set_keys(address, access_hash, None)

    async def tidy(self) -> int:
        """Bring all files in line with identity.db for each change a crash interrupted; return how many."""
        announced = self._context.identity.announced()
        for intent, address in announced:
            await self._align(address, _ALL_DEVICES)
            await self._context.identity.settle(intent)
        self._context.metrics.tidied.set(len(announced))
        if announced:
            log(Event.CHANGES_TIDIED, count=len(announced))
        return len(announced)

    async def _align(self, address: Address, suspects: Iterable[DeviceId]) -> None:
        """Drop what identity.db does not know: records, prekeys, and the mailboxes (with sockets) of `suspects`."""
        context = self._context
        account = context.identity.account(address)
        kept = set() if account is None else set(account.devices)
        if kept:
            gone = [device for device in suspects if device not in kept]
            await asyncio.gather(*(context.mailboxes.drop_mailbox(address, device) for device in gone))
        else:
            await context.mailboxes.drop_account(address)
        await context.keys.keep_only(address, account.record_hash if account else None, kept)


def _check_complete(device: NewDevice) -> None:
    """Demand one signed, one envelope and one last-resort prekey, and no id twice."""
    uses = Counter(prekey.use for prekey in device.prekeys)
    names = {(prekey.use, prekey.id) for prekey in device.prekeys}
    if any(uses[use] != 1 for use in REPLACED_USES) or len(names) != len(device.prekeys):
        raise Refused("malformed")


def _demand(change: Change) -> None:
    match change:
        case Change.CONFLICT:
            raise Refused("storage-conflict")
        case Change.DEVICE_ID_USED:
            raise Refused("device-id-used")
        case Change.ADDRESS_TAKEN:
            raise Refused("address-taken")
        case Change.BAD_INVITE:
            raise Refused("bad-invite")
        case Change.DONE | Change.REPEATED:
            return
