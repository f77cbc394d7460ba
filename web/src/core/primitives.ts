/**
 * With post_quantum.ts the only importer of WebCrypto and noble, and the key-decoding rules both lack.
 *
 * Every decoder here refuses what the libraries accept but the specification forbids: non-canonical and low-order keys,
 * nonces that are not 12 bytes, all-zero shared secrets. Private X25519 and Ed25519 keys are CryptoKeys that can't be
 * read out. ML-KEM and ML-DSA are the browser's where it has them, else noble's; both give the same bytes.
 *
 * Source: spec/conventions.md, "Primitives"; RFC 5869, 7748, 8032; FIPS 203, 204; SP 800-38D.
 */

import { expand as nobleExpand, hkdf as nobleHkdf } from "@noble/hashes/hkdf.js"
import { hmac } from "@noble/hashes/hmac.js"
import { sha256 as nobleSha256, sha512 as nobleSha512 } from "@noble/hashes/sha2.js"

import { concat } from "./encoding"
import { AuthenticationFailed, BadKey, BadSignature, Malformed, Misuse } from "./errors"
import { FIELD_PRIME, SMALL_ORDER_Y, edwardsOf, littleEndian } from "./field"
import { isModular, postQuantum } from "./post_quantum"
import type { KemSize } from "./post_quantum"
import type { Bytes } from "./types"

export const NONCE_SIZE = 12
export const TAG_SIZE = 16
export const MAX_HKDF_SIZE = 255 * 32 // RFC 5869 section 2.3
export const MLDSA65_PUBLIC_SIZE = 1952
export const MLDSA65_SIGNATURE_SIZE = 3309
export const MLKEM768_PUBLIC_SIZE = 1184
export const MLKEM768_CIPHERTEXT_SIZE = 1088
export const MLKEM1024_PUBLIC_SIZE = 1568
export const MLKEM1024_CIPHERTEXT_SIZE = 1568

// An X25519 or Ed25519 private key is 32 bytes behind this header (RFC 8410 section 7); the last byte but two names it.
const pkcs8 = (curve: number, raw: Uint8Array): Bytes =>
  concat(Uint8Array.of(0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, curve, 4, 0x22, 4, 0x20), raw)
const X25519_OID = 0x6e
const ED25519_OID = 0x70

/** Return SHA-256, 32 bytes (FIPS 180-4). */
export function sha256(data: Uint8Array): Bytes {
  return new Uint8Array(nobleSha256(data))
}

/** Return SHA-512, 64 bytes (FIPS 180-4). */
export function sha512(data: Uint8Array): Bytes {
  return new Uint8Array(nobleSha512(data))
}

/** Return HMAC-SHA-256, 32 bytes (RFC 2104). */
export function hmacSha256(key: Uint8Array, data: Uint8Array): Bytes {
  return new Uint8Array(hmac(nobleSha256, key, data))
}

/** Return fresh random bytes from the system's generator. */
export function randomBytes(sizeBytes: number): Bytes {
  return crypto.getRandomValues(new Uint8Array(sizeBytes))
}

/** Compare two byte strings without stopping at the first difference. */
export function equal(first: Uint8Array, second: Uint8Array): boolean {
  if (first.length !== second.length) return false
  return first.reduce((difference, byte, at) => difference | (byte ^ (second[at] ?? 0)), 0) === 0
}

/**
 * Return HKDF-SHA-256 (RFC 5869).
 *
 * @param ikm Input keying material.
 * @param info Label and context; see kdf.ts.
 * @param sizeBytes 1 to 8,160 (Misuse if another size).
 * @param salt Empty means 32 zero bytes, as the RFC says.
 */
export function hkdf(ikm: Uint8Array, info: Uint8Array, sizeBytes: number, salt: Uint8Array): Bytes {
  if (sizeBytes < 1 || sizeBytes > MAX_HKDF_SIZE) throw new Misuse(`HKDF-SHA-256 gives 1 to ${MAX_HKDF_SIZE} bytes`)
  return new Uint8Array(nobleHkdf(nobleSha256, ikm, salt.length > 0 ? salt : undefined, info, sizeBytes))
}

/** Return HKDF-Expand alone (RFC 5869 section 2.3), for a key of 32 bytes or more that is uniformly random (Misuse). */
export function hkdfExpand(prk: Uint8Array, info: Uint8Array, sizeBytes: number): Bytes {
  if (prk.length < 32 || sizeBytes < 1 || sizeBytes > MAX_HKDF_SIZE) {
    throw new Misuse(`HKDF-Expand takes a key of 32 bytes or more and gives 1 to ${MAX_HKDF_SIZE}`)
  }
  return new Uint8Array(nobleExpand(nobleSha256, prk, info, sizeBytes))
}

