/** What a contact can put into our store besides texts: no more than a bound, and nothing is lost of what it says. */

import { describe, expect, test } from "vitest"

import type { NoticeKind } from "../../src/client/api"
import { MAX_A_DAY, MAX_MISSING, addNotice, noticesOf } from "../../src/client/events"
import { HOLD, MAX_GAPS, MAX_TRACKED, countersToAsk, passOver, place, showOverdue } from "../../src/client/order"
import { events, gaps, messages } from "../../src/client/schema"
import { prefix, type Store } from "../../src/client/store"
import { fromHex } from "../../src/core/encoding"
import { DAY, type DeviceId, type MessageId, type Millis } from "../../src/core/types"
import { START, addContact, withStore } from "./stores"

const CONTACT = 1
const OTHER = 2
const DEVICE = 1 as DeviceId
const AGAIN = 5
const COUNTED: readonly NoticeKind[] = [
  "device",
  "drained",
  "gap",
  "own-record",
  "refreshed",
  "restored",
  "unsupported",
]

const at = (millis: number): Millis => (START + millis) as Millis

async function withContacts(work: (store: Store) => Promise<void>): Promise<void> {
  await withStore(async (store) => {
    await store.transaction(async (tx) => {
      await addContact(tx, "alice")
      await addContact(tx, "bob")
    })
    await work(store)
  })
}

function dataOf(kind: NoticeKind): Record<string, number> {
  if (kind === "gap") return { missing: 3 }
  return kind === "own-record" ? { version: 7 } : {}
}

async function tell(store: Store, kind: NoticeKind, times: number, contact: number | null = CONTACT, now = START) {
  for (let number = 0; number < times; number++) {
    await store.transaction((tx) => addNotice(tx, kind, contact, (now + number) as Millis, dataOf(kind)))
  }
}

async function arrive(store: Store, counter: number, now = START, device = DEVICE): Promise<void> {
  const messageId = fromHex((device * 2 ** 40 + counter).toString(16).padStart(32, "0")) as MessageId
  const text = { contact: CONTACT, device, counter, messageId, text: String(counter), sent: START, received: now }
  await store.transaction((tx) => place(tx, text))
}

async function counters(store: Store, device = DEVICE): Promise<number[]> {
  return (await store.all(gaps, null, prefix(CONTACT, device))).map((gap) => gap.counter)
}

async function missing(store: Store): Promise<number> {
  const told = (await noticesOf(store, CONTACT)).filter((notice) => notice.kind === "gap")
  return told.reduce((sum, notice) => sum + Number(notice.data["missing"]), 0)
}

