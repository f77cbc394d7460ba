/**
 * Double Ratchet: a step is a function from state to state, and nothing is kept before the tag verifies.
 *
 * Source: spec/ratchet.md; Signal, The Double Ratchet Algorithm r4, sections 2 to 5.
 */

import { Reader, Writer, concat, sameBytes, toHex } from "./encoding"
import { AuthenticationFailed, Duplicate, Malformed, Misuse, TooFarAhead, UnsupportedVersion } from "./errors"
import { kdfChain, kdfMessage, kdfRoot } from "./kdf"
import type { HandshakeSecrets } from "./kdf"
import { PublicKey, TAG_SIZE, aeadOpen, aeadSeal } from "./primitives"
import type { KeyPair } from "./primitives"
import { DAY, KEY_SIZE, SESSION_ID_SIZE } from "./types"
import type { Bytes, Millis, SessionId } from "./types"

export const VERSION = 1
export const TYPE = 0x10
export const SALT_SIZE = 16
export const HEADER_SIZE = 67
export const MAX_JUMP = 1000 // keys derived for one unauthenticated message: about 10 ms of hashing
export const MAX_SKIPPED = 2000
export const SKIPPED_LIFETIME = 30 * DAY // as long as the relay keeps mail
export const MAX_INDEX = 2 ** 32 - 1

/** A sending or receiving chain: its key, and the index of the message that it gives next. */
export interface Chain {
  readonly key: Bytes
  readonly index: number
}

/** A message key kept for a message that has not arrived yet. */
export interface SkippedKey {
  readonly ratchetKey: Bytes
  readonly index: number
  readonly messageKey: Bytes
  readonly stored: Millis
}

/** By `slotOf` ratchet key and index, oldest first; at most MAX_SKIPPED. Never changed in place. */
export type SkippedKeys = ReadonlyMap<string, SkippedKey>

/** One side of a session. */
export interface Ratchet {
  readonly sessionId: SessionId
  /** HS("ad"; …) of what we send, 32 bytes; `receivingAd` is the other direction's. */
  readonly sendingAd: Bytes
  readonly receivingAd: Bytes
  readonly rootKey: Bytes
  readonly ours: KeyPair
  /** Null only on the responder's side before the first message. */
  readonly theirs: PublicKey | null
  /** Null in the same case. */
  readonly sending: Chain | null
  /** Null until their first message. */
  readonly receiving: Chain | null
  /** Messages in our previous sending chain. */
  readonly previousLength: number
  readonly skipped: SkippedKeys
}

/** A parsed ratchet message; layout: spec/ratchet.md, table 1. */
export interface Message {
  readonly sessionId: SessionId
  readonly ratchetKey: Bytes
  readonly previousLength: number
  readonly index: number
  readonly salt: Bytes
  readonly header: Bytes
  readonly ciphertext: Bytes
}

export const Message = {
  /**
   * Read a message.
   *
   * @throws Malformed: too short, another type, or an unknown flag. UnsupportedVersion: another version.
   */
  parse(data: Bytes): Message {
    if (data.length < HEADER_SIZE + TAG_SIZE) {
      throw new Malformed(`message of ${data.length} bytes, at least ${HEADER_SIZE + TAG_SIZE}`)
    }
    const reader = new Reader(data)
    const [version, kind, flags] = [reader.u8(), reader.u8(), reader.u8()]
    if (version !== VERSION) throw new UnsupportedVersion(`message version ${version}`)
    if (kind !== TYPE || flags !== 0) throw new Malformed(`message type ${kind}, flags ${flags}`)
    return {
      sessionId: reader.take(SESSION_ID_SIZE) as SessionId,
      ratchetKey: reader.take(KEY_SIZE),
      previousLength: reader.u32(),
      index: reader.u32(),
      salt: reader.take(SALT_SIZE),
      header: data.slice(0, HEADER_SIZE),
      ciphertext: reader.rest(),
    }
  },
}

/** Return the key of SkippedKeys for one message. */
export function slotOf(ratchetKey: Bytes, index: number): string {
  return `${toHex(ratchetKey)}/${index}`
}

/**
 * Start the side that wrote first: their signed prekey is their first ratchet key.
 *
 * @throws BadKey: the signed prekey is of low order.
 *
 * Source: spec/ratchet.md, "Start".
 */
