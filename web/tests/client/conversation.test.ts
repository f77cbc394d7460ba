/** Two people at the client, with everything real between them but the browser. */

import { afterAll, afterEach, beforeAll, expect, test } from "vitest"

import { HOLD } from "../../src/client/order"
import { contactById } from "../../src/client/people"
import { Receiver } from "../../src/client/receiving"
import * as table from "../../src/client/schema"
import { Store } from "../../src/client/store"
import { IDLE_MILLIS } from "../../src/client/transport"
import { toHex } from "../../src/core/encoding"
import { sha256 } from "../../src/core/primitives"
import { NO_SESSIONS } from "../../src/core/session"
import type { Millis } from "../../src/core/types"
import { RelayProcess } from "../relay_process"
import { Tab, closeAll, introduce, mayReach, signUp, talking, until } from "./persons"
import { PythonClient } from "./python_client"

const PATIENT = 120_000

let relay: RelayProcess

beforeAll(async () => {
  relay = await RelayProcess.start()
  mayReach(relay.origin)
})

afterEach(closeAll)

afterAll(() => relay.remove())

function numbered(word: string, count: number): readonly string[] {
  return Array.from({ length: count }, (_, number) => `${word} ${number}`)
}

async function writeAll(from: Tab, to: string, texts: readonly string[]): Promise<void> {
  for (const text of texts) await from.write(to, text)
}

async function areDelivered(tab: Tab, to: string): Promise<boolean> {
  return (await tab.states(to)).every((state) => state === "delivered")
}

/** Forget every session of a tab, as a restored copy of it would. */
async function loseSessions({ client }: Tab): Promise<void> {
  await client.store.transaction(async (tx) => {
    for (const row of await tx.all(table.devices, null, null)) tx.put(table.devices, { ...row, sessions: NO_SESSIONS })
  })
}

test("messages arrive both ways, in order, and are delivered", { timeout: PATIENT }, async () => {
  const [alice, bob] = await talking(relay.origin)

  await Promise.all([writeAll(alice, "bob", numbered("a", 10)), writeAll(bob, "alice", numbered("b", 10))])
  await until(async () => (await areDelivered(alice, "bob")) && (await areDelivered(bob, "alice")))

  expect(await bob.heard("alice")).toEqual(["hello", ...numbered("a", 10)])
  expect(await alice.heard("bob")).toEqual(["hello yourself", ...numbered("b", 10)])
  expect((await bob.client.conversations())[0]?.unread).toBe(11)
  await bob.client.markRead((await bob.contact("alice")).id)
  expect((await bob.client.conversations())[0]?.unread).toBe(0)
})

test("both write first at once, and both are heard", { timeout: PATIENT }, async () => {
  const [alice, bob] = [await signUp(relay.origin), await signUp(relay.origin)]
  await introduce(alice, bob)

  await Promise.all([alice.write("bob", "me first"), bob.write("alice", "no, me")])
  await until(async () => (await areDelivered(alice, "bob")) && (await areDelivered(bob, "alice")))
  await Promise.all([alice.write("bob", "then you"), bob.write("alice", "then I")])
  await until(async () => (await areDelivered(alice, "bob")) && (await areDelivered(bob, "alice")))

  expect(await bob.heard("alice")).toEqual(["me first", "then you"])
  expect(await alice.heard("bob")).toEqual(["no, me", "then I"])
})

test("what is written without a relay waits, and goes out in order by itself", { timeout: PATIENT }, async () => {
  const own = await RelayProcess.start()
  try {
    mayReach(relay.origin, own.origin)
    const [alice, bob] = await talking(own.origin)
    await own.end("SIGKILL")

    await writeAll(alice, "bob", numbered("later", 5))
    await until(async () => (await alice.client.status()).connection === "offline")
    await until(async () => (await alice.contact("bob")).waitsFor === "transport-error")
    expect((await alice.states("bob")).slice(1)).toEqual(Array(5).fill("waiting"))
    expect((await alice.client.status()).waiting).toBe(5)
    await own.start()
    await until(() => areDelivered(alice, "bob"))

    expect((await bob.heard("alice")).slice(1)).toEqual(numbered("later", 5))
    expect((await alice.client.status()).connection).toBe("online")
    expect((await alice.contact("bob")).waitsFor).toBeNull()
  } finally {
    await own.remove()
    mayReach(relay.origin)
  }
})

test("a connection that was silent for long is made anew without a word", { timeout: PATIENT }, async () => {
  const { client } = await signUp(relay.origin)
  await client.close()
  const store = await Store.open(client.store.name)
  const { setTimeout: given } = globalThis
  const silences: (() => void)[] = []
  globalThis.setTimeout = ((work: () => void, millis?: number, ...more: []) =>
    millis === IDLE_MILLIS ? silences.push(work) : given(work, millis, ...more)) as typeof setTimeout
  const problems: unknown[] = []
  const receiver = new Receiver(store, () => { problems.push(receiver.problem) })
  const run = receiver.run()
  try {
    await until(() => Promise.resolve(problems.length === 1 && silences.length > 0))
    silences.pop()?.()
    await until(() => Promise.resolve(problems.length === 2))
    expect(problems).toEqual([null, null])
  } finally {
    globalThis.setTimeout = given
    receiver.stop()
    await run
    store.close()
  }
})

