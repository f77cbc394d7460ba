/** Requests are the JSON that the relay takes (transport.test.ts sends them); answers are taken in one form only. */

import { describe, expect, test } from "vitest"

import { encodeBase64url } from "../../src/core/encoding"
import { Malformed, Misuse } from "../../src/core/errors"
import type { Address, DeviceId, PrekeyId } from "../../src/core/types"
import type { Parse } from "../../src/wire/json"
import { parseDone, parseError, toJson } from "../../src/wire/rest"
import {
  parseAccountStatus,
  parseInviteAnswer,
  parseReplaceAccountResponse,
  parseSignUpResponse,
  parseWorkChallenge,
} from "../../src/wire/rest_account"
import { USE_SIGNED, parseBundle, parseLookupResponse, parsePrekeyCounts } from "../../src/wire/rest_directory"
import { parseDropOpened, parseDropProgress, parseTurnCredentials } from "../../src/wire/rest_files"
import { parseRelayInfo, parseRelayKnows } from "../../src/wire/rest_relay"

const text = (size: number): string => encodeBase64url(new Uint8Array(size).fill(size))
const prekey = { id: 7, blob: text(29) }
const LIMITS = {
  max_envelope_bytes: 65536,
  mailbox_messages: 10000,
  mailbox_bytes: 67108864,
  request_inbox: 20,
  retention_days: 30,
  one_time_prekeys: 200,
}
const INFO = {
  relay_key: text(32),
  operator_key: text(32),
  origins: ["https://relay.example"],
  signup: "pow",
  version: "0.1.0",
  time: 1760000000000,
  contact_required: false,
  limits: LIMITS,
  files: { tracker: true, turn: false, drop: 0 },
}
const KNOWS = {
  held: [
    { file: "app.db", name: "envelope.time", text: "When it came in." },
    { file: "log", name: "", text: "Events of the program." },
  ],
  can_tell: ["How many wait."],
  cannot_tell: ["Who wrote."],
}
const STATUS = { exists: true, record_hash: "ab".repeat(32), devices: [1, 255], highest_device: 255 }
const BUNDLE = {
  signed_prekey: prekey,
  envelope_prekey: prekey,
  last_resort_prekey: prekey,
  one_time_prekey: prekey,
  one_time_kem_prekey: prekey,
}
const CHALLENGE = { mode: "pow", seed: text(32), bits: 20, expires: 1760000600000 }
const TURN = { urls: ["turn:turn.example:3478"], username: "1760000000:ab", credential: "cd==", expires: 1760000000000 }
const ANSWERS: readonly (readonly [string, Parse<unknown>, Record<string, unknown>])[] = [
  ["error", parseError, { error: { code: "busy", message: "later" } }],
  ["done", parseDone, {}],
  ["relay info", parseRelayInfo, INFO],
  ["what a relay knows", parseRelayKnows, KNOWS],
  ["work challenge", parseWorkChallenge, CHALLENGE],
  ["sign-up", parseSignUpResponse, { epoch: text(8) }],
  ["account status", parseAccountStatus, STATUS],
  ["prekey counts", parsePrekeyCounts, { one_time: 0, one_time_kem: 200 }],
  ["lookup", parseLookupResponse, { record: text(8192), devices: [{ device: 1, envelope_prekey: prekey }] }],
  ["bundle", parseBundle, BUNDLE],
  ["turn credentials", parseTurnCredentials, TURN],
  ["an invite", parseInviteAnswer, { invite: "0a".repeat(16), expires: 1760000000000 }],
  ["an opened drop", parseDropOpened, { offset: 0, upload: "0a".repeat(16) }],
  ["a drop's progress", parseDropProgress, { offset: 4194304 }],
]

/** Yield the value with each part, however deep, passed through `change`. */
function* changed(value: unknown, change: (part: unknown) => readonly unknown[]): Generator {
  for (const other of change(value)) yield other
  if (Array.isArray(value)) {
    for (const [at, part] of value.entries()) for (const other of changed(part, change)) yield value.with(at, other)
  } else if (typeof value === "object" && value !== null) {
    for (const [name, part] of Object.entries(value)) {
      for (const other of changed(part, change)) yield { ...value, [name]: other }
    }
  }
}

const isObject = (part: unknown): part is object => typeof part === "object" && part !== null && !Array.isArray(part)
const withOneMore = (part: unknown): readonly unknown[] => (isObject(part) ? [{ ...part, more: 1 }] : [])
const withOneLess = (part: unknown): readonly unknown[] =>
  isObject(part) ? Object.keys(part).map((name) => Object.fromEntries(Object.entries(part).filter(([n]) => n !== name))) : []
const ofOtherTypes = (part: unknown): readonly unknown[] => {
  const others: readonly unknown[] = ["", 0.5, true, [null], { a: 1 }, 2 ** 53, undefined]
  const isText = typeof part === "string"
  const isSame = (other: unknown): boolean => typeof other === typeof part && Array.isArray(other) === Array.isArray(part)
  const kept = others.filter((other) => !isSame(other) || other === 0.5 || other === 2 ** 53)
  return isText ? kept.filter((other) => other !== "") : kept
}

describe.each(ANSWERS)("%s", (_, parse, answer) => {
  test("is taken", () => {
    expect(() => parse(answer)).not.toThrow()
  })

  test.each([
    ["a field more", withOneMore],
    ["a field less", withOneLess],
    ["another type", ofOtherTypes],
  ])("is refused with %s", (__, change) => {
    const wrong = [...changed(answer, change)]
    expect(wrong.length > 0 || Object.keys(answer).length === 0).toBe(true)
    for (const other of wrong) expect(() => parse(other), JSON.stringify(other)).toThrow(Malformed)
  })
})

