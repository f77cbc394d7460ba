"""Numbers about the relay as a whole; no label names an account, a device or a client.

Source: docs/reference/relay.md, "Numbers".
"""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The relay's counters, in a registry of their own: several relays may live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        registry = self.registry
        self.requests = Counter("halonyx_requests", "REST calls", ["route", "status"], registry=registry)
        self.sign_ups = Counter("halonyx_sign_ups", "Accounts made", registry=registry)
        self.bundles = Counter("halonyx_bundles", "Prekey bundles handed out", registry=registry)
        self.limited = Counter("halonyx_limited", "Calls refused by a rate limit", ["route"], registry=registry)
        self.unforwarded = Counter(
            "halonyx_unforwarded", "Calls behind a proxy without X-Forwarded-For", registry=registry
        )
        self.tidied = Gauge("halonyx_tidied", "Interrupted changes tidied at the last start", registry=registry)

    def render(self) -> bytes:
        """Return the text exposition format of Prometheus."""
        return generate_latest(self.registry)
