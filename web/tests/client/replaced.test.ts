/** A device that its relay no longer knows: it says so, sends nothing, and keeps what waits. */

import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest"

import { nowMs } from "../../src/client/account"
import { HOLD, place } from "../../src/client/order"
import { addText } from "../../src/client/outbox"
import * as table from "../../src/client/schema"
import { Sender } from "../../src/client/sending"
import { Store } from "../../src/client/store"
import { DeviceReplaced } from "../../src/client/transport"
import { ask, isReplaced, mustAsk } from "../../src/client/upkeep"
import { randomBytes } from "../../src/core/primitives"
import { DAY, HOUR } from "../../src/core/types"
import type { DeviceId, MessageId, Millis } from "../../src/core/types"
import { CloseCode, RECEIVE_PATH } from "../../src/wire/frames"
import { RelayProcess } from "../relay_process"
import { Tab, closeAll, introduce, mayReach, signUp, talking, until } from "./persons"

const PATIENT = 120_000

let relay: RelayProcess

beforeAll(async () => {
  relay = await RelayProcess.start()
  mayReach(relay.origin)
})

afterEach(async () => {
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
  await closeAll()
})

afterAll(() => relay.remove())

async function change({ client }: Tab, fields: Partial<table.StoredAccount>): Promise<void> {
  await client.store.transaction((tx) => tx.update(table.account, 1, fields))
}

/** Alice, and Bob who has written to her, with his recovery code. */
async function withCode(): Promise<readonly [Tab, Tab, string]> {
  const [alice, bob] = [await signUp(relay.origin), await Tab.open()]
  const { recoveryCode } = await bob.client.createAccount(relay.origin)
  await introduce(alice, bob)
  await bob.write("alice", "hello")
  await until(async () => (await bob.states("alice"))[0] === "delivered")
  return [alice, bob, recoveryCode]
}

test("a device whose login is refused sends nothing, and says so", { timeout: PATIENT }, async () => {
  const [alice, bob, code] = await withCode()
  await (await Tab.open()).client.recoverAccount(relay.origin, code)
  await until(async () => (await bob.client.status()).connection === "refused")

  expect((await bob.client.status()).reason).toBe("not-authenticated")
  await expect(bob.write("alice", "never stored")).rejects.toMatchObject({ code: "not-authenticated" })

  expect(await bob.states("alice")).toEqual(["delivered"])
  expect(await alice.heard("bob")).toEqual(["hello"])
})

test("a device that was replaced while away asks before it sends, and keeps what waits", { timeout: PATIENT }, async () => {
  const [alice, bob, code] = await withCode()
  const { id } = await bob.contact("alice")
  await change(bob, { known: (nowMs() - HOUR) as Millis })
  await bob.close()
  await (await Tab.open()).client.recoverAccount(relay.origin, code)
  const store = await Store.open(bob.client.store.name)
  await addText(store, id, "kept")
  const sender = new Sender(store, () => undefined)

  await expect(sender.start(null)).rejects.toBeInstanceOf(DeviceReplaced)

  await sender.stop()
  expect(await isReplaced(store)).toBe(true)
  expect((await store.all(table.messages, "state", ["waiting", id])).map(({ text }) => text)).toEqual(["kept"])
  expect(await alice.heard("bob")).toEqual(["hello"])
  store.close()
})

test("a device that was replaced still shows what it holds", { timeout: PATIENT }, async () => {
  const [, bob, code] = await withCode()
  const { id: contact } = await bob.contact("alice")
  await bob.close()
  await (await Tab.open()).client.recoverAccount(relay.origin, code)
  const store = await Store.open(bob.client.store.name)
  const received = (nowMs() - HOLD) as Millis
  await addText(store, contact, "kept")
  await store.transaction(async (tx) => {
    await tx.update(table.account, 1, { isReplaced: true })
    const messageId = randomBytes(16) as MessageId
    await place(tx, { contact, device: 1 as DeviceId, counter: 2, messageId, text: "held", sent: received, received })
  })
  store.close()

  const again = await bob.another()
  await until(async () => (await again.client.status()).connection === "refused")
  await until(async () => (await again.heard("alice")).includes("held"))
})

