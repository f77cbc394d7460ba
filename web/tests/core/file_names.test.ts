/** Names: none leads out of its folder, none misleads who sees it, and no two land in one place. */

import fc from "fast-check"
import { expect, test } from "vitest"

import { utf8 } from "../../src/core/encoding"
import { Malformed } from "../../src/core/errors"
import {
  MAX_FOLDERS,
  checkComponent,
  checkDistinct,
  checkFolders,
  checkPath,
  folded,
  safeName,
  safePaths,
} from "../../src/core/file_names"
import { refusal } from "./strict"

// Texts made of what names go wrong with.
const ODD = fc
  .array(
    fc.oneof(
      fc.constantFrom(...Array.from('a.b .-~_/\\:*?"<>|\t\r\n\0\x7f\u{9b}\u202e\u200b\u200d\u{a0}\u3000\ufeffß\u0301\u0308\u017fİ\u0131')),
      fc.string({ unit: "binary", minLength: 1, maxLength: 2 }),
      fc.constantFrom("\ud800", "\udfff"),
    ),
    { maxLength: 40 },
  )
  .map((parts) => parts.join(""))
const COMPONENT = ODD.map((name) => `n${name.replaceAll("/", "")}`)

test.each(["a", ".hidden", "-", "ä".repeat(127), "x".repeat(255), "a b", "\u202e", "con", "…"])(
  "%j may be sent",
  (name) => {
    expect(checkComponent(name)).toBe(name)
    expect(checkPath(`b/${name}`)).toBe(`b/${name}`)
  },
)

test.each(["", ".", "..", "a/b", "a\\b", "a\0", "a\n", "\x7f", "\u{9b}", "x".repeat(256), "ä".repeat(128), "\ud800"])(
  "%j may not",
  async (name) => {
    await refusal(() => checkComponent(name), Malformed)
    if (name !== "a/b") await refusal(() => checkPath(`b/${name}`), Malformed)
  },
)

test("a path has its own limit", async () => {
  const longest = `${"d".repeat(255)}/`.repeat(4)
  expect(checkPath(longest.slice(0, -1))).toHaveLength(1023)
  await refusal(() => checkPath(`${longest}d`), Malformed)
  for (const path of ["", "/a", "a/", "a//b", "a/../b"]) await refusal(() => checkPath(path), Malformed)
})

test.each([
  [["a", "A"]],
  [["straße", "STRASSE"]],
  [["\u00e4", "a\u0308"]],
  [["\u03c3", "\u03c2"]],
  [["a", "a b", "a!/c", "A/b"]],
])("%j need one place", async (paths) => {
  await refusal(() => { checkDistinct(paths) }, Malformed)
  await refusal(() => { checkDistinct(paths.toReversed()) }, Malformed)
})

test("files apart pass", () => {
  for (const paths of [[], ["a"], ["a", "ab", "a b/c"], ["a/b", "a/bc", "a!", "b/a"]]) checkDistinct(paths)
})

test("paths need so many folders together", async () => {
  const most = Array.from({ length: Math.floor(MAX_FOLDERS / 501) }, (_, at) => `${at}/${"s/".repeat(500)}f`)
  most.push(...Array.from({ length: MAX_FOLDERS % 501 }, (_, at) => `t${at}/f`))
  checkFolders([...most, ...most.map((path) => `${path} of the same folder`), "f"])
  await refusal(() => {
    checkFolders([...most, "one/more"])
  }, Malformed)
})

test("a safe name is safe and stays as it is", () => {
  fc.assert(
    fc.property(ODD, (name) => {
      const safe = safeName(name)
      expect(checkComponent(safe)).toBe(safe)
      expect(safeName(safe)).toBe(safe)
      expect(safe.normalize("NFC")).toBe(safe)
      expect(safe).not.toMatch(/^[.\-~ ]|[. ]$|[/\\:*?"<>|]| {2}/)
      // The algorithm's list must hold what this engine calls directions, line ends and controls.
      expect(safe).not.toMatch(/\p{Bidi_Control}|\p{Cc}|\p{Zl}|\p{Zp}/u)
      expect(safe).not.toMatch(/(?![\u200c\u200d\p{Variation_Selector}])\p{Default_Ignorable_Code_Point}/u)
    }),
    { numRuns: 200 },
  )
})

test("every path gets a place of its own", () => {
  fc.assert(
    // As a manifest lists them: without empty components.
    fc.property(fc.uniqueArray(COMPONENT, { minLength: 1, maxLength: 8 }), (paths) => {
      const saved = safePaths(paths)
      expect(new Set(saved.map(folded)).size).toBe(paths.length)
      for (const path of saved) expect(checkPath(path)).toBe(path)
    }),
  )
})

test("two thousand names that become one are no long search", () => {
  const saved = safePaths(Array.from({ length: 2_000 }, (_, at) => `x${"\u200b".repeat(at)}`))
  expect(saved.slice(0, 3)).toEqual(["x", "x (2)", "x (3)"])
  expect(saved.at(-1)).toBe("x (2000)")
})

test("a long name is cut between characters and before its extension", () => {
  for (const extension of [".txt", ".gz", ""]) {
    const safe = safeName(`n${"👋".repeat(100)}${extension}`)
    expect(safe.endsWith(extension)).toBe(true)
    expect(utf8(safe).length).toBeGreaterThan(250)
    expect(utf8(safe).length).toBeLessThanOrEqual(255)
  }
})
