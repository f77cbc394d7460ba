/**
 * Chunked encryption: a stream of any length in constant memory, each 16 KiB authenticated before it is given out.
 *
 * Encryptor and Decryptor change as they go, because a file does not fit into one value. Await one call before the
 * next.
 *
 * Source: spec/files.md, "Encryption"; https://c2sp.org/chunked-encryption with AEAD_AES_256_GCM and SHA-256.
 */

import { concat } from "./encoding"
import { AuthenticationFailed, Malformed, Misuse } from "./errors"
import { COMMITMENT_SIZE, kdfChunked } from "./kdf"
import * as labels from "./labels"
import { TAG_SIZE, aeadKey, aeadOpen, aeadSeal, equal } from "./primitives"
import { KEY_SIZE } from "./types"
import type { Bytes } from "./types"

export const SALT_SIZE = 24
export const HEADER_SIZE = SALT_SIZE + COMMITMENT_SIZE
export const CHUNK_SIZE = 16_384
export const SEALED_CHUNK_SIZE = CHUNK_SIZE + TAG_SIZE
export const MAX_CHUNKS = 2 ** 38 // the format's own limit
export const MAX_PLAINTEXT_SIZE = MAX_CHUNKS * CHUNK_SIZE - 1 // the last chunk is never full
const NOTHING: Bytes = new Uint8Array()

/** Return how many bytes a plaintext of 0 to 2^52 - 1 bytes becomes (Misuse if more). */
export function ciphertextSize(plaintextBytes: number): number {
  if (!(plaintextBytes >= 0 && plaintextBytes <= MAX_PLAINTEXT_SIZE)) {
    throw new Misuse(`0 to ${MAX_PLAINTEXT_SIZE} bytes can be encrypted`)
  }
  return HEADER_SIZE + plaintextBytes + (Math.floor(plaintextBytes / CHUNK_SIZE) + 1) * TAG_SIZE
}

/** Return how many bytes a ciphertext of this size holds (Malformed: no plaintext becomes one of this size). */
export function plaintextSize(ciphertextBytes: number): number {
  const full = Math.floor((ciphertextBytes - HEADER_SIZE) / SEALED_CHUNK_SIZE)
  const last = ciphertextBytes - HEADER_SIZE - full * SEALED_CHUNK_SIZE
  if (full < 0 || full >= MAX_CHUNKS || last < TAG_SIZE) {
    throw new Malformed(`nothing encrypts to ${ciphertextBytes} bytes`)
  }
  return full * CHUNK_SIZE + last - TAG_SIZE
}

interface Chunk {
  readonly nonce: Bytes
  readonly data: Bytes
}

/** What both directions share: the key, imported once, nonces in turn, and bytes held until a chunk is full. */
class Chunks {
  readonly key: CryptoKey
  readonly #baseNonce: Bytes
  readonly #size: number
  #index = 0
  #held = NOTHING
  #isOver = false

  constructor(key: CryptoKey, baseNonce: Bytes, size: number) {
    this.key = key
    this.#baseNonce = baseNonce
    this.#size = size
  }