export async function initiator(
  secrets: HandshakeSecrets,
  sendingAd: Bytes,
  receivingAd: Bytes,
  signedPrekey: PublicKey,
  fresh: KeyPair,
): Promise<Ratchet> {
  const [rootKey, sending] = kdfRoot(secrets.rootKey, await fresh.exchange(signedPrekey))
  return {
    sessionId: secrets.sessionId,
    sendingAd,
    receivingAd,
    rootKey,
    ours: fresh,
    theirs: signedPrekey,
    sending: { key: sending, index: 0 },
    receiving: null,
    previousLength: 0,
    skipped: new Map(),
  }
}

/**
 * Start the side that was written to; it can send only after the first message.
 *
 * Source: spec/ratchet.md, "Start".
 */
export function responder(
  secrets: HandshakeSecrets,
  sendingAd: Bytes,
  receivingAd: Bytes,
  signedPrekey: KeyPair,
): Ratchet {
  return {
    sessionId: secrets.sessionId,
    sendingAd,
    receivingAd,
    rootKey: secrets.rootKey,
    ours: signedPrekey,
    theirs: null,
    sending: null,
    receiving: null,
    previousLength: 0,
    skipped: new Map(),
  }
}

/**
 * Encrypt one message; returns the next ratchet, and 67 bytes of header, the ciphertext, a tag of 16.
 *
 * @param state Ratchet before this message. Never changed.
 * @param plaintext 0 to about 64 KiB; the envelope sets the bound.
 * @param salt 16 fresh random bytes.
 * @throws Misuse: nothing was received yet on the responder's side, a salt of another size, or 2^32-1 messages in
 * a chain.
 *
 * Source: spec/ratchet.md, "Encrypting".
 */
export async function encrypt(state: Ratchet, plaintext: Bytes, salt: Bytes): Promise<readonly [Ratchet, Bytes]> {
  const chain = state.sending
  if (chain === null || salt.length !== SALT_SIZE || chain.index >= MAX_INDEX) {
    throw new Misuse("no sending chain, a salt that is not 16 bytes, or a chain at its end")
  }
  const [nextKey, messageKey] = kdfChain(chain.key)
  const writer = new Writer().u8(VERSION).u8(TYPE).u8(0).raw(state.sessionId).raw(state.ours.public.raw)
  const header = writer.u32(state.previousLength).u32(chain.index).raw(salt).done()
  const [key, nonce] = kdfMessage(messageKey, salt)
  const ciphertext = await aeadSeal(key, nonce, plaintext, concat(state.sendingAd, header))
  return [{ ...state, sending: { key: nextKey, index: chain.index + 1 } }, concat(header, ciphertext)]
}

/** Tell whether `decrypt` would use its fresh pair for this message. */
export function startsReceivingChain(state: Ratchet, message: Message): boolean {
  return isNewKey(state, message) && !state.skipped.has(slotOf(message.ratchetKey, message.index))
}

/**
 * Open one message and return the ratchet that results, and the plaintext.
 *
 * @param state Ratchet before this message. Never changed.
 * @param message Parsed message.
 * @param fresh New X25519 pair, used only if the message starts a receiving chain.
 * @param now Dates the keys that are skipped, and expires old ones.
 * @throws AuthenticationFailed: the tag does not verify, or the message names another session.
 * Duplicate: this index was opened before, or its key has expired.
 * TooFarAhead: more than MAX_JUMP keys would have to be derived.
 * BadKey: a new ratchet key that is non-canonical or of low order.
 *
 * Source: spec/ratchet.md, "Decrypting"; Signal, The Double Ratchet Algorithm, section 3.5.
 */
export async function decrypt(
  state: Ratchet,
  message: Message,
  fresh: KeyPair,
  now: Millis,
): Promise<readonly [Ratchet, Bytes]> {
  // The tag covers the id that the sender wrote; only this check ties it to the one both sides derived.
  if (!sameBytes(message.sessionId, state.sessionId)) throw new AuthenticationFailed("message of another session")
  const slot = slotOf(message.ratchetKey, message.index)
  const kept = state.skipped.get(slot)
  if (kept !== undefined) {
    if (isExpired(kept, now)) throw new Duplicate("the key of this message has expired")
    const plaintext = await open(state, kept.messageKey, message)
    const left = new Map(unexpired(state.skipped, now))
    left.delete(slot)
    return [{ ...state, skipped: left }, plaintext]
  }
  const [candidate, messageKey] = await takeMessageKey(state, message, fresh, now)
  return [candidate, await open(state, messageKey, message)]
}

