/** The store: all or nothing, reads that see what was written, sealed rows, versions, and other tabs. */

import { openDB } from "idb"
import { describe, expect, test, vi } from "vitest"

import type { Change } from "../../src/client/api"
import * as schema from "../../src/client/schema"
import { MIGRATIONS, contacts, deliveries, messages, outbox, resets } from "../../src/client/schema"
import type { StoredOutbox } from "../../src/client/schema"
import { Store, prefix } from "../../src/client/store"
import type { Transaction } from "../../src/client/store"
import { toHex, utf8 } from "../../src/core/encoding"
import { Misuse, StorageConflict, StoreError } from "../../src/core/errors"
import { KeyPair, randomBytes } from "../../src/core/primitives"
import type { Millis, PrekeyId } from "../../src/core/types"
import { START, addContact, freshName, message, putStored, storedRows, withStore } from "./stores"

const waiting = (contact: number, isExpanded: 0 | 1 = 0): Omit<StoredOutbox, "position"> => ({
  contact,
  isExpanded,
  messageId: "00",
  device: null,
  kind: 1,
  body: new Uint8Array(),
  sent: START,
})

describe("a transaction", () => {
  test("is all or nothing", async () => {
    await withStore(async (store) => {
      const changes: Change[] = []
      store.onChange = (noted) => changes.push(...noted)
      const failing = store.transaction(async (tx) => {
        await addContact(tx, "alice")
        tx.insert(messages, message(1, "hello"))
        tx.changed({ kind: "contacts" })
        throw new RangeError("in the middle")
      })

      await expect(failing).rejects.toThrow(RangeError)
      expect(await store.all(contacts, null, null)).toEqual([])
      expect(await store.count(messages, null, null)).toBe(0)
      expect(changes).toEqual([])
      // The number that was not used is not lost either.
      expect((await store.transaction((tx) => addContact(tx, "alice"))).id).toBe(1)
    })
  })

  test("writes nothing if one row can't be stored", async () => {
    await withStore(async (store) => {
      const failing = store.transaction(async (tx) => {
        await addContact(tx, "alice")
        tx.insert(messages, { ...message(1, "hello"), received: Number.NaN as Millis })
      })

      await expect(failing).rejects.toThrow(Misuse)
      expect(await store.count(contacts, null, null)).toBe(0)
    })
  })

  test("tells what it changed, once it is committed, once", async () => {
    await withStore(async (store) => {
      const counts: Promise<number>[] = []
      const changes: Change[] = []
      store.onChange = (noted) => {
        changes.push(...noted)
        counts.push(store.count(contacts, null, null))
      }
      await store.transaction(async (tx) => {
        await addContact(tx, "alice")
        tx.changed({ kind: "contacts" })
        tx.changed({ kind: "notices", contact: 1 })
        tx.changed({ kind: "contacts" })
      })

      expect(changes).toEqual([{ kind: "contacts" }, { kind: "notices", contact: 1 }])
      expect(await Promise.all(counts)).toEqual([1])
    })
  })

  test("waits for the one before it", async () => {
    await withStore(async (store, name) => {
      const second = await Store.open(name)
      await Promise.all(
        Array.from({ length: 20 }, (_, at) =>
          (at % 2 ? store : second).transaction(async (tx) => {
            const before = await tx.count(resets, null, null)
            tx.insert(resets, { cause: "epoch", time: before as Millis })
          }),
        ),
      )
      second.close()

      expect((await store.all(resets, null, null)).map((row) => row.time)).toEqual([...Array(20).keys()])
    })
  })

  test("is refused if another tab wrote although we held the lock", async () => {
    await withStore(async (store, name) => {
      await store.transaction((tx) => addContact(tx, "alice"))
      const late = store.transaction(async (tx) => {
        tx.insert(resets, { cause: "epoch", time: START })
        await putStored(name, schema.DEVICE, { revision: 7, counters: {} }, "revision")
      })

      await expect(late).rejects.toThrow(StorageConflict)
      expect(await store.count(resets, null, null)).toBe(0)
      // And the next one knows it.
      expect((await store.transaction((tx) => addContact(tx, "bob"))).name).toBe("bob")
    })
  })

  test("can't be used when it is over", async () => {
    await withStore(async (store) => {
      const kept: Transaction[] = []
      await store.transaction((tx) => Promise.resolve(kept.push(tx)))

      expect(() => kept[0]?.insert(resets, { cause: "epoch", time: START })).toThrow(Misuse)
    })
  })

  test("changes single fields of a row", async () => {
    await withStore(async (store) => {
      await store.transaction(async (tx) => {
        const { id } = await addContact(tx, "alice")
        expect(await tx.update(contacts, id, { name: "bob" })).toBe(true)
        expect(await tx.update(contacts, id, { unread: 3 })).toBe(true)
        expect(await tx.update(contacts, 99, { unread: 3 })).toBe(false)
      })

      expect(await store.get(contacts, 1)).toMatchObject({ name: "bob", unread: 3 })
      expect(await store.get(contacts, 99)).toBeUndefined()
    })
  })

  test("never gives a number twice", async () => {
    await withStore(async (store) => {
      const insert = () => store.transaction((tx) => Promise.resolve(tx.insert(messages, message(1, "hello"))))
      const first = await insert()
      await store.transaction((tx) => tx.deleteAll(messages, null, null))

      expect(first).toBe(1)
      expect(await insert()).toBe(2)
    })
  })
})

