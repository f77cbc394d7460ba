/** What the relay keeps: opened by those who know the USID, in the slot it was made for, unaltered. */

import * as fc from "fast-check"
import { describe, expect, test } from "vitest"

import { Slot, openObject, recordSlot, sealObject } from "../../src/core/directory"
import { utf8 } from "../../src/core/encoding"
import { AuthenticationFailed, Malformed, Misuse } from "../../src/core/errors"
import { directoryKey } from "../../src/core/kdf"
import { BUCKETS, bucketFor, checkPadding } from "../../src/core/padding"
import { aeadOpen } from "../../src/core/primitives"
import type { Address, Usid } from "../../src/core/types"
import { anyBytes, bytes, seed } from "./accounts"
import { altered, bitFlips, raisesOnlyOurErrors, refusal } from "./strict"

const USID = seed("usid") as Usid
const ADDRESS = seed("address") as Address
const SLOT = new Slot(ADDRESS, 1, 1, 0x01020304)
const NONCE = seed("nonce", 12)
const CONTENT = utf8("a prekey")
const SEALED = await sealObject(USID, SLOT, CONTENT, NONCE)

test("what is sealed opens, 28 bytes longer", async () => {
  await fc.assert(
    fc.asyncProperty(anyBytes(0, 300), async (content) => {
      const sealed = await sealObject(USID, SLOT, content, NONCE)
      expect(sealed.length).toBe(content.length + 28)
      expect(await openObject(USID, SLOT, sealed)).toEqual(content)
    }),
  )
})

test("the layout is nonce, then AES-GCM over what the relay sees", async () => {
  const seen = bytes(ADDRESS, 1, 1, 1, 2, 3, 4)
  expect(SEALED.slice(0, 12)).toEqual(NONCE)
  expect(SLOT.associatedData()).toEqual(seen)
  expect(await aeadOpen(directoryKey(USID), NONCE, SEALED.slice(12), seen)).toEqual(CONTENT)
})

test("the record lies in slot 0", () => {
  expect(recordSlot(ADDRESS).associatedData()).toEqual(bytes(ADDRESS, new Uint8Array(6)))
})

test("an object opens in its own slot and under its own USID only", async () => {
  const others = [
    new Slot(altered(ADDRESS, 31) as Address, 1, 1, 0x01020304),
    new Slot(ADDRESS, 4, 1, 0x01020304),
    new Slot(ADDRESS, 1, 2, 0x01020304),
    new Slot(ADDRESS, 1, 1, 0x01020305),
    recordSlot(ADDRESS),
  ]
  for (const slot of others) await refusal(() => openObject(USID, slot, SEALED), AuthenticationFailed)
  for (const usid of [seed("another"), ADDRESS]) {
    await refusal(() => openObject(usid as Uint8Array as Usid, SLOT, SEALED), AuthenticationFailed)
  }
})

test("every flipped bit, truncation and added byte is noticed", async () => {
  for (const flipped of bitFlips(SEALED)) await refusal(() => openObject(USID, SLOT, flipped), AuthenticationFailed)
  for (let size = 0; size < SEALED.length; size++) {
    await refusal(() => openObject(USID, SLOT, SEALED.slice(0, size)), size < 28 ? Malformed : AuthenticationFailed)
  }
  for (const value of [0, 1, 255]) {
    await refusal(() => openObject(USID, SLOT, bytes(SEALED, value)), AuthenticationFailed)
  }
})

test("random objects are refused", async () => {
  await fc.assert(
    fc.asyncProperty(anyBytes(0, 100), async (data) => {
      expect(await raisesOnlyOurErrors((sealed) => openObject(USID, SLOT, sealed), data)).toBeNull()
    }),
  )
})

test("a nonce of another size and a slot out of range are misuse", async () => {
  for (const size of [0, 11, 13]) await refusal(() => sealObject(USID, SLOT, CONTENT, new Uint8Array(size)), Misuse)
  const slots = [[256, 1, 1], [1, 256, 1], [1, 1, 2 ** 32]] as const
  for (const [use, device, id] of slots) {
    await refusal(() => sealObject(USID, new Slot(ADDRESS, use, device, id), CONTENT, NONCE), Misuse)
  }
})

describe("padding", () => {
  test("has seven sizes, 1 to 64 KiB", () => {
    expect(BUCKETS).toEqual([1024, 2048, 4096, 8192, 16384, 32768, 65536])
    for (const bucket of BUCKETS) expect(bucketFor(bucket)).toBe(bucket)
    expect(() => bucketFor(65537)).toThrow(Misuse)
  })

  test("is the smallest that holds it", () => {
    fc.assert(
      fc.property(fc.nat(65536), (size) => {
        const bucket = bucketFor(size)
        expect(BUCKETS).toContain(bucket)
        expect(size <= bucket && (bucket === 1024 || size > bucket / 2)).toBe(true)
      }),
    )
  })

  test("is all zero, anywhere", () => {
    const padding = new Uint8Array(1000)
    checkPadding(padding)
    checkPadding(bytes())
    for (const at of [0, 1, 499, 998, 999]) {
      expect(() => {
        checkPadding(altered(padding, at, 0x80))
      }).toThrow(Malformed)
    }
  })
})
