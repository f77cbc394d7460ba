/**
 * Every error the client raises; classes and codes are those of the Python package.
 *
 * HalonyxError
 * ├── Misuse                     our caller passed something impossible
 * ├── RemoteError                the peer or the relay broke the specification
 * │   └── Malformed, UnsupportedVersion, BadSignature, BadKey, UnknownPrekey, UnknownSession, Replay, Duplicate,
 * │       TooFarAhead, AuthenticationFailed, UntrustedIdentity, StaleDirectory
 * ├── StoreError                 the local store refused
 * │   └── StorageConflict        another tab changed what was read
 * └── TransportError             the network or the relay did not answer
 *
 * Source: spec/conventions.md, "Error codes". Texts hold sizes and limits; never keys, plaintext or ids.
 */

/** Base of every error of this program. Callers branch on the class or on `code`, never on the text. */
export class HalonyxError extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
    this.name = new.target.name
  }
}

/** The caller passed a value that no correct program passes. */
export class Misuse extends HalonyxError {
  constructor(message: string) {
    super("misuse", message)
  }
}

/** The peer or the relay sent something the specification forbids. */
export class RemoteError extends HalonyxError {}

/** Bytes that are no valid encoding: short, long, trailing, an unknown flag or a length over its cap. */
export class Malformed extends RemoteError {
  constructor(message: string) {
    super("malformed", message)
  }
}

/** A version, suite, kind or critical extension this program does not know. */
export class UnsupportedVersion extends RemoteError {
  constructor(message: string) {
    super("unsupported-version", message)
  }
}

/** A signature that does not verify, or a signed object under the wrong label, device or key. */
export class BadSignature extends RemoteError {
  constructor(message: string) {
    super("bad-signature", message)
  }
}

/** A public key that is non-canonical or of low order, or an all-zero shared secret. */
export class BadKey extends RemoteError {
  constructor(message: string) {
    super("bad-key", message)
  }
}

/** The handshake names a prekey that is not, or no longer, ours. */
export class UnknownPrekey extends RemoteError {
  constructor(message: string) {
    super("unknown-prekey", message)
  }
}

/** No session has this id. */
export class UnknownSession extends RemoteError {
  constructor(message: string) {
    super("unknown-session", message)
  }
}

/** A handshake that was accepted before. */
export class Replay extends RemoteError {
  constructor(message: string) {
    super("replay", message)
  }
}

/** A message that was opened before, or whose key is no longer kept. */
export class Duplicate extends RemoteError {
  constructor(message: string) {
    super("duplicate", message)
  }
}

/** More message keys would have to be skipped than the specification allows. */
export class TooFarAhead extends RemoteError {
  constructor(message: string) {
    super("too-far-ahead", message)
  }
}

/** An authentication tag does not verify. */
export class AuthenticationFailed extends RemoteError {
  constructor(message: string) {
    super("authentication-failed", message)
  }
}

/** The sender is not who the session or the verified record says. */
export class UntrustedIdentity extends RemoteError {
  constructor(message: string) {
    super("untrusted-identity", message)
  }
}

/** A record older than one seen or named before, or the same version with other bytes. */
export class StaleDirectory extends RemoteError {
  constructor(message: string) {
    super("stale-directory", message)
  }
}

/** The local store is missing, damaged or of another version. */
export class StoreError extends HalonyxError {
  constructor(message: string, code = "store-error") {
    super(code, message)
  }
}

/** Another tab changed the row since it was read; read again and retry. */
export class StorageConflict extends StoreError {
  constructor(message: string) {
    super(message, "storage-conflict")
  }
}

/** The relay could not be reached or did not answer as the specification says. */
export class TransportError extends HalonyxError {
  constructor(message: string) {
    super("transport-error", message)
  }
}
