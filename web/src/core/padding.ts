/**
 * Bucket sizes: an envelope is 1, 2, 4, 8, 16, 32 or 64 KiB, nothing between.
 *
 * Source: spec/envelope.md, "Padding".
 */

import { Malformed, Misuse } from "./errors"

export const BUCKETS: readonly number[] = [1, 2, 4, 8, 16, 32, 64].map((kibibytes) => kibibytes * 1024)

/** Return the smallest bucket that holds `sizeBytes` (Misuse: more than 64 KiB). */
export function bucketFor(sizeBytes: number): number {
  const bucket = BUCKETS.find((size) => sizeBytes <= size)
  if (bucket === undefined) throw new Misuse(`${sizeBytes} bytes do not fit an envelope of 65536`)
  return bucket
}

/** Refuse padding that is not all zero: one envelope, one encoding (Malformed). */
export function checkPadding(padding: Uint8Array): void {
  if (padding.some((byte) => byte !== 0)) throw new Malformed("padding is not zero")
}