/** Rows 1 to 6 of two contacts in the store; then, unsaved: 2 deleted, 3 moved, 5 replaced, 7 and 8 new. */
async function half(store: Store, work: (tx: Transaction) => Promise<void>): Promise<void> {
  await store.transaction((tx) => {
    for (const contact of [1, 2, 1, 2, 1, 2]) tx.insert(outbox, waiting(contact))
    return Promise.resolve()
  })
  await store.transaction(async (tx) => {
    tx.delete(outbox, 2)
    tx.put(outbox, { ...waiting(2), position: 3 })
    tx.put(outbox, { ...waiting(1, 1), position: 5 })
    tx.insert(outbox, waiting(1))
    tx.insert(outbox, waiting(2))
    await work(tx)
  })
}

const positions = (rows: readonly StoredOutbox[]): number[] => rows.map((row) => row.position)

describe("reads within a transaction", () => {
  /** The same questions to what is buffered, and to what is committed afterwards. */
  async function answers(from: Transaction | Store): Promise<unknown[]> {
    return [
      positions(await from.all(outbox, null, null)),
      positions(await from.all(outbox, null, IDBKeyRange.lowerBound(4), { limit: 2 })),
      positions(await from.all(outbox, null, null, { limit: 3 })),
      positions(await from.all(outbox, null, null, { limit: 3, reverse: true })),
      positions(await from.all(outbox, "contact", prefix(1))),
      positions(await from.all(outbox, "contact", prefix(2), { reverse: true })),
      positions(await from.all(outbox, "contact", prefix(2), { limit: 2, reverse: true })),
      positions(await from.all(outbox, "expanded", [0, 2])),
      [...(await from.keys(outbox, "expanded", prefix(0)))].sort(),
      [...(await from.keys(outbox, null, null))].sort(),
      await from.count(outbox, "expanded", [1, 1]),
      await from.count(outbox, null, null),
      await from.distinct(outbox, "expanded", null),
      await from.distinct(outbox, "expanded", prefix(1)),
      (await from.get(outbox, 5))?.isExpanded,
      await from.get(outbox, 2),
    ]
  }
  const expected = [
    [1, 3, 4, 5, 6, 7, 8],
    [4, 5],
    [1, 3, 4],
    [8, 7, 6],
    [1, 5, 7],
    [8, 6, 4, 3],
    [8, 6],
    [3, 4, 6, 8],
    [1, 3, 4, 6, 7, 8],
    [1, 3, 4, 5, 6, 7, 8],
    1,
    7,
    [
      [0, 1],
      [0, 2],
      [1, 1],
    ],
    [[1, 1]],
    1,
    undefined,
  ]

  test("see what it wrote, by key and by index", async () => {
    await withStore(async (store) => {
      await half(store, async (tx) => {
        expect(await answers(tx)).toEqual(expected)
      })
      expect(await answers(store)).toEqual(expected)
    })
  })

  test("don't see what it deleted", async () => {
    await withStore(async (store) => {
      await half(store, async (tx) => {
        expect(await tx.deleteAll(outbox, "contact", prefix(2))).toBe(4)
        expect(positions(await tx.all(outbox, null, null))).toEqual([1, 5, 7])
        expect(await tx.distinct(outbox, "contact", prefix(2))).toEqual([])
      })
      expect(positions(await store.all(outbox, null, null))).toEqual([1, 5, 7])
    })
  })

  test("leave out of an index the rows that have no value for it", async () => {
    await withStore(async (store) => {
      const notice = { kind: "gap" as const, time: START, data: {} }
      await store.transaction(async (tx) => {
        tx.insert(schema.events, { ...notice, contact: null })
        tx.insert(schema.events, { ...notice, contact: 1 })
        expect(await tx.count(schema.events, "contact", null)).toBe(1)
      })
      expect(await store.count(schema.events, "contact", null)).toBe(1)
    })
  })
})

