/**
 * Frames of the two WebSocket paths: fixed binary, one value, one encoding.
 *
 * `/v1/receive` is identified: CHALLENGE, AUTH, HELLO, WELCOME, DELIVER, ACK, CAUGHT_UP, ANNOUNCE. `/v1/send` is
 * anonymous: SUBMIT, ACCEPTED. ERROR ends either. A frame is version u8 ‖ type u8 ‖ body, in one binary message.
 *
 * Source: spec/delivery.md, "Frames".
 */

import { Reader, Writer } from "../core/encoding"
import { Malformed, Misuse, UnsupportedVersion } from "../core/errors"
import { ACCESS_KEY_SIZE, HASH_SIZE, MAX_DEVICE_ID, SIGNATURE_SIZE } from "../core/types"
import type { Address, Bytes, DeviceId, EnvelopeId } from "../core/types"

export const VERSION = 1
export const SUBPROTOCOL = "halonyx.1"
export const RECEIVE_PATH = "/v1/receive"
export const SEND_PATH = "/v1/send"
export const MAX_FRAME = 66 * 1024

export const ENVELOPE_SIZES: ReadonlySet<number> = new Set([1, 2, 4, 8, 16, 32, 64].map((kibibytes) => kibibytes * 1024))
export const MAX_ENVELOPE = 64 * 1024
export const EPOCH_SIZE = 8
export const NONCE_SIZE = 32
export const ENVELOPE_ID_SIZE = 16
/** The epoch of a device that knows none; a fresh copy each time, since bytes can be written to. */
export const noEpoch = (): Bytes => new Uint8Array(EPOCH_SIZE)

/** Second byte of a frame. */
export const FrameType = {
  CHALLENGE: 1,
  AUTH: 2,
  HELLO: 3,
  WELCOME: 4,
  DELIVER: 5,
  ACK: 6,
  CAUGHT_UP: 7,
  SUBMIT: 8,
  ACCEPTED: 9,
  ANNOUNCE: 10,
  ERROR: 11,
} as const

/** What ACCEPTED says about one SUBMIT. */
export const Status = {
  ACCEPTED: 0,
  MAILBOX_FULL: 1,
  GONE: 2,
  BAD_ACCESS_KEY: 3,
  BUSY: 4,
  REQUESTS_FULL: 5,
  MALFORMED: 6,
} as const
export type Status = (typeof Status)[keyof typeof Status]

/** Why the relay closes; a person debugging a client reads it, a program needs the close code only. */
export const ErrorCode = {
  MALFORMED: 1,
  UNSUPPORTED_VERSION: 2,
  UNEXPECTED: 3,
  OTHER_RECIPIENT: 4,
} as const

/** WebSocket close codes in use (RFC 6455 section 7.4; 4000 and up are ours). */
export const CloseCode = {
  NORMAL: 1000,
  PROTOCOL_ERROR: 1002,
  UNSUPPORTED_DATA: 1003,
  POLICY_VIOLATION: 1008,
  MESSAGE_TOO_BIG: 1009,
  NOT_AUTHENTICATED: 4401,
  NO_PROGRESS: 4408,
  REPLACED: 4409,
  SHUTTING_DOWN: 4503,
} as const

/** First frame on /v1/receive: 106 bytes; signed by the relay key, RELAY_CHALLENGE, `challengeBody`. */
export interface Challenge {
  readonly type: "CHALLENGE"
  readonly nonce: Bytes
  /** Milliseconds since 1970. */
  readonly time: bigint
  readonly signature: Bytes
}

/** The device's answer to the challenge: 99 bytes; signed by its login key, DEVICE_LOGIN, `loginBody`. */
export interface Auth {
  readonly type: "AUTH"
  readonly address: Address
  readonly device: DeviceId
  readonly signature: Bytes
}

/** What the device has stored so far: 18 bytes; sent right after AUTH. */
export interface Hello {
  readonly type: "HELLO"
  /** The mailbox epoch the cursor belongs to; `noEpoch()` when nothing is known. */
  readonly epoch: Bytes
  /** Highest sequence number the device has committed; within the epoch it counts as an ACK. */
  readonly cursor: bigint
}

/** The mailbox: 22 bytes. `head` is the highest sequence number given out; then what prekeys are left. */
export interface Welcome {
  readonly type: "WELCOME"
  readonly epoch: Bytes
  readonly head: bigint
  readonly oneTimeLeft: number
  readonly oneTimeKemLeft: number
}

/** One envelope: 34 bytes and 1, 2, 4, 8, 16, 32 or 64 KiB. */
export interface Deliver {
  readonly type: "DELIVER"
  readonly seq: bigint
  readonly envelopeId: EnvelopeId
  /** Milliseconds since 1970, by the relay's clock. */
  readonly time: bigint
  readonly envelope: Bytes
}

/** The device has committed everything up to and including `upto`: 18 bytes. */
export interface Ack {
  readonly type: "ACK"
  readonly epoch: Bytes
  readonly upto: bigint
}

