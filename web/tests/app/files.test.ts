import { expect, test } from "vitest"
import { actionsOf, isProgram, kindOf, partsOfName, shareOf, wayOf } from "../../src/app/models/files"
import { folders, joined, nameOf, problemOf, single, sizeOf } from "../../src/app/models/parcels"
import { Transfers } from "../../src/app/models/transfers"
import { durationText, percentText, sizeText, speedText } from "../../src/app/text/amounts"
import { fileReasonText } from "../../src/app/text/problems"
import type { Transfer, TransferState } from "../../src/client/api"

const transfer = (fields: Partial<Transfer> = {}): Transfer => ({
  ...{ id: "00", version: 1, contact: 1, outgoing: false, name: "note.txt", mediaType: "text/plain", isFolder: false, count: 1 },
  ...{ size: 10, thumbnail: null, state: "offered", reason: null, done: 0, total: 1000, down: 0, up: 0, peers: 0 },
  ...{ ratio: 0, secondsLeft: null, path: null, inDrop: false, directAllowed: false, hasDrop: false, hasTurn: false },
  ...fields,
})

const STATES: readonly TransferState[] = [
  ...(["preparing", "offered", "waiting", "transferring", "paused"] as const),
  ...(["verifying", "done", "refused", "cancelled", "failed"] as const),
]

test("each state offers what can be done in it, and nothing else", () => {
  const found = (outgoing: boolean): Record<string, string> =>
    Object.fromEntries(STATES.map((state) => [state, actionsOf(transfer({ state, outgoing })).join(" ")]))

  expect(found(true)).toEqual({
    ...{ preparing: "cancel", offered: "cancel", waiting: "pause cancel", transferring: "pause cancel" },
    ...{ paused: "resume cancel", verifying: "", done: "", refused: "", cancelled: "", failed: "retry forget" },
  })
  expect(found(false)).toEqual({
    ...{ preparing: "cancel", offered: "accept refuse", waiting: "pause cancel", transferring: "pause cancel" },
    ...{ paused: "resume cancel", verifying: "", done: "save forget", refused: "", cancelled: "" },
    failed: "retry forget",
  })
})

test("a reason that a person can do something about comes with the button for it", () => {
  const actions = (reason: string, fields: Partial<Transfer> = {}): readonly string[] =>
    actionsOf(transfer({ state: "waiting", reason, ...fields }))

  expect(actions("needs-direct")).toEqual(["allowDirect", "cancel"])
  expect(actions("relay-unreachable")).toEqual(["retry", "pause", "cancel"])
  expect(actions("peer-offline")).toEqual(["pause", "cancel"])
  expect(actions("interrupted", { state: "failed", outgoing: true })).toEqual([])
  expect(actions("wrong-hash", { state: "failed" })).toEqual(["retry", "forget"])
  expect(actions("damaged", { state: "failed", outgoing: true })).toEqual(["forget"]) // it lies here
  expect(actions("expired", { state: "failed", outgoing: true })).toEqual([])
})

test("that our relay has no detour is said only when it has said so", () => {
  expect([wayOf(true, null), wayOf(false, null), wayOf(false, true), wayOf(false, false)]).toEqual(
    ["direct", "asking", "relayed", "noWay"],
  )
})

test("every reason of the client has words, for either side", () => {
  const codes = [
    ...["peer-offline", "relay-unreachable", "relay-not-allowed", "needs-direct", "no-turn", "drop-full", "no-drop"],
    ...["drop-unknown", "wrong-hash", "wrong-metadata", "damaged", "disk-full", "gone", "file-changed", "interrupted"],
    ...["internal", "expired"],
  ]
  for (const code of codes) {
    for (const isOurs of [true, false]) {
      const words = fileReasonText(code, "Bob", isOurs)
      expect(words).toMatch(/^[A-Z].*\.$/)
      expect(words).not.toContain(`(${code})`)
    }
  }
  expect(fileReasonText("toString", "Bob", true)).toContain("(toString).")
})

test("a share is told where it means something", () => {
  expect(shareOf(transfer({ state: "transferring", done: 250 }))).toBe(0.25)
  expect(shareOf(transfer({ state: "transferring", done: 2000 }))).toBe(1)
  expect(shareOf(transfer({ state: "preparing", total: 0 }))).toBeNull()
  expect(shareOf(transfer({ state: "done", done: 1000 }))).toBeNull()
})

