/** Calls and sockets against the real relay, and against a server that lies. */

import { once } from "node:events"
import type { ServerResponse } from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import { gzipSync } from "node:zlib"
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest"

import { reachFrom } from "../../src/client/reach"
import { MAX_ANSWER_SIZE, Refused, Relay, logIn, receiveReply, submit } from "../../src/client/transport"
import { BadSignature, Malformed, Misuse, TransportError } from "../../src/core/errors"
import { RELAY_CHALLENGE } from "../../src/core/labels"
import { SigningKey, VerifyKey, randomBytes, sha256 } from "../../src/core/primitives"
import type { Address, Bytes, DeviceId, EnvelopeId, PrekeyId } from "../../src/core/types"
import { RECEIVE_PATH, SEND_PATH, Status, encode, noEpoch } from "../../src/wire/frames"
import type { Hello, Submit } from "../../src/wire/frames"
import { KeyId, MANAGEMENT } from "../../src/wire/http_signature"
import { challengeBody } from "../../src/wire/login"
import { parseDone } from "../../src/wire/rest"
import {
  parseAccountStatus,
  parseReplaceAccountResponse,
  parseSignUpResponse,
  parseWorkChallenge,
} from "../../src/wire/rest_account"
import {
  USE_ENVELOPE,
  USE_LAST_RESORT,
  USE_ONE_TIME,
  USE_ONE_TIME_KEM,
  USE_SIGNED,
  parseBundle,
  parseLookupResponse,
  parsePrekeyCounts,
} from "../../src/wire/rest_directory"
import type { Prekey } from "../../src/wire/rest_directory"
import { solve } from "../../src/wire/work"
import { RelayProcess, freePort } from "../relay_process"
import { LyingRelay, TEXT } from "./lying_relay"
import type { Lies, ServerSocket } from "./lying_relay"

const direct = (origin: string): string => origin
const FIRST = 1 as DeviceId
const NOTHING_KNOWN: Hello = { type: "HELLO", epoch: noEpoch(), cursor: 0n }

const open: { close: () => void }[] = []
const servers: LyingRelay[] = []

afterEach(async () => {
  for (const relay of open.splice(0)) relay.close()
  for (const server of servers.splice(0)) await server.end()
})

function relayAt(origin: string): Relay {
  const relay = new Relay(origin, direct)
  open.push(relay)
  return relay
}

async function lying(lies: Lies): Promise<Relay> {
  const server = await LyingRelay.start(lies)
  servers.push(server)
  return relayAt(server.origin)
}

function prekeysFor(uses: readonly number[], from: number): readonly Prekey[] {
  return uses.map((use, at) => ({ use, id: (from + at) as PrekeyId, blob: randomBytes(100) }))
}

const ONE_OF_EACH = [USE_SIGNED, USE_ENVELOPE, USE_LAST_RESORT]

/** An account as a relay sees it: keys, and sealed objects that are only bytes to it. */
async function newAccount() {
  const address = randomBytes(32) as Address
  const [management, login] = [await SigningKey.generate(), await SigningKey.generate()]
  const [accessKey, requestKey] = [randomBytes(16), randomBytes(16)]
  return {
    address,
    login,
    accessKey,
    management: { keyId: new KeyId(address, MANAGEMENT), key: management },
    device: { keyId: new KeyId(address, FIRST), key: login },
    record: randomBytes(500),
    accessHash: sha256(accessKey),
    requestHash: sha256(requestKey),
  }
}
type Account = Awaited<ReturnType<typeof newAccount>>

async function signUp(relay: Relay): Promise<Account> {
  const account = await newAccount()
  const { address, record, accessHash, requestHash, management } = account
  const challenge = await relay.call("POST", "/v1/signup/challenge", { address }, parseWorkChallenge)
  const { seed } = challenge
  const nonce = seed === null ? null : solve(seed, address, challenge.bits)
  await relay.call(
    "POST",
    "/v1/accounts",
    {
      address,
      managementKey: management.key.public.raw,
      accessHash,
      requestHash,
      record,
      device: { id: FIRST, loginKey: account.login.public.raw, prekeys: prekeysFor(ONE_OF_EACH, 1) },
      work: seed === null || nonce === null ? null : { seed, nonce },
    },
    parseSignUpResponse,
    management,
  )
  return account
}

function submitTo(account: Account, key: Bytes = account.accessKey): Submit {
  const envelope = randomBytes(1024)
  envelope[0] = 1
  return { type: "SUBMIT", envelopeId: randomBytes(16) as EnvelopeId, address: account.address, device: FIRST, key, envelope }
}