/** The backlog found at HELLO has been delivered: 10 bytes; `seq` is the head at that moment. */
export interface CaughtUp {
  readonly type: "CAUGHT_UP"
  readonly seq: bigint
}

/** One envelope for one device: 67 bytes and at most 64 KiB; one that is no bucket is answered by a status. */
export interface Submit {
  readonly type: "SUBMIT"
  readonly envelopeId: EnvelopeId
  readonly address: Address
  readonly device: DeviceId
  /** Access key or request key, 16 bytes. */
  readonly key: Bytes
  readonly envelope: Bytes
}

/** The answer to one SUBMIT, after the commit: 21 bytes; `retryAfterS` 0: unknown. */
export interface Accepted {
  readonly type: "ACCEPTED"
  readonly envelopeId: EnvelopeId
  readonly status: Status
  readonly retryAfterS: number
}

/**
 * What the operator of the relay says: 2 bytes and an announcement.
 *
 * Read by `parseAnnouncement`, apart: one that can't be read does not cost the connection.
 */
export interface Announce {
  readonly type: "ANNOUNCE"
  readonly announcement: Bytes
}

/** The relay closes after this frame: 3 bytes. Codes unknown to the reader stay numbers. */
export interface ErrorFrame {
  readonly type: "ERROR"
  readonly code: number
}

export type ReceiveRequest = Auth | Hello | Ack
export type ReceiveReply = Challenge | Welcome | Deliver | CaughtUp | Announce | ErrorFrame
export type SendReply = Accepted | ErrorFrame
export type Frame = ReceiveRequest | ReceiveReply | Submit | SendReply

/**
 * Encode a frame of either path and side.
 *
 * @throws Misuse: a field of the wrong size, device 0, or an envelope that the frame can't carry.
 */
export function encode(frame: Frame): Bytes {
  const writer = new Writer().u8(VERSION).u8(FrameType[frame.type])
  switch (frame.type) {
    case "CHALLENGE":
      return writer.fixed(frame.nonce, NONCE_SIZE).u64(frame.time).fixed(frame.signature, SIGNATURE_SIZE).done()
    case "AUTH":
      writeDevice(writer.fixed(frame.address, HASH_SIZE), frame.device)
      return writer.fixed(frame.signature, SIGNATURE_SIZE).done()
    case "HELLO":
      return writer.fixed(frame.epoch, EPOCH_SIZE).u64(frame.cursor).done()
    case "WELCOME":
      writer.fixed(frame.epoch, EPOCH_SIZE).u64(frame.head)
      return writer.u16(frame.oneTimeLeft).u16(frame.oneTimeKemLeft).done()
    case "DELIVER":
      if (!ENVELOPE_SIZES.has(frame.envelope.length)) throw new Misuse(noBucket(frame.envelope))
      writer.u64(frame.seq).fixed(frame.envelopeId, ENVELOPE_ID_SIZE).u64(frame.time)
      return writer.raw(frame.envelope).done()
    case "ACK":
      return writer.fixed(frame.epoch, EPOCH_SIZE).u64(frame.upto).done()
    case "CAUGHT_UP":
      return writer.u64(frame.seq).done()
    case "SUBMIT":
      if (frame.envelope.length > MAX_ENVELOPE) throw new Misuse(`envelope of ${frame.envelope.length} bytes`)
      writeDevice(writer.fixed(frame.envelopeId, ENVELOPE_ID_SIZE).fixed(frame.address, HASH_SIZE), frame.device)
      return writer.fixed(frame.key, ACCESS_KEY_SIZE).raw(frame.envelope).done()
    case "ACCEPTED":
      return writer.fixed(frame.envelopeId, ENVELOPE_ID_SIZE).u8(frame.status).u16(frame.retryAfterS).done()
    case "ANNOUNCE":
      return writer.raw(frame.announcement).done()
    case "ERROR":
      return writer.u8(frame.code).done()
  }
}

/** Parse what a client sends on /v1/receive (Malformed or UnsupportedVersion otherwise). */
export function parseReceiveRequest(data: Bytes): ReceiveRequest {
  return parse(data, RECEIVE_REQUESTS)
}

/** Parse what the relay sends on /v1/receive (Malformed or UnsupportedVersion otherwise). */
export function parseReceiveReply(data: Bytes): ReceiveReply {
  return parse(data, RECEIVE_REPLIES)
}

/** Parse what a client sends on /v1/send (Malformed or UnsupportedVersion otherwise). */
export function parseSendRequest(data: Bytes): Submit {
  return parse(data, SEND_REQUESTS)
}

/** Parse what the relay sends on /v1/send (Malformed or UnsupportedVersion otherwise). */
export function parseSendReply(data: Bytes): SendReply {
  return parse(data, SEND_REPLIES)
}

type Read<T extends Frame> = (reader: Reader) => T

const readChallenge: Read<Challenge> = (reader) => ({
  type: "CHALLENGE",
  nonce: reader.take(NONCE_SIZE),
  time: reader.u64(),
  signature: reader.take(SIGNATURE_SIZE),
})

