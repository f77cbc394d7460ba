"""`python -m halonyx.relay --port 3000 --data DIR`."""

import sys

from halonyx.core.errors import HalonyxError
from halonyx.relay.server import run
from halonyx.relay.settings import settings_from_arguments


def main() -> int:
    """Run a relay by the command line; exit status 2 says that it could not start."""
    try:
        run(settings_from_arguments(sys.argv[1:]))
    except HalonyxError as error:
        sys.stderr.write(f"halonyx relay: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
