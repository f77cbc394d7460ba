"""What the admin log says of a start: the version, and which settings changed since the start before.

Values stay out of it, because some name hosts or are secret. A mark is a short keyed hash of one: it tells two values
apart for whoever has the secrets file, and nothing to others. The key itself has one, too: after a restore with other
secrets every mark is another, though nothing was set.

Source: docs/reference/relay.md, "Admin log".
"""

from typing import Any, Final

from pydantic import SecretStr

from halonyx.core.errors import StoreError
from halonyx.core.labels import RELAY_MARK
from halonyx.core.primitives import hmac_sha256
from halonyx.relay.admin_log import LOG, AdminEvent, append, last_marks, note, read
from halonyx.relay.events import Event, log
from halonyx.relay.secrets import Secrets
from halonyx.relay.services import VERSION
from halonyx.relay.settings import RelaySettings

MARK_SIZE: Final = 4
KEY: Final = "key"


def note_start(settings: RelaySettings, secrets: Secrets) -> None:
    """Note a start; a log that can't be written is told in the relay's own log and stops nothing."""
    marks = _marks(settings, secrets.work_key)
    try:
        before = last_marks(read(settings.data))
        append(settings.data, AdminEvent.STARTED, version=VERSION, mode=settings.signup_mode, marks=marks)
        if before is not None and before != marks and before.get(KEY) == marks[KEY]:
            changed = sorted(name for name in {*before, *marks} if before.get(name) != marks.get(name))
            append(settings.data, AdminEvent.SETTINGS_CHANGED, names=changed)
    except StoreError as error:
        log(Event.WRITE_FAILED, database=LOG, error=type(error).__name__)


def note_stop(settings: RelaySettings) -> None:
    """Note a stop, as `note_start` notes a start."""
    note(settings.data, AdminEvent.STOPPED)


def _marks(settings: RelaySettings, key: bytes) -> dict[str, str]:
    """Return the mark of each setting that is not as it is by default, and of the key."""
    values = {
        name: _text(value)
        for name, field in RelaySettings.model_fields.items()
        if (value := getattr(settings, name)) != field.default
    }
    return {
        name: hmac_sha256(key, RELAY_MARK + b"\x00" + name.encode() + b"\x00" + value)[:MARK_SIZE].hex()
        for name, value in {KEY: b"", **values}.items()
    }


def _text(value: Any) -> bytes:  # noqa: ANN401 (any setting)
    shown = value.get_secret_value() if isinstance(value, SecretStr) else value
    return repr(shown).encode("utf-8", "surrogateescape")
