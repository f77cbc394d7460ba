/** What one envelope does to the store, whoever sent it and however often; relays are needed for the first words only. */

import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest"

import { loadAccount, nowMs } from "../../src/client/account"
import { Contacts } from "../../src/client/contacts"
import { NAMED_PAUSE, acceptRecord, needsRefresh } from "../../src/client/directory"
import { noticesOf } from "../../src/client/events"
import { Failed, noteFailure } from "../../src/client/failures"
import { forgetOld, takeIn } from "../../src/client/inbox"
import { countersToAsk } from "../../src/client/order"
import * as outbox from "../../src/client/outbox"
import { contactById, deviceRow, insertContact } from "../../src/client/people"
import { IDS_A_WEEK, duePrekeys } from "../../src/client/prekeys"
import { ASKED_AN_HOUR, RESET_EVERY, makeUp, mayReset } from "../../src/client/repair"
import * as table from "../../src/client/schema"
import { expand } from "../../src/client/sealing"
import { Store, prefix } from "../../src/client/store"
import { UnknownPrekey } from "../../src/core/errors"
import type { AccountRecord } from "../../src/core/identity"
import { PrekeyUse, RENEWED_AFTER } from "../../src/core/prekeys"
import { randomBytes } from "../../src/core/primitives"
import { NO_SESSIONS } from "../../src/core/session"
import type { Sessions } from "../../src/core/session"
import { DAY, HOUR } from "../../src/core/types"
import type { Bytes, DeviceId, EnvelopeId, Millis, Usid } from "../../src/core/types"
import { RelayProcess } from "../relay_process"
import { Tab, closeAll, mayReach, signUp, talking, until } from "./persons"

const FIRST = 1 as DeviceId
const PATIENT = 120_000

let relay: RelayProcess
const stores: Store[] = []

beforeAll(async () => {
  relay = await RelayProcess.start()
  mayReach(relay.origin)
})

afterEach(async () => {
  vi.restoreAllMocks()
  for (const store of stores.splice(0)) store.close()
  await closeAll()
})

afterAll(() => relay.remove())

/** A person without a network: the store, and the id of the one other person in it. */
interface Quiet {
  readonly store: Store
  readonly other: number
}

async function quiet(tab: Tab): Promise<Quiet> {
  await tab.close()
  const store = await Store.open(tab.client.store.name)
  stores.push(store)
  const [other] = await store.all(table.contacts, null, null)
  return { store, other: other?.id ?? 0 }
}

async function quietPair(): Promise<readonly [Quiet, Quiet]> {
  const [alice, bob] = await talking(relay.origin)
  return [await quiet(alice), await quiet(bob)]
}

/** Write and seal a text; returns its envelope. */
async function sealed({ store, other }: Quiet, text: string): Promise<Bytes> {
  await outbox.addText(store, other, text)
  expect(await expand(store, other)).toBe(true)
  const [last] = await store.all(table.deliveries, null, null, { limit: 1, reverse: true })
  return last?.envelope ?? new Uint8Array()
}

async function take({ store }: Quiet, envelope: Bytes, seq: bigint): Promise<string | null> {
  const envelopeId = randomBytes(16) as EnvelopeId
  return takeIn(store, await loadAccount(store), { type: "DELIVER", seq, envelopeId, time: 0n, envelope })
}

async function texts({ store, other }: Quiet): Promise<readonly string[]> {
  const rows = await store.all(table.messages, "contact", prefix(other))
  return rows.filter((row) => row.isOutgoing === 0).map((row) => row.text)
}

async function kinds({ store, other }: Quiet): Promise<readonly string[]> {
  return (await noticesOf(store, other)).map((notice) => notice.kind)
}

async function change({ store, other }: Quiet, fields: Partial<table.StoredDevice>): Promise<void> {
  await store.transaction((tx) => tx.update(table.devices, [other, FIRST], fields))
}

async function sessionsOf({ store, other }: Quiet): Promise<Sessions> {
  return (await deviceRow(store, other, FIRST)).sessions
}