describe("at rest", () => {
  const TEXT = "the password is swordfish"

  async function filled(store: Store): Promise<readonly Uint8Array[]> {
    const [pair, seed, envelope, profileKey] = [await KeyPair.generate(), randomBytes(64), randomBytes(90), randomBytes(32)]
    await store.transaction(async (tx) => {
      const { id, address } = await addContact(tx, "alice in wonderland", { profileKey })
      tx.insert(messages, message(id, TEXT, 77))
      tx.put(schema.prekeys, {
        id: 1 as PrekeyId,
        use: 2,
        state: 0,
        pair,
        seed,
        public: address,
        made: START,
        expiry: START,
      })
      const delivery = { position: 1, contact: id, device: 1, state: "sealed" as const, envelopeId: "0011", counter: 1 }
      tx.insert(deliveries, { ...delivery, envelope, resends: 0, hasProfileKey: false })
    })
    return [seed, envelope, profileKey, pair.public.raw, utf8(TEXT), utf8("wonderland"), utf8("localhost")]
  }

  test("nothing that was said, no name and no key byte stands in the clear", async () => {
    await withStore(async (store, name) => {
      const needles = await filled(store)
      const rows = await storedRows(name)
      const text = JSON.stringify([...rows], (_, value: unknown) =>
        value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : value,
      )

      expect(text).toContain("0011") // the scan sees what there is to see
      for (const needle of needles) {
        expect(text).not.toContain(JSON.stringify(Buffer.from(needle).toString("latin1")).slice(1, -1))
        expect(text).not.toContain(toHex(needle))
      }
    })
  })

  test("only ids, counters, hashes and states stand in the clear", async () => {
    await withStore(async (store, name) => {
      await filled(store)
      const fields = new Map([...(await storedRows(name))].map(([table, [row]]) => [table, Object.keys(row ?? {})]))

      expect(fields.get("contacts")).toEqual(["state", "addressHash", "id", "sealed", "keys"])
      expect(fields.get("messages")).toEqual([
        "contact",
        "isOutgoing",
        "messageId",
        "state",
        "position",
        "sealed",
        "keys",
      ])
      expect(fields.get("prekeys")).toEqual(["id", "use", "state", "sealed", "keys"])
    })
  })

  test("the keys can't be read out", async () => {
    await withStore(async (store, name) => {
      await filled(store)
      const found = (await storedRows(name)).get(schema.DEVICE)?.flatMap((row) => Object.values(row)) ?? []
      const keys = found.filter((value) => value instanceof CryptoKey)

      expect(keys).toHaveLength(2)
      expect(keys.map((key) => key.extractable)).toEqual([false, false])
      const pairs = (await storedRows(name)).get("prekeys")?.flatMap((row) => row.keys)
      expect(pairs?.map((key) => key.extractable)).toEqual([false])
    })
  })

  test("a row of another place is refused", async () => {
    await withStore(async (store, name) => {
      await store.transaction((tx) => {
        tx.insert(messages, message(1, "yes", 1))
        tx.insert(messages, message(1, "no", 2))
        return Promise.resolve()
      })
      const [first, second] = (await storedRows(name)).get("messages") ?? []
      await putStored(name, "messages", { ...first, sealed: second?.sealed })

      await expect(store.get(messages, 1)).rejects.toThrow(StoreError)
      expect((await store.get(messages, 2))?.text).toBe("no")
    })
  })

  test.each([
    ["what is sealed", (row: { sealed: Uint8Array }) => ({ sealed: row.sealed.map((byte, at) => (at === 20 ? byte ^ 1 : byte)) })],
    ["its state", () => ({ state: "accepted" })],
    ["whose it is", () => ({ contact: 2 })],
    ["all of it", () => ({ sealed: new Uint8Array(3) })],
    ["what kind of thing it is", () => ({ sealed: "text" })],
  ])("a row is refused if somebody altered %s", async (_, change) => {
    await withStore(async (store, name) => {
      await store.transaction((tx) => Promise.resolve(tx.insert(messages, message(1, "yes", 1))))
      const [row] = (await storedRows(name)).get("messages") ?? []
      if (row === undefined) throw new Error("nothing was stored")
      await putStored(name, "messages", { ...row, ...change(row) })

      await expect(store.get(messages, 1)).rejects.toThrow(/erase this device/)
      await expect(store.all(messages, null, null)).rejects.toThrow(StoreError)
    })
  })

  test("rows without their key are said to be lost", async () => {
    await withStore(async (store, name) => {
      await filled(store)
      const database = await openDB(name)
      await database.delete(schema.DEVICE, "keys")
      database.close()
      const later = await Store.open(name)

      await expect(later.get(contacts, 1)).rejects.toThrow(/lost the key/)
      await expect(later.transaction((tx) => addContact(tx, "bob"))).rejects.toThrow(/lost the key/)
      expect(await later.get(messages, 5)).toBeUndefined()
      later.close()
    })
  })

  test("a hash to find by is the same in every tab, and another in another browser", async () => {
    await withStore(async (store, name) => {
      await filled(store)
      const second = await Store.open(name)
      const hash = await store.blind(utf8("alice"))

      expect(hash).toMatch(/^[0-9a-f]{32}$/)
      expect(await second.blind(utf8("alice"))).toBe(hash)
      second.close()
      await withStore(async (other) => {
        await filled(other)
        expect(await other.blind(utf8("alice"))).not.toBe(hash)
      })
    })
  })

  test("keys that were made for a transaction that wrote nothing are not used for the next", async () => {
    const name = freshName()
    const [first, second] = [await Store.open(name), await Store.open(name)]
    await first.transaction((tx) => tx.blind(utf8("alice")))
    await expect(first.transaction(() => Promise.reject(new RangeError()))).rejects.toThrow(RangeError)
    await second.transaction((tx) => addContact(tx, "alice"))
    await first.transaction((tx) => addContact(tx, "bob"))
    first.close()
    second.close()
    const later = await Store.open(name)

    expect((await later.all(contacts, null, null)).map((row) => row.name)).toEqual(["alice", "bob"])
    later.close()
    await Store.erase(name)
  })

  test("everything is there again after closing", async () => {
    const name = freshName()
    const store = await Store.open(name)
    await filled(store)
    const before = await store.get(contacts, 1)
    store.close()
    const later = await Store.open(name)

    expect(await later.get(contacts, 1)).toEqual(before)
    expect(await later.transaction((tx) => Promise.resolve(tx.insert(messages, message(1, "next"))))).toBe(2)
    later.close()
    await Store.erase(name)
  })
})

