"""TLS: the relay's own, and nginx's with the sample in deploy/."""

import asyncio
import http.client
import os
import socket
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from halonyx.core.errors import Misuse
from halonyx.relay.server import Relay
from halonyx.relay.settings import load_settings
from halonyx.relay.tls import Certificate
from relay.tls_kit import Pair, certificate, nginx, talk
from relay_process import RelayProcess, free_port


def trusting(pair: Pair) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(pair.chain))


def shown(certificate: Certificate) -> bytes:
    """Return what a new connection is shown, without a network."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    one, other = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(one, other)
    there = certificate.context.wrap_bio(other, one, server_side=True)
    for side in (here, there, here):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    found = here.getpeercert(binary_form=True)
    assert found is not None
    return found


async def test_two_people_talk_over_the_relays_own_tls(tmp_path: Path) -> None:
    pair = certificate(tmp_path)
    port = free_port()
    settings = load_settings(data=tmp_path / "relay", port=port, tls_cert=pair.chain, tls_key=pair.key, reserve_bytes=0)
    assert settings.public_origins == (f"https://localhost:{port}", f"https://127.0.0.1:{port}")
    relay = Relay(settings)
    serving = asyncio.create_task(relay.serve())
    try:
        await relay.is_serving.wait()
        await asyncio.to_thread(talk, tmp_path, settings.public_origins[0], pair.chain)
        await asyncio.to_thread(refuses_less, port, pair)
    finally:
        relay.stop()
        await serving


def refuses_less(port: int, pair: Pair) -> None:
    """Nothing is answered without TLS, or below version 1.3."""
    connection = http.client.HTTPConnection("localhost", port, timeout=10)
    connection.request("GET", "/healthz")
    with pytest.raises((http.client.HTTPException, OSError)):
        connection.getresponse()
    connection.close()
    older = trusting(pair)
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("localhost", port), 10) as raw, pytest.raises(ssl.SSLError):
        older.wrap_socket(raw, server_hostname="localhost")


async def test_a_renewed_certificate_is_taken_and_a_broken_one_is_not(tmp_path: Path) -> None:
    pair = certificate(tmp_path)
    made = Certificate(pair.chain, pair.key)
    first = shown(made)
    await made.refresh()
    assert shown(made) == first
    whole = [path.read_bytes() for path in (pair.chain, pair.key)]
    newer = certificate(tmp_path, "newer")
    pair.chain.write_bytes(newer.chain.read_bytes())
    os.utime(pair.chain, ns=(1, 1))
    for _ in range(2):
        with pytest.raises(Misuse, match="belongs to it"):
            await made.refresh()
        assert shown(made) == first
    pair.key.write_bytes(newer.key.read_bytes())
    await made.refresh()
    assert shown(made) == ssl.PEM_cert_to_DER_cert(newer.chain.read_text()) != first
    assert whole[0] != pair.chain.read_bytes()


def missing(pair: Pair) -> None:
    pair.key.unlink()


def foreign(pair: Pair) -> None:
    pair.key.write_bytes(certificate(pair.key.parent, "other").key.read_bytes())


def noise(pair: Pair) -> None:
    pair.chain.write_bytes(os.urandom(500))


def locked(pair: Pair) -> None:
    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    pair.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )


@pytest.mark.parametrize("change", [missing, foreign, noise, locked])
async def test_what_is_no_certificate_is_said_before_anything_starts(tmp_path: Path, change: object) -> None:
    pair = certificate(tmp_path)
    assert callable(change)
    change(pair)
    settings = load_settings(data=tmp_path / "relay", tls_cert=pair.chain, tls_key=pair.key)
    with pytest.raises(Misuse, match="tls: "):
        await Relay(settings).serve()
    assert not settings.data.exists()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"tls_cert": "chain.pem"}, "belong together"),
        ({"tls_key": "key.pem"}, "belong together"),
        ({"host": "0.0.0.0"}, "plain HTTP"),  # noqa: S104 (it is refused)
        ({"host": "0.0.0.0", "tls_cert": "a", "tls_key": "b"}, "public origin"),  # noqa: S104
        ({"tls_cert": "a", "tls_key": "b", "origins": ["http://localhost:3000"]}, "https://"),
        ({"origins": ["https://relay.example"]}, "tls_cert"),
    ],
)
def test_no_public_address_without_tls(setting: dict[str, object], words: str) -> None:
    with pytest.raises(Misuse, match=words):
        load_settings(**setting)


def test_a_public_address_with_tls_needs_no_proxy() -> None:
    settings = load_settings(host="0.0.0.0", tls_cert="a", tls_key="b", origins=["https://relay.example"])  # noqa: S104
    assert settings.signup_mode == "pow"
    assert load_settings(port=443, tls_cert="a", tls_key="b").public_origins[0] == "https://localhost"


def test_two_people_talk_through_nginx_with_the_sample(tmp_path: Path) -> None:
    pair, port = certificate(tmp_path), free_port()
    origin = f"https://localhost:{port}"
    relay = RelayProcess(
        free_port(),
        tmp_path / "relay",
        {
            "HALONYX_BEHIND_PROXY": "true",
            "HALONYX_ORIGINS": f'["{origin}"]',
            "HALONYX_POW_BITS": "1",
            "HALONYX_RESERVE_BYTES": "0",
        },
    )
    relay.start()
    try:
        with nginx(tmp_path / "nginx", pair, port, relay.port) as proxy:
            talk(tmp_path, proxy.origin, pair.chain)
            redirects(proxy.plain_port)
            believes_its_own_address_alone(proxy.port, pair)
        assert not (tmp_path / "nginx" / "error.log").read_text()
    finally:
        relay.stop()


def redirects(port: int) -> None:
    connection = http.client.HTTPConnection("localhost", port, timeout=10)
    connection.request("GET", "/docs")
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (308, "https://localhost/docs")
    connection.close()


def believes_its_own_address_alone(port: int, pair: Pair) -> None:
    """The numbers are for this machine: a header by which a client claims to be elsewhere changes nothing."""
    connection = http.client.HTTPSConnection("localhost", port, timeout=10, context=trusting(pair))
    connection.request("GET", "/metrics", headers={"X-Forwarded-For": "203.0.113.9"})
    assert connection.getresponse().status == 200
    connection.close()
