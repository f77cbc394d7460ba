/** Order and gaps in the store alone: any arrival order of a device's counters, with repetitions. */

import fc from "fast-check"
import { describe, expect, test } from "vitest"

import { noticesOf } from "../../src/client/events"
import {
  ASK_AGAIN,
  HOLD,
  MAX_TRACKED,
  countersToAsk,
  holdsAnything,
  passOver,
  place,
  showHeld,
  showOverdue,
} from "../../src/client/order"
import { contacts, devices, gaps, messages } from "../../src/client/schema"
import type { Store } from "../../src/client/store"
import { fromHex } from "../../src/core/encoding"
import type { DeviceId, MessageId, Millis } from "../../src/core/types"
import { START, addContact, withStore } from "./stores"

const CONTACT = 1
const DEVICE = 1 as DeviceId
const PASSED = 0 // stands among counters for: the hold is over

const at = (millis: number): Millis => (START + millis) as Millis

async function withContact(work: (store: Store) => Promise<void>): Promise<void> {
  await withStore(async (store) => {
    await store.transaction((tx) => addContact(tx, "alice"))
    await work(store)
  })
}

async function arrive(store: Store, counter: number, now = START, device = DEVICE): Promise<void> {
  const messageId = fromHex(counter.toString(16).padStart(32, "0")) as MessageId
  const text = { contact: CONTACT, device, counter, messageId, text: String(counter), sent: START, received: now }
  await store.transaction((tx) => place(tx, text))
}

async function shown(store: Store): Promise<number[]> {
  return (await store.all(messages, null, null)).map((row) => Number(row.text))
}

async function missing(store: Store): Promise<number[]> {
  return (await store.all(gaps, null, null)).map((row) => row.counter)
}

async function told(store: Store): Promise<unknown[]> {
  return (await noticesOf(store, CONTACT)).map(({ kind, data }) => [kind, data["missing"]])
}

function ask(store: Store, now: Millis) {
  return store.transaction((tx) => countersToAsk(tx, CONTACT, now))
}

/** Say in a few lines what the store should show, and which counters it still misses. */
function expectedOrder(arrivals: readonly number[]): [number[], number[]] {
  const seen: number[] = []
  const held = new Set<number>()
  let expected = 1
  for (const counter of arrivals) {
    if (counter === PASSED) {
      seen.push(...[...held].sort((first, second) => first - second))
      expected = Math.max(expected - 1, ...held) + 1
      held.clear()
    } else if (seen.includes(counter) || held.has(counter)) {
      continue
    } else if (counter < expected) {
      seen.push(counter) // its gap was shown
    } else {
      held.add(counter)
    }
    for (; held.delete(expected); expected++) seen.push(expected)
  }
  const all = Array.from({ length: Math.max(expected - 1, ...held) }, (_, index) => index + 1)
  return [seen, all.filter((counter) => !seen.includes(counter) && !held.has(counter))]
}

describe("one device's messages", () => {
  test("show in the order they were sent", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: PASSED, max: 12 }), { maxLength: 30 }), async (arrivals) => {
        await withContact(async (store) => {
          let now = START
          for (const counter of arrivals) {
            if (counter === PASSED) {
              now = (now + HOLD) as Millis
              await showOverdue(store, now)
            } else {
              await arrive(store, counter, now)
            }
          }
          const [seen, absent] = expectedOrder(arrivals)
          expect(await shown(store)).toEqual(seen)
          expect(await missing(store)).toEqual(absent)
        })
      }),
      { numRuns: 40 },
    )
  })

  test("are in order whatever the order they arrive in within the hold", async () => {
    const all = [1, 2, 3, 4, 5, 6, 7, 8]
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray(all, { minLength: 8 }), async (arrivals) => {
        await withContact(async (store) => {
          for (const counter of arrivals) await arrive(store, counter)
          expect(await shown(store)).toEqual(all)
          expect(await missing(store)).toEqual([])
          expect(await holdsAnything(store)).toBe(false)
        })
      }),
      { numRuns: 15 },
    )
  })

  test("wait for each other, but not for another device's", async () => {
    await withContact(async (store) => {
      await arrive(store, 2)
      await arrive(store, 1, START, 2 as DeviceId)

      expect(await shown(store)).toEqual([1])
      expect(await holdsAnything(store)).toBe(true)
    })
  })

  test("come last if they come after their gap was shown", async () => {
    await withContact(async (store) => {
      await arrive(store, 2)
      await showOverdue(store, at(HOLD))
      await arrive(store, 1)
      await arrive(store, 3)

      expect(await shown(store)).toEqual([2, 1, 3])
      expect(await missing(store)).toEqual([])
    })
  })

  test("are unread until they are shown, and count once", async () => {
    await withContact(async (store) => {
      for (const counter of [1, 1, 2, 4, 2]) await arrive(store, counter)

      expect(await store.get(contacts, CONTACT)).toMatchObject({ unread: 2, lastPosition: 2 })
    })
  })

  test("that can't be shown are not asked for", async () => {
    await withContact(async (store) => {
      await arrive(store, 2)
      await store.transaction((tx) => passOver(tx, CONTACT, DEVICE, 1, START))
      await store.transaction((tx) => passOver(tx, CONTACT, DEVICE, 3, START))
      await arrive(store, 4)
      await showOverdue(store, at(HOLD))

      expect(await shown(store)).toEqual([2, 4])
      expect((await ask(store, at(20 * ASK_AGAIN))).size).toBe(0)
      expect(await told(store)).toEqual([])
    })
  })

  test("are shown when their device goes, with what is missing", async () => {
    await withContact(async (store) => {
      for (const counter of [1, 3, 5]) await arrive(store, counter)
      await store.transaction((tx) => showHeld(tx, CONTACT, DEVICE, START))

      expect(await shown(store)).toEqual([1, 3, 5])
      expect(await told(store)).toEqual([["gap", 2]])
      expect(await missing(store)).toEqual([])
      expect(await holdsAnything(store)).toBe(false)
    })
  })
})

