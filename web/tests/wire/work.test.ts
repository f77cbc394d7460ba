/** A search finds the first nonce, in slices too, and counts zero bits over the whole first eight bytes. */

import fc from "fast-check"
import { expect, test } from "vitest"

import { Writer, concat } from "../../src/core/encoding"
import { Misuse } from "../../src/core/errors"
import { sha256 } from "../../src/core/primitives"
import type { Address, Bytes } from "../../src/core/types"
import { MAX_NONCE, check, leadingBitsAreZero, solve } from "../../src/wire/work"

const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((found) => new Uint8Array(found))
const SEED: Bytes = new Uint8Array(32).fill(7)
const ADDRESS = new Uint8Array(32).fill(9) as Address

function zeroBits(seed: Bytes, address: Bytes, nonce: number): number {
  const digest = sha256(concat(seed, address, new Writer().u64(nonce).done()))
  const text = Array.from(digest, (byte) => byte.toString(2).padStart(8, "0")).join("")
  return text.indexOf("1")
}

test("a nonce solves exactly as many bits as its digest begins with", () => {
  const nonces = fc.oneof(fc.nat(), fc.integer({ min: 0, max: MAX_NONCE }), fc.constant(MAX_NONCE))
  fc.assert(
    fc.property(bytes32, bytes32, nonces, (seed, address, nonce) => {
      const zeros = zeroBits(seed, address, nonce)
      for (let bits = 0; bits <= 64; bits++) expect(check(seed, address as Address, bits, nonce)).toBe(bits <= zeros)
    }),
  )
})

test("bits are counted over eight bytes", () => {
  for (let zeros = 0; zeros < 64; zeros++) {
    const digest = new DataView(new ArrayBuffer(32))
    digest.setBigUint64(0, 2n ** 64n - 1n >> BigInt(zeros))
    for (let bits = 0; bits <= 64; bits++) expect(leadingBitsAreZero(digest, bits)).toBe(bits <= zeros)
  }
  expect(leadingBitsAreZero(new DataView(new ArrayBuffer(32)), 64)).toBe(true)
})

test("the first nonce is found, at once or in slices", () => {
  const found = solve(SEED, ADDRESS, 10)
  if (found === null) throw new Error("nothing found")
  expect(zeroBits(SEED, ADDRESS, found)).toBeGreaterThanOrEqual(10)
  for (let nonce = 0; nonce < found; nonce++) expect(zeroBits(SEED, ADDRESS, nonce)).toBeLessThan(10)

  expect(solve(SEED, ADDRESS, 10, 0, found)).toBeNull()
  expect(solve(SEED, ADDRESS, 10, 0, found + 1)).toBe(found)
  expect(solve(SEED, ADDRESS, 10, found, 1)).toBe(found)
  expect(solve(SEED, ADDRESS, 64, MAX_NONCE - 5)).toBeNull()
})

test("what is no nonce solves nothing, and no other number of bits is searched for", () => {
  for (const nonce of [-1, 0.5, 2 ** 53, NaN]) expect(check(SEED, ADDRESS, 0, nonce)).toBe(false)
  for (const bits of [-1, 65, 0.5, NaN]) expect(() => solve(SEED, ADDRESS, bits)).toThrow(Misuse)
})
