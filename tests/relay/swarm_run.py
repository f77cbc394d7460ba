"""Two libtorrent peers and one relay, in a network of their own from which nothing can leave; prints what happened.

libtorrent offers no loopback candidate over WebRTC, so the namespace has an address on a veth pair. Run by
test_torrent.py: `unshare --map-root-user --net python tests/relay/swarm_run.py FOLDER TOKEN TOKEN`.
"""

import http.client
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import cast

import libtorrent

from relay_process import RelayProcess, running_relay

ADDRESS = "10.99.0.1"
NETWORK = (
    "ip link set lo up",
    "ip link add v0 type veth peer name v1",
    f"ip addr add {ADDRESS}/24 dev v0",
    "ip link set v0 up",
    "ip link set v1 up",
    "ip route add default via 10.99.0.2 dev v0",
)
SETTINGS: dict[str, object] = {
    "listen_interfaces": f"{ADDRESS}:0",
    "webtorrent_stun_server": "",
    "ssrf_mitigation": False,  # the tracker is on this machine
    "min_websocket_announce_interval": 1,
    **dict.fromkeys(("enable_dht", "enable_lsd", "enable_upnp", "enable_natpmp"), False),
    **dict.fromkeys((f"enable_{way}_{kind}" for way in ("incoming", "outgoing") for kind in ("tcp", "utp")), False),
}
SIZE = 3 * 1024 * 1024 + 17
MOST_SECONDS = 60
SECONDS_ALONE = 5


def torrent(folder: Path) -> libtorrent.torrent_info:
    """Make a file and its torrent, as files.md says."""
    (folder / "halonyx").write_bytes(os.urandom(SIZE))
    files = [libtorrent.create_file_entry("halonyx", SIZE)]
    made = libtorrent.create_torrent(files, piece_size=1024 * 1024, flags=libtorrent.create_torrent.v1_only)
    made.set_priv(True)
    libtorrent.set_piece_hashes(made, str(folder))
    return libtorrent.torrent_info(made.generate())


def add(
    session: libtorrent.session, folder: Path, info: libtorrent.torrent_info, tracker: str
) -> libtorrent.torrent_handle:
    """Let a session share or fetch what lies, or will lie, in a folder."""
    wanted = libtorrent.add_torrent_params()
    wanted.ti, wanted.save_path, wanted.trackers = info, str(folder), [tracker]
    return session.add_torrent(wanted)


def announces(relay: RelayProcess) -> int:
    """Return how many announces the relay has taken."""
    connection = http.client.HTTPConnection("localhost", relay.port)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    return int(float(next(line.split()[1] for line in lines if line.startswith("halonyx_tracker_announces_total"))))


def main(folder: Path, theirs: str, ours: str) -> None:
    for command in NETWORK:
        subprocess.run(command.split(), check=True)
    with running_relay(folder / "relay") as relay:
        trackers = [f"ws://localhost:{relay.port}/v1/tracker?token={token}" for token in (theirs, ours)]
        places = [folder / name for name in ("sender", "receiver")]
        for place in places:
            place.mkdir()
        info = torrent(places[0])
        sessions = [libtorrent.session(cast("libtorrent.settings_pack", SETTINGS)) for _ in places]
        handles = [add(*given) for given in zip(sessions, places, (info, info), trackers, strict=True)]
        deadline = time.monotonic() + MOST_SECONDS
        while not handles[1].status().is_seeding and time.monotonic() < deadline:
            time.sleep(0.1)
            if theirs != ours and announces(relay) >= 2 and deadline > time.monotonic() + SECONDS_ALONE:
                deadline = time.monotonic() + SECONDS_ALONE
        whole = (places[0] / "halonyx").read_bytes()
        received = places[1] / "halonyx"
        print(  # noqa: T201
            json.dumps(
                {
                    "is_equal": received.exists() and received.read_bytes() == whole,
                    "received": handles[1].status().total_payload_download,
                    "announces": announces(relay),
                    "log": relay.log(),
                }
            )
        )
        sys.stdout.flush()
    os._exit(0)  # libtorrent takes a minute to say goodbye to a tracker that is gone


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:4])
