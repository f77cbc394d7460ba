/** Transfers that go on: after a tab has ended, after what was said was lost. */

import { afterAll, afterEach, beforeAll, expect, test } from "vitest"

import { isToBeTold } from "../../src/client/jobs"
import * as table from "../../src/client/schema"
import { prefix } from "../../src/client/store"
import { PIECE_SIZE } from "../../src/client/torrent_info"
import type { StoredTransfer } from "../../src/client/transfer_row"
import { Kind } from "../../src/core/content"
import { DAY, HOUR } from "../../src/core/types"
import type { Millis } from "../../src/core/types"
import { RelayProcess } from "../relay_process"
import { acquainted, carry, file, offer, saved, shown, untilState } from "./files_kit"
import { LyingRelay } from "./lying_relay"
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
  await alter(alice, id, { inDrop: true, told: Date.now() as Millis })
  await bob.client.files.acceptFile(id)
  await until(async () => (await shown(bob, "alice", id))?.inDrop === true)
  await alter(alice, id, { told: (Date.now() - 14 * DAY) as Millis }) // the relay has deleted it
  await alter(bob, id, { inDrop: false })
  await bob.client.files.pauseFile(id)
  await bob.client.files.resumeFile(id)
  await bob.client.files.fileJobs()
  await alice.client.send((await alice.contact("bob")).id, "after it")
  await until(async () => (await bob.talk("alice")).some((entry) => entry.text === "after it"))
  expect((await shown(bob, "alice", id))?.inDrop).toBe(false)
})

test("an acceptance is said ever less often, and not twice at a time", { timeout: PATIENT }, async () => {
  const [alice, bob] = await acquainted(relay.origin)
  const id = await offer(alice, "bob", [file("note", 5)])
  await untilState(bob, "alice", id, "offered")
  await relay.end()
  await bob.client.files.acceptFile(id)
  await alter(bob, id, { told: 0 as Millis })
  await bob.client.files.fileJobs()
  const row = await bob.client.store.get(table.transfers, id)
  expect(row?.told).not.toBe(0)
  const queued = await bob.client.store.all(table.outbox, "contact", prefix((await bob.contact("alice")).id))
  expect(queued.filter(({ kind }) => kind === Kind.FILE_STATE)).toHaveLength(1) // the first is still to be sent
  await relay.start()
  if (row === undefined) throw new Error("no transfer")
  const wanted = 0 as Millis
  let told = HOUR
  const pauses: number[] = []
  for (let now = told; now < 30 * DAY; now += HOUR / 2) {
    if (!isToBeTold({ ...row, wanted, told: told as Millis }, now as Millis)) continue
    pauses.push(Math.floor((now - told) / HOUR))
    told = now
  }
  expect(pauses.slice(0, 6)).toEqual([1, 3, 6, 12, 24, 24])
  expect(pauses.length).toBeLessThan(20)
})

test.each(["too-slow", "not-authenticated", "drop-full"])(
  "only what stays ends the drop: %s",
  { timeout: PATIENT },
  async (code) => {
    const goesOn = code !== "drop-full"
    const [alice] = await talking(relay.origin)
    const id = await offer(alice, "bob", [file("note", 5)], { drop: true })
    await untilState(alice, "bob", id, "offered")
    const asked: string[] = []
    const liar = await LyingRelay.start({
      answer: (request, response) => {
        asked.push(request.url ?? "")
        const isDeletion = request.url === "/v1/drop/delete"
        response.writeHead(isDeletion ? 200 : 409).end(JSON.stringify(isDeletion ? {} : { error: { code, message: "" } }))
      },
    })
    mayReach(relay.origin, liar.origin)
    try {
      await alter(alice, id, { origin: liar.origin })
      await alice.client.files.fileJobs()
      await until(async () => (goesOn ? asked.length > 1 : (await shown(alice, "bob", id))?.reason === code))
      expect((await alice.client.store.get(table.transfers, id))?.wantsDrop).toBe(goesOn)
      expect(asked.includes("/v1/drop/delete")).toBe(!goesOn)
      if (goesOn) await alice.client.files.cancelFile(id) // of what was begun nothing stays
      expect(asked).toContain("/v1/drop/delete")
    } finally {
      mayReach(relay.origin)
      await liar.end()
    }
  },
)

test("nothing is tried again with who is blocked", { timeout: PATIENT }, async () => {
  const [alice, bob] = await acquainted(relay.origin)
  const id = await offer(alice, "bob", [file("note", 5)])
  await untilState(bob, "alice", id, "offered")
  await alter(bob, id, { stage: "failed", reason: "disk-full" })
  await bob.client.blockContact((await bob.contact("alice")).id)
  await expect(bob.client.files.retryFile(id)).rejects.toMatchObject({ code: "misuse" })
})