/** Spoil the chains of a session, as a fault would. */
function spoiled(sessions: Sessions): Sessions {
  const { sending } = sessions
  if (sending === null) throw new Error("no session")
  const { receiving } = sending.ratchet
  const wrong = receiving === null ? null : { ...receiving, key: randomBytes(32) }
  const ratchet = { ...sending.ratchet, rootKey: randomBytes(32), receiving: wrong }
  return { ...sessions, sending: { ...sending, ratchet } }
}

test("the same bytes under another number are taken in once", { timeout: PATIENT }, async () => {
  const [alice, bob] = await quietPair()
  const envelope = await sealed(alice, "once")

  expect(await take(bob, envelope, 1001n)).toBeNull()
  expect(await take(bob, envelope, 1002n)).toBeNull()

  expect(await texts(bob)).toEqual(["hello", "once"])
  expect((await bob.store.get(table.account, 1))?.cursor).toBe(1002n)
  expect((await deviceRow(bob.store, bob.other, FIRST)).brokenSession).toBeNull()
})

test("what nobody is known to have sent moves the cursor and leaves no mark", { timeout: PATIENT }, async () => {
  const [, bob] = await quietPair()
  const seen = await bob.store.count(table.seen, null, null)

  expect(await take(bob, randomBytes(1024), 1001n)).not.toBeNull()
  expect(await take(bob, randomBytes(1000), 1002n)).toBe("malformed")

  expect((await bob.store.get(table.account, 1))?.cursor).toBe(1002n)
  expect(await bob.store.count(table.seen, null, null)).toBe(seen)
})

test("a refused message changes no session, and a real break is not replaced by a forged one", { timeout: PATIENT }, async () => {
  const [alice, bob] = await quietPair()
  const [first, second] = [await sealed(alice, "one"), await sealed(alice, "two")]
  const whole = await sessionsOf(bob)

  await change(bob, { sessions: spoiled(whole) })
  expect(await take(bob, first, 1001n)).toBe("authentication-failed")
  const broken = await deviceRow(bob.store, bob.other, FIRST)
  expect(broken.isBreakProven).toBe(true)
  expect(broken.brokenSession).toEqual(whole.sending?.ratchet.sessionId)

  await change(bob, { sessions: NO_SESSIONS })
  expect(await take(bob, second, 1002n)).toBe("unknown-session")
  expect((await deviceRow(bob.store, bob.other, FIRST)).isBreakProven).toBe(true)

  // The next message on the session says that it is whole after all.
  await change(bob, { sessions: whole })
  expect(await take(bob, await sealed(alice, "three"), 1003n)).toBeNull()
  expect((await deviceRow(bob.store, bob.other, FIRST)).brokenSession).toBeNull()
})

test("a device whose first message can't be opened, in no record that is here, has the record fetched", { timeout: PATIENT }, async () => {
  const [, bob] = await quietPair()
  const SECOND = 2 as DeviceId
  const { record, recordChecked } = await contactById(bob.store, bob.other)
  if (record === null) throw new Error("no record")
  const later = (recordChecked + NAMED_PAUSE) as Millis
  const isDue = async (now: Millis): Promise<boolean> => needsRefresh(bob.store, await contactById(bob.store, bob.other), now)
  const fail = (): Promise<void> =>
    bob.store.transaction((tx) => noteFailure(tx, new Failed(new UnknownPrekey(""), [bob.other, SECOND]), nowMs()))
  const accept = async (fetched: AccountRecord): Promise<void> =>
    bob.store.transaction(async (tx) => acceptRecord(tx, await contactById(tx, bob.other), fetched, nowMs()))

  expect(await isDue(later)).toBe(false)
  await fail()
  expect(await isDue((later - 1) as Millis)).toBe(false)
  expect(await isDue(later)).toBe(true)
  expect(await outbox.nextDue(bob.store, recordChecked)).toBe(later)

  await accept(record) // nobody there knows it
  expect(await bob.store.get(table.devices, [bob.other, SECOND])).toBeUndefined()
  expect(await outbox.contactsWithWork(bob.store, nowMs())).toEqual([])

  await fail()
  const [first] = record.devices
  if (first === undefined) throw new Error("no device")
  await accept(Object.assign(Object.create(record) as AccountRecord, {
    version: record.version + 1,
    devices: [first, { ...first, id: SECOND }],
  }))
  expect((await deviceRow(bob.store, bob.other, SECOND)).brokenSession).not.toBeNull()
})

