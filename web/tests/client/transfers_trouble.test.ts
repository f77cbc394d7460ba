/** Transfers when something is in the way: it goes on when it is out of it. */

import { afterAll, afterEach, beforeAll, test } from "vitest"

import * as table from "../../src/client/schema"
import type { StoredTransfer } from "../../src/client/transfer_row"
import { SECOND } from "../../src/core/types"
import { RelayProcess } from "../relay_process"
import { acquainted, file, offer, shown, untilState } from "./files_kit"
import { closeAll, mayReach, until, type Tab } from "./persons"

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