const readAuth: Read<Auth> = (reader) => ({
  type: "AUTH",
  address: reader.take(HASH_SIZE) as Address,
  device: readDevice(reader),
  signature: reader.take(SIGNATURE_SIZE),
})

const readHello: Read<Hello> = (reader) => ({ type: "HELLO", epoch: reader.take(EPOCH_SIZE), cursor: reader.u64() })

const readWelcome: Read<Welcome> = (reader) => ({
  type: "WELCOME",
  epoch: reader.take(EPOCH_SIZE),
  head: reader.u64(),
  oneTimeLeft: reader.u16(),
  oneTimeKemLeft: reader.u16(),
})

const readDeliver: Read<Deliver> = (reader) => {
  const [seq, envelopeId, time] = [reader.u64(), reader.take(ENVELOPE_ID_SIZE) as EnvelopeId, reader.u64()]
  const envelope = reader.rest()
  if (!ENVELOPE_SIZES.has(envelope.length)) throw new Malformed(noBucket(envelope))
  return { type: "DELIVER", seq, envelopeId, time, envelope }
}

const readAck: Read<Ack> = (reader) => ({ type: "ACK", epoch: reader.take(EPOCH_SIZE), upto: reader.u64() })

const readCaughtUp: Read<CaughtUp> = (reader) => ({ type: "CAUGHT_UP", seq: reader.u64() })

const readSubmit: Read<Submit> = (reader) => {
  const [envelopeId, address] = [reader.take(ENVELOPE_ID_SIZE) as EnvelopeId, reader.take(HASH_SIZE) as Address]
  const [device, key, envelope] = [readDevice(reader), reader.take(ACCESS_KEY_SIZE), reader.rest()]
  if (envelope.length > MAX_ENVELOPE) {
    throw new Malformed(`envelope of ${envelope.length} bytes, at most ${MAX_ENVELOPE}`)
  }
  return { type: "SUBMIT", envelopeId, address, device, key, envelope }
}

const readAccepted: Read<Accepted> = (reader) => {
  const [envelopeId, found] = [reader.take(ENVELOPE_ID_SIZE) as EnvelopeId, reader.u8()]
  const status = Object.values(Status).find((known) => known === found)
  if (status === undefined) throw new Malformed(`unknown status ${found}`)
  return { type: "ACCEPTED", envelopeId, status, retryAfterS: reader.u16() }
}

const readAnnounce: Read<Announce> = (reader) => {
  const announcement = reader.rest()
  if (announcement.length === 0) throw new Malformed("an announcement of 0 bytes")
  return { type: "ANNOUNCE", announcement }
}

const readError: Read<ErrorFrame> = (reader) => ({ type: "ERROR", code: reader.u8() })

const RECEIVE_REQUESTS: ReadonlyMap<number, Read<ReceiveRequest>> = new Map<number, Read<ReceiveRequest>>([
  [FrameType.AUTH, readAuth],
  [FrameType.HELLO, readHello],
  [FrameType.ACK, readAck],
])
const RECEIVE_REPLIES: ReadonlyMap<number, Read<ReceiveReply>> = new Map<number, Read<ReceiveReply>>([
  [FrameType.CHALLENGE, readChallenge],
  [FrameType.WELCOME, readWelcome],
  [FrameType.DELIVER, readDeliver],
  [FrameType.CAUGHT_UP, readCaughtUp],
  [FrameType.ANNOUNCE, readAnnounce],
  [FrameType.ERROR, readError],
])
const SEND_REQUESTS: ReadonlyMap<number, Read<Submit>> = new Map([[FrameType.SUBMIT, readSubmit]])
const SEND_REPLIES: ReadonlyMap<number, Read<SendReply>> = new Map<number, Read<SendReply>>([
  [FrameType.ACCEPTED, readAccepted],
  [FrameType.ERROR, readError],
])

function parse<T extends Frame>(data: Bytes, kinds: ReadonlyMap<number, Read<T>>): T {
  if (data.length < 2 || data.length > MAX_FRAME) {
    throw new Malformed(`frame of ${data.length} bytes, at most ${MAX_FRAME}`)
  }
  const reader = new Reader(data)
  const version = reader.u8()
  const type = reader.u8()
  if (version !== VERSION) throw new UnsupportedVersion(`version ${version}, expected ${VERSION}`)
  const read = kinds.get(type)
  if (read === undefined) throw new Malformed(`type ${type} is not allowed here`)
  const frame = read(reader)
  reader.finish()
  return frame
}

function readDevice(reader: Reader): DeviceId {
  const device = reader.u8()
  if (device === 0) throw new Malformed("device 0 does not exist")
  return device as DeviceId
}

function writeDevice(writer: Writer, device: DeviceId): void {
  if (device < 1 || device > MAX_DEVICE_ID) throw new Misuse("device must be 1 to 255")
  writer.u8(device)
}

function noBucket(envelope: Bytes): string {
  return `envelope of ${envelope.length} bytes is no bucket`
}
