/** Pages of a conversation, the list of conversations, and search in all of them. */

import { describe, expect, test } from "vitest"

import type { Change } from "../../src/client/api"
import { markRead, showRequest } from "../../src/client/events"
import { Search, addMessage, conversations, history, historyAround } from "../../src/client/history"
import { contacts, messages } from "../../src/client/schema"
import type { Reads, Store } from "../../src/client/store"
import { prefix } from "../../src/client/store"
import { Misuse } from "../../src/core/errors"
import { START, addContact, message, withStore } from "./stores"

/** Write texts to contacts 1 and 2 in turn. */
async function fill(store: Store, texts: readonly string[]): Promise<void> {
  await store.transaction(async (tx) => {
    if ((await tx.count(contacts, null, null)) === 0) {
      await addContact(tx, "alice")
      await addContact(tx, "bob")
    }
    for (const [at, text] of texts.entries()) await addMessage(tx, message(1 + (at % 2), text, at))
  })
}

const numbers = (count: number): string[] => Array.from({ length: count }, (_, at) => String(at))
const texts = (entries: readonly { readonly text: string }[]): string[] => entries.map((entry) => entry.text)

/** Count the rows that are opened, and how often one is asked for by its key. */
function counting(store: Store): { readonly reads: Reads; opened: number; asked: number } {
  const counted = { reads: store as Reads, opened: 0, asked: 0 }
  counted.reads = new Proxy(store, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name)
      if (typeof member !== "function") return member
      return async (...args: unknown[]): Promise<unknown> => {
        const result: unknown = await Reflect.apply(member, target, args)
        if (name === "all" && Array.isArray(result)) counted.opened += result.length
        if (name === "get") counted.asked += 1
        if (name === "get" && result !== undefined) counted.opened += 1
        return result
      }
    },
  })
  return counted
}

describe("a conversation", () => {
  test("is read page by page, newest page first, each oldest first", async () => {
    await withStore(async (store) => {
      await fill(store, numbers(20))
      const newest = await history(store, 1, null, 4)
      const before = await history(store, 1, newest[0]?.position ?? null, 4)

      expect(texts(newest)).toEqual(["12", "14", "16", "18"])
      expect(texts(before)).toEqual(["4", "6", "8", "10"])
      expect(texts(await history(store, 1, 1, 4))).toEqual([])
      expect(texts(await history(store, 1, null, 10_000))).toHaveLength(10)
      expect(texts(await history(store, 3, null, 4))).toEqual([])
    })
  })

  test("is read around a position", async () => {
    await withStore(async (store) => {
      await fill(store, numbers(20))

      expect(texts(await historyAround(store, 1, 9, 5))).toEqual(["4", "6", "8", "10", "12"])
      expect(texts(await historyAround(store, 1, 1, 4))).toEqual(["0", "2"])
      expect(texts(await historyAround(store, 1, 99, 4))).toEqual(["16", "18"])
      expect(texts(await historyAround(store, 1, 9, 1))).toEqual(["8"])
    })
  })

  test.each([0, -1, 1.5, 10_001, Number.NaN])("has no page of %s", async (limit) => {
    await withStore(async (store) => {
      await fill(store, ["hello"])
      await expect(history(store, 1, null, limit)).rejects.toThrow(Misuse)
      await expect(historyAround(store, 1, 1, limit)).rejects.toThrow(Misuse)
      await expect(new Search(store).search("hello", limit)).rejects.toThrow(Misuse)
    })
  })

  test("of many messages costs the page that is read", async () => {
    await withStore(async (store) => {
      await fill(store, numbers(1000))
      const counted = counting(store)
      await history(counted.reads, 1, null, 50)
      expect(counted.opened).toBe(50)
      await historyAround(counted.reads, 1, 500, 50)
      expect(counted.opened).toBe(100)
      await conversations(counted.reads)
      expect(counted.opened).toBe(104) // two contacts, and the last message of each
    })
  })
})

