/** Transfers that go on: after a tab has ended, after what was said was lost. */

import { afterAll, afterEach, beforeAll, expect, test } from "vitest"

import * as table from "../../src/client/schema"
import { PIECE_SIZE } from "../../src/client/torrent_info"
import type { StoredTransfer } from "../../src/client/transfer_row"
import { HOUR } from "../../src/core/types"
import type { Millis } from "../../src/core/types"
import { RelayProcess } from "../relay_process"
import { acquainted, carry, file, offer, saved, shown, untilState } from "./files_kit"
import { Tab, closeAll, mayReach, talking, until } from "./persons"

const PATIENT = 120_000

let relay: RelayProcess

beforeAll(async () => {
  relay = await RelayProcess.start({ HALONYX_DROP_QUOTA: "50000000" })
  mayReach(relay.origin)
})

afterEach(closeAll)
afterAll(() => relay.remove())

/** Change a transfer behind the client's back. */
async function alter(tab: Tab, id: string, changes: Partial<StoredTransfer>): Promise<void> {
  await tab.client.store.transaction(async (tx) => {
    const row = await tx.get(table.transfers, id)
    if (row !== undefined) tx.put(table.transfers, { ...row, ...changes })
  })
}

test("what came from the drop is not fetched again by the next tab", { timeout: PATIENT }, async () => {
  const [alice, bob] = await talking(relay.origin)
  const id = await offer(alice, "bob", [file("note", 6 * PIECE_SIZE)], { drop: true })
  await untilState(alice, "bob", id, "offered")
  await alice.client.files.fileJobs()
  await until(async () => (await shown(bob, "alice", id))?.inDrop === true)
  const asked: string[] = []
  const { fetch } = globalThis
  let answered = 5
  globalThis.fetch = (input, options) => {
    const range = new Headers(options?.headers).get("Range")
    if (range === null) return fetch(input, options)
    asked.push(range)
    return answered-- > 0 ? fetch(input, options) : Promise.reject(new TypeError("the network is gone"))
  }
  try {
    await bob.client.files.acceptFile(id)
    await bob.client.files.fileJobs()
    await until(() => Promise.resolve(asked.length > 5))
    await bob.close()
    const ended = asked.length
    answered = Infinity
    const again = await Tab.open(bob.client.store.name)
    await again.client.files.fileJobs()
    await untilState(again, "alice", id, "done")
    expect(asked[ended]).toBe(`bytes=${4 * PIECE_SIZE}-${5 * PIECE_SIZE - 1}`)
    expect((await saved(again, id)).get("note")?.length).toBe(6 * PIECE_SIZE)
  } finally {
    globalThis.fetch = fetch
  }
})

test.each(["an hour later", "when the person looks"])(
  "an acceptance that was lost is said again %s",
  { timeout: PATIENT },
  async (when) => {
    const [alice, bob] = await acquainted(relay.origin)
    const id = await offer(alice, "bob", [file("note", 5)])
    const row = await untilState(bob, "alice", id, "offered")
    await alter(bob, id, { stage: "running", told: Date.now() as Millis })
    expect(await bob.client.files.fileJobs()).toHaveLength(1)
    if (when === "an hour later") {
      await alter(bob, id, { told: (Date.now() - HOUR - 1000) as Millis })
    } else {
      await bob.client.files.pauseFile(row.id)
      await bob.client.files.resumeFile(row.id)
    }
    await bob.client.files.fileJobs()
    await untilState(alice, "bob", id, "waiting")
    await carry(alice, bob, id)
    await untilState(alice, "bob", id, "done")
  },
)

test("a drop that was not heard of is told again to who accepts", { timeout: PATIENT }, async () => {
  const [alice, bob] = await acquainted(relay.origin)
  const id = await offer(alice, "bob", [file("note", 5)])
  await untilState(bob, "alice", id, "offered")
  await alter(alice, id, { inDrop: true })
  await bob.client.files.acceptFile(id)
  await until(async () => (await shown(bob, "alice", id))?.inDrop === true)
})
