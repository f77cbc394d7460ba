/** What every strict parser is held to, in one place. */

import { expect } from "vitest"

import { concat } from "../../src/core/encoding"
import { HalonyxError, Malformed } from "../../src/core/errors"
import type { Bytes } from "../../src/core/types"

/** Parses, at once or later, and throws if it refuses. */
export type Parse = (data: Bytes) => unknown

type ErrorClass = abstract new (...args: never[]) => HalonyxError

/** Return what `work` was refused with; fails unless it is one of these errors. */
export async function refusal(work: () => unknown, ...kinds: readonly ErrorClass[]): Promise<HalonyxError> {
  try {
    await work()
  } catch (error) {
    if (error instanceof HalonyxError && kinds.some((kind) => error instanceof kind)) return error
    throw error
  }
  return expect.unreachable("was not refused")
}

/** Check that `parse` takes `encoded` and nothing shorter or longer. */
export async function refusesTruncationsAndTrailingBytes(parse: Parse, encoded: Bytes): Promise<void> {
  await parse(encoded)
  for (let size = 0; size < encoded.length; size++) await refusal(() => parse(encoded.slice(0, size)), Malformed)
  for (let value = 0; value < 256; value++) {
    await refusal(() => parse(concat(encoded, Uint8Array.of(value))), Malformed)
  }
}

/** Return what `parse` made of `data`, or null if it was refused; anything but a HalonyxError fails the test. */
export async function raisesOnlyOurErrors(parse: Parse, data: Bytes): Promise<unknown> {
  try {
    return await parse(data)
  } catch (error) {
    if (error instanceof HalonyxError) return null
    throw error
  }
}

/** Return `data` with the byte at `at` combined by XOR with `mask`. */
export function altered(data: Bytes, at: number, mask = 1): Bytes {
  const copy = data.slice()
  copy[at] = (copy[at] ?? 0) ^ mask
  return copy
}

/** Yield `data` with each of its bits flipped in turn. */
export function* bitFlips(data: Bytes): Generator<Bytes> {
  for (let at = 0; at < data.length; at++) {
    for (let bit = 0; bit < 8; bit++) yield altered(data, at, 1 << bit)
  }
}
