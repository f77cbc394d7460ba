/**
 * Sessions with one device: the one we send on, and archived ones that may still receive.
 *
 * Source: spec/ratchet.md, "Sessions"; Signal, Sesame r2, section 3.
 */

import { Reader, Writer, sameBytes, toHex } from "./encoding"
import { Malformed, Replay, UnknownSession } from "./errors"
import * as handshakes from "./handshake"
import { Handshake } from "./handshake"
import { KeyPair, PublicKey } from "./primitives"
import * as ratchets from "./ratchet"
import { MAX_SKIPPED, Message, slotOf } from "./ratchet"
import type { Chain, Ratchet, SkippedKey, SkippedKeys } from "./ratchet"
import { HOUR, KEY_SIZE, SESSION_ID_SIZE } from "./types"
import type { Bytes, Fingerprint, Millis, SessionId } from "./types"

export const VERSION = 1
export const TYPE = 0x12
export const MAX_ARCHIVED = 5
export const ARCHIVED_LIFETIME = 72 * HOUR
const INITIATED = 1
const ESTABLISHED = 2

/** We wrote first; the handshake is repeated until they answer. */
export interface Initiated {
  readonly kind: "initiated"
  readonly ratchet: Ratchet
  readonly handshake: Handshake
}

/** Both sides have the session. */
export interface Established {
  readonly kind: "established"
  readonly ratchet: Ratchet
}

export type Session = Initiated | Established

/** A session that only receives, until it is 72 hours old. */
export interface Archived {
  readonly session: Session
  readonly since: Millis
}

/** All sessions with one device of the other side. */
export interface Sessions {
  /** Null before the first handshake. */
  readonly sending: Session | null
  /** Newest first, at most MAX_ARCHIVED. */
  readonly archived: readonly Archived[]
}

export const NO_SESSIONS: Sessions = { sending: null, archived: [] }

/** What lies in an envelope: a ratchet message, behind its handshake until that is answered. */
export interface SessionMessage {
  readonly handshake: Handshake | null
  readonly message: Message
}

export const SessionMessage = {
  /**
   * Read a message with or without a handshake.
   *
   * @throws Malformed: neither, or one of the two is malformed.
   * UnsupportedVersion: a version or suite this program does not know.
   * BadKey: the handshake's ephemeral key is not canonical.
   */
  parse(data: Bytes): SessionMessage {
    if (data[1] !== handshakes.TYPE) return { handshake: null, message: Message.parse(data) }
    const handshake = Handshake.parse(data.slice(0, handshakes.HEADER_SIZE))
    return { handshake, message: Message.parse(data.slice(handshakes.HEADER_SIZE)) }
  },
}

/** Return a session whose handshake is not answered yet. */
export function initiated(ratchet: Ratchet, handshake: Handshake): Initiated {
  return { kind: "initiated", ratchet, handshake }
}

/** Return a session that both sides have. */
export function established(ratchet: Ratchet): Established {
  return { kind: "established", ratchet }
}

/**
 * Encrypt on the sending session; returns the next session, and the bytes for the envelope.
 *
 * @throws Misuse: as `ratchet.encrypt`.
 */
export async function seal(session: Session, plaintext: Bytes, salt: Bytes): Promise<readonly [Session, Bytes]> {
  const [ratchet, message] = await ratchets.encrypt(session.ratchet, plaintext, salt)
  const after = { ...session, ratchet }
  if (session.kind === "established") return [after, message]
  return [after, new Writer().raw(Handshake.encode(session.handshake)).raw(message).done()]
}

/** Return the session of this id, if we still have it: by name, never by trial decryption. */
export function find(sessions: Sessions, sessionId: SessionId, now: Millis): Session | null {
  const held = [...(sessions.sending === null ? [] : [sessions.sending]), ...current(sessions, now).map(sessionOf)]
  return held.find((session) => sameBytes(session.ratchet.sessionId, sessionId)) ?? null
}

/**
 * Open a message on the session it names; returns all sessions after it, and the plaintext.
 *
 * A first reply makes an initiated session established.
 *
 * @throws UnknownSession: no session of this id, or archived for more than 72 hours.
 * AuthenticationFailed, Duplicate, TooFarAhead, BadKey: as `ratchet.decrypt`.
 */
