/** Transfers that go on: after a tab has ended, after what was said was lost. */

import { afterAll, afterEach, beforeAll, expect, test } from "vitest"

import { Transfers as Shown } from "../../src/app/models/transfers"
import { Fetching } from "../../src/client/fetching"
import { Folders } from "../../src/client/folders"
import { isToBeTold } from "../../src/client/jobs"
import * as table from "../../src/client/schema"
import { prefix } from "../../src/client/store"
import { PIECE_SIZE } from "../../src/client/torrent_info"
import { takeState } from "../../src/client/transfer_states"
import { Kind } from "../../src/core/content"
import { fromHex } from "../../src/core/encoding"
import { Reason, State } from "../../src/core/file_offer"
import { DAY, HOUR } from "../../src/core/types"
import type { MessageId, Millis } from "../../src/core/types"
import { RelayProcess } from "../relay_process"
import type { Disk } from "./disk"
import { QUIET, acquainted, alter, carry, file, offer, running, saved, shown, untilState } from "./files_kit"
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

test("what is not on the disk any more is fetched from its beginning, whatever was noted", { timeout: PATIENT }, async () => {
  const [alice, bob] = await talking(relay.origin)
  const id = await offer(alice, "bob", [file("note", 5)], { drop: true })
  await untilState(alice, "bob", id, "offered")
  await alice.client.files.fileJobs()
  await until(async () => (await shown(bob, "alice", id))?.inDrop === true)
  await bob.client.files.acceptFile(id)
  await alter(bob, id, { fetched: 1000 })
  await bob.client.files.fileJobs()
  await until(async () => ["done", "failed"].includes((await shown(bob, "alice", id))?.state ?? ""))
  expect(await shown(bob, "alice", id)).toMatchObject({ state: "done", reason: null })
})