describe("the real relay", () => {
  let process: RelayProcess
  let relayKey: VerifyKey

  beforeAll(async () => {
    process = await RelayProcess.start({ HALONYX_SIGNUP: "pow", HALONYX_POW_BITS: "8" })
    relayKey = new VerifyKey((await relayAt(process.origin).info()).relayKey)
  })
  afterAll(async () => {
    await process.remove()
  })

  const signedUp = (): Promise<Account> => signUp(relayAt(process.origin))
  const received = async (account: Account, login = account.login, key = relayKey) => {
    const socket = await relayAt(process.origin).socket(RECEIVE_PATH)
    return { socket, welcome: await logIn(socket, key, login, [account.address, FIRST], NOTHING_KNOWN) }
  }

  test("says what it is", async () => {
    const info = await relayAt(process.origin).info()
    expect(info.origins).toContain(process.origin)
    expect(info.signup).toBe("pow")
    expect(info.limits.maxEnvelopeBytes).toBe(65_536)
    expect(Math.abs(info.time - Date.now())).toBeLessThan(60_000)
  })

  test("takes every call", async () => {
    const relay = relayAt(process.origin)
    const account = await signedUp()
    const { address, management, device, accessKey: key, accessHash, requestHash } = account
    const status = await relay.call("POST", "/v1/account/status", { address }, parseAccountStatus, management)
    expect(status).toMatchObject({ exists: true, devices: [1], highestDevice: 1 })

    const prekeys = prekeysFor([USE_ONE_TIME, USE_ONE_TIME, USE_ONE_TIME_KEM], 10)
    const published = { address, device: FIRST, prekeys, oneTimeFrom: 10 as PrekeyId }
    const counts = await relay.call("PUT", "/v1/prekeys", published, parsePrekeyCounts, device)
    expect(counts).toEqual({ oneTime: 2, oneTimeKem: 1 })

    const found = await relay.call("POST", "/v1/lookup", { address, key }, parseLookupResponse)
    expect(found.record).toEqual(account.record)
    expect(found.devices.map((entry) => [entry.device, entry.envelopePrekey.id])).toEqual([[1, 2]])

    const wanted = { address, key, device: FIRST, fetchId: randomBytes(16) }
    const bundle = await relay.call("POST", "/v1/bundle", wanted, parseBundle)
    expect(bundle.signedPrekey.id).toBe(1)
    expect(bundle.oneTimePrekey).toEqual({ id: 10, blob: prekeys[0]?.blob })
    expect(bundle.oneTimeKemPrekey?.id).toBe(12)

    const changed = { address, accessHash: sha256(randomBytes(16)) }
    expect(await relay.call("PUT", "/v1/access-key", changed, parseDone, device)).toBeNull()

    const devices = [{ id: 2 as DeviceId, loginKey: account.login.public.raw, prekeys: prekeysFor(ONE_OF_EACH, 1) }]
    const replaces = status.recordHash ?? ""
    const replacement = { address, replaces, record: randomBytes(500), devices, accessHash, requestHash }
    const replaced = await relay.call("PUT", "/v1/account", replacement, parseReplaceAccountResponse, management)
    expect(replaced.epochs.map((epoch) => epoch.length)).toEqual([8])
    const now = await relay.call("POST", "/v1/account/status", { address }, parseAccountStatus, management)
    expect(now).toMatchObject({ exists: true, devices: [2], highestDevice: 2 })

    expect(await relay.call("POST", "/v1/account/delete", { address }, parseDone, management)).toBeNull()
    const gone = await relay.call("POST", "/v1/account/status", { address }, parseAccountStatus, management)
    expect(gone).toMatchObject({ exists: false, recordHash: null, devices: [] })
  })

  test("refuses with a code", async () => {
    const relay = relayAt(process.origin)
    const account = await signedUp()
    const { address } = account
    const lookup = relay.call("POST", "/v1/lookup", { address, key: randomBytes(16) }, parseLookupResponse)
    await expect(lookup).rejects.toMatchObject({ code: "bad-access-key" })
    await expect(lookup).rejects.toThrow(Refused)
    const another = { keyId: account.management.keyId, key: await SigningKey.generate() }
    const status = relay.call("POST", "/v1/account/status", { address }, parseAccountStatus, another)
    await expect(status).rejects.toMatchObject({ code: "not-authenticated" })
    const unsigned = relay.call("POST", "/v1/account/status", { address }, parseAccountStatus)
    await expect(unsigned).rejects.toThrow(Refused)
  })

  test("stores what is submitted and delivers it in order", async () => {
    const account = await signedUp()
    const { socket, welcome } = await received(account)
    expect(welcome).toMatchObject({ head: 0n, oneTimeLeft: 0, oneTimeKemLeft: 0 })
    expect(await receiveReply(socket, 5000)).toEqual({ type: "CAUGHT_UP", seq: 0n })

    const batch = Array.from({ length: 20 }, () => submitTo(account))
    const sending = await relayAt(process.origin).socket(SEND_PATH)
    const answers = await submit(sending, batch)
    expect(answers.map((answer) => [answer.envelopeId, answer.status])).toEqual(
      batch.map((sent) => [sent.envelopeId, Status.ACCEPTED]),
    )
    for (const sent of batch) {
      const frame = await receiveReply(socket, 5000)
      if (frame.type !== "DELIVER") throw new Error(`got ${frame.type}`)
      expect([frame.envelopeId, frame.envelope]).toEqual([sent.envelopeId, sent.envelope])
      socket.send(encode({ type: "ACK", epoch: welcome.epoch, upto: frame.seq }))
    }
    socket.close()
    await expect(socket.receive(null)).rejects.toThrow(TransportError)
    expect(() => { socket.send(new Uint8Array(2)) }).toThrow(TransportError)
    const again = await received(account)
    expect(again.welcome.head).toBeGreaterThanOrEqual(20n)
    expect((await receiveReply(again.socket, 5000)).type).toBe("CAUGHT_UP") // all of it was acknowledged
  })

  test("knows no mailbox for an unknown address or a wrong key", async () => {
    const [unknown, account] = [await newAccount(), await signedUp()]
    for (const frame of [submitTo(unknown), submitTo(account, randomBytes(16))]) {
      const socket = await relayAt(process.origin).socket(SEND_PATH)
      expect((await submit(socket, [frame]))[0]?.status).toBe(Status.BAD_ACCESS_KEY)
    }
  })

  test("is not believed with another key than the pinned one", async () => {
    const account = await signedUp()
    const another = (await SigningKey.generate()).public
    await expect(received(account, account.login, another)).rejects.toThrow(BadSignature)
  })

  test("knows no device by another login key", async () => {
    const account = await signedUp()
    const refused = received(account, await SigningKey.generate())
    await expect(refused).rejects.toMatchObject({ name: "DeviceReplaced", code: "not-authenticated" })
  })

  test("closes the older of two connections of one device", async () => {
    const account = await signedUp()
    const first = await received(account)
    await receiveReply(first.socket, 5000)
    await received(account)
    await expect(first.socket.receive(5000)).rejects.toMatchObject({ name: "Refused", code: "replaced" })
    expect(() => { first.socket.send(new Uint8Array(2)) }).toThrow(Refused)
  })

  test("closes a sending connection that turns to a second address", async () => {
    const [one, two] = [await signedUp(), await signedUp()]
    const socket = await relayAt(process.origin).socket(SEND_PATH)
    await submit(socket, [submitTo(one)])
    await expect(submit(socket, [submitTo(two)])).rejects.toThrow("closed the sending connection")
  })

  test("is found lost when it stops", async () => {
    const mortal = await RelayProcess.start({ HALONYX_SIGNUP: "pow", HALONYX_POW_BITS: "8" })
    try {
      const relay = relayAt(mortal.origin)
      const socket = await relay.socket(SEND_PATH)
      const waiting = socket.receive(null)
      await Promise.all([expect(waiting).rejects.toThrow(TransportError), mortal.end("SIGKILL")])
      await expect(relay.info()).rejects.toThrow(TransportError)
      await expect(relay.socket(SEND_PATH)).rejects.toThrow(TransportError)
    } finally {
      await mortal.remove()
    }
  })
})

