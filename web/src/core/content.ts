/**
 * Content: what the ratchet encrypts. Ids, time, record gossip, a body by kind, and extensions.
 *
 * Source: spec/envelope.md, "Content".
 */

import { Reader, Writer, concat } from "./encoding"
import { Malformed, Misuse, UnsupportedVersion } from "./errors"
import { FileOffer, FileState } from "./file_offer"
import { HASH_SIZE, MESSAGE_ID_SIZE, SESSION_ID_SIZE } from "./types"
import type { Bytes, ConversationId, MessageId, SessionId } from "./types"

export const VERSION = 1
export const MAX_TEXT_SIZE = 16_384
export const MAX_BODY_SIZE = 49_152
export const MAX_IDS = 64
export const MAX_COUNTERS = 128
export const MAX_EXTENSIONS = 16
export const MAX_EXTENSION_SIZE = 1024
export const CRITICAL = 0x8000
const CONVERSATION_ID_SIZE = 16
const PROFILE_KEY_SIZE = 32
const HAS_REPLY_TO = 0x01
const EXPIRES = 0x02

/** What a message is; REACTION to CALL are reserved and refused as unsupported until they are specified. */
export const Kind = {
  TEXT: 1,
  RECEIPT: 2,
  CONTROL: 3,
  RESEND: 4,
  FILE: 5,
  REACTION: 6,
  EDIT: 7,
  DELETE: 8,
  GROUP: 9,
  CALL: 10,
  FILE_STATE: 11,
} as const
export type Kind = (typeof Kind)[keyof typeof Kind]

/** Tell whether messages of this kind have a counter: they come in order, and one that is missing is asked for. */
export function isCounted(kind: Kind): boolean {
  return kind === Kind.TEXT || kind === Kind.FILE
}

/** Extension types this program knows; with CRITICAL set, one it does not know refuses the message. */
export const Extension = { PROFILE_KEY: 1 } as const
export type Extension = (typeof Extension)[keyof typeof Extension]

/** Version and hash of an account record: both sides gossip them, so that a relay cannot serve two people two. */
export interface RecordName {
  readonly version: number
  readonly hash: Bytes
}

/** Body of a RESEND message. */
export interface Resend {
  /** The session to archive, whose messages could not be read; null when only messages are missing. */
  readonly resets: SessionId | null
  /** Which messages are missing, ascending; empty means every one without a receipt. */
  readonly counters: readonly bigint[]
}

export const Resend = {
  /** Return flag u8 ‖ session id 8 ‖ count u16 ‖ counters u64. */
  encode(resend: Resend): Bytes {
    const writer = new Writer().u8(resend.resets === null ? 0 : 1)
    writer.fixed(resend.resets ?? new Uint8Array(SESSION_ID_SIZE), SESSION_ID_SIZE).u16(resend.counters.length)
    for (const counter of resend.counters) writer.u64(counter)
    return writer.done()
  },

  /**
   * Read the body.
   *
   * @throws Malformed: not the one encoding of a resend request.
   */
  parse(body: Bytes): Resend {
    const reader = new Reader(body)
    const [flags, sessionId] = [reader.flags(1), reader.take(SESSION_ID_SIZE)]
    if (flags === 0 && !isZero(sessionId)) throw new Malformed("a session id without its flag")
    const counters = Array.from({ length: reader.count(2, MAX_COUNTERS) }, () => reader.u64())
    reader.finish()
    if (counters.some((counter, at) => counter <= (counters[at - 1] ?? -1n))) {
      throw new Malformed("counters must ascend")
    }
    return { resets: flags === 0 ? null : (sessionId as SessionId), counters }
  },
}

/** One message inside the encryption; layout: spec/envelope.md, table 3. */
export interface Content {
  readonly kind: Kind
  readonly messageId: MessageId
  /** Per sender and recipient device, from 1, for what must not go missing unseen; 0 for the rest. */
  readonly counter: bigint
  /** The sender's clock in milliseconds, any u64; shown, never sorted by. */
  readonly sent: bigint
  readonly conversation: ConversationId
  /** Which record of its own account the sender has published. */
  readonly senderRecord: RecordName
  /** Which record of ours the sender knows. */
  readonly recipientRecord: RecordName
  /** Text in UTF-8, message ids, a Resend, a FileOffer, a FileState, or empty, by kind. */
  readonly body: Bytes
  readonly replyTo: MessageId | null
  /** Seconds, 1 to 2^32-1. */
  readonly expiresAfter: number | null
  /** By type; unknown ones without CRITICAL are dropped. */
  readonly extensions: ReadonlyMap<Extension, Bytes>
}

