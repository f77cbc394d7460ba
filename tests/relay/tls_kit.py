"""Certificates of our own, Debian's nginx with the sample configuration, and people who talk through either."""

import contextlib
import datetime as dt
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from command_line import HALONYX, PASSPHRASE
from relay_process import clean_environment, free_port

SAMPLE = Path(__file__).parents[2] / "deploy" / "nginx.conf"
STARTING_SECONDS = 20
COMMAND_SECONDS = 60


@dataclass(frozen=True)
class Pair:
    """A self-signed certificate for localhost and its key, as PEM files."""

    chain: Path
    key: Path


def certificate(folder: Path, name: str = "tls", days: int = 30, host: str = "localhost") -> Pair:
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=60))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    pair.chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pair.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pair


def halonyx(home: Path, trusted: Path, *arguments: str) -> list[dict[str, Any]]:
    """Run a command that trusts a certificate; a new process, because trust is loaded with the program."""
    own = {"HALONYX_HOME": str(home), "HALONYX_PASSPHRASE": PASSPHRASE, "SSL_CERT_FILE": str(trusted)}
    done = subprocess.run(
        [*HALONYX, *arguments, "--json"],
        env=clean_environment(**own),
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=COMMAND_SECONDS,
    )
    assert done.returncode == 0, f"{arguments}: {done.stderr}"
    return [json.loads(line) for line in done.stdout.splitlines()]


def talk(folder: Path, origin: str, trusted: Path) -> None:
    """Two people sign up and write to each other: REST and both WebSockets."""
    alice, bob = folder / "alice", folder / "bob"
    for home in (alice, bob):
        halonyx(home, trusted, "account", "create", "--relay", origin)
    for home, name, other in ((alice, "bob", bob), (bob, "alice", alice)):
        card = halonyx(other, trusted, "card")[0]["card"]
        halonyx(home, trusted, "contact", "add", card, "--name", name)
    assert halonyx(alice, trusted, "send", "bob", "over TLS")[0]["state"] == "accepted"
    texts = [event["text"] for event in halonyx(bob, trusted, "receive") if "text" in event]
    assert texts == ["over TLS"]


@dataclass(frozen=True)
class Proxy:
    """nginx in front of a relay."""

    origin: str
    plain_port: int
    port: int


@contextlib.contextmanager
def nginx(
    folder: Path, pair: Pair, port: int, relay_port: int, broken: tuple[str, str] | None = None
) -> Iterator[Proxy]:
    """Run nginx with the sample, its CHANGE lines changed, from `port` to the relay.

    Args:
        broken: A piece of the sample, and what stands there instead.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plain_port = free_port()
    sample = changed(pair, port, plain_port, relay_port, folder)
    if broken is not None:
        assert broken[0] in sample, broken[0]
        sample = sample.replace(*broken)
    (folder / "halonyx").write_text(sample)
    temporary = "\n".join(
        f"    {kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"{user}daemon off;\nworker_processes 1;\npid {folder}/pid;\nerror_log stderr crit;\nevents {{}}\n"
        f"http {{\n{temporary}\n    include {folder}/halonyx;\n}}\n"
    )
    command = ["/usr/sbin/nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    checked = subprocess.run([*command, "-t"], check=False, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    assert "[warn]" not in checked.stderr, checked.stderr
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            _await(port)
            yield Proxy(f"https://localhost:{port}", plain_port, port)
        finally:
            process.terminate()


def changed(pair: Pair, port: int, plain_port: int, relay_port: int, folder: Path) -> str:
    """Return the sample for this machine; each line that is changed has to be there."""
    sample = SAMPLE.read_text()
    for former, now in (
        ("    listen [::]:80;\n", ""),
        ("    listen [::]:443 ssl http2;\n", ""),
        ("listen 80;", f"listen 127.0.0.1:{plain_port};"),
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("server 127.0.0.1:3000;", f"server 127.0.0.1:{relay_port};"),
        ("/etc/letsencrypt/live/relay.example/fullchain.pem", str(pair.chain)),
        ("/etc/letsencrypt/live/relay.example/privkey.pem", str(pair.key)),
        ("/var/log/nginx/halonyx.log", f"{folder}/error.log"),
        ("server_name relay.example;", "server_name localhost;"),
    ):
        assert former in sample, former
        sample = sample.replace(former, now)
    return sample


def _await(port: int) -> None:
    deadline = time.monotonic() + STARTING_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < deadline, "nginx does not answer"
            time.sleep(0.02)
        else:
            return
