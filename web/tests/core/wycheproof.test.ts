/**
 * Project Wycheproof: every file for a primitive that we call, through our wrapper, as in the Python tests.
 *
 * The files lie beside the repository or where WYCHEPROOF_DIR says, never in it. Without them nothing is checked here,
 * and the run says so.
 */

import { existsSync, readFileSync } from "node:fs"
import { resolve } from "node:path"

import { describe, expect, test } from "vitest"

import { fromHex, toHex } from "../../src/core/encoding"
import { AuthenticationFailed, BadKey, BadSignature, Malformed, Misuse } from "../../src/core/errors"
import {
  KemKeyPair,
  KeyPair,
  PostQuantumVerifyKey,
  PublicKey,
  VerifyKey,
  aeadOpen,
  aeadSeal,
  hkdf,
  hmacSha256,
} from "../../src/core/primitives"
import type { Bytes } from "../../src/core/types"
import { bytes } from "./accounts"
import { refusal } from "./strict"

/** What the cases that we read have, each with its group's fields. */
interface Case {
  readonly result: "valid" | "invalid" | "acceptable"
  readonly flags: readonly string[]
  readonly [field: string]: unknown
}

interface File {
  readonly testGroups: readonly { readonly tests: readonly Case[]; readonly [field: string]: unknown }[]
}

const NAMED = process.env["WYCHEPROOF_DIR"]
const FOLDER = NAMED ?? resolve(import.meta.dirname, "../../../../shared/wycheproof")
// One that is named but missing is an error, so that CI can't lose the files unnoticed.
const ABSENT = NAMED === undefined && !existsSync(FOLDER)

function casesOf(name: string): readonly Case[] {
  const { testGroups } = JSON.parse(readFileSync(resolve(FOLDER, `${name}_test.json`), "utf8")) as File
  return testGroups.flatMap((group) => group.tests.map((one) => ({ ...group, ...one })))
}

function text(values: unknown, name: string): string {
  const value: unknown = typeof values === "object" && values !== null ? Reflect.get(values, name) : undefined
  return typeof value === "string" ? value : ""
}

function unhex(one: Case, ...names: readonly string[]): readonly Bytes[] {
  return names.map((name) => fromHex(text(one, name)))
}

/** Run every case, count what `run` says it was, and compare the counts. */
async function expectAll(name: string, expected: Record<string, number>, run: (one: Case) => Promise<string>) {
  const seen: Record<string, number> = {}
  for (const one of casesOf(name)) {
    const kind = await run(one)
    seen[kind] = (seen[kind] ?? 0) + 1
  }
  expect(seen).toEqual(expected)
}

