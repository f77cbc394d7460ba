"""Sizes and units that everything else is measured in."""

from halonyx.core import types


def test_sizes_are_those_of_the_specification() -> None:
    assert (types.HASH_SIZE, types.KEY_SIZE, types.SIGNATURE_SIZE) == (32, 32, 64)
    assert (types.SESSION_ID_SIZE, types.MESSAGE_ID_SIZE, types.ACCESS_KEY_SIZE) == (8, 16, 16)
    assert (types.MAX_DEVICE_ID, types.MAX_PREKEY_ID) == (0xFF, 0xFFFFFFFF)


def test_time_is_in_milliseconds() -> None:
    assert (types.SECOND, types.MINUTE, types.HOUR, types.DAY) == (1_000, 60_000, 3_600_000, 86_400_000)


def test_ids_cost_nothing_at_run_time() -> None:
    raw = bytes(32)
    assert types.Usid(raw) is raw
    assert types.Address(raw) is raw
    assert types.DeviceId(1) == 1
