"""Other builds than the one of this checkout, in copies of the package that a relay or `halonyx web` runs from."""

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from command_line import HALONYX
from halonyx.web.build import File, hash_of
from relay_process import clean_environment, free_port

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "src" / "halonyx"
WEB: Final = ROOT / "web"
SERVICE_WORKER: Final = "service_worker.js"
SOURCES: Final = ("src", "public", "making", "index.html", "package.json", "tsconfig.json", "vite.config.ts")

Edit = Callable[[bytes], bytes]


def copied_package(folder: Path) -> Path:
    """Copy the package with its build; return the folder for PYTHONPATH."""
    shutil.copytree(PACKAGE, folder / "halonyx", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def site_of(package: Path) -> Path:
    return package / "halonyx" / "web" / "site"


def hash_of_site(site: Path) -> str:
    """Return the hash as every server prints it."""
    paths = sorted(path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file())
    return hash_of([File(path, (site / path).read_bytes()) for path in paths])


def alter(site: Path, pattern: str, edit: Edit) -> str:
    """Change one file in place, as somebody who can write on the server could; return its path in the build."""
    (found,) = site.glob(pattern)
    found.write_bytes(edit(found.read_bytes()))
    return found.relative_to(site).as_posix()


def adjust_service_worker(site: Path) -> None:
    """Make the list of hashes fit the files again; a build does the same."""
    script = site / SERVICE_WORKER
    paths = sorted(path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file())
    files = [
        {"path": path, "sha256": hashlib.sha256((site / path).read_bytes()).hexdigest()}
        for path in paths
        if path != SERVICE_WORKER
    ]
    name = hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16]
    text = re.sub(r"^const BUILD = .*$", f"const BUILD = {json.dumps(name)}", script.read_text(), flags=re.MULTILINE)
    script.write_text(re.sub(r"^const FILES = .*$", f"const FILES = {json.dumps(files)}", text, flags=re.MULTILINE))


def copied_sources(folder: Path) -> Path:
    """Copy what a build is made from; the packages it needs are shared."""
    folder.mkdir(parents=True)
    for name in SOURCES:
        copy = shutil.copytree if (WEB / name).is_dir() else shutil.copy2
        copy(WEB / name, folder / name)
    (folder / "node_modules").symlink_to(WEB / "node_modules")
    return folder


def built(sources: Path, site: Path) -> str:
    """Build and return the hash."""
    command = ["npx", "vite", "build", "--outDir", str(site), "--emptyOutDir", "--logLevel", "error"]
    subprocess.run(command, cwd=sources, check=True, stdout=subprocess.DEVNULL)
    return hash_of_site(site)


@contextmanager
def running_web(relay: str, package: Path) -> Iterator[tuple[str, str]]:
    """Run `halonyx web` from a copied package; yield its address and the hash that it prints."""
    port = free_port()
    environment = clean_environment(PYTHONPATH=str(package))
    command = [*HALONYX, "web", "--relay", relay, "--port", str(port), "--json"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            yield told["address"], told["build"]
        finally:
            process.terminate()
