/** How many pixels a picture has, by its first bytes. */

import { expect, test } from "vitest"

import { MAX_PIXELS, MAX_THUMBNAIL_PIXELS, hasAtMost, pixelsOf } from "../../src/client/picture_size"
import { concat, fromHex, utf8 } from "../../src/core/encoding"
import type { Bytes } from "../../src/core/types"
import { png } from "./files_kit"

const hex = (text: string): Bytes => fromHex(text.replaceAll(" ", ""))

/** Each says that it is 300 by 200. */
const PICTURES: Readonly<Record<string, Bytes>> = {
  PNG: png(300, 200),
  "GIF, without a table": concat(utf8("GIF87a"), hex("2c01 c800 00 00 00 2c 00000000 2c01c800 00")),
  "GIF, with a table and extensions": concat(
    utf8("GIF89a"),
    hex("2c01 c800 81 00 00"),
    new Uint8Array(12),
    hex("21f9 04 00000000 00 21fe 02 4142 01 43 00 2c 00000000 01000100 00"),
  ),
  "GIF whose first image is larger than its screen": concat(utf8("GIF89a"), hex("0100 0100 00 00 00 2c 2c00 0a00 0001 be00")),
  "JPEG, baseline": hex("ffd8 ffe0 0004 0000 ffc0 000b 08 00c8 012c 01 01 11 00"),
  "JPEG, progressive, with filled markers": hex("ffd8 ffff ffe1 0003 ff ffffff c2 000b 08 00c8 012c 01 01 11 00"),
  "WebP, lossy": concat(utf8("RIFF"), hex("00000000"), utf8("WEBPVP8 "), hex("00000000 300100 9d012a 2c01 c840")),
  "WebP, without loss": concat(utf8("RIFF"), hex("00000000"), utf8("WEBPVP8L"), hex("00000000 2f 2bc13100")),
  "WebP, extended": concat(utf8("RIFF"), hex("00000000"), utf8("WEBPVP8X"), hex("0a000000 00000000 2b0100 c70000")),
}

test.each(Object.entries(PICTURES))("%s", (_, picture) => {
  expect(pixelsOf(picture)).toBe(60_000)
  expect(pixelsOf(concat(picture, new Uint8Array(100)))).toBe(60_000)
  // As a part of something larger.
  expect(pixelsOf(concat(new Uint8Array(3), picture).subarray(3))).toBe(60_000)
})

test.each(Object.entries(PICTURES))("%s, cut off anywhere before its size", (_, picture) => {
  const known = Array.from({ length: picture.length }, (_, size) => pixelsOf(picture.slice(0, size)))
  expect(new Set(known)).toSatisfy((found: Set<unknown>) => [...found].every((one) => one === null || one === 60_000))
  expect(known.slice(0, 16)).toEqual(Array(16).fill(null))
})

test.each<[string, Bytes]>([
  ["nothing", new Uint8Array()],
  ["text", utf8("a picture of 300 by 200 pixels, it says")],
  ["AVIF", concat(hex("0000001c"), utf8("ftypavif"), new Uint8Array(40))],
  ["BMP", concat(utf8("BM"), new Uint8Array(60))],
  ["PNG whose first chunk is another", hex("89504e470d0a1a0a 0000000d 49444154 0000012c 000000c8 0802000000 00000000")],
  ["PNG of no width", png(0, 200)],
  ["JPEG of no height, which comes later", hex("ffd8 ffc0 000b 08 0000 012c 01 01 11 00")],
  ["JPEG without a frame", hex("ffd8 ffe0 0004 0000 ffda 0008 01 01 00 00 3f 00")],
  ["JPEG that is arithmetic", hex("ffd8 ffc9 000b 08 00c8 012c 01 01 11 00 ffd9 0000")],
  ["JPEG with something between its segments", hex("ffd8 ffe0 0004 0000 00c0 000b 08 00c8 012c 01 01 11 00")],
  ["GIF that ends before an image", concat(utf8("GIF89a"), hex("2c01 c800 00 00 00 3b 00000000000000000000"))],
  ["WebP of another kind", concat(utf8("RIFF"), hex("00000000"), utf8("WEBPALPH"), new Uint8Array(40))],
])("no size of %s", (_, content) => {
  expect(pixelsOf(content)).toBeNull()
  expect(hasAtMost(MAX_PIXELS, content)).toBe(false)
})

test("the bounds", () => {
  expect(hasAtMost(MAX_PIXELS, png(8000, 5000))).toBe(true)
  expect(hasAtMost(MAX_PIXELS, png(8000, 5001))).toBe(false)
  expect(hasAtMost(MAX_PIXELS, png(0xffffffff, 0xffffffff))).toBe(false)
  expect(hasAtMost(MAX_THUMBNAIL_PIXELS, png(1000, 1000))).toBe(true)
  expect(hasAtMost(MAX_THUMBNAIL_PIXELS, png(1001, 1000))).toBe(false)
})
