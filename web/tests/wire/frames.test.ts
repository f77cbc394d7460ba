/** What parses encodes back to the same bytes; nothing else parses, and nothing crashes. */

import fc from "fast-check"
import { describe, expect, test } from "vitest"

import { sameBytes } from "../../src/core/encoding"
import { Malformed, Misuse, UnsupportedVersion } from "../../src/core/errors"
import type { Address, Bytes, DeviceId, EnvelopeId } from "../../src/core/types"
import {
  ENVELOPE_SIZES,
  MAX_ENVELOPE,
  MAX_FRAME,
  Status,
  encode,
  noEpoch,
  parseReceiveReply,
  parseReceiveRequest,
  parseSendReply,
  parseSendRequest,
} from "../../src/wire/frames"
import type { Frame } from "../../src/wire/frames"

type Parse = (data: Bytes) => Frame
const PARSERS: readonly Parse[] = [parseReceiveRequest, parseReceiveReply, parseSendRequest, parseSendReply]

const bytes = (size: number): fc.Arbitrary<Bytes> =>
  fc.uint8Array({ minLength: size, maxLength: size }).map((found) => new Uint8Array(found))
const address = bytes(32).map((found) => found as Address)
const envelopeId = bytes(16).map((found) => found as EnvelopeId)
const device = fc.integer({ min: 1, max: 255 }).map((found) => found as DeviceId)
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
const u16 = fc.nat(65_535)
const envelopeOf = (size: number): Bytes => new Uint8Array(size).fill(size % 251)
const bucket = fc.constantFrom(...ENVELOPE_SIZES).map(envelopeOf)
const anyEnvelope = fc.nat(MAX_ENVELOPE).map(envelopeOf)

const signature = bytes(64)
const CASES: readonly (readonly [string, Parse, fc.Arbitrary<Frame>])[] = [
  ["CHALLENGE", parseReceiveReply, fc.record({ type: fc.constant("CHALLENGE"), nonce: bytes(32), time: u64, signature })],
  ["AUTH", parseReceiveRequest, fc.record({ type: fc.constant("AUTH"), address, device, signature })],
  ["HELLO", parseReceiveRequest, fc.record({ type: fc.constant("HELLO"), epoch: bytes(8), cursor: u64 })],
  [
    "WELCOME",
    parseReceiveReply,
    fc.record({ type: fc.constant("WELCOME"), epoch: bytes(8), head: u64, oneTimeLeft: u16, oneTimeKemLeft: u16 }),
  ],
  [
    "DELIVER",
    parseReceiveReply,
    fc.record({ type: fc.constant("DELIVER"), seq: u64, envelopeId, time: u64, envelope: bucket }),
  ],
  ["ACK", parseReceiveRequest, fc.record({ type: fc.constant("ACK"), epoch: bytes(8), upto: u64 })],
  ["CAUGHT_UP", parseReceiveReply, fc.record({ type: fc.constant("CAUGHT_UP"), seq: u64 })],
  [
    "SUBMIT",
    parseSendRequest,
    fc.record({ type: fc.constant("SUBMIT"), envelopeId, address, device, key: bytes(16), envelope: anyEnvelope }),
  ],
  [
    "ACCEPTED",
    parseSendReply,
    fc.record({
      type: fc.constant("ACCEPTED"),
      envelopeId,
      status: fc.constantFrom(...Object.values(Status)),
      retryAfterS: u16,
    }),
  ],
  [
    "ANNOUNCE",
    parseReceiveReply,
    fc.record({ type: fc.constant("ANNOUNCE"), announcement: fc.integer({ min: 1, max: 2100 }).map(envelopeOf) }),
  ],
  ["ERROR", parseSendReply, fc.record({ type: fc.constant("ERROR"), code: fc.nat(255) })],
]

describe.each(CASES)("%s", (type, parse, frames) => {
  test("encodes and parses back", () => {
    fc.assert(
      fc.property(frames, (frame) => {
        const data = encode(frame)
        const parsed = parse(data)
        expect(parsed.type).toBe(type)
        expect(Object.keys(parsed)).toEqual(Object.keys(frame))
        expect(sameBytes(encode(parsed), data)).toBe(true)
      }),
      { numRuns: 50 },
    )
  })

  test("is refused with a byte less, and with a byte more unless an envelope ends it", () => {
    fc.assert(
      fc.property(frames, fc.nat(), (frame, at) => {
        const data = encode(frame)
        // Any shorter envelope is one, too, and an announcement is read apart.
        const header = frame.type === "SUBMIT" ? 67 : frame.type === "ANNOUNCE" ? 3 : data.length
        expect(() => parse(data.slice(0, at % header))).toThrow(Malformed)
        const longer = new Uint8Array(data.length + 1)
        longer.set(data)
        const isOpen = frame.type === "ANNOUNCE" || (frame.type === "SUBMIT" && frame.envelope.length < MAX_ENVELOPE)
        if (isOpen) expect(parse(longer).type).toBe(type)
        else expect(() => parse(longer)).toThrow(Malformed)
      }),
      { numRuns: 50 },
    )
  })

  test("is refused in another version, and where this side does not send it", () => {
    const [frame] = fc.sample(frames, 1)
    if (frame === undefined) throw new Error("no sample")
    const data = encode(frame)
    for (const other of PARSERS) {
      if (other !== parse && frame.type !== "ERROR") expect(() => other(data)).toThrow(Malformed)
    }
    data[0] = 2
    expect(() => parse(data)).toThrow(UnsupportedVersion)
  })
})

test("any bytes are a frame or refused", () => {
  const data = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.tuple(fc.nat(12), fc.uint8Array({ maxLength: 200 })).map(([type, body]) => Uint8Array.of(1, type, ...body)),
  )
  fc.assert(
    fc.property(data, (found) => {
      for (const parse of PARSERS) {
        const given = new Uint8Array(found)
        try {
          expect(sameBytes(encode(parse(given)), given)).toBe(true)
        } catch (error) {
          if (!(error instanceof Malformed) && !(error instanceof UnsupportedVersion)) throw error
        }
      }
    }),
  )
})

test("a frame over 66 KiB is refused before it is looked at", () => {
  expect(() => parseSendRequest(new Uint8Array(MAX_FRAME + 1))).toThrow("at most 67584")
})

test("what no correct program sends is not encoded", () => {
  const [seq, upto] = [1n, 1n]
  const [id, key, none] = [new Uint8Array(16) as EnvelopeId, new Uint8Array(16), 0 as DeviceId]
  const to = new Uint8Array(32) as Address
  const wrong: readonly Frame[] = [
    { type: "AUTH", address: to, device: none, signature: new Uint8Array(64) },
    { type: "AUTH", address: to, device: 256 as DeviceId, signature: new Uint8Array(64) },
    { type: "ACK", epoch: new Uint8Array(7), upto },
    { type: "HELLO", epoch: noEpoch(), cursor: 2n ** 64n },
    { type: "HELLO", epoch: noEpoch(), cursor: -1n },
    { type: "DELIVER", seq, envelopeId: id, time: 0n, envelope: new Uint8Array(1023) },
    { type: "SUBMIT", envelopeId: id, address: to, device: 1 as DeviceId, key, envelope: new Uint8Array(65_537) },
    { type: "SUBMIT", envelopeId: id, address: to, device: none, key, envelope: new Uint8Array(1024) },
  ]
  for (const frame of wrong) expect(() => encode(frame)).toThrow(Misuse)
})
