"""The tracker: introduces the peers of one swarm to each other and sees no file.

It is WebTorrent's tracker over WebSocket, so that browsers and libtorrent find each other; nothing but offers and
answers of one swarm passes. Its sockets and peers have bounds of their own, apart from those of mail.

Source: spec/file-relay.md, "Tracker".
"""

import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from picows import WSFrame, WSMsgType
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from halonyx.core.errors import Malformed
from halonyx.relay.decide import Action, Quiet, due
from halonyx.relay.limits import Limiter, Meter
from halonyx.relay.settings import RelaySettings
from halonyx.relay.sockets import Connection, Gate
from halonyx.relay.swarms import Bounds, Refusal, Swarms, TrackerError, swarm_of
from halonyx.wire.frames import CloseCode
from halonyx.wire.tracker import STOPPED, Announce, Answer, Offer, encode, failure, parse_announce, parse_token

MOST_REFUSALS: Final = 100
_RANDOM: Final = secrets.SystemRandom()


class Tracker:
    """All swarms and tracker sockets of one relay.

    Args:
        settings: The operator's.
        limiter: Counts sockets.
    """

    def __init__(self, settings: RelaySettings, limiter: Limiter) -> None:
        self.settings = settings
        self.swarms: Swarms[Tracking] = Swarms(
            Bounds(settings.tracker_peers, settings.tracker_peers_per_swarm, settings.tracker_swarms_per_client)
        )
        self._limiter = limiter
        self._sockets: Counter[str] = Counter()
        self.announces = 0
        self.passed_on = 0
        self.refused: Counter[TrackerError] = Counter()

    def admit(self, gate: Gate, query: str, network: str) -> "Tracking | None":
        """Make the connection for an upgrade, or refuse when the client or everybody has too many."""
        settings = self.settings
        if self._limiter.hit(settings.rate_tracker_sockets, "tracker", self._limiter.client(network)):
            return None
        if self._sockets[network] >= settings.tracker_connections_per_client:
            return None
        if self._sockets.total() >= settings.tracker_connections:
            return None
        self._sockets[network] += 1
        return Tracking(self, gate, network, parse_token(query))

    def closed(self, connection: "Tracking") -> None:
        """Count a socket no more."""
        self._sockets[connection.network] -= 1
        if not self._sockets[connection.network]:
            del self._sockets[connection.network]

    def collect(self) -> Iterator[Metric]:
        """Return what /metrics shows: numbers of everything together."""
        yield GaugeMetricFamily("halonyx_tracker_sockets", "Open tracker sockets", self._sockets.total())
        yield GaugeMetricFamily("halonyx_tracker_swarms", "Swarms", len(self.swarms))
        yield GaugeMetricFamily("halonyx_tracker_peers", "Peers in all swarms", self.swarms.peers)
        yield CounterMetricFamily("halonyx_tracker_announces", "Announces taken", self.announces)
        yield CounterMetricFamily("halonyx_tracker_passed_on", "Offers and answers passed on", self.passed_on)
        refused = CounterMetricFamily("halonyx_tracker_refused", "Messages refused", labels=["code"])
        for reason in TrackerError:
            refused.add_metric([reason.value], self.refused[reason])
        yield refused