describe.skipIf(ABSENT)("Wycheproof (skipped: the files are absent; set WYCHEPROOF_DIR)", () => {
  test("AES-GCM", async () => {
    const expected = { valid: 39, invalid: 27, "size we refuse": 250 }
    await expectAll("aes_gcm", expected, async (one) => {
      const [key, nonce, data, plaintext, ciphertext, tag] = taken(unhex(one, "key", "iv", "aad", "msg", "ct", "tag"))
      const sealed = bytes(ciphertext, tag)
      if (one["keySize"] !== 256 || one["ivSize"] !== 96) {
        await refusal(() => aeadSeal(key, nonce, plaintext, data), Misuse)
        await refusal(() => aeadOpen(key, nonce, sealed, data), Misuse)
        return "size we refuse"
      }
      if (one.result === "valid") {
        expect(await aeadSeal(key, nonce, plaintext, data)).toEqual(sealed)
        expect(await aeadOpen(key, nonce, sealed, data)).toEqual(plaintext)
      } else await refusal(() => aeadOpen(key, nonce, sealed, data), AuthenticationFailed)
      return one.result
    })
  })

  test("Ed25519", async () => {
    await expectAll("ed25519", { valid: 88, invalid: 63 }, async (one) => {
      const key = new VerifyKey(fromHex(text(one["publicKey"], "pk")))
      const [message, signature] = taken(unhex(one, "msg", "sig"))
      // The wrapper's message is label ‖ 0x00 ‖ body; these know no label, so they are given below it.
      const loaded = await crypto.subtle.importKey("raw", key.raw, "Ed25519", false, ["verify"])
      expect(await crypto.subtle.verify("Ed25519", loaded, signature, message)).toBe(one.result === "valid")
      return one.result
    })
  })

  test("HKDF-SHA-256", async () => {
    await expectAll("hkdf_sha256", { valid: 83, invalid: 3 }, (one) => {
      const [ikm, salt, info, okm] = taken(unhex(one, "ikm", "salt", "info", "okm"))
      const derive = (): Bytes => hkdf(ikm, info, Number(one["size"]), salt)
      if (one.result === "valid") expect(derive()).toEqual(okm)
      else expect(derive).toThrow(Misuse)
      return Promise.resolve(one.result)
    })
  })

  test("HMAC-SHA-256", async () => {
    await expectAll("hmac_sha256", { valid: 66, invalid: 108 }, (one) => {
      const [key, message, tag] = taken(unhex(one, "key", "msg", "tag"))
      const found = hmacSha256(key, message).slice(0, Number(one["tagSize"]) / 8)
      expect(toHex(found) === toHex(tag)).toBe(one.result === "valid")
      return Promise.resolve(one.result)
    })
  })

  test("ML-DSA-65", async () => {
    await expectAll("mldsa_65_verify", { valid: 79, invalid: 127, "key size": 4 }, async (one) => {
      const [message, signature, context, raw] = taken(unhex(one, "msg", "sig", "ctx", "publicKey"))
      const verify = (): Promise<void> => new PostQuantumVerifyKey(raw).verify(context, message, signature)
      if (one.flags.includes("IncorrectPublicKeyLength")) {
        expect(() => new PostQuantumVerifyKey(raw)).toThrow(Malformed)
        return "key size"
      }
      if (one.result === "valid") await verify()
      else await refusal(verify, BadSignature)
      return one.result
    })
  })

  test.each([768, 1024] as const)("ML-KEM-%i", async (bits) => {
    await expectAll(`mlkem_${bits}`, { valid: 153, invalid: 40 }, async (one) => {
      const [seed, ciphertext, secret, publicKey] = taken(unhex(one, "seed", "c", "K", "ek"))
      const open = async (): Promise<readonly Bytes[]> => {
        const pair = await KemKeyPair.fromSeed(bits, seed)
        return [pair.public.raw, await pair.decapsulate(ciphertext)]
      }
      if (one.result === "valid") expect(await open()).toEqual([publicKey, secret])
      else await refusal(open, Malformed)
      return one.result
    })
  })

  test("X25519", async () => {
    await expectAll("x25519", { accepted: 474, "non-canonical": 19, "all zero": 25 }, async (one) => {
      const [raw, secret, shared] = taken(unhex(one, "public", "private", "shared"))
      const exchange = async (): Promise<Bytes> => (await KeyPair.fromPrivate(secret)).exchange(new PublicKey(raw))
      for (const kind of ["NonCanonicalPublic", "ZeroSharedSecret"]) {
        if (!one.flags.includes(kind)) continue
        await refusal(kind === "ZeroSharedSecret" ? exchange : () => new PublicKey(raw), BadKey)
        return kind === "ZeroSharedSecret" ? "all zero" : "non-canonical"
      }
      expect(await exchange()).toEqual(shared)
      return "accepted"
    })
  })
})

/** Say that as many were taken as are named. */
function taken(values: readonly Bytes[]): readonly [Bytes, Bytes, Bytes, Bytes, Bytes, Bytes] {
  const [first, second, third, fourth, fifth, sixth] = values
  const none = bytes()
  return [first ?? none, second ?? none, third ?? none, fourth ?? none, fifth ?? none, sixth ?? none]
}
