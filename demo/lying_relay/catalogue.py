"""Every lie by its name."""

from typing import Final

from lying_relay import directory, mail, page
from lying_relay.lie import Lie

LIES: Final[dict[str, type[Lie]]] = {
    "swap-device-key": directory.SwapDeviceKey,
    "swap-record": directory.SwapRecord,
    "old-record": directory.OldRecord,
    "record-of-another": directory.RecordOfAnother,
    "add-device": directory.AddDevice,
    "two-views": directory.TwoViews,
    "prekey-twice": directory.PrekeyTwice,
    "prekeys-of-another": directory.PrekeysOfAnother,
    "withhold-prekeys": directory.WithholdPrekeys,
    "drop": mail.Drop,
    "repeat": mail.Repeat,
    "reorder": mail.Reorder,
    "delay": mail.Delay,
    "forge": mail.Forge,
    "not-stored": mail.NotStored,
    "claim-delivery": mail.ClaimDelivery,
    "altered-javascript": page.AlteredJavaScript,
}
