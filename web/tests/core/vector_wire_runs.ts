/** What each operation of delivery vectors means for our code. */

import { concat, decodeBase64url, encodeBase64, fromHex, sameBytes } from "../../src/core/encoding"
import { BadSignature, Malformed } from "../../src/core/errors"
import { DEVICE_LOGIN, RELAY_CHALLENGE, REST_REQUEST } from "../../src/core/labels"
import { SigningKey, VerifyKey, sha256 } from "../../src/core/primitives"
import type { Address, Bytes, DeviceId } from "../../src/core/types"
import { parseAnnouncement, signAnnouncement } from "../../src/wire/announcement"
import {
  RECEIVE_PATH,
  SEND_PATH,
  encode,
  parseReceiveReply,
  parseReceiveRequest,
  parseSendReply,
  parseSendRequest,
} from "../../src/wire/frames"
import type { Frame } from "../../src/wire/frames"
import { KeyId, contentDigest, sign, signatureBase } from "../../src/wire/http_signature"
import type { Target } from "../../src/wire/http_signature"
import { challengeBody, loginBody } from "../../src/wire/login"
import { check as checkWork, solve } from "../../src/wire/work"
import { check } from "./vectors"
import type { Fields, Runner } from "./vectors"

const PARSERS: ReadonlyMap<string, (data: Bytes) => Frame> = new Map<string, (data: Bytes) => Frame>([
  [`client ${RECEIVE_PATH}`, parseReceiveRequest],
  [`relay ${RECEIVE_PATH}`, parseReceiveReply],
  [`client ${SEND_PATH}`, parseSendRequest],
  [`relay ${SEND_PATH}`, parseSendReply],
])
const WINDOW_SECONDS = 60
// The one form of the header; the relay reads it so, and a client only writes it.
const INPUT = new RegExp(
  String.raw`^halonyx=(\("@method" "@authority" "@path" "content-digest"\);created=(0|[1-9][0-9]{0,14});` +
    String.raw`nonce="([A-Za-z0-9_-]{22})";keyid="([0-9a-f]{64})\.(0|[1-9][0-9]{0,2})";alg="ed25519")$`,
)
const SIGNATURE = /^halonyx=:([A-Za-z0-9+/]{86}==):$/

const frameParse: Runner = (given) => {
  const [path, sender, data] = [given.text("path"), given.text("sender"), given.hex("frame")]
  const parse = PARSERS.get(`${sender} ${path}`)
  check(parse !== undefined, "an unknown path or side")
  const frame = parse(data)
  check(sameBytes(encode(frame), data), "another encoding")
  const fields = Object.entries(frame).filter(([name]) => name !== "type")
  return { type: frame.type, fields: Object.fromEntries(fields.map(([name, value]) => [snakeCase(name), value])) }
}

const challengeOf = (given: Fields): Bytes => challengeBody(given.hex("nonce"), given.u64("time"), given.text("origin"))

const challengeSign: Runner = async (given) => {
  const body = challengeOf(given)
  return { body, signature: await (await SigningKey.fromSeed(given.hex("seed"))).sign(RELAY_CHALLENGE, body) }
}

const challengeVerify: Runner = async (given) => {
  await new VerifyKey(given.hex("key")).verify(RELAY_CHALLENGE, challengeOf(given), given.hex("signature"))
  return {}
}

const loginOf = (given: Fields): Bytes => {
  const [address, device] = [given.hex("address") as Address, given.number("device") as DeviceId]
  return loginBody(given.hex("nonce"), given.text("origin"), address, device)
}

const loginSign: Runner = async (given) => {
  const body = loginOf(given)
  return { body, signature: await (await SigningKey.fromSeed(given.hex("seed"))).sign(DEVICE_LOGIN, body) }
}

const loginVerify: Runner = async (given) => {
  await new VerifyKey(given.hex("key")).verify(DEVICE_LOGIN, loginOf(given), given.hex("signature"))
  return {}
}

const announcementSign: Runner = async (given) => {
  const operator = await SigningKey.fromSeed(given.hex("seed"))
  return { announcement: await signAnnouncement({ time: given.u64("time"), text: given.text("text") }, operator) }
}

const announcementParse: Runner = async (given) => {
  const found = await parseAnnouncement(given.hex("announcement"), new VerifyKey(given.hex("key")))
  return { time: found.time, text: found.text }
}

const targetOf = (given: Fields): Target => ({
  method: given.text("method"),
  authority: given.text("authority"),
  path: given.text("path"),
})

const httpSign: Runner = async (given) => {
  const keyId = new KeyId(given.hex("address") as Address, given.number("device"))
  const signer = { keyId, key: await SigningKey.fromSeed(given.hex("seed")) }
  const [target, body] = [targetOf(given), given.hex("body")]
  const headers = await sign(signer, target, body, given.number("created"), given.hex("nonce"))
  const [digest, input] = [headers["Content-Digest"], headers["Signature-Input"]]
  const base = signatureBase(target, digest, input.replace(/^halonyx=/, ""))
  await signer.key.public.verify(REST_REQUEST, base, base64(SIGNATURE.exec(headers.Signature)?.[1] ?? ""))
  return { content_digest: digest, signature_input: input, signature: headers.Signature, base }
}

// What a relay does with the headers; here because a client has no use for it.
const httpVerify: Runner = async (given) => {
  const [target, body, digest] = [targetOf(given), given.hex("body"), given.text("content_digest")]
  const [, params, created, nonce, address, device] = INPUT.exec(given.text("signature_input")) ?? []
  const signature = SIGNATURE.exec(given.text("signature"))?.[1]
  if (params === undefined || signature === undefined || digest !== contentDigest(body)) throw new Malformed("headers")
  if (Number(device) > 255 || encodeBase64(base64(signature)) !== signature) throw new Malformed("headers")
  const base = signatureBase(target, digest, params)
  await new VerifyKey(given.hex("key")).verify(REST_REQUEST, base, base64(signature))
  if (Math.abs(given.number("now") - Number(created)) > WINDOW_SECONDS) throw new BadSignature("not fresh")
  return { address: fromHex(address ?? ""), device: Number(device), created: Number(created), nonce }
}

const workSolve: Runner = (given) => {
  const [seed, address] = [given.hex("seed"), given.hex("address") as Address]
  const nonce = solve(seed, address, given.number("bits"))
  check(nonce !== null, "no nonce")
  return { nonce, digest: sha256(concat(seed, address, fromHex(nonce.toString(16).padStart(16, "0")))) }
}

const workCheck: Runner = (given) => {
  const [seed, address] = [given.hex("seed"), given.hex("address") as Address]
  return { is_solved: checkWork(seed, address, given.number("bits"), given.number("nonce")) }
}

const base64urlDecode: Runner = (given) => ({ data: decodeBase64url(given.text("text")) })

export const WIRE_RUNS: Readonly<Record<string, Runner>> = {
  frame_parse: frameParse,
  challenge_sign: challengeSign,
  challenge_verify: challengeVerify,
  login_sign: loginSign,
  login_verify: loginVerify,
  announcement_sign: announcementSign,
  announcement_parse: announcementParse,
  http_sign: httpSign,
  http_verify: httpVerify,
  work_solve: workSolve,
  work_check: workCheck,
  base64url_decode: base64urlDecode,
}

function base64(text: string): Bytes {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}
