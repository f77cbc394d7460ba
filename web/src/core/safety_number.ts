/**
 * The safety number: sixty digits two people compare, and the same as a QR payload.
 *
 * Source: spec/safety-number.md.
 */

import { Reader, Writer, concat } from "./encoding"
import { SAFETY_NUMBER } from "./labels"
import { equal, sha512 } from "./primitives"
import type { Address, Bytes, Fingerprint } from "./types"

export const VERSION = 1
export const QR_TYPE = 0x30
export const ITERATIONS = 5200 // makes a search for a look-alike 5,200 times dearer
export const GROUPS_PER_SIDE = 6
const FORMAT = Uint8Array.of(0, 1)

/** One side: the fingerprint of its account and its address. */
export interface Party {
  readonly fingerprint: Fingerprint
  readonly address: Address
}

/**
 * Return twelve groups of five digits, the same on both sides.
 *
 * Source: spec/safety-number.md, "Digits".
 */
export function safetyNumber(ours: Party, theirs: Party): string {
  return [half(ours), half(theirs)].sort().join(" ")
}

/** Return the 130 bytes that our QR code shows: our fingerprint and address, then theirs as we know them. */
export function encodeQr(ours: Party, theirs: Party): Bytes {
  const writer = new Writer().u8(VERSION).u8(QR_TYPE)
  for (const party of [ours, theirs]) writer.fixed(party.fingerprint, 32).fixed(party.address, 32)
  return writer.done()
}

/**
 * Tell whether the code their device shows names them and us as we know both.
 *
 * @param scanned 130 bytes from their screen.
 * @throws Malformed: not a safety number's QR payload. UnsupportedVersion: one of another version.
 *
 * Source: spec/safety-number.md, "QR".
 */
export function matchesQr(scanned: Bytes, ours: Party, theirs: Party): boolean {
  const reader = new Reader(scanned)
  reader.header(VERSION, QR_TYPE)
  reader.take(128)
  reader.finish()
  return equal(scanned, encodeQr(theirs, ours))
}

function half(party: Party): string {
  let digest = sha512(concat(SAFETY_NUMBER, FORMAT, party.fingerprint, party.address))
  for (let done = 1; done < ITERATIONS; done++) digest = sha512(concat(digest, party.fingerprint))
  const reader = new Reader(digest)
  const groups = Array.from({ length: GROUPS_PER_SIDE }, () => reader.unsigned(5) % 100_000)
  return groups.map((group) => group.toString().padStart(5, "0")).join(" ")
}
