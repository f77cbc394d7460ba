/** Files at the client: everything real but the browser's disk and the torrents, whose pieces the test carries itself. */

import { afterAll, afterEach, beforeAll, expect, test } from "vitest"

import { nowMs } from "../../src/client/account"
import { HOLD, place } from "../../src/client/order"
import { download } from "../../src/client/drop"
import { expire } from "../../src/client/outbox"
import * as table from "../../src/client/schema"
import { PIECE_SIZE } from "../../src/client/torrent_info"
import { takeOffer, takeState } from "../../src/client/transfer_states"
import { Turn } from "../../src/client/turn"
import { Kind } from "../../src/core/content"
import { fromHex } from "../../src/core/encoding"
import { FileOffer, FileState, Reason, State } from "../../src/core/file_offer"
import { DAY } from "../../src/core/types"
import type { DeviceId, MessageId, Millis } from "../../src/core/types"
import { RelayProcess } from "../relay_process"
import { Disk } from "./disk"
import { QUIET, acquainted as agreed, carry, file, offer, running, saved, shown, untilState } from "./files_kit"
import { LyingRelay } from "./lying_relay"
import { Tab, closeAll, mayReach, signUp, talking, until } from "./persons"

const PATIENT = 120_000

let relay: RelayProcess

beforeAll(async () => {
  relay = await RelayProcess.start({ HALONYX_DROP_QUOTA: "50000000" })
  mayReach(relay.origin)
})

afterEach(async () => {
  Disk.room = Infinity
  await closeAll()
})

afterAll(() => relay.remove())

const acquainted = (): Promise<readonly [Tab, Tab]> => agreed(relay.origin)

test("an offer is a line of the conversation, comes in its order and is confirmed", { timeout: PATIENT }, async () => {
  const [alice, bob] = await acquainted()
  const id = await offer(alice, "bob", [file("note.txt", 5, "text/plain; charset=utf-8")])
  await untilState(alice, "bob", id, "offered")
  await alice.write("bob", "after it")
  await until(async () => (await bob.heard("alice")).at(-1) === "after it")
  const lines = (await bob.talk("alice")).filter((entry) => !entry.outgoing)
  expect(lines.map((entry) => entry.file?.name ?? entry.text)).toEqual(["hello", "note.txt", "after it"])
  const offered = lines[1]?.file
  expect(offered).toMatchObject({ id, mediaType: "text/plain", size: 5, count: 1, isFolder: false, outgoing: false })
  await until(async () => (await alice.states("bob")).every((state) => state === "delivered"))
  expect(await bob.notices("alice")).toEqual([])
  expect(bob.changes.some((change) => change.kind === "messages" && change.entries.some((entry) => entry.id === id))).toBe(true)
})

test("what was fetched is verified, saved and told, and the sender keeps nothing", { timeout: PATIENT }, async () => {
  const [alice, bob] = await acquainted()
  const files = [file("one", 100), file("deep/two", 70_000), file("empty", 0)]
  const id = await running(alice, bob, files)
  await expect(bob.client.files.saveFile(id)).rejects.toMatchObject({ code: "misuse" })
  await carry(alice, bob, id)
  await untilState(bob, "alice", id, "done")
  await untilState(alice, "bob", id, "done")
  const found = await saved(bob, id)
  expect([...found.keys()]).toEqual(files.map(({ path }) => path))
  for (const { path, file: content } of files) {
    expect(found.get(path)).toEqual(new Uint8Array(await content.arrayBuffer()))
  }
  await until(() => Promise.resolve(alice.disk.files().size === 0))
  expect((await alice.client.files.fileJobs()).length).toBe(0)
})

test.each(["a tab starts", "the time is over"])(
  "what is saved stays while a tab may still copy it, and goes when none does and %s",
  { timeout: PATIENT },
  async (when) => {
    const [alice, bob] = await acquainted()
    const id = await running(alice, bob, [file("note", 5)])
    await carry(alice, bob, id)
    await untilState(bob, "alice", id, "done")
    const plaintexts = (): number => [...bob.disk.files().keys()].filter((path) => path.includes("-saving/")).length
    const { setTimeout: given } = globalThis
    const ends: (() => void)[] = []
    globalThis.setTimeout = ((work: () => void, millis?: number, ...more: []) =>
      millis === 600_000 ? ends.push(work) : given(work, millis, ...more)) as typeof setTimeout
    try {
      const [first] = await bob.client.files.saveFile(id)
      const other = await bob.another()
      await until(() => Promise.resolve(ends.length === 2)) // it looked, and will look again
      expect((await first?.file.arrayBuffer())?.byteLength).toBe(5)
      await other.client.files.saveFile(id)
      await until(() => Promise.resolve(ends.length === 3))
      expect((await first?.file.arrayBuffer())?.byteLength).toBe(5)
      ends[0]?.() // the first tab's file had its time, and the other's not
      await until(() => Promise.resolve(ends.length === 4))
      expect(plaintexts()).toBe(2)
      await other.close()
      expect(plaintexts()).toBe(2)
      if (when === "a tab starts") await bob.another()
      else ends[3]?.()
      await until(() => Promise.resolve(plaintexts() === 0))
      const late = expect(bob.client.files.saveFile(id)).rejects.toMatchObject({ code: "another-version" })
      await bob.client.files.stop()
      await late
    } finally {
      globalThis.setTimeout = given
    }
  },
)