describe("a server that lies about calls", () => {
  const INFO = {
    relay_key: "A".repeat(43),
    operator_key: "A".repeat(43),
    origins: [],
    signup: "open",
    version: "0.1.0",
    time: 0,
    contact_required: false,
    limits: {
      max_envelope_bytes: 1,
      mailbox_messages: 1,
      mailbox_bytes: 1,
      request_inbox: 1,
      retention_days: 1,
      one_time_prekeys: 1,
    },
    files: { tracker: true, turn: false, drop: 0 },
  }
  const answering = (body: string | Uint8Array, status = 200, headers: Record<string, string> = {}): Promise<Relay> =>
    lying({ answer: (_, response) => response.writeHead(status, headers).end(body) })
  const notLike = "does not answer like a Halonyx relay"

  test("is taken when it tells the truth, without cookies or referrer", async () => {
    const relay = await answering(JSON.stringify(INFO), 200, { "Set-Cookie": "a=b; Path=/" })
    expect(await relay.info()).toMatchObject({ signup: "open" })
    await relay.info()
    const [server] = servers
    expect(server?.requests.map(({ headers }) => [headers.cookie, headers.referer, headers.authorization])).toEqual(
      Array.from({ length: 2 }, () => [undefined, undefined, undefined]),
    )
  })

  test.each<readonly [string, string | Uint8Array]>([
    ["a field more", JSON.stringify({ ...INFO, more: 1 })],
    ["a field less", JSON.stringify({ ...INFO, limits: undefined })],
    ["a key too short", JSON.stringify({ ...INFO, relay_key: "AAAA" })],
    ["no JSON", "<!doctype html>"],
    ["nothing", ""],
    ["a byte order mark", `\ufeff${JSON.stringify(INFO)}`],
    ["no UTF-8", Buffer.from(JSON.stringify(INFO).replace("0.1.0", "\xff"), "latin1")],
  ])("is found out by %s", async (_, body) => {
    await expect((await answering(body)).info()).rejects.toThrow(notLike)
  })

  test("leads nobody elsewhere", async () => {
    const relay = await answering(JSON.stringify(INFO))
    for (const status of [301, 302, 303, 307, 308]) {
      const redirecting = await answering("", status, { Location: `${relay.origin}/v1/relay` })
      await expect(redirecting.info()).rejects.toThrow("can't reach the relay")
    }
    expect(servers[0]?.requests).toEqual([])
  })

  test.each<readonly [string, Lies["answer"]]>([
    [
      "plain",
      (_, response) => {
        const more = (): void => {
          while (!response.destroyed && response.write(" ".repeat(65_536)));
        }
        response.on("drain", more)
        more()
      },
    ],
    [
      "compressed",
      (_, response) => {
        const small = gzipSync(" ".repeat(8 * MAX_ANSWER_SIZE) + JSON.stringify(INFO))
        response.writeHead(200, { "Content-Encoding": "gzip" }).end(small)
      },
    ],
  ])("is left when its answer has no end (%s)", async (_, answer) => {
    if (answer === undefined) throw new Error("no answer")
    const answers: ServerResponse[] = []
    const relay = await lying({
      answer: (request, response) => {
        answers.push(response)
        answer(request, response)
      },
    })
    await expect(relay.info()).rejects.toThrow("can't reach the relay")
    const [response] = answers
    if (response?.closed === false) await once(response, "close", { signal: AbortSignal.timeout(5000) }) // not kept
  })

  test("is not read beyond the bound, and is read up to it", async () => {
    const padded = JSON.stringify(INFO).padEnd(MAX_ANSWER_SIZE)
    expect((await (await answering(padded)).info()).signup).toBe("open")
    await expect((await answering(`${padded} `)).info()).rejects.toThrow("can't reach the relay")
  })

  test("says no in our words, and not now in another way", async () => {
    const saying = (code: string, status: number): Promise<Relay> =>
      answering(JSON.stringify({ error: { code, message: "\u001b[31mhttps://evil.example" } }), status)
    const refused = (await saying("bad-work", 403)).info()
    await expect(refused).rejects.toMatchObject({ name: "Refused", code: "bad-work" })
    await expect(refused).rejects.toThrow(/^sign-up needs a fresh solved challenge$/)
    for (const [code, status] of [["busy", 503], ["too-many-requests", 429], ["internal", 500]] as const) {
      await expect((await saying(code, status)).info()).rejects.toThrow(TransportError)
    }
    await expect((await saying("teapot", 418)).info()).rejects.toThrow("status 418 and no reason")
    await expect((await answering("Bad Gateway", 502)).info()).rejects.toThrow("status 502 and no reason")
  })

  test("holds no call after close", { timeout: 5000 }, async () => {
    const relay = await lying({})
    const call = expect(relay.info()).rejects.toThrow(TransportError)
    while (servers[0]?.requests.length === 0) await sleep(1)
    relay.close()
    await call
    await expect(relay.socket(SEND_PATH)).rejects.toThrow("the connection is closed")
  })
})