test("a name is shown as it would be saved, its extension never out of sight", () => {
  expect(partsOfName("note.txt")).toEqual(["note", ".txt"])
  expect(partsOfName("holiday\u202egpj.exe")).toEqual(["holidaygpj", ".exe"])
  expect(partsOfName("a\u2066b\u2069.pdf")).toEqual(["ab", ".pdf"])
  expect(partsOfName("../../etc/passwd")).toEqual([expect.not.stringContaining("/"), expect.anything()])
  expect(partsOfName(`photo.jpg${" ".repeat(50)}.exe`)).toEqual(["photo.jpg ", ".exe"])
  expect(partsOfName("README")).toEqual(["README", ""])
  expect(partsOfName("v1.final and really last")).toEqual(["v1.final and really last", ""])
})

test("the kind is told by the name, which decides what opens it", () => {
  const kind = (name: string, mediaType = "", isFolder = false): string => kindOf({ name, mediaType, isFolder })
  expect(kind("album", "", true)).toBe("folder")
  expect(kind("picture.exe", "image/png")).toBe("program")
  expect(kind("a.tar.gz", "application/gzip")).toBe("archive")
  expect(kind("a.pdf")).toBe("text")
  expect(kind("a.webp", "image/webp")).toBe("image")
  expect(kind("a", "font/woff2")).toBe("file")
  expect(["a.EXE", "b.html", "c.svg"].every(isProgram)).toBe(true)
  expect(isProgram("a.txt")).toBe(false)
})

test("single files are offers of their own, a folder is one", () => {
  const file = (name: string, size: number): File => new File([new Uint8Array(size)], name, { lastModified: 1 })
  const [one, two] = [file("one", 1), file("two", 2)]
  expect(single([one, two]).map(nameOf)).toEqual(["one", "two"])
  const [album] = folders([{ path: "album/one", file: one }, { path: "album/deep/two", file: two }])
  expect(album?.files.map(({ path }) => path)).toEqual(["one", "deep/two"])
  expect([album && nameOf(album), album && sizeOf(album)]).toEqual(["album", 3])
  expect(problemOf({ folder: "empty", files: [] })).toBe("empty-folder")
  const many = Array.from({ length: 10_001 }, (_, at) => ({ path: String(at), file: one }))
  expect(problemOf({ folder: "many", files: many })).toBe("too-many-files")
  expect(joined(single([one]), single([one, two])).map(nameOf)).toEqual(["one", "two"])
})

test("an offer keeps the newest that is known, and its end is told once", () => {
  const transfers = new Transfers()
  const shown = transfers.of(transfer())
  expect(transfers.take(transfer({ state: "transferring", done: 5 }))).toBeNull()
  expect(shown.value.done).toBe(5)
  expect(transfers.of(transfer({ state: "offered" })).value.state).toBe("transferring")
  expect(transfers.take(transfer({ state: "done" }))).toMatchObject({ state: "done" })
  expect(transfers.take(transfer({ state: "done" }))).toBeNull()
  expect(transfers.take(transfer({ id: "01", state: "done" }))).toBeNull() // it had ended before
})

test("how a transfer went does not bring back what has ended", () => {
  const transfers = new Transfers()
  const shown = transfers.of(transfer({ state: "transferring", version: 1 }))
  expect(transfers.take(transfer({ state: "cancelled", version: 2 }))).toMatchObject({ state: "cancelled" })
  expect(transfers.take(transfer({ state: "transferring", version: 1, done: 5 }))).toBeNull()
  expect(shown.value.state).toBe("cancelled")
})

test("amounts are written for people", () => {
  expect([0, 999, 1000, 1234, 9949, 99_500, 999_600, 5e9].map(sizeText)).toEqual([
    ...["0 byte", "999 byte", "1 kB", "1.2 kB", "9.9 kB", "100 kB", "1 MB", "5 GB"],
  ])
  expect(speedText(1_540_000)).toBe("1.5 MB/s")
  expect([0.2, 59, 60, 61, 7200].map(durationText)).toEqual(["1 sec", "59 sec", "1 min", "2 min", "2 hr"])
  expect([0.999, 1].map(percentText)).toEqual(["99%", "100%"])
})
