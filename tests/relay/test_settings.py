"""Settings: flags before environment before file, nothing unknown, nothing unsafe."""

from pathlib import Path

import pytest

from halonyx.client.admission import MAX_WORK_BITS
from halonyx.core.errors import Misuse
from halonyx.core.types import DAY
from halonyx.relay.settings import RelaySettings, load_settings, origin_for_host, settings_from_arguments

EVERY_INTERFACE = "0.0.0.0"  # noqa: S104 (nothing listens here)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in RelaySettings.model_fields:
        monkeypatch.delenv(f"HALONYX_{name.upper()}", raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_defaults_are_for_one_person_on_one_machine() -> None:
    settings = load_settings()

    assert (settings.host, settings.port) == ("127.0.0.1", 3000)
    assert settings.data == Path("halonyx-data")
    assert settings.secrets_path == Path("halonyx-data.secrets")
    assert settings.public_origins == ("http://localhost:3000", "http://127.0.0.1:3000")
    assert settings.signup_mode == "open"
    assert settings.retention == 30 * DAY
    limits = settings.public_limits()
    assert (limits.mailbox_messages, limits.mailbox_bytes) == (10_000, 64 * 1024 * 1024)
    assert (limits.request_inbox, limits.max_envelope_bytes) == (20, 65_536)
    assert (settings.rate_sign_up, settings.rate_sign_up_total) == ("5/hour", "60/hour")
    assert settings.rate_bundle_device == "60/hour"
    assert settings.rate_bundle_requests == "10/hour"
    assert settings.rate_bundle_client == "6/10 minute"
    assert settings.pow_bits == 20


def test_flags_win_over_environment_over_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "relay.toml"
    file.write_text(
        "port = 3001\npow_bits = 21\nmailbox_messages = 5\norigins = ['https://file.example']\nbehind_proxy = true\n"
    )
    monkeypatch.setenv("HALONYX_CONFIG", str(file))
    monkeypatch.setenv("HALONYX_POW_BITS", "22")
    monkeypatch.setenv("HALONYX_PORT", "3002")

    settings = load_settings(port=3003)

    assert (settings.port, settings.pow_bits, settings.mailbox_messages) == (3003, 22, 5)
    assert settings.public_origins == ("https://file.example",)


@pytest.mark.parametrize("text", ["https://b.example, https://c.example", '["https://b.example", "https://c.example"]'])
def test_a_list_is_written_alike_in_flags_and_variables(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = ["https://b.example", "https://c.example"]
    assert load_settings(peer_relays=text).peer_relays == expected
    assert settings_from_arguments(["--peer-relays", text]).peer_relays == expected

    monkeypatch.setenv("HALONYX_PEER_RELAYS", text)
    monkeypatch.setenv("HALONYX_ORIGINS", text)
    assert load_settings(behind_proxy=True).peer_relays == expected
    assert load_settings(behind_proxy=True).origins == expected


@pytest.mark.parametrize("name", ["peer_relays", "origins", "turn_urls"])
def test_an_empty_variable_is_an_empty_list(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "relay.toml"
    file.write_text("peer_relays = ['https://b.example']\n")
    monkeypatch.setenv("HALONYX_CONFIG", str(file))
    monkeypatch.setenv(f"HALONYX_{name.upper()}", "")
    assert getattr(load_settings(), name) == []


def test_a_list_that_is_given_several_times_adds_up() -> None:
    given = ["--peer-relays", "https://b.example,https://c.example", "--peer-relays", "https://d.example"]
    expected = ["https://b.example", "https://c.example", "https://d.example"]
    assert settings_from_arguments(given).peer_relays == expected


def test_a_list_that_is_neither_is_named() -> None:
    with pytest.raises(Misuse, match="peer_relays: expected addresses separated by commas, or a JSON array"):
        load_settings(peer_relays='["https://b.example"')


def test_a_file_can_be_named_by_flag(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text("retention_days = 7\n")

    assert load_settings(config=file).retention == 7 * DAY
    assert settings_from_arguments(["--config", str(file)]).retention_days == 7


def test_unknown_keys_in_the_file_are_named(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text("mailbox_mesages = 5\nport = 3001\n")

    with pytest.raises(Misuse, match="mailbox_mesages: unknown setting"):
        load_settings(config=file)


def test_other_variables_of_ours_are_not_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALONYX_HOME", "/somewhere")
    monkeypatch.setenv("HALONYX_PASSPHRASE", "correct horse")

    assert load_settings().port == 3000


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="does not exist"):
        load_settings(config=tmp_path / "none.toml")


def test_a_broken_file_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text("port = = 3\n")

    with pytest.raises(Misuse, match="can't be read"):
        load_settings(config=file)


@pytest.mark.parametrize("host", [EVERY_INTERFACE, "::", "192.0.2.1", "relay.example"])
def test_plain_http_is_not_served_to_others(host: str) -> None:
    for origin in ("https://relay.example", "http://localhost:3000"):
        with pytest.raises(Misuse, match="behind_proxy"):
            load_settings(host=host, origins=[origin])


def test_behind_a_proxy_the_origin_has_to_be_named() -> None:
    with pytest.raises(Misuse, match="public origin"):
        load_settings(host=EVERY_INTERFACE, behind_proxy=True)

    settings = load_settings(host=EVERY_INTERFACE, behind_proxy=True, origins=["https://relay.example"])
    assert settings.signup_mode == "pow"


def test_a_public_origin_needs_a_proxy() -> None:
    with pytest.raises(Misuse, match=r"https://relay\.example .* set behind_proxy"):
        load_settings(origins=["http://localhost:3000", "https://relay.example"])

    assert load_settings(origins=["https://relay.example"], behind_proxy=True).signup_mode == "pow"
    assert load_settings(origins=["http://localhost:4000", "http://127.0.0.1:3000"]).signup_mode == "open"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_is_open(host: str) -> None:
    assert load_settings(host=host).signup_mode == "open"
    assert load_settings(host=host, signup="pow").signup_mode == "pow"


@pytest.mark.parametrize(
    "origin",
    [
        "relay.example",
        "ftp://relay.example",
        "https://relay.example/",
        "https://relay.example/path",
        "https://Relay.example",
        "https://user@relay.example",
        "https://relay.example:443",
        "http://localhost:80",
        "http://relay.example",
        "https://relay.example:0",
        "https://" + "a" * 250,
        "https://relay.example\n",
        "*",
    ],
)
def test_origins_have_one_spelling(origin: str) -> None:
    with pytest.raises(Misuse, match="origins"):
        load_settings(origins=[origin])


@pytest.mark.parametrize(
    "setting",
    [
        {"port": 0},
        {"port": 65_536},
        {"port": "many"},
        {"signup": "anybody"},
        {"retention_days": 91},
        {"mailbox_messages": 0},
        {"rate_signed": "often"},
        {"log_level": "loud"},
        {"pow_bits": 0},
        {"pow_bits": MAX_WORK_BITS + 1},
        {"no_such_setting": 1},
    ],
)
def test_impossible_values_are_named(setting: dict[str, object]) -> None:
    with pytest.raises(Misuse, match=next(iter(setting))):
        load_settings(**setting)


def test_no_relay_asks_for_more_work_than_a_client_does() -> None:
    assert load_settings(pow_bits=MAX_WORK_BITS).pow_bits == MAX_WORK_BITS


def test_a_command_line_sets_everything() -> None:
    settings = settings_from_arguments(
        ["--port", "3005", "--data", "/var/lib/relay", "--origins", "https://a.example", "--origins",
         "https://b.example", "--behind-proxy", "--rate-sign-up", "9/hour"]
    )  # fmt: skip

    assert (settings.port, settings.data) == (3005, Path("/var/lib/relay"))
    assert settings.secrets_path == Path("/var/lib/relay.secrets")
    assert settings.public_origins == ("https://a.example", "https://b.example")
    assert settings.behind_proxy
    assert settings.rate_sign_up == "9/hour"


def test_the_metrics_token_is_not_shown() -> None:
    settings = load_settings(metrics_token="hunter2hunter2")

    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings.model_dump())


def test_refusals_do_not_repeat_values() -> None:
    with pytest.raises(Misuse) as refused:
        load_settings(metrics_token=["hunter2"])

    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("relay.example", "https://relay.example"),
        ("RELAY.example", "https://relay.example"),
        ("127.0.0.1:3000", "http://127.0.0.1:3000"),
        ("relay.example:443", None),
        ("127.0.0.1", None),
        ("", None),
        ("evil.example", None),
    ],
)
def test_the_host_header_names_one_of_our_origins(host: str, origin: str | None) -> None:
    assert origin_for_host(("https://relay.example", "http://127.0.0.1:3000"), host) == origin


def test_the_reference_names_every_setting_and_its_default() -> None:
    text = (Path(__file__).parents[2] / "docs" / "reference" / "relay.md").read_text()
    rows = []
    for name, field in RelaySettings.model_fields.items():
        default = f"`{field.default}`" if field.default not in (None, []) else ""
        rows.append(f"| `{name}` | {default} | {field.description} |")

    missing = [row for row in rows if row not in text.splitlines()]
    assert not missing, "\n".join(missing)
