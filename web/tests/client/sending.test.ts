/**
 * Sending with time limits: nobody's relay holds up what goes elsewhere, and no mailbox what goes to another device.
 *
 * The sender alone, on a real store and a real relay; the clock is the test's, and each socket can be held back.
 */

import { setImmediate } from "node:timers/promises"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest"

import { loadAccount, nowMs, type Account } from "../../src/client/account"
import { Contacts } from "../../src/client/contacts"
import { OUTBOX_LOCK, withLock } from "../../src/client/locks"
import { addText } from "../../src/client/outbox"
import { contactById } from "../../src/client/people"
import * as table from "../../src/client/schema"
import { Sender } from "../../src/client/sending"
import { prefix, Store } from "../../src/client/store"
import { Relay, submit } from "../../src/client/transport"
import { PrekeyUse } from "../../src/core/prekeys"
import { MAX_TEXT_SIZE } from "../../src/core/content"
import { accessKey } from "../../src/core/kdf"
import { randomBytes } from "../../src/core/primitives"
import { HOUR, SECOND } from "../../src/core/types"
import type { DeviceId, EnvelopeId, Millis, SessionId } from "../../src/core/types"
import { FrameType, SEND_PATH, type Submit } from "../../src/wire/frames"
import { RelayProcess } from "../relay_process"
import { addDevice } from "./owner"
import { Tab, closeAll, introduce, mayReach, signUp, talking, until } from "./persons"

const PATIENT = 60_000
const FIRST = 1 as DeviceId
const CONTACT_MS = 30 * SECOND
const QUESTION_MS = 2 * SECOND
const LONGEST_MS = 30 * SECOND
const IDLE_MS = 45 * SECOND
const TOO_MANY = 70 // for two batches of 32
const ROOM = 20 // of a mailbox; for two devices more than a batch

let relay: RelayProcess
let small: RelayProcess
const stores: Store[] = []
const senders: Sender[] = []

/** Every sending connection that was made, and how many envelopes went over it; what comes back can be kept back. */
class Watched extends WebSocket {
  static made: Watched[] = []
  /** Of those that are made from now on. */
  static isHeld = false
  isHeld = Watched.isHeld
  submitted = 0
  readonly #kept: unknown[] = []

  constructor(url: string, protocol: string) {
    super(url, protocol)
    if (url.endsWith(SEND_PATH)) Watched.made.push(this)
    this.addEventListener("message", (event: MessageEvent<unknown>) => {
      if (!this.isHeld) return
      event.stopImmediatePropagation()
      this.#kept.push(event.data)
    })
  }

  static get submitted(): number {
    return Watched.made.reduce((sum, { submitted }) => sum + submitted, 0)
  }

  override send(data: Parameters<WebSocket["send"]>[0]): void {
    if (data instanceof Uint8Array && data[1] === FrameType.SUBMIT) this.submitted += 1
    super.send(data)
  }

  /** Wait until this many answers are kept back, and let them through. */
  async letThrough(count: number): Promise<void> {
    await until(() => Promise.resolve(this.#kept.length === count))
    this.isHeld = false
    for (const data of this.#kept.splice(0)) this.dispatchEvent(new MessageEvent("message", { data }))
    this.isHeld = true
  }
}

beforeAll(async () => {
  ;[relay, small] = await Promise.all([
    RelayProcess.start(),
    RelayProcess.start({ HALONYX_MAILBOX_MESSAGES: String(ROOM) }),
  ])
  mayReach(relay.origin, small.origin)
}, PATIENT)

beforeEach(() => {
  Watched.made = []
  Watched.isHeld = false
})

afterEach(async () => {
  let isOver = false
  const ended = Promise.all([...senders.splice(0).map((sender) => sender.stop()), closeAll()]).then(() => (isOver = true))
  await flowing(() => Promise.resolve(isOver))
  await ended
  vi.useRealTimers()
  vi.unstubAllGlobals()
  for (const store of stores.splice(0)) store.close()
}, PATIENT)

afterAll(async () => {
  await relay.remove()
  await small.remove()
})

interface Writer {
  readonly store: Store
  readonly sender: Sender
  /** Ids by name. */
  readonly contacts: ReadonlyMap<string, number>
}

/** Close a person's tab, and go on with nothing but its sender; from then on the clock stands still. */
async function alone(tab: Tab): Promise<Writer> {
  const contacts = new Map((await tab.client.conversations()).map(({ contact }) => [contact.name, contact.id]))
  await tab.close()
  const store = await Store.open(tab.client.store.name)
  stores.push(store)
  const sender = new Sender(store, () => undefined)
  senders.push(sender)
  vi.stubGlobal("WebSocket", Watched)
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] })
  return { store, sender, contacts }
}