test("a tab that was closed in mid-send goes on where it was", { timeout: PATIENT }, async () => {
  const [alice, bob] = await talking(relay.origin)
  await writeAll(alice, "bob", numbered("quick", 20))
  await alice.close()

  const again = await alice.another()
  await until(() => areDelivered(again, "bob"))

  expect((await bob.heard("alice")).slice(1)).toEqual(numbered("quick", 20))
})

test("a stranger's texts are shown when the request is accepted, and not before", { timeout: PATIENT }, async () => {
  const [alice, bob] = [await signUp(relay.origin), await signUp(relay.origin)]
  await alice.client.addContact(await bob.client.card(), "bob")
  await writeAll(alice, "bob", numbered("please", 7))

  await until(async () => (await bob.client.requests()).length === 1)
  await until(async () => (await alice.states("bob")).filter((state) => state === "accepted").length === 5)
  const [request] = await bob.client.requests()
  expect(request?.name).toBe(request?.address.slice(0, 16))
  expect(await bob.client.conversations()).toEqual([])
  await expect(bob.client.messages(request?.id ?? 0, null, 10)).rejects.toMatchObject({ code: "misuse" })
  expect(bob.changes.filter((change) => change.kind === "messages")).toEqual([])
  expect((await alice.states("bob")).slice(5)).toEqual(["waiting", "waiting"])

  await bob.client.acceptRequest(request?.id ?? 0, "alice")
  await until(() => areDelivered(alice, "bob"))

  expect(await bob.heard("alice")).toEqual(numbered("please", 7))
  expect(await bob.client.requests()).toEqual([])
})

test("who was refused is not heard, and is told nothing", { timeout: PATIENT }, async () => {
  const [alice, bob] = [await signUp(relay.origin), await signUp(relay.origin)]
  await alice.client.addContact(await bob.client.card(), "bob")
  await alice.write("bob", "please")
  await until(async () => (await bob.client.requests()).length === 1)

  await bob.client.refuseRequest((await bob.client.requests())[0]?.id ?? 0)
  await alice.write("bob", "please!")
  await until(async () => (await alice.states("bob")).every((state) => state === "accepted"))

  expect(await bob.client.requests()).toEqual([])
  expect((await bob.client.blocked()).length).toBe(1)
  expect(await bob.client.conversations()).toEqual([])
})

test("who is blocked is not heard, others go on, and unblocking lets them in again", { timeout: PATIENT }, async () => {
  const [alice, bob] = await talking(relay.origin)
  const carol = await signUp(relay.origin)
  await bob.client.addContact(await carol.client.card(), "carol")
  await carol.client.addContact(await bob.client.card(), "bob")
  await carol.write("bob", "hi")
  await until(() => areDelivered(carol, "bob"))
  const { id } = await bob.contact("alice")

  await bob.client.blockContact(id)
  await expect(bob.client.send(id, "no")).rejects.toMatchObject({ code: "misuse" })
  await alice.write("bob", "do you hear me?")
  await carol.write("bob", "and me?")
  await until(() => areDelivered(carol, "bob"))
  expect(await bob.heard("carol")).toEqual(["hi", "and me?"])
  expect(await bob.client.messages(id, null, 10)).toHaveLength(2)

  await bob.client.unblockContact(id)
  await bob.write("alice", "now I do")
  await until(async () => (await alice.heard("bob")).includes("now I do"))
})

test("a lost session is repaired, and what it cost comes again", { timeout: PATIENT }, async () => {
  const [alice, bob] = await talking(relay.origin)

  await loseSessions(bob)
  await alice.write("bob", "lost?")
  await until(() => areDelivered(alice, "bob"))
  await bob.write("alice", "not at all")
  await until(() => areDelivered(bob, "alice"))

  expect(await bob.heard("alice")).toEqual(["hello", "lost?"])
  expect(await alice.heard("bob")).toEqual(["hello yourself", "not at all"])
  expect((await bob.notices("alice")).map((notice) => notice.kind)).toContain("refreshed")
})

test("a message that got lost is noticed, asked for and shown", { timeout: PATIENT }, async () => {
  const own = await RelayProcess.start()
  try {
    mayReach(relay.origin, own.origin)
    const [alice, bob] = await talking(own.origin)
    await own.end()
    await writeAll(alice, "bob", ["one", "two", "three"])
    await until(async () => (await alice.client.store.count(table.deliveries, "state", ["sealed", 1])) === 3)
    const [, lost] = await alice.client.store.all(table.deliveries, "state", ["sealed", 1])
    await bob.client.store.transaction(async (tx) => {
      tx.put(table.seen, { envelope: toHex(sha256(lost?.envelope ?? new Uint8Array())), day: 100_000 })
      await Promise.resolve()
    })

    await own.start()
    await until(async () => (await bob.client.store.count(table.held, null, null)) === 1)
    expect(await bob.heard("alice")).toEqual(["hello", "one"])
    await bob.client.store.transaction(async (tx) => {
      for (const gap of await tx.all(table.gaps, null, null)) {
        tx.put(table.gaps, { ...gap, noticed: (gap.noticed - HOLD) as Millis })
      }
    })
    await until(() => areDelivered(alice, "bob"))

    expect(await bob.heard("alice")).toEqual(["hello", "one", "three", "two"])
    expect((await bob.notices("alice")).filter((notice) => notice.kind === "gap")).toMatchObject([
      { data: { missing: 1 } },
    ])
  } finally {
    await own.remove()
    mayReach(relay.origin)
  }
})