describe("the lock of all tabs", () => {
  test("is kept for a moment, in which nobody asks for the revision", async () => {
    await withStore(async (store) => {
      await store.transaction((tx) => addContact(tx, "alice"))
      vi.useFakeTimers({ toFake: ["performance"] }) // so that the moment does not end
      const lookUps = vi.spyOn(IDBObjectStore.prototype, "get")
      try {
        for (let time = 0; time < 5; time++) {
          await store.transaction((tx) => tx.update(contacts, 1, { unread: time }))
          expect((await store.get(contacts, 1))?.unread).toBe(time)
        }
        expect(lookUps).toHaveBeenCalledTimes(5) // one in each commit, which may find that locks have failed
      } finally {
        lookUps.mockRestore()
        vi.useRealTimers()
      }
    })
  })

  test("goes to another tab, however much one has to do, and each sees what the other wrote", async () => {
    await withStore(async (store, name) => {
      const second = await Store.open(name)
      await store.transaction((tx) => addContact(tx, "alice"))
      const other = second.transaction((tx) => addContact(tx, "bob"))
      const later = new AbortController()
      void other.finally(() => { later.abort() })
      while (!later.signal.aborted) await store.transaction((tx) => tx.update(contacts, 1, { unread: 7 }))

      expect((await other).id).toBe(2)
      expect((await store.get(contacts, 2))?.name).toBe("bob")
      await second.transaction((tx) => tx.update(contacts, 1, { name: "carol" }))
      expect(await store.get(contacts, 1)).toMatchObject({ name: "carol", unread: 7 })
      second.close()
    })
  })

  test("who asks for the revision while a look-up is under way shares the next one", async () => {
    await withStore(async (store) => {
      const [first, second, third] = [store.revision(), store.revision(), store.revision()]

      expect(second).not.toBe(first) // the first may be older than what the second wants to see
      expect(third).toBe(second)
      expect(await second).toEqual(await first)
      expect(store.revision()).not.toBe(second)
    })
  })

  test("a message that is kept in memory is never older than its row", async () => {
    await withStore(async (store, name) => {
      const second = await Store.open(name)
      const number = await store.transaction((tx) => Promise.resolve(tx.insert(messages, message(1, "one"))))
      const read = async (from: Store): Promise<string | undefined> => {
        const reads = from.snapshot()
        await reads.all(contacts, null, null) // learns the revision
        return (await reads.get(messages, number))?.text
      }
      for (const [writer, text] of [[store, "two"], [second, "three"], [store, "four"]] as const) {
        await Promise.all([read(store), read(second)])
        await writer.transaction((tx) => tx.update(messages, number, { text }))
        expect(await Promise.all([read(store), read(second)])).toEqual([text, text])
      }
      await second.transaction((tx) => tx.deleteAll(messages, null, null))
      expect(await Promise.all([read(store), read(second)])).toEqual([undefined, undefined])
      second.close()
    })
  })
})

