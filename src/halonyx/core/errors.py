"""Every error the package raises.

HalonyxError
├── Misuse                     our caller passed something impossible
├── RemoteError                the peer or the relay broke the specification
│   ├── Malformed              malformed
│   ├── UnsupportedVersion     unsupported-version
│   ├── BadSignature           bad-signature
│   ├── BadKey                 bad-key
│   ├── UnknownPrekey          unknown-prekey
│   ├── UnknownSession         unknown-session
│   ├── Replay                 replay
│   ├── Duplicate              duplicate
│   ├── TooFarAhead            too-far-ahead
│   ├── AuthenticationFailed   authentication-failed
│   ├── UntrustedIdentity      untrusted-identity
│   └── StaleDirectory         stale-directory
├── StoreError                 the local store refused
│   └── StorageConflict        storage-conflict
└── TransportError             the network or the relay did not answer

Source: spec/conventions.md, "Error codes". Texts hold sizes and limits; never keys, plaintext or ids.
"""


class HalonyxError(Exception):
    """Base of every error of this package."""

    code: str = "error"


class Misuse(HalonyxError):
    """The caller passed a value that no correct program passes."""

    code = "misuse"


class RemoteError(HalonyxError):
    """The peer or the relay sent something the specification forbids."""


class Malformed(RemoteError):
    """Bytes that are no valid encoding: short, long, trailing, an unknown flag or a length over its cap."""

    code = "malformed"


class UnsupportedVersion(RemoteError):
    """A version, suite, kind or critical extension this program does not know."""

    code = "unsupported-version"


class BadSignature(RemoteError):
    """A signature that does not verify, or a signed object under the wrong label, device or key."""

    code = "bad-signature"


class BadKey(RemoteError):
    """A public key that is non-canonical or of low order, or an all-zero shared secret."""

    code = "bad-key"


class UnknownPrekey(RemoteError):
    """The handshake names a prekey that is not, or no longer, ours."""

    code = "unknown-prekey"


class UnknownSession(RemoteError):
    """No session has this id."""

    code = "unknown-session"


class Replay(RemoteError):
    """A handshake that was accepted before."""

    code = "replay"


class Duplicate(RemoteError):
    """A message that was opened before, or whose key is no longer kept."""

    code = "duplicate"


class TooFarAhead(RemoteError):
    """More message keys would have to be skipped than the specification allows."""

    code = "too-far-ahead"


class AuthenticationFailed(RemoteError):
    """An authentication tag does not verify."""

    code = "authentication-failed"


class UntrustedIdentity(RemoteError):
    """The sender is not who the session or the verified record says."""

    code = "untrusted-identity"


class StaleDirectory(RemoteError):
    """A record older than one seen or named before, or the same version with other bytes."""

    code = "stale-directory"


class StoreError(HalonyxError):
    """The local store is missing, locked, damaged or of another version."""

    code = "store-error"


class StorageConflict(StoreError):
    """Another process changed the row since it was read; read again and retry."""

    code = "storage-conflict"


class TransportError(HalonyxError):
    """The relay could not be reached or did not answer as the specification says.

    Attributes:
        retryable: Whether the same call may succeed later.
    """

    code = "transport-error"

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable
