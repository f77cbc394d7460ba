/** A relay that lies about keys, and the browser client. */

import { expect } from "vitest"

import { NAMED_TRIES } from "../../src/client/directory"
import { contactById } from "../../src/client/people"
import * as table from "../../src/client/schema"
import type { StoredContact } from "../../src/client/schema"
import type { Millis } from "../../src/core/types"
import { addDevice } from "../client/owner"
import { Tab, introduce, signUp, until } from "../client/persons"
import { type Liar, lie, noticesOf, stateOf } from "./liars"

async function strangers(liar: Liar): Promise<readonly [Tab, Tab]> {
  const [alice, bob] = await Promise.all([signUp(liar.origin), signUp(liar.origin)])
  await introduce(alice, bob)
  return [alice, bob]
}

/** Check that Alice is warned at once, and that not even something encrypted has left her browser. */
async function checkNothingIsSent(liar: Liar, alice: Tab): Promise<void> {
  await alice.write("bob", "secret")
  await until(async () => (await noticesOf(alice)).length > 0)

  await liar.comesTo(await stateOf(alice, "bob", "secret"), alice)
  expect(await alice.client.store.count(table.deliveries, null, null)).toBe(0)
}

/** Return someone who has a second device beside this one, and whom the other has not written to yet. */
async function withTwoDevices(liar: Liar): Promise<Tab> {
  const bob = await Tab.open()
  const { recoveryCode } = await bob.client.createAccount(liar.origin)
  await addDevice(bob.client.store, recoveryCode)
  return bob
}

/** Change what is stored of a contact, as the passing of time would. */
async function change({ client }: Tab, id: number, values: Partial<StoredContact>): Promise<void> {
  await client.store.transaction((tx) => tx.update(table.contacts, id, values))
}

lie("swap-device-key", async (liar) => {
  const [alice, bob] = await strangers(liar)
  await liar.begin()
  await bob.write("alice", "secret")
  await until(async () => (await noticesOf(bob)).length > 0)
  expect(await noticesOf(bob)).toEqual(["stale authentication-failed"]) // without a card it can only damage

  await liar.begin(bob)
  await checkNothingIsSent(liar, alice)
})

lie("swap-record", async (liar) => {
  const [alice, bob] = await strangers(liar)
  await liar.begin(bob)
  await checkNothingIsSent(liar, alice)
})

lie("add-device", async (liar) => {
  const [alice, bob] = await strangers(liar)
  await liar.begin(bob)
  await checkNothingIsSent(liar, alice)
})

lie("record-of-another", async (liar) => {
  const [alice, bob] = await strangers(liar)
  await liar.begin(bob, await signUp(liar.origin))
  await checkNothingIsSent(liar, alice)
})

lie("old-record", async (liar) => {
  const [alice, bob] = await Promise.all([signUp(liar.origin), withTwoDevices(liar)])
  await introduce(alice, bob)
  await alice.write("bob", "with the new record")
  await until(async () => (await alice.states("bob"))[0] === "accepted")
  await liar.begin()
  await change(alice, (await alice.contact("bob")).id, { recordChecked: 0 as Millis })
  await alice.client.store.transaction(async (tx) => {
    for (const row of await tx.all(table.deliveries, null, null)) tx.delete(table.deliveries, row.id)
  })

  await checkNothingIsSent(liar, alice)
})

lie("two-views", async (liar) => {
  const bob = await Tab.open()
  const { recoveryCode } = await bob.client.createAccount(liar.origin)
  const [alice, carol] = await Promise.all([signUp(liar.origin), signUp(liar.origin)])
  await introduce(alice, bob)
  await alice.write("bob", "hello")
  await until(async () => (await bob.heard("alice")).length === 1)
  await bob.write("alice", "hello yourself")
  await until(async () => (await alice.heard("bob")).length === 1)
  await addDevice(bob.client.store, recoveryCode)
  await liar.begin()
  await carol.client.addContact(await bob.client.card(), "bob")
  await carol.write("bob", "hello")
  await until(async () => (await carol.states("bob"))[0] === "accepted")
  expect([(await alice.contact("bob")).devices, (await carol.contact("bob")).devices]).toEqual([1, 2])

  await alice.write("bob", "before anything tells")
  await until(async () => (await alice.states("bob"))[1] === "delivered")
  await bob.write("alice", "news")
  await until(async () => (await alice.heard("bob")).length === 2)
  const { id } = await alice.contact("bob")
  for (let tries = 1; tries < NAMED_TRIES; tries++) {
    await until(async () => (await contactById(alice.client.store, id)).namedTries === tries)
    await change(alice, id, { namedSince: 0 as Millis })
    await alice.client.retry()
  }
  await until(async () => (await noticesOf(alice)).length > 0)

  await liar.comesTo(await stateOf(alice, "bob", "before anything tells"), alice)
})

lie("prekey-twice", async (liar) => {
  const [[alice, bob], carol] = await Promise.all([strangers(liar), signUp(liar.origin)])
  await bob.client.addContact(await carol.client.card(), "carol")
  await carol.client.addContact(await bob.client.card(), "bob")
  await liar.begin()
  await alice.write("bob", "from alice")
  await until(async () => (await bob.heard("alice")).length === 1)
  await carol.write("bob", "from carol")
  await until(async () => (await carol.states("bob"))[0] === "delivered")

  expect(await bob.heard("carol")).toEqual(["from carol"])
  await liar.comesTo(await stateOf(carol, "bob", "from carol"), bob)
})

lie("prekeys-of-another", async (liar) => {
  const [[alice, bob], carol] = await Promise.all([strangers(liar), signUp(liar.origin)])
  await liar.begin(bob, carol)
  await alice.write("bob", "secret")
  await until(async () => (await alice.contact("bob")).waitsFor !== null)

  await liar.comesTo(await stateOf(alice, "bob", "secret"), alice, bob)
  expect(await alice.client.store.count(table.deliveries, null, null)).toBe(0)
  liar.end()
  await alice.client.retry()
  await until(async () => (await bob.heard("alice")).length === 1)
})

lie("withhold-prekeys", async (liar) => {
  const [alice, bob] = await strangers(liar)
  await liar.begin()
  await alice.write("bob", "hello")
  await until(async () => (await alice.states("bob"))[0] === "delivered")

  expect(await bob.heard("alice")).toEqual(["hello"])
  await liar.comesTo(await stateOf(alice, "bob", "hello"), alice, bob)
})
