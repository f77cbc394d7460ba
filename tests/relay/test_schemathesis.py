"""Every call of the API, as its description says and as it does not, against a relay of its own."""

import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from halonyx.relay.app import openapi_document
from halonyx.relay.guard import RULES
from relay_process import RelayProcess, running_relay

ROOT: Final = Path(__file__).parents[2]
EXAMPLES: Final = 100 if os.environ.get("HALONYX_SOAK") else 10  # of each call, beside those at the schema's borders
CHECKS: Final = (
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "refusals_are_named",
    "only_who_signs_gets_in",
)
SETTINGS: Final[dict[str, Any]] = {
    "HALONYX_SIGNUP": "open",
    "HALONYX_LOG_LEVEL": "info",
    "HALONYX_DROP_QUOTA": str(1 << 20),
    "HALONYX_TURN_SECRET": "a secret of thirty-two characters",
    "HALONYX_TURN_URLS": "turn:turn.example:3478",
    "HALONYX_RESERVE_BYTES": "0",
    "HALONYX_MIN_FREE_BYTES": "0",
}
REFUSED_ALWAYS: Final = {"/v1/invite"}  # of a relay where everybody may sign up, members need none


def explored(relay: RelayProcess) -> subprocess.CompletedProcess[str]:
    description = relay.data.with_name("openapi.json")
    description.write_bytes(openapi_document())
    return subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", str(description)),
            *("--url", relay.origin, "--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing"),
            *("--max-examples", str(EXAMPLES), "--seed", "1", "--generation-database", "none", "--no-color"),
            *("--continue-on-failure", "--suppress-health-check", "all"),
        ],
        env=os.environ
        | {"PYTHONPATH": str(ROOT / "tests"), "SCHEMATHESIS_HOOKS": "relay.api_hooks", "RELAY": relay.origin},
        cwd=relay.data.parent,
        check=False,
        capture_output=True,
        text=True,
    )


def answers(relay: RelayProcess) -> dict[str, set[int]]:
    """Return which statuses each route has answered with."""
    found = defaultdict(set)
    text = requests.get(f"{relay.origin}/metrics", timeout=30).text
    for route, status in re.findall(r'halonyx_requests_total\{route="([^"]+)",status="(\d+)"\}', text):
        found[route].add(int(status))
    return found


@pytest.mark.timeout(120 + 10 * EXAMPLES)
def test_the_api_is_as_it_is_described(tmp_path: Path) -> None:
    with running_relay(tmp_path, **SETTINGS) as relay:
        done = explored(relay)
        answered = answers(relay)
        log = relay.log()

    assert done.returncode == 0, done.stdout[-20_000:]
    assert "request-failed" not in log
    for route in RULES:
        assert any(status >= 400 for status in answered[route]), route
        assert bool(answered[route] & {200, 201}) is (route not in REFUSED_ALWAYS), route