async function write({ store, contacts }: Writer, name: string, count: number): Promise<number> {
  const contact = contacts.get(name) ?? 0
  for (let number = 0; number < count; number++) await addText(store, contact, String(number))
  return contact
}

/** Send as the loop would: what changed makes it look again. */
async function start({ sender }: Writer): Promise<void> {
  sender.noteNews()
  await sender.start(null)
}

/** Wait until nothing is under way. */
async function idle({ store, contacts }: Writer): Promise<void> {
  const locks = [OUTBOX_LOCK, ...[...contacts.values()].map((contact) => `${OUTBOX_LOCK}-${contact}`)]
  const { signal } = new AbortController()
  for (const lock of locks) await withLock(store.name, lock, signal, () => Promise.resolve())
  await setImmediate()
}

async function states({ store }: Writer, contact: number): Promise<string[]> {
  const rows = await store.all(table.messages, "contact", prefix(contact))
  return rows.filter((row) => row.isOutgoing === 1).map((row) => row.state)
}

async function reason({ store }: Writer, contact: number): Promise<string | null> {
  return (await store.get(table.contacts, contact))?.waitsFor ?? null
}

/** Wait until something is so, while the test's clock goes on for everyone. */
async function flowing(isSo: () => Promise<boolean>): Promise<void> {
  await until(async () => {
    if (vi.isFakeTimers()) await vi.advanceTimersByTimeAsync(50)
    return isSo()
  })
}

/** Wait for it while nothing but the network goes on. */
const settled = (writer: Writer, contact: number, count: number) =>
  until(async () => (await states(writer, contact)).filter((state) => state === "accepted").length === count)

test("one contact is sent to for thirty seconds, then waits, and loses nothing", { timeout: PATIENT }, async () => {
  const [tab, bob] = await talking(relay.origin)
  const alice = await alone(tab)
  Watched.isHeld = true
  const contact = await write(alice, "bob", TOO_MANY)
  await start(alice)
  await until(() => Promise.resolve(Watched.submitted === 32))
  await vi.advanceTimersByTimeAsync(15 * SECOND)
  const [line] = Watched.made
  await line?.letThrough(32)
  await until(() => Promise.resolve(Watched.submitted === 64)) // each batch has twenty seconds of its own
  await vi.advanceTimersByTimeAsync(CONTACT_MS - 15 * SECOND - 1)
  expect(line?.readyState).toBe(WebSocket.OPEN)

  await vi.advanceTimersByTimeAsync(1)

  expect(line?.readyState).toBeGreaterThan(WebSocket.OPEN)
  await until(async () => (await reason(alice, contact)) === "transport-error")
  expect((await states(alice, contact)).filter((state) => state === "accepted")).toHaveLength(32)
  expect(Watched.made).toHaveLength(1)
  Watched.isHeld = false
  await start(alice)
  expect(Watched.made).toHaveLength(1) // a pause first
  await vi.advanceTimersByTimeAsync(SECOND)
  await start(alice)
  await settled(alice, contact, TOO_MANY)
  await flowing(async () => (await bob.heard("alice")).length === TOO_MANY + 1)
  expect((await bob.heard("alice")).slice(1)).toEqual(Array.from({ length: TOO_MANY }, (_, number) => String(number)))
})

test("a batch is no larger than a slow line takes in its time", { timeout: PATIENT }, async () => {
  const [tab] = await talking(relay.origin)
  const alice = await alone(tab)
  Watched.isHeld = true
  const contact = alice.contacts.get("bob") ?? 0
  for (let number = 0; number < 9; number++) await addText(alice.store, contact, "x".repeat(MAX_TEXT_SIZE))

  await start(alice)
  await until(() => Promise.resolve(Watched.submitted === 8))
  await Watched.made[0]?.letThrough(8)

  await until(() => Promise.resolve(Watched.submitted === 9))
  await Watched.made[0]?.letThrough(1)
  await settled(alice, contact, 9)
})

