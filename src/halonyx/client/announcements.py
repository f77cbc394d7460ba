"""What the operator of our relay announces: shown if it is theirs, new, and the first within an hour.

Everything else is passed over in silence: a relay that repeats or forges announcements must not fill the screen.

Source: spec/delivery.md, "Announcements".
"""

from halonyx.client.events import add_notice
from halonyx.client.store import Store
from halonyx.core.errors import RemoteError
from halonyx.core.primitives import VerifyKey
from halonyx.core.types import Millis
from halonyx.wire.announcement import APART, Announcement


def take_in(store: Store, encoded: bytes, now: Millis) -> bool:
    """Remember an announcement to be shown; tell whether it is.

    Args:
        store: That of the account whose relay sent it.
        encoded: As it came.
        now: Our clock.
    """
    with store.transaction():
        row = store.one("SELECT origin, operator_key, announced, announcement_came FROM account")
        if row is None or row["operator_key"] is None:  # an account of a version that did not pin it
            return False
        try:
            found = Announcement.parse(encoded, VerifyKey(row["operator_key"]))
        except RemoteError:
            return False
        # By our clock, too: whoever holds the key could sign times an hour apart and send all of them at once. What
        # comes too early comes again with the next login. A clock that was put back holds up nothing.
        is_early = 0 <= now - row["announcement_came"] < APART
        if is_early or not found.may_follow(row["announced"]) or not found.is_current(now):
            return False
        store.execute("UPDATE account SET announced = ?, announcement_came = ?", found.time, now)
        add_notice(store, "announcement", None, found.time, relay=row["origin"], announcement=found.text)
    return True
