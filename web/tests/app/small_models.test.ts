import { expect, test } from "vitest"
import { alertsOf } from "../../src/app/models/alerts"
import { patternOf, shortId } from "../../src/app/models/avatar"
import { cardIn, isMeantAsCard, linkOf } from "../../src/app/models/card_link"
import { coalesce } from "../../src/app/models/coalesce"
import { foldCode, isOrigin } from "../../src/app/models/first_run"
import { People } from "../../src/app/models/people"
import { excerptOf, fold } from "../../src/app/models/search"
import { merge } from "../../src/app/models/thread"
import { refusalText } from "../../src/app/text/problems"
import type { Api, Entry, Transfer } from "../../src/client/api"
import { BadSignature } from "../../src/core/errors"

const ADDRESS = "3ef9f75f1ba14a95581928fc72367f3a5e11dc3d919c17b55ecad9b0f94daa5d"

const entry = (position: number, state: Entry["state"] = "received"): Entry => {
  return { position, id: String(position), contact: 1, outgoing: false, text: "", time: 0, received: 1000, state, file: null }
}

const said = (text: string): Entry => ({ ...entry(1), text })

test("the pattern depends on the address and is the same every time", () => {
  expect(patternOf(ADDRESS)).toEqual(patternOf(ADDRESS))
  expect(patternOf(ADDRESS).path).not.toBe(patternOf(ADDRESS.replace(/^../, "00").replace(/f9f7/, "0102")).path)
  expect(patternOf("00".repeat(32)).path).not.toBe("")
  expect(shortId(ADDRESS)).toBe("3ef9 f75f 1ba1 4a95")
})

test("a card becomes the link of spec/identity.md, and is found in an address", () => {
  const link = linkOf("halonyx:ATFo53g", "https://relay.example")
  expect(link).toBe("https://relay.example/#add=ATFo53g")
  expect(cardIn({ origin: "https://relay.example", hash: "#add=ATFo53g" })).toBe(link)
  expect(cardIn({ origin: "https://relay.example", hash: "#other" })).toBeNull()
})

test("a damaged card is told from what is no card", () => {
  expect([" halonyx:AT", "HALONYX:AT", "https://relay.example/#add=AT"].filter(isMeantAsCard)).toHaveLength(3)
  expect(["", "hello", "https://relay.example/"].filter(isMeantAsCard)).toEqual([])
})

test("a recovery code is read as a person types it", () => {
  expect(foldCode(" s2n0-pynw oil")).toBe("S2N0PYNW011")
})

test("only what can be a relay may be chosen", () => {
  const good = ["https://relay.example", "https://relay.example:8443", "http://localhost:3000", "http://[::1]"]
  const bad = ["", "relay.example", "http://relay.example", "https://relay.example/", "https://Relay.example"]
  expect(good.filter(isOrigin)).toEqual(good)
  expect(bad.filter(isOrigin)).toEqual([])
})

test("an excerpt shows the match in its own letters, between whole words", () => {
  const words = "Bring the small tent and two lamps, and your blue Notebook from March"
  const excerpt = { before: "…two lamps, and your blue ", match: "Notebook", after: " from March" }
  expect(excerptOf(said(words), " notebook ")).toEqual(excerpt)
  expect(excerptOf(said("a\nb"), "a b").match).toBe("a b")
  expect(excerptOf(said("nothing"), "else")).toEqual({ before: "nothing", match: "", after: "" })
})

test("an offer is found by the name of its file, and shows it", () => {
  const offer = { text: "", file: { name: "holiday\u202egpj.exe" } as Transfer }
  expect(excerptOf(offer, "Holiday")).toEqual({ before: "", match: "holiday", after: "gpj.exe" })
})

test("names are found without their accents", () => {
  expect(fold("Inês Çelik")).toBe("ines celik")
})

test("parts of a conversation are joined in order, the later word on a message winning", () => {
  const merged = merge([entry(1), entry(3), entry(4)], [entry(2), entry(3, "failed")])
  expect(merged.map(({ position, state }) => `${position} ${state}`)).toEqual([
    "1 received",
    "2 received",
    "3 failed",
    "4 received",
  ])
})

test("a message is worth a tone once, if it is theirs and fresh", () => {
  const seen = new Set<string>()
  const entries = [entry(1), { ...entry(2), outgoing: true }, { ...entry(3), received: -100_000 }]
  expect(alertsOf(entries, seen, 2000).map((alert) => alert.entry.position)).toEqual([1])
  expect(alertsOf(entries, seen, 2000)).toEqual([])
})

test("what is asked for during a run is done by one more run", async () => {
  let runs = 0
  let atOnce = 0
  const run = coalesce(async () => {
    runs++
    expect(++atOnce).toBe(1)
    await Promise.resolve()
    atOnce--
  })
  await Promise.all([run(), run(), run(), run()])
  expect(runs).toBe(2)
  await run()
  expect(runs).toBe(3)
})

test("a notice is closed for good, with those of its kind before it and no others", async () => {
  const notices = [{ id: 1, kind: "announcement" }, { id: 2, kind: "restored" }, { id: 3, kind: "announcement" }]
  const forgotten: number[] = []
  const none = (): Promise<readonly never[]> => Promise.resolve([])
  const people = new People({
    ...{ conversations: none, requests: none, blocked: none, notices: () => Promise.resolve(notices) },
    forgetNotice: (id: number) => Promise.resolve(forgotten.push(id)),
  } as unknown as Api)
  await people.refresh()
  people.closeNotices("announcement")
  expect(forgotten).toEqual([1, 3])
  people.closeNotices("requests-full", "restored")
  expect(forgotten).toEqual([1, 3, 2])
})

test("a relay that has another key than at sign-up is not called one that refuses this device", () => {
  expect(refusalText(new BadSignature("").code)).toContain("another key")
  expect(refusalText("forbidden")).toContain("refused")
})