test("a wrong ciphertext is thrown away and can be fetched again", { timeout: PATIENT }, async () => {
  const [alice, bob] = await acquainted()
  const id = await running(alice, bob)
  await carry(alice, bob, id, true)
  expect((await untilState(bob, "alice", id, "failed")).reason).toBe("wrong-hash")
  expect((await untilState(alice, "bob", id, "failed")).reason).toBe("wrong-hash")
  expect(bob.disk.files().size).toBe(0)
  await bob.client.files.retryFile(id)
  await untilState(alice, "bob", id, "waiting")
  await carry(alice, bob, id)
  await untilState(bob, "alice", id, "done")
})

test("a full disk has its name, keeps what came, and goes on when there is room", { timeout: PATIENT }, async () => {
  const [alice, bob] = await acquainted()
  const id = await running(alice, bob)
  Disk.room = PIECE_SIZE
  const piece = await alice.client.files.readPiece(id, 0)
  await expect(bob.client.files.writePiece(id, 0, piece)).rejects.toMatchObject({ code: "disk-full" })
  await bob.client.files.fileFailed(id, "disk-full")
  expect((await untilState(bob, "alice", id, "failed")).reason).toBe("disk-full")
  expect((await untilState(alice, "bob", id, "failed")).reason).toBe("disk-full")
  Disk.room = Infinity
  await bob.client.files.retryFile(id)
  await untilState(alice, "bob", id, "waiting")
  await carry(alice, bob, id)
  await untilState(alice, "bob", id, "done")

  Disk.room = PIECE_SIZE
  const another = await offer(alice, "bob", [file("large", 2 * PIECE_SIZE)])
  expect((await untilState(alice, "bob", another, "failed")).reason).toBe("no-room")
  await expect(alice.client.files.retryFile(another)).rejects.toMatchObject({ code: "misuse" })
  expect((await alice.states("bob")).at(-1)).toBe("failed")
  await until(() => Promise.resolve(alice.disk.files().size === 0))
})

test("refused, taken back, given up: both know, and nothing is left", { timeout: PATIENT }, async () => {
  const [alice, bob] = await acquainted()
  const refused = await offer(alice, "bob", [file("refused", 10)])
  await untilState(bob, "alice", refused, "offered")
  await bob.client.files.refuseFile(refused)
  await untilState(alice, "bob", refused, "refused")
  await expect(bob.client.files.acceptFile(refused)).rejects.toMatchObject({ code: "misuse" })

  const takenBack = await running(alice, bob)
  await bob.client.files.writePiece(takenBack, 0, await alice.client.files.readPiece(takenBack, 0))
  await alice.client.files.cancelFile(takenBack)
  await untilState(bob, "alice", takenBack, "cancelled")
  await expect(bob.client.files.writePiece(takenBack, 1, new Uint8Array(1))).rejects.toMatchObject({ code: "gone" })

  const givenUp = await running(alice, bob)
  await bob.client.files.cancelFile(givenUp)
  await untilState(alice, "bob", givenUp, "refused")
  for (const { disk } of [alice, bob]) await until(() => Promise.resolve(disk.files().size === 0))
})

test("a pause stops the torrent here and only here", { timeout: PATIENT }, async () => {
  const [alice, bob] = await acquainted()
  const id = await running(alice, bob)
  expect((await bob.client.files.fileJobs()).map((job) => job.id)).toEqual([id])
  await bob.client.files.reportFiles([{ ...QUIET, id, done: 1000, down: 500, peers: 1, path: "direct" }])
  expect(await untilState(bob, "alice", id, "transferring")).toMatchObject({ done: 1000, down: 500, path: "direct" })
  await bob.client.files.pauseFile(id)
  expect(await untilState(bob, "alice", id, "paused")).toMatchObject({ done: 1000, down: 0, peers: 0 })
  expect(await bob.client.files.fileJobs()).toEqual([])
  expect((await alice.client.files.fileJobs()).length).toBe(1)
  await bob.client.files.resumeFile(id)
  expect((await bob.client.files.fileJobs()).length).toBe(1)
  expect((await untilState(bob, "alice", id, "transferring")).done).toBe(1000) // until the torrent tells anew
})