describe("the list of conversations", () => {
  test("begins with the one that has the newest message, and counts what is unread", async () => {
    await withStore(async (store) => {
      await fill(store, ["hello", "hi", "are you there?"])
      await store.transaction(async (tx) => {
        await addContact(tx, "carol")
        await addContact(tx, "mallory", { state: "request" })
        await addMessage(tx, { ...message(2, "yes"), isOutgoing: 1, state: "waiting" })
      })
      const brief = (await conversations(store)).map(({ contact, last, unread }) => [contact.name, last?.text, unread])

      expect(brief).toEqual([
        ["bob", "yes", 1],
        ["alice", "are you there?", 2],
        ["carol", undefined, 0],
      ])
      await store.transaction((tx) => markRead(tx, 1))
      expect((await conversations(store))[1]?.unread).toBe(0)
    })
  })

  test("hears of messages, but not of a stranger's", async () => {
    await withStore(async (store) => {
      const changes: Change[] = []
      await store.transaction(async (tx) => {
        await addContact(tx, "alice")
        await addContact(tx, "mallory", { state: "request" })
      })
      store.onChange = (noted) => changes.push(...noted)
      await store.transaction(async (tx) => {
        await addMessage(tx, message(1, "hello", 1))
        await addMessage(tx, message(2, "buy now", 2))
      })

      expect(JSON.stringify(changes)).not.toContain("buy now")
      expect(changes).toMatchObject([{ kind: "messages", contact: 1, entries: [{ text: "hello", received: START }] }])
      await store.transaction(async (tx) => {
        await tx.update(contacts, 2, { state: "accepted" })
        await showRequest(tx, 2)
      })
      expect((await conversations(store))[0]).toMatchObject({ last: { text: "buy now" }, unread: 1 })
    })
  })
})

describe("search", () => {
  test("finds any part of any message, whatever the case, the newest ones", async () => {
    await withStore(async (store) => {
      await fill(store, ["Straße nach ÄGYPTEN", "swordfish", "ägyptisch", "ÆGIR", "a_b%c\0d", "Ο ΣΟΦΟΣ"])
      const search = new Search(store)
      const found = async (text: string, limit = 10): Promise<string[]> =>
        texts((await search.search(text, limit)).map(({ entry }) => entry))

      expect(await found("ÄGYPT")).toEqual(["Straße nach ÄGYPTEN", "ägyptisch"])
      expect(await found("ägypt", 1)).toEqual(["ägyptisch"])
      expect(await found("æ")).toEqual(["ÆGIR"])
      expect(await found("_b%C\0")).toEqual(["a_b%c\0d"])
      expect(await found("ΣΟΦ")).toEqual(["Ο ΣΟΦΟΣ"])
      expect(await found("swordfishes")).toEqual([])
      expect((await search.search("SWORD", 10))[0]?.contactName).toBe("bob")
      await expect(search.search("", 10)).rejects.toThrow(Misuse)
    })
  })

  test("sees what came and what went since the last search", async () => {
    await withStore(async (store) => {
      await fill(store, ["one apple", "two apples"])
      const counted = counting(store)
      const search = new Search(counted.reads)
      expect(await search.search("apple", 10)).toHaveLength(2)
      await fill(store, ["three apples"])
      expect(texts((await search.search("apple", 10)).map(({ entry }) => entry))).toContain("three apples")
      await store.transaction((tx) => tx.deleteAll(messages, "contact", prefix(1)))
      counted.asked = 0

      expect(texts((await search.search("apple", 10)).map(({ entry }) => entry))).toEqual(["two apples"])
      expect(counted.asked).toBe(1) // what went is not even remembered
    })
  })

  test("finds nothing of strangers and of people who were removed", async () => {
    await withStore(async (store) => {
      await fill(store, ["apple", "apple"])
      const search = new Search(store)
      await store.transaction((tx) => tx.update(contacts, 1, { state: "request" }))
      await store.transaction((tx) => tx.update(contacts, 2, { state: "blocked" }))

      expect((await search.search("apple", 10)).map(({ contactName }) => contactName)).toEqual(["bob"])
    })
  })

  test("opens each of many messages once, whatever is searched at the same time", async () => {
    await withStore(async (store) => {
      await fill(store, numbers(1200))
      const counted = counting(store)
      const search = new Search(counted.reads)
      const found = await Promise.all(["7", "77", "no such number"].map((text) => search.search(text, 5)))

      expect(found.map((part) => part.length)).toEqual([5, 5, 0])
      expect(counted.opened).toBe(1200 + 3 * 2 + 10) // and the contacts, and what was found
    })
  })
})
