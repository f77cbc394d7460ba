/** Every error code that a person can meet has words of its own. */

import { readFileSync, readdirSync } from "node:fs"

import { expect, test } from "vitest"

import { fileReasonText, problemText, refusalText, waitingText } from "../../src/app/text/problems"
import * as errors from "../../src/core/errors"
import { ERRORS } from "../../src/wire/rest"

const SOURCE = new URL("../../src/", import.meta.url)
const NAMED = /(?:new (?:HalonyxError|Refused)\(|asTyped\(|new StoreError\("[^"]*",)\s*(?:"([a-z-]+)"|([A-Z_]+))/g
const CONSTANT = /const ([A-Z_]+) = "([a-z-]+)"/g

/** Why a transfer waits or failed; said below it alone. */
const OF_FILES = ["drop-full", "drop-unknown", "file-changed", "needs-direct", "no-drop", "no-turn", "strange-relay"]
/** Why messages wait; said below them alone. */
const OF_MESSAGES = ["loopback-origin", "no-valid-prekey"]
/** Why there is no connection; said above everything. */
const OF_CONNECTION = ["replaced"]
/** Asked for by a view that has words for it. */
const OF_VIEWS = ["reader-not-loaded", "safety-number-differs"]
/** Counted where a message is missing, and never the end of what a person does. */
const INSIDE = ["unknown-prekey", "unknown-session", "replay", "duplicate", "too-far-ahead"]
/** Only a broken program causes these: they are told with their code. */
const BROKEN = ["bad-range", "drop-conflict", "internal", "prekeys-full"]

/** Return the codes that the source gives by name, those of errors, and those of relays. */
function allCodes(): readonly string[] {
  const isConcrete = (kind: { readonly length: number }): boolean => kind.length === 1 // the others are given a code
  const found = Object.values(errors).flatMap((kind) => (isConcrete(kind) ? new kind("", "").code : []))
  const paths = readdirSync(SOURCE, { recursive: true, encoding: "utf8" }).filter((path) => /\.tsx?$/.test(path))
  const source = paths.map((path) => readFileSync(new URL(path, SOURCE), "utf8")).join("\n")
  const constants = new Map(Array.from(source.matchAll(CONSTANT), ([, name = "", code = ""]) => [name, code]))
  for (const [, code, name = ""] of source.matchAll(NAMED)) found.push(code ?? constants.get(name) ?? name)
  return [...new Set([...found, ...ERRORS.keys()])]
}

test("every error code that a person can meet has words", () => {
  const codes = allCodes()
  expect(codes).toEqual(expect.arrayContaining(["misuse", "disk-full", "another-version", "malformed-code", "wrong-host"]))
  const elsewhere = [...OF_FILES, ...OF_MESSAGES, ...OF_CONNECTION, ...OF_VIEWS, ...INSIDE, ...BROKEN]
  expect(elsewhere.filter((code) => !codes.includes(code))).toEqual([])
  const isBare = (words: string): boolean => /\([a-z-]+\)/.test(words)
  expect(codes.filter((code) => isBare(problemText(code)) && !elsewhere.includes(code))).toEqual([])
  expect([...OF_FILES, "too-large"].filter((code) => isBare(fileReasonText(code, "Bob", true)))).toEqual([])
  expect([...OF_MESSAGES, "bad-key"].filter((code) => isBare(waitingText(code)))).toEqual([])
  expect(OF_CONNECTION.filter((code) => refusalText(code) === refusalText("other"))).toEqual([])
})