test.each<readonly [string, Parse<unknown>, unknown]>([
  ["a key of 31 bytes", parseRelayInfo, { ...INFO, relay_key: text(31) }],
  ["a key of 33 bytes", parseRelayInfo, { ...INFO, relay_key: text(33) }],
  ["an unknown sign-up", parseRelayInfo, { ...INFO, signup: "invite" }],
  ["a negative time", parseRelayInfo, { ...INFO, time: -1 }],
  ["more files than any relay has", parseRelayKnows, { ...KNOWS, held: Array(201).fill(KNOWS.held[0]) }],
  ["21 sentences", parseRelayKnows, { ...KNOWS, can_tell: Array(21).fill("a") }],
  ["a sentence of 401 letters", parseRelayKnows, { ...KNOWS, cannot_tell: ["a".repeat(401)] }],
  ["a file's name of 41 letters", parseRelayKnows, { ...KNOWS, held: [{ file: "a".repeat(41), name: "", text: "a" }] }],
  ["a seed of 31 bytes", parseWorkChallenge, { ...CHALLENGE, seed: text(31) }],
  ["65 bits", parseWorkChallenge, { ...CHALLENGE, bits: 65 }],
  ["fewer than no bits", parseWorkChallenge, { ...CHALLENGE, bits: -1 }],
  ["an epoch of 9 bytes", parseSignUpResponse, { epoch: text(9) }],
  ["one of several epochs of 9 bytes", parseReplaceAccountResponse, { epochs: [text(8), text(9)] }],
  ["a hash in upper case", parseAccountStatus, { ...STATUS, record_hash: "AB".repeat(32) }],
  ["a hash of 31 bytes", parseAccountStatus, { ...STATUS, record_hash: "ab".repeat(31) }],
  ["device 0", parseAccountStatus, { ...STATUS, devices: [0] }],
  ["device 256", parseAccountStatus, { ...STATUS, devices: [256] }],
  ["highest device 256", parseAccountStatus, { ...STATUS, highest_device: 256 }],
  ["fewer than no prekeys", parsePrekeyCounts, { one_time: -1, one_time_kem: 0 }],
  ["a record of 28 bytes", parseLookupResponse, { record: text(28), devices: [] }],
  ["a record of 8,193 bytes", parseLookupResponse, { record: text(8193), devices: [] }],
  ["prekey 0", parseBundle, { ...BUNDLE, signed_prekey: { ...prekey, id: 0 } }],
  ["prekey 2^32", parseBundle, { ...BUNDLE, signed_prekey: { ...prekey, id: 2 ** 32 } }],
  ["no signed prekey", parseBundle, { ...BUNDLE, signed_prekey: null }],
  ["fewer than no bytes of drops", parseRelayInfo, { ...INFO, files: { ...INFO.files, drop: -1 } }],
  ["an upload token of 31 characters", parseDropOpened, { offset: 0, upload: "a".repeat(31) }],
  ["an upload token in upper case", parseDropOpened, { offset: 0, upload: "A".repeat(32) }],
  ["an upload before the first byte", parseDropOpened, { offset: -1, upload: "a".repeat(32) }],
  ...["stun:turn.example", "https://turn.example", "turn:", "turn:turn.example:3478 ", "turn:a@b", "turn:a?transport=tls"].map(
    (url) => [`the TURN server ${url}`, parseTurnCredentials, { ...TURN, urls: [...TURN.urls, url] }] as const,
  ),
  ["17 TURN servers", parseTurnCredentials, { ...TURN, urls: Array<string>(17).fill("turn:turn.example") }],
  ["an unknown error code", parseError, { error: { code: "teapot", message: "" } }],
  ["a code that objects have", parseError, { error: { code: "constructor", message: "" } }],
  ["a list for an object", parseDone, []],
  ["null", parseDone, null],
])("%s is refused", (_, parse, answer) => {
  expect(() => parse(answer)).toThrow(Malformed)
})

test("a TURN server is named in any way that an operator may write", () => {
  const urls = ["turn:turn.example", "turns:turn.example:5349?transport=tcp", "turn:[2001:db8::1]:3478?transport=udp"]
  expect(parseTurnCredentials({ ...TURN, urls }).urls).toEqual(urls)
})

test("null stands only where something may be absent", () => {
  expect(parseBundle({ ...BUNDLE, one_time_prekey: null, one_time_kem_prekey: null }).oneTimePrekey).toBeNull()
  expect(parseWorkChallenge({ ...CHALLENGE, mode: "open", seed: null, bits: 0 }).seed).toBeNull()
  for (const mode of ["open", "pow", "token", "closed"]) {
    expect(parseRelayInfo({ ...INFO, signup: mode }).signup).toBe(mode)
  }
  expect(parseAccountStatus({ ...STATUS, exists: false, record_hash: null }).recordHash).toBeNull()
})

test("a request is JSON in snake case with bytes as base64url", () => {
  const address = new Uint8Array(32).fill(255) as Address
  const body = new TextDecoder().decode(
    toJson({
      address,
      device: 1 as DeviceId,
      prekeys: [{ use: USE_SIGNED, id: 5 as PrekeyId, blob: new Uint8Array([251, 255]) }],
      oneTimeFrom: 6 as PrekeyId,
    }),
  )
  const all = `${"_".repeat(42)}8`
  expect(body).toBe(`{"address":"${all}","device":1,"prekeys":[{"use":1,"id":5,"blob":"-_8"}],"one_time_from":6}`)
})

test("a number that JSON does not keep is not sent", () => {
  const address = new Uint8Array(32) as Address
  for (const id of [2 ** 53, 0.5, NaN]) {
    const request = { address, device: id as DeviceId, prekeys: [], oneTimeFrom: 1 as PrekeyId }
    expect(() => toJson(request)).toThrow(Misuse)
  }
})
