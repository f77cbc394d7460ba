"""Where the passphrase and the recovery code come from: a variable, the terminal, or (the passphrase) the OS keyring.

Never from the command line, where every program on the machine could read them.
"""

import getpass
import os
import sys
from pathlib import Path
from typing import Final

from halonyx.cli import text
from halonyx.core.errors import Malformed, Misuse

PASSPHRASE_VARIABLE: Final = "HALONYX_PASSPHRASE"  # noqa: S105 (a name)
BACKUP_VARIABLE: Final = "HALONYX_BACKUP_PASSPHRASE"
RECOVERY_VARIABLE: Final = "HALONYX_RECOVERY_CODE"
MAX_TYPED: Final = 1024  # characters read from standard input for one line
TRIES: Final = 3


class MalformedCode(Misuse):
    """What was typed is no recovery code."""

    code = "malformed"


def passphrase_to_open(home: Path) -> str | None:
    """Return the passphrase of an existing store; None leaves it to the OS keyring or to the SDK to refuse."""
    from halonyx.client.unlock import needs_passphrase  # noqa: PLC0415 (slow import; not for --help)

    if not needs_passphrase(home):
        return None
    return _given() or (getpass.getpass(text.ASK_PASSPHRASE) if has_terminal() else None)


def passphrase_to_create() -> str | None:
    """Return the passphrase for a new store; None where the OS keyring keeps the key.

    Raises:
        Misuse: The two typed passphrases differ three times.
    """
    given = _given()
    if given or has_keyring() or not has_terminal():
        return given
    return _ask_twice(text.ASK_NEW_PASSPHRASE)


def passphrase_for_file(*, is_new: bool) -> str:
    """Return the passphrase of a backup file; the account's own serves where no other is set.

    Raises:
        Misuse: No variable and no terminal, or two typed passphrases that differ three times.
    """
    given = os.environ.get(BACKUP_VARIABLE) or _given()
    if given:
        return given
    if not has_terminal():
        raise Misuse(text.NO_BACKUP_PASSPHRASE)
    return _ask_twice(text.ASK_NEW_BACKUP_PASSPHRASE) if is_new else getpass.getpass(text.ASK_BACKUP_PASSPHRASE)


def recovery_code() -> str:
    """Return a recovery code that has no typing error: from the variable, standard input, or typed unseen.

    Raises:
        Misuse: None given, or a typing error.
    """
    from halonyx.core.recovery import parse_recovery_code  # noqa: PLC0415 (slow import; not for --help)

    code = os.environ.get(RECOVERY_VARIABLE, "")
    if not code:
        is_typed = sys.stdin.isatty()
        code = getpass.getpass(text.ASK_RECOVERY_CODE) if is_typed else sys.stdin.readline(MAX_TYPED)
    if not code.strip():
        raise Misuse(text.NO_RECOVERY_CODE)
    try:
        parse_recovery_code(code)
    except Malformed as error:
        raise MalformedCode(str(error)) from None
    return code


def has_terminal() -> bool:
    """Tell whether a person can be asked, even if standard input is a pipe."""
    if not sys.stderr.isatty():
        return False
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def has_keyring() -> bool:
    """Tell whether this system keeps keys for programs; backends that keep nothing have priority 0 or less."""
    import keyring  # noqa: PLC0415 (looks for desktop services)

    return float(keyring.get_keyring().priority) > 0


def _given() -> str | None:
    return os.environ.get(PASSPHRASE_VARIABLE) or None


def _ask_twice(question: str) -> str:
    for _ in range(TRIES):
        first = getpass.getpass(question)
        if not first:
            sys.stderr.write(text.EMPTY_PASSPHRASE + "\n")
        elif first == getpass.getpass(text.ASK_AGAIN):
            return first
        else:
            sys.stderr.write(text.PASSPHRASES_DIFFER + "\n")
    raise Misuse(text.NO_PASSPHRASE_CHOSEN)
