/** The recovery code: what is written can be typed back, and one typing error is noticed. */

import * as fc from "fast-check"
import { describe, expect, test } from "vitest"

import { fromHex, utf8 } from "../../src/core/encoding"
import { Malformed, Misuse } from "../../src/core/errors"
import { expand } from "../../src/core/kdf"
import { RECOVERY_CHECKSUM, hashOf } from "../../src/core/labels"
import { PostQuantumSigningKey, SigningKey } from "../../src/core/primitives"
import { ALPHABET, accountKeys, encodeRecoveryCode, parseRecoveryCode } from "../../src/core/recovery"
import type { Bytes } from "../../src/core/types"
import { anyBytes, seed } from "./accounts"
import { refusal } from "./strict"

const ENTROPY = seed("entropy", 20)
const CODE = encodeRecoveryCode(ENTROPY)
const SYMBOLS = CODE.replaceAll("-", "")
const withSymbol = (at: number, symbol: string): string => SYMBOLS.slice(0, at) + symbol + SYMBOLS.slice(at + 1)

/** Write bytes in Crockford base32 by shifting a number, unlike the module, which cuts a string of bits. */
function crockford(data: Bytes): string {
  const number = data.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n)
  const count = Math.floor((data.length * 8) / 5)
  const spare = BigInt(data.length * 8 - count * 5)
  const digit = (at: number): number => Number((number >> (spare + 5n * BigInt(count - 1 - at))) & 31n)
  return Array.from({ length: count }, (_, at) => ALPHABET.charAt(digit(at))).join("")
}

test("what is written reads back, as nine groups of Crockford base32", () => {
  fc.assert(
    fc.property(anyBytes(20), (entropy) => {
      const code = encodeRecoveryCode(entropy)
      expect(parseRecoveryCode(code)).toEqual(entropy)
      expect(code).toMatch(/^([0-9A-Z]{4}-){8}[0-9A-Z]{4}$/)
      const checksum = crockford(hashOf(RECOVERY_CHECKSUM, entropy)).slice(0, 4)
      expect(code.replaceAll("-", "")).toBe(crockford(entropy) + checksum)
    }),
  )
})

test("known codes", () => {
  expect(encodeRecoveryCode(new Uint8Array(20))).toMatch(/^(0000-){8}/)
  expect(encodeRecoveryCode(new Uint8Array(20).fill(255))).toMatch(/^(ZZZZ-){8}/)
})

test("the alphabet leaves out what is misread", () => {
  expect(new Set(ALPHABET).size).toBe(32)
  expect(ALPHABET).not.toMatch(/[ILOU]/)
})

test.each([
  CODE.toLowerCase(),
  SYMBOLS,
  CODE.replaceAll("-", " "),
  `  ${CODE}\r\n`,
  Array.from(CODE).join("\t"),
  CODE.replaceAll("0", "O").replaceAll("1", "I"),
  CODE.replaceAll("0", "o").replaceAll("1", "l"),
])("%j is read as people type it", (typed) => {
  expect(parseRecoveryCode(typed)).toEqual(ENTROPY)
})

test("the letters that stand for digits are read", () => {
  const zeros = encodeRecoveryCode(new Uint8Array(20))
  expect(parseRecoveryCode(zeros.replaceAll("0", "O"))).toEqual(new Uint8Array(20))
  const ones = fromHex("0842108421".repeat(4)) // 00001 in bits, over and over
  expect(encodeRecoveryCode(ones)).toMatch(/^(1111-){8}/)
  for (const letter of "IiLl") expect(parseRecoveryCode(encodeRecoveryCode(ones).replaceAll("1", letter))).toEqual(ones)
})

test("every single wrong character is noticed", () => {
  for (const [at, right] of Array.from(SYMBOLS).entries()) {
    for (const wrong of ALPHABET.replace(right, "")) {
      expect(() => parseRecoveryCode(withSymbol(at, wrong))).toThrow("typing error")
    }
  }
})

test("swapped neighbours are noticed", () => {
  for (let at = 0; at + 1 < SYMBOLS.length; at++) {
    const [first, second] = [SYMBOLS.charAt(at), SYMBOLS.charAt(at + 1)]
    if (first === second) continue
    expect(() => parseRecoveryCode(SYMBOLS.slice(0, at) + second + first + SYMBOLS.slice(at + 2))).toThrow(Malformed)
  }
})

test.each(["", "-", CODE.slice(0, -1), `${CODE}0`, CODE.slice(0, -5), CODE + CODE])("%j has another length", (text) => {
  expect(() => parseRecoveryCode(text)).toThrow("36 characters")
})

test.each(["U", "u", "*", "é", "٣", "_", "😀"])("%j is in no code", (wrong) => {
  for (const at of [0, 35]) expect(() => parseRecoveryCode(withSymbol(at, wrong))).toThrow("letters and digits")
})

test("random text is refused", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 50 }), (text) => {
      expect(() => parseRecoveryCode(text)).toThrow(Malformed)
    }),
  )
})

test.each([0, 19, 21, 32])("%i bytes are no entropy", async (size) => {
  expect(() => encodeRecoveryCode(new Uint8Array(size))).toThrow(Misuse)
  await refusal(() => accountKeys(new Uint8Array(size)), Misuse)
})

describe("account keys", () => {
  test("are the same each time, and none can be read out", async () => {
    const [first, second] = [await accountKeys(parseRecoveryCode(CODE)), await accountKeys(ENTROPY)]
    for (const key of ["ed25519", "mldsa65", "management"] as const) {
      expect(first[key].public.raw).toEqual(second[key].public.raw)
    }
    expect(first.salt).toEqual(second.salt)
    expect([first.ed25519.private.extractable, first.management.private.extractable]).toEqual([false, false])
  })

  test("have a label each", async () => {
    const account = expand(ENTROPY, utf8("halonyx/1 account seed"), 32)
    const under = (role: string): Bytes => expand(account, utf8(`halonyx/1 ${role}`), 32)
    const keys = await accountKeys(ENTROPY)
    expect(keys.ed25519.public).toEqual((await SigningKey.fromSeed(under("account ed25519"))).public)
    expect(keys.mldsa65.public).toEqual((await PostQuantumSigningKey.fromSeed(under("account mldsa65"))).public)
    expect(keys.management.public).toEqual((await SigningKey.fromSeed(under("management key"))).public)
    expect(keys.salt).toEqual(under("account salt"))
    expect(keys.ed25519.public).not.toEqual(keys.management.public)
  })

  test("differ from code to code", async () => {
    const other = await accountKeys(seed("other", 20))
    expect(other.ed25519.public).not.toEqual((await accountKeys(ENTROPY)).ed25519.public)
  })
})
