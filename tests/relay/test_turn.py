"""Credentials that a real TURN server takes, started from the sample configuration, and those that it does not."""

import asyncio
import base64
import hmac
import os
import re
from pathlib import Path

import pytest

from halonyx.core.errors import Misuse
from halonyx.core.types import Millis
from halonyx.relay import turn
from halonyx.relay.context import wall_clock
from halonyx.relay.settings import load_settings
from halonyx.wire.rest_files import TurnRequest
from relay.rest_kit import Answer, Person, Relay, running_relay
from relay.turn_kit import asked, turn_server

SECRET = "0123456789abcdef0123456789abcdef"
URLS = ["turn:turn.example:3478?transport=udp", "turns:turn.example"]
SETTINGS: dict[str, object] = {"turn_secret": SECRET, "turn_urls": URLS}


async def ask(relay: Relay, person: Person) -> Answer:
    return await relay.call("POST", "/v1/turn", TurnRequest(address=person.address, device=1), person.device())


async def test_a_turn_server_takes_what_the_relay_gives_out(tmp_path: Path) -> None:
    async with running_relay(tmp_path, **SETTINGS) as relay, turn_server(tmp_path, SECRET) as port:
        alice = Person()
        await alice.sign_up(relay)
        given = (await ask(relay, alice)).json

        assert given["urls"] == URLS
        assert 0 < given["expires"] - relay.clock() <= 3_600_000
        assert await asked(port, given["username"], given["credential"]) == (0, None)


@pytest.mark.parametrize("wrong", ["credential", "name", "secret", "time"])
async def test_it_takes_nothing_else(tmp_path: Path, wrong: str) -> None:
    async with turn_server(tmp_path, SECRET) as port:
        now = Millis(wall_clock() - 3_601_000) if wrong == "time" else wall_clock()
        secret = os.urandom(32) if wrong == "secret" else SECRET.encode()
        given = turn.issue(secret, URLS, now, 3600)
        name = given.username.replace(":", ":0") if wrong == "name" else given.username
        credential = "A" * 28 if wrong == "credential" else given.credential

        assert (await asked(port, name, credential))[0] == 401


PRIVATE = (
    "127.0.0.1 10.1.2.3 172.20.0.1 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 255.255.255.255 "
    ":: ::1 ::ffff:127.0.0.1 fd00::2 fe80::1 64:ff9b::7f00:1 64:ff9b:1::7f00:1 2002:7f00:1::1"
)


@pytest.mark.parametrize("peer", PRIVATE.split())
async def test_the_sample_relays_into_no_private_network(tmp_path: Path, peer: str) -> None:
    given = turn.issue(SECRET.encode(), URLS, wall_clock(), 3600)
    async with turn_server(tmp_path, SECRET) as port:
        assert await asked(port, given.username, given.credential, peer=peer) == (0, 403)
        public = "2001:db8::9" if ":" in peer else "203.0.113.9"
        assert await asked(port, given.username, given.credential, peer=public) == (0, 0)


async def test_data_goes_through_it(tmp_path: Path) -> None:
    """Relay between two of coturn's own clients on this machine, for which the refusal of loopback is taken out."""
    given = turn.issue(SECRET.encode(), URLS, wall_clock(), 3600)
    async with turn_server(tmp_path, SECRET, has_local_peers=True) as port:
        await asked(port, given.username, given.credential)  # waits until it listens
        options = ["-u", given.username, "-w", given.credential, "-p", str(port), "-y", "-c", "-n", "20", "127.0.0.1"]
        client = await asyncio.create_subprocess_exec(
            "turnutils_uclient", *options, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said = (await client.communicate())[0].decode()

    counts = re.findall(r"tot_send_msgs=(\d+), tot_recv_msgs=(\d+)", said)
    assert counts, said
    assert counts[-1][0] == counts[-1][1] != "0", said


def test_credentials_are_the_hmac_of_a_time_and_a_random_name() -> None:
    first, second = (turn.issue(b"s" * 16, URLS, Millis(1_700_000_000_999), 3600) for _ in range(2))

    assert first.username != second.username
    expires, name = first.username.split(":")
    assert (expires, first.expires) == ("1700003600", 1_700_003_600_000)
    assert re.fullmatch("[0-9a-f]{16}", name)
    mac = hmac.new(b"s" * 16, first.username.encode(), "sha1").digest()
    assert base64.b64decode(first.credential) == mac


async def test_without_a_turn_server_the_relay_says_so(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        await alice.sign_up(relay)

        assert ((await ask(relay, alice)).status, (await ask(relay, alice)).code) == (404, "no-turn")


async def test_only_people_of_this_relay_get_credentials(tmp_path: Path) -> None:
    async with running_relay(tmp_path, **SETTINGS) as relay:
        assert (await ask(relay, Person())).code == "not-authenticated"
        assert (await relay.call("GET", "/v1/relay")).json["files"]["turn"] is True


async def test_the_secret_can_be_renewed_in_its_file(tmp_path: Path) -> None:
    file = tmp_path / "turn-secret"
    file.write_text(SECRET + "\n")
    async with running_relay(tmp_path, turn_secret_file=file, turn_urls=URLS) as relay:
        alice = Person()
        await alice.sign_up(relay)
        for secret in (SECRET, SECRET[::-1]):
            file.write_text(secret)
            given = (await ask(relay, alice)).json
            mac = hmac.new(secret.encode(), given["username"].encode(), "sha1").digest()
            assert base64.b64decode(given["credential"]) == mac
        file.unlink()
        assert (await ask(relay, alice)).code == "busy"


def test_the_secret_may_be_a_credential_of_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert load_settings().turn_key() is None

    (tmp_path / "turn-secret").write_text(SECRET)

    assert load_settings(turn_urls=URLS).turn_key() == SECRET.encode()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"turn_secret": SECRET}, "belong together"),
        ({"turn_urls": URLS}, "belong together"),
        ({"turn_secret": "short", "turn_urls": URLS}, "too short"),
        ({"turn_secret_file": Path("/nowhere/secret"), "turn_urls": URLS}, "can't be read"),
        ({"turn_secret": SECRET, "turn_urls": ["stun:turn.example"]}, "expected a TURN address"),
        ({"turn_secret": SECRET, "turn_urls": ["https://turn.example"]}, "expected a TURN address"),
        ({"turn_secret": SECRET, "turn_urls": ["turn:a b"]}, "expected a TURN address"),
    ],
)
def test_what_can_not_work_is_refused_at_the_start(given: dict[str, object], reason: str) -> None:
    with pytest.raises(Misuse, match=reason) as refused:
        load_settings(**given)

    assert SECRET not in str(refused.value)


def test_addresses_come_in_one_text_from_flags_and_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALONYX_TURN_SECRET", SECRET)
    monkeypatch.setenv("HALONYX_TURN_URLS", ", ".join(URLS))
    assert load_settings().turn_urls == URLS
    assert load_settings(turn_urls=URLS[1]).turn_urls == URLS[1:]
    assert SECRET not in repr(load_settings())
