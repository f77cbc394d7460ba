/**
 * HTTP and WebSockets to one relay: time limits, one kind of error for "not now", another for "no".
 *
 * Source: spec/delivery.md, "REST" and "Frames".
 */

import { concat, toHex } from "../core/encoding"
import { BadSignature, Malformed, RemoteError, TransportError } from "../core/errors"
import type { HalonyxError } from "../core/errors"
import { DEVICE_LOGIN, RELAY_CHALLENGE } from "../core/labels"
import { randomBytes } from "../core/primitives"
import type { SigningKey, VerifyKey } from "../core/primitives"
import { MINUTE, SECOND } from "../core/types"
import type { Address, Bytes, DeviceId } from "../core/types"
import { encode, parseReceiveReply, parseSendReply } from "../wire/frames"
import type { Accepted, Hello, ReceiveReply, Submit, Welcome } from "../wire/frames"
import { NONCE_SIZE, sign } from "../wire/http_signature"
import type { Signer } from "../wire/http_signature"
import type { Parse } from "../wire/json"
import { challengeBody, loginBody } from "../wire/login"
import { ERRORS, parseError, toJson } from "../wire/rest"
import { parseRelayInfo, parseRelayKnows } from "../wire/rest_relay"
import type { Body } from "../wire/rest"
import type { RelayInfo, RelayKnows } from "../wire/rest_relay"
import { reach } from "./reach"
import type { Reach } from "./reach"
import { Refused } from "./refused"
import { Socket } from "./socket"

export { DeviceReplaced, NOT_AUTHENTICATED, Refused } from "./refused"

export const CALL_MILLIS = 10 * SECOND
export const ANSWER_MILLIS = 10 * SECOND
export const SUBMIT_MILLIS = 20 * SECOND // all of a batch, which may be a megabyte
/**
 * How long a receiving connection may be silent before it is made anew.
 *
 * A page can't ping, and does not see the relay's pings, which the browser answers. A connection that broke without a
 * word is noticed by nothing else; a login costs the relay one signature and one check.
 */
export const IDLE_MILLIS = 2 * MINUTE
export const MAX_ANSWER_SIZE = 256 * 1024 // eight devices' prekeys and a record take 35 KiB
const NOT_NOW: ReadonlySet<string> = new Set(["busy", "too-many-requests", "internal"])

/**
 * Connections to one relay, used for one purpose: our own account, or one recipient.
 *
 * Two recipients never share one: the relay would see that one sender writes to both. That holds for WebSockets; which
 * TCP connection a call goes over is the browser's choice.
 */
export class Relay {
  readonly origin: string
  readonly #base: string
  readonly #closed = new AbortController()

  /**
   * @param origin `https://relay.example` or `http://localhost:3000`.
   * @param how By which address the page reaches it.
   * @throws Refused: relay-not-allowed, a page served from there may not reach that relay.
   */
  constructor(origin: string, how: Reach = reach) {
    const base = how(origin)
    if (base === null) throw new Refused("relay-not-allowed", `this page may not reach the relay ${origin}`)
    this.origin = origin
    this.#base = base
  }

  /**
   * Ask what this relay is.
   *
   * @throws TransportError: it can't be reached, or is no Halonyx relay. Refused: it says no.
   */
  async info(): Promise<RelayInfo> {
    return this.#request("GET", "/v1/relay", null, {}, parseRelayInfo)
  }

  /** Ask what this relay holds about an account (throws as `info`). */
  async knows(): Promise<RelayKnows> {
    return this.#request("GET", "/v1/relay/knows", null, {}, parseRelayKnows)
  }