test("nobody's address is shown before the person agreed or compared numbers", { timeout: PATIENT }, async () => {
  const [alice, bob] = await talking(relay.origin)
  const id = await running(alice, bob)
  expect(await bob.client.files.fileJobs()).toEqual([])
  expect((await shown(bob, "alice", id))?.reason).toBe("needs-direct")
  await until(async () => (await shown(alice, "bob", id))?.reason === "no-turn")
  expect(await bob.client.files.fileJobs()).toEqual([])
  const asked = (await bob.client.store.all(table.outbox, null, null)).filter((row) => row.kind === Kind.FILE_STATE)
  expect(asked.length).toBeLessThanOrEqual(1) // they are told once
  const contact = await bob.contact("alice")
  await bob.client.verify(contact.id, { number: (await bob.client.safetyNumber(contact.id)).groups.join("") })
  expect((await bob.client.files.fileJobs())[0]).toMatchObject({ id, policy: "all", iceServers: [] })
  expect((await shown(bob, "alice", id))?.directAllowed).toBe(true)
})

test("what says something of no transfer, or of another's, changes nothing", { timeout: PATIENT }, async () => {
  const [alice, bob] = await acquainted()
  const id = await running(alice, bob)
  const contact = (await alice.contact("bob")).id
  const offerId = fromHex(id) as MessageId
  const said = (state: State): FileState => ({ offer: offerId, state, reason: Reason.NONE })
  const before = await alice.client.store.get(table.transfers, id)
  await alice.client.store.transaction(async (tx) => {
    await takeState(tx, contact + 1, said(State.DONE)) // somebody else
    await takeState(tx, contact, { ...said(State.DONE), offer: new Uint8Array(16) as MessageId })
    await takeState(tx, contact, said(State.CANCELLED)) // it is ours to cancel
    await takeState(tx, contact, said(State.IN_DROP)) // and ours to put there
  })
  expect(await alice.client.store.get(table.transfers, id)).toEqual(before)
  await bob.client.store.transaction((tx) => takeState(tx, contact, said(State.DONE)))
  expect((await shown(bob, "alice", id))?.state).toBe("waiting")
  const row = await bob.client.store.get(table.transfers, id)
  if (row === undefined) throw new Error("no transfer")
  const body = FileOffer.encode({ ...row, ciphertextHash: row.hash, thumbnail: new Uint8Array() })
  const again = { contact, messageId: offerId, body, received: row.made }
  expect(await bob.client.store.transaction((tx) => takeOffer(tx, again))).toBe(false)
  expect(await bob.client.store.get(table.transfers, id)).toEqual(row)
})

test("an offer under the id of ours, behind a gap, stops neither sending nor what follows it", { timeout: PATIENT }, async () => {
  const [alice, bob] = await acquainted()
  const id = await offer(alice, "bob", [file("note", 5)])
  await untilState(bob, "alice", id, "offered")
  const row = await bob.client.store.get(table.transfers, id)
  const [device] = await alice.client.store.all(table.devices, null, null)
  if (row === undefined || device === undefined) throw new Error("nothing was offered")
  const offered = FileOffer.encode({ ...row, ciphertextHash: row.hash, thumbnail: new Uint8Array() })
  const { contact, nextCounter } = device
  const late = (nowMs() - HOLD) as Millis
  const mirrored = { messageId: fromHex(id) as MessageId, text: "", offer: offered, counter: nextCounter + 1 }
  await alice.client.store.transaction((tx) =>
    place(tx, { contact, device: device.device as DeviceId, sent: late, received: late, ...mirrored }),
  )
  await alice.write("bob", "still sent")
  await until(async () => (await bob.heard("alice")).at(-1) === "still sent")
  expect(await alice.client.store.all(table.held, null, null)).toEqual([])
  expect((await shown(alice, "bob", id))?.outgoing).toBe(true)
})

