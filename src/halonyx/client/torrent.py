"""One ciphertext shared by BitTorrent over WebRTC: a narrow wrapper around libtorrent.

Each transfer has a session of its own, so that nothing ties two of them together. It knows one tracker, the relay's,
and speaks to nobody else: no DHT, no local discovery, no port mapping, no STUN server.

Source: spec/files.md, "Torrent"; BEP 3 and 9; https://libtorrent.org/reference-Settings.html.
"""

import os
import ssl
import time
from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path
from typing import Any, Final

import libtorrent as lt

from halonyx.core.errors import RemoteError

NAME: Final = "halonyx"  # the torrent's, and of the file that holds the ciphertext
PIECE_SIZE: Final = 1024 * 1024
PIECE_HASH_SIZE: Final = 20
ANNOUNCE_AGAIN_SECONDS: Final = 15.0  # while nobody is there: a relay that was restarted knows no peers
STOPPING_SECONDS: Final = 1
_WANTED: Final = 4  # libtorrent's ordinary priority

_SETTINGS: Final[Any] = {  # of a type that only the library's stubs know
    # Announces need a socket to be named after; nobody outside this machine reaches it, and it takes no connection.
    "listen_interfaces": "127.0.0.1:0",
    "enable_incoming_tcp": False,
    "enable_outgoing_tcp": False,
    "enable_incoming_utp": False,
    "enable_outgoing_utp": False,
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "dht_bootstrap_nodes": "",
    "webtorrent_stun_server": "",  # the default is a stranger's
    "user_agent": "",
    "peer_fingerprint": "-XX0000-",
    "allow_multiple_connections_per_ip": True,  # one who comes back is not turned away for the connection that died
    "close_redundant_connections": False,  # before its metadata is checked, whoever downloads wants nothing
    "min_websocket_announce_interval": 5,
    "stop_tracker_timeout": STOPPING_SECONDS,
    "max_webtorrent_offers": 5,
    "aio_threads": 2,
    "max_queued_disk_bytes": 16 * 1024 * 1024,
    "alert_mask": lt.alert.category_t.error_notification | lt.alert.category_t.tracker_notification,
}
_FLAGS: Final = (
    lt.torrent_flags.disable_dht
    | lt.torrent_flags.disable_lsd
    | lt.torrent_flags.disable_pex
    | lt.torrent_flags.override_trackers
    | lt.torrent_flags.override_web_seeds
)
_CERTIFICATES: Final = "SSL_CERT_FILE"


