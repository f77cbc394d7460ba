/** Transfers when something is in the way here or at the drop: nothing that came is lost, and it goes on. */

import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest"

import { loadAccount } from "../../src/client/account"
import { deleteDrop, upload } from "../../src/client/drop"
import { Folders, writeAll } from "../../src/client/folders"
import * as table from "../../src/client/schema"
import { PIECE_SIZE } from "../../src/client/torrent_info"
import type { StoredTransfer } from "../../src/client/transfer_row"
import { toHex } from "../../src/core/encoding"
import { TransportError } from "../../src/core/errors"
import { dropId } from "../../src/core/kdf"
import { randomBytes } from "../../src/core/primitives"
import { HOUR, KEY_SIZE, SECOND } from "../../src/core/types"
import type { Millis } from "../../src/core/types"
import { RelayProcess } from "../relay_process"
import { Disk, DiskFile } from "./disk"
import { QUIET, acquainted, alter, carry, file, offer, running, saved, shown, untilState } from "./files_kit"
import { LyingRelay } from "./lying_relay"
import { Tab, closeAll, mayReach, signUp, talking, until } from "./persons"

const PATIENT = 120_000

let relay: RelayProcess

beforeAll(async () => {
  relay = await RelayProcess.start({ HALONYX_DROP_QUOTA: "50000000" })
  mayReach(relay.origin)
})

afterEach(closeAll)
afterAll(() => relay.remove())

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

test.each(["<!doctype html>", "{}"])("what answers %s to a part is no drop now", { timeout: PATIENT }, async (answer) => {
  const { client } = await signUp(relay.origin)
  const opened = JSON.stringify({ offset: 0, upload: "0".repeat(32) })
  const liar = await LyingRelay.start({
    answer: ({ method }, response) => { response.end(method === "POST" ? opened : answer) },
  })
  mayReach(relay.origin, liar.origin)
  try {
    const disk = new Disk()
    const folders = new Folders("lied-to", () => Promise.resolve(disk))
    await folders.access("00", 5)
    await folders.close("00")
    const row = { id: "00", key: randomBytes(KEY_SIZE), origin: liar.origin } as unknown as StoredTransfer
    const account = await loadAccount(client.store)
    const put = upload(folders, row, account, () => undefined, new AbortController().signal)
    await expect(put).rejects.toMatchObject({ code: "transport-error" })
  } finally {
    mayReach(relay.origin)
    await liar.end()
  }
})

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

test("what waits until the server of the page has answered does not say that it is not allowed", { timeout: PATIENT }, async () => {
  const [alice, bob] = await acquainted(relay.origin)
  const id = await running(alice, bob)
  await closeAll()
  mayReach() // as before anybody was asked
  let isAnswering = false
  const again = await Tab.open(bob.client.store.name, () => {
    if (!isAnswering) return Promise.reject(new TransportError("no answer"))
    mayReach(relay.origin)
    return Promise.resolve("")
  })
  try {
    await expect(again.client.files.fileJobs()).rejects.toMatchObject({ code: "transport-error" })
    expect((await shown(again, "alice", id))?.reason).toBe("relay-unreachable")
    isAnswering = true
    expect(await again.client.files.fileJobs()).toHaveLength(1)
  } finally {
    mayReach(relay.origin)
  }
})

test("a sender who has sent all of it says so after a reload, until it is wanted anew", { timeout: PATIENT }, async () => {
  const [alice, bob] = await acquainted(relay.origin)
  const id = await running(alice, bob)
  const { total } = await untilState(alice, "bob", id, "waiting")
  await alice.client.files.fileJobs()
  await alice.client.files.reportFiles([{ ...QUIET, id, done: total - 1, peers: 1 }])
  await alice.client.files.reportFiles([{ ...QUIET, id, done: total, peers: 0 }])
  await alice.close()
  const again = await Tab.open(alice.client.store.name)
  expect(await shown(again, "bob", id)).toMatchObject({ reason: "unconfirmed", done: total })
  await again.client.files.reportFiles([{ ...QUIET, id, done: 0, peers: 0 }])
  expect(await shown(again, "bob", id)).toMatchObject({ reason: "unconfirmed", done: total })
  await carry(again, bob, id, true)
  await untilState(again, "bob", id, "failed")
  await bob.client.files.retryFile(id)
  expect(await untilState(again, "bob", id, "waiting")).toMatchObject({ reason: "peer-offline", done: 0 })
})

test("a file that is deleted or closed under whoever reads or writes it is gone", async () => {
  const disk = new Disk()
  const folders = new Folders("deleted", () => Promise.resolve(disk))
  const gone = { code: "gone" }
  const begin = async (): Promise<DiskFile> => {
    writeAll(await folders.access("id", 5), new Uint8Array(5), 0)
    await folders.close("id")
    const [stored] = disk.files().values()
    if (stored === undefined) throw new Error("no ciphertext")
    return stored
  }
  const stored = await begin()
  expect(await folders.read("id", 1, 2)).toEqual(new Uint8Array(2))
  stored.getFile = async () => {
    await folders.remove("id")
    return DiskFile.prototype.getFile.call(stored)
  }
  await expect(folders.read("id", 1, 2)).rejects.toMatchObject(gone)
  const access = await folders.access("id", 5)
  await folders.close("id")
  expect(() => { writeAll(access, new Uint8Array(5), 0) }).toThrow(expect.objectContaining(gone))
})