test("a device is asked for a new session once an hour, and all ten times", { timeout: PATIENT }, async () => {
  const [, bob] = await quietPair()
  const now = nowMs()
  const row = { ...(await deviceRow(bob.store, bob.other, FIRST)), isBreakProven: true }
  const [long, lately] = [(now - RESET_EVERY) as Millis, (now - RESET_EVERY + 1) as Millis]

  expect(await mayReset(bob.store, { ...row, resetSent: long }, now)).toBe(true)
  expect(await mayReset(bob.store, { ...row, resetSent: lately }, now)).toBe(false)
  await bob.store.transaction(async (tx) => {
    for (let asked = 0; asked < ASKED_AN_HOUR; asked++) tx.insert(table.resets, { cause: "unproven", time: now })
    await Promise.resolve()
  })
  expect(await mayReset(bob.store, { ...row, resetSent: long }, now)).toBe(true)
  expect(await mayReset(bob.store, { ...row, resetSent: long, isBreakProven: false }, now)).toBe(false)
  expect(await mayReset(bob.store, { ...row, resetSent: long, isBreakProven: false }, (now + HOUR) as Millis)).toBe(true)
})

test("a peer makes us repeat one message five times, and we ourselves as often as it takes", { timeout: PATIENT }, async () => {
  const [alice] = await quietPair()
  await sealed(alice, "again")
  const again = async (asked: readonly bigint[] | null): Promise<string | undefined> => {
    await alice.store.transaction((tx) => outbox.repeat(tx, alice.other, FIRST, ["sealed", "accepted"], asked))
    await expand(alice.store, alice.other)
    return (await alice.store.all(table.deliveries, null, null))[0]?.envelopeId
  }

  const sent = new Set<string | undefined>()
  for (let asked = 0; asked < 2 * outbox.MAX_RESENDS; asked++) sent.add(await again([]))
  expect(sent.size).toBe(outbox.MAX_RESENDS)
  const [row] = await alice.store.all(table.deliveries, null, null)
  expect(await again([99n])).toBe(row?.envelopeId)
  expect(await again(null)).not.toBe(row?.envelopeId)
})

test("nothing overtakes what goes again for a new epoch", { timeout: PATIENT }, async () => {
  const [alice] = await quietPair()
  await sealed(alice, "first")
  for (const text of ["second", "third"]) await outbox.addText(alice.store, alice.other, text)

  // Another tab learns of the epoch after the second was sealed.
  await Promise.all([expand(alice.store, alice.other), alice.store.transaction((tx) => makeUp(tx, nowMs()))])
  expect(await expand(alice.store, alice.other)).toBe(true)

  const rows = await alice.store.all(table.deliveries, null, null)
  const counters = rows.filter((row) => row.counter > 0).map((row) => [row.state, row.counter])
  const first = Number(counters[0]?.[1])
  expect(counters).toEqual([first, first + 1, first + 2].map((counter) => ["sealed", counter]))
})

test("what nobody confirmed in fourteen days is marked failed, and stays in the history", { timeout: PATIENT }, async () => {
  const [alice] = await quietPair()
  await sealed(alice, "too late")
  const later = (days: number): Millis => (nowMs() + days * DAY) as Millis

  await outbox.expire(alice.store, later(13))
  expect(await alice.store.count(table.outbox, null, null)).toBe(1)
  await outbox.expire(alice.store, later(15))

  expect(await alice.store.count(table.outbox, null, null)).toBe(0)
  expect(await alice.store.count(table.deliveries, null, null)).toBe(0)
  expect((await alice.store.all(table.messages, "state", prefix("failed"))).map((row) => row.text)).toEqual(["too late"])
  expect(await kinds(alice)).toEqual(["failed"])
})

