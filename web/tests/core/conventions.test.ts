/** The closed tables of spec/conventions.md, and what core may not touch. */

import { readFileSync, readdirSync } from "node:fs"

import * as fc from "fast-check"
import { expect, test } from "vitest"

import { toHex, utf8 } from "../../src/core/encoding"
import * as errors from "../../src/core/errors"
import * as labels from "../../src/core/labels"
import { hashOf } from "../../src/core/labels"
import { anyBytes } from "./accounts"

const ROOT = new URL("../../../", import.meta.url)
const CORE = new URL("web/src/core/", ROOT)
const NAMESPACE = "halonyx/1 "
// What the relay keeps for itself.
const RELAY_ONLY = ["relay backup", "relay pseudonym", "sealed column", "sign-up work", "setting mark"]
const ROLES = Object.values(labels).flatMap((value) =>
  value instanceof Uint8Array ? [new TextDecoder().decode(value).slice(NAMESPACE.length)] : [],
)

/** Return the first cells of every table row of a section, without their backticks. */
function firstCells(section: string): readonly string[] {
  const text = readFileSync(new URL("spec/conventions.md", ROOT), "utf8")
  const [, body = ""] = text.split(`\n## ${section}\n`)
  const [rows = ""] = body.split(/\n##+ /)
  const cells = Array.from(rows.matchAll(/^\| `?([^`|]+?)`? \|/gm), ([, cell = ""]) => cell)
  return cells.filter((cell) => cell !== "Role" && cell !== "Code")
}

test("the labels are those of the specification", () => {
  for (const value of Object.values(labels)) {
    if (value instanceof Uint8Array) expect(new TextDecoder().decode(value)).toMatch(/^halonyx\/1 [ -~]+$/)
  }
  expect(ROLES.toSorted()).toEqual(firstCells("Labels").filter((role) => !RELAY_ONLY.includes(role)).toSorted())
})

test("no label stands for two things or begins another", () => {
  const sorted = ROLES.toSorted()
  expect(sorted.length).toBeGreaterThan(30)
  for (const [at, role] of sorted.slice(1).entries()) expect(role.startsWith(sorted[at] ?? "")).toBe(false)
})

test("HS tells part boundaries apart", () => {
  const parts = fc.array(anyBytes(0, 6), { maxLength: 4 })
  fc.assert(
    fc.property(parts, parts, (first, second) => {
      const isSame = first.map(toHex).join() === second.map(toHex).join() && first.length === second.length
      expect(toHex(hashOf(labels.USID, ...first)) === toHex(hashOf(labels.USID, ...second))).toBe(isSame)
    }),
  )
  const absent = [hashOf(labels.USID), hashOf(labels.USID, utf8("")), hashOf(labels.USID, utf8(""), utf8(""))]
  expect(new Set(absent.map(toHex)).size).toBe(3)
})

test("the error codes are those of the specification", () => {
  const { HalonyxError, RemoteError, ...concrete } = errors
  const found = Object.values(concrete).map((kind) => new kind("for a test"))
  expect(found.map((error) => error.code).toSorted()).toEqual(
    firstCells("Error codes").filter((code) => code !== "error").toSorted(),
  )
  for (const error of found) expect(error).toBeInstanceOf(HalonyxError)
  const remote = found.filter((error) => error instanceof RemoteError).map((error) => error.code)
  expect(remote).not.toContain("misuse")
  expect(remote).toHaveLength(12)
})

test("core touches no clock, network, storage, log or random source", () => {
  const outside = /\bDate\b|Math\.random|\bfetch\(|WebSocket|indexedDB|Storage\b|console\.|setTimeout|navigator|self\./
  const files = readdirSync(CORE).filter((name) => name.endsWith(".ts"))
  expect(files.length).toBeGreaterThan(12)
  for (const name of files) {
    const source = readFileSync(new URL(name, CORE), "utf8").replaceAll(/\/\*\*[^]*?\*\/|\/\/.*/g, "")
    expect(outside.exec(source)?.[0], name).toBeUndefined()
    const isMaker = name === "primitives.ts" || name === "post_quantum.ts"
    expect(/\bcrypto\.|@noble\//.test(source), name).toBe(isMaker)
  }
})