test("a device that its relay knows again sends again", { timeout: PATIENT }, async () => {
  const [alice, bob] = await talking(relay.origin)
  await change(bob, { isReplaced: true })

  await bob.write("alice", "here I am")
  await until(async () => (await bob.states("alice")).at(-1) === "delivered")

  expect(await alice.heard("bob")).toEqual(["hello yourself", "here I am"])
  expect(await isReplaced(bob.client.store)).toBe(false)
})

test("a login tells as well as a question, for an hour", { timeout: PATIENT }, async () => {
  const [, bob] = await talking(relay.origin)
  const { store } = bob.client

  expect(await mustAsk(store, nowMs())).toBe(false)
  expect(await mustAsk(store, (nowMs() + HOUR) as Millis)).toBe(true)
  expect(await mustAsk(store, (nowMs() - HOUR) as Millis)).toBe(true) // a clock put back tells nothing
})

test("a wrong clock is no recovery", { timeout: PATIENT }, async () => {
  const bob = await signUp(relay.origin)
  const late = Date.now() + 300_000
  vi.spyOn(Date, "now").mockReturnValue(late)

  await expect(ask(bob.client.store)).rejects.toMatchObject({ code: "not-authenticated" })
  expect(await isReplaced(bob.client.store)).toBe(false)
})

test("a login that took too long is no recovery", { timeout: PATIENT }, async () => {
  const [alice, bob] = await talking(relay.origin)
  await bob.close()
  await alice.write("bob", "are you there?")
  let closed = 0
  const isMute = new WeakSet<WebSocket>()
  class Slow extends WebSocket {
    constructor(url: string, protocol: string) {
      super(url, protocol)
      if (closed > 0 || !url.endsWith(RECEIVE_PATH)) return
      isMute.add(this)
      this.addEventListener("close", ({ code }) => (closed = code))
    }

    override send(data: Parameters<WebSocket["send"]>[0]): void {
      if (!isMute.has(this)) super.send(data) // else the relay waits five seconds for a login, and gives up
    }
  }
  vi.stubGlobal("WebSocket", Slow)

  const again = await bob.another()
  await until(async () => (await again.heard("alice")).length === 2)

  expect(closed).toBe(CloseCode.NOT_AUTHENTICATED)
  expect(await isReplaced(again.client.store)).toBe(false)
  expect((await again.client.status()).connection).toBe("online")
})

test("a call that was repeated on its way is no recovery", { timeout: PATIENT }, async () => {
  const { client } = await signUp(relay.origin)
  await client.close()
  const store = await Store.open(client.store.name)
  const once = fetch
  vi.spyOn(globalThis, "fetch").mockImplementationOnce(async (...given) => {
    await once(...given)
    return once(...given)
  })

  await expect(ask(store)).rejects.toMatchObject({ code: "not-authenticated" })

  expect(await isReplaced(store)).toBe(false)
  await ask(store)
  store.close()
})

test("a deleted account is unknown to its relay, and contacts are told why they wait", { timeout: PATIENT }, async () => {
  const [alice, bob, code] = await withCode()
  await expect(bob.client.deleteAccount(code.slice(1))).rejects.toMatchObject({ code: "malformed-code" })
  await expect(alice.client.deleteAccount(code)).rejects.toMatchObject({ code: "wrong-code" })
  const clock = vi.spyOn(Date, "now").mockReturnValue(Date.now() + HOUR)
  await expect(bob.client.deleteAccount(code)).rejects.toMatchObject({ code: "unknown-account" })
  clock.mockRestore()
  await alice.write("bob", "in time")
  await until(async () => (await bob.heard("alice")).includes("in time"))

  await bob.client.deleteAccount(code)
  await bob.client.deleteAccount(code) // as after an answer that was lost

  await until(async () => (await bob.client.status()).reason === "not-authenticated")
  await alice.write("bob", "too late")
  await until(async () => (await alice.contact("bob")).waitsFor === "bad-access-key")
})

test("a clock that jumped ahead deletes no key", { timeout: PATIENT }, async () => {
  const bob = await signUp(relay.origin)
  const keys = await bob.client.store.count(table.prekeys, null, null)
  await bob.close()
  const late = Date.now() + 200 * DAY
  const clock = vi.spyOn(Date, "now").mockReturnValue(late)

  const again = await bob.another()

  await until(async () => (await again.client.store.count(table.prekeys, null, null)) > keys) // new ones, made by it
  clock.mockRestore()
})