/** Import an AES-256-GCM key that can't be read out (Misuse if not 32 bytes). */
export async function aeadKey(raw: Bytes): Promise<CryptoKey> {
  if (raw.length !== 32) throw new Misuse("AES-256-GCM takes a key of 32 bytes")
  return crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["encrypt", "decrypt"])
}

/**
 * Encrypt with AES-256-GCM; the result is 16 bytes longer than the plaintext.
 *
 * @param key 32 bytes, or an imported key.
 * @param nonce 12 bytes, never used twice with one key.
 * @throws Misuse: a key or nonce of another size.
 */
export async function aeadSeal(
  key: Bytes | CryptoKey,
  nonce: Bytes,
  plaintext: Bytes,
  associatedData: Bytes,
): Promise<Bytes> {
  const algorithm = gcm(nonce, associatedData)
  const loaded = key instanceof Uint8Array ? await aeadKey(key) : key
  return new Uint8Array(await crypto.subtle.encrypt(algorithm, loaded, plaintext))
}

/**
 * Decrypt with AES-256-GCM.
 *
 * @throws AuthenticationFailed: the tag does not verify, or the ciphertext is shorter than a tag.
 * Misuse: a key or nonce of another size.
 */
export async function aeadOpen(
  key: Bytes | CryptoKey,
  nonce: Bytes,
  ciphertext: Bytes,
  associatedData: Bytes,
): Promise<Bytes> {
  const algorithm = gcm(nonce, associatedData)
  const loaded = key instanceof Uint8Array ? await aeadKey(key) : key
  try {
    return new Uint8Array(await crypto.subtle.decrypt(algorithm, loaded, ciphertext))
  } catch {
    throw new AuthenticationFailed("authentication tag does not verify")
  }
}

/** X25519 public key, 32 bytes: a canonical u-coordinate (Malformed: not 32 bytes; BadKey: u of 2^255-19 or more). */
export class PublicKey {
  readonly raw: Bytes

  constructor(raw: Bytes) {
    checkSize("X25519 public key", raw, 32)
    if (littleEndian(raw) >= FIELD_PRIME) throw new BadKey("X25519 public key is not canonical")
    this.raw = raw
  }
}

const BASE_POINT = new PublicKey(Uint8Array.of(9, ...new Uint8Array(31)))

/** X25519 key pair. */
export class KeyPair {
  readonly public: PublicKey
  readonly private: CryptoKey

  constructor(publicKey: PublicKey, privateKey: CryptoKey) {
    this.public = publicKey
    this.private = privateKey
  }

  /** Make a fresh pair whose private key can't be read out. */
  static async generate(): Promise<KeyPair> {
    const pair = await crypto.subtle.generateKey("X25519", false, ["deriveBits"])
    return new KeyPair(new PublicKey(await rawOf(pair.publicKey)), pair.privateKey)
  }

  /** Load a pair from the 32 private bytes (Malformed if another size). */
  static async fromPrivate(raw: Bytes): Promise<KeyPair> {
    checkSize("X25519 private key", raw, 32)
    const key = await crypto.subtle.importKey("pkcs8", pkcs8(X25519_OID, raw), "X25519", false, ["deriveBits"])
    // Times the base point, which is what a public key is (RFC 7748 section 6.1): Firefox exports none.
    return new KeyPair(new PublicKey(await new KeyPair(BASE_POINT, key).exchange(BASE_POINT)), key)
  }

  /**
   * Return the X25519 shared secret, 32 bytes (RFC 7748 section 6.1).
   *
   * @throws BadKey: the shared secret is all zero, from a public key of low order.
   */
  async exchange(theirs: PublicKey): Promise<Bytes> {
    let secret: Bytes
    try {
      // Firefox refuses a key of low order here, the others when they derive.
      const loaded = await crypto.subtle.importKey("raw", theirs.raw, "X25519", false, [])
      secret = new Uint8Array(await crypto.subtle.deriveBits({ name: "X25519", public: loaded }, this.private, 256))
    } catch {
      throw new BadKey("X25519 shared secret is all zero")
    }
    if (secret.every((byte) => byte === 0)) throw new BadKey("X25519 shared secret is all zero")
    return secret
  }
}

