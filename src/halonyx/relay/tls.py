"""The relay's own TLS: version 1.3, and a certificate that may be renewed while it runs.

Source: docs/reference/relay.md, "TLS".
"""

import ssl
from pathlib import Path
from typing import Final

from halonyx.core.errors import Misuse

REVIEW_SECONDS: Final = 60.0


class Certificate:
    """A certificate chain and its key, from two PEM files.

    Args:
        chain: The certificate, then those that lead to a known authority.
        key: Its private key, without a passphrase.

    Attributes:
        context: What connections are made with; new ones get a renewed certificate.

    Raises:
        Misuse: A file can't be read, is no certificate or key, or they don't belong together.
    """

    def __init__(self, chain: Path, key: Path) -> None:
        self._chain = chain
        self._key = key
        self._seen = self._stamps()
        self.context = _context(chain, key)

    async def refresh(self) -> None:
        """Take the files again if they have changed.

        Raises:
            Misuse: They are not what they were; the former certificate stays in use, and they are tried again.
        """
        stamps = self._stamps()
        if stamps == self._seen:
            return
        _context(self._chain, self._key)  # first: loading half of a pair would leave the context without the other
        self.context.load_cert_chain(self._chain, self._key, password="")  # nosec B106
        self._seen = stamps

    def _stamps(self) -> tuple[int, ...]:
        try:
            return tuple(path.stat().st_mtime_ns for path in (self._chain, self._key))
        except OSError:
            return ()


def _context(chain: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["http/1.1"])
    for path in (chain, key):
        try:
            path.open("rb").close()
        except OSError as error:
            raise Misuse(f"tls: {path} can't be read: {error.strerror}") from None
    try:
        # Without a passphrase to give, OpenSSL would ask for one on the terminal.
        context.load_cert_chain(chain, key, password="")  # nosec B106
    except (ssl.SSLError, ValueError):
        raise Misuse(
            f"tls: {chain} and {key} are no certificate and the private key that belongs to it, both PEM and the key "
            "without a passphrase"
        ) from None
    return context
