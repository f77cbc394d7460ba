"""Options that several of the operator's commands have."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from halonyx.cli import text_relay as text

if TYPE_CHECKING:
    from halonyx.relay.settings import RelaySettings

DataOption = Annotated[Path | None, typer.Option("--data", metavar="DIR", help=text.FOLDER)]
SecretsOption = Annotated[Path | None, typer.Option("--secrets", metavar="FILE", help=text.SECRETS)]
ConfigOption = Annotated[Path | None, typer.Option("--config", metavar="FILE", help=text.CONFIG)]


def operator_settings(**named: Path | None) -> "RelaySettings":
    """Load the settings of a relay whose files a command is about to open (raises as `load_settings`).

    Raises:
        Misuse: Root would open files of somebody else.
    """
    # Imported here: a client needs none of it.
    from halonyx.relay.folder import refuse_root  # noqa: PLC0415
    from halonyx.relay.settings import load_settings  # noqa: PLC0415

    settings = load_settings(**named)
    refuse_root(settings.data)
    return settings