test("a row that was read before a commit and opened after it is not kept in memory", async () => {
  await withStore(async (store) => {
    await store.transaction((tx) => {
      for (const text of ["one", "other"]) tx.insert(messages, message(1, text))
      return Promise.resolve()
    })
    const reading = async (number: number): Promise<string | undefined> => {
      const reads = store.snapshot()
      await reads.all(contacts, null, null) // learns the revision
      return (await reads.get(messages, number))?.text
    }
    await reading(2)
    const decrypt = crypto.subtle.decrypt.bind(crypto.subtle)
    let go = (): void => undefined
    const gate = new Promise<void>((resolve) => (go = resolve))
    const slow = vi.spyOn(crypto.subtle, "decrypt").mockImplementationOnce(async (...given) => {
      await gate
      return decrypt(...given)
    })
    const old = reading(1)
    await vi.waitUntil(() => slow.mock.calls.length > 0)
    await store.transaction((tx) => {
      tx.put(messages, { ...message(1, "two"), position: 1 })
      return Promise.resolve()
    })
    go()

    expect(await old).toBe("one")
    expect(await reading(1)).toBe("two")
    slow.mockRestore()
  })
})

/** Run with other databases than the browser's. */
async function withDatabases(other: object | undefined, work: () => Promise<void>): Promise<void> {
  const given = globalThis.indexedDB
  Object.defineProperty(globalThis, "indexedDB", { value: other, configurable: true, writable: true })
  try {
    await work()
  } finally {
    Object.defineProperty(globalThis, "indexedDB", { value: given, configurable: true, writable: true })
  }
}

