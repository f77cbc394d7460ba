/** The container: a strict manifest, exact contents, padding that hides the size and can carry nothing. */

import fc from "fast-check"
import { expect, test } from "vitest"

import { MAX_PLAINTEXT_SIZE } from "../../src/core/chunked"
import { MAX_FILES, MIN_PADDED_SIZE, Manifest, Unpacker, paddedSize, padding } from "../../src/core/container"
import type { Piece } from "../../src/core/container"
import { concat, utf8 } from "../../src/core/encoding"
import { Malformed, Misuse, UnsupportedVersion } from "../../src/core/errors"
import type { Bytes } from "../../src/core/types"
import { anyBytes } from "./accounts"
import { altered, bitFlips, raisesOnlyOurErrors, refusal, refusesTruncationsAndTrailingBytes } from "./strict"

const CONTENTS = [utf8("hello"), new Uint8Array(), new Uint8Array(300_000).map((_, at) => at % 251), utf8("!")]
const FOLDER = new Manifest(
  ["a.txt", "b/empty", "b/ä", "c"].map((path, at) => ({ path, size: CONTENTS[at]?.length ?? 0 })),
)
const WHOLE = concat(FOLDER.encode(), ...CONTENTS, ...padding(FOLDER))
const accept = (): void => undefined

function unpacked(container: Bytes, part: number): readonly Bytes[] {
  const unpacker = new Unpacker(container.length, accept)
  const pieces: Piece[] = []
  for (let at = 0; at < container.length; at += part) pieces.push(...unpacker.update(container.slice(at, at + part)))
  expect(unpacker.finish()).toBe(unpacker.manifest)
  return CONTENTS.map((_, index) => concat(...pieces.flatMap(([owner, bytes]) => (owner === index ? [bytes] : []))))
}

test.each([7, 100, 16_384, 10_000_000])("in parts of %i bytes files come out as they went in", (part) => {
  expect(unpacked(WHOLE, part)).toEqual(CONTENTS)
})

test("a manifest has one encoding", async () => {
  const small = new Manifest([
    { path: "a", size: 1 },
    { path: "b/ü", size: 2 ** 40 },
  ])
  expect(Manifest.parse(FOLDER.encode())).toEqual(FOLDER)
  await refusesTruncationsAndTrailingBytes((data) => Manifest.parse(data), small.encode())
  for (const flipped of bitFlips(small.encode())) {
    const parsed = await raisesOnlyOurErrors((data) => Manifest.parse(data), flipped)
    if (parsed instanceof Manifest) expect(parsed.encode()).toEqual(flipped)
  }
})

test("random bytes never crash the parser", async () => {
  const property = fc.asyncProperty(anyBytes(0, 60), async (data) => {
    for (const start of [[], [1, 0, 0, 0, 1], [1, 0, 0, 0, 2, 0, 1, 97]]) {
      const whole = concat(Uint8Array.from(start), data)
      await raisesOnlyOurErrors((bytes) => Manifest.parse(bytes), whole)
      await raisesOnlyOurErrors((bytes) => new Unpacker(MIN_PADDED_SIZE, accept).update(bytes), whole)
    }
  })
  await fc.assert(property)
})

test("what no manifest may say is refused", async () => {
  const of = (...entries: readonly (readonly [string, number])[]) => () =>
    new Manifest(entries.map(([path, size]) => ({ path, size })))
  await refusal(() => Manifest.parse(altered(FOLDER.encode(), 0, 3)), UnsupportedVersion)
  for (const wrong of [
    of(),
    of(["../a", 1]),
    of(["a/b", 1], ["A/B", 1]),
    of(["a", 1], ["a/b", 1]),
    of(["a", -1]),
    of(["a", 0.5]),
    of(["a", MAX_PLAINTEXT_SIZE + 1]),
    of(["a", MAX_PLAINTEXT_SIZE], ["b", MAX_PLAINTEXT_SIZE]),
    of(...Array.from({ length: 20 }, (_, at) => [`${at + 10}/${"a/".repeat(509)}b`, 0] as const)),
    of(...Array.from({ length: MAX_FILES + 1 }, (_, at) => [String(at), 0] as const)),
  ]) {
    await refusal(wrong, Malformed)
  }
  const most = of(...Array.from({ length: MAX_FILES }, (_, at) => [String(at), 0] as const))()
  expect(Manifest.parse(most.encode())).toEqual(most)
})

test("padding is Padmé from 256 KiB on", async () => {
  fc.assert(
    fc.property(fc.nat(MAX_PLAINTEXT_SIZE - 2 ** 45), (size) => {
      const padded = paddedSize(size)
      expect(padded).toBeGreaterThanOrEqual(Math.max(size, MIN_PADDED_SIZE))
      expect(paddedSize(padded)).toBe(padded)
      expect(padded.toString(2).replace(/0+$/, "").length).toBeLessThanOrEqual(8)
      expect((padded - Math.max(size, MIN_PADDED_SIZE)) / padded).toBeLessThan(0.0323)
    }),
  )
  for (let exponent = 18; exponent < 52; exponent++) {
    expect(paddedSize(2 ** exponent)).toBe(2 ** exponent)
    expect(paddedSize(2 ** exponent + 1)).toBe(2 ** exponent + 2 ** (exponent - exponent.toString(2).length))
  }
  for (const size of [2 ** 52 - 2 ** 45 + 1, 2 ** 52, NaN, Infinity]) await refusal(() => paddedSize(size), Misuse)
  const large = new Manifest([{ path: "a", size: 2 ** 32 + 1 }])
  const blocks = [...padding(large)].map((block) => block.length)
  expect(blocks.reduce((sum, size) => sum + size)).toBe(large.paddedSize - large.unpaddedSize)
  expect(Math.max(...blocks)).toBe(2 ** 20)
})

test("padding is zero, and the container as long as its manifest says", async () => {
  const at = fc.integer({ min: FOLDER.unpaddedSize, max: WHOLE.length - 1 })
  const property = fc.asyncProperty(at, async (position) => {
    await refusal(() => unpacked(altered(WHOLE, position), 50_000), Malformed)
  })
  await fc.assert(property, { numRuns: 20 })
  for (const size of [WHOLE.length - 8192, WHOLE.length - 1, WHOLE.length + 1, WHOLE.length + 8192]) {
    await refusal(() => new Unpacker(size, accept).update(WHOLE.slice(0, 1000)), Malformed)
  }
  for (const end of [0, 4, 20, 1000, WHOLE.length - 1]) {
    const unpacker = new Unpacker(WHOLE.length, accept)
    unpacker.update(WHOLE.slice(0, end))
    await refusal(() => unpacker.finish(), Malformed)
  }
  const unpacker = new Unpacker(WHOLE.length, accept)
  unpacker.update(WHOLE)
  await refusal(() => unpacker.update(Uint8Array.of(0)), Malformed)
})

test("what the check refuses gives out nothing", async () => {
  const unpacker = new Unpacker(WHOLE.length, () => {
    throw new Malformed("for a test")
  })
  await refusal(() => unpacker.update(WHOLE), Malformed)
  expect(unpacker.manifest).toBeNull()
  await refusal(() => unpacker.update(new Uint8Array()), Misuse)
  await refusal(() => unpacker.finish(), Misuse)
})