test("two compare safety numbers by digits and by code", { timeout: PATIENT }, async () => {
  const [alice, bob] = await talking(relay.origin)
  const [{ id: bobs }, { id: alices }] = [await alice.contact("bob"), await bob.contact("alice")]
  const [ours, theirs] = [await alice.client.safetyNumber(bobs), await bob.client.safetyNumber(alices)]

  expect(ours.groups).toEqual(theirs.groups)
  await expect(alice.client.verify(bobs, { number: "12345 ".repeat(12) })).rejects.toMatchObject({ code: "safety-number-differs" })
  expect((await alice.contact("bob")).verified).toBe(false)
  expect((await alice.client.verify(bobs, { number: ours.groups.join(" ") })).verified).toBe(true)
  expect((await bob.client.verify(alices, { scanned: ours.qr })).verified).toBe(true)
})

test("a frozen contact is not written to until the person decides", { timeout: PATIENT }, async () => {
  const [alice, bob] = await talking(relay.origin)
  const { id } = await alice.contact("bob")
  await alice.client.store.transaction((tx) => tx.update(table.contacts, id, { frozen: "stale-directory" }))

  await expect(alice.client.send(id, "hello?")).rejects.toMatchObject({ code: "stale-directory" })
  await alice.client.trustContact(id)
  await alice.write("bob", "hello again")
  await until(async () => (await bob.heard("alice")).includes("hello again"))
  expect((await contactById(alice.client.store, id)).frozen).toBeNull()
})

test("a recovered account is found by the next message", { timeout: PATIENT }, async () => {
  const bob = await signUp(relay.origin)
  const first = await Tab.open()
  const { recoveryCode } = await first.client.createAccount(relay.origin)
  await introduce(first, bob)
  await bob.write("alice", "one")
  await until(() => areDelivered(bob, "alice"))
  await first.write("bob", "heard")
  await until(() => areDelivered(first, "bob"))

  const second = await Tab.open()
  await second.client.recoverAccount(relay.origin, recoveryCode)
  await until(async () => (await first.client.status()).connection === "refused")
  expect((await first.client.status()).reason).toBe("not-authenticated")
  await bob.write("alice", "two")

  await until(async () => (await second.client.requests()).length === 1)
  const [request] = await second.client.requests()
  await second.client.acceptRequest(request?.id ?? 0, "bob")
  expect(await second.heard("bob")).toEqual(["two"])
  await until(() => areDelivered(bob, "alice"))
  expect((await bob.notices("alice")).map((notice) => notice.kind)).toContain("device")
})

test.each(["browser", "python"])("browser and Python talk, the %s first", { timeout: PATIENT }, async (first) => {
  const [alice, python] = [await signUp(relay.origin), await PythonClient.signUp(relay.origin)]
  try {
    await alice.client.addContact(await python.card(), "python")
    await python.call("contact", "add", await alice.client.card(), "--name", "alice")

    if (first === "browser") {
      await alice.write("python", "hello")
      expect(await python.receive()).toEqual(["hello"])
      await python.call("send", "alice", "hello yourself")
      await until(async () => (await alice.heard("python")).length === 1)
    } else {
      await python.call("send", "alice", "hello yourself")
      await until(async () => (await alice.heard("python")).length === 1)
      await alice.write("python", "hello")
      await until(async () => (await alice.states("python"))[0] !== "waiting")
      expect(await python.receive()).toEqual(["hello"])
    }
    await writeAll(alice, "python", numbered("b", 5))
    await python.call("send", "alice", "p 0")
    await until(async () => (await alice.states("python")).every((state) => state !== "waiting"))
    expect(await python.receive()).toEqual(numbered("b", 5))
    await python.call("send", "alice", "p 1")
    await until(() => areDelivered(alice, "python"))
    await until(async () => (await alice.heard("python")).length === 3)

    expect(await alice.heard("python")).toEqual(["hello yourself", "p 0", "p 1"])
    await until(async () => {
      await python.receive()
      const history = await python.call("history", "alice")
      return history.filter((entry) => entry["outgoing"] === true).every((entry) => entry["state"] === "delivered")
    })
    const { groups } = await alice.client.safetyNumber((await alice.contact("python")).id)
    await python.call("verify", "alice", "--number", groups.join(" "))
  } finally {
    python.remove()
  }
})