/**
 * Start a receiving chain with their new ratchet key, and a sending chain with ours.
 *
 * @throws BadKey: their key is of low order.
 *
 * Source: spec/ratchet.md, "DH step".
 */
export async function dhRatchetStep(state: Ratchet, theirs: PublicKey, fresh: KeyPair): Promise<Ratchet> {
  const [middleKey, receiving] = kdfRoot(state.rootKey, await state.ours.exchange(theirs))
  const [rootKey, sending] = kdfRoot(middleKey, await fresh.exchange(theirs))
  return {
    ...state,
    rootKey,
    ours: fresh,
    theirs,
    sending: { key: sending, index: 0 },
    receiving: { key: receiving, index: 0 },
    previousLength: state.sending?.index ?? 0,
  }
}

function isNewKey(state: Ratchet, message: Message): boolean {
  return state.theirs === null || !sameBytes(message.ratchetKey, state.theirs.raw)
}

async function open(state: Ratchet, messageKey: Bytes, message: Message): Promise<Bytes> {
  const [key, nonce] = kdfMessage(messageKey, message.salt)
  return aeadOpen(key, nonce, message.ciphertext, concat(state.receivingAd, message.header))
}

async function takeMessageKey(
  before: Ratchet,
  message: Message,
  fresh: KeyPair,
  now: Millis,
): Promise<readonly [Ratchet, Bytes]> {
  let state = before
  if (isNewKey(state, message)) {
    const left = state.receiving === null ? 0 : Math.max(0, message.previousLength - state.receiving.index)
    // Checked before any hashing: the header is not authenticated yet.
    if (left + message.index > MAX_JUMP) throw new TooFarAhead(`would skip more than ${MAX_JUMP} messages`)
    state = await dhRatchetStep(skip(state, message.previousLength, now), new PublicKey(message.ratchetKey), fresh)
  }
  const current = state.receiving
  if (current === null) throw new Duplicate("our own first chain has no messages of theirs")
  if (message.index < current.index) throw new Duplicate("this index was opened before")
  if (message.index - current.index > MAX_JUMP) throw new TooFarAhead(`would skip more than ${MAX_JUMP} messages`)
  state = skip(state, message.index, now)
  const chain = state.receiving ?? current
  const [nextKey, messageKey] = kdfChain(chain.key)
  const receiving = { key: nextKey, index: chain.index + 1 }
  return [{ ...state, receiving, skipped: unexpired(state.skipped, now) }, messageKey]
}

/** Keep the keys of the receiving chain below index `until`. */
function skip(state: Ratchet, until: number, now: Millis): Ratchet {
  const chain = state.receiving
  if (chain === null || state.theirs === null || until <= chain.index) return state
  const skipped = new Map(unexpired(state.skipped, now))
  const ratchetKey = state.theirs.raw
  let chainKey = chain.key
  for (let index = chain.index; index < until; index++) {
    const [nextKey, messageKey] = kdfChain(chainKey)
    chainKey = nextKey
    skipped.set(slotOf(ratchetKey, index), { ratchetKey, index, messageKey, stored: now })
  }
  for (const slot of skipped.keys()) {
    if (skipped.size <= MAX_SKIPPED) break
    skipped.delete(slot)
  }
  return { ...state, receiving: { key: chainKey, index: until }, skipped }
}

function isExpired(kept: SkippedKey, now: Millis): boolean {
  return kept.stored + SKIPPED_LIFETIME <= now
}

/** Return the keys younger than SKIPPED_LIFETIME; looks past the oldest only when that one has expired. */
function unexpired(skipped: SkippedKeys, now: Millis): SkippedKeys {
  const [oldest] = skipped.values()
  if (oldest === undefined || !isExpired(oldest, now)) return skipped
  return new Map([...skipped].filter(([, kept]) => !isExpired(kept, now)))
}
