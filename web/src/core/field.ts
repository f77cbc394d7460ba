/**
 * The field of curve25519 and edwards25519, for public values only: nothing here takes the same time for every value.
 *
 * Source: RFC 7748 section 4.1; RFC 8032 section 5.1.
 */

import { fromHex } from "./encoding"
import type { Bytes } from "./types"

export const FIELD_PRIME = 2n ** 255n - 19n

// y-coordinates of the eight points of small order on edwards25519; two points share a y each.
const ORDER_8_Y = 0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n
const SMALL_ORDER = [0n, 1n, FIELD_PRIME - 1n, ORDER_8_Y, FIELD_PRIME - ORDER_8_Y]
export const SMALL_ORDER_Y: ReadonlySet<bigint> = new Set(SMALL_ORDER)

/** Read a number as keys are written: the lowest byte first. */
export function littleEndian(raw: Uint8Array): bigint {
  return raw.reduceRight((value, byte) => value * 256n + BigInt(byte), 0n)
}

/** Return the edwards25519 y-coordinate, 32 bytes, of a curve25519 u-coordinate: (u − 1) / (u + 1). */
export function edwardsOf(montgomery: Uint8Array): Bytes {
  const u = littleEndian(montgomery)
  const y = ((u - 1n) * power(u + 1n, FIELD_PRIME - 2n)) % FIELD_PRIME
  return fromHex(y.toString(16).padStart(64, "0")).reverse()
}

/** Return base^exponent modulo the prime. */
function power(base: bigint, exponent: bigint): bigint {
  let result = 1n
  for (let square = base, left = exponent; left > 0n; left >>= 1n, square = (square * square) % FIELD_PRIME) {
    if ((left & 1n) === 1n) result = (result * square) % FIELD_PRIME
  }
  return result
}