test("what comes needs no second acceptance, and nothing runs with who is blocked", { timeout: PATIENT }, async () => {
  const [alice, bob] = await acquainted(relay.origin)
  const id = await running(alice, bob)
  const told = (Date.now() - HOUR - 1000) as Millis
  await alter(bob, id, { told })
  await bob.client.files.reportFiles([{ ...QUIET, id, done: 1, peers: 1 }])
  expect(await bob.client.files.fileJobs()).toHaveLength(1)
  expect((await bob.client.store.get(table.transfers, id))?.told).toBe(told)
  const contact = (await bob.contact("alice")).id
  const page = new Shown()
  for (const change of bob.changes) if (change.kind === "transfer") page.take(change.transfer)
  bob.page = (change) => { if (change.kind === "transfer") page.take(change.transfer) }
  await bob.client.blockContact(contact)
  await bob.client.unblockContact(contact)
  const now = await shown(bob, "alice", id)
  expect(now?.state).toBe("cancelled")
  expect(now && page.of(now).value.state).toBe("cancelled")
  await bob.client.blockContact(contact)
  await alter(bob, id, { stage: "running" }) // as by a tab that read it before
  expect(await bob.client.files.fileJobs()).toEqual([])

  let looks = 0
  const root = (): Promise<Disk> => Promise.resolve((looks++, bob.disk))
  const nobody = { note: () => undefined, arrived: () => Promise.resolve(), failed: () => Promise.resolve() }
  const fetching = new Fetching(bob.client.store, new Folders(bob.client.store.name, root), nobody)
  await alter(bob, id, { inDrop: true })
  await fetching.update()
  expect(looks).toBe(0)
  await bob.client.unblockContact(contact)
  await fetching.update()
  expect(looks).toBe(1)
  fetching.stop()
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

/** Say something of a transfer as if it had come from the contact. */
async function hear(tab: Tab, name: string, id: string, state: State): Promise<void> {
  const contact = (await tab.contact(name)).id
  const said = { offer: fromHex(id) as MessageId, state, reason: Reason.NONE }
  await tab.client.store.transaction((tx) => takeState(tx, contact, said))
}

test.each(["kept", "deleted here", "refused", "failed"])(
  "an end that was not heard of is said again: %s",
  { timeout: PATIENT },
  async (end) => {
    const [alice, bob] = await acquainted(relay.origin)
    const id = await running(alice, bob, [file("note", 5)])
    await carry(alice, bob, id)
    await untilState(alice, "bob", id, "done")
    await alter(alice, id, { stage: "running", done: 0, asked: Date.now() as Millis, wanted: Date.now() as Millis }) // it was lost
    if (end === "deleted here") await bob.client.files.cancelFile(id)
    if (end === "refused") await alter(bob, id, { stage: "cancelled", hasArrived: undefined as never })
    if (end === "failed") await alter(bob, id, { stage: "failed", reason: "damaged" })
    await alice.client.files.fileJobs()
    await alice.client.files.reportFiles([{ ...QUIET, id, done: 0, peers: 0 }])
    expect((await untilState(alice, "bob", id, "waiting")).reason).toBe("peer-offline")
    const { total } = await untilState(alice, "bob", id, "waiting")
    await alice.client.files.reportFiles([{ ...QUIET, id, done: total, peers: 0 }])
    await until(async () => (await shown(alice, "bob", id))?.reason === "unconfirmed") // and not "done"
    await alter(alice, id, { asked: (Date.now() - HOUR - 1000) as Millis })
    await alice.client.files.fileJobs()
    await untilState(alice, "bob", id, end === "refused" || end === "failed" ? end : "done")
  },
)

test("what waits for the other one's agreement is noted as long as it does", { timeout: PATIENT }, async () => {
  const [alice, bob] = await talking(relay.origin)
  await alice.client.files.allowDirect((await alice.contact("bob")).id, true)
  const id = await running(alice, bob, [file("note", 5)])
  const waitsFor = (reason: string) => until(async () => (await shown(alice, "bob", id))?.reason === reason)
  await bob.client.files.fileJobs()
  await waitsFor("no-turn")
  await alter(bob, id, { told: (Date.now() - HOUR - 1000) as Millis }) // he says again both that he wants it and that
  await bob.client.files.fileJobs()
  await hear(alice, "bob", id, State.ACCEPTED)
  await waitsFor("peer-offline")
  await alice.client.files.pauseFile(id)
  await alice.client.files.resumeFile(id)
  await alice.client.files.fileJobs() // she asks, and he says what he waits for
  await waitsFor("no-turn")
  await bob.client.files.allowDirect((await bob.contact("alice")).id, true)
  await bob.client.files.fileJobs()
  await waitsFor("peer-offline")
  await hear(alice, "bob", id, State.NEEDS_DIRECT)
  await waitsFor("no-turn")
  await alice.client.files.reportFiles([{ ...QUIET, id, done: 0, peers: 1 }])
  await alice.client.files.reportFiles([{ ...QUIET, id, done: 0, peers: 0 }])
  await waitsFor("peer-offline") // they met, so it is over
  await bob.client.files.reportFiles([{ ...QUIET, id, done: 0, peers: 0 }])
  for (const word of [State.STILL_OFFERED, State.IN_DROP]) {
    await hear(bob, "alice", id, State.NEEDS_DIRECT)
    expect((await shown(bob, "alice", id))?.reason).toBe("no-turn")
    await hear(bob, "alice", id, word)
    expect((await shown(bob, "alice", id))?.reason).toBe("peer-offline")
  }
})

test.each(["there", "there, and paused", "deleted by the relay"])(
  "a drop that was not heard of is told again to who accepts: %s",
  { timeout: PATIENT },
  async (where) => {
    const [alice, bob] = await acquainted(relay.origin)
    const id = await offer(alice, "bob", [file("note", 5)])
    await untilState(bob, "alice", id, "offered")
    await alter(alice, id, { inDrop: true, told: Date.now() as Millis })
    if (where === "deleted by the relay") await alter(alice, id, { told: (Date.now() - 14 * DAY) as Millis })
    await bob.client.files.acceptFile(id)
    await untilState(alice, "bob", id, "waiting")
    if (where === "there, and paused") {
      await until(async () => (await shown(bob, "alice", id))?.inDrop === true)
      await alter(bob, id, { inDrop: false })
      await alice.client.files.pauseFile(id)
      await hear(alice, "bob", id, State.ACCEPTED)
    }
    await alice.write("bob", "after it")
    await until(async () => (await bob.heard("alice")).includes("after it"))
    expect((await shown(bob, "alice", id))?.inDrop).toBe(where !== "deleted by the relay")
  },
)

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
  const asking = { ...row, isOutgoing: 1, wanted, told: Date.now() as Millis } as const
  expect([0, HOUR, 3 * HOUR].map((now) => isToBeTold({ ...asking, asked: HOUR as Millis }, (now + 1) as Millis))).toEqual(
    [false, false, true],
  )
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
