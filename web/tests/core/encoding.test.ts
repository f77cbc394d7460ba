/** Exact bytes: big-endian, bounded, nothing left over. */

import * as fc from "fast-check"
import { describe, expect, test } from "vitest"

import { Reader, Writer, decodeBase64url, encodeBase64, encodeBase64url } from "../../src/core/encoding"
import { fromHex, sameBytes, toHex, utf8 } from "../../src/core/encoding"
import { Malformed, Misuse, UnsupportedVersion } from "../../src/core/errors"
import { anyBytes, bytes } from "./accounts"

test("fields are big-endian and read back in order", () => {
  const data = new Writer().u8(1).u16(0x0203).u32(0x04050607).u64(0x08090a0b0c0d0e0fn).fixed(utf8("xyz"), 3).done()

  const reader = new Reader(data)

  expect(toHex(data)).toBe("0102030405060708090a0b0c0d0e0f78797a")
  expect([reader.u8(), reader.u16(), reader.u32(), reader.u64()]).toEqual([1, 0x0203, 0x04050607, 0x08090a0b0c0d0e0fn])
  expect(reader.position()).toBe(15)
  expect(reader.take(3)).toEqual(utf8("xyz"))
  reader.finish()
})

test("take gives exactly what is there or refuses", () => {
  fc.assert(
    fc.property(anyBytes(0, 40), fc.nat(60), (data, size) => {
      const reader = new Reader(data)
      if (size > data.length) {
        expect(() => reader.take(size)).toThrow(Malformed)
        expect(reader.position()).toBe(0)
      } else {
        expect(bytes(reader.take(size), reader.rest())).toEqual(data)
        reader.finish()
      }
    }),
  )
})

test("what was taken is a copy", () => {
  const data = bytes(1, 2)
  const taken = new Reader(data).take(2)
  data[0] = 9
  expect(taken).toEqual(bytes(1, 2))
})

test.each([1, 2, 4, 6])("an integer of %i bytes that is cut short is refused", (size) => {
  expect(() => new Reader(new Uint8Array(size - 1)).unsigned(size)).toThrow(Malformed)
  expect(() => new Reader(new Uint8Array(7)).u64()).toThrow(Malformed)
})

test("integers round trip", () => {
  const sized = fc.integer({ min: 1, max: 6 }).chain((size) => fc.tuple(fc.constant(size), fc.nat(256 ** size - 1)))
  fc.assert(
    fc.property(sized, ([size, value]) => {
      expect(new Reader(new Writer().unsigned(value, size).done()).unsigned(size)).toBe(value)
    }),
  )
  fc.assert(
    fc.property(fc.bigInt(0n, 2n ** 64n - 1n), (value) => {
      expect(new Reader(new Writer().u64(value).done()).u64()).toBe(value)
    }),
  )
})

test("the largest u64 is read exactly, which a number would not hold", () => {
  expect(new Reader(new Uint8Array(8).fill(255)).u64()).toBe(18446744073709551615n)
  expect(new Reader(fromHex("0020000000000001")).u64()).toBe(9007199254740993n)
})

test.each([-1, 256, 2 ** 64, 1.5, NaN, Infinity])("%d does not fit a byte", (value) => {
  expect(() => new Writer().u8(value)).toThrow(Misuse)
})

test("an integer that does not fit is misuse, whatever its type", () => {
  expect(() => new Writer().u64(2n ** 64n)).toThrow(Misuse)
  expect(() => new Writer().u64(-1n)).toThrow(Misuse)
  expect(() => new Writer().u64(2 ** 53)).toThrow(Misuse) // may be another number's rounding
  expect(() => new Writer().u32(2 ** 32)).toThrow(Misuse)
})

test("a fixed field of another size is misuse", () => {
  for (const size of [2, 4]) expect(() => new Writer().fixed(new Uint8Array(size), 3)).toThrow(Misuse)
})