  /**
   * Make one call.
   *
   * @param parse What the answer must be.
   * @param signer Management or login key; null calls anonymously.
   * @throws Refused: the relay said no. TransportError: it can't be reached, is busy, or does not answer as it must.
   */
  async call<Answer>(
    method: "POST" | "PUT",
    path: string,
    body: Body,
    parse: Parse<Answer>,
    signer: Signer | null = null,
  ): Promise<Answer> {
    const encoded = toJson(body)
    const headers = { "Content-Type": "application/json" }
    if (signer === null) return this.#request(method, path, encoded, headers, parse)
    // A page can't set Host and need not: the relay itself, or `halonyx web` in between, gets the one that is signed.
    const target = { method, authority: this.origin.replace(/^https?:\/\//, ""), path }
    const created = Math.floor(Date.now() / SECOND)
    const signature = await sign(signer, target, encoded, created, randomBytes(NONCE_SIZE))
    return this.#request(method, path, encoded, { ...headers, ...signature }, parse)
  }

  /**
   * Open a WebSocket; `close` of this relay closes it too.
   *
   * @throws TransportError: it can't be reached.
   */
  async socket(path: string): Promise<Socket> {
    if (this.#closed.signal.aborted) throw new TransportError("the connection is closed")
    return Socket.open(this.#base.replace(/^http/, "ws") + path, this.origin, this.#closed.signal)
  }

  /** End every call and socket. */
  close(): void {
    this.#closed.abort()
  }

  async #request<Answer>(
    method: string,
    path: string,
    body: Bytes | null,
    headers: Readonly<Record<string, string>>,
    parse: Parse<Answer>,
  ): Promise<Answer> {
    const finished = new AbortController()
    let response: Response
    let answer: Bytes
    try {
      response = await fetch(this.#base + path, {
        method,
        headers,
        body,
        redirect: "error", // a relay is its origin, and keys go there and nowhere else
        credentials: "omit", // nothing may tie one call to another
        cache: "no-store",
        referrerPolicy: "no-referrer",
        signal: AbortSignal.any([finished.signal, this.#closed.signal, AbortSignal.timeout(CALL_MILLIS)]),
      })
      answer = await bounded(response)
    } catch {
      finished.abort() // of an answer without end, the rest is not fetched
      throw new TransportError(`can't reach the relay ${this.origin}`)
    }
    if (!response.ok) throw refusal(answer, response.status)
    return answered(answer, parse, this.origin)
  }
}

/**
 * Prove who we are on /v1/receive and say what we have.
 *
 * @param socket Fresh.
 * @param relayKey Pinned at sign-up.
 * @param login The device's login key.
 * @param who Our address and device.
 * @param hello Epoch and cursor.
 * @throws BadSignature: the relay does not hold the pinned key. Refused: it does not know this device.
 * TransportError: the connection is gone. Malformed, UnsupportedVersion: a frame the specification forbids.
 */
export async function logIn(
  socket: Socket,
  relayKey: VerifyKey,
  login: SigningKey,
  who: readonly [Address, DeviceId],
  hello: Hello,
): Promise<Welcome> {
  const [address, device] = who
  const challenge = await receiveReply(socket, ANSWER_MILLIS)
  if (challenge.type !== "CHALLENGE") throw new BadSignature("the relay did not begin with a challenge")
  const signed = challengeBody(challenge.nonce, challenge.time, socket.origin)
  try {
    await relayKey.verify(RELAY_CHALLENGE, signed, challenge.signature)
  } catch (error) {
    if (!(error instanceof BadSignature)) throw error
    const text = "does not hold the key it had at sign-up: it is another relay, or was set up anew"
    throw new BadSignature(`${socket.origin} ${text}`)
  }
  const signature = await login.sign(DEVICE_LOGIN, loginBody(challenge.nonce, socket.origin, address, device))
  socket.send(encode({ type: "AUTH", address, device, signature }))
  socket.send(encode(hello))
  const welcome = await receiveReply(socket, ANSWER_MILLIS)
  if (welcome.type !== "WELCOME") throw new TransportError("the relay did not welcome this device")
  return welcome
}

/** Wait for one frame of /v1/receive (throws as `Socket.receive`, and RemoteError for a bad frame). */
export async function receiveReply(socket: Socket, millis: number | null): Promise<ReceiveReply> {
  return parseReceiveReply(await socket.receive(millis))
}

/**
 * Send envelopes and wait for the relay's answer to each, in the order of `batch`.
 *
 * @throws TransportError: the connection was lost, it took too long, or an answer is not understood; none of the answers
 *   is known.
 */
export async function submit(socket: Socket, batch: readonly Submit[]): Promise<readonly Accepted[]> {
  const until = performance.now() + SUBMIT_MILLIS
  for (const envelope of batch) socket.send(encode(envelope))
  const awaited = new Set(batch.map((envelope) => toHex(envelope.envelopeId)))
  const answers = new Map<string, Accepted>()
  while (awaited.size > 0) {
    const reply = await sendReply(socket, Math.max(until - performance.now(), 0))
    const id = toHex(reply.envelopeId)
    if (!awaited.delete(id)) throw new TransportError("the relay answered for an envelope that waits for no answer")
    answers.set(id, reply)
  }
  return batch.flatMap((envelope) => answers.get(toHex(envelope.envelopeId)) ?? [])
}

async function sendReply(socket: Socket, millis: number): Promise<Accepted> {
  const frame = await socket.receive(millis)
  try {
    const reply = parseSendReply(frame)
    if (reply.type === "ACCEPTED") return reply
  } catch (error) {
    if (!(error instanceof RemoteError)) throw error
    throw new TransportError(`the relay's answer is not understood: ${error.code}`)
  }
  throw new TransportError("the relay closed the sending connection")
}

/**
 * Read an answer's body.
 *
 * @throws TransportError: more than `limit` bytes.
 */
export async function bounded(response: Response, limit = MAX_ANSWER_SIZE): Promise<Bytes> {
  const parts: Uint8Array[] = []
  let size = 0
  const reader = response.body?.getReader()
  for (let part = await reader?.read(); part?.value !== undefined; part = await reader?.read()) {
    parts.push(part.value)
    size += part.value.length
    if (size > limit) {
      void reader?.cancel().catch(() => undefined) // else the connection stays until its time is over
      throw new TransportError("an answer without end")
    }
  }
  return concat(...parts)
}

/**
 * Read the answer of a call that went well.
 *
 * @throws TransportError: it is not what `parse` takes.
 */
export function answered<Answer>(answer: Bytes, parse: Parse<Answer>, origin: string): Answer {
  const parsed = understood(answer, parse)
  if (parsed === undefined) throw new TransportError(`${origin} does not answer like a Halonyx relay`)
  return parsed
}

/** Read an answer; undefined if it is not what `parse` takes. */
function understood<Answer>(answer: Bytes, parse: Parse<Answer>): Answer | undefined {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(answer))
  } catch {
    return undefined // neither UTF-8 nor JSON
  }
  try {
    return parse(value)
  } catch (error) {
    if (error instanceof Malformed) return undefined
    throw error
  }
}

/** Return the error that a relay's answer stands for. */
export function refusal(answer: Bytes, status: number): HalonyxError {
  const code = understood(answer, parseError)
  if (code === undefined) return new TransportError(`the relay answered with status ${status} and no reason`)
  const text = ERRORS.get(code) ?? code
  return NOT_NOW.has(code) ? new TransportError(`the relay says: ${text}`) : new Refused(code, text)
}
