/** All that two browsers send to their relay in a conversation: addresses, headers, bodies and frames, looked through. */

import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest"

import { Card } from "../../src/core/card"
import { parseRecoveryCode } from "../../src/core/recovery"
import { RelayProcess } from "../relay_process"
import { Tab, closeAll, introduce, mayReach, until } from "./persons"

const TEXT = "a word that nobody else may read"
const NAME = "a name that Alice alone gave"

let relay: RelayProcess
let sent: Buffer[] = []

/** A socket that keeps what is sent. */
class Heard extends WebSocket {
  constructor(url: string, protocols?: string) {
    super(url, protocols)
    sent.push(Buffer.from(url))
  }

  override send(frame: Parameters<WebSocket["send"]>[0]): void {
    sent.push(Buffer.from(frame as Uint8Array))
    super.send(frame)
  }
}

beforeAll(async () => {
  relay = await RelayProcess.start()
  mayReach(relay.origin)
  const call = globalThis.fetch
  vi.stubGlobal("WebSocket", Heard)
  vi.stubGlobal("fetch", (url: string, options: RequestInit) => {
    sent.push(Buffer.from(url + JSON.stringify(options.headers)), Buffer.from((options.body ?? "") as Uint8Array))
    return call(url, options)
  })
})

afterEach(closeAll)

afterAll(async () => {
  vi.unstubAllGlobals()
  await relay.remove()
})

/** How a secret may stand in what is sent: raw, in hex, and in base64 at each of its three places. */
function forms(secret: Uint8Array): readonly string[] {
  const shifted = [0, 1, 2].map((shift) =>
    Buffer.concat([Buffer.alloc(shift), secret])
      .toString("base64url")
      .slice(Math.ceil((shift * 4) / 3), -2),
  )
  return [Buffer.from(secret).toString("latin1"), Buffer.from(secret).toString("hex"), ...shifted]
}

function found(secrets: Readonly<Record<string, Uint8Array>>): readonly string[] {
  const everything = Buffer.concat(sent).toString("latin1").replaceAll("+", "-").replaceAll("/", "_")
  return Object.keys(secrets).filter((name) =>
    forms(secrets[name] ?? new Uint8Array()).some((form) =>
      everything.includes(form.replaceAll("+", "-").replaceAll("/", "_")),
    ),
  )
}

test("neither a USID nor a word nor a name is sent", async () => {
  const [alice, bob] = [await Tab.open(), await Tab.open()]
  const codes = [await alice.client.createAccount(relay.origin), await bob.client.createAccount(relay.origin)]
  await introduce(alice, bob)
  await alice.client.renameContact((await alice.contact("bob")).id, NAME)
  await alice.write(NAME, TEXT)
  await until(async () => (await bob.heard("alice")).length === 1)
  await bob.write("alice", TEXT)
  await until(async () => (await bob.states("alice"))[0] === "delivered")
  const [alices = "", bobs = ""] = codes.map(({ recoveryCode }) => recoveryCode)
  const secrets = {
    "Alice's USID": Card.parse(await alice.client.card()).usid,
    "Bob's USID": Card.parse(await bob.client.card()).usid,
    "Alice's code": parseRecoveryCode(alices),
    "Bob's code": parseRecoveryCode(bobs),
    "a code as it is typed": Buffer.from(alices),
    text: Buffer.from(TEXT),
    name: Buffer.from(NAME),
  }

  expect(Buffer.concat(sent).length).toBeGreaterThan(4 * 1024) // two envelopes and two receipts at least
  expect(found(secrets)).toEqual([])
  for (const [name, secret] of Object.entries(secrets)) {
    const before = sent
    for (const form of forms(secret)) {
      sent = [...before, Buffer.from(form, "latin1")]
      expect(found(secrets)).toContain(name)
    }
    sent = before
  }
})