describe("notices", () => {
  test.each(COUNTED)("of one kind, %s, are counted in the newest beyond ten a day", async (kind) => {
    await withContacts(async (store) => {
      await tell(store, kind, MAX_A_DAY + AGAIN)

      const told = await noticesOf(store, CONTACT)
      expect(told.map((notice) => notice.kind)).toEqual(Array.from({ length: MAX_A_DAY }, () => kind))
      expect(told.at(-1)?.time).toBe(START + MAX_A_DAY + AGAIN - 1)
      expect(told.slice(0, -1).every((notice) => notice.data["times"] === undefined)).toBe(true)
      if (kind === "gap") expect(await missing(store)).toBe(3 * (MAX_A_DAY + AGAIN))
      else expect(told.at(-1)?.data).toEqual({ ...dataOf(kind), times: AGAIN + 1 })
    })
  })

  test("of no contact are counted, too", async () => {
    await withContacts(async (store) => {
      await tell(store, "restored", MAX_A_DAY + AGAIN, null)

      const told = await noticesOf(store, null)
      expect(told.map((notice) => notice.data["times"]).at(-1)).toBe(AGAIN + 1)
      expect(told.length).toBe(MAX_A_DAY)
    })
  })

  test("have ten of their own every day", async () => {
    await withContacts(async (store) => {
      await tell(store, "unsupported", MAX_A_DAY)
      await tell(store, "unsupported", MAX_A_DAY, CONTACT, at(DAY + MAX_A_DAY))

      expect((await noticesOf(store, CONTACT)).map((notice) => notice.data)).toEqual(
        Array.from({ length: 2 * MAX_A_DAY }, () => ({})),
      )
    })
  })

  test("have ten of their own of every kind and contact", async () => {
    await withContacts(async (store) => {
      for (const contact of [CONTACT, OTHER, null]) {
        for (const kind of COUNTED) await tell(store, kind, MAX_A_DAY, contact)
      }

      for (const contact of [CONTACT, OTHER, null]) {
        expect(await noticesOf(store, contact)).toHaveLength(COUNTED.length * MAX_A_DAY)
      }
      await tell(store, "device", 1) // all others are newer, and it is found all the same
      expect(await store.count(events, "contact", CONTACT)).toBe(COUNTED.length * MAX_A_DAY)
    })
  })

  test.each(["failed", "request", "stale"] as const)("that need the person, %s, are never merged", async (kind) => {
    await withContacts(async (store) => {
      await tell(store, kind, MAX_A_DAY + AGAIN)

      expect(await noticesOf(store, CONTACT)).toHaveLength(MAX_A_DAY + AGAIN)
    })
  })

  test("sum what is missing to a number every program holds", async () => {
    await withContacts(async (store) => {
      for (let times = 0; times < MAX_A_DAY + AGAIN; times++) {
        await store.transaction((tx) => addNotice(tx, "gap", CONTACT, START, { missing: MAX_MISSING }))
      }

      expect((await noticesOf(store, CONTACT)).at(-1)?.data).toEqual({ missing: MAX_MISSING })
    })
  })
})

describe("gaps", () => {
  test("of many jumps are kept as far as they are the newest, and all are told", async () => {
    await withContacts(async (store) => {
      const jumps = Array.from({ length: MAX_A_DAY + AGAIN }, (_, number) => (number + 1) * 3 * MAX_TRACKED)
      const devices = [DEVICE, 2 as DeviceId]
      for (const device of devices) {
        for (const [index, counter] of jumps.entries()) await arrive(store, counter, at(index), device)
      }
      await showOverdue(store, at(jumps.length + HOLD))

      for (const device of devices) {
        const kept = await counters(store, device)
        expect(kept).toHaveLength(MAX_GAPS)
        expect(kept[0]).toBe((jumps.at(-2) ?? 0) - MAX_TRACKED)
      }
      expect(await store.count(messages, null, null)).toBe(devices.length * jumps.length)
      expect(await noticesOf(store, CONTACT)).toHaveLength(MAX_A_DAY)
      expect(await missing(store)).toBe(devices.length * ((jumps.at(-1) ?? 0) - jumps.length))
    })
  })

  test("that can't be shown leave no row behind", async () => {
    await withContacts(async (store) => {
      for (let counter = 1; counter < MAX_TRACKED; counter++) {
        await store.transaction((tx) => passOver(tx, CONTACT, DEVICE, counter, START))
      }

      expect(await counters(store)).toEqual([])
      await arrive(store, MAX_TRACKED)
      expect(await store.count(messages, null, null)).toBe(1)
    })
  })

  test("that can't be shown are not missing after a jump", async () => {
    await withContacts(async (store) => {
      await store.transaction((tx) => passOver(tx, CONTACT, DEVICE, 3, START)) // 1 and 2 are missing
      await arrive(store, 1000)

      expect((await counters(store)).slice(0, 3)).toEqual([1, 2, 1000 - MAX_TRACKED])
      await showOverdue(store, at(HOLD))
      expect(await missing(store)).toBe(998)
      const asked = await store.transaction((tx) => countersToAsk(tx, CONTACT, at(HOLD)))
      expect(asked.get(DEVICE)?.slice(0, 2)).toEqual([1, 2])
    })
  })
})
