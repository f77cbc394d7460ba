import { expect, test } from "vitest"
import { Thread } from "../../src/app/models/thread"
import type { Api, Entry, MessageState } from "../../src/client/api"

/** A store whose answers come when the test says so. */
class SlowStore {
  readonly entries: Entry[] = []
  readonly #asked: (() => void)[] = []

  readonly api = {
    contact: () => Promise.resolve(null),
    notices: () => Promise.resolve([]),
    messages: (_: number, before: number | null, limit: number) => this.#answer(before, limit),
  } as unknown as Api

  /** Let everything that was asked be answered, with what was there when it was asked. */
  async answerAll(): Promise<void> {
    await settled()
    for (const answer of this.#asked.splice(0)) answer()
    await settled()
  }

  #answer(before: number | null, limit: number): Promise<readonly Entry[]> {
    const found = this.entries.filter(({ position }) => position < (before ?? Infinity)).slice(-limit)
    return new Promise((resolve) => this.#asked.push(() => { resolve(found) }))
  }
}

const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0))

function entry(position: number, state: MessageState = "received"): Entry {
  const id = position.toString(16).padStart(32, "0")
  return { position, id, contact: 1, outgoing: state !== "received", text: "", time: 0, received: 0, state, file: null }
}

async function opened(store: SlowStore): Promise<Thread> {
  const thread = new Thread(store.api, 1, () => 0)
  const opening = thread.open(0, null)
  await store.answerAll()
  await opening
  return thread
}

const positions = (thread: Thread): number[] => thread.entries.value.map(({ position }) => position)

test("what comes while the messages are read belongs to them", async () => {
  const store = new SlowStore()
  store.entries.push(entry(1), entry(2, "waiting"))
  const thread = new Thread(store.api, 1, () => 0)
  const opening = thread.open(0, null)
  await settled()
  thread.absorb([entry(2, "accepted"), entry(3)])
  await store.answerAll()
  await opening

  expect(positions(thread)).toEqual([1, 2, 3])
  expect(thread.entries.value[1]?.state).toBe("accepted")
  expect(thread.newer.value).toBe(0)
})

test("word of messages in another order, or of a later state first, loses none", async () => {
  const store = new SlowStore()
  store.entries.push(entry(1))
  const thread = await opened(store)
  thread.absorb([entry(4)])
  thread.absorb([entry(3, "accepted")])
  thread.absorb([entry(3, "waiting")])
  thread.absorb([entry(2)])

  expect(positions(thread)).toEqual([1, 2, 3, 4])
  expect(thread.entries.value[2]?.state).toBe("accepted")
})

test("what lies before the loaded part stays out of it", async () => {
  const store = new SlowStore()
  for (let position = 1; position <= 200; position++) store.entries.push(entry(position))
  const thread = await opened(store)
  const [first] = positions(thread)
  thread.absorb([entry(1), entry(201)])

  expect(first).toBe(121)
  expect(positions(thread)).toEqual(Array.from({ length: 81 }, (_, at) => 121 + at))
})

test("a state that changes while older messages are read is theirs", async () => {
  const store = new SlowStore()
  for (let position = 1; position <= 100; position++) store.entries.push(entry(position, "accepted"))
  const thread = await opened(store)
  const loading = thread.loadOlder()
  await settled()
  thread.absorb([entry(5, "delivered")])
  await store.answerAll()
  await loading

  expect(positions(thread)).toHaveLength(100)
  expect(thread.entries.value[4]?.state).toBe("delivered")
})
