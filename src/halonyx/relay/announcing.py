"""The operator's announcement: one file in the data folder, written by a command and read by the relay that runs.

The relay keeps the last one for those who come later, and forgets it after seven days.

Source: spec/delivery.md, "Announcements".
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from halonyx.core.errors import Misuse, RemoteError, StoreError
from halonyx.core.primitives import VerifyKey
from halonyx.core.types import SIGNATURE_SIZE, Millis
from halonyx.disk import write_whole
from halonyx.relay.admin_log import AdminEvent, note
from halonyx.relay.folder import require_relay
from halonyx.relay.secrets import read
from halonyx.relay.settings import RelaySettings
from halonyx.wire.announcement import APART, MAX_TEXT, Announce, Announcement

FILE: Final = "announcement"
LOOK_SECONDS: Final = 1.0  # between two looks at the file
_MAX_SIZE: Final = 12 + MAX_TEXT + SIGNATURE_SIZE


class TooSoon(Misuse):
    """The last announcement is not an hour old."""

    code = "too-soon"


class Board:
    """What the operator said last.

    Args:
        data: The data folder.
        key: The operator's.
    """

    def __init__(self, data: Path, key: VerifyKey) -> None:
        self._path = data / FILE
        self._key = key
        self._encoded = b""
        self._said: Announcement | None = None

    def look(self, now: Millis) -> bytes | None:
        """Read the file; return the frame to tell everybody if there is a new announcement in it.

        By its bytes: one that was taken back and made anew between two looks shows in nothing else for certain.
        """
        encoded = _read(self._path)
        if encoded == self._encoded:
            return None
        self._encoded, self._said = encoded, _parse(encoded, self._key)
        return self.frame(now)

    def frame(self, now: Millis) -> bytes | None:
        """Return the frame for a device that comes now, or None."""
        is_told = self._said is not None and self._said.is_current(now)
        return Announce(self._encoded).encode() if is_told else None


def announce(settings: RelaySettings, text: str, now: Millis) -> None:
    """Sign an announcement and put it where the relay finds it; the relay may run.

    Raises:
        Misuse: There is no relay in the data folder, or nobody may announce this text.
        TooSoon: The last one is not an hour old.
        StoreError: The secrets can't be read, or the file can't be written.
    """
    require_relay(settings.data)
    key = read(settings.secrets_path).operator_key
    announcement = Announcement(now, text)
    encoded = announcement.sign(key)
    last = _parse(_read(settings.data / FILE), key.public)
    if last is not None and last.is_current(now) and not announcement.may_follow(last.time):
        at = datetime.fromtimestamp((last.time + APART) / 1000, UTC).astimezone()
        raise TooSoon(f"one announcement an hour: devices would pass over another. The next is possible at {at:%H:%M}")
    path = settings.data / FILE
    try:
        write_whole(path, encoded)
    except OSError as error:
        raise StoreError(f"{path} can't be written: {error.strerror}") from None
    note(settings.data, AdminEvent.ANNOUNCED)


def _read(path: Path) -> bytes:
    """Return what is in the file; nothing if there is none."""
    try:
        with path.open("rb") as file:
            return file.read(_MAX_SIZE + 1)
    except OSError:
        return b""


def _parse(encoded: bytes, key: VerifyKey) -> Announcement | None:
    """Return the announcement, if it is the operator's."""
    try:
        return Announcement.parse(encoded, key)
    except RemoteError:
        return None