export async function receive(
  sessions: Sessions,
  message: Message,
  fresh: KeyPair,
  now: Millis,
): Promise<readonly [Sessions, Bytes]> {
  const session = find(sessions, message.sessionId, now)
  if (session === null) throw new UnknownSession("no session of this id")
  const [ratchet, plaintext] = await ratchets.decrypt(session.ratchet, message, fresh, now)
  const after = established(ratchet)
  const archived = current(sessions, now)
  if (session === sessions.sending) return [{ sending: after, archived }, plaintext]
  const moved = archived.map((old) => (old.session === session ? { ...old, session: after } : old))
  return [{ sending: sessions.sending, archived: moved }, plaintext]
}

/**
 * Take in a session that they began, after its first message decrypted.
 *
 * It becomes the sending session, unless our own handshake is still unanswered, is not the one they reset, and our
 * fingerprint is the smaller: then both sides keep ours, and theirs only receives.
 *
 * @param sessions All sessions before it.
 * @param accepted The new ratchet.
 * @param fingerprints Ours and theirs.
 * @param resets The session their first message asks to drop, if any.
 * @param now When the loser is archived.
 * @throws Replay: a session of this id is already there: a repeated handshake never becomes a new session.
 *
 * Source: spec/ratchet.md, "Both start at once".
 */
export function adopt(
  sessions: Sessions,
  accepted: Ratchet,
  fingerprints: readonly [Fingerprint, Fingerprint],
  resets: SessionId | null,
  now: Millis,
): Sessions {
  if (find(sessions, accepted.sessionId, now) !== null) throw new Replay("a session of this handshake exists")
  const theirs = established(accepted)
  const sending = sessions.sending
  if (sending === null) return { ...sessions, sending: theirs }
  const [ourPrint, theirPrint] = fingerprints
  const isReset = resets !== null && sameBytes(sending.ratchet.sessionId, resets)
  const isOursKept = sending.kind === "initiated" && !isReset && toHex(ourPrint) < toHex(theirPrint)
  if (isOursKept) return { sending, archived: archive(sessions, theirs, now) }
  return { sending: theirs, archived: archive(sessions, sending, now) }
}

/** Return the sessions after `seal` moved the sending one on. */
export function replaceSending(sessions: Sessions, sending: Session): Sessions {
  return { ...sessions, sending }
}

/** Send on a handshake of ours from now on, archiving the session before. */
export function begin(sessions: Sessions, started: Initiated, now: Millis): Sessions {
  if (sessions.sending === null) return { ...sessions, sending: started }
  return { sending: started, archived: archive(sessions, sessions.sending, now) }
}

/** Sessions as the store seals them: everything but the private ratchet keys, which can't be read out. */
export interface StoredSessions {
  /** The stored form of spec/ratchet.md, with our public ratchet key where the private one stands there. */
  readonly encoded: Bytes
  /** The private ratchet keys, in the order of the sessions. */
  readonly privates: readonly CryptoKey[]
}

/** Return the form for the client's encrypted store; it holds every secret of the sessions. */
export function toStored(sessions: Sessions): StoredSessions {
  const writer = new Writer().u8(VERSION).u8(TYPE).u8(sessions.sending === null ? 0 : 1)
  if (sessions.sending !== null) writeSession(writer, sessions.sending)
  writer.u8(sessions.archived.length)
  for (const old of sessions.archived) {
    writer.u64(old.since)
    writeSession(writer, old.session)
  }
  const held = [...(sessions.sending === null ? [] : [sessions.sending]), ...sessions.archived.map(sessionOf)]
  return { encoded: writer.done(), privates: held.map((session) => session.ratchet.ours.private) }
}

/**
 * Read what `toStored` wrote.
 *
 * @throws Malformed, UnsupportedVersion, BadKey: the stored row is damaged or of another version.
 */