describe("versions and other tabs", () => {
  const NEXT: schema.Migration = (_, upgrade) => {
    upgrade.objectStore("messages").createIndex("device", ["contact", "device"])
  }

  test("a store of an earlier version is brought to the newest, with what is in it", async () => {
    const name = freshName()
    const old = await Store.open(name)
    await old.transaction((tx) => addContact(tx, "alice"))
    old.close()
    const runs: number[] = []
    const store = await Store.open(name, [
      ...MIGRATIONS,
      (database, upgrade) => {
        runs.push(database.version)
        NEXT(database, upgrade)
      },
    ])

    expect(runs).toEqual([MIGRATIONS.length + 1])
    expect((await store.get(contacts, 1))?.name).toBe("alice")
    expect(await store.sealedRows(messages, "device", null, {})).toEqual([])
    store.close()
    await Store.erase(name)
  })

  test("a store of a newer version is refused and left alone", async () => {
    const name = freshName()
    const newer = await Store.open(name, [...MIGRATIONS, NEXT])
    await newer.transaction((tx) => addContact(tx, "alice"))
    newer.close()

    await expect(Store.open(name)).rejects.toThrow(/newer program/)
    const again = await Store.open(name, [...MIGRATIONS, NEXT])
    expect((await again.get(contacts, 1))?.name).toBe("alice")
    again.close()
    await Store.erase(name)
  })

  test("a tab with the old program lets go when another upgrades", async () => {
    const name = freshName()
    const old = await Store.open(name)
    await old.transaction((tx) => addContact(tx, "alice"))
    const newer = await Store.open(name, [...MIGRATIONS, NEXT])

    await expect(old.get(contacts, 1)).rejects.toThrow(/reload the page/)
    await expect(old.transaction((tx) => addContact(tx, "bob"))).rejects.toThrow(StoreError)
    newer.close()
    await Store.erase(name)
  })

  test("erasing leaves nothing, and no tab can use what it had open", async () => {
    const name = freshName()
    const store = await Store.open(name)
    await store.transaction((tx) => addContact(tx, "alice"))
    await Store.erase(name)

    expect((await indexedDB.databases()).map((database) => database.name)).not.toContain(name)
    await expect(store.get(contacts, 1)).rejects.toThrow(StoreError)
    const fresh = await Store.open(name)
    expect(await fresh.count(contacts, null, null)).toBe(0)
    fresh.close()
    await Store.erase(name)
  })

  test("a browser without storage is told so", async () => {
    await withDatabases(undefined, async () => {
      await expect(Store.open(freshName())).rejects.toThrow(/private window/)
    })
  })

  test("a browser that can't read what it stored says that it is lost, not that there is no storage", async () => {
    const open = (): IDBOpenDBRequest => {
      const request = new IDBOpenDBRequest()
      const tell = (type: string, heard: () => void): void => { if (type === "error") queueMicrotask(heard) }
      const error = new DOMException("Internal error opening backing store.", "UnknownError")
      return Object.defineProperties(request, { error: { value: error }, addEventListener: { value: tell } })
    }
    await withDatabases({ open }, async () => {
      await expect(Store.open(freshName())).rejects.toMatchObject({ code: "store-damaged" })
    })
  })

  test("what the browser can't read later is an error of the store", async () => {
    await withStore(async (store) => {
      await store.transaction((tx) => addContact(tx, "alice"))
      const broken = vi.spyOn(IDBObjectStore.prototype, "getAll").mockImplementation(() => {
        throw new DOMException("Failed to read large IndexedDB value", "UnknownError")
      })
      await expect(store.all(messages, null, null)).rejects.toThrow(StoreError)
      broken.mockRestore()
      expect(await store.all(messages, null, null)).toEqual([])
    })
  })
})
