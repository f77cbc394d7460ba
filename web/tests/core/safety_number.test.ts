/** The safety number: the same on both sides, dependent on all four inputs, known answer by other code. */

import { createHash } from "node:crypto"

import * as fc from "fast-check"
import { expect, test } from "vitest"

import { utf8 } from "../../src/core/encoding"
import { Malformed, Misuse, UnsupportedVersion } from "../../src/core/errors"
import { encodeQr, matchesQr, safetyNumber } from "../../src/core/safety_number"
import type { Party } from "../../src/core/safety_number"
import type { Address, Bytes, Fingerprint } from "../../src/core/types"
import { anyBytes, bytes, seed } from "./accounts"
import { altered, bitFlips, raisesOnlyOurErrors, refusesTruncationsAndTrailingBytes } from "./strict"

const partyOf = (fingerprint: Bytes, address: Bytes): Party => ({
  fingerprint: fingerprint as Fingerprint,
  address: address as Address,
})
const named = (name: string): Party => partyOf(seed(`${name} fingerprint`), seed(`${name} address`))
const range = (first: number): Bytes => Uint8Array.from({ length: 32 }, (_, at) => first + at)
const [ALICE, BOB, MALLORY] = [named("alice"), named("bob"), named("mallory")]
const SCANNED = encodeQr(BOB, ALICE)

/** Half of a safety number by Node's own hash. */
function byTheBook(party: Party): string {
  const sha512 = (data: Uint8Array): Bytes => Uint8Array.from(createHash("sha512").update(data).digest())
  let digest = sha512(bytes(utf8("halonyx/1 safety number\0\x01"), party.fingerprint, party.address))
  for (let done = 1; done < 5200; done++) digest = sha512(bytes(digest, party.fingerprint))
  const group = (at: number): bigint => BigInt(`0x${Buffer.from(digest.slice(5 * at, 5 * at + 5)).toString("hex")}`)
  return [0, 1, 2, 3, 4, 5].map((at) => (group(at) % 100000n).toString().padStart(5, "0")).join(" ")
}

test("known answer", () => {
  const [ours, theirs] = [partyOf(range(0), range(32)), partyOf(range(64), range(96))]
  expect(safetyNumber(ours, theirs)).toBe([byTheBook(ours), byTheBook(theirs)].sort().join(" "))
  expect(safetyNumber(ours, theirs)).toBe("39215 49325 52506 16792 72407 46914 87927 28650 01430 58366 59557 95915")
})

test("both sides see the same sixty digits", () => {
  const parties = fc.tuple(anyBytes(32), anyBytes(32)).map(([fingerprint, address]) => partyOf(fingerprint, address))
  fc.assert(
    fc.property(parties, parties, (ours, theirs) => {
      const number = safetyNumber(ours, theirs)
      expect(number).toBe(safetyNumber(theirs, ours))
      expect(number).toMatch(/^\d{5}( \d{5}){11}$/)
      expect(number.slice(0, 35) <= number.slice(36)).toBe(true)
    }),
    { numRuns: 8 },
  )
})

test("each of the four inputs counts", () => {
  const number = safetyNumber(ALICE, BOB)
  for (const at of [0, 17, 31]) {
    const [fingerprint, address] = [altered(ALICE.fingerprint, at, 0x80), altered(ALICE.address, at)]
    expect(safetyNumber(partyOf(fingerprint, ALICE.address), BOB)).not.toBe(number)
    expect(safetyNumber(partyOf(ALICE.fingerprint, address), BOB)).not.toBe(number)
    expect(safetyNumber(BOB, partyOf(fingerprint, ALICE.address))).not.toBe(number)
    expect(safetyNumber(BOB, partyOf(ALICE.fingerprint, address))).not.toBe(number)
  }
})

test("the QR code shows us, then them", () => {
  const parts = [ALICE.fingerprint, ALICE.address, BOB.fingerprint, BOB.address]
  expect(encodeQr(ALICE, BOB)).toEqual(bytes(0x01, 0x30, ...parts))
})

test("a scan matches what the other side shows and not our own code", () => {
  expect(matchesQr(SCANNED, ALICE, BOB)).toBe(true)
  expect(matchesQr(encodeQr(ALICE, BOB), ALICE, BOB)).toBe(false)
  expect(matchesQr(encodeQr(MALLORY, ALICE), ALICE, BOB)).toBe(false)
  expect(matchesQr(encodeQr(BOB, MALLORY), ALICE, BOB)).toBe(false)
})

test("no scan with a bit flipped matches", async () => {
  for (const flipped of bitFlips(SCANNED)) {
    expect(await raisesOnlyOurErrors((data) => matchesQr(data, ALICE, BOB), flipped)).not.toBe(true)
  }
})

test("the QR parser is strict", async () => {
  await refusesTruncationsAndTrailingBytes((data) => matchesQr(data, ALICE, BOB), SCANNED)
  expect(() => matchesQr(altered(SCANNED, 0, 3), ALICE, BOB)).toThrow(UnsupportedVersion)
  expect(() => matchesQr(altered(SCANNED, 1), ALICE, BOB)).toThrow(Malformed)
})

test("random scans never match or crash", async () => {
  await fc.assert(
    fc.asyncProperty(anyBytes(0, 140), async (data) => {
      expect(await raisesOnlyOurErrors((scanned) => matchesQr(scanned, ALICE, BOB), data)).not.toBe(true)
    }),
  )
})

test("a party of another size is misuse", () => {
  expect(() => encodeQr(partyOf(seed("short", 31), ALICE.address), BOB)).toThrow(Misuse)
})