class Tracking(Connection):
    """One connection on /v1/tracker: JSON in text messages, in one frame or in fragments.

    Args:
        tracker: The swarms.
        gate: The hub.
        network: Whose count this connection is in.
        token: From the address, 16 bytes; None if there is none, which ends the connection.
    """

    kind = WSMsgType.TEXT
    first_byte = b"\x81"

    def __init__(self, tracker: Tracker, gate: Gate, network: str, token: bytes | None) -> None:
        super().__init__(gate, network)
        self._tracker = tracker
        self._token = token
        # Idle here means: nothing announced for a while; the rest is as on every path.
        self._limits = replace(gate.limits, idle_send_s=tracker.settings.tracker_idle_seconds)
        self._meter = Meter(tracker.settings.rate_tracker)
        self._busy_at = gate.now
        self._blocked_at: float | None = None
        self._refusals = 0
        self._part: bytearray | None = None

    def on_open(self) -> None:
        """End a connection without a token: it could meet nobody."""
        if self._token is None:
            self.close(CloseCode.POLICY_VIOLATION)

    def on_frame(self, data: bytes) -> None:
        """Take one message."""
        self._busy_at = self.gate.now
        if self._part is not None:  # a message inside a fragmented one
            self.close(CloseCode.PROTOCOL_ERROR)
        elif len(data) > self._tracker.settings.tracker_message_bytes:
            self.close(CloseCode.MESSAGE_TOO_BIG)
        elif not self._meter.hit(self.gate.now):
            self._refuse(TrackerError.TOO_MANY_MESSAGES)
        else:
            self._parse(data)

    def _parse(self, data: bytes) -> None:
        try:
            announce = parse_announce(data)
        except Malformed:
            self._refuse(TrackerError.MALFORMED)
            return
        try:
            self._take(announce)
        except Refusal as refusal:
            self._refuse(refusal.reason, announce.info_hash)

    def _take(self, announce: Announce) -> None:
        swarms = self._tracker.swarms
        swarm = swarm_of(announce.info_hash, self._token or b"")
        if announce.answer is not None:
            self._pass_answer(swarms.answered(self, swarm, announce), announce, announce.answer)
        elif announce.event == STOPPED:
            swarms.leave(self, swarm, announce.peer_id)
        else:
            others = swarms.enter(self, swarm, announce, self.gate.now)
            self._tracker.announces += 1
            complete, incomplete = swarms.counts(swarm)
            interval = self._tracker.settings.tracker_interval_seconds
            self.send(encode(info_hash=announce.info_hash, interval=interval, complete=complete, incomplete=incomplete))
            offers = (announce.offers or [])[: self._tracker.settings.tracker_offers]
            chosen = _RANDOM.sample(others, min(len(others), len(offers)))
            for other, offer in zip(chosen, offers, strict=False):
                self._pass_offer(swarms.call(swarm, announce, other, self.gate.now), announce, offer)

    def _pass_offer(self, other: "Tracking", announce: Announce, offer: Offer) -> None:
        description = {"type": "offer", "sdp": offer.offer.sdp}
        other.pass_on(announce, offer_id=offer.offer_id, offer=description)

    def _pass_answer(self, other: "Tracking", announce: Announce, answer: Answer) -> None:
        description = {"type": "answer", "sdp": answer.sdp}
        other.pass_on(announce, offer_id=announce.offer_id, answer=description)

    def pass_on(self, announce: Announce, **fields: object) -> None:
        """Give this peer what another one has for it, unless it does not read: then it would only cost memory."""
        if self._blocked_at is None:
            self._tracker.passed_on += 1
            self.send(encode(info_hash=announce.info_hash, peer_id=announce.peer_id, **fields))

    def _refuse(self, reason: TrackerError, info_hash: str | None = None) -> None:
        """Say why; a peer that goes on and on is closed."""
        self._tracker.refused[reason] += 1
        if (
            reason is TrackerError.UNKNOWN_PEER
        ):  # it has left meanwhile; libtorrent takes a refusal for a broken tracker
            return
        self._refusals += 1
        self.send(failure(reason.value, info_hash))
        if self._refusals >= MOST_REFUSALS:
            self.close(CloseCode.POLICY_VIOLATION)

    def _other_frame(self, kind: WSMsgType, frame: WSFrame) -> None:
        """Join fragments: libtorrent sends long messages in several frames."""
        is_plain = not (frame.rsv1 or frame.rsv2 or frame.rsv3)
        if is_plain and kind == WSMsgType.BINARY:
            self.close(CloseCode.UNSUPPORTED_DATA)
        elif is_plain and kind in {WSMsgType.TEXT, WSMsgType.CONTINUATION} and self.closed_at is None:
            self._fragment(kind, frame)
        else:
            super()._other_frame(kind, frame)

    def _fragment(self, kind: WSMsgType, frame: WSFrame) -> None:
        part = bytearray() if kind == WSMsgType.TEXT else self._part
        if part is None or (kind == WSMsgType.TEXT and self._part is not None):
            self.close(CloseCode.PROTOCOL_ERROR)
            return
        part += frame.get_payload_as_bytes()
        self._part = part
        if len(part) > self._tracker.settings.tracker_message_bytes:
            self.close(CloseCode.MESSAGE_TOO_BIG)
        elif frame.fin:
            self._part = None
            self.on_frame(bytes(part))

    def pause_writing(self) -> None:
        """Read nothing more from a peer that does not read its answers."""
        self._blocked_at = self.gate.now
        self.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self._blocked_at = None
        self.resume_reading()

    def on_gone(self) -> None:
        """Leave all swarms."""
        self._part = None
        self._tracker.swarms.gone(self)

    def lost(self) -> None:
        """Count the socket no more."""
        super().lost()
        self._tracker.closed(self)

    def due(self) -> Action:
        """Decide what time asks."""
        now = self.gate.now
        return due(
            Quiet(
                heard=now - self.heard_at,
                pinged=None if self.pinged_at is None else now - self.pinged_at,
                closing=None if self.closed_at is None else now - self.closed_at,
                idle=now - self._busy_at,
                stuck=None if self._blocked_at is None else now - self._blocked_at,
            ),
            self._limits,
        )