test("what is sealed after a block brings the key that is new", { timeout: PATIENT }, async () => {
  const [alice, bob] = await quietPair()
  const carol = { name: "carol", usid: randomBytes(32) as Usid, origin: relay.origin, namedVersion: 1, added: nowMs() }
  const { id } = await alice.store.transaction((tx) => insertContact(tx, { ...carol, state: "accepted" }))
  for (const text of ["one", "two"]) await outbox.addText(alice.store, alice.other, text)

  // The block has its turn before the second text.
  await Promise.all([expand(alice.store, alice.other), new Contacts(alice.store).block(id)])

  const rows = await alice.store.all(table.deliveries, null, null)
  expect(rows).toHaveLength(3) // the block tells the key besides
  for (const [at, { envelope }] of rows.entries()) {
    expect(await take(bob, envelope ?? new Uint8Array(), 1001n + BigInt(at))).toBeNull()
  }
  const { profileKey } = await loadAccount(alice.store)
  expect((await contactById(bob.store, bob.other)).profileKey).toEqual(profileKey)
})

test("what was written while the clock ran ahead keeps nothing else longer", { timeout: PATIENT }, async () => {
  const [alice] = await quietPair()
  const [now, ahead] = [nowMs(), nowMs() + 10 * DAY]
  vi.spyOn(Date, "now").mockReturnValue(ahead)
  await outbox.addText(alice.store, alice.other, "ahead")
  vi.restoreAllMocks()
  await outbox.addText(alice.store, alice.other, "in time")

  await outbox.expire(alice.store, (now + 15 * DAY) as Millis)

  expect((await alice.store.all(table.messages, "state", prefix("failed"))).map((row) => row.text)).toEqual(["in time"])
  expect(await alice.store.count(table.outbox, null, null)).toBe(1)
})

test("a relay that names new epochs is answered ten times an hour", { timeout: PATIENT }, async () => {
  const [alice] = await quietPair()
  const now = nowMs()

  for (let epoch = 0; epoch < ASKED_AN_HOUR + 2; epoch++) await alice.store.transaction((tx) => makeUp(tx, now))

  expect(await alice.store.count(table.outbox, null, null)).toBe(ASKED_AN_HOUR)
  const told = await noticesOf(alice.store, null)
  expect(told.map((notice) => notice.kind)).toEqual(Array(ASKED_AN_HOUR).fill("restored"))
})

test("of a stranger five texts are kept, and of one stranger too many nothing", { timeout: PATIENT }, async () => {
  const [alice, bob] = [await signUp(relay.origin), await signUp(relay.origin)]
  await alice.client.addContact(await bob.client.card(), "bob")
  await alice.write("bob", "please 0")
  await until(async () => (await bob.client.requests()).length === 1)
  const [writing, reading] = [await quiet(alice), await quiet(bob)]

  for (let number = 1; number < 7; number++) {
    expect(await take(reading, await sealed(writing, `please ${number}`), BigInt(1000 + number))).toBeNull()
  }
  expect(await texts(reading)).toEqual(["please 0", "please 1", "please 2", "please 3", "please 4"])
  expect(await reading.store.count(table.receiptsDue, null, null)).toBe(outbox.MAX_REQUESTS)
  expect(await kinds(reading)).toEqual(["request"])

  await crowd(reading)
  const full = await take(reading, await sealed(writing, "forgotten"), 1010n)
  expect(full).toBe("unknown-session")
  expect(await take(reading, await sealed(writing, "and again"), 1011n)).toBe("unknown-session")
  const told = await noticesOf(reading.store, null)
  expect(told.map((notice) => notice.kind)).toEqual(["requests-full"])
})

