"""Why does it not work? What an operator can get wrong, looked at from this machine, with what to change.

Everything is looked at and nothing is changed. Each finding has a code; the list is complete, so that what is not named
was found in order.

Source: docs/reference/relay.md, "Doctor".
"""

import os
import shutil
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from halonyx.core.errors import HalonyxError, Misuse
from halonyx.relay import doctor_public, doctor_turn
from halonyx.relay.doctor_findings import Finding
from halonyx.relay.doctor_web import Answer, Unreachable, ask, listener
from halonyx.relay.folder import RESTORING
from halonyx.relay.secrets import DATABASES, Secrets, read
from halonyx.relay.settings import RelaySettings, load_settings
from halonyx.relay.store.file import check
from halonyx.relay.tls import Certificate

CLOCK_SECONDS: Final = 60
OTHERS: Final = 0o077


def examine(flags: dict[str, Any]) -> list[Finding]:
    """Look at everything.

    Args:
        flags: Settings as they are given to the relay; environment and file count as they do there.
    """
    try:
        settings = load_settings(**flags)
    except Misuse as refused:
        change = "Correct the option, the HALONYX_ variable or the line in the settings file."
        return [Finding("settings", str(refused), change)]
    found = [*_data(settings), *_secrets(settings), *_tls_files(settings)]
    relay = _relay(settings)
    if isinstance(relay, Finding):
        return [*found, relay]
    return [*found, *_running(settings, relay)]


def _running(settings: RelaySettings, relay: Answer) -> Iterator[Finding]:
    kept = _kept(settings)
    key = None if kept is None else doctor_public.key_text(kept)
    if relay.status == doctor_public.WRONG_HOST or set(relay.json.get("origins", ())) != set(settings.public_origins):
        yield Finding(
            "origins",
            "The relay that runs has other public origins than these settings.",
            "Give doctor the same options and --config as the relay, or restart the relay.",
        )
    elif key is not None and relay.json.get("relay_key") != key:
        yield Finding(
            "other-relay",
            f"The relay on port {settings.port} has another secrets file than {settings.secrets_path}.",
            "Give doctor the relay's own --data and --secrets, or stop the other relay.",
        )
    if abs(relay.json.get("time", time.time() * 1000) / 1000 - time.time()) > CLOCK_SECONDS:
        change = "Let both follow the same time service (NTP)."
        yield Finding("clock", "The relay has another time than this machine.", change)
    for origin in settings.origins:  # without any, there is no way but the port
        yield from doctor_public.examine(settings, origin, key)
    yield from doctor_turn.examine(settings)


# The data folder


def _data(settings: RelaySettings) -> Iterator[Finding]:
    data = settings.data
    if not data.is_dir() or not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        change = "Name the right folder with --data, or let it belong to the user that the relay runs as."
        yield Finding("data-folder", f"{data} is no folder that can be read and written.", change)
        return
    files = [data, *(path for path in data.iterdir() if path.is_file())]
    if loose := [path for path in files if _is_loose(path)]:
        change = f"chmod 700 {data} && chmod 600 {data}/*.db*"
        yield Finding("data-permissions", f"Others may open {', '.join(map(str, loose))}.", change)
    if (data / RESTORING).exists():
        yield Finding("restoring", f"A restore into {data} was interrupted.", "Run it again with --replace.")
    for name in DATABASES:
        if (data / name).exists():
            try:
                check(data / name)
            except HalonyxError as error:
                change = (
                    "If it is damaged, stop the relay and put a backup back: halonyx relay restore FILE --replace. "
                    "If it can't be opened, run doctor as the user that the relay runs as, or wait for what holds it."
                )
                yield Finding("databases", str(error), change)
    yield from _room_and_time(settings, files)


def _is_loose(path: Path) -> bool:
    return bool(stat.S_IMODE(path.stat().st_mode) & OTHERS)


def _room_and_time(settings: RelaySettings, files: list[Path]) -> Iterator[Finding]:
    free, needed = shutil.disk_usage(settings.data).free, settings.min_free_bytes
    if free < needed:
        text = f"The disk of {settings.data} has {free} bytes left, and min_free_bytes is {needed}."
        change = "Make room: /readyz answers 503 until then, and once the disk is full, the relay takes no mail."
        yield Finding("disk", text, change)
    newest = max(path.stat().st_mtime for path in files)
    if newest > time.time() + CLOCK_SECONDS:
        text = "The clock is behind: files of the relay were written later than now."
        yield Finding("clock", text, "Let the machine follow a time service (NTP), and look at 'date'.")


def _secrets(settings: RelaySettings) -> Iterator[Finding]:
    path = settings.secrets_path
    has_data = any((settings.data / name).exists() for name in DATABASES)
    if path.exists() and _is_loose(path):
        yield Finding("secrets-permissions", f"Others may read the secrets file {path}.", f"chmod 600 {path}")
    elif path.exists() or has_data:
        try:
            read(path)
        except HalonyxError as error:
            change = "Put it back from its copy: without it the data is of no use. Or name it with --secrets."
            yield Finding("secrets", str(error), change)
    if path.resolve().is_relative_to(settings.data.resolve()):
        text = f"The secrets file {path} lies in the data folder: who copies the one has the other."
        yield Finding("secrets-place", text, "Move it elsewhere and name it with --secrets.")


def _kept(settings: RelaySettings) -> Secrets | None:
    try:
        return read(settings.secrets_path)
    except HalonyxError:
        return None  # said before


def _tls_files(settings: RelaySettings) -> Iterator[Finding]:
    if settings.tls_cert is not None and settings.tls_key is not None:
        try:
            Certificate(settings.tls_cert, settings.tls_key)
        except Misuse as error:
            change = "Name the chain (fullchain.pem) with --tls-cert and its own key (privkey.pem) with --tls-key."
            yield Finding("tls-files", str(error), change)


# The port


def _relay(settings: RelaySettings) -> Answer | Finding:
    """Return what the relay says of itself, asked directly."""
    where = listener(settings)
    try:
        health, about = ask(where, "/healthz"), ask(where, "/v1/relay")
    except Unreachable:
        return _nobody(settings)
    if health.json.get("status") != "ok":
        change = "Stop the other program, or choose another port with --port (and in the proxy)."
        return Finding("port", f"Something that is no relay answers on port {settings.port}.", change)
    return about


def _nobody(settings: RelaySettings) -> Finding:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host.strip("[]"), settings.port))
        except OSError as error:
            text = f"The relay can't listen on {settings.host}:{settings.port}: {error.strerror}."
            change = "Stop what uses the port or choose another with --port; below 1024 the relay needs the right to."
            return Finding("port", text, change)
    text = f"No relay answers on {settings.host}:{settings.port}, so the way to it can't be looked at."
    change = "Start the relay, or give doctor the port and --config that it has, and run doctor again."
    return Finding("running", text, change)