  /** Return every chunk that is full now, and hold the rest. */
  take(data: Bytes): readonly Chunk[] {
    if (this.#isOver) throw new Misuse("this stream is over")
    const whole = this.#held.length > 0 ? concat(this.#held, data) : data
    const count = Math.floor(whole.length / this.#size)
    this.#held = whole.slice(count * this.#size)
    return Array.from({ length: count }, (_, at) => ({
      nonce: this.#nonce(),
      data: whole.subarray(at * this.#size, (at + 1) * this.#size),
    }))
  }

  /** Return what is held, and end the stream. */
  last(): Chunk {
    if (this.#isOver) throw new Misuse("this stream is over")
    this.#isOver = true
    return { nonce: this.#nonce(), data: this.#held }
  }

  /** End the stream after a refusal. */
  end(): void {
    this.#isOver = true
  }

  /** Return the next chunk's nonce: the base nonce XOR the chunk's number. */
  #nonce(): Bytes {
    if (this.#index >= MAX_CHUNKS) throw new Malformed(`more than ${MAX_CHUNKS} chunks`)
    const nonce = this.#baseNonce.slice()
    let left = this.#index++
    for (let at = nonce.length - 1; left > 0; at--, left = Math.floor(left / 256)) {
      nonce[at] = (nonce[at] ?? 0) ^ left % 256
    }
    return nonce
  }
}

/** Encrypts one stream. Made by `create`. */
export class Encryptor {
  /** The first 56 bytes of the ciphertext: salt and commitment. */
  readonly header: Bytes
  readonly #chunks: Chunks

  private constructor(header: Bytes, chunks: Chunks) {
    this.header = header
    this.#chunks = chunks
  }

  /**
   * Prepare a key.
   *
   * @param key 32 random bytes.
   * @param salt 24 fresh random bytes. A second Encryptor with the same key and salt, for a file that is read again
   * after an interruption and may have changed since, would use keys and nonces twice and give the content away.
   * @param context What the file is for.
   * @throws Misuse: a key or salt of another size.
   */
  static async create(key: Bytes, salt: Bytes, context: Bytes = labels.FILE_CONTENT): Promise<Encryptor> {
    if (key.length !== KEY_SIZE || salt.length !== SALT_SIZE) {
      throw new Misuse(`a file key is ${KEY_SIZE} bytes and a salt ${SALT_SIZE}`)
    }
    const [raw, baseNonce, commitment] = kdfChunked(key, salt, context)
    return new Encryptor(concat(salt, commitment), new Chunks(await aeadKey(raw), baseNonce, CHUNK_SIZE))
  }

  /**
   * Return the ciphertext of every chunk that `data` fills; at most 16,383 bytes are held back.
   *
   * @throws Misuse: after `finish`. Malformed: more than 2^38 chunks.
   */
  async update(data: Bytes): Promise<Bytes> {
    const { key } = this.#chunks
    const chunks = this.#chunks.take(data)
    return concat(...(await Promise.all(chunks.map(({ nonce, data }) => aeadSeal(key, nonce, data, NOTHING)))))
  }

  /** Return the last chunk, 16 to 16,399 bytes, which by being short says that it is the last (Misuse: twice). */
  async finish(): Promise<Bytes> {
    const { nonce, data } = this.#chunks.last()
    return aeadSeal(this.#chunks.key, nonce, data, NOTHING)
  }
}

/** Decrypts one stream; what it gives out is authentic, and complete once `finish` has returned. Made by `create`. */
export class Decryptor {
  readonly #chunks: Chunks

  private constructor(chunks: Chunks) {
    this.#chunks = chunks
  }

  /**
   * Check the commitment and prepare a key.
   *
   * @param key 32 bytes.
   * @param header The first 56 bytes of the ciphertext.
   * @param context What the file is for.
   * @throws Malformed: a header of another size. AuthenticationFailed: the header does not commit to this key.
   * Misuse: a key of another size.
   */
  static async create(key: Bytes, header: Bytes, context: Bytes = labels.FILE_CONTENT): Promise<Decryptor> {
    if (key.length !== KEY_SIZE) throw new Misuse(`a file key is ${KEY_SIZE} bytes`)
    if (header.length !== HEADER_SIZE) {
      throw new Malformed(`a header of ${header.length} bytes, expected ${HEADER_SIZE}`)
    }
    const [raw, baseNonce, commitment] = kdfChunked(key, header.slice(0, SALT_SIZE), context)
    if (!equal(commitment, header.subarray(SALT_SIZE))) {
      throw new AuthenticationFailed("the ciphertext does not commit to this key")
    }
    return new Decryptor(new Chunks(await aeadKey(raw), baseNonce, SEALED_CHUNK_SIZE))
  }

  /**
   * Return the plaintext of every chunk that `ciphertext` fills; at most 16,399 bytes are held back.
   *
   * @throws AuthenticationFailed: a chunk altered, swapped, repeated, left out or of another file.
   * Malformed: more than 2^38 chunks. Misuse: after `finish` or a refusal.
   */
  async update(ciphertext: Bytes): Promise<Bytes> {
    const { key } = this.#chunks
    const chunks = this.#chunks.take(ciphertext)
    try {
      return concat(...(await Promise.all(chunks.map(({ nonce, data }) => aeadOpen(key, nonce, data, NOTHING)))))
    } catch (error) {
      this.#chunks.end()
      throw error
    }
  }

  /**
   * Return the last chunk, 0 to 16,383 bytes.
   *
   * @throws Malformed: the ciphertext ends at a chunk's border or within a tag: it was cut off.
   * AuthenticationFailed: it was cut off elsewhere, or altered. Misuse: after `finish` or a refusal.
   */
  async finish(): Promise<Bytes> {
    const { nonce, data } = this.#chunks.last()
    if (data.length < TAG_SIZE) throw new Malformed("the ciphertext is cut off")
    return aeadOpen(this.#chunks.key, nonce, data, NOTHING)
  }
}
