/** Every known answer, and every refusal for its one reason. */

import { readFileSync, readdirSync } from "node:fs"
import { describe, expect, test } from "vitest"

import { Malformed } from "../../src/core/errors"
import { RUNNERS, runVectors } from "./in_browser"
import { Fields, failureOf, readVectors, titleOf } from "./vectors"
import type { Runner } from "./vectors"

const FOLDER = new URL("../../../vectors/", import.meta.url)
const NAMES = readdirSync(FOLDER).filter((name) => name.endsWith(".json") && name !== "schema.json").sort()
const documentOf = (name: string): unknown => JSON.parse(readFileSync(new URL(name, FOLDER), "ascii"))
const VECTORS = NAMES.flatMap((name) => readVectors(name, documentOf(name)))

describe.each(NAMES)("%s", (file) => {
  const vectors = VECTORS.filter((vector) => vector.file === file).map((vector) => [titleOf(vector), vector] as const)

  test.each(vectors)("%s", async (_, vector) => {
    expect(await failureOf(vector, RUNNERS)).toBeNull()
  })
})

test("there are eight files, names are unique, and every runner is used", () => {
  expect(NAMES).toHaveLength(8)
  expect(new Set(VECTORS.map(titleOf)).size).toBe(VECTORS.length)
  expect(new Set(VECTORS.map((vector) => vector.operation))).toEqual(new Set(RUNNERS.keys()))
})

describe("the harness itself", () => {
  const sample = { file: "x.json", name: "n", spec: "s", operation: "o", input: { a: "00", b: { c: 1 } } }
  const reads = (given: Fields) => ({ a: given.hex("a"), c: given.inside("b").u64("c") })
  const outcome = (expects: string, output: Record<string, unknown> | undefined, run: Runner) =>
    failureOf({ ...sample, expect: expects, output }, new Map([["o", run]]))
  const refuses = () => {
    throw new Malformed("for a test")
  }

  test("takes the right result and the right refusal", async () => {
    expect(await outcome("ok", { a: "00", c: 1 }, reads)).toBeNull()
    expect(await outcome("malformed", undefined, refuses)).toBeNull()
  })

  test("notices another result, a field more and a field less", async () => {
    expect(await outcome("ok", { a: "01", c: 1 }, reads)).toMatch("output.a is")
    expect(await outcome("ok", { a: "00" }, reads)).toMatch("in no vector")
    expect(await outcome("ok", { a: "00", c: 1, d: null }, reads)).toMatch("missing")
    expect(await outcome("ok", undefined, reads)).toMatch("expected undefined")
  })

  test("notices a field that is not read, inside another one too", async () => {
    expect(await outcome("ok", { a: "00" }, (given) => ({ a: given.hex("a") }))).toMatch("not read: b")
    const halfway: Runner = (given) => {
      given.inside("b")
      return { a: given.hex("a") }
    }
    expect(await outcome("ok", { a: "00" }, halfway)).toMatch("not read: c")
  })

  test("notices a missing refusal, another code and an error that is not ours", async () => {
    expect(await outcome("malformed", undefined, reads)).toMatch("was not refused")
    expect(await outcome("bad-key", undefined, refuses)).toMatch("got malformed")
    expect(await outcome("ok", { a: "00", c: 1 }, refuses)).toMatch("got malformed")
    expect(await outcome("malformed", undefined, (given) => ({ a: given.text("z") }))).toMatch("there is no z")
    expect(await outcome("malformed", {}, refuses)).toMatch("with an output")
  })

  test("notices an operation without a runner and a field no vector has", async () => {
    expect(await failureOf({ ...sample, operation: "p", expect: "ok", output: {} }, RUNNERS)).toMatch("no runner")
    expect(() => readVectors("x.json", { vectors: [{ ...sample, comment: "" }] })).toThrow("unknown field")
  })

  test("reports each failure by name", async () => {
    const { file, ...vector } = sample
    const failures = await runVectors({ [file]: { vectors: [{ ...vector, expect: "ok", output: {} }] } })
    expect(failures).toEqual([{ name: "x.json: o: n", reason: "no runner for o" }])
  })
})
