/** Transfers when something is in the way here or at the drop: nothing that came is lost, and it goes on. */

import { afterAll, afterEach, beforeAll, expect, test } from "vitest"

import { deleteDrop } from "../../src/client/drop"
import * as table from "../../src/client/schema"
import type { StoredTransfer } from "../../src/client/transfer_row"
import { HOUR, SECOND } from "../../src/core/types"
import type { Millis } from "../../src/core/types"
import { RelayProcess } from "../relay_process"
import { DiskFile } from "./disk"
import { acquainted, file, offer, running, saved, shown, untilState } from "./files_kit"
import { closeAll, mayReach, talking, until, type Tab } from "./persons"

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

/** Let the next row that is written into a table not be taken. */
function refuseRow(name: string): void {
  const puts = IDBObjectStore.prototype
  const given = Reflect.get(puts, "put") as (this: IDBObjectStore, value: unknown, key?: IDBValidKey) => IDBRequest<IDBValidKey>
  puts.put = function (value, key) {
    const request = given.call(this, value, key)
    if (this.name !== name) return request
    puts.put = given
    request.addEventListener("success", () => { this.transaction.abort() })
    return request
  }
}

test.each(["read", "noted"])("our own trouble, when it is to be %s, is no fault of what came", { timeout: PATIENT }, async (when) => {
  const [alice, bob] = await acquainted(relay.origin)
  const id = await running(alice, bob, [file("note", 5)])
  await bob.client.files.writePiece(id, 0, await alice.client.files.readPiece(id, 0))
  await alter(bob, id, { stage: "verifying" })
  const [stored] = bob.disk.files().values()
  if (stored === undefined) throw new Error("no ciphertext")
  if (when === "read") stored.getFile = () => Promise.reject(new DOMException("locked by a scanner", "NotReadableError"))
  else refuseRow(table.transfers.name)
  await bob.client.files.fileArrived(id)
  expect((await shown(bob, "alice", id))?.state).toBe("verifying")
  expect(bob.disk.files().size).toBe(1)
  stored.getFile = () => DiskFile.prototype.getFile.call(stored)
  await bob.client.files.fileJobs() // as when the page looks again
  await untilState(bob, "alice", id, "done")
  await untilState(alice, "bob", id, "done")
  expect((await saved(bob, id)).size).toBe(1)
})

test.each(["is seen", "is over before anybody looks"])(
  "to pause the drop and go on ends its waiting, when the pause %s",
  { timeout: PATIENT },
  async (pause) => {
    const [alice, bob] = await acquainted(relay.origin)
    const id = await offer(alice, "bob", [file("note", 5)], { drop: true })
    await untilState(alice, "bob", id, "offered")
    await alice.client.files.fileJobs()
    await until(async () => (await shown(bob, "alice", id))?.inDrop === true)
    await alter(bob, id, { origin: "http://localhost:9" })
    await bob.client.files.acceptFile(id)
    const { setTimeout: given } = globalThis
    globalThis.setTimeout = ((work: () => void, millis?: number) =>
      given(work, millis === SECOND ? 1_000_000 : millis)) as typeof setTimeout
    try {
      await bob.client.files.fileJobs()
      await until(async () => (await shown(bob, "alice", id))?.reason === "strange-relay")
      await alter(bob, id, { origin: relay.origin })
      await bob.client.files.pauseFile(id)
      if (pause === "is seen") await bob.client.files.fileJobs()
      await bob.client.files.resumeFile(id)
      await bob.client.files.fileJobs()
      await untilState(bob, "alice", id, "done")
    } finally {
      globalThis.setTimeout = given
    }
  },
)

test.each(["still wants it", "offers it"])(
  "what the drop lost is uploaded again for who %s",
  { timeout: PATIENT },
  async (who) => {
    const [alice, bob] = await talking(relay.origin)
    const id = await offer(alice, "bob", [file("note", 5)], { drop: true })
    await untilState(alice, "bob", id, "offered")
    await alice.client.files.fileJobs()
    await until(async () => (await shown(bob, "alice", id))?.inDrop === true)
    const row = await alice.client.store.get(table.transfers, id)
    if (row === undefined) throw new Error("no transfer")
    await deleteDrop(row) // as of a relay that was put back to an older copy
    await bob.client.files.acceptFile(id)
    await untilState(alice, "bob", id, "waiting")
    await alice.write("bob", "after the answer")
    await until(async () => (await bob.heard("alice")).includes("after the answer"))
    await bob.client.files.fileJobs()
    await until(async () => (await shown(bob, "alice", id))?.inDrop === false)
    if (who === "still wants it") {
      await alter(bob, id, { told: (Date.now() - HOUR - 1000) as Millis })
      await bob.client.files.fileJobs()
    } else {
      await alice.client.files.pauseFile(id)
      await alice.client.files.resumeFile(id)
    }
    await until(async () => {
      await alice.client.files.fileJobs() // as when she is told of a change
      return (await shown(bob, "alice", id))?.inDrop === true
    })
    await bob.client.files.fileJobs()
    await untilState(bob, "alice", id, "done")
    expect((await saved(bob, id)).size).toBe(1)
  },
)