export const Content = {
  /**
   * Return the plaintext for the ratchet.
   *
   * @throws Misuse: a field out of its range.
   */
  encode(content: Content): Bytes {
    const { replyTo, expiresAfter } = content
    if (expiresAfter === 0) throw new Misuse("a message that expires does so after 1 second or more")
    const flags = (replyTo === null ? 0 : HAS_REPLY_TO) | (expiresAfter === null ? 0 : EXPIRES)
    const writer = new Writer().u8(VERSION).u8(content.kind).u8(flags).fixed(content.messageId, MESSAGE_ID_SIZE)
    writer.u64(content.counter).u64(content.sent).fixed(content.conversation, CONVERSATION_ID_SIZE)
    for (const name of [content.senderRecord, content.recipientRecord]) {
      writer.u32(name.version).fixed(name.hash, HASH_SIZE)
    }
    if (replyTo !== null) writer.fixed(replyTo, MESSAGE_ID_SIZE)
    if (expiresAfter !== null) writer.u32(expiresAfter)
    writer.sized(content.body, 4, MAX_BODY_SIZE).u8(content.extensions.size)
    for (const [type, value] of [...content.extensions].sort(([first], [second]) => first - second)) {
      writer.u16(type).sized(value, 2, MAX_EXTENSION_SIZE)
    }
    return writer.done()
  },

  /**
   * Read what the ratchet decrypted.
   *
   * @throws Malformed: not the one encoding of a content.
   * UnsupportedVersion: a version, kind or critical extension this program does not know.
   */
  parse(data: Bytes): Content {
    const reader = new Reader(data)
    const kind = readKind(reader)
    const flags = reader.flags(HAS_REPLY_TO | EXPIRES)
    const messageId = reader.take(MESSAGE_ID_SIZE) as MessageId
    const [counter, sent] = [reader.u64(), reader.u64()]
    const conversation = reader.take(CONVERSATION_ID_SIZE) as ConversationId
    const [senderRecord, recipientRecord] = [readRecordName(reader), readRecordName(reader)]
    const replyTo = (flags & HAS_REPLY_TO) === 0 ? null : (reader.take(MESSAGE_ID_SIZE) as MessageId)
    const expiresAfter = (flags & EXPIRES) === 0 ? null : reader.u32()
    if ((replyTo !== null && isZero(replyTo)) || expiresAfter === 0) throw new Malformed("a flagged field is zero")
    const body = reader.sized(4, MAX_BODY_SIZE)
    const extensions = readExtensions(reader)
    reader.finish()
    BODY_CHECKS[kind](body)
    const names = { senderRecord, recipientRecord }
    return { kind, messageId, counter, sent, conversation, ...names, body, replyTo, expiresAfter, extensions }
  },
}

/**
 * Read the counter of a content whose kind this program does not know; it stands before all that a kind changes.
 *
 * @throws Malformed: too short. UnsupportedVersion: another version of the content itself.
 */
export function counterOf(data: Bytes): bigint {
  const reader = new Reader(data)
  checkVersion(reader.u8())
  reader.take(2 + MESSAGE_ID_SIZE)
  return reader.u64()
}

/**
 * Return the body of a RECEIPT: 1 to 64 message ids.
 *
 * @throws Misuse: none or too many.
 */
export function encodeIds(ids: readonly MessageId[]): Bytes {
  if (ids.length < 1 || ids.length > MAX_IDS) throw new Misuse(`a receipt names 1 to ${MAX_IDS} messages`)
  return concat(...ids)
}

/**
 * Read the body of a RECEIPT.
 *
 * @throws Malformed: no multiple of 16 bytes, none, or more than 64.
 */
export function parseIds(body: Bytes): readonly MessageId[] {
  const count = body.length / MESSAGE_ID_SIZE
  if (!Number.isInteger(count) || count < 1 || count > MAX_IDS) throw new Malformed(`a receipt of ${body.length} bytes`)
  const reader = new Reader(body)
  return Array.from({ length: count }, () => reader.take(MESSAGE_ID_SIZE) as MessageId)
}

/**
 * Read the body of a TEXT: 1 to 16,384 bytes of UTF-8.
 *
 * @throws Malformed: empty, too long, or not UTF-8.
 */
export function parseText(body: Bytes): string {
  if (body.length < 1 || body.length > MAX_TEXT_SIZE) throw new Malformed(`a text of ${body.length} bytes`)
  try {
    // Without ignoreBOM a leading U+FEFF would be dropped, and the text would not be the one that was sent.
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body)
  } catch {
    throw new Malformed("a text that is not UTF-8")
  }
}

const BODY_CHECKS = {
  [Kind.TEXT]: parseText,
  [Kind.RECEIPT]: parseIds,
  [Kind.CONTROL]: (body: Bytes): void => {
    if (body.length > 0) throw new Malformed("a control message has no body")
  },
  [Kind.RESEND]: (body: Bytes): Resend => Resend.parse(body),
  [Kind.FILE]: (body: Bytes): FileOffer => FileOffer.parse(body),
  [Kind.FILE_STATE]: (body: Bytes): FileState => FileState.parse(body),
}

function isZero(field: Bytes): boolean {
  return field.every((byte) => byte === 0)
}

function checkVersion(version: number): void {
  if (version !== VERSION) throw new UnsupportedVersion(`content version ${version}`)
}

function readKind(reader: Reader): keyof typeof BODY_CHECKS {
  const [version, number] = [reader.u8(), reader.u8()]
  checkVersion(version)
  const isKnown = (kind: number): kind is keyof typeof BODY_CHECKS => kind in BODY_CHECKS
  if (!isKnown(number)) throw new UnsupportedVersion(`content kind ${number}`)
  return number
}

function readRecordName(reader: Reader): RecordName {
  return { version: reader.u32(), hash: reader.take(HASH_SIZE) }
}

function readExtensions(reader: Reader): ReadonlyMap<Extension, Bytes> {
  const extensions = new Map<Extension, Bytes>()
  let previous = -1
  for (let left = reader.count(1, MAX_EXTENSIONS); left > 0; left--) {
    const [type, value] = [reader.u16(), reader.sized(2, MAX_EXTENSION_SIZE)]
    if (type <= previous) throw new Malformed("extension types must ascend")
    previous = type
    if (type === Extension.PROFILE_KEY) {
      if (value.length !== PROFILE_KEY_SIZE) throw new Malformed("a profile key is 32 bytes")
      extensions.set(type, value)
    } else if ((type & CRITICAL) !== 0) {
      throw new UnsupportedVersion(`critical extension ${type}`)
    }
  }
  return extensions
}