test("what is for another contact goes out meanwhile", { timeout: PATIENT }, async () => {
  const [tab] = await talking(relay.origin)
  const carol = await signUp(relay.origin)
  await tab.client.addContact(await carol.client.card(), "carol")
  const alice = await alone(tab)
  Watched.isHeld = true
  await write(alice, "bob", 1)
  await start(alice)
  await until(() => Promise.resolve(Watched.submitted === 1))
  Watched.isHeld = false // no more

  const contact = await write(alice, "carol", 2)
  await start(alice)

  await settled(alice, contact, 2)
  expect(await states(alice, alice.contacts.get("bob") ?? 0)).toEqual(["delivered", "waiting"])
})

test("who is blocked while a session is begun is asked for nothing", { timeout: PATIENT }, async () => {
  const [tab] = await talking(relay.origin)
  const alice = await alone(tab)
  const bob = alice.contacts.get("bob") ?? 0
  const broken = { isBroken: 1, brokenSession: randomBytes(8) as SessionId, isBreakProven: true } as const
  await alice.store.transaction((tx) => tx.update(table.devices, [bob, FIRST], broken))
  const call = fetch
  vi.stubGlobal("fetch", async (address: string, how: RequestInit) => {
    if (address.endsWith("/v1/bundle")) await new Contacts(alice.store).block(bob) // in another tab
    return call(address, how)
  })

  await start(alice)
  await until(async () => (await alice.store.get(table.contacts, bob))?.state === "blocked")
  await idle(alice)

  expect((await alice.store.get(table.devices, [bob, FIRST]))?.resetSent).toBe(0)
})

test("a question to our own relay holds up others for two seconds, and has thirty", { timeout: PATIENT }, async () => {
  const [tab, bob] = [await signUp(relay.origin), await signUp(small.origin)]
  await introduce(tab, bob)
  const alice = await alone(tab)
  const asked: AbortSignal[] = []
  const real = fetch
  vi.stubGlobal("fetch", (address: string, options: RequestInit) => {
    if (!address.startsWith(relay.origin)) return real(address, options)
    const { signal } = options
    if (signal) asked.push(signal)
    return new Promise((_, reject) => {
      signal?.addEventListener("abort", reject)
    })
  })
  await alice.store.transaction((tx) => tx.update(table.account, 1, { known: (nowMs() - HOUR) as Millis }))
  const contact = await write(alice, "bob", 1)
  let isBegun = false
  const started = start(alice).then(() => (isBegun = true))
  await until(() => Promise.resolve(asked.length === 1))

  await vi.advanceTimersByTimeAsync(QUESTION_MS - 1)
  expect([isBegun, Watched.made.length]).toEqual([false, 0])
  await vi.advanceTimersByTimeAsync(1)
  await started

  await settled(alice, contact, 1)
  expect(asked.map(({ aborted }) => aborted)).toEqual([false])
  await vi.advanceTimersByTimeAsync(LONGEST_MS - QUESTION_MS)
  expect(asked.map(({ aborted }) => aborted)).toEqual([true])
})

/** Alice alone, and Bob with two devices at a relay of small mailboxes; the first one's is full. */
async function withFullMailbox(): Promise<readonly [Writer, Tab, number, DeviceId]> {
  const [tab, bob] = [await signUp(small.origin), await Tab.open()]
  const { recoveryCode } = await bob.client.createAccount(small.origin)
  await introduce(tab, bob)
  await bob.write("alice", "hello")
  await until(async () => (await bob.states("alice"))[0] === "delivered")
  await tab.write("bob", "hello yourself")
  await until(async () => (await tab.states("bob"))[0] === "delivered")
  const second = await addDevice(bob.client.store, recoveryCode)
  const account = await loadAccount(bob.client.store)
  await bob.close()
  await fill(account)
  const alice = await alone(tab)
  const contact = alice.contacts.get("bob") ?? 0
  await alice.sender.refresh(await contactById(alice.store, contact))
  return [alice, bob, contact, second]
}

/** Leave no room in the mailbox of an account's first device. */
async function fill({ address, profileKey, origin, own }: Account): Promise<void> {
  const relay = new Relay(origin)
  const noise = Array.from({ length: ROOM }, (): Submit => {
    const envelope = randomBytes(1024)
    envelope[0] = 1
    const envelopeId = randomBytes(16) as EnvelopeId
    return { type: "SUBMIT", envelopeId, address, device: own.device.id, key: accessKey(profileKey), envelope }
  })
  await submit(await relay.socket(SEND_PATH), noise)
  relay.close()
}

async function waiting({ store }: Writer, contact: number, device: DeviceId): Promise<number> {
  return (await store.all(table.deliveries, "state", ["sealed", contact])).filter((row) => row.device === device).length
}

