/**
 * ML-KEM and ML-DSA by the browser where WebCrypto has them, else by noble; both are FIPS 203 and 204.
 *
 * Used by primitives.ts alone.
 */

import { ml_dsa65 } from "@noble/post-quantum/ml-dsa.js"
import { ml_kem1024, ml_kem768 } from "@noble/post-quantum/ml-kem.js"

import type { Bytes } from "./types"

/** Which ML-KEM. */
export type KemSize = 768 | 1024

/** What both makers of the algorithms offer. Seeds: 64 bytes (ML-KEM), 32 (ML-DSA). */
export interface PostQuantum {
  readonly kemPublic: (size: KemSize, seed: Bytes) => Promise<Bytes>
  readonly encapsulate: (size: KemSize, publicKey: Bytes) => Promise<readonly [Bytes, Bytes]>
  readonly decapsulate: (size: KemSize, seed: Bytes, ciphertext: Bytes) => Promise<Bytes>
  readonly signingPublic: (seed: Bytes) => Promise<Bytes>
  readonly sign: (seed: Bytes, context: Bytes, body: Bytes) => Promise<Bytes>
  readonly verify: (publicKey: Bytes, context: Bytes, body: Bytes, signature: Bytes) => Promise<boolean>
}

/** TypeScript's library does not know these calls yet. */
interface NativeSubtle {
  readonly importKey: (
    format: "raw-public" | "raw-seed",
    key: Bytes,
    name: string,
    isExtractable: boolean,
    uses: readonly string[],
  ) => Promise<CryptoKey>
  readonly encapsulateBits: (
    name: string,
    key: CryptoKey,
  ) => Promise<{ readonly ciphertext: ArrayBuffer; readonly sharedKey: ArrayBuffer }>
  readonly decapsulateBits: (name: string, key: CryptoKey, ciphertext: Bytes) => Promise<ArrayBuffer>
  readonly sign: (algorithm: Signing, key: CryptoKey, body: Bytes) => Promise<ArrayBuffer>
  readonly verify: (algorithm: Signing, key: CryptoKey, signature: Bytes, body: Bytes) => Promise<boolean>
}

interface Signing {
  readonly name: string
  readonly context: Bytes
}

const kemOf = (size: KemSize) => (size === 768 ? ml_kem768 : ml_kem1024)

export const noble: PostQuantum = {
  kemPublic: (size, seed) => Promise.resolve(new Uint8Array(kemOf(size).keygen(seed).publicKey)),
  encapsulate: (size, publicKey) => {
    const { cipherText, sharedSecret } = kemOf(size).encapsulate(publicKey)
    return Promise.resolve([new Uint8Array(cipherText), new Uint8Array(sharedSecret)])
  },
  decapsulate: (size, seed, ciphertext) =>
    Promise.resolve(new Uint8Array(kemOf(size).decapsulate(ciphertext, kemOf(size).keygen(seed).secretKey))),
  signingPublic: (seed) => Promise.resolve(new Uint8Array(ml_dsa65.keygen(seed).publicKey)),
  sign: (seed, context, body) =>
    Promise.resolve(new Uint8Array(ml_dsa65.sign(body, ml_dsa65.keygen(seed).secretKey, { context }))),
  verify: (publicKey, context, body, signature) =>
    Promise.resolve(ml_dsa65.verify(signature, body, publicKey, { context })),
}

function native(subtle: NativeSubtle): PostQuantum {
  const kemName = (size: KemSize) => `ML-KEM-${size}`
  const dsa = "ML-DSA-65"
  return {
    // The browser exports no public key of a private one without getPublicKey; noble makes the same bytes.
    kemPublic: noble.kemPublic,
    signingPublic: noble.signingPublic,
    encapsulate: async (size, publicKey) => {
      const key = await subtle.importKey("raw-public", publicKey, kemName(size), false, ["encapsulateBits"])
      const { ciphertext, sharedKey } = await subtle.encapsulateBits(kemName(size), key)
      return [new Uint8Array(ciphertext), new Uint8Array(sharedKey)]
    },
    decapsulate: async (size, seed, ciphertext) => {
      const key = await subtle.importKey("raw-seed", seed, kemName(size), false, ["decapsulateBits"])
      return new Uint8Array(await subtle.decapsulateBits(kemName(size), key, ciphertext))
    },
    sign: async (seed, context, body) => {
      const key = await subtle.importKey("raw-seed", seed, dsa, false, ["sign"])
      return new Uint8Array(await subtle.sign({ name: dsa, context }, key, body))
    },
    verify: async (publicKey, context, body, signature) => {
      const key = await subtle.importKey("raw-public", publicKey, dsa, false, ["verify"])
      return subtle.verify({ name: dsa, context }, key, signature, body)
    },
  }
}

/** Tell whether the browser itself has all of it: tried, because it can't be asked everywhere. */
async function findNative(): Promise<PostQuantum | null> {
  try {
    const found = native(crypto.subtle as unknown as NativeSubtle)
    for (const size of [768, 1024] as const) {
      const seed = new Uint8Array(64)
      const [ciphertext, secret] = await found.encapsulate(size, await found.kemPublic(size, seed))
      const opened = await found.decapsulate(size, seed, ciphertext)
      if (opened.some((byte, at) => byte !== secret[at])) return null
    }
    const [seed, body] = [new Uint8Array(32), new Uint8Array(1)]
    const isRight = await found.verify(await found.signingPublic(seed), body, body, await found.sign(seed, body, body))
    return isRight ? found : null
  } catch {
    return null
  }
}

let chosen: Promise<PostQuantum> | null = null

/** Return what this browser uses. */
export function postQuantum(): Promise<PostQuantum> {
  chosen ??= findNative().then((found) => found ?? noble)
  return chosen
}

/** Use one maker from now on; tests show that both give the same. */
export function usePostQuantum(maker: PostQuantum | null): void {
  chosen = maker === null ? null : Promise.resolve(maker)
}

/** Tell whether all coefficients, 12 bits each, are below 3329 (FIPS 203 section 7.2, "modulus check"). */
export function isModular(polynomials: Uint8Array): boolean {
  for (let at = 0; at + 2 < polynomials.length; at += 3) {
    const [low = 0, middle = 0, high = 0] = polynomials.subarray(at, at + 3)
    if ((low | ((middle & 15) << 8)) >= 3329 || ((middle >> 4) | (high << 4)) >= 3329) return false
  }
  return true
}
