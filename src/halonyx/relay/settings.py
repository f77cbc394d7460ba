"""Everything an operator can set: flags, then `HALONYX_…` variables, then one TOML file, then these defaults.

Source: docs/reference/relay.md, "Settings"; bounds from spec/delivery.md, "Bounds".
"""

import ipaddress
import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import limits
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from halonyx.core.errors import Malformed, Misuse
from halonyx.core.origin import check_origin, reaches_this_machine
from halonyx.core.types import DAY, Millis
from halonyx.wire.frames import MAX_ENVELOPE
from halonyx.wire.rest_relay import RelayFiles, RelayLimits, SignUpMode

DEFAULT_PORT: Final = 3000
KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB
LEAST_TURN_SECRET: Final = 16
CREDENTIAL: Final = "turn-secret"
_TURN_URL: Final = re.compile(r"turns?:(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?(\?transport=(udp|tcp))?")


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address reaches this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _check_rate(value: str) -> str:
    try:
        limits.parse(value)
    except ValueError:
        raise ValueError("expected a rate such as 60/minute or 5/hour") from None
    return value


def _check_origin(value: str) -> str:
    try:
        return check_origin(value)
    except Malformed as error:
        raise ValueError(str(error)) from None


def _check_turn_url(value: str) -> str:
    if not _TURN_URL.fullmatch(value):
        raise ValueError("expected a TURN address such as turn:turn.example:3478?transport=udp")
    return value


def _words(value: object) -> object:
    """Take a list in one text, as flags and variables bring it: split at commas, or JSON."""
    if value is None:  # an empty variable
        return []
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):  # begins no address
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError("expected addresses separated by commas, or a JSON array of them") from None
    return [word.strip() for word in value.split(",") if word.strip()]


Rate = Annotated[str, AfterValidator(_check_rate)]
Origin = Annotated[str, AfterValidator(_check_origin)]
Origins = Annotated[list[Origin], NoDecode, BeforeValidator(_words)]
TurnUrls = Annotated[list[Annotated[str, AfterValidator(_check_turn_url)]], NoDecode, BeforeValidator(_words)]
Positive = Annotated[int, Field(ge=1)]


