/** Chunked encryption: constant memory, whole chunks or nothing, and no other order, end or key than the sender's. */

import fc from "fast-check"
import { expect, test } from "vitest"

import {
  CHUNK_SIZE,
  Decryptor,
  Encryptor,
  HEADER_SIZE,
  MAX_PLAINTEXT_SIZE,
  SALT_SIZE,
  SEALED_CHUNK_SIZE,
  ciphertextSize,
  plaintextSize,
} from "../../src/core/chunked"
import { concat } from "../../src/core/encoding"
import { AuthenticationFailed, Malformed, Misuse } from "../../src/core/errors"
import { kdfChunked } from "../../src/core/kdf"
import { FILE_CONTENT } from "../../src/core/labels"
import { TAG_SIZE, aeadSeal } from "../../src/core/primitives"
import type { Bytes } from "../../src/core/types"
import { seed } from "./accounts"
import { altered, refusal } from "./strict"

const [KEY, SALT, OTHER_SALT] = [seed("file key"), seed("file salt", SALT_SIZE), seed("other salt", SALT_SIZE)]
const LENGTHS = [0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 2 * CHUNK_SIZE, 3 * CHUNK_SIZE + 5]
const EMPTY = new Uint8Array()

const content = (size: number): Bytes => new Uint8Array(size).map((_, at) => at % 251)

async function sealed(plaintext: Bytes, salt = SALT): Promise<Bytes> {
  const encryptor = await Encryptor.create(KEY, salt)
  return concat(encryptor.header, await encryptor.update(plaintext), await encryptor.finish())
}

async function opened(ciphertext: Bytes, key = KEY, context = FILE_CONTENT): Promise<Bytes> {
  const decryptor = await Decryptor.create(key, ciphertext.slice(0, HEADER_SIZE), context)
  return concat(await decryptor.update(ciphertext.slice(HEADER_SIZE)), await decryptor.finish())
}

function chunksOf(ciphertext: Bytes): readonly Bytes[] {
  const body = ciphertext.slice(HEADER_SIZE)
  const count = Math.ceil(body.length / SEALED_CHUNK_SIZE)
  return Array.from({ length: count }, (_, at) => body.slice(at * SEALED_CHUNK_SIZE, (at + 1) * SEALED_CHUNK_SIZE))
}

test.each(LENGTHS)("%i bytes open and have the size computed", async (size) => {
  const ciphertext = await sealed(content(size))
  expect(await opened(ciphertext)).toEqual(content(size))
  expect(ciphertext).toHaveLength(ciphertextSize(size))
  expect(plaintextSize(ciphertext.length)).toBe(size)
})

test("parts of any size give the same stream", async () => {
  const cuts = fc.array(fc.nat(3 * CHUNK_SIZE), { maxLength: 6 })
  const property = fc.asyncProperty(fc.nat(3 * CHUNK_SIZE), cuts, async (size, at) => {
    const parts = (data: Bytes): readonly Bytes[] => {
      const borders = [0, ...at.map((cut) => Math.min(cut, data.length)).sort((a, b) => a - b), data.length]
      return borders.slice(1).map((end, index) => data.slice(borders[index], end))
    }
    const whole = await sealed(content(size))
    const encryptor = await Encryptor.create(KEY, SALT)
    const encrypted = [encryptor.header]
    for (const part of parts(content(size))) encrypted.push(await encryptor.update(part))
    expect(concat(...encrypted, await encryptor.finish())).toEqual(whole)
    const decryptor = await Decryptor.create(KEY, whole.slice(0, HEADER_SIZE))
    const decrypted: Bytes[] = []
    for (const part of parts(whole.slice(HEADER_SIZE))) decrypted.push(await decryptor.update(part))
    expect(concat(...decrypted)).toEqual(content(size).slice(0, size - (size % CHUNK_SIZE)))
    expect(concat(...decrypted, await decryptor.finish())).toEqual(content(size))
  })
  await fc.assert(property, { numRuns: 20 })
})

test.each(LENGTHS)("of %i bytes no border is an end, and nothing may follow", async (size) => {
  const ciphertext = await sealed(content(size))
  for (let at = HEADER_SIZE; at <= ciphertext.length; at += SEALED_CHUNK_SIZE) {
    await refusal(() => opened(ciphertext.slice(0, at)), Malformed)
    for (const border of [1, TAG_SIZE - 1, TAG_SIZE, TAG_SIZE + 1]) {
      if (at + border >= ciphertext.length) continue
      const code = border < TAG_SIZE ? Malformed : AuthenticationFailed
      await refusal(() => opened(ciphertext.slice(0, at + border)), code)
    }
  }
  await refusal(() => opened(ciphertext.slice(0, -1)), AuthenticationFailed, Malformed)
  await refusal(() => opened(ciphertext.slice(0, HEADER_SIZE - 1)), Malformed)
  for (const trailing of [1, TAG_SIZE, SEALED_CHUNK_SIZE]) {
    await refusal(() => opened(concat(ciphertext, new Uint8Array(trailing))), AuthenticationFailed)
  }
})