class WrongMetadata(RemoteError):
    """The torrent describes something else than what was offered."""

    code = "wrong-metadata"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a torrent has come.

    Attributes:
        done: Bytes that are here and match their piece's hash.
        down, up: Bytes a second.
        peers: Connections that are open.
        sent: Bytes given to others since this session began.
        wasted: Bytes that did not match the hash of their piece.
        is_complete: All of it is here.
        is_checking: What is on disk is being compared with the hashes.
        is_tracked: The relay's tracker answered when it was last asked; None before it was.
        problem: What the disk says, or None: an `errno` number.
    """

    done: int
    down: int
    up: int
    peers: int
    sent: int
    wasted: int
    is_complete: bool
    is_checking: bool
    is_tracked: bool | None
    problem: int | None


def info_of(size: int, piece_hashes: bytes) -> bytes:
    """Return the info dictionary: it says how long the ciphertext is, and nothing of what is inside.

    Not private in the sense of BEP 27: libtorrent neither gives nor takes metadata of such torrents. Peers are not
    exchanged anyway.

    Args:
        size: Bytes of the ciphertext.
        piece_hashes: SHA-1 of each MiB.
    """
    head = f"d6:lengthi{size}e4:name{len(NAME)}:{NAME}12:piece lengthi{PIECE_SIZE}e6:pieces{len(piece_hashes)}:"
    return head.encode("ascii") + piece_hashes + b"e"


def check_info(info: bytes, size: int) -> bytes:
    """Return an info dictionary if it is the one way to describe a ciphertext of this size.

    Raises:
        WrongMetadata: Anything else.
    """
    hashes_size = -(-size // PIECE_SIZE) * PIECE_HASH_SIZE
    if info != info_of(size, info[-1 - hashes_size : -1]):
        raise WrongMetadata("the torrent is not what was offered")
    return info


def tracker_url(origin: str, token: bytes) -> str:
    """Return where the peers of one ciphertext meet."""
    return f"{origin.replace('http', 'ws', 1)}/v1/tracker?token={token.hex()}"


class Torrent:
    """One ciphertext, given out or fetched; changes as the network does. Every call returns at once.

    Args:
        folder: Holds the ciphertext under NAME.
        size: Bytes of the ciphertext.
        tracker: As `tracker_url` has it.
    """

    def __init__(self, folder: Path, size: int, tracker: str) -> None:
        _find_certificates()
        self._folder, self._size, self._tracker = folder, size, tracker
        self._session: lt.session | None = lt.session(_SETTINGS)
        self._handle: lt.torrent_handle | None = None
        self._is_tracked: bool | None = None
        self._announced = time.monotonic()
        self._has_info = True

    def seed(self, info: bytes) -> None:
        """Give out a ciphertext that is complete.

        Args:
            info: As `info_of` made it.
        """
        self._add(_torrent_info(info), lt.torrent_flags.seed_mode)

    def fetch(self, info_hash: bytes, info: bytes | None) -> None:
        """Fetch a ciphertext; what lies in the folder already is compared with the hashes and kept.

        Args:
            info_hash: SHA-1 of the info dictionary.
            info: The dictionary itself, if it was there before. Nothing is downloaded until it is known and fits.

        Raises:
            WrongMetadata: `info` does not fit.
        """
        if info is not None and sha1(info, usedforsecurity=False).digest() == info_hash:
            self._add(_torrent_info(check_info(info, self._size)), lt.torrent_flags.update_subscribe)
            return
        self._has_info = False
        self._add(lt.info_hash_t(lt.sha1_hash(info_hash)), lt.torrent_flags.default_dont_download)

    def take_info(self) -> bytes | None:
        """Return the info dictionary once, when a peer has given it, and begin to download.

        Raises:
            WrongMetadata: It is not what was offered; nothing was downloaded.
        """
        if self._has_info or self._handle is None or not self._handle.status().has_metadata:
            return None
        found = self._handle.torrent_file()
        if found is None:
            return None
        info = check_info(bytes(found.info_section()), self._size)
        self._has_info = True
        self._handle.prioritize_files([_WANTED])
        return info

    def progress(self) -> Progress:
        """Return how far it has come; asks the tracker again while nobody is there."""
        problem = self._read_alerts()
        if self._handle is None:
            return Progress(0, 0, 0, 0, 0, 0, False, False, self._is_tracked, problem)
        status = self._handle.status()
        if not status.num_peers and time.monotonic() - self._announced >= ANNOUNCE_AGAIN_SECONDS:
            self._announced = time.monotonic()
            self._handle.force_reannounce(0, -1, lt.torrent_handle.ignore_min_interval)
        states = (lt.torrent_status.states.checking_files, lt.torrent_status.states.checking_resume_data)
        return Progress(
            done=status.total_done,
            down=status.download_payload_rate,
            up=status.upload_payload_rate,
            peers=status.num_peers,
            sent=status.total_payload_upload,
            wasted=status.total_failed_bytes,
            is_complete=self._has_info and status.total_done == self._size,
            is_checking=status.state in states,
            is_tracked=self._is_tracked,
            problem=problem or (status.errc.value() or None),
        )

    def close(self) -> None:
        """Leave the swarm and write what is in memory; blocks for about a second, so call it in a thread."""
        session, self._session, self._handle = self._session, None, None
        del session  # the last reference: it says goodbye to the tracker

    def _add(self, what: "lt.torrent_info | lt.info_hash_t", flags: int) -> None:
        parameters = lt.add_torrent_params()
        if isinstance(what, lt.torrent_info):
            parameters.ti = what
        else:
            parameters.info_hashes = what
        parameters.save_path = str(self._folder)
        parameters.trackers = [self._tracker]
        parameters.flags = _FLAGS | flags
        if self._session is not None:
            self._handle = self._session.add_torrent(parameters)

    def _read_alerts(self) -> int | None:
        problem = None
        for alert in self._session.pop_alerts() if self._session else ():
            match alert:
                case lt.tracker_reply_alert():
                    self._is_tracked = True
                case lt.tracker_error_alert():
                    self._is_tracked = False
                case lt.file_error_alert():
                    problem = alert.error.value()
        return problem


def _torrent_info(info: bytes) -> "lt.torrent_info":
    return lt.torrent_info(b"d4:info" + info + b"e")


def _find_certificates() -> None:
    """Tell libtorrent's own TLS library where this system keeps its certificates; it was built on another one."""
    found = ssl.get_default_verify_paths().cafile
    if found is not None:
        os.environ.setdefault(_CERTIFICATES, found)