/** Let a hundred others wait for a decision, and nobody remember this stranger. */
async function crowd({ store, other }: Quiet): Promise<void> {
  await store.transaction(async (tx) => {
    tx.delete(table.contacts, other)
    tx.delete(table.devices, [other, FIRST])
    for (let number = 0; number < 100; number++) {
      await insertContact(tx, {
        name: `request ${number}`,
        usid: randomBytes(32) as Usid,
        origin: relay.origin,
        state: "request",
        namedVersion: 1,
        added: nowMs(),
      })
    }
  })
}

test("old marks are forgotten, and young ones are not", { timeout: PATIENT }, async () => {
  const [, bob] = await quietPair()
  const seen = await bob.store.count(table.seen, null, null)
  expect(seen).toBeGreaterThan(0)

  await forgetOld(bob.store, (nowMs() + 75 * DAY) as Millis)
  expect(await bob.store.count(table.seen, null, null)).toBe(seen)
  await forgetOld(bob.store, (nowMs() + 77 * DAY) as Millis)
  expect(await bob.store.count(table.seen, null, null)).toBe(0)
})

test("prekeys made in another week have ids of that week: the store may have been put back", async () => {
  const { store } = await quiet(await signUp(relay.origin))
  const { own } = await loadAccount(store)
  const nextWeek = (nowMs() + RENEWED_AFTER) as Millis

  await duePrekeys(store, own, null, nextWeek)
  await duePrekeys(store, own, null, (2 ** 52) as Millis)

  const rows = await store.all(table.prekeys, "use", prefix(PrekeyUse.ENVELOPE))
  const begin = Math.floor(nextWeek / RENEWED_AFTER) * IDS_A_WEEK
  expect(new Set(rows.map(({ id }) => id))).toEqual(new Set([2, begin + 2, 2 ** 32 - IDS_A_WEEK + 2]))
})

test("what a clock that ran ahead noted for later holds nothing up", { timeout: PATIENT }, async () => {
  const [{ store, other }] = await quietPair()
  const now = nowMs()
  const later = (now + 30 * DAY) as Millis
  const { own } = await loadAccount(store)
  const contact = () => contactById(store, other)
  expect(await needsRefresh(store, await contact(), now)).toBe(false)

  await store.transaction((tx) => tx.update(table.devices, [other, FIRST], { envelopeFetched: later }))
  expect(await needsRefresh(store, await contact(), now)).toBe(true)
  await store.transaction(async (tx) => {
    await tx.update(table.devices, [other, FIRST], { envelopeFetched: now, resetSent: later })
    await tx.update(table.contacts, other, { recordChecked: later })
    for (let time = 0; time < ASKED_AN_HOUR; time++) tx.insert(table.resets, { cause: "unproven", time: later })
    tx.put(table.gaps, { contact: other, device: FIRST, counter: 9, isShown: 1, noticed: now, asked: later })
    for (const row of await tx.all(table.prekeys, "use", prefix(PrekeyUse.SIGNED))) {
      tx.put(table.prekeys, { ...row, made: later })
    }
    for (const row of await tx.all(table.prekeys, "use", prefix(PrekeyUse.ONE_TIME))) tx.delete(table.prekeys, row.id)
    await tx.update(table.account, 1, { refilled: later })
  })

  expect(await needsRefresh(store, await contact(), now)).toBe(true)
  expect(await mayReset(store, await deviceRow(store, other, FIRST), now)).toBe(true)
  expect(await outbox.contactsWithWork(store, now)).toEqual([other])
  expect([...(await store.transaction((tx) => countersToAsk(tx, other, now)))]).toEqual([[FIRST, [9]]])
  await duePrekeys(store, own, null, now)
  expect(await store.count(table.prekeys, "use", prefix(PrekeyUse.SIGNED))).toBe(2)
  expect(await store.count(table.prekeys, "use", prefix(PrekeyUse.ONE_TIME))).toBe(100)
})