test("a full chunk is never the last", async () => {
  const [key, baseNonce, commitment] = kdfChunked(KEY, SALT, FILE_CONTENT)
  const full = await aeadSeal(key, baseNonce, content(CHUNK_SIZE), EMPTY)
  await refusal(() => opened(concat(SALT, commitment, full)), Malformed)
})

test("chunks keep their places and their file", async () => {
  const whole = await sealed(content(3 * CHUNK_SIZE + 5))
  const [header, chunks] = [whole.slice(0, HEADER_SIZE), chunksOf(whole)]
  const others = chunksOf(await sealed(content(3 * CHUNK_SIZE + 5), OTHER_SALT))
  const refused = (parts: readonly Bytes[]): Promise<unknown> =>
    refusal(() => opened(concat(header, ...parts)), AuthenticationFailed, Malformed)
  for (const [first, chunk] of chunks.entries()) {
    await refused(chunks.toSpliced(first, 1))
    await refused(chunks.with(first, others[first] ?? EMPTY))
    for (const [second, other] of chunks.entries()) {
      await refused(chunks.toSpliced(second, 0, chunk))
      if (first !== second) await refused(chunks.with(first, other).with(second, chunk))
    }
  }
})

test("no bit can change", async () => {
  const ciphertext = await sealed(content(CHUNK_SIZE + 5))
  const property = fc.asyncProperty(fc.nat(ciphertext.length - 1), fc.nat(7), async (at, bit) => {
    await refusal(() => opened(altered(ciphertext, at, 1 << bit)), AuthenticationFailed)
  })
  await fc.assert(property, { numRuns: 60 })
})

test("the commitment is checked before anything is decrypted", async () => {
  const header = (await sealed(EMPTY)).slice(0, HEADER_SIZE)
  for (let at = SALT_SIZE; at < HEADER_SIZE; at++) {
    const error = await refusal(() => Decryptor.create(KEY, altered(header, at)), AuthenticationFailed)
    expect(error.message).toMatch("commit")
  }
  const ciphertext = await sealed(content(5))
  await refusal(() => opened(ciphertext, seed("another key")), AuthenticationFailed)
  await refusal(() => opened(ciphertext, KEY, EMPTY), AuthenticationFailed)
})

test("keys, salts and headers of another size are refused", async () => {
  const header = (await sealed(EMPTY)).slice(0, HEADER_SIZE)
  for (const size of [0, 16, 31, 33]) {
    await refusal(() => Encryptor.create(new Uint8Array(size), SALT), Misuse)
    await refusal(() => Encryptor.create(KEY, new Uint8Array(size)), Misuse)
    await refusal(() => Decryptor.create(new Uint8Array(size), header), Misuse)
    await refusal(() => Decryptor.create(KEY, new Uint8Array(size)), Malformed)
  }
})

test("a stream that is over takes nothing more", async () => {
  const encryptor = await Encryptor.create(KEY, SALT)
  const last = await encryptor.finish()
  const decryptor = await Decryptor.create(KEY, encryptor.header)
  await decryptor.update(last)
  await decryptor.finish()
  for (const stream of [encryptor, decryptor]) {
    await refusal(() => stream.update(EMPTY), Misuse)
    await refusal(() => stream.finish(), Misuse)
  }
  const refusing = await Decryptor.create(KEY, encryptor.header)
  await refusal(() => refusing.update(new Uint8Array(SEALED_CHUNK_SIZE)), AuthenticationFailed)
  await refusal(() => refusing.update(last), Misuse)
  await refusal(() => refusing.finish(), Misuse)
})

test("sizes are each other's inverse, and some are none", async () => {
  fc.assert(
    fc.property(fc.nat(MAX_PLAINTEXT_SIZE), (size) => {
      expect(plaintextSize(ciphertextSize(size))).toBe(size)
    }),
  )
  expect(plaintextSize(ciphertextSize(MAX_PLAINTEXT_SIZE))).toBe(MAX_PLAINTEXT_SIZE)
  for (const size of [-1, MAX_PLAINTEXT_SIZE + 1, NaN]) await refusal(() => ciphertextSize(size), Misuse)
  const [full, beyond] = [HEADER_SIZE + SEALED_CHUNK_SIZE, ciphertextSize(MAX_PLAINTEXT_SIZE) + 1]
  const none = [-1, 0, HEADER_SIZE, HEADER_SIZE + TAG_SIZE - 1, full, full + TAG_SIZE - 1, beyond, beyond + TAG_SIZE]
  for (const size of none) await refusal(() => plaintextSize(size), Malformed)
})