test("who asks again for what is over here is told so", { timeout: PATIENT }, async () => {
  const [alice, bob] = await acquainted()
  const id = await running(alice, bob)
  await carry(alice, bob, id)
  await untilState(alice, "bob", id, "done")
  const contact = (await bob.contact("alice")).id
  const said = { offer: fromHex(id) as MessageId, reason: Reason.NONE }
  await bob.client.store.transaction(async (tx) => {
    const row = await tx.get(table.transfers, id)
    if (row !== undefined) tx.put(table.transfers, { ...row, stage: "failed", reason: "damaged" })
    await takeState(tx, contact, { ...said, state: State.NEEDS_DIRECT }) // nothing waits for it any more
  })
  expect((await shown(bob, "alice", id))?.reason).toBe("damaged")
  await bob.client.files.retryFile(id)
  await untilState(bob, "alice", id, "cancelled")
  expect((await shown(alice, "bob", id))?.state).toBe("done")
})

test("an offer that nobody confirms is given up after fourteen days, and nothing of it is kept", { timeout: PATIENT }, async () => {
  const [alice, bob] = await acquainted()
  await bob.client.close()
  const id = await offer(alice, "bob", [file("note", 5)])
  await untilState(alice, "bob", id, "offered")
  await expire(alice.client.store, (nowMs() + 15 * DAY) as Millis)
  expect(await untilState(alice, "bob", id, "failed")).toMatchObject({ reason: "expired" })
  await until(() => Promise.resolve(alice.disk.files().size === 0))
  await expect(alice.client.files.retryFile(id)).rejects.toMatchObject({ code: "misuse" })
  const contact = (await alice.contact("bob")).id
  const said = { offer: fromHex(id) as MessageId, state: State.ACCEPTED, reason: Reason.NONE }
  await alice.client.store.transaction((tx) => takeState(tx, contact, said))
  expect((await shown(alice, "bob", id))?.state).toBe("failed")
})

test("a drop that answers without end is left", { timeout: PATIENT }, async () => {
  const [alice, bob] = await acquainted()
  const id = await running(alice, bob)
  const row = await bob.client.store.get(table.transfers, id)
  if (row === undefined) throw new Error("no transfer")
  let given = 0
  const liar = await LyingRelay.start({
    answer: (_, response) => {
      response.writeHead(206)
      const more = setInterval(() => {
        if (++given < 64) response.write(new Uint8Array(PIECE_SIZE))
        else response.end()
      }, 1)
      response.on("close", () => { clearInterval(more) })
    },
  })
  mayReach(relay.origin, liar.origin)
  const { signal } = new AbortController()
  const fetched = download({ ...row, origin: liar.origin }, 0, () => Promise.resolve(), signal)
  await expect(fetched).rejects.toMatchObject({ code: "transport-error" })
  expect(given).toBeLessThan(64) // long before the end
  await liar.end()
  mayReach(relay.origin)
})

test("whether our relay has TURN is not claimed before it was asked", { timeout: PATIENT }, async () => {
  const [alice] = await talking(relay.origin)
  expect(new Turn(alice.client.store).services.hasTurn).toBeNull()
  await until(async () => (await alice.client.status()).hasTurn === false)
})

test("the sender's own trouble leaves the ciphertext, so that it can be tried again", { timeout: PATIENT }, async () => {
  const [alice, bob] = await acquainted()
  const id = await running(alice, bob)
  await alice.client.files.fileFailed(id, "internal")
  await untilState(alice, "bob", id, "failed")
  await alice.client.files.retryFile(id)
  await carry(alice, bob, id)
  await untilState(bob, "alice", id, "done")
})

test.each([false, true])("an offer sends nobody to a strange relay (in its drop: %j)", { timeout: PATIENT }, async (inDrop) => {
  const [alice, bob] = await acquainted()
  const elsewhere = "http://localhost:9"
  mayReach(relay.origin, elsewhere)
  const id = await offer(alice, "bob", [file("note", 5)])
  await untilState(bob, "alice", id, "offered")
  const row = await bob.client.store.get(table.transfers, id)
  if (row === undefined) throw new Error("no transfer")
  await bob.client.store.transaction((tx) => {
    tx.put(table.transfers, { ...row, inDrop, origin: elsewhere })
    return Promise.resolve()
  })
  await bob.client.files.acceptFile(id)
  await until(async () => {
    expect(await bob.client.files.fileJobs()).toEqual([])
    return (await shown(bob, "alice", id))?.reason === "strange-relay"
  })
  mayReach(relay.origin)
})

test("a stranger's offer is a request, shown when it is accepted", { timeout: PATIENT }, async () => {
  const [alice, bob] = [await signUp(relay.origin), await signUp(relay.origin)]
  await alice.client.addContact(await bob.client.card(), "bob")
  const id = await offer(alice, "bob", [file("note", 5)])
  await until(async () => (await bob.client.requests()).length === 1)
  expect(bob.changes.some((change) => change.kind === "transfer" || change.kind === "messages")).toBe(false)
  const [stranger] = await bob.client.requests()
  await bob.client.acceptRequest(stranger?.id ?? 0, "alice")
  expect((await shown(bob, "alice", id))?.state).toBe("offered")
})