test("what is ended while it is verified is no fault", { timeout: PATIENT }, async () => {
  const [alice, bob] = await acquainted(relay.origin)
  const id = await running(alice, bob, [file("note", 5)])
  await bob.client.files.writePiece(id, 0, await alice.client.files.readPiece(id, 0))
  const { id: contact } = await bob.contact("alice")
  const [stored] = bob.disk.files().values()
  if (stored === undefined) throw new Error("no ciphertext")
  stored.getFile = async () => {
    await bob.client.blockContact(contact)
    return DiskFile.prototype.getFile.call(stored)
  }
  const said = vi.spyOn(console, "error")
  await bob.client.files.fileArrived(id)
  expect(said.mock.calls).toEqual([])
  said.mockRestore()
  expect((await bob.client.store.get(table.transfers, id))?.stage).toBe("cancelled")
})

test.each(["its torrent ends", "it is cancelled"])(
  "what comes from the drop while %s is no fault",
  { timeout: PATIENT },
  async (what) => {
    const [alice, bob] = await talking(relay.origin)
    const id = await offer(alice, "bob", [file("note", 2 * PIECE_SIZE)], { drop: true })
    await untilState(alice, "bob", id, "offered")
    await alice.client.files.fileJobs()
    await until(async () => (await shown(bob, "alice", id))?.inDrop === true)
    await bob.client.files.acceptFile(id)
    const said = vi.spyOn(console, "error")
    const opened = vi.spyOn(Disk.prototype, "getFileHandle")
    const { fetch } = globalThis
    globalThis.fetch = async (input, options) => {
      if (new Headers(options?.headers).get("Range")?.startsWith(`bytes=${PIECE_SIZE}-`) !== true) return fetch(input, options)
      if (what === "it is cancelled") await bob.client.files.cancelFile(id)
      else await bob.client.files.closePieces(id)
      opened.mockClear()
      return fetch(input, options)
    }
    try {
      await bob.client.files.fileJobs()
      await untilState(bob, "alice", id, what === "it is cancelled" ? "cancelled" : "done")
      await alice.write("bob", "later")
      await until(async () => (await bob.heard("alice")).includes("later"))
      expect(said.mock.calls).toEqual([])
      expect(bob.disk.files().size).toBe(what === "it is cancelled" ? 0 : 1)
      const made = opened.mock.calls.filter(([, options]) => options?.create === true)
      expect(made).toHaveLength(what === "it is cancelled" ? 0 : 1)
      expect(bob.changes.filter((change) => change.kind === "transfer" && change.transfer.reason === "gone")).toEqual([])
    } finally {
      globalThis.fetch = fetch
      said.mockRestore()
      opened.mockRestore()
    }
  },
)

test("what is taken back while it goes to the drop is no fault", { timeout: PATIENT }, async () => {
  const [alice, bob] = await talking(relay.origin)
  const id = await offer(alice, "bob", [file("note", 2 * PIECE_SIZE)], { drop: true })
  await untilState(alice, "bob", id, "offered")
  const said = vi.spyOn(console, "error")
  const { fetch } = globalThis
  let put = 0
  globalThis.fetch = async (input, options) => {
    const answer = await fetch(input, options)
    if (options?.method === "PUT" && put++ === 0) await alice.client.files.cancelFile(id)
    return answer
  }
  try {
    await alice.client.files.fileJobs()
    await untilState(bob, "alice", id, "cancelled")
    await alice.write("bob", "later")
    await until(async () => (await bob.heard("alice")).includes("later"))
    expect([put, said.mock.calls]).toEqual([1, []])
  } finally {
    globalThis.fetch = fetch
    said.mockRestore()
  }
})

test("what the drop has is deleted, once it is known how relays are reached", { timeout: PATIENT }, async () => {
  const [alice] = await talking(relay.origin)
  const id = await offer(alice, "bob", [file("note", 5)], { drop: true })
  await untilState(alice, "bob", id, "offered")
  await alice.client.files.fileJobs()
  await until(async () => (await shown(alice, "bob", id))?.inDrop === true)
  const row = await alice.client.store.get(table.transfers, id)
  if (row === undefined) throw new Error("it vanished")
  await alice.close()
  mayReach()
  let [asked, answer] = [0, (): void => undefined]
  const told = new Promise<string>((resolve) => { answer = () => { resolve("") } })
  const again = await Tab.open(alice.client.store.name, () => {
    asked += 1
    return told
  })
  const cancelled = again.client.files.cancelFile(id)
  await until(() => Promise.resolve(asked > 1)).finally(() => { mayReach(relay.origin) })
  answer()
  await cancelled
  expect((await fetch(`${relay.origin}/v1/drop/${toHex(dropId(row.key))}`)).status).toBe(404)
})
