import { expect, test } from "vitest"
import { linesOf, type Line, type Shown } from "../../src/app/models/lines"
import type { Entry, Notice } from "../../src/client/api"

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE
const START = 20_000 * DAY
const dayOf = (time: number): number => Math.floor(time / DAY)

function entry(position: number, minutes: number, outgoing = false): Entry {
  const received = START + minutes * MINUTE
  const id = position.toString(16).padStart(32, "0")
  const state = outgoing ? "waiting" : "received"
  return { position, id, contact: 1, outgoing, text: "text", time: received, received, state, file: null }
}

function shown(entries: readonly Entry[], more: Partial<Shown> = {}): Shown {
  return { entries, notices: [], unreadFrom: null, isStart: true, isEnd: true, ...more }
}

const kinds = (lines: readonly Line[]): string[] =>
  lines.map((line) => (line.kind === "message" ? (line.isFirst ? "first" : "joined") : line.kind))

test("messages of one sender within five minutes are one group", () => {
  const entries = [entry(1, 0), entry(2, 5), entry(3, 10.1), entry(4, 11, true), entry(5, 12)]
  expect(kinds(linesOf(shown(entries), [], dayOf))).toEqual(["day", "first", "joined", "first", "first", "first"])
})

test("each day is named once, and begins a group", () => {
  const entries = [entry(1, 24 * 60 - 1), entry(2, 24 * 60 + 1)]
  expect(kinds(linesOf(shown(entries), [], dayOf))).toEqual(["day", "first", "day", "first"])
})

test("the line of new messages stands before the first of them", () => {
  const lines = linesOf(shown([entry(1, 0), entry(2, 1), entry(3, 2)], { unreadFrom: 2 }), [], dayOf)
  expect(kinds(lines)).toEqual(["day", "first", "unread", "first", "joined"])
})

test("a notice stands where its time is, and only if its neighbours are loaded", () => {
  const notice = (id: number, minutes: number): Notice => {
    return { id, kind: "gap", contact: 1, time: START + minutes * MINUTE, data: {} }
  }
  const notices = [notice(1, -5), notice(2, 1.5), notice(3, 9)]
  const entries = [entry(1, 0), entry(2, 1), entry(3, 2)]
  const part = linesOf(shown(entries, { notices, isStart: false, isEnd: false }), [], dayOf)
  expect(kinds(part)).toEqual(["day", "first", "joined", "notice", "first"])
  const whole = linesOf(shown(entries, { notices }), [], dayOf)
  expect(kinds(whole)).toEqual(["day", "notice", "day", "first", "joined", "notice", "first", "notice"])
})

test("one more message, or a changed state, leaves the other lines the same objects", () => {
  const entries = Array.from({ length: 50 }, (_, at) => entry(at, at, at % 3 === 0))
  const before = linesOf(shown(entries), [], dayOf)
  const copies = entries.map((one) => ({ ...one }))
  copies[9] = { ...entry(9, 9, true), state: "delivered" }
  const after = linesOf(shown([...copies, entry(50, 50)]), before, dayOf)
  const changed = after.filter((line, at) => line !== before[at])
  expect(changed.map((line) => line.key)).toEqual(["message 9", "message 50"])
})

test("ten thousand messages have keys that differ", () => {
  const entries = Array.from({ length: 10_000 }, (_, at) => entry(at, at * 7, at % 5 === 0))
  const lines = linesOf(shown(entries), [], dayOf)
  expect(new Set(lines.map((line) => line.key)).size).toBe(lines.length)
})