/**
 * Ed25519 public key, 32 bytes: canonical and not of small order (Malformed, BadKey: a signature under a key of small
 * order fits any message).
 */
export class VerifyKey {
  readonly raw: Bytes

  constructor(raw: Bytes) {
    checkSize("Ed25519 public key", raw, 32)
    const y = littleEndian(raw) & (2n ** 255n - 1n)
    if (y >= FIELD_PRIME || SMALL_ORDER_Y.has(y)) {
      throw new BadKey("Ed25519 public key is non-canonical or of small order")
    }
    this.raw = raw
  }

  /**
   * Check a signature over label ‖ 0x00 ‖ body (RFC 8032, pure Ed25519).
   *
   * @throws BadSignature: it does not verify, or is not 64 bytes.
   */
  async verify(label: Bytes, body: Uint8Array, signature: Bytes): Promise<void> {
    let isRight = false
    try {
      const key = await crypto.subtle.importKey("raw", this.raw, "Ed25519", false, ["verify"])
      isRight = await crypto.subtle.verify("Ed25519", key, signature, labelled(label, body))
    } catch {
      // A key that is no point on the curve.
    }
    if (!isRight) throw new BadSignature("Ed25519 signature does not verify")
  }
}

/** Ed25519 private key with its public key. */
export class SigningKey {
  readonly public: VerifyKey
  readonly private: CryptoKey

  constructor(publicKey: VerifyKey, privateKey: CryptoKey) {
    this.public = publicKey
    this.private = privateKey
  }

  /** Load a key from its 32-byte seed (Malformed if another size). */
  static async fromSeed(seed: Bytes): Promise<SigningKey> {
    checkSize("Ed25519 seed", seed, 32)
    const key = await crypto.subtle.importKey("pkcs8", pkcs8(ED25519_OID, seed), "Ed25519", false, ["sign"])
    return new SigningKey(await publicOf(seed, key), key)
  }

  /** Make a fresh key that can't be read out. */
  static async generate(): Promise<SigningKey> {
    const pair = await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"])
    return new SigningKey(new VerifyKey(await rawOf(pair.publicKey)), pair.privateKey)
  }

  /** Sign label ‖ 0x00 ‖ body; 64 bytes. */
  async sign(label: Bytes, body: Uint8Array): Promise<Bytes> {
    return new Uint8Array(await crypto.subtle.sign("Ed25519", this.private, labelled(label, body)))
  }
}

/** ML-DSA-65 public key, 1,952 bytes (Malformed if another size). */
export class PostQuantumVerifyKey {
  readonly raw: Bytes

  constructor(raw: Bytes) {
    checkSize("ML-DSA-65 public key", raw, MLDSA65_PUBLIC_SIZE)
    this.raw = raw
  }

  /**
   * Check a signature over the body with the label as context (FIPS 204 section 5.3).
   *
   * @throws BadSignature: it does not verify, or is not 3,309 bytes.
   */
  async verify(label: Bytes, body: Bytes, signature: Bytes): Promise<void> {
    let isRight = false
    const maker = await postQuantum()
    try {
      isRight = signature.length === MLDSA65_SIGNATURE_SIZE && (await maker.verify(this.raw, label, body, signature))
    } catch {
      // What the algorithm does not take at all: a context over 255 bytes.
    }
    if (!isRight) throw new BadSignature("ML-DSA-65 signature does not verify")
  }
}

/** ML-DSA-65 private key, as its 32-byte seed, with its public key. Made from the recovery code, used, and dropped. */
export class PostQuantumSigningKey {
  readonly public: PostQuantumVerifyKey
  readonly #seed: Bytes

  private constructor(publicKey: PostQuantumVerifyKey, seed: Bytes) {
    this.public = publicKey
    this.#seed = seed
  }

  /** Load a key from its 32-byte seed (Malformed if another size). */
  static async fromSeed(seed: Bytes): Promise<PostQuantumSigningKey> {
    checkSize("ML-DSA-65 seed", seed, 32)
    return new PostQuantumSigningKey(new PostQuantumVerifyKey(await (await postQuantum()).signingPublic(seed)), seed)
  }

  /** Sign the body with the label as context; 3,309 bytes, different every time. */
  async sign(label: Bytes, body: Bytes): Promise<Bytes> {
    return (await postQuantum()).sign(this.#seed, label, body)
  }
}

/** ML-KEM public key: 1,184 bytes (ML-KEM-768) or 1,568 (ML-KEM-1024). Made by `load`, which checks it. */
export class KemPublicKey {
  readonly raw: Bytes

