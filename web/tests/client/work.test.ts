/** How often IndexedDB is asked for one message: each time is a way to another process and back. */

import { afterAll, beforeAll, expect, test } from "vitest"

import type { Change } from "../../src/client/api"
import { App } from "../../src/app/models/app"
import { Preferences } from "../../src/app/models/preferences"
import * as table from "../../src/client/schema"
import { DEVICE } from "../../src/client/schema"
import { Store } from "../../src/client/store"
import { RelayProcess } from "../relay_process"
import { closeAll, mayReach, talking, until, type Tab } from "./persons"

const PATIENT = 120_000
const MESSAGES = 5
const DAY_MILLIS = 86_400_000

/** What was asked of one database. */
interface Work {
  /** Look-ups of the revision, more of them the slower everything is. */
  lookUps: number
  /** All other requests. */
  requests: number
  /** Transactions that write. */
  commits: number
  /** Those of them that wait for the disk. */
  strict: number
}

// A receipt for what was submitted and that it was read may be lost: they come again. The rest is on the disk first.
const ALICE: Work = { lookUps: 15, requests: 25, commits: 3, strict: 2 }
const BOB: Work = { lookUps: 15, requests: 23, commits: 4, strict: 2 }
const works = new Map<IDBDatabase, Work>() // by connection

let relay: RelayProcess

beforeAll(async () => {
  relay = await RelayProcess.start()
  mayReach(relay.origin)
})

afterAll(async () => {
  await closeAll()
  await relay.remove()
})

function count({ db }: IDBTransaction, what: keyof Work): void {
  const work = works.get(db) ?? { lookUps: 0, requests: 0, commits: 0, strict: 0 }
  works.set(db, work)
  work[what] += 1
}

/** Have `heard` called with each call of a method. */
function tap(prototype: object, method: string, heard: (self: never, args: readonly unknown[], result: never) => void): void {
  const given: unknown = Reflect.get(prototype, method)
  if (typeof given !== "function") return
  Reflect.set(prototype, method, function (this: never, ...args: unknown[]): unknown {
    const result = Reflect.apply(given, this, args) as never
    heard(this, args, result)
    return result
  })
}

for (const method of ["get", "getAll", "getAllKeys", "count", "openCursor", "openKeyCursor", "put", "add", "delete"]) {
  tap(IDBObjectStore.prototype, method, (table: IDBObjectStore, [key]) => {
    const isLookUp = table.name === DEVICE && method === "get" && key === "revision" && table.transaction.mode === "readonly"
    count(table.transaction, isLookUp ? "lookUps" : "requests")
  })
  tap(IDBIndex.prototype, method, (index: IDBIndex) => { count(index.objectStore.transaction, "requests") })
}
tap(IDBDatabase.prototype, "transaction", (_, [, mode, options], made: IDBTransaction) => {
  if (mode === "readwrite") count(made, "commits")
  if ((options as IDBTransactionOptions | undefined)?.durability === "strict") count(made, "strict")
})

/** Put the models of a page on a tab, the conversation with `name` open. */
async function withPage(tab: Tab, name: string): Promise<void> {
  const app = new App(tab.client as never, new Preferences(null), {
    now: () => Date.now(),
    dayOf: (time) => Math.floor(time / DAY_MILLIS),
    random: () => 0,
    isVisible: () => true,
    alert: () => undefined,
    sent: () => undefined,
    went: () => undefined,
  })
  tab.page = (change) => { app.change(change) }
  await app.start()
  await app.people.refresh()
  app.show({ kind: "thread", contact: (await tab.contact(name)).id })
  await until(() => Promise.resolve(app.thread.value?.isLoaded.value === true))
}

/** Wait until nothing is on its way any more, and everything was read. */
async function settled(...stores: readonly Store[]): Promise<void> {
  await until(async () => {
    const left = await Promise.all(
      stores.flatMap(async (store) => [
        await store.count(table.outbox, null, null),
        (await store.all(table.contacts, null, null)).reduce((sum, { unread }) => sum + unread, 0),
      ]),
    )
    return left.flat().every((count) => count === 0)
  })
}

function isDelivered(change: Change, text: string): boolean {
  return change.kind === "messages" && change.entries.some((entry) => entry.text === text && entry.state === "delivered")
}

test("one message, shown, confirmed and read, asks little of IndexedDB", { timeout: PATIENT }, async () => {
  const [alice, bob] = await talking(relay.origin)
  await withPage(alice, "bob")
  await withPage(bob, "alice")
  const [{ id }, connections] = [await alice.contact("bob"), [...works.keys()]]
  // Through other connections, so that looking is not counted.
  const stores = [await Store.open(alice.client.store.name), await Store.open(bob.client.store.name)]
  const send = async (text: string): Promise<void> => {
    await alice.client.send(id, text)
    await until(() => Promise.resolve(alice.changes.some((change) => isDelivered(change, text))))
    await settled(...stores)
  }
  await send("fills what is kept in memory")
  works.clear()
  for (let number = 0; number < MESSAGES; number++) await send(`message ${number}`)

  for (const [tab, most] of [[alice, ALICE], [bob, BOB]] as const) {
    const connection = connections.find(({ name }) => name === tab.client.store.name)
    const work = connection && works.get(connection)
    expect(work?.strict).toBe(MESSAGES * most.strict)
    expect(work?.commits).toBeLessThanOrEqual(MESSAGES * most.commits)
    expect(work?.requests).toBeLessThanOrEqual(MESSAGES * most.requests)
    expect(work?.lookUps).toBeLessThanOrEqual(MESSAGES * most.lookUps)
  }
  for (const store of stores) store.close()
})