test("a tab that ended while it encrypted leaves a failed offer and no folder", { timeout: PATIENT }, async () => {
  const [alice] = await acquainted()
  const id = await offer(alice, "bob", [file("large", 8 * PIECE_SIZE)])
  const { disk } = alice
  await alice.close()
  const again = await Tab.open(alice.client.store.name)
  expect((await untilState(again, "bob", id, "failed")).reason).toBe("interrupted")
  await until(() => Promise.resolve(disk.files().size === 0))
  await expect(again.client.files.retryFile(id)).rejects.toMatchObject({ code: "misuse" })
})

test("a tab that is going while it encrypts is waited for, and what it finished stays", { timeout: PATIENT }, async () => {
  const [alice] = await acquainted()
  const { name } = alice.client.store
  const [cut, whole] = [
    await offer(alice, "bob", [file("large", 8 * PIECE_SIZE)]),
    await offer(alice, "bob", [file("large too", 8 * PIECE_SIZE)]),
  ]
  let going = (): void => undefined
  const gone = new Promise<void>((resolve) => { going = resolve })
  const held = [cut, whole].map((id) => navigator.locks.request(`${name}-preparing-${id}`, () => gone))
  await alice.close()
  const again = await Tab.open(name)
  await until(async () => (await shown(again, "bob", cut))?.hasTurn !== null) // it has looked at what was under way
  expect((await shown(again, "bob", cut))?.state).toBe("preparing")
  const waiting = async (): Promise<number> =>
    ((await navigator.locks.query()).pending ?? []).filter((asked) => asked.name === `${name}-preparing-${cut}`).length
  const another = await Tab.open(name)
  await until(async () => (await waiting()) === 2)
  await another.close()
  expect(await waiting()).toBe(1) // one that ends waits for nothing more
  await again.client.store.transaction(async (tx) => { await tx.update(table.transfers, whole, { stage: "offered" }) })
  going()
  await Promise.all(held)
  expect((await untilState(again, "bob", cut, "failed")).reason).toBe("interrupted")
  await navigator.locks.request(`${name}-preparing-${whole}`, () => undefined) // after who waited for it
  expect((await again.client.store.get(table.transfers, whole))?.stage).toBe("offered")
})

test("blocking and removing someone ends and forgets what was under way", { timeout: PATIENT }, async () => {
  const [alice, bob] = await acquainted()
  const id = await running(alice, bob)
  const { id: contact } = await bob.contact("alice")
  await bob.client.files.writePiece(id, 0, await alice.client.files.readPiece(id, 0))
  await bob.client.blockContact(contact)
  expect((await bob.client.store.get(table.transfers, id))?.stage).toBe("cancelled")
  expect(bob.disk.files().size).toBe(0)
  await bob.client.removeContact(contact)
  expect(await bob.client.store.get(table.transfers, id)).toBeUndefined()
})

test("the drop holds a ciphertext until it was fetched", { timeout: PATIENT }, async () => {
  const [alice, bob] = await talking(relay.origin) // nobody agreed to anything: the drop needs it not
  const id = await offer(alice, "bob", [file("note", 2 * PIECE_SIZE + 5)], { drop: true })
  await untilState(alice, "bob", id, "offered")
  await alice.client.files.fileJobs() // which the tab that runs torrents asks for
  await until(async () => (await shown(bob, "alice", id))?.inDrop === true)
  await alice.close()
  await bob.client.files.acceptFile(id)
  expect(await bob.client.files.fileJobs()).toEqual([])
  await untilState(bob, "alice", id, "done")
  expect((await saved(bob, id)).get("note")?.length).toBe(2 * PIECE_SIZE + 5)
})

test("two tabs show the same, whichever runs the torrents", { timeout: PATIENT }, async () => {
  const [alice, bob] = await acquainted()
  const id = await running(alice, bob)
  const other = await bob.another()
  await bob.client.files.reportFiles([{ ...QUIET, id, done: 4321, down: 7, peers: 1, path: "relayed" }])
  await until(async () => (await shown(other, "alice", id))?.done === 4321)
  for (const tab of [bob, other]) await until(async () => (await shown(tab, "alice", id))?.hasTurn !== null) // each asks the relay
  expect(await shown(other, "alice", id)).toEqual(await shown(bob, "alice", id))
})

