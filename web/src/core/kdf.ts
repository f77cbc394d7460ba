/**
 * Every key split: which secret, under which label, becomes which keys.
 *
 * `info` is always label ‖ 0x00 ‖ context. Salt is empty unless named.
 *
 * Source: spec/conventions.md, "Key derivation"; each function names its own section.
 */

import { concat, utf8 } from "./encoding"
import * as labels from "./labels"
import { NONCE_SIZE, hkdf, hkdfExpand, hmacSha256 } from "./primitives"
import { ACCESS_KEY_SIZE, KEY_SIZE, SESSION_ID_SIZE } from "./types"
import type { Bytes, FileKey, SessionId, Usid } from "./types"

const ZERO = new Uint8Array(1)
export const ZERO_SALT: Bytes = new Uint8Array(32)
const FIRST = Uint8Array.of(1)
const SECOND = Uint8Array.of(2)
const CHUNKED_INFO = utf8("c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0")
export const COMMITMENT_SIZE = 32
export const TOKEN_SIZE = 16 // of what a file key gives tracker and drop

/** Return HKDF(secret) under `label`; 1 to 8,160 bytes. */
export function expand(
  secret: Uint8Array,
  label: Bytes,
  sizeBytes: number,
  context: Uint8Array = new Uint8Array(),
  salt: Uint8Array = new Uint8Array(),
): Bytes {
  return hkdf(secret, concat(label, ZERO, context), sizeBytes, salt)
}

/**
 * Advance the root chain by one X25519 secret; returns root key and chain key.
 *
 * Source: spec/ratchet.md, "KDF_RK"; Signal, The Double Ratchet Algorithm, section 5.2.
 */
export function kdfRoot(rootKey: Bytes, sharedSecret: Bytes): readonly [Bytes, Bytes] {
  const okm = expand(sharedSecret, labels.ROOT_KEY, 64, undefined, rootKey)
  return [okm.slice(0, 32), okm.slice(32)]
}

/**
 * Advance a sending or receiving chain by one message; returns next chain key and message key.
 *
 * Source: spec/ratchet.md, "KDF_CK".
 */
export function kdfChain(chainKey: Bytes): readonly [Bytes, Bytes] {
  return [hmacSha256(chainKey, SECOND), hmacSha256(chainKey, FIRST)]
}

/**
 * Split a message key into an AES key (32 bytes) and a nonce (12).
 *
 * The salt is 16 fresh bytes from the header: a state restored from an old copy must not use a key and nonce twice.
 *
 * Source: spec/ratchet.md, "Message encryption".
 */
export function kdfMessage(messageKey: Bytes, salt: Bytes): readonly [Bytes, Bytes] {
  const okm = expand(messageKey, labels.MESSAGE_KEY, KEY_SIZE + NONCE_SIZE, salt)
  return [okm.slice(0, KEY_SIZE), okm.slice(KEY_SIZE)]
}

/** What a handshake yields: the first root key and the session's name. */
export interface HandshakeSecrets {
  readonly rootKey: Bytes
  readonly sessionId: SessionId
}

/**
 * Split the PQXDH input into root key and session id; the middle third is reserved and dropped.
 *
 * Source: spec/handshake.md, "Suite 2".
 */
export function kdfPqxdh(ikm: Bytes, transcript: Bytes): HandshakeSecrets {
  const okm = expand(ikm, labels.PQXDH_SECRET, 96, transcript, ZERO_SALT)
  return {
    rootKey: okm.slice(0, 32),
    sessionId: expand(okm.slice(64), labels.SESSION_ID, SESSION_ID_SIZE) as SessionId,
  }
}

/**
 * Split an envelope's secret into an AES key (32 bytes) and a nonce (12).
 *
 * Source: spec/envelope.md, "Key".
 */
export function kdfEnvelope(ikm: Bytes, context: Bytes): readonly [Bytes, Bytes] {
  const okm = expand(ikm, labels.ENVELOPE_KEY, KEY_SIZE + NONCE_SIZE, context)
  return [okm.slice(0, KEY_SIZE), okm.slice(KEY_SIZE)]
}

/**
 * Return the 32-byte key that seals what the relay keeps for contacts to fetch.
 *
 * Source: spec/identity.md, "Directory key".
 */
export function directoryKey(usid: Usid): Bytes {
  return expand(usid, labels.DIRECTORY_KEY, KEY_SIZE)
}

/**
 * Return the 16-byte key by which a stranger with the card may leave a first message.
 *
 * Source: spec/envelope.md, "Access".
 */
export function requestKey(usid: Usid): Bytes {
  return expand(usid, labels.REQUEST_KEY, ACCESS_KEY_SIZE)
}

/**
 * Return the 16-byte key by which contacts send and look up.
 *
 * @param profileKey 32 random bytes, given to contacts inside encrypted messages.
 *
 * Source: spec/envelope.md, "Access".
 */
export function accessKey(profileKey: Bytes): Bytes {
  return expand(profileKey, labels.ACCESS_KEY, ACCESS_KEY_SIZE)
}

/**
 * Split a file key into an AES key (32 bytes), a base nonce (12) and the commitment to the file key (32).
 *
 * @param fileKey 32 uniformly random bytes.
 * @param salt 24 bytes, never twice with one file key.
 * @param context What the file is for.
 *
 * Source: spec/files.md, "Encryption"; https://c2sp.org/chunked-encryption, "Key derivation".
 */
export function kdfChunked(fileKey: Bytes, salt: Bytes, context: Bytes): readonly [Bytes, Bytes, Bytes] {
  const info = concat(CHUNKED_INFO, salt, context)
  const okm = hkdfExpand(fileKey, info, KEY_SIZE + NONCE_SIZE + COMMITMENT_SIZE)
  return [okm.slice(0, KEY_SIZE), okm.slice(KEY_SIZE, -COMMITMENT_SIZE), okm.slice(-COMMITMENT_SIZE)]
}

/**
 * Return the 16 bytes that two people show the tracker to meet each other and nobody else.
 *
 * Source: spec/files.md, "Torrent".
 */
export function trackerToken(fileKey: FileKey): Bytes {
  return expand(fileKey, labels.TRACKER_TOKEN, TOKEN_SIZE)
}

/**
 * Return the 16 bytes by which the relay's drop knows the ciphertext.
 *
 * Source: spec/files.md, "Drop".
 */
export function dropId(fileKey: FileKey): Bytes {
  return expand(fileKey, labels.DROP_ID, TOKEN_SIZE)
}

/**
 * Return the 16 bytes with which either side deletes what the drop holds; the drop knows their SHA-256.
 *
 * Source: spec/files.md, "Drop".
 */
export function dropDeletionKey(fileKey: FileKey): Bytes {
  return expand(fileKey, labels.DROP_DELETION_KEY, TOKEN_SIZE)
}
