/** Several tabs on one database: nothing is lost, repeated or out of order, and a lock goes with its tab. */

import { afterAll, afterEach, beforeAll, expect, test } from "vitest"

import { Client } from "../../src/client/client"
import { RECEIVER_LOCK, tryLock } from "../../src/client/locks"
import { MIGRATIONS } from "../../src/client/schema"
import * as table from "../../src/client/schema"
import { Store } from "../../src/client/store"
import { TransportError } from "../../src/core/errors"
import { RelayProcess } from "../relay_process"
import { Tab, closeAll, mayReach, signUp, talking, until } from "./persons"

const PATIENT = 120_000
const TABS = 3
const MESSAGES = 30

let relay: RelayProcess

beforeAll(async () => {
  relay = await RelayProcess.start()
  mayReach(relay.origin)
})

afterEach(closeAll)

afterAll(() => relay.remove())

test("three tabs send at once, and lose and repeat nothing", { timeout: PATIENT }, async () => {
  const [alice, bob] = await talking(relay.origin)
  const tabs = [alice, await alice.another(), await alice.another()]
  const { id } = await alice.contact("bob")

  await Promise.all(
    tabs.map(async ({ client }, number) => {
      for (let index = 0; index < MESSAGES; index++) await client.send(id, `${number} ${index}`)
    }),
  )
  await until(async () => (await alice.states("bob")).every((state) => state === "delivered"))

  const heard = (await bob.heard("alice")).slice(1)
  expect(heard).toHaveLength(TABS * MESSAGES)
  for (const number of tabs.keys()) {
    const own = Array.from({ length: MESSAGES }, (_, index) => `${number} ${index}`)
    expect(heard.filter((text) => text.startsWith(`${number} `))).toEqual(own)
  }
  // What Bob shows is what Alice wrote, in the order of her history.
  expect(heard).toEqual((await alice.talk("bob")).filter((entry) => entry.outgoing).slice(1).map(({ text }) => text))
  expect(await alice.client.store.count(table.outbox, null, null)).toBe(0)
  expect(await alice.client.store.count(table.deliveries, null, null)).toBe(0)
  expect((await bob.notices("alice")).map((notice) => notice.kind)).toEqual([])
})

test("one tab receives for all, and another takes over when it closes", { timeout: PATIENT }, async () => {
  const [alice, bob] = await talking(relay.origin)
  const second = await bob.another()
  await until(async () => (await second.client.status()).connection === "online")

  await alice.write("bob", "for both")
  const entry = { text: "for both", outgoing: false }
  const isTold = (tab: Tab): boolean =>
    tab.changes.some(
      (change) => change.kind === "messages" && change.entries.some((told) => told.text === "for both" && !told.outgoing),
    )
  await until(() => Promise.resolve(isTold(bob) && isTold(second)))
  expect(second.changes).toContainEqual(
    expect.objectContaining({ kind: "messages", entries: [expect.objectContaining(entry)] }),
  )
  await bob.close()
  await alice.write("bob", "for the other")
  await until(async () => (await second.heard("alice")).includes("for the other"))
  await until(async () => (await alice.states("bob")).every((state) => state === "delivered"))
})

test("what another tab can't reach is no word on the one that receives", { timeout: PATIENT }, async () => {
  const alice = await signUp(relay.origin)
  await until(async () => (await alice.client.status()).connection === "online")
  const prepare = (): Promise<never> => Promise.reject(new TransportError("the server of this page is away"))
  const other = await Client.open({ name: alice.client.store.name, prepare })
  await until(async () => (await other.status()).connection === "offline")

  const before = alice.changes.length
  await other.store.transaction(async (tx) => {
    tx.changed({ kind: "contacts" })
    await Promise.resolve()
  })
  await until(() => Promise.resolve(alice.changes.slice(before).some(({ kind }) => kind === "contacts")))

  expect((await alice.client.status()).connection).toBe("online")
  await other.close()
})

test("what is queued for a contact whose lock another tab holds goes out when it lets go", { timeout: PATIENT }, async () => {
  const [alice, bob] = await talking(relay.origin)
  const { id } = await alice.contact("bob")
  const { name } = alice.client.store
  let letGo = (): void => undefined
  const held = tryLock(name, `outbox-${id}`, async (isHeld) => {
    expect(isHeld).toBe(true)
    await new Promise<void>((resolve) => (letGo = resolve))
  })

  const carol = await signUp(relay.origin)
  await alice.client.addContact(await carol.client.card(), "carol")
  await carol.client.addContact(await alice.client.card(), "alice")
  await alice.write("bob", "held back")
  await alice.write("carol", "not held back")
  await until(async () => (await alice.states("carol"))[0] === "delivered")
  expect((await alice.states("bob")).at(-1)).toBe("waiting")
  letGo()
  await held

  await until(async () => (await bob.heard("alice")).includes("held back"))
})

test("a tab ends at once, whatever others hold that it waits for", { timeout: PATIENT }, async () => {
  const [alice] = await talking(relay.origin)
  const { name } = alice.client.store
  const isWaitedFor = async (lock: string): Promise<boolean> =>
    (await navigator.locks.query()).pending?.some((asked) => asked.name === `${name}-${lock}`) ?? false
  const other = await alice.another()
  await until(() => isWaitedFor(RECEIVER_LOCK))
  await other.close()
  expect(await isWaitedFor(RECEIVER_LOCK)).toBe(false)

  const contact = `outbox-${(await alice.contact("bob")).id}`
  await tryLock(name, contact, async (isHeld) => {
    expect(isHeld).toBe(true)
    await alice.write("bob", "held back")
    await until(() => isWaitedFor(contact))
    await alice.close()
    expect(await isWaitedFor(contact)).toBe(false)
  })
})

test("an account made in one tab is there in another, which waits for its turn to receive", { timeout: PATIENT }, async () => {
  const empty = await Tab.open()
  const other = await empty.another()
  expect((await other.client.status()).account).toBeNull()

  await empty.client.createAccount(relay.origin)

  await until(async () => (await other.client.status()).account !== null)
  await until(async () => (await other.client.status()).connection === "online")
  expect(await tryLock(empty.client.store.name, RECEIVER_LOCK, (isHeld) => Promise.resolve(isHeld))).toBe(false)
  await expect(other.client.createAccount(relay.origin)).rejects.toMatchObject({ code: "store-error" })
})

test("erasing in one tab ends every tab, and leaves an empty browser", { timeout: PATIENT }, async () => {
  const alice = await signUp(relay.origin)
  const other = await alice.another()
  const { name } = alice.client.store

  await alice.client.eraseDevice()

  await until(() => Promise.resolve(other.changes.some((change) => change.kind === "erased")))
  expect(alice.changes).toContainEqual({ kind: "erased" })
  await expect(other.client.conversations()).rejects.toMatchObject({ code: "another-version" })
  const again = await Tab.open(name)
  expect((await again.client.status()).account).toBeNull()
})

test("a tab of an older version lets go for a newer one, and says so", { timeout: PATIENT }, async () => {
  const alice = await signUp(relay.origin)
  await until(async () => (await alice.client.status()).connection === "online")
  const { name } = alice.client.store

  const newer = await Store.open(name, [...MIGRATIONS, () => undefined])

  await expect(alice.client.status()).rejects.toMatchObject({ code: "another-version" })
  await expect(Tab.open(name)).rejects.toMatchObject({ code: "another-version" })
  await until(() => tryLock(name, RECEIVER_LOCK, (isHeld) => Promise.resolve(isHeld)))
  await alice.close()
  await alice.client.retry() // as when its page is looked at again: there is nobody to tell
  newer.close()
})
