"""What the parts of one relay share."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from halonyx.core.types import Millis
from halonyx.relay.limits import Limiter
from halonyx.relay.metrics import Metrics
from halonyx.relay.secrets import Secrets
from halonyx.relay.settings import RelaySettings
from halonyx.relay.store.drops import DropStore
from halonyx.relay.store.identity import IdentityStore
from halonyx.relay.store.invites import InviteStore
from halonyx.relay.store.keys import KeyStore
from halonyx.relay.store.mailbox import MailboxStore


def wall_clock() -> Millis:
    """Return the time of day."""
    return Millis(time.time_ns() // 1_000_000)


@dataclass(slots=True)
class RelayContext:
    """One relay: settings, secrets and stores.

    Attributes:
        clock: Milliseconds since 1970.
    """

    settings: RelaySettings
    secrets: Secrets = field(repr=False)
    identity: IdentityStore
    invites: InviteStore
    keys: KeyStore
    mailboxes: MailboxStore
    drops: DropStore
    limiter: Limiter
    metrics: Metrics
    clock: Callable[[], Millis] = wall_clock