test("sized fields round trip within their bounds", () => {
  fc.assert(
    fc.property(anyBytes(2, 5), (field) => {
      const reader = new Reader(new Writer().sized(field, 2, 5, 2).done())
      expect(reader.sized(2, 5, 2)).toEqual(field)
      reader.finish()
    }),
  )
})

test.each([1, 6])("a length of %i is outside 2 to 5 on both sides", (size) => {
  expect(() => new Writer().sized(new Uint8Array(size), 2, 5, 2)).toThrow(Misuse)
  const data = new Writer().u16(size).raw(new Uint8Array(size)).done()
  expect(() => new Reader(data).sized(2, 5, 2)).toThrow(Malformed)
})

test("a length is checked before its bytes are taken", () => {
  expect(() => new Reader(new Uint8Array(4).fill(255)).sized(4, 100)).toThrow("outside")
})

test.each([
  [0, false],
  [1, true],
  [3, true],
  [4, false],
  [255, false],
])("a count of %i within 1 to 3: %s", (number, isAllowed) => {
  const reader = new Reader(bytes(number))
  if (isAllowed) expect(reader.count(1, 3, 1)).toBe(number)
  else expect(() => reader.count(1, 3, 1)).toThrow(Malformed)
})

test("a count may be zero by default", () => {
  expect(new Reader(bytes(0)).count(1, 3)).toBe(0)
})

test("header tells another version from another type", () => {
  const reader = new Reader(bytes(1, 0x20))
  reader.header(1, 0x20)
  reader.finish()
  expect(() => {
    new Reader(bytes(2, 0x20)).header(1, 0x20)
  }).toThrow(UnsupportedVersion)
  for (const data of [bytes(1, 0x21), bytes(1), bytes(2)]) {
    expect(() => {
      new Reader(data).header(1, 0x20)
    }).toThrow(Malformed)
  }
})

test("flags refuse every unknown bit", () => {
  fc.assert(
    fc.property(fc.nat(255), fc.nat(255), (flags, known) => {
      if ((flags & ~known) !== 0) expect(() => new Reader(bytes(flags)).flags(known)).toThrow(Malformed)
      else expect(new Reader(bytes(flags)).flags(known)).toBe(flags)
    }),
  )
})

test("a trailing byte is refused", () => {
  const reader = new Reader(bytes(1, 2))
  reader.take(1)
  expect(() => {
    reader.finish()
  }).toThrow(Malformed)
})

describe("text forms", () => {
  test("hex, base64 and base64url are as Node has them, and read back", () => {
    fc.assert(
      fc.property(anyBytes(0, 40), (data) => {
        expect(fromHex(toHex(data))).toEqual(data)
        expect(toHex(data)).toBe(Buffer.from(data).toString("hex"))
        expect(encodeBase64(data)).toBe(Buffer.from(data).toString("base64"))
        expect(decodeBase64url(encodeBase64url(data))).toEqual(data)
        expect(encodeBase64url(data)).toBe(Buffer.from(data).toString("base64url"))
      }),
    )
  })

  test.each(["0", "0g", " 00", "00\n", "é0"])("%j is no hex", (text) => {
    expect(() => fromHex(text)).toThrow(Misuse)
  })

  test.each(["A", "AAAAA", "AA==", "AA\n", " AA", "A+A", "A/A", "AB", "AAB", "Aé"])("%j is no base64url", (text) => {
    expect(() => decodeBase64url(text)).toThrow(Malformed)
  })

  test("whatever base64url is read is written the same", () => {
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...Array.from(`${alphabet}=+`)), maxLength: 9 }), (text) => {
        let data
        try {
          data = decodeBase64url(text)
        } catch (error) {
          expect(error).toBeInstanceOf(Malformed)
          return
        }
        expect(encodeBase64url(data)).toBe(text)
      }),
    )
  })

  test("the same bytes are the same, and a prefix is not", () => {
    expect(sameBytes(bytes(1, 2), bytes(1, 2))).toBe(true)
    const others = [bytes(1), bytes(1, 3), bytes(1, 2, 0), bytes()]
    for (const other of others) expect(sameBytes(bytes(1, 2), other)).toBe(false)
  })
})