class RelaySettings(BaseSettings):
    """Settings of one relay; construct through `load_settings`, which words refusals for people."""

    model_config = SettingsConfigDict(
        env_prefix="HALONYX_",
        extra="forbid",
        frozen=True,
        env_parse_none_str="",
        hide_input_in_errors=True,
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
    )

    config: Path | None = Field(None, description="TOML file with any of these settings")
    host: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(DEFAULT_PORT, ge=1, le=65535, description="port to listen on")
    data: Path = Field(Path("halonyx-data"), description="folder for the databases")
    secrets: Path | None = Field(None, description="file for the relay's keys; default: DATA.secrets beside the folder")
    origins: Origins = Field(
        [],
        description="public origins of this relay; default: http://localhost:PORT and http://127.0.0.1:PORT",
    )
    behind_proxy: bool = Field(
        default=False,
        description="a proxy on the way ends TLS and sets X-Forwarded-For; its last hop is believed",
    )
    tls_cert: Path | None = Field(None, description="certificate chain (PEM) with which the relay speaks TLS itself")
    tls_key: Path | None = Field(None, description="the private key that belongs to tls_cert (PEM)")
    peer_relays: Origins = Field(
        [], description="other relays that the web client served here may reach, so that people there can be written to"
    )
    signup: SignUpMode | None = Field(
        None, description="who may sign up: open, pow, token, closed; default: open on loopback, pow elsewhere"
    )
    member_invites: int = Field(0, ge=0, le=100, description="invites a member may make a week in mode token; 0: none")
    invite_days: int = Field(14, ge=1, le=365, description="days an invite is good for")
    contact_required: bool = Field(
        default=False, description="ask everybody who signs up for a name and an e-mail address, for the operator alone"
    )
    pow_bits: int = Field(20, ge=1, le=28, description="leading zero bits of the sign-up work; clients do at most 28")
    metrics_token: SecretStr | None = Field(None, description="bearer token for /metrics from elsewhere than loopback")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level that is logged")

    # Bounds of delivery: spec/delivery.md, "Bounds".
    mailbox_messages: Positive = Field(10_000, description="envelopes a mailbox holds")
    mailbox_bytes: int = Field(64 * MIB, ge=MAX_ENVELOPE, description="bytes a mailbox holds")
    request_inbox: int = Field(20, ge=0, description="first messages of strangers a mailbox holds")
    retention_days: int = Field(30, ge=1, le=30, description="days an undelivered envelope is kept; at most 30")
    sweep_seconds: Positive = Field(
        3600, description="seconds between two sweeps of expired envelopes, and from a start to the first"
    )
    checkpoint_seconds: Positive = Field(30, description="seconds between two truncations of the write-ahead logs")
    writer_queue_messages: Positive = Field(4096, description="envelopes waiting for the writer before sockets pause")
    writer_queue_bytes: int = Field(
        64 * MIB, ge=MAX_ENVELOPE, description="bytes waiting for the writer before sockets pause"
    )
    unacked_messages: Positive = Field(64, description="deliveries a device may leave unacknowledged")
    unacked_bytes: int = Field(MIB, ge=MAX_ENVELOPE, description="bytes a device may leave unacknowledged")
    unaccepted_submits: Positive = Field(64, description="submits in flight on one connection before it is paused")
    send_buffer_bytes: int = Field(256 * KIB, ge=MAX_ENVELOPE, description="socket buffer at which a connection pauses")
    progress_seconds: Positive = Field(
        60, description="seconds a peer may read or acknowledge nothing that waits for it"
    )
    idle_send_seconds: Positive = Field(60, description="idle seconds before a sending connection is closed")
    auth_seconds: Positive = Field(5, description="seconds a receiving connection has to prove itself")
    ping_seconds: Positive = Field(25, description="idle seconds before a ping")
    pong_seconds: Positive = Field(20, description="seconds a ping may stay unanswered")
    connections_per_client: Positive = Field(20, description="open sockets per IPv4 address or IPv6 /64")
    http_connections_per_client: Positive = Field(
        50, description="open connections before an upgrade per IPv4 address or IPv6 /64; not counted behind a proxy"
    )
    unauthenticated_connections: Positive = Field(500, description="open sockets that have not proved anything yet")
    sending_connections: Positive = Field(2000, description="open sending sockets of all clients together")
    session_seconds: Positive = Field(86_400, description="seconds until a device has to prove itself again")
    reserve_bytes: int = Field(64 * MIB, ge=0, description="room given up on a full disk so that deletions still run")
    min_free_bytes: int = Field(64 * MIB, ge=0, description="free disk space below which the relay is not ready")

    # Bounds of accounts and prekeys.
    max_body_bytes: Positive = Field(32 * KIB, description="largest body of a small call")
    max_keys_body_bytes: Positive = Field(MIB, description="largest body of a call that carries prekeys")
    body_seconds: Positive = Field(20, description="seconds a body may take to arrive")
    one_time_prekeys: int = Field(200, ge=1, le=1000, description="one-time prekeys a device stores per use")
    bundle_cache_seconds: Positive = Field(600, description="seconds in which a repeated fetch gets the same bundle")
    tracked_clients: Positive = Field(100_000, description="clients whose rates are counted apart")

    # Files: introductions, TURN credentials, and the blob store.
    files: bool = Field(default=True, description="introduce people who send files to each other (/v1/tracker)")
    tracker_connections: Positive = Field(2000, description="open tracker sockets of all clients together")
    tracker_connections_per_client: Positive = Field(64, description="the same per IPv4 address or IPv6 /64")
    tracker_peers: Positive = Field(10_000, description="peers in all swarms together")
    tracker_peers_per_swarm: int = Field(16, ge=2, description="peers in one swarm")
    tracker_swarms_per_client: Positive = Field(128, description="swarms per IPv4 address or IPv6 /64")
    tracker_offers: Positive = Field(10, description="offers taken from one announce")
    tracker_message_bytes: int = Field(64 * KIB, ge=KIB, le=64 * KIB, description="largest message to the tracker")
    tracker_interval_seconds: Positive = Field(120, description="seconds between two announces of a peer")
    tracker_idle_seconds: Positive = Field(600, description="idle seconds before a tracker socket is closed")
    turn_secret: SecretStr | None = Field(None, description="secret shared with your TURN server (static-auth-secret)")
    turn_secret_file: Path | None = Field(
        None, description="file that holds it; default: the systemd credential turn-secret, if there is one"
    )
    turn_urls: TurnUrls = Field([], description="addresses of your TURN server, such as turn:turn.example:3478")
    turn_seconds: int = Field(3600, ge=60, le=86_400, description="seconds TURN credentials are good for")
    drop_quota: int = Field(0, ge=0, description="bytes of encrypted files kept per mailbox; 0 keeps none")
    drop_total: int = Field(16 * GIB, ge=1, description="bytes of encrypted files kept for all mailboxes together")
    drop_days: int = Field(
        14, ge=1, le=14, description="days an encrypted file is kept, and to the end of the last; at most 14"
    )
    drop_body_seconds: Positive = Field(120, description="seconds a part of an encrypted file may take to arrive")
    drop_uploads: Positive = Field(16, description="parts of encrypted files taken at the same time")
    drop_downloads: Positive = Field(256, description="encrypted files given out at the same time")

    # Rates: in memory, per client address (IPv6: /64) unless it says otherwise.
    rate_sign_up: Rate = Field("5/hour", description="sign-ups")
    rate_sign_up_total: Rate = Field("60/hour", description="sign-ups of all clients together")
    rate_challenge: Rate = Field("30/minute", description="sign-up challenges")
    rate_signed: Rate = Field("60/minute", description="signed calls")
    rate_lookup: Rate = Field("60/minute", description="lookups")
    rate_bundle: Rate = Field("60/minute", description="bundle fetches")
    rate_sockets: Rate = Field("120/minute", description="WebSockets opened")
    rate_bundle_device: Rate = Field(
        "60/hour", description="bundles with one-time prekeys per device by access key, to all clients together"
    )
    rate_bundle_requests: Rate = Field("10/hour", description="the same by request key")
    rate_bundle_client: Rate = Field("6/10 minute", description="bundle fetches of one client for one device")
    rate_tracker_sockets: Rate = Field("120/minute", description="tracker sockets opened")
    rate_tracker: Rate = Field("120/minute", description="messages on one tracker socket")
    rate_drop: Rate = Field("6000/minute", description="parts of encrypted files, up and down")
    rate_public: Rate = Field("300/minute", description="pages, health checks and relay information")

    @model_validator(mode="after")
    def _check_exposure(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key belong together: give both or neither")
        if not is_loopback(self.host) and not self.behind_proxy and not self.has_tls:
            raise ValueError(
                f"host {self.host} is reachable from outside and this relay speaks plain HTTP: give tls_cert and "
                "tls_key, or put a TLS proxy in front and set behind_proxy, or listen on 127.0.0.1"
            )
        if not is_loopback(self.host) and not self.origins:
            raise ValueError("name the public origin people use, for example origins = ['https://relay.example']")
        public = next((origin for origin in self.origins if not reaches_this_machine(origin)), None)
        plain = next((origin for origin in self.origins if origin.startswith("http:")), None)
        if plain is not None and self.has_tls and not self.behind_proxy:
            raise ValueError(f"origin {plain} is plain HTTP, and this relay speaks TLS: write https://")
        if public is not None and not self.behind_proxy and not self.has_tls:
            raise ValueError(
                f"origin {public} is reached through a proxy that ends TLS: set behind_proxy and let the proxy set "
                "X-Forwarded-For, or everybody would count as this machine; or give tls_cert and tls_key"
            )
        return self

    @model_validator(mode="after")
    def _check_turn(self) -> Self:
        key = self.turn_key()
        if (key is None) == bool(self.turn_urls):
            raise ValueError("turn_secret (or turn_secret_file) and turn_urls belong together: give both or neither")
        if key is not None and len(key) < LEAST_TURN_SECRET:
            raise ValueError(f"the TURN secret is too short: take at least {LEAST_TURN_SECRET} random characters")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources; a config file that is named must be there."""
        config = init_settings().get("config") or env_settings().get("config")
        if not config:
            return init_settings, env_settings
        if not Path(config).is_file():
            raise Misuse(f"settings file {config} does not exist")
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, Path(config))

    @property
    def secrets_path(self) -> Path:
        """Where the relay's keys are."""
        return self.secrets or self.data.with_name(self.data.name + ".secrets")

    @property
    def public_origins(self) -> tuple[str, ...]:
        """Origins by which clients reach this relay."""
        if self.origins:
            return tuple(self.origins)
        scheme, usual = ("https", 443) if self.has_tls else ("http", 80)
        port = "" if self.port == usual else f":{self.port}"
        return f"{scheme}://localhost{port}", f"{scheme}://127.0.0.1{port}"

    @property
    def has_tls(self) -> bool:
        """Whether the relay speaks TLS itself."""
        return self.tls_cert is not None

    @property
    def signup_mode(self) -> SignUpMode:
        """Who may sign up."""
        return self.signup or ("open" if is_loopback(self.host) and not self.behind_proxy else "pow")

    @property
    def retention(self) -> Millis:
        """How long an undelivered envelope is kept."""
        return Millis(self.retention_days * DAY)

    def turn_key(self) -> bytes | None:
        """Return the secret shared with the TURN server, as it is now in setting, file or credential; None without.

        Raises:
            ValueError: The file that is named can't be read.
        """
        if self.turn_secret is not None:
            return self.turn_secret.get_secret_value().encode("utf-8")
        credential = Path(os.environ.get("CREDENTIALS_DIRECTORY", "")) / CREDENTIAL
        path = self.turn_secret_file or (credential if credential.is_absolute() and credential.is_file() else None)
        if path is None:
            return None
        try:
            return path.read_bytes().strip()
        except OSError as error:
            raise ValueError(f"turn_secret_file {path} can't be read: {error.strerror}") from None

    def public_files(self) -> RelayFiles:
        """Return what GET /v1/relay tells clients about files."""
        return RelayFiles(tracker=self.files, turn=bool(self.turn_urls), drop=self.drop_quota)

    def public_limits(self) -> RelayLimits:
        """Return what GET /v1/relay tells clients."""
        return RelayLimits(
            max_envelope_bytes=MAX_ENVELOPE,
            mailbox_messages=self.mailbox_messages,
            mailbox_bytes=self.mailbox_bytes,
            request_inbox=self.request_inbox,
            retention_days=self.retention_days,
            one_time_prekeys=self.one_time_prekeys,
        )


def origin_for_host(origins: tuple[str, ...], host: str) -> str | None:
    """Return the origin whose authority is the Host header, or None.

    Args:
        origins: The relay's own origins.
        host: Host header as received; compared without regard to case.
    """
    return next((origin for origin in origins if origin.split("://", 1)[1] == host.lower()), None)


def load_settings(**flags: Any) -> RelaySettings:  # noqa: ANN401 (any setting)
    """Return the settings that result from flags, environment and file.

    Args:
        flags: Settings by name; they win. None means not given.

    Raises:
        Misuse: An unknown key, a value out of range, or an unsafe combination; the text names each one.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return RelaySettings(**given)
    except ValidationError as refused:
        raise Misuse(_in_words(refused)) from None
    except (SettingsError, ValueError) as refused:
        raise Misuse(f"settings can't be read: {refused}") from None


def settings_from_arguments(arguments: list[str]) -> RelaySettings:
    """Return the settings of a command line, for example `["--port", "3001", "--data", "DIR"]`.

    Raises:
        Misuse: As `load_settings`.
        SystemExit: `--help`, or an unknown flag.
    """
    source: CliSettingsSource[Any] = CliSettingsSource(
        RelaySettings, cli_prog_name="halonyx relay", cli_parse_args=arguments
    )
    return load_settings(**source())


def _in_words(refused: ValidationError) -> str:
    lines = []
    for error in refused.errors(include_url=False, include_context=False, include_input=False):
        name = ".".join(str(part) for part in error["loc"])
        reason = "unknown setting" if error["type"] == "extra_forbidden" else error["msg"].removeprefix("Value error, ")
        lines.append(f"{name}: {reason}" if name else reason)
    return "; ".join(lines)