  private constructor(raw: Bytes) {
    this.raw = raw
  }

  /**
   * Check and take a public key.
   *
   * @throws Malformed: another size. BadKey: the modulus check of FIPS 203 section 7.2 fails.
   */
  static load(raw: Bytes): KemPublicKey {
    checkSize("ML-KEM public key", raw, MLKEM768_PUBLIC_SIZE, MLKEM1024_PUBLIC_SIZE)
    if (!isModular(raw.subarray(0, raw.length - 32))) throw new BadKey("ML-KEM public key is not canonical")
    return new KemPublicKey(raw)
  }

  /** Return a ciphertext (1,088 or 1,568 bytes) and the 32-byte secret inside, fresh on each call. */
  async encapsulate(): Promise<readonly [Bytes, Bytes]> {
    return (await postQuantum()).encapsulate(this.raw.length === MLKEM768_PUBLIC_SIZE ? 768 : 1024, this.raw)
  }
}

/** ML-KEM-768 or ML-KEM-1024 key pair, kept as its 64-byte seed d ‖ z. */
export class KemKeyPair {
  readonly public: KemPublicKey
  readonly size: KemSize
  readonly #seed: Bytes

  private constructor(size: KemSize, publicKey: KemPublicKey, seed: Bytes) {
    this.size = size
    this.public = publicKey
    this.#seed = seed
  }

  /** Make a fresh pair. */
  static async generate(size: KemSize): Promise<KemKeyPair> {
    return KemKeyPair.fromSeed(size, randomBytes(64))
  }

  /** Load a pair from its 64-byte seed (Malformed if another size). */
  static async fromSeed(size: KemSize, seed: Bytes): Promise<KemKeyPair> {
    checkSize("ML-KEM seed", seed, 64)
    return new KemKeyPair(size, KemPublicKey.load(await (await postQuantum()).kemPublic(size, seed)), seed)
  }

  /** Return the 64-byte seed, for storage under encryption. */
  seed(): Bytes {
    return this.#seed
  }

  /**
   * Return the 32-byte secret; an altered ciphertext yields another secret, not an error (FIPS 203).
   *
   * @throws Malformed: a ciphertext of the wrong size.
   */
  async decapsulate(ciphertext: Bytes): Promise<Bytes> {
    if (ciphertext.length !== (this.size === 768 ? MLKEM768_CIPHERTEXT_SIZE : MLKEM1024_CIPHERTEXT_SIZE)) {
      throw new Malformed(`ML-KEM ciphertext of ${ciphertext.length} bytes`)
    }
    return (await postQuantum()).decapsulate(this.size, this.#seed, ciphertext)
  }
}

function checkSize(what: string, raw: Uint8Array, ...sizes: readonly number[]): void {
  if (!sizes.includes(raw.length)) throw new Malformed(`${what} must be ${sizes.join(" or ")} bytes, got ${raw.length}`)
}

function labelled(label: Bytes, body: Uint8Array): Bytes {
  return concat(label, Uint8Array.of(0), body)
}

function gcm(nonce: Bytes, associatedData: Bytes): AesGcmParams {
  if (nonce.length !== NONCE_SIZE) throw new Misuse("AES-256-GCM takes a nonce of 12 bytes")
  return { name: "AES-GCM", iv: nonce, additionalData: associatedData }
}

async function rawOf(key: CryptoKey): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.exportKey("raw", key))
}

/**
 * Return the public key of a seed. Firefox exports none, and noble's curves would add 9 kB for this alone.
 *
 * The private scalar is the first half of SHA-512(seed), clamped as X25519 clamps it, so X25519 with the base point
 * gives the same point on the other curve. That leaves the sign of x: of the two keys only ours verifies what we sign.
 */
async function publicOf(seed: Bytes, key: CryptoKey): Promise<VerifyKey> {
  const raw = edwardsOf((await KeyPair.fromPrivate(sha512(seed).slice(0, 32))).public.raw)
  const [label, body] = [new Uint8Array(), new Uint8Array()]
  const signature = new Uint8Array(await crypto.subtle.sign("Ed25519", key, labelled(label, body)))
  const positive = new VerifyKey(raw)
  try {
    await positive.verify(label, body, signature)
    return positive
  } catch {
    return new VerifyKey(raw.map((byte, at) => (at === 31 ? byte | 0x80 : byte)))
  }
}
