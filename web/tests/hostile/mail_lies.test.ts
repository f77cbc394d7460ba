/** A relay that lies about envelopes, and the browser client. */

import { expect } from "vitest"

import { HOLD } from "../../src/client/order"
import * as table from "../../src/client/schema"
import type { Millis } from "../../src/core/types"
import { type Tab, talking, until } from "../client/persons"
import { lie, stateOf } from "./liars"

const SERIES = ["one", "two", "three"]

/** Wait until something is held behind a gap, and make its ten seconds be over. */
async function endHold({ client }: Tab): Promise<void> {
  await until(async () => (await client.store.count(table.held, null, null)) > 0)
  await client.store.transaction(async (tx) => {
    for (const gap of await tx.all(table.gaps, null, null)) {
      tx.put(table.gaps, { ...gap, noticed: (gap.noticed - HOLD) as Millis })
    }
  })
  await until(async () => (await client.store.count(table.held, null, null)) === 0)
}

/** Write one after the other, each when the relay has said that it has the one before. */
async function write(tab: Tab, texts: readonly string[]): Promise<void> {
  for (const text of texts) {
    await tab.write("bob", text)
    await until(async () => (await tab.states("bob")).at(-1) !== "waiting")
  }
}

/** Take a tab away and open another one of the same browser, which logs in anew. */
async function reopened(tab: Tab): Promise<Tab> {
  await tab.close()
  return tab.another()
}

lie("drop", async (liar) => {
  const [alice, bob] = await talking(liar.origin)
  await liar.begin()
  await write(alice, ["lost", "next"])
  await endHold(bob)
  const state = await stateOf(alice, "bob", "lost")
  liar.end()
  await until(async () => (await bob.heard("alice")).includes("lost"))

  expect(await bob.heard("alice")).toEqual(["hello", "next", "lost"])
  await liar.comesTo(state, alice, bob)
})

lie("not-stored", async (liar) => {
  const [alice, bob] = await talking(liar.origin)
  await liar.begin()
  await write(alice, ["lost"])
  const state = await stateOf(alice, "bob", "lost")
  liar.end()
  await write(alice, ["next"])
  await endHold(bob)
  await until(async () => (await bob.heard("alice")).includes("lost"))

  expect(await bob.heard("alice")).toEqual(["hello", "next", "lost"])
  await liar.comesTo(state, alice, bob)
})

lie("delay", async (liar) => {
  const [alice, bob] = await talking(liar.origin)
  await liar.begin()
  await write(alice, ["late"])
  const state = await stateOf(alice, "bob", "late")
  liar.end()
  await write(alice, ["after it"])
  await until(async () => (await alice.states("bob")).every((one) => one === "delivered"))

  expect(await bob.heard("alice")).toEqual(["hello", "late", "after it"])
  await liar.comesTo(state, alice, bob)
})

lie("repeat", async (liar) => {
  const [alice, bob] = await talking(liar.origin)
  await liar.begin()
  await write(alice, SERIES)
  await until(async () => (await alice.states("bob")).every((one) => one === "delivered"))
  const again = await reopened(bob)

  expect(await again.heard("alice")).toEqual(["hello", ...SERIES])
  await liar.comesTo(await stateOf(alice, "bob", "three"), alice, again)
})

lie("reorder", async (liar) => {
  const [alice, bob] = await talking(liar.origin)
  await liar.begin()
  await write(alice, SERIES)
  await until(async () => (await alice.states("bob")).every((one) => one === "delivered"))

  expect(await bob.heard("alice")).toEqual(["hello", ...SERIES])
  await liar.comesTo(await stateOf(alice, "bob", "three"), alice, bob)
})

lie("forge", async (liar) => {
  const [alice, bob] = await talking(liar.origin)
  await liar.begin(alice, bob)
  await write(alice, ["true"])
  await until(async () => (await alice.states("bob")).every((one) => one === "delivered"))

  expect(await bob.heard("alice")).toEqual(["hello", "true"])
  expect(await alice.heard("bob")).toEqual(["hello yourself"])
  await liar.comesTo(await stateOf(alice, "bob", "true"), alice, bob)
})

lie("claim-delivery", async (liar) => {
  const [alice, bob] = await talking(liar.origin)
  await liar.begin(alice, bob)
  await write(alice, ["withheld"])
  await until(async () => (await alice.notices("bob")).length > 0)

  expect(await bob.heard("alice")).toEqual(["hello"])
  await liar.comesTo(await stateOf(alice, "bob", "withheld"), alice, bob)
})
