/** What a blocked contact wrote is dropped for good: not shown later, not asked for, not told of as missing. */

import { afterAll, afterEach, beforeAll, expect, test } from "vitest"

import { loadAccount, nowMs } from "../../src/client/account"
import { isFromBefore, place } from "../../src/client/order"
import * as outbox from "../../src/client/outbox"
import { makeUp } from "../../src/client/repair"
import * as table from "../../src/client/schema"
import { randomBytes } from "../../src/core/primitives"
import { HOUR } from "../../src/core/types"
import type { DeviceId, MessageId, Millis } from "../../src/core/types"
import { RelayProcess } from "../relay_process"
import { closeAll, mayReach, talking, until, type Tab } from "./persons"

const PATIENT = 120_000
const FIRST = 1 as DeviceId

let relay: RelayProcess

beforeAll(async () => {
  relay = await RelayProcess.start()
  mayReach(relay.origin)
})

afterEach(closeAll)

afterAll(() => relay.remove())

/** Bob blocked Alice, and dropped what she wrote since. */
async function blocked(): Promise<readonly [Tab, Tab]> {
  const [alice, bob] = await talking(relay.origin)
  const { id } = await bob.contact("alice")
  await bob.client.blockContact(id)
  for (const text of ["while blocked 0", "while blocked 1"]) await alice.write("bob", text)
  await until(async () => (await alice.states("bob")).slice(1).every((state) => state === "accepted"))
  const seen = await alice.client.store.count(table.deliveries, "state", ["accepted", 1])
  expect(seen).toBe(2)
  await until(async () => (await bob.client.store.count(table.seen, null, null)) >= 4)
  return [alice, bob]
}

async function unblock(bob: Tab): Promise<number> {
  const [contact] = await bob.client.blocked()
  await bob.client.unblockContact(contact?.id ?? 0)
  return contact?.id ?? 0
}

test("an unblocked contact is heard again, and what was dropped is not missed", { timeout: PATIENT }, async () => {
  const [alice, bob] = await blocked()
  await unblock(bob)
  await alice.write("bob", "after")
  await until(async () => (await alice.states("bob")).at(-1) === "delivered")

  expect(await bob.heard("alice")).toEqual(["hello", "after"])
  expect((await bob.notices("alice")).map(({ kind }) => kind)).toEqual([])
  expect(await alice.states("bob")).toEqual(["delivered", "accepted", "accepted", "delivered"])
  expect(await bob.client.store.count(table.gaps, null, null)).toBe(0)
})

test("what is repeated after unblocking stays dropped", { timeout: PATIENT }, async () => {
  const [alice, bob] = await blocked()
  await unblock(bob)
  const before = await bob.client.store.count(table.seen, null, null)

  await alice.client.store.transaction(async (tx) => {
    await makeUp(tx, nowMs())
    tx.changed({ kind: "contacts" })
  })
  await until(async () => (await bob.client.store.count(table.seen, null, null)) >= before + 3) // both, and the question
  await alice.write("bob", "last")
  await until(async () => (await alice.states("bob")).at(-1) === "delivered")

  expect(await bob.heard("alice")).toEqual(["hello", "last"])
  expect(await alice.states("bob")).toEqual(["delivered", "accepted", "accepted", "delivered"])
})

test("more than a stranger may write goes out after unblocking", { timeout: PATIENT }, async () => {
  const [alice, bob] = await blocked()
  for (let number = 0; number < 4; number++) await alice.write("bob", `more ${number}`)
  await until(async () => (await alice.states("bob")).filter((state) => state === "accepted").length === 5)
  expect((await alice.states("bob")).at(-1)).toBe("waiting")

  await unblock(bob)
  await until(async () => (await alice.states("bob")).at(-1) !== "waiting")
})

test("a clock that is put back after the first new text loses nothing", { timeout: PATIENT }, async () => {
  const [, bob] = await blocked()
  const contact = await unblock(bob)
  const { store } = bob.client
  const text = (counter: number, sent: number) => ({
    contact,
    device: FIRST,
    counter,
    messageId: randomBytes(16) as MessageId,
    text: `text ${counter}`,
    sent: sent as Millis,
    received: nowMs(),
  })
  const past = nowMs() - HOUR

  expect(await isFromBefore(store, text(9, past))).toBe(true)
  await store.transaction((tx) => place(tx, text(9, nowMs())))
  expect(await isFromBefore(store, text(10, past))).toBe(false)
  expect(await isFromBefore(store, text(8, past))).toBe(true)
})

test("what was held at the block is shown at the unblocking", { timeout: PATIENT }, async () => {
  const [, bob] = await talking(relay.origin)
  const { id } = await bob.contact("alice")
  await bob.client.store.transaction(async (tx) => {
    const now = nowMs()
    const text = { messageId: randomBytes(16) as MessageId, text: "received before", sent: now, received: now }
    await place(tx, { contact: id, device: FIRST, counter: 3, ...text })
  })
  expect(await bob.heard("alice")).toEqual(["hello"])
  await bob.client.blockContact(id)
  await bob.client.unblockContact(id)

  expect(await bob.heard("alice")).toEqual(["hello", "received before"])
  expect(await bob.client.store.count(table.gaps, null, null)).toBe(0)
})

test("someone blocked and removed asks with new texts only", { timeout: PATIENT }, async () => {
  const [alice, bob] = await blocked()
  const [contact] = await bob.client.blocked()
  await bob.client.removeContact(contact?.id ?? 0)
  await alice.client.store.transaction(async (tx) => {
    await outbox.repeat(tx, (await alice.contact("bob")).id, FIRST, ["accepted"], null)
    tx.changed({ kind: "contacts" })
  })
  await until(async () => (await bob.client.store.count(table.seen, null, null)) >= 6)
  expect(await bob.client.requests()).toEqual([])

  await alice.write("bob", "may I?")
  await until(async () => (await bob.client.requests()).length === 1)
  await bob.client.acceptRequest((await bob.client.requests())[0]?.id ?? 0, "alice")

  expect(await bob.heard("alice")).toEqual(["may I?"])
})

test("someone removed has the key of contacts no more", { timeout: PATIENT }, async () => {
  const [alice, bob] = await talking(relay.origin)
  await bob.client.removeContact((await bob.contact("alice")).id)

  const { profileKey } = await loadAccount(bob.client.store)
  const [row] = await alice.client.store.all(table.contacts, null, null)
  expect(row?.profileKey).toHaveLength(profileKey.length)
  expect(row?.profileKey).not.toEqual(profileKey)
})