describe("a server that lies on sockets", () => {
  const talking = async (talk: (socket: ServerSocket) => void, path = SEND_PATH) =>
    (await lying({ talk })).socket(path)

  test.each([["none", null], ["another", "halonyx.2"]])("is left with %s as subprotocol", async (_, subprotocol) => {
    await expect((await lying({ subprotocol })).socket(SEND_PATH)).rejects.toThrow(TransportError)
  })

  test("is left when it refuses the upgrade", async () => {
    const port = await freePort()
    await expect(relayAt(`http://127.0.0.1:${port}`).socket(SEND_PATH)).rejects.toThrow(TransportError)
  })

  test("is read to the end before its closing counts", async () => {
    const socket = await talking((theirs) => {
      for (const byte of [1, 2, 3]) theirs.send(Uint8Array.of(byte))
      theirs.close(4409)
    })
    for (const byte of [1, 2, 3]) expect(await socket.receive(5000)).toEqual(Uint8Array.of(byte))
    await expect(socket.receive(5000)).rejects.toMatchObject({ code: "replaced" })
    await expect(socket.receive(5000)).rejects.toMatchObject({ code: "replaced" })
  })

  test("is not read after we closed, or its relay was closed", { timeout: 5000 }, async () => {
    const relay = await lying({
      talk: (theirs) => {
        for (const byte of [1, 2, 3]) theirs.send(Uint8Array.of(byte))
      },
    })
    const [first, second] = [await relay.socket(SEND_PATH), await relay.socket(SEND_PATH)]
    await first.receive(null)
    first.close()
    await expect(first.receive(null)).rejects.toThrow("the connection is closed")
    await second.receive(null)
    relay.close()
    await expect(second.receive(null)).rejects.toThrow("the connection is closed")
  })

  test("may send as much as it likes to one who reads", async () => {
    const many = Array.from({ length: 40 }, () => new Uint8Array(64 * 1024))
    const socket = await talking((theirs) => {
      theirs.onData(() => {
        for (const frame of many) theirs.send(frame)
      })
    })
    for (let round = 0; round < 10; round++) {
      socket.send(Uint8Array.of(0))
      for (const frame of many) expect(await socket.receive(5000)).toHaveLength(frame.length)
    }
  })

  test.each([1000, 1008, 4408, 4503])("is tried again after closing with %i", async (code) => {
    const socket = await talking((theirs) => { theirs.close(code) })
    await expect(socket.receive(5000)).rejects.toThrow(/^the connection to .* was closed$/)
  })

  test("is not waited for longer than said, by one reader at a time", async () => {
    const socket = await talking(() => undefined)
    const first = socket.receive(50)
    await expect(socket.receive(50)).rejects.toThrow(Misuse)
    await expect(first).rejects.toThrow("does not answer")
    const second = socket.receive(null)
    socket.close()
    await expect(second).rejects.toThrow(TransportError)
  })

  test.each<readonly [string, (theirs: ServerSocket) => void]>([
    ["text", (theirs) => { theirs.send(Buffer.from("hello"), TEXT); }],
    ["more than a frame", (theirs) => { theirs.send(new Uint8Array(66 * 1024 + 1)); }],
  ])("is left when it sends %s", async (_, lie) => {
    const ends: ServerSocket[] = []
    const socket = await talking((theirs) => {
      ends.push(theirs)
      lie(theirs)
    })
    await expect(socket.receive(5000)).rejects.toThrow("no frame")
    await ends[0]?.closed()
  })

  test.each([["large", 64 * 1024, 300], ["tiny", 1, 100_000]])("can't fill our memory with %s frames", async (_, size, many) => {
    const socket = await talking((theirs) => {
      for (let at = 0; at < many; at++) theirs.send(new Uint8Array(size))
    })
    const deadline = performance.now() + 20_000
    for (;;) {
      try {
        socket.send(Uint8Array.of(0))
      } catch (error) {
        expect(error).toMatchObject({ name: "TransportError" })
        expect(String(error)).toContain("more than it may")
        return
      }
      expect(performance.now()).toBeLessThan(deadline)
      await sleep(10)
    }
  })

  const answered = async (...frames: readonly Uint8Array[]) => {
    const socket = await talking((theirs) => {
      theirs.onData(() => { for (const frame of frames) theirs.send(frame) })
    })
    return submit(socket, [SENT])
  }
  const SENT: Submit = {
    type: "SUBMIT",
    envelopeId: new Uint8Array(16).fill(5) as EnvelopeId,
    address: new Uint8Array(32) as Address,
    device: FIRST,
    key: new Uint8Array(16),
    envelope: new Uint8Array(1024),
  }
  const accepted = (id: number): Bytes =>
    encode({ type: "ACCEPTED", envelopeId: new Uint8Array(16).fill(id) as EnvelopeId, status: Status.BUSY, retryAfterS: 5 })

  test("answers a submission, or its answer does not count", async () => {
    expect(await answered(accepted(5))).toMatchObject([{ status: Status.BUSY, retryAfterS: 5 }])
    await expect(answered(accepted(6))).rejects.toThrow("waits for no answer")
    await expect(answered(encode({ type: "ERROR", code: 1 }))).rejects.toThrow("closed the sending connection")
    await expect(answered(Uint8Array.of(1, 9))).rejects.toThrow("not understood: malformed")
    await expect(answered(Uint8Array.of(2, 9))).rejects.toThrow("not understood: unsupported-version")
  })

  const loggedIn = async (...frames: readonly Uint8Array[]) => {
    const socket = await talking((theirs) => { for (const frame of frames) theirs.send(frame) }, RECEIVE_PATH)
    const key = await SigningKey.generate()
    return logIn(socket, key.public, key, [new Uint8Array(32) as Address, FIRST], NOTHING_KNOWN)
  }

  test("begins with a signed challenge, or gets no login", async () => {
    const welcome = encode({ type: "WELCOME", epoch: noEpoch(), head: 0n, oneTimeLeft: 0, oneTimeKemLeft: 0 })
    await expect(loggedIn(welcome)).rejects.toThrow("did not begin with a challenge")
    const challenge = encode({ type: "CHALLENGE", nonce: randomBytes(32), time: 0n, signature: randomBytes(64) })
    await expect(loggedIn(challenge, welcome)).rejects.toThrow(BadSignature)
    await expect(loggedIn(challenge.slice(1))).rejects.toThrow(Malformed)

    const key = await SigningKey.generate()
    const nonce = randomBytes(32)
    const relay = await lying({
      talk: (theirs) => {
        const origin = servers.at(-1)?.origin ?? ""
        void key.sign(RELAY_CHALLENGE, challengeBody(nonce, 5n, origin)).then((signature) => {
          theirs.send(encode({ type: "CHALLENGE", nonce, time: 5n, signature }))
          theirs.send(encode({ type: "CAUGHT_UP", seq: 0n }))
        })
      },
    })
    const who = [new Uint8Array(32) as Address, FIRST] as const
    const login = logIn(await relay.socket(RECEIVE_PATH), key.public, key, who, NOTHING_KNOWN)
    await expect(login).rejects.toThrow("did not welcome")
  })
})

