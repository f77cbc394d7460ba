"""The API's description and the page that shows it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from halonyx.relay.app import openapi_document
from halonyx.relay.guard import RULES
from relay.rest_kit import Person, running_relay

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "src" / "halonyx" / "relay" / "static"
CHECKED_IN = ROOT / "docs" / "reference" / "openapi.json"


def test_the_checked_in_description_is_current() -> None:
    command = "python -m halonyx.relay.openapi > docs/reference/openapi.json"

    assert CHECKED_IN.read_bytes() == openapi_document(), f"run: {command}"


def test_the_command_writes_it() -> None:
    made = subprocess.run([sys.executable, "-m", "halonyx.relay.openapi"], check=True, capture_output=True)

    assert made.stdout == openapi_document()


def test_it_describes_every_call_and_nothing_the_relay_never_sends() -> None:
    document = json.loads(openapi_document())

    assert {path for path in document["paths"] if path.startswith("/v1/")} == set(RULES)
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert "422" not in operation["responses"]
            assert operation["description"]
            is_signed = RULES[path].access.name == "SIGNED" if path in RULES else False
            assert ("security" in operation) is is_signed
    assert document["openapi"].startswith("3.1")


def test_addresses_and_keys_are_never_in_urls() -> None:
    in_urls = {}
    for path, operations in json.loads(openapi_document())["paths"].items():
        for method, operation in operations.items():
            named = {one["name"] for one in operation.get("parameters", []) if one["in"] != "header"}
            if "{" in path or named:
                in_urls[method, path] = named

    # What a web seed is asked for by, where it belongs; neither opens or deletes anything.
    assert in_urls == {("get", "/v1/drop/{drop}"): {"drop"}, ("put", "/v1/drop/{drop}"): {"drop", "offset"}}


async def test_a_sign_up_after_a_deletion_is_refused_as_described(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        alice = Person()
        await alice.sign_up(relay)
        await alice.delete(relay)
        again = await alice.sign_up(relay)

    described = json.loads(openapi_document())["paths"]["/v1/accounts"]["post"]["responses"][str(again.status)]
    assert f"{again.code}: " in described["description"]
    assert again.code == "device-id-used"


async def test_it_is_served(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        assert (await relay.call("GET", "/openapi.json")).body == openapi_document()


async def test_the_page_loads_only_what_the_relay_serves(tmp_path: Path) -> None:
    async with running_relay(tmp_path) as relay:
        for page in ("/", "/docs"):
            answer = await relay.call("GET", page)
            text = answer.body.decode()
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
            for asset in re.findall(r'(?:src|href)="(/static/[^"]+)"', text):
                assert (await relay.call("GET", asset)).status == 200
        policy = (await relay.call("GET", "/docs")).headers["Content-Security-Policy"]
        assert "script-src 'self'" in policy
        assert "require-trusted-types-for 'script'" in policy


@pytest.mark.parametrize("name", sorted(path.name for path in STATIC.iterdir()))
def test_no_asset_reaches_out_or_runs_inline(name: str) -> None:
    text = (STATIC / name).read_text()

    assert not re.search(r"https?://|//[a-z]+\.", text)
    assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>|<style|\son[a-z]+=|javascript:|style=", text)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)
