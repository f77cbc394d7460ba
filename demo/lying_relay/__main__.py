"""`python -m lying_relay LIE [--cards FILE] [--while FILE] [the relay's own flags]`."""

import argparse
import sys
import textwrap
from pathlib import Path

from halonyx.core.errors import HalonyxError
from halonyx.relay.settings import settings_from_arguments
from lying_relay.catalogue import LIES
from lying_relay.insider import Cards
from lying_relay.relay import run


def main() -> int:
    """Run a relay that tells one lie."""
    parser = argparse.ArgumentParser(
        prog="python -m lying_relay",
        description="A Halonyx relay with exactly one lie. What is not named here goes to the relay: --port, --data, …",
        epilog="lies:\n" + "\n".join(_entry(name, lie.__doc__ or "") for name, lie in LIES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("lie", metavar="LIE", choices=LIES, help="one of the lies below")
    parser.add_argument("--cards", metavar="FILE", type=Path, help="contact cards, one a line, from those who collude")
    parser.add_argument("--while", dest="switch", metavar="FILE", type=Path, help="lie only while this file is there")
    arguments, others = parser.parse_known_args()
    try:
        run(settings_from_arguments(others), LIES[arguments.lie](Cards(arguments.cards), arguments.switch))
    except HalonyxError as error:
        sys.stderr.write(f"lying relay: {error}\n")
        return 2
    return 0


def _entry(name: str, words: str) -> str:
    return textwrap.fill(words.splitlines()[0], 100, initial_indent=f"  {name:<20}", subsequent_indent=" " * 22)


if __name__ == "__main__":
    sys.exit(main())