describe("reach", () => {
  const relay = "https://relay.example"

  test("a hosted page reaches its own relay and those listed, and no other", () => {
    const reach = reachFrom("https://a.example  https://b.example:8443\n", relay)
    for (const origin of [relay, "https://a.example", "https://b.example:8443"]) expect(reach(origin)).toBe(origin)
    for (const origin of ["https://c.example", "https://b.example", "http://a.example", "", "loopback"]) {
      expect(reach(origin)).toBeNull()
    }
    expect(() => new Relay("https://c.example", reach)).toThrow(Refused)
    expect(() => new Relay("https://c.example", reach)).toThrow(expect.objectContaining({ code: "relay-not-allowed" }))
    expect(reachFrom("", relay)(relay)).toBe(relay)
  })

  test("before it is configured, a page reaches none", () => {
    expect(() => new Relay(relay)).toThrow(Refused)
  })

  test("a page on loopback reaches every relay through its own origin", async () => {
    const reach = reachFrom("loopback", "http://127.0.0.1:8000")
    expect(reach("http://localhost:3000")).toBe("http://127.0.0.1:8000/relay/http%3A%2F%2Flocalhost%3A3000")
    expect(reachFrom("loopback https://a.example", relay)("https://c.example")).toBeNull()

    const server = await LyingRelay.start({ answer: (_, response) => response.writeHead(404).end() })
    servers.push(server)
    const through = new Relay("https://relay.example", reachFrom("loopback", server.origin))
    open.push(through)
    await expect(through.info()).rejects.toThrow(TransportError)
    await through.socket(RECEIVE_PATH)
    const base = "/relay/https%3A%2F%2Frelay.example/v1"
    expect(server.requests.map((request) => request.url)).toEqual([`${base}/relay`, `${base}/receive`])
  })
})