test("a full mailbox of one device holds up no other, and is tried with one envelope", { timeout: PATIENT }, async () => {
  const [alice, bob, contact, second] = await withFullMailbox()
  await write(alice, "bob", ROOM)
  await start(alice)
  await until(async () => (await reason(alice, contact)) === "mailbox-full")
  expect(await waiting(alice, contact, FIRST)).toBe(ROOM)
  expect(await waiting(alice, contact, second)).toBe(0)

  const before = Watched.submitted
  await vi.advanceTimersByTimeAsync(SECOND)
  await start(alice)
  await until(() => Promise.resolve(Watched.submitted > before))
  await idle(alice)
  expect(Watched.submitted).toBe(before + 1)

  const again = await bob.another()
  await flowing(async () => (await again.client.status()).connection === "online")
  const isDone = async (): Promise<boolean> => {
    await vi.advanceTimersByTimeAsync(SECOND)
    await start(alice)
    await idle(alice)
    return (await waiting(alice, contact, FIRST)) === 0
  }
  await until(isDone)
  expect(await reason(alice, contact)).toBeNull()
  await flowing(async () => (await again.heard("alice")).length === ROOM + 1)
})

describe("a connection", () => {
  /** The other's receipts would go over connections that are counted here. */
  async function withNobodyElse(): Promise<Writer> {
    const [tab, bob] = await talking(relay.origin)
    await bob.close()
    return alone(tab)
  }

  test("that is idle for 45 seconds is closed", { timeout: PATIENT }, async () => {
    const alice = await withNobodyElse()
    const contact = await write(alice, "bob", 1)
    await start(alice)
    await settled(alice, contact, 1)
    await idle(alice)
    const [line] = Watched.made

    await vi.advanceTimersByTimeAsync(IDLE_MS)
    await start(alice)
    expect(line?.readyState).toBe(WebSocket.OPEN)
    await vi.advanceTimersByTimeAsync(1)
    await start(alice)
    expect(line?.readyState).toBeGreaterThan(WebSocket.OPEN)

    await write(alice, "bob", 1)
    await start(alice)
    await settled(alice, contact, 2)
    expect(Watched.made).toHaveLength(2)
  })

  test("that is being sent on is not idle", { timeout: PATIENT }, async () => {
    const alice = await withNobodyElse()
    const contact = await write(alice, "bob", 1)
    await start(alice)
    await settled(alice, contact, 1)
    await idle(alice)
    await vi.advanceTimersByTimeAsync(IDLE_MS)
    const [line] = Watched.made
    if (line === undefined) throw new Error("nothing was sent")
    line.isHeld = true
    await write(alice, "bob", 1)
    await start(alice)
    await until(() => Promise.resolve(Watched.submitted === 2))

    await vi.advanceTimersByTimeAsync(SECOND)
    await start(alice)
    expect(line.readyState).toBe(WebSocket.OPEN)
    await line.letThrough(1)
    await settled(alice, contact, 2)
    expect(Watched.made).toHaveLength(1)
  })
})

test("our own relay is told what is due once an hour, and soon again if that failed", { timeout: PATIENT }, async () => {
  const [tab] = await talking(relay.origin)
  const alice = await alone(tab)
  let [told, isDown] = [0, false]
  const real = fetch
  vi.stubGlobal("fetch", (address: string, options: RequestInit) => {
    if (!address.endsWith("/v1/prekeys")) return real(address, options)
    told += 1
    return isDown ? Promise.reject(new TypeError("no network")) : real(address, options)
  })
  const contact = await write(alice, "bob", 1)
  await age(alice)
  await start(alice)
  await idle(alice)
  expect(told).toBe(1)

  await age(alice)
  await vi.advanceTimersByTimeAsync(HOUR - 1)
  await write(alice, "bob", 1)
  await start(alice)
  await idle(alice)
  await settled(alice, contact, 2)
  expect(told).toBe(1)

  isDown = true
  await vi.advanceTimersByTimeAsync(1)
  await start(alice)
  await idle(alice)
  expect(told).toBe(2)
  isDown = false
  await vi.advanceTimersByTimeAsync(SECOND)
  await start(alice)
  await idle(alice)
  expect(told).toBe(3)
})

/** Make the signed prekey as old as if it were to be renewed. */
async function age({ store }: Writer): Promise<void> {
  await store.transaction(async (tx) => {
    for (const row of await tx.all(table.prekeys, "use", prefix(PrekeyUse.SIGNED))) {
      tx.put(table.prekeys, { ...row, made: 0 as Millis })
    }
  })
}
