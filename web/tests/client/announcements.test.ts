/** What the operator announces is shown if it is theirs, new, and the first within an hour; what a relay asks for. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest"

import { takeInAnnouncement } from "../../src/client/announcements"
import * as table from "../../src/client/schema"
import { concat, encodeBase64url, utf8 } from "../../src/core/encoding"
import { SigningKey, randomBytes } from "../../src/core/primitives"
import { ENTROPY_SIZE, encodeRecoveryCode } from "../../src/core/recovery"
import type { Bytes, Millis } from "../../src/core/types"
import { DAY, HOUR } from "../../src/core/types"
import { MAX_TEXT, signAnnouncement } from "../../src/wire/announcement"
import { RelayProcess } from "../relay_process"
import { LyingRelay } from "./lying_relay"
import { closeAll, mayReach, signUp, Tab } from "./persons"

const NOW = 1_800_000_000_000 as Millis
const HANGING = 120_000

let relay: RelayProcess
let operator: SigningKey
let alice: Tab

beforeAll(async () => {
  relay = await RelayProcess.start({ HALONYX_CONTACT_REQUIRED: "true" })
  mayReach(relay.origin)
  operator = await SigningKey.generate()
}, HANGING)

afterAll(async () => {
  await relay.remove()
})

beforeEach(async () => {
  alice = await Tab.open()
  await alice.client.createAccount(relay.origin, null, { name: "Ann", email: "ann@mail.example" })
  await alice.client.store.transaction(async (tx) => {
    await tx.update(table.account, 1, { operatorKey: operator.public.raw })
  })
}, HANGING)

afterEach(closeAll)

const said = (text: string, time = NOW, key = operator): Promise<Bytes> =>
  signAnnouncement({ time: BigInt(time), text }, key)

const hears = async (encoded: Bytes | Promise<Bytes>, now = NOW): Promise<boolean> =>
  takeInAnnouncement(alice.client.store, await encoded, now)

const shown = async (): Promise<readonly unknown[]> =>
  (await alice.client.notices(null)).map(({ kind, data }) => [kind, data["announcement"], data["relay"]])

describe("an announcement", () => {
  test("is shown once, as from the operator of our relay, until it is closed", async () => {
    expect(await hears(said("The relay moves."))).toBe(true)
    expect(await shown()).toEqual([["announcement", "The relay moves.", relay.origin]])
    expect(await hears(said("The relay moves."), (NOW + 3 * HOUR) as Millis)).toBe(false)
    for (const { id } of await alice.client.notices(null)) await alice.client.forgetNotice(id)
    await alice.client.forgetNotice(12345)
    expect(await shown()).toEqual([])
  })

  test("by nobody, by another, altered or cut off changes nothing", async () => {
    const good = await said("hello")
    const altered = concat(good)
    altered[13] = (altered[13] ?? 0) ^ 1
    for (const wrong of [
      said("hello", NOW, await SigningKey.generate()),
      good.slice(0, -64),
      good.slice(0, -1),
      concat(good, utf8("x")),
      altered,
      new Uint8Array(1),
    ]) {
      expect(await hears(wrong)).toBe(false)
    }
    expect(await shown()).toEqual([])
    expect(await hears(good)).toBe(true)
  })

  test("comes once an hour, by the operator’s clock and by ours, and no older one after it", async () => {
    const later = (NOW + HOUR) as Millis
    expect(await hears(said("one"))).toBe(true)
    expect(await hears(said("two", (later - 1) as Millis), (NOW + 2 * HOUR) as Millis)).toBe(false)
    expect(await hears(said("old", (NOW - 2 * HOUR) as Millis), (NOW + 2 * HOUR) as Millis)).toBe(false)
    expect(await hears(said("three", later), (later - 1) as Millis)).toBe(false)
    expect(await hears(said("three", later), later)).toBe(true)
  })

  test("that is over, or of days to come, is not shown", async () => {
    expect(await hears(said("over", (NOW - 7 * DAY) as Millis))).toBe(false)
    expect(await hears(said("to come", (NOW + DAY + 1) as Millis))).toBe(false)
    expect(await hears(said("hello", (NOW + DAY) as Millis))).toBe(true)
  })

  test("is heard after a clock that was ahead, and by no account that pinned no key", async () => {
    await alice.client.store.transaction(async (tx) => {
      await tx.update(table.account, 1, { announcementCame: (NOW + 300 * DAY) as Millis })
    })
    expect(await hears(said("hello"))).toBe(true)
    await alice.client.store.transaction(async (tx) => {
      const before: Record<string, unknown> = { ...(await tx.get(table.account, 1)) }
      delete before["operatorKey"]
      tx.put(table.account, before as unknown as table.StoredAccount)
    })
    expect(await hears(said("later", (NOW + HOUR) as Millis), (NOW + HOUR) as Millis)).toBe(false)
  })

  test("of more than 2,000 bytes, or of two lines, is none", async () => {
    for (const text of ["", "two\nlines", "x".repeat(MAX_TEXT + 1)]) {
      await expect(said(text)).rejects.toMatchObject({ code: "misuse" })
    }
  })
})

describe("a relay that asks for a name and an e-mail address", () => {
  test("takes nobody without, and nobody with something else", async () => {
    await expect(signUp(relay.origin)).rejects.toMatchObject({ code: "contact-required" })
    const tab = await Tab.open()
    for (const [contact, code] of [
      [{ name: "Ann", email: "ann" }, "malformed-contact"],
      [{ name: "Ann", email: "ann@mail.example\n" }, "malformed-contact"],
      [{ name: " ", email: "ann@mail.example" }, "malformed-contact"],
    ] as const) {
      await expect(tab.client.createAccount(relay.origin, null, contact)).rejects.toMatchObject({ code })
    }
    const invited = tab.client.createAccount(relay.origin, "0".repeat(31))
    await expect(invited).rejects.toMatchObject({ code: "malformed-invite" })
  })

  test("takes an identity back that it never had, with them", async () => {
    const [tab, later] = [await Tab.open(), await Tab.open()]
    const code = encodeRecoveryCode(randomBytes(ENTROPY_SIZE))
    const details = { name: "Ann", email: "ann@mail.example" }
    for (const [typed, invite, contact, expected] of [
      [code, null, null, "contact-required"],
      [code, null, { name: "Ann", email: "ann" }, "malformed-contact"],
      [code, "0".repeat(31), details, "malformed-invite"],
      [code.slice(1), null, details, "malformed-code"],
    ] as const) {
      const refused = tab.client.recoverAccount(relay.origin, typed, invite, contact)
      await expect(refused).rejects.toMatchObject({ code: expected })
    }
    await tab.client.recoverAccount(relay.origin, code, null, details)
    const { account } = await tab.client.status()
    await later.client.recoverAccount(relay.origin, code) // now it has it, and asks for nothing
    expect((await later.client.status()).account).toEqual({ ...account, device: 2 })
  })

  test("is known before any work is done", async () => {
    const asking = { HALONYX_CONTACT_REQUIRED: "true", HALONYX_SIGNUP: "pow", HALONYX_POW_BITS: "28" }
    const other = await RelayProcess.start(asking)
    try {
      mayReach(other.origin)
      await expect(signUp(other.origin)).rejects.toMatchObject({ code: "contact-required" })
    } finally {
      mayReach(relay.origin)
      await other.remove()
    }
  }, HANGING)

  test("is the only one that is told", async () => {
    const other = await RelayProcess.start()
    try {
      mayReach(relay.origin, other.origin)
      const tab = await Tab.open()
      await tab.client.createAccount(other.origin, null, { name: "Ann", email: "ann@mail.example" }) // else refused
      expect((await tab.client.status()).account?.origin).toBe(other.origin)
    } finally {
      mayReach(relay.origin)
      await closeAll()
      await other.remove()
    }
  }, HANGING)
})

test.each(["relay_key", "operator_key"])("a relay whose %s is none is asked for nothing", async (name) => {
  const info = (await (await fetch(`${relay.origin}/v1/relay`)).json()) as object
  const none = { ...info, contact_required: false, [name]: encodeBase64url(new Uint8Array(32).fill(255)) }
  const liar = await LyingRelay.start({ answer: (_, response) => response.end(JSON.stringify(none)) })
  try {
    mayReach(liar.origin)
    await expect(signUp(liar.origin)).rejects.toMatchObject({ code: "bad-key" })
    expect(liar.requests.map(({ url }) => url)).toEqual(["/v1/relay"])
  } finally {
    mayReach(relay.origin)
    await liar.end()
  }
})
