/**
 * Sessions with one device: the one we send on, and archived ones that may still receive.
 *
 * Source: spec/ratchet.md, "Sessions"; Signal, Sesame r2, section 3.
 */

import { Writer, sameBytes, toHex } from "./encoding"
import { Replay, UnknownSession } from "./errors"
import * as handshakes from "./handshake"
import { Handshake } from "./handshake"
import type { KeyPair } from "./primitives"
import * as ratchets from "./ratchet"
import { Message } from "./ratchet"
import type { Ratchet } from "./ratchet"
import { HOUR } from "./types"
import type { Bytes, Fingerprint, Millis, SessionId } from "./types"

export const MAX_ARCHIVED = 5
export const ARCHIVED_LIFETIME = 72 * HOUR

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

function sessionOf(archived: Archived): Session {
  return archived.session
}

function current(sessions: Sessions, now: Millis): readonly Archived[] {
  return sessions.archived.filter((old) => old.since + ARCHIVED_LIFETIME > now)
}

function archive(sessions: Sessions, session: Session, now: Millis): readonly Archived[] {
  return [{ session, since: now }, ...current(sessions, now)].slice(0, MAX_ARCHIVED)
}