export function fromStored(stored: StoredSessions): Sessions {
  const reader = new Reader(stored.encoded)
  const privates = [...stored.privates]
  reader.header(VERSION, TYPE)
  const sending = reader.flags(1) === 0 ? null : readSession(reader, privates)
  const archived = Array.from({ length: reader.count(1, MAX_ARCHIVED) }, () => {
    const since = readMillis(reader)
    return { session: readSession(reader, privates), since }
  })
  reader.finish()
  if (privates.length > 0) throw new Malformed("more private keys than sessions")
  return { sending, archived }
}

function sessionOf(archived: Archived): Session {
  return archived.session
}

function current(sessions: Sessions, now: Millis): readonly Archived[] {
  return sessions.archived.filter((old) => old.since + ARCHIVED_LIFETIME > now)
}

function archive(sessions: Sessions, session: Session, now: Millis): readonly Archived[] {
  return [{ session, since: now }, ...current(sessions, now)].slice(0, MAX_ARCHIVED)
}

function writeSession(writer: Writer, session: Session): void {
  switch (session.kind) {
    case "initiated":
      writer.u8(INITIATED).raw(Handshake.encode(session.handshake))
      break
    case "established":
      writer.u8(ESTABLISHED)
  }
  writeRatchet(writer, session.ratchet)
}

function readSession(reader: Reader, privates: CryptoKey[]): Session {
  const kind = reader.u8()
  switch (kind) {
    case INITIATED: {
      const handshake = Handshake.parse(reader.take(handshakes.HEADER_SIZE))
      return initiated(readRatchet(reader, privates), handshake)
    }
    case ESTABLISHED:
      return established(readRatchet(reader, privates))
    default:
      throw new Malformed(`session kind ${kind}`)
  }
}

function writeRatchet(writer: Writer, state: Ratchet): void {
  writer.raw(state.sessionId).fixed(state.sendingAd, 32).fixed(state.receivingAd, 32)
  writer.raw(state.rootKey).raw(state.ours.public.raw).sized(state.theirs?.raw ?? new Uint8Array(), 1, KEY_SIZE)
  for (const chain of [state.sending, state.receiving]) {
    writer.u8(chain === null ? 0 : 1)
    if (chain !== null) writer.raw(chain.key).u32(chain.index)
  }
  writer.u32(state.previousLength).u16(state.skipped.size)
  for (const kept of state.skipped.values()) {
    writer.raw(kept.ratchetKey).u32(kept.index).raw(kept.messageKey).u64(kept.stored)
  }
}

function readRatchet(reader: Reader, privates: CryptoKey[]): Ratchet {
  const sessionId = reader.take(SESSION_ID_SIZE) as SessionId
  const [sendingAd, receivingAd, rootKey] = [reader.take(32), reader.take(32), reader.take(32)]
  const [ourPublic, ourPrivate] = [new PublicKey(reader.take(KEY_SIZE)), privates.shift()]
  if (ourPrivate === undefined) throw new Malformed("fewer private keys than sessions")
  const theirs = reader.sized(1, KEY_SIZE)
  return {
    sessionId,
    sendingAd,
    receivingAd,
    rootKey,
    ours: new KeyPair(ourPublic, ourPrivate),
    theirs: theirs.length === 0 ? null : new PublicKey(theirs),
    sending: readChain(reader),
    receiving: readChain(reader),
    previousLength: reader.u32(),
    skipped: readSkipped(reader),
  }
}

function readChain(reader: Reader): Chain | null {
  return reader.flags(1) === 0 ? null : { key: reader.take(KEY_SIZE), index: reader.u32() }
}

function readSkipped(reader: Reader): SkippedKeys {
  const skipped = new Map<string, SkippedKey>()
  for (let left = reader.count(2, MAX_SKIPPED); left > 0; left--) {
    const [ratchetKey, index] = [reader.take(KEY_SIZE), reader.u32()]
    const slot = slotOf(ratchetKey, index)
    if (skipped.has(slot)) throw new Malformed("two skipped keys for one message")
    skipped.set(slot, { ratchetKey, index, messageKey: reader.take(KEY_SIZE), stored: readMillis(reader) })
  }
  return skipped
}

function readMillis(reader: Reader): Millis {
  const millis = Number(reader.u64())
  if (!Number.isSafeInteger(millis)) throw new Malformed("a time that a number does not hold")
  return millis as Millis
}
