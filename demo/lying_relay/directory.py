"""Lies about keys: records, devices and prekeys.

With somebody's card the relay opens what it serves, changes it, and seals it again as well as its owner did; without,
it can only serve noise, or what it holds of others.
"""

from pathlib import Path
from typing import Final

from halonyx.core.directory import record_slot
from halonyx.core.identity import AccountRecord, Device, make_record
from halonyx.core.prekeys import Prekey, sign_prekey
from halonyx.core.primitives import MLDSA65_SIGNATURE_SIZE
from halonyx.core.recovery import ENTROPY_SIZE, account_keys
from halonyx.core.types import SIGNATURE_SIZE, Address, DeviceId
from halonyx.relay.decide import KeyKind
from halonyx.wire.rest_directory import Bundle
from lying_relay.insider import Cards
from lying_relay.lie import Lie

OURS: Final = bytes(ENTROPY_SIZE)  # what the relay's own identity is made from
DEVICE_SIZE: Final = 1 + 1 + 8 + 32 + 32
SIGNATURES_SIZE: Final = SIGNATURE_SIZE + MLDSA65_SIGNATURE_SIZE  # Ed25519 and ML-DSA-65, at the end of a record


class SwapDeviceKey(Lie):
    """Puts keys of its own in the place of a device's, in the record and in the prekeys: the classic attack.

    The relay has the private keys to all of it and would read what is sent. It can't sign as the account.
    """

    def record(self, address: Address, sealed: bytes, asked_with: KeyKind | None) -> bytes:  # noqa: ARG002
        """Serve the record with the device's two keys replaced."""
        record = self.insider.record(address)
        if record is None:
            return sealed[:-1] + bytes([sealed[-1] ^ 1])
        theirs = record.devices[0]
        ours = self.insider.false_device(record, theirs.id).device
        return self.insider.seal(record_slot(address), record.encoded.replace(_keys(theirs), _keys(ours)))

    async def bundle(self, address: Address, device: DeviceId, bundle: Bundle) -> Bundle:
        """Hand out prekeys that the false device has signed."""
        record, insider = self.insider.record(address), self.insider
        if record is None:
            return bundle
        own = insider.false_device(record, device)

        def falsified(prekey: Prekey) -> Prekey:
            return sign_prekey(own, prekey.use, prekey.id, prekey.expiry, insider.key_for(prekey.use))

        opened = insider.opened(address, device, bundle)
        return insider.sealed(address, device, {field: falsified(prekey) for field, prekey in opened.items()}, bundle)


class SwapRecord(Lie):
    """Serves a record that is signed and in order, of an account that the relay has made itself."""

    def record(self, address: Address, sealed: bytes, asked_with: KeyKind | None) -> bytes:  # noqa: ARG002
        """Serve a whole identity of our own, of the same version, under the same name."""
        true, keys = self.insider.record(address), account_keys(OURS)
        if true is None:
            return self.insider.seal(record_slot(address), sealed[28:])
        device = self.insider.false_device(true, DeviceId(1)).device
        ours = make_record(keys, true.version, true.created, true.origins, (device,))
        return self.insider.seal(record_slot(address), ours.encoded)


class OldRecord(Lie):
    """Serves the first record that an account has brought, whatever came after it."""

    def __init__(self, cards: Cards, switch: Path | None) -> None:
        super().__init__(cards, switch)
        self._first: dict[Address, bytes] = {}

    def publish(self, address: Address, sealed: bytes) -> None:
        """Keep the first."""
        self._first.setdefault(address, sealed)

    def record(self, address: Address, sealed: bytes, asked_with: KeyKind | None) -> bytes:  # noqa: ARG002
        """Serve the first."""
        return self._first.get(address, sealed)


class TwoViews(OldRecord):
    """Tells two people different things: contacts get the oldest record, newcomers the newest."""

    def record(self, address: Address, sealed: bytes, asked_with: KeyKind | None) -> bytes:
        """Serve by who asks."""
        return super().record(address, sealed, asked_with) if asked_with is KeyKind.ACCESS else sealed


class RecordOfAnother(Lie):
    """Serves somebody else's record under this name, true and signed."""

    def __init__(self, cards: Cards, switch: Path | None) -> None:
        super().__init__(cards, switch)
        self._published: dict[Address, bytes] = {}

    def publish(self, address: Address, sealed: bytes) -> None:
        """Keep everybody's."""
        self._published[address] = sealed

    def record(self, address: Address, sealed: bytes, asked_with: KeyKind | None) -> bytes:  # noqa: ARG002
        """Serve another's; sealed anew with both cards, as it is without."""
        for other in self.insider.others(address):
            theirs = self.insider.record(other)
            if theirs is not None:
                return self.insider.seal(record_slot(address), theirs.encoded)
        return next((found for other, found in self._published.items() if other != address), sealed)


class AddDevice(Lie):
    """Adds a device of its own to a record, so that messages would be encrypted to the relay, too."""

    def record(self, address: Address, sealed: bytes, asked_with: KeyKind | None) -> bytes:  # noqa: ARG002
        """Serve the record with one device more, under the signatures of the true one."""
        record = self.insider.record(address)
        if record is None:
            return sealed[:-1] + bytes([sealed[-1] ^ 1])
        number = DeviceId(record.devices[-1].id + 1)
        return self.insider.seal(
            record_slot(address), _with_device(record, self.insider.false_device(record, number).device)
        )


class PrekeyTwice(Lie):
    """Hands out the same one-time prekeys to everybody."""

    def __init__(self, cards: Cards, switch: Path | None) -> None:
        super().__init__(cards, switch)
        self._first: dict[tuple[Address, DeviceId], Bundle] = {}

    async def bundle(self, address: Address, device: DeviceId, bundle: Bundle) -> Bundle:
        """Hand out those of the first bundle."""
        first = self._first.setdefault((address, device), bundle)
        return bundle.model_copy(
            update={"one_time_prekey": first.one_time_prekey, "one_time_kem_prekey": first.one_time_kem_prekey}
        )


class PrekeysOfAnother(Lie):
    """Hands out somebody else's prekeys under this name."""

    async def bundle(self, address: Address, device: DeviceId, bundle: Bundle) -> Bundle:
        """Hand out another's whole bundle, sealed anew as this one's."""
        for other in self.insider.others(address):
            theirs = await self.insider.true_bundle(other, device)
            if theirs is not None:
                return self.insider.sealed(address, device, self.insider.opened(other, device, theirs), bundle)
        return bundle


class WithholdPrekeys(Lie):
    """Says that no one-time prekeys are left, so that first messages have only the keys of the week."""

    async def bundle(self, address: Address, device: DeviceId, bundle: Bundle) -> Bundle:  # noqa: ARG002
        """Hand out a bundle without."""
        return bundle.model_copy(update={"one_time_prekey": None, "one_time_kem_prekey": None})


def _keys(device: Device) -> bytes:
    return device.identity_key.raw + device.signing_key.raw


def _with_device(record: AccountRecord, device: Device) -> bytes:
    """Return the encoding of a record with one device more; the signatures are those over the record without it."""
    body, signatures = record.encoded[:-SIGNATURES_SIZE], record.encoded[-SIGNATURES_SIZE:]
    start = len(body) - DEVICE_SIZE * len(record.devices)
    added = bytes([device.id, 0]) + device.created.to_bytes(8, "big") + _keys(device)
    return body[: start - 1] + bytes([len(record.devices) + 1]) + body[start:] + added + signatures
