"""Options that several of the operator's commands have."""

from pathlib import Path
from typing import Annotated

import typer

from halonyx.cli import text_relay as text

DataOption = Annotated[Path | None, typer.Option("--data", metavar="DIR", help=text.FOLDER)]
SecretsOption = Annotated[Path | None, typer.Option("--secrets", metavar="FILE", help=text.SECRETS)]
ConfigOption = Annotated[Path | None, typer.Option("--config", metavar="FILE", help=text.CONFIG)]