describe("a gap", () => {
  test("is shown after the hold, and once", async () => {
    await withContact(async (store) => {
      await arrive(store, 3)
      await showOverdue(store, at(HOLD - 1))
      expect(await told(store)).toEqual([])
      expect(await shown(store)).toEqual([])

      await showOverdue(store, at(HOLD))
      await showOverdue(store, at(2 * HOLD))

      expect(await told(store)).toEqual([["gap", 2]])
      expect(await shown(store)).toEqual([3])
    })
  })

  test("is shown, and what it held, if the clock was put back since", async () => {
    await withContact(async (store) => {
      await arrive(store, 2, at(2 * HOLD))
      await showOverdue(store, at(HOLD))
      expect(await shown(store)).toEqual([]) // no more than the hold: it is only late

      await showOverdue(store, at(HOLD - 1))

      expect(await shown(store)).toEqual([2])
      expect(await missing(store)).toEqual([1])
    })
  })

  test("of a stranger is not told", async () => {
    await withContact(async (store) => {
      await store.transaction((tx) => tx.update(contacts, CONTACT, { state: "request" }))
      await arrive(store, 3)
      await showOverdue(store, at(HOLD))

      expect(await told(store)).toEqual([])
      expect(await shown(store)).toEqual([3])
    })
  })

  test("after a jump keeps the newest holes and says how many are missing", async () => {
    await withContact(async (store) => {
      await arrive(store, 1)
      await arrive(store, 1_000_000)

      const newest = Array.from({ length: MAX_TRACKED }, (_, index) => 1_000_000 - MAX_TRACKED + index)
      expect(await missing(store)).toEqual(newest)
      expect(await told(store)).toEqual([["gap", 999_998 - MAX_TRACKED]])
      await showOverdue(store, at(HOLD))
      expect(await shown(store)).toEqual([1, 1_000_000])
    })
  })

  test("after a jump shows what was held before it", async () => {
    await withContact(async (store) => {
      for (const counter of [3, 5, 1000]) await arrive(store, counter)
      await showOverdue(store, at(HOLD))

      expect(await shown(store)).toEqual([3, 5, 1000])
      expect(await told(store)).toEqual([
        ["gap", 997 - MAX_TRACKED],
        ["gap", MAX_TRACKED],
      ])
      expect((await store.get(devices, [CONTACT, DEVICE]))?.nextCounter).toBe(1001)
    })
  })

  test("is asked for once an hour after it was shown", async () => {
    await withContact(async (store) => {
      await arrive(store, 4)
      expect((await ask(store, START)).size).toBe(0)
      await showOverdue(store, at(HOLD))

      expect([...(await ask(store, at(HOLD)))]).toEqual([[DEVICE, [1, 2, 3]]])
      expect((await ask(store, at(HOLD + 1))).size).toBe(0)
      await arrive(store, 2)
      expect([...(await ask(store, at(HOLD + ASK_AGAIN)))]).toEqual([[DEVICE, [1, 3]]])
    })
  })

  test("of many is asked for in its turn", async () => {
    await withContact(async (store) => {
      await arrive(store, MAX_TRACKED)
      await arrive(store, 2 * MAX_TRACKED)
      await showOverdue(store, at(HOLD))
      const absent = await missing(store)

      const asked: number[] = []
      for (;;) {
        const counters = (await ask(store, at(HOLD))).get(DEVICE)
        if (counters === undefined) break
        expect(counters.length).toBeLessThanOrEqual(MAX_TRACKED)
        asked.push(...counters)
      }
      expect(asked).toEqual(absent)
    })
  })
})
